"""A contract to one flat TypeScript module: no import, and no type that has to be inferred.

``api("GET /api/posts/[id]", { params: { id: 1 } })`` is looked up in one interface, so an editor has nothing to work
out however many routes there are. The half of the module that is the same for every contract is ``runtime.ts``.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

from msgspec import Struct

from ..contract.model import Answer, Contract, Operation, Parameter
from . import schemas as of

HEAD = "// Written by `turnout client --ts`, of {title}. Do not edit: write it anew when the routes have changed.\n"
_WORDS = """
any as async await bigint boolean break case catch class const continue debugger declare default delete do else enum
export extends false finally for from function get if implements import in infer instanceof interface intrinsic is
keyof let module namespace never new null number object of out override package private protected public readonly
require return satisfies set static string super switch symbol this throw true try type typeof undefined unique unknown
using var void while with yield
"""
_TAKEN = """
AbortSignal AnyFailure Api ApiError AnyOptions Array ArrayBuffer AsyncGenerator AsyncIterable Blob CALLS CallOptions
Calls Error Exclude File FormData Headers JSON NonNullable Object Problem Promise ReadableStream Reader Readonly Record
RegExp RequestInit Response ServerEvent Settings String Symbol TextDecoder TypeError URL URLSearchParams Uint8Array Way
api createApi decodeURIComponent encode encodeURIComponent events fetch fill globalThis isFailure lines mediaType plain
read search segment send textLines texts whatever Function Number Boolean Iterable Iterator Partial Required Pick Omit
"""
RESERVED = frozenset([*_WORDS.split(), *_TAKEN.split()])
_is_plain_key = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*").fullmatch
_hidden = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_NAMES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


class Type(Struct, frozen=True):
    """A type as written; *simple* where it needs no parentheses."""

    text: str
    simple: bool = True


UNKNOWN = Type("unknown")

# Status and type of the body to codes; None among them for a failure without one.
Failures = dict[tuple[int, str], list[str | None]]


def typescript(contract: Contract) -> str:
    """The module that calls the routes of *contract*."""
    return _Writer(contract).module()


def quoted(value: Any) -> str:
    """*value* as a literal; what no reader would see is written as an escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _hidden.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Writer:
    def __init__(self, contract: Contract) -> None:
        self.contract, self.schemas = contract, contract.schemas
        names = of.Names(RESERVED)
        self.names = {name: names.claim(name) for name in of.used(contract)}
        self.common: Failures = {}
        self.endless = {name for name in self.schemas if of.endless(name, self.schemas)}

    def module(self) -> str:
        title = " ".join(of.plain_text(self.contract.title)) or "an app"
        operations = of.ordered(self.contract)
        self.common = self.in_common(operations)
        parts = [HEAD.format(title=title), *(self.schema(name) for name in self.names)]
        calls = "\n".join(self.call(operation) for operation in operations)
        ways = "".join(self.way(operation) for operation in operations)
        if self.common:
            either = "".join(f"\n  | {_api_error(*each, codes)}" for each, codes in self.common.items())
            parts.append(f"/** How every call may fail. */\nexport type AnyFailure ={either};\n")
        parts.append(
            f"/** Every call: what it takes, what it gives, how it fails. */\nexport interface Calls {{\n{calls}}}\n"
        )
        parts.append(f"const CALLS: {{ readonly [call: string]: Way }} = {{\n{ways}}};\n")
        parts.append((files(__package__) / "runtime.ts").read_text("utf-8"))
        return "\n".join(parts)

    # -- what is called

    def call(self, operation: Operation) -> str:
        required, options = self.options(operation)
        takes = " & ".join([*([_braced(options, "    ")] if options else []), "CallOptions"])
        mark = "" if required else "?"
        lines = [
            *_comment(of.about(operation), "  "),
            f"  {quoted(f'{operation.method} {operation.path}')}: {{",
            f"    options: [options{mark}: {takes}];",
            f"    answer: {self.answer(operation)};",
            f"    failure:{self.failure(operation)};",
            "  };",
        ]
        return "\n".join(lines) + "\n"

    def options(self, operation: Operation) -> tuple[bool, list[str]]:
        """Whether any option has to be given, and the members of the type of the options."""
        lines, any_required = [], False
        for place, name in (("path", "params"), ("query", "query"), ("header", "headers")):
            found = of.placed(operation, place)
            if not found:
                continue
            required = any(each.required for each in found)
            any_required |= required
            lines += _member(name, Type(self.parameters(found)), required, "      ")
        body = of.body_of(operation)
        if body is not None and operation.body is not None:
            any_required |= operation.body.required
            lines += [
                *_comment(of.plain_text(operation.body.description), "      "),
                *_member("body", self.body(*body), operation.body.required, "      "),
            ]
        return any_required, lines

    def parameters(self, found: list[Parameter]) -> str:
        lines = []
        for each in found:
            lines += _comment(of.plain_text(each.description), " " * 8)
            lines += _member(each.name, self.type(each.schema, " " * 8), each.required, " " * 8)
        return _braced(lines, " " * 6)

    def body(self, media: str, schema: Any) -> Type:
        if of.is_json(media):
            return self.type(schema, " " * 6)
        if media.startswith((of.MULTIPART, of.FORM)):
            fields = self.fields(schema, media)
            whole = {of.FORM: "URLSearchParams", of.MULTIPART: "FormData"}.get(media, "FormData | URLSearchParams")
            return Type(f"{fields.text} | {whole}", False)
        if media.startswith("text/"):
            return Type("string | Blob | ReadableStream<Uint8Array>", False)
        return Type("Blob | ArrayBuffer | Uint8Array | ReadableStream<Uint8Array> | string", False)

    def fields(self, schema: Any, media: str) -> Type:
        """The fields of a form; where nothing is known of them, any text, and files where they can be sent."""
        if of.is_object(of.resolved(schema, self.schemas)):
            return self.type(schema, " " * 6)
        value = "string | number | boolean" if media == of.FORM else "string | number | boolean | Blob"
        return Type(f"{{ [name: string]: {value} | ({value})[] | undefined }}")

    def answer(self, operation: Operation) -> str:
        found = [self.given(each, operation) for each in operation.answers if of.is_success(each.status)]
        # A redirect is followed, and leads to an answer of who knows what.
        return _union(found or [UNKNOWN]).text

    def given(self, answer: Answer, operation: Operation) -> Type:
        if operation.method == "HEAD" or not answer.media:
            return Type("undefined")
        return _union([self.read(media, answer.media[media], operation) for media in sorted(answer.media)])

    def read(self, media: str, schema: Any, operation: Operation) -> Type:
        reader = of.reader(of.base_type(media), schema, of.comes_in_pieces(operation))
        if reader in ("json", "lines", "json-events"):
            item = self.type(schema, "    ")
            return {
                "json": item,
                "lines": Type(f"AsyncIterable<{item.text}>"),
                "json-events": Type(f"AsyncIterable<ServerEvent<{item.text}>>"),
            }[reader]
        named = {"text": "string", "texts": "AsyncIterable<string>", "bytes": "Blob", "any": "unknown"}
        named |= {"stream": "ReadableStream<Uint8Array>", "events": "AsyncIterable<ServerEvent<string>>"}
        return Type(named[reader])

    def failure(self, operation: Operation) -> str:
        own = {
            each: [code for code in codes if code not in self.common.get(each, ())]
            for each, codes in self.failures(operation).items()
        }
        found = [_api_error(*each, codes) for each, codes in own.items() if codes]
        found += ["AnyFailure"] if self.common else []
        if len(found) < 2:
            return f" {found[0]}" if found else " never"
        return "".join(f"\n      | {each}" for each in found)

    def failures(self, operation: Operation) -> Failures:
        found = {}
        for status, codes in of.failures(operation).items():
            bodies = [self.failed(answer) for answer in operation.answers if answer.status == status]
            found[status, _union(bodies).text] = [*codes, None]
        return found

    def in_common(self, operations: list[Operation]) -> Failures:
        """How all operations may fail; nothing where there are not at least two to have it in common."""
        first, *others = [self.failures(operation) for operation in operations] or [{}]
        common = {
            each: [code for code in codes if all(code in other.get(each, ()) for other in others)]
            for each, codes in first.items()
        }
        return {each: codes for each, codes in common.items() if codes and others}

    def failed(self, answer: Answer) -> Type:
        """The body of a failure. Where it may be JSON it is: an api() asks for that, and isFailure() looks."""
        bodies = []
        for media in sorted(answer.media):
            kind = of.base_type(media)
            if kind == of.PROBLEM:
                bodies.append(Type("Problem"))
            elif of.is_json(kind):
                bodies.append(self.type(answer.media[media], "      "))
        return _union(bodies or [Type("string") if answer.media else UNKNOWN])

    def way(self, operation: Operation) -> str:
        """How a call is carried, as data."""
        body = of.body_of(operation)
        gives = of.readers(operation)
        parts = [f"sends: {quoted(body[0])}"] if body else []
        parts.append(_braces("gives", [f"{quoted(kind)}: {quoted(gives[kind])}" for kind in gives]))
        codes = [f"{status}: [{', '.join(map(quoted, words))}]" for status, words in of.failures(operation).items()]
        parts.append(_braces("failures", codes))
        plain = [
            each.status for each in operation.answers if each.status in of.failures(operation) and not _has_json(each)
        ]
        parts += [f"plain: {sorted(plain)}"] if plain else []
        inner = "".join(f"    {part},\n" for part in parts)
        return f"  {quoted(f'{operation.method} {operation.path}')}: {{\n{inner}  }},\n"

    # -- schemas

    def schema(self, name: str) -> str:
        schema, own = self.schemas[name], self.names[name]
        head = "\n".join([*_comment(_description(schema), ""), ""]) if _description(schema) else ""
        if of.is_object(schema):
            return f"{head}export interface {own} {self.object(schema, '').text}\n"
        return f"{head}export type {own} = {self.type(schema, '', name).text};\n"

    def type(self, schema: Any, indent: str, inside: str | None = None) -> Type:
        """*schema* as a type.

        Args:
            indent: That of the line it stands on.
            inside: The alias being defined, as long as nothing stands between that and here.
        """
        if schema is False:
            return Type("never")
        if not isinstance(schema, dict):
            return UNKNOWN
        parts = []
        if "$ref" in schema:
            name = of.ref_of(schema, self.schemas)
            if name is None or (inside in self.endless and name in self.endless):
                return UNKNOWN
            parts.append(Type(self.names[name]))
        for key in ("anyOf", "oneOf"):
            if found := of.members(schema, key):
                parts.append(_union([self.type(each, indent, inside) for each in found]))
        parts += [self.type(each, indent, inside) for each in of.members(schema, "allOf")]
        allowed = of.choices(schema)
        if allowed is not None:
            parts.append(_union([_literal(value) for value in allowed] or [Type("never")]))
        elif found := of.kinds(schema):
            parts.append(_union([self.kind(kind, schema, indent) for kind in found]))
        return _both(parts)

    def kind(self, kind: str, schema: dict[str, Any], indent: str) -> Type:
        if kind == "object":
            return self.object(schema, indent)
        if kind == "array":
            return self.array(schema, indent)
        if kind == "string" and of.is_bytes(schema):
            return Type("Blob")
        return Type(_NAMES.get(kind, "unknown"))

    def array(self, schema: dict[str, Any], indent: str) -> Type:
        first = of.members(schema, "prefixItems")
        items = schema.get("items", True)
        item = self.type(items, indent)
        if not first:
            return Type(_listed(item))
        least = schema.get("minItems", 0)
        found = []
        for at, each in enumerate(first):
            one = self.type(each, indent)
            optional = not isinstance(least, int) or at >= least
            found.append(f"{one.text if one.simple else f'({one.text})'}{'?' if optional else ''}")
        if items is not False and schema.get("maxItems") != len(first):
            found.append(f"...{_listed(item)}")
        return Type(f"[{', '.join(found)}]")

    def object(self, schema: dict[str, Any], indent: str) -> Type:
        properties, required = schema.get("properties") or {}, schema.get("required") or []
        others = schema.get("additionalProperties")
        deeper = indent + "  "
        lines = []
        for name, each in properties.items():
            lines += _comment(_description(each), deeper)
            lines += _member(name, self.type(each, deeper), name in required, deeper, undefined=False)
        if properties and isinstance(others, dict):
            lines.append(f"{deeper}[name: string]: unknown;")  # of any narrower type the members would have to be, too
        if properties:
            return Type(_braced(lines, indent))
        if others is False and "patternProperties" not in schema:
            return Type("{ [name: string]: never }")
        return Type(
            f"{{ [name: string]: {self.type(others, indent).text if isinstance(others, dict) else 'unknown'} }}"
        )


def _api_error(status: int, body: str, codes: list[str | None]) -> str:
    words = " | ".join("undefined" if code is None else quoted(code) for code in codes)
    return f"ApiError<{status}, {words}, {body}>"


def _literal(value: Any) -> Type:
    if value is None or isinstance(value, (str, bool, int)):
        return Type(quoted(value))
    if isinstance(value, float):
        return Type(quoted(value) if value == value and abs(value) < 1e308 else "number")
    return UNKNOWN


def _union(parts: list[Type]) -> Type:
    texts = list(dict.fromkeys(part.text for part in parts))
    if "unknown" in texts:
        return UNKNOWN
    if len(texts) == 1:
        return parts[0]
    return Type(" | ".join(text for text in texts if text != "never"), False) if texts else UNKNOWN


def _both(parts: list[Type]) -> Type:
    known = [part for part in parts if part.text != "unknown"]
    if len(known) < 2:
        return known[0] if known else UNKNOWN
    return Type(" & ".join(part.text if part.simple else f"({part.text})" for part in known), False)


def _has_json(answer: Answer) -> bool:
    return any(of.is_json(of.base_type(media)) for media in answer.media)


def _listed(item: Type) -> str:
    # Not Array<...>: in that an alias may not stand within itself.
    return f"{item.text}[]" if item.simple else f"({item.text})[]"


def _member(name: str, type: Type, required: bool, indent: str, *, undefined: bool = True) -> list[str]:
    key = name if _is_plain_key(name) else quoted(name)
    if required:
        return [f"{indent}{key}: {type.text};"]
    return [f"{indent}{key}?: {type.text}{' | undefined' if undefined else ''};"]


def _braced(lines: list[str], indent: str) -> str:
    return "\n".join(["{", *lines, f"{indent}}}"]) if lines else "{}"


def _braces(name: str, parts: list[str]) -> str:
    return f"{name}: {{ {', '.join(parts)} }}" if parts else f"{name}: {{}}"


def _description(schema: Any) -> list[str]:
    found = schema.get("description") if isinstance(schema, dict) else None
    return of.plain_text(found) if isinstance(found, str) and found.strip() else []


def _comment(lines: list[str], indent: str) -> list[str]:
    # An instruction to the compiler counts in a comment, too.
    safe = [line.replace("*/", "*\\/").replace("@ts-", "\\@ts-") for line in lines if line or len(lines) > 1]
    if not safe:
        return []
    if len(safe) == 1:
        return [f"{indent}/** {safe[0]} */"]
    return [f"{indent}/**", *(f"{indent} * {line}".rstrip() for line in safe), f"{indent} */"]
