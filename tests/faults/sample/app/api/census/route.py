from lib.census import census


async def GET():
    return census()
