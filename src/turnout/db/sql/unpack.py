"""Tuples to dicts by a function made for their columns, in place of a loop over the values of each row.

``dict(zip(names, row))`` and a look at the class of every value cost more than SQLite takes for the
rows; a comprehension that names its columns costs a third of that. Its text depends on how many
columns there are and on the form of each, and on nothing else: names and decoders are arguments,
so nothing that comes from outside is ever in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

Row = tuple[Any, ...]
Dicts = list[dict[Any, Any]]
Decoders = Mapping[type, Callable[[Any], Any] | None]
Unpack = Callable[[list[Row], Callable[[Row], dict[Any, Any]]], Dicts]

MOST_COLUMNS = 64  # the text of one function stays short; wider rows are few
_ONE, _SOME, _DECODED, _MIXED = range(4)
_CONDITIONS = {
    _ONE: "(v{n}.__class__ is k{n} or v{n} is None)",
    _SOME: "v{n}.__class__ in k{n}",
    _DECODED: "(v{n}.__class__ is k{n} or v{n} is None)",
    _MIXED: "v{n}.__class__ in k{n}",
}
_VALUES = {_ONE: "v{n}", _SOME: "v{n}", _DECODED: "None if v{n} is None else d{n}(v{n})", _MIXED: "d{n}(v{n})"}
_FUNCTION = """\
def bind({arguments}):
    def unpack(rows, other):
        return [{{{items}}} if {conditions} else other(({values},)) for {values}, in rows]
    return unpack
"""


def unpacker(names: Sequence[Any], columns: Sequence[Decoders]) -> Unpack:
    """A function of raw rows, and of what makes a dict of a row with a value of an unforeseen class.

    Args:
        names: The keys of each dict.
        columns: The decoders of each column, by the class of its values; the usual class first.
    """
    if not 0 < len(names) <= MOST_COLUMNS:
        return _one_by_one
    readings = [_reading(decoders) for decoders in columns]
    bind = _bound(tuple(form for form, _, _ in readings))
    unpack: Unpack = bind(*names, *(kinds for _, kinds, _ in readings), *(decode for _, _, decode in readings))
    return unpack


def _one_by_one(rows: list[Row], other: Callable[[Row], dict[Any, Any]]) -> Dicts:
    return [other(row) for row in rows]


def _reading(decoders: Decoders) -> tuple[int, Any, Any]:
    """The form of a column, the class or classes that it is good for, and its decoder."""
    usual, decode = next(iter(decoders.items()))
    if decode is None:
        plain = [kind for kind, found in decoders.items() if found is None]
        return (_ONE, usual, None) if len(plain) == 1 else (_SOME, frozenset((*plain, type(None))), None)
    if len(decoders) == 1:
        return _DECODED, usual, decode
    table = {type(None): _same, **{kind: found or _same for kind, found in decoders.items()}}
    return _MIXED, table, lambda value: table[value.__class__](value)


def _same(value: Any) -> Any:
    return value


@lru_cache(maxsize=256)
def _bound(forms: tuple[int, ...]) -> Callable[..., Unpack]:
    columns = range(len(forms))
    text = _FUNCTION.format(
        arguments=", ".join(f"{letter}{n}" for letter in "nkd" for n in columns),
        items=", ".join(f"n{n}: {_VALUES[form].format(n=n)}" for n, form in enumerate(forms)),
        conditions=" and ".join(_CONDITIONS[form].format(n=n) for n, form in enumerate(forms)),
        values=", ".join(f"v{n}" for n in columns),
    )
    found: dict[str, Any] = {}
    exec(compile(text, "<turnout.db.sql.unpack>", "exec"), found)
    bind: Callable[..., Unpack] = found["bind"]
    return bind
