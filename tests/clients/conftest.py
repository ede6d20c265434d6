"""One PostgreSQL for all tests of this folder, and a database of its own for whoever asks."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from turnout.db.local import LocalPostgres


@pytest.fixture(scope="session")
def local_postgres() -> Iterator[LocalPostgres]:
    """The PostgreSQL of this run."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    running = LocalPostgres(folder, {"fsync": "off", "max_connections": "100"})
    try:
        running.start()
        yield running
    finally:
        running.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_database(local_postgres: LocalPostgres) -> Callable[[], str]:
    """Makes an empty database and gives its URL."""
    numbers = count(1)

    def make() -> str:
        name = f"clients_{next(numbers)}"

        async def create() -> None:
            connection = await asyncpg.connect(local_postgres.url())
            try:
                await connection.execute(f'create database "{name}" template template0')
            finally:
                await connection.close()

        asyncio.run(create())
        return local_postgres.url(name)

    return make
