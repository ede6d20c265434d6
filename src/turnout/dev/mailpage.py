"""``/__dev/mail``: what was mailed in development, read in the browser.

For a browser on this machine alone: the peer is a loopback address, the Host one of its names (so that a
page elsewhere cannot reach it through a name of its own), and nothing was forwarded. Anybody else finds
nothing here. A message is what strangers wrote: its text is escaped, and its HTML is shown in a frame without
scripts, forms, navigation or anything from the network, by ``sandbox`` on the frame and by the policy of
the document itself, should somebody open it alone. Links are listed beside it.
"""

from __future__ import annotations

import asyncio
import base64
import email
import hashlib
import re
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

from ..http.request import Request
from ..http.response import Response
from ..mail import mailer
from ..mail.local import FOLDER

PREFIX = "/__dev/mail"
_SHOWN = 200
_LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
_is_local_host = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?", re.IGNORECASE).fullmatch
_is_forwarded = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_route = re.compile(r"/__dev/mail(?:/(\d{1,20}-[0-9a-f]{8})(?:/(html|source|files/(\d{1,3})))?)?/?").fullmatch

_STYLE = """
:root { color-scheme: light dark; --soft: light-dark(#0000000a, #ffffff12); --dim: light-dark(#5f6368, #9aa0a6);
  --line: light-dark(#0000001f, #ffffff26); --link: light-dark(#0b57d0, #a8c7fa); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 1rem; overflow-wrap: anywhere; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
a { color: var(--link); overflow-wrap: anywhere; } .dim { color: var(--dim); }
ul { list-style: none; padding: 0; } li { border-top: 1px solid var(--line); padding: .6rem 0; }
li a { font-weight: 600; } dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.5rem; margin: 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
iframe { width: 100%; height: 32rem; border: 1px solid var(--line); border-radius: .5rem; background: #fff;
  color-scheme: light; resize: vertical; }
pre { background: var(--soft); border-radius: .5rem; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
CSP = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; frame-src 'self'; "
    "style-src 'sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode() + "'"
)
MAIL_CSP = (
    "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "img-src data:; style-src 'unsafe-inline'"
)
"""What the HTML of a message may do: look like something."""


async def answer(request: Request) -> Response | None:
    """The page that *request* asks for; None where it is none of these, or comes from somewhere else."""
    path = request.target.partition("?")[0]
    found = _route(path)
    if found is None or request.method not in ("GET", "HEAD") or not is_local(request):
        return None
    folder = mailer().data / FOLDER
    name, part, number = found.groups()
    if name is None:
        page: Response | None = _page("Mail", _list(await asyncio.to_thread(_newest, folder)))
    else:
        mail = await asyncio.to_thread(_load, folder / f"{name}.eml")
        page = None if mail is None else _part(mail, part, number)
    if page is None:
        page = _page("No such message", "<h1>No such message</h1><p><a href='/__dev/mail'>All mail</a></p>", 404)
    page.headers.set("cache-control", "no-store")
    page.headers.set("referrer-policy", "no-referrer")
    return page


def is_local(request: Request) -> bool:
    return (
        request.peer in _LOOPBACK
        and len(request.headers.get_all("host")) == 1
        and _is_local_host(request.headers["host"]) is not None
        and not any(map(request.headers.has, _is_forwarded))
    )


# -- messages


@dataclass(frozen=True, slots=True)
class _Mail:
    name: str
    source: bytes
    message: Message

    def head(self, field: str) -> str:
        """The text of a header field, its encoded words decoded once."""
        raw = str(self.message.get(field, ""))
        try:
            return str(make_header(decode_header(re.sub(r"\r?\n", "", raw))))
        except (ValueError, LookupError):
            return raw

    def text(self, kind: str) -> str | None:
        """The first part of type *kind* that is no attachment."""
        for part in self.message.walk():
            if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
                return _bytes(part).decode("utf-8", "replace")
        return None

    @property
    def files(self) -> list[tuple[str, bytes]]:
        """Attachments: name and bytes."""
        parts = [part for part in self.message.walk() if part.get_content_disposition() == "attachment"]
        return [(part.get_filename() or "attachment", _bytes(part)) for part in parts]


def _bytes(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _load(file: Path) -> _Mail | None:
    try:
        source = file.read_bytes()
    except OSError:
        return None
    return _Mail(file.stem, source, email.message_from_bytes(source))


def _newest(folder: Path) -> list[_Mail]:
    files = sorted(folder.glob("*.eml"), reverse=True)[:_SHOWN]
    return [mail for mail in map(_load, files) if mail is not None]


# -- pages


def _part(mail: _Mail, part: str | None, number: str | None) -> Response | None:
    if part is None:
        return _page(mail.head("subject"), _message(mail))
    if part == "source":
        return Response.text(mail.source.decode("ascii", "replace"))
    if part == "html":
        html = mail.text("text/html")
        return None if html is None else _framed(html)
    files = mail.files
    if int(number or 0) >= len(files):
        return None
    name, content = files[int(number or 0)]
    # Bytes to be saved, whatever type the message says: nothing of a mail is opened on this origin.
    return Response(content, headers={"content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"})


def _framed(html: str) -> Response:
    page = Response.html(html)
    page.headers.set("content-security-policy", MAIL_CSP)
    page.headers.set("x-frame-options", "SAMEORIGIN")
    return page


def _page(title: str, body: str, status: int = 200) -> Response:
    page = Response.html(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{body}</body></html>",
        status,
    )
    page.headers.set("content-security-policy", CSP)
    return page


def _list(mails: list[_Mail]) -> str:
    if not mails:
        return "<h1>Mail</h1><p>Nothing was mailed yet. What <code>send_email()</code> sends is shown here.</p>"
    rows = "".join(
        f'<li><a href="{PREFIX}/{mail.name}">{escape(mail.head("subject") or "(no subject)")}</a><br>'
        f'<span class="dim">to {escape(mail.head("to"))} · {escape(mail.head("date"))}</span></li>'
        for mail in mails
    )
    return f"<h1>Mail</h1><p class=dim>Newest first. Nothing has left this machine.</p><ul>{rows}</ul>"


def _message(mail: _Mail) -> str:
    fields = "".join(
        f"<dt>{field}<dd>{escape(mail.head(field))}"
        for field in ("From", "To", "Reply-To", "Date", "Message-ID")
        if mail.head(field)
    )
    subject = escape(mail.head("subject") or "(no subject)")
    parts = [f'<p><a href="{PREFIX}">All mail</a></p><h1>{subject}</h1><dl>{fields}</dl>']
    html = mail.text("text/html")
    if html is not None:
        parts.append(f'<h2>HTML</h2><iframe sandbox title="The message" src="{PREFIX}/{mail.name}/html"></iframe>')
        parts.append(_links(html))
    parts.append(f"<h2>Text</h2><pre>{escape(mail.text('text/plain') or '')}</pre>")
    if files := mail.files:
        rows = "".join(
            f'<li><a href="{PREFIX}/{mail.name}/files/{number}">{escape(name)}</a> '
            f"<span class=dim>{len(data)} bytes</span>"
            for number, (name, data) in enumerate(files)
        )
        parts.append(f"<h2>Attachments</h2><ul>{rows}</ul>")
    parts.append(f'<p class=dim><a href="{PREFIX}/{mail.name}/source">Source</a> · data/outbox/{mail.name}.eml</p>')
    return "".join(parts)


def _links(html: str) -> str:
    """The links of *html* that lead to the web, to be opened from here, as the frame opens none."""
    reader = _Links()
    reader.feed(html)
    rows = "".join(
        f'<li><a href="{escape(href)}" rel="noopener noreferrer" target="_blank">{escape(href)}</a></li>'
        for href in dict.fromkeys(reader.found)
    )
    return f"<h2>Links</h2><ul>{rows}</ul>" if rows else ""


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = (dict(attrs).get("href") or "").strip()
        # Never javascript: or data:, which would run here.
        if tag in ("a", "area") and href.lower().startswith(("http://", "https://")):
            self.found.append(href)
