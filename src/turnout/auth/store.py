"""The rows behind auth, on both engines: GoTrue's tables and columns, in few statements.

The statements are written for PostgreSQL's schema ``auth``; on SQLite the same tables are named
``auth_users`` and so on, and ``auth.`` is read as ``auth_``. Tables are made when auth is first
used. An ``auth`` schema that somebody else made tables in, such as hosted Supabase's, is never
touched. Codes and tokens are stored hashed; which hash is the caller's business.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString

from ..db.database import Database, Transaction
from ..db.rls import bootstrap
from ..errors import ConfigError, DbError
from .models import Identity, User

Row = dict[str, Any]

# Of GoTrue's columns, the types in words that both engines take. What is ours: sessions.amr,
# one_time_tokens.attempts, and of flow_state all from verifier on.
_TABLES: tuple[LiteralString, ...] = (
    """create table if not exists auth.users (
        instance_id uuid, id uuid primary key, aud varchar(255), role varchar(255), email varchar(255),
        encrypted_password varchar(255), email_confirmed_at timestamptz, invited_at timestamptz,
        confirmation_token varchar(255) default '', confirmation_sent_at timestamptz,
        recovery_token varchar(255) default '', recovery_sent_at timestamptz,
        email_change_token_new varchar(255) default '', email_change varchar(255) default '',
        email_change_sent_at timestamptz, last_sign_in_at timestamptz, raw_app_meta_data jsonb,
        raw_user_meta_data jsonb, is_super_admin boolean, created_at timestamptz, updated_at timestamptz,
        phone text unique default null, phone_confirmed_at timestamptz, phone_change text default '',
        phone_change_token varchar(255) default '', phone_change_sent_at timestamptz,
        confirmed_at timestamptz generated always as (coalesce(email_confirmed_at, phone_confirmed_at)) stored,
        email_change_token_current varchar(255) default '', email_change_confirm_status smallint default 0,
        banned_until timestamptz, reauthentication_token varchar(255) default '',
        reauthentication_sent_at timestamptz, is_sso_user boolean not null default false, deleted_at timestamptz,
        is_anonymous boolean not null default false)""",
    "create unique index if not exists auth_users_email_key on auth.users (email) where is_sso_user = false",
    "create index if not exists auth_users_created_at_idx on auth.users (created_at)",
    """create table if not exists auth.identities (
        provider_id text not null, user_id uuid not null references auth.users(id) on delete cascade,
        identity_data jsonb not null, provider text not null, last_sign_in_at timestamptz, created_at timestamptz,
        updated_at timestamptz, email text, id uuid primary key, unique (provider_id, provider))""",
    "create index if not exists auth_identities_user_id_idx on auth.identities (user_id)",
    """create table if not exists auth.sessions (
        id uuid primary key, user_id uuid not null references auth.users(id) on delete cascade,
        created_at timestamptz, updated_at timestamptz, factor_id uuid, aal text, not_after timestamptz,
        refreshed_at timestamptz, user_agent text, ip text, tag text, amr jsonb)""",
    "create index if not exists auth_sessions_user_id_idx on auth.sessions (user_id)",
    """create table if not exists auth.refresh_tokens (
        instance_id uuid, id uuid primary key, token varchar(255) not null unique, user_id uuid,
        revoked boolean not null default false, created_at timestamptz, updated_at timestamptz, parent varchar(255),
        session_id uuid references auth.sessions(id) on delete cascade)""",
    "create index if not exists auth_refresh_tokens_session_id_idx on auth.refresh_tokens (session_id, revoked)",
    """create table if not exists auth.one_time_tokens (
        id uuid primary key, user_id uuid not null references auth.users(id) on delete cascade,
        token_type text not null, token_hash text not null, relates_to text not null,
        created_at timestamptz not null, updated_at timestamptz not null, attempts integer not null default 0,
        unique (user_id, token_type))""",
    "create index if not exists auth_one_time_tokens_hash_idx on auth.one_time_tokens (token_hash)",
    """create table if not exists auth.flow_state (
        id uuid primary key, user_id uuid references auth.users(id) on delete cascade, auth_code text unique,
        code_challenge_method text, code_challenge text, provider_type text not null, provider_access_token text,
        provider_refresh_token text, created_at timestamptz, updated_at timestamptz,
        authentication_method text not null, auth_code_issued_at timestamptz,
        verifier text, state text unique, redirect_to text, linking_user_id uuid)""",
    "create index if not exists auth_flow_state_user_id_idx on auth.flow_state (user_id)",
)
_GONE = "42P01"
_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_MARK: LiteralString = "create table if not exists auth._turnout_auth (version integer primary key)"
_FOREIGN: LiteralString = """
    select to_regclass('auth.users') is not null and to_regclass('auth._turnout_auth') is null as foreign_schema"""
_LOCK: LiteralString = "select pg_advisory_xact_lock(7088514)::text as locked"

_USER: LiteralString = "select * from auth.users where id = :id"
_BY_EMAIL: LiteralString = "select * from auth.users where email = :email and is_sso_user = false"
_IDENTITIES: LiteralString = "select * from auth.identities where user_id = :user_id order by created_at, id"
_BY_SESSION: LiteralString = """
    select u.id, u.aud, u.role, u.email, u.phone, u.email_confirmed_at, u.phone_confirmed_at, u.confirmed_at,
        u.confirmation_sent_at, u.recovery_sent_at, u.email_change_sent_at, u.email_change, u.invited_at,
        u.last_sign_in_at, u.banned_until, u.raw_app_meta_data, u.raw_user_meta_data, u.created_at, u.updated_at,
        u.is_anonymous, u.deleted_at,
        s.id as session_id, s.not_after as session_not_after, s.created_at as session_created_at,
        s.aal as session_aal, s.amr as session_amr, s.refreshed_at as session_refreshed_at,
        i.id as i_id, i.provider_id as i_provider_id, i.identity_data as i_data, i.provider as i_provider,
        i.email as i_email, i.last_sign_in_at as i_last, i.created_at as i_created, i.updated_at as i_updated
    from auth.users u left join auth.sessions s on s.user_id = u.id and s.id = :session_id
        left join auth.identities i on i.user_id = u.id
    where u.id = :user_id"""  # in no order: sorting wide rows took half the time


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def moment(text: str | None) -> datetime | None:
    """A stored moment."""
    return None if text is None else datetime.fromisoformat(text)


def is_uuid(text: object) -> bool:
    """Whether *text* is a UUID as we write them."""
    return isinstance(text, str) and _uuid(text) is not None


class Store:
    """Users, identities, sessions, refresh tokens, codes and flows in *database*."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._prepared: object = None
        self._translated: dict[str, LiteralString] = {}

    def text(self, sql: LiteralString) -> LiteralString:
        """*sql* in the words of this engine."""
        if self.database.dialect == "postgres":
            return sql
        found = self._translated.get(sql)
        if found is None:
            # One object for every use, since the engine knows a statement by its text.
            found = self._translated[sql] = sql.replace("auth.", "auth_").replace(" for update", "")
        return found

    async def prepare(self) -> None:
        """Make the tables, if this has not been seen to yet.

        Raises:
            ConfigError: the schema ``auth`` is another server's.
        """
        engine = self.database.engine
        if self._prepared is engine:
            return
        if self.database.dialect == "postgres":
            if (await self.database.sql(_FOREIGN).single() or {}).get("foreign_schema"):
                raise ConfigError(
                    "the schema auth of this database belongs to another auth server, and is left alone",
                    cure="set SUPABASE_URL and its key to use that server, or use a database of your own",
                )
            await bootstrap(self.database)
        async with self.database.transaction() as tx:
            if self.database.dialect == "postgres":
                await tx.sql(_LOCK)
            for statement in (*_TABLES, _MARK):
                await tx.sql(self.text(statement))
        self._prepared = engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """All of it, or nothing; on SQLite alone among writers from its beginning."""
        await self.prepare()
        try:
            async with self.database.transaction() as tx:
                yield Tx(self, tx)
        except DbError as exc:
            if exc.code == _GONE:  # what was done in it is the caller's to repeat
                self._prepared = None
            raise

    async def one(self, sql: LiteralString, **values: Any) -> Row | None:
        """The one row of a statement of ours."""
        rows = await self.rows(sql, **values)
        return rows[0] if rows else None

    async def rows(self, sql: LiteralString, **values: Any) -> list[Row]:
        """The rows of a statement of ours."""
        await self.prepare()
        try:
            return list(await self.database.sql(self.text(sql), **values))
        except DbError as exc:
            if exc.code != _GONE:
                raise
        await self._prepare_again()
        return list(await self.database.sql(self.text(sql), **values))

    async def _prepare_again(self) -> None:
        """Another process has dropped the tables, as ``turnout db reset`` does."""
        self._prepared = None
        await self.prepare()

    async def user(self, user_id: str) -> Row | None:
        """The row of a user."""
        return await self.one(_USER, id=user_id) if is_uuid(user_id) else None

    async def user_by_email(self, email: str) -> Row | None:
        """The row of the user with an address, which is in lower case."""
        return await self.one(_BY_EMAIL, email=email)

    async def identities(self, user_id: str) -> list[Row]:
        """A user's identities, the oldest first."""
        return await self.rows(_IDENTITIES, user_id=user_id)

    async def whole(self, row: Row) -> User:
        """The User of a row, with the identities."""
        return to_user(row, await self.identities(row["id"]))

    async def with_session(self, user_id: str, session_id: str) -> list[Row]:
        """A user, whether the session is there, and the identities: one query, a row for each identity.

        No row: there is no such user. ``session_id`` None in it: there is no such session.
        """
        return await self.rows(_BY_SESSION, user_id=user_id, session_id=session_id)


class Tx:
    """A transaction on the tables."""

    def __init__(self, store: Store, tx: Transaction) -> None:
        self._store, self._tx = store, tx

    async def one(self, sql: LiteralString, **values: Any) -> Row | None:
        """The one row of a statement of ours."""
        return await self._tx.sql(self._store.text(sql), **values).single()

    async def rows(self, sql: LiteralString, **values: Any) -> list[Row]:
        """The rows of a statement of ours."""
        return list(await self._tx.sql(self._store.text(sql), **values))

    async def run(self, sql: LiteralString, **values: Any) -> int:
        """How many rows a statement of ours has changed."""
        return (await self._tx.sql(self._store.text(sql), **values)).count or 0

    async def user(self, user_id: str) -> Row | None:
        """The row of a user, which nobody else changes until the end."""
        if not is_uuid(user_id):
            return None
        return await self.one("select * from auth.users where id = :id for update", id=user_id)

    async def user_by_email(self, email: str) -> Row | None:
        """The row of the user with an address, which nobody else changes until the end."""
        return await self.one(
            "select * from auth.users where email = :email and is_sso_user = false for update", email=email
        )

    async def identities(self, user_id: str) -> list[Row]:
        """A user's identities, the oldest first."""
        return await self.rows(_IDENTITIES, user_id=user_id)

    async def whole(self, row: Row) -> User:
        """The User of a row, with the identities."""
        return to_user(row, await self.identities(row["id"]))

    async def insert(self, table: str, values: Mapping[str, Any]) -> None:
        """Add a row to one of our tables."""
        names = sorted(values)
        # Names are those that this package writes, never a caller's.
        statement = f"insert into auth.{table} ({', '.join(names)}) values ({', '.join(':' + n for n in names)})"
        await self.run(statement, **values)

    async def update(self, table: str, row_id: str, values: Mapping[str, Any]) -> int:
        """Change a row of one of our tables."""
        changes = ", ".join(f"{name} = :{name}" for name in sorted(values))
        statement = f"update auth.{table} set {changes} where id = :row_id"
        return await self.run(statement, row_id=row_id, **values)


def to_user(row: Mapping[str, Any], identities: list[Row]) -> User:
    """A row of users, and those of its identities, as people see them."""
    return User(
        id=row["id"],
        aud=row["aud"] or "",
        role=row["role"] or "",
        email=row["email"] or "",
        phone=row["phone"] or "",
        email_confirmed_at=moment(row["email_confirmed_at"]),
        phone_confirmed_at=moment(row["phone_confirmed_at"]),
        confirmed_at=moment(row["confirmed_at"]),
        confirmation_sent_at=moment(row["confirmation_sent_at"]),
        recovery_sent_at=moment(row["recovery_sent_at"]),
        email_change_sent_at=moment(row["email_change_sent_at"]),
        new_email=row["email_change"] or None,
        invited_at=moment(row["invited_at"]),
        last_sign_in_at=moment(row["last_sign_in_at"]),
        banned_until=moment(row["banned_until"]),
        app_metadata=row["raw_app_meta_data"] or {},
        user_metadata=row["raw_user_meta_data"] or {},
        identities=[to_identity(each) for each in identities],
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        is_anonymous=row["is_anonymous"],
    )


def to_identity(row: Mapping[str, Any]) -> Identity:
    """A row of identities as people see it."""
    return Identity(
        identity_id=row["id"],
        id=row["provider_id"],
        user_id=row["user_id"],
        identity_data=row["identity_data"],
        provider=row["provider"],
        email=row["email"],
        last_sign_in_at=moment(row["last_sign_in_at"]),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
    )


def joined(rows: list[Row]) -> User:
    """The User of the rows of :meth:`Store.with_session`."""
    identities = [
        {
            "id": row["i_id"], "provider_id": row["i_provider_id"], "user_id": row["id"],
            "identity_data": row["i_data"], "provider": row["i_provider"], "email": row["i_email"],
            "last_sign_in_at": row["i_last"], "created_at": row["i_created"], "updated_at": row["i_updated"],
        }
        for row in rows if row["i_id"] is not None
    ]  # fmt: skip
    if len(identities) > 1:
        identities.sort(key=lambda each: (each["created_at"] or "", each["id"]))
    return to_user(rows[0], identities)
