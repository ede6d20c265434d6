"""Resend's HTTP API (https://resend.com/docs/api-reference/emails/send-email): ``RESEND_API_KEY``.

Resend writes the head itself, so ``Message-ID`` and ``Date`` are its own. An idempotency key goes along: within
24 hours it sends one message for it, also where an answer was lost.
"""

from __future__ import annotations

import base64
from typing import Any

from ..errors import MailError
from .message import Message
from .web import post

URL = "https://api.resend.com"


class Resend:
    """Hands messages to Resend.

    Args:
        api_key: ``re_...``.
        timeout_s: For one message, in seconds.
        url: Where its API is.
    """

    name = "resend"

    def __init__(self, api_key: str, *, timeout_s: float, url: str = URL) -> None:
        self._api_key, self.timeout_s, self.url = api_key, timeout_s, url

    async def send(self, message: Message) -> None:
        """Hand over *message*, or raise MailError."""
        from ..http import jsontext

        headers = {"authorization": f"Bearer {self._api_key}", "content-type": "application/json"}
        if message.idempotency_key is not None:
            headers["idempotency-key"] = message.idempotency_key
        answer = await post(f"{self.url}/emails", jsontext.dumps(_body(message)), headers, self.timeout_s, "Resend")
        if answer.status == 200:
            return
        name = answer.word("name")
        raise MailError(
            f"Resend refused the message: {answer.status} {name}: {answer.word('message')}",
            # Another request with the same key is still under way there.
            retryable=answer.is_passing or name == "concurrent_idempotent_requests",
            code=answer.status,
            retry_after_s=answer.retry_after_s,
        )


def _body(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {
        "from": str(message.sender),
        "to": [str(each) for each in message.to],
        "subject": message.subject,
        "text": message.text,
    }
    if message.html is not None:
        body["html"] = message.html
    if message.reply_to is not None:
        body["reply_to"] = str(message.reply_to)
    if message.attachments:
        body["attachments"] = [
            {
                "filename": each.filename,
                "content": base64.b64encode(each.content).decode(),
                "content_type": each.media_type,
            }
            for each in message.attachments
        ]
    return body
