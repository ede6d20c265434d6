"""A model that says what a test wrote: an OpenAI-compatible HTTP server that plays a list of turns.

It speaks plain and streamed answers and records what it was sent. A turn is a text; a status; or
one of the misbehaviours below.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Status:
    """An error status, with fields."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Cut:
    """An answer whose connection ends in the middle."""

    text: str


@dataclass
class Raw:
    """Bytes that are no JSON, with status 200."""

    data: bytes


class Endless:
    """An answer that does not stop until the reader does."""


Turn = str | Status | Cut | Raw | Endless


class Script:
    """The turns still to play, and every request so far."""

    def __init__(self, turns: list[Turn]) -> None:
        self.turns = list(turns)
        self.requests: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.url = ""
        self.sent_by_endless = 0

    def texts(self) -> list[str]:
        """All that each request told the model."""
        return ["\n".join(_content(message) for message in request["messages"]) for request in self.requests]


def _content(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


@contextmanager
def scripted(*turns: Turn) -> Iterator[Script]:
    """The server on a free port, for as long as the ``with`` lasts; a turn too few is a 500."""
    script = Script(list(turns))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            script.raw.append(self.headers.as_bytes() + data)
            script.requests.append(json.loads(data))
            turn = script.turns.pop(0) if script.turns else Status(500)
            try:
                self.play(turn, bool(script.requests[-1].get("stream")))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def play(self, turn: Turn, streamed: bool) -> None:
            if isinstance(turn, Status):
                self.whole(turn.code, json.dumps({"error": {"message": "scripted"}}).encode(), turn.headers)
            elif isinstance(turn, Raw):
                self.whole(200, turn.data, {})
            elif not streamed and isinstance(turn, str):
                message = {"role": "assistant", "content": turn}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
                self.whole(200, json.dumps({**HEAD, "choices": [choice], "usage": usage}).encode(), {})
            else:
                self.stream(turn)

        def whole(self, code: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for name, value in {"content-type": "application/json", "content-length": len(data), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(data)

        def stream(self, turn: Turn) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            if isinstance(turn, Endless):
                while script.sent_by_endless < 50_000_000:
                    self.event("again and again " * 500)
                    script.sent_by_endless += 8000
                return
            text = turn.text if isinstance(turn, Cut) else str(turn)
            for at in range(0, len(text), 40):
                self.event(text[at : at + 40])
            if isinstance(turn, Cut):
                return
            self.event("", finish="stop")
            usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
            self.line({**CHUNK, "choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")

        def event(self, text: str, finish: str | None = None) -> None:
            delta = {"role": "assistant", "content": text} if text else {}
            self.line({**CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        def line(self, value: dict[str, Any]) -> None:
            self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


HEAD = {"id": "1", "object": "chat.completion", "created": 1, "model": "scripted"}
CHUNK = {**HEAD, "object": "chat.completion.chunk"}
