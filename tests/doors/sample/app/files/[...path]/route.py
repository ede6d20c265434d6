async def GET(request, path: list[str]):
    return {"path": path, "canonical": request.path, "url": request.url.href.partition("/files")[2]}
