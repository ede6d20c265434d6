"""SMTP against a real server: TLS, signing in, refusals, greylisting, silence; and what SMTP_URL may say."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import ssl
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from mail.servers import PASSWORD, USER, Box, answer, hang_up, say, script, server_context, smtp
from ports import free_port

from turnout.errors import ConfigError, MailError
from turnout.mail import Address, Message
from turnout.mail.smtp import SMTP, parse_smtp_url

LOGIN = f"{USER}:{quote(PASSWORD, safe='')}"


def message(*to: str, **fields: Any) -> Message:
    given = {"subject": "Hello", "text": "Hi\n", "html": "<p>Hi ü</p>"} | fields
    return Message(Address("app@example.com", "App"), tuple(map(Address, to or ("ada@example.com",))), **given)


async def send(url: str, sent: Message | None = None, timeout_s: float = 10) -> None:
    await SMTP(url, timeout_s=timeout_s).send(sent or message())


async def failing(url: str, sent: Message | None = None, timeout_s: float = 10) -> MailError:
    with pytest.raises(MailError) as caught:
        await send(url, sent, timeout_s)
    assert PASSWORD not in str(caught.value) and "Hi ü" not in str(caught.value)
    return caught.value


def without_boundaries(data: bytes) -> bytes:
    return re.sub(rb"={10,}\d+={2}", b"", data)


async def test_a_message_arrives_byte_for_byte() -> None:
    box = Box()
    sent = message("ada@example.com", "bob@example.com", text="one\n.\n..two\nQUIT\nFrom x\n")
    with smtp(box) as port:
        await send(f"smtp://127.0.0.1:{port}", sent)

    assert box.taken[0][:2] == ("app@example.com", ["ada@example.com", "bob@example.com"])
    assert without_boundaries(box.taken[0][2]) == without_boundaries(sent.to_bytes())
    got: Any = email.message_from_bytes(box.taken[0][2], policy=email.policy.default)
    assert got.get_body(("plain",)).get_content().replace("\r\n", "\n") == "one\n.\n..two\nQUIT\nFrom x\n"
    assert got.get_body(("html",)).get_content().strip() == "<p>Hi ü</p>"


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_tls_is_verified_and_signing_in_goes_over_it(scheme: str, tls: ssl.SSLContext) -> None:
    box = Box()
    with smtp(box, tls=tls, implicit=scheme == "smtps", auth=True) as port:
        await send(f"{scheme}://{LOGIN}@127.0.0.1:{port}" + ("" if scheme == "smtps" else "?tls=starttls"))

    assert (len(box.taken), box.users, box.over_tls) == (1, [USER], [True])


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_a_server_whose_certificate_is_not_trusted_gets_nothing(scheme: str, tls: ssl.SSLContext) -> None:
    box = Box()
    with smtp(box, tls=server_context(trustme.CA(), "127.0.0.1"), implicit=scheme == "smtps", auth=True) as port:
        error = await failing(f"{scheme}://{LOGIN}@127.0.0.1:{port}" + ("" if scheme == "smtps" else "?tls=starttls"))

    assert "certificate" in str(error) and not error.retryable
    assert box.taken == [] == box.users


async def test_a_certificate_for_another_name_is_not_trusted(tls: ssl.SSLContext, authority: trustme.CA) -> None:
    box = Box()
    with smtp(box, tls=server_context(authority, "mail.example.com"), implicit=True) as port:
        error = await failing(f"smtps://127.0.0.1:{port}")

    assert "certificate" in str(error) and box.taken == []


async def test_where_tls_was_asked_for_a_server_without_it_gets_nothing() -> None:
    box = Box()
    with smtp(box) as port:
        error = await failing(f"smtp://127.0.0.1:{port}?tls=starttls")

    assert "offers no STARTTLS" in str(error) and not error.retryable and box.taken == []


async def test_a_wrong_password_is_said_and_not_shown(tls: ssl.SSLContext) -> None:
    box = Box()
    with smtp(box, tls=tls, implicit=True, auth=True) as port:
        error = await failing(f"smtps://{USER}:wrong-one@127.0.0.1:{port}")

    assert (error.code, error.retryable) == (535, False)
    assert "signing in" in str(error) and "wrong-one" not in str(error) and box.taken == []


@pytest.mark.parametrize(("reply", "retryable"), [("550 No such user", False), ("450 Mailbox busy", True)])
async def test_a_refused_recipient_is_named(reply: str, retryable: bool) -> None:
    box = Box(refuse={"ada@example.com": reply})
    with smtp(box) as port:
        error = await failing(f"smtp://127.0.0.1:{port}")

    assert (error.code, error.retryable, error.refused) == (int(reply[:3]), retryable, {"ada@example.com": reply})
    assert f"ada@example.com ({reply})" in str(error)


async def test_a_message_goes_to_all_or_to_none() -> None:
    box = Box(refuse={"bob@example.com": "550 No such user"})
    with smtp(box) as port:
        error = await failing(f"smtp://127.0.0.1:{port}", message("ada@example.com", "bob@example.com"))

    assert list(error.refused) == ["bob@example.com"] and "nobody was sent the message" in str(error)
    assert box.taken == []


@pytest.mark.parametrize(
    ("reply", "retryable"), [("554 Spam", False), ("552 Too big", False), ("452 Full", True), ("421 Closing", True)]
)
async def test_a_refused_message_says_whether_later_may_do(reply: str, retryable: bool) -> None:
    with smtp(Box(data=reply)) as port:
        error = await failing(f"smtp://127.0.0.1:{port}")

    assert (error.code, error.retryable) == (int(reply[:3]), retryable)
    assert reply in str(error)


async def test_a_greylisted_message_is_taken_later() -> None:
    box = Box(greylist=2)
    with smtp(box) as port:
        for _ in range(2):
            assert (await failing(f"smtp://127.0.0.1:{port}")).retryable
        await send(f"smtp://127.0.0.1:{port}")

    assert len(box.taken) == 1


async def test_a_closed_port_is_said_at_once() -> None:
    port = free_port()

    error = await failing(f"smtp://127.0.0.1:{port}")

    assert error.retryable and "cannot be reached" in str(error)


GREETED = (say("220 hello"), answer("250 hello"))
HANGS: dict[str, tuple[tuple[Any, ...], bool]] = {
    "before a word": ((), False),
    "after the greeting": ((say("220 hello"),), False),
    "at the sender": (GREETED, False),
    "at the recipient": ((*GREETED, answer("250 ok")), False),
    "before the message": ((*GREETED, answer("250 ok"), answer("250 ok")), True),
    "in the middle of the message": ((*GREETED, answer("250 ok"), answer("250 ok"), answer("354 go on")), True),
}


@pytest.mark.parametrize("where", HANGS)
@pytest.mark.parametrize("end", ["silence", "hang up"])
async def test_a_server_that_goes_away_holds_nobody_up(where: str, end: str) -> None:
    steps, doubtful = HANGS[where]
    async with script(*steps, *([hang_up] if end == "hang up" else [])) as port:
        error = await failing(f"smtp://127.0.0.1:{port}", timeout_s=1.0 if end == "silence" else 10)

    assert error.retryable
    assert ("may have taken the message" in str(error)) == doubtful


async def test_a_server_that_is_silent_at_the_good_bye_has_taken_the_message() -> None:
    async def read_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n.\r\n")
        await say("250 taken")(reader, writer)
        await reader.readline()
        await hang_up(reader, writer)

    async with script(*GREETED, answer("250 ok"), answer("250 ok"), answer("354 go on"), read_message) as port:
        await send(f"smtp://127.0.0.1:{port}")


async def test_nonsense_is_no_answer() -> None:
    async with script(say("HTTP/1.1 400 Bad Request")) as port:
        error = await failing(f"smtp://127.0.0.1:{port}", timeout_s=1)

    assert "127.0.0.1" in str(error)


async def test_a_cancelled_send_leaves_no_connection_open() -> None:
    left = asyncio.Event()

    async def wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        assert await reader.read() == b""
        left.set()

    async with script(say("220 hello"), wait_for_the_end) as port:
        task = asyncio.create_task(send(f"smtp://127.0.0.1:{port}"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(60):
            await left.wait()


# -- SMTP_URL


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, "starttls"),
        ("smtps://mail.example.com", "mail.example.com", 465, "on"),
        ("smtp://mail.example.com:2525/", "mail.example.com", 2525, "starttls"),
        ("smtp://localhost:1025", "localhost", 1025, "off"),
        ("smtp://[::1]:1025", "::1", 1025, "off"),
        ("smtp://localhost?tls=starttls", "localhost", 587, "starttls"),
        ("smtp://mailpit:1025?tls=off", "mailpit", 1025, "off"),
    ],
)
def test_smtp_url_names_a_server(url: str, host: str, port: int, tls: str) -> None:
    server = parse_smtp_url(url)

    assert (server.host, server.port, server.tls, server.user) == (host, port, tls, None)


def test_user_and_password_are_decoded_and_not_shown() -> None:
    server = parse_smtp_url(f"smtps://{LOGIN}@mail.example.com")

    assert (server.user, server.password) == (USER, PASSWORD)
    assert PASSWORD not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "", "mail.example.com:587", "http://mail.example.com", "smtp://", "smtp://:25", "smtp://mail.example.com:port",
        "smtp://mail.example.com:99999", "smtp://user@mail.example.com", "smtp://mail.example.com/inbox",
        "smtp://u:secret@mail.example.com?tls=maybe", "smtps://mail.example.com?tls=off", "smtp://mail.example.com?x=1",
        "smtp://u:secret@mail.example.com#x", "smtp://[::1", "smtp://u:secret@mail.example.com?tls",
    ],
)  # fmt: skip
def test_another_smtp_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_smtp_url(url)

    assert "secret" not in str(caught.value)
