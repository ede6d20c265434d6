from lib.census import census, give_back


async def GET(request):
    counts = census()
    if "give_back" in request.target:
        give_back()
    return counts
