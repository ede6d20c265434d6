"""Why a signature failed: each mistake that people make is named, and no secret ever is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from turnout import env
from turnout.webhooks import SignatureError, diagnose, github, slack, standard, stripe

SECRET = "whsec_dGVzdCBzZWNyZXQgb2YgdHVybm91dA=="
OTHER = "whsec_b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="
EVENT = {"id": "evt_1", "object": "event", "livemode": False, "data": {"name": "Zoë", "url": "https://a.b/c"}}
BODY = json.dumps(EVENT, indent=2, ensure_ascii=False).encode()


@pytest.fixture(autouse=True)
def development(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(diagnose, "enabled", True)
    monkeypatch.setattr(env, "_values", {})
    yield


def why(check: object, *args: object, **named: object) -> str:
    with pytest.raises(SignatureError) as caught:
        check(*args, **named)  # type: ignore[operator]
    assert caught.value.detail is not None
    for each in (SECRET, OTHER, SECRET[6:], OTHER[6:]):
        assert each not in caught.value.detail
    return caught.value.detail


def header(body: bytes = BODY, secret: str = SECRET, ago_s: int = 0) -> str:
    return stripe.sign(body, secret, at_s=int(time.time()) - ago_s)


@pytest.mark.parametrize("secret", [f" {SECRET}", f"{SECRET}\n", f"{SECRET}\r\n", f"\t{SECRET} "])
def test_white_space_around_the_secret(secret: str):
    assert "white space" in why(stripe.verify, BODY, header(), secret)
    assert "white space" in why(github.verify, BODY, github.sign(BODY, SECRET), secret)


@pytest.mark.parametrize("secret", [f'"{SECRET}"', f"'{SECRET}'", f'"{SECRET}" '])
def test_quotes_around_the_secret(secret: str):
    assert "quotes" in why(stripe.verify, BODY, header(), secret)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(EVENT).encode(), json.dumps(EVENT, ensure_ascii=False).encode(),
        json.dumps(EVENT, separators=(",", ":")).encode(), json.dumps(EVENT, indent=4).encode(), BODY + b"\n",
        BODY.replace(b"\n", b"\r\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sent", [BODY, json.dumps(EVENT, separators=(",", ":")).encode(), json.dumps(EVENT).encode()])
def test_a_body_that_was_written_anew(body: bytes, sent: bytes):
    if body == sent or body.replace(b"\r\n", b"\n").rstrip() == sent:
        return
    assert "written anew" in why(stripe.verify, body, header(sent), SECRET)
    now_s = int(time.time())
    assert "written anew" in why(slack.verify, body, slack.sign(sent, SECRET, at_s=now_s), SECRET)
    fields = standard.sign(sent, SECRET, message_id="m", at_s=now_s)
    assert "written anew" in why(standard.verify, body, fields, SECRET)


def test_a_body_that_a_proxy_touched():
    for body in (BODY + b"\n", BODY.replace(b"\n", b"\r\n")):
        assert "a proxy changed it" in why(stripe.verify, body, header(), SECRET)


def test_the_secret_of_another_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(env, "_values", {"STRIPE_CLI_SECRET": OTHER, "PATH": "/usr/bin"})

    assert "fits STRIPE_CLI_SECRET" in why(stripe.verify, BODY, header(secret=OTHER), SECRET)


@pytest.mark.parametrize(
    ("secret", "kind"),
    [("sk_test_1", "an API key"), ("we_1", "the id of an endpoint"), ("pk_live_1", "a publishable key")],
)
def test_what_is_no_signing_secret(secret: str, kind: str):
    assert kind in why(stripe.verify, BODY, header(), secret)


def test_the_mode_of_an_event_that_no_secret_fits():
    assert "of test mode" in why(stripe.verify, BODY, header(), OTHER)
    live = BODY.replace(b"false", b"true")
    assert "none of the 2 secrets fits" in why(stripe.verify, live, header(live, "x"), [SECRET, OTHER])
    assert "of live mode" in why(stripe.verify, live, header(live), OTHER)
    assert "mode;" not in why(stripe.verify, b"[]", header(b"[]"), OTHER)


def test_a_clock_that_is_wrong():
    assert " s old, and 300 s are allowed" in why(stripe.verify, BODY, header(ago_s=600), SECRET)
    assert "clock is behind" in why(stripe.verify, BODY, header(ago_s=-600), SECRET)


def test_a_field_that_is_missing():
    assert "no Stripe-Signature" in why(stripe.verify, BODY, None, SECRET)
    assert "X-Hub-Signature-256" in why(github.verify, BODY, None, SECRET)
    assert "not all there" in why(standard.verify, BODY, {"webhook-id": "m"}, SECRET)
    assert "not both there" in why(slack.verify, BODY, {}, SECRET)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"x" * 2_000_000, b'{"a":"\\ud800"}'])
def test_a_body_that_is_anything_is_no_more_than_refused(body: bytes):
    assert "does not fit" in why(stripe.verify, body, header(BODY), OTHER)
