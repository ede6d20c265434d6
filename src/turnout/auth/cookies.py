"""A session to cookies and back, in the layout of Supabase's server-side JavaScript client.

Either side reads what the other wrote: the name is ``sb-<first label of the host>-auth-token``, the value
``base64-`` and the base64url of a JSON text, cut into ``.0``, ``.1`` and so on where it is too long for one
cookie (https://github.com/supabase/ssr). Content that makes no sense is no content. Nothing here knows what a
session is, nor whether it is still good.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import TurnoutError
from ..http.request import Request

MAX_CHUNK = 3180  # characters; with a name and attributes, below what every browser keeps in one cookie
MAX_AGE_S = 400 * 24 * 60 * 60  # the longest that browsers allow (RFC 6265bis section 5.6.1)
VERIFIER = "-code-verifier"
# What keeps a response with a session in it from every cache, old ones too.
UNCACHED = (
    ("cache-control", "private, no-cache, no-store, must-revalidate, max-age=0"),
    ("expires", "0"),
    ("pragma", "no-cache"),
)
_PREFIX = "base64-"
_not_in_names = re.compile(r"[^A-Za-z0-9_-]")
_is_number = re.compile(r"0|[1-9][0-9]*", re.ASCII).fullmatch


def storage_key(host: str) -> str:
    """The name of the cookies of the service at *host*: ``sb-abc-auth-token`` for ``abc.supabase.co``."""
    # The brackets of an IPv6 address may not stand in the name of a cookie.
    return f"sb-{_not_in_names.sub('', host.partition('.')[0])}-auth-token"


def encode(text: str) -> str:
    """*text*, which is JSON, as the value of a cookie."""
    return _PREFIX + urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode(value: str) -> str | None:
    """The JSON text in a cookie's *value*, or None where there is none: chunks of two sessions, or an invention."""
    if not value.startswith(_PREFIX):
        return None
    data = value[len(_PREFIX) :].rstrip("=")
    try:
        raw = urlsafe_b64decode(data + "=" * (-len(data) % 4))
        msgspec.json.decode(raw)
        return raw.decode()
    except (binascii.Error, ValueError, RecursionError):
        return None


def to_chunks(key: str, value: str) -> list[tuple[str, str]]:
    """*value* as cookies of that name: one, or ``key.0``, ``key.1`` and so on.

    Everything that ``encode`` writes is a character that no URI encoding changes, so its length is the length
    that Supabase's client measures.
    """
    if len(value) <= MAX_CHUNK:
        return [(key, value)]
    return [
        (f"{key}.{number}", value[start : start + MAX_CHUNK])
        for number, start in enumerate(range(0, len(value), MAX_CHUNK))
    ]


def join(key: str, cookies: Mapping[str, str]) -> str | None:
    """The value whose chunks are among *cookies*; a whole one wins over chunks."""
    whole = cookies.get(key)
    if whole:
        return whole
    chunks: list[str] = []
    while chunk := cookies.get(f"{key}.{len(chunks)}"):
        chunks.append(chunk)
    return "".join(chunks) or None


def is_chunk(name: str, key: str) -> bool:
    """Whether the cookie *name* is *key* or one of its chunks."""
    start, dot, number = name.rpartition(".")
    return name == key or (bool(dot) and start == key and _is_number(number) is not None)


class Jar:
    """Texts in the cookies of one request, and what its response has to change about them.

    Args:
        request: Whose cookies.
        key: The name of the session; other keys begin with it.
        http_only: False where a client in the browser must read them.
    """

    def __init__(self, request: Request, key: str, *, http_only: bool = True) -> None:
        self.key, self._request, self._http_only = key, request, http_only
        self._texts: dict[str, str | None] = {}  # what was written during this request, which comes first
        self._read: dict[str, str | None] = {}

    def get(self, key: str) -> str | None:
        """The JSON text under *key*."""
        if key in self._texts:
            return self._texts[key]
        if key not in self._read:
            value = join(key, self._request.cookies)
            self._read[key] = decode(value) if value is not None else None
        return self._read[key]

    def set(self, key: str, text: str) -> None:
        """Write *text*, which is JSON, under *key*, and drop the chunks that are left over.

        Raises:
            TurnoutError: the response has begun, so its head can carry no cookie.
        """
        self._write(key, to_chunks(key, encode(text)))
        self._texts[key] = text

    def delete(self, key: str) -> None:
        """Forget what is under *key*."""
        self._write(key, [])
        self._texts[key] = None

    def written(self, key: str) -> bool:
        """Whether *key* was written or deleted during this request."""
        return key in self._texts

    def _write(self, key: str, chunks: list[tuple[str, str]]) -> None:
        request = self._request
        if request.answered:
            raise TurnoutError(
                "the response has begun, so a session cannot be kept in cookies any more; "
                "sign in and out before the first byte is sent"
            )
        pending = request.set_cookies or []
        written = [name for name, _ in chunks]
        known = [*request.cookies, *(name for name, _, _ in pending)]
        gone = dict.fromkeys(name for name in known if is_chunk(name, key) and name not in written)
        # Only the last word on each cookie is sent.
        kept = [each for each in pending if not is_chunk(each[0], key)]
        kept += [(name, "", self._options(0)) for name in gone]
        kept += [(name, value, self._options(MAX_AGE_S)) for name, value in chunks]
        request.set_cookies, request.special = kept or None, True
        if kept:
            request.answer_headers = (*request.answer_headers, *UNCACHED)

    def _options(self, max_age: int) -> dict[str, Any]:
        return {"max_age": max_age, "path": "/", "http_only": self._http_only, "same_site": "lax"}
