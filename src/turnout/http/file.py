"""A file as a response: validators, conditional requests and ranges (RFC 9110 sections 8.8, 13, 14).

The file is opened and read in a thread, 64 KiB at a time. One range is honoured; a request
for several gets the whole file, which RFC 9110 section 14.2 allows and which leaves nothing
to merge (CVE-2025-62727 was a server that merged them in quadratic time).
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import stat
from collections.abc import AsyncIterator
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from ..errors import NotFound
from .aside import aside
from .request import Request
from .response import BYTES, Response

_PIECE = 65_536
# Builds that come out the same byte for byte date every file to 1970 or 1980: then neither date nor size tells two
# versions apart, and their bytes have to.
_DATED_SINCE = 347_155_200  # 1981-01-01
_range = re.compile(r"(\d*)-(\d*)").fullmatch


def response_headers(path: Path, filename: str | None, media_type: str | None) -> list[tuple[str, str]]:
    """Content type and disposition of a file response."""
    if media_type is None:
        guessed, encoding = mimetypes.guess_type(path.name)
        media_type = guessed if guessed and not encoding else BYTES
    if media_type.startswith("text/") and "charset" not in media_type:
        media_type += "; charset=utf-8"
    headers = [("content-type", media_type), ("accept-ranges", "bytes")]
    if filename is not None:
        plain = re.sub(r'[^\x20-\x7e]|["\\]', "_", filename)
        value = f'attachment; filename="{plain}"'
        if plain != filename:
            value += f"; filename*=UTF-8''{quote(filename, safe='')}"
        headers.append(("content-disposition", value))
    return headers


async def prepare(request: Request, response: Response) -> Response:
    """Fill in *response* from its file and the request's conditions: 200, 206, 304 or 416.

    Raises:
        NotFound: there is no such regular file.
    """
    path = response.file_path
    assert path is not None
    try:
        info = await aside(path.stat)
    except OSError:
        raise NotFound() from None
    if not stat.S_ISREG(info.st_mode):
        raise NotFound()
    headers = response.headers
    mtime: float | None = info.st_mtime if info.st_mtime >= _DATED_SINCE else None
    if not headers.has("etag"):
        tag = f"{info.st_mtime_ns:x}" if mtime is not None else await aside(_digest, path, info.st_mtime_ns)
        headers.set("etag", f'"{tag}-{info.st_size:x}"')
    if mtime is not None:
        headers.set("last-modified", formatdate(mtime, usegmt=True))
    response.file_path = None
    if not_modified(request, headers.get("etag") or "", mtime):
        response._become_304(info.st_size)
        return response
    start, end = 0, info.st_size
    wanted = request.headers.get("range") if request.method == "GET" and response.status == 200 else None
    if wanted and _range_is_current(request, headers.get("etag")):
        span = parse_range(wanted, info.st_size)
        if span is not None and not span:
            headers.set("content-range", f"bytes */{info.st_size}")
            response.status = 416
            headers.delete("content-type")
            return response
        if span is not None:
            start, end = span[0], span[1]
            response.status = 206
            headers.set("content-range", f"bytes {start}-{end - 1}/{info.st_size}")
    response.content_length = end - start
    response.chunks = _pieces(path, start, end)
    return response


@lru_cache(maxsize=1_000)
def _digest(path: Path, _mtime_ns: int) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def not_modified(request: Request, etag: str, mtime: float | None) -> bool:
    """Whether the client's copy is still right (RFC 9110 section 13.2.2); *mtime* is None for a file without a date."""
    if request.method not in ("GET", "HEAD"):
        return False
    known = request.headers.get("if-none-match")
    if known is not None:
        bare = etag.removeprefix("W/")
        return any(tag.strip() == "*" or tag.strip().removeprefix("W/") == bare for tag in known.split(","))
    since = request.headers.get("if-modified-since")
    if since is None or mtime is None:
        return False
    try:
        return int(mtime) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, TypeError, OverflowError):
        return False


def _range_is_current(request: Request, etag: str | None) -> bool:
    condition = request.headers.get("if-range")
    return condition is None or condition == etag


def parse_range(text: str, size: int) -> tuple[int, ...] | None:
    """A ``Range`` value as (start, end), end excluded.

    Returns:
        None for a header to ignore (another unit, malformed, several ranges);
        an empty tuple for one that no byte of the file meets.
    """
    unit, _, spec = text.partition("=")
    if unit.strip().lower() != "bytes" or "," in spec:
        return None
    found = _range(spec.strip())
    if not found or not (found[1] or found[2]) or len(spec) > 40:
        return None
    if not found[1]:
        length = int(found[2])
        return (max(size - length, 0), size) if length and size else ()
    start = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < start:
        return None
    return (start, end) if start < size else ()


async def _pieces(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    handle = await aside(open, path, "rb")
    try:
        if start:
            await aside(handle.seek, start, os.SEEK_SET)
        left = end - start
        while left > 0:
            piece = await aside(handle.read, min(_PIECE, left))
            if not piece:
                return  # the file shrank; the door sees that the length does not fit and aborts
            left -= len(piece)
            yield piece
    finally:
        handle.close()
