"""From a sentence to a proved diff: the bounded pipeline behind ``turnout create``.

::

    async with create("Add an API route to process Stripe webhook events") as run:
        async for event in run.events():
            ...
        if run.proved:
            run.apply()

A recipe that the sentence clearly means, else a model; then parse, plain fixes, gates, and at most
three repairs in one budget. Nothing is written into the project before ``apply``, and every step
is an event: the terminal, ``--json`` and whoever imports this read the same ones. What a run made
is kept in ``.turnout/ai/`` whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Struct, field

from ..config import AiConfig, load_config
from ..env import load_env
from ..errors import ConfigError, TurnoutError
from . import apply as writing
from .autofix import autofix
from .brief import Brief, brief, repair
from .changeset import ChangeSet, FileChange, Finding
from .llm import Budget, Model, ModelError, choose, open_model
from .protocol import Answer, parse, to_changeset
from .redact import Redactor
from .runs import Kept, find_run, new_run
from .view import ProjectView

if TYPE_CHECKING:
    from .gates import GateReport, Verdict
    from .jail import Sandbox


class Context(Struct, frozen=True, tag=True):
    """What a model is about to be told; *dropped* had no room."""

    model: str
    place: str
    characters: int
    dropped: list[str]


class Matched(Struct, frozen=True, tag=True):
    """A recipe answers the sentence."""

    recipe: str
    arguments: dict[str, str]


class Token(Struct, frozen=True, tag=True):
    """A piece of a model's answer."""

    text: str


class FileDraft(Struct, frozen=True, tag=True):
    """A file of the proposal that is judged next."""

    path: str
    lines: int


class Gate(Struct, frozen=True, tag=True):
    """One gate has judged; *notes* say what it could not look at, *layers* what the jail had in force."""

    name: str
    ok: bool
    report: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Repair(Struct, frozen=True, tag=True):
    """The model is asked again; *why* is what it is told."""

    number: int
    why: list[str]


class Ready(Struct, frozen=True, tag=True):
    """The proposal is proved; apply it, or not."""

    run: str
    summary: str


class Failed(Struct, frozen=True, tag=True):
    """No proved proposal. *code* is the exit status: 3 kept and shown, 5 nobody to ask."""

    run: str
    why: str
    code: int = 3


Event = Context | Matched | Token | FileDraft | Gate | Repair | Ready | Failed
Events = AsyncGenerator[Event, None]


class Options(Struct, frozen=True, kw_only=True):
    """How a run goes; see ``create``."""

    recipe: str | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    use_recipes: bool = True
    model: str | None = None
    max_repairs: int = 3
    max_cost_usd: float | None = None
    execute: bool = True
    allow_destructive: bool = False
    may_send: Callable[[Model], bool] | None = None
    may_run: Callable[[str], bool] | None = None
    retry: str | None = None


def create(
    ask: str,
    *,
    project: Path | str = ".",
    recipe: str | None = None,
    arguments: Mapping[str, str] | None = None,
    use_recipes: bool = True,
    model: str | None = None,
    max_repairs: int = 3,
    max_cost_usd: float | None = None,
    execute: bool = True,
    allow_destructive: bool = False,
    may_send: Callable[[Model], bool] | None = None,
    may_run: Callable[[str], bool] | None = None,
    retry: str | None = None,
) -> Run:
    """A run for *ask*, to be entered with ``async with``; nothing happens before ``events`` is read.

    Args:
        recipe: The recipe to use, with *arguments*; the sentence decides if None.
        use_recipes: False asks the model even where a recipe would do.
        model: ``provider:model``; the setting and the environment decide if None.
        max_repairs: How often a refused proposal goes back to the model.
        max_cost_usd: The most that it may cost; the setting if None.
        execute: False judges without running any of it, so nothing is proved.
        allow_destructive: Let a migration drop and delete.
        may_send: Asked once before anything is sent to a model that is not on this machine.
        may_run: Asked once, with the kind of jail there is, before a proposal runs in less than a whole one.
        retry: The id of an earlier run to go on from.
    """
    options = Options(
        recipe=recipe,
        arguments=dict(arguments or {}),
        use_recipes=use_recipes,
        model=model,
        max_repairs=max_repairs,
        max_cost_usd=max_cost_usd,
        execute=execute,
        allow_destructive=allow_destructive,
        may_send=may_send,
        may_run=may_run,
        retry=retry,
    )
    return Run(ask, Path(project).absolute(), options)


class NobodyToAsk(ConfigError):
    """No recipe means the sentence, and there is no model."""


class Attempt(Struct, frozen=True):
    """One proposal and how far it came."""

    change: ChangeSet
    findings: list[Finding]
    gates: int
    proved: bool

    def report(self) -> str:
        """The findings, as a model and a person read them; at most 4 KB."""
        text = "\n".join(map(str, self.findings))
        return text if len(text) <= 4096 else text[:4096].rpartition("\n")[0] + "\n…"

    def worth(self) -> tuple[bool, int, int]:
        """Higher is better: proved, then more gates passed, then fewer findings."""
        return self.proved, self.gates, -len(self.findings)


class Run:
    """One sentence on its way; made by ``create``.

    Attributes:
        proved: Whether every gate passed.
        change: The best proposal so far.
        findings: What is wrong with it.
    """

    def __init__(self, ask: str, root: Path, options: Options) -> None:
        self.ask, self.root, self.options = ask, root, options
        self.proved = False
        self.change: ChangeSet | None = None
        self.findings: list[Finding] = []
        self.kept: Kept | None = None
        self.layers: list[str] = []
        self.budget = Budget()
        self._model: Model | None = None
        self._best: Attempt | None = None
        self._weak: bool | None = None

    async def __aenter__(self) -> Run:
        self.environment = load_env(self.root, "development")
        self.settings: AiConfig = load_config(self.root, "development", self.environment).ai
        self.view = ProjectView(self.root)
        self.redact = Redactor(self.root)
        self.recovered = writing.recover(self.root)
        cost = self.options.max_cost_usd
        self.budget = Budget(
            max_requests=self.settings.max_requests,
            max_tokens=self.settings.max_tokens,
            max_cost_usd=self.settings.max_cost_usd if cost is None else cost,
            answer_tokens=self.settings.answer_tokens,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._model is not None:
            await self._model.close()
        if self.kept is not None and self.kept.record.state == "open":
            self.kept.save(state="failed", why=self.kept.record.why or (f"{exc}"[:300] if exc else "ended early"))

    @property
    def id(self) -> str:
        """The name of this run in the run store."""
        return self.kept.record.id if self.kept else ""

    async def events(self) -> Events:
        """Do the work, a step at a time; the last event is ``Ready`` or ``Failed``.

        Raises:
            NobodyToAsk: no recipe means the sentence, and there is no model.
            ConfigError: a recipe cannot do it in this project, or the settings are wrong.
        """
        self.kept = new_run(self.root, self.redact(self.ask), arguments=self.options.arguments)
        try:
            found = self._recipe()
            steps = self._from_recipe(*found) if found else self._from_model()
            async for event in steps:
                yield event
        except ModelError as exc:
            why = self.redact(str(exc))
            self._note(state="failed", why=why)
            yield self._end(why) if self.change is not None else Failed(self.id, why)
        except ConfigError as exc:
            self._note(state="failed", why=exc.message)
            raise

    # -- where a proposal comes from

    def _recipe(self) -> tuple[str, dict[str, str], ChangeSet] | None:
        """The recipe that is meant, its arguments and its plan."""
        from .recipes import RECIPES, match

        if self.options.retry:
            return None
        if (name := self.options.recipe) is not None:
            if name not in RECIPES:
                raise ConfigError(f"there is no recipe {name!r}", cure=f"there are {', '.join(sorted(RECIPES))}")
            arguments = RECIPES[name].complete(self.options.arguments)
            return name, arguments, RECIPES[name].plan(self.view, arguments)
        found = match(self.ask) if self.options.use_recipes else None
        if found is None:
            return None
        try:
            arguments = found.recipe.complete(found.args)
            return found.recipe.name, arguments, found.recipe.plan(self.view, arguments)
        except ConfigError:
            if self._model_name() is None:
                raise
            return None  # it cannot do this here; a model may

    async def _from_recipe(self, name: str, arguments: dict[str, str], change: ChangeSet) -> Events:
        yield Matched(name, arguments)
        self._note(by=f"recipe {name}", arguments=arguments)
        async for event in self._judge(1, change, []):
            yield event
        yield self._end("the recipe's proposal did not pass in this project")

    async def _from_model(self) -> Events:
        model = self._model = self._opened()
        start, ask = self._retried()
        first = brief(ask, self.view, self.redact, tokens=self.settings.context_tokens, start=start)
        if not model.local and self.options.may_send is not None and not self.options.may_send(model):
            raise ModelError(f"nothing was sent to {model.place}: it was not allowed")
        self._note(by=f"model {model.name}")
        self._said("system", first.system)
        yield Context(model.name, model.place, len(first.system) + len(first.prompt), first.dropped)
        told, attempts = first, list[Attempt]()
        for number in range(self.options.max_repairs + 1):
            answer = ""
            async for piece in self._turn(model, told):
                answer += piece
                yield Token(piece)
            before = attempts[-1] if attempts else None
            change, said, problems = self._understood(answer, before, start)
            async for event in self._judge(number + 1, change, problems, said):
                yield event
            attempts.append(self._last)
            if self._last.proved:
                break
            if before is not None and before.report() == self._last.report():
                break  # told the same twice, it says the same again
            if number < self.options.max_repairs:
                findings = self._last.findings
                yield Repair(number + 1, [self.redact(str(each)) for each in findings])
                told = repair(first, self.redact, change, _with_docs(self._last.report(), findings), findings)
        yield self._end(f"no answer of {model.name} passed in {len(attempts)} attempts")

    async def _turn(self, model: Model, told: Brief) -> AsyncGenerator[str, None]:
        """One answer, piece by piece as it comes."""
        self._said("user", told.prompt)
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        async def ask() -> None:
            try:
                await model.turn(told.messages(), self.budget, pieces.put_nowait)
            finally:
                pieces.put_nowait(None)

        said: list[str] = []
        task = asyncio.create_task(ask())
        try:
            while (piece := await pieces.get()) is not None:
                said.append(piece)
                yield piece
            await task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, TurnoutError):
                await task
            self._said("model", self.redact("".join(said)))
            spent = self.budget
            self._note(
                requests=spent.requests,
                tokens_in=spent.tokens_in,
                tokens_out=spent.tokens_out,
                cost_usd=spent.cost_usd,
            )

    def _understood(
        self, text: str, before: Attempt | None, start: ChangeSet | None
    ) -> tuple[ChangeSet, list[str], list[Finding]]:
        answer = parse(text)
        base = _keep(before.change, before.findings, answer) if before else start
        change, said = autofix(to_changeset(answer, self.view, before=base))
        problems = [
            Finding("answer", None, "TRN190", what, "answer in the form that was shown") for what in answer.problems
        ]
        return change, said, problems

    def _opened(self) -> Model:
        from .recipes import RECIPES

        name = self._model_name()
        if name is None:
            raise NobodyToAsk(
                "no recipe means this sentence, and there is no model to ask" if self.settings.enabled else _OFF,
                cure=f"say it in the words of a recipe ({', '.join(sorted(RECIPES))}), or name a model: --model, "
                "TURNOUT_AI_MODEL or [tool.turnout.ai]; turnout create --doctor shows what is there",
            )
        return open_model(name, self.environment, base_url=self.settings.base_url, timeout_s=self.settings.answer_s)

    def _model_name(self) -> str | None:
        return choose(self.options.model, self.settings.model, self.environment) if self.settings.enabled else None

    def _retried(self) -> tuple[ChangeSet | None, str]:
        if self.options.retry is None:
            return None, self.ask
        old = find_run(self.root, self.options.retry)
        return old.change(), f"{old.record.ask}\n\nAlso: {self.ask}" if self.ask else old.record.ask

    # -- judging

    async def _judge(
        self, number: int, change: ChangeSet, problems: list[Finding], fixed: list[str] | None = None
    ) -> Events:
        """The form of the answer first, then the gates; nothing of a refused path is ever on a disk."""
        for file in change.files:
            yield FileDraft(file.path, len((file.text or "").splitlines()))
        findings = problems
        if not change.files and not findings:
            findings = [Finding("answer", None, "TRN190", "it changes nothing", "write the files that are asked for")]
        if findings or fixed:
            yield Gate("answer", not findings, [self.redact(str(each)) for each in findings], fixed or [])
        attempt = Attempt(change, findings, 0, False)
        if not findings:
            verdict: Verdict | None = None
            async for event in self._gates(change):
                if isinstance(event, Gate):
                    yield event
                else:
                    verdict = event
            assert verdict is not None
            attempt = Attempt(change, verdict.findings, 1 + sum(each.ok for each in verdict.reports), verdict.proved)
        self._last = attempt
        if self._best is None or attempt.worth() > self._best.worth():
            self._best = attempt
        self.change, self.findings, self.proved = self._best.change, self._best.findings, self._best.proved
        if self.kept is not None:
            judged = {"proved": attempt.proved, "gates": attempt.gates, "report": self.redact(attempt.report())}
            self.kept.attempt(number, change, judged)

    async def _gates(self, change: ChangeSet) -> AsyncGenerator[Gate | Verdict, None]:
        from .gates import run_gates

        done: asyncio.Queue[GateReport | None] = asyncio.Queue()
        weak = await self._allowed_weak()

        async def judged() -> Verdict:
            try:
                return await run_gates(
                    self.root,
                    change,
                    sandbox=cast("Sandbox", self.settings.sandbox),
                    on_event=done.put_nowait,
                    allow_destructive=self.options.allow_destructive,
                    allow_weak=weak,
                    execute=self.options.execute,
                )
            finally:
                done.put_nowait(None)

        task = asyncio.create_task(judged())
        try:
            while (report := await done.get()) is not None:
                self.layers = report.layers or self.layers
                lines = [self.redact(str(each)) for each in report.findings]
                notes = [self.redact(each) for each in report.notes]
                yield Gate(report.name, report.ok, lines, notes, report.layers, report.seconds)
            yield await task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def _allowed_weak(self) -> bool:
        """Whether the proposal may run although there is no whole jail here; asked once."""
        if self._weak is None:
            self._weak = False
            if self.options.execute and self.options.may_run is not None and self.settings.sandbox == "auto":
                from .jail import FULL, strongest

                mode = await strongest("auto")
                self._weak = mode not in FULL and self.options.may_run(mode)
        return self._weak

    def _end(self, why: str) -> Ready | Failed:
        assert self.kept is not None and self.change is not None
        self.kept.write("change.json", self.change)
        self.kept.write("bases.json", self._bases())
        self._note(state="proved" if self.proved else "failed", proved=self.proved, summary=self.change.summary)
        if self.proved:
            return Ready(self.id, self.change.summary)
        if not self.findings and not self.options.execute:
            why = "nothing was run, so nothing is proved"
        self._note(why=why)
        return Failed(self.id, why)

    def _bases(self) -> dict[str, str]:
        files = self.change.files if self.change else []
        return {
            file.path: text for file in files if file.base_sha256 and (text := self.view.read(file.path)) is not None
        }

    def _said(self, who: str, text: str) -> None:
        if self.kept is not None:
            self.kept.said(who, text)

    def _note(self, **changes: Any) -> None:
        if self.kept is not None:
            self.kept.save(**changes)

    # -- what becomes of it

    def apply(self, *, unproved: bool = False) -> list[str]:
        """Write the proposal; the paths that were written. ``.env.example`` may be one of them.

        Args:
            unproved: Write it although it is not proved.

        Raises:
            TurnoutError: it is not proved.
            Conflict: a file moved on; ``rebase`` may help.
        """
        if self.change is None or self.kept is None or not (self.proved or unproved):
            raise TurnoutError("this proposal is not proved, so it is not applied")
        return apply_run(self.root, self.kept, self.change)

    async def rebase(self) -> Events:
        """Put the proposal on top of the files as they are now, and judge it again.

        Raises:
            Conflict: the same lines changed.
        """
        assert self.change is not None and self.kept is not None
        bases = self.kept.read("bases.json", dict[str, str]) or {}
        self._best = None  # what was proved was proved on other files
        change = writing.merged(self.root, self.change, bases)
        async for event in self._judge(self.kept.record.attempts + 1, change, []):
            yield event
        yield self._end("on top of the files as they are now it does not pass")

    def undo(self) -> list[str]:
        """Take back what ``apply`` wrote."""
        assert self.kept is not None
        return undo_run(self.root, self.kept)

    def decline(self) -> None:
        """Note that the proposal is not wanted; it is kept."""
        self._note(state="declined")

    def diff(self) -> str:
        """The proposal as a unified diff."""
        return diff(self.change, self.view) if self.change else ""


_OFF = "no recipe means this sentence, and models are turned off (enabled = false under [tool.turnout.ai])"


def apply_run(root: Path, kept: Kept, change: ChangeSet) -> list[str]:
    """Write what the run *kept* ended with; the paths."""
    journal = writing.apply(root, change, run=kept.record.id)
    kept.write("applied.json", journal)
    kept.save(state="applied")
    return [entry.path for entry in journal.entries]


def undo_run(root: Path, kept: Kept, *, keep: frozenset[str] = frozenset()) -> list[str]:
    """Take back what the run *kept* wrote; the paths that were restored.

    Raises:
        ConfigError: it wrote nothing, or was undone.
        Conflict: the same lines were changed since.
    """
    journal = kept.read("applied.json", writing.Journal)
    if journal is None or kept.record.state != "applied":
        raise ConfigError(f"the run {kept.record.id} is not applied", cure="turnout create --runs shows what is")
    paths = writing.undo(root, journal, keep=keep)
    kept.save(state="undone")
    return paths


def diff(change: ChangeSet, view: ProjectView) -> str:
    """*change* against the files as they are, as a unified diff."""
    parts: list[str] = []
    for file in sorted(change.files, key=lambda each: each.path):
        old = (view.read(file.path) or "").splitlines(keepends=True)
        new = (file.text or "").splitlines(keepends=True)
        before = "/dev/null" if file.base_sha256 is None else f"a/{file.path}"
        after = "/dev/null" if file.text is None else f"b/{file.path}"
        for line in difflib.unified_diff(old, new, before, after):
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def _keep(change: ChangeSet, findings: list[Finding], answer: Answer) -> ChangeSet:
    """What of a refused proposal a repair begins with.

    Files of refused paths go; and so do new routes that the new answer neither has nor claims,
    since a model that moves a route does not think of the old file.
    """
    refused = {each.path for each in findings if each.code.startswith("TRN17")}
    claimed = {claim.path for claim in answer.contract}

    def stays(file: FileChange) -> bool:
        pattern = file.path.removeprefix("app").removesuffix("/route.py")
        moved = file.path.endswith("/route.py") and file.base_sha256 is None and claimed and pattern not in claimed
        return file.path not in refused and (file.path in answer.files or not moved)

    return msgspec.structs.replace(change, files=[file for file in change.files if stays(file)])


def _with_docs(report: str, findings: list[Finding]) -> str:
    """*report*, and a line for each code in it."""
    from .explain import explain

    lines = [f"{code}: {text}" for code in sorted({each.code for each in findings}) if (text := explain(code))]
    return "\n".join([report, "", *lines]) if lines else report
