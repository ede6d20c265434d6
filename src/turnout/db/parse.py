"""Text in PostgREST's grammar to AST: select lists, filters, orders, whole query strings.

The same grammar that Supabase's builders put on the wire
(https://docs.postgrest.org/en/stable/references/api/tables_views.html). Values come out as
text, beside the tree; the column's type decides later what the text means. Malformed text is
``PGRST100``, never a guess: where PostgREST takes a broken quoted value as it stands, or leaves
out a limit that is no number, this refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, Literal, NoReturn, TypeVar, cast

from msgspec import Struct, field
from msgspec.structs import replace

from ..errors import DbError
from .ast import (
    AGGREGATES,
    IS_WORDS,
    OPS,
    QUANTIFIED,
    TEXT_SEARCH,
    Aggregate,
    Column,
    Cond,
    Count,
    Embed,
    Is,
    Item,
    Logic,
    Op,
    Order,
    Path,
    Quantifier,
    Select,
    Star,
)  # fmt: skip
from .errors import error

SHORT = {"cs": "contains", "cd": "contained_by", "ov": "overlaps"}
WIRE_OPS = (OPS - set(SHORT.values())) | set(SHORT)
_WORD = r"[^\W][\w$]*|\$[\w$]+"
_NAME = re.compile(rf'(?:{_WORD})(?:(?:-(?!>)|\ +)(?:[\w$]+))*|"((?:[^"\\]|\\.)*)"', re.DOTALL)
_KEY = re.compile(r'"((?:[^"\\]|\\.)*)"|(?:[^-(:.,>)"!]|-(?!>))+', re.DOTALL)
_INDEX = re.compile(r"-?\d{1,9}(?=\s*(?:->|::|[.,)]|\Z))", re.ASCII)
_OPERATOR = re.compile(r"([a-z]+)(?:\(([A-Za-z0-9_]{1,63})\))?\.")
_DEPTH, _STEPS = 20, 20
_SHORT = 300  # characters
T = TypeVar("T")


def _remembered(parse: Callable[[str], T]) -> Callable[[str], T]:
    """*parse* with its last results; long texts are parsed anew, as what they become would fill the memory."""
    kept = lru_cache(maxsize=300)(parse)
    return wraps(parse)(lambda text: kept(text) if len(text) <= _SHORT else parse(text))


class _Text:
    """A cursor over the text."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
            self.at += 1

    def sees(self, token: str) -> bool:
        self.skip()
        return self.text.startswith(token, self.at)

    def take(self, token: str) -> bool:
        if self.sees(token):
            self.at += len(token)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def name(self) -> str:
        self.skip()
        match = self.match(_NAME)
        if match is None:
            self.fail("a name")
        return _unquoted(match)

    def until(self, stops: str) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in stops:
            self.at += 1
        return self.text[start : self.at]

    def rest(self) -> str:
        return self.until("")

    def done(self) -> bool:
        self.skip()
        return self.at >= len(self.text)

    def end(self) -> None:
        if not self.done():
            self.fail("the end")

    def need(self, token: str) -> None:
        if not self.take(token):
            self.fail(f"{token!r}")

    def fail(self, wanted: str) -> NoReturn:
        found = self.text[self.at : self.at + 20] or "the end"
        raise error("PGRST100", f"failed to parse {self.text[:200]!r}: expected {wanted} at {self.at}, found {found!r}")


def _unquoted(match: re.Match[str]) -> str:
    return match[0].strip() if match[1] is None else re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL)


# --- names and paths ---


def parse_path(text: str) -> Path:
    """``column`` or ``column->key->>key``."""
    reader = _Text(text)
    path = _path(reader)
    reader.end()
    return path


@_remembered
def parse_place(text: str) -> tuple[tuple[str, ...], Path]:
    """``relation.relation.column->key``: the embedded relations, and the path in the last."""
    reader = _Text(text)
    names = [reader.name()]
    while reader.take("."):
        names.append(reader.name())
    if len(names) > _DEPTH:
        raise error("54001", "the relations are nested too deeply", status=400)
    path = _steps(reader, names[-1])
    reader.end()
    return tuple(names[:-1]), path


@_remembered
def parse_names(text: str) -> tuple[str, ...]:
    """``a,"b c"``: the names of ``columns`` and ``on_conflict``."""
    reader = _Text(text)
    names = [reader.name()]
    while reader.take(","):
        names.append(reader.name())
    reader.end()
    return tuple(names)


def _path(reader: _Text) -> Path:
    return _steps(reader, reader.name())


def _steps(reader: _Text, column: str) -> Path:
    steps: list[str | int] = []
    as_text = False
    while not as_text and reader.take("->"):
        as_text = reader.take(">")
        reader.skip()
        steps.append(_step(reader))
        if len(steps) > _STEPS:
            raise error("54001", "the JSON path is too long", status=400)
    return Path(column, tuple(steps), as_text)


def _step(reader: _Text) -> str | int:
    index = reader.match(_INDEX)
    if index is not None:
        return int(index[0])
    key = reader.match(_KEY)
    if key is None or not (key[1] is not None or key[0].strip()):
        reader.fail("a JSON key")
    return _unquoted(key)


# --- select lists ---


@_remembered
def parse_select(text: str) -> tuple[Item, ...]:
    """``*``, ``id, alias:title``, ``author:users!inner(name)`` to output items; blank text means ``*``."""
    reader = _Text(text)
    if reader.done():
        return (Star(),)
    items = _items(reader, 0)
    if not reader.done():
        reader.fail("a comma")
    return items


def _items(reader: _Text, depth: int) -> tuple[Item, ...]:
    if depth > _DEPTH:
        raise error("54001", "the select list is nested too deeply", status=400)
    items = [_item(reader, depth)]
    while reader.take(","):
        items.append(_item(reader, depth))
    return tuple(items)


def _item(reader: _Text, depth: int) -> Item:
    if reader.take("*"):
        return Star()
    if reader.take("..."):
        return _embed(reader, reader.name(), None, depth, spread=True)
    name, alias = reader.name(), None
    if not reader.sees("::") and reader.take(":"):
        name, alias = reader.name(), name
    if reader.sees("(") and name == "count":
        reader.take("(")
        reader.need(")")
        return Column(Path("*"), alias, None, "count", _cast(reader))
    if reader.sees("!") or reader.sees("("):
        return _embed(reader, name, alias, depth)
    path = _steps(reader, name)
    cast_, aggregate = _cast(reader), None
    if reader.take("."):
        aggregate = reader.name()
        if aggregate not in AGGREGATES:
            reader.fail("count(), sum(), avg(), min() or max()")
        reader.need("(")
        reader.need(")")
    return Column(path, alias, cast_, cast("Aggregate | None", aggregate), _cast(reader) if aggregate else None)


def _cast(reader: _Text) -> str | None:
    return reader.name() if reader.take("::") else None


def _embed(reader: _Text, name: str, alias: str | None, depth: int, spread: bool = False) -> Embed:
    hint, join = None, None
    while reader.take("!"):
        word = reader.name()
        if word in ("inner", "left") and join is None:
            join = word
        elif word not in ("inner", "left") and hint is None:
            hint = word
        else:
            reader.fail("one hint and one of !inner and !left")
    reader.need("(")
    items: tuple[Item, ...] = ()
    if not reader.take(")"):
        items = _items(reader, depth + 1)
        reader.need(")")
    return Embed(name, Select(name, items), alias, hint, join == "inner", spread)


# --- orders ---


@_remembered
def parse_order(text: str) -> tuple[Order, ...]:
    """``a.desc.nullslast,author(name),data->>k`` to sort keys."""
    reader = _Text(text)
    keys = [_order(reader)]
    while reader.take(","):
        keys.append(_order(reader))
    reader.end()
    return tuple(keys)


def parse_key(text: str) -> tuple[Path, str | None]:
    """``column->key`` or ``relation(column)``: a sort key's path, and the relation it is in."""
    reader = _Text(text)
    found = _key(reader)
    reader.end()
    return found


def _key(reader: _Text) -> tuple[Path, str | None]:
    name = reader.name()
    if not reader.take("("):
        return _steps(reader, name), None
    path = _path(reader)
    reader.need(")")
    return path, name


def _order(reader: _Text) -> Order:
    path, relation = _key(reader)
    words = []
    while reader.take("."):
        words.append(reader.name())
    desc = bool(words) and words[0] == "desc"
    if words and words[0] in ("asc", "desc"):
        words = words[1:]
    if not words:
        return Order(path, desc, None, relation)
    if len(words) > 1 or words[0] not in ("nullsfirst", "nullslast"):
        reader.fail("asc or desc, then nullsfirst or nullslast, before this")
    return Order(path, desc, "first" if words[0] == "nullsfirst" else "last", relation)


# --- filters ---


def parse_logic(text: str, kind: Literal["and", "or"], first_slot: int) -> tuple[Logic, tuple[Any, ...]]:
    """``a.eq.1,and(b.gt.2,c.is.null)`` to a tree whose slots begin at *first_slot*, and the values."""
    reader = _Text(text)
    values: list[Any] = []
    items = _conditions(reader, values, first_slot, 0)
    if not reader.done():
        reader.fail("a comma")
    return Logic(kind, items), tuple(values)


def _conditions(reader: _Text, values: list[Any], base: int, depth: int) -> tuple[Cond | Logic, ...]:
    if depth > _DEPTH:
        raise error("54001", "the filter is nested too deeply", status=400)
    items = [_condition(reader, values, base, depth)]
    while reader.take(","):
        items.append(_condition(reader, values, base, depth))
    return tuple(items)


_NOT_LOGIC = re.compile(r"(not\.)?(and|or)\s*\(")


def _condition(reader: _Text, values: list[Any], base: int, depth: int) -> Cond | Logic:
    reader.skip()
    found = reader.match(_NOT_LOGIC)
    if found is not None:
        items = _conditions(reader, values, base, depth + 1)
        reader.need(")")
        return Logic(cast("Literal['and', 'or']", found[2]), items, found[1] is not None)
    negated = reader.take("not.")
    path = _path(reader)
    reader.need(".")
    return _operation(reader, path, values, base, negated=negated, whole=False)


def _operation(reader: _Text, path: Path, values: list[Any], base: int, *, whole: bool, negated: bool = False) -> Cond:
    """What follows the column: ``not.gte.5``. *whole*: the value is all of the rest, quotes included."""
    negated ^= reader.text.startswith("not.", reader.at)
    if reader.text.startswith("not.", reader.at):
        reader.at += 4
    found = reader.match(_OPERATOR)
    if found is None:
        reader.fail("an operator and a dot")
    if found[1] not in WIRE_OPS:
        raise error("PGRST100", f"unknown operator {found[1][:40]!r}", hint=f"one of {', '.join(sorted(WIRE_OPS))}")
    op, inside = cast("Op", SHORT.get(found[1], found[1])), found[2]
    if inside is not None and not (op in TEXT_SEARCH or (op in QUANTIFIED and inside in ("any", "all"))):
        raise error("PGRST100", f"{found[1]}({inside[:40]}) is no operator")
    if op == "is":
        state = (reader.rest() if whole else reader.until(",)")).strip().lower()
        if state not in IS_WORDS:
            reader.fail("null, not_null, true, false or unknown")
        return Cond(path, "is", word=cast("Is", state), negated=negated, wire=True)
    value: Any
    if op == "in":
        value = _list(reader)
        if whole:
            reader.end()
    else:
        value = reader.rest() if whole else _value(reader)
    quantifier = cast("Quantifier | None", inside) if op in QUANTIFIED else None
    if quantifier is not None:
        value = parse_array(value)
    values.append(value)
    return Cond(
        path, op, base + len(values) - 1, negated=negated, wire=True, quantifier=quantifier,
        config=inside if op in TEXT_SEARCH else None,
    )  # fmt: skip


def _list(reader: _Text) -> list[str]:
    reader.need("(")
    if reader.take(")"):
        return []
    items = [_value(reader)]
    while reader.take(","):
        items.append(_value(reader))
    reader.need(")")
    return items


def _value(reader: _Text) -> str:
    if reader.text.startswith("{", reader.at):
        return _braces(reader)
    if not reader.text.startswith('"', reader.at):
        return reader.until(",)")
    reader.at += 1
    letters = []
    while (letter := reader.text[reader.at : reader.at + 1]) != '"':
        if letter == "\\":
            reader.at += 1
            letter = reader.text[reader.at : reader.at + 1]
        if not letter:
            reader.fail("a closing quote")
        letters.append(letter)
        reader.at += 1
    reader.at += 1
    if reader.text[reader.at : reader.at + 1] not in ("", ",", ")"):
        reader.fail('a comma after the closing quote; a quote inside is written \\"')
    return "".join(letters)


_BRACES = re.compile(r'\{(?:"(?:[^"\\]|\\.)*"|[^{}"])*\}', re.DOTALL)


def _braces(reader: _Text) -> str:
    found = reader.match(_BRACES)
    if found is None or reader.text[reader.at : reader.at + 1] not in ("", ",", ")"):
        reader.fail("an array {a,b}; any other value with a brace needs quotes around it")
    return found[0]


_MEMBER = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^\\",{}]|\\.)+?))\s*(?=[,}])', re.DOTALL)


def parse_array(text: str) -> list[str | None]:
    """PostgreSQL's array literal ``{a,"b,c",NULL}``, of one dimension."""
    body = text.strip()
    bad = error("22P02", f'malformed array literal: "{text[:100]}"')
    if not (body.startswith("{") and body.endswith("}")) or len(body) < 2:
        raise bad
    if not body[1:-1].strip():
        return []
    items: list[str | None] = []
    at = 1
    while True:
        found = _MEMBER.match(body, at)
        if found is None:
            raise bad
        if found[1] is not None:
            items.append(re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL))
        else:
            items.append(None if found[2].lower() == "null" else re.sub(r"\\(.)", r"\1", found[2], flags=re.DOTALL))
        at = found.end() + 1
        if body[at - 1] == "}":
            break
    if at != len(body):
        raise bad
    return items


# --- what is asked of embedded relations ---


class Part(Struct):
    """Conditions, order and window of one level of a query; slots as in :class:`.ast.Select`."""

    conditions: list[Cond | Logic] = field(default_factory=list)
    order: list[Order] = field(default_factory=list)
    limit: int = -1
    offset: int = -1


class Parts(dict[tuple[str, ...], Part]):
    """A Part for each embedded relation by its path, ``()`` being the query itself."""

    def __missing__(self, path: tuple[str, ...]) -> Part:
        part = self[path] = Part()
        return part


def nest(items: tuple[Item, ...], parts: Mapping[tuple[str, ...], Part]) -> tuple[Item, ...]:
    """*items* with every part but the root's put into the embedded relation that it names, or PGRST108."""
    found = list(items)
    for name in dict.fromkeys(path[0] for path in parts if path):
        at = _embedded(items, name)
        embed = cast("Embed", items[at])
        inside = {path[1:]: part for path, part in parts.items() if path and path[0] == name}
        own = inside.get((), Part())
        query = replace(
            embed.query, items=nest(embed.query.items, inside), where=Logic("and", tuple(own.conditions)),
            order=tuple(own.order), limit=own.limit, offset=own.offset,
        )  # fmt: skip
        found[at] = replace(embed, query=query)
    return tuple(found)


def _embedded(items: tuple[Item, ...], name: str) -> int:
    for at, item in enumerate(items):
        if isinstance(item, Embed) and name == (item.alias or item.relation):
            return at
    alias = next((item.alias for item in items if isinstance(item, Embed) and item.relation == name), None)
    raise error(
        "PGRST108", f"'{name[:63]}' is not an embedded resource in this request",
        hint=f"Change '{name[:63]}' to '{alias}' in filters, orders or limits." if alias
        else f"Verify that '{name[:63]}' is included in the 'select' query parameter.",
    )  # fmt: skip


# --- query strings ---


class Asked(Struct, frozen=True):
    """A query string, parsed: what a request asks of the table that its path names.

    Args:
        values: The values of all slots, from the *first_slot* that was given.
        columns: The columns that a write names, or None.
        on_conflict: The columns that make a duplicate.
    """

    items: tuple[Item, ...]
    where: Logic
    order: tuple[Order, ...]
    limit: int
    offset: int
    values: tuple[Any, ...]
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] = ()

    def select(self, table: str, *, count: Count | None = None, head: bool = False, one: bool = False) -> Select:
        """The statement that reads *table*."""
        return Select(table, self.items, self.where, self.order, self.limit, self.offset, count, head, one)


_LOGIC_KEY = re.compile(r"(?:(.*)\.)?(and|or)\Z", re.DOTALL)
_ONCE = ("select", "columns", "on_conflict")


_PLAIN = frozenset({"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike"})


def parse_query(pairs: Sequence[tuple[str, str]], first_slot: int = 0) -> Asked:
    """The decoded pairs of a query string to what they ask.

    Args:
        pairs: Names and values in order, already percent-decoded, ``+`` being a space.
        first_slot: How many values a write has before those of its filters.
    """
    # Most queries differ from one before in their values alone, which plain operators take as they stand.
    template: list[tuple[str, str]] = []
    values: list[Any] = []
    for name, text in pairs:
        if name == "select" or name == "order":
            template.append((name, text))
        elif (name == "limit" or name == "offset") and text.isascii() and text.isdigit() and len(text) < 19:
            template.append((name, "0"))
            values.append(int(text))
        else:
            op, dot, value = text.partition(".")
            if not dot or op not in _PLAIN:
                return _parse_query(pairs, first_slot)
            template.append((name, op + dot))
            values.append(value)
    try:
        if sum(len(name) + len(text) for name, text in template) > _SHORT:
            return _parse_query(pairs, first_slot)
        like = _parse_template(tuple(template), first_slot)
    except DbError:
        return _parse_query(pairs, first_slot)  # raises it again, of the text that was sent
    if len(like.values) != len(values):
        return _parse_query(pairs, first_slot)
    return Asked(like.items, like.where, like.order, like.limit, like.offset, tuple(values), like.columns)


@lru_cache(maxsize=300)
def _parse_template(pairs: tuple[tuple[str, str], ...], first_slot: int) -> Asked:
    return _parse_query(pairs, first_slot)


def _parse_query(pairs: Iterable[tuple[str, str]], first_slot: int) -> Asked:
    once: dict[str, str] = {}
    parts, values = Parts(), list[Any]()
    for key, text in pairs:
        if key in _ONCE:
            if key in once:
                raise error("PGRST100", f"the parameter {key} is given twice")
            once[key] = text
        else:
            _parameter(parts, values, first_slot, key, text)
    root = parts[()]
    return Asked(
        nest(parse_select(once.get("select", "")), parts),
        Logic("and", tuple(root.conditions)),
        tuple(root.order),
        root.limit,
        root.offset,
        tuple(values),
        parse_names(once["columns"]) if once.get("columns") else None,
        parse_names(once["on_conflict"]) if once.get("on_conflict") else (),
    )


def _parameter(parts: Parts, values: list[Any], base: int, key: str, text: str) -> None:
    logic = _LOGIC_KEY.match(key)
    if logic is not None:
        before, kind = logic[1], cast("Literal['and', 'or']", logic[2])
        negated = before == "not" or (before is not None and before.endswith(".not"))
        path = _relations(before[:-3].removesuffix(".") if negated else before)
        reader = _Text(text)
        reader.need("(")
        items = _conditions(reader, values, base, 0)
        reader.need(")")
        reader.end()
        parts[path].conditions.append(Logic(kind, items, negated))
        return
    before, _, last = key.rpartition(".")
    if last == "order":
        parts[_relations(before)].order.extend(parse_order(text))
    elif last in ("limit", "offset"):
        part = parts[_relations(before)]
        if getattr(part, last) >= 0:
            raise error("PGRST100", f"the parameter {key[:100]} is given twice")
        values.append(_number(text, last))
        setattr(part, last, base + len(values) - 1)
    else:
        relations, path_ = parse_place(key)
        reader = _Text(text)
        parts[relations].conditions.append(_operation(reader, path_, values, base, whole=True))


def _relations(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    before, path = parse_place(text)
    if path.steps:
        raise error("PGRST100", f"{text[:100]!r} is not the name of an embedded relation")
    return (*before, path.column)


def _number(text: str, what: str) -> int:
    if re.fullmatch(r"-[0-9]+", text):
        raise error("PGRST103", f"{what} takes whole numbers from 0")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise error("PGRST100", f"{what} is not a whole number: {text[:40]!r}")
    return int(text)
