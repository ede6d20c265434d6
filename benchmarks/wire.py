"""What the REST wire costs: a row by its key through /rest/v1, beside a plain route that reads the same row.

Run:     python -m benchmarks.wire [--url postgresql://…]        (about 10 s, two cores)
Prints:  for each way microseconds per request, median and half the spread of 9 rounds, and the ratio to the
         plain route: through the native server and one connection of a bare client, and in-process.

A different id is asked for every time. The wire answers the program itself, the service role, and a user
under a row policy. On PostgreSQL the last two run in a transaction with the role switched, which the plain
route does not. The rounds of the ways alternate; compare ratios of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from turnout.app import App, Route
from turnout.config import ServerConfig
from turnout.db import POLICIES, Database, Scope, col, policy, uid
from turnout.db.rest import rest
from turnout.db.rls import bootstrap
from turnout.db.sql.policies import create_policies
from turnout.http.guard import AllowedHosts
from turnout.http.headers import Headers
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.routing.pattern import Pattern, Segment, parse_segment
from turnout.server.supervisor import bind
from turnout.server.worker import work

USER = "aaaaaaaa-0000-4000-8000-000000000001"
TABLE = "create table bench_posts (id integer primary key, owner uuid, title text, views integer, published boolean)"
ROWS = 1_000
SCOPES: dict[str | None, Scope | None] = {
    None: None,
    "service": Scope("service_role"),
    "user": Scope("authenticated", {"sub": USER}),
}


def app_of(db: Database) -> App:
    """A plain route and the wire for three callers."""

    async def plain(request: Request) -> Response:
        number = request.search_params.get("id")
        return Response.json(await db.from_("bench_posts").select("*").eq("id", number))

    async def wire(request: Request) -> Response:
        return await rest(request, db, SCOPES[request.headers.get("authorization")])

    plain_at = Pattern((segment("plain"),))
    wire_at = Pattern((segment("rest"), segment("v1"), segment("[[...path]]")))
    routes = [Route(plain_at, Path("plain"), {"GET": plain}), Route(wire_at, Path("wire"), {"GET": wire})]
    return App(routes, allowed_hosts=AllowedHosts(["localhost"]))


def segment(name: str) -> Segment:
    """A part of a route's path."""
    found = parse_segment(name)
    assert found is not None
    return found


async def fill(db: Database) -> None:
    """The table, its rows and its policy."""
    if db.dialect == "postgres":
        await bootstrap(db)
        await db.sql("drop table if exists bench_posts")
    await db.sql(TABLE)
    row = {"owner": USER, "title": "a title of some length", "views": 7, "published": True}
    await db.from_("bench_posts").insert([{"id": number, **row} for number in range(ROWS)])
    policy("bench_posts", for_="select", to="authenticated", using=col("owner") == uid())
    if db.dialect == "postgres":
        await db.engine.refresh()  # type: ignore[misc]
        for statement in create_policies(list(POLICIES), db.engine.schema):
            await db.sql(statement)  # type: ignore[arg-type]


def asked(target: str, who: str | None, number: int) -> Request:
    """A request as a door makes it."""
    headers = [(b"host", b"localhost"), (b"accept", b"application/json")]
    if who is not None:
        headers.append((b"authorization", who.encode()))
    return Request("GET", target.format(number), headers=Headers.from_raw(headers))


async def timed(app: App, target: str, who: str | None, loops: int) -> float:
    """Microseconds per request."""
    requests = [asked(target, who, n % ROWS) for n in range(loops)]
    start = time.perf_counter()
    for request in requests:
        await app.fetch(request)
    return (time.perf_counter() - start) / loops * 1e6


WIRE = "/rest/v1/bench_posts?id=eq.{}"
WAYS: dict[str, tuple[str, str | None]] = {
    "plain": ("/plain?id={}", None),
    "wire": (WIRE, None),
    "service": (WIRE, "service"),
    "user": (WIRE, "user"),
}


async def inside(place: str, loops: int = 700, rounds: int = 9) -> None:
    """Without a socket."""
    db = Database(place)
    app = app_of(db)
    await fill(db)
    right = None
    for name, (target, who) in WAYS.items():
        response = await app.fetch(asked(target, who, 5))
        right = check(name, response.status, response.body, right)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, (target, who) in WAYS.items():
            times[name].append(await timed(app, target, who, loops))
    show(f"{db.dialect}, in-process", times)
    await db.close()


def served(place: str, loops: int = 700, rounds: int = 9) -> None:
    """Through the native server."""
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder, "port")
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.wire", "--url", place, "--serve", str(port)])
        try:
            while not port.exists():
                time.sleep(0.05)
            with socket.create_connection(("127.0.0.1", int(port.read_text()))) as connection:
                right = None
                for name, (target, who) in WAYS.items():
                    right = check(name, *ask(connection, target.format(5), who), right)
                times: dict[str, list[float]] = {name: [] for name in WAYS}
                for _ in range(rounds):
                    for name, (target, who) in WAYS.items():
                        start = time.perf_counter()
                        for number in range(loops):
                            ask(connection, target.format(number % ROWS), who)
                        times[name].append((time.perf_counter() - start) / loops * 1e6)
            show(f"{Database(place).dialect}, served", times)
        finally:
            process.terminate()
            process.wait()


def ask(connection: socket.socket, target: str, who: str | None) -> tuple[int, bytes]:
    """One request, and the status and body of its answer."""
    authorization = f"authorization: {who}\r\n" if who else ""
    connection.sendall(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n{authorization}\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return int(head[9:12]), body


def check(name: str, status: int, body: bytes, right: bytes | None) -> bytes:
    """The right answer first."""
    found = body.replace(b" ", b"")
    assert status == 200, (name, body)
    assert right in (None, found), (name, found)
    return found


def show(where: str, times: dict[str, list[float]]) -> None:
    """Print a line for each way."""
    base = statistics.median(times["plain"])
    for name, each in times.items():
        middle, spread = statistics.median(each), (max(each) - min(each)) / 2
        print(f"{where:<22} {name:<8} {middle:>7.1f} us ±{spread:<6.1f} {middle / base:>5.2f}x")


def serve(place: str, port: Path) -> int:
    """The server of :func:`served`, in a process of its own."""
    sock = bind("127.0.0.1", 0)

    def load() -> App:
        db = Database(place)
        app = app_of(db)

        async def ready() -> None:
            await fill(db)
            (port.parent / "new").write_text(str(sock.getsockname()[1]))
            (port.parent / "new").rename(port)

        app.on_startup.append(ready)
        return app

    return work([sock], load, ServerConfig())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default=":memory:")
    parser.add_argument("--serve")
    given = parser.parse_args()
    if given.serve:
        sys.exit(serve(given.url, Path(given.serve)))
    served(given.url)
    asyncio.run(inside(given.url))
