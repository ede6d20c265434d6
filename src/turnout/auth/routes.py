"""The auth wire: ``/auth/v1/*`` in the shape of GoTrue, for clients that already speak it.

One table says which call goes where and who may make it. The work is the service's; here
requests are read and answers written. A call needs the project's ``anon`` or ``service_role``
key or a user's token, except what a browser opens by itself: links in mails, the way to a
provider and back, the public keys. Cookies are never read, so there is nothing to forge.
Calls for administrators are in ``routes_admin``, second factors in ``routes_factors``.

Source: the calls that supabase-js and supabase-py make, and https://github.com/supabase/auth/blob/master/openapi.yaml
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
from msgspec import Struct

from ..errors import DbError, HTTPError
from ..http.request import Request
from ..http.response import Response
from . import routes_admin as admin
from . import routes_factors as factors
from .call import Call, Handler, answer, bearer, read_body, refusal
from .errors import AuthError
from .keys import API_ISSUER
from .models import AuthResponse, Message, Session, User

if TYPE_CHECKING:
    from .service import AuthService

PREFIX = "/auth/v1"
Needs = Literal["nothing", "key", "user", "admin"]

logger = logging.getLogger("turnout.auth")
_is_phone = re.compile(r"\+?[1-9]\d{1,14}").fullmatch  # E.164


class Entry(Struct, frozen=True):
    """One line of the table: who may call, and what answers.

    Attributes:
        needs: ``nothing``; a ``key`` or a token; a ``user``'s token, which the service judges;
            ``admin``: the service_role.
        handler: What answers.
    """

    needs: Needs
    handler: Handler


async def gotrue(request: Request, service: AuthService) -> Response:
    """Answer one call below ``/auth/v1``; whatever goes wrong is answered in GoTrue's shape."""
    try:
        entry, holes = _find(request)
        await _admit(request, service, entry.needs)
        body = {} if request.method in ("GET", "HEAD") else await read_body(request)
        return await entry.handler(Call(request, service, body, holes))
    except (HTTPError, DbError) as exc:
        if exc.status >= 500 or exc.__cause__ is not None:
            # A database that is away refuses many a second, each for the same known reason.
            known = isinstance(exc, DbError) and exc.status == 503
            logger.error("%s", exc, exc_info=None if known else exc, extra={"request_id": request.id})
        return refusal(exc, request)
    except Exception as exc:
        logger.error("%s: %s", type(exc).__name__, exc, exc_info=exc, extra={"request_id": request.id})
        return refusal(AuthError("unexpected_failure"), request)


def _find(request: Request) -> tuple[Entry, tuple[str, ...]]:
    path = request.path.removeprefix(PREFIX).removesuffix("/")  # which trailing_slash = true adds
    parts = path.split("/")[1:]
    fits = (found for found in (_fit(pattern, parts) for pattern in WITH_HOLES) if found)
    methods, holes = (STATIC[path], ()) if path in STATIC else next(fits, ({}, ()))
    if not methods:
        raise AuthError("not_found", f"There is no {PREFIX}{path}")
    # Who looks ahead at a link, as mail scanners do, must not use it up.
    reads = "GET" in methods and path not in ("/verify", "/authorize", "/callback")
    entry = methods.get("GET" if reads and request.method == "HEAD" else request.method)
    if entry is None:
        allow = ", ".join(sorted({*methods, "OPTIONS"} | ({"HEAD"} if reads else set())))
        raise HTTPError(405, f"{request.method} is not answered here", headers=(("allow", allow),))
    return entry, holes


def _fit(pattern: tuple[str, ...], parts: list[str]) -> tuple[dict[str, Entry], tuple[str, ...]] | None:
    """The methods behind *pattern* and what its holes hold, if *parts* fit it."""
    if len(pattern) != len(parts) or any(want not in ("*", have) for want, have in zip(pattern, parts, strict=True)):
        return None
    return WITH_HOLES[pattern], tuple(have for want, have in zip(pattern, parts, strict=True) if want == "*")


async def _admit(request: Request, service: AuthService, needs: Needs) -> None:
    """Refuse a caller that has not shown what *needs* says.

    Raises:
        AuthError: 401 without a good key or token; 403 for an administrator's call by somebody else.
    """
    if needs == "nothing":
        return
    key, token = request.headers.get("apikey"), bearer(request)
    if key is None and token is None:
        raise AuthError("no_authorization", "No API key found in request")
    if key is not None and _claims(service, key).get("iss") != API_ISSUER:
        raise AuthError("no_authorization", "Invalid API key")
    if needs == "admin":
        await service.require_admin(token or key or "")
    elif needs == "key" and key is None and not _claims(service, token or ""):
        raise AuthError("bad_jwt", status=401)


def _claims(service: AuthService, token: str) -> dict[str, Any]:
    """What a good token says; nothing if it is not good."""
    try:
        return service.tokens.verify(token, now_s=service.clock())
    except AuthError:
        return {}


# -- signing up and in


async def signup(call: Call) -> Response:
    """A new user: by e-mail and password, or anonymous where there is neither e-mail nor phone."""
    if call.text("email") is None and call.text("phone") is None:
        return await _signed_in(call, await call.service.sign_in_anonymously(call.data(), call.context))
    email = _email(call, "Phone signups are disabled")
    password = call.needed("password", "Signup requires a valid password")
    result = await call.service.sign_up(
        email,
        password,
        data=call.data(),
        redirect_to=call.redirect_to,
        code_challenge=call.text("code_challenge"),
        code_challenge_method=call.text("code_challenge_method"),
        context=call.context,
    )
    return await _signed_in(call, result)


async def token(call: Call) -> Response:
    """A session for a password, a refresh token, or the code at the end of a PKCE flow."""
    match call.query("grant_type"):
        case "password":
            email = _email(call, "Phone logins are disabled", "missing email or phone")
            password = call.text("password")
            if password is None:
                raise AuthError("invalid_credentials")
            return await _signed_in(call, await call.service.sign_in_with_password(email, password, call.context))
        case "refresh_token":
            refresh = call.needed("refresh_token", "refresh_token required")
            return await _signed_in(call, await call.service.refresh(refresh, call.context))
        case "pkce":
            message = "invalid request: both auth code and code verifier should be non-empty"
            code, verifier = call.needed("auth_code", message), call.needed("code_verifier", message)
            return await _signed_in(call, await call.service.exchange_code(code, verifier, call.context))
        case "id_token":
            raise AuthError("provider_disabled", "Signing in with an ID token is not enabled")
        case "web3":
            raise AuthError("web3_provider_disabled")
        case _:
            raise AuthError("validation_failed", "unsupported_grant_type")


async def otp(call: Call) -> Response:
    """A magic link with a code by mail; the answer is the same for known and unknown addresses."""
    email = _email(call, "Phone logins are disabled", "One of email or phone must be set")
    create = call.flag("create_user")
    await call.service.otp(
        email,
        create_user=True if create is None else create,
        data=call.data(),
        redirect_to=call.redirect_to,
        code_challenge=call.text("code_challenge"),
        code_challenge_method=call.text("code_challenge_method"),
        context=call.context,
    )
    return answer({})


async def recover(call: Call) -> Response:
    """A link by mail that resets the password; the answer is the same for known and unknown addresses."""
    await call.service.recover(
        call.needed("email", "Password recovery requires an email"),
        redirect_to=call.redirect_to,
        code_challenge=call.text("code_challenge"),
        code_challenge_method=call.text("code_challenge_method"),
        context=call.context,
    )
    return answer({})


async def resend(call: Call) -> Response:
    """The mail of a sign-up or of a change of address once more; the answer tells nothing."""
    kind = call.text("type")
    if kind not in ("signup", "email_change", "sms", "phone_change"):
        wanted = "Missing one of these types: signup, email_change, sms, phone_change"
        raise AuthError("validation_failed", wanted)
    email = _email(call, "Phone logins are disabled", "Type provided requires an email address")
    await call.service.resend(
        kind,
        email,
        redirect_to=call.redirect_to,
        code_challenge=call.text("code_challenge"),
        code_challenge_method=call.text("code_challenge_method"),
        context=call.context,
    )
    return answer({})


async def verify(call: Call) -> Response:
    """A session for a code, or for the hash of a token out of a link."""
    kind = call.needed("type", "Verify requires a verification type")
    phone = call.text("phone")
    if phone is not None and call.text("email") is None:
        # No user has a phone here, so every well-formed number is one that nobody knows.
        if not _is_phone(phone):
            raise AuthError("validation_failed", "Invalid phone number format (E.164 required)")
        raise AuthError("otp_expired")
    email, code, token_hash = call.text("email"), call.text("token"), call.text("token_hash")
    result = await call.service.verify(kind, token=code, token_hash=token_hash, email=email, context=call.context)
    if isinstance(result, Message):
        # The Python client knows this answer by a code that is a text.
        return answer({"msg": result.msg, "code": str(result.code)})
    return await _signed_in(call, result)


async def verify_link(call: Call) -> Response:
    """A link out of a mail, opened in a browser: on to where it leads, with a session or an error."""
    place = await call.service.verify_link(
        call.query("token") or call.query("token_hash") or "",
        call.query("type") or "",
        call.redirect_to,
        context=call.context,
    )
    return _onward(place)


# -- providers


async def authorize(call: Call) -> Response:
    """The way to a provider's sign-in page."""
    return _onward(await call.service.authorize_url(**_wanted(call)), 302)


async def callback(call: Call) -> Response:
    """The way back from a provider."""
    place = await call.service.callback(
        call.query("code"),
        call.query("state"),
        call.query("error"),
        call.query("error_description"),
        context=call.context,
    )
    return _onward(place, 302)


async def link_identity(call: Call) -> Response:
    """The way to a provider whose identity the signed-in user wants to add."""
    access_token = _linking(call)
    url = await call.service.link_identity_url(access_token, **_wanted(call))
    return answer({"url": url}) if call.query("skip_http_redirect") == "true" else _onward(url, 302)


async def unlink_identity(call: Call) -> Response:
    """Take an identity away; the last one stays."""
    await call.service.unlink_identity(_linking(call), call.holes[0])
    return answer({})


def _linking(call: Call) -> str:
    """The token of a user who may change the ways of signing in.

    Raises:
        AuthError: ``manual_linking_disabled``.
    """
    access_token = call.token
    if not call.service.settings.manual_linking:
        raise AuthError("manual_linking_disabled")
    return access_token


def _wanted(call: Call) -> dict[str, Any]:
    """What the query says of a provider, and of where to go afterwards."""
    provider = call.query("provider")
    if provider is None:
        raise AuthError("validation_failed", "Unsupported provider: missing provider")
    return {
        "provider": provider,
        "redirect_to": call.redirect_to,
        "scopes": call.query("scopes"),
        "code_challenge": call.query("code_challenge"),
        "code_challenge_method": call.query("code_challenge_method"),
        "query_params": dict(call.request.search_params.items()),
        "context": call.context,
    }


async def sso(call: Call) -> Response:
    """SAML is not offered; clients that ask are told in GoTrue's words."""
    raise AuthError("saml_provider_disabled")


# -- the signed-in user


async def user(call: Call) -> Response:
    """Who the token belongs to."""
    return await _user(call, await call.service.get_user(call.token))


async def update_user(call: Call) -> Response:
    """New address, password or metadata of the signed-in user."""
    access_token = call.token
    if call.text("phone") is not None:
        raise AuthError("phone_provider_disabled", "Phone changes are disabled")
    changed = await call.service.update_user(
        access_token,
        email=call.text("email"),
        password=call.text("password"),
        data=call.data(),
        nonce=call.text("nonce"),
        current_password=call.text("current_password"),
        redirect_to=call.redirect_to,
        code_challenge=call.text("code_challenge"),
        code_challenge_method=call.text("code_challenge_method"),
        context=call.context,
    )
    return await _user(call, changed)


async def logout(call: Call) -> Response:
    """End this session, the others, or all of them."""
    # The service refuses a scope that is none of its own.
    await call.service.sign_out(call.token, cast(Any, call.query("scope") or "global"))
    return Response(None, 204, {"cache-control": "no-store"})


async def reauthenticate(call: Call) -> Response:
    """Mail a nonce that a change of password asks for."""
    await call.service.reauthenticate(call.token, call.context)
    return answer({})


# -- about the server


async def settings(call: Call) -> Response:
    """What is offered here; a sign-in page shows its buttons by it."""
    chosen = call.service.settings
    return answer(
        {
            "external": {
                "anonymous_users": chosen.anonymous,
                "email": True,
                "phone": False,
                **call.service.providers(),
            },
            "disable_signup": not chosen.sign_ups,
            "mailer_autoconfirm": chosen.auto_confirm,
            "phone_autoconfirm": False,
            "sms_provider": "",
            "saml_enabled": False,
        }
    )


async def health(call: Call) -> Response:
    """That somebody is here."""
    from importlib.metadata import version

    about = "Turnout's users and sessions, with GoTrue's calls"
    return answer({"name": "Turnout", "version": version("turnout"), "description": about})


async def jwks(call: Call) -> Response:
    """The public keys that check access tokens (RFC 7517)."""
    return Response.json(call.service.keys.jwks(), headers={"cache-control": "public, max-age=600"})


# -- shared


def _email(call: Call, no_phones: str, missing: str = "missing email or phone") -> str:
    """The address in the body; phones are not offered.

    Raises:
        AuthError: 400, there is a phone number instead, or nothing.
    """
    email = call.text("email")
    if email is not None:
        return email
    if call.text("phone") is not None:
        raise AuthError("phone_provider_disabled", no_phones)
    raise AuthError("validation_failed", missing)


async def _signed_in(call: Call, result: AuthResponse | Session) -> Response:
    """A session, or the bare user where there is none yet: GoTrue does not nest it."""
    session = result.session if isinstance(result, AuthResponse) else result
    if session is not None:
        return answer(msgspec.structs.replace(session, user=await call.service.factors.fill(session.user)))
    return answer(result.user if isinstance(result, AuthResponse) else None)


async def _user(call: Call, user: User) -> Response:
    return answer(await call.service.factors.fill(user))


def _onward(place: str, status: int = 303) -> Response:
    response = Response.redirect(place, status, external=True)
    response.headers.set("cache-control", "no-store")
    # The fragment or code must not travel on in a Referer.
    response.headers.set("referrer-policy", "no-referrer")
    return response


TABLE: dict[str, dict[str, Entry]] = {
    "/signup": {"POST": Entry("key", signup)},
    "/token": {"POST": Entry("key", token)},
    "/otp": {"POST": Entry("key", otp)},
    "/magiclink": {"POST": Entry("key", otp)},
    "/recover": {"POST": Entry("key", recover)},
    "/resend": {"POST": Entry("key", resend)},
    "/verify": {"GET": Entry("nothing", verify_link), "POST": Entry("key", verify)},
    "/authorize": {"GET": Entry("nothing", authorize)},
    "/callback": {"GET": Entry("nothing", callback)},
    "/sso": {"POST": Entry("key", sso)},
    "/user": {"GET": Entry("user", user), "PUT": Entry("user", update_user)},
    "/user/identities/authorize": {"GET": Entry("user", link_identity)},
    "/user/identities/*": {"DELETE": Entry("user", unlink_identity)},
    "/logout": {"POST": Entry("user", logout)},
    "/reauthenticate": {"GET": Entry("user", reauthenticate)},
    "/factors": {"POST": Entry("user", factors.enroll)},
    "/factors/*": {"DELETE": Entry("user", factors.unenroll)},
    "/factors/*/challenge": {"POST": Entry("user", factors.challenge)},
    "/factors/*/verify": {"POST": Entry("user", factors.verify)},
    "/invite": {"POST": Entry("admin", admin.invite)},
    "/admin/generate_link": {"POST": Entry("admin", admin.generate_link)},
    "/admin/users": {"GET": Entry("admin", admin.list_users), "POST": Entry("admin", admin.create_user)},
    "/admin/users/*": {
        "GET": Entry("admin", admin.get_user),
        "PUT": Entry("admin", admin.update_user),
        "DELETE": Entry("admin", admin.delete_user),
    },
    "/admin/users/*/factors": {"GET": Entry("admin", factors.list_of_user)},
    "/admin/users/*/factors/*": {"DELETE": Entry("admin", factors.delete_of_user)},
    "/settings": {"GET": Entry("key", settings)},
    "/health": {"GET": Entry("nothing", health)},
    "/.well-known/jwks.json": {"GET": Entry("nothing", jwks)},
}
STATIC = {path: methods for path, methods in TABLE.items() if "*" not in path}
WITH_HOLES = {tuple(path.split("/")[1:]): methods for path, methods in TABLE.items() if "*" in path}
