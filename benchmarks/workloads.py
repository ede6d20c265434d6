"""What is asked of every contender, and what the right answer is.

A workload is one request, sent over and over, with the answers that must come back before anything is timed. The
request that is checked is the request that is timed: the script for wrk is written from the same value. A wrong
status, media type or body, one answer for two different questions (one peer caches), or a bad input that is not
refused ends the run.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

BROWSER = {  # with Host, the 14 fields of fetch("/api/hello") in a browser
    "Connection": "keep-alive",
    "sec-ch-ua": '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0"
    " Safari/537.36",
    "Accept": "application/json, text/plain, */*",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "Referer": "http://127.0.0.1/",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Cookie": "theme=dark; session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.Zm9v; _ga=GA1.1.1234567890.1700000000",
}
JSON = {"Content-Type": "application/json"}
HELLO = {"message": "Hello World!"}


class WrongAnswer(Exception):
    """A contender did not answer as the workload asks; timing it would mean nothing."""


@dataclass(frozen=True)
class Call:
    """One request."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    def to_lua(self) -> str:
        """The script that makes wrk send this call; without a `request` function wrk builds the bytes only once."""
        fields = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in self.headers.items()]
        body = [f"wrk.body = {json.dumps(self.body)}"] if self.body else []
        return "\n".join([f"wrk.method = {json.dumps(self.method)}", *fields, *body, ""])


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Workload:
    """A call to time, the answers to see first, and calls that must be refused with a 4xx."""

    name: str
    title: str
    expected: tuple[tuple[Call, int, object], ...]
    refused: tuple[Call, ...] = ()

    @property
    def call(self) -> Call:
        """The call that is timed: the first of those checked."""
        return self.expected[0][0]


def item(body: object) -> Call:
    """POST *body* as an item."""
    return Call("/api/items", "POST", JSON, json.dumps(body, separators=(",", ":")))


LAMP = {"name": "Lamp", "price": 12.5, "quantity": 4, "tags": ["light", "home"]}

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", "GET /api/hello", ((Call("/api/hello"), 200, HELLO),), (Call("/api/nothing"),)),
        Workload("W1h", "W1 with a browser's 14 fields", ((Call("/api/hello", headers=BROWSER), 200, HELLO),)),
        Workload(
            "W2",
            "GET /api/items/42?q=abc",
            (
                (Call("/api/items/42?q=abc"), 200, {"id": 42, "q": "abc"}),
                (Call("/api/items/7?q=x%20y&z=1"), 200, {"id": 7, "q": "x y"}),
                (Call("/api/items/42"), 200, {"id": 42, "q": None}),
            ),
            (Call("/api/items/abc?q=abc"),),
        ),
        Workload(
            "W3",
            "POST /api/items, validated",
            (
                (item(LAMP), 201, {"name": "Lamp", "tags": ["light", "home"], "total": 50}),
                (item(LAMP | {"name": "Bed", "quantity": 2}), 201, {"name": "Bed", "tags": LAMP["tags"], "total": 25}),
                (item({"name": "Cup", "price": 3, "quantity": 1}), 201, {"name": "Cup", "tags": [], "total": 3}),
            ),
            (
                item({"price": 3, "quantity": 1}),
                item(LAMP | {"quantity": 0}),
                item(LAMP | {"name": ""}),
                Call("/api/items", "POST", JSON, '{"name":'),
            ),
        ),
    )
}


def fetch(port: int, call: Call, timeout_s: float = 5.0) -> Answer:
    """Send one call on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(call.method, call.path, call.body or None, dict(call.headers))
        response = connection.getresponse()
        return Answer(response.status, response.headers.get_content_type(), response.read())
    finally:
        connection.close()


def check_answer(call: Call, answer: Answer, status: int, data: object) -> None:
    """Compare an answer with the right one, JSON as data.

    Raises:
        WrongAnswer: another status, media type or body.
    """
    what = f"{call.method} {call.path}"
    if answer.status != status:
        raise WrongAnswer(f"{what} gave status {answer.status}, not {status}: {answer.body[:200]!r}")
    if answer.content_type != "application/json":
        raise WrongAnswer(f"{what} gave {answer.content_type}, not application/json")
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise WrongAnswer(f"{what} gave a body that is not JSON: {answer.body[:200]!r}") from None
    if found != data:
        raise WrongAnswer(f"{what} gave {found!r}, not {data!r}")


def check(port: int, workload: Workload) -> None:
    """Ask every question of *workload* twice, in turn, and see that bad input is refused.

    Raises:
        WrongAnswer: at the first answer that is not right.
    """
    for call, status, data in workload.expected * 2:
        check_answer(call, fetch(port, call), status, data)
    for call in workload.refused:
        answer = fetch(port, call)
        if not 400 <= answer.status <= 499:
            raise WrongAnswer(f"{call.method} {call.path} {call.body} should be refused, but gave {answer.status}")
