"""Blocks the event loop for ever."""


async def GET():
    while True:
        pass
