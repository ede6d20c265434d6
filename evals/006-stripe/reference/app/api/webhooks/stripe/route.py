"""POST /api/webhooks/stripe: orders that are paid."""

from turnout.db import Transaction
from turnout.webhooks import Event, stripe

auth = "public"  # the signature is what lets a request in

hook = stripe.webhook(secrets="STRIPE_WEBHOOK_SECRET")


@hook.on("checkout.session.completed")
async def paid(event: Event, tx: Transaction) -> None:
    order = event.data["object"]["client_reference_id"]
    await tx.from_("orders").update({"status": "paid"}).eq("id", order)


POST = hook
