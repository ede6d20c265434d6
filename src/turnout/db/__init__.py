"""``db``: one query builder, trusted and in-process, on SQLite.

``from turnout import db`` may give this package or its Database ``db``, depending on what was
imported before; so the package answers to everything that is done with a database.
"""

from __future__ import annotations

from .build import Query, Rows
from .database import SERVER_OWNED, Database, Transaction, db

configure, close = db.configure, db.close
from_, table, transaction, rpc = db.from_, db.table, db.transaction, db.rpc
sql = db.sql  # in place of the subpackage, which database.py has imported by now

__all__ = [
    "SERVER_OWNED", "Database", "Query", "Rows", "Transaction", "close", "configure", "db", "from_", "rpc", "sql",
    "table", "transaction",
]  # fmt: skip
