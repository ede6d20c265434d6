"""supabase-py's table calls against our wire: one behaviour a test, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from clients.table_world import ADA, BOB, table_server
from postgrest import APIError, CountMethod, ReturnMethod
from supabase import Client, create_client
from supabase.lib.client_options import SyncClientOptions

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the client's own use of its HTTP library


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The engine, and the URL of a server on it."""
    folder = Path(tmp_path_factory.mktemp("tables"))
    make: Callable[[], str] = request.getfixturevalue("new_database") if request.param == "postgres" else lambda: ""
    with table_server(folder, make() or str(folder / "app.db")) as url:
        yield request.param, url


@pytest.fixture(scope="module")
def engine(server: tuple[str, str]) -> str:
    return server[0]


@pytest.fixture(scope="module")
def url(server: tuple[str, str]) -> str:
    return server[1]


As = Callable[[str], Client]


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[As]:
    """Makes a client for a role, and closes its connections in the end, which the client itself does not."""
    with httpx.Client() as http:
        yield lambda role: create_client(url, role, SyncClientOptions(httpx_client=http))


@pytest.fixture(scope="module")
def db(client: As) -> Client:
    """A client with the service role."""
    return client("service_role")


def refused(query: Any) -> APIError:
    with pytest.raises(APIError) as caught:
        query.execute()
    return caught.value


# --- reading: what is asked, and the data that comes ---

READS: dict[str, tuple[Callable[[Client], Any], Any]] = {
    "a column": (lambda db: db.table("labels").select("name").order("id"), [{"name": "red"}, {"name": "blue"}]),
    "an alias": (lambda db: db.table("labels").select("n:name").eq("id", 1), [{"n": "red"}]),
    "a cast": (lambda db: db.table("posts").select("views::text").eq("id", 1), [{"views": "10"}]),
    "a numeric as a number": (lambda db: db.table("posts").select("price").eq("id", 1), [{"price": 10.1}]),
    "a boolean": (lambda db: db.table("posts").select("published").eq("id", 2), [{"published": False}]),
    "an array": (lambda db: db.table("posts").select("tags").eq("id", 1), [{"tags": ["a", "b"]}]),
    "a timestamp": (
        lambda db: db.table("posts").select("created_at").eq("id", 1), [{"created_at": "2026-01-01T00:00:00+00:00"}]
    ),
    "a JSON path": (
        lambda db: db.table("users").select("data->city->>name").eq("id", 2), [{"name": "Rome"}]
    ),
    "a JSON path with an alias": (
        lambda db: db.table("users").select("c:data->city").eq("id", 2), [{"c": {"name": "Rome"}}]
    ),
    "neq": (lambda db: db.table("labels").select("id").neq("name", "red"), [{"id": 2}]),
    "gt": (lambda db: db.table("posts").select("id").gt("views", 20), [{"id": 3}]),
    "gte": (lambda db: db.table("posts").select("id").gte("views", 20).order("id"), [{"id": 2}, {"id": 3}]),
    "lt": (lambda db: db.table("posts").select("id").lt("views", 10), [{"id": 4}]),
    "lte and gte together": (
        lambda db: db.table("posts").select("id").lte("views", 20).gte("views", 20), [{"id": 2}]
    ),
    "eq of a Python boolean": (
        lambda db: db.table("posts").select("id").eq("published", True).order("id"), [{"id": 1}, {"id": 3}]
    ),
    "is null": (lambda db: db.table("users").select("id").is_("email", "null"), [{"id": 3}]),
    "is true": (
        lambda db: db.table("posts").select("id").is_("published", "true").order("id"), [{"id": 1}, {"id": 3}]
    ),
    "not is null": (
        lambda db: db.table("users").select("id").not_.is_("email", "null").order("id"), [{"id": 1}, {"id": 2}]
    ),
    "not eq": (lambda db: db.table("labels").select("id").not_.eq("name", "red"), [{"id": 2}]),
    "like": (lambda db: db.table("posts").select("id").like("title", "%a").order("id"), [{"id": 1}, {"id": 3}]),
    "like heeds case": (lambda db: db.table("posts").select("id").like("title", "alpha"), []),
    "ilike": (lambda db: db.table("posts").select("id").ilike("title", "ALPHA"), [{"id": 1}]),
    "like with a star": (lambda db: db.table("posts").select("id").like("title", "Al*"), [{"id": 1}]),
    "an escaped wildcard": (lambda db: db.table("posts").select("id").like("title", "%50\\%"), [{"id": 2}]),
    "like any of": (
        lambda db: db.table("posts").select("id").like_any_of("title", "Al*,Ga*").order("id"), [{"id": 1}, {"id": 3}]
    ),
    "like all of": (lambda db: db.table("posts").select("id").like_all_of("title", "A*,*a"), [{"id": 1}]),
    "ilike any of": (lambda db: db.table("posts").select("id").ilike_any_of("title", "al*,zz*"), [{"id": 1}]),
    "in": (lambda db: db.table("labels").select("id").in_("name", ["red", "x"]), [{"id": 1}]),
    "in with a comma and parentheses": (
        lambda db: db.table("users").select("id").in_("name", ["Cyd, Jr. (x)"]), [{"id": 3}]
    ),
    "in with quotes": (lambda db: db.table("posts").select("id").in_("title", ['say "hi"']), [{"id": 4}]),
    "in of nothing": (lambda db: db.table("labels").select("id").in_("id", []), []),
    "contains of an array": (
        lambda db: db.table("posts").select("id").contains("tags", ["b"]).order("id"), [{"id": 1}, {"id": 2}]
    ),
    "contains of JSON": (lambda db: db.table("posts").select("id").contains("meta", {"k": 2}), [{"id": 2}]),
    "contained by": (
        lambda db: db.table("posts").select("id").contained_by("tags", ["a", "b", "z"]).order("id"),
        [{"id": 1}, {"id": 3}],
    ),
    "overlaps": (lambda db: db.table("posts").select("id").overlaps("tags", ["c", "z"]), [{"id": 2}]),
    "match": (lambda db: db.table("posts").select("id").match({"views": 10, "title": "Alpha"}), [{"id": 1}]),
    "filter": (lambda db: db.table("posts").select("id").filter("views", "gt", 20), [{"id": 3}]),
    "a filter on a JSON path": (
        lambda db: db.table("users").select("id").eq("data->city->>name", "Rome"), [{"id": 2}]
    ),
    "or": (
        lambda db: db.table("posts").select("id").or_("views.gt.20,title.eq.Alpha").order("id"),
        [{"id": 1}, {"id": 3}],
    ),
    "and within or": (
        lambda db: db.table("posts").select("id").or_("views.eq.0,and(views.gt.5,views.lt.15)").order("id"),
        [{"id": 1}, {"id": 4}],
    ),
    "not within or": (
        lambda db: db.table("posts").select("id").or_("id.not.in.(1,2),and(id.eq.1,title.not.eq.Beta)").order("id"),
        [{"id": 1}, {"id": 3}, {"id": 4}],
    ),
    "a quoted value within or": (
        lambda db: db.table("users").select("id").or_('name.eq."Cyd, Jr. (x)",id.eq.1').order("id"),
        [{"id": 1}, {"id": 3}],
    ),
    "order falling with nulls last": (
        lambda db: db.table("users").select("id").order("score", desc=True, nullsfirst=False),
        [{"id": 2}, {"id": 1}, {"id": 3}],
    ),
    "order by two": (
        lambda db: db.table("posts").select("id").order("published").order("views", desc=True),
        [{"id": 2}, {"id": 4}, {"id": 3}, {"id": 1}],
    ),
    "limit": (lambda db: db.table("posts").select("id").order("id").limit(2), [{"id": 1}, {"id": 2}]),
    "range": (lambda db: db.table("posts").select("id").order("id").range(1, 2), [{"id": 2}, {"id": 3}]),
    "offset": (lambda db: db.table("posts").select("id").order("id").offset(3), [{"id": 4}]),
    "a row above": (
        lambda db: db.table("comments").select("id, posts(title)").eq("id", 1), [{"id": 1, "posts": {"title": "Alpha"}}]
    ),
    "rows below": (
        lambda db: db.table("posts").select("id, comments(body)").eq("id", 1),
        [{"id": 1, "comments": [{"body": "first"}, {"body": "second"}]}],
    ),
    "rows through a junction": (
        lambda db: db.table("posts").select("labels(name)").eq("id", 2), [{"labels": [{"name": "blue"}]}]
    ),
    "a relation by hint": (
        lambda db: db.table("posts").select("author:users!author_id(name), editor:users!editor_id(name)").eq("id", 1),
        [{"author": {"name": "Ada"}, "editor": {"name": "Bob"}}],
    ),
    "a relation of a relation": (
        lambda db: db.table("comments").select("posts(title, users!author_id(name))").eq("id", 1),
        [{"posts": {"title": "Alpha", "users": {"name": "Ada"}}}],
    ),
    "an inner relation narrows": (
        lambda db: db.table("posts").select("id, comments!inner(id)").eq("comments.body", "second"),
        [{"id": 1, "comments": [{"id": 2}]}],
    ),
    "a filter on a relation narrows only that": (
        lambda db: db.table("posts").select("id, comments(id)").eq("comments.body", "second").lt("id", 3).order("id"),
        [{"id": 1, "comments": [{"id": 2}]}, {"id": 2, "comments": []}],
    ),
    "order inside a relation": (
        lambda db: db.table("posts").select("comments(id)").eq("id", 1).order(
            "id", desc=True, foreign_table="comments"
        ),
        [{"comments": [{"id": 2}, {"id": 1}]}],
    ),
    "limit inside a relation": (
        lambda db: db.table("posts").select("comments(id)").eq("id", 1).order("id", foreign_table="comments").limit(
            1, foreign_table="comments"
        ),
        [{"comments": [{"id": 1}]}],
    ),
    "or inside a relation": (
        lambda db: db.table("posts").select("comments(id)").eq("id", 1).or_(
            "id.eq.2,id.eq.9", reference_table="comments"
        ),
        [{"comments": [{"id": 2}]}],
    ),
    "a spread relation": (
        lambda db: db.table("comments").select("id, ...posts(title)").eq("id", 1), [{"id": 1, "title": "Alpha"}]
    ),
    "a count of a relation": (
        lambda db: db.table("posts").select("id, comments(count)").eq("id", 1), [{"id": 1, "comments": [{"count": 2}]}]
    ),
    "an aggregate": (lambda db: db.table("posts").select("views.sum()"), [{"sum": 60}]),
    "groups": (
        lambda db: db.table("posts").select("published, n:id.count()").order("published"),
        [{"published": False, "n": 2}, {"published": True, "n": 2}],
    ),
    "a missing relation by is null": (
        lambda db: db.table("posts").select("id, comments()").is_("comments", "null").order("id"),
        [{"id": 3}, {"id": 4}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READS, ids=lambda name: name.replace(" ", "_"))
def test_read(db: Client, case: str) -> None:
    ask, expected = READS[case]

    assert ask(db).execute().data == expected


def test_single_gives_one_object(db: Client) -> None:
    assert db.table("labels").select("name").eq("id", 1).single().execute().data == {"name": "red"}


def test_single_of_no_row_is_refused(db: Client) -> None:
    error = refused(db.table("labels").select("*").eq("id", 99).single())

    assert (error.code, error.details) == ("PGRST116", "The result contains 0 rows")


def test_single_of_several_rows_is_refused(db: Client) -> None:
    assert refused(db.table("labels").select("*").single()).code == "PGRST116"


def test_maybe_single_gives_one_object_or_none(db: Client) -> None:
    found = db.table("labels").select("name").eq("id", 2).maybe_single().execute()

    assert found is not None
    assert found.data == {"name": "blue"}
    assert db.table("labels").select("name").eq("id", 99).maybe_single().execute() is None


def test_an_exact_count_comes_with_the_rows(db: Client) -> None:
    found = db.table("posts").select("id", count=CountMethod.exact).order("id").limit(1).execute()

    assert (found.data, found.count) == ([{"id": 1}], 4)


@pytest.mark.parametrize("method", [CountMethod.planned, CountMethod.estimated])
def test_other_counts_are_given_too(db: Client, method: CountMethod) -> None:
    assert db.table("posts").select("id", count=method).execute().count == 4


def test_a_head_counts_and_gives_no_rows(db: Client) -> None:
    found = db.table("posts").select("*", count=CountMethod.exact, head=True).gt("views", 5).execute()

    assert (found.data, found.count) == ([], 3)


def test_rows_as_csv(db: Client) -> None:
    found = db.table("posts").select("id, title, published, tags").order("id").limit(2).csv().execute()

    assert found.data == 'id,title,published,tags\n1,Alpha,t,"{a,b}"\n2,"Beta 50%",f,"{b,c}"'


# --- errors ---

ERRORS: dict[str, tuple[Callable[[Client], Any], str, int]] = {
    "an unknown table": (lambda db: db.table("nope").select("*"), "PGRST205", 404),
    "a hidden table": (lambda db: db.table("auth_secrets").select("*"), "PGRST205", 404),
    "an unknown column": (lambda db: db.table("posts").select("nope"), "42703", 400),
    "an unknown column in a filter": (lambda db: db.table("posts").select("*").eq("nope", 1), "42703", 400),
    "a value of the wrong type": (lambda db: db.table("posts").select("*").eq("views", "many"), "22P02", 400),
    "a number out of range": (lambda db: db.table("posts").select("*").eq("views", 10**12), "22003", 400),
    "an unknown relation": (lambda db: db.table("posts").select("nope(*)"), "PGRST200", 400),
    "an ambiguous relation": (lambda db: db.table("posts").select("users(*)"), "PGRST201", 300),
    "a select list that does not parse": (lambda db: db.table("posts").select("id,,title("), "PGRST100", 400),
    "a filter that does not parse": (lambda db: db.table("posts").select("*").or_("id.eq"), "PGRST100", 400),
    "an unselected relation in a filter": (
        lambda db: db.table("posts").select("id").eq("comments.body", "x"), "PGRST108", 400
    ),
    "an unknown column in a body": (lambda db: db.table("notes").insert({"nope": 1}), "PGRST204", 400),
    "a missing value": (lambda db: db.table("labels").insert({"name": None}), "23502", 400),
    "a duplicate": (lambda db: db.table("labels").insert({"id": 1, "name": "x"}), "23505", 409),
    "a reference to nothing": (lambda db: db.table("comments").insert({"post_id": 999}), "23503", 409),
    "a check": (lambda db: db.table("posts").insert({"title": "x", "views": -1}), "23514", 400),
    "a delete of everything": (lambda db: db.table("notes").delete(), "21000", 400),
    "an update of everything": (lambda db: db.table("notes").update({"kind": "x"}), "21000", 400),
    "a schema that is not there": (lambda db: db.schema("private").table("posts").select("*"), "PGRST106", 406),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS, ids=lambda name: name.replace(" ", "_"))
def test_error(db: Client, case: str) -> None:
    ask, code, _ = ERRORS[case]

    assert refused(ask(db)).code == code


def test_an_error_has_four_keys_and_its_status(url: str) -> None:
    answer = httpx.get(f"{url}/rest/v1/nope", headers={"authorization": "Bearer service_role"})

    assert answer.status_code == 404
    assert set(answer.json()) == {"code", "message", "details", "hint"}


# --- writing: every test has rows of its own kind ---


def kinds(db: Client, kind: str) -> list[Any]:
    return [row["value"] for row in db.table("notes").select("value").eq("kind", kind).order("id").execute().data]


def test_an_insert_gives_the_row_back(db: Client) -> None:
    (row,) = db.table("notes").insert({"kind": "one"}).execute().data

    assert row["kind"] == "one"
    assert row["value"] == 7
    assert row["id"] > 0


def test_an_insert_of_several(db: Client) -> None:
    rows = [{"kind": "several", "value": number} for number in range(3)]

    assert len(db.table("notes").insert(rows).execute().data) == 3
    assert kinds(db, "several") == [0, 1, 2]


def test_an_insert_may_give_nothing_back(db: Client) -> None:
    found = db.table("notes").insert({"kind": "quiet"}, returning=ReturnMethod.minimal).execute()

    assert found.data == []
    assert kinds(db, "quiet") == [7]


def test_an_insert_counts(db: Client) -> None:
    found = db.table("notes").insert([{"kind": "counted"}] * 2, count=CountMethod.exact).execute()

    assert found.count == 2


def test_a_key_that_one_row_leaves_out_is_null(db: Client) -> None:
    db.table("notes").insert([{"kind": "gap", "value": 1}, {"kind": "gap"}]).execute()

    assert kinds(db, "gap") == [1, None]


def test_a_key_left_out_takes_its_default_if_asked(db: Client) -> None:
    db.table("notes").insert([{"kind": "filled", "value": 1}, {"kind": "filled"}], default_to_null=False).execute()

    assert kinds(db, "filled") == [1, 7]


def test_an_insert_of_several_is_all_or_nothing(db: Client) -> None:
    rows = [{"kind": "whole", "slug": "w1"}, {"kind": "whole", "slug": "w1"}]

    assert refused(db.table("notes").insert(rows)).code == "23505"
    assert kinds(db, "whole") == []


def test_an_upsert_updates_what_is_there(db: Client) -> None:
    (row,) = db.table("notes").insert({"kind": "up", "value": 1}).execute().data
    db.table("notes").upsert({"id": row["id"], "kind": "up", "value": 2}).execute()

    assert kinds(db, "up") == [2]


def test_an_upsert_by_another_key(db: Client) -> None:
    for value in (1, 2):
        db.table("notes").upsert({"slug": "by-slug", "kind": "slug", "value": value}, on_conflict="slug").execute()

    assert kinds(db, "slug") == [2]


def test_an_upsert_may_leave_duplicates_alone(db: Client) -> None:
    for value in (1, 2):
        db.table("notes").upsert(
            {"slug": "left", "kind": "left", "value": value}, on_conflict="slug", ignore_duplicates=True
        ).execute()

    assert kinds(db, "left") == [1]


def test_an_update_gives_the_rows_back(db: Client) -> None:
    db.table("notes").insert([{"kind": "change"}] * 2).execute()
    found = db.table("notes").update({"value": 9}, count=CountMethod.exact).eq("kind", "change").execute()

    assert [row["value"] for row in found.data] == [9, 9]
    assert found.count == 2


def test_an_update_of_nothing_is_no_error(db: Client) -> None:
    assert db.table("notes").update({"value": 9}).eq("kind", "nobody").execute().data == []


def test_an_update_may_be_held_to_a_number_of_rows(db: Client) -> None:
    db.table("notes").insert([{"kind": "held"}] * 3).execute()
    error = refused(db.table("notes").update({"value": 9}).eq("kind", "held").max_affected(2))

    assert error.code == "PGRST124"
    assert kinds(db, "held") == [7, 7, 7]


def test_a_delete_gives_the_rows_back(db: Client) -> None:
    db.table("notes").insert({"kind": "gone"}).execute()
    found = db.table("notes").delete().eq("kind", "gone").execute()

    assert [row["kind"] for row in found.data] == ["gone"]
    assert kinds(db, "gone") == []


def test_a_delete_may_give_nothing_back(db: Client) -> None:
    db.table("notes").insert({"kind": "away"}).execute()
    db.table("notes").delete(returning=ReturnMethod.minimal).eq("kind", "away").execute()

    assert kinds(db, "away") == []


@pytest.mark.parametrize("verb", ["PATCH", "DELETE"])
def test_a_write_of_several_rows_is_undone_when_one_was_asked_for(db: Client, url: str, verb: str) -> None:
    kind = f"undone-{verb}"
    db.table("notes").insert([{"kind": kind}] * 2).execute()
    answer = httpx.request(
        verb, f"{url}/rest/v1/notes?kind=eq.{kind}", json={"value": 1},
        headers={"authorization": "Bearer service_role", "accept": "application/vnd.pgrst.object+json"},
    )  # fmt: skip

    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST116")
    assert kinds(db, kind) == [7, 7]


def test_an_insert_of_several_rows_is_undone_when_one_was_asked_for(db: Client, url: str) -> None:
    answer = httpx.post(
        f"{url}/rest/v1/notes", json=[{"kind": "pair"}, {"kind": "pair"}],
        headers={"authorization": "Bearer service_role", "accept": "application/vnd.pgrst.object+json"},
    )  # fmt: skip

    assert answer.status_code == 406
    assert kinds(db, "pair") == []


# --- who asks ---


def test_a_visitor_sees_what_is_published(client: As) -> None:
    found = client("anon").table("posts").select("id", count=CountMethod.exact).order("id").execute()

    assert (found.data, found.count) == ([{"id": 1}, {"id": 3}], 2)


def test_a_user_sees_what_is_his(client: As) -> None:
    for uid, entry in ((ADA, "of Ada"), (BOB, "of Bob")):
        assert client(f"authenticated:{uid}").table("diary").select("entry").execute().data == [{"entry": entry}]


def test_a_user_writes_only_for_himself(client: As) -> None:
    ada = client(f"authenticated:{ADA}")

    assert refused(ada.table("diary").insert({"owner": BOB, "entry": "forged"})).code == "42501"
    assert ada.table("diary").insert({"owner": ADA, "entry": "mine"}).execute().data[0]["entry"] == "mine"
    ada.table("diary").delete().eq("entry", "mine").execute()


def test_a_user_changes_nothing_of_others(client: As, db: Client) -> None:
    ada = client(f"authenticated:{ADA}")

    assert ada.table("diary").update({"entry": "changed"}).eq("owner", BOB).execute().data == []
    assert db.table("diary").select("entry").eq("owner", BOB).execute().data == [{"entry": "of Bob"}]


def test_a_visitor_is_told_to_sign_in_and_a_user_that_he_may_not(url: str) -> None:
    seen = []
    for role in ("anon", f"authenticated:{ADA}"):
        answer = httpx.post(
            f"{url}/rest/v1/diary", json={"owner": BOB, "entry": "x"}, headers={"authorization": f"Bearer {role}"}
        )
        seen.append((answer.status_code, answer.json()["code"]))

    assert seen == [(401, "42501"), (403, "42501")]


# --- functions ---


def needs_functions(engine: str) -> None:
    if engine == "sqlite":
        pytest.skip("SQLite has no stored functions")


def test_sqlite_refuses_every_call_by_name(engine: str, db: Client) -> None:
    if engine == "postgres":
        pytest.skip("PostgreSQL has functions")
    assert refused(db.rpc("add_them", {"a": 1, "b": 2})).code == "PGRST202"


def test_a_call_gives_a_value(engine: str, db: Client) -> None:
    needs_functions(engine)
    assert db.rpc("add_them", {"a": 1, "b": 2}).execute().data == 3


def test_a_call_by_get(engine: str, db: Client) -> None:
    needs_functions(engine)
    assert db.rpc("add_them", {"a": 1, "b": 2}, get=True).execute().data == 3


def test_a_call_gives_rows_to_select_from(engine: str, db: Client) -> None:
    needs_functions(engine)
    found = db.rpc("popular", {"at_least": 10}).select("id, users!author_id(name)").eq("published", True).execute()

    assert found.data == [{"id": 1, "users": {"name": "Ada"}}, {"id": 3, "users": {"name": "Bob"}}]


def test_a_call_with_a_default_and_a_count(engine: str, db: Client) -> None:
    needs_functions(engine)
    found = db.rpc("popular", {}, count=CountMethod.exact).execute()

    assert found.count == 2


def test_a_call_that_only_counts(engine: str, db: Client) -> None:
    needs_functions(engine)
    found = db.rpc("popular", {"at_least": 10}, head=True, count=CountMethod.exact).execute()

    assert (found.data, found.count) == ([], 3)


def test_a_call_gives_one_row(engine: str, db: Client) -> None:
    needs_functions(engine)
    assert db.rpc("one_user", {}).execute().data["name"] == "Ada"


def test_a_call_that_writes_may_not_be_a_get(engine: str, url: str, db: Client) -> None:
    needs_functions(engine)
    answer = httpx.get(f"{url}/rest/v1/rpc/write_note?word=got", headers={"authorization": "Bearer service_role"})

    assert (answer.status_code, answer.json()["code"]) == (405, "25006")
    assert kinds(db, "got") == []


def test_a_call_that_writes_is_a_post_without_content(engine: str, url: str, db: Client) -> None:
    needs_functions(engine)
    answer = httpx.post(
        f"{url}/rest/v1/rpc/write_note", json={"word": "posted"}, headers={"authorization": "Bearer service_role"}
    )

    assert answer.status_code == 204
    assert kinds(db, "posted") == [7]


def test_a_function_says_its_own_status(engine: str, url: str) -> None:
    needs_functions(engine)
    answer = httpx.post(f"{url}/rest/v1/rpc/fail", headers={"authorization": "Bearer service_role"})

    assert (answer.status_code, answer.json()["message"], answer.json()["hint"]) == (418, "a teapot", "pour")


def test_an_unknown_function_is_404(engine: str, db: Client) -> None:
    needs_functions(engine)
    error = refused(db.rpc("add_thm", {"a": 1}))

    assert (error.code, error.hint) == ("PGRST202", "Perhaps you meant to call the function public.add_them")


def test_a_variadic_argument_comes_many_times(engine: str, url: str) -> None:
    needs_functions(engine)
    answer = httpx.get(
        f"{url}/rest/v1/rpc/total?parts=1&parts=2&parts=4", headers={"authorization": "Bearer service_role"}
    )

    assert answer.json() == 7
