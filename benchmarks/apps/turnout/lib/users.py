"""W5: asyncpg with a pool of ten, opened at the first question; the same as the peers have in peers/python/users.py."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

USER = "select id, name, email from users where id = $1"
opening: asyncio.Future[asyncpg.Pool] | None = None


async def open_pool() -> asyncpg.Pool:
    """The pool of this process; its first users wait for one opening, not for one each."""
    global opening
    if opening is None:
        # Here, since most of what is measured asks PostgreSQL nothing, and should not be charged 4 MB for its driver.
        import asyncpg

        # No reset between users: nothing here changes a connection's state.
        made = asyncpg.create_pool(os.environ["BENCH_POSTGRES"], min_size=10, max_size=10, reset=keep)
        opening = asyncio.ensure_future(made)  # type: ignore[arg-type]
    return await opening


async def keep(connection: object) -> None:
    """Leave the connection as it is."""


async def one_user(id: int) -> dict[str, object] | None:
    """The row by its key."""
    pool = await open_pool()
    row = await pool.fetchrow(USER, id)
    return dict(row) if row is not None else None
