"""The guestbook: its rows are the truth, and a message on a channel only says that there is a new one.

So whoever listens misses nothing: it looks at the rows after the last one that it has.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from msgspec import Meta
from turnout import db
from turnout.store import store

Message = Annotated[str, Meta(max_length=2000)]  # a line end is two characters on its way

CHANNEL = "guestbook"
SHOWN = 50


async def sign(name: str, message: str) -> bool:
    """Write into the book; whether there is a new entry, as what is sent twice is written once."""
    entry = {"name": name, "message": message}
    async with db.transaction() as tx:
        if await tx.from_("guestbook").select("name, message").order("id", desc=True).limit(1) == [entry]:
            return False
        await tx.from_("guestbook").insert(entry)
    return True


async def ring() -> None:
    """Tell those who have the book open, in whatever process."""
    await store.publish(CHANNEL, b"")


async def latest() -> list[dict[str, Any]]:
    """What was written last, the newest first."""
    return await db.from_("guestbook").select("*").order("id", desc=True).limit(SHOWN)


async def following(last: int) -> AsyncIterator[dict[str, Any]]:
    """What is written after the entry *last*, one by one, for as long as somebody listens."""
    async with store.subscribe(CHANNEL) as bell:  # before the first look, so that nothing falls in between
        while True:
            for entry in await db.from_("guestbook").select("*").gt("id", last).order("id").limit(SHOWN):
                yield entry
                last = entry["id"]
            await anext(bell)
