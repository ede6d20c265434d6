"""Which other origins' pages may call, and what their browsers are told of it.

The CORS protocol of the Fetch standard (https://fetch.spec.whatwg.org/#http-cors-protocol). Off
until origins are named; an origin is compared as a whole, never by its beginning or end. CORS
lets a page *read* an answer: it keeps nobody from sending a request, which is ``origin.py``'s.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from ..errors import ConfigError
from .request import Request
from .response import Response

_is_origin = re.compile(r"(?:https?|[a-z][a-z0-9+.-]*)://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?").fullmatch
_is_field = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}").fullmatch
_KEYS = ("origins", "credentials", "headers", "expose", "max_age_s")


class Cors(Struct, frozen=True):
    """What pages of other origins may do with a route.

    Args:
        origins: Whole origins, ``https://app.example.com``; ``*`` for every one.
        credentials: Whether cookies may come along.
        headers: Request fields they may send; every one they ask for if empty.
        expose: Response fields they may read, beside the few that everybody may.
        max_age_s: Seconds for which a browser need not ask again.
    """

    origins: frozenset[str]
    credentials: bool = False
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age_s: int = 600

    @classmethod
    def of(cls, value: Any) -> Cors | None:
        """Read ``cors = ...``: an origin, a list of them, a dict of the arguments above, or False for none.

        Raises:
            ConfigError: an origin that no browser would send, an unknown key, ``*`` with credentials.
        """
        if value is False:
            return None
        if value is True:
            raise ConfigError("cors = True names no origin", cure='cors = ["https://app.example.com"], or "*" for all')
        given = value if isinstance(value, dict) else {"origins": value}
        if unknown := given.keys() - set(_KEYS):
            raise ConfigError(f"cors has no {sorted(unknown)[0]!r}", cure=f"it has {', '.join(_KEYS)}")
        origins = _texts(given.get("origins", ()), "origins")
        for origin in origins:
            if origin != "*" and not _is_origin(origin):
                raise ConfigError(
                    f"{origin!r} in cors is not an origin", cure='"https://app.example.com": scheme and host, no path'
                )
        credentials, max_age_s = given.get("credentials", False), given.get("max_age_s", 600)
        if not isinstance(credentials, bool) or not isinstance(max_age_s, int) or not 0 <= max_age_s <= 86_400:
            raise ConfigError("in cors, credentials is True or False and max_age_s a number of seconds up to 86400")
        if "*" in origins and credentials:
            raise ConfigError(
                "cors lets every site act with its visitors' cookies", cure='name the origins instead of "*"'
            )
        fields, expose = (_texts(given.get(name, ()), name) for name in ("headers", "expose"))
        for field in (*fields, *expose):
            if not _is_field(field):
                raise ConfigError(f"{field!r} in cors is not the name of a header field")
        return cls(frozenset(origins), credentials, fields, expose, max_age_s)

    def lets(self, origin: str) -> bool:
        """Whether a page of *origin* may read the answer."""
        return "*" in self.origins or origin in self.origins

    def answer(self, request: Request, response: Response) -> None:
        """Tell the browser of *response* who may read it."""
        headers = response.headers
        everybody = "*" in self.origins
        if not everybody:
            # On every answer: a cache must not give one origin's to another.
            headers.append("vary", "Origin")
        origin = request.headers.get("origin")
        if origin is None or not self.lets(origin):
            return
        headers.set("access-control-allow-origin", "*" if everybody else origin)
        if self.credentials:
            headers.set("access-control-allow-credentials", "true")
        if self.expose:
            headers.set("access-control-expose-headers", ", ".join(self.expose))

    def preflight(self, request: Request, response: Response, methods: str) -> None:
        """Answer a browser that asks before it sends; *methods* as in ``Allow``."""
        origin = request.headers.get("origin")
        if origin is None or not request.headers.has("access-control-request-method") or not self.lets(origin):
            return
        asked = request.headers.get("access-control-request-headers") or ""
        fields = self.headers or [name for part in asked.split(",") if _is_field(name := part.strip())]
        response.headers.set("access-control-allow-methods", methods)
        if fields:
            response.headers.set("access-control-allow-headers", ", ".join(fields))
        if not self.headers:
            response.headers.append("vary", "Access-Control-Request-Headers")
        response.headers.set("access-control-max-age", str(self.max_age_s))


def _texts(value: Any, name: str) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise ConfigError(f"{name} in cors is a list of texts, not {value!r}")
    return tuple(found)
