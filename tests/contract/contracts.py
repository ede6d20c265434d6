"""Contracts for tests: short to write by hand, and random ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from turnout.contract.model import REF, Answer, Content, Contract, Cors, Operation, Parameter, Schema

JSON = "application/json"
PROBLEM = "application/problem+json"


def ref(name: str) -> Schema:
    return {"$ref": REF + name}


def operation(call: str, **given: Any) -> Operation:
    """The operation of ``GET /a/[id]``; of what is not given there is nothing."""
    method, path = call.split(" ")
    nothing: dict[str, Any] = {
        "operation_id": call,
        "summary": "",
        "description": "",
        "parameters": [],
        "body": None,
        "answers": [],
        "auth": None,
        "rate_limit": None,
        "body_limit": None,
        "cors": None,
        "streams": False,
        "tags": [],
        "file": f"app{path}/route.py",
        "line": hash_of(method),
    }
    return Operation(method=method, path=path, **{**nothing, **given})


def hash_of(method: str) -> int:
    """A line for each method, so that none stands where another does."""
    return sum(map(ord, method))


def answer(
    status: int = 200, schema: Any = None, *, media: str = JSON, codes: tuple[str, ...] = (), **headers: Any
) -> Answer:
    return Answer(status, "", {} if schema is None else {media: schema}, headers, list(codes))


def contract(*operations: Operation, **schemas: Any) -> Contract:
    return Contract("Test", "1", list(operations), schemas)


# -- random ones, with whatever text a name or a comment may hold

texts = st.one_of(
    st.sampled_from(
        [
            "class", "Promise", "Post", "post", "any", "__proto__", "constructor", "a-b", "1", "", "ü", "名", "*/",
            '"""', "'", '"', "\\", "`${x}`", "\n", "\r", "\u2028", "\u202e", "\x00", "// x", "# mypy: ignore-errors",
            "@ts-ignore", "@ts-expect-error", "None", "__x", "list", "self", "call", "\ud800", "𝒳", "T", "Calls",
            "str", "${", "x" * 90,
        ]
    ),
    st.text(max_size=6),
)  # fmt: skip
names = st.sampled_from(["Post", "Tree", "class", "Promise", "str", "a b", "ü", "1", "Error", "_x", "Post_", "T"])
values = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False), texts
)
leaves = st.one_of(
    st.just({}),
    st.sampled_from([True, False]),
    st.builds(lambda kind: {"type": kind}, st.sampled_from(["string", "integer", "number", "boolean", "null"])),
    st.builds(
        lambda kinds: {"type": kinds}, st.lists(st.sampled_from(["string", "integer", "null"]), min_size=1, unique=True)
    ),
    st.builds(lambda form: {"type": "string", "format": form}, st.sampled_from(["date-time", "binary", "uuid"])),
    st.builds(lambda found: {"enum": found}, st.lists(values, max_size=4)),
    st.builds(lambda found: {"const": found}, values),
    st.builds(ref, names),
)


def _deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(texts, inner, max_size=4)
    described = st.builds(
        lambda schema, text: {**schema, "description": text} if isinstance(schema, dict) else schema, inner, texts
    )
    return st.one_of(
        described,
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(
            lambda first, least, rest: {"type": "array", "prefixItems": first, "minItems": least, "items": rest},
            st.lists(inner, min_size=1, max_size=3),
            st.integers(0, 3),
            inner,
        ),
        st.builds(
            lambda found, required: {
                "type": "object",
                "properties": found,
                "required": [n for n in found if n in required],
            },
            properties,
            st.sets(texts, max_size=4),
        ),
        st.builds(
            lambda found, others: {"type": "object", "properties": found, "additionalProperties": others},
            properties,
            inner,
        ),
        st.builds(lambda others: {"type": "object", "additionalProperties": others}, inner),
        st.builds(
            lambda key, found: {key: found},
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    )


schemas = st.recursive(leaves, _deeper, max_leaves=8)
whole = schemas.map(lambda schema: schema if isinstance(schema, dict) else {})  # where a contract has no true and false
objects = st.builds(lambda found: {"type": "object", "properties": found}, st.dictionaries(texts, schemas, max_size=3))
media = st.sampled_from(
    [
        JSON,
        PROBLEM,
        "text/plain",
        "text/event-stream",
        "application/x-ndjson",
        "application/octet-stream",
        "*/*",
        "a/b+json",
    ]
)
bodies = st.builds(
    Content,
    st.one_of(
        st.dictionaries(media, whole, min_size=1, max_size=2),
        st.dictionaries(
            st.sampled_from(["multipart/form-data", "application/x-www-form-urlencoded"]), objects, min_size=1
        ),
    ),
    st.booleans(),
    texts,
)
parameters = st.builds(Parameter, texts, st.sampled_from(["query", "header", "cookie"]), whole, st.booleans(), texts)
answers = st.builds(
    Answer,
    st.sampled_from([0, 200, 201, 204, 303, 400, 404, 409, 500]),
    texts,
    st.dictionaries(media, whole, max_size=2),
    st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.just({}), max_size=1),
    st.lists(texts, max_size=3),
)
calls = st.sampled_from(
    [
        "GET /a",
        "POST /a",
        "GET /a/[id]",
        "DELETE /a/[id]",
        "GET /b/[...rest]",
        "HEAD /c",
        "PUT /[[...all]]",
        "PATCH /ü%25/[x]",
        'POST /"',
    ]
)
operations = st.builds(
    operation,
    calls,
    summary=texts,
    description=texts,
    parameters=st.lists(parameters, max_size=3, unique_by=lambda each: (each.place, each.name.lower())),
    body=st.none() | bodies,
    answers=st.lists(answers, max_size=4, unique_by=lambda each: each.status),
    auth=st.sampled_from([None, "public", "user", "admin", "secret"]),
    rate_limit=st.sampled_from([None, "20/min", "5/10 s"]),
    body_limit=st.sampled_from([None, 1000]),
    cors=st.sampled_from([None, Cors(["*"]), Cors(["https://a.example"], True)]),
    streams=st.booleans(),
)
contracts = st.builds(
    Contract,
    texts,
    texts,
    st.lists(operations, min_size=1, max_size=4, unique_by=lambda each: (each.method, each.path)),
    st.dictionaries(names, st.one_of(whole, objects), max_size=5),
)
