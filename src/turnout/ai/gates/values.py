"""Values that fit a JSON Schema, and values that do not: what the probes send.

The same schema gives the same values: a report can be had again. What a schema does not say is guessed from the name
of a field, since ``email: str`` takes any text and a handler does not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

NUMBER, UUID = 7001, "70017001-7001-4001-8001-700170017001"
_BY_NAME = {
    "email": "new@example.com", "mail": "new@example.com", "url": "https://example.com/", "link": "https://example.com/",
    "password": "correct horse battery 7", "phone": "+15550100", "name": "Grace Hopper", "slug": "a-sample",
    "currency": "usd", "country": "DE", "date": "2026-01-02", "timezone": "UTC",
}  # fmt: skip
_BY_FORMAT = {
    "email": "new@example.com", "uri": "https://example.com/", "uuid": UUID, "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z", "time": "03:04:05", "duration": "PT1H", "hostname": "example.com",
}  # fmt: skip
_TEXTS = (
    "a sample",
    "Sample",
    "sample",
    "a-sample",
    "AB",
    "7",
    "2026-01-02",
    "new@example.com",
    "+15550100",
    "#aabbcc",
)


def schema_of(model: Any) -> Schema | None:
    """The JSON Schema of *model*, with its ``$defs``; None where it has none."""
    import msgspec

    if hasattr(model, "model_json_schema"):
        found: Schema = model.model_json_schema()
        return found
    try:
        return msgspec.json.schema(model, ref_template="#/$defs/{name}")
    except TypeError:
        return None


def resolved(schema: Schema, defs: Schema) -> Schema:
    """*schema* with its reference followed, and the first choice that is not null taken."""
    for _ in range(20):
        if "$ref" in schema:
            schema = defs.get(schema["$ref"].rpartition("/")[2], {})
        elif choices := schema.get("anyOf") or schema.get("oneOf"):
            schema = next((each for each in choices if each.get("type") != "null"), choices[0])
        elif len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        else:
            break
    return schema


def fields(schema: Schema) -> tuple[Schema, list[str]]:
    """The properties of an object's schema and the names that are required."""
    found = resolved(schema, schema.get("$defs", {}))
    return found.get("properties", {}), list(found.get("required", ()))


def sample(schema: Schema, defs: Schema | None = None, name: str = "") -> Any:
    """A value that fits *schema*, if one can be guessed."""
    defs = schema.get("$defs", {}) if defs is None else defs
    schema = resolved(schema, defs)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object" or "properties" in schema:
        found = schema.get("properties", {})
        return {key: sample(each, defs, key) for key, each in found.items()}
    if kind == "array":
        items = schema.get("items") or {}
        return [sample(items, defs, name) for _ in range(max(1, schema.get("minItems", 1)))] if items else []
    if kind in ("integer", "number"):
        return _number(schema, kind, name)
    return (
        {"boolean": True, "null": None}.get(str(kind), _text(schema, name)) if kind != "string" else _text(schema, name)
    )


def _number(schema: Schema, kind: str, name: str) -> Any:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1 if "exclusiveMinimum" in schema else None)
    most = schema.get("maximum", schema.get("exclusiveMaximum", 1) - 1 if "exclusiveMaximum" in schema else None)
    wanted = NUMBER if name == "id" or name.endswith("_id") else 7
    if least is not None and wanted < least:
        wanted = least
    if most is not None and wanted > most:
        wanted = most
    step = schema.get("multipleOf")
    if step:
        wanted = -(-wanted // step) * step
    return wanted if kind == "integer" else float(wanted)


def _text(schema: Schema, name: str) -> str:
    if schema.get("format") in _BY_FORMAT:
        return str(_BY_FORMAT[schema["format"]])
    guesses = [value for word, value in _BY_NAME.items() if word in name.lower()]
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 10**6))
    pattern = schema.get("pattern")
    for text in (*guesses, *_TEXTS, "x" * max(least, 1), "a" * least, "1" * least, "A" * least):
        text = text if len(text) >= least else text + "x" * (least - len(text))
        if len(text) <= most and (pattern is None or _matches(pattern, text)):
            return text
    return "sample"[: int(most)]


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return True


WRONG: dict[str, Any] = {
    "string": 7, "integer": "seven", "number": "seven", "boolean": "perhaps", "array": 7, "object": 7, "null": 7,
}  # fmt: skip


def wrong(schema: Schema, defs: Schema) -> Any:
    """A value of another type than *schema* asks for; None if every type fits."""
    kinds = {each.get("type") for each in schema.get("anyOf", [resolved(schema, defs)])}
    kind = resolved(schema, defs).get("type")
    if kind not in WRONG or len(kinds - {"null"}) > 1:
        return None
    return WRONG[kind]


_ODD: tuple[Any, ...] = (
    None, True, [], {}, "", 0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, 0.1, "\u0000", "\U0001f600" * 50, "'",
    '"; --',
    "' or 1=1 --", "../../etc/passwd", "<script>alert(1)</script>", "{{7*7}}", "%s%n", "\r\nX-Odd: 1", "x" * 10_000,
    "0", "NaN", "1e999", "2026-13-45", "\u202e\u2066", [None], [[[]]], {"$ne": 1}, {"id": {"a": 1}},
)  # fmt: skip


def generated(schema: Schema | None, count: int, *, seed: int = 7) -> Iterator[Any]:
    """*count* bodies: near what fits, with one or two fields made odd, and some that are nothing of the kind."""
    chance = random.Random(seed)
    whole = sample(schema) if schema else {}
    known = list(fields(schema)[0]) if schema else ["id", "name", "email", "title"]
    for at in range(count):
        if at % 5 == 4 or not isinstance(whole, dict) or not known:
            yield chance.choice(_ODD)
            continue
        body = dict(whole)
        for _ in range(chance.choice((1, 1, 2))):
            body[chance.choice(known)] = chance.choice(_ODD)
        if at % 4 == 3:
            body.pop(chance.choice(known), None)
        yield body
