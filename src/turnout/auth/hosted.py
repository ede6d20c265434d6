"""``create_client()`` with hosted Supabase: the official ``AsyncClient``, bound to one request.

A thin subclass adds what a server needs. The session comes from the request's cookies or its Bearer token and is
loaded before the client is made, since ``AsyncClient.create()`` takes every error for "signed out"; a service
that does not answer is a 503 here. All clients of a worker share one pool of connections: the official client's
own would cost 59 ms a request. Nothing runs on after the request.

Import of the package takes seconds, so it waits for the first use.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import json
from collections.abc import Awaitable, Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ..env import env
from ..errors import ConfigError, HTTPError, ServiceUnavailable
from ..http.request import Request
from . import settings
from .cookies import VERIFIER, Jar, storage_key
from .current import Current
from .errors import AuthError

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 5.0  # for each step of a call; what answers later is taken for away
KEYS = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY")
SERVICE_KEYS = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")

# One pool for each event loop, since connections belong to theirs; a worker has one.
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()


async def create_hosted_client(request: Request) -> Any:
    """``create_client()`` where ``SUPABASE_URL`` is set.

    Raises:
        ConfigError: a key is missing, or the package.
        ServiceUnavailable: a session has to be refreshed and the service does not answer.
    """
    url, key = _address(), _key(KEYS)
    current = hosted_session(request, url, key)
    token = await current.access_token()
    client = _kinds().Client(url, key, _options(current))
    client.auth.bind(current)
    client.use_token(token or key)
    return client


async def create_hosted_admin() -> Any:
    """``create_admin_client()`` where ``SUPABASE_URL`` is set: the service key, and no session."""
    return _kinds().Client(_address(), _key(SERVICE_KEYS), _options(None))


def hosted_session(request: Request, url: str, key: str) -> Current:
    """What *request* says about its user; one object a request."""
    if isinstance(request.auth_session, Current):
        return request.auth_session

    async def refresh(token: str) -> str | None:
        return await _refreshed(url, key, token)

    jar = Jar(request, storage_key(urlsplit(url).hostname or ""), http_only=not settings().browser_client)
    current = request.auth_session = Current(request, jar, refresh)
    return current


async def close() -> None:
    """Close this loop's connections."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.aclose()


def warm() -> None:
    """Import the package before the first request has to wait for it."""
    _kinds()


def _address() -> str:
    url = (env.get("SUPABASE_URL") or "").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("SUPABASE_URL is no URL", cure="copy the Project URL, such as https://abc.supabase.co")
    return url


def _key(names: tuple[str, ...]) -> str:
    found: str | None = next((value for name in names if (value := env.get(name))), None)
    if found is None:
        raise ConfigError(
            f"SUPABASE_URL is set and {' or '.join(names)} is not", cure="copy the project's API key into .env.local"
        )
    return found


def _pool() -> httpx.AsyncClient:
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx

    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None or pool.is_closed:
        # A cookie that one user is answered with must not go along with the next one's calls.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        # Redirects are not followed: a token must not be sent on to another host.
        pool = _pools[loop] = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, cookies=no_cookies)
    return pool


def _options(current: Current | None) -> Any:
    from supabase.lib.client_options import AsyncClientOptions

    kinds = _kinds()
    return AsyncClientOptions(
        auto_refresh_token=False,
        persist_session=current is not None,
        storage=kinds.Storage(current.jar if current is not None else None),
        httpx_client=_pool(),
        # Its pauses between attempts add up to seven seconds, for which a request would hang.
        postgrest_client_retry=False,
    )


# -- the session


async def _refreshed(url: str, key: str, token: str) -> str | None:
    """The JSON of a new session; None where the service says that the old one is over.

    Raises:
        ServiceUnavailable: it says neither.
    """
    import httpx

    try:
        answer = await _pool().post(
            f"{url}/auth/v1/token?grant_type=refresh_token",
            json={"refresh_token": token},
            headers={"apikey": key, "authorization": f"Bearer {key}", "x-supabase-api-version": "2024-01-01"},
        )
        if answer.status_code == 200:
            session = answer.json()
            if isinstance(session, dict) and {"access_token", "refresh_token", "expires_at"} <= session.keys():
                return json.dumps(session, separators=(",", ":"))
        elif answer.status_code in (400, 401, 403, 404) and _says(answer) in _OVER:
            return None
        raise unavailable(f"status {answer.status_code}")
    except (httpx.HTTPError, ValueError) as exc:
        raise unavailable(type(exc).__name__) from exc


# A 401 for a mistyped API key is no word about the user.
_OVER = frozenset((
    "refresh_token_not_found", "refresh_token_already_used", "session_expired", "session_not_found",
    "user_not_found", "user_banned", "bad_jwt", "invalid_grant",
))  # fmt: skip


def _says(answer: httpx.Response) -> str | None:
    body = answer.json()
    if not isinstance(body, dict):
        return None
    for name in ("code", "error_code", "error"):
        if isinstance(body.get(name), str):
            return str(body[name])
    return None


def unavailable(why: str) -> ServiceUnavailable:
    """Nobody knows whether the user is signed in; *why* is for the log alone."""
    failure = ServiceUnavailable("The sign-in service does not answer", code="auth_unavailable")
    failure.add_note(f"SUPABASE_URL: {why}")
    return failure


# -- the official classes, and what we add


class Kinds:
    """The subclasses, made when the package is imported."""

    Client: Any
    Storage: Any


@cache
def _kinds() -> Kinds:
    try:
        from supabase import AsyncClient
        from supabase_auth import AsyncGoTrueClient, AsyncSupportedStorage
        from supabase_auth.errors import AuthApiError
        from supabase_auth.errors import AuthError as OfficialError
        from supabase_auth.types import UserResponse
    except ImportError as exc:
        raise ConfigError("SUPABASE_URL needs the package supabase", cure="pip install supabase") from exc
    from supabase._async.auth_client import AsyncSupabaseAuthClient

    class Storage(AsyncSupportedStorage):
        """The cookies of one request, as the official client's storage. Without a jar it holds nothing."""

        def __init__(self, jar: Jar | None) -> None:
            self._jar = jar

        async def get_item(self, key: str) -> str | None:
            text = self._jar.get(key) if self._jar is not None else None
            # A verifier is a JSON text in the cookie, as JavaScript's client writes it, and bare in Python's.
            return _bare(text) if text is not None and key.endswith(VERIFIER) else text

        async def set_item(self, key: str, value: str) -> None:
            if self._jar is not None:
                self._jar.set(key, json.dumps(value) if key.endswith(VERIFIER) else value)

        async def remove_item(self, key: str) -> None:
            if self._jar is not None and self._jar.get(key) is not None:
                self._jar.delete(key)

    class Auth(AsyncSupabaseAuthClient):
        """The official one, except for where the session is, and what an outage looks like."""

        _current: Current | None = None

        def bind(self, current: Current) -> None:
            """Take the session from *current*."""
            self._current, self._storage_key = current, current.jar.key

        async def get_session(self) -> Any:
            """The session in the cookies, refreshed if it is time; None for a Bearer token, which has none."""
            if self._current is None:
                return None
            if await self._current.load() is None:
                return None
            return self._get_valid_session(self._current.session_text())

        async def _call_refresh_token(self, refresh_token: str) -> Any:
            assert self._current is not None
            if await self._current.renew(refresh_token) is None:
                raise AuthApiError("Invalid Refresh Token: Refresh Token Not Found", 400, "session_not_found")
            session = self._get_valid_session(self._current.session_text())
            self._notify_all_subscribers("TOKEN_REFRESHED", session)
            return session

        async def _save_session(self, session: Any) -> None:
            if self._current is None:
                return
            self._current.keep(session.model_dump_json(exclude_none=True))

        async def _remove_session(self) -> None:
            if self._current is not None and not self._current.request.answered:
                self._current.forget()

        async def get_user(self, jwt: str | None = None) -> Any:
            """The user; ``.user`` is None where nobody is signed in. An outage is an error."""
            token = jwt or (await self._current.access_token() if self._current is not None else None)
            if token is None:
                return UserResponse.model_construct(user=None)
            known = self._current.users if self._current is not None else {}
            if token not in known:
                known[token] = await self._ask(token)
            return UserResponse.model_construct(user=known.get(token))

        async def _ask(self, token: str) -> Any:
            try:
                found = await super().get_user(token)
            except AuthApiError as exc:
                # A mistyped API key is answered with 401 too, and says nothing about the user.
                if exc.status in (401, 403) and "api key" not in exc.message.lower():
                    if exc.code in ("session_not_found", "user_not_found") and self._is_from_cookies(token):
                        await self._remove_session()
                    return None
                raise unavailable(f"status {exc.status}") from exc
            except ValueError as exc:  # what came back is no user
                raise unavailable(type(exc).__name__) from exc
            return found.user if found is not None else None

        def _is_from_cookies(self, token: str) -> bool:
            tokens = self._current.tokens() if self._current is not None else None
            return tokens is not None and hmac.compare_digest(tokens.access_token.encode(), token.encode())

    # What these raise before they ask the service: no session, no e-mail address.
    for name, method in vars(AsyncGoTrueClient).items():
        if name not in vars(Auth) and not name.startswith("_") and inspect.iscoroutinefunction(method):
            setattr(Auth, name, _answered(method, OfficialError))
    # And what they raise when it has answered. The admin's calls have a base of their own.
    setattr(Auth, "_request", _answered(AsyncSupabaseAuthClient._request, OfficialError))  # noqa: B010

    class Client(AsyncClient):
        """The official client for one request."""

        @staticmethod
        def _init_supabase_auth_client(
            auth_url: str, client_options: Any, verify: bool = True, proxy: str | None = None
        ) -> Auth:
            auth = Auth(
                url=auth_url,
                auto_refresh_token=False,
                persist_session=client_options.persist_session,
                storage=client_options.storage,
                headers=client_options.headers,
                flow_type=client_options.flow_type,
                http_client=client_options.httpx_client,
            )
            setattr(auth.admin, "_request", _answered(auth.admin._request, OfficialError))  # noqa: B010
            return auth

        def use_token(self, token: str) -> None:
            """Send *token* with every call for data."""
            self.options.headers["Authorization"] = f"Bearer {token}"

        @classmethod
        async def create(cls, *args: Any, **kwargs: Any) -> NoReturn:
            """Not this way: it would take an outage for signed out."""
            raise ConfigError("the client is made by create_client()", cure="from turnout import create_client")

    kinds = Kinds()
    kinds.Client, kinds.Storage = Client, Storage
    return kinds


def _answered(method: Callable[..., Awaitable[Any]], official: type[Exception]) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def answered(*args: Any, **kwargs: Any) -> Any:
        try:
            return await method(*args, **kwargs)
        except official as exc:
            if isinstance(exc, HTTPError):
                raise
            raise _answering(exc) from exc

    return answered


def _answering(exc: Any) -> Exception:
    """*exc* of the official client, as an error that also ends a request with the right status."""
    status, code = getattr(exc, "status", 0), exc.code
    if type(exc).__name__ == "AuthSessionMissingError":
        status, code = 401, "no_authorization"
    elif type(exc).__name__ == "AuthInvalidCredentialsError":
        code = "validation_failed"
    refused = 400 <= status < 500
    answer: Exception = _both(type(exc), AuthError if refused else ServiceUnavailable)
    answer.__dict__.update(exc.__dict__)
    detail = exc.message if refused else "The sign-in service does not answer"
    code = code if refused else "auth_unavailable"
    HTTPError.__init__(answer, status if refused else 503, detail, code=code)  # type: ignore[arg-type]
    return answer


_both_kinds: dict[tuple[Any, Any], type[Exception]] = {}


def _both(official: type[Exception], ours: type[HTTPError]) -> Exception:
    """An error that is caught as either, not yet filled in."""
    kind = _both_kinds.get((official, ours))
    if kind is None:
        # ``message`` is set on the object by the one and computed by the other.
        kind = type(official.__name__, (official, ours), {"message": "", "reasons": ()})
        _both_kinds[official, ours] = kind
    return kind.__new__(kind)


def _bare(text: str) -> str | None:
    found = json.loads(text)
    return found if isinstance(found, str) else None


__all__ = ["close", "create_hosted_admin", "create_hosted_client", "hosted_session", "warm"]
