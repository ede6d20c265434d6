"""The request: what the client sent, each part decoded when somebody asks for it.

Follows the Request interface of the Fetch standard in snake_case where the two meet
(https://fetch.spec.whatwg.org/#request-class). A request is made by a door from the raw
target and the header fields as received; ``App.fetch`` adds what it decided: the canonical
path, the parameters, the route.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextvars import Context
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..errors import BadRequest, UnsupportedMediaType
from . import jsontext
from .address import Trust, client_address, forwarded_origin
from .body import Body, Limits, Read
from .cookies import parse_cookies
from .headers import Headers
from .media import is_json
from .path import join, segments
from .url import URL, URLSearchParams

if TYPE_CHECKING:
    import asyncio

    from .cors import Cors
    from .form import FormData

Model = TypeVar("Model")
AfterWork = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Context]
_Bytes = bytes  # in the class below, ``bytes`` is the method
_NO_TRUST = Trust()
_LIMITS = Limits()


class Signal:
    """Tells a handler that looks that its client has gone (Fetch: AbortSignal)."""

    __slots__ = ("_waiter", "aborted")

    def __init__(self) -> None:
        self.aborted = False
        self._waiter: asyncio.Event | None = None

    async def wait(self) -> None:
        """Return when the client has gone."""
        import asyncio  # here: it takes as long to import as all of Turnout

        if self._waiter is None:
            self._waiter = asyncio.Event()
            if self.aborted:
                self._waiter.set()
        await self._waiter.wait()

    def abort(self) -> None:
        """Called by the door, once."""
        self.aborted = True
        if self._waiter is not None:
            self._waiter.set()


class RouteInfo:
    """Which route answers: its pattern, such as ``/api/posts/[id]``, and its file."""

    __slots__ = ("file", "pattern")

    def __init__(self, pattern: str, file: str) -> None:
        self.pattern, self.file = pattern, file

    def __repr__(self) -> str:
        return f"RouteInfo({self.pattern!r}, {self.file!r})"


class Request:
    """One HTTP request.

    Args:
        method: The method, upper case.
        target: The origin-form target as sent: ``/api/posts?page=2``.
        headers: Header fields.
        body: The whole body, when it is there.
        read: Gives the next piece of a body that is still arriving, ``b""`` at its end.
        peer: The socket's peer address; None for a Unix socket.
        scheme: ``http`` or ``https``, of the connection itself.
    """

    # What most requests never touch is a class attribute until somebody asks: a request is
    # made per call, and each store in __init__ would be paid by all of them.
    special: bool = False  # something below asks for more than the plain way out: see App._finish
    params: Mapping[str, Any] = {}
    route: RouteInfo | None = None
    peer: str | None = None
    scheme: str = "http"
    trust: Trust = _NO_TRUST
    limits: Limits = _LIMITS
    body_limit: int | None = None
    max_duration: float | None = None
    cancel_on_disconnect: bool = True
    cors: Cors | None = None  # of its route; of the app where there is none
    after_work: list[AfterWork] | None = None  # what after() noted
    set_cookies: list[tuple[str, str, dict[str, Any]]] | None = None
    answer_headers: Iterable[tuple[str, str]] = ()  # fields of the response, whichever it becomes
    personal: bool = False  # the answer is for this user alone: no cache may keep it
    answered: bool = False  # the head of a stream may be on its way, or after() work runs: no cookie can be set
    auth_session: Any = None  # what auth has found out about its user
    flashes: list[Any] | None = None  # what flash() noted and nobody has been shown yet
    failed_action: Any = None  # whose page this is, shown again because of what was wrong with its form
    problem_members: Callable[[dict[str, Any]], dict[str, Any]] | None = None  # what its route adds to a problem
    _raw: list[tuple[bytes, bytes]] | None = None
    _headers: Headers | None = None
    _host: str | None = None
    _content_type: str | None = None  # where the door has read it before
    _body: Body | None = None
    _whole: bytes | None = None
    _path: str | None = None
    _query: str | None = None  # where the app has told it from the path
    _cookies: dict[str, str] | None = None
    _search_params: URLSearchParams | None = None
    _url: URL | None = None
    _id: str | None = None
    _signal: Signal | None = None
    _state: SimpleNamespace | None = None
    _form: FormData | None = None

    def __init__(
        self,
        method: str,
        target: str,
        *,
        headers: Headers | Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        body: bytes = b"",
        read: Read | None = None,
        peer: str | None = None,
        scheme: str = "http",
    ) -> None:
        self.method, self.target = method, target
        self._headers = headers if isinstance(headers, Headers) else Headers(headers)
        if read is None:
            self._whole = body
        else:
            declared = self._headers.get("content-length")
            self._body = Body(None, read, int(declared) if declared and declared.isdecimal() else None)
        self.peer, self.scheme = peer, scheme
        self.special = scheme == "https"

    # -- the head

    @property
    def headers(self) -> Headers:
        """The header fields as received."""
        if self._headers is None:
            self._headers = Headers.from_raw(self._raw or [])
        return self._headers

    @property
    def content_type(self) -> str:
        """The Content-Type field as sent; empty when there is none, or several that contradict."""
        if self._content_type is not None:
            return self._content_type
        if self._headers is None and self._raw is not None:
            # One field is not worth decoding all of them; a door's names are in lower case.
            values = [value for name, value in self._raw if name == b"content-type"]
            return values[0].decode("latin-1") if len(values) == 1 else ""
        values_ = self.headers.get_all("content-type")
        return values_[0] if len(values_) == 1 else ""

    @property
    def host(self) -> str:
        """The Host field as sent; empty when there is none.

        Raises:
            BadRequest: there are several (RFC 9112 §3.2).
        """
        if self._host is None:
            hosts = self.headers.get_all("host")
            if len(hosts) > 1:
                raise BadRequest("The request has several Host fields", code="invalid_host")
            self._host = hosts[0] if hosts else ""
        return self._host

    @property
    def path(self) -> str:
        """The canonical path: what guards, logs and routes see."""
        if self._path is None:
            self._path = join(segments(self.target.partition("?")[0]))
        return self._path

    @property
    def search(self) -> str:
        """The raw query with its ``?``, or nothing."""
        query = self.target.partition("?")[2]
        return f"?{query}" if query else ""

    @property
    def search_params(self) -> URLSearchParams:
        """The query, parsed; the same object as ``url.search_params`` starts from."""
        if self._search_params is None:
            query = self.target.partition("?")[2]
            self._search_params = URLSearchParams.from_query(query, self.limits.max_query_fields)
        return self._search_params

    @property
    def url(self) -> URL:
        """The absolute URL: from ``origin`` if configured, else a trusted proxy's word, else the connection."""
        if self._url is None:
            if self.trust.origin is not None:
                scheme, _, host = self.trust.origin.partition("://")
            else:
                passed_scheme, passed_host = forwarded_origin(self.peer, self.headers, self.trust)
                scheme, host = passed_scheme or self.scheme, passed_host or self.host or "localhost"
            self._url = URL.from_parts(scheme, host, self.path, self.target.partition("?")[2])
        return self._url

    @property
    def secure(self) -> bool:
        """Whether the client speaks https, as far as the connection and trusted proxies say."""
        if self.trust.origin is not None:
            return self.trust.origin.startswith("https:")
        if not self.trust.networks and not self.trust.unix:
            return self.scheme == "https"
        return (forwarded_origin(self.peer, self.headers, self.trust)[0] or self.scheme) == "https"

    @property
    def cookies(self) -> dict[str, str]:
        """Cookie names to values, parsed on first use; the first of two equal names wins (RFC 6265 §5.4)."""
        if self._cookies is None:
            self._cookies = parse_cookies(self.headers.get_all("cookie"))
        return self._cookies

    @property
    def ip(self) -> str | None:
        """The client's address by the trusted-proxy rule; None for an untrusted Unix socket."""
        return client_address(self.peer, self.headers, self.trust)

    @property
    def id(self) -> str:
        """The request's own id: 16 hexadecimal digits, in every log line and error body."""
        if self._id is None:
            self._id = os.urandom(8).hex()
        return self._id

    @property
    def signal(self) -> Signal:
        """Aborted when the client goes away."""
        if self._signal is None:
            self._signal = Signal()
        return self._signal

    @property
    def state(self) -> SimpleNamespace:
        """A place for middleware to leave things for the handler: ``request.state.user = ...``."""
        if self._state is None:
            self._state = SimpleNamespace()
        return self._state

    # -- the body

    @property
    def body(self) -> Body:
        """The body's one counter; handlers use the readers below."""
        if self._body is None:
            self._body = Body(self._whole if self._whole is not None else b"")
        return self._body

    async def bytes(self) -> bytes:
        """The body as it came; kept, so it can be asked for again.

        Raises:
            PayloadTooLarge: over the route's ``body_limit`` or the project's ``body_bytes``.
            BodyUsed: after ``stream()``.
        """
        return await self._read(self.limits.body_bytes)

    async def text(self) -> str:
        """The body as UTF-8 text; bytes that are not become U+FFFD, as Fetch decodes them."""
        return (await self.bytes()).decode("utf-8", "replace").removeprefix("\ufeff")

    @overload
    async def json(self) -> Any: ...
    @overload
    async def json(self, model: type[Model]) -> Model: ...
    async def json(self, model: Any = None) -> Any:
        """The body decoded from JSON, and checked against *model* if one is given.

        Raises:
            BadRequest: not JSON, or empty; with line and column.
            PayloadTooLarge: over ``json_bytes``.
            UnsupportedMediaType: *model* is given and the content type is not JSON.
            ValidationFailed: it does not fit *model*; every failure is listed.
        """
        if model is None:
            return jsontext.loads(await self._read(self.limits.json_bytes))
        return await self.decode_json(jsontext.decoder(model))

    async def decode_json(self, decode: Callable[[Any], Model]) -> Model:
        """The body through a decoder made at load; see ``json``."""
        body = self.json_body()
        return decode(await self._read(self.limits.json_bytes) if body is None else body)

    def json_body(self) -> _Bytes | None:
        """The body of a request that says it is JSON; None where it is not all here, or is over its limit.

        Raises:
            UnsupportedMediaType: the content type is another.
        """
        kind = self._content_type or self.content_type
        if kind != "application/json" and not is_json(kind):
            raise UnsupportedMediaType("Send the body as JSON, with Content-Type: application/json")
        return self._here(self.body_limit or self.limits.json_bytes)

    async def form_data(self) -> FormData:
        """The body as a form: urlencoded or multipart; read once and kept.

        Raises:
            BadRequest: malformed.
            PayloadTooLarge: over a limit.
            UnsupportedMediaType: neither of the two.
        """
        if self._form is not None:
            return self._form
        self.special = True
        from .form import FormLimits, parse_form

        limits = self.limits
        form = FormLimits(
            max_fields=limits.max_fields,
            max_parts=limits.max_parts,
            max_file_bytes=self.body_limit or limits.file_bytes,
            max_form_bytes=self.body_limit or limits.form_bytes,
        )
        self._form = await parse_form(self.content_type, self.stream(), form)
        return self._form

    def stream(self) -> AsyncIterator[_Bytes]:
        """The body piece by piece as it arrives, none of it kept; only once."""
        return self.body.pieces(self.body_limit or self.limits.body_bytes)

    async def _read(self, limit: int) -> _Bytes:
        limit = self.body_limit or limit
        here = self._here(limit)
        return await self.body.whole(limit) if here is None else here

    def _here(self, limit: int) -> _Bytes | None:
        whole = self._whole
        return whole if whole is not None and self._body is None and len(whole) <= limit else None

    def __repr__(self) -> str:
        # The query may hold tokens, so it is not shown.
        return f"<Request {self.method} {self.target.partition('?')[0]}>"


class _Bare(Request):
    """A request that a door fills in itself; made in half the time."""

    __init__ = object.__init__


# Python lays the objects of a class out by what the first thirty of them are given. One that is given anything else has
# a dictionary made for all it has, which takes as long as all the rest of it; so the first one is given everything.
_first = _Bare()
for _name in (
    *("method", "target", "_raw", "_host", "peer", "special", "after_work", "route", "params", "_path", "_query"),
    *("_content_type", "_whole", "_body", "_headers", "_search_params", "_cookies", "_state", "_id", "_signal"),
):
    setattr(_first, _name, None)
del _first, _name


def from_wire(method: str, target: str, raw: list[tuple[bytes, bytes]], host: str, peer: str | None) -> Request:
    """A request from a door that has checked the framing and the Host itself; the body is set by it later."""
    request: Request = _Bare()
    request.method, request.target = method, target
    request._raw, request._host, request.peer = raw, host, peer
    # Every request is asked for these: what the object has itself is found sooner than what its class has.
    request.special, request.after_work = False, None
    return request


def from_host(method: str, target: str, headers: Headers, body: Body, *, peer: str | None, scheme: str) -> Request:
    """A request from a door whose host server has read the head: nothing of it is decoded until asked for."""
    request: Request = _Bare()
    request.method, request.target = method, target
    request._headers, request._body = headers, body
    request.peer, request.scheme = peer, scheme
    request.special = scheme == "https"
    return request
