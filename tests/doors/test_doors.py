"""The same requests through every door: the same status, header fields and body, byte for byte.

The in-process client's answer is the measure, and ``cases.py`` says what that has to be. What a
host or a service changes is listed in ``exceptions.py``, and is asserted there too: a host that
has been mended shows up.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from doors.cases import CASES, CHANGED_NS, Case
from doors.events import Answer
from doors.exceptions import EXCEPTIONS, Changed
from doors.hosts import DOORS, HTTP, Door, open_door, scheme_of

from turnout.deploy.builder import Builder
from turnout.http.headers import Headers
from turnout.http.request import Request
from turnout.testing import Client

SAMPLE = Path(__file__).parent / "sample"
FULL = os.environ.get("TURNOUT_DEPLOY") == "full"  # make test-deploy
# Doors that share their code with another one: the short form leaves them out.
LONG = {"uvicorn-h11", "loop-v1", "managed-v1", "managed-alb-single", "preview"}
OPEN = sorted(set(DOORS) if FULL else set(DOORS) - LONG)

# Fields that say which host it was, or how the body was framed.
HOST_FIELDS = {"date", "server", "connection", "transfer-encoding", "keep-alive", "alt-svc"}
# Fields that count seconds.
TIMED = {"retry-after", "ratelimit", "ratelimit-reset", "age", "x-ratelimit-reset"}


class Reference(Client):
    """The client in process, which can also say that the connection was https and send a field twice."""

    scheme = "http"
    pairs: tuple[tuple[str, str], ...] = ()

    def _request(self, method: str, target: str, fields: Headers, body: bytes | str | AsyncIterator[bytes]) -> Request:
        for name, value in self.pairs:
            fields.append(name, value)
        request = super()._request(method, target, fields, body)
        request.scheme, request.special = self.scheme, self.scheme == "https"
        return request

    async def answer(self, case: Case) -> Answer:
        """What *case* gets, after what it wants to have been sent before."""
        for each in case.given:
            await self.answer(each)
            await self.app.settle()
        self.cookies.clear()
        self.host, self.pairs = case.host or "", case.headers
        body: Any = _pieces(case.body) if case.chunked else case.body
        answer = await self.request(case.method, case.target, body=body)
        return answer.status, answer.headers.items(), answer.body


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 1000):
        yield body[at : at + 1000]


def plain(answer: Answer) -> Answer:
    """*answer* without what differs from host to host or from request to request."""
    status, headers, body = answer
    kept = sorted((name, "TIME" if name in TIMED else value) for name, value in headers if name not in HOST_FIELDS)
    return status, kept, re.sub(rb'("instance":"|<small>)[0-9a-f]{16}', rb"\1ID", body)


def send(door: Door, case: Case, want: Answer) -> Answer:
    """The answer to *case* at *door*, after what it wants to have been sent before."""
    for each in case.given:
        door.send(each)
    answer = plain(door.send(case))
    until_s = time.monotonic() + 60
    while case.soon and answer != want and time.monotonic() < until_s:
        time.sleep(0.01)
        answer = plain(door.send(case))
    return answer


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample and its builds. Every file has one date, as it would have from an upload."""
    root = tmp_path_factory.mktemp("doors") / "sample"
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("__pycache__", "build", "data"))
    for name, options in {"server": {}, "aws-lambda": {}, "vercel": {}}.items():
        Builder(root, target=name, **options).build()
    for file in root.rglob("*"):
        os.utime(file, ns=(CHANGED_NS, CHANGED_NS))
    return root


@pytest.fixture(scope="module")
def expected(root: Path) -> dict[str, dict[str, Answer]]:
    """What the in-process client receives for every case, by scheme."""

    async def run(scheme: str) -> dict[str, Answer]:
        # Each in a place of its own, since a module is loaded once for each place.
        place = shutil.copytree(
            root, root.with_name(scheme), dirs_exist_ok=True, ignore=shutil.ignore_patterns("build")
        )
        async with Reference(root=place) as client:
            client.scheme = scheme
            return {case.id: plain(await client.answer(case)) for case in CASES}

    return {scheme: asyncio.run(run(scheme)) for scheme in ("http", "https")}


@pytest.fixture(scope="module", params=OPEN)
def door(request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = open_door(request.param, root, tmp_path_factory.mktemp("log") / "log")
    try:
        yield request.param, opened
    finally:
        opened.end()


def test_every_case_has_its_own_name() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 150


def test_no_exception_is_for_a_door_or_case_that_is_not_there() -> None:
    used = {(row, case.id) for row in EXCEPTIONS for door in DOORS for case in CASES if row.holds(door, case)}
    assert {row.reason for row in EXCEPTIONS} == {row.reason for row, _ in used}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_client_in_process_gets_what_is_written(expected: Any, case: Case) -> None:
    status, _, body = expected["http"][case.id]
    assert status == case.status, body
    if case.holds is not None:
        assert (case.holds in body) if case.holds else (body == b"")


def rows(name: str, case: Case) -> list[Changed]:
    return [row for row in EXCEPTIONS if row.holds(name, case)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_door_answers_alike(door: tuple[str, Door], expected: Any, case: Case) -> None:
    name, opened = door
    want = expected[scheme_of(opened.kind)][case.id]
    for row in rows(name, case):
        changed = row.change(want)
        assert changed != want, f"this row changes nothing: {row.reason}"
        want = plain(changed)
    assert send(opened, case, want) == want


# -- negative controls: what a careless door would do is seen


@pytest.mark.parametrize(
    ("case", "old", "new"),
    [
        (Case("GET", "/api/cookies/many", 200), b"c3=", b"c2="),
        (Case("GET", "/api/cookies/many", 200), b"set-cookie", b"x-cookie"),
        (Case("GET", "/api/hello", 200), b"Hello World!", b"Hello World?"),
        (Case("GET", "/api/hello", 200), b"26", b"27"),
        (Case("GET", "/nope", 404), b"404", b"400"),
    ],
    ids=["another cookie", "no cookie", "another byte", "a length that lies", "another status"],
)
def test_what_is_spoiled_on_the_way_is_seen(
    door: tuple[str, Door], expected: Any, case: Case, old: bytes, new: bytes
) -> None:
    name, opened = door
    if old == b"set-cookie" and opened.kind != "http":
        old, new = (b'"cookies"', b'"cakes"') if opened.kind == "v2" else (old, new)
    if rows(name, case):
        pytest.skip("this answer is changed here anyhow")

    def spoil(data: bytes) -> bytes:
        # Field names are in either case on the wire, and only there.
        changed = re.sub(re.escape(old), new, data, flags=re.I)
        assert changed != data
        return changed

    want = expected[scheme_of(opened.kind)][case.id]
    assert plain(opened.send(case)) == want
    assert plain(opened.send(case, spoil)) != want


# -- what has no answer


def test_a_client_that_leaves_is_noticed_behind_every_port(door: tuple[str, Door]) -> None:
    name, opened = door
    if not isinstance(opened, HTTP) or name == "preview":
        pytest.skip("a function is not told that its caller has left")
    opened.leave(Case("POST", "/api/leave?who=me", 200))

    until_s = time.monotonic() + 60
    while opened.send(Case("GET", "/api/leave", 200))[2] != b'{"left":["me"]}':
        assert time.monotonic() < until_s, "nobody has told the handler"
        time.sleep(0.02)
