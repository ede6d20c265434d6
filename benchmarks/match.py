"""How long finding a route takes, by kind of route and size of table.

Run:     python benchmarks/match.py            (about 5 s, one core)
Prints:  kind, routes in the table, nanoseconds per look-up: median and half the
         spread of 7 rounds. "raw" is the dictionary of static paths that the app
         asks first; the others are Table.match on decoded segments. Compare two
         commits on one quiet machine only.
"""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable

from turnout.routing.pattern import Pattern
from turnout.routing.table import Table

PATTERNS = ("/s{}/list", "/s{}/[id]", "/s{}/[id]/comments/[comment]", "/s{}/files/[...path]", "/s{}/docs/[[...page]]")
KINDS = {
    "static": "/s0/list",
    "param": "/s0/42",
    "params": "/s0/42/comments/7",
    "rest": "/s0/files/a/b/c",
    "optional": "/s0/docs",
    "miss": "/nowhere",
}


def table(services: int) -> Table[str]:
    routes: Table[str] = Table()
    for at in range(services):
        for pattern in PATTERNS:
            routes.add(Pattern.parse(pattern.format(at)), pattern)
    routes.freeze()
    return routes


def measure(name: str, size: int, find: Callable[[], object], loops: int, rounds: int) -> None:
    times = timeit.repeat(find, number=loops, repeat=rounds)
    ns = [seconds / loops * 1e9 for seconds in times]
    print(f"{name:<8} {size:>6} {statistics.median(ns):>8.0f} ±{(max(ns) - min(ns)) / 2:.0f}")


def main(loops: int = 20_000, rounds: int = 7) -> None:
    for services in (2, 2_000):
        routes, size = table(services), services * len(PATTERNS)
        assert routes.static["/s0/list"] == PATTERNS[0]  # the right answer first
        measure("raw", size, lambda routes=routes: routes.static.get("/s0/list"), loops, rounds)  # type: ignore[misc]
        for kind, path in KINDS.items():
            segments = path[1:].split("/")
            assert (routes.match(segments) is None) == (kind == "miss")
            measure(kind, size, lambda: routes.match(segments), loops, rounds)  # noqa: B023


if __name__ == "__main__":
    main()
