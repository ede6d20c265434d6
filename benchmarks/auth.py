"""What checking a session costs, beside a raw read of one row by its key.

Run:     python benchmarks/auth.py [postgresql://…]            (about 10 s, one core)
Prints:  microseconds a call: median and half the spread of 7 rounds. "first" is a token that was not seen before,
         whose signature is computed. 300 is what a check may cost. Refreshing and signing in write; what they cost is
         the disk's and, for a password, bcrypt's doing. Compare two commits on one quiet machine only.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from turnout.auth.keys import Keys, make_key
from turnout.auth.service import AuthService
from turnout.config import AuthConfig
from turnout.db import Database
from turnout.ratelimit import RateLimit

ROUNDS, ADA, PASSWORD = 7, "ada@example.com", "correct horse"


async def unlimited(*args: object, **options: object) -> RateLimit:
    """In place of the limits, which are another benchmark's."""
    return RateLimit(True, 1, 1, 0, 0, 1.0)


async def timed(what: str, loops: int, step: Callable[[int], Awaitable[object]]) -> float:
    """Print one line, and return its median."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for number in range(loops):
            await step(number)
        rounds.append((time.perf_counter() - begun) / loops * 1e6)
    print(f"{what:<44} {statistics.median(rounds):>9.1f} ±{(max(rounds) - min(rounds)) / 2:.1f}")
    return statistics.median(rounds)


async def raw(file: Path, user_id: str) -> float:
    """The driver alone, one row by its key."""
    connection = sqlite3.connect(file)
    sql = "select id, email, role, created_at, updated_at from auth_users where id = ?"

    async def read(number: int) -> None:
        assert connection.execute(sql, (user_id,)).fetchone()[1] == ADA

    found = await timed("sqlite3, one row by key", 20_000, read)
    connection.close()
    return found


async def main(place: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "app.db"
        db = Database(place or file)
        auth = AuthService(
            db, AuthConfig(), Keys.of([make_key()]), site_url="https://example.com", counter=unlimited
        )  # fmt: skip
        row = await auth.store.user_by_email(ADA)
        if row is None:
            await auth.admin_create_user(email=ADA, password=PASSWORD, email_confirm=True)
        session = await auth.sign_in_with_password(ADA, PASSWORD)
        token = session.access_token
        assert (await auth.get_user(token)).email == ADA  # the right answer first

        async def first(number: int) -> None:
            auth.tokens._known.clear()
            await auth.get_user(token)

        async def refresh(number: int) -> None:
            nonlocal session
            session = await auth.refresh(session.refresh_token)

        least = await raw(file, session.user.id) if place is None else None
        await timed("db, one row by key", 2_000, lambda _: one(db, session.user.id))
        warm = await timed("get_user", 2_000, lambda _: auth.get_user(token))
        await timed("get_user, first", 500, first)
        await timed("claims", 20_000, lambda _: auth.claims(token))
        await timed("refresh", 100, refresh)
        await timed("sign_in_with_password", 3, lambda _: auth.sign_in_with_password(ADA, PASSWORD))
        if least is not None:
            print(f"get_user is {warm / least:.1f} raw reads, and {warm / 1000:.3f} ms")
        await auth.close()
        await db.close()


async def one(db: Database, user_id: str) -> object:
    """Five columns through the builder; on PostgreSQL through db.sql, as no builder reaches the schema auth."""
    if db.dialect == "postgres":
        return await db.sql(
            "select id, email, role, created_at, updated_at from auth.users where id = :id", id=user_id
        ).single()  # fmt: skip
    return await db.from_("auth_users").select("id, email, role, created_at, updated_at").eq("id", user_id).single()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
