from turnout import Response


async def GET(request):
    return Response.json([{"number": number, "name": f"name {number % 7}"} for number in range(4000)])
