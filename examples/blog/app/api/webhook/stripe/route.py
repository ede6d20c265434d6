"""POST /api/webhook/stripe: what Stripe tells us, checked and done once."""

import stripe
from turnout import Request, Response, Secret, Settings, db

from lib.billing import handle_checkout_complete, handle_subscription_update

body_limit = "1 MB"


class Stripe(Settings):
    stripe_webhook_secret: Secret  # an empty one counts as missing: anybody could sign with it


async def POST(request: Request) -> Response:
    body = await request.bytes()  # as received: the signature is over these bytes
    signature = request.headers.get("stripe-signature")
    secret = Stripe().stripe_webhook_secret.reveal()
    try:
        event = stripe.Webhook.construct_event(body, signature, secret).to_dict()
    except (ValueError, stripe.SignatureVerificationError):
        return Response.json({"error": "Invalid signature"}, status=400)

    # Stripe sends an event again until it gets a 2xx. Its id is kept in the transaction of its
    # effect: if that fails neither is there and the next delivery does it, else it is done once.
    async with db.transaction() as tx:
        new = await (
            tx.from_("webhook_events")
            .upsert({"id": event["id"], "type": event["type"]}, on_conflict="id", ignore_duplicates=True)
            .select()
        )
        if new:
            match event["type"]:
                case "checkout.session.completed":
                    await handle_checkout_complete(tx, event["data"]["object"])
                case "customer.subscription.updated":
                    await handle_subscription_update(tx, event["data"]["object"], event.get("created", 0))
    return Response.json({"received": True})
