"""Write a route from a sentence: proved first, shown as a diff, applied when you say yes.

A recipe that the sentence clearly means works with no key and no network; else a model is asked.
Exit status: 0 applied, 2 declined, 3 not proved (kept, and applied only with --force-unproved),
4 files moved on meanwhile, 5 no recipe and no model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..log import use_colours
from .load import project_root
from .main import WrongUsage

if TYPE_CHECKING:
    from ..ai.create import Event, Run
    from ..ai.llm import Model
    from ..ai.runs import Kept

APPLIED, DECLINED, UNPROVED, CONFLICT, NOBODY = 0, 2, 3, 4, 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("words", nargs="*", help="what to create, as a sentence; with --recipe its arguments")
    parser.add_argument("--root", type=Path, help="the project (default: the current folder)")
    parser.add_argument("--recipe", metavar="NAME", help="use this recipe")
    parser.add_argument("--recipes", action="store_true", help="list the recipes")
    parser.add_argument("--no-recipe", action="store_true", help="ask the model even where a recipe would do")
    parser.add_argument("--model", help="provider:model, such as ollama:qwen2.5-coder")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="the most that this may cost")
    parser.add_argument("--show-context", action="store_true", help="print what a model would be sent, and stop")
    parser.add_argument("--dry-run", action="store_true", help="show the diff, and do not apply it")
    parser.add_argument("--yes", action="store_true", help="apply what is proved without asking")
    parser.add_argument("--no-exec", action="store_true", help="judge without running anything; proves nothing")
    parser.add_argument("--allow-destructive", action="store_true", help="let a migration drop or delete")
    parser.add_argument("--force-unproved", action="store_true", help="apply what is not proved, after asking")
    parser.add_argument("--commit", action="store_true", help="commit what was applied with git")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--runs", action="store_true", help="list earlier runs")
    parser.add_argument("--show", metavar="ID", help="show the diff and the reports of a run")
    parser.add_argument("--apply", metavar="ID", help="apply a run that was kept")
    parser.add_argument("--undo", metavar="ID", help="take back a run that was applied")
    parser.add_argument("--retry", metavar="ID", help='go on from a run: --retry ID "also ..."')
    parser.add_argument("--doctor", action="store_true", help="tell what is there: model, key, jail")


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    root = project_root(args.root)
    from ..ai.apply import Conflict, Refused
    from ..ai.create import NobodyToAsk
    from ..ai.tree import NotPlain

    say = _Json(args.yes) if args.json else _Terminal(args.yes)
    for wanted, command in _OTHERS.items():
        if getattr(args, wanted):
            step = command
            break
    else:
        step = _create
    try:
        return asyncio.run(step(args, root, say))
    except NobodyToAsk as exc:
        say.error(exc.message, exc.cure)
        return NOBODY
    except Conflict as exc:
        say.error(
            f"nothing was written: {', '.join(exc.paths)} changed meanwhile", "run it again on the files as they are"
        )
        return CONFLICT
    except (Refused, NotPlain) as exc:
        say.error(f"nothing was written: {exc}", None)
        return UNPROVED


# -- creating


async def _create(args: argparse.Namespace, root: Path, say: Say) -> int:
    from ..ai.create import Failed, create

    if args.recipe is None and not args.words and not args.retry:
        raise WrongUsage("what shall be created?", cure='turnout create "Add an endpoint that ..."')
    if args.show_context:
        return _show_context(args, root)
    arguments = _recipe_arguments(args)
    async with create(
        " ".join(args.words),
        project=root,
        recipe=args.recipe,
        arguments=arguments,
        use_recipes=not args.no_recipe,
        model=args.model,
        max_cost_usd=args.max_cost,
        execute=not args.no_exec,
        allow_destructive=args.allow_destructive,
        may_send=lambda model: _consent(root, model, say),
        may_run=lambda mode: say.ask(_WEAK.format(mode=mode), risky=True),
        retry=args.retry,
    ) as made:
        if made.recovered:
            say.note(f"finished what run {made.recovered} had begun before it was cut short")
        last = await _shown(made.events(), say)
        if made.change is None or not made.change.files:
            return last.code if isinstance(last, Failed) else UNPROVED
        say.proposal(made)
        if args.dry_run:
            say.note(f"nothing was written; turnout create --apply {made.id} applies it")
            return APPLIED if made.proved else UNPROVED
        return await _decided(made, args, say)


def _recipe_arguments(args: argparse.Namespace) -> dict[str, str]:
    if args.recipe is None:
        return {}
    from ..ai.recipes import RECIPES

    return RECIPES[args.recipe].parse(args.words) if args.recipe in RECIPES else {}


async def _shown(events: AsyncGenerator[Event, None], say: Say) -> Event | None:
    last = None
    async with contextlib.aclosing(events) as each:
        async for last in each:
            say.event(last)
    return last


async def _decided(made: Run, args: argparse.Namespace, say: Say) -> int:
    """Ask whether to apply, and do."""
    if not made.proved and not args.force_unproved:
        say.note(f'kept as {made.id}: turnout create --retry {made.id} "..." goes on, --show {made.id} shows it')
        return UNPROVED
    question = "Apply it?" if made.proved else "This is NOT proved. Apply it all the same?"
    if not say.ask(question, risky=not made.proved):
        made.decline()
        say.note(f"not applied; kept as {made.id}: turnout create --apply {made.id} applies it later")
        return DECLINED
    return await _applied(made, say, commit=args.commit, unproved=args.force_unproved)


async def _applied(made: Run, say: Say, *, commit: bool, unproved: bool) -> int:
    from ..ai.apply import Conflict
    from ..ai.create import Failed

    try:
        paths = made.apply(unproved=unproved)
    except Conflict as exc:
        say.note(f"{', '.join(exc.paths)} changed meanwhile; putting the proposal on top of it and judging again")
        last = await _shown(made.rebase(), say)
        if isinstance(last, Failed):
            return CONFLICT
        paths = made.apply(unproved=unproved)
    assert made.change is not None
    say.applied(made.id, paths, _next_steps(_not_installed(made.change.needs), paths))
    if commit:
        _commit(made.root, paths, made.change.summary or made.ask, say)
    return APPLIED


def _next_steps(needs: list[str], paths: list[str]) -> list[str]:
    import shlex

    steps = [f"pip install {shlex.join(needs)}"] if needs else []
    if any(path.startswith("migrations/") for path in paths):
        steps.append("turnout db migrate")
    if ".env.example" in paths:
        steps.append("set the new names of .env.example in .env.local")
    if any(path.startswith("tests/") for path in paths):
        steps.append("pytest")
    return steps


def _not_installed(needs: list[str]) -> list[str]:
    return [need for need in needs if not _is_there(need)]


def _is_there(need: str) -> bool:
    """Whether *need*, such as ``turnout[auth,mail]``, is installed, with what its extras ask for."""
    import re
    from importlib.metadata import PackageNotFoundError, requires

    found = re.match(r"([\w.-]+)\s*(?:\[([^]]*)\])?", need)
    try:
        asked = requires(found[1]) if found else None
    except PackageNotFoundError:
        return False
    extras = {f'extra=="{each.strip()}"' for each in ((found and found[2]) or "").split(",") if each.strip()}
    lines = [line.replace(" ", "").replace("'", '"') for line in asked or []]
    return all(_is_there(line) for line in lines if any(extra in line for extra in extras))


def _commit(root: Path, paths: list[str], message: str, say: Say) -> None:
    import subprocess

    for command in (["add", "--", *paths], ["commit", "-q", "-m", message.splitlines()[0][:72], "--", *paths]):
        done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            say.error(f"git {command[0]} failed: {done.stderr.strip()}", "the files are written; commit them by hand")
            return
    say.note("committed")


def _consent(root: Path, model: Model, say: Say) -> bool:
    """Whether parts of the project may be sent to where *model* is; asked once per project and place."""
    from ..ai.runs import open_store, write_whole

    file = open_store(root) / "consent.json"
    try:
        given = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        given = {}
    if model.place in given:
        return True
    what = f"Parts of this project (--show-context prints them) will be sent to {model.place}. Send them?"
    if not say.ask(what):
        return False
    write_whole(file, json.dumps({**given, model.place: time.strftime("%Y-%m-%d")}).encode())
    return True


def _show_context(args: argparse.Namespace, root: Path) -> int:
    """Print the exact texts that a model would be sent."""
    from ..ai.brief import brief
    from ..ai.redact import Redactor
    from ..ai.view import ProjectView
    from .load import read_settings

    settings = read_settings(root, "development").ai
    found = brief(" ".join(args.words), ProjectView(root), Redactor(root), tokens=settings.context_tokens)
    if args.json:
        print(json.dumps({"system": found.system, "user": found.prompt, "dropped": found.dropped}))
    else:
        print(found.shown())
    return 0


# -- other things


async def _recipes(args: argparse.Namespace, root: Path, say: Say) -> int:
    from ..ai.recipes import RECIPES

    for name, recipe in sorted(RECIPES.items()):
        if args.json:
            print(json.dumps({"name": name, "summary": recipe.summary, "usage": recipe.usage()}))
        else:
            print(f"{name:<16} {recipe.summary}\n{'':<16} {recipe.usage()}")
    return 0


async def _runs(args: argparse.Namespace, root: Path, say: Say) -> int:
    import msgspec

    from ..ai.runs import runs

    for kept in runs(root):
        record = kept.record
        if args.json:
            print(msgspec.json.encode(record).decode())
        else:
            print(f"{record.id}  {record.state:<8}  {record.by:<24}  {' '.join(record.ask.split())[:60]}")
    return 0


async def _show(args: argparse.Namespace, root: Path, say: Say) -> int:
    import msgspec

    from ..ai.create import diff
    from ..ai.runs import find_run
    from ..ai.view import ProjectView

    kept = find_run(root, args.show)
    change = kept.change()
    if args.json:
        print(msgspec.json.encode({"record": kept.record, "change": change}).decode())
        return 0
    record = kept.record
    print(_plain(f"{record.id}: {record.ask}"))
    print(f"{record.state}, by {record.by or 'nobody'}, {record.attempts} attempts {record.why}".rstrip())
    for number in range(1, record.attempts + 1):
        judged = kept.read(f"attempt-{number}.json", dict[str, Any]) or {}
        if report := judged.get("verdict", {}).get("report"):
            print(_plain(f"\nattempt {number}:\n{report}"))
    if change is not None:
        print(f"\n{_coloured(_plain(diff(change, ProjectView(root))), use_colours(sys.stdout))}", end="")
    return 0


async def _apply(args: argparse.Namespace, root: Path, say: Say) -> int:
    from ..ai.create import create
    from ..ai.runs import find_run

    kept = find_run(root, args.apply)
    async with create(kept.record.ask, project=root) as made:
        made.kept, made.change = kept, kept.change()
        made.proved = kept.record.proved
        if made.change is None:
            raise ConfigError(f"the run {kept.record.id} ended without a proposal", cure="turnout create --runs")
        say.proposal(made)
        return await _decided(made, args, say)


async def _undo(args: argparse.Namespace, root: Path, say: Say) -> int:
    from ..ai.create import undo_run
    from ..ai.runs import find_run

    kept = find_run(root, args.undo)
    ran = await _migrations_that_ran(root, kept)
    paths = undo_run(root, kept, keep=frozenset(ran))
    for path in ran:
        say.note(f"{path} stays: a database has run it; write another migration to take it back")
    say.note(f"took back {len(paths)} file{'' if len(paths) == 1 else 's'}: {', '.join(paths)}")
    return 0


async def _migrations_that_ran(root: Path, kept: Kept) -> list[str]:
    """Those of the run's migrations that the project's database has applied; all of them if it cannot be asked."""
    from ..ai.apply import Journal

    journal = kept.read("applied.json", Journal)
    files = [entry.path for entry in journal.entries if entry.path.startswith("migrations/")] if journal else []
    if not files:
        return []
    from ..db import db, migrate
    from .load import read_settings

    settings = read_settings(root, "development")
    db.configure(settings.database_url)
    if db.dialect == "sqlite" and not (db.path and db.path.exists()):
        return []
    try:
        found = await migrate.status(db, root / settings.migrations_dir)
        applied = {each.file.name for each in found if each.applied_at and each.file}
        return [path for path in files if Path(path).name in applied]
    except Exception:  # whatever keeps it from answering, a file that it may have run is not removed
        return files
    finally:
        await db.close()


async def _doctor(args: argparse.Namespace, root: Path, say: Say) -> int:
    from ..ai.jail import strongest
    from ..ai.llm import KEYS, choose, open_model
    from ..env import load_env
    from .load import read_settings

    settings = read_settings(root, "development").ai
    environment = load_env(root, "development")
    name = choose(args.model, settings.model, environment) if settings.enabled else None
    facts: dict[str, Any] = {
        "model": name or ("turned off" if not settings.enabled else "none: recipes only"),
        "keys": [key for key in KEYS if environment.get(key)],
        "place": open_model(name, environment, base_url=settings.base_url).place if name else None,
        "packages": _installed("pydantic_ai"),
        "jail": await strongest(settings.sandbox),  # type: ignore[arg-type]
        "type_checker": next((each for each in ("pyright", "mypy", "pyrefly") if _installed(each)), None),
        "git": _which("git"),
    }
    if args.json:
        print(json.dumps(facts))
    else:
        hints = {
            "packages": 'no: pip install "turnout[ai]" to ask a model',
            "type_checker": "none: types are not checked",
        }
        for key, value in facts.items():
            text = ", ".join(value) if isinstance(value, list) else "yes" if value is True else value
            print(f"{key.replace('_', ' '):<14} {text or hints.get(key, 'none')}")
    return 0


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _which(name: str) -> bool:
    import shutil

    return shutil.which(name) is not None


_WEAK = "There is no whole jail on this machine, only {mode}. Run code in it that nobody has read yet?"
_Step = Callable[[argparse.Namespace, Path, "Say"], Coroutine[Any, Any, int]]
_OTHERS: dict[str, _Step] = {
    "recipes": _recipes,
    "runs": _runs,
    "show": _show,
    "apply": _apply,
    "undo": _undo,
    "doctor": _doctor,
}


# -- saying it


class _Terminal:
    """Progress for people: what happens on standard error, the diff on standard output."""

    def __init__(self, yes: bool) -> None:
        self.yes = yes
        self.colours = use_colours(sys.stdout)
        self.answering = False

    def event(self, event: Event) -> None:
        """One step."""
        from ..ai import create

        if isinstance(event, create.Token):
            if not self.answering and sys.stderr.isatty():
                print("  the model is answering ", end="", file=sys.stderr)
            if sys.stderr.isatty():
                print("." * event.text.count("\n"), end="", file=sys.stderr, flush=True)
            self.answering = True
            return
        if self.answering and sys.stderr.isatty():
            print(file=sys.stderr)
        self.answering = False
        for line in _lines(event):
            print(_plain(line), file=sys.stderr)

    def proposal(self, made: Run) -> None:
        """The diff and what it needs."""
        print(_coloured(_plain(made.diff()), self.colours), end="", flush=True)
        assert made.change is not None
        if made.change.env:
            print(f"adds to .env.example: {', '.join(made.change.env)}", file=sys.stderr)
        if absent := _not_installed(made.change.needs):
            print(f"needs packages; nothing is installed by this: {' '.join(absent)}", file=sys.stderr)

    def applied(self, name: str, paths: list[str], steps: list[str]) -> None:
        """What was written."""
        count = f"{len(paths)} file{'' if len(paths) == 1 else 's'}"
        lines = [f"applied {count}; turnout create --undo {name} takes it back", *(f"  next: {step}" for step in steps)]
        print("\n".join(lines), flush=True)

    def note(self, text: str) -> None:
        """One line."""
        print(_plain(text), file=sys.stderr)

    def error(self, message: str, cure: str | None) -> None:
        """What went wrong, and the cure."""
        print(_plain(f"turnout: {message}" + (f"\n  cure: {cure}" if cure else "")), file=sys.stderr)

    def ask(self, question: str, *, risky: bool = False) -> bool:
        """Whether the user says yes; ``--yes`` does, but to nothing *risky*, and nobody there says no."""
        if self.yes and not risky:
            return True
        if not sys.stdin.isatty():
            return False
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")


class _Json:
    """One JSON object per line on standard output; nobody is asked, and nothing applied without ``--yes``."""

    def __init__(self, yes: bool) -> None:
        self.yes = yes

    def event(self, event: Event) -> None:
        """One step; pieces of an answer are left out."""
        import msgspec

        from ..ai.create import Token

        if not isinstance(event, Token):
            print(msgspec.json.encode(event).decode(), flush=True)

    def proposal(self, made: Run) -> None:
        """The diff and what it needs."""
        import msgspec

        found = {"type": "Proposal", "run": made.id, "proved": made.proved, "diff": made.diff(), "change": made.change}
        print(msgspec.json.encode(found).decode(), flush=True)

    def applied(self, name: str, paths: list[str], steps: list[str]) -> None:
        """What was written."""
        print(json.dumps({"type": "Applied", "run": name, "paths": paths, "next": steps}), flush=True)

    def note(self, text: str) -> None:
        """One line."""
        print(json.dumps({"type": "Note", "text": text}), flush=True)

    def error(self, message: str, cure: str | None) -> None:
        """What went wrong, and the cure."""
        print(json.dumps({"type": "Error", "message": message, "cure": cure}), flush=True)

    def ask(self, question: str, *, risky: bool = False) -> bool:
        """Nobody is there to ask."""
        return self.yes and not risky


Say = _Terminal | _Json


def _lines(event: Event) -> list[str]:
    from ..ai import create

    if isinstance(event, create.Matched):
        words = " ".join(f"{name}={value}" for name, value in event.arguments.items() if value)
        return [f"matched recipe {event.recipe} {words}".rstrip() + "  (--no-recipe for free form)"]
    if isinstance(event, create.Context):
        dropped = f", left out: {', '.join(event.dropped)}" if event.dropped else ""
        return [f"asking {event.model} at {event.place}: {event.characters:,} characters{dropped}"]
    if isinstance(event, create.FileDraft):
        return [f"  {event.path}  {event.lines} lines"]
    if isinstance(event, create.Gate):
        mark = "ok" if event.ok else "NO"
        head = f"  {mark}  {event.name}" + (f"  {event.seconds:.1f} s" if event.seconds >= 0.05 else "")
        return [head, *(f"      {line}" for line in event.report), *(f"      note: {line}" for line in event.notes)]
    if isinstance(event, create.Repair):
        return [f"asking again, repair {event.number}"]
    if isinstance(event, create.Ready):
        return [f"proved: {event.summary}", ""]
    if isinstance(event, create.Failed):
        return [f"NOT proved: {event.why}", ""]
    return []


def _plain(text: str) -> str:
    """*text* with what a terminal would obey made visible: an escape could hide a line of the diff."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def _coloured(text: str, colours: bool) -> str:
    if not colours:
        return text
    paints = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
    lines = []
    for line in text.splitlines():
        paint = "\x1b[1m" if line.startswith(("+++", "---")) else paints.get(line[:1])
        lines.append(f"{paint}{line}\x1b[0m" if paint else line)
    return "\n".join(lines) + ("\n" if lines else "")
