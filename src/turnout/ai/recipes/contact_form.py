"""``contact-form``: a message by POST becomes one mail, with a trap for robots and a limit for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..changeset import ChangeSet, RouteClaim
from .base import Argument, Recipe, fill, new_files, new_route, path_in, slug

if TYPE_CHECKING:
    from ..view import ProjectView

ROUTE = '''\
"""POST @PATH@: a message from a visitor, mailed to CONTACT_EMAIL.

The page has a field "website" that people do not see. Robots fill it in; they are thanked, and nothing is sent.
"""

from turnout import MailError, Response, ServiceUnavailable

from lib.@SLUG@ import Message, send_message

auth = "public"
rate_limit = "5/10 min"
body_limit = "64 KB"


async def POST(body: Message) -> Response:
    """Send it on; where the mail server is away, the visitor is asked to try again."""
    if not body.website:
        try:
            await send_message(body)
        except MailError as exc:
            raise ServiceUnavailable("The message could not be sent; please try again later") from exc
    return Response.json({"sent": True}, status=202)
'''

LIB = '''\
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
        pattern=r"^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]*\\Z",
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
        text=f"{message.name} <{message.email}> wrote:\\n\\n{message.message}\\n",
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
'''

TEST = '''\
"""POST @PATH@: one mail for each message of a person, none for robots and for what is no message."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from turnout.mail import outbox
from turnout.testing import Client

ROOT = Path(__file__).parent.parent
MESSAGE = {"name": "Ada", "email": "ada@example.com", "message": "Hello,\\nis anybody there?"}


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))
    monkeypatch.setenv("CONTACT_EMAIL", "office@example.com")


def with_client(test: Callable[[Client], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on the app."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await test(client)

    return lambda: asyncio.run(main())


@with_client
async def test_a_message_is_mailed_and_an_answer_goes_to_who_wrote_it(client: Client) -> None:
    answer = await client.post("@PATH@", json=MESSAGE)

    assert (answer.status, answer.json()) == (202, {"sent": True})
    (mail,) = outbox
    assert [each.email for each in mail.to] == ["office@example.com"]
    assert mail.reply_to is not None and mail.reply_to.email == "ada@example.com"
    assert mail.subject == "Message from Ada"
    assert "is anybody there?" in mail.text


@with_client
async def test_a_robot_that_fills_in_the_hidden_field_is_thanked_and_nothing_is_sent(client: Client) -> None:
    answer = await client.post("@PATH@", json={**MESSAGE, "website": "https://spam.example"})

    assert (answer.status, answer.json()) == (202, {"sent": True})
    assert outbox == []


@with_client
async def test_line_breaks_in_a_name_or_an_address_are_refused(client: Client) -> None:
    for changes in (
        {"name": "Ada\\r\\nBcc: eve@example.com"},
        {"email": "ada@example.com\\nBcc: eve@example.com"},
        {"email": "Ada <ada@example.com>"},
        {"email": "ada"},
    ):
        answer = await client.post("@PATH@", json={**MESSAGE, **changes})
        assert (answer.status, answer.json()["errors"][0]["pointer"]) == (422, f"/{next(iter(changes))}")
    assert outbox == []


@with_client
async def test_what_is_missing_is_named(client: Client) -> None:
    answer = await client.post("@PATH@", json={"name": "Ada"})

    assert answer.status == 422
    assert outbox == []


@with_client
async def test_one_visitor_cannot_send_without_end(client: Client) -> None:
    statuses = [(await client.post("@PATH@", json=MESSAGE)).status for _ in range(6)]

    assert statuses == [202, 202, 202, 202, 202, 429]
    assert len(outbox) == 5
'''


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """A route that mails what it is sent."""
    path = RECIPE.complete(args)["path"]
    name = slug(path)
    files = {
        new_route(project, path): fill(ROUTE, path=path, slug=name),
        f"lib/{name}.py": LIB,
        f"tests/test_{name}.py": fill(TEST, path=path),
    }
    return ChangeSet(
        summary=f"POST {path} mails a visitor's message to CONTACT_EMAIL: at most 5 in 10 minutes from one address, "
        "and none from robots that fill in the hidden field.",
        contract=[RouteClaim("POST", path, "public", [202, 400, 413, 422, 429, 503])],
        files=new_files(project, files),
        env=["CONTACT_EMAIL"],
    )


RECIPE = Recipe(
    name="contact-form",
    summary="a visitor's message becomes a mail: with a trap for robots and a limit",
    plan=plan,
    arguments=(Argument("path", "where the route is", "/api/contact"),),
    signs=(
        (r"\bcontact\b", 3),
        (r"\b(?:contact|feedback|enquiry|inquiry|support)[ -](?:us )?(?:form|page|message|endpoint|route)", 3),
        (r"\b(?:sends?|writes?|leaves?) us (?:a |an )?(?:message|mail|e-?mail|note)", 3.5),
        (r"\bform\b", 1),
        (r"\bfeedback\b", 1.5),
        (r"\b(?:mails?|e-?mails?|messages?)\b", 1),
        (r"\b(?:visitors?|customers?) (?:to |can )?(?:send|write|reach|contact)", 2.5),
        (r"\b(?:sign(?:s|ed)? ?up|welcome|webhook|stripe|crud|contacts|address book|list of)\b", -3.5),
    ),
    read=path_in,
)
