"""Messages of visitors: what one must look like, and the mail that it becomes."""

from typing import Annotated

from msgspec import Meta, Struct
from turnout import Settings, ValidationFailed, send_email
from turnout.mail import Address, parse_address

# A name goes into the subject of a mail, and a subject is one line: no control characters, no turned text.
OneLine = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*\Z",
    ),
]


class Message(Struct):
    """What a visitor sends."""

    name: OneLine
    email: Annotated[str, Meta(min_length=3, max_length=254)]
    message: Annotated[str, Meta(min_length=1, max_length=5_000)]
    website: Annotated[str, Meta(max_length=1_000)] = ""  # the trap: people leave it empty


class Contact(Settings):
    """Who reads the messages."""

    contact_email: str


async def send_message(message: Message) -> None:
    """Mail *message* to whoever reads them; an answer goes to the visitor.

    Raises:
        ValidationFailed: the address is none.
        MailError: it could not be handed over.
    """
    await send_email(
        to=Contact().contact_email,
        # From ourselves and never from the visitor: a mail in somebody else's name is taken for forged.
        reply_to=_address(message.email),
        subject=f"Message from {message.name}",
        text=f"{message.name} <{message.email}> wrote:\n\n{message.message}\n",
    )


def _address(text: str) -> Address:
    try:
        found = parse_address(text)
    except ValueError as exc:
        raise _no_address() from exc
    if found.name:  # "Ada <ada@example.com>" is one, but not what a form asks for
        raise _no_address()
    return found


def _no_address() -> ValidationFailed:
    failure = {"pointer": "/email", "message": "is not an e-mail address", "type": "email"}
    return ValidationFailed("The e-mail address is not valid", errors=[failure])
