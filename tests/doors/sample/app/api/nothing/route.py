async def GET(request):
    return object()
