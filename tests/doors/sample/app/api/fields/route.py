from turnout import Response


async def GET(request):
    # What a balancer writes is none of the client's.
    seen = [pair for pair in request.headers.items() if pair[0].startswith("x-") and "forwarded" not in pair[0]]
    response = Response.json(seen, headers={"X-MIXED-Case": "Kept As Is"})
    if "many" in request.search_params:
        response.headers.append("X-Many", "one")
        response.headers.append("X-Many", "two, three")
    return response
