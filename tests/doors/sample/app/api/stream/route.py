import asyncio


async def GET(request):
    for number in range(5):
        yield f"piece {number}\n"
        await asyncio.sleep(0)
