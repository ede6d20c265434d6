"""The official packages as judges: what they sign we accept, what we sign they accept, and mutations get one verdict.

Where the verdicts differ we are the stricter one, and ``why_stricter`` says for which reason; there
is no mutation that we accept and they refuse, but for a Standard Webhooks list of which one entry
is nonsense: their parser fails on it, while the standard tells to look for one that fits.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
import stripe as official
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.webhooks import SignatureError, standard, stripe

SECRET = "whsec_dGVzdCBzZWNyZXQgb2YgdHVybm91dA=="
BODY = b'{"id": "evt_1", "object": "event", "type": "invoice.paid", "data": {"object": {"name": "Zo\xc3\xab"}}}'
mutations = st.tuples(
    st.sampled_from(["cut", "double", "insert", "replace", "swap", "none"]),
    st.integers(0, 400),
    st.sampled_from([*"tv1=,0 9a+_.\t-é١", "v1=", "t=", "v0=", " v1,", "v1,", "v2,", "  "]),
)
times = st.sampled_from([0, 0, 0, -299, -301, 299, 301, -10_000, 10_000])


def mutate(text: str, how: str, at: int, what: str) -> str:
    at %= len(text) + 1
    match how:
        case "cut":
            return text[:at] + text[at + 1 :]
        case "double":
            return f"{text},{text}"
        case "insert":
            return text[:at] + what + text[at:]
        case "replace":
            return text[:at] + what + text[at + 1 :]
        case "swap":
            return text[at:] + text[:at]
    return text


def ours(check: Any) -> bool:
    try:
        check()
    except SignatureError:
        return False
    return True


def now_s() -> int:
    return int(datetime.now(UTC).timestamp())


# -- Stripe


def theirs_stripe(body: bytes, header: str) -> bool:
    try:
        return bool(official.WebhookSignature.verify_header(body, header, SECRET, 300))
    except (official.SignatureVerificationError, UnicodeDecodeError):
        return False
    except TypeError:  # theirs, for a v1 that is not ASCII: compare_digest does not take such texts
        return False


def why_stricter_stripe(header: str, age_s: int) -> str | None:
    items = [item.split("=") for item in header.split(",")]
    stamps = [item[1] for item in items if item[0] == "t"]
    if len(stamps) != 1:
        return "several t"
    if not re.fullmatch(r"0|[1-9][0-9]{0,11}", stamps[0], re.ASCII):
        return "int() takes what is no plain number"
    if age_s < -300:
        return "they do not look at a time ahead"
    if any(item[0] == "v1" and len(item) > 2 for item in items):
        return "they cut v1 at a second ="
    if any(item[0] == "t" and len(item) > 2 for item in items):
        return "they cut t at a second ="
    return None


@given(mutation=mutations, age_s=times, flip=st.none() | st.integers(0, len(BODY) - 1))
@settings(deadline=None, max_examples=400)
def test_stripes_package_and_we_agree(mutation: tuple[str, int, str], age_s: int, flip: int | None) -> None:
    at_s = now_s() - age_s
    header = mutate(official.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, at_s), *mutation)
    body = BODY if flip is None else BODY[:flip] + bytes([BODY[flip] ^ 1]) + BODY[flip + 1 :]

    we = ours(lambda: stripe.verify(body, header, SECRET))
    they = theirs_stripe(body, header)

    if we != they:
        assert not we
        assert why_stricter_stripe(header, age_s) is not None, header


@given(
    body=st.text(st.characters(codec="utf-8")),
    secret=st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1),
)
@settings(deadline=None, max_examples=100)
def test_either_accepts_what_the_other_signs_for_stripe(body: str, secret: str) -> None:
    at_s = now_s()

    assert official.WebhookSignature.verify_header(
        body.encode(), stripe.sign(body.encode(), secret, at_s=at_s), secret, 300
    )
    stripe.verify(body.encode(), official.WebhookSignature.generate_signature_header(body, secret, at_s), secret)


@given(header=st.text(st.characters(max_codepoint=255), max_size=80))
@settings(deadline=None, max_examples=300)
def test_no_header_is_more_than_a_refusal(header: str) -> None:
    assert not ours(lambda: stripe.verify(BODY, header, SECRET))
    fields = {"webhook-id": header, "webhook-timestamp": str(now_s()), "webhook-signature": header}
    assert not ours(lambda: standard.verify(BODY, fields, SECRET))


# -- Standard Webhooks


def theirs_standard(body: bytes, headers: dict[str, str]) -> bool:
    try:
        standardwebhooks.Webhook(SECRET).verify(body, headers, json_parse=False)
    except (standardwebhooks.WebhookVerificationError, ValueError, binascii.Error):
        return False
    return True


def why_different_standard(headers: dict[str, str], we: bool) -> str | None:
    items = headers["webhook-signature"].split(" ")
    if we:
        return "one entry is nonsense, another fits" if any(item.count(",") != 1 for item in items) else None
    if not re.fullmatch(r"0|[1-9][0-9]{0,11}", headers["webhook-timestamp"], re.ASCII):
        return "float() takes what is no plain number"
    for item in items:
        text = item.removeprefix("v1,")
        try:
            if item.startswith("v1,") and base64.b64encode(base64.b64decode(text)).decode() != text:
                return "they skip what is no base64"
        except (binascii.Error, ValueError):
            continue
    return None


@given(
    field=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
    mutation=mutations,
    age_s=times,
    flip=st.none() | st.integers(0, len(BODY) - 1),
)
@settings(deadline=None, max_examples=400)
def test_the_standards_package_and_we_agree(
    field: str, mutation: tuple[str, int, str], age_s: int, flip: int | None
) -> None:
    at = datetime.fromtimestamp(now_s() - age_s, UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": standardwebhooks.Webhook(SECRET).sign("msg_1", at, BODY.decode()),
    }
    headers[field] = mutate(headers[field], *mutation)
    body = BODY if flip is None else BODY[:flip] + bytes([BODY[flip] ^ 1]) + BODY[flip + 1 :]

    we = ours(lambda: standard.verify(body, headers, SECRET))
    they = theirs_standard(body, headers)

    if we != they:
        assert why_different_standard(headers, we) is not None, (headers, we, they)


@given(
    body=st.text(st.characters(codec="utf-8")),
    key=st.binary(min_size=1, max_size=64),
    message_id=st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=60),
)
@settings(deadline=None, max_examples=100)
def test_either_accepts_what_the_other_signs_for_the_standard(body: str, key: bytes, message_id: str) -> None:
    at_s, secret = now_s(), "whsec_" + base64.b64encode(key).decode()
    judge = standardwebhooks.Webhook(secret)

    judge.verify(
        body.encode(), standard.sign(body.encode(), secret, message_id=message_id, at_s=at_s), json_parse=False
    )
    signature = judge.sign(message_id, datetime.fromtimestamp(at_s, UTC), body)
    fields = {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": signature}
    standard.verify(body.encode(), fields, secret)


@pytest.mark.parametrize("at", range(0, len(BODY), 7))
def test_ten_thousand_mutations_of_a_delivery_are_all_refused(at: int) -> None:
    """R12's neighbour in the security page: every byte of the body, every bit, and every digit of the signature."""
    stamp_s = now_s()
    header = stripe.sign(BODY, SECRET, at_s=stamp_s)
    for position in range(at, min(at + 7, len(BODY))):
        for other in range(256):
            if other != BODY[position]:
                body = BODY[:position] + bytes([other]) + BODY[position + 1 :]
                assert not ours(lambda body=body: stripe.verify(body, header, SECRET))
