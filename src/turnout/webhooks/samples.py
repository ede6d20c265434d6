"""Events as their senders shape them, for ``turnout webhooks trigger``; cut to what handlers read.

Sources: https://docs.stripe.com/api/events, https://docs.github.com/en/webhooks/webhook-events-and-payloads,
https://docs.slack.dev/reference/events. Every name, address and amount in them is made up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]

PROVIDERS = ("stripe", "standard", "github", "slack")
_CUSTOMER = {"email": "ada@example.com", "name": "Ada Lovelace"}


def sample(provider: str, type: str, changes: Object, now_s: int) -> tuple[str, Object]:
    """The id and the body of an event of *type*, new each time.

    Args:
        changes: Members to set in what the event is about.
        now_s: When it happened, in Unix seconds.
    """
    return _MAKERS[provider](type, changes, now_s)


def _new(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def _stripe(type: str, changes: Object, now_s: int) -> tuple[str, Object]:
    make = _STRIPE.get(type)
    kind = type.rpartition(".")[0] or type
    found = make(now_s) if make else {"id": _new("obj"), "object": kind.replace(".", "_")}
    event_id = _new("evt")
    return event_id, {
        "id": event_id,
        "object": "event",
        "api_version": "2025-09-30.clover",
        "created": now_s,
        "data": {"object": {**found, "created": now_s, "livemode": False, "metadata": {}, **changes}},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
    }


def _session(now_s: int) -> Object:
    return {
        "id": _new("cs_test"), "object": "checkout.session", "amount_subtotal": 2000, "amount_total": 2000,
        "currency": "usd", "customer": _new("cus"), "customer_details": _CUSTOMER, "mode": "payment",
        "payment_intent": _new("pi"), "payment_status": "paid", "status": "complete", "client_reference_id": None,
    }  # fmt: skip


def _subscription(status: str) -> Callable[[int], Object]:
    def make(now_s: int) -> Object:
        item = {"id": _new("si"), "object": "subscription_item", "quantity": 1, "price": _price()}
        return {
            "id": _new("sub"), "object": "subscription", "customer": _new("cus"), "status": status,
            "cancel_at_period_end": False, "start_date": now_s, "items": {"object": "list", "data": [item]},
        }  # fmt: skip

    return make


def _price() -> Object:
    return {
        "id": _new("price"), "object": "price", "currency": "usd", "unit_amount": 2000,
        "recurring": {"interval": "month"},
    }  # fmt: skip


def _invoice(status: str) -> Callable[[int], Object]:
    paid = 2000 if status == "paid" else 0
    return lambda now_s: {
        "id": _new("in"), "object": "invoice", "customer": _new("cus"), "customer_email": _CUSTOMER["email"],
        "amount_due": 2000, "amount_paid": paid, "currency": "usd", "status": status, "attempt_count": 1,
    }  # fmt: skip


def _payment(now_s: int) -> Object:
    return {
        "id": _new("pi"), "object": "payment_intent", "amount": 2000, "amount_received": 2000, "currency": "usd",
        "customer": _new("cus"), "status": "succeeded",
    }  # fmt: skip


def _refund(now_s: int) -> Object:
    return {
        "id": _new("ch"), "object": "charge", "amount": 2000, "amount_refunded": 2000, "currency": "usd",
        "payment_intent": _new("pi"), "refunded": True, "status": "succeeded",
    }  # fmt: skip


_STRIPE: dict[str, Callable[[int], Object]] = {
    "checkout.session.completed": _session,
    "customer.subscription.created": _subscription("active"),
    "customer.subscription.updated": _subscription("active"),
    "customer.subscription.deleted": _subscription("canceled"),
    "invoice.paid": _invoice("paid"),
    "invoice.payment_failed": _invoice("open"),
    "payment_intent.succeeded": _payment,
    "charge.refunded": _refund,
}


def _standard(type: str, changes: Object, now_s: int) -> tuple[str, Object]:
    at = datetime.fromtimestamp(now_s, UTC).isoformat().replace("+00:00", "Z")
    return _new("msg"), {"type": type, "timestamp": at, "data": {"id": _new("obj"), **changes}}


def _github(type: str, changes: Object, now_s: int) -> tuple[str, Object]:
    kind, _, action = type.partition(".")
    user = {"id": 1, "login": "ada", "type": "User"}
    repository = {
        "id": 1, "name": "engine", "full_name": "ada/engine", "private": False, "default_branch": "main", "owner": user
    }  # fmt: skip
    body = {**_GITHUB.get(kind, {}), "repository": repository, "sender": user, **changes}
    digits = secrets.token_hex(16)
    delivery = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return delivery, {"action": action, **body} if action else body


_GITHUB: dict[str, Object] = {
    "ping": {"zen": "Design for failure.", "hook_id": 1},
    "push": {
        "ref": "refs/heads/main", "before": "0" * 40, "after": "1" * 40, "forced": False,
        "commits": [{"id": "1" * 40, "message": "Add the engine", "author": {"name": "Ada", "username": "ada"}}],
    },
    "issues": {"issue": {"id": 1, "number": 7, "title": "It does not turn", "state": "open", "body": "At all."}},
    "pull_request": {
        "number": 8,
        "pull_request": {"id": 1, "number": 8, "title": "Make it turn", "state": "open", "merged": False},
    },
}  # fmt: skip


def _slack(type: str, changes: Object, now_s: int) -> tuple[str, Object]:
    event_id = "Ev" + secrets.token_hex(5).upper()
    if type == "url_verification":
        return event_id, {"type": type, "challenge": secrets.token_hex(16), **changes}
    inner = {"type": type, "user": "U123ABC", "ts": f"{now_s}.000100", **_SLACK.get(type, {}), **changes}
    return event_id, {
        "type": "event_callback", "team_id": "T123ABC", "api_app_id": "A123ABC", "event": inner,
        "event_id": event_id, "event_time": now_s,
    }  # fmt: skip


_SLACK: dict[str, Object] = {
    "app_mention": {"text": "<@U0LAN0Z89> is it everything?", "channel": "C123ABC"},
    "message": {"text": "Hello", "channel": "C123ABC", "channel_type": "channel"},
}

_MAKERS = {"stripe": _stripe, "standard": _standard, "github": _github, "slack": _slack}
