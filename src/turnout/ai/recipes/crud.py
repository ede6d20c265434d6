"""``crud``: list, create, read, change and delete rows of a new table.

``crud post title:str body:text author:ref(users)``: a field is ``name:type``, with ``?`` behind it where it may be
left out. A ``ref(users)`` where the project has no table of that name is the signed-in user: then each user sees and
changes rows of their own alone, and what belongs to somebody else is 404 like what does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from ...errors import ConfigError
from ..changeset import ChangeSet, RouteClaim
from .base import (
    Argument,
    Recipe,
    check_name,
    check_path,
    dialects,
    fill,
    new_files,
    new_route,
    new_table,
    next_migration,
    path_in,
    plural,
    singular,
)

if TYPE_CHECKING:
    from ..view import ProjectView


class Kind(Struct, frozen=True):
    """A type of field: in Python, in SQL, and two values of it for tests."""

    python: str
    sql: str
    sample: str
    other: str
    wrong: str = "[]"


KINDS = {
    "str": Kind("Annotated[str, Meta(min_length=1, max_length=200)]", "text", '"One"', '"Two"'),
    "text": Kind("Annotated[str, Meta(min_length=1, max_length=20_000)]", "text", '"Some text"', '"Other text"'),
    "int": Kind("Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]", "bigint", "7", "8"),
    "float": Kind("float", "double precision", "1.5", "2.5"),
    "bool": Kind("bool", "boolean", "True", "False"),
    "date": Kind("date", "date", '"2026-01-02"', '"2026-03-04"'),
    "datetime": Kind("Annotated[datetime, Meta(tz=True)]", "timestamptz", '"2026-01-02T03:04:05+00:00"',
                     '"2026-03-04T05:06:07+00:00"'),
    "uuid": Kind("UUID", "uuid", '"6f0a5c5e-8d0c-4c3e-9b55-0a4a2f1c7d11"', '"7f0a5c5e-8d0c-4c3e-9b55-0a4a2f1c7d11"'),
}  # fmt: skip
WORDS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "timestamp": "datetime"}
# Columns that the server owns, and words that would have to be quoted in SQL.
_taken = re.compile(
    "id|created_at|updated_at|user_id|owner_id|role|is_admin|order|group|user|table|select|from|"
    "where|limit|offset|index|primary|references|check|default|desc|asc|values|set|join|union|case|"
    "when|then|end|all|any|column|constraint|foreign|unique|grant|to|using"
).fullmatch
OUR_MODULES = frozenset(("tasks", "policies", "db_types"))  # files of lib/ that Turnout itself reads or writes
MOST_FIELDS = 20
_field = re.compile(r"([A-Za-z][\w-]*):([a-z]+)(?:\(([A-Za-z]\w*)\))?(\?)?").fullmatch


class Field(Struct, frozen=True):
    """A column: its name, its type, and the table that it refers to."""

    name: str
    kind: Kind
    optional: bool = False
    table: str | None = None

    @property
    def alias(self) -> str:
        """The name of its type in the code."""
        return "".join(word.capitalize() for word in self.name.split("_"))


LIB = '''\
"""@TITLE@: what one must look like, and how they are kept. The routes are below app@PATH@."""

@IMPORTS@

COLUMNS = "@COLUMNS@"
LARGEST = 2**53 - 1  # what every client's numbers can hold

@ALIASES@

class New@CLASS@(Struct):
    """What a client sends for a new one."""

@FIELDS@


class @CLASS@Changes(Struct):
    """What a client sends to change one; what is left out stays as it is."""

@CHANGES@


class Page(Struct):
    """Which part of the list."""

    page: Annotated[int, Meta(ge=1, le=100_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


async def list_@TABLE@(@OWNER@query: Page) -> dict[str, Any]:
    """One page, the newest first, and how many there are in all."""
    first = (query.page - 1) * query.limit
    found = db.from_("@TABLE@").select(COLUMNS, count="exact")@EQ_OWNER@.order("id", desc=True)
    rows = await found.range(first, first + query.limit - 1)
    return {"data": rows, "total": rows.count}


async def add_@ONE@(@OWNER@new: New@CLASS@) -> dict[str, Any]:
    """Keep a new one, and give it with its id."""
    values = @VALUES@
    row = await db.from_("@TABLE@").insert(values).select(COLUMNS).single()
    assert row is not None  # one was written
    return row


async def get_@ONE@(@OWNER@id: int) -> dict[str, Any]:
    """The one with that id.

    Raises:
        NotFound: there is none@OF_OWNER@.
    """
    row = await db.from_("@TABLE@").select(COLUMNS).eq("id", id)@EQ_OWNER@.single()
    if row is None:
        raise NotFound("No such @WORD@")
    return row


async def change_@ONE@(@OWNER@id: int, changes: @CLASS@Changes) -> dict[str, Any]:
    """Change what *changes* names.

    Raises:
        NotFound: there is none@OF_OWNER@.
    """
    values = msgspec.to_builtins(changes)
    if not values:
        return await get_@ONE@(@GIVE_OWNER@id)
    row = await db.from_("@TABLE@").update(values).eq("id", id)@EQ_OWNER@.select(COLUMNS).single()
    if row is None:
        raise NotFound("No such @WORD@")
    return row


async def remove_@ONE@(@OWNER@id: int) -> None:
    """Delete the one with that id.

    Raises:
        NotFound: there is none@OF_OWNER@.
    """
    removed = await db.from_("@TABLE@").delete().eq("id", id)@EQ_OWNER@
    if not removed.count:
        raise NotFound("No such @WORD@")
'''

LIST = '''\
"""GET and POST @PATH@: a page of @WORDS@, and a new one."""

from typing import Any

from turnout import @TURNOUT@

from lib.@MODULE@ import New@CLASS@, Page, add_@ONE@, list_@TABLE@

@AUTH@


async def GET(@REQUEST@query: Page) -> dict[str, Any]:
    """One page, the newest first: ?page=2&limit=50."""
    return await list_@TABLE@(@USER@query)


async def POST(@REQUEST@body: New@CLASS@) -> Response:
    """Keep a new one."""
    @ONE@ = await add_@ONE@(@USER@body)
    return Response.json(@ONE@, status=201, headers={"location": f"@PATH@/{@ONE@['id']}"})
'''

ITEM = '''\
"""GET, PATCH and DELETE @PATH@/[id]: one @WORD@. An id that is no number is 404."""

from typing import Annotated, Any

from msgspec import Meta
@TURNOUT_ITEM@
from lib.@MODULE@ import LARGEST, @CLASS@Changes, change_@ONE@, get_@ONE@, remove_@ONE@

@AUTH@

Id = Annotated[int, Meta(ge=1, le=LARGEST)]


async def GET(@REQUEST@id: Id) -> dict[str, Any]:
    """Read it."""
    return await get_@ONE@(@USER@id)


async def PATCH(@REQUEST@id: Id, body: @CLASS@Changes) -> dict[str, Any]:
    """Change what the body names."""
    return await change_@ONE@(@USER@id, body)


async def DELETE(@REQUEST@id: Id) -> None:
    """Delete it: 204."""
    await remove_@ONE@(@USER@id)
'''

TEST = '''\
"""@PATH@: @WORDS@ are listed, added, read, changed and deleted@BY_OWNER@."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
@TEST_IMPORTS@from turnout.db import db, migrate
from turnout.testing import Client

ROOT = Path(__file__).parent.parent
NEW = @SAMPLE@
FORGED = @FORGED@


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))


def with_client(test: Callable[[Client], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on the app, with an empty database@SIGNED_IN@."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
@PREPARE@            await test(client)

    return lambda: asyncio.run(main())

@HELPERS@
@with_client
async def test_a_new_one_can_be_read_back_and_is_listed(client: Client) -> None:
    added = await client.post("@PATH@", json=NEW)
    assert added.status == 201
    assert {name: added.json()[name] for name in NEW} == NEW

    read = await client.get(added.headers["location"])
    assert (read.status, read.json()) == (200, added.json())
    listed = await client.get("@PATH@")
    assert (listed.status, listed.json()) == (200, {"data": [added.json()], "total": 1})


@with_client
async def test_a_change_leaves_what_it_does_not_name(client: Client) -> None:
    added = (await client.post("@PATH@", json=NEW)).json()

    changed = await client.patch(f"@PATH@/{added['id']}", json=@CHANGE@)

    assert (changed.status, changed.json()) == (200, {**added, **@CHANGE@})
    assert (await client.patch(f"@PATH@/{added['id']}", json={})).json() == changed.json()


@with_client
async def test_what_is_deleted_is_gone(client: Client) -> None:
    added = (await client.post("@PATH@", json=NEW)).json()

    assert (await client.delete(f"@PATH@/{added['id']}")).status == 204
    assert (await client.get(f"@PATH@/{added['id']}")).status == 404
    assert (await client.delete(f"@PATH@/{added['id']}")).status == 404


@with_client
async def test_the_list_comes_in_pages_the_newest_first(client: Client) -> None:
    ids = [(await client.post("@PATH@", json=NEW)).json()["id"] for _ in range(3)]

    page = (await client.get("@PATH@?page=2&limit=2")).json()

    assert ([row["id"] for row in page["data"]], page["total"]) == ([ids[0]], 3)
    assert (await client.get("@PATH@?limit=1000")).status == 422
    assert (await client.get("@PATH@?page=0")).status == 422


@with_client
async def test_what_is_missing_or_of_a_wrong_type_is_named(client: Client) -> None:
    answer = await client.post("@PATH@", json={**NEW, "@FIRST@": @WRONG@})
    assert (answer.status, answer.json()["errors"][0]["pointer"]) == (422, "/@FIRST@")

@MISSING@    assert (await client.post("@PATH@", body="{", headers={"content-type": "application/json"})).status == 400


@with_client
async def test_nobody_chooses_the_id_or_other_columns_of_ours(client: Client) -> None:
    added = (await client.post("@PATH@", json={**NEW, **FORGED})).json()

    assert added["id"] != 7_000_000
    assert added["created_at"] != "1999-01-01T00:00:00+00:00"@NOT_FORGED@


@with_client
async def test_an_id_that_is_none_is_not_found(client: Client) -> None:
    for id in ("0", "-1", "x", "1'%20or%201=1", "9" * 30):
        assert (await client.get(f"@PATH@/{id}")).status == 404
    assert (await client.patch("@PATH@/99", json=@CHANGE@)).status == 404
@OWNER_TESTS@'''

OWNER_TESTS = """

@with_client
async def test_who_is_not_signed_in_gets_nothing(client: Client) -> None:
    added = (await client.post("@PATH@", json=NEW)).json()
    client.headers.clear()

    assert (await client.get("@PATH@")).status == 401
    assert (await client.post("@PATH@", body="{")).status == 401  # before the body is looked at
    assert (await client.get(f"@PATH@/{added['id']}")).status == 401


@with_client
async def test_what_belongs_to_somebody_else_is_not_there(client: Client) -> None:
    added = (await client.post("@PATH@", json=NEW)).json()
    place = f"@PATH@/{added['id']}"
    client.headers = await signed_in("eve@example.com")

    assert (await client.get("@PATH@")).json() == {"data": [], "total": 0}
    assert (await client.get(place)).status == 404
    assert (await client.patch(place, json=@CHANGE@)).status == 404
    assert (await client.delete(place)).status == 404

    client.headers = await signed_in("ada@example.com")
    assert (await client.get(place)).json() == added
"""

HELPERS = '''
async def signed_in(email: str) -> dict[str, str]:
    """The header of a user of that address, who is made if need be."""
    auth = auth_service()
    if email not in [user.email for user in (await auth.list_users())[0]]:
        await auth.admin_create_user(email=email, password="correct horse", email_confirm=True)
    session = await auth.sign_in_with_password(email, "correct horse")
    return {"authorization": f"Bearer {session.access_token}"}

'''

OWNER_ID = "a user's id, of auth; it is the same on every database"


def parse_fields(text: str) -> list[tuple[str, str, str | None, bool]]:
    """Name, type, table and whether it may be missing, of each ``name:type``.

    Raises:
        ConfigError: a field is none.
    """
    found = []
    for word in text.split():
        parts = _field(word)
        if parts is None:
            raise ConfigError(
                f"{word[:60]!r} is no field", cure=f"name:type, with a type of {', '.join(KINDS)}, ref(x)"
            )
        name, kind, table, optional = parts.groups()
        kind = WORDS.get(kind, kind)
        if (kind == "ref") != (table is not None) or (kind != "ref" and kind not in KINDS):
            raise ConfigError(f"{word[:60]!r} has no type that is known", cure=f"one of {', '.join(KINDS)}, ref(table)")
        name = check_name(name, "name of a field")
        if _taken(name):
            raise ConfigError(f"a field cannot be named {name}", cure="the server owns it, or SQL does; choose another")
        found.append((name, kind, table, bool(optional)))
    names = [name for name, *_ in found]
    if not found or len(found) > MOST_FIELDS or len(set(names)) < len(names):
        raise ConfigError(f"from 1 to {MOST_FIELDS} fields, each of its own name", cure="title:str body:text")
    return found


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """Two routes on a new table, and the table."""
    given = RECIPE.complete(args)
    one = singular(check_name(given["name"]))
    table = plural(one)
    path = check_path(given["path"] or f"/api/{table.replace('_', '-')}")
    new_route(project, path)
    new_table(project, table)
    fields, owner = _fields(project, given["fields"])
    words = _words(one, table, path, fields, owner)
    version = next_migration(project, table)
    kinds = dialects(project)
    endings = [".sql"] if len(kinds) == 1 else [f".{kind}.sql" for kind in kinds]
    files = {
        f"app{path}/route.py": fill(LIST, **words),
        f"app{path}/[id]/route.py": fill(ITEM, **words),
        f"lib/{words['module']}.py": fill(LIB, **words),
        **{
            version + ending: _migration(kind, table, fields, owner)
            for kind, ending in zip(kinds, endings, strict=True)
        },
        f"tests/test_{table}.py": fill(fill(TEST, owner_tests=OWNER_TESTS if owner else ""), **words),
    }
    auth = "user" if owner else "public"
    guarded = [401] if owner else []
    whose = "each user's own" if owner else "for everybody"
    return ChangeSet(
        summary=f"{path} lists, adds, reads, changes and deletes {words['words']}, {whose}; they are kept in the new "
        f"table {table}.",
        contract=[
            RouteClaim("GET", path, auth, [200, *guarded, 422]),
            RouteClaim("POST", path, auth, [201, 400, *guarded, 422]),
            RouteClaim("GET", f"{path}/[id]", auth, [200, *guarded, 404]),
            RouteClaim("PATCH", f"{path}/[id]", auth, [200, 400, *guarded, 404, 422]),
            RouteClaim("DELETE", f"{path}/[id]", auth, [204, *guarded, 404]),
        ],
        files=new_files(project, files),
        needs=["turnout[auth]"] if owner else [],
    )


def _fields(project: ProjectView, text: str) -> tuple[list[Field], str | None]:
    """The columns, and the name of the one that says whose a row is."""
    owner: str | None = None
    fields = []
    for name, kind, table, optional in parse_fields(text):
        if table is None:
            fields.append(Field(name, KINDS[kind], optional))
        elif table not in project.tables():
            if table not in ("users", "user", "auth_users") or owner is not None:
                raise ConfigError(f"there is no table {table} to refer to", cure="write a migration for it first")
            owner = f"{name}_id"
        else:
            fields.append(Field(f"{name}_id", _kind_of_id(project, table), optional, table))
    if not fields:
        raise ConfigError("there is no field that a client may set", cure="title:str body:text")
    return fields, owner


def _kind_of_id(project: ProjectView, table: str) -> Kind:
    text = "\n".join(project.read(path) or "" for path in project.migrations())
    uuid = re.search(rf"create\s+table\s+(?:if\s+not\s+exists\s+)?{table}\s*\([^;]*?\bid\s+uuid", text, re.IGNORECASE)
    return KINDS["uuid" if uuid else "int"]


def _words(one: str, table: str, path: str, fields: list[Field], owner: str | None) -> dict[str, str]:
    """What takes the place of each ``@WORD@``."""
    name = "".join(word.capitalize() for word in one.split("_"))
    # What a row refers to must be there first, which a test of this table alone cannot see to.
    required = [each for each in fields if not each.optional]
    sampled = [each for each in fields if each.table is None] or fields
    first = sampled[0]
    change = f'{{"{first.name}": {first.kind.other}}}'
    forged = {"id": "7_000_000", "created_at": '"1999-01-01T00:00:00Z"'}
    if owner:
        forged[owner] = '"6f0a5c5e-8d0c-4c3e-9b55-0a4a2f1c7d11"'
    missing = f'    assert (await client.post("{path}", json={{}})).status == 422\n' if required else ""
    return {
        "title": table.replace("_", " ").capitalize(), "path": path, "table": table, "one": one,
        "module": f"{one}_rows" if table in OUR_MODULES else table, "class": name,
        "word": one.replace("_", " "), "words": table.replace("_", " "),
        "imports": _imports(fields), "aliases": _aliases(fields), "fields": _model(fields), "changes": _changes(fields),
        "columns": ", ".join(["id", *(each.name for each in fields), *([owner] if owner else []), "created_at"]),
        "owner": f"{owner}: str, " if owner else "", "give_owner": f"{owner}, " if owner else "",
        "eq_owner": f'.eq("{owner}", {owner})' if owner else "", "of_owner": " of that user's" if owner else "",
        "values": f'{{**msgspec.to_builtins(new), "{owner}": {owner}}}' if owner else "msgspec.to_builtins(new)",
        "auth": 'auth = "user"  # each user sees and changes their own' if owner
        else 'auth = "public"  # everybody may read and write; "user" asks for a sign-in',
        "request": "request: Request, " if owner else "", "user": "request.state.user.id, " if owner else "",
        "turnout": "Request, Response" if owner else "Response",
        "turnout_item": "from turnout import Request\n" if owner else "",
        "by_owner": ", each by its owner alone" if owner else "",
        "test_imports": "from turnout.auth import auth_service\n" if owner else "",
        "signed_in": " and one user signed in" if owner else "",
        "prepare": '            client.headers = await signed_in("ada@example.com")\n' if owner else "",
        "helpers": HELPERS if owner else "",
        "sample": _dict({each.name: each.kind.sample for each in sampled}),
        "change": change, "first": first.name, "wrong": first.kind.wrong, "missing": missing, "forged": _dict(forged),
        "not_forged": f'\n    assert added["{owner}"] != FORGED["{owner}"]' if owner else "",
    }  # fmt: skip


def _dict(items: Mapping[str, str]) -> str:
    """The text of a dict, one item a line where one line would be long."""
    line = "{" + ", ".join(f'"{name}": {value}' for name, value in items.items()) + "}"
    if len(line) < 80:
        return line
    return "{\n" + "".join(f'    "{name}": {value},\n' for name, value in items.items()) + "}"


def _imports(fields: list[Field]) -> str:
    lines = []
    used = {name for each in fields for name in re.findall(r"\b(?:datetime|date|UUID)\b", each.kind.python)}
    if dates := sorted(used & {"date", "datetime"}):
        lines.append(f"from datetime import {', '.join(dates)}")
    lines.append("from typing import Annotated, Any")
    if "UUID" in used:
        lines.append("from uuid import UUID")
    lines += ["", "import msgspec", "from msgspec import UNSET, Meta, Struct, UnsetType"]
    return "\n".join([*lines, "from turnout import NotFound, db"])


def _aliases(fields: list[Field]) -> str:
    """A name for each type that has bounds, as it is used twice."""
    lines = [f"{each.alias} = {each.kind.python}" for each in fields if each.kind.python.startswith("Annotated")]
    return "\n".join([*lines, ""]) if lines else ""


def _type(field: Field) -> str:
    return field.alias if field.kind.python.startswith("Annotated") else field.kind.python


def _model(fields: list[Field]) -> str:
    ordered = sorted(fields, key=lambda each: each.optional)  # one with a default comes last
    return "\n".join(f"    {each.name}: {_type(each)}{' | None = None' if each.optional else ''}" for each in ordered)


def _changes(fields: list[Field]) -> str:
    return "\n".join(
        f"    {each.name}: {_type(each)} | UnsetType{' | None' if each.optional else ''} = UNSET" for each in fields
    )


def _migration(kind: str, table: str, fields: list[Field], owner: str | None) -> str:
    key = "integer primary key autoincrement" if kind == "sqlite" else "bigint generated always as identity primary key"
    lines = [f"    id {key}"]
    for each in fields:
        refers = f" references {each.table}(id)" if each.table else ""
        lines.append(f"    {each.name} {each.kind.sql}{'' if each.optional else ' not null'}{refers}")
    if owner:
        lines.append(f"    {owner} uuid not null")
    lines.append("    created_at timestamptz not null default current_timestamp")
    text = f"create table {table} (\n" + ",\n".join(lines) + "\n);\n"
    if owner:
        text = f"-- {owner} is {OWNER_ID}.\n{text}\ncreate index {table}_{owner} on {table} ({owner});\n"
    for each in fields:
        if each.table:
            text += f"\ncreate index {table}_{each.name} on {table} ({each.name});\n"
    return text


_RESOURCE = re.compile(r"\b(?:for|manage|of)\s+(?:an? |the |my |our |all )?([a-z]+)")
_WITH = re.compile(r"\bwith\s+(?:an? |the |their )?([a-z][a-z_ ,:()?]*)")
_long = re.compile("body|content|text|description|message|notes|note|comment|bio|summary").fullmatch
_numbers = re.compile("quantity|count|amount|price|number|stock|age|year|rating|position|views").fullmatch
_flags = re.compile("done|completed|published|active|enabled|archived").fullmatch


def read(ask: str) -> dict[str, str]:
    """The resource and its fields, where a sentence names them: "endpoints for posts with title and body"."""
    text = ask.lower()
    given = path_in(ask)
    if resource := _RESOURCE.search(text):
        given["name"] = singular(resource[1])
    if about := _WITH.search(text, resource.end() if resource else 0):
        named = re.split(r"\b(?:where|which|that|so|when|and (?:an? )?(?:list|endpoint|route)s?)\b", about[1])[0]
        words = named.split() if ":" in named else re.split(r",\s*(?:and\s+)?|\s+and\s+", named)
        fields = list(dict.fromkeys(filter(None, map(_guess, words))))
        if fields:
            given["fields"] = " ".join(fields)
    return given


def _guess(words: str) -> str:
    """``title:str`` of "a title"; empty where it is no name of a field."""
    word = words.strip().removeprefix("a ").removeprefix("an ").removeprefix("the ").strip()
    if ":" in word:
        return word.rstrip(",.")
    name = "_".join(word.split())
    if not name or len(word.split()) > 2 or not re.fullmatch(r"[a-z][a-z_]*", name):
        return ""
    last = name.rpartition("_")[2]
    if _long(last):
        return f"{name}:text"
    if _numbers(last):
        return f"{name}:int"
    if _flags(last):
        return f"{name}:bool"
    if last in ("date", "birthday", "day"):
        return f"{name}:date"
    return f"{name}:str"


RECIPE = Recipe(
    name="crud",
    summary="list, create, read, change and delete rows of a new table: crud post title:str author:ref(users)",
    plan=plan,
    arguments=(
        Argument("name", "one of them, such as post"),
        Argument("fields", "name:type of each field; types are str text int float bool date datetime uuid ref(table)",
                 rest=True),
        Argument("path", "where the routes are; /api/ and the plural if not given", ""),
    ),
    signs=(
        (r"\bcrud\b", 5),
        (r"\b(?:endpoints|routes|api|resource)\b[^.]{0,20}\b(?:for|to manage)\b", 2.5),
        (r"\blist\b", 1),
        (r"\b(?:create|add|post|make)\b", 0.5),
        (r"\b(?:read|get|show|fetch|view)\b", 0.5),
        (r"\b(?:update|change|edit|modify)\b", 1),
        (r"\b(?:delete|remove)\b", 1),
        (r"\bmanage\b", 1.5),
        (r"\bwith (?:an? |the )?[a-z_]+(?:,| and |:)", 1.5),
        (r"\b[a-z_]+:(?:str|text|int|bool|float|date)\b", 4),
        (r"\b(?:webhooks?|stripe|upload|cron|sign ?up|contact form|profile|health|proxy)\b", -4),
        (r"\bevery (?:day|night|hour|week|minute)\b", -4),
    ),
    read=read,
)  # fmt: skip
