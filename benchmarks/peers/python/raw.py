"""The ceiling: one uvloop Protocol on httptools, dispatching by hand, for one Python thread.

Run:  python raw.py PORT

It does what the answer needs and nothing more: no headers kept, no router, no Date, no limits, no time-outs.
No framework in Python on the same parser and loop can be faster; what a framework adds is its distance from this.
What must wait (PostgreSQL, events) does so beside the parser, so pipelined requests are not kept in order there.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any
from urllib.parse import unquote_plus

import httptools
import msgspec
import uvloop

HEADS = {
    status: b"HTTP/1.1 " + line + b"\r\nContent-Type: application/json\r\nContent-Length: "
    for status, line in {
        200: b"200 OK",
        201: b"201 Created",
        400: b"400 Bad Request",
        404: b"404 Not Found",
        422: b"422 Unprocessable Content",
    }.items()
}


class Item(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    price: Annotated[float, msgspec.Meta(ge=0)]
    quantity: Annotated[int, msgspec.Meta(ge=1)]
    tags: list[str] = []


class Note(msgspec.Struct):
    title: str
    body: str


to_json = msgspec.json.Encoder().encode
to_item = msgspec.json.Decoder(Item).decode
to_note = msgspec.json.Decoder(Note).decode
rows: Any = None  # rows.py and users.py, once this runs as a server: door.py takes Connection without any data
users: Any = None
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def search_param(query: str, wanted: str) -> str | None:
    """The first value of *wanted* in *query*."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == wanted:
            return unquote_plus(value) if "%" in value or "+" in value else value
    return None


def answer(method: bytes, target: str, body: bytes) -> tuple[int, object]:
    """Status and data for one request."""
    path, _, query = target.partition("?")
    if path == "/api/hello":
        return 200, {"message": "Hello World!"}
    if path.startswith("/api/items/"):
        text = path[11:]
        if not (text.isascii() and text.isdigit()):
            return 404, {"error": "Not found"}
        return 200, {"id": int(text), "q": search_param(query, "q")}
    if path == "/api/articles":
        return 200, rows.ten_rows()
    if path == "/api/notes":
        note = to_note(body)
        return 201, {"id": rows.add_note(note.title, note.body)}
    if path == "/api/upload":
        return 200, {"size": len(body)}
    if path == "/api/items" and method == b"POST":
        try:
            item = to_item(body)
        except msgspec.ValidationError as exc:
            return 422, {"error": str(exc)}
        except msgspec.DecodeError as exc:
            return 400, {"error": str(exc)}
        return 201, {"name": item.name, "tags": item.tags, "total": item.price * item.quantity}
    return 404, {"error": "Not found"}


class Connection(asyncio.Protocol):
    """One connection; the on_* methods are called by the parser."""

    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.target = ""
        self.body: list[bytes] = []

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_url(self, url: bytes) -> None:
        self.target = url.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        if self.target.startswith("/api/users/"):
            self.task = asyncio.ensure_future(self.send_user(int(self.target[11:])))
        elif self.target == "/api/events":
            self.transport.write(EVENTS)
            self.tick(0)
        else:
            self.send(*answer(self.parser.get_method(), self.target, b"".join(self.body)))
        self.body.clear()

    def send(self, status: int, data: object) -> None:
        payload = to_json(data)
        self.transport.write(b"%b%d\r\n\r\n%b" % (HEADS[status], len(payload), payload))
        if not self.parser.should_keep_alive():
            self.transport.close()

    async def send_user(self, id: int) -> None:
        user = await users.one_user(id)
        self.send(200 if user else 404, user)

    def tick(self, n: int) -> None:
        event = b'data: {"n":%d}\n\n' % n
        self.transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.timer = asyncio.get_running_loop().call_later(0.05, self.tick, n + 1)


async def main(port: int) -> None:
    global rows, users
    import rows
    import users

    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
