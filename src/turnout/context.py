"""The request in flight: what may be asked for anywhere below a handler.

One ``contextvars`` context a request; helpers such as ``cookies()`` and ``after()`` need no
request handed down to them.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from .errors import TurnoutError
from .http.cookies import to_set_cookie
from .http.headers import Headers
from .http.request import Request

current: contextvars.ContextVar[Request] = contextvars.ContextVar("turnout.request")


def current_request() -> Request:
    """The request being answered.

    Raises:
        TurnoutError: outside of one.
    """
    try:
        return current.get()
    except LookupError:
        raise TurnoutError("there is no request here; call this from a handler or something it calls") from None


def headers() -> Headers:
    """The header fields of the request being answered."""
    return current_request().headers


def user_id(request: Request) -> str | None:
    """The id of the user whom a guard or middleware has put on ``request.state.user``; None if it has not."""
    user = getattr(request._state, "user", None)
    found = user.get("id") if isinstance(user, Mapping) else getattr(user, "id", None)
    return None if found is None else str(found)


class Cookies(Mapping[str, str]):
    """The cookies of the request being answered; ``set`` and ``delete`` go out with its response."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getitem__(self, name: str) -> str:
        return self._request.cookies[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._request.cookies)

    def __len__(self) -> int:
        return len(self._request.cookies)

    def set(self, name: str, value: str, **options: Any) -> None:
        """Set a cookie on the response, whichever response that becomes; options as ``Response.set_cookie``.

        Raises:
            TypeError, ValueError: a name, value or option that RFC 6265bis refuses.
        """
        to_set_cookie(name, value, **{**options, "secure": options.get("secure") is not False})
        if self._request.set_cookies is None:
            self._request.set_cookies = []
        self._request.special = True
        self._request.set_cookies.append((name, value, options))

    def delete(self, name: str, *, path: str = "/", domain: str | None = None) -> None:
        """Ask the client to forget a cookie."""
        self.set(name, "", max_age=0, path=path, domain=domain)


def cookies() -> Cookies:
    """The cookies of the request being answered."""
    return Cookies(current_request())


class _Done:
    """What ``after()`` gives: it may be awaited or not; the work is noted either way."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


_done = _Done()


def after(function: Callable[..., Any], *args: Any, **kwargs: Any) -> _Done:
    """Run *function* when the response has been sent, also after an error or a redirect.

    It runs in this process, in the order of the calls, before a draining server exits; it is
    lost when the process dies. What it raises is logged and changes no response.
    """
    request = current_request()
    if request.after_work is None:
        request.after_work = []
    request.after_work.append((function, args, kwargs, contextvars.copy_context()))
    return _done
