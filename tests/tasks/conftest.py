"""A PostgreSQL for this folder, as tests/db has one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.db.local import LocalPostgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database of our own."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    running = LocalPostgres(folder, {"fsync": "off"})
    running.start()
    try:
        yield running.url()
    finally:
        running.stop("immediate")
        shutil.rmtree(folder)
