"""An empty database on each engine: SQLite in memory, and one PostgreSQL for all tests of this folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.db.local import LocalPostgres


@pytest.fixture(scope="session")
def auth_postgres() -> Iterator[str]:
    """The DATABASE_URL of this folder's PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    server = LocalPostgres(folder, {"fsync": "off", "max_connections": "100"})
    try:
        server.start()
        yield server.url()
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> str:
    """Where ``world(place)`` is to be; it empties what it finds there."""
    return ":memory:" if request.param == "sqlite" else request.getfixturevalue("auth_postgres")
