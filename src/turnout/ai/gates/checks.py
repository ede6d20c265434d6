"""Gates G2, G4, G5, G6 and G7 from outside the jail: what is run on which copy, and what its result means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from ..changeset import Finding, RouteClaim
from .place import Place
from .types import types

Judged = tuple[list[Finding], list[str]]

LOAD_S, MIGRATE_S, PROBE_S, TEST_S = 30.0, 60.0, 90.0, 120.0
MOST_TARGETS = 20
SIGNED = ("signature", "webhook", "signed", "stripe")  # words of a claim for what no constant says


class Checks:
    """The gates over one pair of copies; later ones use what earlier ones have found out."""

    def __init__(self, place: Place, *, allow_destructive: bool) -> None:
        self.place, self.allow_destructive = place, allow_destructive
        self.change = place.change
        self.table: dict[str, dict[str, Any]] = {}
        self._tests: dict[str, Any] | None = None

    def in_order(self) -> list[Callable[[], Awaitable[Judged]]]:
        """G2 to G7."""
        return [self.routes, self.types, self.migrations, self.probes, self.new_tests, self.old_tests]

    # -- G2

    async def routes(self) -> Judged:
        """The change loads, and the difference of the route tables is what its contract says."""
        before, after = await asyncio.gather(
            self.place.bed("base", "routes", timeout_s=LOAD_S), self.place.bed("after", "routes", timeout_s=LOAD_S)
        )
        if "failed" in after:
            return [_failure(after, "TRN201")], []
        self.table = after["routes"]
        notes = [f"the project does not load as it is: {before['failed']}"] if "failed" in before else []
        return self._differences(before.get("routes", {}), self.table), notes

    def _differences(self, before: dict[str, Any], after: dict[str, Any]) -> list[Finding]:
        claims = {f"{claim.method} {claim.path}": claim for claim in self.change.contract}
        touched = {file.path for file in self.change.files}
        findings = []
        for name, claim in claims.items():
            if name not in after:
                findings.append(
                    Finding(_file_of(claim), None, "TRN202", f"{name} is not there", "write it, or do not claim it")
                )
            elif not _same_auth(claim, after[name]):
                told, real = claim.auth or "public", after[name]["auth"] or "public"
                findings.append(
                    _at(
                        after[name],
                        "TRN204",
                        f"{name} has auth {real!r}, and its contract says {told!r}",
                        f'auth = "{told}"',
                    )
                )
        for name in sorted({*before, *after} - claims.keys()):
            was, now = _promise(before.get(name)), _promise(after.get(name))
            if was == now:
                continue
            what = "is gone" if now is None else "is new" if was is None else "is no longer what it was"
            row = after.get(name) or before[name]
            fix = "name it in the contract" if row["file"] in touched else "change nothing but what was asked for"
            findings.append(_at(row, "TRN203", f"{name} {what}, and is not in the contract", fix))
        return findings

    # -- G3

    async def types(self) -> Judged:
        """Errors that the project's own type checker did not find before."""
        return await types(self.place)

    # -- G4

    async def migrations(self) -> Judged:
        """Each migration applies, once, and rows survive it."""
        folder = self.place.migrations
        if not any(file.path.startswith(f"{folder}/") for file in self.change.files):
            return [], ["the change has no migration"]
        result = await self.place.bed("after", "migrate", timeout_s=MIGRATE_S, allow_destructive=self.allow_destructive)
        if "failed" in result:
            return [_failure(result, "TRN221")], []
        new = next(file.path for file in self.change.files if file.path.startswith(f"{folder}/"))
        fix = "write SQL that applies to what the earlier migrations made"
        return [
            Finding(each.get("file") or new, each.get("line"), each["code"], each["message"], fix)
            for each in result["findings"]
        ], [f"tried on {self.place.dialect}"]

    # -- G5

    async def probes(self) -> Judged:
        """The framework's own questions to every route that the change touches."""
        targets = self._targets()
        if not targets:
            return [], ["no route is touched"]
        result = await self.place.bed("after", "probe", timeout_s=PROBE_S, targets=targets)
        if "failed" in result:
            return [_failure(result, "TRN206")], []
        findings = [Finding(**finding) for finding in result["findings"]]
        notes = [*result["notes"], f"{result['requests']} requests to {len(targets)} handlers"]
        if any(file.path.endswith("/actions.py") for file in self.change.files):
            notes.append("actions are not probed")
        return findings, notes

    def _targets(self) -> dict[str, list[int]]:
        """The handlers to probe: of the contract, of changed files, of files that import a changed one."""
        statuses = {f"{claim.method} {claim.path}": claim.statuses for claim in self.change.contract}
        touched = {file.path for file in self.change.files}
        modules = [path[:-3].replace("/", ".") for path in touched if path.startswith("lib/")]
        imports = re.compile(rf"\b(?:{'|'.join(map(re.escape, modules))})\b") if modules else None
        found: dict[str, list[int]] = {name: said for name, said in statuses.items() if name in self.table}
        for name, row in self.table.items():
            file = self.place.project("after") / row["file"]
            if (
                row["file"] in touched
                or touched & set(row["around"])
                or (imports is not None and imports.search(file.read_text(errors="replace")))
            ):
                found.setdefault(name, [])
        return dict(list(found.items())[:MOST_TARGETS])

    # -- G6 and G7

    async def new_tests(self) -> Judged:
        """The tests of the change fail on the project as it was, and pass with the change."""
        new = self._new_tests()
        if not new:
            if not self.change.contract:
                return [], ["the change brings no route and no test"]
            finding = Finding(
                "tests", None, "TRN251", "the change brings no test", "write one that asks for what is new"
            )
            return [finding], []
        for path in new:
            target = self.place.project("base") / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text((self.place.project("after") / path).read_text())
        base, after = await asyncio.gather(
            self.place.bed("base", "pytest", timeout_s=TEST_S, tests=new), self._run_all()
        )
        for result in (base, after):
            if "failed" in result:
                return [_failure(result, "TRN206")], []
        return [finding for path in new for finding in _judge_new(path, base, after)], []

    def _new_tests(self) -> list[str]:
        return [
            file.path
            for file in self.change.files
            if file.text is not None
            and file.path.startswith("tests/")
            and re.search(r"(?:^|/)test_\w+\.py$", file.path)
        ]

    async def _run_all(self) -> dict[str, Any]:
        """Every test with the change, run once for both gates."""
        if self._tests is None:
            folder = ["tests"] if (self.place.project("after") / "tests").is_dir() else []
            self._tests = await self.place.bed("after", "pytest", timeout_s=TEST_S, tests=folder)
        return self._tests

    async def old_tests(self) -> Judged:
        """Tests that passed before pass still."""
        new = self._new_tests()
        if not any(path not in new for path in _test_files(self.place)):
            return [], ["there are no other tests"]
        after = await self._run_all()
        if "failed" in after:
            return [_failure(after, "TRN206")], []
        bad = {name: test for name, test in after["tests"].items() if test["outcome"] == "failed"}
        bad = {name: test for name, test in bad.items() if name.partition("::")[0] not in new}
        broken = sorted({*(name.partition("::")[0] for name in bad), *after["uncollected"]} - set(new))
        if not broken:
            return [], []
        before = await self.place.bed("base", "pytest", timeout_s=TEST_S, tests=broken)
        return _judge_old(bad, broken, before, after)


def _test_files(place: Place) -> list[str]:
    root = place.project("after")
    return [path.relative_to(root).as_posix() for path in (root / "tests").rglob("test_*.py")]


def _judge_new(path: str, base: dict[str, Any], after: dict[str, Any]) -> list[Finding]:
    ours = {name: test for name, test in after["tests"].items() if name.partition("::")[0] == path}
    findings = [
        Finding(
            path,
            test["line"],
            "TRN253",
            f"{name.partition('::')[2]} fails: {test['why']}",
            "mend the code, or the test",
        )
        for name, test in ours.items()
        if test["outcome"] == "failed"
    ]
    if path in after["uncollected"]:
        return [Finding(path, None, "TRN253", f"does not load: {_last(after['uncollected'][path])}", "mend the file")]
    if findings:
        return findings
    if path in base["uncollected"]:
        why = _last(base["uncollected"][path])
        fix = "ask through Client, by HTTP; import what is new inside the test"
        return [Finding(path, None, "TRN252", f"does not load without the change: {why}", fix)]
    before = {name: test for name, test in base["tests"].items() if name.partition("::")[0] == path}
    if not any(test["outcome"] == "failed" for test in before.values()):
        fix = "ask for what is new, so that the test fails without it"
        return [Finding(path, None, "TRN251", "every test passes without the change too", fix)]
    return []


def _judge_old(bad: dict[str, Any], broken: list[str], before: dict[str, Any], after: dict[str, Any]) -> Judged:
    findings, notes = [], []
    was = before.get("tests", {})
    for name, test in bad.items():
        path, _, short = name.partition("::")
        if was.get(name, {}).get("outcome") == "passed":
            why = f"{short} passed before and fails now: {test['why']}"
            findings.append(Finding(path, test["line"], "TRN254", why, "keep what it asks for working"))
        else:
            notes.append(f"{name} failed before the change too")
    for path in broken:
        if path in after["uncollected"] and path not in before.get("uncollected", {}):
            why = f"does not load any more: {_last(after['uncollected'][path])}"
            findings.append(Finding(path, None, "TRN254", why, "keep what it imports"))
    return findings, notes


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("E ").strip() if lines else "no reason given"


def _failure(result: dict[str, Any], code: str) -> Finding:
    code = "TRN206" if result.get("crashed") else code
    fix = result.get("cure") or "mend the line; what runs when a file is loaded must end, and quickly"
    return Finding(result.get("file") or ".", result.get("line"), code, result["failed"][:400], fix)


def _at(row: dict[str, Any], code: str, message: str, fix: str) -> Finding:
    return Finding(row["file"], row["line"], code, message, fix)


def _file_of(claim: RouteClaim) -> str:
    return f"app{claim.path}/route.py"


def _same_auth(claim: RouteClaim, row: dict[str, Any]) -> bool:
    told = None if claim.auth in (None, "public", "none", *SIGNED) else claim.auth
    return told == (None if row["auth"] == "public" else row["auth"])


def _promise(row: dict[str, Any] | None) -> Any:
    """What of a row of the table counts as its promise; where in its file it stands does not."""
    return None if row is None else {name: value for name, value in row.items() if name != "line"}
