from turnout import Response


async def GET(request):
    response = Response("crumbs")
    for number in range(5):
        flags = {"same_site": "strict", "http_only": number % 2 == 0}
        value = f"v{number}=%20"
        response.set_cookie(f"c{number}", value, path=f"/{number}", **flags)
    response.delete_cookie("old")
    return response


async def POST(request):
    response = Response("one crumb")
    response.set_cookie("only", "1")
    return response
