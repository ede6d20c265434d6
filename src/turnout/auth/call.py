"""One call on the auth wire: what a handler reads from, and the two shapes of an error.

The shapes are GoTrue's: official clients that send ``X-Supabase-Api-Version: 2024-01-01`` get
``{code, message}`` and the field echoed, all others ``{code: <status>, error_code, msg}``.
Fields of a body that nobody reads are ignored, as GoTrue ignores them; a body that is not JSON
is 400. Which call goes where is not decided here: see ``routes``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from ..errors import DbError, HTTPError
from ..http import jsontext
from ..http.request import Request
from ..http.response import Response
from .errors import AuthError

if TYPE_CHECKING:
    from .models import CallContext
    from .service import AuthService

API_VERSION = "x-supabase-api-version"
KNOWN_VERSION = "2024-01-01"
NO_STORE = {"cache-control": "no-store"}

Kind = TypeVar("Kind", str, bool, int)


class Call(Struct):
    """What a handler of the wire is given.

    Attributes:
        request: As it came.
        service: What does the work.
        body: The JSON object that was sent; empty where there was none.
        holes: What the path had in the place of each ``*``, in order.
    """

    request: Request
    service: AuthService
    body: dict[str, Any]
    holes: tuple[str, ...] = ()

    @property
    def token(self) -> str:
        """The Bearer token.

        Raises:
            AuthError: 401, there is none.
        """
        token = bearer(self.request)
        if token is None:
            raise AuthError("no_authorization")
        return token

    @property
    def context(self) -> CallContext:
        """Who calls, for the session's row and the limits."""
        from .models import CallContext

        return CallContext(ip=self.request.ip, user_agent=self.request.headers.get("user-agent"))

    def query(self, name: str) -> str | None:
        """The first value of *name* in the query; None where it is missing or empty."""
        return self.request.search_params.get(name) or None

    @property
    def redirect_to(self) -> str | None:
        """Where a link should lead in the end; whether it may is the service's business."""
        return self.query("redirect_to")

    def text(self, name: str) -> str | None:
        """The field *name* of the body as text; None where it is missing, null or empty."""
        return self._field(name, str) or None

    def needed(self, name: str, message: str) -> str:
        """Like ``text``, but 400 with *message* where there is none."""
        value = self.text(name)
        if value is None:
            raise AuthError("validation_failed", message)
        return value

    def flag(self, name: str) -> bool | None:
        """The field *name* as a truth value; None where it is missing or null."""
        return self._field(name, bool)

    def data(self, name: str = "data") -> dict[str, Any] | None:
        """The field *name* as an object; None where it is missing or null."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, dict):
            raise AuthError("bad_json", f"{name} must be an object")
        return value

    def _field(self, name: str, kind: type[Kind]) -> Kind | None:
        value = self.body.get(name)
        if value is not None and not isinstance(value, kind):
            raise AuthError("bad_json", f"{name} must be {_WORDS[kind]}")
        return value


Handler = Callable[[Call], Awaitable[Response]]
_WORDS: dict[type, str] = {str: "a text", bool: "true or false", int: "a whole number"}


def bearer(request: Request) -> str | None:
    """The token of ``Authorization: Bearer <token>``; None where there is none, or another scheme."""
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object in the body of *request*; empty where there is no body.

    Raises:
        AuthError: 400, it is something else.
    """
    raw = await request.bytes()
    if not raw.strip():
        return {}
    try:
        value = jsontext.loads(raw)
    except HTTPError as exc:
        raise AuthError("bad_json", f"Could not parse request body as JSON: {exc.detail}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise AuthError("bad_json", "Could not parse request body as JSON: it must be an object")
    return value


def answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """*data* as JSON that nobody may keep."""
    return Response.json(data, status, NO_STORE | (headers or {}))


def refusal(exc: HTTPError | DbError, request: Request) -> Response:
    """*exc* in the shape that the caller asked for by its version field."""
    code, message = _told(exc)
    if request.headers.get(API_VERSION) == KNOWN_VERSION:
        body: dict[str, Any] = {"code": code, "message": message}
        headers = NO_STORE | {API_VERSION: KNOWN_VERSION}
    else:
        body, headers = {"code": exc.status, "error_code": code, "msg": message}, NO_STORE
    if code == "weak_password" and isinstance(exc, AuthError):
        body["weak_password"] = {"reasons": exc.reasons, "message": message}
    response = Response.json(body, exc.status, headers)
    for name, value in exc.headers if isinstance(exc, HTTPError) else ():
        response.headers.append(name, value)
    return response


def _told(exc: HTTPError | DbError) -> tuple[str, str]:
    """The code and the message that a client is shown."""
    if isinstance(exc, AuthError):
        return exc.code, exc.message
    if isinstance(exc, DbError):
        # Its text quotes values of rows.
        words = "The database is not available right now" if exc.status == 503 else "Unexpected failure"
        return "unexpected_failure", words
    code = "over_request_rate_limit" if exc.status == 429 else exc.code or _CODES.get(exc.status, "unexpected_failure")
    return code, exc.detail or "Unexpected failure"


_CODES = {400: "validation_failed", 404: "not_found", 405: "method_not_allowed"}
