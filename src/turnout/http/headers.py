"""Header fields: an ordered list of (name, value) pairs seen as a multimap.

Follows the Headers interface of the Fetch standard in snake_case
(https://fetch.spec.whatwg.org/#headers-class). Names are lower-cased once, on the way in;
values are kept as received, white space around them stripped. Parsing values (cookies,
media types) is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

# RFC 9110 §5.6.2 token, and §5.5 field-value without the control characters (obs-text is latin-1).
_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


def check_name(name: str) -> str:
    """Return *name* in lower case, or raise TypeError when it is not a token (RFC 9110 §5.1)."""
    if not isinstance(name, str) or not _is_token(name):
        raise TypeError(f"invalid header name {name!r}: use letters, digits and hyphens")
    return name.lower()


def check_value(name: str, value: str) -> str:
    """Return *value* without white space around it, or raise TypeError when it could break out of its line."""
    if not isinstance(value, str):
        raise TypeError(f"header {name!r} needs a str, not {type(value).__name__}")
    value = value.strip(" \t")
    if not _is_value(value):
        raise TypeError(f"invalid value for header {name!r}: it holds a control or non-latin-1 character")
    return value


class Headers:
    """An ordered, case-insensitive multimap of header fields.

    Args:
        init: A mapping, or pairs in order; equal names stay separate.

    Raises:
        TypeError: a name is not a token, or a value holds a control character.
    """

    __slots__ = ("_pairs", "_raw")

    def __init__(self, init: Headers | Mapping[str, str] | Iterable[tuple[str, str]] | None = None) -> None:
        self._raw: list[tuple[bytes, bytes]] | None = None
        self._pairs: list[tuple[str, str]] | None = []
        if init is not None:
            pairs = init.items() if isinstance(init, (Headers, Mapping)) else init
            for name, value in pairs:
                self.append(name, value)

    @classmethod
    def from_raw(cls, raw: list[tuple[bytes, bytes]]) -> Headers:
        """Wrap fields that a door's parser has already checked; nothing is decoded until asked for."""
        headers = cls.__new__(cls)
        headers._raw, headers._pairs = raw, None
        return headers

    def copy(self) -> Headers:
        """The same fields, to be changed by themselves."""
        headers = Headers.__new__(Headers)
        headers._raw, headers._pairs = None, self._decoded().copy()
        return headers

    @classmethod
    def from_checked(cls, pairs: list[tuple[str, str]]) -> Headers:
        """Wrap fields of our own, which need no check: names in lower case, values without control characters."""
        headers = cls.__new__(cls)
        headers._raw, headers._pairs = None, pairs
        return headers

    def _decoded(self) -> list[tuple[str, str]]:
        pairs = self._pairs
        if pairs is None:
            raw = self._raw or []
            pairs = self._pairs = [
                (name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")) for name, value in raw
            ]
        return pairs

    def get(self, name: str, default: str | None = None) -> str | None:
        """Every value of *name* joined by ``", "``, as Fetch does, or *default*."""
        name = name.lower()
        values = [value for key, value in self._decoded() if key == name]
        if not values:
            return default
        return values[0] if len(values) == 1 else ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        """Every value of *name*, in order."""
        name = name.lower()
        return [value for key, value in self._decoded() if key == name]

    def get_set_cookie(self) -> list[str]:
        """Every ``Set-Cookie`` value; they must never be joined (RFC 9110 §5.3)."""
        return self.get_all("set-cookie")

    def has(self, name: str) -> bool:
        """Whether there is a field of that name."""
        name = name.lower()
        return any(key == name for key, _ in self._decoded())

    def set(self, name: str, value: str) -> None:
        """Put *value* in the place of the first field of that name, and drop the others."""
        name, value = check_name(name), check_value(name, value)
        pairs, kept, found = self._decoded(), [], False
        for pair in pairs:
            if pair[0] != name:
                kept.append(pair)
            elif not found:
                kept.append((name, value))
                found = True
        if not found:
            kept.append((name, value))
        self._pairs = kept

    def append(self, name: str, value: str) -> None:
        """Add a field after the others, also beside one of the same name."""
        self._decoded().append((check_name(name), check_value(name, value)))

    def delete(self, name: str) -> None:
        """Drop every field of that name; no error when there is none."""
        name = check_name(name)
        self._pairs = [pair for pair in self._decoded() if pair[0] != name]

    def items(self) -> list[tuple[str, str]]:
        """The fields as (lower-case name, value) pairs, in order."""
        return list(self._decoded())

    def keys(self) -> list[str]:
        """The lower-case names, in order, each once."""
        return list(dict.fromkeys(key for key, _ in self._decoded()))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __len__(self) -> int:
        return len(self._decoded())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._decoded() == other._decoded()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Values may be credentials, so only the names are shown.
        return f"Headers({', '.join(self.keys())})"


class RawFields(list[tuple[bytes, bytes]]):
    """Header fields as our own server received them; a client that repeats its fields has the same list each time.

    Attributes:
        asks: What the cache read in them, so that it need not again.
    """

    asks: tuple[bool, str | None] | None = None


class FixedHeaders(Headers):
    """Headers that many responses have: nobody changes them, so their bytes are made once (``guard.fix``).

    Args:
        body: The one body they come with, if it is always the same; ``compress`` then keeps its smaller forms here.
    """

    __slots__ = ("block", "body", "forms")

    def __init__(self, headers: Headers, block: bytes, body: bytes | None = None) -> None:
        self._raw, self._pairs = None, headers.items()  # fields of ours, checked when they were set
        self.block, self.body = block, body
        self.forms: dict[str | None, tuple[bytes, FixedHeaders]] = {}  # by coding
