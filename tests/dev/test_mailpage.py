"""/__dev/mail: the outbox in a browser, for this machine alone, with whatever a message holds kept harmless."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dev.test_server import Dev

from turnout import mail, send_email
from turnout.config import MailConfig
from turnout.dev import mailpage
from turnout.http.guard import fields
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.mail import Attachment

HOSTILE = "<script>alert(1)</script>"
HTML = (
    f"<h1>Hi</h1>{HOSTILE}<img src=x onerror=alert(1)><a href='javascript:alert(1)'>a</a>"
    "<a href='https://b.example/reset?token=1&amp;x=2'>reset</a><form action=/api/delete></form></iframe>"
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Path:
    mail.configure(MailConfig(), mode="development", values={}, data=tmp_path)
    return tmp_path


async def send(**fields: Any) -> None:
    given: dict[str, Any] = {"to": "Ada <ada@example.com>", "subject": "Hello", "text": "Hi"} | fields
    await send_email(**given)


async def ask(path: str = "", method: str = "GET", peer: str = "127.0.0.1", **headers: str) -> Response | None:
    given = {"host": "localhost:8000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await mailpage.answer(Request(method, f"/__dev/mail{path}", headers=given, peer=peer))


async def text(path: str = "") -> str:
    page = await ask(path)
    assert page is not None and page.status == 200
    return page.body.decode()


def name_of(root: Path) -> str:
    (file,) = (root / "outbox").glob("*.eml")
    return file.stem


async def test_an_empty_outbox_says_what_will_come() -> None:
    assert "send_email()" in await text()


async def test_messages_are_listed_newest_first() -> None:
    await send(subject="earlier")
    await send(subject="=?utf-8?q?second?=")

    page = await text()

    assert 0 < page.index("=?utf-8?q?second?=") < page.index("earlier")
    assert "ada@example.com" in page


async def test_a_message_shows_its_head_its_text_its_links_and_its_files(project: Path) -> None:
    await send(subject="Zurück", html=HTML, text="plain words", attachments=[Attachment("Bericht ü.pdf", b"\0%PDF")])
    name = name_of(project)

    page = await text(f"/{name}")

    for part in ("<h1>Zurück</h1>", "&quot;Ada&quot; &lt;ada@example.com&gt;", "plain words", "Bericht ü.pdf"):
        assert part in page
    assert 'href="https://b.example/reset?token=1&amp;x=2"' in page
    file = await ask(f"/{name}/files/0")
    assert file is not None and file.body == b"\0%PDF"
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''Bericht%20%C3%BC.pdf"
    assert file.headers["content-type"] == "application/octet-stream"
    assert "Subject: =?utf-8?b?" in await text(f"/{name}/source")


async def test_nothing_of_a_message_is_markup_on_the_page(project: Path) -> None:
    await send(
        to=f'"{HOSTILE}" <ada@example.com>', subject=HOSTILE, html=HTML, text=HOSTILE,
        attachments=[Attachment("a'b&c.html", HOSTILE.encode())],
    )  # fmt: skip

    for page in (await text(), await text(f"/{name_of(project)}")):
        assert "<script" not in page and "onerror" not in page and "javascript:" not in page
        # Its own markup, and none of a message's: no tag but these.
        assert set(re.findall(r"<([a-z0-9]+)", page)) <= {
            "html", "meta", "title", "style", "body", "h1", "h2", "p", "a", "dl", "dt", "dd", "iframe", "ul", "li",
            "pre", "span", "br",
        }  # fmt: skip


async def test_the_html_of_a_message_runs_nothing_and_loads_nothing(project: Path) -> None:
    await send(html=HTML)
    name = name_of(project)

    assert f'<iframe sandbox title="The message" src="/__dev/mail/{name}/html">' in await text(f"/{name}")
    page = await ask(f"/{name}/html")
    assert page is not None and HOSTILE in page.body.decode()
    sent = dict(fields(page))
    policy = dict(part.strip().partition(" ")[::2] for part in sent["content-security-policy"].split(";"))
    assert policy["sandbox"] == "" and policy["default-src"] == "'none'" and policy["form-action"] == "'none'"
    assert "script-src" not in policy
    assert (policy["img-src"], policy["frame-ancestors"]) == ("data:", "'self'")
    assert (sent["x-frame-options"], sent["referrer-policy"], sent["cache-control"]) == (
        "SAMEORIGIN", "no-referrer", "no-store",
    )  # fmt: skip


async def test_a_page_of_ours_is_framed_by_nobody() -> None:
    page = await ask()
    assert page is not None
    sent = dict(fields(page))
    assert (
        "default-src 'none'" in sent["content-security-policy"]
        and "frame-ancestors 'none'" in sent["content-security-policy"]
    )
    assert sent["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "asked",
    [
        {"peer": "10.0.0.7"},
        {"peer": "::2"},
        {"host": "evil.example"},
        {"host": "localhost.evil.example:8000"},
        {"host": "evil.example@localhost"},
        {"x_forwarded_for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
        {"method": "POST"},
        {"method": "DELETE"},
    ],
)
async def test_only_a_browser_of_this_machine_gets_anything(project: Path, asked: dict[str, str]) -> None:
    await send(html=HTML)
    name = name_of(project)

    for path in ("", f"/{name}", f"/{name}/html", f"/{name}/source"):
        assert await ask(path, **asked) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/..%2f..",
        "/x.eml",
        "/1-zzzzzzzz",
        "/.",
        "//",
        "/1-00000000/html/x",
        "/1-00000000/files/x",
    ],
)
async def test_another_path_is_none_of_ours(path: str) -> None:
    assert await ask(path) is None


@pytest.mark.parametrize("part", ["", "/html", "/source", "/files/0"])
async def test_a_message_that_is_not_there_is_said_so(part: str) -> None:
    page = await ask(f"/1-00000000{part}")

    assert page is not None and page.status == 404


async def test_a_part_that_a_message_has_not_is_said_so(project: Path) -> None:
    await send()
    for part in ("html", "files/0"):
        page = await ask(f"/{name_of(project)}/{part}")
        assert page is not None and page.status == 404


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"Subject: =?no-such?b?!!?=\r\n\r\n", b"Content-Type: multipart/mixed\r\n\r\nx", b"\0" * 999],
)
async def test_a_file_that_is_no_message_breaks_no_page(project: Path, data: bytes) -> None:
    folder = project / "outbox"
    folder.mkdir()
    (folder / "1-00000000.eml").write_bytes(data)

    await text()
    await text("/1-00000000")


def test_turnout_dev_shows_what_a_route_has_mailed(tmp_path: Path) -> None:
    route = tmp_path / "app/api/hello/route.py"
    route.parent.mkdir(parents=True)
    route.write_text(
        "from turnout import send_email\n\n\nasync def GET():\n"
        "    await send_email(to='ada@example.com', subject='Welcome', html='<p>Hi</p>')\n    return 'sent'\n"
    )
    with Dev(tmp_path) as dev:
        assert dev.get("/api/hello")[0] == 200

        status, page, _ = dev.get("/__dev/mail")

        dev.until_printed("mail to ada@example.com: Welcome (read it at /__dev/mail/")
    assert status == 200 and "Welcome" in page
