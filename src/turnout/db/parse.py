"""Text in PostgREST's grammar to AST: select lists and ``or`` trees.

The same grammar that Supabase's builders put on the wire
(https://docs.postgrest.org/en/stable/references/api/tables_views.html). Values come out
as text, beside the tree; the column's type decides later what the text means. Malformed text is
``PGRST100``, never a guess.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NoReturn, cast

from .ast import IS_WORDS, OPS, Column, Cond, Embed, Is, Item, Logic, Op, Path, Select, Star
from .errors import error

SHORT = {"cs": "contains", "cd": "contained_by", "ov": "overlaps"}
_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*|"((?:[^"\\]|\\.)*)"')
_DEPTH = 20


class _Text:
    """A cursor over the text."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
            self.at += 1

    def take(self, token: str) -> bool:
        self.skip()
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def name(self) -> str:
        self.skip()
        match = _NAME.match(self.text, self.at)
        if match is None:
            self.fail("a name")
        self.at = match.end()
        return match[0] if match[1] is None else re.sub(r"\\(.)", r"\1", match[1])

    def until(self, stops: str) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in stops:
            self.at += 1
        return self.text[start : self.at]

    def done(self) -> bool:
        self.skip()
        return self.at >= len(self.text)

    def fail(self, wanted: str) -> NoReturn:
        found = self.text[self.at : self.at + 20] or "the end"
        raise error("PGRST100", f"failed to parse {self.text[:200]!r}: expected {wanted} at {self.at}, found {found!r}")


def parse_path(text: str) -> Path:
    """``column`` or ``column->key->>key``."""
    reader = _Text(text)
    path = _path(reader)
    if not reader.done():
        reader.fail("the end")
    return path


def _path(reader: _Text) -> Path:
    column, steps, as_text = reader.name(), [], False
    while not as_text and reader.take("->"):
        as_text = reader.take(">")
        reader.skip()
        digits = re.compile(r"-?\d+").match(reader.text, reader.at)
        if digits:
            reader.at = digits.end()
            steps.append(digits[0])
        else:
            steps.append(reader.name())
    return Path(column, tuple(steps), as_text)


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
    spread = reader.take("...")
    path, alias = _path(reader), None
    if not path.steps and not reader.text.startswith("::", reader.at) and reader.take(":"):
        path, alias = _path(reader), path.column
    hint, inner = None, False
    while reader.take("!"):
        word = reader.name()
        inner, hint = (True, hint) if word == "inner" else (inner, hint if word == "left" else word)
    if not path.steps and reader.take("("):
        inside = () if reader.take(")") else _items(reader, depth + 1)
        if inside and not reader.take(")"):
            reader.fail("a closing parenthesis")
        if inside or path.column != "count":
            return Embed(path.column, Select(path.column, inside), alias, hint, inner, spread)
        return Column(Path("*"), alias, None, "count")
    if spread or hint or inner:
        reader.fail("an embedded relation in parentheses")
    cast_ = reader.name() if reader.take("::") else None
    aggregate = None
    if reader.take("."):
        aggregate = reader.name()
        if not (reader.take("(") and reader.take(")")):
            reader.fail("parentheses")
    return Column(path, alias, cast_, aggregate)


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


def _condition(reader: _Text, values: list[Any], base: int, depth: int) -> Cond | Logic:
    negated = reader.take("not.")
    for kind in ("and", "or"):
        if reader.take(f"{kind}("):
            items = _conditions(reader, values, base, depth + 1)
            if not reader.take(")"):
                reader.fail("a closing parenthesis")
            return Logic("and" if kind == "and" else "or", items, negated)
    path = _path(reader)
    if not reader.take("."):
        reader.fail("a dot and an operator")
    negated ^= reader.take("not.")
    op = SHORT.get(word := reader.until(".,()"), word)
    if not reader.take("."):
        reader.fail("a dot and a value")
    if op not in OPS:
        raise error("PGRST100", f"unknown operator {word!r}", hint=f"one of {', '.join(sorted(OPS))}")
    if op == "is":
        state = reader.until(",)").strip().lower()
        if state not in IS_WORDS:
            reader.fail("null, not_null, true, false or unknown")
        return Cond(path, "is", word=cast("Is", state), negated=negated)
    values.append(_list(reader) if op == "in" else _value(reader))
    return Cond(path, cast("Op", op), base + len(values) - 1, negated=negated, wire=True)


def _list(reader: _Text) -> list[str]:
    if not reader.take("("):
        reader.fail("an opening parenthesis")
    if reader.take(")"):
        return []
    items = [_value(reader)]
    while reader.take(","):
        items.append(_value(reader))
    if not reader.take(")"):
        reader.fail("a closing parenthesis")
    return items


def _value(reader: _Text) -> str:
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
    return "".join(letters)
