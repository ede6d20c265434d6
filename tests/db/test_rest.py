"""Requests to the wire and what they are answered with: statuses, headers, bodies, refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from turnout.db import POLICIES, Database, Scope, col, policy
from turnout.db.parse import parse_query
from turnout.db.prefer import parse_prefer
from turnout.db.rest import DEFAULTS, Settings, check, rest
from turnout.errors import ConfigError, DbError
from turnout.http.request import Request
from turnout.http.response import Response

from .shop import shop
from .worlds import run

JSON = "application/json; charset=utf-8"
SOLE = "application/vnd.pgrst.object+json"


@dataclass
class Wire:
    """Requests to one database."""

    db: Database
    scope: Scope | None = None
    settings: Settings = DEFAULTS

    async def __call__(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        fields = {"content-type": "application/json"} | {name.replace("_", "-"): each for name, each in headers.items()}
        request = Request(method, f"/rest/v1/{target}", headers=fields, body=content)
        return await rest(request, self.db, self.scope, settings=self.settings)


@asynccontextmanager
async def wire(tables: Any, **settings: Any) -> AsyncIterator[Wire]:
    """The wire of the shop."""
    async with shop(tables) as db:
        yield Wire(db, settings=Settings(**settings))


def data(response: Response) -> Any:
    return msgspec.json.decode(response.body)


def code(response: Response) -> tuple[int, str]:
    """The status and the code of a refusal, which has all four keys."""
    body = data(response)
    assert set(body) == {"code", "message", "details", "hint"}
    return response.status, body["code"]


# --- reading ---


async def test_rows_come_as_json_with_their_range(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("GET", "labels?order=id")

    assert (response.status, response.headers["content-type"]) == (200, JSON)
    assert response.headers["content-range"] == "0-1/*"
    assert data(response) == [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]


@pytest.mark.parametrize(
    ("query", "status", "span"),
    [
        ("order=id", 200, "0-2/3"),
        ("order=id&limit=2", 206, "0-1/3"),
        ("order=id&limit=2&offset=1", 206, "1-2/3"),
        ("id=gt.9", 200, "*/0"),
        ("limit=0", 200, "*/3"),
        ("offset=3", 206, "*/3"),
    ],
)
async def test_a_count_says_which_rows_of_how_many(tables: Any, query: str, status: int, span: str) -> None:
    async with wire(tables) as ask:
        response = await ask("GET", f"users?{query}", prefer="count=exact")

    assert (response.status, response.headers["content-range"]) == (status, span)
    assert response.headers["preference-applied"] == "count=exact"


async def test_a_head_has_the_count_and_no_body(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("HEAD", "users?limit=2", prefer="count=exact")

    assert (response.status, response.headers["content-range"], response.body) == (206, "0-1/3", b"")


async def test_an_offset_beyond_the_total_is_416(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("GET", "users?offset=9", prefer="count=exact")

    assert code(response) == (416, "PGRST103")
    assert data(response)["details"] == "An offset of 9 was requested, but there are only 3 rows."


async def test_a_read_gives_no_more_rows_than_the_cap_and_says_so(tables: Any) -> None:
    async with wire(tables, max_rows=2) as ask:
        whole = await ask("GET", "users?order=id", prefer="count=exact")
        asked = await ask("GET", "users?order=id&limit=50", prefer="count=exact")

    for response in (whole, asked):
        assert (response.status, response.headers["content-range"], len(data(response))) == (206, "0-1/3", 2)


async def test_a_range_header_is_a_window(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("GET", "users?order=id&select=id", range="1-1", prefer="count=exact")

    assert (response.status, response.headers["content-range"], data(response)) == (206, "1-1/3", [{"id": 2}])


async def test_one_object_is_asked_for_by_its_type(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("GET", "labels?id=eq.1", accept=SOLE)
        several = await ask("GET", "labels", accept=SOLE)

    assert (data(response), response.headers["content-type"]) == ({"id": 1, "name": "red"}, f"{SOLE}; charset=utf-8")
    assert code(several) == (406, "PGRST116")
    assert data(several)["message"] == "Cannot coerce the result to a single JSON object"


async def test_nulls_are_stripped(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask(
            "GET", "users?select=id,boss_id,posts!author_id(id,day)&id=eq.1",
            accept="application/vnd.pgrst.array+json;nulls=stripped",
        )  # fmt: skip

    assert data(response) == [{"id": 1, "posts": [{"id": 1, "day": "2026-01-02"}]}]


async def test_every_type_comes_as_json(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("GET", "posts?id=eq.1&select=price,big,ratio,small,published,tags,body,key,day,created_at")

    assert data(response) == [
        {
            "price": 10.1, "big": 2**62, "ratio": 0.1, "small": 0.1, "published": True, "tags": ["x", 'q"uo,te'],
            "body": "\\x00ff", "key": "0f8fad5b-d9cb-469f-a165-70867728950e", "day": "2026-01-02",
            "created_at": "2026-01-02T03:04:05.6+00:00",
        }
    ]  # fmt: skip
    assert b'"price":10.10' in response.body or b'"price":10.1' in response.body


async def test_an_embedded_row_may_take_the_place_of_its_column(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("GET", "posts?select=*,author_id(name)&id=eq.1")

    assert data(response)[0]["author_id"] == {"name": "Ada"}


async def test_csv_quotes_what_needs_it(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("GET", "posts?select=id,tags,published,day&order=id", accept="text/csv")

    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.body.decode().splitlines() == [
        "id,tags,published,day",
        '1,"{x,""q\\""uo,te""}",t,2026-01-02',
        "2,{},f,2026-01-02",
        "3,{x},,",
    ]


@pytest.mark.parametrize(
    ("accept", "status"), [("*/*", 200), ("application/json", 200), ("application/json;q=0.5, text/csv;q=0.1", 200),
                           ("image/png", 406), ("application/geo+json", 406), ("image/png, */*;q=0.1", 200)],
)  # fmt: skip
async def test_what_is_accepted(tables: Any, accept: str, status: int) -> None:
    async with wire(tables) as ask:
        assert (await ask("GET", "labels", accept=accept)).status == status


async def test_a_long_query_is_answered_and_not_kept(tables: Any) -> None:
    names = ",".join(f"name_{number}:name" for number in range(100))
    async with wire(tables) as ask:
        await ask("GET", "users?id=eq.1")
        kept = len(ask.db.engine._cache)
        response = await ask("GET", f"users?id=eq.1&select={names}")
        listed = await ask("GET", f"users?select=id&id=in.({','.join(map(str, range(1, 500)))})&order=id")

        assert data(response) == [{f"name_{number}": "Ada" for number in range(100)}]
        assert data(listed) == [{"id": 1}, {"id": 2}, {"id": 3}]
        assert len(ask.db.engine._cache) == kept + 1


# --- writing ---


async def test_an_insert_gives_back_what_is_preferred(tables: Any) -> None:
    async with wire(tables) as ask:
        quiet = await ask("POST", "labels", {"id": 7, "name": "a"})
        minimal = await ask("POST", "labels", {"id": 8, "name": "b"}, prefer="return=minimal,count=exact")
        where = await ask("POST", "labels", {"id": 9, "name": "c"}, prefer="return=headers-only")
        whole = await ask("POST", "labels?select=name", {"id": 10, "name": "d"}, prefer="return=representation")

    assert [(each.status, each.body) for each in (quiet, minimal, where)] == [(201, b"")] * 3
    assert minimal.headers["content-range"] == "*/1"
    assert minimal.headers["preference-applied"] == "return=minimal, count=exact"
    assert where.headers["location"] == "/rest/v1/labels?id=eq.9"
    assert (whole.status, data(whole)) == (201, [{"name": "d"}])


async def test_an_insert_of_nothing_is_no_error(tables: Any) -> None:
    async with wire(tables) as ask:
        response = await ask("POST", "labels", [], prefer="return=representation")

        assert (response.status, data(response)) == (201, [])
        assert code(await ask("POST", "nope", [])) == (404, "PGRST205")


async def test_columns_say_what_counts_of_a_body(tables: Any) -> None:
    async with wire(tables) as ask:
        rows = [{"id": 5, "name": "x", "extra": 1}, {"id": 6, "name": "y"}]
        response = await ask("POST", 'labels?columns="id","name"', rows, prefer="return=representation")

        assert data(response) == [{"id": 5, "name": "x"}, {"id": 6, "name": "y"}]
        assert code(await ask("POST", "labels", rows)) == (400, "PGRST102")
        assert code(await ask("POST", "labels", rows[0])) == (400, "PGRST204")


async def test_a_csv_and_a_form_can_be_inserted(tables: Any) -> None:
    async with wire(tables) as ask:
        csv = b'id,name\r\n21,"a, ""b"""\r\n22,NULL'
        response = await ask("POST", "lonely?columns=id", b"id\n31\n32", content_type="text/csv")
        bad = await ask("POST", "labels", csv, content_type="text/csv")
        form = await ask("POST", "labels", b"id=23&name=a+b", content_type="application/x-www-form-urlencoded")
        found = data(await ask("GET", "labels?id=gt.20"))

    assert (response.status, form.status) == (201, 201)
    assert code(bad) == (400, "23502")
    assert found == [{"id": 23, "name": "a b"}]


async def test_an_array_may_come_as_text_and_text_as_json(tables: Any) -> None:
    async with wire(tables) as ask:
        row = {"id": 9, "title": {"a": [1]}, "tags": '{a,"b,c",NULL}'}
        response = await ask("POST", "posts?select=title,tags", row, prefer="return=representation")
        changed = await ask("PATCH", "posts?id=eq.9&select=tags", {"tags": "{}"}, prefer="return=representation")
        broken = await ask("PATCH", "posts?id=eq.9", {"tags": "a,b"})

    assert data(response) == [{"title": '{"a":[1]}', "tags": ["a", "b,c", None]}]
    assert data(changed) == [{"tags": []}]
    assert code(broken) == (400, "22P02")


async def test_an_upsert_without_a_key_is_an_insert(tables: Any) -> None:
    async with tables("create table logs (line text)") as db:
        ask = Wire(db)
        response = await ask("POST", "logs", {"line": "x"}, prefer="resolution=merge-duplicates,return=representation")

    assert (response.status, data(response)) == (201, [{"line": "x"}])


async def test_an_update_and_a_delete_say_what_they_did(tables: Any) -> None:
    async with wire(tables) as ask:
        quiet = await ask("PATCH", "labels?id=eq.1", {"name": "x"}, prefer="count=exact")
        whole = await ask("PATCH", "labels?id=gt.0", {"name": "y"}, prefer="return=representation,count=exact")
        nothing = await ask("PATCH", "labels?id=eq.1", {}, prefer="return=representation")
        gone = await ask("DELETE", "posts_labels?post_id=eq.1", prefer="count=exact")

    assert (quiet.status, quiet.headers["content-range"], quiet.body) == (204, "0-0/1", b"")
    assert (whole.status, whole.headers["content-range"], len(data(whole))) == (200, "0-1/2", 2)
    assert (nothing.status, data(nothing)) == (200, [])
    assert (gone.status, gone.headers["content-range"]) == (204, "*/2")


@pytest.mark.parametrize("prefer", ["return=representation", "return=minimal"])
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("PATCH", "labels?id=gt.0", {"name": "x"}),
        ("PATCH", "labels?id=eq.99", {"name": "x"}),
        ("DELETE", "comments?id=gt.0", None),
        ("POST", "labels", [{"id": 51, "name": "x"}, {"id": 52, "name": "x"}]),
    ],
)
async def test_a_write_that_is_not_of_the_one_row_asked_for_is_undone(
    tables: Any, method: str, target: str, body: Any, prefer: str
) -> None:
    async with wire(tables) as ask:
        before = [(await ask("GET", f"{table}?order=id")).body for table in ("labels", "comments")]
        response = await ask(method, target, body, accept=SOLE, prefer=prefer)

        assert code(response) == (406, "PGRST116")
        assert [(await ask("GET", f"{table}?order=id")).body for table in ("labels", "comments")] == before


async def test_a_rollback_needs_the_setting(tables: Any) -> None:
    async with wire(tables, rollback=True) as ask:
        undone = await ask("POST", "labels", {"id": 3, "name": "x"}, prefer="tx=rollback,return=representation")
        assert (undone.status, data(undone)) == (201, [{"id": 3, "name": "x"}])
        assert undone.headers["preference-applied"] == "return=representation, tx=rollback"
        assert len(data(await ask("GET", "labels"))) == 2

        ask.settings = Settings()
        await ask("POST", "labels", {"id": 3, "name": "x"}, prefer="tx=rollback")
        assert len(data(await ask("GET", "labels"))) == 3


# --- refusals ---

REFUSALS = {
    "no table": ("GET", "", None, {}, 404, "PGRST126"),
    "rpc alone": ("GET", "rpc", None, {}, 404, "PGRST125"),
    "rpc too deep": ("GET", "rpc/a/b", None, {}, 404, "PGRST125"),
    "a path too deep": ("GET", "users/1", None, {}, 404, "PGRST125"),
    "an unknown table": ("GET", "userz", None, {}, 404, "PGRST205"),
    "an unknown column": ("GET", "users?select=nope", None, {}, 400, "42703"),
    "an unknown filter": ("GET", "users?nope=eq.1", None, {}, 400, "42703"),
    "an unknown order": ("GET", "users?order=nope", None, {}, 400, "42703"),
    "an unknown operator": ("GET", "users?id=is_not.1", None, {}, 400, "PGRST100"),
    "no operator": ("GET", "users?id=1", None, {}, 400, "PGRST100"),
    "a broken select": ("GET", "users?select=id,", None, {}, 400, "PGRST100"),
    "a broken quote": ("GET", 'users?name=in.("a)', None, {}, 400, "PGRST100"),
    "a bad literal": ("GET", "users?id=eq.x", None, {}, 400, "22P02"),
    "like on a number": ("GET", "users?id=like.1*", None, {}, 404, "42883"),
    "a negative limit": ("GET", "users?limit=-1", None, {}, 416, "PGRST103"),
    "a limit that is none": ("GET", "users?limit=x", None, {}, 400, "PGRST100"),
    "a filter on an unselected relation": ("GET", "users?posts.id=eq.1", None, {}, 400, "PGRST108"),
    "an unknown relation": ("GET", "users?select=nope(*)", None, {}, 400, "PGRST200"),
    "an ambiguous relation": ("GET", "users?select=posts(*)", None, {}, 300, "PGRST201"),
    "a spread of many": ("GET", "posts?select=...comments(id)", None, {}, 400, "PGRST119"),
    "an order by many": ("GET", "posts?select=comments(id)&order=comments(id)", None, {}, 400, "PGRST118"),
    "an aggregate": ("GET", "users?select=id.sum()", None, {}, 400, "PGRST123"),
    "another schema": ("GET", "users", None, {"accept_profile": "private"}, 406, "PGRST106"),
    "another schema to write": ("POST", "users", {}, {"content_profile": "private"}, 406, "PGRST106"),
    "a plan": ("GET", "users", None, {"accept": "application/vnd.pgrst.plan+json"}, 406, "PGRST107"),
    "an unknown preference": ("GET", "users", None, {"prefer": "handling=strict,x=y"}, 400, "PGRST122"),
    "a method": ("PUT", "users?id=eq.1", {"id": 1}, {}, 405, "PGRST117"),
    "no body": ("POST", "users", None, {}, 400, "PGRST102"),
    "a body that is no JSON": ("POST", "users", b"{", {}, 400, "PGRST102"),
    "a body that is a number": ("POST", "users", 1, {}, 400, "PGRST102"),
    "a body of another type": ("POST", "users", b"x", {"content_type": "image/png"}, 400, "PGRST102"),
    "an unknown column in a body": ("POST", "users", {"nope": 1}, {}, 400, "PGRST204"),
    "a filter on an insert": ("POST", "users?id=eq.1", {"id": 9, "name": "x"}, {}, 400, "PGRST100"),
    "a conflict on no key": (
        "POST", "users?on_conflict=name", {"id": 9, "name": "x"}, {"prefer": "resolution=merge-duplicates"}, 400,
        "42P10",
    ),
    "an update of two objects": ("PATCH", "users?id=eq.1", [{}, {}], {}, 400, "PGRST102"),
    "an update of everything": ("PATCH", "users", {"name": "x"}, {}, 400, "21000"),
    "a delete of everything": ("DELETE", "users", None, {}, 400, "21000"),
    "a limited delete": ("DELETE", "users?id=gt.0&limit=1", None, {}, 400, "PGRST127"),
    "too many rows": (
        "PATCH", "users?id=gt.0", {"name": "x"}, {"prefer": "handling=strict,max-affected=2"}, 400, "PGRST124",
    ),
    "a duplicate": ("POST", "users", {"id": 1, "name": "x"}, {}, 409, "23505"),
    "a reference to nothing": ("POST", "posts", {"id": 9, "title": "x", "author_id": 99}, {}, 409, "23503"),
    "a missing value": ("POST", "users", {"id": 9, "name": None}, {}, 400, "23502"),
    "an unknown function": ("POST", "rpc/nope", {}, {}, 404, "PGRST202"),
    "a method on a function": ("PATCH", "rpc/nope", {}, {}, 405, "PGRST101"),
    "a long URL": ("GET", "users?name=eq." + "x" * 17_000, None, {}, 414, "54000"),
    "many filters": ("GET", "users?" + "&".join(["id=eq.1"] * 201), None, {}, 400, "54000"),
    "deep relations": ("GET", "users?select=" + "users!boss_id(" * 6 + "id" + ")" * 6, None, {}, 400, "54001"),
    "a long list": ("GET", f"users?id=in.({'1,' * 8_300}1)", None, {}, 414, "54000"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS, ids=lambda name: name.replace(" ", "_"))
async def test_a_refusal_has_its_status_and_code(tables: Any, case: str) -> None:
    method, target, body, headers, status, word = REFUSALS[case]
    async with wire(tables) as ask:
        assert code(await ask(method, target, body, **headers)) == (status, word)


@pytest.mark.parametrize(
    ("target", "status", "word"),
    [
        ("posts?title=match.^A", 400, "PGRST127"),
        ("posts?title=fts.cat", 400, "PGRST127"),
        ("posts?data=cs.{}&order=data->a", 400, "PGRST127"),
        ("posts?title=sl.[1,2]", 400, "PGRST127"),
        ("rpc/anything", 404, "PGRST202"),
    ],
)
async def test_what_sqlite_cannot_do_is_refused_by_name(sqlite_blog: Any, target: str, status: int, word: str) -> None:
    async with wire(sqlite_blog, plans=True) as ask:
        assert code(await ask("GET", target)) == (status, word)
        assert code(await ask("GET", "posts", accept="application/vnd.pgrst.plan+text")) == (400, "PGRST127")


async def test_tables_of_the_framework_are_not_there(tables: Any) -> None:
    statements = (
        "create table auth_users (id integer primary key, email text)",
        "create table _turnout_jobs (id integer primary key)",
        "create table cards (id integer primary key, user_id integer references auth_users(id))",
    )
    async with tables(*statements) as db:
        ask = Wire(db, Scope("service_role") if db.dialect == "sqlite" else None)
        for name in ("auth_users", "_turnout_jobs", "sqlite_master", "pg_class"):
            assert code(await ask("GET", name)) == (404, "PGRST205")
            assert code(await ask("POST", name, {"id": 1})) == (404, "PGRST205")
        assert code(await ask("GET", "cards?select=*,auth_users(email)")) == (400, "PGRST200")
        assert (await ask("GET", "cards")).status == 200


async def test_a_visitor_gets_401_where_a_user_gets_403(sqlite_blog: Any) -> None:
    async with shop(sqlite_blog) as db:
        for role, status in (("anon", 401), ("authenticated", 403)):
            response = await Wire(db, Scope(role))("POST", "labels", {"id": 3, "name": "x"})
            assert code(response) == (status, "42501")
            assert ("www-authenticate" in response.headers) == (role == "anon")


async def test_a_database_that_is_away_is_503_without_its_address() -> None:
    db = Database("postgresql://nobody@127.0.0.1:1/none")
    try:
        response = await Wire(db)("GET", "users")
    finally:
        await db.close()

    assert code(response)[0] == 503
    assert b"127.0.0.1" not in response.body


async def test_options_say_what_is_allowed(tables: Any) -> None:
    async with wire(tables) as ask:
        assert (await ask("OPTIONS", "users")).headers["allow"] == "OPTIONS,GET,HEAD,POST,PATCH,DELETE"


# --- policies ---


async def test_the_wire_does_not_open_where_a_policy_could_not_hold(pg_blog: Any) -> None:
    async with pg_blog("create table diary (id integer primary key)") as db:
        await check(db)
        try:
            with POLICIES.replacing():
                policy("diary", to="authenticated", using=True)
            with pytest.raises(ConfigError, match="row-level security is off"):
                await check(db)
            await run(pg_blog.place, "alter table diary enable row level security")
            await check(db)
        finally:
            with POLICIES.replacing():
                pass


async def test_the_wire_does_not_open_where_a_policy_names_no_table(sqlite_blog: Any) -> None:
    async with sqlite_blog("create table diary (id integer primary key)") as db:
        try:
            with POLICIES.replacing():
                policy("diaries", to="authenticated", using=col("id") == 1)
            with pytest.raises(ConfigError, match="'diaries', which does not exist"):
                await check(db)
        finally:
            with POLICIES.replacing():
                pass


# --- parts ---


def test_of_two_words_for_a_preference_the_first_counts() -> None:
    prefer = parse_prefer(["return=minimal, count=exact", "return=representation"])

    assert prefer.get("return") == "minimal"
    assert prefer.applied(reading=True) == "count=exact"


def test_a_number_of_rows_counts_only_where_handling_is_strict() -> None:
    assert parse_prefer(["max-affected=5"]).most is None
    assert parse_prefer(["max-affected=5,handling=strict"]).most == 5


@pytest.mark.parametrize(
    "pairs",
    [
        [("id", "eq.1"), ("name", "like.a*"), ("limit", "5"), ("offset", "2"), ("order", "id.desc"), ("select", "id")],
        [("posts.id", "gt.1"), ("select", "id,posts(id)")],
        [("id", "eq.1"), ("id", "not.eq.2"), ("or", "(id.eq.1,id.eq.2)")],
        [("id", "eq."), ("limit", "0")],
    ],
)
def test_a_query_found_by_its_form_is_the_one_that_was_parsed(pairs: list[tuple[str, str]]) -> None:
    first = parse_query(pairs, 3)

    assert parse_query(pairs, 3) == first
    assert parse_query([*pairs, ("id", "is.null")], 3).values == first.values  # which is never found by its form


@pytest.mark.parametrize("pairs", [[("or", "eq.1")], [("columns", "eq.1")], [("a.limit", "eq.5")], [("and", "gt.(")]])
def test_a_broken_query_is_refused_in_its_own_words(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(DbError) as caught:
        parse_query(pairs)

    assert pairs[0][1] in caught.value.message
