"""The response: status, header fields, and a body that is bytes, a stream or a file.

Follows the Response interface of the Fetch standard in snake_case where the two meet
(https://fetch.spec.whatwg.org/#response-class). Framing (Content-Length, Transfer-Encoding,
Connection) is the door's: an app that sets such a field has it replaced. Default security
headers are added by ``guard``, not here, so ``response.headers`` holds what the app said.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from types import GeneratorType
from typing import Any, Literal

from ..errors import RangeError
from . import jsontext
from .cookies import to_set_cookie
from .headers import FixedHeaders, Headers

HeadersInit = Headers | Mapping[str, str] | Iterable[tuple[str, str]]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
BYTES = "application/octet-stream"
EVENTS = "text/event-stream; charset=utf-8"

_BODYLESS = (204, 205, 304)
_PLAIN_DATA = frozenset({dict, list, str, int, float, bool, tuple})  # what most handlers return, told by one look


class Response:
    """One HTTP response.

    Args:
        body: ``str`` is sent as UTF-8 text, ``bytes`` as they are, None as nothing.
        status: 200 to 599.
        headers: A mapping, pairs, or Headers; several ``Set-Cookie`` stay separate.

    Raises:
        RangeError: *status* is outside 200..599.
        TypeError: a body with 204, 205 or 304, a body of another type, or an invalid header.
    """

    # A response is made per call; what most of them never need is a class attribute.
    special: bool = False  # something below asks for more than the plain way out: see App._finish
    chunks: AsyncIterator[Any] | None = None  # the body, when it is a stream
    ping: tuple[float, bytes] | None = None  # after so many quiet seconds the door adds these bytes to the stream
    content_length: int | None = None  # of a stream whose length is known; or of what a 304 spares the client
    file_path: Path | None = None
    _headers: Headers | None = None
    _cookies: list[tuple[str, str, dict[str, Any]]] | None = None

    def __init__(self, body: str | bytes | None = None, status: int = 200, headers: HeadersInit | None = None) -> None:
        if status != 200:
            check_status(status)
        self.status = status
        if body is None:
            self.body, self._type = b"", None
        elif isinstance(body, str):
            self.body, self._type = body.encode(), TEXT
        elif isinstance(body, (bytes, bytearray, memoryview)):
            self.body, self._type = bytes(body), BYTES
        else:
            raise TypeError(
                f"Response() takes str, bytes or None as its body, not {type(body).__name__}; "
                "Response.json(...) sends data, Response.stream(...) an iterator"
            )
        if body is not None and status in _BODYLESS:
            raise TypeError(f"a response with status {status} has no body")
        if headers is not None:
            self._add(headers)

    @classmethod
    def _made(cls, body: bytes, media_type: str | None, status: int, headers: HeadersInit | None) -> Response:
        """A response whose parts are known to be right; skips what __init__ has to find out."""
        if status != 200:
            if type(status) is not int or not 200 <= status <= 599:  # asked here: each 201 would pay for the call
                check_status(status)
            if media_type is not None and status in _BODYLESS:
                raise TypeError(f"a response with status {status} has no body")
        response = _new(cls)
        response.status, response.body, response._type = status, body, media_type
        response.special, response.chunks, response._headers = False, None, None  # see to_response
        if headers is not None:
            response._add(headers)
        return response

    @classmethod
    def repeated(cls, body: bytes, headers: FixedHeaders) -> Response:
        """A 200 with *headers* that other responses have too: they are copied only if somebody asks for them."""
        response = cls.__new__(cls)
        response.status, response.body, response._type, response._headers = 200, body, None, headers
        return response

    # -- the ways to make one

    @classmethod
    def json(cls, data: Any, status: int = 200, headers: HeadersInit | None = None) -> Response:
        """*data* as JSON: what msgspec writes, dataclasses and pydantic models included.

        Raises:
            TypeError: something in *data* cannot be written; the message names its place.
        """
        return cls._made(jsontext.dumps(data), JSON, status, headers)

    @classmethod
    def text(cls, text: str, status: int = 200, headers: HeadersInit | None = None) -> Response:
        """Plain text in UTF-8."""
        return cls._made(text.encode(), TEXT, status, headers)

    @classmethod
    def html(cls, html: str, status: int = 200, headers: HeadersInit | None = None) -> Response:
        """An HTML page in UTF-8. What comes from users must be escaped before."""
        return cls._made(html.encode(), HTML, status, headers)

    @classmethod
    def redirect(cls, url: str, status: int = 307, *, external: bool = False) -> Response:
        """Send the client to a path of this site; return it, it is not raised.

        Args:
            url: A path such as ``/login?next=%2F``; an absolute URL only with *external*.
            status: 301, 302, 303, 307 or 308.
            external: True when *url* leads elsewhere on purpose.

        Raises:
            RangeError: not a redirect status.
            ValueError: *url* could lead to another site (``//host``, ``/\\host``, ``https:``).
        """
        if status not in (301, 302, 303, 307, 308):
            raise RangeError(f"a redirect has status 301, 302, 303, 307 or 308, not {status}")
        if not external and not _is_own_path(url):
            raise ValueError(
                f"redirect({url!r}) could leave this site; give a path such as '/login', "
                "or external=True if that is meant"
            )
        return cls._made(b"", None, status, [("location", to_location(url))])

    @classmethod
    def file(
        cls, path: str | Path, *, filename: str | None = None, media_type: str | None = None, status: int = 200
    ) -> Response:
        """A file from disk, with ETag, conditional and range requests answered.

        Args:
            path: Where it is; never built from request data without a check.
            filename: Sent as a download under this name.
            media_type: By the file's ending if None.
        """
        from .file import response_headers

        response = cls._made(b"", None, status, None)
        response.file_path, response.special = Path(path), True
        response._add(response_headers(response.file_path, filename, media_type))
        return response

    @classmethod
    def stream(
        cls,
        chunks: AsyncIterable[Any] | Iterable[Any],
        status: int = 200,
        headers: HeadersInit | None = None,
        *,
        media_type: str = TEXT,
    ) -> Response:
        """A body sent piece by piece; each piece waits until the socket has room for it."""
        response = cls._made(b"", media_type, status, headers)
        response.chunks, response.special = to_chunks(chunks), True
        return response

    @classmethod
    def sse(
        cls, events: AsyncIterable[Any], status: int = 200, headers: HeadersInit | None = None, *, ping_s: float = 15
    ) -> Response:
        """Server-sent events: ``str`` items are data, dicts have ``data``, ``event``, ``id``, ``retry``.

        A comment every *ping_s* seconds keeps proxies from closing a quiet stream. A client
        that comes back says the last id in ``request.headers.get("last-event-id")``.
        """
        from .sse import PING, encode_events

        response = cls._made(b"", EVENTS, status, headers)
        response.chunks, response.special = encode_events(events), True
        response.ping = (ping_s, PING)
        for name, value in (("cache-control", "no-store"), ("x-accel-buffering", "no")):
            if not response.headers.has(name):
                response.headers.set(name, value)
        return response

    @classmethod
    def error(cls) -> Response:
        """An empty 500, where Fetch has a network error."""
        return cls._made(b"", None, 500, None)

    # -- its parts

    @property
    def headers(self) -> Headers:
        """The header fields that the app has set; ``Content-Type`` follows the body unless changed here."""
        if self._headers is None:
            self._headers = Headers([("content-type", self._type)] if self._type else None)
        elif type(self._headers) is FixedHeaders:
            self._headers = self._headers.copy()
        return self._headers

    def _add(self, headers: HeadersInit) -> None:
        own = self.headers
        pairs = headers.items() if isinstance(headers, (Headers, Mapping)) else headers
        for name, value in pairs:
            if name.lower() == "set-cookie":
                own.append(name, value)
            elif name.lower() == "content-type" or not own.has(name):
                own.set(name, value)
            else:
                own.append(name, value)

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status <= 299

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        path: str = "/",
        domain: str | None = None,
        http_only: bool = True,
        secure: bool | None = None,
        same_site: Literal["strict", "lax", "none"] = "lax",
    ) -> None:
        """Add a ``Set-Cookie`` field.

        Args:
            max_age: Seconds; None for a session cookie.
            secure: None for automatic: on, except over plain http.
            same_site: ``lax``, ``strict`` or ``none``.

        Raises:
            TypeError, ValueError: a name, value or attribute that RFC 6265bis refuses.
        """
        options: dict[str, Any] = {
            "max_age": max_age,
            "path": path,
            "domain": domain,
            "http_only": http_only,
            "same_site": same_site,
            "secure": secure,
        }
        # Written once now, so that a bad value is an error here and not when the answer is sent.
        to_set_cookie(name, value, **{**options, "secure": secure is not False})
        if self._cookies is None:
            self._cookies = []
        self.special = True
        self._cookies.append((name, value, options))

    def _become_304(self, size: int) -> None:
        """Become the 304 of this answer, whose body has *size* bytes; its type goes when all else is known."""
        self.status, self.body, self.content_length, self.special = 304, b"", size, True

    def delete_cookie(self, name: str, *, path: str = "/", domain: str | None = None) -> None:
        """Ask the client to forget a cookie; *path* and *domain* must be those it was set with."""
        self.set_cookie(name, "", max_age=0, path=path, domain=domain)

    def write_cookies(self, secure: bool) -> None:
        """Turn the pending cookies into fields, now that it is known how the client speaks."""
        for name, value, options in self._cookies or ():
            if options["secure"] is None:
                options = {**options, "secure": secure or name.startswith("__")}
            self.headers.append("set-cookie", to_set_cookie(name, value, **options))
        self._cookies = None

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


_new = Response.__new__


def redirect(url: str, status: int = 307, *, external: bool = False) -> Response:
    """``Response.redirect``: return it from a handler."""
    return Response.redirect(url, status, external=external)


def check_status(status: int) -> None:
    """Raise RangeError unless *status* is a final one."""
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        hint = "; options are keywords: status=201, headers={...}" if isinstance(status, dict) else ""
        raise RangeError(f"a response has a status from 200 to 599, not {status!r}{hint}")


def to_response(value: Any) -> Response:
    """What a handler returned, as a response.

    Raises:
        TypeError: there is no way to send it.
    """
    if type(value) in _PLAIN_DATA or isinstance(value, list):  # the rows of db are a kind of list
        # Response.json() without its calls: what most handlers return passes here.
        response = _new(Response)
        response.status, response.body, response._type = 200, jsontext.dumps(value), JSON
        # Every response is asked for these: what the object has itself is found sooner than what its class has.
        response.special, response.chunks, response._headers = False, None, None
        return response
    if isinstance(value, Response):
        return value
    if value is None:
        return Response(None, 204)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Response._made(bytes(value), BYTES, 200, None)
    if isinstance(value, (AsyncIterable, GeneratorType)):
        return Response.stream(value)
    return Response._made(jsontext.dumps(value), JSON, 200, None)


async def _from_sync(items: Iterator[Any]) -> AsyncIterator[Any]:
    try:
        for item in items:
            yield item
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def to_chunks(chunks: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    """Any iterator of str or bytes as an async one."""
    if isinstance(chunks, AsyncIterable):
        return aiter(chunks)
    if isinstance(chunks, (str, bytes)) or not isinstance(chunks, Iterable):
        raise TypeError(f"a stream needs an iterator of str or bytes, not {type(chunks).__name__}")
    return _from_sync(iter(chunks))


def to_bytes(item: Any) -> bytes:
    """One piece of a stream as bytes."""
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise TypeError(f"a stream gives str or bytes, not {type(item).__name__}; write JSON with json.dumps first")


def _is_own_path(url: str) -> bool:
    return (
        url.startswith("/")
        and not url.startswith(("//", "/\\"))
        and "\\" not in url.partition("?")[0]
        and not any(ord(char) < 0x21 or ord(char) == 0x7F for char in url)
    )


def to_location(url: str) -> str:
    """*url* with every character that a header cannot carry percent-encoded as UTF-8."""
    from urllib.parse import quote

    return quote(url, safe="!#$%&'()*+,/:;=?@[]~")
