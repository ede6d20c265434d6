"""POST /api/webhooks/acme: Acme's events, each checked and kept once.

The field X-Acme-Signature holds the HMAC-SHA256 of the body in hexadecimal digits, with or without "sha256=" before it.
A signature that is missing or wrong is 400. The event's id is in the signed body, so what came before is 200 and
nothing more, whoever sends it again. One that cannot be kept is 500, nothing of it stays, and it is kept when it is
sent again.
"""

from turnout import Request, Response, Secret, Settings
from turnout.webhooks import once

from lib.acme_events import check_signature, keep_event, parse_event

auth = "public"  # the signature is what lets a request in
body_limit = "1 MB"


class Sender(Settings):
    """What the sender signs with; an empty one counts as missing, since anybody could sign with it."""

    acme_webhook_secret: Secret


async def POST(request: Request) -> Response:
    """Check the bytes as they came, then read them."""
    body = await request.bytes()
    check_signature(body, request.headers.get("x-acme-signature"), Sender().acme_webhook_secret.reveal())
    event = parse_event(await request.json())
    async with once(event.id, event.type, scope="/api/webhooks/acme") as tx:
        if tx:  # None: it has had its effect
            await keep_event(tx, event.id, event.type, event.payload)
    return Response.json({"received": True})
