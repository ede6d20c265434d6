"""Users and sessions through the official Python client, against a server that runs, on both engines."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from clients.sites import site
from served import Served

from turnout.auth import totp

supabase = pytest.importorskip("supabase", reason="the Python client is not installed: pip install supabase")
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError  # noqa: E402

PASSWORD = "correct horse"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _served(
    engine: str, request: pytest.FixtureRequest, factory: pytest.TempPathFactory, *, confirms: bool
) -> Iterator[Served]:
    new_database = request.getfixturevalue("new_database") if engine == "postgres" else None
    with site(factory.mktemp("site"), confirms=confirms, database=new_database and new_database()) as running:
        yield running


@pytest.fixture(scope="module")
def open_site(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A site that confirms addresses by itself."""
    yield from _served(engine, request, tmp_path_factory, confirms=True)


@pytest.fixture(scope="module")
def mail_site(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A site that asks people to confirm their addresses."""
    yield from _served(engine, request, tmp_path_factory, confirms=False)


HTTP = httpx.Client()  # for all of them: the client closes none that it makes itself


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    HTTP.close()


def client_of(site: Served, key: str | None = None, flow: str = "implicit") -> Any:
    options = supabase.ClientOptions(auto_refresh_token=False, flow_type=flow, httpx_client=HTTP)
    return supabase.create_client(site.url, key or site.anon, options)


@pytest.fixture
def auth(open_site: Served) -> Any:
    return client_of(open_site).auth


@pytest.fixture
def mail_auth(mail_site: Served) -> Any:
    return client_of(mail_site).auth


@pytest.fixture
def admin(open_site: Served) -> Any:
    return client_of(open_site, open_site.service).auth.admin


@pytest.fixture
def mail_admin(mail_site: Served) -> Any:
    return client_of(mail_site, mail_site.service).auth.admin


def someone() -> str:
    return f"{uuid4().hex[:12]}@example.com"


def signed_up(auth: Any, email: str | None = None, password: str = PASSWORD) -> str:
    email = email or someone()
    auth.sign_up({"email": email, "password": password})
    return email


def refused(call: Callable[[], Any], code: str, status: int | None = None) -> AuthApiError:
    with pytest.raises(AuthApiError) as caught:
        call()
    assert caught.value.code == code
    assert status is None or caught.value.status == status
    return caught.value


# -- signing up


def test_signing_up_gives_a_user_and_a_session(auth: Any) -> None:
    email = someone()
    answer = auth.sign_up({"email": email, "password": PASSWORD})
    assert answer.user.email == email
    assert answer.user.role == answer.user.aud == "authenticated"
    assert answer.user.email_confirmed_at is not None
    assert answer.session.token_type == "bearer"
    assert answer.session.expires_in == 3600
    assert abs(answer.session.expires_at - time.time() - 3600) < 60


def test_signing_up_keeps_what_the_user_says_of_himself(auth: Any) -> None:
    answer = auth.sign_up({"email": someone(), "password": PASSWORD, "options": {"data": {"name": "Ada", "n": 3}}})
    assert answer.user.user_metadata["name"] == "Ada"
    assert answer.user.user_metadata["n"] == 3
    assert answer.user.app_metadata == {"provider": "email", "providers": ["email"]}


def test_a_known_address_cannot_sign_up_again(auth: Any) -> None:
    email = signed_up(auth)
    refused(lambda: auth.sign_up({"email": email, "password": PASSWORD}), "user_already_exists", 422)


def test_a_short_password_is_weak_and_says_why(auth: Any) -> None:
    with pytest.raises(AuthWeakPasswordError) as caught:
        auth.sign_up({"email": someone(), "password": "12345"})
    assert caught.value.reasons == ["length"]


def test_a_password_over_72_bytes_is_refused_and_not_cut(auth: Any) -> None:
    refused(lambda: auth.sign_up({"email": someone(), "password": "x" * 73}), "validation_failed", 400)


def test_a_malformed_address_is_refused(auth: Any) -> None:
    error = refused(lambda: auth.sign_up({"email": "nobody", "password": PASSWORD}), "validation_failed", 400)
    assert error.message == "Unable to validate email address: invalid format"


def test_an_address_is_kept_in_lower_case(auth: Any) -> None:
    email = someone()
    assert auth.sign_up({"email": email.upper(), "password": PASSWORD}).user.email == email
    assert auth.sign_in_with_password({"email": email.title(), "password": PASSWORD}).user.email == email


def test_a_phone_cannot_sign_up(auth: Any) -> None:
    refused(lambda: auth.sign_up({"phone": "15551234567", "password": PASSWORD}), "phone_provider_disabled", 400)


def test_an_anonymous_user_has_a_session(auth: Any) -> None:
    answer = auth.sign_in_anonymously()
    assert answer.user.is_anonymous is True
    assert answer.session is not None
    assert auth.get_user().user.id == answer.user.id


def test_an_anonymous_user_keeps_data(auth: Any) -> None:
    answer = auth.sign_in_anonymously({"options": {"data": {"cart": 1}}})
    assert answer.user.user_metadata["cart"] == 1


# -- signing in and on


def test_the_right_password_signs_in(auth: Any) -> None:
    email = signed_up(auth)
    answer = auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert answer.user.email == email
    assert answer.user.last_sign_in_at is not None


def test_a_wrong_password_and_an_unknown_user_are_told_the_same(auth: Any) -> None:
    email = signed_up(auth)
    wrong = refused(
        lambda: auth.sign_in_with_password({"email": email, "password": "not this"}), "invalid_credentials", 400
    )
    unknown = refused(
        lambda: auth.sign_in_with_password({"email": someone(), "password": "not this"}), "invalid_credentials", 400
    )
    assert wrong.message == unknown.message == "Invalid login credentials"


def test_a_phone_cannot_sign_in(auth: Any) -> None:
    refused(
        lambda: auth.sign_in_with_password({"phone": "15551234567", "password": PASSWORD}), "phone_provider_disabled"
    )


def test_an_id_token_is_refused(auth: Any) -> None:
    refused(lambda: auth.sign_in_with_id_token({"provider": "google", "token": "x"}), "provider_disabled", 400)


def test_single_sign_on_is_refused_in_gotrues_words(auth: Any) -> None:
    error = refused(lambda: auth.sign_in_with_sso({"domain": "example.com"}), "saml_provider_disabled", 404)
    assert error.message == "SAML 2.0 is disabled"


def test_a_session_is_refreshed_with_new_tokens(auth: Any) -> None:
    signed_up(auth)
    before = auth.get_session()
    after = auth.refresh_session().session
    assert after.refresh_token != before.refresh_token
    assert after.user.id == before.user.id
    assert auth.get_user().user.id == before.user.id


def test_an_unknown_refresh_token_is_refused(auth: Any) -> None:
    refused(lambda: auth.refresh_session("nobody-has-this"), "refresh_token_not_found", 400)


def test_a_client_that_lost_the_answer_gets_it_again(auth: Any) -> None:
    signed_up(auth)
    old = auth.get_session().refresh_token
    first = auth.refresh_session(old).session
    assert auth.refresh_session(old).session.refresh_token == first.refresh_token


def test_a_session_can_be_set_from_its_tokens(open_site: Served, auth: Any) -> None:
    signed_up(auth)
    session = auth.get_session()
    other = client_of(open_site).auth
    answer = other.set_session(session.access_token, session.refresh_token)
    assert answer.user.id == session.user.id


def test_the_user_of_a_token_is_known(auth: Any) -> None:
    email = signed_up(auth)
    assert auth.get_user(auth.get_session().access_token).user.email == email


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "x" * 20_000])
def test_a_bad_token_is_403_and_never_500(auth: Any, token: str) -> None:
    refused(lambda: auth.get_user(token), "bad_jwt", 403)


def test_a_changed_signature_is_refused(auth: Any) -> None:
    signed_up(auth)
    head, payload, signature = auth.get_session().access_token.split(".")
    changed = ("A" if signature[0] != "A" else "B") + signature[1:]
    refused(lambda: auth.get_user(f"{head}.{payload}.{changed}"), "bad_jwt", 403)


def test_the_public_key_is_nobody(open_site: Served, auth: Any) -> None:
    refused(lambda: auth.get_user(open_site.anon), "bad_jwt", 403)


def test_claims_are_verified_with_the_public_keys(auth: Any) -> None:
    email = signed_up(auth)
    claims = auth.get_claims()
    assert claims["headers"]["alg"] == "ES256"
    assert claims["claims"]["email"] == email
    assert claims["claims"]["aal"] == "aal1"
    assert claims["claims"]["role"] == "authenticated"
    assert claims["claims"]["amr"][0]["method"] == "password"


def test_a_user_has_the_identity_that_he_signs_in_with(auth: Any) -> None:
    email = signed_up(auth)
    (identity,) = auth.get_user_identities().identities
    assert identity.provider == "email"
    assert identity.identity_data["email"] == email


# -- changing oneself


def test_metadata_is_merged(auth: Any) -> None:
    auth.sign_up({"email": someone(), "password": PASSWORD, "options": {"data": {"a": 1, "b": 2}}})
    user = auth.update_user({"data": {"b": 3, "c": 4}}).user
    assert {name: user.user_metadata[name] for name in "abc"} == {"a": 1, "b": 3, "c": 4}


def test_a_new_password_replaces_the_old_one(auth: Any) -> None:
    email = signed_up(auth)
    auth.update_user({"password": "another one"})
    refused(lambda: auth.sign_in_with_password({"email": email, "password": PASSWORD}), "invalid_credentials")
    assert auth.sign_in_with_password({"email": email, "password": "another one"}).session is not None


def test_the_same_password_is_no_new_one(auth: Any) -> None:
    signed_up(auth)
    refused(lambda: auth.update_user({"password": PASSWORD}), "same_password", 422)


def test_a_weak_new_password_is_refused(auth: Any) -> None:
    signed_up(auth)
    with pytest.raises(AuthWeakPasswordError):
        auth.update_user({"password": "123"})


def test_nobody_gives_himself_a_role(auth: Any) -> None:
    signed_up(auth)
    user = auth.update_user({"data": {"role": "service_role"}, "role": "service_role", "app_metadata": {"x": 1}}).user
    assert user.role == "authenticated"
    assert user.app_metadata == {"provider": "email", "providers": ["email"]}


# -- signing out


def test_a_token_ends_with_its_session(auth: Any) -> None:
    signed_up(auth)
    session = auth.get_session()
    auth.sign_out()
    refused(lambda: auth.get_user(session.access_token), "session_not_found", 403)
    refused(lambda: auth.refresh_session(session.refresh_token), "refresh_token_not_found", 400)


def two_sessions(open_site: Served, auth: Any) -> tuple[Any, Any]:
    email = signed_up(auth)
    other = client_of(open_site).auth
    other.sign_in_with_password({"email": email, "password": PASSWORD})
    return auth, other


def test_a_local_sign_out_leaves_the_others(open_site: Served, auth: Any) -> None:
    here, there = two_sessions(open_site, auth)
    here.sign_out({"scope": "local"})
    assert there.get_user().user is not None


def test_signing_out_the_others_leaves_this_one(open_site: Served, auth: Any) -> None:
    here, there = two_sessions(open_site, auth)
    here.sign_out({"scope": "others"})
    assert here.get_user().user is not None
    refused(there.get_user, "session_not_found", 403)


def test_a_global_sign_out_ends_all(open_site: Served, auth: Any) -> None:
    here, there = two_sessions(open_site, auth)
    here.sign_out({"scope": "global"})
    refused(there.get_user, "session_not_found", 403)


def test_a_bad_token_cannot_sign_out(admin: Any) -> None:
    refused(lambda: admin.sign_out("this-is-a-bad-token"), "bad_jwt", 403)


# -- mails


def test_an_unconfirmed_user_has_no_session(mail_auth: Any) -> None:
    email = someone()
    answer = mail_auth.sign_up({"email": email, "password": PASSWORD})
    assert answer.session is None
    assert answer.user.email == email
    assert answer.user.email_confirmed_at is None
    refused(lambda: mail_auth.sign_in_with_password({"email": email, "password": PASSWORD}), "email_not_confirmed", 400)


def test_the_code_of_the_mail_confirms(mail_site: Served, mail_auth: Any) -> None:
    email = signed_up(mail_auth)
    answer = mail_auth.verify_otp({"email": email, "token": mail_site.code(email), "type": "signup"})
    assert answer.session is not None
    assert answer.user.email_confirmed_at is not None
    assert mail_auth.sign_in_with_password({"email": email, "password": PASSWORD}).session is not None


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_a_code_works_once(mail_site: Served, mail_auth: Any) -> None:
    email = signed_up(mail_auth)
    given = {"email": email, "token": mail_site.code(email), "type": "signup"}
    mail_auth.verify_otp(given)
    refused(lambda: mail_auth.verify_otp(given), "otp_expired", 403)


def test_five_wrong_codes_void_the_right_one(mail_site: Served, mail_auth: Any) -> None:
    email = signed_up(mail_auth)
    code = mail_site.code(email)
    for _ in range(5):
        refused(
            lambda: mail_auth.verify_otp({"email": email, "token": wrong(code), "type": "signup"}), "otp_expired", 403
        )
    refused(lambda: mail_auth.verify_otp({"email": email, "token": code, "type": "signup"}), "otp_expired", 403)


def test_a_code_for_an_unknown_address_is_refused_in_the_same_words(mail_auth: Any) -> None:
    error = refused(
        lambda: mail_auth.verify_otp({"email": someone(), "token": "123456", "type": "signup"}), "otp_expired"
    )
    assert error.message == "Token has expired or is invalid"


def test_a_phone_is_told_what_a_phone_number_is(auth: Any) -> None:
    refused(lambda: auth.verify_otp({"phone": "15551234567", "token": "123456", "type": "sms"}), "otp_expired", 403)
    error = refused(
        lambda: auth.verify_otp({"phone": "1555-invalid", "token": "123456", "type": "sms"}), "validation_failed", 400
    )
    assert error.message == "Invalid phone number format (E.164 required)"


def test_signing_up_with_a_known_address_looks_like_a_new_one(mail_auth: Any, mail_admin: Any) -> None:
    email = someone()
    mail_admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
    again = mail_auth.sign_up({"email": email, "password": "some other password"})
    fresh = mail_auth.sign_up({"email": someone(), "password": PASSWORD})
    assert again.session is None
    assert shape(again.user) == shape(fresh.user)


def shape(user: Any) -> set[str]:
    """The names of what is told about a user, and about the identity."""
    (identity,) = user.identities
    told = {**user.model_dump(exclude_none=True), **identity.model_dump(exclude_none=True)}
    return {*told, *identity.identity_data}


def test_a_mail_can_be_sent_again(mail_site: Served, mail_auth: Any) -> None:
    email = signed_up(mail_auth)
    mail_site.code(email)
    time.sleep(1.1)  # one mail a second to one address
    mail_auth.resend({"type": "signup", "email": email})
    answer = mail_auth.verify_otp({"email": email, "token": mail_site.code(email, 2), "type": "signup"})
    assert answer.session is not None


def test_nothing_is_told_about_unknown_addresses(mail_auth: Any) -> None:
    mail_auth.reset_password_for_email(someone())
    mail_auth.resend({"type": "signup", "email": someone()})


def test_two_mails_within_the_interval_are_refused(mail_auth: Any) -> None:
    email = someone()
    mail_auth.reset_password_for_email(email)
    refused(lambda: mail_auth.reset_password_for_email(email), "over_email_send_rate_limit", 429)


def test_a_code_by_mail_signs_a_new_user_in(mail_site: Served, mail_auth: Any) -> None:
    email = someone()
    mail_auth.sign_in_with_otp({"email": email, "options": {"data": {"name": "Ada"}}})
    answer = mail_auth.verify_otp({"email": email, "token": mail_site.code(email), "type": "email"})
    assert answer.session is not None
    assert answer.user.user_metadata["name"] == "Ada"


def test_a_reset_leads_to_a_new_password(mail_site: Served, mail_auth: Any, mail_admin: Any) -> None:
    email = someone()
    mail_admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
    mail_auth.reset_password_for_email(email)
    mail_auth.verify_otp({"email": email, "token": mail_site.code(email), "type": "recovery"})
    mail_auth.update_user({"password": "a new one"})
    assert mail_auth.sign_in_with_password({"email": email, "password": "a new one"}).session is not None


def opened(link: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Where a browser is sent by *link*: the place, the query and the fragment."""
    response = HTTP.get(link)
    assert response.status_code == 303
    parts = urlsplit(response.headers["location"])
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    fragment = {name: values[0] for name, values in parse_qs(parts.fragment, keep_blank_values=True).items()}
    return f"{parts.scheme}://{parts.netloc}{parts.path}", query, fragment


def test_the_link_of_the_mail_leads_on_with_a_session(mail_site: Served, mail_auth: Any) -> None:
    email = someone()
    options = {"email_redirect_to": "http://localhost:3000/welcome"}
    mail_auth.sign_up({"email": email, "password": PASSWORD, "options": options})
    place, _, fragment = opened(mail_site.link(email))
    assert place == "http://localhost:3000/welcome"
    assert {"access_token", "refresh_token", "expires_at", "expires_in", "token_type", "type"} <= fragment.keys()
    assert fragment["type"] == "signup"
    assert mail_auth.get_user(fragment["access_token"]).user.email == email


def test_a_link_works_once(mail_site: Served, mail_auth: Any) -> None:
    email = signed_up(mail_auth)
    link = mail_site.link(email)
    opened(link)
    _, _, fragment = opened(link)
    assert fragment["error"] == "access_denied"
    assert fragment["error_code"] == "otp_expired"


def test_a_link_leads_nowhere_that_is_not_allowed(mail_site: Served, mail_auth: Any) -> None:
    email = someone()
    options = {"email_redirect_to": "https://evil.example/steal"}
    mail_auth.sign_up({"email": email, "password": PASSWORD, "options": options})
    place, _, _ = opened(mail_site.link(email))
    assert "evil.example" not in place


def test_a_link_of_a_pkce_flow_leads_on_with_a_code(mail_site: Served) -> None:
    auth = client_of(mail_site, flow="pkce").auth
    email = someone()
    options = {"email_redirect_to": "http://localhost:3000/welcome"}
    auth.sign_up({"email": email, "password": PASSWORD, "options": options})
    _, query, fragment = opened(mail_site.link(email))
    assert not fragment
    answer = auth.exchange_code_for_session({"auth_code": query["code"]})
    assert answer.user.email == email
    assert answer.session is not None


def test_a_code_is_worth_nothing_without_its_verifier(mail_site: Served) -> None:
    auth = client_of(mail_site, flow="pkce").auth
    email = signed_up(auth)
    _, query, _ = opened(mail_site.link(email))
    given = {"auth_code": query["code"], "code_verifier": "x" * 50}
    refused(lambda: auth.exchange_code_for_session(given), "bad_code_verifier", 400)


def test_an_unknown_code_is_refused(mail_site: Served) -> None:
    auth = client_of(mail_site, flow="pkce").auth
    given = {"auth_code": "nobody-has-this", "code_verifier": "x" * 50}
    refused(lambda: auth.exchange_code_for_session(given), "flow_state_not_found", 404)


def test_a_change_of_address_is_confirmed_by_both(mail_site: Served, mail_auth: Any, mail_admin: Any) -> None:
    old, new = someone(), someone()
    mail_admin.create_user({"email": old, "password": PASSWORD, "email_confirm": True})
    mail_auth.sign_in_with_password({"email": old, "password": PASSWORD})
    user = mail_auth.update_user({"email": new}).user
    assert (user.email, user.new_email) == (old, new)
    mail_auth.verify_otp({"email": old, "token": mail_site.code(old), "type": "email_change"})
    assert mail_auth.get_user().user.email == old
    mail_auth.verify_otp({"email": new, "token": mail_site.code(new), "type": "email_change"})
    assert mail_auth.get_user().user.email == new


def test_reauthentication_sends_a_code(mail_site: Served, mail_auth: Any, mail_admin: Any) -> None:
    email = someone()
    mail_admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
    mail_auth.sign_in_with_password({"email": email, "password": PASSWORD})
    mail_auth.reauthenticate()
    assert mail_site.code(email)


# -- administrators


def test_an_administrator_creates_a_confirmed_user(mail_auth: Any, mail_admin: Any) -> None:
    email = someone()
    given = {"email": email, "password": PASSWORD, "email_confirm": True, "user_metadata": {"a": 1}}
    user = mail_admin.create_user({**given, "app_metadata": {"plan": "pro"}}).user
    assert user.user_metadata["a"] == 1
    assert user.app_metadata["plan"] == "pro"
    assert user.app_metadata["provider"] == "email"
    assert mail_auth.sign_in_with_password({"email": email, "password": PASSWORD}).session is not None


def test_an_administrator_creates_no_user_twice(admin: Any) -> None:
    email = someone()
    admin.create_user({"email": email, "password": PASSWORD})
    refused(lambda: admin.create_user({"email": email, "password": PASSWORD}), "email_exists", 422)


def test_users_are_listed_by_page(admin: Any) -> None:
    for _ in range(3):
        admin.create_user({"email": someone(), "password": PASSWORD})
    first, second = admin.list_users(page=1, per_page=2), admin.list_users(page=2, per_page=2)
    assert len(first) == 2
    assert {user.id for user in first}.isdisjoint(user.id for user in second)


def test_a_user_is_found_by_id(admin: Any) -> None:
    user = admin.create_user({"email": someone(), "password": PASSWORD}).user
    assert admin.get_user_by_id(user.id).user.email == user.email
    refused(lambda: admin.get_user_by_id(str(uuid4())), "user_not_found", 404)


def test_an_administrator_changes_a_user(admin: Any) -> None:
    user = admin.create_user({"email": someone(), "password": PASSWORD}).user
    new = someone()
    changed = admin.update_user_by_id(user.id, {"email": new, "app_metadata": {"roles": ["editor"]}}).user
    assert changed.email == new
    assert changed.app_metadata["roles"] == ["editor"]
    assert changed.app_metadata["provider"] == "email"


def test_an_administrator_confirms_an_address(mail_auth: Any, mail_admin: Any) -> None:
    user = mail_auth.sign_up({"email": someone(), "password": PASSWORD}).user
    assert mail_admin.update_user_by_id(user.id, {"email_confirm": True}).user.email_confirmed_at is not None


def test_a_banned_user_is_out_until_the_ban_ends(auth: Any, admin: Any) -> None:
    email = signed_up(auth)
    user = auth.get_user().user
    admin.update_user_by_id(user.id, {"ban_duration": "24h"})
    refused(auth.get_user, "session_not_found", 403)
    refused(lambda: auth.sign_in_with_password({"email": email, "password": PASSWORD}), "user_banned", 400)
    admin.update_user_by_id(user.id, {"ban_duration": "none"})
    assert auth.sign_in_with_password({"email": email, "password": PASSWORD}).session is not None


def test_a_deleted_user_is_gone(auth: Any, admin: Any) -> None:
    email = signed_up(auth)
    user = auth.get_user().user
    admin.delete_user(user.id)
    refused(auth.get_user, "user_not_found", 403)
    refused(lambda: admin.get_user_by_id(user.id), "user_not_found", 404)
    assert auth.sign_up({"email": email, "password": PASSWORD}).user.id != user.id


def test_a_softly_deleted_user_cannot_come_back(auth: Any, admin: Any) -> None:
    email = signed_up(auth)
    admin.delete_user(auth.get_user().user.id, should_soft_delete=True)
    refused(auth.get_user, "user_not_found", 403)
    refused(lambda: auth.sign_in_with_password({"email": email, "password": PASSWORD}), "invalid_credentials", 400)


@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink", "recovery"])
def test_a_link_is_made_without_a_mail(mail_site: Served, mail_auth: Any, mail_admin: Any, kind: str) -> None:
    email = someone()
    if kind in ("magiclink", "recovery"):
        mail_admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
    given: dict[str, Any] = {"type": kind, "email": email}
    if kind == "signup":
        given["password"] = PASSWORD
    link = mail_admin.generate_link(given)
    assert link.user.email == email
    assert re.fullmatch(r"\d{6}", link.properties.email_otp)
    assert link.properties.action_link.startswith(mail_site.url.replace("127.0.0.1", "localhost") + "/auth/v1/verify")
    assert not mail_site.mails(email)
    answer = mail_auth.verify_otp({"token_hash": link.properties.hashed_token, "type": kind})
    assert answer.user.email == email


def test_an_invited_user_gets_a_mail(mail_site: Served, mail_auth: Any, mail_admin: Any) -> None:
    email = someone()
    user = mail_admin.invite_user_by_email(email, {"data": {"team": "a"}}).user
    assert user.invited_at is not None
    assert user.user_metadata["team"] == "a"
    answer = mail_auth.verify_otp({"email": email, "token": mail_site.code(email), "type": "invite"})
    assert answer.session is not None


def test_the_public_key_is_no_administrator(open_site: Served) -> None:
    refused(client_of(open_site).auth.admin.list_users, "not_admin", 403)


def test_a_user_is_no_administrator(open_site: Served, auth: Any) -> None:
    signed_up(auth)
    other = client_of(open_site, auth.get_session().access_token)
    with pytest.raises(AuthApiError):
        other.auth.admin.list_users()


# -- providers


def test_the_way_to_a_provider_has_a_state_and_a_challenge(open_site: Served, auth: Any) -> None:
    url = auth.sign_in_with_oauth({"provider": "google", "options": {"redirect_to": "http://localhost:3000/in"}}).url
    response = HTTP.get(url)
    assert response.status_code == 302
    parts = urlsplit(response.headers["location"])
    assert parts.hostname == "accounts.google.com"
    query = parse_qs(parts.query)
    assert query["client_id"] == ["google-client"]
    assert query["state"][0]
    assert "google-secret" not in response.headers["location"]


def test_an_unknown_provider_is_refused(open_site: Served, auth: Any) -> None:
    url = auth.sign_in_with_oauth({"provider": "github"}).url
    response = HTTP.get(url)
    assert response.status_code == 400
    assert response.json()["error_code"] in ("validation_failed", "provider_disabled")


def test_an_identity_is_linked_by_way_of_the_provider(auth: Any) -> None:
    signed_up(auth)
    url = auth.link_identity({"provider": "google"}).url
    assert urlsplit(url).hostname == "accounts.google.com"


def test_the_last_identity_stays(auth: Any) -> None:
    signed_up(auth)
    (identity,) = auth.get_user_identities().identities
    refused(lambda: auth.unlink_identity(identity), "single_identity_not_deletable", 422)


def test_identities_are_linked_only_where_that_is_allowed(mail_auth: Any, mail_admin: Any) -> None:
    email = someone()
    mail_admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True})
    mail_auth.sign_in_with_password({"email": email, "password": PASSWORD})
    refused(lambda: mail_auth.link_identity({"provider": "google"}), "manual_linking_disabled", 404)


# -- second factors


def enrolled(auth: Any, name: str = "phone") -> tuple[str, bytes]:
    """A factor of a signed-in user: its id and secret."""
    import base64

    factor = auth.mfa.enroll({"factor_type": "totp", "friendly_name": name})
    assert factor.totp.uri.startswith("otpauth://totp/")
    assert "<svg" in factor.totp.qr_code
    text = factor.totp.secret
    return factor.id, base64.b32decode(text + "=" * (-len(text) % 8))


def code_now(secret: bytes, ahead: int = 0) -> str:
    return totp.code_at(secret, int(time.time() // totp.STEP_S) + ahead)


def test_a_factor_is_proven_with_a_code(auth: Any) -> None:
    signed_up(auth)
    factor_id, secret = enrolled(auth)
    assert auth.mfa.list_factors().totp == []
    auth.mfa.challenge_and_verify({"factor_id": factor_id, "code": code_now(secret)})
    level = auth.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal2", "aal2")
    assert {entry.method for entry in level.current_authentication_methods} == {"password", "totp"}
    assert [factor.id for factor in auth.mfa.list_factors().totp] == [factor_id]
    assert auth.refresh_session().session is not None
    assert auth.mfa.get_authenticator_assurance_level().current_level == "aal2"


def test_a_wrong_code_proves_nothing(auth: Any) -> None:
    signed_up(auth)
    factor_id, secret = enrolled(auth)
    given = {"factor_id": factor_id, "code": wrong(code_now(secret))}
    error = refused(lambda: auth.mfa.challenge_and_verify(given), "mfa_verification_failed", 422)
    assert "Invalid TOTP code" in error.message


def test_a_code_of_an_app_works_once(auth: Any) -> None:
    signed_up(auth)
    factor_id, secret = enrolled(auth)
    code = code_now(secret)
    auth.mfa.challenge_and_verify({"factor_id": factor_id, "code": code})
    refused(lambda: auth.mfa.challenge_and_verify({"factor_id": factor_id, "code": code}), "mfa_verification_failed")
    auth.mfa.challenge_and_verify({"factor_id": factor_id, "code": code_now(secret, 1)})


def test_five_wrong_codes_void_a_challenge(auth: Any) -> None:
    signed_up(auth)
    factor_id, secret = enrolled(auth)
    challenge = auth.mfa.challenge({"factor_id": factor_id})
    given = {"factor_id": factor_id, "challenge_id": challenge.id}
    for _ in range(5):
        refused(lambda: auth.mfa.verify({**given, "code": wrong(code_now(secret))}), "mfa_verification_failed")
    refused(lambda: auth.mfa.verify({**given, "code": code_now(secret)}), "mfa_challenge_expired", 422)


def test_a_password_alone_does_not_remove_a_proven_factor(auth: Any) -> None:
    email = signed_up(auth)
    factor_id, secret = enrolled(auth)
    auth.mfa.challenge_and_verify({"factor_id": factor_id, "code": code_now(secret)})
    auth.sign_in_with_password({"email": email, "password": PASSWORD})
    refused(lambda: auth.mfa.unenroll({"factor_id": factor_id}), "insufficient_aal", 403)
    refused(lambda: auth.mfa.enroll({"factor_type": "totp"}), "insufficient_aal", 403)
    refused(lambda: auth.update_user({"password": "something new"}), "insufficient_aal", 403)
    auth.mfa.challenge_and_verify({"factor_id": factor_id, "code": code_now(secret, 1)})
    assert auth.mfa.unenroll({"factor_id": factor_id}).id == factor_id


def test_a_factor_of_somebody_else_does_not_exist(open_site: Served, auth: Any) -> None:
    signed_up(auth)
    factor_id, _ = enrolled(auth)
    other = client_of(open_site).auth
    signed_up(other)
    refused(lambda: other.mfa.challenge({"factor_id": factor_id}), "mfa_factor_not_found", 404)
    refused(lambda: other.mfa.unenroll({"factor_id": factor_id}), "mfa_factor_not_found", 404)


def test_an_administrator_lists_and_removes_factors(auth: Any, admin: Any) -> None:
    signed_up(auth)
    user_id = auth.get_user().user.id
    factor_id, _ = enrolled(auth, "my phone")
    (factor,) = admin.mfa.list_factors({"user_id": user_id})
    assert (factor.friendly_name, factor.factor_type, factor.status) == ("my phone", "totp", "unverified")
    admin.mfa.delete_factor({"user_id": user_id, "id": factor_id})
    assert admin.mfa.list_factors({"user_id": user_id}) == []


# -- about the server


def test_a_sign_in_page_learns_what_is_offered(open_site: Served) -> None:
    response = HTTP.get(f"{open_site.url}/auth/v1/settings", headers={"apikey": open_site.anon})
    said = response.json()
    assert said["external"]["google"] is True
    assert said["external"]["email"] is True
    assert said["external"]["phone"] is False
    assert (said["disable_signup"], said["mailer_autoconfirm"]) == (False, True)


def test_the_public_keys_hold_nothing_private(open_site: Served) -> None:
    (key,) = HTTP.get(f"{open_site.url}/auth/v1/.well-known/jwks.json").json()["keys"]
    assert key["alg"] == "ES256"
    assert "d" not in key
