"""List the project's background tasks, look into one, cancel it or run it again.

turnout tasks list --status failed
turnout tasks show 3f0c...
turnout tasks cancel 3f0c...
turnout tasks retry 3f0c...

An id may be shortened, as long as it is the only one that begins so. Mode and so the .env files are
production's, or what TURNOUT_MODE says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..config import Config, load_config
from ..env import Mode, load_env
from ..errors import ConfigError, DbError
from .load import project_root
from .main import FAILED, WrongUsage

if TYPE_CHECKING:
    from dbos import DBOSClient

# What DBOS calls a state, and what we do.
_STATES = {
    "DELAYED": "delayed", "ENQUEUED": "waiting", "PENDING": "running", "SUCCESS": "done", "ERROR": "failed",
    "CANCELLED": "cancelled", "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "given up",
}  # fmt: skip
_WORDS = {word: state for state, word in _STATES.items()}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", type=Path, help="the project (default: the current folder)")
    common.add_argument("--json", action="store_true", help="one JSON object per line")
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("list", parents=[common], help="the newest tasks")
    listing.add_argument("--limit", type=int, default=20, help="how many (default: 20)")
    listing.add_argument("--status", choices=sorted(_WORDS), help="only those")
    for name, summary in (
        ("show", "one task: its arguments and every attempt"),
        ("cancel", "end a task: it begins no attempt any more, and one that runs is broken off"),
        ("retry", "run a task that is over once more, from its beginning"),
    ):
        one = commands.add_parser(name, parents=[common], help=summary)
        one.add_argument("id", help="as list shows it, or its beginning")


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    from ..tasks import outbox

    root = project_root(args.root)
    mode = cast(Mode, os.environ.get("TURNOUT_MODE", "production"))
    # Only addresses and the database matter here, so production's demand for allowed_hosts does not.
    config = load_config(root, "development", load_env(root, mode))
    if args.action == "list" and args.limit < 1:
        raise WrongUsage("--limit must be at least 1", cure="--limit 20")
    outbox.require_engine()
    try:
        return _act(args, config)
    except DbError as exc:
        if exc.status < 500:
            raise
        raise ConfigError(f"{exc.message}{f' ({exc.details})' if exc.details else ''}", cure=exc.hint) from exc


def _act(args: argparse.Namespace, config: Config) -> int:
    from ..tasks import engine

    there = _with_database(config, lambda db: engine.has_books(config, db))
    books = engine.client(config) if there else None
    try:
        if args.action == "list":
            return _list(args, config, books)
        found = _find(args.id, config, books)
        if found is None:
            return _said(args, f"there is no task {args.id}, or several that begin so", ok=False)
        return {"show": _show, "cancel": _cancel, "retry": _retry}[args.action](args, found, config, books)
    finally:
        if books is not None:
            books.destroy()


# -- what there is


def _outbox(config: Config) -> list[dict[str, Any]]:
    """What no worker has taken yet."""
    from ..tasks import outbox

    rows = _with_database(config, lambda db: outbox.waiting(db, 1_000)) or []
    return [
        {
            "id": row.id, "task": row.task, "status": "enqueued", "created_s": row.enqueued_s,
            "arguments": json.loads(row.payload), "error": None,
        }
        for row in rows
    ]  # fmt: skip


def _known(flow: Any) -> dict[str, Any]:
    """A workflow of DBOS as a task of ours."""
    first, second = (*(flow.input or {}).get("args", ()), None, None)[:2]
    scheduled = flow.schedule_name is not None
    return {
        "id": flow.workflow_id, "task": flow.schedule_name if scheduled else first, "status": _STATES[flow.status],
        "created_s": (flow.created_at or 0) / 1000, "arguments": None if scheduled else json.loads(second or "null"),
        "error": str(flow.error) if flow.error else None,
    }  # fmt: skip


def _find(beginning: str, config: Config, books: DBOSClient | None) -> dict[str, Any] | None:
    from ..tasks import engine

    found = [each for each in _outbox(config) if each["id"].startswith(beginning)]
    if books is not None:
        found += [
            _known(flow)
            for flow in books.list_workflows(name=list(engine.NAMES), workflow_id_prefix=beginning, limit=2)
        ]
    found = [each for each in found if each["id"] == beginning] or found
    # Handed on and not yet deleted, a task is in both.
    return found[-1] if len({each["id"] for each in found}) == 1 else None


def _list(args: argparse.Namespace, config: Config, books: DBOSClient | None) -> int:
    from ..tasks import engine

    found = [] if args.status else _outbox(config)
    if books is not None:
        wanted = _WORDS[args.status] if args.status else None
        flows = books.list_workflows(name=list(engine.NAMES), status=wanted, limit=args.limit, sort_desc=True)
        there = {flow.workflow_id for flow in flows}
        found = [each for each in found if each["id"] not in there] + [_known(flow) for flow in flows]
    found.sort(key=lambda each: each["created_s"], reverse=True)
    for each in found[: args.limit]:
        if args.json:
            print(json.dumps({**each, "created_at": _when(each["created_s"])}))
            continue
        print(f"{_when(each['created_s'])}  {each['status']:<9}  {each['task']:<24}  {each['id']}")
        if each["error"]:
            print(f"    {_printable(each['error'])}")
    if not found and not args.json:
        print("there are no tasks")
    return 0


def _show(args: argparse.Namespace, found: dict[str, Any], config: Config, books: DBOSClient | None) -> int:
    steps = [] if books is None else books.list_workflow_steps(found["id"])
    attempts = [
        {
            "at": _when((step["started_at_epoch_ms"] or 0) / 1000),
            "error": str(step["error"]) if step["error"] else None,
        }
        for step in steps
        if step["function_name"].startswith("attempt ")
    ]
    if args.json:
        print(json.dumps({**found, "created_at": _when(found["created_s"]), "attempts": attempts}))
        return 0
    print(f"{found['task']}  {found['status']}  {found['id']}")
    print(f"enqueued   {_when(found['created_s'])}")
    if found["arguments"] is not None:
        print(f"arguments  {_printable(json.dumps(found['arguments']))}")
    for number, attempt in enumerate(attempts, 1):
        print(f"attempt {number}  {attempt['at']}  {_printable(attempt['error'] or 'done')}")
    return 0


# -- what can be done


def _cancel(args: argparse.Namespace, found: dict[str, Any], config: Config, books: DBOSClient | None) -> int:
    from ..tasks import outbox

    number = found["id"]
    if found["status"] in ("done", "failed", "cancelled", "given up"):
        return _said(args, f"{number} is over already: {found['status']}", ok=False, id=number)
    taken = _with_database(config, lambda db: outbox.remove(db, number))
    if books is not None:
        # A worker may be handing it on at this moment.
        books.cancel_workflow(number)
    elif not taken:
        return _said(args, f"{number} has just been taken by a worker: try again", ok=False, id=number)
    return _said(args, f"cancelled {number}", ok=True, id=number)


def _retry(args: argparse.Namespace, found: dict[str, Any], config: Config, books: DBOSClient | None) -> int:
    from ..tasks import engine

    if found["status"] not in ("done", "failed", "cancelled", "given up") or books is None:
        return _said(args, f"{found['id']} is not over yet: {found['status']}", ok=False, id=found["id"])
    books.rewind_workflow(found["id"], queue_name=engine.QUEUE)
    return _said(args, f"enqueued {found['id']} again", ok=True, id=found["id"])


def _said(args: argparse.Namespace, text: str, *, ok: bool, **data: str) -> int:
    """Tell what came of it, and give the exit status for it."""
    print(json.dumps({"ok": ok, **data, "message": text}) if args.json else text)
    return 0 if ok else FAILED


def _with_database(config: Config, work: Any) -> Any:
    """*work* with the project's database; None where a SQLite file does not exist, and must not be made."""
    from ..db import db
    from ..project import use_database

    use_database(config, durable=False)
    if db.path is not None and not db.path.exists():
        return None

    async def closing() -> Any:
        try:
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(closing())


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _printable(text: str) -> str:
    """*text* without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
