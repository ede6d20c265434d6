from turnout import Response, after

done: list[str] = []


async def GET(request):
    return {"done": request.search_params.get("note") in done}


async def POST(request):
    after(done.append, request.search_params.get("note"))
    return Response("later", 202)
