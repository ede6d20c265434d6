"""What the document says of a handler's input is what the binder accepts, for signatures of many kinds."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import client_of

from turnout.contract import openapi, read
from turnout.project import Project, load_project
from turnout.testing import Client

# Annotations, and values of JSON that fit some of them and not others.
SCALARS = [
    "int",
    "float",
    "bool",
    "str",
    "Annotated[int, Meta(ge=1, le=9)]",
    "Annotated[str, Meta(min_length=2, max_length=4)]",
    'Annotated[str, Meta(pattern="^[a-c]+$")]',
    'Literal["a", "b"]',
    "Literal[1, 2]",
    "Colour",
    "UUID",
    "date",
]
# A str is the body's text and no JSON.
BODIES = [each for each in SCALARS if each != "str"]
BODIES += ["int | None", "list[int]", "dict[str, bool]", "Inner", "list[Inner]", "int | str", "tuple[int, str]"]
HEAD = """
import enum
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct
from turnout import Response

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Inner(Struct, forbid_unknown_fields=True):
    n: int
    s: str = ""
"""
UUIDS = st.uuids().map(str)
DATES = st.dates().map(str)
TEXTS = st.one_of(
    st.sampled_from(["a", "b", "ab", "abc", "abcde", "red", "blue", "true", "false", "1", "0", "5", "12", "-3", "1.5"]),
    st.text(string.ascii_letters + string.digits + "-. ", min_size=1, max_size=6),
    UUIDS,
    DATES,
)
INNERS = st.fixed_dictionaries(
    {}, optional={"n": st.integers(-9, 9) | st.text(max_size=1), "s": st.text(max_size=2), "x": st.none()}
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-20, 20), st.floats(-9, 9).map(lambda n: n + 0.5), TEXTS, INNERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["n", "s", "k"]), inner, max_size=2),
    max_leaves=3,
)
SLOW = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def described(root: Path, route: str) -> tuple[Client, dict[str, Any]]:
    """A client of the project with that one route at ``/x``, and its document."""
    client = client_of(root, {"app/x/[slug]/route.py": HEAD + route})
    project: Project = load_project(root, mode="test")
    return client, openapi(read(project))


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    whole = {**schema, "components": document["components"]}
    checker = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker(["uuid", "date"]))
    return bool(checker.is_valid(value))


@pytest.mark.parametrize("annotation", BODIES)
async def test_a_body_is_accepted_where_its_schema_says_so(tmp_path: Path, annotation: str) -> None:
    client, document = described(
        tmp_path, f"\nasync def POST(body: {annotation}) -> Response:\n    return Response(None, 204)\n"
    )
    schema = document["paths"]["/x/{slug}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    async with client:
        for value in examples(VALUES):
            answer = await client.post("/x/a", json=value) if value is not None else None
            if answer is not None and not is_one_float(value):
                assert (answer.status == 204) == fits(value, schema, document), (value, answer.text)
                assert str(answer.status) in document["paths"]["/x/{slug}"]["post"]["responses"]


@pytest.mark.parametrize("annotation", SCALARS)
async def test_a_path_is_found_where_its_schema_says_so(tmp_path: Path, annotation: str) -> None:
    client, document = described(
        tmp_path, f"\nasync def GET(slug: {annotation}) -> Response:\n    return Response('')\n"
    )
    get = document["paths"]["/x/{slug}"]["get"]
    (parameter,) = get["parameters"]
    async with client:
        for text in examples(TEXTS):
            answer = await client.get(f"/x/{quote(text, safe='')}")
            fitting = any(fits(value, parameter["schema"], document) for value in readings(text))
            assert (answer.status == 200) == fitting or is_spelling(text), (text, parameter["schema"], answer.status)
            assert str(answer.status) in get["responses"]


@pytest.mark.parametrize("annotation", [*SCALARS, "int | None", "list[int]"])
async def test_a_query_is_accepted_where_its_schema_says_so(tmp_path: Path, annotation: str) -> None:
    client, document = described(
        tmp_path,
        f"\nclass Query(Struct):\n    q: {annotation}\n"
        "\nasync def GET(query: Query) -> Response:\n    return Response('')\n",
    )
    get = document["paths"]["/x/{slug}"]["get"]
    parameter = next(each for each in get["parameters"] if each["in"] == "query")
    is_list = parameter["schema"].get("type") == "array"
    async with client:
        assert (await client.get("/x/a")).status == (422 if parameter["required"] else 200)
        for text in examples(TEXTS):
            answer = await client.get(f"/x/a?{urlencode({'q': text})}")
            values = [[each] for each in readings(text)] if is_list else readings(text)
            if not any(fits(value, parameter["schema"], document) for value in values):
                assert answer.status == 422 or is_spelling(text), (text, parameter["schema"])
            else:
                assert answer.status == 200 or is_spelling(text), (text, parameter["schema"], answer.text)
            assert str(answer.status) in get["responses"]


def examples(strategy: st.SearchStrategy[Any]) -> list[Any]:
    """Values of *strategy*, some of them the simplest; as a list, since a coroutine cannot be run by Hypothesis."""
    found: list[Any] = []

    @SLOW
    @given(strategy)
    def keep(value: Any) -> None:
        found.append(value)

    keep()
    return found


def readings(text: str) -> list[Any]:
    """What *text* may stand for in a URL: itself, a number, a truth."""
    found: list[Any] = [text]
    if text in ("true", "false", "1", "0"):
        found.append(text in ("true", "1"))
    if re.fullmatch(r"-?[0-9]+", text):
        found.append(int(text))
    elif re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE]-?[0-9]+)?", text) and not float(text).is_integer():
        found.append(float(text))
    return found


def is_spelling(text: str) -> bool:
    """A text that stands for something by one reading and not by another: ``True``, ``007``, ``1.0``, ``1e5``."""
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "null", "none")
    return not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", text)


def is_one_float(value: Any) -> bool:
    """JSON Schema takes 1.0 for an integer, and Turnout does not."""
    if isinstance(value, dict):
        return any(map(is_one_float, value.values()))
    if isinstance(value, list):
        return any(map(is_one_float, value))
    return isinstance(value, float) and value.is_integer()
