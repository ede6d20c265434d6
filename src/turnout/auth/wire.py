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
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..errors import ConfigError, DbError, Forbidden
from ..http.cors import Cors
from ..http.request import Request
from ..http.response import Response
from . import serves_wire
from .call import bearer
from .errors import AuthError

if TYPE_CHECKING:
    from ..config import Config
    from ..db import Scope

Endpoint = Callable[[Request], Awaitable[Response]]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
LOOPBACK = ("127.0.0.1", "::1")
SENT = (
    "authorization", "apikey", "content-type", "prefer", "accept-profile", "content-profile", "range",
    "x-client-info", "x-supabase-api-version", "x-retry-count",
)  # fmt: skip
READ = (
    "content-range", "preference-applied", "location", "x-total-count", "link", "x-supabase-api-version",
    "retry-after",
)  # fmt: skip

logger = logging.getLogger("turnout.auth")
_is_local = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?").fullmatch


def endpoints(config: Config) -> dict[str, dict[str, Endpoint]]:
    """What the wire adds to an App: patterns, and the methods of each; nothing where it is off."""
    if not serves_wire(config):
        return {}
    origins = frozenset(origin.lower() for origin in config.supabase_origins)
    cors = WireCors(origins, headers=SENT, expose=READ, local=config.mode != "production")
    rest = Rest()
    return {
        "/auth/v1/[...path]": _methods(_auth, cors, any_peer=bool(config.supabase)),
        "/rest/v1/[[...path]]": _methods(rest.answer, cors, any_peer=bool(config.supabase)),
    }


async def begin() -> None:
    """Find out before the first request whether the wire can be served as the settings say.

    Raises:
        ConfigError: there are no keys, or a policy of the project could not hold.
    """
    from ..db import db
    from ..db.rest import check
    from . import auth_service

    auth_service()
    try:
        await check(db)
    except DbError as exc:
        if not exc.retryable:
            raise
        logger.warning("row policies are not checked yet: %s", exc)


class WireCors(Cors, frozen=True):
    """Which pages may call; with *local* all of this machine, whatever their port."""

    local: bool = False

    def lets(self, origin: str) -> bool:
        """Whether a page of *origin* may read the answer."""
        return origin in self.origins or (self.local and _is_local(origin) is not None)


def _methods(endpoint: Endpoint, cors: Cors, *, any_peer: bool) -> dict[str, Endpoint]:
    """*endpoint* for every method, and the answer to what a browser asks before it sends."""

    def judge(request: Request) -> None:
        if not any_peer and request.peer not in LOOPBACK:
            raise Forbidden(
                "The endpoints for Supabase's clients answer to this machine only; "
                "supabase = true under [tool.turnout] opens them",
                code="wire_is_local",
            )

    async def answered(request: Request) -> Response:
        judge(request)
        response = await endpoint(request)
        cors.answer(request, response)
        return response

    async def options(request: Request) -> Response:
        judge(request)
        response = Response(None, 204, {"allow": ", ".join((*METHODS, "OPTIONS"))})
        cors.preflight(request, response, ", ".join(METHODS))
        cors.answer(request, response)
        return response

    return {**dict.fromkeys(METHODS, answered), "OPTIONS": options}


async def _auth(request: Request) -> Response:
    from . import auth_service
    from .call import refusal
    from .routes import gotrue

    try:
        service = auth_service()
    except ConfigError as exc:
        logger.error("%s", exc, extra={"request_id": request.id})
        return refusal(AuthError("unexpected_failure"), request)
    return await gotrue(request, service)


class Rest:
    """``/rest/v1`` for callers whose token is known; closed while a row policy could not hold."""

    def __init__(self) -> None:
        self._checked = False

    async def answer(self, request: Request) -> Response:
        """Answer one request for rows."""
        from ..db import db
        from ..db.rest import check, rest

        try:
            scope = await scope_of(request)
            if not self._checked:
                await check(db)
                self._checked = True
        except AuthError as exc:
            return _refusal(401, *_why(exc), missing=exc.code == "no_authorization")
        except DbError as exc:
            return _refusal(exc.status, exc.code, "The database is not available right now")
        except ConfigError as exc:
            logger.error("%s", exc, extra={"request_id": request.id})
            return _refusal(500, "PGRST000", "The server is not set up to serve tables")
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


def _why(exc: AuthError) -> tuple[str, str]:
    if exc.code == "no_authorization":
        return "PGRST302", "Anonymous access is disabled"
    return "PGRST301", exc.message


def _refusal(status: int, code: str, message: str, *, missing: bool = False) -> Response:
    """A refusal in PostgREST's shape; clients read all four keys."""
    response = Response.json({"code": code, "message": message, "details": None, "hint": None}, status)
    if status == 401:
        response.headers.set("www-authenticate", "Bearer" if missing else 'Bearer error="invalid_token"')
    response.headers.set("cache-control", "no-store")
    return response
