"""Bytes to requests, in the order in which they came.

llhttp (through httptools) finds the boundaries and refuses most of what is malformed; this
file refuses what llhttp lets through (RFC 9112; the table in docs/explanation/server.md), and
holds back a client that sends faster than it is answered.
"""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple, NoReturn, cast

import httptools

from ..errors import HTTPError
from ..http import guard
from ..http.body import Body
from ..http.headers import RawFields
from ..http.request import from_wire
from .incoming import Incoming, Whole
from .link import Link

logger = logging.getLogger("turnout.server")

_SLICE = 1_024  # fed at a time outside of a body, so that one read cannot start thousands of requests
_BODY_SLICE = 65_536
_CHUNKED_SLICE = 16_384  # where the body ends inside a slice is not known before it is fed
_UNREAD = 65_536  # body bytes kept for a handler that has not asked for them yet
_WAITING = 64  # pipelined requests parsed ahead of the one being answered
_KNOWN_BLOCK = 4_096  # a longer header block is not kept for comparison

# Origin-form, without the characters that _target refuses.
_is_plain_target = re.compile(rb"/[\x21\x22\x24-\x5b\x5d-\x7e]*").fullmatch
_METHODS = {name.encode(): name for name in guard.METHODS}
_TARGETS = 1_000  # request lines kept, and Host values
_JUDGED = frozenset({b"host", b"content-length", b"content-type", b"transfer-encoding", b"expect", b"upgrade"})
# A method that no parser knows (RFC 9110 section 9.1), as far as it has come.
_begins_with_token = re.compile(rb"[\r\n]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |\Z)").match


class Known(NamedTuple):
    """A header block that the parser has accepted: its bytes, and what came out of them."""

    tail: bytes  # from the version in the request line to the empty line
    length: int  # of the body that follows
    fields: RawFields
    host: str
    content_type: str


class Refused(Exception):
    """Leaves a parser callback; the refusal itself is in ``Connection._coming.bad``."""


class Reading(Link):
    """The reading half of a connection."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        known = self._known
        if known is not None and self._current is None and self._begin_known(known, data):
            return
        if self._lingering >= 0:
            self._lingering -= len(data)
            if self._lingering <= 0:
                self.close()
            return
        if self._closing:
            return
        if self._held or self._feeding:
            self._held += data
        elif len(data) <= _SLICE and not self._waiting:
            self._feed(data)
            if self._coming is not None:
                self._begin_unfinished()
                self.update_reading()
        else:
            self._held = data
            self._feed_held()

    def _begin_known(self, known: Known, data: bytes) -> bool:
        """Begin the request in *data* if it has the header block of the one before it, to the byte.

        A client that keeps its connection repeats itself (it is what HPACK lives on). Only the
        request line differs then, so only that is read anew, by rules at least as strict; the
        parser stands between two messages and need not know. False: nothing was done.
        """
        tail, length, fields, host, content_type = known
        at = len(data) - len(tail) - length
        if at <= 0 or not data.startswith(tail, at):
            return False
        line = data[:at]
        asked = self.serving.asked.get(line) or self._read_line(line)
        if asked is None:
            return False
        method, target = asked  # a call with *asked takes half as long again
        request = from_wire(method, target, fields, host, self.peer)
        if length:
            request._content_type = content_type
            request._whole = data[-length:]
        coming = self._spare or Whole(self)
        self._spare = None
        coming.request = request
        self._begin(coming)
        if self._current is None and coming.response is None:
            # Answered at once and not by a stream: nobody else has seen it.
            coming.request = Incoming.request
            self._spare = coming
        return True

    def _read_line(self, line: bytes) -> tuple[str, str] | None:
        """Method and target, where they need no second look; anything unusual is the parser's and ``_target``'s."""
        verb, _, url = line.partition(b" ")
        method = _METHODS.get(verb)
        size, settings = len(url), self.settings
        if size > settings.max_path_bytes or size > settings.max_query_bytes:
            return None
        if method is None or not _is_plain_target(url):
            return None
        target = url.decode()
        asked = method, target
        # In the text: for bytes in bytes Python first makes a TypeError and drops it, which takes ten times as long.
        if "?" not in target:
            _remember(self.serving.asked, line, asked)
        return asked

    def _learn(self, data: bytes, coming: Incoming) -> None:
        """Remember the header block of a request that was all of *data*, for the next one."""
        if not coming.keep_alive or coming.length is None or coming.expects or coming.request is None:
            return
        if self._waiting or self._feeding or self._closing or not self._writable:
            return  # a request that is known is begun at once, so it may not overtake any
        # The first line end of all has to be that of the request line: some parsers take a bare LF for one.
        begin, end = data.find(b"\n") - len(b" HTTP/1.1\r"), data.find(b"\r\n\r\n") + 4
        if not data.startswith(b" HTTP/1.1\r\n", max(begin, 0)):
            return
        if begin < end <= begin + _KNOWN_BLOCK and end + coming.length == len(data):
            request = coming.request
            self._known = Known(data[begin:end], coming.length, self._fields, request.host, request.content_type)

    # -- the parser

    def _feed_held(self) -> None:
        """Feed what is held, slice by slice, for as long as there is room for what may come out."""
        if self._feeding:
            return
        self._feeding = True
        held, at = self._held, 0
        try:
            while at < len(held) and not self._closing and self._has_room():
                size = self._slice()
                self._feed(held[at : at + size])
                at += size
                if self._coming is not None:
                    self._begin_unfinished()
                self.serving.flush()  # may show that the client does not read
        finally:
            self._feeding = False
        # data_received may have added to the end meanwhile.
        self._held = b"" if self._closing else self._held[at:]
        self.update_reading()

    def _slice(self) -> int:
        """How much to feed at once: in a body, up to its end but not into the next request."""
        coming = self._coming
        if coming is None or not self._in_body:
            return _SLICE
        if coming.length is None:
            return _CHUNKED_SLICE
        return min(_BODY_SLICE, max(coming.length - coming.received, 1))

    def _has_room(self) -> bool:
        if len(self._waiting) >= _WAITING or not self._writable:
            return False
        return self._coming is None or self._coming.size < _UNREAD

    def _feed(self, data: bytes) -> None:
        self._known = None
        self._fed = data
        if not self._in_body:
            if self._coming is not None:
                if len(self._head_start) < _SLICE + self.settings.max_path_bytes + self.settings.max_query_bytes:
                    self._head_start += data
            elif self._current is None and not self._head_bytes:
                self._since = self.serving.now
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The parser stops at any Upgrade. We speak HTTP/1.1 only: the request is answered
            # as such, and the connection ends with it.
            self._stop_reading()
        except httptools.HttpParserError as exc:
            if not self._closing:
                self._refuse(self._judge(exc))
        else:
            ended, self._ended = self._ended, None
            coming = self._coming
            if coming is None:
                # Twice the same fields: a third time is likely. To keep the block of every request costs a third of it.
                if ended is not None and self._fields == self._fields_before and self._head_start is data:
                    self._learn(data, ended)
            elif coming.request is not None and coming.request._body is None:
                coming.request._body = Body(None, coming.read, coming.length)  # the rest of it is on its way
            if self._head_bytes > self.settings.max_header_bytes and not self._closing:
                self._refuse(self._over_limit())

    def _judge(self, exc: httptools.HttpParserError) -> HTTPError:
        """What a request is refused with whose parsing ended in *exc*."""
        if isinstance(exc, httptools.HttpParserCallbackError):
            bad = self._coming.bad if self._coming is not None else None
            if bad is None:
                cause = exc.__context__
                logger.error("the server failed in a parser callback: %r", cause, exc_info=cause)
            return bad or HTTPError(500)
        # With another request before it in these bytes, nobody knows where its method begins.
        begins_here = isinstance(exc, httptools.HttpParserInvalidMethodError) and self._ended is None
        if begins_here and _begins_with_token(self._head_start):
            return guard.unknown_method()
        return HTTPError(400, "The request is not well-formed HTTP/1.1", code="malformed_request")

    def _over_limit(self) -> HTTPError:
        if not self._in_body and len(self._url) > self.settings.max_path_bytes + self.settings.max_query_bytes:
            return HTTPError(414, "The request target is too long")
        # In a body these are chunk extensions or trailer fields, which the parser keeps until they end.
        return HTTPError(431, f"The header is over {self.settings.max_header_bytes:,} bytes")

    def on_message_begin(self) -> None:
        if self._closing:
            raise Refused  # bytes after the last request
        self._coming = Incoming(self)
        self._head_start = self._fed
        self._fields_before = self._fields
        self._fields = RawFields()
        self._special = []
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer field; nothing is added to a head that a guard may have read
        name = name.lower()
        self._fields.append((name, value))
        if name in _JUDGED:
            self._special.append((name, value))

    def on_headers_complete(self) -> None:
        coming = self._coming
        assert coming is not None
        self._in_body = True
        self._head_bytes = 0
        parser = self._parser
        version = parser.get_http_version()
        if version != "1.1" and not (version == "1.0" and self._says_http10()):
            self._refuse_now(HTTPError(505, "This server speaks HTTP/1.1"))
        line = parser.get_method() + b" " + self._url
        method, target = self.serving.asked.get(line) or self._read_line(line) or self._unusual_line()
        if len(self._fields) > self.settings.max_headers:
            self._refuse_now(HTTPError(431, f"The request has over {self.settings.max_headers} header fields"))
        host = self._framing(coming, version)
        if not target.startswith("/"):
            target = self._other_form(target, host, method)
        if version == "1.0":
            coming.http10 = True
        else:
            coming.keep_alive = parser.should_keep_alive()
        request = from_wire(method, target, self._fields, host, self.peer)
        coming.request = request
        if coming.length == 0:
            request._whole = b""
        if coming.content_type is not None:
            request._content_type = coming.content_type

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        coming = self._coming
        assert coming is not None
        if coming.request._body is None and coming.length == len(body):
            coming.request._whole = body  # it came with its head, in one piece: nobody waits for it
        else:
            coming.feed(body)

    def on_message_complete(self) -> None:
        coming = self._coming
        assert coming is not None
        coming.complete = True
        self._coming = None
        if self._ended is not None:
            self.serving.flush()  # the answers to a pipeline: may show that the client does not read them
        self._ended = coming
        self._in_body = False
        self._head_bytes = 0
        if coming is self._current:
            coming.wake()
            return
        request = coming.request
        if request._whole is None:
            # It is all here before its turn: the handler need not wait for any of it.
            request._whole = b"".join(coming.pieces) if coming.size else b""
            request._body = None
            coming.size = 0
        if coming.upgrade and self._parser.should_upgrade():
            coming.keep_alive = False
            if coming.length != 0:
                coming.bad = HTTPError(400, "A request with a body cannot ask for an upgrade")
        if not coming.keep_alive:
            self._closing = True  # bytes after the last request are ignored
        self._enqueue(coming)

    # -- refusing what the parser lets through

    def _says_http10(self) -> bool:
        # The parser reports RTSP/1.0 and ICE/1.0 as version 1.0 too, and says nothing of the name.
        line = b"%b %b %%b/1.0\r\n" % (self._parser.get_method(), self._url.replace(b"%", b"%%"))
        return line % b"HTTP" in self._head_start and not any(
            line % other in self._head_start for other in (b"RTSP", b"ICE")
        )

    def _unusual_line(self) -> tuple[str, str]:
        """Method and target of what ``_read_line`` leaves to the parser."""
        method = _METHODS.get(self._parser.get_method())
        if method is None:
            self._refuse_now(guard.unknown_method())
        return method, self._target()

    def _target(self) -> str:
        url = self._url
        path, _, query = url.partition(b"?")
        if len(path) > self.settings.max_path_bytes or len(query) > self.settings.max_query_bytes:
            self._refuse_now(HTTPError(414, "The request target is too long"))
        target = url.decode("latin-1")
        if "#" in target or "\\" in target:  # in the text: see _read_line
            self._refuse_now(HTTPError(400, "The request target holds a # or a backslash", code="invalid_path"))
        return target

    def _framing(self, coming: Incoming, version: str) -> str:
        """Judge Host, body length and expectation; the Host value."""
        host: bytes | None = None
        length: int | None = 0
        for name, value in self._special:
            if name == b"content-type":
                # As Request.content_type reads it, which would have to look for it.
                coming.content_type = value.decode("latin-1") if coming.content_type is None else ""
                continue
            value = value.strip(b" \t")
            if name == b"host":
                if host is not None:
                    self._refuse_now(HTTPError(400, "The request has several Host fields", code="invalid_host"))
                host = value
            elif name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                if version == "1.0":
                    self._refuse_now(HTTPError(400, "HTTP/1.0 has no transfer coding"))
                if value.lower() != b"chunked" or length is None:
                    self._refuse_now(HTTPError(501, "The body has a transfer coding that this server does not read"))
                length = None
            elif name == b"upgrade":
                coming.upgrade = True
            elif name == b"expect" and version == "1.1":
                if value.lower() != b"100-continue":
                    self._refuse_now(HTTPError(417, "This server knows no expectation but 100-continue"))
                coming.expects = True
        coming.length = length
        if host is None:
            if version == "1.1":
                self._refuse_now(guard.malformed_host())
            return ""
        known = self.serving.hosts.get(host)
        if known is None:
            known = host.decode("latin-1")
            if not guard.is_host(known):
                self._refuse_now(guard.malformed_host())
            _remember(self.serving.hosts, host, known)
        return known

    def _other_form(self, target: str, host: str, method: str) -> str:
        """A target that is not a path: ``*``, or an absolute URL that must name our Host (RFC 9112 §3.2)."""
        if target == "*" and method == "OPTIONS":
            return target
        scheme, mark, rest = target.partition("://")
        end = min((rest.find(char) for char in "/?" if char in rest), default=len(rest))
        if scheme.lower() not in ("http", "https") or not mark or rest[:end].lower() != host.lower():
            self._refuse_now(HTTPError(400, "The request target and the Host field disagree", code="invalid_host"))
        path = rest[end:]
        return path if path.startswith("/") else "/" + path

    def _refuse_now(self, error: HTTPError) -> NoReturn:
        """From inside a callback: end the parsing here; ``_feed`` goes on with the refusal."""
        coming = cast(Incoming, self._coming)
        coming.bad, coming.method = error, self._parser.get_method().decode()
        raise Refused

    def _refuse(self, error: HTTPError) -> None:
        """Answer with *error* in its turn, and read no further request."""
        coming, self._coming = self._coming or Incoming(self), None
        self._stop_reading()
        self.serving.refused += 1
        coming.bad = error
        if coming is self._current:
            self._cancel(coming)  # its body broke while the handler was at work on it
        else:
            self._enqueue(coming)

    # -- in turn

    def _enqueue(self, coming: Incoming) -> None:
        if self._current is not None or self._waiting or not self._writable:
            self._waiting.append(coming)
        else:
            self._begin(coming)

    def _begin_unfinished(self) -> None:
        """Begin a request whose body is still on its way, if it is its turn."""
        if self._current is None and not self._waiting and self._is_unfinished_next():
            self._begin(cast(Incoming, self._coming))

    def _is_unfinished_next(self) -> bool:
        coming = self._coming
        return coming is not None and self._in_body and coming.request is not None and not self._closing

    def take_more(self, coming: Incoming) -> None:
        """A handler has made room in its body's buffer."""
        if self._current is not coming:
            return  # begun now, the next handler would run inside of what is left of this one
        if self._held:
            self._feed_held()
        else:
            self.update_reading()

    def update_reading(self) -> None:
        """Read from the socket exactly while there is room for what comes."""
        if self._feeding or self._lingering >= 0 or self.transport.is_closing():
            return
        wanted = not self._held and self._has_room()
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _begin(self, coming: Incoming) -> None:
        """Answer *coming*; it is its turn."""
        raise NotImplementedError

    def write_continue(self) -> None:
        """The interim 100, sent when the handler first asks for the body (RFC 9110 section 10.1.1)."""
        raise NotImplementedError


def _remember(known: dict[bytes, Any], key: bytes, value: Any) -> None:
    """Keep *value*; all is forgotten where there is no room, so that junk is not kept for good and the rest never."""
    if len(known) >= _TARGETS:
        known.clear()
    known[key] = value
