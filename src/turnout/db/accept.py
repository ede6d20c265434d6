"""What a client of the wire wants its answer to be: the ``Accept`` header to one of a few kinds.

The vendor types are PostgREST's: ``application/vnd.pgrst.object+json`` is exactly one row,
``;nulls=stripped`` leaves out what is null, ``application/vnd.pgrst.plan`` is EXPLAIN.

Source: https://docs.postgrest.org/en/stable/references/api/media_type_handlers.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from msgspec import Struct

from ..http.media import MediaType, accepted
from .errors import error

_JSON = "application/json; charset=utf-8"
_SHORT = 300  # characters; longer values are not worth remembering
_PLAN_OPTIONS = ("analyze", "verbose", "settings", "buffers", "wal")


class Wanted(Struct, frozen=True):
    """The kind of answer.

    Args:
        type: Its Content-Type.
        kind: What is asked for.
        strip: Leave out what is null.
        explain: The options of EXPLAIN, when it is the plan that is asked for.
    """

    type: str = _JSON
    kind: Literal["array", "object", "csv"] = "array"
    strip: bool = False
    explain: tuple[str, ...] = ()


JSON = Wanted()


def parse_accept(value: str | None, plans: bool = False) -> Wanted:
    """The best kind that *value* accepts and we have, or PGRST107.

    Args:
        plans: EXPLAIN may be asked for.
    """
    if not value:
        return JSON
    return _known(value, plans) if len(value) <= _SHORT else _parse(value, plans)


@lru_cache(maxsize=256)
def _known(value: str, plans: bool) -> Wanted:
    return _parse(value, plans)


def _parse(value: str, plans: bool) -> Wanted:
    ranges = accepted(value.replace("options=;", ""))  # sent by supabase-js, and no parameter by the grammar
    for media in ranges:
        found = _wanted(media, plans)
        if found is not None:
            return found
    if not ranges:
        return JSON
    raise error("PGRST107", f"None of these media types are available: {value[:200]}")


def _wanted(media: MediaType, plans: bool) -> Wanted | None:
    strip = media.params.get("nulls") == "stripped"
    match media.essence:
        case "*/*" | "application/*" | "application/json":
            return JSON
        case "application/vnd.pgrst.array+json" | "application/vnd.pgrst.array":
            return Wanted(_vendor("array", strip), "array", strip)
        case "application/vnd.pgrst.object+json" | "application/vnd.pgrst.object":
            return Wanted(_vendor("object", strip), "object", strip)
        case "text/csv" | "text/*":
            return Wanted("text/csv; charset=utf-8", "csv")
        case "application/vnd.pgrst.plan" | "application/vnd.pgrst.plan+text" | "application/vnd.pgrst.plan+json":
            return _plan(media) if plans else None
    return None


def _vendor(kind: str, strip: bool) -> str:
    return f"application/vnd.pgrst.{kind}+json{';nulls=stripped' if strip else ''}; charset=utf-8"


def _plan(media: MediaType) -> Wanted:
    written = "json" if media.subtype.endswith("+json") else "text"
    asked = media.params.get("options", "").split("|")
    options = (*(option for option in _PLAN_OPTIONS if option in asked), f"format {written}")
    kind: Literal["array", "object"] = "object" if "vnd.pgrst.object" in media.params.get("for", "") else "array"
    return Wanted(f"application/vnd.pgrst.plan+{written}; charset=utf-8", kind, explain=options)
