"""Authenticator apps: codes as RFC 6238 has them, the picture that a camera reads, and what the table holds."""

from __future__ import annotations

import hashlib
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from auth.world import ADA, PASSWORD, world

from turnout.auth import totp
from turnout.auth.errors import AuthError
from turnout.auth.keys import Keys, make_key
from turnout.auth.qr import MOST_BYTES, to_modules, to_svg
from turnout.errors import ConfigError


@pytest.mark.parametrize(
    ("at_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"),
     (2000000000, "279037"), (20000000000, "353130")],
)  # fmt: skip
def test_codes_are_those_of_the_standard(at_s: int, code: str) -> None:
    """RFC 6238 appendix B, the last six of its eight digits."""
    secret = b"12345678901234567890"
    assert totp.code_at(secret, at_s // totp.STEP_S) == code
    assert totp.matching_step(secret, code, at_s) == at_s // totp.STEP_S


@pytest.mark.parametrize(("late_s", "good"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_clock_may_differ_by_one_step(late_s: int, good: bool) -> None:
    secret, now_s = totp.make_secret(), 1_700_000_000
    code = totp.code_at(secret, (now_s + late_s) // totp.STEP_S)
    assert (totp.matching_step(secret, code, now_s) is not None) is good


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", " 12345", "12345\n", "-12345"])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert totp.matching_step(totp.make_secret(), code, 1_700_000_000) is None


def test_the_uri_names_account_and_issuer() -> None:
    uri = totp.to_uri(b"12345678901234567890", "ada+x@example.com", "My App & Co")
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parts.path == "/My%20App%20%26%20Co%3Aada%2Bx@example.com"
    query = parse_qs(parts.query)
    assert query["secret"] == ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"]
    assert query["issuer"] == ["My App & Co"]


@pytest.mark.parametrize(
    ("length", "size", "digest"),
    [(17, 21, "cc8633893c86fee2"), (78, 33, "a46765c6ebe27523"), (150, 45, "fe72c2acbb2598dc"),
     (230, 53, "98ec79dc3db1f355"), (367, 65, "0406e790b806eac4"), (520, 77, "882a5c3870c1aaca")],
)  # fmt: skip
def test_the_picture_is_one_that_a_camera_has_read(length: int, size: int, digest: str) -> None:
    """Each of these was read back by zxing-cpp, an independent reader, when it was noted here."""
    text = ("otpauth://totp/ada@example.com?x=" + "abcdefghij" * 60)[:length]
    modules = to_modules(text)
    assert (len(modules), len(modules[0])) == (size, size)
    assert hashlib.sha256(bytes(dark for row in modules for dark in row)).hexdigest()[:16] == digest


def test_a_longer_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="too many for a QR code"):
        to_modules("x" * (MOST_BYTES + 1))


def test_the_picture_fits_into_a_data_url() -> None:
    svg = to_svg("otpauth://totp/a")
    assert svg.startswith("<svg ")
    assert not {"#", '"', "%"} & set(svg)


async def factor(auth: Any, token: str, name: str | None = None) -> tuple[str, bytes]:
    import base64

    made = await auth.factors.enroll(token, name=name, issuer=None)
    text = made["totp"]["secret"]
    return made["id"], base64.b32decode(text + "=" * (-len(text) % 8))


def code_now(secret: bytes, ahead: int = 0) -> str:
    return totp.code_at(secret, int(time.time() // totp.STEP_S) + ahead)


async def shown(auth: Any, token: str, factor_id: str, code: str) -> Any:
    challenge = await auth.factors.challenge(token, factor_id, None)
    return await auth.factors.verify(token, factor_id, challenge["id"], code, None)


async def test_the_table_makes_no_codes(place: str) -> None:
    async with world(place) as site:
        session = await site.user()
        _, secret = await factor(site.auth, session.access_token)
        (row,) = await site.rows("select secret from auth.mfa_factors where user_id = :id", id=session.user.id)
        assert secret.hex() not in row["secret"]
        assert totp.to_base32(secret) not in row["secret"]


async def test_a_secret_is_bound_to_its_row(place: str) -> None:
    async with world(place) as site:
        session = await site.user()
        first, secret = await factor(site.auth, session.access_token, "a")
        second, _ = await factor(site.auth, session.access_token, "b")
        await site.rows(
            "update auth.mfa_factors set secret = (select secret from auth.mfa_factors where id = :first)"
            " where id = :second", first=first, second=second,
        )  # fmt: skip
        with pytest.raises(AuthError):
            await shown(site.auth, session.access_token, second, code_now(secret))


async def test_a_factor_outlives_a_change_of_keys(place: str) -> None:
    old, new = make_key(), make_key()
    async with world(place, ring=Keys.of([old])) as site:
        session = await site.user()
        factor_id, secret = await factor(site.auth, session.access_token)
        from turnout.auth.service import AuthService

        turned = AuthService(site.db, site.auth.settings, Keys.of([new, old]), site_url="https://app.example.com")
        try:
            turned.limits = site.auth.limits
            raised = await shown(turned, session.access_token, factor_id, code_now(secret))
            assert (await turned.claims(raised.access_token))["aal"] == "aal2"
        finally:
            await turned.close()


async def test_the_first_proof_ends_what_a_password_alone_has_opened(place: str) -> None:
    async with world(place) as site:
        here = await site.user()
        there = await site.auth.sign_in_with_password(ADA, PASSWORD)
        factor_id, secret = await factor(site.auth, here.access_token)
        raised = await shown(site.auth, here.access_token, factor_id, code_now(secret))
        assert (await site.auth.get_user(raised.access_token)).id == here.user.id
        with pytest.raises(AuthError, match="Session from session_id"):
            await site.auth.get_user(there.access_token)


async def test_the_refresh_token_before_is_gone_and_no_theft(place: str) -> None:
    async with world(place) as site:
        before = await site.user()
        factor_id, secret = await factor(site.auth, before.access_token)
        raised = await shown(site.auth, before.access_token, factor_id, code_now(secret))
        with pytest.raises(AuthError) as caught:
            await site.auth.refresh(before.refresh_token)
        assert caught.value.code == "refresh_token_not_found"
        again = await site.auth.refresh(raised.refresh_token)
        claims = await site.auth.claims(again.access_token)
        assert claims["aal"] == "aal2"
        assert [entry["method"] for entry in claims["amr"]] == ["password", "totp"]


async def test_a_challenge_ends_after_five_minutes(place: str) -> None:
    async with world(place) as site:
        session = await site.user()
        factor_id, secret = await factor(site.auth, session.access_token)
        challenge = await site.auth.factors.challenge(session.access_token, factor_id, None)
        old = "2020-01-01T00:00:00+00:00"
        await site.rows("update auth.mfa_challenges set created_at = :old where id = :id", old=old, id=challenge["id"])
        with pytest.raises(AuthError) as caught:
            await site.auth.factors.verify(session.access_token, factor_id, challenge["id"], code_now(secret), None)
        assert caught.value.code == "mfa_challenge_expired"


async def test_eleven_factors_are_too_many(place: str) -> None:
    async with world(place) as site:
        session = await site.user()
        for number in range(10):
            await factor(site.auth, session.access_token, str(number))
        with pytest.raises(AuthError) as caught:
            await factor(site.auth, session.access_token, "x")
        assert caught.value.code == "too_many_enrolled_mfa_factors"


async def test_an_issuer_that_no_picture_holds_is_refused_and_leaves_no_factor(place: str) -> None:
    async with world(place) as site:
        session = await site.user()
        with pytest.raises(AuthError) as caught:
            await site.auth.factors.enroll(session.access_token, name=None, issuer="x" * 300)
        assert (caught.value.status, caught.value.code) == (400, "validation_failed")
        assert await site.auth.factors.of_user(session.user.id) == []


async def test_in_this_process_too_a_password_alone_changes_no_password(place: str) -> None:
    async with world(place) as site:
        session = await site.user()
        factor_id, secret = await factor(site.auth, session.access_token)
        raised = await shown(site.auth, session.access_token, factor_id, code_now(secret))
        alone = await site.auth.sign_in_with_password(ADA, PASSWORD)
        for change in ({"password": "something new"}, {"email": "grace@example.com"}):
            with pytest.raises(AuthError) as caught:
                await site.auth.update_user(alone.access_token, **change)
            assert caught.value.code == "insufficient_aal"
        assert await site.auth.update_user(alone.access_token, data={"a": 1})
        assert await site.auth.update_user(raised.access_token, password="something new")


async def test_factors_go_with_their_user(place: str) -> None:
    async with world(place) as site:
        session = await site.user()
        await factor(site.auth, session.access_token)
        await site.auth.admin_delete_user(session.user.id)
        assert await site.rows("select id from auth.mfa_factors where user_id = :id", id=session.user.id) == []


async def test_who_uses_no_factors_gets_no_tables() -> None:
    async with world(":memory:") as site:
        session = await site.user()
        await site.auth.update_user(session.access_token, password="something new")
        assert await site.auth.factors.of_user(session.user.id) == []
        tables = await site.rows("select name from sqlite_schema where name like 'auth_mfa%'")
        assert tables == []
