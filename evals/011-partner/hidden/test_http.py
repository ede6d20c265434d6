"""POST /api/webhooks/acme, as the prompt says."""

import hashlib
import hmac

BODY = b'{"id": "evt_1", "type": "thing.made"}'


def sign(body, secret="secret-for-evals"):
    return {"x-acme-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


async def test_a_signed_event_is_received_however_often_it_comes(client):
    for _ in range(3):
        assert (await client.post("/api/webhooks/acme", body=BODY, headers=sign(BODY))).status == 200


async def test_what_is_not_signed_is_400(client):
    for headers in ({}, {"x-acme-signature": ""}, sign(BODY, "another"), sign(BODY + b" ")):
        assert (await client.post("/api/webhooks/acme", body=BODY, headers=headers)).status == 400


async def test_what_is_signed_and_no_event_is_refused(client):
    for body in (b"[]", b"{", b'{"type": "x"}'):
        assert (await client.post("/api/webhooks/acme", body=body, headers=sign(body))).status in (400, 422)
