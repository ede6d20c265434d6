"""Functions run for tests: by AWS's own emulator of Lambda, and the projects that they are built from."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from projects import make_project

from turnout.deploy.builder import Builder

RIE = Path(sys.prefix) / "aws-lambda-rie"
PYTHON = os.path.realpath(sys.executable)
DEADLINE_S = 90.0
FULL = os.environ.get("TURNOUT_DEPLOY") == "full"  # make test-deploy

SETTINGS = """
[project]
name = "sample"
version = "1"
dependencies = ["turnout[templates]"]

[tool.turnout]
allowed_hosts = ["*"]

[tool.turnout.deploy]
{deploy}
"""


def project(root: Path, files: dict[str, str], deploy: str = "") -> Path:
    """A project in *root* with *deploy* as its settings of that name."""
    return make_project(root, {"pyproject.toml": SETTINGS.format(deploy=deploy), **files})


def build(root: Path, target: str = "aws-lambda", **options: Any) -> Path:
    """Build the project in *root*, and give the output."""
    builder = Builder(root, target=target, **options)
    builder.build()
    return builder.out


def event(method: str, target: str, *, body: str | None = None, **headers: str) -> dict[str, Any]:
    """A request as a Function URL sends it."""
    path, _, query = target.partition("?")
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "sample.example", **headers},
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "192.0.2.7"}, "stage": "$default"},
        **({"body": body} if body is not None else {}),
        "isBase64Encoded": False,
    }


class Emulated:
    """A function in the emulator: each call is one invocation."""

    def __init__(self, port: int) -> None:
        self.port = port

    def raw(self, payload: Any) -> bytes:
        """What the function answers to *payload*."""
        body = json.dumps(payload).encode()
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as sock:
            sock.sendall(
                b"POST /2015-03-31/functions/function/invocations HTTP/1.1\r\nhost: emulator\r\n"
                b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            )
            answer = b"".join(iter(lambda: sock.recv(65_536), b""))
        head, _, rest = answer.partition(b"\r\n\r\n")
        return _unchunked(rest) if b"transfer-encoding: chunked" in head.lower() else rest

    def call(self, payload: Any) -> Any:
        """The same, decoded."""
        return json.loads(self.raw(payload))


def _unchunked(data: bytes) -> bytes:
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        whole, data = whole + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return whole


def body_of(answer: dict[str, Any]) -> bytes:
    """The body of an answer to an event."""
    return b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()


@contextmanager
def emulate(folder: Path, runtime: str, **environment: str) -> Iterator[Emulated]:
    """Run the function in *folder* in the emulator, by Turnout's own runtime client or by AWS's."""
    if not RIE.is_file():
        pytest.skip(f"AWS's Lambda emulator is not here ({RIE.name}): make test-deploy fetches it")
    own = ["/bin/sh", str(folder / "bootstrap"), PYTHON]
    theirs = [PYTHON, "-m", "awslambdaric", "lambda_function.handler"]
    port, api = free_port(), free_port()
    where = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{api}"]
    values = {"PATH": os.environ["PATH"], "AWS_LAMBDA_FUNCTION_NAME": "sample", "LAMBDA_TASK_ROOT": str(folder)}
    if runtime == "managed":  # AWS's client is no package of the function's
        site = next(place for place in sys.path if place.endswith("site-packages"))
        values["PYTHONPATH"] = f"{folder}{os.pathsep}{site}"
    log = folder.parent / f"{runtime}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(RIE), *where, *(own if runtime == "loop" else theirs)],
            cwd=folder, env=values | environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            _wait_for(port, process, log)
            yield Emulated(port)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"the emulator did not start: {log.read_text()}")
