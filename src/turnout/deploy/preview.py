"""A function of AWS Lambda behind HTTP on this machine: ``python -m turnout.deploy.preview FOLDER``.

Each request becomes a Function URL event for the function's own handler, in the function's own
folder, as ``awslambdaric`` would call it. Streams arrive as a whole here.
"""

from __future__ import annotations

import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

Function = Callable[[dict[str, Any], Any], dict[str, Any]]


class _Context:
    """What of Lambda's context object the handler asks for."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def to_event(method: str, target: str, fields: list[tuple[str, str]], body: bytes, peer: str) -> dict[str, Any]:
    """The event that a Function URL makes of a request."""
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for name, value in fields:
        name = name.lower()
        joint = "; " if name == "cookie" else ","
        headers[name] = f"{headers[name]}{joint}{value}" if name in headers else value
    cookies = headers.pop("cookie", "")
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        **({"cookies": cookies.split("; ")} if cookies else {}),
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": peer}, "stage": "$default"},
        **({"body": b64encode(body).decode()} if body else {}),
        "isBase64Encoded": bool(body),
    }


def serve(function: Function, port: int) -> None:
    """Serve *function* until the process ends; one request at a time, as an instance of a function does."""

    class Door(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
            body = self.read_chunks() if chunked else self.rfile.read(int(self.headers.get("content-length") or 0))
            event = to_event(self.command, self.path, list(self.headers.items()), body, self.client_address[0])
            answer = function(event, _Context())
            content = b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
            self.send_response_only(answer["statusCode"])
            for name, value in answer["headers"].items():
                if name != "content-length":
                    self.send_header(name, value)
            for cookie in answer.get("cookies", ()):
                self.send_header("set-cookie", cookie)
            length = answer["headers"].get("content-length", None if self.command == "HEAD" else str(len(content)))
            if answer["statusCode"] not in (204, 304) and length is not None:
                self.send_header("content-length", length)
            self.end_headers()
            self.wfile.write(content)

        def read_chunks(self) -> bytes:
            found = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return found

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):  # of whatever method: the function says which it has
                return self.handle_any
            raise AttributeError(name)

    with HTTPServer(("127.0.0.1", port), Door) as server:
        print(f"the function answers on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


def main(folder: Path) -> None:
    """Serve the function in *folder*, loaded from its own files."""
    # Its own Turnout, not the one that this file is of, is what is to be tried.
    for name in [name for name in sys.modules if name.partition(".")[0] == "turnout"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    serve(import_module("lambda_function").handler, int(os.environ.get("PORT", "8000")))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).absolute())
    except KeyboardInterrupt:
        sys.exit(130)
