"""The generated file of types: what a type checker says of it, and of a program that uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.db.shop import TABLES
from tests.projects import make_project
from turnout.db import Database
from turnout.db.types import generate, load

ODD = (
    'create table odd (id integer primary key, "class" text not null, "a b" integer, "x""y" text default \'z\')',
    'create table "two words" (id uuid primary key, twice integer generated always as (1 + 1) stored)',
)
USE = """
from __future__ import annotations

from decimal import Decimal
from typing import Any

from lib.db_types import db


async def right() -> None:
    rows = await db.from_("posts").select()
    reveal_type(rows[0]["price"])
    title: str = rows[0]["title"]
    one = await db.from_("posts").select("*").eq("id", 1).single()
    if one is not None:
        views: int | None = one["views"]
    some: list[dict[str, Any]] = await db.from_("posts").select("id, comments(*)")
    await db.from_("posts").insert({"id": 1, "title": title, "price": 1})
    await db.from_("posts").insert([{"title": title, "id": 2}])
    back = await db.from_("comments").update({"body": None}).eq("id", 1).select().single()
    if back is not None:
        number: int = back["post_id"]
    odd = await db.from_("odd").select()
    word: str = odd[0]["class"]
    async with db.transaction() as tx:
        await tx.table("users").delete().eq("id", 1)
    await db.sql("select 1")


async def wrong() -> None:
    rows = await db.from_("posts").select()
    rows[0]["nope"]  # E: typeddict-item
    text: str = rows[0]["views"]  # E: assignment
    await db.from_("nope").select()  # E: call-overload
    await db.from_("posts").insert({"id": 1})  # E: arg-type
    await db.from_("posts").insert({"id": 1, "title": 5})  # E: arg-type
    await db.from_("posts").update({"views": "many"})  # E: typeddict-item
    await db.from_("two words").insert({"id": "x", "twice": 5})  # E: arg-type
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generated file and a program."""
    import asyncio

    async def make() -> str:
        db = Database(":memory:")
        for statement in (*TABLES, *ODD, "create table _turnout_x (id integer)"):
            await db.sql(statement)  # type: ignore[call-overload]
        text = generate(await load(db))
        await db.close()
        return text

    root = tmp_path_factory.mktemp("typed")
    (root / "lib").mkdir()
    (root / "lib" / "db_types.py").write_text(asyncio.run(make()))
    (root / "use.py").write_text(USE)
    return root


def test_a_type_checker_takes_the_file_and_tells_right_use_from_wrong(project):
    command = [sys.executable, "-m", "mypy", "--strict", "--show-error-codes", "--explicit-package-bases", "use.py"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, env={**os.environ, "MYPYPATH": "."})
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line.startswith("lib/")], done.stdout
    found = {
        (int(line.split(":")[1]), line.rsplit("[", 1)[1].rstrip("]"))
        for line in lines
        if line.startswith("use.py:") and ": error:" in line
    }
    expected = {
        (number, line.split("# E: ")[1].strip()) for number, line in enumerate(USE.splitlines(), 1) if "# E: " in line
    }
    assert found == expected, done.stdout
    assert any(
        'Revealed type is "decimal.Decimal | None"' in line or "Union[decimal.Decimal, None]" in line for line in lines
    )


def test_the_file_is_python_and_gives_the_database(project):
    code = (
        "import lib.db_types as t, turnout.db.database as d; assert t.db.from_ and t.OddRow.__annotations__['class'];"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (project / "lib" / "db_types.py").read_text()
    assert "_turnout" not in text
    assert "twice" not in text.split("TwoWordsInsert")[1].split("class")[0]


async def test_every_engine_gives_the_same_file(blog):
    async with blog(
        "create table t (id integer primary key, n numeric(6,2) not null, tags text[], at timestamptz)"
    ) as db:
        text = generate(await load(db))
        assert "class TRow(TypedDict):\n    id: int\n    n: Decimal\n    tags: list[str | None] | None\n" in text
        assert "class TInsert(TypedDict):\n    id: NotRequired[int]\n    n: Decimal | int | float | str\n" in text
        assert "    at: NotRequired[datetime | str | None]\n" in text
        assert "class TUpdate(TypedDict):\n    id: NotRequired[int]\n" in text


def test_the_command_writes_the_file_and_tells_when_it_is_old(tmp_path):
    make_project(tmp_path, {"migrations/1_t.sql": "create table t (id integer primary key);", "app/route.py": ""})

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "turnout", "db", *words], cwd=tmp_path, capture_output=True, text=True
        )

    assert run("migrate").returncode == 0
    assert run("types", "--check").returncode == 1
    done = run("types")
    assert (done.returncode, done.stderr) == (0, "")
    assert "class TRow(TypedDict):\n    id: int\n" in (tmp_path / "lib" / "db_types.py").read_text()
    assert run("types", "--check").returncode == 0
    (tmp_path / "migrations" / "2_u.sql").write_text("alter table t add column n integer;")
    run("migrate")
    assert run("types", "--check").returncode == 1
