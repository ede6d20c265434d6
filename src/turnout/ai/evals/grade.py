"""Judging projects by their hidden tests: many in one process of pytest, which this reads back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from ...errors import ConfigError
from .data import HIDDEN, Eval, add_judge, lay_out, leaks

PATIENCE_S = 600
NOTHING, REFERENCE = "nothing", "reference"


class Grade(Struct):
    """What became of the tests of one project.

    Attributes:
        passed: Names of tests, by file: ``test_http``, ``test_exploit``, or a file of the project's own.
    """

    passed: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)

    def ok(self, *files: str) -> bool:
        """Whether every test of *files* ran and passed."""
        return all(self.passed.get(name) and not self.failed.get(name) for name in files)

    @property
    def failures(self) -> int:
        """How many tests failed."""
        return sum(map(len, self.failed.values()))


def judge(evals: Path, work: Path) -> dict[str, Grade]:
    """The grades of the projects in *work*, which are ``<eval>/<variant>/`` with ``hidden/`` in them."""
    shutil.copyfile(evals / "conftest.py", work / "conftest.py")
    report = work / "report.xml"
    (work / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib -q --tb=line -p no:cacheprovider\n")
    command = [sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", ".", f"--junitxml={report}", "."]
    hidden = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
    environment = {**hidden, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=work, capture_output=True, text=True, timeout=PATIENCE_S, env=environment, check=False
    )
    if not report.is_file():
        raise ConfigError(f"pytest could not run:\n{(done.stdout + done.stderr)[-2_000:]}", cure="look at the tests")
    return _read(report)


def _read(report: Path) -> dict[str, Grade]:
    grades: dict[str, Grade] = {}
    for case in ET.parse(report).iter("testcase"):
        # A file that could not be collected has no class, and its own name in place of a test's.
        place = (case.get("classname") or case.get("name") or "").split(".")
        grade = grades.setdefault("/".join(place[:2]), Grade())
        failed = case.find("failure") is not None or case.find("error") is not None
        (grade.failed if failed else grade.passed).setdefault(place[-1], []).append(case.get("name") or "")
    return grades


def check(evals: Path, found: list[Eval]) -> list[str]:
    """What is wrong with the graders: a reference that fails, a mutant that passes, a prompt that tells too much."""
    with tempfile.TemporaryDirectory(prefix="turnout-evals-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        for each in found:
            for name, options in _variants(each).items():
                add_judge(each, lay_out(each, work / each.name / name, **options))  # type: ignore[arg-type]
        grades = judge(evals, work)
    return [problem for each in found for problem in _problems(each, grades)]


def _variants(each: Eval) -> dict[str, dict[str, object]]:
    mutants = {mutant.stem: {"reference": True, "mutant": mutant} for mutant in each.mutants}
    return {NOTHING: {}, REFERENCE: {"reference": True}, **mutants}


def _problems(each: Eval, grades: dict[str, Grade]) -> Iterator[str]:
    def grade(name: str) -> Grade:
        return grades.get(f"{each.name}/{name}", Grade())

    for line in leaks(each):
        yield f"{each.name}: the prompt or the project shows a line of the hidden tests: {line}"
    reference, nothing = grade(REFERENCE), grade(NOTHING)
    for name in HIDDEN:
        if not reference.ok(name):
            yield f"{each.name}: the reference fails {name}: {reference.failed.get(name) or 'it did not run'}"
    own = sorted(file.stem for file in (each.folder / "project" / "tests").glob("test_*.py"))
    for when, seen in ((NOTHING, nothing), (REFERENCE, reference)):
        if not seen.ok(*own):
            yield f"{each.name}: the project's own tests fail with {when}: {seen.failed}"
    if not any(nothing.failed.get(name) for name in HIDDEN):
        yield f"{each.name}: who does nothing passes"
    if not each.mutants:
        yield f"{each.name}: there is no mutant, and so no proof that it grades"
    killed: set[str] = set()
    for mutant in each.mutants:
        noticed = {name for name in HIDDEN if grade(mutant.stem).failed.get(name)}
        killed |= noticed
        if not noticed:
            yield f"{each.name}: no hidden test notices {mutant.name}"
    for name in HIDDEN:
        if each.mutants and name not in killed:
            yield f"{each.name}: no mutant fails {name}, so nobody knows whether it grades"
