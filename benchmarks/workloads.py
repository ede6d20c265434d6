"""What is asked of every contender, and what the right answer is.

A workload is one request, sent over and over (or several, sent in turn), with the answers that must come back before
anything is timed. The requests that are checked are those that are timed: the script for wrk is written from the same
values. A contender with a wrong status, media type or body, with one answer for two different questions, with the old
answer after the data changed (one peer caches), or that takes bad input is not timed.
"""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .stores import ARTICLES, POSTS, Stores, user

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
VARIANTS = 256
MEGABYTE = 1_048_576
CYCLE = """\
local calls, n = {}, 0
function init(args)
%s
end
function request()
  n = n %% #calls + 1
  return calls[n]
end
"""


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

    def to_lua_call(self) -> str:
        """The bytes of this call as a Lua expression, for a script that sends several in turn."""
        fields = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in self.headers.items())
        body = json.dumps(self.body) if self.body else "nil"
        return f"wrk.format({json.dumps(self.method)}, {json.dumps(self.path)}, {{{fields}}}, {body})"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Expect:
    """A call and its right answer; the fields named in *ignore* may have any value, such as a new row's id."""

    call: Call
    status: int
    data: object
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """A statement that changes the data behind a contender's back, and what it must answer from then on."""

    store: Literal["sqlite", "postgres"]
    sql: str
    then: Expect


@dataclass(frozen=True)
class Workload:
    """Calls to time, the answers to see first, changes to be noticed, and calls that must be refused with a 4xx."""

    name: str
    title: str
    expected: tuple[Expect, ...]
    refused: tuple[Call, ...] = ()
    changes: tuple[Change, ...] = ()
    variants: tuple[Call, ...] = ()
    """Calls that are timed in turn; the first of *expected* over and over without them."""
    connections: int = 64
    prove: Callable[[int, Stores], None] | None = None
    """What else to see on this port."""
    stream: bool = False
    """Server-sent events, which sse.py counts and not wrk."""

    @property
    def call(self) -> Call:
        """The call that is timed, or the first of those: the first that is checked."""
        return self.expected[0].call

    def to_lua(self) -> str:
        """The script for wrk."""
        if not self.variants:
            return self.call.to_lua()
        return CYCLE % "\n".join(f"  calls[#calls + 1] = {call.to_lua_call()}" for call in self.variants)


def post(path: str, body: object) -> Call:
    """POST *body* as JSON."""
    return Call(path, "POST", JSON, json.dumps(body, separators=(",", ":")))


def item(body: object) -> Call:
    """POST *body* as an item."""
    return post("/api/items", body)


def varied_items() -> tuple[Call, ...]:
    """Items whose bodies are of 60 to 300 bytes, in an order that is the same in every run."""
    sizes = random.Random(3)
    names, tags = "Lamp of the lower eastern corridor" * 3, ["light", "home", "stairs", "a rather long word"]
    return tuple(
        item(LAMP | {"name": names[: sizes.randint(1, 100)], "tags": [sizes.choice(tags)] * sizes.randint(0, 8)})
        for _ in range(VARIANTS)
    )


def varied_hello() -> tuple[Call, ...]:
    """Hello with an id for each request, as a proxy or a tracing client adds."""
    ids = random.Random(1)
    return tuple(Call("/api/hello", headers={"X-Request-Id": f"{ids.getrandbits(128):032x}"}) for _ in range(VARIANTS))


def made(call: Call) -> Expect:
    """W3's answer to a right item."""
    sent = json.loads(call.body)
    total = sent["price"] * sent["quantity"]
    return Expect(call, 201, {"name": sent["name"], "tags": sent.get("tags", []), "total": total})


def blog_trace() -> tuple[Call, ...]:
    """Of 20 requests 8 for a page of posts, 7 for one post, 4 hello, 1 that writes a post; shuffled once."""
    dice = random.Random(9)
    calls = [Call(f"/api/posts?page={dice.randint(1, 20)}&limit=10") for _ in range(80)]
    calls += [Call(f"/api/posts/{dice.randint(1, len(POSTS))}") for _ in range(70)]
    calls += [Call("/api/hello")] * 40
    calls += [post("/api/posts", {"title": f"New {n}", "content": "Words. " * dice.randint(1, 40)}) for n in range(10)]
    dice.shuffle(calls)
    return tuple(calls)


def prove_commits(port: int, stores: Stores) -> None:
    """Each POST /api/notes adds one row of its own that another connection sees at once."""
    ids = []
    for title in ("One", "Two"):
        answer = fetch(port, post("/api/notes", {"title": title, "body": "text"}))
        ids.append(json.loads(answer.body)["id"])
        if stores.read_sqlite("select title from notes where id = ?", ids[-1]) != [(title,)]:
            raise WrongAnswer(f"POST /api/notes answered id {ids[-1]}, but no such row was committed")
    if ids[0] == ids[1]:
        raise WrongAnswer("POST /api/notes answered the same id twice")


LAMP = {"name": "Lamp", "price": 12.5, "quantity": 4, "tags": ["light", "home"]}
ARTICLES_CALL = Call("/api/articles")
POSTS_CALL = Call("/api/posts?page=1&limit=10")
UNREAD = ("created_at",)  # each writes a time in its own way
UPLOAD = Call("/api/upload", "POST", {"Content-Type": "application/octet-stream"}, "x" * MEGABYTE)

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", "GET /api/hello", (Expect(Call("/api/hello"), 200, HELLO),), (Call("/api/nothing"),)),
        Workload("W1h", "W1 with a browser's 14 fields", (Expect(Call("/api/hello", headers=BROWSER), 200, HELLO),)),
        Workload(
            "W1v",
            "W1 with a header field that differs in every request",
            tuple(Expect(call, 200, HELLO) for call in varied_hello()[:4]),
            variants=varied_hello(),
        ),
        Workload(
            "W2",
            "GET /api/items/42?q=abc",
            (
                Expect(Call("/api/items/42?q=abc"), 200, {"id": 42, "q": "abc"}),
                Expect(Call("/api/items/7?q=x%20y&z=1"), 200, {"id": 7, "q": "x y"}),
                Expect(Call("/api/items/42"), 200, {"id": 42, "q": None}),
            ),
            (Call("/api/items/abc?q=abc"),),
        ),
        Workload(
            "W3",
            "POST /api/items, validated",
            (
                made(item(LAMP)),
                made(item(LAMP | {"name": "Bed", "quantity": 2})),
                made(item({"name": "Cup", "price": 3, "quantity": 1})),
            ),
            (
                item({"price": 3, "quantity": 1}),
                item(LAMP | {"quantity": 0}),
                item(LAMP | {"name": ""}),
                Call("/api/items", "POST", JSON, '{"name":'),
            ),
        ),
        Workload(
            "W3v",
            "W3 with bodies of different lengths",
            tuple(made(call) for call in varied_items()[:8]),
            variants=varied_items(),
        ),
        Workload(
            "W4",
            "GET /api/articles, ten rows from SQLite",
            (Expect(ARTICLES_CALL, 200, ARTICLES[:10]),),
            changes=(
                Change(
                    "sqlite",
                    "update articles set title = 'Changed' where id = 1",
                    Expect(ARTICLES_CALL, 200, [ARTICLES[0] | {"title": "Changed"}, *ARTICLES[1:10]]),
                ),
                Change(
                    "sqlite",
                    f"update articles set title = '{ARTICLES[0]['title']}' where id = 1",
                    Expect(ARTICLES_CALL, 200, ARTICLES[:10]),
                ),
            ),
        ),
        Workload(
            "W5",
            "GET /api/users/[id], one row from PostgreSQL",
            tuple(Expect(Call(f"/api/users/{id}"), 200, user(id)) for id in (7, 4242)),
            (Call("/api/users/999999"),),
            changes=(
                Change(
                    "postgres",
                    "update users set name = 'Changed' where id = 7",
                    Expect(Call("/api/users/7"), 200, user(7) | {"name": "Changed"}),
                ),
                Change(
                    "postgres",
                    f"update users set name = '{user(7)['name']}' where id = 7",
                    Expect(Call("/api/users/7"), 200, user(7)),
                ),
            ),
            variants=tuple(Call(f"/api/users/{1 + n * 37}") for n in range(VARIANTS)),
        ),
        Workload(
            "W6",
            "POST /api/notes, insert and commit in SQLite",
            (Expect(post("/api/notes", {"title": "Milk", "body": "Two bottles, please"}), 201, {}, ("id",)),),
            prove=prove_commits,
        ),
        Workload(
            "W7",
            "POST /api/upload, 1 MB read whole",
            (
                Expect(UPLOAD, 200, {"size": MEGABYTE}),
                Expect(Call(UPLOAD.path, "POST", UPLOAD.headers, "x" * 1000), 200, {"size": 1000}),
            ),
            connections=16,
        ),
        Workload(
            "W8",
            "server-sent events: 1,000 clients, an event every 50 ms for each (20,000 a second)",
            (Expect(Call("/api/events"), 200, None),),
            connections=1000,
            stream=True,
        ),
        Workload(
            "W9",
            "a mixed trace of the blog: pages, posts, hello, and 1 of 20 writes",
            (
                Expect(POSTS_CALL, 200, POSTS[:10], UNREAD),
                Expect(Call("/api/posts?page=3&limit=5"), 200, POSTS[10:15], UNREAD),
                Expect(Call("/api/posts/7"), 200, POSTS[6], UNREAD),
                Expect(Call("/api/hello"), 200, HELLO),
                Expect(
                    post("/api/posts", {"title": "New", "content": "Words"}),
                    201,
                    {"title": "New", "content": "Words"},
                    ("id", *UNREAD),
                ),
            ),
            (Call("/api/posts/999999"), post("/api/posts", {"title": "", "content": "Words"})),
            changes=(
                Change(
                    "sqlite",
                    "update posts set title = 'Changed' where id = 7",
                    Expect(Call("/api/posts/7"), 200, POSTS[6] | {"title": "Changed"}, UNREAD),
                ),
                Change(
                    "sqlite",
                    f"update posts set title = '{POSTS[6]['title']}' where id = 7",
                    Expect(Call("/api/posts/7"), 200, POSTS[6], UNREAD),
                ),
            ),
            variants=blog_trace(),
        ),
    )
}


def fetch(port: int, call: Call, timeout_s: float = 10.0) -> Answer:
    """Send one call on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(call.method, call.path, call.body or None, dict(call.headers))
        response = connection.getresponse()
        return Answer(response.status, response.headers.get_content_type(), response.read())
    finally:
        connection.close()


def check_answer(expect: Expect, answer: Answer) -> None:
    """Compare an answer with the right one, JSON as data.

    Raises:
        WrongAnswer: another status, media type or body.
    """
    what = f"{expect.call.method} {expect.call.path}"
    if answer.status != expect.status:
        raise WrongAnswer(f"{what} gave status {answer.status}, not {expect.status}: {answer.body[:200]!r}")
    if answer.content_type != "application/json":
        raise WrongAnswer(f"{what} gave {answer.content_type}, not application/json")
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise WrongAnswer(f"{what} gave a body that is not JSON: {answer.body[:200]!r}") from None
    if _without(found, expect.ignore) != expect.data:
        raise WrongAnswer(f"{what} gave {str(found)[:300]}, not {str(expect.data)[:300]}")


def _without(data: object, names: tuple[str, ...]) -> object:
    if isinstance(data, list):
        return [_without(each, names) for each in data]
    if isinstance(data, dict):
        return {name: value for name, value in data.items() if name not in names}
    return data


def check(port: int, workload: Workload, stores: Stores) -> None:
    """Ask every question of *workload* twice, in turn; change the data and ask again; see bad input refused.

    Raises:
        WrongAnswer: at the first answer that is not right.
    """
    for expect in workload.expected * 2:
        check_answer(expect, fetch(port, expect.call))
    for change in workload.changes:
        stores.change(change.store, change.sql)
        try:
            check_answer(change.then, fetch(port, change.then.call))
        except WrongAnswer as exc:
            raise WrongAnswer(f"after a row changed, {exc}") from exc
    for call in workload.refused:
        answer = fetch(port, call)
        if not 400 <= answer.status <= 499:
            raise WrongAnswer(f"{call.method} {call.path} {call.body} should be refused, but gave {answer.status}")
    if workload.prove:
        workload.prove(port, stores)
