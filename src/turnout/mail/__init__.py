"""Mail: messages as values, transports that hand them over, and an outbox that keeps them outside production."""

from __future__ import annotations

from ..errors import MailError
from ..parts import imported
from .message import Address, Attachment, Message, parse_address
from .send import Mailer, configure, mailer, outbox, send_email

__all__ = [
    "Address",
    "Attachment",
    "MailError",
    "Mailer",
    "Message",
    "configure",
    "mailer",
    "outbox",
    "parse_address",
    "send_email",
]

imported(__name__)
