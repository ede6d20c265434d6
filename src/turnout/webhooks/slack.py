"""Slack: ``X-Slack-Signature: v0=<64 hex>`` over ``v0:<timestamp>:<body>``.

``webhook`` is for the Events API, and answers Slack's ``url_verification`` by itself. Slash
commands and buttons come as forms and want an answer of their own: call ``verify`` in a route.
Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .verify import (
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
    from collections.abc import Mapping

    from ..env import Secret
    from ..http.headers import Headers
    from .hook import Webhook

HEADER, TIME_HEADER = "x-slack-signature", "x-slack-request-timestamp"
SECRET_NAME = "SLACK_SIGNING_SECRET"
CHALLENGE = "url_verification"
_PREFIX = "v0="


def verify(
    payload: bytes,
    headers: Headers | Mapping[str, str],
    secret: Secrets,
    tolerance: float = TOLERANCE_S,
    *,
    now_s: float | None = None,
) -> None:
    """Check that Slack signed *payload* recently, or raise.

    Args:
        payload: The body exactly as received: JSON or a form.
        headers: The request's; of a plain mapping the names are in lower case.
        secret: The app's signing secret; several while rotating.
        tolerance: Greatest age, and greatest clock lead, in seconds.
        now_s: The current time in Unix seconds; the wall clock if None.

    Raises:
        SignatureError: missing, malformed, of another secret, or too far from now.
        TypeError: *payload* is not bytes.
    """
    check_payload(payload)
    check_tolerance(tolerance)
    secrets = texts(secret)
    header, stamp = headers.get(HEADER) or "", headers.get(TIME_HEADER) or ""
    if not header or not stamp:
        refuse("missing", "X-Slack-Signature and X-Slack-Request-Timestamp are not both there")
    given, stamp_s = header.removeprefix(_PREFIX), parse_time(stamp)
    if given == header or stamp_s is None:
        refuse("malformed", "X-Slack-Signature is not v0=<64 hex>, or the timestamp is not in Unix seconds")
    head = f"v0:{stamp}:".encode()

    check_any_equal("slack", payload, secrets, [given], lambda key, body: digest(key.encode(), head + body).hex())
    check_age(stamp_s, tolerance, now_s)


def construct_event(
    payload: bytes,
    headers: Headers | Mapping[str, str],
    secret: Secrets,
    tolerance: float = TOLERANCE_S,
    *,
    now_s: float | None = None,
) -> Event:
    """The event in *payload*, once ``verify`` has let it pass.

    Of an ``event_callback`` type and data are those of the event inside it. A ``url_verification``
    has no id; answer it with its ``challenge``, as ``webhook`` does.

    Raises:
        BadRequest: it is signed, and no event.
    """
    verify(payload, headers, secret, tolerance, now_s=now_s)
    found = parse_payload(payload)
    if found.get("type") == CHALLENGE:
        return Event("slack", "", CHALLENGE, found, found)
    inner = found.get("event")
    data = inner if isinstance(inner, dict) else found
    return Event("slack", check_id(found.get("event_id")), check_type(data.get("type")), data, found)


def sign(payload: bytes, secret: str | Secret, *, at_s: int) -> dict[str, str]:
    """The two header fields that Slack would add at *at_s*; for tests and the command line."""
    check_payload(payload)
    (key,) = texts(secret)
    signature = digest(key.encode(), b"v0:%d:%s" % (at_s, payload)).hex()
    return {HEADER: _PREFIX + signature, TIME_HEADER: str(at_s)}


def webhook(secrets: Secrets = SECRET_NAME, *, tolerance: float = TOLERANCE_S) -> Webhook:
    """A route for Slack's Events API: ``POST = hook``; see ``stripe.webhook``."""
    from .hook import Webhook

    def read(payload: bytes, headers: Headers, keys: tuple[str, ...]) -> Event:
        return construct_event(payload, headers, keys, tolerance)

    check_tolerance(tolerance)
    return Webhook("slack", (HEADER,), secrets, read)
