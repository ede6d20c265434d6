import os


async def GET():
    return {"pid": os.getpid()}
