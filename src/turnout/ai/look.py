"""A look at a project in a process of its own: ``python -m turnout.ai.look`` with a question as JSON on its input.

A fresh process sees the files as they are now, and what the project's code does to itself ends with it. The project
is loaded in test mode, on a database that is thrown away: ``.env.local`` is not read, mail stays in memory. What the
code prints goes to standard error; the answer alone is on standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..project import Project

_MOST_BODY = 6_000  # characters of an answer's body


def main() -> int:
    """Answer the one question on standard input."""
    answer_to = os.dup(1)
    os.dup2(2, 1)  # prints of the project must not stand in the answer
    question = json.loads(sys.stdin.read())
    with tempfile.TemporaryDirectory(prefix="turnout-look-", ignore_cleanup_errors=True) as folder:
        os.environ["DATABASE_URL"] = str(Path(folder) / "look.db")
        os.environ["STORE_URL"] = "memory:"
        answer = asyncio.run(_answer(question, Path(folder)))
    text = json.dumps(answer)
    with os.fdopen(answer_to, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


async def _answer(question: dict[str, Any], folder: Path) -> dict[str, Any]:
    from ..cli.load import load
    from ..errors import TurnoutError

    root = Path(question["root"])
    try:
        project = load(root, "test")
        if question["what"] == "routes":
            return {"routes": _routes(project)}
        if question["what"] == "schema":
            return await _schema(project, folder)
        return await _call(project, question)
    except TurnoutError as exc:
        return {"error": str(exc), "cure": getattr(exc, "cure", None)}


def _routes(project: Project) -> list[dict[str, Any]]:
    from ..contract import read

    return [
        {
            "method": each.method, "path": each.path, "auth": each.auth, "rate_limit": each.rate_limit,
            "summary": each.summary, "file": each.file, "line": each.line,
            "statuses": [answer.status for answer in each.answers],
        }
        for each in read(project).operations
    ]  # fmt: skip


async def _schema(project: Project, folder: Path) -> dict[str, Any]:
    await _migrate(project)
    from ..db import db

    await db.close()
    with sqlite3.connect(folder / "look.db") as connection:
        names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table' order by 1")]
        tables = []
        for name in names:
            if name.startswith(("_turnout", "sqlite_")):
                continue
            columns = connection.execute('select name, type, "notnull", pk from pragma_table_info(?)', (name,))
            found = [{"name": row[0], "type": row[1], "null": not row[2] and not row[3]} for row in columns]
            keys = connection.execute('select "from", "table", "to" from pragma_foreign_key_list(?)', (name,))
            tables.append({"name": name, "columns": found, "references": [f"{a} -> {b}.{c}" for a, b, c in keys]})
    connection.close()
    return {"tables": tables, "environment": sorted(_names(project.root))}


def _names(root: Path) -> set[str]:
    """The names of the variables that ``.env.example`` lists: never a value of any."""
    from ..env import parse_env

    example = root / ".env.example"
    entries = parse_env(example.read_text(encoding="utf-8"), example) if example.is_file() else []
    return {entry.name for entry in entries}


async def _migrate(project: Project) -> None:
    from ..db import db, migrate
    from ..project import migrations_folder

    place = migrations_folder(project.config)
    if place.is_dir():
        await migrate.migrate(db, place)


async def _call(project: Project, question: dict[str, Any]) -> dict[str, Any]:
    from ..testing import Client

    await _migrate(project)
    async with Client(project.app) as client:
        answer = await client.request(
            question["method"], question["path"], body=question["body"].encode(), headers=question["headers"]
        )
    text = answer.body.decode(errors="replace")
    return {
        "status": answer.status,
        "headers": dict(answer.headers.items()),
        "body": text[:_MOST_BODY],
        "left_off": max(0, len(text) - _MOST_BODY),
    }


if __name__ == "__main__":
    sys.exit(main())
