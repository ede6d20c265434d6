"""Signing up, in and out, and changing oneself; strangers learn nothing from the answers."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.auth.world import ADA, HERE, PASSWORD, refused, session_of, world
from turnout.auth.errors import AuthError
from turnout.auth.models import CallContext, Message, Session
from turnout.config import AuthConfig
from turnout.ratelimit import RateLimit, RateLimiter
from turnout.store import StoreUnavailable

NEW = "new password"


async def test_signing_up_mails_a_code_that_begins_the_first_session(place: str) -> None:
    async with world(place) as w:
        answer = await w.auth.sign_up("Ada@Example.com", PASSWORD, data={"name": "Ada"})
        assert answer.session is None and answer.user is not None
        assert (answer.user.email, answer.user.user_metadata) == (ADA, {"name": "Ada"})
        assert answer.user.email_confirmed_at is None
        session = await w.auth.verify("signup", token=w.code(), email=ADA)
        assert isinstance(session, Session)
        user = await w.auth.get_user(session.access_token)
        assert user.email_confirmed_at is not None and user.confirmed_at == user.email_confirmed_at
        assert user.app_metadata == {"provider": "email", "providers": ["email"]}
        assert [(each.provider, each.identity_data["email_verified"]) for each in user.identities] == [("email", True)]


async def test_signing_up_is_signing_in_where_addresses_need_no_confirming(place: str) -> None:
    async with world(place, auto_confirm=True) as w:
        session = session_of(await w.auth.sign_up(ADA, PASSWORD))
        assert (await w.auth.get_user(session.access_token)).email == ADA
        assert w.mails == []
        with refused("user_already_exists", 422):
            await w.auth.sign_up(ADA, "another password")


async def test_what_belongs_to_a_new_user_is_done_in_the_transaction_that_makes_one(place: str) -> None:
    async with world(place) as w:
        seen: list[str | None] = []

        async def keep(user: Any) -> None:
            seen.append(user.email)

        async def fail(user: Any) -> None:
            raise RuntimeError("no room")

        with pytest.raises(RuntimeError):
            await w.auth.sign_up(ADA, PASSWORD, on_new=fail)
        assert (await w.auth.list_users())[0] == []
        await w.auth.sign_up(ADA, PASSWORD, on_new=keep)
        await w.auth.sign_up(ADA, NEW, on_new=keep)
        assert seen == [ADA]


async def test_the_fields_of_user_and_session_are_those_of_gotrue(place: str) -> None:
    async with world(place) as w:
        session = msgspec.to_builtins(await w.user())
        assert {"access_token", "token_type", "expires_in", "expires_at", "refresh_token", "user"} <= set(session)
        assert (session["token_type"], session["expires_in"]) == ("bearer", 3600)
        wanted = {
            "id", "aud", "role", "email", "phone", "email_confirmed_at", "confirmed_at", "last_sign_in_at",
            "app_metadata", "user_metadata", "identities", "created_at", "updated_at", "is_anonymous",
        }  # fmt: skip
        assert wanted <= set(session["user"])
        assert session["user"]["phone"] == ""
        identity = session["user"]["identities"][0]
        assert {"identity_id", "id", "user_id", "identity_data", "provider", "email"} <= set(identity)
        assert not [name for name in session["user"] if "password" in name or "token" in name]


async def test_the_claims_of_a_token_are_those_of_gotrue(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        claims = await w.auth.claims(session.access_token)
        assert set(claims) == {
            "iss", "sub", "aud", "exp", "iat", "email", "phone", "app_metadata", "user_metadata", "role", "aal", "amr",
            "session_id", "is_anonymous",
        }  # fmt: skip
        assert (claims["iss"], claims["aud"]) == ("https://app.example.com/auth/v1", "authenticated")
        assert (claims["sub"], claims["role"], claims["aal"]) == (session.user.id, "authenticated", "aal1")
        assert claims["amr"][0]["method"] == "password"
        assert claims["exp"] == session.expires_at


async def test_a_registered_and_an_unknown_address_get_the_same_answer_for_the_same_work(place: str) -> None:
    async with world(place) as w:
        await w.user()
        work = w.auth.passwords.work
        known = (await w.auth.sign_up(ADA, PASSWORD, data={"a": 1})).user
        middle = w.auth.passwords.work
        unknown = (await w.auth.sign_up("eve@example.com", PASSWORD, data={"a": 1})).user
        assert middle - work == w.auth.passwords.work - middle == 1

        def shape(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: shape(each) for name, each in value.items()}
            if isinstance(value, list):
                return [shape(each) for each in value]
            return type(value).__name__

        assert shape(msgspec.to_builtins(known)) == shape(msgspec.to_builtins(unknown))
        assert [each["to"] for each in w.mails] == ["eve@example.com"]


async def test_unknown_user_and_wrong_password_get_the_same_answer_for_the_same_work(place: str) -> None:
    async with world(place) as w:
        await w.user()
        await w.auth.sign_up("unconfirmed@example.com", PASSWORD)
        await w.auth.otp("no-password@example.com")
        found = []
        for email in (ADA, "eve@example.com", "unconfirmed@example.com", "no-password@example.com"):
            before = w.auth.passwords.work
            with pytest.raises(AuthError) as caught:
                await w.auth.sign_in_with_password(email, "wrong password")
            exc = caught.value
            found.append((exc.status, exc.code, exc.message, exc.headers, w.auth.passwords.work - before))
        assert found == [(400, "invalid_credentials", "Invalid login credentials", (), 1)] * 4


async def test_only_who_knows_the_password_learns_that_an_address_is_unconfirmed_or_banned(place: str) -> None:
    async with world(place) as w:
        await w.auth.sign_up(ADA, PASSWORD)
        with refused("email_not_confirmed", 400):
            await w.auth.sign_in_with_password(ADA, PASSWORD)
        banned = (await w.user("bob@example.com")).user
        await w.auth.admin_update_user(banned.id, ban_duration="24h")
        with refused("user_banned", 400):
            await w.auth.sign_in_with_password("bob@example.com", PASSWORD)
        with refused("invalid_credentials", 400):
            await w.auth.sign_in_with_password("bob@example.com", "wrong password")


@pytest.mark.parametrize("email", [
    "", "x", "@", "a@", "@b.com", "a b@c.com", "a@b@c.com", "a@b..com", "a@-b.com", "a\n@b.com", "a@b.com\n\nx",
    "<a@b.com>", "ä@b.com", "a@bücher.de", "a@b.com\0", "a" * 65 + "@b.com", "a@" + "b" * 250 + ".com",
    None, 7, ["a@b.com"],
])  # fmt: skip
async def test_what_is_no_address_is_refused_before_anything_else(email: Any) -> None:
    async with world(":memory:") as w:
        for call in (
            w.auth.sign_up(email, PASSWORD), w.auth.sign_in_with_password(email, PASSWORD), w.auth.recover(email),
            w.auth.otp(email), w.auth.resend("signup", email), w.auth.invite(email),
        ):  # fmt: skip
            with refused("validation_failed", 400):
                await call
        assert w.auth.passwords.work == 0 and w.mails == []


async def test_a_password_that_is_short_long_or_none_is_refused(place: str) -> None:
    async with world(place) as w:
        with pytest.raises(AuthError) as caught:
            await w.auth.sign_up(ADA, "1234567")
        assert (caught.value.status, caught.value.code, caught.value.reasons) == (422, "weak_password", ("length",))
        for password in ("x" * 73, "", None, 12345678):
            with refused("validation_failed", 400):
                await w.auth.sign_up(ADA, password)  # type: ignore[arg-type]
        with refused("validation_failed", 400):
            await w.auth.sign_in_with_password(ADA, "x" * 73)
        assert w.auth.passwords.work == 0


async def test_sign_ups_can_be_off(place: str) -> None:
    async with world(place, sign_ups=False, anonymous=True) as w:
        with refused("signup_disabled", 422):
            await w.auth.sign_up(ADA, PASSWORD)
        with refused("signup_disabled", 422):
            await w.auth.sign_in_anonymously()
        await w.auth.otp(ADA)
        assert w.mails == [] and await w.rows("select 1 as n from auth.users") == []


async def test_whoever_signs_up_last_for_an_unconfirmed_address_sets_the_password(place: str) -> None:
    async with world(place) as w:
        await w.auth.sign_up(ADA, "password of eve")
        first = w.code()
        await w.auth.sign_up(ADA, PASSWORD)
        with refused("otp_expired", 403):
            await w.auth.verify("signup", token=first, email=ADA)
        await w.auth.verify("signup", token=w.code(), email=ADA)
        await w.auth.sign_in_with_password(ADA, PASSWORD)
        with refused("invalid_credentials"):
            await w.auth.sign_in_with_password(ADA, "password of eve")


@pytest.mark.parametrize("how", ["otp", "recover"])
async def test_a_password_that_was_never_confirmed_goes_when_the_owner_comes_in_by_mail(place: str, how: str) -> None:
    async with world(place) as w:
        await w.auth.sign_up(ADA, "password of eve")
        await getattr(w.auth, how)(ADA)
        await w.auth.verify("magiclink" if how == "otp" else "recovery", token=w.code(), email=ADA)
        with refused("invalid_credentials"):
            await w.auth.sign_in_with_password(ADA, "password of eve")


async def test_two_sign_ups_at_once_make_one_user(place: str) -> None:
    async with world(place) as w:
        await asyncio.gather(*(w.auth.sign_up(ADA, PASSWORD) for _ in range(5)))
        assert len(await w.rows("select id from auth.users")) == 1


# --- anonymous users ---


async def test_anonymous_users_are_off_and_can_be_switched_on(place: str) -> None:
    async with world(place) as w:
        with refused("anonymous_provider_disabled", 422):
            await w.auth.sign_in_anonymously()
    async with world(place, anonymous=True) as w:
        session = session_of(await w.auth.sign_in_anonymously({"theme": "dark"}))
        user = await w.auth.get_user(session.access_token)
        assert (user.is_anonymous, user.email, user.identities, user.role) == (True, "", [], "authenticated")
        assert (await w.auth.claims(session.access_token))["is_anonymous"] is True


async def test_an_anonymous_user_stays_the_same_one_with_an_address_and_a_password(place: str) -> None:
    async with world(place, anonymous=True) as w:
        session = session_of(await w.auth.sign_in_anonymously())
        with refused("validation_failed", 422):
            await w.auth.update_user(session.access_token, password=NEW)
        user = await w.auth.update_user(session.access_token, email=ADA)
        assert (user.email, user.new_email) == ("", ADA)
        confirmed = await w.auth.verify("email_change", token=w.code(), email=ADA)
        assert isinstance(confirmed, Session)
        assert (confirmed.user.id, confirmed.user.email, confirmed.user.is_anonymous) == (session.user.id, ADA, False)
        await w.auth.update_user(confirmed.access_token, password=NEW)
        assert (await w.auth.sign_in_with_password(ADA, NEW)).user.id == session.user.id


# --- checking and ending sessions ---


async def test_get_user_tells_what_the_database_says_now(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        await w.auth.admin_update_user(session.user.id, app_metadata={"plan": "pro"}, role="editor")
        user = await w.auth.get_user(session.access_token)
        assert (user.app_metadata["plan"], user.role) == ("pro", "editor")
        assert (await w.auth.claims(session.access_token))["role"] == "authenticated"
        assert (await w.auth.claims((await w.auth.refresh(session.refresh_token)).access_token))["role"] == "editor"


async def test_an_access_token_ends_with_its_time_its_session_its_user_and_a_ban(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        assert await w.auth.get_user(session.access_token)
        w.later(3600)
        with refused("bad_jwt", 403):
            await w.auth.get_user(session.access_token)
        session = await w.auth.sign_in_with_password(ADA, PASSWORD)
        await w.auth.sign_out(session.access_token, "local")
        with refused("session_not_found", 403):
            await w.auth.get_user(session.access_token)
        session = await w.auth.sign_in_with_password(ADA, PASSWORD)
        await w.auth.admin_update_user(session.user.id, ban_duration="1h")
        with refused("session_not_found", 403):
            await w.auth.get_user(session.access_token)
        await w.auth.admin_delete_user(session.user.id)
        with refused("user_not_found", 403):
            await w.auth.get_user(session.access_token)


async def test_a_key_of_the_api_is_no_user(place: str) -> None:
    async with world(place) as w:
        for role in ("anon", "service_role"):
            with refused("bad_jwt", 403):
                await w.auth.get_user(w.auth.keys.api_key(role))


async def test_only_the_key_of_service_role_is_an_administrator(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        for token in (session.access_token, w.auth.keys.api_key("anon")):
            with refused("not_admin", 403):
                await w.auth.require_admin(token)
        assert (await w.auth.require_admin(w.auth.keys.api_key("service_role")))["role"] == "service_role"


@pytest.mark.parametrize(("scope", "alive"), [("local", [1, 2]), ("others", [0]), ("global", [])])
async def test_signing_out_ends_this_session_the_others_or_all(place: str, scope: Any, alive: list[int]) -> None:
    async with world(place) as w:
        sessions = [await w.user()] + [await w.auth.sign_in_with_password(ADA, PASSWORD) for _ in range(2)]
        stranger = await w.user("bob@example.com")
        await w.auth.sign_out(sessions[0].access_token, scope)
        found = []
        for number, session in enumerate(sessions):
            try:
                await w.auth.get_user(session.access_token)
                found.append(number)
            except AuthError as exc:
                assert (exc.code, exc.status) == ("session_not_found", 403)
        assert found == alive
        assert await w.auth.get_user(stranger.access_token)


async def test_a_token_replayed_after_signing_out_signs_nobody_out(place: str) -> None:
    async with world(place) as w:
        old = await w.user()
        await w.auth.sign_out(old.access_token, "local")
        new = await w.auth.sign_in_with_password(ADA, PASSWORD)
        with refused("session_not_found"):
            await w.auth.sign_out(old.access_token, "global")
        with refused("session_not_found"):
            await w.auth.update_user(old.access_token, password=NEW)
        assert await w.auth.get_user(new.access_token)
        with refused("validation_failed", 400):
            await w.auth.sign_out(new.access_token, "everywhere")  # type: ignore[arg-type]


# --- changing oneself ---


async def test_a_new_password_ends_every_other_session_and_every_code(place: str) -> None:
    async with world(place) as w:
        mine, other = await w.user(), await w.auth.sign_in_with_password(ADA, PASSWORD)
        await w.auth.recover(ADA)
        code = w.code()
        await w.auth.update_user(mine.access_token, password=NEW)
        assert await w.auth.get_user(mine.access_token)
        with refused("session_not_found"):
            await w.auth.get_user(other.access_token)
        with refused("otp_expired"):
            await w.auth.verify("recovery", token=code, email=ADA)
        with refused("invalid_credentials"):
            await w.auth.sign_in_with_password(ADA, PASSWORD)
        await w.auth.sign_in_with_password(ADA, NEW)


async def test_a_new_password_has_to_be_new_and_the_current_one_right_if_given(place: str) -> None:
    async with world(place) as w:
        mine = await w.user()
        with refused("same_password", 422):
            await w.auth.update_user(mine.access_token, password=PASSWORD)
        with refused("weak_password", 422):
            await w.auth.update_user(mine.access_token, password="short")
        with refused("invalid_credentials", 400):
            await w.auth.update_user(mine.access_token, password=NEW, current_password="wrong password")
        await w.auth.update_user(mine.access_token, password=NEW, current_password=PASSWORD)


async def test_an_old_session_needs_a_code_to_change_the_password_where_that_is_asked_for(place: str) -> None:
    async with world(place, secure_password_change=True) as w:
        mine = await w.user()
        await w.auth.update_user(mine.access_token, password=NEW)
        for _ in range(25):
            w.later(3599)
            mine = await w.auth.refresh(mine.refresh_token)
        with refused("reauthentication_needed", 401):
            await w.auth.update_user(mine.access_token, password=PASSWORD)
        await w.auth.reauthenticate(mine.access_token)
        with refused("reauthentication_not_valid", 422):
            await w.auth.update_user(mine.access_token, password=PASSWORD, nonce=wrong(w.code()))
        await w.auth.update_user(mine.access_token, password=PASSWORD, nonce=w.code())
        with refused("reauthentication_not_valid", 422):
            await w.auth.update_user(mine.access_token, password="a third one", nonce=w.code())


async def test_five_wrong_nonces_void_the_right_one(place: str) -> None:
    async with world(place, secure_password_change=True) as w:
        mine = await w.user()
        await w.auth.reauthenticate(mine.access_token)
        for _ in range(5):
            with refused("reauthentication_not_valid"):
                await w.auth.update_user(mine.access_token, password=NEW, nonce=wrong(w.code()))
        with refused("reauthentication_not_valid"):
            await w.auth.update_user(mine.access_token, password=NEW, nonce=w.code())


async def test_metadata_is_merged_and_none_removes(place: str) -> None:
    async with world(place) as w:
        mine = await w.user()
        await w.auth.update_user(mine.access_token, data={"a": 1, "b": {"c": [1]}})
        user = await w.auth.update_user(mine.access_token, data={"a": None, "d": "é"})
        assert user.user_metadata == {"b": {"c": [1]}, "d": "é"}
        assert user.app_metadata == {"provider": "email", "providers": ["email"]}
        assert (await w.auth.get_user(mine.access_token)).user_metadata == user.user_metadata


@pytest.mark.parametrize(
    "data", [[1], "x", 7, {"a": "x" * 9000}, {"a": "\ud800"}, {"a": "\0"}, {"a": {1, 2}, 3: object()}]
)
async def test_metadata_that_is_no_small_json_object_is_refused(data: Any) -> None:
    async with world(":memory:") as w:
        mine = await w.user()
        with refused("validation_failed", 400):
            await w.auth.update_user(mine.access_token, data=data)


async def test_the_greatest_metadata_still_fits_into_a_token(place: str) -> None:
    async with world(place) as w:
        mine = await w.user()
        most = {"a": "\N{SNOWMAN}" * 680}  # six ASCII characters each
        await w.auth.update_user(mine.access_token, data=most)
        await w.auth.admin_update_user(mine.user.id, app_metadata={"b": "\N{SNOWMAN}" * 670})
        with refused("validation_failed"):
            await w.auth.update_user(mine.access_token, data={"c": "xxxx" * 5})
        with refused("validation_failed"):
            await w.auth.admin_update_user(mine.user.id, app_metadata={"c": "x" * 40})
        fresh = await w.auth.refresh(mine.refresh_token)
        assert (await w.auth.get_user(fresh.access_token)).user_metadata == most
        assert len(fresh.access_token) < 16_384


async def test_an_address_changes_when_both_the_old_and_the_new_one_agree(place: str) -> None:
    async with world(place) as w:
        mine, new = await w.user(), "ada@new.example"
        await w.auth.recover(ADA)
        recovery = w.code()
        user = await w.auth.update_user(mine.access_token, email=new)
        assert (user.email, user.new_email) == (ADA, new)
        first = await w.auth.verify("email_change", token=w.code(new), email=new)
        assert isinstance(first, Message)
        assert (await w.auth.get_user(mine.access_token)).email == ADA
        second = await w.auth.verify("email_change", token=w.code(ADA), email=ADA)
        assert isinstance(second, Session)
        assert (second.user.email, second.user.new_email) == (new, None)
        assert [each.email for each in second.user.identities] == [new]
        assert (await w.auth.sign_in_with_password(new, PASSWORD)).user.id == mine.user.id
        with refused("otp_expired"):
            await w.auth.verify("recovery", token=recovery, email=ADA)


async def test_one_mailbox_does_not_stand_for_both(place: str) -> None:
    async with world(place) as w:
        mine, new = await w.user(), "eve@example.com"
        await w.auth.update_user(mine.access_token, email=new)
        await w.auth.verify("email_change", token=w.code(new), email=new)
        with refused("otp_expired"):
            await w.auth.verify("email_change", token=w.code(new), email=new)
        await w.auth.resend("email_change", ADA)
        await w.auth.verify("email_change", token=w.code(new), email=new)
        await w.auth.update_user(mine.access_token, email=new)
        await w.auth.verify("email_change", token=w.code(new), email=new)
        assert (await w.auth.get_user(mine.access_token)).email == ADA


async def test_the_new_address_alone_is_enough_where_that_is_set(place: str) -> None:
    async with world(place, secure_email_change=False) as w:
        mine = await w.user()
        await w.auth.update_user(mine.access_token, email="ada@new.example")
        found = await w.auth.verify("email_change", token=w.code("ada@new.example"), email="ada@new.example")
        assert isinstance(found, Session) and found.user.email == "ada@new.example"


async def test_an_address_that_is_taken_is_refused_also_if_it_was_taken_meanwhile(place: str) -> None:
    async with world(place, secure_email_change=False) as w:
        mine = await w.user()
        await w.user("bob@example.com")
        with refused("email_exists", 422):
            await w.auth.update_user(mine.access_token, email="Bob@example.com")
        await w.auth.update_user(mine.access_token, email="free@example.com")
        code = w.code("free@example.com")
        await w.user("free@example.com")
        with refused("email_exists", 422):
            await w.auth.verify("email_change", token=code, email="free@example.com")
        assert (await w.auth.get_user(mine.access_token)).email == ADA


# --- limits ---


class Counted:
    """``rate_limit`` of a store in memory, and the keys it was asked for."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._limiter = RateLimiter()

    async def __call__(self, key: str, limit: int, window: str, **options: Any) -> RateLimit:
        self.keys.append(f"{key} {limit}/{window} {options['on_error']}")
        return await self._limiter(f"{id(self)}:{key}", limit, window, **options)


async def over(count: int, code: str, call: Any) -> None:
    """*count* calls are within the limit, the next is not."""
    for number in range(count + 1):
        try:
            await call(number)
        except AuthError as exc:
            if exc.status == 429:
                assert (number, exc.code) == (count, code)
                assert dict(exc.headers)["retry-after"].isdigit()
                return
    pytest.fail("there was no limit")


async def test_sign_ins_are_limited_by_address_of_the_client_and_by_account() -> None:
    async with world(":memory:", counter=Counted()) as w:
        await over(
            30, "over_request_rate_limit", lambda n: w.auth.sign_in_with_password(f"u{n}@example.com", PASSWORD, HERE)
        )
        w.auth.limits._counter = Counted()
        await over(
            10, "over_request_rate_limit",
            lambda n: w.auth.sign_in_with_password(ADA, PASSWORD, CallContext(f"203.0.113.{n}")),
        )  # fmt: skip


async def test_clients_whose_address_is_not_known_are_limited_as_one() -> None:
    async with world(":memory:", counter=Counted()) as w:
        nowhere = CallContext(None, "test/1.0")
        await over(150, "over_request_rate_limit", lambda n: w.auth.refresh("unknown", nowhere))


async def test_each_kind_of_call_has_its_limit() -> None:
    async with world(":memory:", counter=Counted(), anonymous=True, mails_per_hour=10_000) as w:
        word = "over_request_rate_limit"
        await over(150, word, lambda n: w.auth.refresh("unknown", HERE))
        await over(30, word, lambda n: w.auth.verify("signup", token="123456", email=f"u{n}@example.com", context=HERE))
        await over(30, word, lambda n: w.auth.otp(f"u{n}@example.com", create_user=False, context=HERE))
        await over(30, word, lambda n: w.auth.sign_in_anonymously(context=HERE))


async def test_mail_is_limited_to_one_address_and_in_all_for_known_and_unknown_alike() -> None:
    for email in (ADA, "eve@example.com"):
        async with world(":memory:", counter=Counted()) as w:
            await w.user()
            await over(1, "over_email_send_rate_limit", lambda n, w=w, email=email: w.auth.recover(email))
            w.auth.limits._counter = Counted()
            await over(30, "over_email_send_rate_limit", lambda n, w=w: w.auth.recover(f"u{n}@example.com"))


async def test_keys_of_limits_hold_no_address_of_a_person_and_all_deny_when_the_store_is_away() -> None:
    counter = Counted()
    async with world(":memory:", counter=counter, anonymous=True) as w:
        session = await w.user()
        await w.auth.sign_up("eve@example.com", PASSWORD, context=HERE)
        await w.auth.recover(ADA, context=HERE)
        await w.auth.refresh(session.refresh_token, CallContext("2001:db8:1:2:3:4:5:6"))
        await w.auth.sign_in_anonymously(context=HERE)
        assert not [key for key in counter.keys if "@" in key or not key.endswith(" deny")]
        assert "auth:refresh:2001:db8:1:2::/64 150/5 min deny" in counter.keys


async def test_nobody_is_let_in_while_the_store_of_limits_is_away() -> None:
    async def away(*args: Any, **options: Any) -> RateLimit:
        assert options["on_error"] == "deny"
        raise StoreUnavailable()

    async with world(":memory:") as w:
        await w.user()
        w.auth.limits._counter = away
        for call in (
            w.auth.sign_in_with_password(ADA, PASSWORD),
            w.auth.recover(ADA),
            w.auth.sign_up("e@example.com", PASSWORD),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        assert w.mails == []


# --- administrators ---


async def test_the_list_of_users_has_pages_and_a_total(place: str) -> None:
    async with world(place) as w:
        for number in range(5):
            await w.auth.admin_create_user(email=f"u{number}@example.com")
            w.later(1)
        users, total = await w.auth.list_users(2, 2)
        assert ([each.email for each in users], total) == (["u2@example.com", "u1@example.com"], 5)
        assert all(each.identities for each in users)
        assert await w.auth.list_users(9, 2) == ([], 5)
        for page, per_page in ((0, 1), (1, 0), (1, 1001), (-1, 1)):
            with refused("validation_failed", 400):
                await w.auth.list_users(page, per_page)


async def test_an_administrator_makes_reads_changes_and_deletes_users(place: str) -> None:
    async with world(place) as w:
        made = await w.auth.admin_create_user(
            email=ADA, password=PASSWORD, email_confirm=True, user_metadata={"a": 1}, app_metadata={"roles": ["x"]},
            role="editor",
        )  # fmt: skip
        assert await w.auth.admin_get_user(made.id) == made
        assert (made.user_metadata, made.app_metadata["roles"], made.role) == ({"a": 1}, ["x"], "editor")
        with refused("email_exists", 422):
            await w.auth.admin_create_user(email=ADA)
        session = await w.auth.sign_in_with_password(ADA, PASSWORD)
        changed = await w.auth.admin_update_user(
            made.id, email="new@example.com", password=NEW, app_metadata={"roles": None}
        )
        assert (changed.email, "roles" in changed.app_metadata) == ("new@example.com", False)
        with refused("session_not_found"):
            await w.auth.get_user(session.access_token)
        assert await w.auth.sign_in_with_password("new@example.com", NEW)
        await w.auth.admin_delete_user(made.id)
        for call in (
            w.auth.admin_get_user(made.id),
            w.auth.admin_update_user(made.id),
            w.auth.admin_delete_user(made.id),
        ):
            with refused("user_not_found", 404):
                await call
        with refused("validation_failed", 404):
            await w.auth.admin_get_user("me")


async def test_a_soft_deleted_user_keeps_an_id_and_nothing_else(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        await w.auth.admin_delete_user(session.user.id, soft=True)
        with refused("user_not_found", 403):
            await w.auth.get_user(session.access_token)
        with refused("invalid_credentials"):
            await w.auth.sign_in_with_password(ADA, PASSWORD)
        assert ADA not in str(await w.rows("select * from auth.users"))
        assert (await w.auth.list_users())[1] == 0
        await w.user()


@pytest.mark.parametrize("role", ["service_role", "", "a b", "x" * 64, "a;drop", "ä"])
async def test_no_user_gets_a_role_that_no_policy_restricts(role: str) -> None:
    async with world(":memory:") as w:
        with refused("validation_failed", 400):
            await w.auth.admin_create_user(email=ADA, role=role)


async def test_a_ban_ends_sessions_lasts_its_time_and_can_be_lifted(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        user = await w.auth.admin_update_user(session.user.id, ban_duration="1h30m")
        assert user.banned_until is not None
        with refused("session_not_found"):
            await w.auth.get_user(session.access_token)
        w.later(5399)
        with refused("user_banned"):
            await w.auth.sign_in_with_password(ADA, PASSWORD)
        w.later(2)
        assert await w.auth.sign_in_with_password(ADA, PASSWORD)
        await w.auth.admin_update_user(session.user.id, ban_duration="876000h")
        await w.auth.admin_update_user(session.user.id, ban_duration="none")
        assert await w.auth.sign_in_with_password(ADA, PASSWORD)


@pytest.mark.parametrize("text", ["", "1", "h", "1d", "-1h", "1h ", "1 h", "0s", "1h1", "9" * 50 + "h", "1e5h"])
async def test_what_is_no_duration_is_no_ban(text: str) -> None:
    async with world(":memory:") as w:
        user = (await w.user()).user
        with refused("validation_failed", 400):
            await w.auth.admin_update_user(user.id, ban_duration=text)


def wrong(code: str) -> str:
    """Another six digits."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_the_limits_of_the_design_are_the_defaults() -> None:
    settings = AuthConfig()
    assert (settings.sign_ins_per_five_min, settings.verifications_per_five_min, settings.codes_per_five_min) == (
        30,
        30,
        30,
    )
    assert (settings.refreshes_per_five_min, settings.anonymous_per_hour, settings.passwords_per_five_min) == (
        150,
        30,
        10,
    )
    assert (settings.mails_per_hour, settings.mail_interval_s, settings.password_min_length) == (30, 60, 8)
    assert (settings.bcrypt_cost, settings.refresh_reuse_s, settings.code_s) == (10, 10, 3600)
