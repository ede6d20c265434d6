"""Bound arguments: sealed, tied to their action, and refused when anything about them has changed."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import client_of, make_project

from turnout.actions import registry
from turnout.actions.seal import seal
from turnout.auth.keys import make_key
from turnout.errors import ConfigError
from turnout.project import load_project
from turnout.testing import Client

ACTIONS = """
import uuid
from datetime import date
from typing import Annotated, Any

from msgspec import Meta

from turnout import FormData, UploadFile, action


@action
async def edit(post_id: int, title: str, day: date | None = None, data: dict[str, Any] = {}):
    return [post_id, title, day, data]


@action
async def other(post_id: int, form: FormData):
    return [post_id, form.get("post_id")]


@action
async def file(photo: UploadFile, body: dict[str, str]): ...
"""
FILES = {"app/actions.py": ACTIONS}


def actions() -> dict[str, Any]:
    return next(iter(registry.known().actions.values()))


async def test_what_is_bound_is_given_and_what_is_sent_of_that_name_is_not(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        bound = actions()["edit"].bind(post_id=7).bind(day=date(2026, 1, 31), data={"a": [1, None]})

        answer = await client.post(bound.url, form={"title": "x", "post_id": "8", "day": "2000-01-01"})
        assert answer.json()["data"] == [7, "x", "2026-01-31", {"a": [1, None]}]
        answer = await client.post(bound.url, json={"title": "x", "post_id": 8})
        assert answer.json()["data"][0] == 7
        answer = await client.post(actions()["other"].bind(post_id=1).url, form={"post_id": "2"})
        assert answer.json()["data"] == [1, "2"]
        assert (await client.post(actions()["edit"].url, form={"title": "x"})).status == 422
        assert bound.url != bound.url


async def test_only_what_has_a_parameter_of_its_own_can_be_bound(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES):
        for name, arguments in (
            ("edit", {"nobody": 1}),
            ("edit", {"post_id": "seven"}),
            ("edit", {"post_id": object()}),
            ("other", {"form": {}}),
            ("file", {"photo": "x"}),
            ("file", {"body": {}}),
        ):
            with pytest.raises(TypeError):
                actions()[name].bind(**arguments)
        with pytest.raises(ValueError, match="too long"):
            actions()["edit"].bind(data={"a": "x" * 6000}).url  # noqa: B018


def test_nothing_but_what_was_sealed_for_the_action_is_taken(tmp_path: Path) -> None:
    client = client_of(tmp_path, FILES)
    with asyncio.Runner() as runner:
        runner.run(client.__aenter__())
        good = actions()["edit"].bind(post_id=7).url
        path, _, token = good.partition("?bound=")
        letters = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .\x00é")
        at = st.integers(0, len(token) - 1)

        def tried(text: str) -> None:
            answer = runner.run(client.post(f"{path}?bound={quote(text, safe='')}", form={"title": "x"}))
            if text == token:
                assert answer.status == 200
            else:
                assert (answer.status, answer.json()["code"]) == (400, "invalid_bound"), text

        @settings(max_examples=200, deadline=None)
        @given(
            st.one_of(
                st.builds(lambda at, letter: token[:at] + letter + token[at + 1 :], at, letters),
                st.builds(lambda at, letter: token[:at] + letter + token[at:], at, letters),
                st.builds(lambda at: token[:at], at),
                st.builds(lambda at: token[:at] + token[at + 1 :], at),
                st.builds(lambda one, two: token[one:] + token[:two], at, at),
                st.text(max_size=80),
                st.binary(max_size=80).map(lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()),
            )
        )
        def tampered(text: str) -> None:
            tried(text)

        tried(token)
        tampered()
        for place in range(len(token)):  # every letter, each bit of which counts
            for letter in "AB_-9":
                tried(token[:place] + letter + token[place + 1 :])
        stolen = seal(actions()["other"].id, {"post_id": 7})
        assert runner.run(client.post(f"{path}?bound={stolen}", form={"title": "x"})).status == 400
        runner.run(client.__aexit__(None, None, None))


async def test_what_was_sealed_before_the_function_changed_is_refused(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        edit = actions()["edit"]
        for arguments in ({"gone": 1}, {"post_id": "text"}):
            answer = await client.post(f"{edit.url}?bound={seal(edit.id, arguments)}", form={"title": "x"})

            assert (answer.status, answer.json()["code"]) == (400, "invalid_bound")


async def test_a_sealed_address_outlives_a_restart_and_a_rotation_of_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_key(), make_key()
    tokens = []
    for ring in ([old], [old], [new, old], [new]):
        monkeypatch.setenv("TURNOUT_AUTH_KEYS", json.dumps(ring))
        async with client_of(tmp_path, FILES) as client:
            tokens.append(actions()["edit"].bind(post_id=len(tokens)).url)
            statuses = [(await client.post(url, form={"title": "x"})).status for url in tokens]
    assert statuses == [400, 400, 200, 200]


PAGE = {
    "app/route.py": "from turnout import render\nasync def GET():\n    return render('p.html')\n",
    "templates/p.html": "<i>\n{{ actions.edit.bind(post_id=7).url }}",
}


SITE = "https://example.com#error="
LINKS = [
    "/auth/v1/verify?token=x&type=signup&redirect_to=https://evil.example/", "/auth/v1/verify?token=x&type=recovery",
    "/auth/v1/verify", "/auth/v1/authorize?provider=github", "/auth/v1/callback?code=1&state=2", "/auth/v1/callback",
]  # fmt: skip


@pytest.mark.parametrize("origin", ["", 'origin = "https://example.com"'])
async def test_keys_for_bound_arguments_alone_let_nobody_in(
    tmp_path: Path, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_AUTH_KEYS", json.dumps([make_key()]))
    make_project(tmp_path, {**FILES, "pyproject.toml": f'[tool.turnout]\nallowed_hosts = ["localhost"]\n{origin}\n'})

    async with Client(load_project(tmp_path, mode="production").app) as client:
        for link in LINKS:
            answer = await client.get(link)
            if not origin:  # a site without an address sends nobody a link
                assert answer.status == 404
            assert answer.status < 500 and not answer.headers.get_set_cookie()
            assert (answer.headers.get("location") or SITE).startswith(SITE)
        assert (await client.post("/auth/v1/signup", json={"email": "a@b.example", "password": "x" * 12})).status == 404


def test_production_does_not_start_with_bound_arguments_and_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TURNOUT_AUTH_KEYS", raising=False)
    make_project(tmp_path, {**FILES, **PAGE})
    with pytest.raises(ConfigError, match="bound arguments are sealed") as caught:
        load_project(tmp_path, mode="production")
    assert (caught.value.file, caught.value.line) == (tmp_path / "templates/p.html", 2)
    assert "turnout auth keys" in str(caught.value.cure)
    monkeypatch.setenv("TURNOUT_AUTH_KEYS", json.dumps([make_key()]))
    load_project(tmp_path, mode="production")
    monkeypatch.delenv("TURNOUT_AUTH_KEYS")
    make_project(tmp_path, {"templates/p.html": "{{ actions.edit.url }} socket.bind(1)"})
    load_project(tmp_path, mode="production")


async def test_without_the_extra_binding_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    async with client_of(tmp_path, FILES):
        monkeypatch.setitem(sys.modules, "cryptography", None)
        with pytest.raises(ConfigError, match="need cryptography") as caught:
            actions()["edit"].bind(post_id=7).url  # noqa: B018
        assert caught.value.cure == 'pip install "turnout[auth]"'
        assert actions()["edit"].url


async def test_each_form_of_a_list_shows_its_own_errors(tmp_path: Path) -> None:
    files = {
        "app/actions.py": (
            "from typing import Annotated\nfrom msgspec import Meta\nfrom turnout import action\n\n\n@action\n"
            "async def edit(id: int, title: Annotated[str, Meta(min_length=3)]): ...\n"
        ),
        "app/route.py": PAGE["app/route.py"],
        "templates/p.html": (
            "{% for id in (1, 2) %}{% set form = actions.edit.bind(id=id) %}"
            "{{ id }}:{{ form.errors.title }}:{{ form.values.get('title', 'old') }};{% endfor %}"
            "{{ actions.edit.errors|length }}"
        ),
    }
    async with client_of(tmp_path, files) as client:
        assert (await client.get("/")).text == "1::old;2::old;0"
        headers = {"accept": "text/html", "referer": "http://localhost/", "origin": "http://localhost"}
        url = next(iter(registry.known().actions.values()))["edit"].bind(id=2).url
        answer = await client.post(url, form={"title": "x"}, headers=headers)
        assert answer.text == "1::old;2:Enter at least 3 characters.:x;0"
