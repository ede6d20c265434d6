"""The same few calls of sqlite3 for every peer in Python, inline on the loop: what costs least for so small a query.

WAL, and an acknowledged write is on the disk, as Turnout has it in production. The file is BENCH_SQLITE.
"""

from __future__ import annotations

import os
import sqlite3

NAMES = ("id", "title", "views", "body")
TEN = "select id, title, views, body from articles order by id limit 10"

# A server may load its app in one thread and run it in another, but never in two at once.
connection = sqlite3.connect(os.environ["BENCH_SQLITE"], isolation_level=None, check_same_thread=False)
connection.execute("pragma journal_mode = wal")
connection.execute("pragma synchronous = full")


def ten_rows() -> list[dict[str, object]]:
    """W4's answer, read anew."""
    return [dict(zip(NAMES, row, strict=True)) for row in connection.execute(TEN)]


def add_note(title: str, body: str) -> int:
    """Insert and commit W6's row, and return its id."""
    return connection.execute("insert into notes (title, body) values (?, ?)", (title, body)).lastrowid or 0
