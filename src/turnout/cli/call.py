"""Make one request to the project without a server, and print the answer.

turnout call GET /api/posts
turnout call POST /api/posts -d '{"title": "Hello"}' -H 'authorization: Bearer ...'

The exit status is 0 for an answer below 400, 1 for one from 400 on.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..http.media import is_json
from .load import configure_log, load, project_root
from .main import FAILED, WrongUsage

if TYPE_CHECKING:
    from ..http.fetch import Fetch
    from ..testing import Answer


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("method", type=str.upper, help="GET, POST, ...")
    parser.add_argument("target", help="path and query, such as /api/posts?page=2")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    parser.add_argument("-d", "--data", metavar="BODY", help="the body; @FILE reads a file, @- standard input")
    parser.add_argument("-i", "--include", action="store_true", help="print the header fields too")
    parser.add_argument("--json", action="store_true", help="one JSON object: status, headers, body")
    parser.add_argument("--root", type=Path, help="the project (default: the current folder)")


def run(args: argparse.Namespace) -> int:
    """Call, print, and judge by the status."""
    headers = dict(map(_field, args.header))
    body = _body(args.data)
    if body and "content-type" not in headers:
        is_json = body.lstrip()[:1] in (b"{", b"[")
        headers["content-type"] = "application/json" if is_json else "application/x-www-form-urlencoded"
    root = project_root(args.root)
    configure_log("development")
    # The first request of a process also imports and compiles what it needs, and nobody waits behind this one.
    logging.getLogger("turnout.stalls").disabled = True
    app = load(root, "development").app
    answer = asyncio.run(_call(app, args.method, args.target, headers, body))
    if args.json:
        print(json.dumps(_as_data(answer)))
    else:
        _show(answer, args.include)
    return 0 if answer.status < 400 else FAILED


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise WrongUsage(f"-H {text!r} is no header field", cure="write it as 'name: value'")
    return name.strip().lower(), value.strip()


def _body(given: str | None) -> bytes:
    if given is None or not given.startswith("@"):
        return (given or "").encode()
    if given == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(given[1:]).read_bytes()
    except OSError as exc:
        raise WrongUsage(f"cannot read {given[1:]}: {exc.strerror}", cure="check the path after @") from exc


async def _call(app: Fetch, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
    from ..testing import Client

    async with Client(app) as client:
        return await client.request(method, target, headers=headers, body=body)


def _as_data(answer: Answer) -> dict[str, Any]:
    """*answer* for programs: what is no text is in ``body_base64``."""
    found: dict[str, Any] = {"status": answer.status, "headers": list(answer.headers.items())}
    try:
        text = answer.body.decode()
    except UnicodeDecodeError:
        return {**found, "body_base64": base64.b64encode(answer.body).decode()}
    if is_json(answer.headers.get("content-type") or ""):
        with suppress(ValueError):
            return {**found, "body": json.loads(text)}
    return {**found, "body": text}


def _show(answer: Answer, include: bool) -> None:
    print(answer.status)
    if include:
        for name, value in answer.headers.items():
            print(f"{name}: {value}")
        print()
    if answer.body:
        print(_pretty(answer))


def _pretty(answer: Answer) -> str:
    if is_json(answer.headers.get("content-type") or ""):
        with suppress(ValueError):
            return json.dumps(json.loads(answer.body), indent=2, ensure_ascii=False)
    return answer.body.decode(errors="replace")
