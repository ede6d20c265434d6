"""The other side of Lambda's Runtime API, for any client of it: AWS's own and Turnout's.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

ROOT = "/2018-06-01/runtime"


class Posted(NamedTuple):
    """What a function has said: ``response`` or ``error``, the fields, the body."""

    kind: str
    fields: dict[str, str]
    body: bytes


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A function that is ended leaves in the middle of its wait."""


class RuntimeAPI:
    """Hands over one invocation at a time, and waits for what comes of it."""

    def __init__(self) -> None:
        self._events: queue.Queue[bytes] = queue.Queue()
        self._posted: queue.Queue[Posted] = queue.Queue()
        self._server = _Server(("127.0.0.1", 0), _handler(self._events, self._posted))
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def call(self, event: Any) -> Posted:
        """Invoke the function with *event*."""
        self._events.put(json.dumps(event).encode())
        return self._posted.get(timeout=90)

    def close(self) -> None:
        """The function is gone by now."""
        self._server.shutdown()
        self._server.server_close()


def _handler(events: queue.Queue[bytes], posted: queue.Queue[Posted]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            event = events.get()
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "id-1")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 30) * 1000)))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:1:function:sample")
            self.send_header("Lambda-Runtime-Trace-Id", "Root=1")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(event)))
            self.end_headers()
            self.wfile.write(event)

        def do_POST(self) -> None:
            fields = {name.lower(): value for name, value in self.headers.items()}
            if fields.get("transfer-encoding") == "chunked":
                body = self._chunks()
            else:
                body = self.rfile.read(int(fields["content-length"]))
            # Answered first: the next event may come only to a client that knows that this one is done.
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            posted.put(Posted(self.path.rpartition("/")[2], fields, body))

        def _chunks(self) -> bytes:
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return found

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
