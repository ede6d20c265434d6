"""A contract to one flat Python module for httpx: ``await api("GET /api/posts/[id]", params={"id": 1})``.

Every call is an overload of one function, with its values as TypedDicts, so that mypy and pyright know what it takes
and gives. It needs httpx and Python 3.11, nothing of Turnout. The half that is the same for every contract is
``runtime.py.txt``.
"""

from __future__ import annotations

import keyword
from importlib.resources import files
from typing import Any

from msgspec import Struct

from ..contract.model import Contract, Operation, Parameter
from . import schemas as of

HEAD = '''"""Written by `turnout client --python`, of {title}.

Do not edit: write it anew when the routes have changed.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, BinaryIO, Generic, Literal, Never, NotRequired, Self, TypeAlias, TypedDict, TypeVar
from typing import cast, overload
from urllib.parse import quote, unquote

import httpx
'''
_TAKEN = """
Any Api ApiError AsyncIterable AsyncIterator Awaitable BaseException BinaryIO Call Callable Chunks Code Exception False
Generic Literal Mapping Never None NotRequired Required ReadOnly Self ServerEvent Stream T True TypeAlias TypeVar
TypedDict Unpack Upload ValueError annotations anext bool bytes callable cast classmethod codecs dataclass dict float
frozenset hasattr httpx int isawaitable isinstance json len list map object overload property quote re self set
staticmethod str super tuple type unquote
"""
RESERVED = frozenset([*keyword.kwlist, *_TAKEN.split()])
_NAMES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_IN_FIELDS = {*_NAMES.values(), "Any", "Literal", "NotRequired", "Never", "Upload", "list", "dict"}
# A line that is written as text is read as text: an escape in it is an error for some type checkers.
_ESCAPING = frozenset("\\'\"")
_NO_BODY = "        ...\n"
_ANY_CALL = """\
    async def __call__(self, call: Any, /, **options: Any) -> Any:
        return await self._call(call, **options)
"""


class Field(Struct, frozen=True):
    """One key of a TypedDict."""

    name: str
    type: str
    required: bool
    description: list[str]


class Record(Struct, frozen=True):
    """A TypedDict to write."""

    name: str
    description: list[str]
    fields: list[Field]


def python(contract: Contract) -> str:
    """The module that calls the routes of *contract*."""
    return _Writer(contract).module()


class _Writer:
    def __init__(self, contract: Contract) -> None:
        self.contract, self.schemas = contract, contract.schemas
        self.claims = of.Names(RESERVED)
        self.names = {name: self.claims.claim(name) for name in of.used(contract)}
        self.endless = {name for name in self.names if of.endless(name, self.schemas)}
        self.literals: dict[str, str] = {}
        self.records: list[Record] = []
        self.aliases: list[str] = []

    def module(self) -> str:
        operations = of.ordered(self.contract)
        for name in self.names:
            self.schema(name)
        api = self.api(operations)
        title = " ".join(of.plain_text(self.contract.title)).replace("\\", "").replace('"', "'") or "an app"
        codes = sorted({code for each in operations for codes in of.failures(each).values() for code in codes})
        calls = [f"{each.method} {each.path}" for each in operations]
        parts = [
            HEAD.format(title=title),
            f"Call: TypeAlias = {_literal(calls)}\nCode: TypeAlias = {_literal(codes)}\n",
            "".join(f"{name}: TypeAlias = {text}\n" for text, name in self.literals.items()),
            "".join(self.aliases),
            *("\n" + self.record(each) for each in self.records),
            "\n" + (files(__package__) / "runtime.py.txt").read_text("utf-8"),
            f"_CODES: frozenset[str] = frozenset({codes!r})\n\n"
            f"_CALLS: dict[str, _Way] = {{\n{''.join(self.way(each) for each in operations)}}}\n",
            "\n" + api,
        ]
        return "\n".join(part for part in parts if part)

    # -- what is called

    def api(self, operations: list[Operation]) -> str:
        parts = ['class Api(_Caller):\n    """Calls the app: ``async with Api("https://example.com") as api``."""\n']
        found = [self.call(each) for each in operations]
        if len(found) == 1:  # which can be no overload
            ((signature, doc),) = found
            passed = "".join(f", {name}={name}" for name in _options(operations[0]))
            returns = signature.rpartition(" -> ")[2]
            body = f"        answer: {returns} = await self._call(call{passed})\n        return answer\n"
            parts.append(f"{signature}:\n{doc}{body}")
        elif found:
            parts += [f"    @overload\n{signature}:\n{doc or _NO_BODY}" for signature, doc in found]
            parts.append(_ANY_CALL)
        return "\n".join(parts)

    def call(self, operation: Operation) -> tuple[str, str]:
        """The signature of a call, and its docstring."""
        stem = f"{operation.method.capitalize()} {operation.path}"
        given = [f"call: Literal[{_quoted(f'{operation.method} {operation.path}')}]", "/", "*"]
        for place, name in (("path", "params"), ("query", "query"), ("header", "headers")):
            found = of.placed(operation, place)
            if found:
                required = any(each.required for each in found)
                given.append(_argument(name, self.parameters(found, f"{stem} {name}"), required))
            elif name == "headers":
                given.append("headers: Mapping[str, str] | None = None")
        body = of.body_of(operation)
        if body is not None and operation.body is not None:
            given.append(_argument("body", self.body(*body, stem), operation.body.required, "_UNSET"))
        lines = "".join(f"        {each},\n" for each in ["self", *given])
        signature = f"    async def __call__(\n{lines}    ) -> {self.answer(operation, stem)}"
        return signature, _docstring(of.about(operation), " " * 8)

    def parameters(self, found: list[Parameter], stem: str) -> str:
        name = self.claims.claim(stem)
        fields = [
            Field(
                each.name, self.type(each.schema, f"{stem} {each.name}"), each.required, of.plain_text(each.description)
            )
            for each in found
        ]
        self.records.append(Record(name, [], fields))
        return name

    def body(self, media: str, schema: Any, stem: str) -> str:
        if of.is_json(media):
            return self.type(schema, f"{stem} body")
        if media.startswith((of.MULTIPART, of.FORM)):
            if of.is_object(of.resolved(schema, self.schemas)):
                return self.type(schema, f"{stem} body")
            return "Mapping[str, Any]"
        return "Chunks"

    def answer(self, operation: Operation, stem: str) -> str:
        found: list[str] = []
        answers = [each for each in operation.answers if of.is_success(each.status)]
        for answer in answers:
            if operation.method == "HEAD" or not answer.media:
                found.append("None")
            for media in sorted(answer.media):
                found.append(self.read(media, answer.media[media], operation, f"{stem} answer"))
        return _union(found) if found else "Any"  # a redirect leads to an answer of who knows what

    def read(self, media: str, schema: Any, operation: Operation, stem: str) -> str:
        reader = of.reader(of.base_type(media), schema, of.comes_in_pieces(operation))
        if reader in ("json", "lines", "json-events"):
            item = self.type(schema, stem)
            return {"json": item, "lines": f"Stream[{item}]", "json-events": f"Stream[ServerEvent[{item}]]"}[reader]
        named = {"text": "str", "texts": "Stream[str]", "bytes": "bytes", "any": "Any"}
        return (named | {"stream": "Stream[bytes]", "events": "Stream[ServerEvent[str]]"})[reader]

    def way(self, operation: Operation) -> str:
        body = of.body_of(operation)
        sends = f", sends={body[0]!r}" if body else ""
        return f"    {_quoted(f'{operation.method} {operation.path}')}: _Way({of.readers(operation)!r}{sends}),\n"

    # -- schemas

    def schema(self, name: str) -> None:
        schema, own = self.schemas[name], self.names[name]
        if of.is_object(schema) and not isinstance(schema.get("additionalProperties"), dict):
            self.fields(own, schema, name)
            return
        comment = "".join(f"#: {line}\n" for line in _description(schema))
        self.aliases.append(f'{comment}{own}: TypeAlias = "{self.type(schema, name, name)}"\n')

    def type(self, schema: Any, stem: str, inside: str | None = None) -> str:
        """*schema* as a type.

        Args:
            stem: What a record inside of it is called after.
            inside: The alias being defined, as long as nothing stands between that and here.
        """
        if schema is False:
            return "Never"
        if not isinstance(schema, dict):
            return "Any"
        if "$ref" in schema:
            name = of.ref_of(schema, self.schemas)
            return "Any" if name is None or (inside in self.endless and name in self.endless) else self.names[name]
        for key in ("anyOf", "oneOf"):
            if found := of.members(schema, key):
                return _union([self.type(each, stem, inside) for each in found])
        if found := of.members(schema, "allOf"):
            return self.all_of(found, stem, inside)
        allowed = of.choices(schema)
        if allowed is not None:
            return self.literal(allowed, stem)
        return _union([self.kind(kind, schema, stem) for kind in of.kinds(schema)] or ["Any"])

    def kind(self, kind: str, schema: dict[str, Any], stem: str) -> str:
        if kind == "object":
            return self.object(schema, stem)
        if kind == "array":
            items = [schema.get("items", True)] if "items" in schema or "prefixItems" not in schema else []
            found = [
                self.type(each, stem) for each in [*of.members(schema, "prefixItems"), *items] if each is not False
            ]
            return f"list[{_union(found or ['Never'])}]"
        if kind == "string" and of.is_bytes(schema):
            return "Upload"
        return _NAMES.get(kind, "Any")

    def object(self, schema: dict[str, Any], stem: str) -> str:
        others = schema.get("additionalProperties")
        if schema.get("properties"):
            if isinstance(others, dict):
                return "dict[str, Any]"  # no TypedDict takes keys that it does not name
            name = self.claims.claim(stem)
            self.fields(name, schema, stem)
            return name
        return f"dict[str, {self.type(others, stem)}]" if isinstance(others, dict) else "dict[str, Any]"

    def fields(self, name: str, schema: dict[str, Any], stem: str) -> None:
        required = schema.get("required") or []
        at = len(self.records)  # what is inside comes after it
        fields = [
            Field(key, self.type(each, f"{stem} {key}"), key in required, _description(each))
            for key, each in schema["properties"].items()
        ]
        self.records.insert(at, Record(name, _description(schema), fields))

    def all_of(self, parts: list[Any], stem: str, inside: str | None) -> str:
        """All members in one record, where they are records; else the first, since no type is several at once."""
        whole = [of.resolved(each, self.schemas) for each in parts]
        if len(parts) == 1 or not all(map(of.is_object, whole)):
            return self.type(parts[0], stem, inside)
        merged = {name: each for one in whole for name, each in one["properties"].items()}
        required = [name for one in whole for name in one.get("required") or []]
        return self.object({"type": "object", "properties": merged, "required": required}, stem)

    def literal(self, values: list[Any], stem: str) -> str:
        plain = [value for value in values if value is None or isinstance(value, (str, bool, int))]
        if len(plain) < len(values):
            return "float" if all(type(value) in (int, float) for value in values) else "Any"
        text = _literal(values)
        if not _ESCAPING & set("".join(value for value in values if isinstance(value, str))) and "\\" not in text:
            return text
        if text not in self.literals:
            self.literals[text] = self.claims.claim(f"{stem} value")
        return self.literals[text]

    def record(self, record: Record) -> str:
        """A TypedDict as a class, where its keys can be names in one."""
        # In the body of a class a key hides the type of the same name from the keys after it.
        hidden = self.claims.given | _IN_FIELDS
        if all(_is_attribute(each.name) and each.name not in hidden for each in record.fields):
            lines = [f"class {record.name}(TypedDict):\n", _docstring(record.description, "    ")]
            for each in record.fields:
                lines += [f"    #: {line}\n" for line in each.description if line]
                lines.append(f"    {each.name}: {_presence(each)}\n")
            return "".join(lines) if record.description or record.fields else f"{lines[0]}    pass\n"
        lines = [f"#: {line}\n" for line in record.description]
        lines += [f'{record.name} = TypedDict(\n    "{record.name}",\n    {{\n']
        for each in record.fields:
            lines += [f"        #: {line}\n" for line in each.description if line]
            lines.append(f'        {_quoted(each.name)}: "{_presence(each)}",\n')
        return "".join([*lines, "    },\n)\n"])


def _options(operation: Operation) -> list[str]:
    found = [name for place, name in (("path", "params"), ("query", "query")) if of.placed(operation, place)]
    return [*found, "headers", *(["body"] if operation.body is not None and operation.body.media else [])]


def _argument(name: str, type: str, required: bool, default: str = "None") -> str:
    if required:
        return f"{name}: {type}"
    return f"{name}: {type} | None = {default}" if default == "None" else f"{name}: {type} = {default}"


def _presence(field: Field) -> str:
    return field.type if field.required else f"NotRequired[{field.type}]"


def _literal(values: list[Any]) -> str:
    found = list(dict.fromkeys(map(repr, values)))
    return f"Literal[{', '.join(found)}]" if found else "Never"


def _quoted(text: str) -> str:
    plain = repr(text)
    return plain if _ESCAPING & set(plain[1:-1]) else f'"{plain[1:-1]}"'


def _union(parts: list[str]) -> str:
    found = list(dict.fromkeys(parts))
    if "Any" in found:
        return "Any"
    return " | ".join([each for each in found if each != "Never"] or found)


def _description(schema: Any) -> list[str]:
    found = schema.get("description") if isinstance(schema, dict) else None
    return of.plain_text(found) if isinstance(found, str) and found.strip() else []


def _is_attribute(key: str) -> bool:
    """Whether a class can have *key* as it is: Python changes some letters, and two underscores at its beginning."""
    if not key.isidentifier() or keyword.iskeyword(key) or key.startswith("__"):
        return False
    return key.isascii() or key == of.identifier(key)


def _docstring(lines: list[str], indent: str) -> str:
    if not lines:
        return ""
    safe = [line.replace("\\", "\\\\") for line in lines]
    safe = [line.replace('"', '\\"') if '"""' in line or line.endswith('"') else line for line in safe]
    if len(safe) == 1:
        return f'{indent}"""{safe[0]}"""\n'
    return "".join(f"{indent}{line}".rstrip() + "\n" for line in [f'"""{safe[0]}', *safe[1:], '"""'])
