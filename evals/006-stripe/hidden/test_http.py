"""POST /api/webhooks/stripe, as the prompt says."""

import json
import time

from turnout import db
from turnout.webhooks import stripe


async def send(client, type="checkout.session.completed", id="evt_1", order="1"):
    about = {"id": "cs_1", "client_reference_id": order, "payment_status": "paid"}
    body = json.dumps({"id": id, "type": type, "created": 1, "data": {"object": about}}).encode()
    headers = {"stripe-signature": stripe.sign(body, "whsec_for_evals", at_s=int(time.time()))}
    return await client.post("/api/webhooks/stripe", body=body, headers=headers)


async def test_a_completed_checkout_marks_its_order_paid(client):
    await db.from_("orders").insert([{"status": "unpaid"}, {"status": "unpaid"}])

    assert (await send(client)).status == 200

    assert (await client.get("/api/orders/1")).json()["status"] == "paid"
    assert (await client.get("/api/orders/2")).json()["status"] == "unpaid"


async def test_other_events_are_received_and_change_nothing(client):
    await db.from_("orders").insert({"status": "unpaid"})

    assert (await send(client, "payout.paid")).status == 200
    assert (await send(client, "checkout.session.expired", "evt_2")).status == 200
    assert (await client.get("/api/orders/1")).json()["status"] == "unpaid"
