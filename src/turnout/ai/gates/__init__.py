"""Gates G0 to G7: what a change has to get through before anybody is asked to apply it.

``run_gates`` stops at the first gate that refuses. G0 and G1 read; all others run the change in a jail, on copies of
the project and throw-away databases. The framework is the judge: its probes are made of the routes themselves, and a
test that the change brings has to fail without it. What could not be looked at is a note, never a silent pass.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..changeset import ChangeSet, Finding
from .report import GateReport, Verdict

if TYPE_CHECKING:
    from ..jail import Sandbox
    from .place import Place

__all__ = ["GATES", "GateReport", "Verdict", "run_gates"]

GATES = ("G0 paths", "G1 lint", "G2 routes", "G3 types", "G4 migrations", "G5 probes", "G6 new tests", "G7 old tests")


async def run_gates(
    root: Path,
    change: ChangeSet,
    *,
    sandbox: Sandbox = "auto",
    on_event: Callable[[GateReport], Any] | None = None,
    stop_at_first: bool = True,
    allow_destructive: bool = False,
    allow_weak: bool = False,
    execute: bool = True,
) -> Verdict:
    """Judge *change* to the project in *root*; the project itself is only read.

    Args:
        sandbox: ``require`` a whole jail, the strongest there is (``auto``), or ``off``.
        on_event: Called with each report as it is made.
        stop_at_first: Go no further than the first gate that refuses.
        allow_destructive: Migrations may lose data.
        allow_weak: With ``auto``, run the change also where there is no whole jail; the user has been asked.
        execute: False: only what reads, G0 and G1; nothing is proved then.

    Raises:
        ConfigError: ``require``, and there is no whole jail.
    """
    reports: list[GateReport] = []

    def report(made: GateReport) -> bool:
        reports.append(made)
        if on_event is not None:
            on_event(made)
        return made.ok or not stop_at_first

    for name, find in (("G0 paths", _paths), ("G1 lint", _lint)):
        started = time.monotonic()
        findings = find(root, change, allow_destructive)
        # What may not be written is not even copied, whatever was asked.
        if not report(_of(name, findings, time.monotonic() - started)) or (findings and name == "G0 paths"):
            return Verdict(False, reports)
    if not execute:
        return Verdict(False, reports)
    await _run_jailed(root, change, sandbox, report, allow_destructive, allow_weak)
    return Verdict(len(reports) == len(GATES) and all(each.ok for each in reports), reports)


def _of(name: str, findings: list[Finding], seconds: float) -> GateReport:
    return GateReport(name, not findings, findings, seconds=seconds)


def _paths(root: Path, change: ChangeSet, allow_destructive: bool) -> list[Finding]:
    from ..policy import check_paths

    return check_paths(change, root)


def _lint(root: Path, change: ChangeSet, allow_destructive: bool) -> list[Finding]:
    from ..lint import lint

    return lint(change, root, allow_destructive=allow_destructive)


async def _run_jailed(
    root: Path,
    change: ChangeSet,
    sandbox: Sandbox,
    report: Callable[[GateReport], bool],
    allow_destructive: bool,
    allow_weak: bool,
) -> None:
    from ..jail import FULL, strongest
    from .checks import Checks
    from .place import Place

    if sys.platform == "win32":
        finding = Finding(".", None, "TRN207", "nothing is run on Windows", "run turnout in WSL")
        report(GateReport("G2 routes", False, [finding]))
        return
    mode = await strongest(sandbox)
    if sandbox == "auto" and mode not in FULL and not allow_weak:
        finding = Finding(".", None, "TRN207", f"the strongest jail here is {mode}", "install bubblewrap, or allow it")
        report(GateReport("G2 routes", False, [finding]))
        return
    with tempfile.TemporaryDirectory(prefix="turnout-gates-", ignore_cleanup_errors=True) as folder:
        place = Place(Path(folder), root, change, mode)
        checks = Checks(place, allow_destructive=allow_destructive)
        for name, check in zip(GATES[2:], checks.in_order(), strict=True):
            if not report(await _timed(name, check, place)):
                return


async def _timed(
    name: str, check: Callable[[], Awaitable[tuple[list[Finding], list[str]]]], place: Place
) -> GateReport:
    started = time.monotonic()
    place.layers = []
    findings, notes = await check()
    return GateReport(name, not findings, findings, place.layers, time.monotonic() - started, notes)
