"""``POST = hook`` in a project: what each delivery is answered, and what it leaves in the database."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import client_of

from turnout import ConfigError, Request, env, load_project
from turnout.db import db
from turnout.testing import Answer, Client
from turnout.webhooks import SignatureError, diagnose, github, inbox, slack, standard, stripe

SECRET = "whsec_dGVzdCBzZWNyZXQgb2YgdHVybm91dA=="
ROUTE = """
from turnout.webhooks import stripe

hook = stripe.webhook(secrets="STRIPE_WEBHOOK_SECRET, STRIPE_WEBHOOK_SECRET_OLD")


@hook.on("checkout.session.completed")
async def paid(event, tx):
    await tx.from_("effects").insert({"event_id": event.id})
    if event.data["object"].get("fail"):
        raise RuntimeError("the handler fails")


@hook.on("refuses")
async def refuses(event, tx):
    from turnout import HTTPError
    raise HTTPError(410, "Gone for ever")


POST = hook
"""


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    yield
    env.unload()
    diagnose.enabled = False


def event(id: str = "evt_1", type: str = "checkout.session.completed", **data: Any) -> bytes:
    return json.dumps({"id": id, "object": "event", "type": type, "data": {"object": {"id": "cs_1", **data}}}).encode()


async def deliver(client: Client, body: bytes, signature: str | None = None, path: str = "/hook") -> Answer:
    signature = stripe.sign(body, SECRET, at_s=int(time.time())) if signature is None else signature
    return await client.post(path, body=body, headers={"stripe-signature": signature})


@asynccontextmanager
async def opened(root: Path, route: str = ROUTE, **more: str) -> AsyncIterator[Client]:
    async with client_of(root, {"app/hook/route.py": route, **more}) as client:
        await db.sql("create table effects (n integer primary key, event_id text not null)")
        yield client


async def effects() -> list[str]:
    return [row["event_id"] for row in await db.from_("effects").select().order("n")]


async def notes() -> list[tuple[str, str, int]]:
    return [(row["id"], row["outcome"], row["tries"]) for row in sorted(await inbox.arrived(db, 99), key=str)]


async def test_an_event_has_one_effect_however_often_it_is_delivered(tmp_path):
    async with opened(tmp_path) as client:
        for _ in range(3):
            answer = await deliver(client, event())
            assert (answer.status, answer.json()) == (200, {"received": True})
        answers = await asyncio.gather(*[deliver(client, event("evt_2")) for _ in range(9)])

        assert {answer.status for answer in answers} == {200}
        assert await effects() == ["evt_1", "evt_2"]
        assert await notes() == [("evt_1", "done", 3), ("evt_2", "done", 9)]


async def test_an_event_that_nobody_takes_is_received(tmp_path):
    async with opened(tmp_path) as client:
        for _ in range(2):
            assert (await deliver(client, event(type="invoice.paid"))).json() == {"received": True}

        assert await effects() == []
        assert await notes() == [("evt_1", "ignored", 2)]


async def test_a_handler_that_fails_leaves_nothing_and_is_called_again(tmp_path, caplog):
    async with opened(tmp_path) as client:
        for _ in range(2):
            answer = await deliver(client, event(fail=True))
            assert answer.status == 500 and "handler" not in answer.text
        assert await effects() == []
        assert await notes() == [("evt_1", "failed", 2)]
        (row,) = await inbox.find(db, "evt_1")
        assert row["error"] == "RuntimeError: the handler fails"

        assert (await deliver(client, event())).status == 200
        assert (await deliver(client, event())).status == 200
        assert await effects() == ["evt_1"]
        assert await notes() == [("evt_1", "done", 4)]


async def test_a_handlers_own_status_is_not_the_senders(tmp_path):
    """410 tells some senders to switch the endpoint off."""
    async with opened(tmp_path) as client:
        answer = await deliver(client, event(type="refuses"))

        assert answer.status == 500 and "Gone" not in answer.text
        assert await notes() == [("evt_1", "failed", 1)]


async def test_a_wrong_signature_is_refused_and_leaves_nothing(tmp_path, caplog):
    async with opened(tmp_path) as client:
        for signature in ("", "t=1,v1=0", "é", stripe.sign(event(), "whsec_other", at_s=int(time.time()))):
            answer = await deliver(client, event(), signature)
            assert (answer.status, answer.json()["detail"]) == (400, "Invalid signature")
        assert (await client.post("/hook", body=event())).json()["detail"] == "Invalid signature"

        assert await effects() == [] == await notes()
        assert "webhook" not in caplog.text and SECRET not in caplog.text


async def test_the_old_secret_counts_until_it_is_taken_away(tmp_path, monkeypatch):
    old = "whsec_old"
    async with opened(tmp_path) as client:
        signed = stripe.sign(event(), old, at_s=int(time.time()))
        assert (await deliver(client, event(), signed)).status == 400
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET_OLD", old)
    async with client_of(tmp_path, {"app/hook/route.py": ROUTE}) as client:
        assert (await deliver(client, event(), signed)).status == 200
        assert (await deliver(client, event("evt_2"))).status == 200


@pytest.mark.parametrize("value", [None, "", "  "])
async def test_without_a_secret_nothing_is_accepted_and_the_log_says_why(tmp_path, monkeypatch, caplog, value):
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    if value is not None:
        monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", value)
    async with opened(tmp_path) as client:
        answer = await deliver(client, event(), "t=1,v1=0")

        assert answer.status == 500 and "STRIPE" not in answer.text
        assert "STRIPE_WEBHOOK_SECRET is" in caplog.text


async def test_a_body_over_a_megabyte_is_refused_before_it_is_read(tmp_path):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000
            taken.append(1)

    taken: list[int] = []
    async with opened(tmp_path) as client:
        body = b"x" * 1_000_001
        assert (await deliver(client, body)).status == 413
        answer = await client.post("/hook", body=pieces(), headers={"stripe-signature": "t=1,v1=0"})
        assert answer.status == 413 and len(taken) < 12
        taken.clear()
        assert (await client.post("/hook", body=pieces())).status == 400
        assert taken == []  # whoever signs nothing is not listened to
    async with client_of(tmp_path, {"app/hook/route.py": 'body_limit = "2 MB"\n' + ROUTE}) as client:
        assert (await deliver(client, event(more="x" * 1_200_000))).status == 200


async def test_one_event_at_two_routes_is_two_effects(tmp_path):
    """Stripe sends each of its endpoints an event of the same id."""
    async with opened(tmp_path, **{"app/other/route.py": ROUTE}) as client:
        for path in ("/hook", "/other", "/hook", "/other"):
            assert (await deliver(client, event(), path=path)).status == 200

        assert await effects() == ["evt_1", "evt_1"]


async def test_a_delivery_sent_again_to_another_path_of_the_route_has_no_effect(tmp_path):
    async with opened(tmp_path, **{"app/all/[...rest]/route.py": ROUTE}) as client:
        signature = stripe.sign(event(), SECRET, at_s=int(time.time()))
        for path in ("/all/a", "/all/b", "/all/a/b"):
            assert (await deliver(client, event(), signature, path)).status == 200

        assert await effects() == ["evt_1"]


async def test_the_route_answers_only_the_methods_it_exports(tmp_path):
    async with opened(tmp_path) as client:
        assert (await client.get("/hook")).status == 405
        assert (await client.options("/hook")).headers.get("allow") == "OPTIONS, POST"


async def test_the_other_senders_go_the_same_way(tmp_path, monkeypatch):
    route = """
from turnout.webhooks import {name}
hook = {name}.webhook(secrets=["{secret}"])
@hook.on({types})
async def take(event, tx):
    await tx.from_("effects").insert({{"event_id": f"{{event.type}} {{event.id}}"}})
POST = hook
"""
    types = {"github": '"issues"', "slack": '"app_mention"', "standard": '"*"'}
    files = {f"app/{name}/route.py": route.format(name=name, types=each, secret=SECRET) for name, each in types.items()}
    now_s = int(time.time())
    async with opened(tmp_path, **files) as client:
        body = b'{"action":"opened"}'
        fields = {
            "x-hub-signature-256": github.sign(body, SECRET),
            "x-github-event": "issues",
            "x-github-delivery": "1-2",
        }
        assert [(await client.post("/github", body=body, headers=fields)).status for _ in range(2)] == [200, 200]

        body = b'{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}'
        fields = slack.sign(body, SECRET, at_s=now_s)
        assert [(await client.post("/slack", body=body, headers=fields)).status for _ in range(2)] == [200, 200]
        body = b'{"type":"url_verification","challenge":"3eZbrw1a"}'
        answer = await client.post("/slack", body=body, headers=slack.sign(body, SECRET, at_s=now_s))
        assert (answer.status, answer.json()) == (200, {"challenge": "3eZbrw1a"})
        assert (await client.post("/slack", body=body, headers=slack.sign(body, "x", at_s=now_s))).status == 400

        body = b'{"type":"user.created","data":{}}'
        fields = standard.sign(body, SECRET, message_id="msg_1", at_s=now_s)
        assert [(await client.post("/standard", body=body, headers=fields)).status for _ in range(2)] == [200, 200]

        assert await effects() == ["issues.opened 1-2", "app_mention Ev1", "user.created msg_1"]


async def test_in_development_the_log_and_a_caller_on_this_machine_are_told_why(tmp_path, caplog):
    async with opened(tmp_path):
        pass
    async with Client(load_project(tmp_path, mode="development").app) as client:
        with caplog.at_level(logging.WARNING):
            answer = await deliver(client, event(), stripe.sign(event(), SECRET, at_s=1))
            assert "old" in answer.json()["detail"] and answer.json()["code"] == "invalid_signature"
            answer = await client.post("/hook", body=event(), headers={"svix-signature": "v1,x"})
            assert answer.json()["detail"].endswith("there is no stripe-signature field, but one of Svix")
            client.peer = "192.0.2.7"
            assert (await deliver(client, event(), "t=1,v1=0")).json()["detail"] == "Invalid signature"
        assert "the signature is right, but" in caplog.text and "does not fit" in caplog.text
        assert SECRET not in caplog.text
    load_project(tmp_path, mode="production")
    assert not diagnose.enabled


@given(
    field=st.sampled_from(["stripe-signature", "x-hub-signature-256", "x-slack-signature", "webhook-signature"]),
    value=st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=60)
    | st.sampled_from(["sha256=", "v0=", "v1,", f"t={int(time.time())},v1="]).flatmap(
        lambda head: st.text("0123456789abcdef,= ", max_size=70).map(head.__add__)
    ),
    body=st.binary(max_size=60) | st.just(event()),
    provider=st.sampled_from([stripe, standard, github, slack]),
    stamp=st.text("0123456789-+. e", max_size=12) | st.just(str(int(time.time()))),
)
@settings(deadline=None, max_examples=400)
def test_nothing_that_is_not_signed_is_more_than_refused(field, value, body, provider, stamp):
    hook = provider.webhook(secrets=[SECRET])
    headers = {field: value, "x-slack-request-timestamp": stamp, "webhook-timestamp": stamp, "webhook-id": "m"}

    with pytest.raises(SignatureError):
        asyncio.run(hook(Request("POST", "/hook", headers=headers, body=body)))


# -- what stops the start


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("@hook.on()\nasync def f(event, tx): ...", "needs the type"),
        ('@hook.on("a")\ndef f(event, tx): ...', "not an async function"),
        ('@hook.on("a")\nasync def f(event): ...', "cannot be called with"),
        ('@hook.on("a", "a")\nasync def f(event, tx): ...', "has a function already"),
        ("@hook.on\nasync def f(event, tx): ...", "needs the type"),
        ('hook = stripe.webhook(secrets="whsec_abc")', "name of an environment variable"),
        ('hook = stripe.webhook(secrets="correcthorse")', "name of an environment variable"),
        ('hook = stripe.webhook(secrets="A, B-C")', "name of an environment variable"),
        ("hook = stripe.webhook(secrets=[])", "no signing secret"),
        ("hook = stripe.webhook(tolerance=0)", "tolerance"),
    ],
)
def test_a_hook_that_cannot_work_stops_the_start(tmp_path, line, message):
    head = "from turnout.webhooks import stripe\nhook = stripe.webhook()\n"
    with pytest.raises(ConfigError, match=message) as caught:
        client_of(tmp_path, {"app/hook/route.py": f"{head}{line}\nPOST = hook\n"})
    assert caught.value.file is not None and caught.value.file.name == "route.py"
    assert "whsec_abc" not in str(caught.value) and "correcthorse" not in str(caught.value)
