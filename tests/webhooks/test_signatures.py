"""Each sender's scheme: the examples of its documentation, and whatever is nearly right."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import turnout.webhooks
from turnout import BadRequest, ConfigError, Headers, Secret
from turnout.webhooks import SignatureError, github, slack, standard, stripe

NOW_S = 1_700_000_000
SECRET = "whsec_dGVzdCBzZWNyZXQgb2YgdHVybm91dA=="
BODY = b'{"id":"evt_1","object":"event","type":"invoice.paid","data":{"object":{"id":"in_1"}},"event_id":"Ev1"}'
SLACK_FORM = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
    b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
    b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
    b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


# -- known answers


def test_the_example_of_githubs_documentation():
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    github.verify(b"Hello, World!", signature, "It's a Secret to Everybody")
    assert github.sign(b"Hello, World!", "It's a Secret to Everybody") == signature


def test_the_example_of_slacks_documentation():
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    headers = {
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "x-slack-request-timestamp": "1531420618",
    }

    slack.verify(SLACK_FORM, headers, "8f742231b10e8888abcd99yyyzzz85a5", now_s=1531420618)
    assert slack.sign(SLACK_FORM, "8f742231b10e8888abcd99yyyzzz85a5", at_s=1531420618) == headers


@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_the_example_of_the_standard(family: str):
    """https://github.com/standard-webhooks/standard-webhooks, and https://docs.svix.com/receiving/verifying-payloads/how-manual"""
    headers = {
        f"{family}-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        f"{family}-timestamp": "1614265330",
        f"{family}-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }

    for secret in ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"):
        standard.verify(b'{"test": 2432232314}', headers, secret, now_s=1614265330)


def test_the_shape_of_stripes_documentation():
    """https://docs.stripe.com/webhooks#verify-manually: t=…,v1=… over "<t>.<body>", v0 ignored."""
    want = "5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd"
    header = f"t=1492774577,v1={want},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"

    with pytest.raises(SignatureError) as caught:  # the documentation does not give body and secret of these
        stripe.verify(BODY, header, SECRET, now_s=1492774577)
    assert caught.value.reason == "mismatch"
    own = stripe.sign(BODY, SECRET, at_s=1492774577).removeprefix("t=1492774577,v1=")
    stripe.verify(BODY, header.replace(want, own), SECRET, now_s=1492774577)


# -- every sender, one list of cases

Verify = Callable[..., Any]


class Sender:
    """One sender with the same arguments as the others."""

    def __init__(self, name: str) -> None:
        self.module: Any = getattr(turnout.webhooks, name)
        self.name = name
        self.timed = name != "github"

    def headers(self, body: bytes = BODY, secret: str = SECRET, at_s: int = NOW_S) -> dict[str, str]:
        if self.name == "stripe":
            return {"stripe-signature": stripe.sign(body, secret, at_s=at_s)}
        if self.name == "standard":
            return standard.sign(body, secret, message_id="msg_1", at_s=at_s)
        if self.name == "slack":
            return slack.sign(body, secret, at_s=at_s)
        more = {"x-github-event": "issues", "x-github-delivery": "1-2-3"}
        return {"x-hub-signature-256": github.sign(body, secret), **more}

    def verify(
        self, headers: dict[str, str], body: Any = BODY, secret: Any = SECRET, now_s: float = NOW_S, **more: Any
    ) -> None:
        given: Any = headers if self.name in ("standard", "slack") else headers.get(self.module.HEADER)
        self.module.verify(body, given, secret, **({"now_s": now_s} if self.timed else {}), **more)

    def construct(self, headers: dict[str, str], body: bytes = BODY) -> turnout.webhooks.Event:
        given: Any = headers.get("stripe-signature") if self.name == "stripe" else headers
        found: turnout.webhooks.Event = self.module.construct_event(
            body, given, SECRET, **({"now_s": NOW_S} if self.timed else {})
        )
        return found


NAMES = ["stripe", "standard", "github", "slack"]


@pytest.fixture(params=NAMES)
def sender(request: pytest.FixtureRequest) -> Sender:
    return Sender(request.param)


def refused(verify: Callable[[], Any]) -> str:
    with pytest.raises(SignatureError) as caught:
        verify()
    assert (caught.value.status, caught.value.detail, caught.value.code) == (
        400,
        "Invalid signature",
        "invalid_signature",
    )
    return caught.value.reason


def test_what_was_signed_is_accepted(sender: Sender):
    sender.verify(sender.headers())
    sender.verify(Headers(sender.headers())) if sender.name in ("standard", "slack") else None


def test_any_other_body_secret_or_signature_is_refused(sender: Sender):
    headers = sender.headers()
    for body in (BODY + b" ", BODY[:-1], BODY.replace(b"paid", b"Paid"), b""):
        assert refused(lambda body=body: sender.verify(headers, body)) == "mismatch"
    assert refused(lambda: sender.verify(headers, secret=SECRET.replace("dGV", "dGW"))) == "mismatch"
    assert refused(lambda: sender.verify({})) == "missing"
    for name in headers:
        if name.startswith("x-github"):
            continue
        without = {key: value for key, value in headers.items() if key != name}
        assert refused(lambda without=without: sender.verify(without)) == "missing"


def test_each_of_several_secrets_is_enough(sender: Sender):
    old = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZA=="
    for secrets in ([SECRET, old], [old, SECRET], (Secret(old), Secret(SECRET)), Secret(SECRET)):
        sender.verify(sender.headers(), secret=secrets)
    assert refused(lambda: sender.verify(sender.headers(), secret=[old])) == "mismatch"


@pytest.mark.parametrize("secret", ["", "   ", [], [""], [SECRET, ""], Secret("")])
def test_an_empty_secret_stops_the_check(sender: Sender, secret: Any):
    with pytest.raises(ConfigError):
        sender.verify(sender.headers(), secret=secret)


@pytest.mark.parametrize("body", ["text", {"id": 1}, bytearray(b"x"), memoryview(b"x"), None, [1]])
def test_only_bytes_are_a_payload(sender: Sender, body: Any):
    with pytest.raises(TypeError, match=r"await request\.bytes\(\)"):
        sender.verify(sender.headers(), body)


def test_a_time_counts_on_both_sides(sender: Sender):
    if not sender.timed:
        return
    headers = sender.headers()
    for now_s in (NOW_S - 300, NOW_S + 300, NOW_S + 0.5):
        sender.verify(headers, now_s=now_s)
    assert refused(lambda: sender.verify(headers, now_s=NOW_S + 301)) == "old"
    assert refused(lambda: sender.verify(headers, now_s=NOW_S - 301)) == "early"
    sender.verify(headers, now_s=NOW_S + 301, tolerance=400)
    # Nobody learns the age of what is not signed.
    assert refused(lambda: sender.verify(headers, BODY + b" ", now_s=NOW_S + 9_999)) == "mismatch"


@pytest.mark.parametrize("tolerance", [0, -1, float("inf"), float("nan"), None, "300"])
def test_a_tolerance_that_checks_nothing_is_refused(sender: Sender, tolerance: Any):
    if sender.timed:
        with pytest.raises(ValueError, match="tolerance"):
            sender.verify(sender.headers(), tolerance=tolerance)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"null", b"\xff\xfe", b'{"a":NaN}', b"[" * 99, b"{}"])
def test_a_signed_body_that_is_no_event_is_a_bad_request(sender: Sender, body: bytes):
    headers = sender.headers(body)
    if sender.name in ("standard", "github") and body == b"{}":
        assert sender.construct(headers, body).id  # their id is a header field
        return
    with pytest.raises(BadRequest) as caught:
        sender.construct(headers, body)
    assert caught.value.status == 400


@pytest.mark.parametrize("id", [None, 1, "", "x" * 256, "a b", "a\n", "é", "a\0b", ["x"]])
def test_an_id_that_no_database_takes_is_a_bad_request(id: Any):
    body = json.dumps({"id": id, "event_id": id, "type": "x"}).encode()
    for name in ("stripe", "slack"):
        with pytest.raises(BadRequest):
            Sender(name).construct(Sender(name).headers(body), body)


def test_what_an_event_says():
    event = Sender("stripe").construct(Sender("stripe").headers())
    assert (event.provider, event.id, event.type) == ("stripe", "evt_1", "invoice.paid")
    assert event.data["object"]["id"] == "in_1" == event["data"]["object"]["id"]
    assert event.get("created", 7) == 7

    body = b'{"action":"opened","issue":{"number":7}}'
    event = Sender("github").construct(Sender("github").headers(body), body)
    assert (event.id, event.type, event.data["issue"]["number"]) == ("1-2-3", "issues.opened", 7)

    body = b'{"type":"event_callback","event_id":"Ev9","event":{"type":"app_mention","text":"hi"}}'
    event = Sender("slack").construct(Sender("slack").headers(body), body)
    assert (event.id, event.type, event.data["text"]) == ("Ev9", "app_mention", "hi")

    body = b'{"type":"user.created","timestamp":"2026-01-01T00:00:00Z","data":{"id":1}}'
    event = Sender("standard").construct(Sender("standard").headers(body), body)
    assert (event.id, event.type, event.data) == ("msg_1", "user.created", {"id": 1})


# -- each scheme's own corners


V1 = stripe.sign(BODY, SECRET, at_s=NOW_S).partition("v1=")[2]
BAD = "0" * 64


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW_S},v1={BAD},v1={V1}",
        f"v1={V1},t={NOW_S}",
        f"t={NOW_S},v0={BAD},v1={V1},v2=x,other",
        f"t={NOW_S},v1={V1},",
        f"t={NOW_S},,v1={V1}",
    ],
)
def test_any_v1_of_stripes_list_is_enough(header: str):
    stripe.verify(BODY, header, SECRET, now_s=NOW_S)


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW_S},v0={V1}", f"t={NOW_S},v1={BAD}", f"t={NOW_S},v1={V1.upper()}", f"t={NOW_S},v1={V1}=",
        f"t={NOW_S},v1= {V1}", f"t={NOW_S}, v1={V1}", f"t={NOW_S}", f"v1={V1}", f"t={NOW_S},t={NOW_S},v1={V1}",
        f"t=+{NOW_S},v1={V1}", f"t= {NOW_S},v1={V1}", f"t=0{NOW_S},v1={V1}", f"t={NOW_S}.0,v1={V1}",
        f"t=1_700_000_000,v1={V1}", f"t=١٧٠٠٠٠٠٠٠٠,v1={V1}", "t=,v1=", ",", "=", " ", "é", "t=" + "9" * 5_000,
        "v1=" * 99,
        f"T={NOW_S},V1={V1}", f"t={NOW_S};v1={V1}", f"t={NOW_S},v1=",
    ],
)  # fmt: skip
def test_a_header_that_stripe_would_not_send_is_refused(header: str):
    assert refused(lambda: stripe.verify(BODY, header, SECRET, now_s=NOW_S)) in ("malformed", "mismatch")


def test_a_field_full_of_signatures_is_not_worked_through():
    many = ",".join([f"v1={BAD}"] * 400)
    assert refused(lambda: stripe.verify(BODY, f"t={NOW_S},{many},v1={V1}", SECRET, now_s=NOW_S)) == "malformed"
    headers = standard.sign(BODY, SECRET, message_id="m", at_s=NOW_S)
    headers["webhook-signature"] = " ".join([headers["webhook-signature"]] * 400)
    assert refused(lambda: standard.verify(BODY, headers, SECRET, now_s=NOW_S)) == "malformed"


def test_a_form_of_githubs_is_told_apart():
    body = b"payload=%7B%7D"
    with pytest.raises(BadRequest, match="application/json"):
        Sender("github").construct(Sender("github").headers(body), body)


S1 = standard.sign(BODY, SECRET, message_id="msg_1", at_s=NOW_S)["webhook-signature"]
B1 = "v1," + "A" * 43 + "="


@pytest.mark.parametrize(
    ("signature", "good"),
    [
        (f"{B1} {S1}", True), (f"{S1} v1a,xyz v2,abc", True), (f"nonsense {S1}", True), (f" {S1} ", True),
        (B1, False), (S1.replace("v1,", "v1a,"), False), (S1.replace("v1,", "v0,"), False), (S1[3:], False),
        (S1.rstrip("="), False), (f"{S1},{S1}", False), (S1.replace(",", ", "), False), (" ", False), (",", False),
    ],
)  # fmt: skip
def test_any_v1_of_the_standards_list_is_enough(signature: str, good: bool):
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW_S), "webhook-signature": signature}
    if good:
        standard.verify(BODY, headers, SECRET, now_s=NOW_S)
    else:
        assert refused(lambda: standard.verify(BODY, headers, SECRET, now_s=NOW_S)) in ("malformed", "mismatch")


def test_the_id_and_the_time_of_the_standard_are_signed_too():
    headers = standard.sign(BODY, SECRET, message_id="msg_1", at_s=NOW_S)
    for change in ({"webhook-id": "msg_2"}, {"webhook-timestamp": str(NOW_S + 1)}):
        assert refused(lambda change=change: standard.verify(BODY, headers | change, SECRET, now_s=NOW_S)) == "mismatch"


def test_the_fields_of_two_families_are_not_mixed():
    ours = standard.sign(BODY, SECRET, message_id="msg_1", at_s=NOW_S)
    svix = {name.replace("webhook", "svix"): value for name, value in ours.items()}
    mixed = {**ours, "svix-id": "msg_1"}
    mixed.pop("webhook-id")

    standard.verify(BODY, svix, SECRET, now_s=NOW_S)
    assert refused(lambda: standard.verify(BODY, mixed, SECRET, now_s=NOW_S)) == "missing"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_é", "whsec_a", "not base64!", "whsec_====", "whsec_a b c d"])
def test_a_secret_that_is_no_base64_is_said_to_be_none(secret: str):
    headers = standard.sign(BODY, SECRET, message_id="msg_1", at_s=NOW_S)
    with pytest.raises(ConfigError, match="base64"):
        standard.verify(BODY, headers, secret, now_s=NOW_S)


@pytest.mark.parametrize(
    "header", ["sha1=abc", "sha256", BAD, f"SHA256={BAD}", "sha256=", "sha256=é", f" sha256={BAD}"]
)
def test_a_header_that_github_would_not_send_is_refused(header: str):
    assert refused(lambda: github.verify(BODY, header, SECRET)) in ("malformed", "mismatch")


def test_no_file_compares_a_signature_in_another_way():
    folder = Path(turnout.webhooks.__file__).parent
    calls = [
        (file.name, node.func.attr)
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "compare_digest"
    ]
    assert calls == [("verify.py", "compare_digest")]
    for name in NAMES:
        assert "any_equal(" in (folder / f"{name}.py").read_text()
