"""What recipes write works on PostgreSQL as it does on SQLite."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ai.recipes.town import fresh, plan, write
from turnout.auth import auth_service
from turnout.db import db, migrate
from turnout.db.local import LocalPostgres
from turnout.routing.module import unload
from turnout.tasks import drain
from turnout.tasks.task import TASKS
from turnout.testing import Client
from turnout.webhooks import standard, stripe

SECRET = "whsec_b25seV9mb3JfdGVzdHM="
WORDS = [
    ["signup-email"],
    ["stripe-webhook"],
    ["crud", "note", "title:str", "text:text?", "open:bool", "day:date?", "at:datetime", "author:ref(users)"],
    ["auth-route"],
    ["cron"],
    ["upload"],
    ["health"],
    ["webhook"],
]


@pytest.fixture
def postgres() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    server = LocalPostgres(folder, {"fsync": "off"})
    try:
        server.start()
        yield server.url()
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture
def town(tmp_path: Path) -> Path:
    root = fresh(tmp_path / "town")
    for path in ("app/api/posts", "migrations"):
        shutil.rmtree(root / path)
    for words in WORDS:
        write(root, plan(root, words))
    return root


async def test_every_recipe_with_a_table_works_there(
    town: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("PARTNER_WEBHOOK_SECRET", SECRET)
    try:
        async with Client(root=town) as client:
            assert len(await migrate.migrate(db, town / "migrations")) == 6
            await _visit(client)
    finally:
        unload(town)


async def _visit(client: Client) -> None:
    assert (await client.get("/api/health")).json() == {"status": "ok"}
    ada = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}
    assert (await client.post("/api/signup", json=ada)).status == 201
    assert await drain() == 1
    for _ in range(2):
        await TASKS["clean_up"].function()
    assert await db.from_("task_runs").select("runs") == [{"runs": 2}]

    about = {"id": "cs_1", "payment_status": "unpaid", "amount_total": 1999}
    for number, kind in enumerate(("completed", "async_payment_succeeded", "async_payment_failed")):
        event = {
            "id": f"evt_{number}",
            "type": f"checkout.session.{kind}",
            "created": number,
            "data": {"object": about},
        }
        body = json.dumps(event | ({"data": {"object": {**about, "payment_status": "paid"}}} if number == 1 else {}))
        fields = {"stripe-signature": stripe.sign(body.encode(), SECRET, at_s=int(time.time()))}
        assert (await client.post("/api/webhooks/stripe", body=body, headers=fields)).status == 200
    assert await db.from_("stripe_payments").select("status") == [{"status": "paid"}]
    body = '{"type": "x", "data": {}}'
    signed = standard.sign(body.encode(), SECRET, message_id="evt_1", at_s=int(time.time()))
    for _ in range(2):
        assert (await client.post("/api/webhooks/partner", body=body, headers=signed)).status == 200
    assert len(await db.from_("partner_events").select("id")) == 1

    auth = auth_service()
    await auth.admin_create_user(email="bob@example.com", password="correct horse", email_confirm=True)
    session = await auth.sign_in_with_password("bob@example.com", "correct horse")
    client.headers = {"authorization": f"Bearer {session.access_token}"}
    note = {"title": "One", "open": True, "at": "2026-01-02T03:04:05Z", "day": "2026-01-02"}
    made = await client.post("/api/notes", json=note)
    assert (made.status, made.json()["day"], made.json()["id"]) == (201, "2026-01-02", 1)
    changed = await client.patch("/api/notes/1", json={"day": None, "open": False})
    assert (changed.status, changed.json()["day"], changed.json()["open"]) == (200, None, False)
    assert (await client.get("/api/notes")).json()["total"] == 1
    assert (await client.patch("/api/profile", json={"bio": "x"})).json()["bio"] == "x"
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n\x89PNG\r\n\x1a\n'
    form = {"content-type": "multipart/form-data; boundary=x"}
    file = await client.post("/api/files", body=head + b"\r\n--x--\r\n", headers=form)
    assert (await client.get(file.headers["location"])).status == 200
    assert (await client.delete("/api/notes/1")).status == 204
