"""What Turnout's own functions refuse, and what they answer with: what their callers' documents have to say.

Written down by hand, since a document must not depend on how deep somebody reads our source. The keys are
``module.name`` below the package.
"""

from __future__ import annotations

from msgspec import Struct

from .model import Schema

BINARY: Schema = {"type": "string", "format": "binary"}
OBJECT: Schema = {"type": "object"}
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class Refusal(Struct, frozen=True):
    """One problem that a call may end in."""

    status: int
    code: str | None = None
    detail: str = ""


def _all(status: int, *codes: str) -> tuple[Refusal, ...]:
    return tuple(Refusal(status, code) for code in codes)


TOO_LARGE = Refusal(413, "body_too_large", "The body is over the limit")
BAD_JSON = Refusal(400, "invalid_json", "The body is not JSON")
NOT_JSON = Refusal(415, None, "The body is not sent as JSON")
UNFIT = Refusal(422, "validation_failed", "The input does not have the expected form; errors lists every failure")
TOO_MANY_FIELDS = Refusal(400, "too_many_fields", "The query has too many fields")
SLOW = Refusal(408, None, "The body did not arrive in time")
BAD_FORM = (
    Refusal(400, "invalid_form", "The form is malformed"),
    Refusal(400, "too_many_fields"),
    Refusal(415, "unsupported_media_type", "The body is not sent as a form"),
)
SIGNED_OUT = Refusal(401, "not_signed_in", "Nobody is signed in, or the credentials are not good")
WRONG_ROLE = Refusal(403, "wrong_role", "You may not do that")
CROSS_ORIGIN = Refusal(403, "cross_origin", "Another site's page sent it with this site's cookies")
OVER_LIMIT = Refusal(429, "too_many_requests", "Too many requests; wait before you try again")
DB_READ = (Refusal(400, None, "The data was refused by the database"),)
DB_WRITE = (*DB_READ, Refusal(409, None, "That conflicts with what is stored"))
# What a client made by create_client() may be told of tables: it acts for its user, by the row policies.
CLIENT_DATA = (*DB_WRITE, Refusal(401, "PGRST301"), Refusal(403, "42501", "That is not allowed"))
IDEMPOTENT = (
    Refusal(400, "idempotency_key_invalid", "The Idempotency-Key is malformed"),
    Refusal(409, "idempotency_key_in_use", "A request with that Idempotency-Key is under way"),
    Refusal(422, "idempotency_key_reused", "The Idempotency-Key was used for another request"),
)
NO_KEY = Refusal(400, "idempotency_key_missing", "The Idempotency-Key is missing")
ALWAYS = (
    Refusal(400, "invalid_path", "The request is malformed"),
    Refusal(400, "invalid_host"),
    Refusal(500, None, "Something went wrong here; the log has more under the request's id"),
    Refusal(503, "overloaded", "The server is busy, or the handler took too long"),
    Refusal(503, "handler_timeout"),
)

CREATE_CLIENT = (CROSS_ORIGIN,)
_CREDENTIALS = (
    *_all(400, "validation_failed", "email_address_invalid", "provider_disabled", "invalid_credentials"),
    *_all(400, "email_not_confirmed", "user_banned"),
    *_all(429, "over_request_rate_limit", "over_email_send_rate_limit"),
)
_SIGN_UP = (
    *_all(400, "validation_failed", "email_address_invalid", "phone_provider_disabled"),
    *_all(422, "user_already_exists", "weak_password", "signup_disabled", "anonymous_provider_disabled"),
    *_all(429, "over_request_rate_limit", "over_email_send_rate_limit"),
)
_SESSION = (
    *_all(400, "validation_failed", "session_expired", "refresh_token_not_found", "refresh_token_already_used"),
    *_all(401, "no_authorization", "reauthentication_needed"),
    *_all(403, "bad_jwt", "session_not_found", "otp_expired", "not_admin", "insufficient_aal"),
    *_all(404, "user_not_found", "flow_state_not_found", "identity_not_found"),
    *_all(422, "same_password", "weak_password", "email_exists", "reauthentication_not_valid"),
    *_all(429, "over_request_rate_limit", "over_email_send_rate_limit"),
)
# ``supabase.auth.<name>``: what is not listed here asks for a session, and may say whatever is wrong with it.
AUTH_CALLS: dict[str, tuple[Refusal, ...]] = {
    "get_user": (),
    "get_session": (),
    "sign_up": _SIGN_UP,
    "sign_in_anonymously": _SIGN_UP,
    "sign_in_with_password": _CREDENTIALS,
    "sign_in_with_otp": (*_CREDENTIALS, *_all(422, "otp_disabled", "signup_disabled")),
    "sign_in_with_oauth": _CREDENTIALS,
    "reset_password_for_email": _CREDENTIALS,
    "resend": _CREDENTIALS,
}
AUTH_CALL = _SESSION

CALLS: dict[str, tuple[Refusal, ...]] = {
    "auth.client.create_client": CREATE_CLIENT,
    "auth.guard.get_user": CREATE_CLIENT,
    "auth.guard.require_user": (SIGNED_OUT, WRONG_ROLE, *CREATE_CLIENT),
    "ratelimit.RateLimiter.check": (OVER_LIMIT,),
    "http.request.Request.bytes": (TOO_LARGE, SLOW),
    "http.request.Request.text": (TOO_LARGE, SLOW),
    "http.request.Request.stream": (TOO_LARGE, SLOW),
    "http.request.Request.json": (BAD_JSON, TOO_LARGE, SLOW),
    "http.request.Request.form_data": (*BAD_FORM, TOO_LARGE, SLOW),
    "http.response.Response.file": (Refusal(404, None, "There is no such file"),),
    "webhooks.inbox.once": DB_WRITE,
}
VERIFY = Refusal(400, "invalid_signature", "The signature is not right, or too old")
WEBHOOKS = "webhooks."  # every verify() and construct_event() below it
WEBHOOK_ANSWER: Schema = {
    "type": "object",
    "properties": {"received": {"type": "boolean"}, "challenge": {}},
}
