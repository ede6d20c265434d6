"""What strangers send to what recipes wrote: nothing that should not happen does."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ai.recipes.town import WORDS, fresh, plan, write
from turnout.auth import auth_service
from turnout.db import db, migrate
from turnout.mail import outbox
from turnout.routing.module import unload
from turnout.tasks import drain
from turnout.testing import Client
from turnout.webhooks import stripe

SECRET = "whsec_b25seV9mb3JfdGVzdHM="


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = fresh(tmp_path_factory.mktemp("probes") / "town")
    for words in WORDS:
        write(root, plan(root, words))
    return root


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))
    monkeypatch.setenv("CONTACT_EMAIL", "office@example.com")
    monkeypatch.setenv("WEATHER_URL", "https://weather.example/v1")
    for name in ("STRIPE", "PARTNER", "GITHUB", "SLACK", "ACME"):
        monkeypatch.setenv(f"{name}_WEBHOOK_SECRET", SECRET)


@asynccontextmanager
async def visiting(root: Path) -> AsyncIterator[Client]:
    try:
        async with Client(root=root) as client:
            await migrate.migrate(db, root / "migrations")
            yield client
    finally:
        unload(root)


async def sign_in(client: Client, email: str) -> str:
    auth = auth_service()
    user = await auth.admin_create_user(email=email, password="correct horse", email_confirm=True)
    session = await auth.sign_in_with_password(email, "correct horse")
    client.headers = {"authorization": f"Bearer {session.access_token}"}
    return user.id


def checkout(id: str = "evt_1", **members: Any) -> bytes:
    about = {"id": "cs_1", "payment_status": "paid", "amount_total": 1}
    event = {"id": id, "type": "checkout.session.completed", "created": 1, "data": {"object": about}, **members}
    return json.dumps(event).encode()


async def test_a_stripe_signature_that_is_forged_stale_early_or_of_a_weaker_scheme_lets_nothing_in(town: Path) -> None:
    async with visiting(town) as client:
        now, body = int(time.time()), checkout()
        good = stripe.sign(body, SECRET, at_s=now)
        for header in (
            stripe.sign(body, "whsec_other", at_s=now),
            stripe.sign(body, SECRET, at_s=now - 301),
            stripe.sign(body, SECRET, at_s=now + 3_600),
            good.replace("v1=", "v0="),
            good.replace(f"t={now}", f"t={now + 1}"),
            "",
            "t=,v1=",
            "v1=" + "a" * 64,
            good + "x" * 20_000,
        ):
            answer = await client.post("/api/webhooks/stripe", body=body, headers={"stripe-signature": header})
            assert answer.status == 400, header[:80]
        assert await db.from_("stripe_payments").select("id") == []


async def test_a_replayed_stripe_delivery_has_no_second_effect_even_all_at_once(town: Path) -> None:
    async with visiting(town) as client:
        body = checkout()
        headers = {"stripe-signature": stripe.sign(body, SECRET, at_s=int(time.time()))}
        answers = await asyncio.gather(
            *(client.post("/api/webhooks/stripe", body=body, headers=headers) for _ in range(8))
        )
        assert {answer.status for answer in answers} == {200}
        assert (await db.sql("select tries from _turnout_webhook_events").single() or {})["tries"] == 8
        assert len(await db.from_("stripe_payments").select("id")) == 1


async def test_an_hmac_of_another_secret_or_body_is_refused_and_a_replay_does_nothing(town: Path) -> None:
    async with visiting(town) as client:
        body = b'{"id": "evt_1", "type": "x"}'

        async def send(body: bytes, signature: str) -> int:
            headers = {"x-acme-signature": signature}
            return (await client.post("/api/webhooks/acme", body=body, headers=headers)).status

        good = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert await send(body, hmac.new(b"other", body, hashlib.sha256).hexdigest()) == 400
        assert await send(body + b" ", good) == 400
        assert await send(body, "") == 400
        assert await send(body, hashlib.sha1(body).hexdigest()) == 400
        assert [await send(body, good), await send(body, "sha256=" + good.upper())] == [200, 200]
        assert len(await db.from_("acme_events").select("id")) == 1


@pytest.mark.parametrize("sender", ["stripe", "partner", "github", "slack", "acme"])
async def test_a_webhook_takes_post_alone_and_no_more_than_a_megabyte(town: Path, sender: str) -> None:
    async with visiting(town) as client:
        path = f"/api/webhooks/{sender}"
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            answer = await client.request(method, path)
            assert (answer.status, "POST" in answer.headers["allow"]) == (405, True)
        fields = ("stripe-signature", "webhook-signature", "x-hub-signature-256", "x-slack-signature")
        answer = await client.post(path, body=b"x" * 1_100_000, headers=dict.fromkeys(fields, "x"))
        assert answer.status in (400, 413)


async def test_signing_up_many_times_at_once_makes_one_account_and_one_welcome_mail(town: Path) -> None:
    async with visiting(town) as client:
        ada = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}
        answers = await asyncio.gather(*(client.post("/api/signup", json=ada) for _ in range(5)))
        assert all(answer.status < 500 for answer in answers)
        await drain()
        assert [mail.subject for mail in outbox if "Welcome" in mail.subject] == ["Welcome, Ada!"]
        assert (await auth_service().list_users())[1] == 1


async def test_a_mail_that_fails_undoes_no_sign_up_and_is_kept(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with visiting(town) as client:
        (town / "templates/mail/welcome.html").rename(town / "templates/mail/away.html")
        (town / "templates/mail/welcome.txt").rename(town / "templates/mail/away.txt")
        try:
            answer = await client.post("/api/signup", json={"email": "ada@example.com", "password": "correct horse"})
            assert answer.status == 201
            rows = await db.sql("select task from _turnout_outbox")
            assert rows == [{"task": "send_welcome"}]
        finally:
            (town / "templates/mail/away.html").rename(town / "templates/mail/welcome.html")
            (town / "templates/mail/away.txt").rename(town / "templates/mail/welcome.txt")


@pytest.mark.parametrize("name", ["A\r\nBcc: x@example.com", "A\nSubject: x", "A\x00", "A\u2028B", "\u202eA", "A\x85"])
async def test_no_name_breaks_a_mail_in_two(town: Path, name: str) -> None:
    async with visiting(town) as client:
        new = {"email": "ada@example.com", "password": "correct horse", "name": name}
        message = {"name": name, "email": "ada@example.com", "message": "Hello"}
        assert (await client.post("/api/signup", json=new)).status == 422
        assert (await client.post("/api/contact", json=message)).status == 422
        await drain()
        assert outbox == []


async def test_a_robot_in_the_contact_form_is_thanked_and_ignored(town: Path) -> None:
    async with visiting(town) as client:
        message = {"name": "Ada", "email": "ada@example.com", "message": "Hello"}
        robot = await client.post("/api/contact", json={**message, "website": "http://spam.example"})
        person = await client.post("/api/contact", json=message)
        assert (robot.status, robot.body) == (person.status, person.body)
        assert len(outbox) == 1


async def test_nobody_reaches_rows_and_files_of_somebody_else(town: Path) -> None:
    async with visiting(town) as client:
        ada = await sign_in(client, "ada@example.com")
        note = (await client.post("/api/notes", json={"title": "Mine", "body": "x"})).headers["location"]
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n\x89PNG\r\n\x1a\n'
        form = {"content-type": "multipart/form-data; boundary=x"}
        file = (await client.post("/api/files", body=head + b"\r\n--x--\r\n", headers=form)).headers["location"]

        await sign_in(client, "eve@example.com")
        for place in (note, file):
            for method in ("GET", "PATCH", "DELETE"):
                answer = await client.request(method, place, json={} if method == "PATCH" else None)
                assert answer.status in (404, 405), (method, place)
        forged = await client.post("/api/notes", json={"title": "x", "body": "x", "author_id": ada, "id": 1})
        assert (forged.status, forged.json()["author_id"] != ada, forged.json()["id"] != 1) == (201, True, True)
        assert (await db.from_("notes").select("title").eq("author_id", ada)) == [{"title": "Mine"}]
        client.headers = {}
        for place in (note, file, "/api/profile", "/api/notes", "/api/files"):
            assert (await client.get(place)).status == 401


async def test_an_upload_over_the_limit_is_refused_and_leaves_no_file(town: Path) -> None:
    async with visiting(town) as client:
        await sign_in(client, "ada@example.com")
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n\x89PNG\r\n\x1a\n'
        before = set((town / "data/uploads").iterdir()) if (town / "data/uploads").is_dir() else set()
        for body in (head + bytes(1_000_001) + b"\r\n--x--\r\n", head + bytes(3_000_000)):
            form = {"content-type": "multipart/form-data; boundary=x"}
            assert (await client.post("/api/files", body=body, headers=form)).status == 413
        after = set((town / "data/uploads").iterdir()) if (town / "data/uploads").is_dir() else set()
        assert after == before and await db.from_("uploads").select("id") == []


async def test_a_third_party_that_drips_is_given_up_on_by_the_clock_and_not_by_the_byte(
    town: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.02)
                yield b" "

    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Drip())

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    monkeypatch.setenv("WEATHER_TIMEOUT_S", "0.2")
    async with visiting(town) as client:
        answer = await client.get("/api/weather?city=Paris")
        assert (answer.status, answer.json()["detail"]) == (502, "The service did not answer as it should")


@pytest.mark.parametrize("path", ["/api/signup", "/api/contact", "/api/events", "/api/notes", "/api/profile"])
async def test_a_body_that_is_none_is_the_senders_mistake(town: Path, path: str) -> None:
    async with visiting(town) as client:
        await sign_in(client, "ada@example.com")
        for body in (b"", b"{", b"[]", b"null", b'"x"', b"[" * 100, b"\xff"):
            method = "PATCH" if path == "/api/profile" else "POST"
            fields = {"content-type": "application/json"}
            assert (await client.request(method, path, body=body, headers=fields)).status in (400, 422, 429), body
