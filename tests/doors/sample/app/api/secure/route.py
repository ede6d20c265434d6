async def GET(request):
    return {"secret": True}


async def POST(request):
    raise LookupError("gone")


async def DELETE(request):
    raise ValueError("s3cret")
