"""``cron``: work that is done by itself, every night or every hour, once however many workers there are.

With a table that the project has, old rows are deleted. Without one, each run is noted in ``task_runs``, in the
transaction of whatever else it is to do.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ..changeset import ChangeSet, FileChange
from .base import Argument, Recipe, check_name, fill, new_files, next_migration

if TYPE_CHECKING:
    from ..view import ProjectView

TASKS = '''\
"""The tasks of this project. Every worker imports this file, and so knows what is imported here."""

@IMPORT@
'''

OLD_ROWS = '''\
"""Old rows of @TABLE@ are deleted: @WHEN@."""

from datetime import UTC, datetime, timedelta

from turnout import db, task

KEPT_DAYS = @DAYS@
BATCH = 1_000  # rows in one transaction, so that nobody waits long for the writer


@task(cron="@CRON@", timezone="@TIMEZONE@")
async def @NAME@() -> None:
    """Delete what is over KEPT_DAYS days old. It may run twice: the second time there is nothing left to do."""
    before = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
    while await delete_some(before) == BATCH:
        pass


async def delete_some(before: datetime) -> int:
    """Delete up to BATCH rows, the oldest first, and give how many there were."""
    old = await db.from_("@TABLE@").select("id").lt("@COLUMN@", before).order("@COLUMN@").limit(BATCH)
    if not old:
        return 0
    removed = await db.from_("@TABLE@").delete().in_("id", [row["id"] for row in old])
    return removed.count or 0
'''

NOTED = '''\
"""What is done by itself: @WHEN@."""

from turnout import db, task


@task(cron="@CRON@", timezone="@TIMEZONE@")
async def @NAME@() -> None:
    """Do the work and note the run, in one transaction: a run that fails leaves no trace, and is tried again.

    Work that reaches outside, such as mail, is enqueued in the transaction too. A run may come twice, after a crash.
    """
    async with db.transaction() as tx:
        await tx.sql(
            """
            insert into task_runs (name, runs) values (:name, 1)
            on conflict (name) do update set runs = task_runs.runs + 1, last_run_at = current_timestamp
            """,
            name="@NAME@",
        )
'''

MIGRATION = """\
-- When what is done by itself was done last.
create table task_runs (
    name text primary key not null,
    runs bigint not null,
    last_run_at timestamptz not null default current_timestamp
);
"""

TEST_HEAD = '''\
"""@NAME@: it is scheduled, does its work, and may run twice."""

import asyncio
from collections.abc import Awaitable, Callable
@TEST_DATES@from pathlib import Path

import pytest
from turnout.db import db, migrate
from turnout.tasks.task import TASKS
from turnout.testing import Client

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))


def with_client(test: Callable[[Client], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on the app, with an empty database."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
            await test(client)

    return lambda: asyncio.run(main())


@with_client
async def test_every_worker_knows_it_and_when_it_runs(client: Client) -> None:
    assert "@NAME@" in TASKS
    assert (TASKS["@NAME@"].cron, TASKS["@NAME@"].timezone) == ("@CRON@", "@TIMEZONE@")

'''

TEST_OLD_ROWS = """
@with_client
async def test_only_what_is_old_is_deleted_however_often_it_runs(client: Client) -> None:
    now = datetime.now(UTC)
    for days in (0, @DAYS@ - 1, @DAYS@ + 1, @DAYS@ * 10):
        await db.from_("@TABLE@").insert({@SAMPLE@, "@COLUMN@": now - timedelta(days=days)})
    assert "@NAME@" in TASKS

    for _ in range(2):
        await TASKS["@NAME@"].function()

    kept = await db.from_("@TABLE@").select("@COLUMN@").order("@COLUMN@")
    assert [datetime.fromisoformat(row["@COLUMN@"]).date() for row in kept] == [
        (now - timedelta(days=days)).date() for days in (@DAYS@ - 1, 0)
    ]
"""

TEST_NOTED = """
@with_client
async def test_each_run_is_noted(client: Client) -> None:
    assert "@NAME@" in TASKS
    for _ in range(2):
        await TASKS["@NAME@"].function()

    assert await db.from_("task_runs").select("name, runs") == [{"name": "@NAME@", "runs": 2}]
"""

_cron = re.compile(r"(?:[\d*/,-]+\s+){4}[\d*/,-]+").fullmatch
_zone = re.compile(r"[A-Za-z]+(?:/[A-Za-z_+-]+)*").fullmatch
_table = r"create\s+table\s+(?:if\s+not\s+exists\s+)?{}\s*\(([^;]*)\)\s*;"
_column = re.compile(r"^\s*([a-z_]+)\s+([a-z]+)(.*?),?\s*$", re.IGNORECASE)
_samples = {"text": '"x"', "varchar": '"x"', "integer": "1", "bigint": "1", "boolean": "True", "real": "1.5",
            "uuid": '"6f0a5c5e-8d0c-4c3e-9b55-0a4a2f1c7d11"', "jsonb": "{}"}  # fmt: skip


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """A scheduled task, known to every worker by ``lib/tasks.py``."""
    given = RECIPE.complete(args)
    name, cron, timezone = check_name(given["name"]), " ".join(given["cron"].split()), given["timezone"]
    if not _cron(cron):
        raise ConfigError(f"{cron[:60]!r} is no schedule", cure='minute hour day month weekday: "0 3 * * *"')
    if not _zone(timezone):
        raise ConfigError(f"{timezone[:60]!r} is no time zone", cure="such as UTC or Europe/Berlin")
    if not given["days"].isdigit() or not 1 <= int(given["days"]) <= 36_500:
        raise ConfigError(f"{given['days'][:20]!r} is no number of days", cure="days=30")
    words = {
        "name": name,
        "cron": cron,
        "timezone": timezone,
        "days": str(int(given["days"])),
        "when": f"{cron} {timezone}",
    }
    table = given["table"]
    if table:
        words |= {
            "table": table,
            **_columns(project, table),
            "test_dates": "from datetime import UTC, datetime, timedelta\n",
        }
        files = {f"lib/{name}.py": OLD_ROWS, f"tests/test_{name}.py": TEST_HEAD + TEST_OLD_ROWS}
        what = f"rows of {table} that are over {words['days']} days old are deleted"
    else:
        words["test_dates"] = ""
        files = {f"lib/{name}.py": NOTED, f"tests/test_{name}.py": TEST_HEAD + TEST_NOTED}
        if "task_runs" not in project.tables():
            files[f"{next_migration(project, 'task_runs')}.sql"] = MIGRATION
        what = f"lib/{name}.py runs, and notes that it did in the table task_runs"
    changes = new_files(project, {path: fill(text, **words) for path, text in files.items()})
    known, line = _known_to_workers(project, name)
    return ChangeSet(
        summary=f"By the schedule {cron} ({timezone}) {what}: once, however many workers there are."
        + (
            f" To every worker it is known by this line, which lib/tasks.py lacks:\n    {line}" if known is None else ""
        ),
        files=[*changes, *([known] if known else [])],
        needs=["turnout[durable]"],
    )


def _known_to_workers(project: ProjectView, name: str) -> tuple[FileChange | None, str]:
    """``lib/tasks.py`` with the import, or None where its place is not certain; and the import."""
    line = f"from lib.{name} import {name} as {name}"
    source = project.read("lib/tasks.py")
    if source is None:
        return (
            None
            if project.exists("lib/tasks.py")
            else FileChange("lib/tasks.py", None, fill(TASKS, **{"import": line}))
        ), line
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None, line
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {
        each.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for each in [node]
    }
    if not imports or name in names:
        return None, line
    lines = source.splitlines(keepends=True)
    at = imports[-1].end_lineno or imports[-1].lineno
    ours = isinstance(imports[-1], ast.ImportFrom) and (imports[-1].module or "").partition(".")[0] == "lib"
    lines.insert(at, f"{'' if ours else chr(10)}{line}\n")
    return project.change("lib/tasks.py", "".join(lines)), line


def _columns(project: ProjectView, table: str) -> dict[str, str]:
    """The column that tells how old a row is, and values for the others that must be there."""
    check_name(table, "table")
    text = "\n".join(project.read(path) or "" for path in project.migrations())
    found = re.search(_table.format(re.escape(table)), text, re.IGNORECASE)
    if found is None:
        raise ConfigError(
            f"no migration makes a table {table}", cure=f"tables: {', '.join(project.tables()) or 'none'}"
        )
    column, sample = "", []
    has_id = False
    for line in found[1].splitlines():
        parts = _column.match(line)
        if parts is None:
            continue
        name, kind, rest = parts[1].lower(), parts[2].lower(), parts[3].lower()
        has_id = has_id or name == "id"
        if kind in ("timestamptz", "timestamp") and (not column or name == "created_at"):
            column = name
        elif "not null" in rest and "default" not in rest and "primary key" not in rest:
            if "references" in rest or kind not in _samples:
                raise ConfigError(f"a test cannot make a row of {table}: {name} is {kind}{rest}", cure="table=another")
            sample.append(f'"{name}": {_samples[kind]}')
    if not column or not has_id or not sample:
        raise ConfigError(f"{table} has no id, or no column that tells a row's age", cure="add created_at timestamptz")
    return {"column": column, "sample": ", ".join(sample)}


_NUMBERS = {"one": 1, "two": 2, "three": 3, "six": 6}
_AT = re.compile(r"\bat (\d{1,2})(?::(\d\d))?\s*(am|pm)?\b")
_DAYS = re.compile(r"\b(\d{1,4}) days\b")
_DAY_NAMES = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_WORK = re.compile(
    r"\b(clean ?-?up|delet\w+|remov\w+|purg\w+|expir\w+|report|digest|remind\w*|backup|sync\w*|refresh\w*|archiv\w*)"
)


def read(ask: str) -> dict[str, str]:
    """When, what and how old, where a sentence says so: "every night at 3 delete posts older than 30 days"."""
    text = ask.lower()
    given: dict[str, str] = {}
    if cron := _schedule(text):
        given["cron"] = cron
    if days := _DAYS.search(text):
        given["days"] = days[1]
    if work := _WORK.search(text):
        word = work[1].replace(" ", "_").replace("-", "_")
        given["name"] = "clean_up" if re.match(r"clean|delet|remov|purg|expir", word) else f"{word}_job"
    # Which table it is, is never read here: a guess would delete the wrong rows.
    return given


def _schedule(text: str) -> str:
    at = _AT.search(text)
    hour = (int(at[1]) % 12 + 12 if at[3] == "pm" else int(at[1]) % 24) if at else 3
    minute = int(at[2] or 0) if at else 0
    if found := re.search(r"\bevery (\d{1,2}) (minutes?|hours?)\b", text):
        return f"*/{found[1]} * * * *" if found[2].startswith("m") else f"0 */{found[1]} * * *"
    if re.search(r"\bevery hour\b|\bhourly\b", text):
        return "0 * * * *"
    if re.search(r"\bevery minute\b", text):
        return "* * * * *"
    for number, day in enumerate(_DAY_NAMES):
        if re.search(rf"\b(?:every|on) {day}s?\b", text):
            return f"{minute} {hour} * * {number}"
    if re.search(r"\bevery week\b|\bweekly\b", text):
        return f"{minute} {hour} * * 1"
    if re.search(r"\bevery month\b|\bmonthly\b", text):
        return f"{minute} {hour} 1 * *"
    if re.search(r"\bevery (?:day|night|morning|evening)\b|\bdaily\b|\bnightly\b", text):
        return f"{minute} {hour} * * *"
    return ""


RECIPE = Recipe(
    name="cron",
    summary="work that is done by itself: every night, every hour; with a table, its old rows are deleted",
    plan=plan,
    arguments=(
        Argument("name", "of the task", "clean_up"),
        Argument("table", "whose old rows are deleted; none: each run is noted", ""),
        Argument("days", "how long rows are kept", "30"),
        Argument("cron", "minute hour day month weekday", "0 3 * * *"),
        Argument("timezone", "in which that is meant", "UTC"),
    ),
    signs=(
        (r"\bcron\b|\bscheduled?\b|\bscheduler\b", 4),
        (r"\bevery (?:\d+ )?(?:minutes?|hours?|nights?|days?|mornings?|evenings?|weeks?|months?)\b", 4),
        (r"\bevery (?:sun|mon|tues|wednes|thurs|fri|satur)day\b", 4),
        (r"\b(?:nightly|daily|hourly|weekly|monthly)\b", 3),
        (r"\b(?:jobs?|tasks?)\b", 1),
        (r"\b(?:clean ?-?up|purge|expired?|old(?:er)?|stale)\b", 1),
        (r"\b(?:webhook|stripe|sign ?up|upload|crud|contact|endpoints for|daily (?:limit|menu|price)s?)\b", -3),
    ),
    read=read,
)
