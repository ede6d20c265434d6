"""Look at a project without starting it, and list every problem at once.

The exit status is 0 when all is well, 1 when it starts but something is amiss (a name of
.env.example is not set), 3 when it cannot start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from ..config import load_config
from ..env import compare_with_example, env
from ..errors import ConfigError
from .load import load, project_root
from .main import CANNOT_START, FAILED, WrongUsage
from .report import as_data, as_text, from_exception

if TYPE_CHECKING:
    from ..project import Project
    from ..routing.manifest import ActionFile, RouteFile

T = TypeVar("T")
WRITES = ("POST", "PUT", "DELETE", "PATCH")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", nargs="?", type=Path, help="the project (default: the current folder)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--openapi", metavar="FILE", help="write the OpenAPI document of the routes (-: to the output)")
    parser.add_argument("--explain", metavar="CODE", help="say what a code such as TRN104 means, and nothing else")


def run(args: argparse.Namespace) -> int:
    """Print what is wrong."""
    if args.explain is not None:
        return _explain(args.explain, as_json=args.json)
    if args.json and args.openapi == "-":
        raise WrongUsage("--json and --openapi - would both write to the output", cure="name a file for the document")
    root = project_root(args.folder)
    found = _Found(root)
    routes = found.everything()
    if args.openapi is not None and found.project is not None:
        found.tried(lambda: _write_openapi(found.project, args.openapi))
    remarks = found.remarks
    if not found.errors:
        remarks = [*remarks, *_remarks(root), *_about_policies(root), *_about_mail(root)]
    if args.json:
        problems = [as_data(each) for each in found.errors + remarks]
        said = {"ok": not problems, "routes": routes, "problems": problems, "undeclared": found.undeclared}
        print(json.dumps(said))
    else:
        for each in found.errors + remarks:
            print(as_text(each, sys.stderr), file=sys.stderr)
        # The output is the document's alone where it is asked for.
        out = sys.stderr if args.openapi == "-" else sys.stdout
        if not found.errors and not remarks:
            print(f"{routes} route{'' if routes == 1 else 's'}, no problems", file=out)
        if not found.errors:
            _print_undeclared(found.undeclared, out)
    return CANNOT_START if found.errors else FAILED if remarks else 0


def _write_openapi(project: Project | None, place: str) -> None:
    """Write the document of *project* to the file *place*, or to the output."""
    from ..contract import openapi, read

    assert project is not None
    text = json.dumps(openapi(read(project)), indent=2, ensure_ascii=False) + "\n"
    if place == "-":
        sys.stdout.write(text)
    else:
        try:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).write_text(text, encoding="utf-8")
        except OSError as exc:
            raise ConfigError(
                f"the document cannot be written: {exc.strerror}", file=place, cure="choose another file"
            ) from exc


def _print_undeclared(routes: list[dict[str, Any]], out: TextIO) -> None:
    """Routes that may be meant for everybody, or guarded by middleware; only their author knows."""
    if routes:
        print('These write, and do not say who may call them (auth = "public", "user" and so on):', file=out)
    for route in routes:
        print(f"  {','.join(route['methods']):<16} {route['pattern']:<32} {route['file']}", file=out)


def _explain(code: str, *, as_json: bool) -> int:
    """What a code of ``turnout create`` means; the page of codes is ``docs/reference/findings.md``."""
    from ..ai.explain import explain

    text = explain(code)
    if text is None:
        raise WrongUsage(
            f"there is no code {code[:20]!r}", cure="docs/reference/findings.md lists them: TRN101 and so on"
        )
    print(json.dumps({"code": code.upper(), "means": text}) if as_json else f"{code.upper()}: {text}")
    return 0


class _Found:
    """The problems of one project, in the order in which they were met."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.errors: list[ConfigError] = []
        self.undeclared: list[dict[str, Any]] = []  # routes that write and have no ``auth``
        self.remarks: list[ConfigError] = []  # what does not stop the start
        self.project: Project | None = None  # once it has loaded

    def tried(self, step: Callable[[], T]) -> T | None:
        """The result of *step*; None, and one more problem, if it raises."""
        try:
            return step()
        except Exception as exc:
            error = from_exception(exc, self.root)
            # Two routes that import the same broken file have one problem, and so has the project.
            if (error.file, error.line, error.message) not in {(e.file, e.line, e.message) for e in self.errors}:
                self.errors.append(error)
            return None

    def everything(self) -> int:
        """Try each part on its own, so that one mistake does not hide the next; the number of routes."""
        from ..project import use_templates
        from ..routing.module import importable, load_error, load_middleware
        from ..routing.scan import scan
        from .pages import misspelt

        root = self.root
        self.tried(lambda: env.load(root, "development"))
        config = self.tried(lambda: load_config(root, "production", env))
        app_dir, public_dir = (config.app_dir, config.public_dir) if config else ("app", "public")
        importable(root)
        pages = use_templates(root, reload=False)  # files add their filters while they are loaded
        manifest = self.tried(lambda: scan(root / app_dir, root / public_dir))
        routes = manifest.routes if manifest else ()
        for route in routes:
            self.route(route)
        actions = {name for each in manifest.actions for name in self.actions(each.file)} if manifest else set()
        places: list[RouteFile | ActionFile] = [*routes, *(manifest.actions if manifest else ())]
        for file in sorted({file for place in places for file in place.middleware}):
            self.tried(lambda file=file: load_middleware(file, root))  # type: ignore[misc]
        for file in sorted({file for place in places for file in place.errors}):
            self.tried(lambda file=file: load_error(file, root))  # type: ignore[misc]
        if (root / "templates").is_dir():
            self.errors.extend(self.tried(pages.check) or ())
        known = None if self.errors else actions  # of a file that does not load nobody knows the actions
        self.remarks += self.tried(lambda: misspelt(pages, [root / app_dir, root / "lib"], known)) or ()
        if not self.errors:
            self.project = self.tried(lambda: load(root, "development"))
        return len(routes)

    def actions(self, file: Path) -> list[str]:
        """Load one file of actions and read the signature of each; their names."""
        from ..actions.action import Action
        from ..actions.arguments import plan_of
        from ..routing.module import load_module, read_constants

        module = self.tried(lambda: load_module(file, self.root))
        constants = self.tried(lambda: read_constants(module, file)) if module else None
        values = vars(module).values() if module else ()
        own = [each for each in values if isinstance(each, Action) and each.file == file]
        for action in own:
            self.tried(lambda: plan_of(action))  # noqa: B023
        if own and constants and constants.auth is None:
            names = ", ".join(each.name for each in own)
            place = file.relative_to(self.root).as_posix()
            self.undeclared.append({"pattern": f"actions: {names}", "methods": ["POST"], "file": place})
        return [each.name for each in own]

    def route(self, route: RouteFile) -> None:
        """Load one route file and read the signature of each of its handlers."""
        from ..routing.bind import bind
        from ..routing.module import load_module, read_exports

        exports = self.tried(lambda: read_exports(load_module(route.file, self.root), route.file))
        writes = [method for method in exports.handlers if method in WRITES] if exports else []
        if exports and writes and exports.config.auth is None:
            file = route.file.relative_to(self.root).as_posix()
            self.undeclared.append({"pattern": route.pattern.text, "methods": writes, "file": file})
        for handler in exports.handlers.values() if exports else ():
            self.tried(lambda: bind(handler, route.pattern, str(route.file), run_sync=_no_thread))  # noqa: B023


async def _no_thread(function: Callable[..., Any], *args: Any) -> Any:
    raise AssertionError("a check calls no handler")


def _remarks(root: Path) -> list[ConfigError]:
    """What does not stop the start: the environment and its example disagree."""
    missing, unlisted = compare_with_example(root, env, "development")
    example = root / ".env.example"
    return [
        *(ConfigError(f"{name} is in .env.example and not set", file=example, cure=_SET) for name in missing),
        *(ConfigError(f"{name} is set and not in .env.example", file=example, cure=_LIST) for name in unlisted),
    ]


def _about_policies(root: Path) -> list[ConfigError]:
    """What keeps the row policies from holding, if the database is there to be asked."""
    from ..db import POLICIES, db
    from ..db.rls import problems
    from ..errors import DbError

    if not any(POLICIES) or (db.dialect == "sqlite" and not (db.path and db.path.exists())):
        return []

    async def ask() -> list[str]:
        try:
            return await problems(db)
        except DbError as exc:
            return [f"the database could not be asked about its policies: {exc.message}"]
        finally:
            await db.close()

    file = root / "lib" / "policies.py"
    return [ConfigError(each, file=file, cure=_POLICY) for each in asyncio.run(ask())]


def _about_mail(root: Path) -> list[ConfigError]:
    """What production lacks to send the mail that the project's files speak of."""
    if not _sends_mail(root):
        return []
    from ..mail.send import NO_SENDER, NO_TRANSPORT

    mail = load_config(root, "production", env).mail
    found = []
    if mail.transport is None and not any(map(env.get, ("MAIL_TRANSPORT", "SMTP_URL", "RESEND_API_KEY"))):
        found.append(("no mail transport is configured, and production sends real mail", NO_TRANSPORT))
    if mail.sender is None:
        found.append(("no sender is set for mail", NO_SENDER))
    return [ConfigError(what, file=root / "pyproject.toml", cure=cure) for what, cure in found]


def _sends_mail(root: Path) -> bool:
    files = [file for folder in ("app", "lib") for file in (root / folder).rglob("*.py")]
    return any("send_email(" in file.read_text(errors="replace") for file in files)


_POLICY = "mend the policy or the table; on PostgreSQL turnout db policies prints what a migration needs"
_SET = "set it in .env.local, or remove it from .env.example"
_LIST = "add it there without its value, so that others know of it"
