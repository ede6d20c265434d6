"""Asking a model, the recipes or an agent for each prompt, and judging what comes: one line of JSON for each answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from msgspec import Struct

from ...errors import ConfigError, TurnoutError
from ..changeset import ChangeSet
from ..jail import jailed
from .data import HIDDEN, Eval, add_judge, lay_out
from .grade import Grade, judge


class Result(Struct):
    """One answer to one prompt.

    Attributes:
        works: Its behaviour is what was asked for.
        secure: And nothing happens that must not.
        proved: The gates let it pass; nothing else is ever applied for a user.
        stage: Where it ended: a gate, ``hidden``, ``model``, ``agent``, or empty where all is well.
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
        agent: The command of a coding agent, with ``{prompt}`` where the prompt belongs; asked instead of a model.
        agent_s: Seconds that it has.
        jail: Whether it is held in the jail, which has no network and no files but the project's.
    """

    model: str | None = None
    recipes: bool = True
    repairs: int = 3
    times: int = 1
    max_cost_usd: float | None = None
    agent: str | None = None
    agent_s: float = 600
    jail: bool = True


async def run(evals: Path, found: list[Eval], how: How) -> AsyncIterator[Result]:
    """Each answer as it is judged."""
    for each in found:
        for number in range(how.times):
            with tempfile.TemporaryDirectory(prefix="turnout-eval-", ignore_cleanup_errors=True) as folder:
                yield await _one(evals, each, how, number + 1, Path(folder))


async def _one(evals: Path, each: Eval, how: How, number: int, folder: Path) -> Result:
    result = Result(each.name, each.category, how.agent or how.model or "default", number)
    project = lay_out(each, folder / "project")
    started = time.monotonic()
    try:
        await (_answer if how.agent is None else _agent)(each, how, project, result)
    except TurnoutError as exc:
        result.stage, result.why = "model" if how.agent is None else "agent", str(exc)[:300]
    result.seconds = round(time.monotonic() - started, 1)
    work = folder / "work" / each.name
    try:
        # What is judged is the project alone, without the run's own records.
        ours = shutil.ignore_patterns(".turnout")
        shutil.copytree(project, work / "answer", ignore=ours, ignore_dangling_symlinks=True)
    except OSError as exc:  # an agent may leave behind what is no file
        result.stage, result.why = "agent", str(exc)[:300]
        return result
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


async def _agent(each: Eval, how: How, project: Path, result: Result) -> None:
    """Let a coding agent work in *project*, which is a copy. No gate looks at what it does."""
    from ...cli import agents

    assert how.agent is not None
    argv = command(how.agent, each.prompt)
    agents.write(project)  # what a project of turnout new tells them
    code, said = await (_jailed if how.jail else _open)(argv, project, how.agent_s)
    result.by = "agent" if how.jail else "agent, without a jail"
    if code:
        result.stage, result.why = "agent", f"exit status {code}: {said[-250:]}"


def command(agent: str, prompt: str) -> list[str]:
    """The words of *agent* with the prompt in its place; no shell reads them.

    Raises:
        ConfigError: it does not say where the prompt belongs, or there is no such program.
    """
    try:
        words = shlex.split(agent)
    except ValueError as exc:
        raise ConfigError(f"--agent cannot be read: {exc}", cure=_AGENT) from None
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise ConfigError(f"there is no program {words[0] if words else ''!r}", cure="install it, or give its path")
    if not any("{prompt}" in word for word in words[1:]):
        raise ConfigError("--agent does not say where the prompt belongs", cure=_AGENT)
    return [program, *(word.replace("{prompt}", prompt) for word in words[1:])]


_AGENT = "--agent 'some-agent --print {prompt}'"


async def _jailed(argv: list[str], project: Path, wall_s: float) -> tuple[int, str]:
    ran = await jailed(argv, work=project, timeout_s=wall_s, sandbox="require")
    return ran.returncode, ran.output


async def _open(argv: list[str], project: Path, wall_s: float) -> tuple[int, str]:
    """With this process's environment, files and network: for agents that ask a model elsewhere."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=project,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(wall_s):
            output, _ = await process.communicate()
            return process.returncode or 0, output.decode(errors="replace")
    except TimeoutError:
        return 124, f"not done in {wall_s:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):  # what it has left running goes with it
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _write(project: Path, change: ChangeSet) -> None:
    for file in change.files:
        place = project / file.path
        if file.text is not None and place.resolve().is_relative_to(project.resolve()):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(file.text, encoding="utf-8")


def line(result: Result) -> str:
    """One result as a line of JSON."""
    return msgspec.json.encode(result).decode()
