"""Whether every value of one JSON Schema is a value of another, and if not, where and why.

What clients send was of the old schema and must be of the new one; what they are answered is of the new one and must
be of the old. So one question is asked in two directions. Bounds, lengths and patterns are looked at for what is sent
alone: a client whose reply grows from 100 to 200 letters has the type it was promised.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from .model import REF, Schema

Direction = Literal["input", "output"]

_COMBINE = ("anyOf", "oneOf", "allOf", "$ref", "nullable", "if", "then", "else", "not")
_NOTES = frozenset({"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly"})
_LEAST = ("minLength", "minimum", "exclusiveMinimum", "minItems")
_MOST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems")

_ANYTHING: Schema = {}


class Misfit(Struct, frozen=True):
    """A place where a value fits no more.

    Args:
        at: Like a JSON pointer, with ``*`` for any member of a list.
        code: What kind of misfit it is: ``removed``, ``required``, ``type`` and so on.
        text: The same for people, after the name of the place.
    """

    at: str
    code: str
    text: str


def misfits(old: Any, new: Any, direction: Direction, old_schemas: Schema, new_schemas: Schema) -> list[Misfit]:
    """What no longer fits where *old* has become *new*.

    Args:
        direction: ``input`` for what clients send, ``output`` for what they are answered.
        old_schemas: The named schemas that *old* refers to, *new_schemas* those of *new*.
    """
    if direction == "input":
        return _Comparison(direction, old_schemas, new_schemas).values(old, new, "")
    return _Comparison(direction, new_schemas, old_schemas).values(new, old, "")


class _Comparison:
    """The schema of the values that there are against the one that they have to fit."""

    def __init__(self, direction: Direction, source_schemas: Schema, target_schemas: Schema) -> None:
        self.is_input = direction == "input"
        self.source, self.target = _Atoms(source_schemas), _Atoms(target_schemas)
        # What is found of two schemas, from there on, by where they stand in the contracts; nothing while it is being
        # looked for, since within itself a schema fits if it fits.
        self.known: dict[tuple[int, int], list[Misfit]] = {}

    def values(self, source: Any, target: Any, at: str) -> list[Misfit]:
        pair = id(source), id(target)
        if pair not in self.known:
            self.known[pair] = []
            self.known[pair] = self.alternatives(source, target, "")
        return [Misfit(at + each.at, each.code, each.text) for each in self.known[pair]]

    def alternatives(self, source: Any, target: Any, at: str) -> list[Misfit]:
        takes = self.target.of(target)
        if any(not atom for atom in takes):
            return []
        found: list[Misfit] = []
        lost: list[Schema] = []
        for atom in self.source.of(source):
            outcomes = [self.atom(atom, other, at) for other in takes if _kind_fits(atom, other)]
            if not outcomes:
                lost.append(atom)
            elif all(outcomes):
                nearest: list[Misfit] = min(outcomes, key=len)
                found += nearest
        return [*([self.lost(lost, takes, at)] if lost else []), *found]

    def lost(self, lost: list[Schema], takes: list[Schema], at: str) -> Misfit:
        """What no alternative of the target is of the kind of."""
        code = "enum" if all("const" in atom for atom in lost) else "type"
        what = " or ".join(dict.fromkeys(map(_shown, lost)))
        if not self.is_input:
            return Misfit(at, code, f"may be {what} now")
        if {} in lost:
            return Misfit(at, code, f"has to be {' or '.join(dict.fromkeys(map(_shown, takes))) or 'left out'} now")
        return Misfit(at, code, f"may not be {what} any more")

    def atom(self, source: Schema, target: Schema, at: str) -> list[Misfit]:
        """Two schemas of one kind."""
        if "const" in target or "const" in source:
            if "const" not in target or ("const" in source and _same(source["const"], target["const"])):
                return []
            return [self.lost([source], [target], at)]
        found = list(self.limits(source, target, at)) if self.is_input else []
        kind = target.get("type")
        if kind == "string" and target.get("format") not in (None, source.get("format")):
            found.append(Misfit(at, "format", self.said("has to be", "is not always", str(target["format"]))))
        if kind == "array":
            found += self.items(source, target, at)
        if kind == "object":
            found += self.members(source, target, at)
        return found

    def said(self, of_input: str, of_output: str, what: str) -> str:
        return f"{of_input if self.is_input else of_output} {what} {'now' if self.is_input else 'any more'}"

    def limits(self, source: Schema, target: Schema, at: str) -> Iterator[Misfit]:
        for keyword in (*_LEAST, *_MOST):
            wanted, had = _number(target.get(keyword)), _number(source.get(keyword))
            if wanted is None or (keyword in ("minLength", "minItems") and wanted == 0):
                continue
            if had is None or (had < wanted if keyword in _LEAST else had > wanted):
                yield Misfit(
                    at, "limit", f"has {keyword} {wanted:g} now" + (f", not {had:g}" if had is not None else "")
                )
        for keyword in ("pattern", "multipleOf", "uniqueItems"):
            wanted = target.get(keyword)
            if wanted not in (None, False) and wanted != source.get(keyword):
                yield Misfit(at, "limit", f"has {keyword} {wanted} now")

    def items(self, source: Schema, target: Schema, at: str) -> Iterator[Misfit]:
        first, wanted = source.get("prefixItems") or [], target.get("prefixItems") or []
        for number in range(max(len(first), len(wanted))):
            left = first[number] if number < len(first) else source.get("items", True)
            right = wanted[number] if number < len(wanted) else target.get("items", True)
            if left is False and right is False:
                continue
            if left is False:
                if not self.is_input or number < (_number(target.get("minItems")) or 0):
                    yield Misfit(f"{at}/{number}", "removed", "has to be there now" if self.is_input else "is gone")
            elif right is False:
                if self.is_input:
                    yield Misfit(f"{at}/{number}", "refused", "is refused now")
            else:
                yield from self.values(left, right, f"{at}/{number}")
        left, right = source.get("items", True), target.get("items", True)
        if left is not False and right is not False:
            yield from self.values(left, right, f"{at}/*")
        elif left is not False and not first:
            yield Misfit(f"{at}/*", "refused", "is refused now" if self.is_input else "may be there now")

    def members(self, source: Schema, target: Schema, at: str) -> Iterator[Misfit]:
        has, wants = source.get("properties") or {}, target.get("properties") or {}
        others = target.get("additionalProperties", True)
        for name, schema in has.items():
            if name in wants:
                yield from self.values(schema, wants[name], f"{at}/{name}")
            elif isinstance(others, dict):
                yield from self.values(schema, others, f"{at}/{name}")
            elif self.is_input and others is False:
                yield Misfit(f"{at}/{name}", "refused", "is refused now")
            elif self.is_input and wants:
                yield Misfit(f"{at}/{name}", "removed", "is read no more")
        yield from self.missing(source, target, at)
        yield from self.others(source, target, at)

    def missing(self, source: Schema, target: Schema, at: str) -> Iterator[Misfit]:
        """Members that the target knows and the source does not, or not always."""
        has, wants = source.get("properties") or {}, target.get("properties") or {}
        always, needed = set(source.get("required") or ()), set(target.get("required") or ())
        for name in [*wants, *sorted(needed - wants.keys())]:
            if not self.is_input and name not in has and not isinstance(source.get("additionalProperties"), dict):
                yield Misfit(f"{at}/{name}", "removed", "is gone")
            elif name in needed and name not in always:
                yield Misfit(f"{at}/{name}", "required", "is required now" if self.is_input else "may be missing now")

    def others(self, source: Schema, target: Schema, at: str) -> Iterator[Misfit]:
        """Members without a name of their own."""
        had, takes = source.get("additionalProperties", True), target.get("additionalProperties", True)
        if isinstance(takes, dict) and isinstance(had, dict):
            yield from self.values(had, takes, f"{at}/*")
        elif isinstance(takes, dict) and had is True and not source.get("properties"):
            yield from self.values(_ANYTHING, takes, f"{at}/*")
        elif takes is False and had is not False and self.is_input:
            yield Misfit(at, "closed", "takes no other fields any more")


class _Atoms:
    """Schemas as lists of alternatives without ``anyOf`` and the like; ``{}`` among them for anything."""

    def __init__(self, schemas: Schema) -> None:
        self.schemas = schemas

    def of(self, schema: Any, seen: frozenset[str] = frozenset()) -> list[Schema]:
        """The alternatives of *schema*.

        Args:
            seen: The names being resolved: what is defined by itself alone may be anything.
        """
        if schema is False:
            return []
        if not isinstance(schema, dict):
            return [{}]
        found = [{key: value for key, value in schema.items() if key not in _COMBINE and key not in _NOTES}]
        if "$ref" in schema:
            name = _ref(schema)
            known = name is not None and name in self.schemas and name not in seen
            found = _product(found, self.of(self.schemas[name], seen | {name}) if known and name else [{}])
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                found = _product(found, [atom for each in schema[key] for atom in self.of(each, seen)])
        for each in schema.get("allOf") or []:
            found = _product(found, self.of(each, seen))
        atoms = [atom for each in found for atom in _single(each)]
        return [*atoms, {"type": "null"}] if schema.get("nullable") is True else atoms


def _product(left: list[Schema], right: list[Schema]) -> list[Schema]:
    """Each of *left* that is each of *right*, too."""
    return [_merged(one, other) for one in left for other in right]


def _merged(one: Schema, other: Schema) -> Schema:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *other["required"]]
    return merged


def _single(schema: Schema) -> Iterator[Schema]:
    """*schema* as alternatives of one type or one value each."""
    if "const" in schema:
        yield {"const": schema["const"]}
    elif isinstance(schema.get("enum"), list):
        yield from ({"const": value} for value in schema["enum"])
    elif isinstance(schema.get("type"), list):
        yield from ({**schema, "type": kind} for kind in schema["type"])
    elif "type" in schema:
        yield schema
    elif schema.keys() & {"properties", "required", "additionalProperties"}:
        yield {**schema, "type": "object"}
    elif schema.keys() & {"items", "prefixItems"}:
        yield {**schema, "type": "array"}
    else:
        yield {}


def _ref(schema: Any) -> str | None:
    ref = schema.get("$ref") if isinstance(schema, dict) else None
    return ref.removeprefix(REF) if isinstance(ref, str) else None


def _kind_fits(source: Schema, target: Schema) -> bool:
    kind, wanted = _kind(source), _kind(target)
    if "const" in target and "const" in source:
        return _same(source["const"], target["const"])
    return kind == wanted or (kind == "integer" and wanted == "number" and "const" not in target)


def _kind(atom: Schema) -> Any:
    if "const" not in atom:
        return atom.get("type")
    value = atom["const"]
    names: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return names.get(type(value)) or ("array" if isinstance(value, list) else "object")


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _shown(atom: Schema) -> str:
    import json

    return json.dumps(atom["const"], ensure_ascii=False) if "const" in atom else str(atom.get("type", "anything"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
