"""Where a link may lead back to: the site itself and what ``redirect_urls`` lists, else the site's front page.

A link with a session in it that leads to somebody else's page gives the session away, so an address
is taken only in the plain form that every URL parser reads alike: no user part, no backslash, no
control or blank, no dots that climb, a host of letters, digits, dots and hyphens. It is compared part
by part and never as a text that begins with another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, urlencode

from ..errors import ConfigError

_PLAIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])?"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.ASCII,
)
_ALLOWED = re.compile(r"[!#-;=?-\[\]_a-z~%@]*", re.ASCII | re.IGNORECASE)  # no blank, ", <, >, \, ^, `, {, |, }
_CLIMBS = re.compile(r"/(?:\.|%2e){1,2}(?:/|\Z)|%2f|%5c|%00", re.IGNORECASE)
_PORTS = {"http": "80", "https": "443"}
_NEVER = frozenset(("javascript", "data", "blob", "file", "vbscript", "about", "view-source"))
LONGEST = 2048


class Place(NamedTuple):
    """The parts of an address that are compared."""

    scheme: str
    host: str
    port: str
    path: str


class Redirects:
    """The rule of one site.

    Args:
        site_url: Every address with its scheme, host and port is good, and is meant by a path alone.
        urls: Others. ``https://app.example.com/welcome`` is one address, with any query;
            ``https://app.example.com/**`` is all below it; ``myapp://callback`` opens an app.

    Raises:
        ConfigError: one of them is no plain absolute URL.
    """

    def __init__(self, site_url: str, urls: Iterable[str] = ()) -> None:
        site = parse_place(site_url)
        if site is None:
            raise ConfigError(f"site_url is no plain URL: {site_url!r}", cure='such as "https://example.com"')
        self.site_url, self._site = site_url.rstrip("/"), site
        self._urls = [_rule(url) for url in urls]

    def to(self, wanted: str | None) -> str:
        """*wanted* if it is allowed, else the site's own address."""
        if not wanted:
            return self.site_url
        if wanted.startswith("/"):
            wanted = self._origin() + wanted
        return wanted if self.allows(wanted) else self.site_url

    def allows(self, wanted: str) -> bool:
        """Whether a link may lead to the absolute URL *wanted*."""
        place = parse_place(wanted)
        if place is None:
            return False
        if place[:3] == self._site[:3]:
            return True
        return any(_fits(place, rule, below) for rule, below in self._urls)

    def _origin(self) -> str:
        default = _PORTS.get(self._site.scheme)
        port = "" if self._site.port == default else f":{self._site.port}"
        return f"{self._site.scheme}://{self._site.host}{port}"


def _rule(url: str) -> tuple[Place, bool]:
    below = url.endswith(("/**", "/*"))
    place = parse_place(url.rstrip("*"))
    if place is None or "*" in place.path + place.host:
        raise ConfigError(
            f"redirect_urls holds no plain URL: {url!r}",
            cure="https://host/path for one address, https://host/** for all below it",
        )
    return place, below


def _fits(place: Place, rule: Place, below: bool) -> bool:
    if place[:3] != rule[:3]:
        return False
    return place.path.startswith(rule.path) if below else place.path == rule.path


def parse_place(url: str) -> Place | None:
    """The parts of an absolute URL in plain form; None if it is anything else."""
    if not isinstance(url, str) or len(url) > LONGEST or not _ALLOWED.fullmatch(url):
        return None
    head, slashes, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    found = _PLAIN.fullmatch(head.lower() + slashes + rest[:end].lower() + rest[end:])
    if found is None or found["scheme"] in _NEVER:
        return None
    path = found["path"] or "/"
    if _CLIMBS.search(path) or (found["scheme"] in _PORTS and (not found["host"] or ".." in found["host"])):
        return None
    if path.startswith("//"):
        return None
    port = found["port"] or _PORTS.get(found["scheme"], "")
    if port and not 0 < int(port) < 65_536:
        return None
    return Place(found["scheme"], found["host"] or "", str(int(port)) if port else "", path)


def with_query(url: str, **fields: str) -> str:
    """*url* with *fields* added to its query, in which ``:`` and ``/`` need no escape (RFC 3986 section 3.4)."""
    base, hash_, fragment = url.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{urlencode(fields, safe=':/', quote_via=quote)}{hash_}{fragment}"


def with_fragment(url: str, **fields: str) -> str:
    """*url* with *fields* as its fragment, which browsers send to nobody."""
    return f"{url.partition('#')[0]}#{urlencode(fields, quote_via=quote)}"
