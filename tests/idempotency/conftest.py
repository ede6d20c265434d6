"""The databases of tests/db, for posts that are sent again."""

from __future__ import annotations

from db.conftest import postgres, server

__all__ = ["postgres", "server"]
