"""G4 in the jail: what the migrations do to an empty database, and to the rows of the schema that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .rows import Kept, Rows, seed, sizes, snapshot


async def run(folder: Path, spec: dict[str, Any], server: Any) -> dict[str, Any]:
    """The findings as ``(code, message, file)``, and what was tried."""
    from ...db import db, migrate

    root = folder / "project"
    after, before = root / spec["migrations"], folder / "base_migrations"
    kept = Kept(folder, server)
    findings: list[dict[str, Any]] = []
    for name, code in (("an empty database", "TRN221"), ("the schema that is there", "TRN222")):
        await kept.open_empty()
        rows: Rows = {}
        if code == "TRN222":
            await _applied(before, [], "", root)
            rows, _ = await seed(None, _texts(after))
        if not await _applied(after, findings, code, root):
            break
        findings += _lost(rows, await snapshot(), spec)
        again = await migrate.migrate(db, after)
        if again:
            findings.append({"code": "TRN223", "message": f"{again[0].name} is applied twice to {name}"})
    await kept.close()
    return {"findings": findings}


def _texts(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in sorted(folder.glob("*.sql")))


async def _applied(folder: Path, findings: list[dict[str, Any]], code: str, root: Path) -> bool:
    from ...db import db, migrate
    from ...errors import TurnoutError
    from .bed import failure

    try:
        await migrate.migrate(db, folder)
    except TurnoutError as exc:
        told = failure(exc, root)
        findings.append({"code": code, "message": told["failed"], "file": told["file"], "line": told["line"]})
        return False
    return True


def _lost(before: Rows, after: Rows, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Tables that have fewer rows than before, or other values in the columns that are still there."""
    if spec.get("allow_destructive"):
        return []
    found = []
    for table, rows in before.items():
        if sizes(after).get(table, 0) < len(rows):
            found.append({"code": "TRN224", "message": f"the rows of {table} are gone after the migration"})
            continue
        for row in rows:
            if not any(all(kept.get(name, value) == value for name, value in row.items()) for kept in after[table]):
                found.append({"code": "TRN224", "message": f"a row of {table} has other values after the migration"})
                break
    return found
