"""Being told that PostgreSQL's schema has changed: ``NOTIFY pgrst, 'reload schema'``, as with PostgREST.

LISTEN holds a session, so it has a connection of its own and not one of the pool. Whatever was
said while that connection was down is not heard, so coming back counts as being told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

CHANNEL = "pgrst"
_FIRST_S, _LAST_S = 1.0, 30.0
logger = logging.getLogger("turnout.db")


async def listen(connect: Callable[[], Any], told: Callable[[], None]) -> None:
    """Call *told* for every notice, until cancelled.

    Args:
        connect: Gives a new connection.
    """
    wait_s, before = _FIRST_S, False
    while True:
        try:
            connection = await connect()
        except Exception as exc:
            logger.debug("not listening for schema changes: %s", exc)
        else:
            gone = asyncio.Event()
            try:
                connection.add_termination_listener(lambda _: gone.set())  # noqa: B023  (one a connection)
                await connection.add_listener(CHANNEL, lambda *notice: _heard(notice[3], told))
                if before:
                    told()
                before, wait_s = True, _FIRST_S
                await gone.wait()
            except Exception as exc:
                logger.debug("no longer listening for schema changes: %s", exc)
            finally:
                connection.terminate()
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, _LAST_S)


def _heard(payload: str, told: Callable[[], None]) -> None:
    if payload != "reload config":  # that is for PostgREST alone
        told()
