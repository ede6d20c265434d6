"""``auth-route``: a route for signed-in users alone, on the row of the one who asks: their profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..changeset import ChangeSet, RouteClaim
from .base import Argument, Recipe, check_name, fill, new_files, new_route, new_table, next_migration, path_in, slug

if TYPE_CHECKING:
    from ..view import ProjectView

ROUTE = '''\
"""GET and PATCH @PATH@: the profile of the signed-in user, and of nobody else.

Whose it is comes from the session and never from the request, so there is no id that could be somebody else's.
"""

from typing import Any

from turnout import Request

from lib.@TABLE@ import ProfileChanges, change_profile, get_profile

auth = "user"  # 401 for everybody else, before anything of the body is read


async def GET(request: Request) -> dict[str, Any]:
    """Read it; who has not written any yet gets an empty one."""
    return await get_profile(request.state.user.id)


async def PATCH(request: Request, body: ProfileChanges) -> dict[str, Any]:
    """Change what the body names."""
    return await change_profile(request.state.user.id, body)
'''

LIB = '''\
"""Profiles: what users say of themselves, one row for each."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from turnout import db

COLUMNS = "display_name, bio, updated_at"
EMPTY: dict[str, Any] = {"display_name": None, "bio": None, "updated_at": None}

DisplayName = Annotated[str, Meta(min_length=1, max_length=100)]
Bio = Annotated[str, Meta(max_length=2_000)]


class ProfileChanges(Struct):
    """What a user may change; what is left out stays as it is, null empties it."""

    display_name: DisplayName | UnsetType | None = UNSET
    bio: Bio | UnsetType | None = UNSET


async def get_profile(user_id: str) -> dict[str, Any]:
    """What *user_id* has said so far."""
    return await db.from_("@TABLE@").select(COLUMNS).eq("user_id", user_id).single() or EMPTY


async def change_profile(user_id: str, changes: ProfileChanges) -> dict[str, Any]:
    """Keep *changes*, and give the whole profile."""
    values = msgspec.to_builtins(changes)
    if not values:
        return await get_profile(user_id)
    async with db.transaction() as tx:
        # The row is there after this, whoever else makes it at the same moment.
        await tx.from_("@TABLE@").upsert({"user_id": user_id}, ignore_duplicates=True)
        await tx.from_("@TABLE@").update(values).eq("user_id", user_id)
        await tx.sql("update @TABLE@ set updated_at = current_timestamp where user_id = :user_id", user_id=user_id)
    return await get_profile(user_id)
'''

MIGRATION = """\
-- What users say of themselves. user_id is a user's id, of auth.
create table @TABLE@ (
    user_id uuid primary key,
    display_name text,
    bio text,
    updated_at timestamptz not null default current_timestamp
);
"""

TEST = '''\
"""@PATH@: users read and change what is theirs; nobody else does."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from turnout.auth import auth_service
from turnout.db import db, migrate
from turnout.testing import Client

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))


def with_client(test: Callable[[Client], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on the app, with an empty database."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
            await test(client)

    return lambda: asyncio.run(main())


async def sign_in(client: Client, email: str) -> None:
    """Let *client* be a new user of that address."""
    auth = auth_service()
    await auth.admin_create_user(email=email, password="correct horse", email_confirm=True)
    session = await auth.sign_in_with_password(email, "correct horse")
    client.headers = {"authorization": f"Bearer {session.access_token}"}


@with_client
async def test_who_is_not_signed_in_is_refused_before_the_body_is_looked_at(client: Client) -> None:
    assert (await client.get("@PATH@")).status == 401
    assert (await client.patch("@PATH@", body="{")).status == 401
    client.headers = {"authorization": "Bearer forged"}
    assert (await client.get("@PATH@")).status == 401


@with_client
async def test_a_user_changes_a_part_and_the_rest_stays(client: Client) -> None:
    await sign_in(client, "ada@example.com")
    assert (await client.get("@PATH@")).json()["display_name"] is None

    await client.patch("@PATH@", json={"display_name": "Ada", "bio": "Counts."})
    answer = await client.patch("@PATH@", json={"bio": "Computes."})

    assert answer.status == 200
    assert (answer.json()["display_name"], answer.json()["bio"]) == ("Ada", "Computes.")
    assert (await client.get("@PATH@")).json() == answer.json()


@with_client
async def test_nobody_sees_or_changes_what_is_somebody_elses(client: Client) -> None:
    await sign_in(client, "ada@example.com")
    await client.patch("@PATH@", json={"display_name": "Ada"})
    ada = (await db.from_("@TABLE@").select("user_id").single() or {})["user_id"]

    await sign_in(client, "eve@example.com")
    assert (await client.get("@PATH@")).json()["display_name"] is None
    await client.patch("@PATH@", json={"display_name": "Eve", "user_id": ada})

    names = await db.from_("@TABLE@").select("display_name").order("display_name")
    assert names == [{"display_name": "Ada"}, {"display_name": "Eve"}]


@with_client
async def test_what_is_too_long_or_of_a_wrong_type_is_named(client: Client) -> None:
    await sign_in(client, "ada@example.com")
    for changes in ({"display_name": ""}, {"display_name": "x" * 101}, {"display_name": 7}):
        answer = await client.patch("@PATH@", json=changes)
        assert (answer.status, answer.json()["errors"][0]["pointer"]) == (422, "/display_name")


@with_client
async def test_a_session_that_was_ended_ends_at_once(client: Client) -> None:
    await sign_in(client, "ada@example.com")
    await auth_service().sign_out(client.headers["authorization"].removeprefix("Bearer "))

    assert (await client.get("@PATH@")).status == 401
'''


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """A route on the signed-in user's own row, and the table."""
    given = RECIPE.complete(args)
    path, table = given["path"], check_name(given["table"], "table")
    route = new_route(project, path)
    new_table(project, table)
    files = {
        route: fill(ROUTE, path=path, table=table),
        f"lib/{table}.py": fill(LIB, table=table),
        f"{next_migration(project, table)}.sql": fill(MIGRATION, table=table),
        f"tests/test_{slug(path)}.py": fill(TEST, path=path, table=table),
    }
    return ChangeSet(
        summary=f"{path} is for signed-in users alone: each reads and changes their own row of the new table {table}.",
        contract=[
            RouteClaim("GET", path, "user", [200, 401]),
            RouteClaim("PATCH", path, "user", [200, 400, 401, 422]),
        ],
        files=new_files(project, files),
        needs=["turnout[auth]"],
    )


RECIPE = Recipe(
    name="auth-route",
    summary="a route for signed-in users alone, on their own row",
    plan=plan,
    arguments=(
        Argument("path", "where the route is", "/api/profile"),
        Argument("table", "the table of the rows", "profiles"),
    ),
    signs=(
        (r"\b(?:signed|logged)[ -]in (?:users?|people|members?)\b|\bauthenticated users?\b", 3.5),
        (r"\bonly (?:for )?(?:signed|logged|authenticated|registered)", 2),
        (
            r"\bprotected?\b|\brequires? (?:(?:a )?(?:sign|log)[ -]?in|authentication)\b|\bbehind (?:a )?login\b",
            3,
        ),
        (r"\b(?:own|their|his|her|my) (?:own )?(?:profile|row|data|account|settings|details)\b", 2.5),
        (r"\bprofiles?\b", 2),
        (r"\b(?:me|current user)\b", 1.5),
        (r"\b(?:endpoint|route|page|api)\b", 0.5),
        (r"\b(?:webhook|upload|cron|sign ?up|welcome|contact|list|delete|crud|proxy|reset|forgot\w*)\b", -3),
    ),
    read=path_in,
)
