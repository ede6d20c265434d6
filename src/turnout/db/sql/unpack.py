"""Tuples to dicts, for the common numbers of columns: as quick as Python can when every value is of its column's class.

``dict(zip(names, row))`` and a look-up of the classes in a row take as long as SQLite takes to find
the rows; a comprehension that has a variable for each column takes a third of that. So there is one
for each width up to eight, as ``routing.bind`` has one coroutine for each common shape of handler.
A wider row, or one with a value of an unforeseen class, is the business of ``rows``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = tuple[Any, ...]
Dicts = list[dict[Any, Any]]
Decode = Callable[[Any], Any]
Decoders = Mapping[type, Decode | None]  # by class, the usual one first; None: a value is right as it is

# fmt: off
_MAKERS: dict[int, Callable[..., Callable[[list[Row]], Dicts]]] = {
    1: lambda n1, k1: lambda rows: [
        {n1: a} for a, in rows
        if a.__class__ in k1
    ],
    2: lambda n1, n2, k1, k2: lambda rows: [
        {n1: a, n2: b} for a, b in rows
        if a.__class__ in k1 and b.__class__ in k2
    ],
    3: lambda n1, n2, n3, k1, k2, k3: lambda rows: [
        {n1: a, n2: b, n3: c} for a, b, c in rows
        if a.__class__ in k1 and b.__class__ in k2 and c.__class__ in k3
    ],
    4: lambda n1, n2, n3, n4, k1, k2, k3, k4: lambda rows: [
        {n1: a, n2: b, n3: c, n4: d} for a, b, c, d in rows
        if a.__class__ in k1 and b.__class__ in k2 and c.__class__ in k3 and d.__class__ in k4
    ],
    5: lambda n1, n2, n3, n4, n5, k1, k2, k3, k4, k5: lambda rows: [
        {n1: a, n2: b, n3: c, n4: d, n5: e} for a, b, c, d, e in rows
        if a.__class__ in k1 and b.__class__ in k2 and c.__class__ in k3 and d.__class__ in k4
        and e.__class__ in k5
    ],
    6: lambda n1, n2, n3, n4, n5, n6, k1, k2, k3, k4, k5, k6: lambda rows: [
        {n1: a, n2: b, n3: c, n4: d, n5: e, n6: f} for a, b, c, d, e, f in rows
        if a.__class__ in k1 and b.__class__ in k2 and c.__class__ in k3 and d.__class__ in k4
        and e.__class__ in k5 and f.__class__ in k6
    ],
    7: lambda n1, n2, n3, n4, n5, n6, n7, k1, k2, k3, k4, k5, k6, k7: lambda rows: [
        {n1: a, n2: b, n3: c, n4: d, n5: e, n6: f, n7: g} for a, b, c, d, e, f, g in rows
        if a.__class__ in k1 and b.__class__ in k2 and c.__class__ in k3 and d.__class__ in k4
        and e.__class__ in k5 and f.__class__ in k6 and g.__class__ in k7
    ],
    8: lambda n1, n2, n3, n4, n5, n6, n7, n8, k1, k2, k3, k4, k5, k6, k7, k8: lambda rows: [
        {n1: a, n2: b, n3: c, n4: d, n5: e, n6: f, n7: g, n8: h} for a, b, c, d, e, f, g, h in rows
        if a.__class__ in k1 and b.__class__ in k2 and c.__class__ in k3 and d.__class__ in k4
        and e.__class__ in k5 and f.__class__ in k6 and g.__class__ in k7 and h.__class__ in k8
    ],
}
# fmt: on


def unpacker(names: Sequence[Any], columns: Sequence[Decoders]) -> Callable[[list[Row]], Dicts | None] | None:
    """A function that makes dicts of raw rows, or gives None where they need a closer look; or no function.

    Args:
        names: The keys of each dict.
        columns: How the values of each column are decoded. A decoder may raise.
    """
    make = _MAKERS.get(len(names))
    if make is None:
        return None
    readings = [_reading(decoders) for decoders in columns]
    plain = make(*names, *(kinds for kinds, _ in readings))
    fixes = tuple((name, decode) for name, (_, decode) in zip(names, readings, strict=True) if decode is not None)

    def unpack(rows: list[Row]) -> Dicts | None:
        made = plain(rows)
        if len(made) != len(rows):
            return None
        for name, decode in fixes:
            for item in made:
                value = item[name]
                if value is not None:
                    item[name] = decode(value)
        return made

    return unpack


def _reading(decoders: Decoders) -> tuple[tuple[type, ...], Decode | None]:
    """The classes that a column usually has, and one decoder for them all."""
    usual = next(iter(decoders.values()))
    if usual is None:
        return (*(kind for kind, decode in decoders.items() if decode is None), type(None)), None
    if len(decoders) == 1:
        return (*decoders, type(None)), usual
    table = {kind: decode or _same for kind, decode in decoders.items()}
    return (*table, type(None)), lambda value: table[value.__class__](value)


def _same(value: Any) -> Any:
    return value
