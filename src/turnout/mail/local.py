"""The outbox of this machine: messages that are kept and never sent, for development and for tests.

In development each is a file ``data/outbox/<time>-<random>.eml``, which any mail program opens and which
``/__dev/mail`` shows in the browser; in tests it is an entry of the list ``turnout.mail.outbox``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

from .message import Message

logger = logging.getLogger("turnout.mail")
FOLDER = "outbox"


class MemoryOutbox:
    """Keeps messages in *messages*."""

    name = "memory"

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages

    async def send(self, message: Message) -> None:
        """Keep *message*."""
        message.to_bytes()  # what could not be sent is not kept either
        self.messages.append(message)


class FileOutbox:
    """Keeps each message as a file in *folder*, oldest first by name.

    Args:
        folder: Made with the first message.
        speak: Log a line with subject and recipients: only where the log is a developer's own terminal.
    """

    name = "outbox"

    def __init__(self, folder: Path, *, speak: bool) -> None:
        self.folder, self.speak = folder, speak

    async def send(self, message: Message) -> None:
        """Write *message* to a file of its own."""
        name = await asyncio.to_thread(self._write, message.to_bytes())
        if self.speak:
            to = ", ".join(each.email for each in message.to)
            logger.info("mail to %s: %s (read it at /__dev/mail/%s)", to, message.subject, name)

    def _write(self, data: bytes) -> str:
        # Only their owner may read them: they hold links that sign people in.
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{time.time_ns()}-{os.urandom(4).hex()}"
        file, unfinished = self.folder / f"{name}.eml", self.folder / f"{name}.tmp"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(data)
        unfinished.rename(file)
        return name
