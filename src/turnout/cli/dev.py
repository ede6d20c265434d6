"""Serve the project in the current folder while you work on it.

Reloads on save and keeps the last version that worked when the new one does not load; applies
pending migrations; logs each request; shows a page with the failing line when a handler raises.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..env import env
from ..errors import ConfigError
from .load import configure_log, keep_log, load, project_root, read_settings
from .report import as_text, from_exception

if TYPE_CHECKING:
    from ..app import App
    from ..dev.docspage import Docs


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", nargs="?", type=Path, help="the project (default: the current folder)")
    parser.add_argument(
        "--port", type=int, help="port (default: $PORT, then pyproject.toml, then 8000; 0 for any free one)"
    )
    parser.add_argument("--host", help="address (default: $HOST, then pyproject.toml, then 127.0.0.1)")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ..db import db
    from ..dev.docspage import Docs
    from ..dev.server import Reloading, say
    from ..server.supervisor import bind
    from ..server.worker import work
    from .start import url

    root = project_root(args.folder)
    settings = read_settings(root, "development").server
    given = {"host": args.host, "port": args.port}
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    # Python trusts a cached file whose source has the same size and second, and an edit can have both.
    sys.dont_write_bytecode = True
    configure_log("development")
    keep_log(root)
    sock = bind(settings.host, settings.port)
    address = url(sock)
    docs = Docs()

    def load_app() -> Reloading:
        return Reloading(
            root,
            load=lambda: _reload(root, docs),
            close=db.close,
            fail=lambda exc: _fail(exc, root),
            say=say,
            ready=lambda: print(f"ready on {address}  (Ctrl-C stops){_database()}", flush=True),
            docs=docs,
        )

    # Nobody deploys to a developer's machine: a stop takes no time for balancers.
    return work(
        [sock], load_app, replace(settings, drain_delay_s=0, drain_s=min(settings.drain_s, 2), access_log=False)
    )


def _database() -> str:
    """Which database runs, so that nobody finds out later that it was another."""
    from ..db import db
    from .report import short

    if not db.path or not db.path.exists():
        return ""
    why = "from DATABASE_URL" if env.get("DATABASE_URL") else "the default; DATABASE_URL names another"
    return f"\ndatabase: SQLite, {short(db.path)} ({why})"


def _reload(root: Path, docs: Docs) -> App:
    """Load the project from its files as they are now; if that fails, all is as it was before."""
    from ..project import close_database
    from ..routing.module import unload

    dropped = unload(root)
    restore = _set_metrics_aside(dropped)
    try:
        _migrate(root)
        project = load(root, "development")
    except BaseException:
        unload(root)
        # The old app goes on, and what it imports only when a request needs it must be the old code.
        sys.modules.update(dropped)
        restore()
        raise
    # The next app uses the same database, perhaps already while this one ends.
    project.app.on_shutdown.remove(close_database)
    docs.show(project)
    return project.app


def _set_metrics_aside(dropped: dict[str, ModuleType]) -> Callable[[], None]:
    """Let the project's modules register their metrics again; the result puts back those that are there now."""
    if "prometheus_client" not in sys.modules:
        return lambda: None
    from ..metrics import set_aside

    return set_aside(dropped.values())


def _migrate(root: Path) -> None:
    """Apply pending migrations."""
    from ..db import db, migrate
    from ..dev.server import say
    from ..project import migrations_folder, use_database

    config = read_settings(root, "development")
    folder = migrations_folder(config)
    if folder.is_dir():
        use_database(config, durable=False)
        for each in asyncio.run(migrate.migrate(db, folder)):
            say(f"applied {folder.name}/{each.version}_{each.name}")


def _fail(exc: Exception, root: Path) -> ConfigError:
    error = from_exception(exc, root)
    print(as_text(error, sys.stderr), file=sys.stderr, flush=True)
    return error
