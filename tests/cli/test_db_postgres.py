"""turnout db on a PostgreSQL of its own: local, migrate, status, seed, reset."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from turnout.db.local import LocalPostgres

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def turnout(tmp_path: Path) -> Run:
    (tmp_path / "app" / "api").mkdir(parents=True)

    def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "TURNOUT_MODE")}
        return subprocess.run(
            [sys.executable, "-m", "turnout", *words], cwd=tmp_path, capture_output=True, text=True, env=clean | env
        )

    return run


@pytest.fixture
def url(turnout: Run, tmp_path: Path) -> Iterator[str]:
    server = LocalPostgres(tmp_path / "data" / "postgres")
    try:
        started = turnout("db", "local")
        assert started.returncode == 0, started.stderr
        name, _, found = started.stdout.strip().partition("=")
        assert name == "DATABASE_URL"
        assert turnout("db", "local").stdout == started.stdout
        yield found
    finally:
        turnout("db", "local", "--stop")
        assert not server.running()
        shutil.rmtree(server.folder)


def test_a_project_is_migrated_seeded_and_reset_on_a_local_postgresql(turnout: Run, url: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_notes.sql").write_text("create table notes (id int generated always as identity, text text);")
    (folder / "seed.sql").write_text("insert into notes (text) values ('first');")

    steps = [
        turnout("db", *words, DATABASE_URL=url)
        for words in (("status",), ("migrate",), ("migrate",), ("seed",), ("status", "--json"), ("reset",))
    ]
    reset = turnout("db", "reset", "--yes", DATABASE_URL=url)

    assert [(step.returncode, step.stdout.splitlines()[:1]) for step in steps[:4]] == [
        (1, ["pending  0001_notes"]),
        (0, ["applied 0001_notes"]),
        (0, ["postgresql:///postgres is up to date"]),
        (0, ["ran migrations/seed.sql"]),
    ]
    assert '"state": "applied"' in steps[4].stdout
    assert (steps[5].returncode != 0, "deletes all data in postgresql:///postgres" in steps[5].stderr) == (True, True)
    assert (reset.returncode, reset.stdout) == (0, "applied 0001_notes\n"), reset.stderr


def test_supabases_own_folder_is_read_when_there_is_no_other(turnout: Run, url: str, tmp_path: Path) -> None:
    folder = tmp_path / "supabase" / "migrations"
    folder.mkdir(parents=True)
    (folder / "20260101000000_notes.sql").write_text("create table notes (id int generated always as identity);")
    assert turnout("db", "migrate", DATABASE_URL=url).stdout == "applied 20260101000000_notes\n"


def test_a_database_that_is_away_is_said_in_a_line(turnout: Run, tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    done = turnout("db", "migrate", DATABASE_URL="postgresql:///x?host=/nowhere")
    assert done.returncode != 0
    assert "the database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
