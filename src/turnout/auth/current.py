"""Who sends the request in flight: its Bearer token, or the session in its cookies, kept fresh.

One object a request, whatever asks: the guard, ``create_client()`` and the pages see the same user, and the
session is refreshed at most once. A worker refreshes one token once, however many requests bring it at the same
time. Whether a token is good is the backend's business; that a cookie was not sent by another site's page is
judged here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ..errors import Forbidden
from ..http.origin import SAFE, same_origin
from ..http.request import Request
from .call import bearer
from .cookies import VERIFIER, Jar

MARGIN_S = 10  # a token that ends within this is refreshed first, as Supabase's Python client does
# A refresh token to the JSON of the new session; None where the session is over. It raises when it cannot tell.
Refresh = Callable[[str], Awaitable[str | None]]


class Tokens(msgspec.Struct):
    """What has to be known of a session in a cookie; the rest of it is for others."""

    access_token: str
    refresh_token: str
    expires_at: float

    def __repr__(self) -> str:
        return "<Tokens>"


class Current:
    """The user of one request, as far as it is known.

    Args:
        request: Whose.
        jar: Its cookies.
        refresh: The backend's.
    """

    def __init__(self, request: Request, jar: Jar, refresh: Refresh) -> None:
        self.request, self.jar = request, jar
        self._refresh = refresh
        self.bearer = bearer(request)
        self.users: dict[str, Any] = {}  # access token -> its user, asked for once a request
        self._refreshed = False
        self._parsed: tuple[str, Tokens | None] = ("", None)
        # Whether nobody or somebody is signed in, the answer depends on it.
        request.personal = request.special = True

    def session_text(self) -> str | None:
        """The session's JSON, as it is in the cookies."""
        return self.jar.get(self.jar.key)

    def tokens(self) -> Tokens | None:
        """The tokens in the cookies; None where there are none, or nothing that can be read."""
        text = self.session_text()
        if text is None:
            return None
        if self._parsed[0] != text:
            self._parsed = (text, _parse_tokens(text))
        found = self._parsed[1]
        if found is not None and not self.jar.written(self.jar.key):
            self._refuse_forged()
        return found

    async def load(self) -> Tokens | None:
        """The tokens in the cookies, refreshed if it is time.

        Raises:
            Forbidden: another site's page sent the request.
        """
        tokens = self.tokens()
        if tokens is None or tokens.expires_at > time.time() + MARGIN_S or self._refreshed:
            return tokens
        if self.request.answered:
            # A new token could not be given to the client, and the one it has would be worth nothing.
            return tokens if tokens.expires_at > time.time() else None
        return await self.renew(tokens.refresh_token)

    async def renew(self, refresh_token: str) -> Tokens | None:
        """A new session for *refresh_token*, in the cookies; None, and no session there, if it is over."""
        text = await _once(refresh_token, self._refresh)
        self._refreshed = True
        if text is None:
            self.forget()
            return None
        self.keep(text)
        return self.tokens()

    async def access_token(self) -> str | None:
        """What proves who the user is; None where nobody is signed in."""
        if self.bearer is not None:
            return self.bearer
        tokens = await self.load()
        return tokens.access_token if tokens is not None else None

    def keep(self, text: str) -> None:
        """Sign in: *text* is the session from now on, and wins over a Bearer token."""
        if self.request.method not in SAFE and same_origin(self.request) is False:
            # Else another site could sign its victim in to an account of the attacker's.
            raise _forged()
        self.jar.set(self.jar.key, text)
        self.bearer = None
        self.users.clear()

    def forget(self) -> None:
        """Sign out, as far as the cookies go."""
        self.jar.delete(self.jar.key)
        self.jar.delete(self.jar.key + VERIFIER)
        self.users.clear()

    def _refuse_forged(self) -> None:
        if self.request.method not in SAFE and not same_origin(self.request):
            raise _forged()


def _parse_tokens(text: str) -> Tokens | None:
    try:
        return msgspec.json.decode(text, type=Tokens)
    except (msgspec.DecodeError, RecursionError):
        return None


def _forged() -> Forbidden:
    return Forbidden(
        "This request has a session cookie and no sign that a page of this site sent it: send Origin or "
        "Sec-Fetch-Site as browsers do, or a Bearer token instead of the cookie",
        code="cross_origin",
    )


# -- one refresh at a time

_under_way: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[str | None]] = {}


async def _once(refresh_token: str, refresh: Refresh) -> str | None:
    """*refresh* of the token, shared with every other request of this worker that waits for the same."""
    key = (asyncio.get_running_loop(), refresh_token)
    task = _under_way.get(key)
    if task is None:
        task = _under_way[key] = asyncio.ensure_future(refresh(refresh_token))
        task.add_done_callback(lambda done: _ended(key, done))
    # A client that leaves must not take the refresh with it: others wait, and the token is used up.
    return await asyncio.shield(task)


def _ended(key: tuple[asyncio.AbstractEventLoop, str], task: asyncio.Task[str | None]) -> None:
    _under_way.pop(key, None)
    if not task.cancelled():
        task.exception()  # looked at, so that nobody is told of an error that all who asked have left
