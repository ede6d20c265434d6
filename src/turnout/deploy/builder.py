"""A project to the files that every target ships: its own, its manifest, its packages, byte code.

The project is read by ``ast`` and never imported. Two builds of one tree are the same byte for
byte: entries are sorted, no time and no path of this machine is written, and byte code is made by
a fresh interpreter, since its form depends on what else a process has loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from .. import __version__
from ..config import Config, load_config, to_settings
from ..env import load_env
from ..errors import ConfigError
from ..routing.manifest import INSTRUMENTATION, MANIFEST, Built, Manifest, RouteFile
from ..routing.scan import scan
from . import read
from .read import Schedule, Source
from .target import FEATURES, Refusal, Target, Use, detect, load_target
from .vendor import distributions, write_turnout

REPORT = "build.json"
_LEFT_OUT = frozenset({"__pycache__", "tests", "test", "evals", "build", "dist", "node_modules"})
_FOR_DEVELOPERS = frozenset({"AGENTS.md", "CLAUDE.md", "conftest.py"})
_ENDINGS = (".pyc", ".pyi", ".db", ".db-wal", ".db-shm", ".log")
# What a part of Turnout needs besides itself. Written down, not worked out: see house rule 4.
_NEEDS: dict[str, tuple[str, ...]] = {
    "actions": ("auth", "cache", "templates"),
    "auth": ("db", "mail", "ratelimit", "templates"),
    "cache": ("store",),
    "idempotency": ("db", "store"),
    "mail": ("templates",),
    "ratelimit": ("store",),
    "store": (),
    "tasks": ("db",),
    "templates": ("static", "actions/page"),  # the names that every template knows, and no more of actions
    "webhooks": ("db",),
}
# Parts whose state is in the store or in the process, with the words for them.
_STATEFUL = {
    "ratelimit": "a rate limit",
    "cache": "kept answers",
    "store": "the store",
    "idempotency": "stored answers",
}
_BY_CONSTANT = {"auth": "auth", "rate_limit": "ratelimit", "cache": "cache", "revalidate": "cache"}


class BuiltRoute(Struct, frozen=True):
    """One route as the build sees it.

    Attributes:
        file: What goes into the manifest.
        sources: Its file, middleware and error files, and what they import from the project.
        uses: What it asks of its target.
    """

    file: RouteFile
    sources: list[Source]
    uses: list[Use]


class Builder:
    """One build of the project in *root*.

    Args:
        target: The name of the target; found out from the environment if None.
        eager: Import every route at the start, whatever the target.

    Raises:
        ConfigError: the project cannot be built, or the target cannot carry it.
    """

    def __init__(self, root: Path, out: Path | None = None, *, target: str | None = None, eager: bool = False) -> None:
        self.root = root.absolute()
        values = load_env(self.root, "production")
        self.config: Config = load_config(self.root, "production", values)
        self._check_allowed()
        deploy = self.config.deploy
        self.target: Target = detect(os.environ, deploy) if target is None else load_target(target, deploy)
        self.out = (out or self.root / "build" / self.target.name).absolute()
        self.eager = eager or self.target.lasting
        self.warnings: list[str] = []
        self._values: Mapping[str, str] = values
        self.files: list[str] = sorted(self._files())
        self.sources = read.closure([self.root / name for name in self.files if name.endswith(".py")], self.root)
        self.uses = self._parts()
        self.schedules: list[Schedule] = [each for source in self.sources for each in read.schedules(source)]
        found = scan(self.root / self.config.app_dir, self.root / self.config.public_dir)
        self.routes = [self._route(file) for file in found.routes]
        built = Built(to_settings(self.config), tuple(sorted(self.uses)), self.target.name, self.eager)
        self.manifest: Manifest = replace(found, routes=tuple(route.file for route in self.routes), built=built)
        self._judge()

    # -- reading

    def _check_allowed(self) -> None:
        for name in self.config.deploy.allow:
            if name not in FEATURES:
                raise ConfigError(
                    f"allow names {name!r}, which is no feature",
                    file=self.root / "pyproject.toml",
                    cure=f"one of {', '.join(FEATURES)}",
                )

    def _files(self) -> Iterator[str]:
        """Everything of the project but what no running app reads: hidden files, tests, data, other builds."""
        public = self.root / self.config.public_dir
        skipped = {self.config.data_dir, *_LEFT_OUT}
        for place, folders, files in os.walk(self.root):
            here = Path(place)
            folders[:] = sorted(name for name in folders if not self._is_left_out(here / name, skipped))
            unread: frozenset[str] = frozenset() if here.is_relative_to(public) else _FOR_DEVELOPERS
            for name in sorted(set(files) - unread):
                # Below public/ a hidden folder may be .well-known; a hidden file is never shipped: .env is one.
                if not name.startswith(".") and not name.endswith(_ENDINGS) and (here / name).is_file():
                    yield (here / name).relative_to(self.root).as_posix()

    def _is_left_out(self, folder: Path, skipped: set[str]) -> bool:
        hidden = folder.name.startswith(".") and folder.name != ".well-known"
        own = folder == self.out or (folder / "pyvenv.cfg").exists()
        top = folder.parent == self.root
        return hidden or own or folder.name == "__pycache__" or (top and folder.name in skipped)

    def _parts(self) -> set[str]:
        """The parts of Turnout that the project needs, with what those need."""
        waiting = read.parts(self.sources)
        for source in self.sources:
            if source.file.name == "route.py":
                waiting |= {part for name, part in _BY_CONSTANT.items() if name in source.names}
            if source.file.name == "actions.py":
                waiting.add("actions")
        if self.config.supabase or self.config.auth.pages:
            waiting.add("auth")
        if (self.root / self.config.public_dir).is_dir():
            waiting.add("static")
        if self.config.mail.queued:
            waiting.add("tasks")
        if any(read.may_log(source) for source in self.sources):
            waiting.add("log")
        if self.config.metrics:
            waiting |= {"metrics", "stalls"}
        if (self.root / self.config.app_dir / INSTRUMENTATION).is_file():
            waiting.add("instrumentation")
        found: set[str] = set()
        while waiting:
            part = waiting.pop()
            if part not in found:
                found.add(part)
                waiting.update(_NEEDS.get(part, ()))
        return found

    def _route(self, file: RouteFile) -> BuiltRoute:
        own = read.read(file.file, self.root)
        found = read.constants(own)
        sources = read.closure([file.file, *file.middleware, *file.errors], self.root)
        constants = {name: value for name, value in found.items() if name != "cache"}
        built = replace(file, methods=read.methods(own), constants=constants, waits=read.waits(sources, found))
        uses = [use for source in sources for use in source.uses]
        line = {name: getattr(own.names[name], "lineno", 1) for name in found}
        if "body_limit" in found:
            what = f"body_limit = {found['body_limit']:,} bytes"
            uses.append(Use("body", file.file, line["body_limit"], what, found["body_limit"]))
        if "max_duration" in found:
            what = f"max_duration = {found['max_duration']} s"
            uses.append(Use("duration", file.file, line["max_duration"], what, found["max_duration"]))
        return BuiltRoute(built, sources, [*uses, *self._shared(own, sources, found)])

    def _shared(self, own: Source, sources: list[Source], found: dict[str, Any]) -> Iterator[Use]:
        """What a route keeps outside of itself: in the store, in the database."""
        parts = read.parts(sources) | {_BY_CONSTANT[name] for name in found if name in _BY_CONSTANT}
        line = next((getattr(own.names[name], "lineno", 1) for name in found if name in _BY_CONSTANT), 1)
        if not self._is_given("STORE_URL", "valkey", "redis"):
            for part in sorted(parts & _STATEFUL.keys()):
                yield Use("state", own.file, line, f"{_STATEFUL[part]} without STORE_URL")
        if parts & {"db", "auth", "idempotency", "tasks"} and not self._is_given("DATABASE_URL", "postgres"):
            yield Use("sqlite", own.file, line, "the database without DATABASE_URL")

    def _is_given(self, name: str, *schemes: str) -> bool:
        """Whether a variable leads to a server; one that is set where it runs is believed to."""
        value = self._values.get(name, "")
        return value.startswith(schemes) if value else name in self.config.deploy.environment

    # -- judging

    def _judge(self) -> None:
        """Ask the target about every use; one line for what several routes have in common."""
        found: dict[tuple[str, str, Refusal], list[tuple[BuiltRoute, Use]]] = {}
        for route in self.routes:
            for use in route.uses:
                refusal = self.target.judge(use)
                if refusal is not None:
                    found.setdefault((use.feature, use.what, refusal), []).append((route, use))
        problems: list[ConfigError] = []
        for (feature, what, refusal), cases in found.items():
            said = f"{self._places(cases)} {what}: {refusal.problem}"
            if not refusal.fatal or feature in self.config.deploy.allow:
                self.warnings.append(said)
                continue
            cure = f'{refusal.cure}; or allow = ["{feature}"] under [tool.turnout.deploy]'
            problems.append(ConfigError(said, file=cases[0][1].file, line=cases[0][1].line, cure=cure))
        self.warnings.sort()
        if problems:
            self._refuse(problems)

    def _places(self, cases: list[tuple[BuiltRoute, Use]]) -> str:
        route, use = cases[0]
        routes = sorted({each.file.pattern.text for each, _ in cases})
        others = f" and {len(routes) - 1} other routes" if len(routes) > 1 else ""
        place = f"{use.file.relative_to(self.root).as_posix()}:{use.line}"
        return f"{route.file.pattern.text}{others} ({place}) {'use' if others else 'uses'}"

    def _refuse(self, problems: list[ConfigError]) -> NoReturn:
        first = problems[0]
        if len(problems) == 1:
            message, cure = f"{self.target.name} cannot carry this: {first.message}", first.cure
        else:
            message = f"{self.target.name} cannot carry {len(problems)} things:"
            message += "".join(f"\n    {each.message} ({each.cure})" for each in problems)
            cure = "mend each of them"
        raise ConfigError(message, file=first.file, line=first.line, cure=cure)

    # -- writing

    def build(self) -> dict[str, Any]:
        """Write the output, and give what ``build.json`` says."""
        self._clear()
        self.target.adapt(self)
        return self._report()

    def _clear(self) -> None:
        if self.out.exists():
            if any(self.out.iterdir()) and not (self.out / REPORT).is_file():
                raise ConfigError(
                    f"{self.out} holds something that is no build", cure="name another folder with --out, or empty it"
                )
            shutil.rmtree(self.out)
        self.out.mkdir(parents=True)

    def write_app(self, dest: Path) -> None:
        """The project's own files and its manifest."""
        for name in self.files:
            target = dest / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((self.root / name).read_bytes())
        _write_json(dest / MANIFEST, self.manifest.to_json())

    def vendor(self, dest: Path, drop: frozenset[str], doors: tuple[str, ...]) -> None:
        """Turnout without its tools, and the packages that the project names, as installed here.

        Args:
            drop: Names of distributions that the target has, or has no use for.
            doors: Modules of ``turnout.adapters`` that its entry file needs.

        Raises:
            ConfigError: a package is not installed, or is compiled for another system.
        """
        found = distributions(self.root / "pyproject.toml", drop)
        traced = {"tracing"} if any(each.name.startswith("opentelemetry") for each in found) else set()
        write_turnout(dest, self.uses | traced, doors)
        for distribution in found:
            distribution.write(dest)

    def compile(self, dest: Path) -> None:
        """Byte code that is never compared with its source: nothing here changes after the build.

        Source, docstrings and columns of Turnout and msgspec are left out of what ships: a trace needs file and line.
        """
        for own in (dest / "turnout", dest / "msgspec"):
            if own.is_dir():
                self._compile(own, dest, "-b", "-o", "2", flags=("-X", "no_debug_ranges"))
                for path in own.rglob("*.py"):
                    path.unlink()
        self._compile(dest, dest)

    def _compile(self, folder: Path, dest: Path, *options: str, flags: tuple[str, ...] = ()) -> None:
        command = [
            sys.executable,
            "-I",
            "-S",
            *flags,
            "-m",
            "compileall",
            "-q",
            "--invalidation-mode",
            "unchecked-hash",
        ]
        # One process and a fixed order: byte code notes which strings its process had seen before.
        done = subprocess.run(
            [*command, *options, "-s", str(dest), str(folder)], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        if done.returncode != 0:
            raise ConfigError(f"the byte code could not be made: {done.stdout.strip()[-500:]}")

    def _report(self) -> dict[str, Any]:
        files = sorted(path for path in self.out.rglob("*") if path.is_file())
        report: dict[str, Any] = {
            "target": self.target.name,
            "turnout": __version__,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "eager": self.eager,
            "uses": sorted(self.uses),
            "routes": [self._entry(route) for route in self.routes],
            "schedules": [{"task": each.task, "cron": each.cron} for each in self.schedules],
            "warnings": self.warnings,
            "bytes": sum(path.stat().st_size for path in files),
            "largest": {
                path.relative_to(self.out).as_posix(): path.stat().st_size
                for path in sorted(files, key=lambda path: (-path.stat().st_size, path))[:5]
            },
        }
        _write_json(self.out / REPORT, report)
        return report

    def _entry(self, route: BuiltRoute) -> dict[str, Any]:
        return {
            "pattern": route.file.pattern.text,
            "methods": list(route.file.methods),
            "file": route.file.file.relative_to(self.root).as_posix(),
            "sha256": hashlib.sha256(route.file.file.read_bytes()).hexdigest(),
            "constants": route.file.constants,
            "streams": any(use.feature == "streaming" for use in route.uses),
            "waits": route.file.waits,
        }


def _write_json(file: Path, data: Any) -> None:
    file.write_text(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
