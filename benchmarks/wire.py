"""What the REST wire costs: a row by its key through /rest/v1, beside a plain route that reads the same row.

Run:     python benchmarks/wire.py [--url postgresql://…]        (about 10 s, one core)
Prints:  for each way microseconds per request, median and half the spread of 7 rounds, and the ratio to the
         plain route. In-process, without a socket: on a server both get the same addition.

A different id is asked for every time, so no parsed query is found again. The three wires are: nobody's
(the program itself), the service role's, and a user's under a row policy. On PostgreSQL the last two run
in a transaction with the role switched, which a plain route does not. Compare two commits on one quiet
machine only.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from turnout.app import App, Route
from turnout.db import POLICIES, Database, Scope, col, policy, uid
from turnout.db.rest import rest
from turnout.db.sql.policies import create_policies
from turnout.db.sql.roles import BOOTSTRAP
from turnout.http.guard import AllowedHosts
from turnout.http.headers import Headers
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.routing.pattern import Pattern, Segment, parse_segment

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


async def fill(db: Database, url: str | None) -> None:
    """The table, its rows and its policy."""
    if url is not None:
        import asyncpg

        connection = await asyncpg.connect(url)
        await connection.execute("drop table if exists bench_posts; " + BOOTSTRAP)
        await connection.close()
    await db.sql(TABLE)
    row = {"owner": USER, "title": "a title of some length", "views": 7, "published": True}
    await db.from_("bench_posts").insert([{"id": number, **row} for number in range(ROWS)])
    policy("bench_posts", for_="select", to="authenticated", using=col("owner") == uid())
    if url is not None:
        await db.engine.refresh()  # type: ignore[misc]
        connection = await asyncpg.connect(url)
        for statement in create_policies(list(POLICIES), db.engine.schema):
            await connection.execute(statement)
        await connection.close()


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


async def main(url: str | None, loops: int = 1_500, rounds: int = 7) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(url or Path(folder) / "bench.db")
        await fill(db, url)
        app = app_of(db)
        wire = "/rest/v1/bench_posts?id=eq.{}"
        ways: dict[str, tuple[str, str | None]] = {
            "plain": ("/plain?id={}", None), "wire": (wire, None), "service": (wire, "service"), "user": (wire, "user"),
        }  # fmt: skip
        right = None
        for name, (target, who) in ways.items():
            response = await app.fetch(asked(target, who, 5))
            found = response.body.replace(b" ", b"")
            right = right or found
            assert response.status == 200, (name, response.body)
            assert found == right, (name, found)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):  # in turns, so that a slow moment of the machine is everybody's
            for name, (target, who) in ways.items():
                times[name].append(await timed(app, target, who, loops))
        base = statistics.median(times["plain"])
        for name, each in times.items():
            middle, spread = statistics.median(each), (max(each) - min(each)) / 2
            print(f"{db.dialect:<9} {name:<8} {middle:>7.1f} us ±{spread:<6.1f} {middle / base:>5.2f}x")
        await db.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    asyncio.run(main(parser.parse_args().url))
