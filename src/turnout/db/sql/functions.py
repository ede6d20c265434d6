"""What SQLite's statements call that SQLite lacks: casts, exact sums, JSON as PostgreSQL writes it.

Each is registered on every connection. They work on stored forms (``values.py``), and a value
that PostgreSQL would refuse is refused with its code: an exception cannot cross SQLite, so it
waits in ``errors.crossing`` until the statement has failed.
"""

from __future__ import annotations

import json
import math
import sqlite3
import struct
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from functools import cache
from typing import Any

from ..errors import crossing, error, not_supported
from ..schema import Type, parse_type
from .values import Stored, codec, shortest_single

Function = Callable[[Any], Stored]
_WHOLE = ("int2", "int4", "int8")
_FLOATS = ("float4", "float8")
_PLAIN_TEXT = ("text", "varchar", "uuid", "date", "time", "timestamp")
_EXACT = Context(prec=4_000)


# --- JSON ---


def jsonb_text(value: Any) -> str:
    """*value* as PostgreSQL prints jsonb: a space after ``:`` and ``,``, short keys first, numbers in full."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: (len(pair[0].encode()), pair[0].encode()))
        return (
            "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {jsonb_text(item)}" for key, item in pairs) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(jsonb_text, value)) + "]"
    if isinstance(value, Decimal):
        if not -20_000 < value.adjusted() < 140_000:  # the bounds of numeric; "f" would write every zero
            raise error("22003", "a number in the JSON value is out of range for type numeric")
        return format(value, "f")
    return json.dumps(value, ensure_ascii=False)


def _parse(stored: Any) -> Any:
    if not isinstance(stored, str):
        return Decimal(repr(stored)) if isinstance(stored, float) else stored
    try:
        return json.loads(stored, parse_float=Decimal)
    except ValueError as exc:
        raise error("22P02", "invalid input syntax for type json") from exc


def json_scalar(stored: Any) -> str | None:
    """What ``->>`` gives of JSON text: a string without quotes, NULL for null, else jsonb's text."""
    if stored is None:
        return None
    value = _parse(stored)
    return None if value is None else value if isinstance(value, str) else jsonb_text(value)


def json_key(stored: Any) -> str | None:
    """A text that two JSON values share exactly when jsonb's ``=`` finds them equal."""
    return None if stored is None else jsonb_text(_normal(_parse(stored)))


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, Decimal):
        return _EXACT.normalize(value) if value else 0
    return value


def json_literal(text: Any) -> Any:
    """The JSON value that *text* from the wire spells."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise error("22P02", f'invalid input syntax for type json: "{text[:60]}"') from exc


def _no_constant(word: str) -> Any:
    raise ValueError(word)


# --- casts ---


def float_text(value: float, digits: int) -> str:
    """PostgreSQL's shortest text of a float: an exponent below 1e-4 and from 10^digits."""
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, figures))
    point = len(text) + exponent - 1
    if value and not -4 <= point < digits:
        text = text[0] + ("." + text[1:] if len(text) > 1 else "") + f"e{'-' if point < 0 else '+'}{abs(point):02d}"
    else:
        text = format(Decimal((0, figures, exponent)), "f")
    return "-" + text if sign else text


def check_cast(source: Type, target: Type) -> None:
    """Raise unless ``cast_value`` can make *target* of *source* as PostgreSQL does."""
    if _converter(str(source), str(target)) is not None:
        return
    if "json" in (source.name, target.name) or source.array or source.name == "unknown":
        raise not_supported(f"a cast from {source} to {target}")
    raise error("42846", f"cannot cast type {source} to {target}")


@cache
def _converter(source_text: str, target_text: str) -> Function | None:
    source, target = parse_type(source_text), parse_type(target_text)
    if source is None or target is None or source.array or target.array or "json" in (source.name, target.name):
        return None
    from_, to = source.name, target.name
    if from_ == to:
        return _same
    if to in ("text", "varchar"):
        return _to_text(source)
    if from_ in ("text", "varchar"):
        return _from_json_text if to == "jsonb" else codec(target).compare
    if from_ in (*_WHOLE, *_FLOATS, "numeric") and to in (*_WHOLE, *_FLOATS, "numeric"):
        return _number(source, target)
    if (from_, to) == ("bool", "int4"):
        return _same
    if (from_, to) == ("int4", "bool"):
        return lambda value: int(value != 0)
    if from_ == "jsonb":
        return _from_jsonb(target)
    return _time(from_, to)


def _same(value: Any) -> Stored:
    return value  # type: ignore[no-any-return]


def _to_text(source: Type) -> Function | None:
    name, decode = source.name, codec(source).decode
    if name in _PLAIN_TEXT:
        return _same
    if name in _FLOATS:
        digits = 15 if name == "float8" else 6
        return lambda value: float_text(float(value), digits)
    if name == "numeric":
        return lambda value: format(_decimal(source, value), "f")
    if name == "jsonb":
        return lambda value: jsonb_text(_parse(value))
    simple: dict[str, Function] = {
        "bool": lambda value: "true" if value else "false",
        "timestamptz": lambda value: f"{value}+00",
        "bytea": lambda value: str(decode[bytes](value)),  # type: ignore[misc]
    }
    return str if name in _WHOLE else simple.get(name)


def _decimal(source: Type, value: Any) -> Decimal:
    """A stored numeric, or the text of a sum."""
    if isinstance(value, str):
        return Decimal(value)
    decode = codec(source).decode[type(value)]
    return Decimal(value) if decode is None else Decimal(decode(value))


def _number(source: Type, target: Type) -> Function:
    store = codec(target).store

    def convert(value: Any) -> Stored:
        if source.name == "numeric":
            value = _decimal(source, value)
        elif (source.name, target.name) == ("float4", "float8"):
            value = _single(value)  # a real is stored by its shortest text, and is not quite that
        elif target.name == "numeric" and source.name in _FLOATS:
            value = format(value, ".15g" if source.name == "float8" else ".6g")
        if target.name in _WHOLE and not isinstance(value, int):
            exact = value if isinstance(value, Decimal) else Decimal(value)
            way = ROUND_HALF_UP if source.name == "numeric" else ROUND_HALF_EVEN
            value = int(exact.to_integral_value(way))
        return store(value)

    return convert


def _from_json_text(value: Any) -> Stored:
    parsed = _parse(value)
    return codec(Type("jsonb")).store(parsed)


def _from_jsonb(target: Type) -> Function | None:
    if target.name not in (*_WHOLE, *_FLOATS, "numeric", "bool"):
        return None
    store = codec(target).store

    def convert(stored: Any) -> Stored:
        value = _parse(stored)
        if value is None:
            return None
        if isinstance(value, bool) != (target.name == "bool") or not isinstance(value, (bool, int, Decimal)):
            kind = {str: "string", bool: "boolean", list: "array", dict: "object"}.get(type(value), "numeric")
            raise error("22023", f"cannot cast jsonb {kind} to type {target}")
        if target.name in _WHOLE:
            value = int(Decimal(value).to_integral_value(ROUND_HALF_UP))
        return store(value)

    return convert


def _time(source: str, target: str) -> Function | None:
    moment = ("timestamp", "timestamptz")
    if source in moment and target in moment:
        return _same
    if source in moment and target == "date":
        return lambda value: str(value)[:10]
    if source in moment and target == "time":
        return lambda value: str(value)[11:]
    if source == "date" and target in moment:
        return lambda value: f"{value} 00:00:00"
    return None


def cast_value(value: Any, source: str, target: str) -> Stored:
    """A stored value of type *source* as one of type *target*."""
    convert = _converter(source, target)
    assert convert is not None  # check_cast has seen it
    return None if value is None else convert(value)


# --- sums ---


def divide(total: Decimal, count: int) -> Decimal:
    """*total* / *count* with as many digits as PostgreSQL's numeric division gives.

    Source: select_div_scale in https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/numeric.c
    """
    weight, first = _base_10000(total)
    count_weight, count_first = _base_10000(Decimal(count))
    quotient = weight - count_weight - (1 if first <= count_first else 0)
    exponent = total.as_tuple().exponent
    assert isinstance(exponent, int)
    scale = min(max(16 - quotient * 4, -exponent, 0), 1000)
    with localcontext(_EXACT):
        return (total / count).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)


def _base_10000(number: Decimal) -> tuple[int, int]:
    """The exponent and value of the first digit of *number* to the base 10,000."""
    if not number:
        return 0, 0
    weight = number.adjusted() // 4
    return weight, int(abs(number).scaleb(-4 * weight))


@cache
def _numeric(type_text: str) -> Type:
    return parse_type(type_text) or Type("numeric")


class _Exact:
    """sum() of bigint or numeric, as text, since it may be longer than a stored numeric."""

    def __init__(self) -> None:
        self.total, self.count = Decimal(0), 0

    def step(self, value: Any, type_text: str) -> None:
        if value is not None:
            number = Decimal(value) if isinstance(value, int) else _decimal(_numeric(type_text), value)
            self.total, self.count = _EXACT.add(self.total, number), self.count + 1

    def finalize(self) -> str | None:
        return format(self.total, "f") if self.count else None


class _Average(_Exact):
    """avg() of integers or numerics."""

    def finalize(self) -> str | None:
        return format(divide(self.total, self.count), "f") if self.count else None


def _single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


class _Float:
    """sum() of floats in the order they come, as PostgreSQL adds them up."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def step(self, value: Any, type_text: str) -> None:
        if value is not None:
            self.count += 1
            self.total += value

    def finalize(self) -> float | None:
        if not math.isfinite(self.total):
            raise error("22003", "value out of range: overflow")
        return self.total if self.count else None


class _Single(_Float):
    """sum() of reals, each step in single precision."""

    def step(self, value: Any, type_text: str) -> None:
        if value is not None:
            self.count += 1
            self.total = _single(self.total + _single(value))

    def finalize(self) -> float | None:
        return shortest_single(self.total) if self.count else None


class _FloatAverage(_Float):
    """avg() of floats, in double precision whatever theirs is."""

    def step(self, value: Any, type_text: str) -> None:
        if value is not None:
            self.count += 1
            self.total += _single(value) if type_text == "float4" else value

    def finalize(self) -> float | None:
        return self.total / self.count if self.count else None


def _crossing(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except OverflowError as exc:  # which the driver would take for a text too long
            crossing.exc = error("22003", "value out of range: overflow")
            raise crossing.exc from exc
        except Exception as exc:
            crossing.exc = exc
            raise

    return call


def _crossing_steps(made: Callable[[], Any]) -> Callable[[], Any]:
    def make() -> Any:
        found = made()
        found.step, found.finalize = _crossing(found.step), _crossing(found.finalize)
        return found

    return make


def register(connection: sqlite3.Connection) -> None:
    """Make every function known to *connection*."""
    for name, count, function in (
        ("turnout_cast", 3, cast_value),
        ("turnout_json_text", 1, json_scalar),
        ("turnout_json_key", 1, json_key),
    ):
        connection.create_function(name, count, _crossing(function), deterministic=True)
    aggregates: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("turnout_sum", _Exact),
        ("turnout_avg", _Average),
        ("turnout_sum_float8", _Float),
        ("turnout_sum_float4", _Single),
        ("turnout_avg_float8", _FloatAverage),
        ("turnout_avg_float4", _FloatAverage),
    )
    for name, made in aggregates:
        connection.create_aggregate(name, 2, _crossing_steps(made))
