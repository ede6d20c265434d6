"""Cookies: the ``Cookie`` header in, one ``Set-Cookie`` value out.

Follows RFC 6265bis (https://datatracker.ietf.org/doc/draft-ietf-httpbis-rfc6265bis/). Reading never
fails: what makes no sense is skipped. Writing never drops: what a browser would refuse raises here,
since a silently lost cookie is a hole that nobody sees. Values are neither quoted nor percent-coded
in either direction. ``http.cookies`` is not used; it lets CR LF through in ``Path``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from .date import to_http_date

SameSite = Literal["strict", "lax", "none"]

# RFC 6265bis §4.1.1: cookie-name is a token; cookie-octet has no space, quote, comma, semicolon or backslash.
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(r"""(")?[!\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*(?(1)"|)""").fullmatch
_is_path = re.compile(r"[\x20-\x3a\x3c-\x7e]*").fullmatch
_is_domain = re.compile(r"\.?[0-9A-Za-z](?:[0-9A-Za-z.-]*[0-9A-Za-z])?").fullmatch
_has_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search

_MAX_PAIR_BYTES = 4096  # §5.6: a browser ignores the whole cookie past this
_MAX_ATTRIBUTE_BYTES = 1024  # §5.6: and an attribute past this


def parse_cookies(header_values: Iterable[str]) -> dict[str, str]:
    """Cookie names to values as sent, quotes included; the first of two equal names wins (RFC 6265bis §5.8)."""
    jar: dict[str, str] = {}
    for header in header_values:
        for crumb in header.split(";"):
            name, found, value = crumb.partition("=")
            # Only blank and tab are white space here. str.strip() would also take U+0085 and U+00A0, and so turn
            # a name that a browser let a sub-domain set into "__Host-session".
            name = name.strip(" \t")
            if found and name and not _has_control(crumb):
                jar.setdefault(name, value.strip(" \t"))
    return jar


def to_set_cookie(
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    expires: datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    http_only: bool = True,
    secure: bool = False,
    same_site: SameSite | None = "lax",
) -> str:
    """Write one ``Set-Cookie`` value.

    Args:
        max_age: Seconds to live; 0 or less deletes the cookie.
        expires: The same as a moment, with a time zone; browsers prefer ``max_age``.
        path: Where the cookie is sent, or None for the folder of the request.
        domain: Also send it to sub-domains of this host; None keeps it to this host.

    Raises:
        TypeError: a name, value or attribute of a wrong type, or with a character that it may not hold.
        ValueError: browsers would refuse the cookie: a prefix or ``SameSite=None`` without its conditions, or too long.
    """
    _check_pair(name, value)
    _check_rules(name, secure=secure, path=path, domain=domain, same_site=same_site)
    parts = [f"{name}={value}"]
    if max_age is not None:
        if not isinstance(max_age, int) or isinstance(max_age, bool):
            raise TypeError(f"cookie {name!r}: max_age is a whole number of seconds, not {max_age!r}")
        parts.append(f"Max-Age={max_age}")
    if expires is not None:
        parts.append(f"Expires={_to_http_date(name, expires)}")
    if path is not None:
        parts.append(f"Path={_checked_path(name, path)}")
    if domain is not None:
        parts.append(f"Domain={_checked_domain(name, domain)}")
    if secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    if same_site is not None:
        parts.append(f"SameSite={same_site.capitalize()}")
    return "; ".join(parts)


def _check_pair(name: str, value: str) -> None:
    if not isinstance(name, str) or not _is_name(name):
        raise TypeError(f"invalid cookie name {name!r}: use letters, digits, '-' and '_'")
    if not isinstance(value, str):
        raise TypeError(f"cookie {name!r} needs a str, not {type(value).__name__}")
    if not _is_value(value):
        # The value itself may be a credential, so it is not shown.
        raise TypeError(
            f"cookie {name!r}: the value holds a blank, comma, semicolon, quote, backslash, control or non-ASCII "
            "character; encode it first, for example with urllib.parse.quote()"
        )
    if len(name) + len(value) > _MAX_PAIR_BYTES:
        raise ValueError(f"cookie {name!r} is over {_MAX_PAIR_BYTES} bytes: browsers drop it; store the data elsewhere")


def _check_rules(name: str, *, secure: bool, path: str | None, domain: str | None, same_site: str | None) -> None:
    prefix = name.lower()  # browsers compare the prefixes without case (§4.1.3)
    if prefix.startswith("__host-") and (not secure or path != "/" or domain is not None):
        raise ValueError(f"cookie {name!r}: a __Host- cookie needs secure=True, path='/' and no domain")
    if prefix.startswith("__secure-") and not secure:
        raise ValueError(f"cookie {name!r}: a __Secure- cookie needs secure=True")
    if same_site not in ("strict", "lax", "none", None):
        raise ValueError(f"cookie {name!r}: same_site is 'strict', 'lax', 'none' or None, not {same_site!r}")
    if same_site == "none" and not secure:
        raise ValueError(f"cookie {name!r}: same_site='none' needs secure=True")


def _checked_path(name: str, path: str) -> str:
    if not isinstance(path, str) or not _is_path(path):
        raise TypeError(f"cookie {name!r}: invalid path {path!r}: printable ASCII without ';'")
    if not path.startswith("/") or len(path) > _MAX_ATTRIBUTE_BYTES:
        raise ValueError(f"cookie {name!r}: a path starts with '/' and has at most {_MAX_ATTRIBUTE_BYTES} bytes")
    return path


def _checked_domain(name: str, domain: str) -> str:
    if not isinstance(domain, str) or not _is_domain(domain):
        raise TypeError(f"cookie {name!r}: invalid domain {domain!r}: a host name in ASCII, such as 'example.com'")
    if len(domain) > _MAX_ATTRIBUTE_BYTES:
        raise ValueError(f"cookie {name!r}: a domain has at most {_MAX_ATTRIBUTE_BYTES} bytes")
    return domain


def _to_http_date(name: str, moment: datetime) -> str:
    if not isinstance(moment, datetime):
        raise TypeError(f"cookie {name!r}: expires is a datetime, not {type(moment).__name__}")
    if moment.tzinfo is None:
        raise ValueError(f"cookie {name!r}: expires needs a time zone, for example datetime.now(UTC)")
    utc = moment.astimezone(UTC)
    if utc.year < 1601:
        raise ValueError(f"cookie {name!r}: browsers do not read an expires before 1601")
    return to_http_date(utc.timetuple())
