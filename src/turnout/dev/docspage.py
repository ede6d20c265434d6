"""``/_turnout/docs`` and ``/_turnout/openapi.json``: what the project's routes promise, while it is developed.

The page is Swagger UI, its files from the ``openapi`` extra: a package that carries them, of which no code runs
and which needs no network. Without it the page is a plain list. Both are for this machine alone, as the mails are
(``mailpage.py``). The document itself is ``contract/``'s.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..http.request import Request
from ..http.response import Response
from .mailpage import is_local

if TYPE_CHECKING:
    from ..contract import Contract, Operation
    from ..project import Project

DOCUMENT = "/_turnout/openapi.json"
PAGE = "/_turnout/docs"
ASSETS = {"swagger-ui.css": "text/css; charset=utf-8", "swagger-ui-bundle.js": "text/javascript; charset=utf-8"}

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#0000001f, #ffffff26); --dim: light-dark(#5f6368, #9aa0a6);
  --link: light-dark(#0b57d0, #a8c7fa); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; } a { color: var(--link); }
section { border-top: 1px solid var(--line); padding: .8rem 0; } p { margin: .2rem 0; } .dim { color: var(--dim); }
"""
_SWAGGER = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{PAGE}/swagger-ui.css">
</head>
<body>
<main id="ui"></main>
<noscript><p>This page needs JavaScript. <a href="{DOCUMENT}">The document itself</a> does not.</p></noscript>
<script src="{PAGE}/swagger-ui-bundle.js"></script>
<script src="{PAGE}/start.js"></script>
</body>
</html>
"""
_START = f"""
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
SwaggerUIBundle({{
  url: "{DOCUMENT}",
  dom_id: "#ui",
  deepLinking: true,
  displayOperationId: false,
  docExpansion: "list",
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null, // or each visit would tell a stranger of this document
  onComplete: () => {{ document.title = document.querySelector(".info .title")?.firstChild?.textContent ?? "API"; }},
}});
"""


def _csp(styles: str) -> str:
    return (
        "default-src 'none'; script-src 'self'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src {styles}"
    )


UI_CSP = _csp("'self'")
LIST_CSP = _csp("'sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode() + "'")


class Docs:
    """The pages of the project that was loaded last."""

    def __init__(self) -> None:
        self._project: Project | None = None
        self._contract: Contract | None = None

    def show(self, project: Project) -> None:
        """From now on *project* is described."""
        self._project, self._contract = project, None

    async def answer(self, request: Request) -> Response | None:
        """What *request* asks for; None where it is none of these pages, or comes from somewhere else."""
        path = request.target.partition("?")[0]
        if not path.startswith((PAGE, DOCUMENT)) or request.method not in ("GET", "HEAD") or not is_local(request):
            return None
        if self._project is None:  # nothing has been loaded yet, and the answer to that is another page
            return None
        if path == DOCUMENT:
            page: Response | None = await self._document()
        elif path == PAGE:
            page = await self._page()
        else:
            page = await _asset(path.removeprefix(f"{PAGE}/"))
        if page is not None:
            page.headers.set("cache-control", "no-store")
        return page

    async def _read(self) -> Contract:
        if self._contract is None:
            from ..contract import read

            assert self._project is not None
            # Reads the source of every route, which takes longer than a request may hold the loop.
            self._contract = await asyncio.to_thread(read, self._project)
        return self._contract

    async def _document(self) -> Response:
        from ..contract import openapi

        return Response.json(openapi(await self._read()))

    async def _page(self) -> Response:
        if _ui_folder() is not None:
            page, policy = Response.html(_SWAGGER), UI_CSP
        else:
            page, policy = Response.html(_listed(await self._read())), LIST_CSP
        page.headers.set("content-security-policy", policy)
        return page


def _ui_folder() -> Path | None:
    """Where the files of Swagger UI are; None if they are not installed."""
    from importlib.util import find_spec

    # Found, not imported: the package is one for Flask, and only its files are wanted.
    spec = find_spec("flask_swagger_ui")
    folder = Path(spec.origin).parent / "dist" if spec is not None and spec.origin is not None else None
    return folder if folder is not None and all((folder / name).is_file() for name in ASSETS) else None


async def _asset(name: str) -> Response | None:
    if name == "start.js":
        return Response(_START, headers={"content-type": "text/javascript; charset=utf-8"})
    folder = _ui_folder()
    if name not in ASSETS or folder is None:
        return None
    # Read whole: a file of the response's own is prepared by the app, which is not asked here.
    return Response(await asyncio.to_thread((folder / name).read_bytes), headers={"content-type": ASSETS[name]})


def _listed(contract: Contract) -> str:
    """Every operation on one plain page."""
    shown = "".join(map(_section, (each for each in contract.operations if each.method not in ("HEAD", "OPTIONS"))))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(contract.title)}</title><link rel="icon" href="data:,"><style>{_STYLE}</style><body><main>'
        f"<h1>{escape(contract.title)} {escape(contract.version)}</h1>"
        f'<p><a href="{DOCUMENT}">OpenAPI document</a></p>'
        '<p class="dim">To try the routes here: <code>pip install "turnout[openapi]"</code></p>'
        f"{shown}</main></body></html>"
    )


def _section(operation: Operation) -> str:
    said = [operation.summary, operation.description]
    parameters = ", ".join(f"{each.name} ({each.place})" for each in operation.parameters)
    answers = ", ".join(str(answer.status or "any") for answer in operation.answers)
    facts = [
        f"Parameters: {parameters}" if parameters else "",
        f"Body: {', '.join(operation.body.media)}" if operation.body else "",
        f"Answers: {answers}",
        f"For: {operation.auth}" if operation.auth else "",
        f"In {operation.file}, line {operation.line}",
    ]
    return (
        f"<section><h2>{operation.method} <code>{escape(operation.path)}</code></h2>"
        + "".join(f"<p>{escape(each)}</p>" for each in said if each)
        + "".join(f'<p class="dim">{escape(each)}</p>' for each in facts if each)
        + "</section>"
    )
