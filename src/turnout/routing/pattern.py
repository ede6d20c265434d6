"""The grammar of a route: folder names to segments.

``posts`` is static, ``[id]`` one segment, ``[...rest]`` one or more, ``[[...rest]]`` zero or
more, and ``(group)`` no segment at all, as in the Next.js app router. Percent escapes in a
static name are decoded once, as in a request path, so ``%5Fnew`` is the URL ``/_new`` and
``%5Bid%5D`` is a literal ``[id]``. Which folders are private is the scanner's business.
"""

from __future__ import annotations

import keyword
import re
from typing import Literal
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from ..errors import ConfigError

Kind = Literal["static", "param", "rest", "optional_rest"]

# Handler parameters that the framework fills by these names.
RESERVED = ("request", "params", "body", "query")

_FRAMES = {"static": "{}", "param": "[{}]", "rest": "[...{}]", "optional_rest": "[[...{}]]"}
_escape = re.compile(r"%[0-9A-Fa-f]{2}")
_shape = re.compile(r"\[\[\.\.\.([^\[\]]*)\]\]|\[\.\.\.([^\[\]]*)\]|\[([^\[\]]*)\]")


class Segment(Struct, frozen=True):
    """One place in a route: the decoded text of a static one, the slug of the others."""

    kind: Kind
    name: str

    @property
    def text(self) -> str:
        """The folder name that ``parse_segment`` reads as this segment."""
        return _FRAMES[self.kind].format(_quote(self.name) if self.kind == "static" else self.name)


class Pattern(Struct, frozen=True):
    """The whole path of a route, root first."""

    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read a pattern back from its ``text``."""
        found = [parse_segment(part) for part in text.split("/") if part]
        return cls(tuple(segment for segment in found if segment is not None))

    @property
    def text(self) -> str:
        """The pattern as people write it: ``/api/posts/[id]``; no two patterns share a text."""
        return "/" + "/".join(segment.text for segment in self.segments)

    @property
    def slugs(self) -> tuple[str, ...]:
        """The names of the path parameters, in path order."""
        return tuple(segment.name for segment in self.segments if segment.kind != "static")


def parse_segment(folder_name: str) -> Segment | None:
    """Read one folder name; None for a ``(group)``, which has no place in the URL.

    Raises:
        ConfigError: malformed brackets, a slug that cannot name a parameter, or a static
            name that no request path can hold. It carries no file: the caller knows it.
    """
    if folder_name.startswith("(") or (folder_name.endswith(")") and "(" not in folder_name):
        _check_group(folder_name)
        return None
    if "[" not in folder_name and "]" not in folder_name:
        return Segment("static", _parse_static(folder_name))
    found = _shape.fullmatch(folder_name)
    if found is None:
        raise ConfigError(
            f"The brackets in the folder name {folder_name!r} are malformed",
            cure="write [x], [...x] or [[...x]] as the whole name, or %5B and %5D for literal brackets",
        )
    optional, rest, single = found.groups()
    if optional is not None:
        return Segment("optional_rest", _parse_slug(optional, folder_name))
    if rest is not None:
        return Segment("rest", _parse_slug(rest, folder_name))
    return Segment("param", _parse_slug(single, folder_name))


def _check_group(folder_name: str) -> None:
    inner = folder_name[1:-1]
    if len(folder_name) < 3 or not folder_name.startswith("(") or not folder_name.endswith(")") or set("()") & {*inner}:
        raise ConfigError(
            f"The parentheses in the folder name {folder_name!r} are malformed",
            cure="write (group) as the whole name, or %28 and %29 for literal parentheses",
        )


def _parse_slug(slug: str, folder_name: str) -> str:
    if not slug.isascii():
        import unicodedata  # here: a table of a megabyte that few projects need

        # Python reads identifiers in this form, so a handler's parameter has it too.
        slug = unicodedata.normalize("NFKC", slug)
    if not slug.isidentifier() or keyword.iskeyword(slug):
        raise ConfigError(
            f"The slug {slug!r} in the folder name {folder_name!r} cannot name a parameter",
            cure="a slug becomes a parameter of the handler, so it must be a Python identifier, like [post_id]",
        )
    if slug in RESERVED:
        raise ConfigError(
            f"The slug {slug!r} in the folder name {folder_name!r} is the name of another parameter",
            cure=f"choose another slug, such as [{slug}_id]: {', '.join(RESERVED)} are filled by the framework",
        )
    return slug


def _parse_static(folder_name: str) -> str:
    try:
        raw = unquote_to_bytes(folder_name) if _escape.search(folder_name) else folder_name.encode()
        name = raw.decode()
    except UnicodeError:
        raise ConfigError(
            f"The folder name {folder_name!r} is not UTF-8",
            cure="write the characters themselves, or their UTF-8 bytes as %XX",
        ) from None
    if not name or name in (".", "..") or "\\" in name or "\0" in name:
        raise ConfigError(
            f"No request path can hold the folder name {folder_name!r}",
            cure="leave out backslashes, NUL, and names of one or two dots: such paths are answered with 400",
        )
    return name


def _quote(name: str) -> str:
    special = "%[]/"
    if name.startswith("(") or name.endswith(")"):
        special += "()"
    return "".join(f"%{ord(letter):02X}" if letter in special else letter for letter in name)
