"""Values between Python and PostgreSQL: text on the way in, JSON types on the way out.

Every value is sent as the text that PostgreSQL's own input function reads, so what is valid and
what the error is called is decided there, as it is behind PostgREST. Refused here is only what
Python could say and that text could not: a list for a number, a time without its zone. ``CODECS``
brings the driver's answers to the JSON types of the builder, the forms that PostgreSQL's own
``to_json`` writes; a number that is not finite becomes text there too.
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from ..errors import error
from ..schema import Type
from .values import _bad, _bytes, _out_of_range, clean_text, json_text

Write = Callable[[Any], str | None]
_DIGITS = 4_000  # Python itself refuses to print an integer of more than 4,300


def writer(type_: Type, wire: bool = False) -> Write:
    """The function that turns a value for a column of *type_* into text; None stays None.

    Args:
        wire: The value is text in PostgreSQL's own spelling already.
    """
    if wire:
        return _nullable(_wired)
    if type_.array:
        return _nullable(_array(type_))
    if type_.name in ("json", "jsonb"):
        return _nullable(json_text)
    return _nullable(_scalar(type_))


def _wired(value: Any) -> str:
    return clean_text(value) if isinstance(value, str) else _text(Type("text"), value)


def any_text(value: Any) -> str | None:
    """*value* for a place that takes text, whatever it is."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if value is None or isinstance(value, (str, int, float, Decimal, dt.date, dt.time, dt.timedelta, uuid.UUID, Enum)):
        return writer(Type("text"))(value)
    return json_text(value)


def _nullable(write: Callable[[Any], str]) -> Write:
    return lambda value: None if value is None else write(value)


def _scalar(type_: Type) -> Callable[[Any], str]:
    name = type_.name
    if name == "bytea":
        to_bytes = _bytes(type_)
        return lambda value: "\\x" + to_bytes(value).hex()  # type: ignore[union-attr]
    moment = name in ("timestamptz", "timestamp", "date", "time", "timetz")

    def write(value: Any) -> str:
        if type(value) is str:
            return value if value.isascii() and "\0" not in value else clean_text(value)
        if type(value) is int and value.bit_length() < 64:  # most keys; longer ones have a limit
            return str(value)
        if isinstance(value, Enum):
            return write(value.value)
        if moment and isinstance(value, (dt.datetime, dt.time)):
            return _moment(type_, value)
        if moment and name == "time" and isinstance(value, dt.date):
            raise _bad(type_, value, "22007")
        return _text(type_, value)

    return write


def _text(type_: Type, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if value.bit_length() > 3 * _DIGITS:
            raise _out_of_range(type_, value)
        return str(value)
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            raise _out_of_range(type_, value)
        return repr(value) if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return clean_text(str(value))
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, dt.timedelta) and type_.name in ("interval", "text"):
        return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    if isinstance(value, uuid.UUID):
        return str(value)
    raise _bad(type_, value)


def _moment(type_: Type, value: dt.datetime | dt.time) -> str:
    whole, aware = isinstance(value, dt.datetime), value.tzinfo is not None
    if whole != type_.name.startswith("timestamp"):
        raise _bad(type_, value, "22007")
    if aware != type_.name.endswith("tz"):
        kind = "an aware" if aware else "a naive"
        raise error(
            "22007", f"{kind} {'datetime' if whole else 'time'} does not fit type {type_}",
            hint="use timestamptz" if aware else "use datetime.now(UTC)",
        )  # fmt: skip
    return value.isoformat()


def _array(type_: Type) -> Callable[[Any], str]:
    member = writer(Type(type_.name, type_.args, read=type_.read))

    def literal(value: list[Any] | tuple[Any, ...], depth: int) -> str:
        if depth > 6:  # PostgreSQL's own limit
            raise error("54000", "an array has at most 6 dimensions", status=400)
        return "{" + ",".join(each(item, depth) for item in value) + "}"

    def each(item: Any, depth: int) -> str:
        if isinstance(item, (list, tuple)) and type_.name not in ("json", "jsonb"):
            return literal(item, depth + 1)
        text = member(item)
        return "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def write(value: Any) -> str:
        if not isinstance(value, (list, tuple)):
            raise _bad(type_, value)
        return literal(value, 1)

    return write


def members(type_: Type, limit: int, wire: bool = False) -> Callable[[Any], list[str | None]]:
    """The function that turns the list of an ``in`` into texts, at most *limit* of them."""
    write = writer(type_, wire)

    def encode(value: Any) -> list[str | None]:
        if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
            raise error("22P02", f"in_ takes a list of values, not {type(value).__name__}")
        items = list(value)
        if len(items) > limit:
            raise error("54000", f"more than {limit} values in one list", status=400)
        if None in items:
            raise error("22004", "None in a list matches nothing in SQL", hint='add an or_ with (column, "is", None)')
        return [write(item) for item in items]

    return encode


def patterns(wire: bool, limit: int) -> Callable[[Any], list[str]]:
    """:func:`pattern` for a list of them."""
    each = pattern(wire)

    def encode(value: Any) -> list[str]:
        if not isinstance(value, (list, tuple)) or len(value) > limit:
            raise error("22P02", f"this takes a list of up to {limit} patterns")
        return [each(item) for item in value]

    return encode


def pattern(wire: bool) -> Callable[[Any], str]:
    """The function that makes a LIKE pattern of a value; from the *wire*, ``*`` is a wildcard too."""

    def encode(value: Any) -> str:
        if not isinstance(value, str):
            raise error("22P02", f"a LIKE pattern is text, not {type(value).__name__}")
        text = clean_text(value)
        if wire:
            text = text.replace("*", "%")
        if (len(text) - len(text.rstrip("\\"))) % 2:
            raise error("22025", "LIKE pattern must not end with escape character")
        if len(text.encode()) > 1_000:
            raise error("54000", "the LIKE pattern is longer than 1,000 bytes", status=400)
        return text

    return encode


def row_text(
    rows: Sequence[tuple[Any, ...]], names: tuple[str, ...], writers: tuple[Write, ...], raw: frozenset[int]
) -> str:
    """Rows as the JSON that ``json_populate_recordset`` reads.

    Args:
        raw: The places of json columns, whose text is already JSON; any other text is a string in it.
    """
    return msgspec.json.encode(
        [
            {
                name: msgspec.Raw(text.encode()) if place in raw and text is not None else text
                for place, (name, text) in enumerate(zip(names, _texts(row, writers), strict=True))
            }
            for row in rows
        ]
    ).decode()


def _texts(row: tuple[Any, ...], writers: tuple[Write, ...]) -> list[str | None]:
    return [write(value) for write, value in zip(writers, row, strict=True)]


# --- on the way out ---


def _moment_out(text: str) -> str:
    """``2026-01-02 03:04:05.6+00`` as ISO 8601; ``infinity`` and a year BC are what they are."""
    if len(text) < 19 or text[10] != " ":
        day, space, rest = text.partition(" ")
        if not space or rest == "BC":
            return text
        text = f"{day}T{rest}"  # a year of more than four digits
    else:
        text = f"{text[:10]}T{text[11:]}"
    body, space, era = text.partition(" ")
    if body[-3] in "+-":
        body += ":00"
    return body + space + era


def _time_out(text: str) -> str:
    return text + ":00" if text[-3] in "+-" else text


def _float_out(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def numeric(text: str) -> Decimal | str:
    """A numeric as PostgreSQL prints it."""
    return Decimal(text) if text[-1].isdigit() else text  # NaN and Infinity are not JSON


def _same(text: str) -> str:
    return text


def _sent(value: Any) -> str:
    """Values are text by the time the driver has them, unless somebody uses its connection directly."""
    return value if isinstance(value, str) else str(value)


DECODE: dict[str, Callable[[str], Any]] = {
    "timestamptz": _moment_out, "timestamp": _moment_out, "timetz": _time_out, "time": _same, "date": _same,
    "interval": _same, "uuid": _same, "bytea": _same, "float4": _float_out, "float8": _float_out,
    "numeric": numeric, "json": msgspec.json.decode, "jsonb": msgspec.json.decode,
    # What the driver would make objects of.
    **dict.fromkeys(
        ("inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "point", "line", "lseg", "box", "path", "polygon",
         "circle", "tid"),
        _same,
    ),
}  # fmt: skip


async def use_json_types(connection: Any) -> None:
    """Make *connection* answer in JSON types, numerics as Decimal; costs no round trip."""
    for name, decode in DECODE.items():
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_sent, decoder=decode, format="text")
