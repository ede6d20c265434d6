"""Two versions of a contract: what breaks callers and what opens is found, in its direction, and nothing else."""

# ruff: noqa: E501 - tables read best with a thing a line

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from contract.contracts import JSON, answer, contract, contracts, operation, ref
from hypothesis import HealthCheck, given, settings

from turnout.contract.diff import diff
from turnout.contract.document import from_openapi
from turnout.contract.model import Content, Contract, Cors, Operation, Parameter
from turnout.contract.openapi import openapi

TEXT, NUMBER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}


def found(old: Contract, new: Contract) -> list[str]:
    return [f"{each.kind} {each.code} {each.at}".strip() for each in diff(old, new)]


def query(name: str = "page", schema: Any = NUMBER, required: bool = False, place: Any = "query") -> Parameter:
    return Parameter(name, place, schema, required)


def record(required: tuple[str, ...] = (), /, *, closed: bool = False, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        **({"additionalProperties": False} if closed else {}),
    }


# What a value was, what it is, and what is found where it is sent and where it is answered.
SCHEMAS: list[tuple[str, Any, Any, list[str], list[str]]] = [
    ("the same", TEXT, TEXT, [], []),
    ("another type", TEXT, NUMBER, ["type"], ["type"]),
    ("a wider number", NUMBER, {"type": "number"}, [], ["type"]),
    ("a narrower number", {"type": "number"}, NUMBER, ["type"], []),
    ("null too", TEXT, {"anyOf": [TEXT, NULL]}, [], ["type"]),
    ("null too, otherwise written", TEXT, {"type": ["string", "null"]}, [], ["type"]),
    ("null no more", {"anyOf": [TEXT, NULL]}, TEXT, ["type"], []),
    ("one more value", {"enum": ["a"]}, {"enum": ["a", "b"]}, [], ["enum"]),
    ("one value less", {"enum": ["a", "b"]}, {"enum": ["b"]}, ["enum"], []),
    ("values for any text", TEXT, {"enum": ["a"]}, ["type"], []),
    ("any text for values", {"enum": ["a"]}, TEXT, [], ["type"]),
    ("true is not 1", {"const": 1}, {"const": True}, ["enum"], ["enum"]),
    ("anything", TEXT, {}, [], ["type"]),
    ("no longer anything", {}, TEXT, ["type"], []),
    ("a format", TEXT, {"type": "string", "format": "uuid"}, ["format"], []),
    ("no format", {"type": "string", "format": "uuid"}, TEXT, [], ["format"]),
    ("a length", TEXT, {"type": "string", "maxLength": 9}, ["limit"], []),
    ("a smaller length", {"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 8}, ["limit"], []),
    ("a greater length", {"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 10}, [], []),
    ("a higher minimum", {"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 2}, ["limit"], []),
    ("a lower minimum", {"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 0}, [], []),
    ("a pattern", TEXT, {"type": "string", "pattern": "^a"}, ["limit"], []),
    ("other items", {"type": "array", "items": TEXT}, {"type": "array", "items": NUMBER}, ["type /*"], ["type /*"]),
    ("a list for one", TEXT, {"type": "array", "items": TEXT}, ["type"], ["type"]),
    ("a longer tuple", {"type": "array", "prefixItems": [TEXT], "items": False, "minItems": 1},
     {"type": "array", "prefixItems": [TEXT, TEXT], "items": False, "minItems": 2}, ["limit", "removed /1"], []),
    ("a new field", record(a=TEXT), record(a=TEXT, b=TEXT), [], []),
    ("a new required field", record(a=TEXT), record(("b",), a=TEXT, b=TEXT), ["required /b"], []),
    ("a field required now", record(a=TEXT), record(("a",), a=TEXT), ["required /a"], []),
    ("a field required no more", record(("a",), a=TEXT), record(a=TEXT), [], ["required /a"]),
    ("a field less", record(("a",), a=TEXT, b=TEXT), record(("a",), a=TEXT), ["removed /b"], ["removed /b"]),
    ("a field less, others refused", record(a=TEXT, b=TEXT), record(closed=True, a=TEXT),
     ["refused /b", "closed"], ["removed /b"]),
    ("others refused", record(a=TEXT), record(closed=True, a=TEXT), ["closed"], []),
    ("others taken", record(closed=True, a=TEXT), record(a=TEXT), [], []),
    ("a field of another type", record(a=TEXT), record(a=NUMBER), ["type /a"], ["type /a"]),
    ("deeper down", record(a=record(b=TEXT)), record(a=record(b=NUMBER)), ["type /a/b"], ["type /a/b"]),
    ("values of a map", {"type": "object", "additionalProperties": TEXT},
     {"type": "object", "additionalProperties": NUMBER}, ["type /*"], ["type /*"]),
    ("one kind of several", {"anyOf": [TEXT, NUMBER]}, {"anyOf": [NUMBER, NULL]}, ["type"], ["type"]),
    ("the same in another order", {"anyOf": [TEXT, NUMBER]}, {"oneOf": [NUMBER, TEXT]}, [], []),
    ("all of two", {"allOf": [record(("a",), a=TEXT), record(b=TEXT)]}, record(("a",), a=TEXT, b=TEXT), [], []),
    ("a note", TEXT, {"type": "string", "description": "Not this", "default": "a", "title": "T"}, [], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "sent", "answered"), [case[1:] for case in SCHEMAS], ids=[c[0] for c in SCHEMAS]
)
def test_a_type_that_changes_breaks_in_one_direction_or_both(
    old: Any, new: Any, sent: list[str], answered: list[str]
) -> None:
    def takes(schema: Any) -> Contract:
        return contract(operation("POST /a", body=Content({JSON: schema})))

    def gives(schema: Any) -> Contract:
        return contract(operation("GET /a", answers=[answer(200, schema)]))

    def named(made: Any, schema: Any) -> Contract:
        return msgspec.structs.replace(made(ref("Thing")), schemas={"Thing": schema})

    def told(changes: list[str], prefix: str, place: str) -> list[str]:
        return sorted(each.removeprefix(f"breaking {prefix}-").replace(f" {place}", "").strip() for each in changes)

    for make in (lambda made, schema: made(schema), named):
        assert told(found(make(takes, old), make(takes, new)), "body", "body") == sorted(sent)
        assert told(found(make(gives, old), make(gives, new)), "answer", "answer 200") == sorted(answered)


POST = operation("POST /a", auth="user")
FORM = "application/x-www-form-urlencoded"
# What an operation was, what it is, and what is found.
OPERATIONS: list[tuple[str, Operation | None, Operation | None, list[str]]] = [
    ("gone", operation("GET /a"), None, ["breaking operation-removed"]),
    ("new", None, operation("GET /a"), []),
    ("new and open", None, operation("POST /a"), ["security open-write-added"]),
    ("new and said to be public", None, operation("POST /a", auth="public"), []),
    ("another slug", operation("GET /a/[id]", parameters=[query("id", place="path", required=True)]),
     operation("GET /a/[key]", parameters=[query("key", place="path", required=True)]), []),
    ("another type in the path", operation("GET /a/[id]", parameters=[query("id", TEXT, True, "path")]),
     operation("GET /a/[key]", parameters=[query("key", NUMBER, True, "path")]), ["breaking parameter-type path id"]),
    ("a parameter less", operation("GET /a", parameters=[query()]), operation("GET /a"),
     ["breaking parameter-removed query page"]),
    ("a parameter more", operation("GET /a"), operation("GET /a", parameters=[query()]), []),
    ("a required parameter more", operation("GET /a"), operation("GET /a", parameters=[query(required=True)]),
     ["breaking parameter-required query page"]),
    ("a parameter required now", operation("GET /a", parameters=[query()]),
     operation("GET /a", parameters=[query(required=True)]), ["breaking parameter-required query page"]),
    ("a parameter required no more", operation("GET /a", parameters=[query(required=True)]),
     operation("GET /a", parameters=[query()]), []),
    ("a field of another case", operation("GET /a", parameters=[query("X-A", place="header")]),
     operation("GET /a", parameters=[query("x-a", place="header")]), []),
    ("a body more", POST, operation("POST /a", auth="user", body=Content({JSON: TEXT})), ["breaking body-required body"]),
    ("a body more that may be left out", POST, operation("POST /a", auth="user", body=Content({JSON: TEXT}, False)), []),
    ("a body less", operation("POST /a", auth="user", body=Content({JSON: TEXT})), POST, ["breaking body-removed body"]),
    ("a body required now", operation("PUT /a", body=Content({JSON: TEXT}, False)),
     operation("PUT /a", body=Content({JSON: TEXT})), ["breaking body-required body"]),
    ("a media type less", operation("PUT /a", body=Content({JSON: TEXT, "text/csv": TEXT})),
     operation("PUT /a", body=Content({JSON: TEXT})), ["breaking body-media-removed body"]),
    ("any media type", operation("PUT /a", body=Content({"image/png": {}})),
     operation("PUT /a", body=Content({"image/*": {}})), []),
    ("forms too", operation("PUT /a", body=Content({JSON: TEXT})), operation("PUT /a", body=Content({JSON: TEXT, FORM: {}})),
     ["security form-accepted body"]),
    ("forms as before", operation("PUT /a", body=Content({FORM: {}})),
     operation("PUT /a", body=Content({FORM: {}, "text/plain": TEXT})), []),
    ("a status less", operation("GET /a", answers=[answer(200), answer(202)]), operation("GET /a", answers=[answer(200)]),
     ["breaking status-removed answer 202"]),
    ("a status more", operation("GET /a", answers=[answer(200)]), operation("GET /a", answers=[answer(200), answer(303)]),
     ["breaking status-added answer 303"]),
    ("answers for caches and ranges", operation("GET /a", answers=[answer(200), answer(206)]),
     operation("GET /a", answers=[answer(200), answer(304)]), []),
    ("an error less", operation("GET /a", answers=[answer(200), answer(404)]), operation("GET /a", answers=[answer(200)]),
     []),
    ("an error more", operation("GET /a", answers=[answer(200)]), operation("GET /a", answers=[answer(200), answer(404)]),
     []),
    ("an error for another", operation("GET /a", answers=[answer(404)]), operation("GET /a", answers=[answer(410)]),
     ["breaking status-removed answer 404"]),
    ("a code less", operation("GET /a", answers=[answer(404, codes=("a", "b"))]),
     operation("GET /a", answers=[answer(404, codes=("a",))]), []),
    ("a code for another", operation("GET /a", answers=[answer(404, codes=("a",))]),
     operation("GET /a", answers=[answer(404, codes=("b",))]), ["breaking code-removed answer 404"]),
    ("another media type", operation("GET /a", answers=[answer(200, TEXT)]),
     operation("GET /a", answers=[answer(200, TEXT, media="text/plain")]), ["breaking answer-media-removed answer 200"]),
    ("nothing in the answer", operation("GET /a", answers=[answer(200, TEXT)]), operation("GET /a", answers=[answer(200)]),
     ["breaking answer-media-removed answer 200"]),
    ("something in the answer", operation("GET /a", answers=[answer(200)]), operation("GET /a", answers=[answer(200, TEXT)]),
     ["breaking answer-media-added answer 200"]),
    ("a field of the answer less", operation("GET /a", answers=[answer(200, ETag={})]),
     operation("GET /a", answers=[answer(200)]), ["breaking answer-field-removed answer 200"]),
    ("a field of the answer more", operation("GET /a", answers=[answer(200)]),
     operation("GET /a", answers=[answer(200, ETag={})]), []),
    ("nobody is asked any more", operation("GET /a", auth="user"), operation("GET /a"), ["security auth-removed auth"]),
    ("nobody is asked, in a word", operation("GET /a"), operation("GET /a", auth="public"), []),
    ("somebody is asked now", operation("GET /a"), operation("GET /a", auth="user"), ["breaking auth-required auth"]),
    ("fewer may", operation("GET /a", auth="user"), operation("GET /a", auth="admin"), ["breaking auth-required auth"]),
    ("more may", operation("GET /a", auth="admin"), operation("GET /a", auth="user"), ["security auth-weakened auth"]),
    ("users in the place of machines", operation("GET /a", auth="secret:JOBS"), operation("GET /a", auth="admin"),
     ["security auth-weakened auth"]),
    ("others may", operation("GET /a", auth="admin"), operation("GET /a", auth="editor"),
     ["breaking auth-required auth", "security auth-changed auth"]),
    ("no rate limit", operation("GET /a", rate_limit="20/min"), operation("GET /a"),
     ["security rate-limit-removed rate_limit"]),
    ("a higher rate limit", operation("GET /a", rate_limit="20/min"), operation("GET /a", rate_limit="1/s"),
     ["security rate-limit-raised rate_limit"]),
    ("a lower rate limit", operation("GET /a", rate_limit="1/s"), operation("GET /a", rate_limit="20/min"), []),
    ("the same rate limit", operation("GET /a", rate_limit="60/min"), operation("GET /a", rate_limit="1/s"), []),
    ("a higher body limit", operation("PUT /a", body_limit=1), operation("PUT /a", body_limit=2),
     ["security body-limit-raised body_limit"]),
    ("a lower body limit", operation("PUT /a", body_limit=2), operation("PUT /a", body_limit=1),
     ["breaking body-limit-lowered body_limit"]),
    ("a body limit less", operation("PUT /a", body_limit=2), operation("PUT /a"), ["security body-limit-raised body_limit"]),
    ("another origin", operation("GET /a"), operation("GET /a", cors=Cors(["https://a.example"])),
     ["security cors-widened cors"]),
    ("every origin", operation("GET /a", cors=Cors(["https://a.example"])), operation("GET /a", cors=Cors(["*"])),
     ["security cors-widened cors"]),
    ("one origin of all", operation("GET /a", cors=Cors(["*"])), operation("GET /a", cors=Cors(["https://a.example"])),
     ["breaking cors-narrowed cors"]),
    ("cookies too", operation("GET /a", cors=Cors(["https://a.example"])),
     operation("GET /a", cors=Cors(["https://a.example"], True)), ["security cors-widened cors"]),
    ("cookies no more", operation("GET /a", cors=Cors(["https://a.example"], True)),
     operation("GET /a", cors=Cors(["https://a.example"])), ["breaking cors-narrowed cors"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "changes"), [case[1:] for case in OPERATIONS], ids=[c[0] for c in OPERATIONS])
def test_what_changes_of_an_operation_is_found(
    old: Operation | None, new: Operation | None, changes: list[str]
) -> None:
    assert found(contract(*[old] if old else []), contract(*[new] if new else [])) == changes


def test_a_method_less_is_told_from_a_route_less() -> None:
    old = contract(operation("GET /a"), operation("PUT /a"), operation("GET /b"))

    assert found(old, contract(operation("GET /a"))) == ["breaking method-removed", "breaking operation-removed"]


def test_head_and_options_that_turnout_answers_say_nothing() -> None:
    get = operation("GET /a", line=3)
    old = contract(get, operation("HEAD /a", line=3, file=get.file), operation("OPTIONS /a", line=3, file=get.file))

    assert found(old, contract(get)) == []


def test_a_schema_within_itself_is_compared_once() -> None:
    def tree(leaf: Any) -> Contract:
        node = record(("leaf",), leaf=leaf, next={"anyOf": [ref("Node"), NULL]})
        made = operation("GET /a", answers=[answer(200, {"type": "array", "items": ref("Node")})])
        return contract(made, Node=node)

    assert found(tree(TEXT), tree(TEXT)) == []
    assert "breaking answer-type answer 200 /*/leaf" in found(tree(TEXT), tree(NUMBER))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(contracts)
def test_a_contract_does_not_differ_from_itself(one: Contract) -> None:
    again = msgspec.convert(msgspec.to_builtins(one), Contract)

    assert diff(one, again) == []


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(contracts, contracts)
def test_any_two_contracts_can_be_compared(one: Contract, other: Contract) -> None:
    json.dumps(msgspec.to_builtins(diff(one, other)))


def test_what_openapi_can_say_is_compared_by_it() -> None:
    old = contract(
        operation("GET /a/[id]", parameters=[query("id", NUMBER, True, "path"), query()], answers=[answer(200, TEXT)], auth="user"),
        operation("POST /a", body=Content({JSON: ref("Thing")}), answers=[answer(201), answer(0, TEXT)]),
        operation("GET /b/[[...rest]]"),
        Thing=record(a=TEXT),
    )  # fmt: skip
    new = contract(
        operation("GET /a/[id]", parameters=[query("id", NUMBER, True, "path")], answers=[answer(200, NUMBER)]),
        operation("POST /a", body=Content({JSON: ref("Thing")}), answers=[answer(201), answer(0, TEXT)]),
        Thing=record(("a",), a=TEXT),
    )

    assert diff(from_openapi(openapi(old)), from_openapi(openapi(old))) == []
    assert found(from_openapi(openapi(old)), from_openapi(openapi(new))) == [
        "breaking body-required body /a",
        "breaking answer-type answer 200",
        "breaking parameter-removed query page",
        "security auth-removed auth",
        "breaking operation-removed",
        "breaking operation-removed",
    ]


@pytest.mark.parametrize(
    "document",
    [{}, {"openapi": "2.0"}, {"openapi": "3.1.0", "paths": {"/a": {"get": 1}}}, {"openapi": "3.0.0", "paths": []}],
)
def test_what_is_no_openapi_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="no OpenAPI"):
        from_openapi(document)
