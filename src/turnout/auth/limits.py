"""How often somebody may try: by address, by account, and by mailbox.

Everything is counted before anything is looked up, so that a limit says nothing about who is
registered. Where the counting store is away the answer is no: a guess that is not counted is free.
Addresses of people are hashed before they become keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from ..config import AuthConfig
from ..http.address import rate_key
from .errors import AuthError
from .models import CallContext

Counter = Callable[..., Awaitable[Any]]


class Limits:
    """The limits of ``[tool.turnout.auth]``.

    Args:
        counter: ``turnout.rate_limit``, or what plays its part.
    """

    def __init__(self, settings: AuthConfig, counter: Counter | None = None) -> None:
        self._settings, self._counter = settings, counter

    async def sign_in(self, context: CallContext | None, email: str | None = None) -> None:
        """One try to sign in or up; with *email* one of its password."""
        await self._by_address("sign-in", context, self._settings.sign_ins_per_five_min)
        if email is not None:
            await self._count(f"password:{_hashed(email)}", self._settings.passwords_per_five_min, "5 min")

    async def anonymous(self, context: CallContext | None) -> None:
        """One anonymous user."""
        await self._by_address("anonymous", context, self._settings.anonymous_per_hour, "1 hour")

    async def refresh(self, context: CallContext | None) -> None:
        """One refresh."""
        await self._by_address("refresh", context, self._settings.refreshes_per_five_min)

    async def verify(self, context: CallContext | None) -> None:
        """One code or link tried."""
        await self._by_address("verify", context, self._settings.verifications_per_five_min)

    async def code(self, context: CallContext | None) -> None:
        """One code asked for."""
        await self._by_address("code", context, self._settings.codes_per_five_min)

    async def mail(self, email: str) -> None:
        """One message to *email*, whether or not it will be sent."""
        word = "over_email_send_rate_limit"
        await self._count(f"mail:{_hashed(email)}", 1, f"{self._settings.mail_interval_s} s", word)
        await self._count("mails", self._settings.mails_per_hour, "1 hour", word)

    async def _by_address(self, name: str, context: CallContext | None, limit: int, window: str = "5 min") -> None:
        if context is not None:  # else the caller is this program itself
            # Without an address, as behind a Unix socket that nobody speaks for, all count as one.
            await self._count(f"{name}:{rate_key(context.ip)}", limit, window)

    async def _count(self, key: str, limit: int, window: str, word: str = "over_request_rate_limit") -> None:
        if self._counter is None:
            from ..ratelimit import rate_limit

            self._counter = rate_limit
        found = await self._counter(f"auth:{key}", limit, window, on_error="deny")
        if not found.success:
            raise AuthError(word, headers=(("retry-after", str(max(1, found.retry_after))),))


def _hashed(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()[:32]
