"""One message as a value: its addresses, subject and parts, all of them checked; and its bytes (RFC 5322, MIME).

What could begin another header is refused, never taken out: control characters in a subject, a name or
an address raise. The surprise: the head is written here and not by ``EmailMessage``, which reads a
subject such as ``=?utf-8?q?Hi?=`` as encoded text, so that what arrives is not what was said, and on
some versions of Python with the line breaks that were encoded in it. The parts below the head are made by it.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

if TYPE_CHECKING:
    from email.message import EmailMessage

MAX_SUBJECT = 998  # a line of a message, RFC 5322 §2.1.1; longer ones are no subjects
MAX_NAME = 200
MAX_ADDRESS = 254  # RFC 5321 §4.5.3.1 and erratum 1690
MAX_RECIPIENTS = 50

# Controls, line and paragraph separators, the overrides that show text in another order, halves of characters.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e\ud800-\udfff]")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# What IDNA 2003, the one in Python, maps to other letters and IDNA 2008 does not: mail for one domain
# would go to another.
_AMBIGUOUS = re.compile("[ßẞς\u200c\u200d]")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ .,:;@()<>\[\]\"\\-]*")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]*/[A-Za-z0-9][\w!#$&^.+-]*")


class Address(Struct, frozen=True):
    """An address and the name shown beside it; made by :func:`parse_address`, which checks both.

    Attributes:
        email: ASCII only: ``ada@example.com``; the domain of ``ada@bücher.example`` is ``xn--bcher-kva.example``.
        name: ``Ada Lovelace``, or nothing.
    """

    email: str
    name: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "email", _checked_email(self.email))
        _check_line(self.name, "a name", MAX_NAME)

    def __str__(self) -> str:
        """As people write it: ``Ada Lovelace <ada@example.com>``, the name in quotes where it needs them."""
        if not self.name:
            return self.email
        plain = re.fullmatch(r"[\w ]+", self.name)
        return f"{self.name if plain else _quoted(self.name)} <{self.email}>"

    @property
    def domain(self) -> str:
        """What stands after the ``@``."""
        return self.email.rpartition("@")[2]


class Attachment(Struct, frozen=True):
    """A file that goes with a message.

    Args:
        filename: What it is called there, without folders.
        content: Its bytes.
        media_type: By the name's ending if None.

    Raises:
        ValueError: a name with folders or control characters, or a media type that is none.
    """

    filename: str
    content: bytes
    media_type: str = ""

    def __post_init__(self) -> None:
        import mimetypes

        _check_line(self.filename, "the name of an attachment", MAX_NAME)
        if not self.filename.strip(" .") or re.search(r'[/\\:*?"<>|]', self.filename):
            raise ValueError(f"{self.filename!r} is no name for an attachment: give a file name without a folder")
        if not isinstance(self.content, bytes):
            raise TypeError(f"the content of an attachment is bytes, not {type(self.content).__name__}")
        kind = self.media_type or mimetypes.guess_type(self.filename)[0] or "application/octet-stream"
        # A message in a message is parsed again by who receives it; as bytes it arrives as it is.
        if kind.startswith(("message/", "multipart/")):
            kind = "application/octet-stream"
        if not _MEDIA_TYPE.fullmatch(kind):
            raise ValueError(f"{kind!r} is no media type such as application/pdf")
        force_setattr(self, "media_type", kind)

    def __repr__(self) -> str:
        return f"<Attachment {self.filename!r} {len(self.content)} bytes>"


class Message(Struct, frozen=True):
    """A message to be sent.

    Attributes:
        text: The part for readers without HTML; made from *html* where only that was given.
        html: None for a message in plain text.
        id: The ``Message-ID``, with its angle brackets.
        date: When it was written.
        idempotency_key: Of messages with the same key one is sent.
    """

    sender: Address
    to: tuple[Address, ...]
    subject: str
    text: str
    html: str | None = None
    reply_to: Address | None = None
    attachments: tuple[Attachment, ...] = ()
    idempotency_key: str | None = None
    id: str = ""
    date: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        _check_line(self.subject, "a subject", MAX_SUBJECT)
        if not self.to:
            raise ValueError("a message needs a recipient: to= is empty")
        if len(self.to) > MAX_RECIPIENTS:
            raise ValueError(
                f"a message goes to at most {MAX_RECIPIENTS} recipients, who all see each other, not {len(self.to)}; "
                "send one to each"
            )
        key = self.idempotency_key
        if key is not None and not re.fullmatch("[!-~]{1,256}", key):
            raise ValueError(f"an idempotency key is 1 to 256 visible ASCII characters, not {key[:80]!r}")
        for part in filter(None, (self.text, self.html)):
            if found := re.search("[\x00\ud800-\udfff]", part):
                raise ValueError(f"the text of a message holds {found[0]!r}, which is no character of a text")
        if not self.id:
            force_setattr(self, "id", self._new_id())

    def __repr__(self) -> str:
        # Without its parts: they hold links that sign people in, and a repr ends up in logs.
        return f"<Message {self.subject!r} to {', '.join(each.email for each in self.to)}>"

    def _new_id(self) -> str:
        import hashlib

        if self.idempotency_key is None:
            return f"<{os.urandom(16).hex()}@{self.sender.domain}>"
        # The same key gives the same id, by which mailboxes know a copy should one be sent after all.
        key = hashlib.sha256(f"{self.sender.email}\0{self.idempotency_key}".encode()).hexdigest()[:32]
        return f"<{key}@{self.sender.domain}>"

    def to_bytes(self) -> bytes:
        """The message as it goes over the wire: lines end with CR LF, no byte is above 127."""
        from email.utils import format_datetime

        head = [
            ("From", _mailboxes([self.sender])),
            ("To", _mailboxes(self.to)),
            *([("Reply-To", _mailboxes([self.reply_to]))] if self.reply_to else []),
            ("Subject", _unstructured(self.subject, len("Subject: "))),
            ("Date", format_datetime(self.date.astimezone(UTC))),
            ("Message-ID", self.id),
        ]
        lines = "".join(f"{name}: {value}\r\n" for name, value in head)
        return lines.encode("ascii") + self._parts().as_bytes()

    def _parts(self) -> EmailMessage:
        from email.message import EmailMessage
        from email.policy import SMTP

        parts = EmailMessage(SMTP.clone(cte_type="7bit"))
        _set_text(parts, self.text, "plain")
        if self.html is not None:
            alternative = EmailMessage(parts.policy)
            _set_text(alternative, self.html, "html")
            parts.make_alternative()
            del alternative["MIME-Version"]
            parts.attach(alternative)
        for each in self.attachments:
            kind, _, subtype = each.media_type.partition("/")
            parts.add_attachment(each.content, kind, subtype, cte="base64", filename=each.filename)
        return parts

    def to_data(self) -> dict[str, Any]:
        """The message as JSON data, for a queue; :meth:`from_data` reads it."""
        return {
            "sender": [self.sender.email, self.sender.name],
            "to": [[each.email, each.name] for each in self.to],
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "reply_to": [self.reply_to.email, self.reply_to.name] if self.reply_to else None,
            "attachments": [
                [each.filename, base64.b64encode(each.content).decode(), each.media_type] for each in self.attachments
            ],
            "idempotency_key": self.idempotency_key,
            "id": self.id,
            "date": self.date.isoformat(),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Message:
        """The message that :meth:`to_data` wrote."""
        return cls(
            sender=Address(*data["sender"]),
            to=tuple(Address(*each) for each in data["to"]),
            subject=data["subject"],
            text=data["text"],
            html=data["html"],
            reply_to=Address(*data["reply_to"]) if data["reply_to"] else None,
            attachments=tuple(
                Attachment(name, base64.b64decode(content), kind) for name, content, kind in data["attachments"]
            ),
            idempotency_key=data["idempotency_key"],
            id=data["id"],
            date=datetime.fromisoformat(data["date"]),
        )


# -- addresses


def parse_address(text: str | Address) -> Address:
    """*text* as an address: ``ada@example.com`` or ``Ada Lovelace <ada@example.com>``.

    Raises:
        ValueError: it is none; the message says why. Only a mail sent there can tell whether somebody reads it.
    """
    if isinstance(text, Address):
        return text
    if not isinstance(text, str):
        raise TypeError(f"an address is a text or an Address, not {type(text).__name__}")
    if not text.endswith(">"):
        return Address(text)
    name, opened, email = text[:-1].rpartition("<")
    name = name.strip(" ")
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    elif not opened or "<" in name or ">" in name:
        raise ValueError(f"{text[:80]!r} is no e-mail address: write Name <name@example.com>")
    return Address(email, name)


def parse_addresses(to: str | Address | Sequence[str | Address]) -> tuple[Address, ...]:
    """One address or several, each once."""
    several = [to] if isinstance(to, (str, Address)) else to
    return tuple(dict.fromkeys(map(parse_address, several)))


def _checked_email(text: str) -> str:
    _check_line(text, "an address", MAX_ADDRESS)
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError(f"{text!r} is no e-mail address: there is no @ in it")
    if not local.isascii():
        raise ValueError(f"{text!r}: only ASCII letters may stand before the @, as few servers take others")
    if len(local) > 64 or not _LOCAL.fullmatch(local):
        raise ValueError(f"{text!r} is no e-mail address: look at what stands before the @")
    if "=?" in local:
        raise ValueError(f"{text!r} holds =?, which mail programs read as the start of encoded text")
    checked = f"{local}@{_checked_domain(domain, text)}"
    if len(checked) > MAX_ADDRESS:
        raise ValueError(f"an address has at most {MAX_ADDRESS} characters, its domain in ASCII; {text!r} has more")
    return checked


def _checked_domain(domain: str, text: str) -> str:
    labels = re.split("[.。．｡]", domain) if not domain.isascii() else domain.split(".")
    labels = [label if label.isascii() else _to_ascii(label, text) for label in labels]
    right = all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdecimal()
    if not right or (len(labels) == 1 and labels[0].lower() != "localhost"):
        raise ValueError(f"{text!r} is no e-mail address: {domain!r} is no name of a domain")
    return ".".join(labels).lower()


def _to_ascii(label: str, text: str) -> str:
    from encodings.idna import ToASCII

    if _AMBIGUOUS.search(label):
        raise ValueError(
            f"{text!r}: the domain holds a letter that programs write differently in ASCII; "
            "give it as its owner registered it, beginning with xn--"
        )
    try:
        return ToASCII(label).decode("ascii")
    except UnicodeError:
        raise ValueError(f"{text!r} is no e-mail address: {label!r} is no part of a domain") from None


def _check_line(text: str, what: str, longest: int) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text, not {type(text).__name__}")
    if found := _FORBIDDEN.search(text):
        raise ValueError(f"{what} is one line of plain text, and this one holds {found[0]!r}: {text[:80]!r}")
    if len(text) > longest:
        raise ValueError(f"{what} has at most {longest} characters, not {len(text)}")


# -- the head


def _mailboxes(addresses: Sequence[Address]) -> str:
    # One to a line, so that no line is longer than a server takes.
    return ",\r\n ".join(_mailbox(each) for each in addresses)


def _mailbox(address: Address) -> str:
    if not address.name:
        return address.email
    plain = _PLAIN_NAME.fullmatch(address.name) and "=?" not in address.name and len(address.name) <= 60
    name = _quoted(address.name) if plain else _encoded_words(address.name, 10)
    return f"{name}\r\n <{address.email}>" if len(name) + len(address.email) > 60 else f"{name} <{address.email}>"


def _quoted(name: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


def _unstructured(text: str, used: int) -> str:
    """*text* for a header: as it is where it is short and ASCII, else as encoded words."""
    # Blanks at the ends are kept by no reader, unless encoded.
    if text.isascii() and "=?" not in text and len(text) + used <= 76 and text == text.strip():
        return text
    return _encoded_words(text, used)


def _encoded_words(text: str, used: int) -> str:
    """RFC 2047: words of at most 75 characters, none of which cuts a character in two."""
    words: list[str] = []
    piece, room = b"", 45 - used * 3 // 4
    for character in text:
        encoded = character.encode()
        if len(piece) + len(encoded) > room:
            words.append(_word(piece))
            piece, room = b"", 45
        piece += encoded
    words.append(_word(piece))
    return "\r\n ".join(words)


def _word(piece: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(piece).decode()}?="


# -- the parts


def _set_text(part: EmailMessage, text: str, subtype: str) -> None:
    """Put *text* into *part* with LF or CR LF as line ends, in ASCII that a person can read where it is ASCII."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    readable = (
        text.isascii() and max(map(len, text.split("\n"))) <= 76 and not re.search("[\x00-\x08\x0b-\x1f\x7f]", text)
    )
    part.set_content(text, subtype, cte="7bit" if readable else "quoted-printable")
