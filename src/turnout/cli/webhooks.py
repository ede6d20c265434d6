"""Send webhooks to the local server, list what arrived, and send it again.

turnout webhooks trigger stripe checkout.session.completed
turnout webhooks list
turnout webhooks replay evt_...

Ids are kept for 30 days, the payloads of the newest 1,000 events. Mode and so the .env files are
development's, or what TURNOUT_MODE says. No secret is ever printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from ..config import Config, load_config
from ..env import Mode, load_env
from ..errors import ConfigError, DbError
from ..webhooks.samples import PROVIDERS
from .load import project_root
from .main import FAILED, WrongUsage

if TYPE_CHECKING:
    from ..db import Database

T = TypeVar("T")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_TIMEOUT_S = 35


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", type=Path, help="the project (default: the current folder)")
    common.add_argument("--json", action="store_true", help="one JSON object per line")
    sending = argparse.ArgumentParser(add_help=False)
    sending.add_argument(
        "--to", metavar="URL", help="a path, or a URL on this machine (default: the project's one route for the sender)"
    )
    sending.add_argument(
        "--secret-env", metavar="NAME", help="the variable that holds the secret (default: STRIPE_WEBHOOK_SECRET, ...)"
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    trigger = commands.add_parser("trigger", parents=[common, sending], help="send a new event, correctly signed")
    trigger.add_argument("provider", choices=PROVIDERS, help="whose")
    trigger.add_argument("type", help="what happened, such as checkout.session.completed or issues.opened")
    trigger.add_argument(
        "--data", default="{}", metavar="JSON", help="members to set in what the event is about: '{\"amount\": 5}'"
    )
    listing = commands.add_parser("list", parents=[common], help="what arrived, the newest first")
    listing.add_argument("--limit", type=int, default=20, help="how many (default: 20)")
    replay = commands.add_parser("replay", parents=[common, sending], help="send an event that arrived once more")
    replay.add_argument("id", help="as list shows it")
    replay.add_argument("--again", action="store_true", help="also if it has had its effect, which it then has twice")


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    root = project_root(args.root)
    mode = cast(Mode, os.environ.get("TURNOUT_MODE", "development"))
    variables = load_env(root, mode)
    # Only addresses and the database matter here, so production's demand for allowed_hosts does not.
    config = load_config(root, "development", variables)
    if args.action == "list":
        return _list(args, config)
    return (_trigger if args.action == "trigger" else _replay)(args, config, variables)


# -- what arrived


def _list(args: argparse.Namespace, config: Config) -> int:
    from ..webhooks import inbox

    if args.limit < 1:
        raise WrongUsage("--limit must be at least 1", cure="--limit 20")
    rows = _with_database(config, lambda database: inbox.arrived(database, args.limit)) or []
    for row in rows:
        if args.json:
            print(json.dumps({**row, "kept": bool(row["kept"]), "received_at": _when(row)}))
            continue
        what = f"{row['outcome']:<8}  {_tries(row):<8}  {row['type']:<34}  {row['id']}"
        print(f"{_when(row)}  {what}  {_printable(row['path'])}")
        if row["error"]:
            print(f"    {_printable(row['error'])}")
    if not rows and not args.json:
        print("no webhook has arrived in the last 30 days")
    return 0


def _when(row: dict[str, Any]) -> str:
    return datetime.fromtimestamp(row["received_s"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tries(row: dict[str, Any]) -> str:
    return "1 try" if row["tries"] == 1 else f"{row['tries']} tries"


def _printable(text: str) -> str:
    """*text* without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _with_database(config: Config, work: Callable[[Database], Awaitable[T]]) -> T | None:
    """*work* with the project's database; None where it does not exist yet."""
    from ..db import Database

    database = Database(config.database_url)
    if database.path is not None and not database.path.is_file():
        return None

    async def working() -> T:
        try:
            return await work(database)
        except DbError as exc:
            cure = exc.hint or "DATABASE_URL says where it is"
            raise ConfigError(f"{database.place}: {exc.message}", cure=cure) from exc
        finally:
            await database.close()

    return asyncio.run(working())


# -- sending


def _trigger(args: argparse.Namespace, config: Config, variables: dict[str, str]) -> int:
    from ..webhooks.samples import sample

    try:
        changes = json.loads(args.data)
    except ValueError as exc:
        raise WrongUsage(f"--data is no JSON: {exc}", cure="--data '{\"amount_total\": 500}'") from None
    if not isinstance(changes, dict):
        raise WrongUsage("--data is not a JSON object", cure="--data '{\"amount_total\": 500}'")
    event_id, body = sample(args.provider, args.type, changes, int(time.time()))
    # Stripe's own layout; the others' are as good as any.
    payload = json.dumps(body, indent=2 if args.provider == "stripe" else None).encode()
    url = _address(args.to or _only_route(args.provider, config), config)
    return _send(args, config, url, args.provider, args.type, event_id, payload, variables)


def _replay(args: argparse.Namespace, config: Config, variables: dict[str, str]) -> int:
    from ..webhooks import inbox

    rows = _with_database(config, lambda database: inbox.find(database, args.id)) or []
    if args.to is not None:
        rows = [row for row in rows if row["path"] == urlsplit(args.to).path]
    if not rows:
        raise ConfigError(f"no event {args.id} has arrived", cure="turnout webhooks list shows those that have")
    if len(rows) > 1:
        raise ConfigError(
            f"{args.id} came to {' and '.join(row['path'] for row in rows)}", cure=f"say which: --to {rows[0]['path']}"
        )
    (row,) = rows
    if row["payload"] is None:
        raise ConfigError(
            f"the payload of {args.id} is not kept: only those of the newest 1,000 events are",
            cure="let its sender send it again, from its own pages",
        )
    if row["provider"] not in PROVIDERS:
        raise ConfigError(
            f"nobody knows how {args.id} was signed", cure="only events of stripe, standard, github and slack replay"
        )
    if row["outcome"] == "done" and not args.again:
        raise ConfigError(f"{args.id} has had its effect", cure="--again gives it once more")
    url = _address(args.to or row["path"], config)
    return _once_more(row, config, lambda: _send(
        args, config, url, row["provider"], row["type"], args.id, row["payload"], variables
    ))  # fmt: skip


def _once_more(row: dict[str, Any], config: Config, send: Callable[[], int]) -> int:
    """*send* with the event open to be handled again; done it stays, if nobody handles it."""
    from ..webhooks import inbox

    if row["outcome"] != "done":
        return send()

    def turn(was: str, outcome: str) -> None:
        _with_database(config, lambda database: inbox.reopen(database, row["scope"], row["id"], was, outcome))

    turn("done", "replayed")
    try:
        return send()
    finally:
        turn("replayed", "done")


def _send(
    args: argparse.Namespace,
    config: Config,
    url: str,
    provider: str,
    type: str,
    event_id: str,
    payload: bytes,
    variables: dict[str, str],
) -> int:
    from ..webhooks import inbox

    headers = _signed(provider, type, event_id, payload, _secret(args, provider, variables))
    status, answer = _post(url, headers, payload)
    path = urlsplit(url).path
    rows = _with_database(config, lambda database: inbox.find(database, event_id)) or []
    noted: dict[str, Any] = next((row for row in rows if row["path"] == path), {})
    if args.json:
        kept = {name: noted.get(name) for name in ("outcome", "tries", "error")}
        print(json.dumps({"id": event_id, "type": type, "url": url, "status": status, "answer": answer, **kept}))
    else:
        print(f"{event_id}  {type}  -> {url}")
        print(f"{status} {_printable(answer)}")
        print(_effect(noted, status))
    return 0 if status < 400 else FAILED


def _effect(noted: dict[str, Any], status: int) -> str:
    if not noted:
        if status < 400:
            return "effect: not known; the route does not use turnout.webhooks, or the server another database"
        return "effect: none"
    words = {"done": "done", "ignored": "none: no function takes this type", "failed": "none: the handler failed"}
    error = f": {_printable(noted['error'])}" if noted["error"] else ""
    return f"effect: {words.get(noted['outcome'], noted['outcome'])}{error} ({_tries(noted)})"


def _signed(provider: str, type: str, event_id: str, payload: bytes, secret: str) -> dict[str, str]:
    from ..webhooks import github, slack, standard, stripe

    now_s = int(time.time())
    headers = {"content-type": "application/json", "user-agent": "turnout-webhooks"}
    if provider == "stripe":
        return {**headers, stripe.HEADER: stripe.sign(payload, secret, at_s=now_s)}
    if provider == "standard":
        return {**headers, **standard.sign(payload, secret, message_id=event_id, at_s=now_s)}
    if provider == "slack":
        return {**headers, **slack.sign(payload, secret, at_s=now_s)}
    kind = type.partition(".")[0]
    named = {"x-github-event": kind, "x-github-delivery": event_id}
    return {**headers, github.HEADER: github.sign(payload, secret), **named}


def _secret(args: argparse.Namespace, provider: str, variables: dict[str, str]) -> str:
    from .. import webhooks

    name = args.secret_env or getattr(webhooks, provider).SECRET_NAME
    value = variables.get(name, "")
    if not value.strip():
        raise ConfigError(
            f"{name} is {'empty' if name in variables else 'not set'}, so nothing can be signed",
            cure=f"add {name}=... to .env.local, or name another variable with --secret-env",
        )
    return value


def _only_route(provider: str, config: Config) -> str:
    """The path of the one route whose folders name *provider*, or else a webhook."""
    from ..routing.scan import scan

    app_dir = config.root / config.app_dir
    routes = scan(app_dir, config.root / config.public_dir).routes if app_dir.is_dir() else ()
    paths = [route.pattern.text for route in routes if "[" not in route.pattern.text]
    named = [path for path in paths if provider in path.split("/")]
    found = named or [path for path in paths if {"webhook", "webhooks"} & set(path.split("/"))]
    if len(found) == 1:
        return found[0]
    several = f"several routes may be meant: {', '.join(found)}" if found else f"no route has {provider} in its path"
    raise ConfigError(several, cure=f"say which: --to {found[0] if found else '/api/webhook/' + provider}")


def _address(to: str, config: Config) -> str:
    """*to* as a URL on this machine.

    Raises:
        ConfigError: it is elsewhere, where an event that never happened would be believed.
    """
    if to.startswith("/"):
        return f"http://127.0.0.1:{config.server.port}{to}"
    parts = urlsplit(to)
    try:
        local = parts.scheme == "http" and parts.hostname in _LOCAL and (parts.port or 80) > 0
    except ValueError:
        local = False
    if not local:
        raise ConfigError(
            f"--to {to} is no http address on this machine",
            cure="--to /api/webhook/stripe, or http://localhost:8000/...",
        )
    return to


def _post(url: str, headers: dict[str, str], payload: bytes) -> tuple[int, str]:
    from http.client import HTTPConnection, HTTPException

    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), payload, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(100_000).decode(errors="replace")
    except (OSError, HTTPException) as exc:
        raise ConfigError(
            f"no answer from {parts.scheme}://{parts.netloc}: {exc or exc.__class__.__name__}",
            cure="start the server in another terminal: turnout dev",
        ) from exc
    finally:
        connection.close()
