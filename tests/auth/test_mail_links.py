"""Codes and links that go by mail: used once, for an hour, five tries; and where a link may lead."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.auth.world import ADA, PASSWORD, SITE, World, fields, refused, world
from turnout.auth.codes import s256
from turnout.auth.errors import AuthError
from turnout.auth.mail import WORDS, AuthMail
from turnout.auth.models import Session
from turnout.auth.redirects import Redirects, with_fragment, with_query
from turnout.errors import ConfigError

VERIFIER = "v" * 43
CHALLENGE = s256(VERIFIER)
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "s256"}


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def ask(w: World, type: str, **options: Any) -> None:
    """Have a code of *type* mailed to Ada."""
    if type == "signup":
        await w.auth.sign_up(ADA, PASSWORD, **options)
    elif type == "invite":
        await w.auth.invite(ADA)
    elif type == "recovery":
        await w.auth.admin_create_user(email=ADA, email_confirm=True)
        await w.auth.recover(ADA, **options)
    else:
        await w.auth.otp(ADA, **options)


TYPES = ["signup", "invite", "recovery", "magiclink", "email"]


@pytest.mark.parametrize("type", TYPES)
async def test_the_digits_sign_in_once(place: str, type: str) -> None:
    async with world(place) as w:
        await ask(w, type)
        assert len(w.code()) == 6
        session = await w.auth.verify(type, token=w.code(), email=ADA)
        assert isinstance(session, Session)
        assert session.user.email_confirmed_at is not None
        assert (await w.auth.claims(session.access_token))["amr"][0]["method"] == "otp"
        with refused("otp_expired", 403):
            await w.auth.verify(type, token=w.code(), email=ADA)


@pytest.mark.parametrize("type", TYPES)
async def test_the_token_of_the_link_signs_in_once_and_uses_up_the_digits(place: str, type: str) -> None:
    async with world(place) as w:
        await ask(w, type)
        link = w.link()
        assert isinstance(await w.auth.verify(link["type"], token_hash=link["token"]), Session)
        with refused("otp_expired"):
            await w.auth.verify(link["type"], token_hash=link["token"])
        with refused("otp_expired"):
            await w.auth.verify(type, token=w.code(), email=ADA)


async def test_of_many_who_use_a_code_at_once_one_gets_in(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink")
        calls = [w.auth.verify("email", token=w.code(), email=ADA) for _ in range(5)]
        calls += [w.auth.verify("magiclink", token_hash=w.link()["token"]) for _ in range(5)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert len([each for each in found if isinstance(each, Session)]) == 1
        assert {each.code for each in found if isinstance(each, AuthError)} == {"otp_expired"}


async def test_five_wrong_tries_void_a_code_and_the_link_with_it(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink")
        for _ in range(4):
            with refused("otp_expired", 403):
                await w.auth.verify("email", token=wrong(w.code()), email=ADA)
        assert await w.rows("select attempts from auth.one_time_tokens") == [{"attempts": 4}]
        with refused("otp_expired", 403):
            await w.auth.verify("email", token=wrong(w.code()), email=ADA)
        with refused("otp_expired", 403):
            await w.auth.verify("email", token=w.code(), email=ADA)
        with refused("otp_expired", 403):
            await w.auth.verify("magiclink", token_hash=w.link()["token"])


async def test_four_wrong_tries_leave_the_fifth(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink")
        for token in (wrong(w.code()), "", "12345", "1234567", "abcdef", "\ud800", "0" * 5000)[:1] * 4:
            with refused("otp_expired"):
                await w.auth.verify("email", token=token, email=ADA)
        assert isinstance(await w.auth.verify("email", token=w.code(), email=ADA), Session)


@pytest.mark.parametrize("by", ["digits", "link"])
async def test_a_code_is_good_for_an_hour(place: str, by: str) -> None:
    for seconds, good in ((3599, True), (3601, False)):
        async with world(place) as w:
            await ask(w, "magiclink")
            w.later(seconds)
            given = {"token": w.code(), "email": ADA} if by == "digits" else {"token_hash": w.link()["token"]}
            if good:
                assert isinstance(await w.auth.verify("magiclink", **given), Session)
            else:
                with refused("otp_expired", 403):
                    await w.auth.verify("magiclink", **given)


async def test_a_new_code_voids_the_one_before(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink")
        first, link = w.code(), w.link()["token"]
        await w.auth.otp(ADA)
        if w.code() != first:
            with refused("otp_expired"):
                await w.auth.verify("email", token=first, email=ADA)
        with refused("otp_expired"):
            await w.auth.verify("magiclink", token_hash=link)
        assert isinstance(await w.auth.verify("email", token=w.code(), email=ADA), Session)


async def test_a_code_is_good_for_its_purpose_and_its_user_alone(place: str) -> None:
    async with world(place) as w:
        await w.user("bob@example.com")
        await ask(w, "recovery")
        link = w.link()["token"]
        for type in ("signup", "invite", "email_change"):
            with refused("otp_expired"):
                await w.auth.verify(type, token_hash=link)
            with refused("otp_expired"):
                await w.auth.verify(type, token=w.code(), email=ADA)
        with refused("otp_expired"):
            await w.auth.verify("recovery", token=w.code(), email="bob@example.com")
        assert isinstance(await w.auth.verify("recovery", token_hash=link), Session)


async def test_wrong_codes_of_known_and_unknown_addresses_get_the_same_answer(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink")
        found = set()
        for email, token in ((ADA, wrong(w.code())), ("eve@example.com", w.code()), ("eve@example.com", "000000")):
            with pytest.raises(AuthError) as caught:
                await w.auth.verify("email", token=token, email=email)
            found.add((caught.value.status, caught.value.code, caught.value.message))
        assert found == {(403, "otp_expired", "Token has expired or is invalid")}


@pytest.mark.parametrize(
    "given",
    [
        {"type": "sms", "token": "123456", "email": ADA},
        {"type": "", "token_hash": "x"},
        {"type": "email"},
        {"type": "email", "token": "123456"},
        {"type": "email", "email": ADA},
        {"type": "email", "token_hash": "x", "email": ADA},
        {"type": "email", "token_hash": "x", "token": "123456"},
    ],
)
async def test_half_a_question_is_refused(given: dict[str, Any]) -> None:
    async with world(":memory:") as w:
        with refused("validation_failed", 400):
            await w.auth.verify(**given)


async def test_the_table_holds_neither_digits_nor_links_nor_what_they_could_be_guessed_from(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink")
        code, token = w.code(), w.link()["token"]
        row = (await w.rows("select * from auth.one_time_tokens"))[0]
        assert code not in row["token_hash"] and token not in str(row)
        for text in (f"{ADA}{code}", code):
            for name in ("sha224", "sha256"):
                assert hashlib.new(name, text.encode()).hexdigest() not in (row["token_hash"], token)
        with refused("otp_expired"):
            await w.auth.verify("magiclink", token_hash=row["token_hash"])


@pytest.mark.parametrize("call", ["recover", "otp", "resend"])
async def test_known_and_unknown_addresses_get_the_same_nothing(place: str, call: str) -> None:
    async with world(place) as w:
        await w.user()
        given = {"otp": {"create_user": False}}.get(call, {})
        before = ["signup"] if call == "resend" else []
        for email in (ADA, "eve@example.com"):
            assert await getattr(w.auth, call)(*before, email, **given) is None
        assert [each["to"] for each in w.mails] == ([] if call == "resend" else [ADA])


async def test_a_sign_up_is_sent_again_until_it_is_confirmed(place: str) -> None:
    async with world(place) as w:
        await ask(w, "signup")
        await w.auth.resend("signup", ADA)
        assert [each["subject"] for each in w.mails] == [WORDS["signup"].subject] * 2
        await w.auth.verify("signup", token=w.code(), email=ADA)
        await w.auth.resend("signup", ADA)
        assert len(w.mails) == 2
        with refused("validation_failed"):
            await w.auth.resend("sms", ADA)


async def test_a_banned_user_gets_in_by_no_code(place: str) -> None:
    async with world(place) as w:
        user = (await w.user()).user
        await w.auth.otp(ADA)
        await w.auth.admin_update_user(user.id, ban_duration="1h")
        with refused("user_banned", 403):
            await w.auth.verify("email", token=w.code(), email=ADA)


# --- links that a browser follows ---


@pytest.mark.parametrize("type", ["signup", "invite", "recovery", "magiclink"])
async def test_a_link_leads_back_with_a_session_in_the_fragment(place: str, type: str) -> None:
    async with world(place) as w:
        await ask(w, type)
        link = w.link()
        assert link["type"] == type
        target = await w.auth.verify_link(**link)
        found = fields(target)
        assert target.startswith(f"{SITE}#access_token=")
        assert (found["token_type"], found["type"], found["expires_in"], found["sb"]) == ("bearer", type, "3600", "")
        assert found["expires_at"].isdigit()
        assert (await w.auth.get_user(found["access_token"])).email == ADA
        assert (await w.auth.refresh(found["refresh_token"])).user.email == ADA


async def test_a_link_that_is_used_up_leads_back_with_an_error_and_no_session(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink")
        await w.auth.verify_link(**w.link())
        for link in (w.link(), {"token": "x", "type": "magiclink"}, {"token": "", "type": "signup"}):
            target = await w.auth.verify_link(**link)
            assert urlsplit(target).query == ""
            assert fields(target) == {
                "error": "access_denied", "error_code": "otp_expired",
                "error_description": "Email link is invalid or has expired", "sb": "",
            }  # fmt: skip
        assert fields(await w.auth.verify_link("x", "sms"))["error_code"] == "validation_failed"


@pytest.mark.parametrize("type", ["signup", "recovery", "magiclink"])
async def test_a_link_of_a_pkce_flow_leads_back_with_a_code_for_who_has_the_verifier(place: str, type: str) -> None:
    async with world(place) as w:
        await ask(w, type, **PKCE)
        link = w.link()
        assert link["token"].startswith("pkce_")
        target = await w.auth.verify_link(**link)
        assert "#" not in target and set(fields(target)) == {"code"}
        code = fields(target)["code"]
        assert code not in str(await w.rows("select * from auth.flow_state"))
        session = await w.auth.exchange_code(code, VERIFIER)
        assert session.user.email == ADA
        with refused("flow_state_not_found", 404):
            await w.auth.exchange_code(code, VERIFIER)


async def test_a_pkce_link_without_its_mark_is_worth_nothing(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink", **PKCE)
        bare = w.link()["token"].removeprefix("pkce_")
        assert fields(await w.auth.verify_link(bare, "magiclink"))["error_code"] == "otp_expired"
        with refused("otp_expired"):
            await w.auth.verify("magiclink", token_hash=bare)
        assert isinstance(await w.auth.verify("email", token=w.code(), email=ADA), Session)


@pytest.mark.parametrize("verifier", ["w" * 43, "", "v" * 42, CHALLENGE, "v" * 43 + "=", None])
async def test_a_wrong_verifier_is_refused_and_voids_the_code(place: str, verifier: Any) -> None:
    async with world(place) as w:
        await ask(w, "magiclink", **PKCE)
        code = fields(await w.auth.verify_link(**w.link()))["code"]
        with refused("bad_code_verifier", 400):
            await w.auth.exchange_code(code, verifier)
        with refused("flow_state_not_found", 404):
            await w.auth.exchange_code(code, VERIFIER)


async def test_a_code_of_a_flow_is_good_for_five_minutes(place: str) -> None:
    for seconds, good in ((299, True), (301, False)):
        async with world(place) as w:
            await ask(w, "magiclink", **PKCE)
            code = fields(await w.auth.verify_link(**w.link()))["code"]
            w.later(seconds)
            if good:
                assert await w.auth.exchange_code(code, VERIFIER)
            else:
                with refused("flow_state_expired", 404):
                    await w.auth.exchange_code(code, VERIFIER)


async def test_the_plain_method_works_and_others_are_refused(place: str) -> None:
    async with world(place) as w:
        await ask(w, "magiclink", code_challenge=VERIFIER, code_challenge_method="plain")
        code = fields(await w.auth.verify_link(**w.link()))["code"]
        assert await w.auth.exchange_code(code, VERIFIER)
        for challenge, method in (
            (CHALLENGE, "s512"), (CHALLENGE, ""), ("", "s256"), (None, "s256"), ("short", "s256"), ("x" * 129, "s256"),
            ("x" * 42 + "+", "s256"),
        ):  # fmt: skip
            with refused("validation_failed", 400):
                await w.auth.otp(ADA, code_challenge=challenge, code_challenge_method=method)


async def test_both_links_of_a_changed_address_are_needed(place: str) -> None:
    async with world(place) as w:
        mine, new = await w.user(), "ada@new.example"
        await w.auth.update_user(mine.access_token, email=new)
        first = await w.auth.verify_link(**w.link(new))
        assert "Please proceed to confirm link sent to the other email" in fields(first)["message"]
        assert "access_token" not in first
        second = fields(await w.auth.verify_link(**w.link(ADA)))
        assert (await w.auth.get_user(second["access_token"])).email == new


@pytest.mark.parametrize("type", ["signup", "invite", "magiclink", "recovery"])
async def test_an_administrator_gets_the_link_instead_of_the_mailbox(place: str, type: str) -> None:
    async with world(place) as w:
        if type == "recovery":
            await w.auth.admin_create_user(email=ADA)
        user, link = await w.auth.generate_link(type, ADA, password=PASSWORD)
        assert w.mails == [] and user.email == ADA
        assert (link.verification_type, link.redirect_to) == (type, SITE)
        assert fields(link.action_link)["token"] == link.hashed_token
        assert isinstance(await w.auth.verify(type, token_hash=link.hashed_token), Session)
        with refused("otp_expired"):
            await w.auth.verify(type, token=link.email_otp, email=ADA)


async def test_an_administrator_gets_both_links_of_a_changed_address(place: str) -> None:
    async with world(place) as w:
        mine = await w.user()
        _, current = await w.auth.generate_link("email_change_current", ADA, new_email="ada@new.example")
        _, new = await w.auth.generate_link("email_change_new", ADA, new_email="ada@new.example")
        await w.auth.verify("email_change", token_hash=current.hashed_token)
        await w.auth.verify("email_change", token_hash=new.hashed_token)
        assert (await w.auth.get_user(mine.access_token)).email == "ada@new.example"
        with refused("validation_failed"):
            await w.auth.generate_link("sms", ADA)
        with refused("user_not_found", 404):
            await w.auth.generate_link("recovery", "eve@example.com")
        with refused("email_exists", 422):
            await w.auth.invite("ada@new.example")


# --- what is in the mail ---


@pytest.mark.parametrize("kind", WORDS)
async def test_the_code_stands_beside_the_link_in_text_and_html(kind: str) -> None:
    sent: list[dict[str, Any]] = []

    async def send(**message: Any) -> None:
        sent.append(message)

    mail = AuthMail(f"{SITE}/auth/v1", SITE, send)
    link = None if kind == "reauthentication" else mail.link(kind, "abc", f"{SITE}/?a=1&b=2")
    await mail.send(kind, ADA, "012345", link, email=ADA, new_email='"<b>x</b>"@example.com')
    message = sent[0]
    assert message["to"] == ADA and message["subject"] and "012345" not in message["subject"]
    for part in ("html", "text"):
        assert "012345" in message[part]
    assert "<b>x</b>" not in message["html"]
    assert (link is None) == ("https://" not in message["text"])
    assert link is None or (link in message["text"] and link.replace("&", "&amp;") in message["html"])


async def test_a_projects_own_template_takes_the_place_of_ours(tmp_path: Any) -> None:
    from turnout import templates

    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "auth-magiclink.html").write_text("<p>{{ code }} {{ link }} {{ email }} {{ site_url }}</p>")
    templates.configure(tmp_path)
    try:
        async with world(":memory:") as w:
            await w.auth.otp(ADA)
            assert w.mail()["template"] == "auth-magiclink"
            assert set(w.mail()["data"]) == {"link", "code", "email", "new_email", "site_url"}
    finally:
        templates.configure(tmp_path / "none")


# --- where a link may lead ---

RULES = Redirects(
    f"{SITE}/",
    ["https://other.example.com/welcome", "https://*.example.org".replace("*.", "deep."), "https://docs.example.com/a/**",
     "http://localhost:3000/**", "myapp://callback"],
)  # fmt: skip

ALLOWED = [
    "https://app.example.com",
    "https://app.example.com/",
    "https://app.example.com/any/where?x=1&y=%20#top",
    "https://app.example.com:443/x",
    "HTTPS://APP.example.COM/x",
    "https://other.example.com/welcome",
    "https://other.example.com/welcome?next=1",
    "https://deep.example.org/",
    "https://docs.example.com/a/b/c",
    "http://localhost:3000/x",
    "myapp://callback",
    "myapp://callback?x=1",
]
REFUSED = [
    "https://evil.example",
    "https://evil.example/https://app.example.com",
    "https://app.example.com.evil.example",
    "https://app.example.com@evil.example",
    "https://app.example.com:pw@evil.example",
    "https://evil.example#@app.example.com",
    "https://evil.example?@app.example.com",
    "https://evil.example\\@app.example.com",
    "https://app.example.com\\.evil.example",
    "https:/\\app.example.com",
    "https:\\\\app.example.com",
    "https:app.example.com",
    "https:///app.example.com",
    "https:////evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com:0",
    "https://app.example.com:99999",
    "https://app.example.com:443x",
    "https://sub.app.example.com",
    "https://app.example.com.",
    "https://appXexample.com",
    "https://app。example.com",
    "https://xn--app-.example.com",
    "https://аpp.example.com",
    "https://app.example.com/\n",
    "https://app.example.com/\r\nset-cookie:x=1",
    "https://app.example.com/\0",
    "https://app.example.com/a b",
    " https://app.example.com",
    "https://app.example.com/<script>",
    'https://app.example.com/"x',
    "https://app.example.com/%0d%0a".replace("%0d%0a", "\x85"),
    "https://app.example.com//evil.example",
    "https://docs.example.com/b",
    "https://docs.example.com/ab",
    "https://docs.example.com/a",
    "https://docs.example.com/a/../b",
    "https://docs.example.com/a/%2e%2e/b",
    "https://docs.example.com/a/.%2E/b",
    "https://docs.example.com/a/..%2fb",
    "https://docs.example.com/a/..%5cb",
    "https://other.example.com/welcome/",
    "https://other.example.com/welcome2",
    "https://other.example.com/",
    "https://[::1]/",
    "https://127.0.0.1/",
    "https://2130706433/",
    "//evil.example",
    "//app.example.com",
    "///evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "/%2f/evil.example",
    "javascript:alert(1)",
    "javascript://app.example.com/%0aalert(1)",
    "data:text/html,x",
    "data://app.example.com/",
    "myapp://other",
    "myapp2://callback",
    "blob:https://app.example.com/x",
    "https://app.example.com/" + "x" * 2100,
    "?x=1",
    "#x",
    "x",
    "https",
    "https://",
    "://app.example.com",
]


@pytest.mark.parametrize("url", ALLOWED)
def test_a_link_may_lead_here(url: str) -> None:
    assert RULES.to(url) == url


@pytest.mark.parametrize("url", REFUSED)
def test_a_link_leads_to_the_site_instead_of_there(url: str) -> None:
    assert RULES.to(url) == SITE


def test_what_is_allowed_is_read_in_the_same_way_by_another_parser() -> None:
    import ada_url

    hosts = {"app.example.com", "other.example.com", "deep.example.org", "docs.example.com", "localhost", "callback"}
    for url in (*ALLOWED, *REFUSED):
        if RULES.allows(url):
            assert ada_url.URL(url).hostname in hosts


def test_a_path_alone_is_one_of_the_site_and_nothing_is_the_site() -> None:
    assert RULES.to("/dashboard?x=1") == f"{SITE}/dashboard?x=1"
    assert RULES.to(None) == RULES.to("") == SITE
    assert Redirects("http://localhost:8000").to("/x") == "http://localhost:8000/x"


@pytest.mark.parametrize("url", ["", "example.com", "javascript://x", "https://u:p@example.com", "https://a b.com"])
def test_a_site_or_rule_that_is_no_plain_url_stops_the_start(url: str) -> None:
    with pytest.raises(ConfigError):
        Redirects(url)
    with pytest.raises(ConfigError):
        Redirects(SITE, [url])


@pytest.mark.parametrize("rule", ["https://*.example.com/", "https://example.com/*/x", "*", "https://*"])
def test_a_star_stands_for_what_is_below_a_path_and_nothing_else(rule: str) -> None:
    with pytest.raises(ConfigError):
        Redirects(SITE, [rule])


def test_fields_are_added_to_an_address_without_breaking_out_of_it() -> None:
    assert with_query("https://x.com/?a=1#f", code="a&b=#") == "https://x.com/?a=1&code=a%26b%3D%23#f"
    assert with_query("https://x.com", code="1") == "https://x.com?code=1"
    assert with_query("https://x.com", to="https://y.com/a?b#c") == "https://x.com?to=https://y.com/a%3Fb%23c"
    assert with_fragment("https://x.com/#old", error="a b\n") == "https://x.com/#error=a%20b%0A"


async def test_links_lead_to_the_configured_site_whatever_was_asked_for(place: str) -> None:
    async with world(place) as w:
        await w.auth.otp(ADA, redirect_to="https://evil.example/")
        assert w.link()["redirect_to"] == SITE
        assert f"{SITE}/auth/v1/verify?" in w.mail()["text"] and "evil" not in str(w.mail())
        assert (await w.auth.verify_link(w.link()["token"], "magiclink", "https://evil.example/")).startswith(
            f"{SITE}#"
        )
