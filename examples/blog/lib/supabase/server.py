"""A stand-in for Turnout's ``create_client()``, until auth is there: the same shape, far less behind it.

A session is a random token that ``POST /api/users`` gives and the client sends back as
``Authorization: Bearer <token>``. There are no cookies, no refresh and no sign-in by password.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from turnout import db, headers

SESSION_DAYS = 30


class User(Struct):
    id: str
    email: str


class UserResponse(Struct):
    user: User | None


class Auth:
    """``supabase.auth``."""

    async def get_user(self) -> UserResponse:
        """The user whose token the request in flight carries; ``.user`` is None when there is none."""
        scheme, _, token = (headers().get("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return UserResponse(None)
        session = await (
            db.from_("sessions")
            .select("user_id")
            .eq("token_hash", _hash(token))
            .gt("expires_at", datetime.now(UTC))
            .single()
        )
        if session is None:
            return UserResponse(None)
        return UserResponse(await db.from_("users").select("id, email").eq("id", session["user_id"]).as_(User).single())


class Client:
    """What ``create_client()`` gives."""

    def __init__(self) -> None:
        self.auth = Auth()


async def create_client() -> Client:
    """A client for the user of the request in flight."""
    return Client()


async def create_session(user_id: str) -> str:
    """Sign a user in, and give the token that proves it."""
    token = secrets.token_urlsafe(32)
    expires_at = datetime.now(UTC) + timedelta(days=SESSION_DAYS)
    await db.from_("sessions").insert({"token_hash": _hash(token), "user_id": user_id, "expires_at": expires_at})
    return token


def _hash(token: str) -> str:
    # Whoever reads the table cannot use what is in it. A fast hash will do: a token cannot be guessed.
    return hashlib.sha256(token.encode()).hexdigest()
