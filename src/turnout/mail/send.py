"""``send_email``: a message from a template or from parts, handed to the transport that is configured.

Outside production nothing leaves the machine, whatever the settings say, unless ``MAIL_TRANSPORT`` in
the environment of that machine asks for it; in tests not even then. In production a transport
must be named, or be plain from the environment; without one the first message raises, since a message that
goes nowhere in silence is found out by those who wait for it. Bodies are never logged, and in
production neither are subjects and addresses.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .. import templates
from ..config import MailConfig
from ..env import Mode
from ..errors import ConfigError
from .message import Address, Attachment, Message, parse_address, parse_addresses

logger = logging.getLogger("turnout.mail")

outbox: list[Message] = []
"""What was sent in a test, oldest first; emptied when a project is loaded."""

DEVELOPMENT_SENDER = "app@localhost"
_MARGIN_S = 30  # beyond the time for one message, before its claim is thought to be a dead process's


class Transport(Protocol):
    """Hands messages to whoever delivers them.

    ``send`` returns when *message* was accepted for all its recipients, and raises MailError when not.
    """

    name: str

    async def send(self, message: Message) -> None: ...


class Mailer:
    """Mail as one project is configured to send it.

    Args:
        config: ``[tool.turnout.mail]``.
        mode: What the project runs as.
        values: The environment, with the secrets of the transport.
        data: The folder below which the outbox is.
        origin: Scheme and host for links; templates see it as ``origin``.
    """

    def __init__(
        self, config: MailConfig, *, mode: Mode, values: Mapping[str, str], data: Path, origin: str | None
    ) -> None:
        self.config, self.mode, self.values, self.data, self.origin = config, mode, values, data, origin
        self._transport: Transport | None = None

    @property
    def transport(self) -> Transport:
        """The transport, made when first asked for.

        Raises:
            ConfigError: none is configured, or what it needs is missing.
        """
        if self._transport is None:
            self._transport = self._make()
        return self._transport

    def _make(self) -> Transport:
        from .local import FOLDER, FileOutbox, MemoryOutbox

        if self.mode == "test":
            return MemoryOutbox(outbox)
        chosen = chosen_transport(self.config, self.mode, self.values)
        if chosen == "outbox":
            return FileOutbox(self.data / FOLDER, speak=self.mode == "development")
        timeout_s = self.config.timeout_s
        if chosen == "smtp":
            from .smtp import SMTP

            return SMTP(self._secret("SMTP_URL"), timeout_s=timeout_s)
        if chosen == "resend":
            from .resend import Resend

            return Resend(self._secret("RESEND_API_KEY"), timeout_s=timeout_s)
        if chosen == "ses":
            from .ses import SES

            return SES.of(self.values, timeout_s=timeout_s)
        raise ConfigError(f"there is no mail transport {chosen!r}", cure="smtp, resend, ses or outbox")

    def _secret(self, name: str) -> str:
        value = self.values.get(name)
        if not value:
            raise ConfigError(f"mail needs {name}, and it is not set", cure="set it where the server is started")
        return value

    @property
    def sender(self) -> Address:
        """Who messages are from unless they say otherwise.

        Raises:
            ConfigError: in production, where nobody is named.
        """
        if self.config.sender is not None:
            return parse_address(self.config.sender)
        if self.mode == "production":
            raise ConfigError(
                "no sender is set for mail",
                file="pyproject.toml",
                cure=NO_SENDER,
            )
        return parse_address(DEVELOPMENT_SENDER)

    async def send(self, message: Message) -> None:
        """Send *message* now.

        Raises:
            MailError: it was refused, or could not be handed over.
        """
        transport = self.transport
        if message.idempotency_key is None:
            await self._hand_over(transport, message)
            return
        from ..db import db
        from .once import once

        async with once(db, message.idempotency_key, lease_s=self.config.timeout_s + _MARGIN_S) as ours:
            if ours:
                await self._hand_over(transport, message)

    async def enqueue(self, message: Message) -> None:
        """Write *message* down, to be sent by a worker.

        Raises:
            ConfigError: there is no queue, or no transport.
        """
        if not self.config.queued:
            # Without the setting, workers that have not come by here would not know the task.
            raise ConfigError(
                "mail is not queued in this project",
                file="pyproject.toml",
                cure="add queued = true under [tool.turnout.mail]; queued=False then sends one directly",
            )
        from .queue import enqueue

        _ = self.transport  # a setting that is missing is said now, and not in a worker's log
        await enqueue(message)

    async def _hand_over(self, transport: Transport, message: Message) -> None:
        await transport.send(message)
        if self.mode == "production":
            logger.info("mail sent", extra={"transport": transport.name, "recipients": len(message.to)})


def chosen_transport(config: MailConfig, mode: Mode, values: Mapping[str, str]) -> str:
    """The transport that the settings name for *mode*.

    Raises:
        ConfigError: production has none.
    """
    named = values.get("MAIL_TRANSPORT") or (config.transport if mode == "production" else "outbox")
    if named:
        return named
    if values.get("SMTP_URL"):
        return "smtp"
    if values.get("RESEND_API_KEY"):
        return "resend"
    raise ConfigError(
        "no mail transport is configured, and production sends real mail", file="pyproject.toml", cure=NO_TRANSPORT
    )


NO_SENDER = 'add sender = "Name <name@example.com>" under [tool.turnout.mail]'
NO_TRANSPORT = (
    'add transport = "smtp" (or "resend", "ses") under [tool.turnout.mail], '
    "and set SMTP_URL (RESEND_API_KEY, AWS_ACCESS_KEY_ID ...) where the server is started"
)

_mailer: Mailer | None = None


def configure(
    config: MailConfig, *, mode: Mode, values: Mapping[str, str], data: Path, origin: str | None = None
) -> None:
    """Say how mail is sent from now on; see :class:`Mailer`. Empties the outbox of tests."""
    global _mailer
    if config.sender is not None:
        try:
            parse_address(config.sender)
        except ValueError as exc:
            raise ConfigError(f"sender of [tool.turnout.mail]: {exc}", file="pyproject.toml", cure=NO_SENDER) from None
    _mailer = Mailer(config, mode=mode, values=values, data=data, origin=origin)
    outbox.clear()


def mailer() -> Mailer:
    """The project's mail.

    Raises:
        ConfigError: outside of a project.
    """
    if _mailer is None:
        raise ConfigError("mail is not configured", cure="send it inside a project, or call load_project() first")
    return _mailer


async def send_email(
    *,
    to: str | Address | Sequence[str | Address],
    subject: str,
    template: str | None = None,
    html: str | None = None,
    text: str | None = None,
    data: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    reply_to: str | Address | None = None,
    sender: str | Address | None = None,
    attachments: Sequence[Attachment] = (),
    queued: bool | None = None,
) -> None:
    """Send a message, and return when it was accepted, or, queued, when it was written down.

    Args:
        to: ``ada@example.com``, ``Ada <ada@example.com>``, or several, who all see each other.
        subject: One line of plain text.
        template: ``welcome`` stands for ``templates/mail/welcome.html`` and ``welcome.txt``; one may be missing.
        html: The message, without a template.
        text: The same as plain text; made from *html* if that alone is given.
        data: What the template may use; ``origin`` is there besides.
        idempotency_key: Of messages with the same key one is sent.
        reply_to: Where answers go.
        sender: Who it is from; the setting ``sender`` if None.
        attachments: Files that go with it.
        queued: Hand it over later, and again if that fails; within a transaction it is part of that. The
            setting ``queued`` if None, which must be on for this.

    Raises:
        ValueError: an address is none, or a line break stands where it would begin another header.
        ConfigError: the template or a setting is missing.
        MailError: it was refused, or could not be handed over; ``retryable`` says whether later may do.
    """
    now = mailer()
    if template is not None:
        if html is not None or text is not None:
            raise TypeError("send_email() takes template= or html= and text=, not both")
        html, text = _from_template(template, {**_origin(now), **(data or {})})
    elif data is not None:
        raise TypeError("data= is for a template, and send_email() was given none")
    if html is None and text is None:
        raise TypeError("send_email() needs template=, html= or text=")
    if text is None:
        from .plain import to_text

        text = to_text(html or "")
    message = Message(
        sender=now.sender if sender is None else parse_address(sender),
        to=parse_addresses(to),
        subject=subject,
        text=text,
        html=html,
        reply_to=None if reply_to is None else parse_address(reply_to),
        attachments=tuple(attachments),
        idempotency_key=idempotency_key,
    )
    if queued is None:
        queued = now.config.queued
    if queued:
        await now.enqueue(message)
    else:
        await now.send(message)


def _origin(now: Mailer) -> dict[str, str]:
    # From the settings alone: the Host of a request is whatever its sender wrote, and a link in a
    # mail to somebody else must not lead there.
    return {"origin": now.origin} if now.origin else {}


def _from_template(template: str, data: dict[str, Any]) -> tuple[str | None, str | None]:
    found = templates.templates()
    html, text = (f"mail/{template}{ending}" for ending in (".html", ".txt"))
    if not found.has(html) and not found.has(text):
        raise ConfigError(
            f"there is no mail template {template!r}: neither {found.folder / html} nor {found.folder / text}",
            cure="make one of them, or both",
        )
    return (
        found.render(html, data) if found.has(html) else None,
        found.render(text, data) if found.has(text) else None,
    )
