"""The one place where a path is decoded and made canonical.

A target is split on raw ``/`` first and each segment is percent-decoded once, so ``%2F``
stays inside a segment and ``%25`` gives ``%``. Guards, cache keys, logs and routes all see
what comes out of here (security: decide once).
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from ..errors import BadRequest

# What RFC 3986 §3.3 lets stand raw in a segment; the rest is written as %XX.
_SAFE = "-._~!$&'()*+,;=:@"
# Whether a raw path is canonical as it stands: no escape, no dot segment, no empty segment. Split at "/" it gives
# its segments.
_PLAIN_SEGMENT = r"[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9_.~!$&'()*+,;=:@-]*"
is_plain = re.compile(rf"(?:/{_PLAIN_SEGMENT})+").fullmatch
is_plain_segment = re.compile(_PLAIN_SEGMENT).fullmatch
_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search


def segments(path: str) -> list[str]:
    """Decode the raw *path* into its segments.

    A trailing or doubled slash shows as an empty segment: what to do about it is routing.

    Raises:
        BadRequest: ``.`` or ``..`` raw or encoded, NUL, a backslash, or not UTF-8.
    """
    if path == "/":
        return []
    parts = path[1:].split("/")
    if is_plain(path):
        return parts
    return [_decode(part) for part in parts]


def _decode(part: str) -> str:
    text = part
    if "%" in part:
        if _bad_escape(part):
            raise BadRequest("The path holds a % without two hexadecimal digits", code="invalid_path")
        try:
            text = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest("The path is not UTF-8", code="invalid_path") from None
    if text in (".", "..") or "\\" in text or "\x00" in text:
        raise BadRequest("The path holds a dot segment, a backslash or a NUL", code="invalid_path")
    return text


def join(parts: list[str]) -> str:
    """Write decoded segments as a canonical path: the same segments always give the same text."""
    return "/" + "/".join([quote(part, safe=_SAFE) for part in parts])
