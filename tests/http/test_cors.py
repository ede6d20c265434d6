"""CORS: who may read an answer, who may not, and what a browser is told before it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from projects import SETTINGS, client_of

from turnout import ConfigError
from turnout.http.cors import Cors

ORIGIN = "https://app.example.com"
ROUTE = """
    from turnout import Conflict
    {constant}
    async def GET(request): return "hello"
    async def POST(request): raise Conflict("no")
"""


def files(constant: str) -> dict[str, str]:
    return {"app/a/route.py": ROUTE.format(constant=constant)}


@pytest.mark.parametrize(
    ("constant", "origin", "allowed"),
    [
        (f'cors = "{ORIGIN}"', ORIGIN, ORIGIN),
        (f'cors = ["https://other.example.com", "{ORIGIN}"]', ORIGIN, ORIGIN),
        ('cors = "*"', ORIGIN, "*"),
        (f'cors = "{ORIGIN}"', "https://app.example.com.evil.com", None),
        (f'cors = "{ORIGIN}"', "https://evil-app.example.com", None),
        (f'cors = "{ORIGIN}"', "http://app.example.com", None),
        (f'cors = "{ORIGIN}"', "https://app.example.com:8443", None),
        (f'cors = "{ORIGIN}"', "https://APP.example.com", None),
        (f'cors = "{ORIGIN}"', "null", None),
        ("", ORIGIN, None),
        ("cors = False", ORIGIN, None),
    ],
)
async def test_an_origin_is_let_in_by_its_whole_name(
    tmp_path: Path, constant: str, origin: str, allowed: str | None
) -> None:
    async with client_of(tmp_path, files(constant)) as client:
        answer = await client.get("/a", headers={"origin": origin})
        assert answer.ok
        assert answer.headers.get("access-control-allow-origin") == allowed


async def test_every_answer_of_the_route_says_that_it_depends_on_the_origin_errors_too(tmp_path: Path) -> None:
    async with client_of(tmp_path, files(f'cors = "{ORIGIN}"')) as client:
        for method, status in (("GET", 200), ("POST", 409), ("DELETE", 405)):
            answer = await client.request(method, "/a", headers={"origin": ORIGIN})
            assert answer.status == status
            assert answer.headers.get("vary") == "Origin"
            assert answer.headers.get("access-control-allow-origin") == ORIGIN, method
        assert (await client.get("/a")).headers.get("vary") == "Origin"


async def test_a_preflight_is_answered_with_what_the_route_answers(tmp_path: Path) -> None:
    constant = f'cors = {{"origins": ["{ORIGIN}"], "credentials": True, "expose": ["x-total"], "max_age_s": 60}}'
    asks = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-a, y:z, x-b",
    }
    async with client_of(tmp_path, files(constant)) as client:
        answer = await client.options("/a", headers=asks)
        assert answer.status == 204
        told = {name: value for name, value in answer.headers if name.startswith("access-control-")}
        assert told == {
            "access-control-allow-origin": ORIGIN,
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "GET, HEAD, OPTIONS, POST",
            "access-control-allow-headers": "x-a, x-b",
            "access-control-expose-headers": "x-total",
            "access-control-max-age": "60",
        }
        stranger = await client.options("/a", headers={**asks, "origin": "https://evil.example"})
        assert stranger.status == 204
        assert not [name for name, _ in stranger.headers if name.startswith("access-control-")]
        plain = await client.options("/a", headers={"origin": ORIGIN})
        assert plain.headers.get("access-control-allow-methods") is None


async def test_the_fields_that_may_be_sent_can_be_named(tmp_path: Path) -> None:
    constant = f'cors = {{"origins": ["{ORIGIN}"], "headers": ["content-type"]}}'
    asks = {"origin": ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "x-a"}
    async with client_of(tmp_path, files(constant)) as client:
        assert (await client.options("/a", headers=asks)).headers.get("access-control-allow-headers") == "content-type"


async def test_the_project_names_origins_for_all_routes_and_for_what_no_route_answers(tmp_path: Path) -> None:
    made = {
        "pyproject.toml": f'{SETTINGS}cors = ["{ORIGIN}"]\n',
        **files(""),
        "app/b/route.py": ROUTE.format(constant="cors = False"),
    }
    async with client_of(tmp_path, made) as client:
        for path, allowed in (("/a", ORIGIN), ("/b", None), ("/nowhere", ORIGIN)):
            answer = await client.get(path, headers={"origin": ORIGIN})
            assert answer.headers.get("access-control-allow-origin") == allowed, path


async def test_a_guard_does_not_stand_before_a_preflight_and_its_refusal_can_be_read(tmp_path: Path) -> None:
    made = files(f'auth = "user"\n    cors = "{ORIGIN}"')
    asks = {"origin": ORIGIN, "access-control-request-method": "GET"}
    async with client_of(tmp_path, made) as client:
        assert (await client.options("/a", headers=asks)).status == 204
        refused = await client.get("/a", headers={"origin": ORIGIN})
        assert (refused.status, refused.headers.get("access-control-allow-origin")) == (401, ORIGIN)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (True, "names no origin"),
        ({"origins": "*", "credentials": True}, "every site act"),
        ("example.com", "is not an origin"),
        ("https://example.com/", "is not an origin"),
        ("https://*.example.com", "is not an origin"),
        ("null", "is not an origin"),
        ({"origin": ORIGIN}, "cors has no 'origin'"),
        ({"origins": [1]}, "list of texts"),
        ({"origins": ORIGIN, "headers": ["a b"]}, "not the name of a header field"),
        ({"origins": ORIGIN, "max_age_s": -1}, "max_age_s"),
    ],
)
def test_what_would_let_in_more_or_less_than_meant_stops_the_start(value: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Cors.of(value)


async def test_a_wrong_constant_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        async with client_of(tmp_path, files('cors = "example.com"')):
            pass
    assert str(caught.value.file).endswith("app/a/route.py")
