"""A site of its own for one test: users, a mailbox, and a clock that the test sets."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import pytest

from turnout.auth.errors import AuthError
from turnout.auth.keys import Keys, make_key
from turnout.auth.models import AuthResponse, CallContext, Session
from turnout.auth.service import AuthService
from turnout.config import AuthConfig
from turnout.db import Database
from turnout.ratelimit import RateLimit

SITE = "https://app.example.com"
ADA, PASSWORD = "ada@example.com", "correct horse"
HERE = CallContext("203.0.113.7", "test/1.0")


@lru_cache
def keys() -> Keys:
    """One ring for all tests that do not look at it."""
    return Keys.of([make_key()])


async def unlimited(*args: Any, **kwargs: Any) -> RateLimit:
    """In place of ``rate_limit``, for tests of other things."""
    return RateLimit(True, 1, 1, 0, 0, 1.0)


@dataclass
class World:
    """What a test works with."""

    db: Database
    auth: AuthService
    mails: list[dict[str, Any]] = field(default_factory=list)
    offset_s: float = 0.0

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.offset_s += seconds

    def mail(self, to: str = ADA) -> dict[str, Any]:
        """The last message to somebody."""
        return next(each for each in reversed(self.mails) if each["to"] == to)

    def code(self, to: str = ADA) -> str:
        """The digits in it."""
        found = re.search(r"code: (\d{6})\b", self.mail(to)["text"])
        assert found is not None
        return found[1]

    def link(self, to: str = ADA) -> dict[str, str]:
        """The fields of its link."""
        found = re.search(r"https?://\S+", self.mail(to)["text"])
        assert found is not None
        return dict(parse_qsl(urlsplit(found[0]).query))

    async def user(self, email: str = ADA, password: str = PASSWORD) -> Session:
        """A confirmed user who is signed in."""
        await self.auth.admin_create_user(email=email, password=password, email_confirm=True)
        return await self.auth.sign_in_with_password(email, password)

    async def rows(self, sql: Any, **values: Any) -> list[dict[str, Any]]:
        """Rows of a statement in the words of PostgreSQL."""
        return await self.auth.store.rows(sql, **values)


@asynccontextmanager
async def world(
    place: str, *, counter: Any = unlimited, ring: Keys | None = None, **settings: Any
) -> AsyncIterator[World]:
    """A site at *place*, which is emptied first."""
    if place.startswith("postgres"):
        await empty(place)
    db = Database(place)
    found: World

    async def send(**message: Any) -> None:
        found.mails.append(message)

    auth = AuthService(
        db, AuthConfig(**{"bcrypt_cost": 4, **settings}), ring or keys(), site_url=SITE, sender=send, counter=counter,
        clock=lambda: time.time() + found.offset_s,
        secrets={"google": "google-secret", "github": "github-secret"},
    )  # fmt: skip
    found = World(db, auth)
    try:
        yield found
    finally:
        await auth.close()
        await db.close()


async def empty(url: str) -> None:
    """Leave nothing of ours in the database."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("select to_regclass('auth._turnout_auth') is not null"):
            await connection.execute("set client_min_messages = error; truncate auth.users, auth.flow_state cascade")
    finally:
        await connection.close()


def fields(place: str) -> dict[str, str]:
    """What an address carries, in query or fragment."""
    parts = urlsplit(place)
    return dict(parse_qsl(parts.query) + parse_qsl(parts.fragment, keep_blank_values=True))


class refused:
    """``with refused("otp_expired", 403)``: an AuthError with this word and status is raised."""

    def __init__(self, code: str, status: int | None = None) -> None:
        self.code, self.status = code, status

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        if not isinstance(exc, AuthError):
            if exc is None:
                pytest.fail(f"{self.code} was not raised")
            return False
        assert (exc.code, exc.status) == (self.code, self.status or exc.status)
        return True


def session_of(answer: AuthResponse) -> Session:
    """The session in it."""
    assert answer.session is not None
    return answer.session
