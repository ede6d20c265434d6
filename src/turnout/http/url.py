"""URL and URLSearchParams of the URL standard (https://url.spec.whatwg.org/) in snake_case.

Parsing a URL is left to the ``ada-url`` binding (extra ``[url]``), loaded when first needed. The URL of a
request needs none: ``URL.from_parts`` puts together what the door and the guard have already checked, and
never parses it again, so a hostile ``Host`` cannot move the border between host and path. Query strings
are read and written here, without the binding. Decoding a path is not done here: see ``path.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

from ..errors import BadRequest, ConfigError, HTTPError

V = TypeVar("V")

MAX_QUERY_FIELDS = 1000
_SHORT = 500  # characters of a query

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
# All but the special-query percent-encode set: control, blank, non-ASCII and " # < > '.
_raw_query = re.compile(r"[!$-&(-;=?-~]*").fullmatch
_raw_field = re.compile(r"[A-Za-z0-9*\-._]*").fullmatch
_empty_fields = re.compile(r"&&+")
# application/x-www-form-urlencoded percent-encode set: all but these, and a space is "+".
_FIELD_BYTES = [chr(byte) if _raw_field(chr(byte)) else "+" if byte == 32 else f"%{byte:02X}" for byte in range(256)]


class Multimap(Generic[V]):
    """An ordered list of (name, value) pairs, seen as a map with several values a name."""

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        self._pairs: list[tuple[str, V]] = []

    def get(self, name: str, default: V | None = None) -> V | None:
        """The first value of *name*, or *default*."""
        for key, value in self._pairs:
            if key == name:
                return value
        return default

    def get_all(self, name: str) -> list[V]:
        """Every value of *name*, in order."""
        return [value for key, value in self._pairs if key == name]

    def has(self, name: str, value: V | None = None) -> bool:
        """Whether *name* is there; with *value*, whether that very pair is."""
        return any(key == name and (value is None or held == value) for key, held in self._pairs)

    def keys(self) -> Iterator[str]:
        """The names in order, repeated ones too."""
        return iter([key for key, _ in self._pairs])

    def values(self) -> Iterator[V]:
        """The values in order."""
        return iter([value for _, value in self._pairs])

    def items(self) -> Iterator[tuple[str, V]]:
        """The pairs in order."""
        return iter(list(self._pairs))

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self.items()

    def __len__(self) -> int:
        return len(self._pairs)

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._pairs == other._pairs

    __hash__ = None  # type: ignore[assignment]

    def _put(self, name: str, value: V) -> None:
        """Put *value* in the place of the first pair of that name, and drop the others."""
        kept: list[tuple[str, V]] = []
        found = False
        for pair in self._pairs:
            if pair[0] != name:
                kept.append(pair)
            elif not found:
                kept.append((name, value))
                found = True
        if not found:
            kept.append((name, value))
        self._pairs = kept

    def _drop(self, name: str, value: V | None = None) -> None:
        self._pairs = [(k, v) for k, v in self._pairs if k != name or (value is not None and v != value)]


class URLSearchParams(Multimap[str]):
    """The fields of a query string, in order.

    Only ``&`` separates, ``+`` is a space, and bytes that are not UTF-8 become U+FFFD. Numbers and
    booleans are written as JavaScript does (``True`` is ``true``). Those of a URL are live both ways:
    changing them changes its ``search``, and setting its ``search`` changes them.

    Args:
        init: A query with or without its ``?``, a mapping, or pairs.

    Raises:
        TypeError: an item of *init* is not a pair, or a name or value is not text, a number or a bool.
    """

    __slots__ = ("_changed",)

    def __init__(self, init: str | Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        self._changed: Callable[[str], None] | None = None
        if init is None:
            return
        if isinstance(init, str):
            self._pairs = parse_fields(_to_usv(init.removeprefix("?")))
            return
        for pair in init.items() if isinstance(init, Mapping) else init:
            if isinstance(pair, str) or len(pair) != 2:
                raise TypeError(f"URLSearchParams takes pairs of a name and a value, not {pair!r}")
            self._pairs.append((_to_text(pair[0]), _to_text(pair[1])))

    @classmethod
    def from_query(cls, query: str, max_fields: int = MAX_QUERY_FIELDS) -> URLSearchParams:
        """Read the query of a request, without its ``?``.

        Raises:
            BadRequest: it has more than *max_fields* fields.
        """
        params = cls()
        if query:
            params._pairs = parse_fields(query, max_fields)
        return params

    @property
    def size(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def set(self, name: str, value: Any) -> None:
        """Put *value* in the place of the first pair of that name, and drop the others."""
        self._put(_to_text(name), _to_text(value))
        self._update()

    def append(self, name: str, value: Any) -> None:
        """Add a pair at the end."""
        self._pairs.append((_to_text(name), _to_text(value)))
        self._update()

    def delete(self, name: str, value: str | None = None) -> None:
        """Drop every pair of that name; with *value*, only those equal to it."""
        self._drop(name, value)
        self._update()

    def sort(self) -> None:
        """Sort by name, in UTF-16 code units as the standard has it; equal names keep their order."""
        self._pairs.sort(key=lambda pair: pair[0].encode("utf-16-be"))
        self._update()

    def __str__(self) -> str:
        return "&".join([f"{_quote_field(name)}={_quote_field(value)}" for name, value in self._pairs])

    def __repr__(self) -> str:
        return f"URLSearchParams({str(self)!r})"

    def _update(self) -> None:
        if self._changed is not None:
            self._changed(str(self))


def parse_fields(
    text: str, max_fields: int | None = None, too_many: type[HTTPError] = BadRequest
) -> list[tuple[str, str]]:
    """Split and decode ``application/x-www-form-urlencoded`` *text*, which holds no lone surrogate.

    Raises:
        HTTPError: *too_many*, when there are more than *max_fields* fields; empty ones do not count.
    """
    if max_fields is not None and text.count("&") >= max_fields:
        # Counted before anything is split: a megabyte of "&" would be a list of a million strings.
        text = _empty_fields.sub("&", text).strip("&")
        if text.count("&") >= max_fields and text:
            raise too_many(f"More than {max_fields} fields", code="too_many_fields")
    if "+" in text:
        text = text.replace("+", " ")
    pairs = []
    if "%" in text:
        for field in text.split("&"):
            if field:
                name, _, value = field.partition("=")
                pairs.append((_percent_decode(name), _percent_decode(value)))
    else:
        for field in text.split("&"):
            if field:
                name, _, value = field.partition("=")
                pairs.append((name, value))
    return pairs


def flat_fields(text: str, max_fields: int) -> dict[str, str] | None:
    """The fields of *text* by name, where it is short, has no escapes and has no name twice; None elsewhere."""
    if not text:
        return {}
    if "%" in text or "+" in text or len(text) > _SHORT:
        return None
    if "&" not in text and max_fields >= 1:
        name, _, value = text.partition("=")
        return {name: value}
    flat: dict[str, str] = {}
    for field in text.split("&"):
        name, _, value = field.partition("=")
        if name in flat or not field:
            return None
        flat[name] = value
    return flat if len(flat) <= max_fields else None


def _percent_decode(text: str) -> str:
    return unquote(text, errors="replace") if "%" in text else text


def _quote_field(text: str) -> str:
    return text if _raw_field(text) else "".join([_FIELD_BYTES[byte] for byte in text.encode()])


def _to_text(value: object) -> str:
    if isinstance(value, str):
        return _to_usv(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise TypeError(f"a query parameter is text, a number or a bool, not {type(value).__name__}; convert it with str()")


def _to_usv(text: str) -> str:
    """Replace lone surrogates by U+FFFD, as converting to a Web IDL USVString does."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class URL:
    """A URL as the standard parses it: ``URL("../b?c=1", "https://example.com/x/a")``.

    Every part can be read; all but ``origin`` and ``search_params`` can be set. As in the standard a part
    that cannot be set to a value keeps what it had; only a bad ``href`` raises.

    Raises:
        TypeError: *href*, resolved against *base*, is not a URL.
    """

    __slots__ = ("_params", "_parts", "_record")

    def __init__(self, href: str | URL, base: str | URL | None = None) -> None:
        self._parts: tuple[str, str, str, str] | None = None
        self._params: URLSearchParams | None = None
        self._record: Any = _parse(str(href), None if base is None else str(base))

    @classmethod
    def from_parts(cls, scheme: str, host: str, path: str, query: str) -> URL:
        """Put a URL together from checked parts, without parsing and without the binding.

        Args:
            scheme: ``http`` or ``https``.
            host: Host and optional port, validated by the guard.
            path: The canonical, percent-encoded path, from ``/`` on.
            query: The raw query without its ``?``.
        """
        url = cls.__new__(cls)
        url._parts, url._params, url._record = (scheme, host, path, query), None, None
        return url

    @staticmethod
    def can_parse(href: str | URL, base: str | URL | None = None) -> bool:
        """Whether ``URL(href, base)`` would succeed."""
        try:
            _parse(str(href), None if base is None else str(base))
        except TypeError:
            return False
        return True

    @property
    def href(self) -> str:
        """The whole URL."""
        if self._parts is None:
            return str(self._record.href)
        scheme, _, path, _ = self._parts
        return f"{scheme}://{self.host}{path}{self.search}"

    @href.setter
    def href(self, value: str) -> None:
        self._record, self._parts = _parse(value, None), None
        self._refresh()

    @property
    def origin(self) -> str:
        """Scheme, host and port, or ``null`` where the standard has an opaque origin."""
        if self._parts is None:
            return str(self._record.origin)
        return f"{self._parts[0]}://{self.host}"

    @property
    def protocol(self) -> str:
        """The scheme and ``:``."""
        return f"{self._parts[0]}:" if self._parts is not None else str(self._record.protocol)

    @protocol.setter
    def protocol(self, value: str) -> None:
        self._assign("protocol", value)

    @property
    def username(self) -> str:
        """The percent-encoded user name."""
        return "" if self._parts is not None else str(self._record.username)

    @username.setter
    def username(self, value: str) -> None:
        self._assign("username", value)

    @property
    def password(self) -> str:
        """The percent-encoded password."""
        return "" if self._parts is not None else str(self._record.password)

    @password.setter
    def password(self, value: str) -> None:
        self._assign("password", value)

    @property
    def host(self) -> str:
        """Host name and port; the scheme's own port is left out."""
        if self._parts is None:
            return str(self._record.host)
        name, port = _split_host(*self._parts[:2])
        return f"{name}:{port}" if port else name

    @host.setter
    def host(self, value: str) -> None:
        self._assign("host", value)

    @property
    def hostname(self) -> str:
        """The host without its port; an IPv6 address keeps its brackets."""
        return _split_host(*self._parts[:2])[0] if self._parts is not None else str(self._record.hostname)

    @hostname.setter
    def hostname(self, value: str) -> None:
        self._assign("hostname", value)

    @property
    def port(self) -> str:
        """The port, or the empty string for the scheme's own."""
        return _split_host(*self._parts[:2])[1] if self._parts is not None else str(self._record.port)

    @port.setter
    def port(self, value: str) -> None:
        self._assign("port", value)

    @property
    def pathname(self) -> str:
        """The percent-encoded path."""
        return self._parts[2] if self._parts is not None else str(self._record.pathname)

    @pathname.setter
    def pathname(self, value: str) -> None:
        self._assign("pathname", value)

    @property
    def search(self) -> str:
        """``?`` and the raw query, or the empty string."""
        if self._parts is None:
            return str(self._record.search)
        query = self._parts[3]
        return f"?{_quote_query(query)}" if query else ""

    @search.setter
    def search(self, value: str) -> None:
        self._assign("search", value)
        self._refresh()

    @property
    def hash(self) -> str:
        """``#`` and the fragment, or the empty string."""
        return "" if self._parts is not None else str(self._record.hash)

    @hash.setter
    def hash(self, value: str) -> None:
        self._assign("hash", value)

    @property
    def search_params(self) -> URLSearchParams:
        """The query's fields, live both ways.

        Raises:
            BadRequest: the URL of a request has over 1,000 of them.
        """
        if self._params is None:
            if self._parts is not None:
                self._params = URLSearchParams.from_query(self._parts[3])
            else:
                self._params = URLSearchParams(self.search)
            self._params._changed = self._take_query
        return self._params

    def __str__(self) -> str:
        return self.href

    def __repr__(self) -> str:
        return f"URL({self.href!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, URL) and self.href == other.href

    __hash__ = None  # type: ignore[assignment]  # it can change

    def _assign(self, part: str, value: str) -> None:
        if self._parts is not None:
            self._record, self._parts = _parse(self.href, None), None
        try:
            setattr(self._record, part, _to_usv(value))
        except ValueError:  # the binding's word for "left as it was", which the standard does in silence
            pass

    def _take_query(self, query: str) -> None:
        if self._parts is not None:
            self._parts = (*self._parts[:3], query)
        else:
            self._record.search = query

    def _refresh(self) -> None:
        if self._params is not None:
            self._params._pairs = parse_fields(self.search.removeprefix("?"))


def _parse(href: str, base: str | None) -> Any:
    try:
        from ada_url import URL as Record
    except ImportError:
        raise ConfigError("URL() needs the ada-url binding", cure='pip install "turnout[url]"') from None
    try:
        return Record(_to_usv(href), None if base is None else _to_usv(base))
    except ValueError:
        relative_to = "" if base is None else f" relative to {base!r}"
        raise TypeError(f"{href!r} is not a valid URL{relative_to}") from None


def _split_host(scheme: str, host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host.lower(), ""
    return name.lower(), "" if port == _DEFAULT_PORTS.get(scheme) else port


def _quote_query(query: str) -> str:
    """Write what the standard does not leave raw in a query as %XX, so both kinds of URL read alike."""
    if _raw_query(query):
        return query
    return "".join([c if _raw_query(c) else "".join(f"%{byte:02X}" for byte in c.encode()) for c in query])
