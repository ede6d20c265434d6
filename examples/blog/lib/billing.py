"""What a payment changes here. Each function works in the transaction that its caller holds open."""

from typing import Any

from turnout.db import Transaction


async def handle_checkout_complete(tx: Transaction, session: dict[str, Any]) -> None:
    """Keep the order that a checkout session paid for."""
    await tx.from_("orders").upsert(
        {
            "session_id": session.get("id"),
            "email": (session.get("customer_details") or {}).get("email"),
            "amount_total": session.get("amount_total"),
            "currency": session.get("currency"),
        },
        on_conflict="session_id",
        ignore_duplicates=True,
    )


async def handle_subscription_update(tx: Transaction, subscription: dict[str, Any], created: int) -> None:
    """Keep what a subscription is now; *created* is the time of the event in Unix seconds."""
    known = await tx.from_("subscriptions").select("event_created").eq("id", subscription["id"]).single()
    if known is not None and known["event_created"] > created:
        return  # Stripe does not promise an order: this event is older than what we have
    await tx.from_("subscriptions").upsert(
        {
            "id": subscription["id"],
            "customer": subscription.get("customer"),
            "status": subscription.get("status"),
            "event_created": created,
        }
    )
