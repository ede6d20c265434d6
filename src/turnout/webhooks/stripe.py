"""Stripe: ``Stripe-Signature: t=<unix seconds>,v1=<64 hex>,...`` over ``<t>.<body>``.

``construct_event`` does what the one of the official package does; that package works as well, on
the same bytes. Stricter than it: a time ahead of ours counts as well as one behind, and a second
``t`` is refused. Source: https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

HEADER = "stripe-signature"
SECRET_NAME = "STRIPE_WEBHOOK_SECRET"


def verify(
    payload: bytes,
    header: str | None,
    secret: Secrets,
    tolerance: float = TOLERANCE_S,
    *,
    now_s: float | None = None,
) -> None:
    """Check that Stripe signed *payload* recently, or raise.

    Args:
        payload: The body exactly as received, before any JSON parsing.
        header: The ``Stripe-Signature`` value, with one ``v1`` per active secret; other schemes
            are ignored.
        secret: The endpoint's secret, ``whsec_...``; several while rotating.
        tolerance: Greatest age, and greatest clock lead, in seconds.
        now_s: The current time in Unix seconds; the wall clock if None.

    Raises:
        SignatureError: malformed header, no matching ``v1``, or too far from now.
        TypeError: *payload* is not bytes.

    Source: https://docs.stripe.com/webhooks#verify-manually
    """
    check_payload(payload)
    check_tolerance(tolerance)
    secrets = texts(secret)
    if not header:
        refuse("missing", "there is no Stripe-Signature field")
    fields = [item.partition("=") for item in header.split(",")]
    stamps = [value for key, _, value in fields if key == "t"]
    given = [value for key, _, value in fields if key == "v1"]
    stamp_s = parse_time(stamps[0]) if len(stamps) == 1 else None
    if stamp_s is None:
        refuse("malformed", "Stripe-Signature has no single t=<unix seconds>")
    if not 0 < len(given) <= MAX_SIGNATURES:
        refuse("malformed", "Stripe-Signature has no v1=<64 hex>, or too many; other schemes are never accepted")
    head = b"%d." % stamp_s

    check_any_equal("stripe", payload, secrets, given, lambda key, body: digest(key.encode(), head + body).hex())
    # Last, since an unproven timestamp means nothing.
    check_age(stamp_s, tolerance, now_s)


def construct_event(
    payload: bytes,
    header: str | None,
    secret: Secrets,
    tolerance: float = TOLERANCE_S,
    *,
    now_s: float | None = None,
) -> Event:
    """The event in *payload*, once ``verify`` has let it pass; arguments and errors as there.

    Raises:
        BadRequest: it is signed, and no event.
    """
    verify(payload, header, secret, tolerance, now_s=now_s)
    found = parse_payload(payload)
    return Event("stripe", check_id(found.get("id")), check_type(found.get("type")), found.get("data"), found)


def sign(payload: bytes, secret: str | Secret, *, at_s: int) -> str:
    """The ``Stripe-Signature`` that Stripe would send at *at_s*; for tests and the command line."""
    check_payload(payload)
    (key,) = texts(secret)
    return f"t={at_s},v1={digest(key.encode(), b'%d.%s' % (at_s, payload)).hex()}"


def webhook(secrets: Secrets = SECRET_NAME, *, tolerance: float = TOLERANCE_S) -> Webhook:
    """A route for Stripe's events: ``POST = hook``.

    Args:
        secrets: The name of an environment variable, or several: ``"NEW, OLD"``, of which those that
            are set count; or a list of the secrets themselves.
        tolerance: As for ``verify``.
    """
    from .hook import Webhook

    def read(payload: bytes, headers: Headers, keys: tuple[str, ...]) -> Event:
        return construct_event(payload, headers.get(HEADER), keys, tolerance)

    check_tolerance(tolerance)
    return Webhook("stripe", (HEADER,), secrets, read)
