"""send_email: from a template or parts to the outbox, and what production demands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout import mail, send_email, templates
from turnout.config import MailConfig
from turnout.errors import ConfigError
from turnout.mail import outbox


def configure(root: Path, mode: Any = "test", values: dict[str, str] | None = None, **settings: Any) -> None:
    templates.configure(root / "templates")
    mail.configure(
        MailConfig(**settings), mode=mode, values=values or {}, data=root / "data", origin="https://b.example"
    )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "templates" / "mail"
    folder.mkdir(parents=True)
    (folder / "welcome.html").write_text('<p>Hi {{ name }}, <a href="{{ origin }}/start">start</a></p>')
    (folder / "welcome.txt").write_text("Hi {{ name }}, start at {{ origin }}/start\n")
    (folder / "page.html").write_text("<h1>Hi {{ name }}</h1>")
    (folder / "note.txt").write_text("Hi {{ name }}\n")
    configure(tmp_path)
    yield tmp_path
    outbox.clear()


async def test_a_template_gives_both_parts_and_escapes_in_one(project: Path) -> None:
    await send_email(to="ada@example.com", subject="Welcome", template="welcome", data={"name": "<b>Ada</b>"})

    (message,) = outbox
    assert message.html == '<p>Hi &lt;b&gt;Ada&lt;/b&gt;, <a href="https://b.example/start">start</a></p>'
    assert message.text == "Hi <b>Ada</b>, start at https://b.example/start\n"
    assert (message.subject, [each.email for each in message.to]) == ("Welcome", ["ada@example.com"])


async def test_either_part_may_be_missing(project: Path) -> None:
    await send_email(to="ada@example.com", subject="1", template="page", data={"name": "Ada"})
    await send_email(to="ada@example.com", subject="2", template="note", data={"name": "Ada"})

    assert [(each.html, each.text) for each in outbox] == [("<h1>Hi Ada</h1>", "Hi Ada\n"), (None, "Hi Ada\n")]


async def test_a_missing_template_is_an_error_that_names_both_places(project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        await send_email(to="ada@example.com", subject="x", template="welcom")

    assert str(project / "templates/mail/welcom.html") in str(caught.value)
    assert str(project / "templates/mail/welcom.txt") in str(caught.value)


async def test_a_misspelt_name_is_an_error_with_file_and_line_and_nothing_is_sent(project: Path) -> None:
    (project / "templates/mail/bad.txt").write_text("Hello\n{{ nmae }}\n")

    with pytest.raises(ConfigError, match="'nmae' is undefined") as caught:
        await send_email(to="ada@example.com", subject="x", template="bad", data={"name": "Ada"})

    assert (caught.value.file, caught.value.line) == (project / "templates/mail/bad.txt", 2)
    assert outbox == []


@pytest.mark.parametrize(
    "parts",
    [{}, {"template": "welcome", "text": "x"}, {"template": "welcome", "html": "x"}, {"text": "x", "data": {}}],
)
async def test_a_message_has_one_source(project: Path, parts: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        await send_email(to="ada@example.com", subject="x", **parts)


async def test_in_development_a_message_is_a_file_that_its_owner_alone_may_read(project: Path) -> None:
    configure(project, "development", {"SMTP_URL": "smtp://user:pw@mail.example.com"}, transport="smtp")

    await send_email(to="ada@example.com", subject="x", text="hello")

    (file,) = (project / "data/outbox").iterdir()
    assert file.suffix == ".eml" and b"\r\n\r\nhello\r\n" in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0


async def test_a_test_sends_nothing_whatever_the_machine_says(project: Path) -> None:
    configure(project, "test", {"MAIL_TRANSPORT": "smtp", "SMTP_URL": "smtp://mail.example.com"}, transport="smtp")

    await send_email(to="ada@example.com", subject="x", text="hello")

    assert len(outbox) == 1


async def test_production_without_a_transport_refuses_the_first_message(project: Path) -> None:
    configure(project, "production", sender="a@example.com")

    with pytest.raises(ConfigError, match=r"no mail transport(.|\n)*SMTP_URL"):
        await send_email(to="ada@example.com", subject="x", text="hello")


async def test_production_without_a_sender_refuses_the_first_message(project: Path) -> None:
    configure(project, "production", {"SMTP_URL": "smtp://localhost:1"})

    with pytest.raises(ConfigError, match="no sender"):
        await send_email(to="ada@example.com", subject="x", text="hello")


async def test_outside_a_project_there_is_no_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.mail.send._mailer", None)

    with pytest.raises(ConfigError, match="not configured"):
        await send_email(to="ada@example.com", subject="x", text="hello")


def test_a_sender_that_is_no_address_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sender of \[tool.turnout.mail\]"):
        configure(tmp_path, "production", sender="The Blog")


def check(root: Path) -> str:
    inherited = {name: value for name, value in os.environ.items() if name not in ("SMTP_URL", "RESEND_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-m", "turnout", "check"], cwd=root, env=inherited, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def test_check_says_that_production_could_not_send(tmp_path: Path) -> None:
    route = tmp_path / "app/api/hello/route.py"
    route.parent.mkdir(parents=True)
    route.write_text("from turnout import send_email\n\n\nasync def GET():\n    await send_email(to='a@b.co')\n")
    settings = '[tool.turnout]\nallowed_hosts = ["localhost"]\n'
    (tmp_path / "pyproject.toml").write_text(settings)

    said = check(tmp_path)
    assert "no mail transport is configured" in said and "no sender is set" in said

    (tmp_path / "pyproject.toml").write_text(f'{settings}[tool.turnout.mail]\ntransport = "smtp"\nsender = "a@b.co"\n')
    assert "no problems" in check(tmp_path)


def test_check_finds_a_template_that_does_not_compile(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "templates/mail").mkdir(parents=True)
    (tmp_path / "templates/mail/welcome.txt").write_text("Hi\n{% if %}\n")
    (tmp_path / "templates/logo.png").write_bytes(b"\x89PNG\xff")

    assert "templates/mail/welcome.txt:2" in check(tmp_path)


async def test_production_says_that_mail_was_sent_and_nothing_of_it(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configure(project, "production", sender="a@example.com", transport="outbox")
    with caplog.at_level("DEBUG"):
        await send_email(to="ada@example.com", subject="Code 123456", html="<a href='https://x.co/t=abc'>link</a>")

    (record,) = [each for each in caplog.records if each.name.startswith("turnout")]
    assert (record.getMessage(), record.transport, record.recipients) == ("mail sent", "outbox", 1)  # type: ignore[attr-defined]
    assert "123456" not in caplog.text and "ada@" not in caplog.text and "abc" not in caplog.text
