"""Values between Python and SQLite, one codec for each logical type.

SQLite keeps a declared type's words and not its meaning: any value fits any column. So every
value is checked and brought to one stored form here, with PostgreSQL's own error codes, and the
storage class is checked again on the way out. Stored forms: booleans 0 and 1, timestamps
``YYYY-MM-DD HH:MM:SS[.ffffff]`` in UTC (what ``current_timestamp`` writes), numerics as an
integer or a double of at most 15 digits (where a double prints back exactly), JSON as text
with jsonb's key order, bytes as a blob.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import struct
import uuid
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from ..errors import error
from ..schema import Type

Stored = str | int | float | bytes | None
Encode = Callable[[Any], Stored]
Decode = Callable[[Any], Any]

_INT = re.compile(r"[ \t\n]*[+-]?[0-9]{1,4000}[ \t\n]*\Z")
_FLOAT = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?\s*\Z", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\Z")
_DATE = r"(\d{4})-(\d{1,2})-(\d{1,2})"
_TIME = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?"
_ZONE = r"\s*(Z|[+-]\d{1,2}(?::?\d{2})?)?"
_TIMESTAMP = re.compile(rf"\s*{_DATE}(?:[Tt ]\s*{_TIME}{_ZONE})?\s*\Z", re.ASCII | re.IGNORECASE)
_DAY = re.compile(rf"\s*{_DATE}\s*\Z", re.ASCII)
_CLOCK = re.compile(rf"\s*{_TIME}\s*\Z", re.ASCII)
_TRUE = {"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"}
_FALSE = {"f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"}
_INT_BITS = {"int2": 16, "int4": 32, "int8": 64}


class Codec(Struct, frozen=True):
    """How one column type is written, compared and read.

    Args:
        of: The logical type.
        store: Value to stored form, with the column's length, precision and scale applied.
        compare: The same for a filter, which PostgreSQL does not cut to the column's size.
        decode: Storage class to decoder, the usual class first; a decoder of None means the value is right as it is.
        comparable: Equality and order on the stored form mean what they mean in PostgreSQL.
        pattern: LIKE is defined on it.
        in_json: How a value of an ``in`` list travels, or None when the list must be refused.
    """

    of: Type
    store: Encode
    compare: Encode
    decode: Mapping[type, Decode | None]
    comparable: bool = True
    pattern: bool = False
    in_json: Callable[[Any], Any] | None = None


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _show(value: Any) -> str:
    """*value* for a message; Python itself refuses to print an integer of thousands of digits."""
    return f"{value.bit_length()} bits" if isinstance(value, int) and value.bit_length() > 300 else str(value)[:100]


def _bad(type_: Type, value: Any, code: str = "22P02") -> Exception:
    return error(code, f'invalid input syntax for type {type_}: "{_show(value)}"')


def _out_of_range(type_: Type, value: Any) -> Exception:
    return error("22003", f'value "{_show(value)}" is out of range for type {type_}')


def clean_text(value: str) -> str:
    """*value* if it can be stored as UTF-8 text without NUL, which no engine accepts."""
    if value.isascii() and "\0" not in value:
        return value
    if "\0" in value:
        raise error("22021", "a text value may not hold the character NUL (U+0000)")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise error("22021", "a text value may not hold half of a surrogate pair") from exc
    return value


# --- numbers ---


def _integer(type_: Type) -> Encode:
    bound = 1 << (_INT_BITS[type_.name] - 1)

    def slow(value: Any) -> int:
        value = _plain(value)
        if isinstance(value, str) and _INT.match(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _bad(type_, value)
        if not -bound <= value < bound:
            raise _out_of_range(type_, value)
        return int(value)

    def encode(value: Any) -> int:
        if type(value) is int and -bound <= value < bound:
            return value
        return slow(value)

    return encode


def shortest_single(value: float) -> float:
    """The shortest decimal that means the same in single precision, as PostgreSQL prints a real."""
    single = struct.unpack("<f", struct.pack("<f", value))[0]
    for digits in range(6, 10):
        short = float(f"{single:.{digits}g}")
        if struct.unpack("<f", struct.pack("<f", short))[0] == single:
            return short
    return float(single)


def _float(type_: Type) -> Encode:
    def encode(value: Any) -> float:
        value = _plain(value)
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
            raise _bad(type_, value)
        if isinstance(value, str) and not _FLOAT.match(value):
            raise _bad(type_, value)
        try:
            number = float(value)
            if not math.isfinite(number):  # SQLite stores NaN as NULL, and JSON has neither
                raise _out_of_range(type_, value)
            return shortest_single(number) if type_.name == "float4" else number
        except OverflowError as exc:
            raise _out_of_range(type_, value) from exc

    return encode


def _decimal(type_: Type, value: Any) -> Decimal:
    value = _plain(value)
    if isinstance(value, float):
        value = repr(value)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise _bad(type_, value)
    if isinstance(value, str) and not _FLOAT.match(value):
        raise _bad(type_, value)
    if isinstance(value, int) and value.bit_length() > 64:
        raise _out_of_range(type_, value)
    try:
        number = Decimal(value)
    except InvalidOperation as exc:
        raise _bad(type_, value) from exc
    if not number.is_finite():
        raise _out_of_range(type_, value)
    return number


def _numeric_form(type_: Type, number: Decimal) -> int | float:
    digits = number.normalize().as_tuple()
    if len(digits.digits) > 15 or number.adjusted() >= 15 or number.adjusted() < -15:
        if number == 0:
            return 0
        raise error(
            "22003",
            f'numeric value "{str(number)[:60]}" has more digits than SQLite keeps exactly (15)',
            hint="store it as text, or use PostgreSQL",
        )
    return int(number) if number == number.to_integral_value() else float(number)


def _numeric(type_: Type) -> tuple[Encode, Encode]:
    def compare(value: Any) -> int | float:
        return _numeric_form(type_, _decimal(type_, value))

    if not type_.args:
        return compare, compare
    precision, scale = (*type_.args, 0)[:2]
    step = Decimal(1).scaleb(-scale)

    def store(value: Any) -> int | float:
        number = _decimal(type_, value)
        if number and number.adjusted() >= precision - scale:
            raise error("22003", f'numeric field overflow: "{str(number)[:60]}" does not fit {type_}')
        number = number.quantize(step, ROUND_HALF_UP)
        if number and number.adjusted() >= precision - scale:  # 9.99 became 10.0
            raise error("22003", f'numeric field overflow: "{str(number)[:60]}" does not fit {type_}')
        return _numeric_form(type_, number)

    return store, compare


def _numeric_decoders(type_: Type) -> dict[type, Decode | None]:
    if not type_.args:
        return {int: Decimal, float: lambda value: Decimal(format(value, ".15g"))}
    step = Decimal(1).scaleb(-(type_.args[1] if len(type_.args) > 1 else 0))
    return {
        int: lambda value: Decimal(value).quantize(step),
        float: lambda value: Decimal(format(value, ".15g")).quantize(step, ROUND_HALF_UP),
    }


def _bool(type_: Type) -> Encode:
    def encode(value: Any) -> int:
        value = _plain(value)
        if value is True or value is False:
            return int(value)
        if isinstance(value, (str, int)):
            word = str(value).strip().lower()
            if word in _TRUE:
                return 1
            if word in _FALSE:
                return 0
        raise _bad(type_, value)

    return encode


_read_bool = {0: False, 1: True}.__getitem__


# --- text ---


def _text(type_: Type, limit: int | None = None) -> Encode:
    def slow(value: Any) -> str:
        value = _plain(value)
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, (int, float, Decimal, dt.date, dt.time, uuid.UUID)):
            value = value.isoformat() if isinstance(value, (dt.date, dt.time)) else str(value)
        if not isinstance(value, str):
            raise _bad(type_, value)
        value = clean_text(value)
        if limit is not None and len(value) > limit:
            if len(value.rstrip(" ")) > limit:
                raise error("22001", f"value too long for type {type_}: {len(value)} characters")
            value = value[:limit]  # PostgreSQL cuts spaces, and only spaces
        return str(value)

    def encode(value: Any) -> str:
        if type(value) is str and limit is None and value.isascii() and "\0" not in value:
            return value
        return slow(value)

    return encode


def _uuid(type_: Type) -> Encode:
    def encode(value: Any) -> str:
        value = _plain(value)
        if isinstance(value, uuid.UUID):
            return str(value)
        if isinstance(value, str):
            word = value.strip().lower()
            if word[:1] == "{" and word[-1:] == "}":
                word = word[1:-1]
            if _UUID.match(word):
                return str(uuid.UUID(word))
        raise _bad(type_, value)

    return encode


def _bytes(type_: Type) -> Encode:
    def encode(value: Any) -> bytes:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        if isinstance(value, str) and value.startswith("\\x"):
            try:
                return bytes.fromhex(value[2:])
            except ValueError:
                pass
        raise _bad(type_, value)

    return encode


# --- time ---


def _fraction(digits: str | None) -> int:
    return 0 if not digits else int(Decimal(f"0.{digits}").quantize(Decimal("0.000001"), ROUND_HALF_UP) * 1_000_000)


def _offset(zone: str | None) -> dt.timedelta:
    if not zone or zone in "zZ":
        return dt.timedelta()
    digits = zone[1:].replace(":", "")
    hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
    if hours > 15 or minutes > 59:
        raise ValueError(zone)
    return (1 if zone[0] == "+" else -1) * dt.timedelta(hours=hours, minutes=minutes)


def _parse_timestamp(type_: Type, value: str) -> tuple[dt.datetime, str | None]:
    match = _TIMESTAMP.match(value)
    if match is None:
        raise _bad(type_, value, "22007")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = dt.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        return moment + dt.timedelta(microseconds=_fraction(fraction)) - _offset(zone), zone
    except (ValueError, OverflowError) as exc:
        raise error("22008", f'date/time field value out of range: "{value[:60]}"') from exc


def timestamp_text(moment: dt.datetime) -> str:
    """The one stored form of a moment, which must be in UTC or naive."""
    text = moment.replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if moment.microsecond else text


def utc_text(moment: dt.datetime) -> str:
    """The stored form of an aware datetime."""
    try:
        return timestamp_text(moment.astimezone(dt.UTC))
    except OverflowError as exc:
        raise error("22008", "timestamp out of range") from exc


def _timestamp(type_: Type) -> Encode:
    with_zone = type_.name == "timestamptz"

    def encode(value: Any) -> str:
        value = _plain(value)
        if isinstance(value, dt.datetime):
            if (value.tzinfo is None) == with_zone:
                kind, cure = ("a naive", "datetime.now(UTC)") if with_zone else ("an aware", "timestamptz")
                raise error("22007", f"{kind} datetime does not fit type {type_}", hint=f"use {cure}")
            return utc_text(value) if with_zone else timestamp_text(value)
        if isinstance(value, dt.date):
            return f"{value.isoformat()} 00:00:00"
        if not isinstance(value, str):
            raise _bad(type_, value, "22007")
        moment, zone = _parse_timestamp(type_, value)
        if zone and not with_zone:
            raise error("22007", f"a time with an offset does not fit type {type_}", hint="use timestamptz")
        return timestamp_text(moment)

    return encode


def _read_timestamp(type_: Type) -> Decode:
    suffix = "+00:00" if type_.name == "timestamptz" else ""
    encode = _timestamp(type_)

    def decode(value: str) -> str:
        if not (
            len(value) >= 19 and value[10] == " " and value[13] == ":" and value[-1].isdigit() and "+" not in value
        ):
            value = str(encode(value))  # written by hand in another form
        return f"{value[:10]}T{value[11:]}{suffix}"

    return decode


def _date(type_: Type) -> Encode:
    def encode(value: Any) -> str:
        value = _plain(value)
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return value.isoformat()
        match = _DAY.match(value) if isinstance(value, str) else None
        if match is None:
            raise _bad(type_, value, "22007")
        try:
            return dt.date(int(match[1]), int(match[2]), int(match[3])).isoformat()
        except ValueError as exc:
            raise error("22008", f'date/time field value out of range: "{value[:60]}"') from exc

    return encode


def _time(type_: Type) -> Encode:
    def encode(value: Any) -> str:
        value = _plain(value)
        if isinstance(value, str):
            match = _CLOCK.match(value)
            if match is None:
                raise _bad(type_, value, "22007")
            try:
                value = dt.time(int(match[1]), int(match[2]), int(match[3] or 0), min(_fraction(match[4]), 999_999))
            except ValueError as exc:
                raise error("22008", f'date/time field value out of range: "{value[:60]}"') from exc
        if not isinstance(value, dt.time) or value.tzinfo is not None:
            raise _bad(type_, value, "22007")
        text = value.isoformat()
        return text.rstrip("0") if value.microsecond else text

    return encode


# --- JSON ---

_json = msgspec.json.Encoder(decimal_format="number")
_read_json = msgspec.json.decode


def _canonical(value: Any, depth: int = 0) -> Any:
    """*value* with jsonb's key order (shorter first, then by bytes) and nothing JSON cannot say."""
    if depth > 64:
        raise error("54001", "the JSON value is nested too deeply (64)", status=400)
    if isinstance(value, Mapping):
        keys = {clean_text(str(_plain(key))): _canonical(item, depth + 1) for key, item in value.items()}
        return {key: keys[key] for key in sorted(keys, key=lambda key: (len(key.encode()), key.encode()))}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_canonical(item, depth + 1) for item in value]
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, (float, Decimal)) and not math.isfinite(value):
        raise error("22P02", "JSON has no NaN and no Infinity")
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise error("22P02", "JSON has no bytes", hint="encode them, as base64 for example")
    if value is None or isinstance(value, (bool, int, float, Decimal, dt.date, dt.time, uuid.UUID, Enum)):
        return value
    return _canonical(msgspec.to_builtins(value), depth + 1)


def json_text(value: Any) -> str:
    """*value* as the JSON text that a jsonb column stores."""
    try:
        return _json.encode(_canonical(value)).decode()
    except (TypeError, ValueError, msgspec.MsgspecError) as exc:
        raise error("22P02", f"this value cannot be written as JSON: {exc}") from exc


def _json_column(type_: Type) -> Encode:
    def encode(value: Any) -> str:
        text = json_text(value)
        # A bare number in a json column is turned into INTEGER or REAL by SQLite.
        if text[0] in "-0123456789" and len(text.lstrip("-").replace(".", "")) > 15:
            raise _out_of_range(type_, text)
        return text

    return encode


def _array(type_: Type) -> Encode:
    member = codec(Type(type_.name, type_.args))

    def encode(value: Any) -> str:
        if not isinstance(value, (list, tuple)):
            raise _bad(type_, value)
        items = [None if item is None else member.store(item) for item in value]
        return json_text([_array_item(member, item) for item in items])

    return encode


def _array_item(member: Codec, stored: Stored) -> Any:
    decode = None if stored is None else member.decode[type(stored)]
    return decode(stored) if decode else stored


# --- the table of types ---

_ARRAY_MEMBERS = {"int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "uuid", "date"}


def codec(type_: Type) -> Codec:
    """The codec of *type_*; arrays are JSON text."""
    if type_.array:
        encode = _array(type_) if type_.name in _ARRAY_MEMBERS else _refuse(type_)
        return Codec(type_, encode, encode, {str: _read_json}, comparable=False)
    name = type_.name
    if name in _INT_BITS:
        encode = _integer(type_)
        return Codec(type_, encode, encode, {int: None}, in_json=_same)
    if name in ("float4", "float8"):
        encode = _float(type_)
        return Codec(type_, encode, encode, {float: None, int: float}, in_json=repr)
    if name == "numeric":
        store, compare = _numeric(type_)
        return Codec(type_, store, compare, _numeric_decoders(type_), in_json=repr)
    if name == "bool":
        encode = _bool(type_)
        return Codec(type_, encode, encode, {int: _read_bool}, in_json=_same)
    if name in ("text", "varchar"):
        compare = _text(type_)
        store = _text(type_, type_.args[0]) if type_.args else compare
        return Codec(type_, store, compare, {str: None}, pattern=True, in_json=_same)
    if name in ("timestamp", "timestamptz"):
        encode = _timestamp(type_)
        return Codec(type_, encode, encode, {str: _read_timestamp(type_)}, in_json=_same)
    if name in ("json", "jsonb"):
        encode = _json_column(type_)
        return Codec(type_, encode, encode, {str: _read_json, int: None, float: None}, comparable=False)
    if name == "bytea":
        encode = _bytes(type_)
        return Codec(type_, encode, encode, {bytes: lambda value: "\\x" + value.hex()})
    simple = {"uuid": _uuid, "date": _date, "time": _time}.get(name)
    if simple is not None:
        encode = simple(type_)
        return Codec(type_, encode, encode, {str: None}, in_json=_same)
    return Codec(
        type_, any_value, any_value,
        {int: None, float: None, str: None, bytes: lambda value: "\\x" + value.hex()},
        pattern=True, in_json=_same,
    )  # fmt: skip


def _same(value: Any) -> Any:
    return value


def _refuse(type_: Type) -> Encode:
    def encode(value: Any) -> Stored:
        raise error("PGRST127", f"arrays of type {type_} are not supported on SQLite")

    return encode


def any_value(value: Any) -> Stored:
    """The stored form of a value whose column is not known, as in ``db.sql``."""
    value = _plain(value)
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise _out_of_range(Type("int8"), value)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _out_of_range(Type("float8"), value)
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Decimal):
        return _numeric_form(Type("numeric"), _decimal(Type("numeric"), value))
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise error("22007", "a naive datetime has no place in time", hint="use datetime.now(UTC)")
        return utc_text(value)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return json_text(value)


# --- patterns ---


def glob(pattern: str, *, fold: bool = False, wire: bool = False) -> str:
    """A LIKE pattern as a GLOB pattern, since SQLite's LIKE ignores the case of ASCII and nothing else."""
    if fold:
        pattern = pattern.lower()
    out: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            letter = next(letters, "")
            if not letter:
                raise error("22025", "LIKE pattern must not end with escape character")
            out.append(f"[{letter}]" if letter in "*?[" else letter)
        elif letter == "%" or (wire and letter == "*"):
            if not out or out[-1] != "*":  # runs of * are one: GLOB would try every split of them
                out.append("*")
        elif letter == "_":
            out.append("?")
        else:
            out.append(f"[{letter}]" if letter in "*?[" else letter)
    text = "".join(out)
    if len(text.encode()) > 1_000:
        raise error("54000", "the LIKE pattern is longer than 1,000 bytes", status=400)
    return text
