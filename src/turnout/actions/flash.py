"""A message for the next page that this browser is shown, once: ``flash(request, "Saved")``.

It travels in a cookie that holds plain data and no power: text that templates escape, and a word for its kind. Who
can write this browser's cookies can write the text, so under https the name has the ``__Host-`` prefix, which no other
host can set; hence it needs no key. A page that showed a message is kept by no cache.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from ..context import Cookies, current
from ..errors import HTTPError
from ..http import jsontext
from ..http.cookies import parse_cookies
from ..http.request import Request

NAME = "turnout-flash"
_LONGEST = 3000  # bytes of the cookie: browsers drop one over 4096
_NO_STORE = ("cache-control", "private, no-store")
_is_kind = re.compile(r"[a-z][a-z0-9-]{0,31}").fullmatch


class Flash(Struct, frozen=True):
    """One message: its text, and what kind it is, for its look."""

    message: str
    kind: str = "info"

    def __str__(self) -> str:
        return self.message


def flash(request: Request, message: str, kind: str = "info") -> None:
    """Show *message* on the next page that uses ``flashes``, and on that one alone.

    Args:
        request: The request being answered.
        message: Text; templates escape it.
        kind: A word such as ``info``, ``success``, ``warning`` or ``error``: lower case, for class names.

    Raises:
        ValueError: *kind* is no such word, or the messages that wait are too long for a cookie.
    """
    if not _is_kind(kind):
        raise ValueError(f"the kind of a flash is a word in lower case, not {kind!r}")
    waiting = [*_waiting(request), Flash(str(message), kind)]
    text = base64.urlsafe_b64encode(jsontext.dumps([[each.message, each.kind] for each in waiting])).decode()
    text = text.rstrip("=")
    if len(text) > _LONGEST:
        raise ValueError("the flash messages are too long for a cookie; keep the text elsewhere and flash a sentence")
    request.flashes = waiting
    _write(request, text)


def get_flashes() -> list[Flash]:
    """The messages for the page being made; after that they are gone.

    Asked again while the same request is answered, it gives the same.
    """
    request = current.get(None)
    if request is None:
        return []
    shown = getattr(request._state, "_flashes", None)
    if shown is None:
        shown = _waiting(request)
        if shown:
            request.state._flashes = shown
            request.flashes = []
            _write(request, None)
            # Whatever the page says of caches: what was said to one person is for nobody else.
            request.personal = request.special = True
            request.answer_headers = (*request.answer_headers, _NO_STORE)
    return list(shown)


class Flashes:
    """``flashes`` in a template: the messages for this page, taken when somebody looks."""

    def __iter__(self) -> Iterator[Flash]:
        return iter(get_flashes())

    def __len__(self) -> int:
        return len(get_flashes())


def _waiting(request: Request) -> list[Flash]:
    """What nobody has been shown yet: of this request, and of those before."""
    if request.flashes is None:
        # Not request.cookies: a page without a message has looked at nothing personal, and may be kept.
        lines = [line for line in request.headers.get_all("cookie") if NAME in line]
        request.flashes = _read(parse_cookies(lines).get(_name(request), "")) if lines else []
    return request.flashes


def _read(text: str) -> list[Flash]:
    """The messages in a cookie; none if it is not as ``flash`` writes it."""
    if not text or len(text) > _LONGEST:
        return []
    try:
        found = msgspec.convert(
            jsontext.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))), list[tuple[str, str]]
        )
    except (binascii.Error, ValueError, HTTPError):
        return []
    return [Flash(message, kind) for message, kind in found if _is_kind(kind)]


def _write(request: Request, text: str | None) -> None:
    name = _name(request)
    others = [each for each in request.set_cookies or () if each[0] != name]
    request.set_cookies = others or None
    if text is not None:
        Cookies(request).set(name, text)
    elif NAME in (request.headers.get("cookie") or ""):
        Cookies(request).delete(name)


def _name(request: Request) -> str:
    return f"__Host-{NAME}" if request.secure else NAME
