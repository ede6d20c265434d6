"""Asking a model, or the recipes, for each prompt, and judging what comes: one line of JSON for each answer."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from msgspec import Struct

from ...errors import TurnoutError
from ..changeset import ChangeSet
from .data import HIDDEN, Eval, add_judge, lay_out
from .grade import Grade, judge


class Result(Struct):
    """One answer to one prompt.

    Attributes:
        works: Its behaviour is what was asked for.
        secure: And nothing happens that must not.
        proved: The gates let it pass; nothing else is ever applied for a user.
        stage: Where it ended: a gate, ``hidden``, ``model``, or empty where all is well.
    """

    eval: str
    category: str
    model: str
    number: int
    works: bool = False
    secure: bool = False
    proved: bool = False
    by: str = ""
    repairs: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    stage: str = ""
    why: str = ""


class How(Struct, frozen=True, kw_only=True):
    """How prompts are asked.

    Attributes:
        model: ``provider:model``; None: what settings and environment say, or recipes alone.
        recipes: Whether a recipe may answer.
        repairs: How often a refused answer goes back; 0 leaves the loop out.
    """

    model: str | None = None
    recipes: bool = True
    repairs: int = 3
    times: int = 1
    max_cost_usd: float | None = None


async def run(evals: Path, found: list[Eval], how: How) -> AsyncIterator[Result]:
    """Each answer as it is judged."""
    for each in found:
        for number in range(how.times):
            with tempfile.TemporaryDirectory(prefix="turnout-eval-", ignore_cleanup_errors=True) as folder:
                yield await _one(evals, each, how, number + 1, Path(folder))


async def _one(evals: Path, each: Eval, how: How, number: int, folder: Path) -> Result:
    result = Result(each.name, each.category, how.model or "default", number)
    project = lay_out(each, folder / "project")
    started = time.monotonic()
    try:
        await _answer(each, how, project, result)
    except TurnoutError as exc:
        result.stage, result.why = "model", str(exc)[:300]
    result.seconds = round(time.monotonic() - started, 1)
    work = folder / "work" / each.name
    # What is judged is the project alone, without the run's own records.
    shutil.copytree(project, work / "answer", ignore=shutil.ignore_patterns(".turnout"))
    add_judge(each, work / "answer")
    grade = judge(evals, work.parent).get(f"{each.name}/answer", Grade())
    result.works, result.secure = grade.ok("test_http"), grade.ok(*HIDDEN)
    if not result.secure and not result.stage:
        result.stage, result.why = "hidden", ", ".join(name for names in grade.failed.values() for name in names)[:300]
    return result


async def _answer(each: Eval, how: How, project: Path, result: Result) -> None:
    """Ask, and write the best answer into *project*, proved or not: what is not is judged too, and never counts."""
    from ..create import Failed, Gate, Matched, Repair, create

    asked = create(
        each.prompt, project=project, model=how.model, use_recipes=how.recipes, max_repairs=how.repairs,
        max_cost_usd=how.max_cost_usd, may_send=lambda model: True,
    )  # fmt: skip
    async with asked as run:
        async for event in run.events():
            if isinstance(event, Matched):
                result.by = f"recipe {event.recipe}"
            elif isinstance(event, Repair):
                result.repairs = event.number
            elif isinstance(event, Gate):
                result.stage = "" if event.ok else event.name
            elif isinstance(event, Failed):
                result.why = event.why[:300]
        result.proved = run.proved
        result.tokens = run.budget.tokens_in + run.budget.tokens_out
        result.cost_usd = round(run.budget.cost_usd or 0.0, 4)
        if run.change is not None:
            _write(project, run.change)


def _write(project: Path, change: ChangeSet) -> None:
    for file in change.files:
        place = project / file.path
        if file.text is not None and place.resolve().is_relative_to(project.resolve()):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(file.text, encoding="utf-8")


def line(result: Result) -> str:
    """One result as a line of JSON."""
    return msgspec.json.encode(result).decode()
