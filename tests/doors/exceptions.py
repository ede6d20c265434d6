"""Where a door's answer is not the app's: which doors and cases, what comes instead, and whose reason it is.

Each row is exact, and the test asserts it: an answer that is no longer changed, or is changed in
another way, fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from doors.cases import Case
from doors.events import Answer


class Changed(NamedTuple):
    """One way in which some doors change the answers to some cases.

    Attributes:
        doors: Their names.
        applies: Whether a case is one of those.
        change: The app's answer to the one that arrives.
        reason: Who does it, and why.
    """

    doors: frozenset[str]
    applies: Callable[[Case], bool]
    change: Callable[[Answer], Answer]
    reason: str

    def holds(self, door: str, case: Case) -> bool:
        """Whether this row is about *case* at *door*."""
        return door in self.doors and self.applies(case)


V2 = frozenset({"loop", "loop-stream", "managed-v2", "preview"})
MANGUM = frozenset({"mangum"})
V1 = frozenset({"loop-v1", "managed-v1"})
SINGLE = frozenset({"managed-alb-single"})
STREAMS = ("/api/stream", "/api/events", "/api/pieces")


def _with_body(answer: Answer, body: bytes) -> Answer:
    """*answer* with another body, and the length of that."""
    status, headers, _ = answer
    return status, [(name, str(len(body)) if name == "content-length" else value) for name, value in headers], body


def _body(old: bytes, new: bytes) -> Callable[[Answer], Answer]:
    return lambda answer: _with_body(answer, answer[2].replace(old, new))


def _length(answer: Answer) -> Answer:
    return answer[0], [*answer[1], ("content-length", str(len(answer[2])))], answer[2]


def _join_many(answer: Answer) -> Answer:
    kept = [pair for pair in answer[1] if pair[0] != "x-many"]
    return answer[0], [*kept, ("x-many", "one, two, three")], answer[2]


def _last(answer: Answer) -> Answer:
    """The last of the values that a query has for one name. A body of one value is too small to be compressed."""
    body = re.sub(rb'"(q|tags)":\[[^\]]*?("(?:[^"]*)")\]', rb'"\1":[\2]', answer[2])
    return _with_body((answer[0], [pair for pair in answer[1] if pair[0] != "vary"], b""), body)


def _is_twice(case: Case) -> bool:
    return [name for name, _ in case.headers].count("x-two") > 1


def _refused(answer: Answer) -> Answer:
    text = b"Invalid HTTP request received."
    return 400, [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(text)))], text


TWICE = b'[["x-two","a"],["x-other","b"],["x-two","c"]]'

DECODED = "Mangum decodes the path before the app sees it, so an encoded slash is one"
RESTARTED = "Mangum starts the app and shuts it down for each event, and what is in memory goes"


def _as_json(answer: Answer, body: bytes) -> list[tuple[str, str]]:
    kept = [pair for pair in answer[1] if pair[0] not in ("content-type", "content-length", "cache-control")]
    return [*kept, ("content-type", "application/json"), ("content-length", str(len(body)))]


EXCEPTIONS: list[Changed] = [
    Changed(
        frozenset({"uvicorn-httptools"}),
        lambda case: case.method == "BREW",
        _refused,
        "httptools refuses methods that it does not know, before the app is asked",
    ),
    Changed(
        frozenset({"granian"}) | V1 | {"managed-alb"},
        _is_twice,
        _body(TWICE, b'[["x-two","a"],["x-two","c"],["x-other","b"]]'),
        "granian, REST APIs and load balancers hand fields over by name: equal names come together",
    ),
    Changed(
        frozenset({"granian"}),
        lambda case: (case.method, case.target, case.body) == ("POST", "/api/pieces", b""),
        _length,
        "granian gives an empty stream a length",
    ),
    Changed(
        V2 | MANGUM,
        _is_twice,
        _body(TWICE, b'[["x-two","a,c"],["x-other","b"]]'),
        "payload 2.0 has one value for each name: equal names are joined with a comma",
    ),
    Changed(
        V2 | SINGLE,
        lambda case: case.target == "/api/fields?many",
        _join_many,
        "an answer in payload 2.0, or to a load balancer without multi-value headers, has one value for each name",
    ),
    Changed(
        V1,
        lambda case: case.target == "/api/hello/?a=1&b=%20",
        lambda answer: (
            answer[0],
            [(name, value.replace("%20", "+") if name == "location" else value) for name, value in answer[1]],
            answer[2],
        ),
        "a REST API hands the query over decoded: how it was written is lost",
    ),
    Changed(
        SINGLE,
        _is_twice,
        _body(TWICE, b'[["x-two","c"],["x-other","b"]]'),
        "a load balancer without multi-value headers hands over the last of equal fields",
    ),
    Changed(
        SINGLE,
        lambda case: re.search(r"[?&](q|tags)\b[^&]*&.*\b(q|tags)=", case.target) is not None,
        _last,
        "a load balancer without multi-value headers hands over the last of equal names in a query",
    ),
    Changed(
        SINGLE,
        lambda case: case.target.startswith("/api/cookies") and case.method != "POST",
        lambda answer: (502, [], b"(an error)"),
        "a load balancer without multi-value headers sends one cookie: several are refused, and none is lost silently",
    ),
    Changed(
        MANGUM,
        lambda case: (
            case.status in (204, 205, 301, 302, 303, 304, 307, 308, 416) or case.id == "HEAD /api/empty localhost"
        ),
        lambda answer: (answer[0], [*answer[1], ("content-type", "application/json")], answer[2]),
        "Mangum says application/json of every answer that has no type, even of one without a body",
    ),
    Changed(
        MANGUM,
        lambda case: case.target == "/files/a%2Fb/c",
        lambda answer: _with_body(answer, answer[2].replace(b"%2F", b"/").replace(b'"a/b"', b'"a","b"')),
        DECODED,
    ),
    Changed(
        MANGUM,
        lambda case: case.target == "/files/a%2F%2Fb",
        lambda answer: (
            308,
            [
                *(pair for pair in answer[1] if pair[0] not in ("content-type", "content-length")),
                ("location", "/files/a/b"),
                ("content-type", "application/json"),
                ("content-length", "0"),
            ],
            b"",
        ),
        DECODED,
    ),
    *(
        Changed(
            MANGUM,
            lambda case, target=target: case.target == target,  # type: ignore[misc]
            lambda answer, body=body: (200, _as_json(answer, body), body),  # type: ignore[misc]
            DECODED,
        )
        for target, body in (
            ("/files/%ff", '{"path":["\ufffd"],"canonical":"/files/%EF%BF%BD","url":"/%EF%BF%BD"}'.encode()),
            ("/files/%", b'{"path":["%"],"canonical":"/files/%25","url":"/%25"}'),
        )
    ),
    Changed(
        MANGUM,
        lambda case: case.target == "/api/kept/a",
        lambda answer: (
            answer[0],
            [
                {
                    "cache-status": ("cache-status", "turnout; fwd=miss; stored"),
                    "etag": ("etag", '"eae3114ba4ca0d0537c0b133"'),
                }.get(name, (name, value))
                for name, value in answer[1]
            ],
            b'{"run":2}',
        ),
        RESTARTED,
    ),
    Changed(
        MANGUM,
        lambda case: case.target == "/api/kept/c",
        lambda answer: (
            answer[0],
            [pair for pair in answer[1] if pair[0] not in ("cache-control", "cache-status", "etag")],
            b"",
        ),
        RESTARTED,
    ),
    Changed(
        MANGUM,
        lambda case: case.target == "/api/fields?many",
        lambda answer: (
            answer[0],
            [pair for pair in answer[1] if pair[0] != "x-many"] + [("x-many", "one,two, three")],
            answer[2],
        ),
        "Mangum joins equal names without a space",
    ),
    Changed(
        MANGUM,
        lambda case: case.headers == (("x-latin", "caf\xe9"),),
        _body("café".encode(), "café".encode().decode("latin-1").encode()),
        "Mangum writes field values as UTF-8, where ASGI has Latin-1",
    ),
    Changed(
        frozenset({"preview"}),
        lambda case: (
            case.method != "HEAD"
            and case.status != 304
            and (
                case.target.startswith(STREAMS)
                or (case.target.endswith(".css") and ("accept-encoding", "gzip") in case.headers)
            )
        ),
        _length,
        "a buffered function answers as a whole, so a stream has a length",
    ),
]
