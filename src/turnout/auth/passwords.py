"""Passwords: bcrypt as GoTrue makes it, argon2id verified too, in two threads of their own.

Both kinds of hash move to and from hosted Supabase. A hash takes a twentieth of a second of a
core by design, which makes each request for one a lever for overload: two threads, 32 callers in the
queue, and the next is refused. bcrypt looks at 72 bytes only, so a longer password is refused and
never cut. How strong a password must be is the service's business.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..errors import ConfigError
from .errors import AuthError, invalid

T = TypeVar("T")

MAX_BYTES = 72
THREADS, QUEUE = 2, 32
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}")
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)
_MAX_MEMORY_KIB = 262_144  # a hash from outside says how much work it is


class Passwords:
    """Hashes and verifies.

    Args:
        cost: bcrypt's work factor, as a power of two.

    Attributes:
        work: How many hashes were computed; tests compare it instead of times.
    """

    def __init__(self, cost: int = 10) -> None:
        try:
            import bcrypt  # noqa: F401
        except ImportError as exc:
            raise ConfigError("auth needs bcrypt", cure='pip install "turnout[auth]"') from exc
        if not 4 <= cost <= 15:
            raise ConfigError(f"a bcrypt cost of {cost} is out of range", cure="10 is usual; 4 to 15 are taken")
        self.cost, self.work = cost, 0
        self._waiting, self._counting = 0, threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._nobody: bytes | None = None

    async def hash(self, password: str) -> str:
        """The bcrypt hash of *password*.

        Raises:
            AuthError: over 72 bytes, or too many callers are waiting.
        """
        data = to_bytes(password)
        return await self._run(lambda: self._hash(data).decode())

    async def verify(self, password: str, known: str | None) -> bool:
        """Whether *password* is the one that was hashed to *known*.

        No hash at all (None or empty) is as much work, and False: whoever asks cannot tell an
        unknown user from a wrong password by the time it takes.
        """
        data = to_bytes(password)
        return await self._run(lambda: self._verify(data, known))

    def _hash(self, data: bytes) -> bytes:
        import bcrypt

        self.work += 1
        return bcrypt.hashpw(data, bcrypt.gensalt(self.cost))

    def _verify(self, data: bytes, known: str | None) -> bool:
        import bcrypt

        if known and known.startswith("$argon2id$") and is_hash(known):
            self.work += 1
            return _verify_argon2(data, known)
        usable = known is not None and _BCRYPT.fullmatch(known) is not None
        if not usable and self._nobody is None:
            self._nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt(self.cost))
        self.work += 1
        same = bcrypt.checkpw(data, known.encode() if usable and known else self._nobody or b"")
        return same and usable

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= THREADS + QUEUE:
            raise AuthError("over_request_rate_limit", headers=(("retry-after", "1"),))
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="turnout-passwords")
        with self._counting:
            self._waiting += 1
        future = self._pool.submit(work)
        # Counted by the thread's own end: a caller that is cancelled does not stop a hash that runs.
        future.add_done_callback(self._left)
        return await asyncio.wrap_future(future)

    def _left(self, done: Future[T]) -> None:
        with self._counting:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads go, once those who wait have been served."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


def to_bytes(password: str) -> bytes:
    """*password* as it is hashed.

    Raises:
        AuthError: it is empty, over 72 bytes of UTF-8, or no text.
    """
    try:
        data = password.encode()
    except UnicodeEncodeError as exc:
        raise invalid("Password holds a character that is none") from exc
    if len(data) > MAX_BYTES:
        raise invalid(f"Password cannot be longer than {MAX_BYTES} bytes")
    if b"\0" in data:
        raise invalid("Password holds a NUL")
    return data


def is_hash(text: str) -> bool:
    """Whether *text* is a bcrypt or argon2id hash that :class:`Passwords` verifies at a bearable cost."""
    if _BCRYPT.fullmatch(text):
        return True
    found = _ARGON2.fullmatch(text)
    if found is None:
        return False
    memory_kib, times, lanes = (int(each) for each in found.groups())
    return 8 * lanes <= memory_kib <= _MAX_MEMORY_KIB and 1 <= times <= 10 and 1 <= lanes <= 16


def _verify_argon2(data: bytes, known: str) -> bool:
    try:
        from argon2 import low_level
        from argon2.exceptions import Argon2Error
    except ImportError as exc:
        raise ConfigError("a user's password is hashed with argon2id", cure='pip install "turnout[auth]"') from exc
    try:
        return low_level.verify_secret(known.encode(), data, low_level.Type.ID)
    except Argon2Error:
        return False
