"""The same requests through every door: native, uvicorn, hypercorn, granian and the in-process client.

The native server's answer is the measure. What a host decides before the app is asked is
listed in ``EXCEPTIONS``, by door and case.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httptools
import pytest
from doors.cases import CASES, Case

from turnout.testing import Client

SAMPLE = Path(__file__).parent / "sample"

Answer = tuple[int, list[tuple[str, str]], bytes]

# Fields that say which host it was, or how the body was framed.
HOST_FIELDS = {"date", "server", "connection", "transfer-encoding", "keep-alive", "alt-svc"}


def native(port: int) -> list[str]:
    return ["-m", "turnout", "start", "--port", str(port), "--workers", "1"]


def uvicorn(port: int) -> list[str]:
    return [
        "-m",
        "uvicorn",
        "asgi:app",
        "--port",
        str(port),
        "--no-access-log",
        "--no-server-header",
        "--loop",
        "asyncio",
    ]


def hypercorn(port: int) -> list[str]:
    return ["-m", "hypercorn", "asgi:app", "--bind", f"127.0.0.1:{port}"]


def granian(port: int) -> list[str]:
    return ["-m", "granian", "--interface", "asgi", "--port", str(port), "asgi:app"]


DOORS = {"native": native, "uvicorn": uvicorn, "hypercorn": hypercorn, "granian": granian}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send(port: int, case: Case) -> Answer:
    """One request on its own connection; the target goes out as written."""
    lines = [f"{case.method} {case.target} HTTP/1.1", "connection: close"]
    if case.host is not None:
        lines.append(f"host: {case.host}")
    lines += [f"{name}: {value}" for name, value in case.headers]
    body = case.body
    if case.chunked:
        lines.append("transfer-encoding: chunked")
        pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif body or case.method in ("POST", "PUT", "PATCH"):
        lines.append(f"content-length: {len(body)}")
    wire = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        try:
            sock.sendall(wire)
        except ConnectionError:
            pass  # refused early; the answer is there to read all the same
        received = b""
        try:
            while piece := sock.recv(65_536):
                received += piece
        except ConnectionError:
            pass
    return parse(received, case.method)


class _Parsed:
    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def parse(received: bytes, method: str) -> Answer:
    parsed = _Parsed()
    parser = httptools.HttpResponseParser(parsed)
    if method == "HEAD":
        head, _, rest = received.partition(b"\r\n\r\n")
        assert rest == b"", "a HEAD answer has no body bytes"
        framing = re.compile(rb"\r\n(content-length|transfer-encoding):[^\r]*", re.I)
        lengths = [
            (match[1].decode().lower(), match[0].split(b":", 1)[1].strip().decode()) for match in framing.finditer(head)
        ]
        parser.feed_data(framing.sub(b"", head) + b"\r\ncontent-length: 0\r\n\r\n")
        headers = [pair for pair in parsed.headers if pair[0] != "content-length"] + lengths
        return parser.get_status_code(), headers, b""
    parser.feed_data(received)
    return parser.get_status_code(), parsed.headers, parsed.body


def plain(answer: Answer) -> Answer:
    """*answer* without what differs from host to host or from request to request."""
    status, headers, body = answer
    kept = sorted((name, value) for name, value in headers if name not in HOST_FIELDS)
    body = re.sub(rb'"instance":"[0-9a-f]{16}"', b'"instance":"ID"', body)
    body = body.replace(b"localhost.test", b"localhost")
    return status, kept, body


@pytest.fixture(scope="module", params=sorted(DOORS))
def door(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    port = free_port()
    command = [sys.executable, *DOORS[request.param](port)]
    environment = {**os.environ, "TURNOUT_MODE": "production", "PYTHONPATH": str(SAMPLE)}
    process = subprocess.Popen(
        command, cwd=SAMPLE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        wait_for(port, process)
        yield request.param, port
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the server ended: {process.communicate()[0].decode()}")
        try:
            if send(port, Case("GET", "/readyz", 200))[0] == 200:
                return
        except (OSError, httptools.HttpParserError):
            pass
        time.sleep(0.05)
    raise AssertionError("the server did not come up")


async def in_process() -> dict[str, Answer]:
    answers = {}
    async with Client(root=SAMPLE) as client:
        for case in CASES:
            client.cookies.clear()
            client.host = case.host or ""
            body: Any = case.body
            if case.chunked:
                body = pieces(case.body)
            answer = await client.request(case.method, case.target, body=body, headers=dict(case.headers))
            answers[case.id] = (answer.status, answer.headers.items(), answer.body)
    return answers


async def pieces(body: bytes) -> Any:
    for at in range(0, len(body), 1000):
        yield body[at : at + 1000]


@pytest.fixture(scope="module")
def expected() -> dict[str, Answer]:
    """What the in-process client receives for every case."""
    return {name: plain(answer) for name, answer in asyncio.run(in_process()).items()}


def test_every_case_has_its_own_name() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert len(CASES) >= 100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_client_in_process_gets_what_is_written(expected: dict[str, Answer], case: Case) -> None:
    status, _, body = expected[case.id]
    assert status == case.status, body
    if case.holds is not None:
        assert (case.holds in body) if case.holds else (body == b"")


# Where a host answers before the app is asked, or writes a field its own way: (door, case) to why.
EXCEPTIONS: dict[tuple[str, str], str] = {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_door_answers_alike(door: tuple[str, int], expected: dict[str, Answer], case: Case) -> None:
    name, port = door
    answer = send(port, case)
    if (name, case.id) in EXCEPTIONS:
        assert plain(answer) != expected[case.id], f"no exception is needed: {EXCEPTIONS[name, case.id]}"
        return
    assert plain(answer) == expected[case.id]
