"""The tables: made once, when auth is first used, and never in somebody else's schema."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tests.auth.world import ADA, PASSWORD, empty, world
from turnout.auth.store import Store, is_uuid
from turnout.db import Database, Scope
from turnout.errors import ConfigError, DbError

# What hosted Supabase's migrations of 2026 make, less what we never write.
USERS = {
    "instance_id", "id", "aud", "role", "email", "encrypted_password", "email_confirmed_at", "invited_at",
    "confirmation_token", "confirmation_sent_at", "recovery_token", "recovery_sent_at", "email_change_token_new",
    "email_change", "email_change_sent_at", "last_sign_in_at", "raw_app_meta_data", "raw_user_meta_data",
    "is_super_admin", "created_at", "updated_at", "phone", "phone_confirmed_at", "phone_change", "phone_change_token",
    "phone_change_sent_at", "confirmed_at", "email_change_token_current", "email_change_confirm_status",
    "banned_until", "reauthentication_token", "reauthentication_sent_at", "is_sso_user", "deleted_at", "is_anonymous",
}  # fmt: skip
IDENTITIES = {
    "provider_id", "user_id", "identity_data", "provider", "last_sign_in_at", "created_at", "updated_at", "email", "id",
}  # fmt: skip


async def test_users_and_identities_have_the_columns_that_hosted_supabase_has(place: str) -> None:
    async with world(place) as w:
        await w.user()
        assert set((await w.rows("select * from auth.users"))[0]) == USERS
        assert set((await w.rows("select * from auth.identities"))[0]) == IDENTITIES


async def test_a_user_moves_in_with_the_hash_and_the_id_of_another_server(place: str) -> None:
    async with world(place) as w:
        there = "bbbbbbbb-0000-4000-8000-000000000002"
        hashed = await w.auth.passwords.hash(PASSWORD)
        await w.auth.admin_create_user(email=ADA, password_hash=hashed, email_confirm=True, id=there)
        assert (await w.auth.sign_in_with_password(ADA, PASSWORD)).user.id == there
        row = (await w.rows("select * from auth.users"))[0]
        assert (row["encrypted_password"], row["aud"], row["role"]) == (hashed, "authenticated", "authenticated")


async def test_no_table_is_made_before_auth_is_used(tmp_path: Path) -> None:
    db = Database(tmp_path / "app.db")
    store = Store(db)
    db.engine.refresh()
    assert db.engine.schema.tables == {}
    assert await store.user_by_email(ADA) is None
    db.engine.refresh()
    assert "auth_users" in db.engine.schema.tables
    assert all(name.startswith("auth_") for name in db.engine.schema.tables)
    await db.close()


async def test_making_them_again_and_at_once_changes_nothing(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        stores = [Store(w.db) for _ in range(5)]
        await asyncio.gather(*(store.prepare() for store in stores))
        assert await stores[0].user(session.user.id)


async def test_processes_may_make_them_at_once(tmp_path: Path) -> None:
    databases = [Database(tmp_path / "app.db") for _ in range(4)]
    await asyncio.gather(*(Store(each).prepare() for each in databases))
    for each in databases:
        await each.close()


async def test_an_auth_schema_of_another_server_is_left_alone(auth_postgres: str) -> None:
    connection = await asyncpg.connect(auth_postgres)
    try:
        await connection.execute("drop database if exists hosted")
        await connection.execute("create database hosted template template0")
    finally:
        await connection.close()
    url = auth_postgres.replace("/postgres?", "/hosted?")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create schema auth; create table auth.users (id uuid primary key)")
    finally:
        await connection.close()
    db = Database(url)
    with pytest.raises(ConfigError, match="belongs to another auth server"):
        await Store(db).user_by_email(ADA)
    assert len(await db.sql("select tablename from pg_tables where schemaname = 'auth'")) == 1
    await db.close()


async def test_visitors_and_users_reach_no_table_of_auth_on_postgresql(auth_postgres: str) -> None:
    await empty(auth_postgres)
    async with world(auth_postgres) as w:
        session = await w.user()
        connection = await asyncpg.connect(auth_postgres)
        try:
            for role in ("anon", "authenticated"):
                async with connection.transaction():
                    await connection.execute(f"set local role {role}")
                    for table in ("users", "identities", "sessions", "refresh_tokens", "one_time_tokens", "flow_state"):
                        with pytest.raises(asyncpg.InsufficientPrivilegeError):
                            async with connection.transaction():
                                await connection.fetch(f"select * from auth.{table}")
        finally:
            await connection.close()
        scope = Scope("authenticated", {"sub": session.user.id})
        with pytest.raises(DbError) as caught:
            await w.db.scoped(scope).from_("users").select("*")
        assert caught.value.code in ("42P01", "PGRST205")


async def test_deleting_a_user_deletes_all_that_is_his(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        await w.auth.recover(ADA)
        await w.auth.admin_delete_user(session.user.id)
        for sql in (
            "select 1 as n from auth.users", "select 1 as n from auth.identities", "select 1 as n from auth.sessions",
            "select 1 as n from auth.refresh_tokens", "select 1 as n from auth.one_time_tokens",
        ):  # fmt: skip
            assert await w.rows(sql) == []


def test_a_uuid_is_one_in_the_form_that_we_write() -> None:
    good = "aaaaaaaa-0000-4000-8000-000000000001"
    assert is_uuid(good)
    for bad in (None, 1, "", good.upper(), good.replace("-", ""), f"{{{good}}}", good[:-1], good + " ", "x" * 36):
        assert not is_uuid(bad)


async def test_tables_that_another_process_dropped_are_made_again(tmp_path: Path) -> None:
    async with world(str(tmp_path / "app.db")) as w:
        await w.user()
        other = Database(tmp_path / "app.db")
        for name in ("flow_state", "one_time_tokens", "refresh_tokens", "sessions", "identities", "users"):
            await other.sql(f"drop table auth_{name}")  # type: ignore[arg-type]
        await other.close()
        assert await w.auth.list_users() == ([], 0)
        assert (await w.user()).user.email == ADA
