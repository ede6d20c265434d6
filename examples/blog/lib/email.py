"""Mail: until Turnout's mail is there, every message becomes a file in data/outbox/ and leaves this machine never."""

import asyncio
import re
import time
import uuid
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from typing import Annotated

from msgspec import Meta

OUTBOX = Path(__file__).parents[1] / "data" / "outbox"
SENDER = Address("Blog", "blog", "example.com")

_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
# \Z, as $ would let a line break follow; an address is one line and so is a name that goes into a subject.
_EMAIL = rf"^{_WORD}(\.{_WORD})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z"
Email = Annotated[str, Meta(max_length=254, pattern=_EMAIL)]
# Nor may it hold "=?": that begins an encoded word, which EmailMessage decodes, line breaks in it included.
_ONE_LINE = r"^(?!.*=\?)[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
OneLine = Annotated[str, Meta(max_length=200, pattern=_ONE_LINE)]


def is_email(text: str) -> bool:
    """Whether *text* looks like an address; only a mail sent there can tell if it is one."""
    return len(text) <= 254 and re.match(_EMAIL, text) is not None


async def send_email(*, to: str, subject: str, text: str, reply_to: str | None = None) -> None:
    """Put a message into the outbox.

    Raises:
        ValueError: an address is none, or the subject holds a line break, which would begin another header.
    """
    if not re.match(_ONE_LINE, subject):
        raise ValueError("a subject is one line of plain text")
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = Address(addr_spec=to)
    if reply_to is not None:
        message["Reply-To"] = Address(addr_spec=reply_to)
    message["Subject"] = subject
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = make_msgid(domain="example.com")
    message.set_content(text)
    await asyncio.to_thread(_deliver, message)


async def send_welcome_email(email: str) -> None:
    """Greet a new user."""
    await send_email(to=email, subject="Welcome to the blog", text="Your account is ready. Have a look around!\n")


def _deliver(message: EmailMessage) -> None:
    OUTBOX.mkdir(parents=True, exist_ok=True)
    file = OUTBOX / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.eml"
    file.write_bytes(message.as_bytes())
