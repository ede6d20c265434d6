"""The test bed, run in the jail: ``python -m turnout.ai.gates.bed TASK FOLDER``.

FOLDER has ``project/``, a copy of the project, and ``spec.json``; what a task finds goes to ``result.json`` beside it.
Sockets are shut but for a PostgreSQL of the bed's own, the environment is made up, the database is thrown away. What
runs here shares a process with code that nobody has read, so a result is evidence and not proof: the lint refuses
what would reach for the bed, and a person reads the diff.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(words: list[str]) -> None:
    """Run one task, and write down what it found or how it failed."""
    task, folder = words[0], Path(words[1])
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").unlink()  # with the word that makes a result ours
    os.chdir(folder / "project")
    shut_sockets()
    try:
        result = TASKS[task](folder, spec)
    except Exception as exc:
        result = failure(exc, folder / "project")
    (folder / "result.json").write_text(json.dumps({**result, "word": spec["word"]}))


def shut_sockets() -> None:
    """Let nothing connect but to a Unix socket; where the jail has no network of its own this is the wall."""

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and not isinstance(args[1], (str, bytes)):
            raise PermissionError("the test bed has no network")
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            raise PermissionError("the test bed has no network")

    sys.addaudithook(hear)


def failure(exc: BaseException, root: Path) -> dict[str, Any]:
    """*exc* as data: what, and the deepest line of the project's that had a part in it."""
    from ...errors import ConfigError

    if isinstance(exc, ConfigError):
        file = exc.file
        return {"failed": exc.message, "file": relative(file, root), "line": exc.line, "cure": exc.cure}
    place, line = deepest(exc, root)
    return {
        "failed": f"{type(exc).__name__}: {exc}",
        "file": place,
        "line": line,
        "trace": traceback.format_exc()[-2000:],
    }


def relative(file: Any, root: Path) -> str | None:
    """*file* from the project's folder; None for what is not in it."""
    if file is None:
        return None
    path = Path(os.path.realpath(file))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def deepest(exc: BaseException, root: Path) -> tuple[str | None, int | None]:
    """The last line of the project's own code in the trace of *exc*."""
    found: tuple[str | None, int | None] = None, None
    for frame in traceback.extract_tb(exc.__traceback__):
        place = relative(frame.filename, root)
        if place is not None:
            found = place, frame.lineno
    return found


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """What is printed and logged meanwhile, as the log would have it."""
    from ... import log
    from ...env import secret_values

    heard = io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        log.configure("test", heard, secrets=secret_values)
        yield heard


# -- tasks


def routes(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """Load the project, and give its route table."""
    from ...project import load_project

    with quiet():
        project = load_project(folder / "project", mode="test")
    return {"routes": table(project)}


def table(project: Any) -> dict[str, dict[str, Any]]:
    """``POST /api/posts`` to what is promised of it."""
    from ...routing.module import load_module, read_exports
    from ...webhooks.hook import Webhook

    found: dict[str, dict[str, Any]] = {}
    for route in project.manifest.routes:
        exports = read_exports(load_module(route.file, project.root), route.file)
        config = exports.config
        for method, handler in exports.handlers.items():
            found[f"{method} {route.pattern.text}"] = {
                "file": route.file.relative_to(project.root).as_posix(),
                "line": line_of(handler),
                "auth": config.auth,
                "rate_limit": config.rate_limit,
                "body_limit": config.body_limit,
                "cors": repr(config.cors),
                "around": [each.relative_to(project.root).as_posix() for each in (*route.middleware, *route.errors)],
                "webhook": isinstance(handler, Webhook),
            }
    return found


def line_of(handler: Any) -> int:
    """The line where *handler* begins."""
    import inspect

    code = getattr(inspect.unwrap(handler), "__code__", None)
    return code.co_firstlineno if code else 1


def migrate(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """Migrations on an empty database and on the schema that is there, each twice."""
    from .migrating import run

    with quiet(), server(folder, spec) as running:
        return asyncio.run(run(folder, spec, running))


def probe(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """Every probe on every route of the contract."""
    from .probing import run

    with quiet() as heard, server(folder, spec) as running:
        return asyncio.run(run(folder, spec, running, heard))


@contextlib.contextmanager
def server(folder: Path, spec: dict[str, Any]) -> Iterator[Any]:
    """A PostgreSQL for projects that use one; None for the others."""
    if spec["dialect"] != "postgres":
        yield None
        return
    from ...db.local import LocalPostgres

    running = LocalPostgres(folder / "pg", {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"})
    running.start()
    try:
        yield running
    finally:
        running.stop()


def pytest(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """Run tests, and give how each ended."""
    import pytest as runner

    from ...routing.module import importable

    importable(folder / "project")  # as ``python -m pytest`` in the project's folder
    os.environ["DATABASE_URL"] = str(folder / "tests.db")
    with contextlib.ExitStack() as stack:
        if running := stack.enter_context(server(folder, spec)):
            os.environ["DATABASE_URL"] = running.url()
        recorder = _Recorder(folder / "project")
        words = ["-q", "-x" if spec.get("stop") else "-q", "-p", "no:cacheprovider", "--tb=short", *spec["tests"]]
        status = runner.main(words, plugins=[recorder])
    return {"status": int(status), "tests": recorder.tests, "uncollected": recorder.uncollected}


class _Recorder:
    """A pytest plugin: each test's outcome, and where and why it failed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tests: dict[str, dict[str, Any]] = {}
        self.uncollected: dict[str, str] = {}

    def pytest_collectreport(self, report: Any) -> None:
        """A file that does not load."""
        if report.failed:
            self.uncollected[report.nodeid] = str(report.longrepr)[-600:]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One phase of one test."""
        known = self.tests.setdefault(report.nodeid, {"outcome": "passed", "why": "", "line": None, "phase": ""})
        if report.outcome == "skipped":
            known["outcome"] = "skipped"
        elif report.failed and known["outcome"] != "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash else str(report.longrepr)
            known.update(outcome="failed", why=message[:300], phase=report.when, line=_line_in_test(report, self.root))


def _line_in_test(report: Any, root: Path) -> int | None:
    file = report.nodeid.partition("::")[0]
    entries = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
    lines = [
        entry.reprfileloc.lineno for entry in entries if entry.reprfileloc and entry.reprfileloc.path.endswith(file)
    ]
    return lines[-1] if lines else None


TASKS = {"routes": routes, "migrate": migrate, "probe": probe, "pytest": pytest}

if __name__ == "__main__":
    main(sys.argv[1:])
