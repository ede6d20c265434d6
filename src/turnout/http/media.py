"""Media types, and what a client accepts.

Follows RFC 9110 §8.3.1 (media types, quoted parameters included) and §12.5.1 (Accept). A media type
that does not follow the grammar is None, never a guess: the body of a request is read by its type.
Choosing a language, charset or coding is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r"""(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"""
_type = re.compile(rf"[ \t]*({_TOKEN})/({_TOKEN})").match
# A lone ";" is allowed: parameters = *( OWS ";" OWS [ parameter ] ).
_parameter = re.compile(rf"""[ \t]*;[ \t]*(?:({_TOKEN})=(?:({_TOKEN})|"({_QUOTED})"))?""").match
_blank = re.compile(r"[ \t]*").match
_unquote = re.compile(r"\\(.)").sub
_is_weight = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?").fullmatch


class MediaType(NamedTuple):
    """A media type: type, subtype and parameter names in lower case, parameter values as sent."""

    type: str
    subtype: str
    params: dict[str, str]

    @property
    def essence(self) -> str:
        """``type/subtype``, without parameters."""
        return f"{self.type}/{self.subtype}"


def parse_media_type(value: str | None) -> MediaType | None:
    """Read one media type; None when there is none, or more than one, or it breaks the grammar."""
    if not value:
        return None
    media, end = _scan(value, 0)
    return media if media is not None and _blank(value, end).end() == len(value) else None  # type: ignore[union-attr]


def is_json(value: str | None) -> bool:
    """Whether *value* is ``application/json`` or has the ``+json`` suffix, whatever its parameters."""
    if value == "application/json":
        return True
    media = parse_media_type(value)
    return media is not None and (media.essence == "application/json" or media.subtype.endswith("+json"))


def negotiate(accept: str | None, offers: Sequence[str]) -> str | None:
    """Choose the offer that the client likes best, the first of equals; None when it accepts none of them.

    Args:
        accept: The ``Accept`` value; without one, or without a readable range in it, everything is accepted.
        offers: Media types that the server can send, best first.
    """
    ranges = list(_ranges(accept or ""))
    if not ranges:
        return offers[0] if offers else None
    best, best_weight = None, 0.0
    for offer in offers:
        media = parse_media_type(offer)
        if media is None:
            raise ValueError(f"cannot offer {offer!r}: it is not a media type")
        weight = _weight(media, ranges)
        if weight > best_weight:
            best, best_weight = offer, weight
    return best


def accepted(accept: str | None) -> list[MediaType]:
    """What a client accepts, best first, without weights; what has the weight 0 is left out."""
    ranges = sorted(_ranges(accept or ""), key=lambda each: -each[1])
    return [media for media, weight in ranges if weight > 0]


def _scan(value: str, start: int) -> tuple[MediaType | None, int]:
    """Read a media type at *start*; the index after it, or None and *start*."""
    head = _type(value, start)
    if head is None:
        return None, start
    params: dict[str, str] = {}
    end = head.end()
    while (parameter := _parameter(value, end)) is not None:
        end = parameter.end()
        name, token, quoted = parameter.groups()
        if name is not None:
            params.setdefault(name.lower(), token if token is not None else _unquote(r"\1", quoted))
    return MediaType(head[1].lower(), head[2].lower(), params), end


def _ranges(accept: str) -> Iterator[tuple[MediaType, float]]:
    """The readable media ranges of an Accept value with their weights; an unreadable one is passed over."""
    start = 0
    while start < len(accept):
        media, end = _scan(accept, start)
        end = _blank(accept, end).end()  # type: ignore[union-attr]
        readable = media is not None and (end == len(accept) or accept[end] == ",")
        if readable and media is not None:
            weight = media.params.pop("q", "1")
            if _is_weight(weight):
                yield media, float(weight)
        else:
            # To the next comma, even inside quotes: where the grammar is broken, quotes mean nothing.
            end = accept.find(",", end)
        start = end + 1 if end >= 0 else len(accept)


def _weight(offer: MediaType, ranges: list[tuple[MediaType, float]]) -> float:
    """The weight of the most specific range that covers *offer* (§12.5.1); 0 when none does."""
    best, weight = -1, 0.0
    for media, value in ranges:
        if media.type == "*" and media.subtype == "*":
            rank = 0
        elif media.type != offer.type or media.subtype not in ("*", offer.subtype):
            continue
        elif media.subtype == "*":
            rank = 1
        elif media.params.items() <= offer.params.items():
            rank = 2 + len(media.params)
        else:
            continue
        if rank > best:
            best, weight = rank, value
    return weight
