"""The wire for Supabase's clients: ``/auth/v1`` and ``/rest/v1`` on a project's App.

On in development and tests unless ``supabase = false``, and then for this machine only; in
production by ``supabase = true`` alone, since it publishes the tables over HTTP. Who calls is
said by ``Authorization: Bearer`` or else by ``apikey``; there is no third way: cookies are never
read, so no other site can act for a visitor. Browsers of other origins are let in by name, in
``supabase_origins``; in development those of this machine are.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import DbError, Forbidden, HTTPError
from ..http.request import Request
from ..http.response import Response
from .call import bearer, refusal
from .errors import AuthError

if TYPE_CHECKING:
    from ..config import Config
    from ..db import Scope

Endpoint = Callable[[Request], Awaitable[Response]]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
ALLOWED = (
    "authorization, apikey, content-type, prefer, accept-profile, content-profile, range, "
    "x-client-info, x-supabase-api-version, x-retry-count"
)
EXPOSED = "content-range, preference-applied, location, x-total-count, link, x-supabase-api-version, retry-after"
PREFLIGHT_S = 600

logger = logging.getLogger("turnout.wire")


def is_on(config: Config) -> bool:
    """Whether this project serves the wire."""
    return config.mode != "production" if config.supabase is None else config.supabase


def endpoints(config: Config) -> dict[str, dict[str, Endpoint]]:
    """What the wire adds to an App: patterns, and the methods of each; nothing where it is off."""
    if not is_on(config):
        return {}
    wire = Wire(config.supabase_origins, any_peer=bool(config.supabase), local_origins=config.mode != "production")
    return {
        "/auth/v1/[...path]": wire.methods(_auth),
        "/rest/v1/[[...path]]": wire.methods(_rest),
    }


class Wire:
    """What both halves share: who may come, and what browsers are told.

    Args:
        origins: Origins whose pages may call, such as ``https://app.example.com``.
        any_peer: False where only this machine may call.
        local_origins: True to let pages of this machine call too, whatever their port.
    """

    def __init__(self, origins: list[str], *, any_peer: bool, local_origins: bool) -> None:
        self._origins = frozenset(origin.lower() for origin in origins)
        self._any_peer, self._local_origins = any_peer, local_origins

    def methods(self, endpoint: Endpoint) -> dict[str, Endpoint]:
        """*endpoint* for every method, and the answer to a browser's question before them."""

        async def answered(request: Request) -> Response:
            self._judge_peer(request)
            return self._shared(request, await endpoint(request))

        return {**dict.fromkeys((*METHODS, "HEAD"), answered), "OPTIONS": self._preflight}

    async def _preflight(self, request: Request) -> Response:
        self._judge_peer(request)
        response = Response(None, 204, {"allow": ", ".join((*METHODS, "HEAD", "OPTIONS"))})
        if self._lets(request.headers.get("origin")):
            response.headers.set("access-control-allow-methods", ", ".join(METHODS))
            response.headers.set("access-control-allow-headers", ALLOWED)
            response.headers.set("access-control-max-age", str(PREFLIGHT_S))
        return self._shared(request, response)

    def _shared(self, request: Request, response: Response) -> Response:
        """*response* with what its reader in a browser may see; never with credentials, as none are read."""
        origin = request.headers.get("origin")
        response.headers.append("vary", "Origin")
        if origin is not None and self._lets(origin):
            response.headers.set("access-control-allow-origin", origin)
            response.headers.set("access-control-expose-headers", EXPOSED)
        return response

    def _lets(self, origin: str | None) -> bool:
        if origin is None:
            return False
        if origin.lower() in self._origins:
            return True
        if not self._local_origins:
            return False
        try:
            parts = urlsplit(origin)
            return parts.scheme in ("http", "https") and parts.hostname in LOOPBACK and origin == _origin_of(parts)
        except ValueError:  # a port or an address that is none
            return False

    def _judge_peer(self, request: Request) -> None:
        if not self._any_peer and request.peer not in LOOPBACK:
            raise Forbidden(
                "The endpoints for Supabase's clients answer to this machine only; "
                "supabase = true under [tool.turnout] opens them",
                code="wire_is_local",
            )


def _origin_of(parts: Any) -> str:
    """The origin of a split URL as a browser writes it, so that nothing may come after it."""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")


async def _auth(request: Request) -> Response:
    from . import auth_service
    from .routes import gotrue

    return await gotrue(request, auth_service())


async def _rest(request: Request) -> Response:
    from ..db import db
    from ..db.rest import rest

    try:
        scope = await scope_of(request)
    except AuthError as exc:
        return _unknown_caller(exc)
    except (HTTPError, DbError) as exc:
        return refusal(exc, request)
    return await rest(request, db, scope)


async def scope_of(request: Request) -> Scope:
    """On whose behalf *request* asks for rows: the role and claims of its token, or else of its key.

    Raises:
        AuthError: 401, there is neither, or one that is not good.
    """
    from ..db import Scope
    from . import auth_service

    token = bearer(request) or request.headers.get("apikey")
    if token is None:
        raise AuthError("no_authorization")
    claims = await auth_service().claims(token)
    return Scope(str(claims.get("role") or "anon"), claims)


def _unknown_caller(exc: AuthError) -> Response:
    """A refusal in PostgREST's shape; clients read all four keys."""
    missing = exc.code == "no_authorization"
    code = "PGRST302" if missing else "PGRST301"
    message = "Anonymous access is disabled" if missing else exc.message
    response = Response.json({"code": code, "message": message, "details": None, "hint": None}, 401)
    response.headers.set("www-authenticate", "Bearer" if missing else 'Bearer error="invalid_token"')
    response.headers.set("cache-control", "no-store")
    return response
