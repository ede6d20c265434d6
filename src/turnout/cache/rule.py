"""Which answers may be kept, for whom, and under which key (RFC 9111 sections 3 and 4).

What is personal is never kept: a request with ``Authorization``, an API key or a session's cookie is passed by,
and so is an answer whose handler looked at the user or at a cookie, or that sets one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from ..http.request import Request
from ..http.response import Response
from ..http.url import parse_fields

Key = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]

LARGEST_BYTES = 4_000_000
CREDENTIALS = frozenset({b"authorization", b"apikey", b"x-api-key"})  # fields that say who sends a request
_has_session = re.compile(rb"(?:^|;)\s*(?:__Host-|__Secure-)?(?:sb-[^=;]*-auth-token|turnout-flash=)").search
_private = re.compile(r"\b(?:private|no-store|no-cache)\b", re.IGNORECASE).search


class CacheRule(Struct, frozen=True):
    """How the answers of a route are kept: ``cache = CacheRule(60, tags=("posts",))``.

    Args:
        revalidate: Seconds for which an answer is fresh; None: until it is revalidated.
        tags: Names by which ``revalidate_tag`` ends it.
        vary: Request fields on which the answer depends, such as ``accept-language``.
    """

    revalidate: int | None = None
    tags: tuple[str, ...] = ()
    vary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.revalidate is not None and self.revalidate <= 0:
            raise ValueError("CacheRule keeps an answer for 1 second or more; leave the rule out to keep none")
        for name in (*self.tags, *self.vary):
            if not isinstance(name, str) or not name:
                raise ValueError(f"tags and vary are texts, not {name!r}")

    def names(self, request: Request, pattern: str) -> tuple[str, ...]:
        """What an answer can be revalidated by."""
        return (f"path:{request.path}", f"route:{pattern}", *(f"tag:{tag}" for tag in self.tags))


def is_personal(request: Request) -> bool:
    """Whether *request* says who sends it, or is for a page that shows somebody what they typed."""
    if request.failed_action is not None:
        return True
    if request._raw is None:
        named = request.headers
        shown = any(named.has(name.decode()) for name in CREDENTIALS)
        return shown or _is_session((named.get("cookie") or "").encode())
    return names_somebody(request._raw)


def names_somebody(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether *fields*, their names in lower case, say who sends a request."""
    return any(name in CREDENTIALS or (name == b"cookie" and _is_session(value)) for name, value in fields)


def _is_session(cookie: bytes) -> bool:
    """Whether a Cookie field has a session of auth in it, or a message of ``flash()`` that a page is about to show."""
    # Most have neither word, and to look for two words is a tenth of the expression's work.
    if b"-auth-token" not in cookie and b"turnout-flash=" not in cookie:
        return False
    return _has_session(cookie) is not None


def key_of(rule: CacheRule, request: Request) -> Key:
    """What two requests have in common that may have one answer: origin, path, query whatever its order, ``vary``."""
    trust = request.trust
    plain = trust.origin is None and not trust.networks and not trust.unix
    origin = f"{request.scheme}://{request.host}" if plain else request.url.origin
    query = request.target.partition("?")[2]
    fields = tuple(sorted(parse_fields(query, request.limits.max_query_fields))) if query else ()
    return origin, request.path, fields, tuple([request.headers.get(name) or "" for name in rule.vary])


def may_keep(rule: CacheRule, request: Request, response: Response) -> bool:
    """Whether *response* may be given to somebody else whose request has the same key."""
    if response.status != 200 or response.chunks is not None or response.file_path is not None:
        return False
    if request.set_cookies is not None or response._cookies is not None or request.personal:
        return False
    if request._cookies is not None or len(response.body) > LARGEST_BYTES:
        return False
    headers = response.headers
    if headers.has("set-cookie") or _private(headers.get("cache-control") or ""):
        return False
    # What it varies by has to be in the key (RFC 9111 section 4.1); "*" never is.
    varies = {name.strip().lower() for name in (headers.get("vary") or "").split(",")}
    return varies <= {"", *(name.lower() for name in rule.vary)}
