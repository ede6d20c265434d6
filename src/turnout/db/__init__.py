"""``db``: one query builder, trusted and in-process, on SQLite.

``from turnout import db`` may give this package or its Database ``db``, depending on what was
imported before; so the package answers to everything that is done with a database.
"""

from __future__ import annotations

from ..parts import imported
from .build import Query, Rows
from .database import SERVER_OWNED, Database, Transaction, db
from .policy import POLICIES, Policies, claim, col, exists, outer, policy, role, uid
from .scope import Scope

configure, close = db.configure, db.close
from_, table, transaction, rpc = db.from_, db.table, db.transaction, db.rpc
sql = db.sql  # in place of the subpackage, which database.py has imported by now

__all__ = [
    "POLICIES", "SERVER_OWNED", "Database", "Policies", "Query", "Rows", "Scope", "Transaction", "claim", "close",
    "col", "configure", "db", "exists", "from_", "outer", "policy", "role", "rpc", "sql", "table", "transaction", "uid",
]  # fmt: skip

imported(__name__)
