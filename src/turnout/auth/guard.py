"""Who may call a route: ``auth = "user"`` in its file, and ``require_user()`` in the code below it.

The constant becomes the outermost middleware of the route's own methods: it hangs on the matched route, so no
spelling of a path gets past it, and it judges before anything has read the body. The ``OPTIONS`` that Turnout
answers by itself stays open, since browsers ask it without credentials.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote

from ..config import AuthConfig
from ..context import current_request
from ..env import env
from ..errors import ConfigError, Forbidden, Unauthorized
from ..http.media import negotiate
from ..http.origin import SAFE
from ..http.request import Request
from ..http.response import Response
from . import auth_service, want
from .call import bearer
from .client import create_local_client
from .errors import AuthError

Endpoint = Callable[[Request], Awaitable[Response]]
Check = Callable[[Request], Awaitable[Response | None]]

WORDS = ("public", "user", "service", "secret")
SECRET = "API_SECRET"  # the variable of ``auth = "secret"``
MIN_SECRET = 32  # characters
SIGN_IN = "/auth/sign-in"


async def get_user() -> Any:
    """The user who sends the request in flight, or None; see ``create_client()`` for what it looks at.

    Raises:
        Forbidden: another site's page sent it.
        ServiceUnavailable, DbError: who it is cannot be found out right now.
    """
    request = current_request()
    if env.get("SUPABASE_URL"):
        from .hosted import create_hosted_client

        client = await create_hosted_client(request)
    else:
        client = await create_local_client(request)
    return (await client.auth.get_user()).user


async def require_user(role: str | None = None) -> Any:
    """The user who sends the request in flight.

    Args:
        role: What the user has to be: their ``role``, or ``role`` or ``roles`` in their ``app_metadata``. What
            users write themselves, ``user_metadata``, never counts.

    Raises:
        Unauthorized: nobody is signed in.
        Forbidden: the user has another role.
    """
    user = await get_user()
    if user is None:
        raise _unauthorized("Sign in first")
    if role is not None and not has_role(user, role):
        raise Forbidden("You may not do that", code="wrong_role")
    return user


def has_role(user: Any, role: str) -> bool:
    """Whether *user* has been given *role*."""
    given = user.app_metadata or {}
    listed = given.get("roles")
    return role in (user.role, given.get("role")) or (isinstance(listed, list) and role in listed)


def guard(
    word: str, settings: AuthConfig, values: Mapping[str, str]
) -> Callable[[Request, Endpoint], Awaitable[Response]]:
    """The middleware for the route constant ``auth = word``.

    Args:
        word: ``public``, ``user``, ``service``, ``secret``, ``secret:NAME`` or one of *settings*' roles.
        settings: The project's.
        values: The environment, where secrets are.

    Raises:
        ConfigError: an unknown word, or a secret that is missing or short.
    """
    check = _check(word, settings, values)

    async def guarded(request: Request, next: Endpoint) -> Response:
        refused = await check(request)
        return refused if refused is not None else await next(request)

    return guarded


def _check(word: str, settings: AuthConfig, values: Mapping[str, str]) -> Check:
    kind, _, name = word.partition(":")
    if kind == "secret":
        return _by_secret(name or SECRET, values)
    if word in ("user", "service", *settings.roles):
        want()
    if word == "service":
        return _by_service_key
    if word == "user" or word in settings.roles:
        return _by_user(None if word == "user" else word, settings.pages)
    if word == "public":
        return _nobody_refused
    known = [*WORDS, *settings.roles]
    near = get_close_matches(word.lower(), known, 1, 0.5)
    raise ConfigError(
        f"auth = {word!r} is no mode",
        cure=(f"did you mean {near[0]!r}? " if near else "")
        + f"known here: {', '.join(known)}; a role of your own is listed first, as roles = [{word!r}] "
        "under [tool.turnout.auth]".replace("'", '"'),
    )


async def _nobody_refused(request: Request) -> None:
    return None


def _by_user(role: str | None, pages: bool) -> Check:
    async def check(request: Request) -> Response | None:
        try:
            # Where the limits of the route and the keys of repeated requests look for whose they are.
            request.state.user = await require_user(role)
        except Unauthorized:
            if not pages or not _is_navigation(request):
                raise
            return Response.redirect(f"{SIGN_IN}?next={quote(request.path + request.search, safe='')}", 303)
        return None

    return check


async def _by_service_key(request: Request) -> None:
    key = _credential(request)
    if key is None or not await _is_service_key(key):
        raise _unauthorized("This needs the project's service key")


async def _is_service_key(key: str) -> bool:
    if env.get("SUPABASE_URL"):
        from .hosted import SERVICE_KEYS

        known = [value for name in SERVICE_KEYS if (value := env.get(name))]
        return _is_among(key, known)
    try:
        return bool((await auth_service().claims(key)).get("role") == "service_role")
    except AuthError:
        return False


def _by_secret(name: str, values: Mapping[str, str]) -> Check:
    # Several, parted by blanks, while one takes the place of another.
    secrets = (values.get(name) or "").split()
    cure = (
        f"""set {name} in .env.local to what this prints: python -c "import secrets; print(secrets.token_hex(32))\""""
    )
    if not secrets:
        raise ConfigError(f"auth asks for the secret {name}, which is not set", cure=cure)
    if any(len(each) < MIN_SECRET for each in secrets):
        raise ConfigError(f"the secret {name} has fewer than {MIN_SECRET} characters", cure=cure)

    async def check(request: Request) -> None:
        given = _credential(request)
        if given is None or not _is_among(given, secrets):
            raise _unauthorized("This needs a secret in Authorization: Bearer")

    return check


def _credential(request: Request) -> str | None:
    return bearer(request) or request.headers.get("apikey")


def _is_among(given: str, known: list[str]) -> bool:
    # All are compared, so that the time taken does not tell which one it was.
    return sum(hmac.compare_digest(given.encode(), each.encode()) for each in known) > 0


def _unauthorized(detail: str) -> Unauthorized:
    return Unauthorized(detail, headers=(("www-authenticate", "Bearer"),), code="not_signed_in")


def _is_navigation(request: Request) -> bool:
    """Whether a browser wants to show the answer as a page."""
    if request.method not in SAFE or bearer(request) is not None:
        return False
    mode = request.headers.get("sec-fetch-mode")
    if mode is not None:
        return mode == "navigate"
    return negotiate(request.headers.get("accept"), ["application/json", "text/html"]) == "text/html"
