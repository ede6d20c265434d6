"""Standard Webhooks (Svix, Resend, Clerk, OpenAI and many others): ``webhook-id``, ``-timestamp``, ``-signature``.

The signature is a list, separated by spaces, of ``v1,<base64>`` over ``<id>.<timestamp>.<body>``;
Svix' older names ``svix-id`` and so on are the same. A secret is ``whsec_`` and base64. Entries
of other versions, such as the asymmetric ``v1a``, are passed over.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .verify import (
    MAX_SIGNATURES,
    TOLERANCE_S,
    Event,
    Secrets,
    check_age,
    check_any_equal,
    check_id,
    check_payload,
    check_tolerance,
    check_type,
    digest,
    parse_payload,
    parse_time,
    refuse,
    texts,
)

if TYPE_CHECKING:
    from ..env import Secret
    from ..http.headers import Headers
    from .hook import Webhook

FAMILIES = ("webhook", "svix")
SECRET_NAME = "WEBHOOK_SECRET"
_PREFIX = "whsec_"


def verify(
    payload: bytes,
    headers: Headers | Mapping[str, str],
    secret: Secrets,
    tolerance: float = TOLERANCE_S,
    *,
    now_s: float | None = None,
) -> None:
    """Check that *payload* was signed recently, or raise.

    Args:
        payload: The body exactly as received, before any JSON parsing.
        headers: The request's; of a plain mapping the names are in lower case.
        secret: ``whsec_<base64>``, with or without the prefix; several while rotating.
        tolerance: Greatest age, and greatest clock lead, in seconds.
        now_s: The current time in Unix seconds; the wall clock if None.

    Raises:
        SignatureError: a field is missing or malformed, no ``v1`` matches, or too far from now.
        ConfigError: a secret is no base64.
        TypeError: *payload* is not bytes.
    """
    check_payload(payload)
    check_tolerance(tolerance)
    secrets = texts(secret)
    for each in secrets:
        _key(each)  # so that a wrong one is told whatever was sent
    message_id, stamp, signatures = _fields(headers)
    stamp_s = parse_time(stamp)
    if stamp_s is None:
        refuse("malformed", "the timestamp field is not in Unix seconds")
    given = [item.removeprefix("v1,") for item in signatures.split(" ") if item.startswith("v1,")]
    if not 0 < len(given) <= MAX_SIGNATURES:
        refuse("malformed", "the signature field has no v1,<base64>, or too many")
    head = f"{message_id}.{stamp}.".encode()

    check_any_equal("standard", payload, secrets, given, lambda key, body: _text(digest(_key(key), head + body)))
    check_age(stamp_s, tolerance, now_s)


def construct_event(
    payload: bytes,
    headers: Headers | Mapping[str, str],
    secret: Secrets,
    tolerance: float = TOLERANCE_S,
    *,
    now_s: float | None = None,
) -> Event:
    """The event in *payload*, once ``verify`` has let it pass; its id is the ``webhook-id``.

    Raises:
        BadRequest: it is signed, and no event.
    """
    verify(payload, headers, secret, tolerance, now_s=now_s)
    found = parse_payload(payload)
    message_id = check_id(_fields(headers)[0])
    return Event("standard", message_id, check_type(found.get("type")), found.get("data"), found)


def sign(payload: bytes, secret: str | Secret, *, message_id: str, at_s: int) -> dict[str, str]:
    """The three header fields that a sender would add at *at_s*; for tests and the command line."""
    check_payload(payload)
    (text,) = texts(secret)
    signature = _text(digest(_key(text), f"{message_id}.{at_s}.".encode() + payload))
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}


def webhook(secrets: Secrets = SECRET_NAME, *, tolerance: float = TOLERANCE_S) -> Webhook:
    """A route for the events of a sender that follows the standard: ``POST = hook``; see ``stripe.webhook``."""
    from .hook import Webhook

    def read(payload: bytes, headers: Headers, keys: tuple[str, ...]) -> Event:
        return construct_event(payload, headers, keys, tolerance)

    check_tolerance(tolerance)
    return Webhook("standard", tuple(f"{family}-signature" for family in FAMILIES), secrets, read)


def _fields(headers: Headers | Mapping[str, str]) -> tuple[str, str, str]:
    """Id, timestamp and signature, all of one family: a mixture is nobody's."""
    for family in FAMILIES:
        found = [headers.get(f"{family}-{part}") or "" for part in ("id", "timestamp", "signature")]
        if all(found):
            message_id, stamp, signatures = found
            return message_id, stamp, signatures
    refuse("missing", "webhook-id, webhook-timestamp and webhook-signature (or svix-...) are not all there")


def _key(secret: str) -> bytes:
    text = secret.removeprefix(_PREFIX)
    try:
        # Some senders leave the padding out; validate, as the lenient form would skip what is no base64.
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ConfigError(
            "the signing secret is not whsec_ and base64",
            cure="copy it again from the sender's page, without spaces or quotes",
        )
    return key


def _text(signature: bytes) -> str:
    return base64.b64encode(signature).decode()
