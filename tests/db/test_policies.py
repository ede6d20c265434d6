"""Row policies: the language, what each command lets through, and the same in PostgreSQL's words."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from turnout.cli.main import main
from turnout.db import POLICIES, Database, Scope, claim, col, exists, migrate, outer, policy, role, uid
from turnout.db.rls import bootstrap, needs_roles, problems
from turnout.db.sql.policies import create_policies
from turnout.db.sql.roles import BOOTSTRAP
from turnout.errors import ConfigError, DbError
from turnout.project import load_policies

from .worlds import apply_policies, run

A, B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
AS_B = Scope(
    "authenticated", {"sub": B, "app_metadata": {"org": 7, "orgs": [7, 8], "level": "gold", "holes": [1, None]}}
)
VISITOR = Scope("anon")
NOTES = """create table notes (id integer primary key, owner uuid, org integer, body text, done boolean default false,
    rating double precision, made timestamptz default current_timestamp, data jsonb)"""
ROWS = [
    {"id": 1, "owner": A, "org": 1, "body": "of A"},
    {"id": 2, "owner": B, "org": 7, "body": "of B"},
    {"id": 3, "owner": A, "org": 7, "body": "shared", "done": True},
    {"id": 4, "owner": None, "org": None, "body": None},
]


@pytest.fixture(autouse=True)
def no_policies() -> Iterator[None]:
    with POLICIES.replacing():
        pass
    yield
    with POLICIES.replacing():
        pass


@asynccontextmanager
async def notes(*statements: str, place: str = ":memory:") -> AsyncIterator[Database]:
    """The table and what *statements* make; on PostgreSQL with the policies declared so far as its own."""
    db = Database(place)
    try:
        if db.dialect == "postgres":
            await run(place, "drop schema if exists public, auth cascade; create schema public", BOOTSTRAP)
        for statement in (NOTES, *statements):
            await db.sql(statement)  # type: ignore[arg-type]
        await db.from_("notes").insert(ROWS)
        if db.dialect == "postgres":
            roles = [f"drop role if exists {role}; create role {role}" for role in ("editor", "robot")]
            await run(place, *roles, "grant usage on schema public to public")
            await apply_policies(db, place)
        yield db
    finally:
        await db.close()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.getfixturevalue("postgres")) if request.param == "postgres" else ":memory:"


async def seen(db: Database, scope: Scope = AS_B, table: str = "notes") -> list[Any]:
    return [row["id"] for row in await db.scoped(scope).from_(table).select("id").order("id")]


# --- who sees what ---


async def test_a_table_without_policies_is_empty_and_takes_nothing() -> None:
    async with notes() as db:
        for scope in (AS_B, VISITOR):
            mine = db.scoped(scope)
            assert await mine.from_("notes").select("*", count="exact") == []
            assert (await mine.from_("notes").select("*", count="exact")).count == 0
            assert (await mine.from_("notes").update({"body": "x"}).all_rows()).count == 0
            assert (await mine.from_("notes").delete().all_rows()).count == 0
            with pytest.raises(DbError) as refused:
                await mine.from_("notes").insert({"id": 9, "owner": B})
            assert (refused.value.code, refused.value.status) == ("42501", 403)
        assert len(await db.from_("notes").select()) == 4


async def test_the_program_and_service_role_are_above_policies() -> None:
    async with notes() as db:
        service = db.scoped(Scope("service_role"))
        assert len(await service.from_("notes").select()) == 4
        assert (await service.sql("select count(*) as n from notes"))[0]["n"] == 4
        await service.from_("notes").insert({"id": 9, "owner": A})


async def test_policies_of_one_command_are_joined_by_or_and_others_have_no_say(place: str) -> None:
    policy("notes", for_="select", to=("anon", "authenticated"), using=col("done") == True)  # noqa: E712
    policy("notes", to="authenticated", using=col("owner") == uid())
    policy("notes", for_="delete", to="authenticated", using=True)
    policy("notes", for_="select", to="editor", using=True)
    async with notes(place=place) as db:
        assert await seen(db) == [2, 3]
        assert await seen(db, VISITOR) == [3]
        assert await seen(db, Scope("editor")) == [1, 2, 3, 4]


async def test_public_means_every_role(place: str) -> None:
    policy("notes", for_="select", to="public", using=col("id") == 1)
    async with notes(place=place) as db:
        assert await seen(db) == await seen(db, VISITOR) == await seen(db, Scope("robot")) == [1]


@pytest.mark.parametrize(
    ("using", "ids"),
    [
        (col("owner") == uid(), [2]),
        (col("owner") != uid(), [1, 3]),
        (uid() == col("owner"), [2]),
        (col("owner").is_null(), [4]),
        (col("owner").is_not_null() & ~(col("id") > 1), [1]),
        ((col("id") >= 2) & (col("id") < 4) | (col("id") <= 1), [1, 2, 3]),
        (col("org") == claim("app_metadata.org"), [2, 3]),
        (col("org").in_(claim("app_metadata.orgs")), [2, 3]),
        (col("org").in_(claim("app_metadata.missing")), []),
        (col("org").in_(claim("app_metadata.org")), [2, 3]),  # as good as a list of one
        (~col("org").in_(claim("app_metadata.holes")), []),  # NULL in it: unknown
        (~col("org").in_([1, None]), []),
        (~col("org").in_(claim("app_metadata.orgs")), [1]),
        (col("body").in_(["of A", "shared"]), [1, 3]),
        (col("id").in_([]), []),
        (claim("app_metadata.level") == "gold", [1, 2, 3, 4]),
        (claim("app_metadata.org") == 7, [1, 2, 3, 4]),
        (claim("app_metadata.level").in_(["silver"]), []),
        (claim("nobody.home") == "x", []),
        (claim("nobody.home").is_null(), [1, 2, 3, 4]),
        (role() == "authenticated", [1, 2, 3, 4]),
        (role() != "authenticated", []),
        (col("body") == "x' or 1=1 --", []),
        (True, [1, 2, 3, 4]),
        (False, []),
        (~((col("done") == True) | (col("owner") == uid())), [1]),  # noqa: E712
        (col("made") > "2020-01-01T00:00:00Z", [1, 2, 3, 4]),
        (col("rating").is_null() & (col("org") == col("id")), [1]),
        (exists("notes_seen", col("note") == outer("id"), col("reader") == uid()), [1, 4]),
        (~exists("notes_seen", col("note") == outer("id")), [2, 3]),
    ],
)
async def test_predicates_mean_what_they_say(using: Any, ids: list[int], place: str) -> None:
    policy("notes", for_="select", to="authenticated", using=using)
    policy("notes_seen", for_="select", to="authenticated", using=True)
    async with notes("create table notes_seen (note integer, reader uuid)", place=place) as db:
        await db.from_("notes_seen").insert([{"note": 1, "reader": B}, {"note": 4, "reader": B}])
        assert await seen(db) == ids


async def test_exists_sees_only_what_the_user_may_see() -> None:
    policy("notes", for_="select", to="authenticated", using=exists("hidden", col("note") == outer("id")))
    async with notes("create table hidden (note integer)") as db:
        await db.from_("hidden").insert({"note": 1})
        assert await seen(db) == []
        policy("hidden", for_="select", to="authenticated", using=True)
        assert await seen(db) == [1]


async def test_policies_that_ask_each_other_are_refused() -> None:
    policy("notes", for_="select", to="authenticated", using=exists("other", col("note") == outer("id")))
    policy("other", for_="select", to="authenticated", using=exists("notes", col("id") == outer("note")))
    async with notes("create table other (note integer)") as db:
        with pytest.raises(DbError, match="infinite recursion detected in policy") as refused:
            await seen(db)
        assert refused.value.code == "42P17"
        assert refused.value.hint == "notes -> other -> notes"


async def test_a_view_shows_all_of_its_tables_so_it_needs_a_policy_of_its_own() -> None:
    policy("notes", for_="select", to="authenticated", using=col("owner") == uid())
    async with notes("create view bodies as select id, owner from notes") as db:
        assert await seen(db, table="bodies") == []
        policy("bodies", for_="select", to="authenticated", using=col("owner") == uid())
        assert await seen(db, table="bodies") == [2]
        with pytest.raises(DbError, match="view"):
            await db.scoped(AS_B).from_("bodies").update({"id": 1}).eq("id", 2)


async def test_one_statement_serves_every_user_of_a_role_and_none_outlives_its_policies() -> None:
    policy("notes", for_="select", to="authenticated", using=col("owner") == uid())
    async with notes() as db:
        assert await seen(db) == [2]
        known = len(db.engine._cache)
        assert await seen(db, Scope("authenticated", {"sub": A})) == [1, 3]
        assert await seen(db, Scope("authenticated")) == []  # no sub: unknown, which is no yes
        assert len(db.engine._cache) == known
        assert await seen(db, VISITOR) == []
        policy("notes", for_="select", to="authenticated", using=col("id") == 1)
        assert await seen(db) == [1, 2]


async def test_a_claim_that_does_not_fit_the_column_is_an_error_and_not_a_match(place: str) -> None:
    policy("notes", for_="select", to="authenticated", using=col("owner") == uid())
    async with notes(place=place) as db:
        with pytest.raises(DbError) as refused:
            await seen(db, Scope("authenticated", {"sub": "' or 1=1 --"}))
        assert refused.value.code == "22P02"


@pytest.mark.parametrize("using", [col("nothing") == 1, outer("id") == 1, col("data") == "x", col("body") == col("id")])
async def test_a_policy_that_does_not_fit_the_table_lets_nobody_pass(using: Any) -> None:
    policy("notes", for_="select", to="authenticated", using=using)
    async with notes() as db:
        with pytest.raises(DbError):
            await seen(db)


# --- writing ---


async def test_what_is_not_seen_is_not_changed_or_removed(place: str) -> None:
    policy("notes", to="authenticated", using=col("owner") == uid())
    async with notes(place=place) as db:
        mine = db.scoped(AS_B)
        assert (await mine.from_("notes").update({"body": "x"}).in_("id", [1, 2, 3])).count == 1
        assert [row["id"] for row in await mine.from_("notes").delete().all_rows().select("id")] == [2]
        assert [row["body"] for row in await db.from_("notes").select().order("id")] == ["of A", "shared", None]


async def test_check_is_using_unless_it_is_said(place: str) -> None:
    policy("notes", to="authenticated", using=col("owner") == uid())
    async with notes(place=place) as db:
        mine = db.scoped(AS_B)
        await mine.from_("notes").insert({"id": 9, "owner": B})
        for query in (
            mine.from_("notes").insert({"id": 10, "owner": A}),
            mine.from_("notes").insert([{"id": 10, "owner": B}, {"id": 11, "owner": A}]),
            mine.from_("notes").insert({"id": 10}),  # NULL is not B
            mine.from_("notes").update({"owner": A}).eq("id", 2),
            mine.from_("notes").update({"owner": None}).all_rows(),
        ):
            with pytest.raises(DbError, match="new row violates row-level security policy") as refused:
                await query
            assert refused.value.code == "42501"
        assert [row["id"] for row in await db.from_("notes").select().order("id")] == [1, 2, 3, 4, 9]
        assert (await db.from_("notes").select().eq("id", 2).single())["owner"] == B


async def test_check_asks_the_row_as_defaults_and_triggers_left_it() -> None:
    policy("notes", for_="insert", to="authenticated", check=col("done") == False)  # noqa: E712
    trigger = "create trigger t after insert on notes when new.body = 'finish' begin update notes set done = 1"
    async with notes(trigger + " where id = new.id; end") as db:
        mine = db.scoped(AS_B)
        await mine.from_("notes").insert({"id": 9})
        with pytest.raises(DbError):
            await mine.from_("notes").insert({"id": 10, "body": "finish"})
        with pytest.raises(DbError):
            await mine.from_("notes").insert({"id": 10, "done": True})


async def test_what_is_given_back_must_be_visible_too(place: str) -> None:
    policy("notes", for_="insert", to="authenticated", check=True)
    async with notes(place=place) as db:
        mine = db.scoped(AS_B)
        await mine.from_("notes").insert({"id": 9, "owner": A})
        with pytest.raises(DbError) as refused:
            await mine.from_("notes").insert({"id": 10, "owner": A}).select()
        assert refused.value.code == "42501"
        assert await db.from_("notes").select().eq("id", 10) == []


async def test_a_row_may_not_be_moved_out_of_sight(place: str) -> None:
    policy("notes", for_="select", to="authenticated", using=col("owner") == uid())
    policy("notes", for_="update", to="authenticated", using=True)
    async with notes(place=place) as db:
        mine = db.scoped(AS_B)
        with pytest.raises(DbError):
            await mine.from_("notes").update({"owner": A}).eq("id", 2)
        # Without a filter nothing is read, so only the UPDATE policy has a say.
        assert (await mine.from_("notes").update({"body": "x"}).all_rows()).count == 4


async def test_upsert_neither_overwrites_nor_shows_a_hidden_row(place: str) -> None:
    policy("notes", to="authenticated", using=col("owner") == uid())
    async with notes(place=place) as db:
        mine = db.scoped(AS_B)
        with pytest.raises(DbError, match="USING expression"):
            await mine.from_("notes").upsert({"id": 1, "owner": B, "body": "mine now"})
        await mine.from_("notes").upsert({"id": 1, "owner": B, "body": "x"}, ignore_duplicates=True)
        with pytest.raises(DbError):
            await mine.from_("notes").upsert({"id": 2, "owner": A})
        with pytest.raises(DbError):
            await mine.from_("notes").upsert([{"id": 2, "owner": B, "body": "y"}, {"id": 9, "owner": A}])
        assert (await db.from_("notes").select("body").eq("id", 1).single())["body"] == "of A"
        assert (await db.from_("notes").select("body").eq("id", 2).single())["body"] == "of B"
        kept = await mine.from_("notes").upsert([{"id": 2, "owner": B, "body": "new"}, {"id": 9, "owner": B}]).select()
        assert [row["id"] for row in kept] == [2, 9]


async def test_upsert_needs_the_update_policy_only_where_a_row_is_in_the_way(place: str) -> None:
    policy("notes", for_="insert", to="authenticated", check=col("owner") == uid())
    policy("notes", for_="select", to="authenticated", using=col("owner") == uid())
    async with notes(place=place) as db:
        if db.dialect == "postgres":
            await run(place, "grant update on notes to authenticated")
        mine = db.scoped(AS_B)
        await mine.from_("notes").upsert({"id": 9, "owner": B})
        with pytest.raises(DbError, match="USING expression"):
            await mine.from_("notes").upsert({"id": 9, "owner": B})


async def test_upsert_by_a_column_left_to_its_default_is_refused() -> None:
    policy("slots", to="authenticated", using=col("owner") == uid())
    async with notes("create table slots (owner uuid, day text default 'monday' unique, at integer unique)") as db:
        mine = db.scoped(AS_B)
        with pytest.raises(DbError) as refused:
            await mine.from_("slots").upsert({"owner": B}, on_conflict="day")
        assert refused.value.code == "PGRST127"
        for _ in range(2):
            await mine.from_("slots").upsert({"owner": B, "day": None}, on_conflict="at")
        assert len(await mine.from_("slots").select()) == 2


async def test_a_constraint_that_replaces_does_not_remove_a_hidden_row() -> None:
    policy("slots", to="authenticated", using=col("owner") == uid())
    async with notes(
        "create table slots (id integer primary key, owner uuid, n integer unique on conflict replace)"
    ) as db:
        await db.from_("slots").insert([{"id": 1, "owner": A, "n": 1}, {"id": 2, "owner": B, "n": 2}])
        mine = db.scoped(AS_B)
        for query in (
            mine.from_("slots").insert({"owner": B, "n": 1}),
            mine.from_("slots").update({"n": 1}).eq("id", 2),
            mine.from_("slots").upsert({"id": 2, "owner": B, "n": 1}),
        ):
            with pytest.raises(DbError) as refused:
                await query
            assert refused.value.code == "23505"
        assert len(await db.from_("slots").select()) == 2


@pytest.mark.parametrize("columns", ["id text", "id text, rowid text", "a integer, id text, primary key (a, id)"])
async def test_rows_are_checked_whatever_their_key(columns: str) -> None:
    policy("things", to="authenticated", using=col("owner") == uid())
    async with notes(f"create table things (owner uuid, {columns})") as db:
        mine = db.scoped(AS_B)
        rows = [{"id": "x", "owner": B}, {"id": "y", "owner": B}]
        good = [{**row, "a": 1} for row in rows] if "a integer" in columns else rows
        await mine.from_("things").insert(good)
        with pytest.raises(DbError):
            await mine.from_("things").insert([{**good[0], "id": "z"}, {**good[1], "id": "w", "owner": A}])
        with pytest.raises(DbError):
            await mine.from_("things").update({"owner": A, "id": "q"}).eq("id", "x")
        assert len(await db.from_("things").select()) == 2


# --- on PostgreSQL ---

STATE = """create view state as select current_user::text as who, current_setting('statement_timeout') as timeout,
    current_setting('transaction_read_only') as readonly, auth.uid()::text as uid, auth.role() as role,
    auth.jwt() -> 'app_metadata' ->> 'level' as level"""


def state(db: Any) -> Any:
    """How a query sees itself."""
    return db.from_("state").select().single()


@asynccontextmanager
async def open_state(url: str) -> AsyncIterator[Database]:
    policy("notes", for_="select", to="authenticated", using=col("owner") == uid())
    slow = "create view slow as select pg_sleep(20)::text as slept"
    async with notes(STATE, slow, place=url) as db:
        await run(url, "grant select on state, slow to anon, authenticated, service_role")
        yield db


async def test_a_scoped_read_is_a_read_only_transaction_of_its_role_and_5_seconds(postgres: str) -> None:
    async with open_state(postgres) as db:
        assert await state(db.scoped(AS_B)) == {
            "who": "authenticated", "timeout": "5s", "readonly": "on",
            "uid": B, "role": "authenticated", "level": "gold",
        }  # fmt: skip
        visitor = await state(db.scoped(VISITOR))
        assert (visitor["who"], visitor["uid"], visitor["role"]) == ("anon", None, "anon")


async def test_nothing_of_a_scope_outlives_its_transaction(postgres: str) -> None:
    async with open_state(postgres) as db:
        before = await state(db)
        assert before["who"] == "postgres"
        mine = db.scoped(AS_B)
        for query in (
            mine.from_("notes").select(),
            mine.from_("nothing").select(),
            mine.from_("state").select("nothing"),
        ):
            try:
                await query
            except DbError:
                pass
            assert await state(db) == before
        asleep = asyncio.ensure_future(_awaited(mine.from_("slow").select()))
        await asyncio.sleep(0.2)
        asleep.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asleep
        for seen_by in await asyncio.gather(*(_awaited(state(db)) for _ in range(5))):
            assert seen_by == before
        async with db.transaction() as tx:
            assert {**await state(tx), "timeout": before["timeout"]} == before


async def _awaited(query: Any) -> Any:
    return await query


async def test_a_prepared_statement_follows_the_role_of_each_transaction(postgres: str) -> None:
    async with open_state(postgres) as db:
        as_a = Scope("authenticated", {"sub": A})
        for _ in range(8):  # often enough for a generic plan
            assert await seen(db, as_a) == [1, 3]
            assert await seen(db) == [2]
            assert await seen(db, Scope("service_role")) == [1, 2, 3, 4]
            with pytest.raises(DbError, match="permission denied"):
                await seen(db, VISITOR)
            assert len(await db.from_("notes").select()) == 4
        both = await asyncio.gather(*(seen(db, scope) for scope in (as_a, AS_B) * 10))
        assert both == [[1, 3], [2]] * 10


def test_no_sql_of_ours_changes_a_session() -> None:
    """The pool hands connections on without a reset, so whatever is set must end with its transaction."""
    lasting = re.compile(
        r"(^|;)\s*(set|reset)\s+(?!local\b)\w|set_config\([^)]*\bfalse\b|\blisten\b\s+\w|\bdiscard\b", re.I
    )
    folder = Path(inspect.getfile(Database)).parent
    for file in folder.rglob("*.py"):
        if file.name.startswith("migrate"):  # on a connection of its own, closed at the end
            continue
        tree = ast.parse(file.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                assert not lasting.search(node.value), f"{file.name}:{node.lineno}: {node.value[:60]}"


async def test_the_bootstrap_leaves_a_database_with_a_schema_auth_alone(postgres: str) -> None:
    empty = "drop schema if exists public, auth cascade; create schema public; create schema auth"
    await run(postgres, empty, BOOTSTRAP)
    db = Database(postgres)
    try:
        found = await db.sql("select proname from pg_proc where pronamespace = 'auth'::regnamespace")
        assert found == []
    finally:
        await db.close()


# --- the language ---


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: policy("t", for_="read", to="anon", using=True), "no command"),  # type: ignore[arg-type]
        (lambda: policy("t", to=(), using=True), "names no role"),
        (lambda: policy("t", to="x; drop", using=True), "names no role"),
        (lambda: policy("t", to="service_role", using=True), "above every policy"),
        (lambda: policy("t", to="anon"), "needs using="),
        (lambda: policy("t", for_="insert", to="anon", using=True), "needs check="),
        (lambda: policy("t", for_="insert", to="anon"), "needs check="),
        (lambda: policy("t", for_="select", to="anon", using=True, check=True), "takes no check="),
        (lambda: policy("t", to="anon", using="id = 1"), "made of comparisons"),  # type: ignore[arg-type]
        (lambda: policy("t", to="anon", using=col("published")), "made of comparisons"),  # type: ignore[arg-type]
        (lambda: col("a") == None, "is_null"),  # noqa: E711
        (lambda: col("a") == (col("b") == 1), "parentheses"),
        (lambda: (col("a") == 1) & True & 3, "made of comparisons"),
        (lambda: col("a").in_("abc"), "list of values"),
        (lambda: claim("user_metadata.admin"), "written by the user"),
        (lambda: claim("a b"), "not the path of a claim"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_cure(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        make()
    assert refused.value.cure
    assert not any(POLICIES)


def test_and_or_and_not_are_refused_since_they_would_drop_a_condition() -> None:
    with pytest.raises(TypeError, match="&"):
        (col("a") == 1) and (col("b") == 2)
    with pytest.raises(TypeError, match="~"):
        not (col("a") == 1)  # noqa: SIM201


def test_a_scope_is_of_a_role_with_a_name() -> None:
    for word in ("", "a b", "anon'; --", None):
        with pytest.raises(DbError):
            Scope(word)  # type: ignore[arg-type]
    assert Scope("anon", {"role": "service_role"}).claim(("role",)) == "anon"


# --- the project ---

FILE = """
from turnout.db import policy, col, uid

policy("notes", for_="select", to=("anon", "authenticated"), using=col("done") == True)
policy("notes", to="authenticated", using=(col("owner") == uid()) | (col("body") == "it's"))
"""


def project(root: Path, text: str | None = FILE) -> Path:
    (root / "pyproject.toml").write_text('[tool.turnout]\nallowed_hosts = ["localhost"]\n')
    (root / "app").mkdir(exist_ok=True)
    (root / "lib").mkdir(exist_ok=True)
    if text is not None:
        (root / "lib" / "policies.py").write_text(text)
    return root


def test_each_load_of_a_project_reads_its_policies_anew(tmp_path: Path) -> None:
    policy("left_over", to="anon", using=True)
    for _ in range(2):
        load_policies(project(tmp_path))
        assert [each.table for each in POLICIES] == ["notes", "notes"]
    (tmp_path / "lib" / "policies.py").unlink()
    load_policies(project(tmp_path, None))
    assert not any(POLICIES)


def test_a_mistake_in_the_file_names_its_line_and_leaves_the_policies_of_before(tmp_path: Path) -> None:
    load_policies(project(tmp_path))
    with pytest.raises(ConfigError) as refused:
        load_policies(project(tmp_path, FILE + 'policy("notes", to="authenticated")\n'))
    assert (Path(str(refused.value.file)).name, refused.value.line) == ("policies.py", 6)
    assert len(list(POLICIES)) == 2


def test_turnout_db_policies_prints_create_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path)
    (root / "migrations").mkdir()
    (root / "migrations" / "20260101000000_notes.sql").write_text(NOTES + ";")
    assert main(["db", "migrate", "--root", str(root)]) == 0
    capsys.readouterr()
    assert main(["db", "policies", "--root", str(root)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'alter table "notes" enable row level security;',
        'grant select on "notes" to "anon";',
        'grant select, insert, update, delete on "notes" to "authenticated";',
        'create policy "notes_select_1" on "notes" for select to "anon", "authenticated"',
        '  using ("notes"."done" = true);',
        'create policy "notes_all_2" on "notes" for all to "authenticated"',
        """  using (("notes"."owner" = (select auth.uid())) or ("notes"."body" = 'it''s'))""",
        """  with check (("notes"."owner" = (select auth.uid())) or ("notes"."body" = 'it''s'));""",
    ]


def test_turnout_db_policies_reads_the_tables_of_a_postgres(
    postgres: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(run(postgres, "drop schema if exists public, auth cascade; create schema public", NOTES))
    monkeypatch.setenv("DATABASE_URL", postgres)
    assert main(["db", "policies", "--root", str(project(tmp_path))]) == 0
    assert '("owner" = (select auth.uid()))' in capsys.readouterr().out.replace('"public"."notes".', "")


def test_turnout_check_names_a_policy_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path)
    assert main(["check", str(root)]) == 0  # no database yet to be asked
    (root / "migrations").mkdir()
    (root / "migrations" / "20260101000000_notes.sql").write_text(
        "create table notes (id integer primary key, done text);"
    )
    assert main(["db", "migrate", "--root", str(root)]) == 0
    assert main(["check", str(root)]) == 1
    said = capsys.readouterr().err
    assert "operator does not exist: text = bool" in said or 'column notes."owner"' in said


async def test_what_keeps_policies_from_holding_is_told(place: str) -> None:
    policy("notes", for_="select", to="anon", using=True)
    async with notes("create table open_to_all (id integer primary key)", place=place) as db:
        policy("nowhere", for_="select", to="anon", using=True)
        policy("open_to_all", for_="select", to="anon", using=col("missing") == 1)
        if db.dialect == "postgres":
            await run(place, "grant select on open_to_all to anon")
        found = " | ".join(await problems(db))
        assert "'nowhere', which does not exist" in found
        assert "open_to_all" in found
        assert "'notes'" not in found
        if db.dialect == "postgres":
            assert "superuser" in found
            assert "'open_to_all' is open to anon" in found


async def test_the_bootstrap_may_run_twice_and_at_once(postgres: str) -> None:
    await run(postgres, "drop schema if exists public, auth cascade; create schema public")
    db = Database(postgres)
    try:
        await asyncio.gather(*(bootstrap(db) for _ in range(4)))
        assert await db.sql("select auth.uid() as id, auth.role() as role").single() == {"id": None, "role": None}
        found = await db.sql("select rolname, rolbypassrls, rolcanlogin from pg_roles where rolname = 'service_role'")
        assert found == [{"rolname": "service_role", "rolbypassrls": True, "rolcanlogin": False}]
    finally:
        await db.close()
    await bootstrap(Database(":memory:"))


async def test_a_migration_that_names_the_roles_finds_them_there(postgres: str, tmp_path: Path) -> None:
    await run(postgres, "drop schema if exists public, auth cascade; create schema public")
    files = {
        "1_notes.pg.sql": NOTES,
        "2_policies.pg.sql": "alter table notes enable row level security; grant select on notes to authenticated;"
        " create policy mine on notes for select to authenticated using (owner = (select auth.uid()))",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    db = Database(postgres)
    try:
        assert len(await migrate.migrate(db, tmp_path)) == 2
        await db.from_("notes").insert(ROWS)
        assert await seen(db) == [2]
    finally:
        await db.close()
    assert needs_roles("grant select on t to anon")
    assert not needs_roles("create table canonical (x int)")
    assert not needs_roles("create schema auth; create function auth.uid() returns uuid")


async def test_a_plan_of_rows_one_may_not_see_is_not_shown(place: str) -> None:
    policy("notes", for_="select", to="authenticated", using=col("owner") == uid())
    async with notes(place=place) as db:
        with pytest.raises(DbError) as refused:
            await db.scoped(AS_B).from_("notes").select().explain()
        assert refused.value.code == "42501"


async def test_a_login_that_may_not_make_roles_is_told_what_to_do(postgres: str) -> None:
    await run(
        postgres, "drop schema if exists public, auth cascade; create schema public",
        "drop role if exists little; create role little login",
    )  # fmt: skip
    db = Database(postgres.replace("//postgres@", "//little@"))
    try:
        with pytest.raises(ConfigError, match="could not be made") as refused:
            await bootstrap(db)
        assert "login that may create roles" in str(refused.value.cure)
    finally:
        await db.close()


async def test_printed_policies_of_a_table_that_is_not_there_are_refused() -> None:
    policy("nowhere", to="anon", using=True)
    async with notes() as db:
        with pytest.raises(DbError, match="nowhere"):
            list(create_policies(list(POLICIES), db.engine.schema))
