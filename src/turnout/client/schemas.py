"""What both writers of clients need to know of a contract: names that a language takes, and what a schema is.

A schema may be anything that JSON Schema 2020-12 allows; what a type cannot say (a pattern, a bound) is left to
the server, which checks it anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from ..contract.diff import is_automatic
from ..contract.model import REF, Contract, Operation, Parameter

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
JSON, PROBLEM, EVENTS = "application/json", "application/problem+json", "text/event-stream"
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
LINES = ("application/x-ndjson", "application/jsonl", "application/ndjson", "application/json-seq")
_slug = re.compile(r"\[\[\.\.\.(\w+)\]\]|\[\.\.\.(\w+)\]|\[(\w+)\]")
# Letters that change the order in which a line is shown, and line ends of other alphabets: with them a comment could
# look like code (https://trojansource.codes).
_tricks = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class Names:
    """Names that are given out once each.

    Args:
        reserved: Those that the language or the rest of the module has taken.
    """

    def __init__(self, reserved: frozenset[str]) -> None:
        self.reserved, self.given = reserved, set[str]()

    def claim(self, wanted: str) -> str:
        """A name like *wanted* that nobody has, with what an identifier cannot hold left out."""
        base = identifier(wanted)
        base = f"{base}_" if base in self.reserved else base
        name, number = base, 1
        while name in self.given or name in self.reserved:
            number += 1
            name = f"{base}_{number}"
        self.given.add(name)
        return name


def identifier(text: str) -> str:
    """*text* as an identifier of ASCII letters where it has any, else of letters that both languages take."""
    import unicodedata  # here: a table of a megabyte that nothing else needs

    # Python reads identifiers in this form; letters outside the first plane are not known to every version of either.
    plain = unicodedata.normalize("NFKC", text)
    kept = "".join(letter if _fits(letter) else " " for letter in plain)
    first, *others = kept.split() or ["Type"]
    # None begins with an underscore: in a class of Python two of them would make it another name.
    name = (first + "".join(part[:1].upper() + part[1:] for part in others)).lstrip("_")
    name = unicodedata.normalize("NFKC", name)  # once more: an accent may have come to stand behind its letter
    return name if name.isidentifier() else f"Type{name}"


def _fits(letter: str) -> bool:
    return letter <= "\uffff" and f"a{letter}".isidentifier() and letter not in "\u00b7\u0387"


def plain_text(text: str) -> list[str]:
    """The lines of *text*, for a comment, without what would disturb its reader."""
    return [_tricks.sub("", line).rstrip() for line in re.split(r"\r\n|[\r\n\u2028\u2029]", text.strip())]


def about(operation: Operation) -> list[str]:
    """What to say above an operation."""
    text = operation.description or ""
    if not text.startswith(operation.summary):
        text = f"{operation.summary}\n\n{text}"
    return plain_text(text) if text.strip() else []


def ordered(contract: Contract) -> list[Operation]:
    """The operations by path and method, so that the same contract gives the same bytes.

    The HEAD and OPTIONS that every route answers by itself are left out.
    """
    own = [each for each in contract.operations if not is_automatic(each, contract)]
    return sorted(own, key=lambda each: (each.path, _rank(each.method), each.method))


def _rank(method: str) -> int:
    return METHODS.index(method) if method in METHODS else len(METHODS)


def ref_of(schema: Any, schemas: dict[str, Any]) -> str | None:
    """The name of the schema that *schema* refers to; None where it does not, or to none there is."""
    ref = schema.get("$ref") if isinstance(schema, dict) else None
    if not isinstance(ref, str) or not ref.startswith(REF):
        return None
    name = ref.removeprefix(REF)
    if name in schemas:
        return name
    name = unquote(name).replace("~1", "/").replace("~0", "~")
    return name if name in schemas else None


def used(contract: Contract) -> list[str]:
    """The names of the schemas that the operations speak of, and these of each other, in order.

    That of a problem is not among them: a client has a type of its own for it.
    """
    todo: list[Any] = [each.schema for operation in ordered(contract) for each in operation.parameters]
    for operation in ordered(contract):
        todo += operation.body.media.values() if operation.body else []
        for answer in operation.answers:
            is_problem = {
                media: base_type(media) == PROBLEM and not is_success(answer.status) for media in answer.media
            }
            todo += [schema for media, schema in answer.media.items() if not is_problem[media]]
    found: set[str] = set()
    while todo:
        each = todo.pop()
        todo.extend(each.values() if isinstance(each, dict) else each if isinstance(each, list) else [])
        name = ref_of(each, contract.schemas)
        if name is not None and name not in found:
            found.add(name)
            todo.append(contract.schemas[name])
    return sorted(found)


def resolved(schema: Any, schemas: dict[str, Any]) -> Any:
    """*schema*, or what it refers to in the end."""
    seen: set[str] = set()
    while (name := ref_of(schema, schemas)) is not None and name not in seen:
        seen.add(name)
        schema = schemas[name]
    return schema


def is_bytes(schema: Any) -> bool:
    """Whether *schema* is that of bytes: a body that is no text, or a file in a form."""
    return isinstance(schema, dict) and (schema.get("format") == "binary" or "contentMediaType" in schema)


def is_text(schema: Any) -> bool:
    """Whether *schema* says nothing, or just that there is text."""
    return (
        not isinstance(schema, dict) or not schema.keys() - {"description", "title"} or schema.get("type") == "string"
    )


def is_object(schema: Any) -> bool:
    """Whether *schema* is that of an object with named members, and nothing besides."""
    return (
        isinstance(schema, dict)
        and "properties" in schema
        and schema.get("type", "object") == "object"
        and not (schema.keys() & {"anyOf", "oneOf", "allOf", "enum", "const", "$ref"})
    )


def choices(schema: Any) -> list[Any] | None:
    """The values that an ``enum`` or ``const`` allows; None where there is neither."""
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return found if isinstance(found, list) else None


def kinds(schema: Any) -> list[str]:
    """The words of ``type``, or those that other keywords imply."""
    found = schema.get("type")
    if isinstance(found, str):
        return [found]
    if isinstance(found, list):
        return [kind for kind in found if isinstance(kind, str)]
    if schema.keys() & {"properties", "additionalProperties", "required", "patternProperties"}:
        return ["object"]
    if schema.keys() & {"items", "prefixItems"}:
        return ["array"]
    return []


def members(schema: Any, key: str) -> list[Any]:
    """The schemas below *key*, such as ``anyOf``."""
    found = schema.get(key)
    return found if isinstance(found, list) else []


def endless(name: str, schemas: dict[str, Any]) -> bool:
    """Whether the schema *name* is defined by itself, with no object or list between, so that no type can say it."""
    todo, seen = list(_bare_refs(schemas[name], schemas)), set[str]()
    while todo:
        reached = todo.pop()
        if reached == name:
            return True
        if reached not in seen and not is_object(schemas[reached]):
            seen.add(reached)
            todo.extend(_bare_refs(schemas[reached], schemas))
    return False


def _bare_refs(schema: Any, schemas: dict[str, Any]) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    name = ref_of(schema, schemas)
    if name is not None:
        yield name
    for key in ("anyOf", "oneOf", "allOf"):
        for each in members(schema, key):
            yield from _bare_refs(each, schemas)


def base_type(media: str) -> str:
    """A media type without its parameters."""
    return media.partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    """Whether *media* is JSON, or built on it."""
    return media == JSON or media.endswith("+json")


def placed(operation: Operation, place: str) -> list[Parameter]:
    """The parameters of one place; those of a path are complete, whether the handler names them or not."""
    found = [each for each in operation.parameters if each.place == place]
    if place != "path":
        return found
    named = {each.name: each for each in found}
    whole = []
    for optional, rest, single in _slug.findall(operation.path):
        name = optional or rest or single
        schema = {"type": "string"} if single else {"type": "array", "items": {"type": "string"}}
        given = named.get(name)
        if given is not None and (single or kinds(given.schema) == ["array"]):
            schema = given.schema
        whole.append(Parameter(name, "path", schema, not optional, given.description if given else ""))
    return whole


def body_of(operation: Operation) -> tuple[str, Any] | None:
    """The media type in which a client sends the body, and its schema.

    Both of a form, where it takes both: which one it is depends on whether there are files in it.
    """
    if operation.body is None or not operation.body.media:
        return None
    media = min(operation.body.media, key=lambda each: (preference(base_type(each)), each))
    kinds = set(map(base_type, operation.body.media))
    either = base_type(media) == MULTIPART and FORM in kinds
    return f"{MULTIPART}, {FORM}" if either else base_type(media), operation.body.media[media]


def preference(media: str) -> int:
    """JSON before forms, and a form that can carry files before one that cannot."""
    return (
        0
        if is_json(media)
        else 1
        if media == MULTIPART
        else 2
        if media == FORM
        else 3
        if media.startswith("text/")
        else 4
    )


def reader(media: str, schema: Any, streams: bool) -> str:
    """How an answer of a media type is read.

    Returns:
        One of json, text, texts, bytes, stream, lines, events, json-events, any.
    """
    if media == "*/*":
        return "any"
    if is_json(media):
        return "json"
    if media == EVENTS:
        return "events" if is_text(schema) else "json-events"
    if media in LINES:
        return "lines"
    if media.startswith("text/"):
        return "texts" if streams else "text"
    return "stream" if streams else "bytes"


def comes_in_pieces(operation: Operation) -> bool:
    """Whether the answer is a stream to its reader, too; a file, of which parts may be asked for, is none."""
    return operation.streams and all(answer.status != 206 for answer in operation.answers)


def readers(operation: Operation) -> dict[str, str]:
    """How the answer of a call is read, by its media type; empty where there is never a body."""
    found = {
        base_type(media): reader(base_type(media), answer.media[media], comes_in_pieces(operation))
        for answer in operation.answers
        if is_success(answer.status)
        for media in answer.media
    }
    # Where it only redirects the answer is another route's.
    unknown = not any(is_success(answer.status) for answer in operation.answers)
    return {"*/*": "any"} if unknown else dict(sorted(found.items()))


def is_success(status: int) -> bool:
    """Whether a call that ends with *status* gives its answer, where others raise."""
    return 200 <= status <= 299 or status == 0  # which stands for those that nobody knows before


def failures(operation: Operation) -> dict[int, list[str]]:
    """The statuses from 400 on that the operation is known to answer, each with its codes."""
    return {
        each.status: sorted(set(each.codes))
        for each in sorted(operation.answers, key=lambda a: a.status)
        if each.status >= 400
    }
