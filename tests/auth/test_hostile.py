"""Whatever text comes in, an AuthError goes out: never a crash, never another user's row."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auth.world import ADA, PASSWORD, keys, refused, world
from turnout.auth.errors import AuthError
from turnout.auth.redirects import Redirects
from turnout.auth.tokens import Tokens

HOSTILE = [
    "", " ", "x", "'", '"', "' or '1'='1", "'; drop table auth_users; --", ":id", ":email", "%s", "{}", "\\", "\0",
    "\ud800", "\udfff@example.com", "é" * 100, "x" * 100_000, "-1", "null", "true", "[]", "{", "../../etc/passwd",
    "aaaaaaaa-0000-4000-8000-000000000001", "AAAAAAAA-0000-4000-8000-000000000001", "\r\nset-cookie: a=b",
    "pkce_", "pkce_x", "١٢٣٤٥٦", "0x10", "1e400", "\u202e", "ａｄａ@example.com", "ada@example.com\u0000",
]  # fmt: skip


def calls(w: Any, access: str, text: str) -> list[Any]:
    """Every call with *text* in every place, one at a time."""
    a = w.auth
    return [
        a.sign_up(text, PASSWORD),
        a.sign_up("new@example.com", text),
        a.sign_up("new@example.com", PASSWORD, data={text: text}),
        a.sign_up("new@example.com", PASSWORD, redirect_to=text),
        a.sign_up("new@example.com", PASSWORD, code_challenge=text, code_challenge_method="s256"),
        a.sign_up("new@example.com", PASSWORD, code_challenge="x" * 43, code_challenge_method=text),
        a.sign_in_with_password(text, PASSWORD),
        a.sign_in_with_password(ADA, text),
        a.sign_in_anonymously({text: text}),
        a.refresh(text),
        a.exchange_code(text, "v" * 43),
        a.exchange_code("x", text),
        a.get_user(text),
        a.claims(text),
        a.update_user(text, password="another one"),
        a.update_user(access, email=text),
        a.update_user(access, password=text),
        a.update_user(access, data={text: text}),
        a.update_user(access, password="another one", nonce=text),
        a.update_user(access, password="another one", current_password=text),
        a.sign_out(text),
        a.sign_out(access, text),
        a.recover(text),
        a.recover(ADA, redirect_to=text),
        a.otp(text),
        a.otp(ADA, data={text: text}),
        a.resend(text, ADA),
        a.resend("signup", text),
        a.verify(text, token="123456", email=ADA),
        a.verify("email", token=text, email=ADA),
        a.verify("email", token="123456", email=text),
        a.verify("magiclink", token_hash=text),
        a.verify("email_change", token=text, email=ADA),
        a.verify_link(text, "magiclink"),
        a.verify_link("x", text, text),
        a.reauthenticate(text),
        a.admin_get_user(text),
        a.admin_update_user(text),
        a.admin_delete_user(text),
        a.admin_create_user(email=text),
        a.admin_create_user(email="n@example.com", password=text),
        a.admin_create_user(email="n2@example.com", password_hash=text),
        a.admin_create_user(email="n3@example.com", role=text),
        a.admin_create_user(email="n4@example.com", ban_duration=text),
        a.admin_create_user(email="n5@example.com", id=text),
        a.generate_link(text, ADA),
        a.generate_link("magiclink", text),
        a.invite(text),
        a.require_admin(text),
        a.authorize_url(text),
        a.authorize_url("google", text),
        a.authorize_url("google", None, text),
        a.authorize_url("google", query_params={"prompt": text, text: text}),
        a.authorize_url("google", text, text, text, text),
        a.callback(text, text, text, text),
        a.link_identity_url(text, "google"),
        a.unlink_identity(access, text),
        a.unlink_identity(text, text),
    ]


async def test_every_call_answers_hostile_text_with_an_autherror_or_properly(place: str) -> None:
    async with world(
        place, anonymous=True, secure_password_change=True, google_client_id="x", manual_linking=True
    ) as w:
        victim = await w.user("victim@example.com")
        before = await w.auth.get_user(victim.access_token)
        for text in HOSTILE:
            session = await w.user() if not (await w.auth.list_users(1, 1000))[0] else await fresh(w)
            for call in calls(w, session.access_token, text):
                try:
                    await call
                except AuthError as exc:
                    assert exc.status < 500, (text, exc)
                    assert len(text) < 8 or text not in exc.message
        assert await w.auth.get_user(victim.access_token) == before


async def fresh(w: Any) -> Any:
    """A session of Ada, whatever was done to her."""
    users, _ = await w.auth.list_users(1, 1000)
    for user in users:
        if user.email != "victim@example.com":
            await w.auth.admin_delete_user(user.id)
    return await w.user()


async def test_two_processes_share_one_family(tmp_path: Path) -> None:
    path = str(tmp_path / "app.db")
    async with world(path) as one, world(path) as two:
        first = await one.user()
        sides = (one.auth, two.auth)
        for _ in range(3):
            found = await asyncio.gather(*(sides[n % 2].refresh(first.refresh_token) for n in range(20)))
            assert len({each.refresh_token for each in found}) == 1
            first = found[0]
        await two.auth.sign_out(first.access_token)
        with refused("session_not_found"):
            await one.auth.get_user(first.access_token)


async def test_two_processes_share_one_family_on_postgresql(auth_postgres: str) -> None:
    async with world(auth_postgres) as one, world(auth_postgres) as two:
        first = await one.user()
        sides = (one.auth, two.auth)
        found = await asyncio.gather(*(sides[n % 2].refresh(first.refresh_token) for n in range(20)))
        assert len({each.refresh_token for each in found}) == 1


TOKENS = Tokens(keys(), "https://app.example.com/auth/v1")
GOOD = TOKENS.sign({"sub": "x"})[0]


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=300) | st.from_regex(r"[\w-]{0,80}\.[\w-]{0,80}\.[\w-]{0,90}", fullmatch=True))
def test_no_text_is_a_token(text: str) -> None:
    with refused("bad_jwt"):
        TOKENS.verify(text)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.characters(), st.sampled_from(["replace", "insert", "delete", "swap"]))
def test_no_mutation_of_a_token_is_one(at: int, letter: str, how: str) -> None:
    tail = GOOD[at + 1 :]
    changed = {
        "replace": GOOD[:at] + letter + tail,
        "insert": GOOD[:at] + letter + GOOD[at:],
        "delete": GOOD[:at] + tail,
        "swap": GOOD[:at] + tail[:1] + GOOD[at] + tail[1:],
    }[how]
    if changed != GOOD:
        with refused("bad_jwt"):
            TOKENS.verify(changed)


@settings(deadline=None, max_examples=500)
@given(st.text(max_size=60), st.sampled_from(["", "https://", "https://app.example.com", "//", "/", "https:/"]))
def test_no_text_leads_elsewhere_by_the_rules_of_the_url_standard(text: str, prefix: str) -> None:
    import ada_url

    rules = Redirects("https://app.example.com", ["https://docs.example.com/a/**"])
    url = prefix + text
    target = rules.to(url)
    parsed = ada_url.URL(target, base="https://app.example.com")
    assert parsed.protocol == "https:" and parsed.hostname in ("app.example.com", "docs.example.com")
    assert parsed.username == parsed.password == "" and "\n" not in target


@pytest.mark.parametrize("value", [None, 7, 1.5, True, [], {}, b"x"])
async def test_what_is_no_text_is_refused_too(value: Any) -> None:
    async with world(":memory:") as w:
        await w.user()
        for call in (
            w.auth.sign_up(value, PASSWORD), w.auth.sign_up("n@example.com", value), w.auth.refresh(value),
            w.auth.sign_in_with_password(value, PASSWORD), w.auth.sign_in_with_password(ADA, value),
            w.auth.exchange_code(value, "v" * 43), w.auth.get_user(value), w.auth.recover(value),
        ):  # fmt: skip
            with pytest.raises(AuthError):
                await call
