"""Messages: what is refused, and what arrives at whoever reads their bytes by RFC 5322."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.mail import Address, Attachment, Message, parse_address
from turnout.mail.message import parse_addresses

ADA = Address("ada@example.com", "Ada")


def message(**fields: Any) -> Message:
    return Message(**({"sender": ADA, "to": (ADA,), "subject": "Hello", "text": "Hi\n"} | fields))


def read(sent: Message) -> EmailMessage:
    data = sent.to_bytes()
    # What a server may count on: ASCII, CR LF and nothing else at the end of a line, no line over 998.
    assert data.isascii() and b"\0" not in data
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    return email.message_from_bytes(data, policy=email.policy.default)  # type: ignore[return-value]


def subject_of(sent: Message) -> str:
    """The subject as a mail program shows it: unfolded, then its encoded words decoded once."""
    head = sent.to_bytes().split(b"\r\n\r\n")[0].decode("ascii")
    (raw,) = [line for line in head.replace("\r\n ", " ").split("\r\n") if line.startswith("Subject: ")]
    return str(email.header.make_header(email.header.decode_header(raw.removeprefix("Subject: "))))


CONTROLS = [chr(code) for code in (*range(32), 127, *range(128, 160), 0x2028, 0x2029, 0x202D, 0x202E, 0xD800)]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: f"U+{ord(c):04X}")
def test_no_control_character_comes_into_a_head(control: str) -> None:
    for make in (
        lambda: message(subject=f"Hi{control}Bcc: eve@example.com"),
        lambda: Address("ada@example.com", f"Ada{control}Bcc: eve@example.com"),
        lambda: parse_address(f"ada@example.com{control}"),
        lambda: parse_address(f"{control}ada@example.com"),
        lambda: parse_address(f"ada{control}@example.com"),
        lambda: parse_address(f"Ada {control} <ada@example.com>"),
        lambda: parse_address(f"ada@exam{control}ple.com"),
        lambda: Attachment(f"a{control}b.txt", b""),
        lambda: message(idempotency_key=f"a{control}"),
    ):
        with pytest.raises(ValueError):
            make()


WORDS = [
    "=?utf-8?q?Hi?=",
    "=?utf-8?q?Hi=0D=0ABcc:_eve@example.com?=",
    "a =?utf-8?b?SGk=?= b",
    "=?",
    "x" * 998,
    "wort " * 150,
    "ü" * 400,
    "👩‍👩‍👧‍👦" * 40,
    " leading and trailing ",
    "two  blanks   kept",
    "",
]


@pytest.mark.parametrize("subject", WORDS, ids=range(len(WORDS)))
def test_a_subject_arrives_as_it_was_said(subject: str) -> None:
    sent = message(subject=subject)

    assert subject_of(sent) == subject
    assert read(sent)["bcc"] is None


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
LINE = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\u202d\u202e"), max_size=200
)


@settings(deadline=None, max_examples=150)
@given(LINE, LINE, TEXT, st.none() | TEXT)
def test_whatever_a_message_says_is_what_is_read(subject: str, name: str, text: str, html: str | None) -> None:
    sent = message(subject=subject, to=(Address("bob@example.com", name),), text=text, html=html)

    got = read(sent)

    assert subject_of(sent) == subject
    assert {name.lower() for name in got} <= {
        "from", "to", "subject", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding",
    }  # fmt: skip
    parts = [part for part in got.walk() if not part.is_multipart()]
    assert [lines(part.get_payload(decode=True)) for part in parts] == [
        lines(said.encode()) for said in (text, html) if said is not None
    ]


def lines(data: Any) -> bytes:
    """With one kind of line end, and one at the end: what a message may change in a text."""
    joined = bytes(data).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return joined if joined.endswith(b"\n") else joined + b"\n"


NAMES = [
    "Ada Lovelace",
    'Ada "the first" L.',
    "a\\b",
    "Ödön, von",
    "=?utf-8?q?x?=",
    "Eve <eve@example.com>",
    "x" * 200,
    "ü" * 200,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_adds_no_address(name: str) -> None:
    got = read(message(to=(Address("bob@example.com", name), ADA), reply_to=Address("eve@example.com", name)))

    assert [each.addr_spec for each in got["to"].addresses] == ["bob@example.com", "ada@example.com"]
    assert [each.addr_spec for each in got["reply-to"].addresses] == ["eve@example.com"]
    if "=?" not in name:
        # Python's reader puts a blank between two encoded words of a name, which RFC 2047 §6.2 forbids.
        assert got["to"].addresses[0].display_name.replace(" ", "") == name.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "email", "name"),
    [
        ("ada@example.com", "ada@example.com", ""),
        ("a.b+c@Example.COM", "a.b+c@example.com", ""),
        ("Ada <ada@example.com>", "ada@example.com", "Ada"),
        ('"Lovelace, \\"Ada\\"" <ada@example.com>', "ada@example.com", 'Lovelace, "Ada"'),
        ("<ada@example.com>", "ada@example.com", ""),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", ""),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example", ""),
        ("ada@例え.テスト", "ada@xn--r8jz45g.xn--zckzah", ""),
        ("ada@例え。テスト", "ada@xn--r8jz45g.xn--zckzah", ""),
        ("ada@localhost", "ada@localhost", ""),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com", ""),
    ],
)
def test_an_address_is_understood(text: str, email: str, name: str) -> None:
    assert parse_address(text) == Address(email, name)


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "ada", "ada@", "@example.com", "ada@@example.com", "a@b@example.com", "ada@example",
        "ada@example..com", ".ada@example.com", "ada.@example.com", "a..b@example.com", "ada@-example.com",
        "ada@example-.com", "ada@1.2.3.4", "ada@[1.2.3.4]", "ada @example.com", "ada@exa mple.com",
        " ada@example.com", "ada@example.com ", "a,b@example.com", "ada@example.com, eve@example.com",
        "ada@example.com;eve@example.com", '"a b"@example.com', "ädä@example.com", "ada@fuß.example",
        "ada@a\u200db.example", f"{'a' * 65}@example.com", f"a@{'b' * 64}.com", f"a@{'b.' * 125}com",
        "=?utf-8?q?a?=@example.com", "ada@=?utf-8?q?a?=.com", "Ada <ada@example.com> <eve@example.com>", "<<a@b.co>>",
        "ada@example.com>", "ada@℀.example", "ada@example.com.", "a" * 10_000 + "@example.com", "ada(x)@example.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def test_a_domain_whose_letters_hide_a_dot_or_an_at_is_refused() -> None:
    for character in "\u2024\uff20\ufe6b\uff0f\u2100\u2048":
        with pytest.raises(ValueError):
            parse_address(f"ada@a{character}b.example")


def test_several_recipients_are_each_named_once() -> None:
    assert parse_addresses(["a@b.co", "c@d.co", "a@b.co"]) == (Address("a@b.co"), Address("c@d.co"))
    with pytest.raises(ValueError, match="needs a recipient"):
        message(to=parse_addresses([]))
    with pytest.raises(ValueError, match="at most 50"):
        message(to=tuple(Address(f"a{number}@b.co") for number in range(51)))


@pytest.mark.parametrize("name", ["../x.txt", "a/b", "a\\b", "", ".", "..", "C:x", "a?b", 'a"b', "x" * 201])
def test_an_attachment_is_called_by_a_file_name(name: str) -> None:
    with pytest.raises(ValueError):
        Attachment(name, b"")


@pytest.mark.parametrize(
    "name", ["report.pdf", "Bericht für Ödön 2026 — " + "ü" * 120 + ".pdf", "=_utf-8_q_x_=.txt", "a;b='c'.txt"]
)
def test_an_attachment_arrives_with_its_name_and_bytes(name: str) -> None:
    content = bytes(range(256)) * 20

    (got,) = read(message(html="<p>x</p>", attachments=(Attachment(name, content),))).iter_attachments()

    assert (got.get_filename(), got.get_payload(decode=True)) == (name, content)
    assert got.get_content_disposition() == "attachment"


def test_a_media_type_begins_no_header() -> None:
    for kind in ("text/html\r\nX: y", "text", "text/", "/html", "text/html; charset=x", "a/b c"):
        with pytest.raises(ValueError):
            Attachment("a.txt", b"", kind)
    assert Attachment("a.eml", b"", "message/rfc822").media_type == "application/octet-stream"


def test_a_message_has_an_id_and_a_date() -> None:
    got = read(message())

    assert got["message-id"].endswith("@example.com>") and got["date"].datetime is not None
    assert message().id != message().id


def test_the_same_key_gives_the_same_id() -> None:
    assert message(idempotency_key="k").id == message(idempotency_key="k").id != message(idempotency_key="l").id


def test_neither_repr_nor_errors_show_what_a_message_says() -> None:
    sent = message(text="the secret link", html="<p>the secret link</p>", attachments=(Attachment("a.txt", b"secret"),))

    assert "secret" not in repr(sent) + repr(sent.attachments)


def test_a_text_holds_characters_only() -> None:
    for text in ("a\0b", "a\ud800b"):
        with pytest.raises(ValueError, match="no character"):
            message(text=text)
        with pytest.raises(ValueError, match="no character"):
            message(html=text)


def test_a_message_survives_a_queue() -> None:
    import json

    sent = message(html="<p>ü</p>", reply_to=ADA, attachments=(Attachment("a.bin", b"\0\xff"),), idempotency_key="k")

    assert Message.from_data(json.loads(json.dumps(sent.to_data()))) == sent
