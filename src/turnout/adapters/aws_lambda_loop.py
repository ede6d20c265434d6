"""Turnout's own client of the Lambda Runtime API, on a plain socket: it streams, and starts sooner than AWS's.

``after()`` runs between ``/response`` and ``/next``: the caller has the answer, and the function is not
frozen yet. One invocation at a time, as the Runtime API has it.
Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and, for streams, the response
streaming section of the custom runtime page: a prelude in JSON, eight NULs, the body.
"""

from __future__ import annotations

import gc
import os
import time

# Not socket itself: its enums and selectors take a twentieth of a cold start, and nothing here waits for two.
from _socket import IPPROTO_TCP, TCP_NODELAY, socket
from collections.abc import Callable
from typing import Any, NoReturn

from ..http import jsontext
from ..http.request import Request
from ..http.response import Response, to_bytes
from ..logger import get_logger
from .aws_lambda import (
    Driver,
    Kind,
    RunTask,
    Served,
    answer,
    close,
    head,
    kind_of,
    run_tasks,
    to_event,
    to_request,
    whole,
)

logger = get_logger("turnout.lambda")

VERSION = "2018-06-01"
STREAM_TYPE = "application/vnd.awslambda.http-integration-response"
_PIECE = 65_536


class Runtime:
    """The Runtime API at *address*: one connection, kept.

    Args:
        address: ``host:port``, as ``AWS_LAMBDA_RUNTIME_API`` has it.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address, self._host = (host, int(port)), address
        self._socket: socket | None = None
        self._left = b""  # bytes that have come and nobody has asked for

    def next(self) -> tuple[dict[str, str], bytes]:
        """Wait for the next invocation: its header fields and its event."""
        self._send("GET", "runtime/invocation/next")
        status, fields, body = self._receive()
        if status != 200:
            raise OSError(f"the Runtime API answered {status} to /next")
        return fields, body

    def post(self, path: str, body: bytes, *fields: str) -> int:
        """Send a whole *body*; the status of the answer."""
        self._send("POST", path, f"content-length: {len(body)}", *fields, body=body)
        return self._receive()[0]

    def begin(self, path: str, *fields: str) -> None:
        """Begin a body whose length is not known."""
        self._send("POST", path, "transfer-encoding: chunked", *fields)

    def piece(self, data: bytes) -> None:
        """Send a piece of that body."""
        if data:
            assert self._socket is not None
            self._socket.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self, *trailers: str) -> int:
        """End that body; the status of the answer."""
        assert self._socket is not None
        self._socket.sendall(b"0\r\n" + "".join(f"{line}\r\n" for line in trailers).encode("latin-1") + b"\r\n")
        return self._receive()[0]

    def _send(self, method: str, path: str, *fields: str, body: bytes = b"") -> None:
        if self._socket is None:
            self._socket = socket()
            self._socket.connect(self._address)
            self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        lines = (f"{method} /{VERSION}/{path} HTTP/1.1", f"host: {self._host}", *fields)
        self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body)

    def _receive(self) -> tuple[int, dict[str, str], bytes]:
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if fields.get("transfer-encoding", "").lower() == "chunked":
            body = b"".join(iter(self._chunk, b""))
            self._until(b"\r\n")
        else:
            body = self._exactly(int(fields.get("content-length", "0")))
        if fields.get("connection", "").lower() == "close":
            self._close()
        return int(lines[0].split(" ", 2)[1]), fields, body

    def _chunk(self) -> bytes:
        size = int(self._until(b"\r\n").partition(b";")[0], 16)
        piece = self._exactly(size)
        if size:
            self._exactly(2)
        return piece

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._left:
            self._left += self._more()
        found, _, self._left = self._left.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        pieces, missing = [self._left], size - len(self._left)
        while missing > 0:
            pieces.append(self._more())
            missing -= len(pieces[-1])
        whole = b"".join(pieces)
        self._left = whole[size:]
        return whole[:size]

    def _more(self) -> bytes:
        assert self._socket is not None
        found = self._socket.recv(_PIECE)
        if not found:
            self._close()
            raise ConnectionError("the Runtime API closed the connection")
        return found

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._left = None, b""


class Loop:
    """Takes invocations and answers them, for ever.

    Args:
        app: What answers.
        runtime: Where they come from.
        run_task: Runs a task of the project by its name.
        stream: Whether the function is called for a stream (a Function URL with ``RESPONSE_STREAM``); every answer
            then goes out as one.
    """

    def __init__(self, app: Served, runtime: Runtime, run_task: RunTask | None = None, *, stream: bool = False) -> None:
        self.app, self.runtime, self.run_task, self.stream = app, runtime, run_task, stream
        self.driver = Driver()

    def once(self) -> None:
        """One invocation, from ``/next`` to the end of its ``after()`` work."""
        fields, body = self.runtime.next()
        path = f"runtime/invocation/{fields['lambda-runtime-aws-request-id']}"
        os.environ["_X_AMZN_TRACE_ID"] = fields.get("lambda-runtime-trace-id", "")
        left_s = int(fields.get("lambda-runtime-deadline-ms", "0")) / 1000 - time.time()
        try:
            self.driver.run(self._invoke(jsontext.loads(body), path, left_s))
        except Exception as exc:
            _say("the invocation failed", exc)
            self.runtime.post(f"{path}/error", error_body(exc), f"lambda-runtime-function-error-type: {_kind(exc)}")

    async def _invoke(self, event: Any, path: str, left_s: float) -> None:
        kind = kind_of(event)
        if kind is None:
            result = await run_tasks(event, self.run_task)
            self.runtime.post(f"{path}/response", jsontext.dumps(result))
            return
        request = to_request(event, kind)
        response = await answer(self.app, request, left_s)
        try:
            if self.stream and kind == "v2":
                await self._stream(request, response, path)
            else:
                await self._whole(request, response, kind, path)
        finally:
            self.app.sent(request, response)
            await self.app.settle()

    async def _whole(self, request: Request, response: Response, kind: Kind, path: str) -> None:
        made = to_event(await whole(request, response), kind)
        self.runtime.post(f"{path}/response", jsontext.dumps(made), "content-type: application/json")

    async def _stream(self, request: Request, response: Response, path: str) -> None:
        status, fields = head(response)
        single = {name: ", ".join(value for each, value in fields if each == name) for name, _ in fields}
        single.pop("set-cookie", None)
        cookies = [value for name, value in fields if name == "set-cookie"]
        prelude = {"statusCode": status, "headers": single, "cookies": cookies}
        self.runtime.begin(
            f"{path}/response", "lambda-runtime-function-response-mode: streaming", f"content-type: {STREAM_TYPE}",
            "trailer: lambda-runtime-function-error-type, lambda-runtime-function-error-body",
        )  # fmt: skip
        self.runtime.piece(jsontext.dumps(prelude) + b"\0" * 8)
        bodyless = request.method == "HEAD" or status in (204, 304)
        trailers: list[str] = []
        try:
            if response.chunks is None:
                self.runtime.piece(b"" if bodyless else response.body)
            elif not bodyless:
                async for item in response.chunks:
                    self.runtime.piece(to_bytes(item))
        except OSError:
            raise
        except Exception as exc:
            # The status is out; only the trailers can still say that this is not all.
            _say("the stream broke off", exc)
            trailers = [
                f"lambda-runtime-function-error-type: {_kind(exc)}",
                f"lambda-runtime-function-error-body: {_base64(error_body(exc))}",
            ]
        finally:
            await close(response)
        self.runtime.end(*trailers)


def serve(
    load: Callable[[], Served], address: str, run_task: RunTask | None = None, *, stream: bool = False
) -> NoReturn:
    """Load the app, start it and answer invocations until the process is ended.

    What goes wrong before the first one is told to Lambda and ends the process, so that another is tried.
    """
    runtime = Runtime(address)
    try:
        app = load()
        loop = Loop(app, runtime, run_task, stream=stream)
        loop.driver.run(app.startup())
    except Exception as exc:
        _say("the function did not start", exc)
        runtime.post("runtime/init/error", error_body(exc), f"lambda-runtime-function-error-type: {_kind(exc)}")
        raise SystemExit(1) from exc
    try:
        loop.once()
        # What is loaded by now stays: it need not be looked at again. The entry file has switched this off, since
        # going through what imports make, over and over, takes a twelfth of a cold start.
        gc.freeze()
        gc.enable()
        while True:
            loop.once()
    except OSError as exc:
        raise SystemExit(f"the Runtime API is gone: {exc}") from exc


def error_body(exc: BaseException) -> bytes:
    """What Lambda shows of an error."""
    import traceback

    stack = traceback.format_exception(exc)
    return jsontext.dumps({"errorMessage": str(exc), "errorType": type(exc).__name__, "stackTrace": stack[-20:]})


def _kind(exc: BaseException) -> str:
    return f"Turnout.{type(exc).__name__}"


def _base64(data: bytes) -> str:
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode()


def _say(what: str, exc: BaseException) -> None:
    logger.error("%s: %s", what, exc, exc_info=exc)
