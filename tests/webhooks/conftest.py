"""One PostgreSQL for this folder's run, with a database for each test that asks."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from turnout.db.local import LocalPostgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], str]]:
    """Makes an empty database, and gives its DATABASE_URL."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    server = LocalPostgres(folder, {"fsync": "off", "max_connections": "60"})

    def make() -> str:
        name = f"webhooks_{next(_numbers)}"

        async def create() -> None:
            connection = await asyncpg.connect(server.url())
            try:
                await connection.execute(f"create database {name} template template0")
            finally:
                await connection.close()

        asyncio.run(create())
        return server.url(name)

    try:
        server.start()
        yield make
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The DATABASE_URL of an empty database, on each engine."""
    if request.param == "sqlite":
        (tmp_path / "data").mkdir()
        return f"sqlite:///{tmp_path}/data/app.db"
    url: str = request.getfixturevalue("new_postgres")()
    return url
