"""Raw rows to dicts: one set of typed decoders for top-level columns and for embedded ones.

A row of SQLite's comes as a tuple. An embedded relation is one column of it, a JSON array of raw
values (or an array of those), in which what JSON cannot say travels as text: a float by 17
digits, bytes by hex. ``travel`` writes that SQL, ``Nest`` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from ...errors import DbError
from ..errors import error
from ..plan import EmbedPlan, Output
from ..schema import Column, Type
from .unpack import unpacker
from .values import Codec, Decode, Stored, codec

Binder = tuple[int, Callable[[Any], Stored]]
_Spread = tuple[object, tuple[str, ...]]
_MISFITS = (ValueError, ArithmeticError, LookupError, DbError)  # what a decoder raises for a value that is not its own


class Read(Struct, frozen=True):
    """A column of the answer: its name (an object of its own, where it is spread), its origin, its decoders."""

    name: Any
    origin: str
    codec: Codec


def read(name: str, column: Column | None) -> Read:
    """A column as it is stored; None for one whose type is not known."""
    if column is None:
        return Read(name, name, codec(Type("unknown")))
    return Read(name, f"{column.table}.{column.name}", codec(column.type))


def read_output(output: Output) -> Read:
    """An output of a plan."""
    origin = f"{output.column.table}.{output.column.name}"
    kind = codec(output.type)
    if output.aggregate in ("sum", "avg") and output.result is None and output.type.name == "numeric":
        kind = Codec(output.type, kind.store, kind.compare, {str: Decimal})  # it may be longer than a stored one
    return Read(output.name, origin, kind)


class Compiled:
    """A statement ready to run, and how its rows are read.

    Args:
        sql: The text; the same object for every execution, so the driver's own cache hits.
        binders: Slot and encoder of each ``?``, in order.
        outputs: How each column is read; None for a statement that gives no rows.
        embeds: The relations in the columns after those.
        one: The caller wants one row; several are an error.
        count_sql: A select's second statement, for the total; its binders are those of *counted*.
        most: The slot of the greatest number of rows it may touch, or -1.
    """

    __slots__ = (
        "_known", "_reads", "_spreads", "_unpack", "binders", "count_sql", "counted", "most", "names", "one", "plain",
        "reads", "returns", "slow_until", "sql",
    )  # fmt: skip

    def __init__(
        self,
        sql: str,
        binders: Sequence[Binder],
        outputs: Sequence[Read] | None,
        *,
        reads: bool,
        embeds: Sequence[EmbedPlan] = (),
        one: bool = False,
        count_sql: str | None = None,
        counted: slice = slice(0),
        most: int = -1,
    ) -> None:
        self.sql, self.binders, self.reads, self.one = sql, tuple(binders), reads, one
        self.count_sql, self.counted, self.most = count_sql, counted, most
        self.returns = outputs is not None
        self.plain = reads and count_sql is None  # one statement, and its rows are the answer
        self._reads = (*(outputs or ()), *(_read_embed(embed) for embed in embeds))
        self._spreads = _spreads(self._reads, embeds)
        self.names = tuple(each.name for each in self._reads)
        self._unpack = None if self._spreads else unpacker(self.names, [each.codec.decode for each in self._reads])
        # The storage classes of a row seen before -> the columns that need decoding. Looking a
        # whole row up at once makes checking every value cheaper.
        self._known: dict[tuple[type, ...], tuple[tuple[Any, Decode, str], ...]] = {}
        self.slow_until = 0.0  # a monotonic time: until then this one runs on a thread

    def bind(self, slots: Sequence[Any]) -> list[Stored]:
        """The stored form of every value, or DbError 22xxx."""
        return [encode(slots[slot]) for slot, encode in self.binders]

    def decode(self, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Raw rows to dicts of JSON types, or XX001 where a stored value does not fit its column."""
        try:
            made = self._unpack(rows) if self._unpack is not None else None
        except _MISFITS:
            made = None  # what is wrong, and where, is said below
        return [self._row(row) for row in rows] if made is None else made

    def _row(self, row: tuple[Any, ...]) -> dict[str, Any]:
        """One row, by the storage classes that it has."""
        fixes = self._known.get(tuple(map(type, row)))
        if fixes is None:
            fixes = self._learn(row)
        item = dict(zip(self.names, row))  # noqa: B905  (as long as each other; strict= costs a tenth)
        for name, decode, origin in fixes:
            try:
                item[name] = decode(item[name])
            except _MISFITS as exc:
                if isinstance(exc, DbError) and exc.code == "XX001":
                    raise  # it names the column inside an embedded relation
                raise _corrupt(origin, item[name]) from exc
        if self._spreads:
            _spread(item, self._spreads)
        return item

    def _learn(self, row: tuple[Any, ...]) -> tuple[tuple[Any, Decode, str], ...]:
        fixes, classes = [], tuple(map(type, row))
        for each, kind in zip(self._reads, classes, strict=True):
            if kind is type(None):
                continue
            if kind not in each.codec.decode:
                raise _corrupt(each.origin, kind.__name__, str(each.codec.of))
            decode = each.codec.decode[kind]
            if decode is not None:
                fixes.append((each.name, decode, each.origin))
        if len(self._known) >= 256:  # which columns are NULL makes 2^n classes
            self._known.clear()
        self._known[classes] = tuple(fixes)
        return self._known[classes]


def _corrupt(origin: str, found: Any, wanted: str = "the column's type") -> DbError:
    return error(
        "XX001", f"a stored value of {origin} is not {wanted}: {str(found)[:60]!r}",
        hint="something other than this library wrote it; mend the row",
    )  # fmt: skip


def _spreads(reads: Sequence[Read], embeds: Sequence[EmbedPlan]) -> tuple[_Spread, ...]:
    named = reads[len(reads) - len(embeds) :]
    return tuple((each.name, embed.names) for each, embed in zip(named, embeds, strict=True) if embed.spread)


def _spread(item: dict[Any, Any], spreads: tuple[_Spread, ...]) -> None:
    for key, names in spreads:
        item.update(item.pop(key) or dict.fromkeys(names))


def _read_embed(embed: EmbedPlan) -> Read:
    nest = Nest(embed)
    kind = Codec(Type("json"), _never, _never, {str: nest.text})
    return Read(object() if embed.spread else embed.name, embed.name, kind)


def _never(value: Any) -> Stored:
    raise TypeError("an embedded relation is only read")


class Nest:
    """Reads the rows of one embedded relation."""

    __slots__ = ("_columns", "_embeds", "_many", "_spreads")

    def __init__(self, embed: EmbedPlan) -> None:
        query = embed.query
        self._many = embed.many
        self._columns = [(each, _inside(each.codec)) for each in map(read_output, query.outputs)]
        self._embeds = [(_read_embed(inner), Nest(inner)) for inner in query.embeds]
        self._spreads = _spreads([each for each, _ in self._embeds], query.embeds)

    def text(self, text: str) -> Any:
        """A column's JSON text to a list of dicts, or to one dict."""
        return self.value(msgspec.json.decode(text))

    def value(self, found: Any) -> Any:
        """The same of JSON that has been parsed; None is no row."""
        if self._many:
            return [self._row(row) for row in found]
        return None if found is None else self._row(found)

    def _row(self, chunks: list[list[Any]]) -> dict[str, Any]:
        row = [value for chunk in chunks for value in chunk]
        item: dict[Any, Any] = {}
        for (each, decoders), value in zip(self._columns, row):  # noqa: B905  (the embedded ones follow)
            if value is None:
                item[each.name] = None
                continue
            if type(value) not in decoders:
                raise _corrupt(each.origin, type(value).__name__, str(each.codec.of))
            decode = decoders[type(value)]
            try:
                item[each.name] = value if decode is None else decode(value)
            except _MISFITS as exc:
                raise _corrupt(each.origin, value) from exc
        for (each, nest), value in zip(self._embeds, row[len(self._columns) :], strict=True):
            item[each.name] = nest.value(value)
        if self._spreads:
            _spread(item, self._spreads)
        return item


_CHUNK = 100  # SQLite's functions take 127 arguments


def json_row(reads: Sequence[Read], alias: str, embeds: int) -> str:
    """The JSON array of the columns ``c0, c1, …`` of *alias*, the last *embeds* of which are JSON already."""
    items = [travel(each.codec, f"{alias}.c{at}") for at, each in enumerate(reads)]
    items += [f"json({alias}.c{at})" for at in range(len(reads), len(reads) + embeds)]
    chunks = [f"json_array({', '.join(items[at : at + _CHUNK])})" for at in range(0, len(items), _CHUNK)]
    return f"json_array({', '.join(chunks)})"


def travel(kind: Codec, column: str) -> str:
    """SQL for a raw value within JSON; a column name, since it is written several times."""
    if str in kind.decode and bytes in kind.decode:  # a column of no known type
        raw = f"case typeof({column}) when 'real' then printf('%!.17g', {column}) when 'blob' then hex({column})"
        return f"case when {column} is not null then json_array(typeof({column}), {raw} else {column} end) end"
    if float in kind.decode:
        return f"case typeof({column}) when 'real' then printf('%!.17g', {column}) else {column} end"
    if bytes in kind.decode:
        return f"case typeof({column}) when 'blob' then hex({column}) else {column} end"
    return column


def _inside(kind: Codec) -> Mapping[type, Decode | None]:
    """The decoders of what ``travel`` wrote, by the type that JSON gives."""
    if str in kind.decode and bytes in kind.decode:
        return {list: lambda pair: _untyped(kind, *pair)}
    found = dict(kind.decode)
    if float in found and str not in found:
        found[str] = _then(float, found[float])
    if bytes in found:
        found[str] = _then(bytes.fromhex, found[bytes])
    return found


def _then(first: Callable[[Any], Any], second: Decode | None) -> Decode:
    return first if second is None else lambda value: second(first(value))


def _untyped(kind: Codec, storage: str, value: Any) -> Any:
    if storage == "real":
        return float(value)
    return value if storage != "blob" else _then(bytes.fromhex, kind.decode[bytes])(value)
