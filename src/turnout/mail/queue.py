"""Queued mail: a message is written down, in the transaction of its cause, and handed over by a task.

So a message exists if what it tells of has happened, survives the process, and is tried again while its
server is away: after a minute, then twice as long each time, an hour at most, for most of a day. One that was
refused for good is logged as an error and not tried again. Each has an idempotency key, its own id if it was
given none, so that a task that runs twice sends one message.
"""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from ..errors import MailError
from ..tasks import task
from .message import Message
from .send import mailer

logger = logging.getLogger("turnout.mail")

RETRIES, BACKOFF_S = 24, 60
# Refusals of the sender rather than of the message: somebody will mend the password.
_SIGN_IN = (401, 403, 530, 534, 535)


async def enqueue(message: Message) -> None:
    """Write *message* down, in the caller's transaction if there is one.

    Raises:
        ConfigError: what runs tasks is not installed.
        DbError: the database refused, or is away.
    """
    key = message.idempotency_key
    kept = replace(message, idempotency_key=key or message.id.strip("<>"))
    await deliver.enqueue(kept.to_data(), idempotency_key=key)


@task(name="turnout.mail", retries=RETRIES, backoff_s=BACKOFF_S)
async def deliver(data: dict[str, Any]) -> None:
    """Send the message that *data* holds."""
    message = Message.from_data(data)
    try:
        await mailer().send(message)
    except MailError as exc:
        final = not exc.retryable and exc.code is not None and exc.code not in _SIGN_IN
        if not final:
            raise
        logger.error("queued mail %s was refused for good: %s", message.id, exc)
