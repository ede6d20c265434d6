"""Waits in a transaction until its client leaves, and notes when it was told."""

import asyncio
import time

from lib.census import cancelled_at_s, entered

from turnout import db


async def POST(request):
    await request.bytes()
    entered.append(1)
    try:
        async with db.transaction() as tx:
            await tx.from_("notes").insert({"text": "never committed"})
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled_at_s.append(time.monotonic())
        raise


async def GET():
    entered.append(1)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled_at_s.append(time.monotonic())
        raise
