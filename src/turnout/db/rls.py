"""What a database needs so that row policies can hold, and what is amiss with them.

On PostgreSQL the roles and functions that policies are written with; on either engine a look at
whether the policies fit the tables, for ``turnout check`` and for what opens the tables to clients.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, DbError
from .errors import from_postgres
from .policy import COMMANDS, POLICIES, guard
from .schema import Schema
from .sql.policies import Binder, guard_sql
from .sql.roles import ABOVE, BOOTSTRAP, OPEN_TABLES

if TYPE_CHECKING:
    from .database import Database

_NAMED = re.compile(r"\b(?:auth\.(?:uid|jwt|role)|anon|authenticated|service_role)\b", re.I)
_MADE = re.compile(r'\bcreate\s+schema\s+(?:if\s+not\s+exists\s+)?"?auth\b', re.I)


async def bootstrap(database: Database) -> None:
    """Make the roles ``anon``, ``authenticated`` and ``service_role`` and the schema ``auth`` on PostgreSQL.

    Nothing happens where a schema ``auth`` is, and on SQLite.

    Raises:
        ConfigError: the login may not make roles.
    """
    if database.dialect == "postgres":
        from .exec.postgres import exclusive

        async with exclusive(database.engine) as connection:  # type: ignore[arg-type]
            await prepare(connection)


def needs_roles(sql: str) -> bool:
    """Whether the statements of a migration name what :func:`prepare` makes, and do not make it themselves."""
    return _NAMED.search(sql) is not None and _MADE.search(sql) is None


async def prepare(connection: Any) -> None:
    """:func:`bootstrap`, on a connection that is there already."""
    try:
        await connection.execute(BOOTSTRAP)
    except Exception as exc:
        found = from_postgres(exc)
        if found.code != "42501":
            raise found from exc
        raise ConfigError(
            f"the roles that row policies need could not be made: {found.message}",
            cure="migrate with a login that may create roles, or let the database's owner make them",
        ) from exc


async def problems(database: Database) -> list[str]:
    """What would keep the policies from holding, a sentence each; none is good news."""
    if database.dialect == "postgres":
        return await _on_postgres(database)
    return _on_sqlite(database.engine.schema)


def _on_sqlite(schema: Schema) -> list[str]:
    found: dict[str, None] = {}
    for policy in POLICIES:
        table = schema.tables.get(policy.table)
        if table is None:
            found[f"a policy names the table {policy.table!r}, which does not exist"] = None
            continue
        for role in policy.roles:
            for command in COMMANDS:
                binders: list[Binder] = []
                try:
                    for part in ("using", "check") if command == "update" else ("using",):
                        guard_sql(guard(table, schema, role, command, part), "t1", binders)
                except DbError as exc:
                    found[f"the policies of {policy.table!r} for {role}: {exc.message}"] = None
    return list(found)


async def _on_postgres(database: Database) -> list[str]:
    found = []
    if await database.sql(ABOVE).single():
        found.append("the login of DATABASE_URL is a superuser or has BYPASSRLS, and so may do anything")
    names = [row["relname"] for row in await database.sql(OPEN_TABLES)]
    found += [f"the table {name!r} is open to anon, and its row-level security is off" for name in names]
    await database.engine.refresh()  # type: ignore[misc]
    tables = database.engine.schema.tables
    for name in POLICIES.by_table:
        if name not in tables:
            found.append(f"a policy names the table {name!r}, which does not exist")
        elif tables[name].kind == "table" and not tables[name].rls:
            found.append(f"the table {name!r} has policies in lib/policies.py, and its row-level security is off")
    return found
