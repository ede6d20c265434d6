"""contract/openapi.py: a contract as an OpenAPI 3.1 document that others accept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from projects import make_project

from turnout import env
from turnout.contract import openapi, read
from turnout.contract.schemas import to_ecma
from turnout.project import load_project
from turnout.routing.module import unload

EXAMPLE = Path(__file__).parents[2] / "examples" / "blog"


def document(root: Path, files: dict[str, str]) -> dict[str, Any]:
    """The valid document of the project that *files* make."""
    make_project(root, files)
    unload(root)
    try:
        made = openapi(read(load_project(root, mode="test")))
    finally:
        unload(root)
    validate(made)
    return made


def test_the_document_of_the_example_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "blog"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "__pycache__", ".env*.local", ".*_cache"))
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_test_secret")
    try:
        made = document(root, {"pyproject.toml": (root / "pyproject.toml").read_text()})
    finally:
        env.unload()

    assert made["openapi"].startswith("3.1.") and "/api/posts/{id}" in made["paths"]
    assert len(made["paths"]) >= 10


def test_a_document_says_who_may_call(tmp_path: Path) -> None:
    made = document(
        tmp_path,
        {
            "app/a/route.py": 'auth = "user"\ndef GET():\n    return 1\n',
            "app/b/route.py": 'auth = "public"\ndef GET():\n    return 1\n',
            "app/c/route.py": 'auth = "service"\ndef GET():\n    return 1\n',
        },
    )
    paths, schemes = made["paths"], made["components"]["securitySchemes"]

    assert paths["/a"]["get"]["security"] == [{"bearer": []}, {"session": []}]
    assert "security" not in paths["/b"]["get"] and "security" not in paths["/a"]["options"]
    assert paths["/c"]["get"]["security"] == [{"bearer": []}, {"apikey": []}]
    assert schemes["bearer"]["scheme"] == "bearer" and schemes["session"]["in"] == "cookie"


def test_a_document_names_no_scheme_that_nothing_asks_for(tmp_path: Path) -> None:
    made = document(tmp_path, {"app/a/route.py": "def GET():\n    return 1\n"})

    assert "securitySchemes" not in made["components"]


def test_segments_of_every_kind_have_a_template(tmp_path: Path) -> None:
    made = document(
        tmp_path,
        {
            "app/a b/[id]/route.py": "def GET(id: int):\n    return id\n",
            "app/files/[[...path]]/route.py": "def GET(path):\n    return path\n",
            "app/tags/[...names]/route.py": "def GET(names):\n    return names\n",
            "app/route.py": "def GET():\n    return 1\n",
        },
    )
    paths = made["paths"]

    assert set(paths) == {"/", "/a%20b/{id}", "/files/{path}", "/files", "/tags/{names}"}
    assert "parameters" not in paths["/files"]["get"]
    assert paths["/tags/{names}"]["get"]["parameters"][0]["schema"]["type"] == "string"
    ids = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_a_body_of_bytes_has_no_schema_and_an_answer_without_body_no_content(tmp_path: Path) -> None:
    made = document(tmp_path, {"app/x/route.py": "def PUT(body: bytes) -> None:\n    pass\n"})
    put = made["paths"]["/x"]["put"]

    assert put["requestBody"] == {"required": False, "content": {"*/*": {}}}
    assert put["responses"]["204"] == {"description": "No Content"}


def test_a_status_that_only_running_would_tell_is_the_default(tmp_path: Path) -> None:
    route = (
        "from turnout import Response\ndef GET(request) -> Response:\n    return Response.text('', len(request.path))\n"
    )
    made = document(tmp_path, {"app/x/route.py": route})

    assert "text/plain" in made["paths"]["/x"]["get"]["responses"]["default"]["content"]


def test_limits_and_codes_are_said_in_words(tmp_path: Path) -> None:
    made = document(
        tmp_path,
        {"app/x/route.py": 'rate_limit = "5/min"\nbody_limit = 1_000_000\ndef POST(body: dict):\n    return body\n'},
    )
    post = made["paths"]["/x"]["post"]

    assert "5/min" in post["description"] and "1,000,000 bytes" in post["description"]
    assert "invalid_json" in post["responses"]["400"]["description"]


@pytest.mark.parametrize(
    ("python", "ecma"),
    [
        (r"^[a-z]+\Z", "^[a-z]+$"),
        (r"\A(?P<year>\d{4})", r"^(?<year>\d{4})"),
        (r"\\Z", r"\\Z"),
        (r"a\\\Z", r"a\\$"),
    ],
)
def test_patterns_are_spelled_as_json_schema_does(python: str, ecma: str) -> None:
    assert to_ecma(python) == ecma
