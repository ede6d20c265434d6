"""examples/blog: every route, its README, and what hostile input gets, in-process and over the native server."""

from __future__ import annotations

import asyncio
import email.policy
import hashlib
import hmac
import http.server
import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from turnout import env, mail, send_email
from turnout.auth.keys import make_key
from turnout.db import db, migrate
from turnout.routing.module import unload
from turnout.testing import Answer, Client
from turnout.webhooks import inbox

EXAMPLE = Path(__file__).parents[2] / "examples" / "blog"
WEBHOOK_SECRET = "whsec_test_secret"
API_KEY = "key-that-nobody-may-see"
ACCOUNT = {"email": "a@b.co", "password": "correct horse"}

# Method, path, headers, body; and what came back: status and text.
Send = Callable[[str, str, dict[str, str], bytes], Awaitable[tuple[int, str]]]


@pytest.fixture
def blog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the example; its modules and variables are forgotten afterwards."""
    root = tmp_path / "blog"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "__pycache__", ".env*.local"))
    (root / "data").mkdir()  # as `turnout db migrate` makes it
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in ("DATABASE_URL", "PORT", "HOST", "WEB_CONCURRENCY", "EXTERNAL_API_URL", "CONTACT_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
    monkeypatch.setenv("EXTERNAL_API_KEY", API_KEY)
    yield root
    unload(root)
    env.unload()


@asynccontextmanager
async def open_blog(root: Path, **options: Any) -> AsyncIterator[Client]:
    async with Client(root=root, **options) as client:
        await migrate.migrate(db, root / "migrations")
        yield client


def outbox(root: Path) -> list[EmailMessage]:
    """What the blog has mailed, as it would have gone over the wire."""
    data = [sent.to_bytes().replace(b"\r\n", b"\n") for sent in mail.outbox]
    return [email.message_from_bytes(each, policy=email.policy.default) for each in data]  # type: ignore[misc]


# -- its README


def readme() -> list[tuple[str, int, str]]:
    """Each curl line of the README, with the status and the body that are promised."""
    text = (EXAMPLE / "README.md").read_text()
    console = re.findall(r"```console\n(.*?)```", text, re.DOTALL)[0]
    found = []
    for block in console.split("$ curl ")[1:]:
        line, _, body = block.partition("\n")
        command, _, status = line.rpartition("  # ")
        found.append((command, int(status), body.strip()))
    return found


async def try_readme(send: Send) -> None:
    token = ""
    for command, status, promised in readme():
        method, path, headers, body = parse_curl(command.replace("<token>", token))

        answer = await send(method, path, headers, body)

        pattern = ".*".join(map(re.escape, promised.split("…")))
        assert answer[0] == status, (command, answer)
        assert re.fullmatch(pattern, answer[1], re.DOTALL), (command, answer)
        if '"token"' in answer[1]:
            token = json.loads(answer[1])["token"]


def parse_curl(command: str) -> tuple[str, str, dict[str, str], bytes]:
    words = iter(shlex.split(command))
    method, path, headers, body = "", "", {}, b""
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words).encode()
            case _:
                path = word.removeprefix("localhost:8000")
    return method or ("POST" if body else "GET"), path, headers, body


def test_the_readme_names_every_route() -> None:
    paths = {parse_curl(command)[1].partition("?")[0] for command, _, _ in readme()}
    files = {f"/{file.parent.relative_to(EXAMPLE / 'app')}" for file in (EXAMPLE / "app" / "api").rglob("route.py")}

    assert {path.replace("[id]", "1") for path in files} == paths


async def test_every_line_of_the_readme_is_true(blog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with upstream({"message": "Hello World!"}) as service:
        monkeypatch.setenv("EXTERNAL_API_URL", service.url)
        async with open_blog(blog) as client:

            async def send(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
                client.cookies = {}  # curl keeps none
                answer = await client.request(method, path, headers=headers, body=body)
                return answer.status, answer.text

            await try_readme(send)


# -- posts


async def test_a_page_of_posts_is_a_range_of_them(blog: Path) -> None:
    async with open_blog(blog) as client:
        for number in range(1, 26):
            await client.post("/api/posts", json={"title": f"Post {number}", "content": "x"})

        async def ids(query: str) -> list[int]:
            return [post["id"] for post in (await client.get(f"/api/posts{query}")).json()]

        assert await ids("") == list(range(1, 11))
        assert await ids("?page=2&limit=10") == list(range(11, 21))
        assert await ids("?page=3") == list(range(21, 26))
        assert await ids("?limit=100") == list(range(1, 26))
        assert await ids("?page=1000000&limit=100") == []


@pytest.mark.parametrize(
    "query", ["page=x", "page=0", "page=-1", "page=1.5", "limit=0", "limit=101", "page=99999999999999999999", "limit="]
)
async def test_a_page_that_is_none_is_refused(blog: Path, query: str) -> None:
    async with open_blog(blog) as client:
        answer = await client.get(f"/api/posts?{query}")

        assert (answer.status, answer.json()["errors"][0]["pointer"]) == (422, "/" + query.partition("=")[0])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"content": "x"}, "/title"),
        ({"title": "x"}, "/content"),
        ({"title": "", "content": "x"}, "/title"),
        ({"title": "x" * 201, "content": "x"}, "/title"),
        ({"title": "x", "content": ""}, "/content"),
        ({"title": 5, "content": "x"}, "/title"),
        ({"title": None, "content": "x"}, "/title"),
        ({"title": "x", "content": ["x"]}, "/content"),
        ([], ""),
        ("text", ""),
    ],
)
async def test_a_post_that_does_not_fit_is_refused(blog: Path, body: Any, pointer: str) -> None:
    async with open_blog(blog) as client:
        await client.post("/api/posts", json={"title": "One", "content": "1"})

        for answer in (await client.post("/api/posts", json=body), await client.put("/api/posts/1", json=body)):
            assert (answer.status, answer.headers.get("content-type")) == (422, "application/problem+json")
            assert answer.json()["errors"][0]["pointer"] == pointer
        assert [post["title"] for post in (await client.get("/api/posts")).json()] == ["One"]


@pytest.mark.parametrize("field", ["id", "created_at", "role", "user_id", "is_admin"])
async def test_a_client_cannot_set_what_the_server_owns(blog: Path, field: str) -> None:
    async with open_blog(blog) as client:
        await client.post("/api/posts", json={"title": "One", "content": "1"})
        body = {"title": "x", "content": "x", field: 7}

        assert (await client.post("/api/posts", json=body)).status == 422
        assert (await client.put("/api/posts/1", json=body)).status == 422
        assert (await client.post("/api/users", json={**ACCOUNT, field: 7})).status == 422
        assert len((await client.get("/api/posts")).json()) == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"title": ', {"content-type": "application/json"}, 400),
        (b"", {"content-type": "application/json"}, 400),
        (b'{"title": NaN, "content": "x"}', {"content-type": "application/json"}, 400),
        (b'{"title": "\xff", "content": "x"}', {"content-type": "application/json"}, 400),
        (b"title=x&content=x", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b'{"title":"x","content":"%s"}' % (b"x" * 1_000_000), {"content-type": "application/json"}, 413),
    ],
)
async def test_a_body_that_is_no_json_is_refused(blog: Path, body: bytes, headers: dict[str, str], status: int) -> None:
    async with open_blog(blog) as client:
        answer = await client.post("/api/posts", body=body, headers=headers)

        assert (answer.status, answer.json()["status"]) == (status, status)
        assert (await client.get("/api/posts")).json() == []


@pytest.mark.parametrize(
    "id", ["2", "0", "-1", "abc", "1;drop", "1%3Bdrop%20table%20posts", "1'--", "1.0", "+1", "9" * 18, "9" * 30]
)
async def test_an_id_that_names_no_post_is_not_found(blog: Path, id: str) -> None:
    async with open_blog(blog) as client:
        await client.post("/api/posts", json={"title": "One", "content": "1"})
        body = {"title": "Two", "content": "2"}

        for answer in (
            await client.get(f"/api/posts/{id}"),
            await client.put(f"/api/posts/{id}", json=body),
            await client.delete(f"/api/posts/{id}"),
        ):
            assert (answer.status, answer.json()) == (404, {"error": "Not found"})
        assert [post["title"] for post in (await client.get("/api/posts")).json()] == ["One"]


async def test_sql_in_a_post_is_only_text(blog: Path) -> None:
    text = "'); drop table posts; --"
    async with open_blog(blog) as client:
        await client.post("/api/posts", json={"title": text, "content": text})

        assert (await client.get("/api/posts/1")).json()["title"] == text


async def test_every_page_escapes_what_people_wrote(blog: Path) -> None:
    async with open_blog(blog) as client:
        assert "No posts yet" in (await client.get("/")).text
        title, content = "<script>alert(1)</script>", '"><img src=x>$id{{ 7 * 7 }}'
        await client.post("/api/posts", json={"title": title, "content": content})
        await db.from_("guestbook").insert({"name": title, "message": content})

        for path in ("/", "/posts", "/posts/1", "/guestbook", "/feed.xml"):
            page = await client.get(path)
            assert page.status == 200
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text, path
            assert "&lt;img src=x&gt;$id{{ 7 * 7 }}" in page.text, path
            assert "<script>" not in page.text and "<img" not in page.text


async def test_no_page_needs_more_than_its_security_policy_allows(blog: Path) -> None:
    async with open_blog(blog) as client:
        for path in ("/", "/posts", "/guestbook", "/contact", "/about", "/nothing", "/auth/sign-in"):
            page = await client.get(path, headers={"accept": "text/html"})
            assert page.headers["content-security-policy"].startswith("default-src 'self'; ")
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|javascript:", page.text), path
            for address in re.findall(r'<(?:link|script)[^>]* (?:href|src)="(/[^"]+)"', page.text):
                assert (await client.get(address)).status == 200, address


# -- contact


async def contact(client: Client, **body: Any) -> Answer:
    return await client.post("/api/contact", json={"name": "Ada", "email": "ada@example.com", "message": "Hi"} | body)


async def test_a_message_is_kept_and_mailed_to_the_owner(blog: Path) -> None:
    async with open_blog(blog) as client:
        answer = await contact(client, message="Zoë says hi\n.\n")

        assert (answer.status, answer.json()) == (200, {"success": True})
        (row,) = await db.from_("messages").select("name, email, message")
        assert row == {"name": "Ada", "email": "ada@example.com", "message": "Zoë says hi\n.\n"}
        (sent,) = outbox(blog)
        assert (sent["To"], sent["Reply-To"], sent["Subject"]) == (
            "owner@example.com",
            "ada@example.com",
            "Message from Ada",
        )
        assert sent.get_content() == "Zoë says hi\n.\n"


@pytest.mark.parametrize("missing", [{"email": ""}, {"message": ""}, {"email": None}, {"message": None}])
async def test_a_message_without_email_or_text_is_refused(blog: Path, missing: dict[str, Any]) -> None:
    async with open_blog(blog) as client:
        answer = await contact(client, **missing)

        assert (answer.status, answer.json()) == (400, {"error": "Email and message required"})
        assert outbox(blog) == [] == await db.from_("messages").select()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "Ada\r\nBcc: everyone@example.com"}, 422),
        ({"name": "Ada\nBcc: everyone@example.com"}, 422),
        ({"name": "Ada\u2028Bcc: everyone@example.com"}, 422),
        ({"name": "Ada\x85Bcc: everyone@example.com"}, 422),
        ({"name": "Ada\n"}, 422),
        ({"email": "=?utf-8?q?a?=@example.com"}, 400),
        ({"email": "ada@192.0.2.7"}, 400),
        ({"email": "a" * 65 + "@example.com"}, 400),
        ({"email": "ada@example.com\r\nBcc: everyone@example.com"}, 400),
        ({"email": "ada@example.com\n"}, 400),
        ({"email": "ada@example.com, everyone@example.com"}, 400),
        ({"email": "ada,everyone@example.com"}, 400),
        ({"email": "Ada <ada@example.com>"}, 400),
        ({"email": "ada..b@example.com"}, 400),
        ({"email": "ada"}, 400),
        ({"email": "a" * 250 + "@example.com"}, 400),
        ({"email": 5}, 422),
        ({"name": ["Ada"]}, 422),
        ({"message": {"a": 1}}, 422),
        ({"message": "x" * 10_001}, 422),
        ({"message": "x" * 70_000}, 413),
    ],
)
async def test_a_message_cannot_begin_another_header(blog: Path, body: dict[str, Any], status: int) -> None:
    async with open_blog(blog) as client:
        assert (await contact(client, **body)).status == status
        assert outbox(blog) == [] == await db.from_("messages").select()


async def test_names_that_look_strange_are_mailed_as_they_are(blog: Path) -> None:
    async with open_blog(blog) as client:
        assert (await contact(client, name="李 <a@b.c>, ?= \\ " + "x" * 150)).status == 200

        (sent,) = outbox(blog)
        assert sent["Subject"].startswith("Message from 李 <a@b.c>, ?= \\ xxx")
        assert set(sent) == {"From", "To", "Reply-To", "Subject", "Date", "Message-ID", *CONTENT_FIELDS}


CONTENT_FIELDS = {"Content-Type", "Content-Transfer-Encoding", "MIME-Version"}


@pytest.mark.parametrize("name", ["=?utf-8?q?=0ABcc:_everyone@example.com?=", "=?utf-8?b?CkJjYzogYUBiLmM=?="])
async def test_a_name_that_reads_like_encoded_text_is_mailed_as_it_is(blog: Path, name: str) -> None:
    async with open_blog(blog) as client:
        assert (await contact(client, name=name)).status == 200

        (sent,) = outbox(blog)
        assert sent["Subject"] == f"Message from {name}" and sent["Bcc"] is None


@pytest.mark.parametrize("text", ["a\nBcc: b@c.d", "a\r\n\r\nbody", "a\n", "a\x85Bcc: b@c.d"])
async def test_no_caller_can_begin_another_header(blog: Path, text: str) -> None:
    async with open_blog(blog):
        good = {"to": "a@example.com", "reply_to": "b@example.com", "subject": "Hi", "text": "Hi"}

        for field in ("to", "reply_to", "subject"):
            with pytest.raises(ValueError):
                await send_email(**good | {field: text})
        assert outbox(blog) == []


async def test_the_eleventh_message_of_a_minute_is_refused(blog: Path) -> None:
    async with open_blog(blog) as client:
        answers = [await contact(client) for _ in range(12)]

        assert [answer.status for answer in answers] == [200] * 10 + [429] * 2
        assert answers[-1].json() == {"error": "Too many requests"}
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert len(outbox(blog)) == len(await db.from_("messages").select()) == 10
        client.peer = "192.0.2.7"
        assert (await contact(client)).status == 200


async def test_a_forged_address_does_not_evade_the_limit(blog: Path) -> None:
    async with open_blog(blog) as client:

        async def forged(number: int) -> int:
            fields = dict.fromkeys(("x-forwarded-for", "x-real-ip", "client-ip"), f"192.0.2.{number}")
            answer = await client.post("/api/contact", json={}, headers=fields | {"forwarded": f"for=192.0.2.{number}"})
            return answer.status

        assert [await forged(number) for number in range(11)] == [400] * 10 + [429]


async def test_one_network_of_ipv6_is_one_client(blog: Path) -> None:
    async with open_blog(blog) as client:

        async def status(peer: str) -> int:
            client.peer = peer
            return (await contact(client)).status

        assert [await status(f"2001:db8::{number}") for number in range(11)] == [200] * 10 + [429]
        assert await status("2001:db8:0:1::1") == 200


async def test_a_client_over_its_limit_is_not_listened_to(blog: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async with open_blog(blog) as client:
        for _ in range(10):
            await contact(client)

        assert (await client.post("/api/contact", body=body())).status == 429


async def test_a_client_over_its_limit_is_told_when_to_come_back(blog: Path) -> None:
    async with open_blog(blog) as client:
        answers = [await contact(client) for _ in range(11)]

        assert [answer.headers.get("retry-after") for answer in answers] == [None] * 10 + ["6"]
        assert answers[10].json() == {"error": "Too many requests"}
        assert answers[10].headers.get("ratelimit-policy") == '"default";q=10;w=60'


async def test_calls_at_the_same_moment_are_counted_one_by_one(blog: Path) -> None:
    async with open_blog(blog) as client:
        answers = await asyncio.gather(*[contact(client) for _ in range(15)])

        assert sorted(answer.status for answer in answers) == [200] * 10 + [429] * 5


# -- headers


async def test_headers_are_read_and_set(blog: Path) -> None:
    async with open_blog(blog) as client:
        answer = await client.get("/api/headers", headers={"authorization": "Bearer x", "user-agent": "<me>"})

        assert answer.json() == {"authorization": "Bearer x", "user-agent": "<me>"}
        assert answer.headers["cache-control"] == "max-age=3600"
        assert answer.headers["x-custom-header"] == "value"
        assert (await client.get("/api/headers")).json() == {"authorization": None, "user-agent": None}


# -- the external service


class Upstream:
    """A small HTTP server of the test's own; keeps the heads that it was sent."""

    def __init__(self, answer: bytes, wait: asyncio.Event) -> None:
        self.answer, self.wait, self.heads, self.url = answer, wait, [], ""

    heads: list[bytes]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            await self.wait.wait()
            writer.write(self.answer)
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def upstream(data: Any = None, *, raw: bytes | None = None, slow: bool = False) -> AsyncIterator[Upstream]:
    body = json.dumps(data).encode() if raw is None else b""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    service = Upstream(raw or head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body), asyncio.Event())
    if not slow:
        service.wait.set()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/data"
    async with server:
        yield service
        service.wait.set()
        server.close()


async def test_the_external_service_is_asked_with_the_key(blog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with upstream({"data": [1, 2]}) as service:
        monkeypatch.setenv("EXTERNAL_API_URL", service.url)
        async with open_blog(blog) as client:
            answer = await client.get("/api/external")

            assert (answer.status, answer.json()) == (200, {"data": [1, 2]})
            assert f"authorization: bearer {API_KEY}\r\n".encode() in service.heads[0].lower()


def answered(status: str, body: str = "", fields: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{fields}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "raw",
    [
        answered("500 Internal Server Error", "{}"),
        answered("401 Unauthorized", '{"message": "bad key"}'),
        answered("302 Found", fields="Location: http://127.0.0.1:9/steal\r\n"),
        answered("200 OK", "<html>not json</html>"),
        answered("200 OK", "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")),
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    ],
)
async def test_an_external_service_that_fails_is_a_bad_gateway(
    blog: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    async with upstream(raw=raw) as service:
        monkeypatch.setenv("EXTERNAL_API_URL", service.url)
        async with open_blog(blog) as client:
            assert_bad_gateway(await client.get("/api/external"), caplog)
            assert len(service.heads) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "nonsense", "ftp://localhost/", "http://[", ""])
async def test_an_external_service_that_is_not_there_is_a_bad_gateway(
    blog: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv("EXTERNAL_API_URL", url)
    async with open_blog(blog) as client:
        assert_bad_gateway(await client.get("/api/external"), caplog)


async def test_an_external_service_that_hangs_is_given_up(
    blog: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    route = blog / "app/api/external/route.py"
    route.write_text(route.read_text().replace("TIMEOUT_S = 5", "TIMEOUT_S = 0.1"))
    async with upstream(slow=True) as service:
        monkeypatch.setenv("EXTERNAL_API_URL", service.url)
        async with open_blog(blog) as client:
            assert_bad_gateway(await client.get("/api/external"), caplog)


@pytest.mark.parametrize("key", ["", "key\nwith a line", "key-é"])
async def test_a_key_that_cannot_be_sent_is_not_shown_either(
    blog: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    monkeypatch.setenv("EXTERNAL_API_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("EXTERNAL_API_KEY", key)
    async with open_blog(blog) as client:
        assert_bad_gateway(await client.get("/api/external"), caplog)


def assert_bad_gateway(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    assert (answer.status, answer.headers["content-type"]) == (502, "application/problem+json")
    assert answer.json()["detail"] == "The external service did not answer as it should"
    assert API_KEY not in answer.text and "127.0.0.1" not in answer.text
    assert API_KEY not in caplog.text and len(caplog.records) >= 1


async def test_without_its_settings_the_external_route_says_so_in_the_log_alone(
    blog: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EXTERNAL_API_KEY")
    async with open_blog(blog) as client:
        answer = await client.get("/api/external")

        assert answer.status == 502 and "EXTERNAL" not in answer.text
        assert "EXTERNAL_API_KEY is missing" in caplog.text and "EXTERNAL_API_URL is missing" in caplog.text


# -- the Stripe webhook


def event(event_id: str = "evt_1", type: str = "checkout.session.completed", created: int = 1, **data: Any) -> bytes:
    data = data or {"id": "cs_1", "amount_total": 1200, "currency": "eur", "customer_details": {"email": "a@b.c"}}
    return json.dumps(
        {"id": event_id, "object": "event", "type": type, "created": created, "data": {"object": data}}
    ).encode()


def sign(body: bytes, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> str:
    stamp = int(time.time() if at is None else at)
    return f"t={stamp},v1={hmac.new(secret.encode(), b'%d.%s' % (stamp, body), hashlib.sha256).hexdigest()}"


async def deliver(client: Client, body: bytes, signature: str | None = None) -> Answer:
    return await client.post("/api/webhook/stripe", body=body, headers={"stripe-signature": signature or sign(body)})


async def test_a_paid_checkout_becomes_one_order_however_often_it_is_delivered(blog: Path) -> None:
    async with open_blog(blog) as client:
        for _ in range(3):
            answer = await deliver(client, event())
            assert (answer.status, answer.json()) == (200, {"received": True})
        answers = await asyncio.gather(*[deliver(client, event("evt_2", id="cs_2")) for _ in range(5)])

        assert {answer.status for answer in answers} == {200}
        rows = await db.from_("orders").select("session_id, email, amount_total, currency").order("id")
        assert rows[0] == {"session_id": "cs_1", "email": "a@b.c", "amount_total": 1200, "currency": "eur"}
        assert [row["session_id"] for row in rows] == ["cs_1", "cs_2"]
        assert sorted([row["id"], row["outcome"]] for row in await inbox.arrived(db, 9)) == [
            ["evt_1", "done"],
            ["evt_2", "done"],
        ]


async def test_two_events_about_one_checkout_are_one_order(blog: Path) -> None:
    async with open_blog(blog) as client:
        assert (await deliver(client, event("evt_1"))).status == 200
        assert (await deliver(client, event("evt_2"))).status == 200

        assert len(await db.from_("orders").select()) == 1


async def test_a_subscription_is_what_its_newest_event_says(blog: Path) -> None:
    async with open_blog(blog) as client:
        for id, created, status in (("evt_1", 10, "trialing"), ("evt_3", 30, "canceled"), ("evt_2", 20, "active")):
            body = event(id, "customer.subscription.updated", created, id="sub_1", customer="cus_1", status=status)
            assert (await deliver(client, body)).json() == {"received": True}

        (row,) = await db.from_("subscriptions").select()
        assert row == {"id": "sub_1", "customer": "cus_1", "status": "canceled", "event_created": 30}


async def test_an_event_of_another_type_is_received(blog: Path) -> None:
    async with open_blog(blog) as client:
        assert (await deliver(client, event(type="invoice.paid"))).json() == {"received": True}
        assert await db.from_("orders").select() == []


async def test_an_event_whose_effect_fails_is_done_at_the_next_delivery(blog: Path) -> None:
    async with open_blog(blog) as client:
        body = event("evt_1", "customer.subscription.updated", id="sub_1", status="active")
        await db.sql("alter table subscriptions rename to away")
        assert (await deliver(client, body)).status == 500
        assert [row["outcome"] for row in await inbox.arrived(db, 9)] == ["failed"]

        await db.sql("alter table away rename to subscriptions")
        assert (await deliver(client, body)).status == 200
        assert len(await db.from_("subscriptions").select()) == 1


FORGED: dict[str, Callable[[], str]] = {
    "another secret": lambda: sign(event(), secret="whsec_wrong"),
    "an empty secret": lambda: sign(event(), secret=""),
    "an hour ago": lambda: sign(event(), at=time.time() - 3600),
    "of another event": lambda: sign(event("evt_other")),
    "another scheme": lambda: sign(event()).replace("v1=", "v0="),
    "cut short": lambda: sign(event())[:-1],
    "a new time": lambda: sign(event(), at=time.time() - 3600).replace("t=", f"t={int(time.time())},was="),
    "no signature": lambda: sign(event()).partition(",")[0],
    "no time": lambda: sign(event()).partition(",")[2],
    "a time that is none": lambda: f"t=x,{sign(event()).partition(',')[2]}",
    "not ASCII": lambda: "é",
    "a signature that is not ASCII": lambda: f"t={int(time.time())},v1=é",
    "a comma": lambda: ",",
    "an equals sign": lambda: "=",
    "a space": lambda: " ",
}


@pytest.mark.parametrize("forged", FORGED)
async def test_an_event_that_stripe_did_not_sign_now_is_refused(blog: Path, forged: str) -> None:
    async with open_blog(blog) as client:
        answer = await deliver(client, event(), FORGED[forged]())

        assert (answer.status, answer.json()) == (400, {"error": "Invalid signature"})
        assert await inbox.arrived(db, 9) == [] == await db.from_("orders").select()
        assert (await deliver(client, event())).status == 200


async def test_an_event_without_signature_or_json_is_refused(blog: Path) -> None:
    async with open_blog(blog) as client:
        assert (await client.post("/api/webhook/stripe", body=event())).status == 400
        for body in (b"", b"{", b"\xff\xfe"):
            answer = await deliver(client, body)
            assert (answer.status, answer.json()) == (400, {"error": "Invalid signature"})


@pytest.mark.parametrize("secret", [None, ""])
async def test_without_its_secret_the_webhook_accepts_nothing_and_only_the_log_says_why(
    blog: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, secret: str | None
) -> None:
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    if secret is not None:
        monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", secret)
    async with open_blog(blog) as client:
        answer = await deliver(client, event(), sign(event(), secret=""))

        assert answer.status == 500 and "STRIPE" not in answer.text
        assert "STRIPE_WEBHOOK_SECRET is" in caplog.text
        assert (await client.get("/api/hello")).status == 200


# -- users


async def test_an_account_is_created_and_greeted_and_its_token_works(blog: Path) -> None:
    async with open_blog(blog) as client:
        answer = await client.post(
            "/api/users", json={"email": "Ada@Example.com", "name": "Ada", "password": "correct horse"}
        )

        user = answer.json()
        assert (answer.status, user["email"], user["name"]) == (200, "ada@example.com", "Ada")
        assert set(user) == {"id", "email", "name", "created_at", "token"}
        assert answer.headers["cache-control"].startswith("private, no-cache, no-store")
        (sent,) = outbox(blog)
        assert (sent["To"], sent["Subject"]) == ("ada@example.com", "Welcome to the blog")
        assert [part.get_content_type() for part in sent.iter_parts()] == ["text/plain", "text/html"]
        me = await client.get("/api/me", headers={"authorization": f"Bearer {user['token']}"})
        assert (me.status, me.json()) == (200, {"userId": user["id"]})


async def test_neither_password_nor_token_is_stored_as_it_is(blog: Path) -> None:
    async with open_blog(blog) as client:
        token = (await client.post("/api/users", json=ACCOUNT)).json()["token"]

        (user,) = await db.sql("select * from auth_users")
        assert re.fullmatch(r"\$2b\$10\$[\w./]{53}", user["encrypted_password"])
        sessions = [dict(row) for row in await db.sql("select * from auth_refresh_tokens")]
        stored = f"{user}{sessions}{await db.sql('select * from auth_sessions')}"
        assert ACCOUNT["password"] not in stored and token not in stored


async def test_an_address_has_one_account(blog: Path) -> None:
    async with open_blog(blog) as client:
        answers = await asyncio.gather(
            *[client.post("/api/users", json={**ACCOUNT, "email": email}) for email in ("a@b.co", "A@B.co", "a@B.CO")]
        )

        assert sorted(answer.status for answer in answers) == [200, 409, 409]
        assert len(outbox(blog)) == len(await db.sql("select id from auth_users")) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": ""},
        {"email": "ada"},
        {"email": "ada@example.com\n"},
        {"email": "ada@example.com\r\nBcc: x@example.com"},
        {"password": "short"},
        {"password": "x" * 73},
        {"password": None},
        {"name": "a\nb"},
        {"password_hash": "scrypt$"},
    ],
)
async def test_an_account_that_does_not_fit_is_refused(blog: Path, body: dict[str, Any]) -> None:
    async with open_blog(blog) as client:
        answer = await client.post("/api/users", json={**ACCOUNT, **body} if body else {})

        assert (answer.status, outbox(blog), client.cookies) == (422, [], {})


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x"]
)
async def test_who_is_not_signed_in_is_unauthorized(blog: Path, value: str) -> None:
    async with open_blog(blog) as client:
        token = (await client.post("/api/users", json=ACCOUNT)).json()["token"]
        client.cookies = {}

        answer = await client.get("/api/me", headers={"authorization": value.format(token=token)})

        assert (answer.status, answer.json()) == (401, {"error": "Unauthorized"})
        assert (await client.get("/api/me")).status == 401


async def test_a_browser_is_signed_in_by_cookies_until_its_session_ends(blog: Path) -> None:
    async with open_blog(blog) as client:
        user = (await client.post("/api/users", json=ACCOUNT)).json()
        bearer = {"authorization": f"Bearer {user['token']}"}
        assert (await client.get("/api/me")).json() == {"userId": user["id"]}

        await db.sql("delete from auth_sessions")

        assert (await client.get("/api/me", headers=bearer)).status == 401
        assert (await client.get("/api/me")).status == 401


# -- a real server


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.keys.append(self.headers["authorization"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"message":"Hello World!"}')

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def hello_service() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hello) as server:
        server.keys = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def started(root: Path, **variables: str) -> Iterator[tuple[str, Path]]:
    """``turnout db migrate`` and ``turnout start`` in *root*, as its README says; its address and its log."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "PYTEST_"))}
    variables = inherited | {"MAIL_TRANSPORT": "outbox"} | variables
    turnout = [sys.executable, "-m", "turnout"]
    subprocess.run([*turnout, "db", "migrate"], cwd=root, env=variables, check=True, capture_output=True, timeout=180)
    log = root.parent / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [*turnout, "start", "--port", "0", "--workers", "2"],
            cwd=root,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            ready = re.search(r"http://\S+", process.stdout.readline())
            assert ready, log.read_text()
            yield ready[0], log
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()


async def test_every_line_of_the_readme_is_true_in_production(blog: Path) -> None:
    with hello_service() as service:
        url = f"http://127.0.0.1:{service.server_port}/"
        keys = json.dumps([make_key()])
        with started(blog, EXTERNAL_API_URL=url, TURNOUT_AUTH_KEYS=keys) as (origin, log):

            async def send(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
                async with httpx.AsyncClient(base_url=origin, trust_env=False) as client:
                    answer = await client.request(method, path, headers=headers, content=body)
                    return answer.status_code, answer.text

            await try_readme(send)
            page = await send("GET", "/", {}, b"")
            signed = await send("POST", "/api/webhook/stripe", {"stripe-signature": sign(event())}, event())
            forged = await send("GET", "/api/hello", {"host": "evil.example"}, b"")
            # Each request comes on a connection of its own, so both workers answer some.
            fields = {"content-type": "application/json"}
            limited = [(await send("POST", "/api/contact", fields, b"{}"))[0] for _ in range(12)]

        assert page[0] == 200 and "Branch Line</title>" in page[1]
        assert signed == (200, '{"received":true}')
        assert forged[0] == 400
        assert limited == [400] * 8 + [429] * 4  # two requests of the README were counted before
        assert service.keys == [f"Bearer {API_KEY}"]  # type: ignore[attr-defined]
        assert API_KEY not in log.read_text()


async def test_production_starts_with_the_keys_of_users_and_no_other_secret(
    blog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EXTERNAL_API_KEY", "STRIPE_WEBHOOK_SECRET"):
        monkeypatch.delenv(name)
    with started(blog, TURNOUT_AUTH_KEYS=json.dumps([make_key()])) as (origin, log):
        async with httpx.AsyncClient(base_url=origin, trust_env=False) as client:
            hello = await client.get("/api/hello")
            external = await client.get("/api/external")
            webhook = await client.post("/api/webhook/stripe", content=event(), headers={"stripe-signature": "x"})

        assert (hello.status_code, external.status_code, webhook.status_code) == (200, 502, 500)
        assert set(webhook.json()) == {"type", "title", "status", "instance"}
        assert "EXTERNAL_API_URL is missing" in log.read_text()
        assert "STRIPE_WEBHOOK_SECRET is missing" in log.read_text()


def test_logging_is_left_as_it_was() -> None:
    assert all(type(handler).__module__ != "turnout.log" for handler in logging.getLogger().handlers)


def test_make_demo_installs_what_the_example_says_it_needs():
    """The tests run with every extra, so nothing else would notice that `make demo` lacks one."""
    ours = tomllib.loads((EXAMPLE.parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"][
        "demo"
    ]
    needed = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["dependencies"]

    def split(requirements: list[str]) -> tuple[set[str], set[str]]:
        extras = next(each for each in requirements if each.startswith("turnout["))
        return set(extras[8:-1].split(",")), set(requirements) - {extras}

    for wanted, installed in zip(split(needed), split(ours), strict=True):
        assert wanted <= installed
