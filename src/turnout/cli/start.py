"""Serve a project in production: several workers on one socket, replaced when they die.

SIGTERM finishes what is in flight and ends with 0; SIGHUP loads the project anew without a gap.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..errors import ConfigError
from .load import configure_log, load, project_root, read_settings

if TYPE_CHECKING:
    from ..config import Config
    from ..http.fetch import Fetch


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", nargs="?", type=Path, help="the project (default: the current folder)")
    parser.add_argument(
        "--port", type=int, help="port (default: $PORT, then pyproject.toml, then 8000; 0 for any free one)"
    )
    parser.add_argument("--host", help="address (default: $HOST, then pyproject.toml, then 127.0.0.1)")
    parser.add_argument("--uds", type=Path, metavar="PATH", help="listen on a Unix socket instead")
    parser.add_argument(
        "--workers",
        type=int,
        help="processes (default: $WEB_CONCURRENCY, then pyproject.toml, then one per CPU, two at least)",
    )
    parser.add_argument("--access-log", action="store_true", default=None, help="log each request")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    # What every worker loads of the framework, and nothing of the project, is imported before the workers are
    # forked: they share its memory, and one that replaces another is ready sooner.
    from .. import built, project, static, store, templates  # noqa: F401
    from ..routing import scan  # noqa: F401
    from ..server.supervisor import bind, bind_unix, supervise
    from ..server.worker import work

    root = project_root(args.folder)
    config = read_settings(root, "production")
    if has_database(config):
        from .. import db as _  # noqa: F401
    settings = config.server
    given = {"host": args.host, "port": args.port, "workers": args.workers, "access_log": args.access_log}
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    configure_log("production")
    if os.environ.get("PYTHONHASHSEED", "random") != "random":
        logging.getLogger("turnout.server").warning(
            "PYTHONHASHSEED is fixed, so clients can make dictionaries slow; unset it"
        )
    can_fork = hasattr(os, "fork")
    workers = (default_workers() if settings.workers is None else settings.workers) if can_fork else 1
    if workers > 1 and ":memory:" in config.database_url:
        raise ConfigError(
            f"the database is in memory, and {workers} workers would each have one of their own",
            cure="start with --workers 1, or set DATABASE_URL to a file",
        )
    if config.metrics and workers > 1:
        share_metrics()
    sock = bind_unix(args.uds) if args.uds else bind(settings.host, settings.port)
    address = f"unix:{args.uds}" if args.uds else url(sock)
    if not can_fork:
        print(f"starting on {address} (this system has one worker, without a supervisor)", flush=True)
        return work([sock], _loader(root), settings)
    return supervise(
        [sock],
        _loader(root),
        settings,
        workers=workers,
        ready=lambda: print(f"ready on {address} ({workers} worker{'' if workers == 1 else 's'})", flush=True),
    )


def has_database(config: Config) -> bool:
    """Whether the project has a database by now, so that its workers will most likely load what asks it."""
    return config.database_url.startswith("postgres") or Path(config.database_url).is_file()


def share_metrics() -> None:
    """Give the workers a folder to add up their figures in, gone when this process ends."""
    import atexit
    import shutil
    from tempfile import mkdtemp

    from ..metrics import FOLDER

    if not os.environ.get(FOLDER):
        folder = os.environ[FOLDER] = mkdtemp(prefix="turnout-metrics-")
        me = os.getpid()
        # Workers are forks, and a fork that ends has no business with the folder of the others.
        atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == me else None)


def _loader(root: Path) -> Callable[[], Fetch]:
    return lambda: load(root, "production").app


def url(sock: socket.socket) -> str:
    """``http://127.0.0.1:8000`` for the address that *sock* is bound to."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def default_workers() -> int:
    """As many workers as this process may use CPUs, two at least."""
    cpus = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(2, min(cpus, _quota(Path("/sys/fs/cgroup/cpu.max"))))


def _quota(file: Path) -> int:
    """The CPUs that the control group allows, from a ``cpu.max`` such as ``200000 100000``."""
    try:
        most, period = file.read_text().split()
        return max(1, int(most) // int(period))
    except (OSError, ValueError):  # not Linux, an older kernel, or "max": no quota
        return sys.maxsize
