"""GitHub: ``X-Hub-Signature-256: sha256=<64 hex>`` over the body alone.

Nothing else is signed: neither a time nor the id (``X-GitHub-Delivery``) nor the kind
(``X-GitHub-Event``), so whoever has seen one delivery can send it again under another id. The body
cannot be the id: two ``repository_dispatch`` events may be the same to the byte. Serve the route
over https only. Set the webhook's content type to ``application/json``.
Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import BadRequest
from .verify import (
    Event,
    Secrets,
    check_any_equal,
    check_id,
    check_payload,
    check_type,
    digest,
    parse_payload,
    refuse,
    texts,
)

if TYPE_CHECKING:
    from ..env import Secret
    from ..http.headers import Headers
    from .hook import Webhook

HEADER = "x-hub-signature-256"
SECRET_NAME = "GITHUB_WEBHOOK_SECRET"
_PREFIX = "sha256="


def verify(payload: bytes, header: str | None, secret: Secrets) -> None:
    """Check that GitHub signed *payload*, or raise.

    Args:
        payload: The body exactly as received, before any JSON parsing.
        header: The ``X-Hub-Signature-256`` value; the older SHA-1 field is never accepted.
        secret: The webhook's secret; several while rotating.

    Raises:
        SignatureError: missing, malformed or of another secret.
        TypeError: *payload* is not bytes.
    """
    check_payload(payload)
    secrets = texts(secret)
    if not header:
        refuse("missing", "there is no X-Hub-Signature-256 field; a webhook without a secret is not signed")
    given = header.removeprefix(_PREFIX)
    if given == header:
        refuse("malformed", "X-Hub-Signature-256 does not begin with sha256=")
    check_any_equal("github", payload, secrets, [given], lambda key, body: digest(key.encode(), body).hex())


def construct_event(payload: bytes, headers: Headers | Mapping[str, str], secret: Secrets) -> Event:
    """The event in *payload*, once ``verify`` has let it pass.

    Its type is the kind and the action, ``issues.opened``, or the kind alone, ``push``; its data the
    whole payload. Of a plain mapping the names are in lower case.

    Raises:
        BadRequest: it is signed, and no event.
    """
    verify(payload, headers.get(HEADER), secret)
    if payload.startswith(b"payload="):
        raise BadRequest("The event is a form; set the webhook's content type to application/json")
    found = parse_payload(payload)
    kind, action = check_type(headers.get("x-github-event")), found.get("action")
    if isinstance(action, str) and action:
        kind = check_type(f"{kind}.{action}")
    return Event("github", check_id(headers.get("x-github-delivery")), kind, found, found)


def sign(payload: bytes, secret: str | Secret) -> str:
    """The ``X-Hub-Signature-256`` that GitHub would send; for tests and the command line."""
    check_payload(payload)
    (key,) = texts(secret)
    return _PREFIX + digest(key.encode(), payload).hex()


def webhook(secrets: Secrets = SECRET_NAME) -> Webhook:
    """A route for GitHub's events: ``POST = hook``; ``on("issues")`` takes every action, ``on("issues.opened")`` one.

    Args:
        secrets: As for ``stripe.webhook``.
    """
    from .hook import Webhook

    return Webhook("github", (HEADER,), secrets, construct_event)
