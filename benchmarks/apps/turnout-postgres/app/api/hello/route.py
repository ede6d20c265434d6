"""W1: the smallest answer."""


async def GET(request):
    return {"message": "Hello World!"}
