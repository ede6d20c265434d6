"""Never answers; ``?stubborn=1`` does not even let itself be cancelled at the first asking."""

import asyncio

max_duration = 0.5


async def GET(request):
    stubborn = "stubborn" in request.target
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not stubborn:
                raise
            stubborn = False
