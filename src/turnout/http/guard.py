"""What every door must refuse on the way in, and what every answer carries on the way out.

In: one valid Host that is on the list, a target in a form that names a path here. Out: the
default security headers, and no framing field that the app has set, since the door writes
those (RFC 9112 section 6; a wrong Content-Length lets the rest of a body become the next response).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import BadRequest, ConfigError, HTTPError
from .headers import FixedHeaders
from .request import Request
from .response import HTML, Response

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"})

# RFC 3986 §3.2.2: reg-name without the sub-delimiters that no host has, IPv4, or IPv6 in brackets. Not longer than
# names are, since those that came are remembered in several places.
_is_host = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}|\[[0-9A-Fa-f:.]{1,45}\])(?::[0-9]{1,5})?").fullmatch
_is_target = re.compile(r"[\x21\x22\x24-\x5b\x5d-\x7e]*").fullmatch  # no control, space, #, backslash or non-ASCII

FRAMING = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer", "te", "proxy-connection"}
)
DEFAULTS: tuple[tuple[str, str], ...] = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
CSP = "content-security-policy"
CSP_DATA = "default-src 'none'; frame-ancestors 'none'"
CSP_HTML = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; object-src 'none'; "
    "frame-ancestors 'none'"
)
SHARED = "public, max-age=0, must-revalidate"  # Cache-Control of a kept answer whose handler has said nothing of it
HSTS = ("strict-transport-security", "max-age=31536000")


def is_host(text: str) -> bool:
    """Whether *text* is a well-formed Host value (RFC 9112 section 3.2), no longer than DNS allows."""
    return _is_host(text) is not None


class AllowedHosts:
    """The names this app answers to, compared literally or by suffix, never by pattern.

    Args:
        names: ``example.com``, ``.example.com`` for every name below it too, ``[::1]``, or ``*``.

    Raises:
        ConfigError: an entry has a scheme, a path or a port.
    """

    def __init__(self, names: list[str]) -> None:
        for name in names:
            if name != "*" and (not _is_host(name.removeprefix(".")) or re.search(r":\d+$", name.rpartition("]")[2])):
                raise ConfigError(
                    f"allowed_hosts: {name!r} is not a host name",
                    cure='write it without scheme, path and port: "example.com", or ".example.com" for all below',
                )
        self._any = "*" in names
        self._exact = {name.lower() for name in names if not name.startswith(".")}
        self._suffixes = tuple(name.lower() for name in names if name.startswith("."))
        self._known: dict[str, bool] = {}  # Host values already judged; they come again with every request

    def allows(self, host: str) -> bool:
        """Whether a Host value, with or without port, is on the list."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= 1_000:
                self._known.clear()
            known = self._known[host] = self._judge(host)
        return known

    def _judge(self, host: str) -> bool:
        if not _is_host(host):
            return False
        name = host[: host.rindex(":")] if re.search(r":\d+$", host.rpartition("]")[2]) else host
        name = name.lower().removesuffix(".")
        return self._any or name in self._exact or any(("." + name).endswith(suffix) for suffix in self._suffixes)


def malformed_host() -> BadRequest:
    """The refusal of a Host value that is none, or of none at all."""
    return BadRequest("The Host field is missing or malformed", code="invalid_host")


def unknown_method() -> HTTPError:
    """The refusal of a method outside METHODS (RFC 9110 section 9.1)."""
    return HTTPError(501, "This server does not implement that method", code="method_not_implemented")


def check_incoming(request: Request) -> None:
    """Refuse what a host server may have let through and our own parser would not.

    Raises:
        HTTPError: 400 for the target or the Host, 501 for the method or a transfer coding.
    """
    if request.method not in METHODS:
        raise unknown_method()
    if not _is_target(request.target):
        raise BadRequest("The request target holds a character that must be percent-encoded", code="invalid_path")
    coding = request.headers.get("transfer-encoding")
    if coding is not None and coding.lower() != "chunked":
        raise HTTPError(501, "The body has a transfer coding that this server does not read")


def take_host(request: Request, fields: Mapping[bytes, bytes]) -> None:
    """Spare an ordinary request the checks above: give it its Host at once.

    With anything unusual the Host is left to be asked for, and ``App.fetch`` checks all of it then.
    *fields* have their names in lower case, as ASGI gives them.
    """
    host = fields.get(b"host")
    if (
        host is not None
        and fields.get(b"transfer-encoding", b"chunked") == b"chunked"
        and request.method in METHODS
        and _is_target(request.target)
    ):
        request._host = host.decode("latin-1")


# -- on the way out


def _block(pairs: tuple[tuple[str, str], ...]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")


def _plain_head(media_type: str | None) -> bytes:
    csp = CSP_HTML if media_type == HTML else CSP_DATA
    typed = (("content-type", media_type),) if media_type else ()
    return _block((*typed, *DEFAULTS, (CSP, csp)))


_plain_heads: dict[str | None, bytes] = {}


def head_bytes(response: Response) -> bytes:
    """The header block without framing fields, each line ended: for a door that writes bytes."""
    if response._headers is None and response.status != 304:  # a 304 has fewer than others of its type
        media_type = response._type
        ready = _plain_heads.get(media_type)
        if ready is None:
            ready = _plain_head(media_type)
            if len(_plain_heads) < 100:
                _plain_heads[media_type] = ready
        return ready
    if type(response._headers) is FixedHeaders:
        return response._headers.block
    return _block(tuple(fields(response)))


def fix(response: Response, body: bytes | None = None) -> FixedHeaders:
    """The header fields of *response* for others like it, with their bytes ready; *body* if all have that one."""
    return FixedHeaders(response.headers, _block(tuple(fields(response))), body)


_plain_fields: dict[str | None, list[tuple[bytes, bytes]]] = {}


def wire_fields(response: Response) -> list[tuple[bytes, bytes]]:
    """``fields`` as bytes, in a list of the caller's own: for a door that hands on pairs."""
    if response._headers is not None or response.status == 304:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields(response)]
    ready = _plain_fields.get(response._type)
    if ready is None:
        ready = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields(response)]
        if len(_plain_fields) < 100:
            _plain_fields[response._type] = ready
    return ready.copy()


def fields(response: Response) -> list[tuple[str, str]]:
    """Every header field to send but the framing ones: the app's own, then the defaults it did not set."""
    own = response.headers.items()
    names = {name for name, _ in own}
    out = [pair for pair in own if pair[0] not in FRAMING]
    out.extend(pair for pair in DEFAULTS if pair[0] not in names)
    # A 304 updates the fields of the copy that the client has (RFC 9111 section 3.2), and says nothing of its type:
    # the policy of other answers would take a page's style and scripts away.
    if CSP not in names and response.status != 304:
        html = (response.headers.get("content-type") or "").startswith("text/html")
        out.append((CSP, CSP_HTML if html else CSP_DATA))
    # One visitor's cookie is for nobody else, whatever the answer that it was added to.
    if "set-cookie" in names and response.headers.get("cache-control") in (None, SHARED):
        out = [*(pair for pair in out if pair[0] != "cache-control"), ("cache-control", "no-store")]
    return out
