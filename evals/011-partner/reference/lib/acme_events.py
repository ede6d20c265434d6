"""Acme's events: whether they are signed, what is in them, and how they are kept."""

import hashlib
import hmac
from typing import Any

from msgspec import Struct
from turnout import BadRequest
from turnout.db import Transaction


class SignedEvent(Struct):
    """One event whose signature was right."""

    id: str
    type: str
    payload: dict[str, Any]


def check_signature(body: bytes, given: str | None, secret: str) -> None:
    """Check that who knows *secret* has signed *body*.

    Raises:
        BadRequest: nobody did; it never says how close it was.
    """
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    signature = (given or "").removeprefix("sha256=").lower()
    # Compared as bytes, as text that is not ASCII would raise, and in the same time wherever they differ.
    if not hmac.compare_digest(signature.encode(), wanted.encode()):
        raise BadRequest("Invalid signature", code="invalid_signature")


def parse_event(found: Any) -> SignedEvent:
    """The event in the JSON of a body that is signed.

    Raises:
        BadRequest: it is no object with an id.
    """
    if not isinstance(found, dict) or not isinstance(found.get("id"), str):
        raise BadRequest("An event is a JSON object with an id")
    kind = found.get("type")
    return SignedEvent(found["id"], kind if isinstance(kind, str) else "", dict(found))


async def keep_event(tx: Transaction, id: str, type: str, payload: dict[str, Any]) -> None:
    """Keep one event, in the transaction that notes it as done."""
    await tx.from_("acme_events").insert({"id": id, "type": type, "payload": payload})
