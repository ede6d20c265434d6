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
        headers[name] = f"{headers[name]},{value}" if name in headers else value
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
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            event = to_event(self.command, self.path, list(self.headers.items()), body, self.client_address[0])
            answer = function(event, _Context())
            content = b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
            self.send_response_only(answer["statusCode"])
            for name, value in answer["headers"].items():
                if name != "content-length":
                    self.send_header(name, value)
            for cookie in answer.get("cookies", ()):
                self.send_header("set-cookie", cookie)
            if answer["statusCode"] not in (204, 304):
                self.send_header("content-length", answer["headers"].get("content-length", str(len(content))))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

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
