"""Migrate the project's database: plain SQL files in migrations/, each applied once.

Mode and so the .env files are production's, or what TURNOUT_MODE says; turnout dev applies
pending migrations by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from ..config import load_config
from ..env import Mode, load_env
from ..errors import ConfigError, DbError
from .load import project_root
from .main import FAILED, WrongUsage
from .report import short

if TYPE_CHECKING:
    from ..db.migrate import Migration
    from ..db.schema import Schema

T = TypeVar("T")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    root = argparse.ArgumentParser(add_help=False)
    root.add_argument("--root", type=Path, help="the project (default: the current folder)")
    root.add_argument("--json", action="store_true", help="one JSON object per line")
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = commands.add_parser("new", parents=[root], help="create an empty migration file")
    new.add_argument("name", help="what it does, such as add_posts")
    commands.add_parser("migrate", parents=[root], help="apply what is pending")
    commands.add_parser("status", parents=[root], help="list the migrations; exit status 1 if any is pending")
    reset = commands.add_parser("reset", parents=[root], help="delete all data and apply every migration anew")
    reset.add_argument("--yes", action="store_true", help="really")
    commands.add_parser("seed", parents=[root], help="run seed.sql, or seed.pg.sql and seed.sqlite.sql, of migrations/")
    local = commands.add_parser(
        "local", parents=[root], help="start a PostgreSQL in the data folder, print its address"
    )
    local.add_argument("--stop", action="store_true", help="stop it instead")
    types = commands.add_parser("types", parents=[root], help="write lib/db_types.py: the tables as types")
    types.add_argument("--check", action="store_true", help="write nothing; exit status 1 if the file is out of date")
    commands.add_parser(
        "policies", parents=[root], help="print lib/policies.py as PostgreSQL's CREATE POLICY, to put in a migration"
    )


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    root = project_root(args.root)
    mode = cast(Mode, os.environ.get("TURNOUT_MODE", "production"))
    # Only the database settings matter here, so production's demand for allowed_hosts does not.
    config = load_config(root, "development", load_env(root, mode))
    if args.action == "local":
        return _local(args, root / config.data_dir)
    if args.action == "new":
        return _new(args, root / config.migrations_dir)
    from ..project import migrations_folder, use_database

    use_database(config, durable=mode == "production")
    actions = {
        "migrate": _migrate, "status": _status, "reset": _reset, "seed": _seed, "types": _types, "policies": _policies,
    }  # fmt: skip
    try:
        return actions[args.action](args, migrations_folder(config))
    except DbError as exc:
        if exc.status < 500:
            raise
        raise ConfigError(f"{exc.message}{f' ({exc.details})' if exc.details else ''}", cure=exc.hint) from exc


async def _closing(work: Awaitable[T]) -> T:
    """*work*, and then the database closed, on one event loop."""
    from ..db import db

    try:
        return await work
    finally:
        await db.close()


def _new(args: argparse.Namespace, folder: Path) -> int:
    from ..db import migrate

    file = short(migrate.new(folder, args.name, datetime.now(UTC)))
    _say(args, f"created {file}", file=file)
    return 0


def _migrate(args: argparse.Namespace, folder: Path) -> int:
    from ..db import db, migrate

    done = asyncio.run(_closing(migrate.migrate(db, folder)))
    for each in done:
        _say_applied(args, each)
    if not done and not args.json:
        print(f"{_place()} is up to date")
    return 0


def _status(args: argparse.Namespace, folder: Path) -> int:
    from ..db import db, migrate

    found = asyncio.run(_closing(migrate.status(db, folder)))
    for each in found:
        state = (
            "changed" if each.changed else "missing" if not each.file else "applied" if each.applied_at else "pending"
        )
        if args.json:
            line = {"version": each.version, "name": each.name, "state": state, "applied_at": each.applied_at}
            print(json.dumps(line))
        else:
            print(f"{state:<8} {each.version}_{each.name}")
    return 0 if all(each.applied_at and each.file and not each.changed for each in found) else FAILED


def _reset(args: argparse.Namespace, folder: Path) -> int:
    from ..db import db, migrate

    if not args.yes:
        raise WrongUsage(f"this deletes all data in {_place()}", cure="turnout db reset --yes, if you mean it")
    for each in asyncio.run(_closing(migrate.reset(db, folder))):
        _say_applied(args, each)
    return 0


def _seed(args: argparse.Namespace, folder: Path) -> int:
    from ..db import db, migrate

    path = asyncio.run(_closing(migrate.seed(db, folder)))
    if path is None:
        raise ConfigError(
            "there is nothing to seed with", file=folder / "seed.sql", cure="write INSERT statements there"
        )
    _say(args, f"ran {short(path)}", file=short(path))
    return 0


def _local(args: argparse.Namespace, data: Path) -> int:
    from ..db.local import LocalPostgres

    server = LocalPostgres(data / "postgres")
    if args.stop:
        server.stop()
        return 0
    server.start()
    _say(args, f"DATABASE_URL={server.url()}", DATABASE_URL=server.url())
    print(f"its data are in {short(server.folder)}; turnout db local --stop ends it", file=sys.stderr)
    return 0


def _types(args: argparse.Namespace, folder: Path) -> int:
    from ..db import db
    from ..db.types import generate, load

    async def read() -> str:
        try:
            return generate(await load(db))
        finally:
            await db.close()

    file = project_root(args.root) / "lib" / "db_types.py"
    text = asyncio.run(read())
    if args.check:
        fresh = file.is_file() and file.read_text(encoding="utf-8") == text
        said = f"{short(file)} is {'up to date' if fresh else 'out of date: turnout db types'}"
        _say(args, said, file=short(file), state="current" if fresh else "stale")
        return 0 if fresh else FAILED
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    _say(args, f"wrote {short(file)}", file=short(file), state="written")
    return 0


def _policies(args: argparse.Namespace, folder: Path) -> int:
    from ..db import POLICIES
    from ..db.sql.policies import create_policies
    from ..project import load_policies
    from ..routing.module import importable

    root = project_root(args.root)
    importable(root)
    load_policies(root)
    if not any(POLICIES):
        raise ConfigError("the project has no policies", file=root / "lib" / "policies.py", cure="add them there")
    for statement in create_policies(list(POLICIES), asyncio.run(_schema())):
        _say(args, statement, sql=statement)
    return 0


async def _schema() -> Schema:
    from ..db import db

    try:
        if db.dialect == "postgres":
            await db.engine.refresh()  # type: ignore[misc]
        return db.engine.schema
    finally:
        await db.close()


def _say(args: argparse.Namespace, text: str, **data: str | None) -> None:
    """Print *text* for people, or *data* for programs."""
    print(json.dumps(data) if args.json else text)


def _say_applied(args: argparse.Namespace, each: Migration) -> None:
    _say(args, f"applied {each.version}_{each.name}", version=each.version, name=each.name, state="applied")


def _place() -> str:
    from ..db import db

    if db.dialect == "postgres":
        return db.place
    return short(db.path) if db.path else "the database in memory"
