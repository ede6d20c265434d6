"""A response made smaller, for a client that says it can read that: zstd, brotli or gzip.

RFC 9110 sections 8.4 (codings), 12.5.3 (Accept-Encoding); zstd is RFC 8878, brotli RFC 7932. The
two need the extra ``compress``, gzip comes with Python. Pieces of a stream are still sent as they
come. An event stream is left alone: the door adds comments to it.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import cache, lru_cache
from typing import Any, Protocol

from . import guard
from .aside import aside
from .headers import FixedHeaders
from .request import Request
from .response import HTML, JSON, TEXT, Response, to_bytes

LEAST_BYTES = 1_024  # below this it saves no packet
_IN_THE_LOOP = 32_768  # a larger body takes longer than the loop should wait
_SMALLER = frozenset(
    {
        "application/javascript", "application/json", "application/manifest+json", "application/wasm",
        "application/xml", "image/svg+xml",
    }
)  # fmt: skip
_PLAIN = (JSON, HTML, TEXT)
_CHOOSING = frozenset({b"accept-encoding", b"sec-fetch-site"})
_STATUSES_WITHOUT = frozenset({204, 206})


class Compressor(Protocol):
    """What all three libraries give in about these words."""

    def compress(self, data: bytes) -> bytes:
        """Take *data*; what is ready of the result."""

    def flush_piece(self) -> bytes:
        """What a reader needs to see all that came so far."""

    def end(self) -> bytes:
        """The rest."""


class _Gzip:
    def __init__(self) -> None:
        self._made = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: with gzip's head and checksum
        self.compress = self._made.compress

    def flush_piece(self) -> bytes:
        return self._made.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._made.flush()


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._made = brotli.Compressor(quality=4)
        self.compress: Callable[[bytes], bytes] = self._made.process

    def flush_piece(self) -> bytes:
        flushed: bytes = self._made.flush()
        return flushed

    def end(self) -> bytes:
        rest: bytes = self._made.finish()
        return rest


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._made = zstandard.ZstdCompressor(level=3).compressobj()
        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        self.compress: Callable[[bytes], bytes] = self._made.compress

    def flush_piece(self) -> bytes:
        return self._made.flush(self._block)

    def end(self) -> bytes:
        return self._made.flush()


_MAKERS: dict[str, Callable[[], Compressor]] = {"zstd": _Zstd, "br": _Brotli, "gzip": _Gzip}


@cache
def codings() -> tuple[str, ...]:
    """What this installation can do, best first."""
    found = []
    for name, make in _MAKERS.items():
        try:
            make()
        except ImportError:
            continue
        found.append(name)
    return tuple(found)


@lru_cache(100)
def _choose(accept: str) -> str | None:
    weights = dict(_weights(accept))
    other = weights.get("*", 0.0)
    best = max(codings(), key=lambda name: weights.get(name, other))  # the first of equals
    return best if weights.get(best, other) > 0 else None


def choose(accept: str) -> str | None:
    """The coding that a client likes best, or None if the answer is to stay as it is."""
    # Browsers send one of a few short values; whatever else is sent shall not fill the memory.
    return _choose(accept) if len(accept) <= 40 else _choose.__wrapped__(accept)


def _weights(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.lower().split(",")[:20]:
        name, _, weight = part.partition(";")
        name, weight = name.strip(), weight.strip()
        try:
            yield name, float(weight.removeprefix("q=")) if weight else 1.0
        except ValueError:
            yield name, 0.0


async def compress(request: Request, response: Response) -> None:
    """Make *response* smaller if its kind, its size and its client allow."""
    coding = _coding(request)
    fixed = response._headers
    if type(fixed) is FixedHeaders and fixed.body is response.body and response.status == 200:
        # A kept answer, which comes again and again: each of its forms is made once.
        if coding not in fixed.forms:
            await _encode(response, coding)
            fixed.forms[coding] = response.body, guard.fix(response)
        response.body, response._headers = fixed.forms[coding]
    elif coding is None and fixed is None and response.chunks is None and response._type in _PLAIN:
        # What most answers are, for a client that asks for nothing: the fields are always the same.
        if response.status not in _STATUSES_WITHOUT and len(response.body) >= LEAST_BYTES:
            response._headers = _varying(response._type)
    else:
        await _encode(response, coding)


def ready_form(response: Response, coding: str | None) -> Response | None:
    """What ``compress`` would make of a kept *response* for a request of *coding*, if it has made that before."""
    fixed = response._headers
    form = fixed.forms.get(coding) if type(fixed) is FixedHeaders else None
    return None if form is None else Response.repeated(*form)


async def _encode(response: Response, coding: str | None) -> None:
    if not _may(response):
        return
    headers = response.headers
    headers.append("vary", "Accept-Encoding")
    if coding is None:
        return
    headers.delete("accept-ranges")
    etag = headers.get("etag")
    if etag is not None and not etag.startswith("W/"):
        headers.set("etag", f"W/{etag}")  # the same meaning, other bytes
    if response.status == 304:
        return  # it has the fields of the 200, so that caches update what they hold (RFC 9110 section 15.4.5)
    headers.set("content-encoding", coding)
    made = _MAKERS[coding]()
    if response.chunks is not None:
        response.chunks, response.content_length = _pieces(response.chunks, made), None
    elif len(response.body) <= _IN_THE_LOOP:
        response.body = _whole(made, response.body)
    else:
        response.body = await aside(_whole, made, response.body)


def _coding(request: Request) -> str | None:
    """The coding for *request*, or None if its answer is to stay as it is."""
    if request._raw is not None and request._headers is None:
        return coding_of(request._raw)  # two fields are not worth decoding all of them
    fields = request.headers.items()
    return coding_of((name.encode(), value.encode("latin-1")) for name, value in fields if name.encode() in _CHOOSING)


def coding_of(fields: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The coding for a request with *fields*, their names in lower case."""
    asked = site = None
    for name, value in fields:
        if name in _CHOOSING:
            if name == b"sec-fetch-site":
                site = value.strip(b" \t")
            else:
                asked = value if asked is None else asked + b"," + value
    # A page of another site that can choose part of an answer could guess the rest from its size (BREACH).
    return None if asked is None or site == b"cross-site" else choose(asked.decode("latin-1"))


@cache
def _varying(media_type: str) -> FixedHeaders:
    return guard.fix(Response._made(b"", media_type, 200, [("vary", "Accept-Encoding")]))


def _may(response: Response) -> bool:
    if response.ping is not None or response.status in _STATUSES_WITHOUT:
        return False
    size = len(response.body) if response.chunks is None else response.content_length
    if response.status == 304:
        size = response.content_length or 0  # not known where the app made it
    if size is not None and size < LEAST_BYTES:
        return False
    headers = response.headers
    if headers.has("content-encoding") or "no-transform" in (headers.get("cache-control") or ""):
        return False
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _SMALLER or kind.endswith(("+json", "+xml"))


def _whole(made: Compressor, body: bytes) -> bytes:
    return made.compress(body) + made.end()


async def _pieces(chunks: AsyncIterator[Any], made: Compressor) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            piece = made.compress(to_bytes(chunk)) + made.flush_piece()
            if piece:
                yield piece
        yield made.end()
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
