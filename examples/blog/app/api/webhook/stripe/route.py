"""POST /api/webhook/stripe: what Stripe tells us, checked and done once."""

import stripe
from turnout import Request, Response, Secret, Settings, webhooks

from lib.billing import handle_checkout_complete, handle_subscription_update

body_limit = "1 MB"


class Stripe(Settings):
    stripe_webhook_secret: Secret  # an empty one counts as missing: anybody could sign with it


async def POST(request: Request) -> Response:
    body = await request.bytes()  # as received: the signature is over these bytes
    signature = request.headers.get("stripe-signature")
    secret = Stripe().stripe_webhook_secret.reveal()
    try:
        event = stripe.Webhook.construct_event(body, signature, secret)
    except (ValueError, TypeError, stripe.SignatureVerificationError):  # TypeError: a signature that is not ASCII
        return Response.json({"error": "Invalid signature"}, status=400)

    # Stripe sends an event again until it gets a 2xx. It is noted in the transaction of its effect:
    # if that fails neither is there and the next delivery does it, else it is done once.
    async with webhooks.once(event.id, event.type) as tx:
        if tx:  # None: it has had its effect
            match event.type:
                case "checkout.session.completed":
                    await handle_checkout_complete(tx, event.data.object.to_dict())
                case "customer.subscription.updated":
                    await handle_subscription_update(tx, event.data.object.to_dict(), event.created)
    return Response.json({"received": True})
