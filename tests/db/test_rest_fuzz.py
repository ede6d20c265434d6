"""Any text in any slot of a request to the wire: an answer or a refusal, never a fault or another statement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from turnout.db.exec import postgres as driver
from turnout.db.rest import Settings, rest
from turnout.http.request import Request

from .test_injection import NASTY, traced

ALLOWED = Settings(aggregates=True, rollback=True, plans=True)
text = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.sampled_from(NASTY))
Parts = tuple[str, str, dict[str, str], Any]


def _header(word: str) -> str:
    """What a door would let through: printable ASCII."""
    return "".join(letter for letter in word if " " <= letter <= "~").strip()


SLOTS: dict[str, Callable[[str], Parts]] = {
    "table": lambda s: ("GET", f"/rest/v1/{quote(s, safe='')}", {}, None),
    "function": lambda s: ("POST", f"/rest/v1/rpc/{quote(s, safe='')}", {}, {s: s}),
    "path": lambda s: ("GET", f"/rest/v1/users/{quote(s, safe='/')}", {}, None),
    "query": lambda s: ("GET", f"/rest/v1/users?{quote(s, safe='=&')}", {}, None),
    "raw query": lambda s: ("GET", f"/rest/v1/users?{quote(s, safe='=&%+')}", {}, None),
    "name": lambda s: ("GET", f"/rest/v1/users?{quote(s)}=eq.1", {}, None),
    "operator": lambda s: ("GET", f"/rest/v1/users?id={quote(s)}.1", {}, None),
    "value": lambda s: ("GET", f"/rest/v1/users?name=eq.{quote(s)}", {}, None),
    "number": lambda s: ("GET", f"/rest/v1/users?id=eq.{quote(s)}", {}, None),
    "list": lambda s: ("GET", f"/rest/v1/users?name=in.({quote(s)})", {}, None),
    "quoted": lambda s: ("GET", f'/rest/v1/users?name=in.("{quote(s)}")', {}, None),
    "any": lambda s: ("GET", f"/rest/v1/users?name=like(any).{{{quote(s)}}}", {}, None),
    "JSON": lambda s: ("GET", f"/rest/v1/users?data=cs.{quote(s)}", {}, None),
    "logic": lambda s: ("GET", f"/rest/v1/users?or=({quote(s)})", {}, None),
    "select": lambda s: ("GET", f"/rest/v1/users?select={quote(s)}", {}, None),
    "embed": lambda s: ("GET", f"/rest/v1/users?select=id,posts({quote(s)})", {}, None),
    "alias": lambda s: ("GET", f"/rest/v1/users?select={quote(s)}:name", {}, None),
    "cast": lambda s: ("GET", f"/rest/v1/users?select=id::{quote(s)}", {}, None),
    "path in JSON": lambda s: ("GET", f"/rest/v1/users?select=x:data->{quote(s)}", {}, None),
    "order": lambda s: ("GET", f"/rest/v1/users?order={quote(s)}", {}, None),
    "limit": lambda s: ("GET", f"/rest/v1/users?limit={quote(s)}", {}, None),
    "offset": lambda s: ("GET", f"/rest/v1/users?offset={quote(s)}", {"prefer": "count=exact"}, None),
    "embedded filter": lambda s: ("GET", f"/rest/v1/users?select=posts(id)&posts.{quote(s)}=eq.1", {}, None),
    "accept": lambda s: ("GET", "/rest/v1/users", {"accept": _header(s)}, None),
    "plan": lambda s: ("GET", "/rest/v1/users", {"accept": f"application/vnd.pgrst.plan;options={_header(s)}"}, None),
    "prefer": lambda s: ("GET", "/rest/v1/users", {"prefer": _header(s)}, None),
    "strict": lambda s: ("PATCH", "/rest/v1/users?id=eq.9", {"prefer": f"handling=strict,{_header(s)}"}, {"name": "x"}),
    "range": lambda s: ("GET", "/rest/v1/users", {"range": _header(s)}, None),
    "profile": lambda s: ("GET", "/rest/v1/users", {"accept-profile": _header(s)}, None),
    "method": lambda s: (_header(s).upper() or "GET", "/rest/v1/users", {}, None),
    "body": lambda s: ("POST", "/rest/v1/users", {"prefer": "tx=rollback"}, s.encode()),
    "CSV": lambda s: ("POST", "/rest/v1/users", {"prefer": "tx=rollback", "content-type": "text/csv"}, s.encode()),
    "form": lambda s: (
        "POST", "/rest/v1/users",
        {"prefer": "tx=rollback", "content-type": "application/x-www-form-urlencoded"}, s.encode(),
    ),
    "type": lambda s: ("POST", "/rest/v1/users", {"content-type": _header(s), "prefer": "tx=rollback"}, {"name": None}),
    "column": lambda s: ("POST", "/rest/v1/users", {"prefer": "tx=rollback"}, {s: "x"}),
    "written": lambda s: ("POST", "/rest/v1/users", {"prefer": "tx=rollback"}, [{"id": 5, "name": s, "data": {s: s}}]),
    "columns": lambda s: (
        "POST", f"/rest/v1/users?columns={quote(s)}", {"prefer": "tx=rollback"}, [{"name": "x"}, {"id": 7}]
    ),
    "conflict": lambda s: (
        "POST", f"/rest/v1/users?on_conflict={quote(s)}", {"prefer": "tx=rollback,resolution=merge-duplicates"},
        {"id": 1, "name": "x"},
    ),
    "patch": lambda s: ("PATCH", f"/rest/v1/users?id=eq.9&{quote(s)}=eq.1", {}, {"name": s}),
    "delete": lambda s: ("DELETE", f"/rest/v1/users?id=eq.9&name=eq.{quote(s)}", {}, None),
    "returned": lambda s: (
        "PATCH", f"/rest/v1/users?id=eq.9&select=id,{quote(s)}", {"prefer": "return=representation"}, {"name": "x"}
    ),
}  # fmt: skip


def _request(parts: Parts) -> Request:
    method, target, headers, body = parts
    content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    return Request(method, target, headers={"content-type": "application/json", **headers}, body=content)


def test_any_text_in_any_slot_is_answered_or_refused_and_adds_no_statement() -> None:
    with traced() as (db, statements), asyncio.Runner() as runner:

        async def ask(slot: str, word: str) -> None:
            statements.clear()
            response = await rest(_request(SLOTS[slot](word)), db, None, settings=ALLOWED)
            assert response.status < 500, response.body
            if response.status >= 300:
                assert set(msgspec.json.decode(response.body)) == {"code", "message", "details", "hint"}
            verbs = [line.split()[0].lower() for line in statements if not line.startswith(("--", "PRAGMA", "pragma"))]
            assert set(verbs) <= {"begin", "commit", "rollback", "select", "insert", "update", "delete"}
            assert sum(verb not in ("begin", "commit", "rollback") for verb in verbs) <= 2
            assert await db.from_("users").select() == [{"id": 1, "name": "Ada", "data": None}]

        @settings(deadline=None, max_examples=400)
        @given(st.sampled_from(sorted(SLOTS)), text)
        def attack(slot: str, word: str) -> None:
            runner.run(ask(slot, word))

        for slot in SLOTS:
            for word in NASTY:
                attack = example(slot, word)(attack)
        attack()


def test_any_text_in_any_slot_adds_no_statement_on_postgresql(pg_blog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    real = driver.use_json_types

    async def spied(connection: Any) -> None:
        await real(connection)
        connection.add_query_logger(lambda record: statements.append(record.query))

    monkeypatch.setattr(driver, "use_json_types", spied)
    users = "create table users (id integer primary key, name text not null, data jsonb)"
    posts = "create table posts (id integer primary key, user_id integer references users(id), title text)"
    with asyncio.Runner() as runner:
        opening = pg_blog(users, posts)
        db = runner.run(opening.__aenter__())

        async def ask(slot: str, word: str) -> None:
            statements.clear()
            response = await rest(_request(SLOTS[slot](word)), db, None, settings=ALLOWED)
            assert response.status < 500, (slot, word, response.body)
            own = [
                line for line in statements
                if "pg_catalog.pg_" not in line and not line.startswith(("begin", "commit", "rollback"))
            ]  # fmt: skip
            assert len(own) <= 2
            verbs = ("select", "insert", "update", "delete", "with", "explain")
            assert all(line.startswith(verbs) for line in own), own

        async def begin() -> None:
            await db.from_("users").insert({"id": 1, "name": "Ada"})

        async def end() -> None:
            assert await db.from_("users").select() == [{"id": 1, "name": "Ada", "data": None}]

        @settings(deadline=None, max_examples=150)
        @given(st.sampled_from(sorted(SLOTS)), text)
        def attack(slot: str, word: str) -> None:
            runner.run(ask(slot, word))

        for slot in SLOTS:
            for word in NASTY[::3]:
                attack = example(slot, word)(attack)
        try:
            runner.run(begin())
            attack()
            runner.run(end())
        finally:
            runner.run(opening.__aexit__(None, None, None))
