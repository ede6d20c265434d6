"""The page that a browser on this machine sees in development when a handler fails.

One HTML document without scripts: what was raised, the lines of the project's own code first and
open, everybody else's behind them and closed, then the request and its route. All text is escaped,
and what looks like a secret is redacted. Clients that ask for JSON get a problem from ``http/problem.py``.
"""

from __future__ import annotations

import base64
import hashlib
import linecache
import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..log import redact

if TYPE_CHECKING:
    from ..http.request import Request

_STYLE = """
:root { color-scheme: light dark; --red: light-dark(#b3261e, #ff8a80); --soft: light-dark(#0000000a, #ffffff12);
  --mark: light-dark(#b3261e1f, #ff8a8033); --dim: light-dark(#5f6368, #9aa0a6); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; color: var(--red); overflow-wrap: anywhere; white-space: pre-wrap; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .dim { color: var(--dim); }
pre, code, td, th { font-family: ui-monospace, monospace; font-size: .85rem; }
pre { background: var(--soft); border-radius: .5rem; padding: .75rem 0; overflow-x: auto; line-height: 1.6; }
pre span { display: block; padding: 0 1rem; } pre .at { background: var(--mark); font-weight: 600; }
i { color: var(--dim); font-style: normal; display: inline-block; min-width: 3em; }
th { text-align: left; vertical-align: top; padding-right: 1.5rem; font-weight: normal; color: var(--dim); }
td { overflow-wrap: anywhere; }
"""
CSP = (
    "default-src 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
"""The content security policy that lets the page's own style through and nothing else."""

_AROUND = 4  # lines of source before and after
_OURS = str(Path(__file__).resolve().parent.parent) + os.sep
_FOREIGN = (_OURS, str(Path(os.__file__).parent) + os.sep, "<")


def render(exc: BaseException, request: Request) -> str:
    """The page for what a handler raised while it answered *request*."""
    parts = []
    for number, each in enumerate(_chain(exc)):
        lead = "" if number == 0 else "<h2>Raised while handling this:</h2>"
        parts.append(lead + _headline(each) + _frames(each))
    return _document(f"{type(exc).__name__} in {request.method} {_path(request)}", "".join(parts) + _request(request))


def render_config_error(error: ConfigError) -> str:
    """The page of a project that has not started yet: what is wrong, where, and the cure."""
    where = f"<p>{_place(str(error.file), error.line)}</p>" if error.file else ""
    source = _source(str(error.file), error.line) if error.file and error.line else ""
    cure = f"<p><b>Cure:</b> {_text(error.cure)}</p>" if error.cure else ""
    waiting = "<p class=dim>Waiting for a change: save the file, then load this page again.</p>"
    return _document("The project does not start", f"<h1>{_text(error.message)}</h1>{where}{source}{cure}{waiting}")


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{body}</body></html>"
    )


def _text(text: str) -> str:
    return escape(redact(text))


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """*exc*, then what it was raised from or during, each once."""
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _headline(exc: BaseException) -> str:
    try:
        said = str(exc)
    except Exception:  # the user's own __str__ may be what is broken
        said = "(its text cannot be shown)"
    notes = "".join(f"<p>{_text(str(note))}</p>" for note in getattr(exc, "__notes__", ()))
    return f"<h1>{escape(type(exc).__name__)}: {_text(said)}</h1>{notes}"


def _is_users(file: str) -> bool:
    return not file.startswith(_FOREIGN) and "site-packages" not in file and "dist-packages" not in file


def _frames(exc: BaseException) -> str:
    frames = list(_places(exc.__traceback__))
    if isinstance(exc, SyntaxError) and exc.filename:
        frames.append((exc.filename, exc.lineno or 1, ""))
    frames.reverse()  # the line that raised comes first
    users = [frame for frame in frames if _is_users(frame[0])]
    others = [frame for frame in frames if not _is_users(frame[0])]
    shown = "".join(f"<p>{_place(file, line, name)}</p>{_source(file, line)}" for file, line, name in users)
    if not others:
        return shown
    state = "" if users else " open"
    hidden = "".join(f"<p>{_place(file, line, name)}</p>{_source(file, line)}" for file, line, name in others)
    return f"{shown}<details{state}><summary>{len(others)} frames of libraries</summary>{hidden}</details>"


def _places(trace: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield code.co_filename, trace.tb_lineno, code.co_name
        trace = trace.tb_next


def _place(file: str, line: int | None, name: str = "") -> str:
    function = f' <span class="dim">in {escape(name)}</span>' if name and name != "<module>" else ""
    return f"<code>{escape(file)}{f':{line}' if line else ''}</code>{function}"


def _source(file: str, line: int) -> str:
    linecache.checkcache(file)
    rows = []
    for number in range(max(1, line - _AROUND), line + _AROUND + 1):
        text = linecache.getline(file, number)
        if text:
            mark = ' class="at"' if number == line else ""
            rows.append(f"<span{mark}><i>{number}</i>{escape(text.rstrip())}</span>")
    return f"<pre>{''.join(rows)}</pre>" if rows else ""


def _path(request: Request) -> str:
    return request.target.partition("?")[0]


def _request(request: Request) -> str:
    route = request.route
    facts = {
        "request": f"{request.method} {request.target}",
        "route": f"{route.pattern}  {route.file}" if route else "none matched",
        "id": request.id,
        **{f"[{name}]": str(value) for name, value in request.params.items()},
    }
    fields = {name: redact(f"{name}: {value}").partition(": ")[2] for name, value in request.headers.items()}
    return f"<h2>Request</h2>{_table(facts)}<h2>Headers</h2>{_table(fields)}"


def _table(rows: dict[str, str]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(k)}<td>{_text(v)}" for k, v in rows.items()) + "</table>"
