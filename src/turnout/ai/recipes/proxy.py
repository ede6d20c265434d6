"""``proxy``: ask another service on behalf of a client, with a key that stays here, and give up in time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ..changeset import ChangeSet, RouteClaim
from .base import Argument, Recipe, check_env, check_name, check_path, env_in, fill, new_files, new_route, path_in, slug

if TYPE_CHECKING:
    from ..view import ProjectView

ROUTE = '''\
"""GET @PATH@?@QUERY@=…: what the service in @URL@ says about it.

The client never reaches that service itself: the address and the key stay on this side, and of what the client sends
only "@QUERY@" goes on. Whatever goes wrong over there is 502 here, and the log knows what it was.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from lib.@MODULE@ import ask_@MODULE@

auth = "public"
rate_limit = "60/min"  # each call costs one over there


class Query(Struct):
    """What a client may ask."""

    @QUERY@: Annotated[str, Meta(min_length=1, max_length=200)]


async def GET(query: Query) -> Any:
    """Ask, and pass the answer on."""
    return await ask_@MODULE@(query.@QUERY@)
'''

LIB = '''\
"""The service in @URL@: one question, one answer in JSON, within a time and a size."""

import asyncio
import json
from typing import Any

import httpx
from turnout import HTTPError, Secret, Settings

LARGEST = 1_000_000  # bytes of an answer


class @CLASS@(Settings):
    """Where the service is, and how we may ask it."""

    @SETTING@: str
    @MODULE@_key: Secret | None = None
    @MODULE@_timeout_s: float = @TIMEOUT@


async def ask_@MODULE@(@QUERY@: str) -> Any:
    """What the service says about *@QUERY@*.

    Raises:
        HTTPError: 502: it is away, slow, refuses, or says what is no JSON.
    """
    settings = @CLASS@()
    key = settings.@MODULE@_key
    headers = {"accept": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key.reveal()}"
    try:
        # httpx's own time-outs begin anew with every byte; this one is for the whole call.
        async with asyncio.timeout(settings.@MODULE@_timeout_s):
            return await _get(settings.@SETTING@, {"@QUERY@": @QUERY@}, headers)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as exc:
        # The client learns that it failed; the log, through "from exc", why.
        raise HTTPError(502, "The service did not answer as it should") from exc


async def _get(url: str, params: dict[str, str], headers: dict[str, str]) -> Any:
    """The JSON at *url*. Redirects are not followed: the key would go wherever they lead."""
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", httpx.URL(url).copy_merge_params(params), headers=headers) as response,
    ):
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}")
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
    return json.loads(body)
'''

TEST = '''\
"""GET @PATH@: the answer of a service that is well, 502 for every other."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from turnout.testing import Client

ROOT = Path(__file__).parent.parent


class Service:
    """The other side, in place of the network: answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answer = httpx.Response(200, json={"found": True})
        self.wait_s = 0.0

    async def handle(self, transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        await asyncio.sleep(self.wait_s)
        return self.answer


@pytest.fixture(autouse=True)
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()

    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return await service.handle(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))
    monkeypatch.setenv("@URL@", "https://service.example/v1?units=metric")
    monkeypatch.setenv("@KEY@", "key-only-for-tests")
    monkeypatch.setenv("@WAIT@", "0.2")
    return service


def run(test: Callable[[Client], Awaitable[None]]) -> None:
    """Run *test* on the app."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await test(client)

    asyncio.run(main())


def test_the_answer_is_passed_on(service: Service) -> None:
    async def test(client: Client) -> None:
        answer = await client.get("@PATH@?@QUERY@=Paris")

        assert (answer.status, answer.json()) == (200, {"found": True})
        (request,) = service.asked
        assert str(request.url) == "https://service.example/v1?units=metric&@QUERY@=Paris"
        assert request.headers["authorization"] == "Bearer key-only-for-tests"

    run(test)


def test_nothing_that_a_client_writes_changes_where_we_ask(service: Service) -> None:
    async def test(client: Client) -> None:
        await client.get("@PATH@?@QUERY@=x%26units%3Dimperial%23%2F..%2F%40evil.example&units=kelvin")

        (request,) = service.asked
        assert (request.url.host, request.url.path) == ("service.example", "/v1")
        assert dict(request.url.params) == {"units": "metric", "@QUERY@": "x&units=imperial#/../@evil.example"}

    run(test)


def test_a_question_that_is_none_is_not_passed_on(service: Service) -> None:
    async def test(client: Client) -> None:
        assert (await client.get("@PATH@")).status == 422
        assert (await client.get("@PATH@?@QUERY@=")).status == 422
        assert (await client.get(f"@PATH@?@QUERY@={'x' * 201}")).status == 422
        assert service.asked == []

    run(test)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, text="secrets of theirs"),
        httpx.Response(404),
        httpx.Response(302, headers={"location": "http://127.0.0.1/"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, content=b"[" + b"1," * 600_000 + b"1]"),
    ],
    ids=["broken", "missing", "elsewhere", "no JSON", "too much"],
)
def test_a_service_that_does_not_answer_as_it_should_is_502(service: Service, answer: httpx.Response) -> None:
    service.answer = answer

    async def test(client: Client) -> None:
        found = await client.get("@PATH@?@QUERY@=Paris")
        assert found.status == 502
        assert "theirs" not in found.text and "key-only-for-tests" not in found.text
        assert len(service.asked) == 1

    run(test)


def test_a_slow_service_is_given_up_on(service: Service) -> None:
    service.wait_s = 20

    async def test(client: Client) -> None:
        assert (await client.get("@PATH@?@QUERY@=Paris")).status == 502

    run(test)
'''


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """A route that asks another service."""
    given = RECIPE.complete(args)
    name, query = check_name(given["name"]), check_name(given["query"], "name of a parameter")
    path = check_path(given["path"] or f"/api/{name.replace('_', '-')}")
    url = check_env(given["url"] or f"{name.upper()}_URL")
    key, wait = f"{name.upper()}_KEY", f"{name.upper()}_TIMEOUT_S"
    if not re.fullmatch(r"\d{1,2}(?:\.\d)?", given["timeout"]) or not 0 < float(given["timeout"]) <= 25:
        raise ConfigError(f"{given['timeout']!r} is no time to wait", cure="seconds, up to 25: timeout=2")
    words = {
        "path": path, "query": query, "module": name, "url": url, "setting": url.lower(), "key": key, "wait": wait,
        "class": "".join(word.capitalize() for word in name.split("_")), "timeout": given["timeout"],
    }  # fmt: skip
    files = {
        new_route(project, path): fill(ROUTE, **words),
        f"lib/{name}.py": fill(LIB, **words),
        f"tests/test_{slug(path)}.py": fill(TEST, **words),
    }
    return ChangeSet(
        summary=f"GET {path}?{query}=… asks the service in {url}, and is 502 where that does not answer within "
        f"{given['timeout']} s. {key} is sent as a Bearer token where it is set.",
        contract=[RouteClaim("GET", path, "public", [200, 422, 429, 502])],
        files=new_files(project, files),
        env=[url, key],
        needs=["httpx"],
    )


_QUERY_IN_PATH = re.compile(r"(/[\w/-]+)\?([a-z_]+)=?")
_AFTER = re.compile(r"(?:after|within|timeout of|than)\s+(\d{1,2}(?:\.\d)?)\s*(?:s\b|sec)")
_TOPIC = re.compile(r"\b(weather|exchange rates?|currency|geocod\w+|stocks?|news|translat\w+|maps?|places?|search)\b")


def read(ask: str) -> dict[str, str]:
    """The path, the parameter, the variable of the address and the time, where a sentence names them."""
    given: dict[str, str] = {}
    if found := _QUERY_IN_PATH.search(ask):
        given |= {"path": found[1], "query": found[2], "name": slug(found[1])}
    elif path := path_in(ask).get("path"):
        given |= {"path": path, "name": slug(path)}
    elif topic := _TOPIC.search(ask.lower()):
        given["name"] = topic[1].replace(" ", "_")
    if addresses := [name for name in env_in(ask) if name.endswith("_URL")]:
        given["url"] = addresses[0]
    if after := _AFTER.search(ask.lower()):
        given["timeout"] = after[1]
    return given


RECIPE = Recipe(
    name="proxy",
    summary="ask another service with a key that stays here, and give up in time",
    plan=plan,
    arguments=(
        Argument("name", "what the service is about", "weather"),
        Argument("query", "the one parameter that goes on", "q"),
        Argument("path", "where the route is; /api/ and the name if not given", ""),
        Argument("url", "the variable that holds the service's address", ""),
        Argument("timeout", "seconds before it is 502", "5"),
    ),
    signs=(
        (r"\bprox(?:y|ies)\b", 4),
        (r"\b(?:third[ -]party|external|another|upstream|remote)\b(?: \w+)? (?:api|service|server)", 3.5),
        (r"\basks? the service\b|\bservice in [a-z_]+_url\b", 3.5),
        (r"\b(?:calls?|asks?|fetch(?:es)?|forwards?|wraps?|quer(?:y|ies)|from)\b[^.]*\b(?:api|service)\b", 2),
        (r"\b(?:weather|exchange rates?|geocod\w+|stock prices?)\b", 1.5),
        (r"\b(?:api key|key)\b[^.]*\b(?:server|secret|hidden|here|browser)\b", 1.5),
        (r"\b(?:time ?out|give up|502)\b", 1.5),
        (r"\b(?:webhook|stripe|sign ?up|upload|cron|crud|health|contact)\b", -3.5),
    ),
    read=read,
)
