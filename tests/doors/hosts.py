"""The doors: each starts what serves the sample, takes a case, and gives the answer as a client would see it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httptools
from doors.cases import Case
from doors.events import MAKERS, Answer, from_stream, to_answer
from doors.runtime_api import RuntimeAPI
from ports import free_port

DEADLINE_S = 90.0
Spoil = Callable[[bytes], bytes]  # what stands between a door and its client, for the negative controls
SITE = next(place for place in sys.path if place.endswith("site-packages"))


class Process:
    """One process of a door, in its own group; its output is a file, so that it can never block."""

    def __init__(self, command: list[str], cwd: Path, log: Path, **environment: str) -> None:
        values = {
            **os.environ,
            "TURNOUT_MODE": "production",
            "STORE_URL": "memory:",
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=cwd, env=values, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def check(self) -> None:
        """Fail, with what it said, if it has ended."""
        assert self._process.poll() is None, f"the door ended: {self.log.read_text(errors='replace')}"

    def end(self) -> None:
        """Ask it to stop, then see to it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class HTTP:
    """A door that listens on a port: *command* is given the port."""

    def __init__(
        self, command: Callable[[int], list[str]], folder: Path, log: Path, kind: str = "http", **environment: str
    ) -> None:
        self.kind = kind
        self.port = free_port()
        self._process = Process(
            [sys.executable, *command(self.port)], folder, log, PYTHONPATH=str(folder), **environment
        )
        until_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < until_s:
            self._process.check()
            try:
                if self.send(Case("GET", "/readyz", 200))[0] == 200:
                    return
            except (OSError, httptools.HttpParserError):
                time.sleep(0.05)
        self.end()
        raise AssertionError("the door did not open")

    def send(self, case: Case, spoil: Spoil | None = None) -> Answer:
        """One request on its own connection; the target goes out as written."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as sock:
            try:
                sock.sendall(to_wire(case))
            except ConnectionError:
                pass  # refused early; the answer is there to read all the same
            received = b""
            try:
                while piece := sock.recv(262_144):
                    received += piece
            except ConnectionError:
                pass
        return parse(spoil(received) if spoil else received, case.method)

    def leave(self, case: Case) -> None:
        """Send *case*, wait until it is being handled, and go."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as sock:
            sock.sendall(to_wire(case))
            time.sleep(0.1)

    def end(self) -> None:
        """Close the door."""
        self._process.end()


class Lambda:
    """A function under a Runtime API, called by events of one *kind*."""

    def __init__(self, command: list[str], folder: Path, log: Path, kind: str, **environment: str) -> None:
        self.kind = kind
        self._api = RuntimeAPI()
        where = {"LAMBDA_TASK_ROOT": str(folder), "AWS_LAMBDA_FUNCTION_NAME": "sample", "PATH": os.environ["PATH"]}
        self._process = Process(
            command, folder, log, AWS_LAMBDA_RUNTIME_API=self._api.address, **{**where, **environment}
        )

    def send(self, case: Case, spoil: Spoil | None = None) -> Answer:
        """One invocation. An error of the function's is a 502 to the client, as every service has it."""
        kind, fields, body = self._api.call(MAKERS[self.kind](case))
        if kind != "response":
            return 502, [], b"(an error)"
        body = spoil(body) if spoil else body
        if fields.get("lambda-runtime-function-response-mode") == "streaming":
            return from_stream(body)
        return to_answer(json.loads(body), self.kind)

    def end(self) -> None:
        """Close the door."""
        self._process.end()
        self._api.close()


def to_wire(case: Case) -> bytes:
    """*case* as bytes of HTTP/1.1."""
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
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


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
    """What a client makes of the bytes; a message that does not end is told by its body."""
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
    framed = {"content-length", "transfer-encoding"} & {name for name, _ in parsed.headers}
    if framed and not parsed.complete:
        return parser.get_status_code(), parsed.headers, b"(cut off) " + parsed.body
    return parser.get_status_code(), parsed.headers, parsed.body


# -- which doors there are


def native(port: int) -> list[str]:
    """``turnout start``, in a project or in the output of a build."""
    return ["-m", "turnout", "start", "--port", str(port), "--workers", "1"]


def uvicorn(http: str, app: str = "asgi:app") -> Callable[[int], list[str]]:
    """The ASGI door under uvicorn with one of its parsers."""
    fixed = ["--no-access-log", "--no-server-header", "--loop", "asyncio", "--http", http, "--no-proxy-headers"]
    return lambda port: ["-m", "uvicorn", app, "--port", str(port), *fixed]


def hypercorn(port: int) -> list[str]:
    """The ASGI door under hypercorn."""
    return ["-m", "hypercorn", "asgi:app", "--bind", f"127.0.0.1:{port}"]


def granian(port: int) -> list[str]:
    """The ASGI door under granian."""
    return ["-m", "granian", "--interface", "asgi", "--port", str(port), "asgi:app"]


def preview(port: int) -> list[str]:
    """What ``turnout preview`` does with a built function: a Function URL's events, made on this machine."""
    return ["-m", "turnout", "preview", "build/aws-lambda", "--port", str(port)]


def own_loop(folder: Path, log: Path, kind: str, **environment: str) -> Lambda:
    """A built function under Turnout's client of the Runtime API."""
    return Lambda(
        ["/bin/sh", str(folder / "bootstrap"), os.path.realpath(sys.executable)], folder, log, kind, **environment
    )


def managed(folder: Path, log: Path, kind: str) -> Lambda:
    """A function under AWS's own client, which is no package of the function's."""
    path = f"{folder}{os.pathsep}{SITE}"
    command = [os.path.realpath(sys.executable), "-m", "awslambdaric", "lambda_function.handler"]
    return Lambda(command, folder, log, kind, PYTHONPATH=path)


Door = HTTP | Lambda
Open = Callable[[Path, Path], Door]  # given the sample, with its builds in build/, and a file for the log


def open_door(name: str, root: Path, log: Path) -> Door:
    """Start the door *name* over the sample in *root*."""
    return DOORS[name](root, log)


def _http(command: Callable[[int], list[str]], inside: str = ".", kind: str = "http") -> Open:
    return lambda root, log: HTTP(command, root / inside, log, kind)


FUNCTION = "build/aws-lambda/function"
DOORS: dict[str, Open] = {
    "native": _http(native),
    "uvicorn-h11": _http(uvicorn("h11")),
    "uvicorn-httptools": _http(uvicorn("httptools")),
    "hypercorn": _http(hypercorn),
    "granian": _http(granian),
    "built-server": _http(native, "build/server"),
    "built-lazy": _http(uvicorn("h11", "index:app"), "build/vercel"),
    "preview": _http(preview, kind="preview"),
    "loop": lambda root, log: own_loop(root / FUNCTION, log, "v2"),
    "loop-stream": lambda root, log: own_loop(root / FUNCTION, log, "v2", TURNOUT_LAMBDA_STREAM="1"),
    "loop-v1": lambda root, log: own_loop(root / FUNCTION, log, "v1"),
    "managed-v2": lambda root, log: managed(root / FUNCTION, log, "v2"),
    "managed-v1": lambda root, log: managed(root / FUNCTION, log, "v1"),
    "managed-alb": lambda root, log: managed(root / FUNCTION, log, "alb"),
    "managed-alb-single": lambda root, log: managed(root / FUNCTION, log, "alb-single"),
    "mangum": lambda root, log: Lambda(
        [sys.executable, "-m", "awslambdaric", "mangum_function.handler"], root, log, "v2", PYTHONPATH=str(root)
    ),
}


def scheme_of(kind: str) -> str:
    """Which scheme the app sees: AWS's own addresses are https alone; our balancer listens on port 80."""
    return "https" if kind in ("v1", "v2", "preview") else "http"
