"""supabase-py's own tests of its PostgREST client, unchanged but for the base URL, against our wire.

    git clone https://github.com/supabase/supabase-py /somewhere
    TURNOUT_SUPABASE_PY=/somewhere pytest tests/suites/test_postgrest_py.py

With no server at all 2 of the 48 pass: they answer themselves.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import asyncpg
import pytest
from clients.rest_serving import serving

from turnout.db import Database
from turnout.db.local import LocalPostgres

CHECKOUT = os.environ.get("TURNOUT_SUPABASE_PY")
pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="TURNOUT_SUPABASE_PY does not name a checkout of supabase-py, whose tests these are"
)

# What each engine does not do; every other test must pass.
EXPLAINS = {"test_explain_text"}  # wants PostgREST's own alias in the text of the plan
RANGES = {
    "test_contains_on_range", "test_contained_by_mixed_items", "test_range_greater_than",
    "test_range_greater_than_or_equal_to", "test_range_less_than", "test_range_less_than_or_equal_to",
    "test_range_adjacent", "test_overlaps_with_timestamp_range",
}  # fmt: skip
CALLS = {
    "test_rpc_with_single", "test_rpc_with_limit", "test_rpc_with_range", "test_rpc_post_with_args",
    "test_rpc_get_with_args", "test_rpc_get_with_count", "test_rpc_head_count",
}  # fmt: skip
MISSES = {"postgres": EXPLAINS, "sqlite": EXPLAINS | RANGES | CALLS | {"test_explain_json"}}

# The tables of infra/init.sql in SQLite's words; the rows are read from the original.
TABLES = {
    "countries": """create table countries (id bigint primary key, iso varchar(2) not null,
        country_name varchar(80) not null, nicename varchar(80) not null, iso3 varchar(3), numcode smallint,
        phonecode int not null)""",
    "cities": "create table cities (id bigint primary key, country_id bigint not null references countries, name text)",
    "users": "create table users (id bigint primary key, name text, address jsonb)",
    "reservations": "create table reservations (id bigint primary key, room_name text, during text)",
    "issues": "create table issues (id bigint primary key, title text, tags text[])",
    "orchestral_sections": "create table orchestral_sections (id bigint primary key, name text)",
    "instruments": """create table instruments (id bigint primary key,
        section_id bigint not null references orchestral_sections, name text)""",
}
RUNNER = """
import asyncio, inspect, pytest
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        asyncio.run(pyfuncitem.obj())
        return True
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A PostgreSQL with their own tables."""
    folder = Path(tmp_path_factory.mktemp("pg"))
    running = LocalPostgres(folder, {"fsync": "off"})
    running.start()

    async def load() -> None:
        connection = await asyncpg.connect(running.url())
        try:
            await connection.execute(Path(str(CHECKOUT), "src/postgrest/infra/init.sql").read_text())
        finally:
            await connection.close()

    try:
        asyncio.run(load())
        yield running.url()
    finally:
        running.stop("immediate")


async def copy(source: str, target: Path) -> None:
    """Make the tables on SQLite, with the rows of the original."""
    old, new = Database(source), Database(target)
    try:
        for name, statement in TABLES.items():
            await new.sql(statement)  # type: ignore[arg-type]
            await new.from_(name).insert(await old.from_(name).select().order("id"))
    finally:
        await old.close()
        await new.close()


def run(folder: Path, url: str, flavour: str) -> tuple[set[str], set[str]]:
    """The names of the tests that pass, and of those that do not."""
    tests = folder / "tests"
    shutil.copytree(Path(str(CHECKOUT), "src/postgrest/tests"), tests)
    (tests / "conftest.py").write_text(RUNNER)
    client = tests / flavour / "client.py"
    client.write_text(client.read_text().replace("http://127.0.0.1:3000", url))
    report = folder / "report.xml"
    subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider",
            f"--junitxml={report}", str(tests / flavour / "test_filter_request_builder_integration.py"),
        ],
        capture_output=True, check=False,
    )  # fmt: skip
    cases = list(ElementTree.parse(report).iter("testcase"))
    bad = {
        str(case.get("name")) for case in cases if case.find("failure") is not None or case.find("error") is not None
    }
    return {str(case.get("name")) for case in cases} - bad, bad


@pytest.mark.parametrize("flavour", ["_async", "_sync"])
@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_their_tests_pass_but_for_those_named(original: str, tmp_path: Path, engine: str, flavour: str) -> None:
    place = original
    if engine == "sqlite":
        place = str(tmp_path / "their.db")
        asyncio.run(copy(original, Path(place)))
    with serving(tmp_path / "server", place=place, settings={"plans": True, "rollback": True}) as url:
        passed, failed = run(tmp_path, url, flavour)
    assert failed == MISSES[engine]
    assert len(passed) == 48 - len(MISSES[engine])
