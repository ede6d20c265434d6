"""The auth wire for second factors: users enroll and show them, administrators list and remove them."""

from __future__ import annotations

from ..http.response import Response
from .call import Call, answer
from .errors import AuthError
from .routes_admin import user_id


async def enroll(call: Call) -> Response:
    """A new factor with its secret, which is shown this once."""
    access_token, kind = call.token, call.text("factor_type")
    if kind == "phone":
        raise AuthError("mfa_phone_enroll_not_enabled")
    if kind == "webauthn":
        raise AuthError("mfa_webauthn_enroll_not_enabled")
    if kind != "totp":
        raise AuthError("validation_failed", "factor_type needs to be totp")
    factor = await call.service.factors.enroll(
        access_token, name=call.text("friendly_name"), issuer=call.text("issuer")
    )
    return answer(factor)


async def challenge(call: Call) -> Response:
    """The right to try codes of a factor."""
    return answer(await call.service.factors.challenge(call.token, call.holes[0], call.context))


async def verify(call: Call) -> Response:
    """A session of the higher level for the right code."""
    access_token = call.token
    challenge_id, code = call.needed("challenge_id", "challenge_id required"), call.needed("code", "code required")
    return answer(await call.service.factors.verify(access_token, call.holes[0], challenge_id, code, call.context))


async def unenroll(call: Call) -> Response:
    """Take one's own factor away."""
    return answer(await call.service.factors.unenroll(call.token, call.holes[0]))


async def list_of_user(call: Call) -> Response:
    """A user's factors."""
    user = await call.service.admin_get_user(user_id(call))
    return answer(await call.service.factors.of_user(user.id))


async def delete_of_user(call: Call) -> Response:
    """Take a user's factor away."""
    return answer(await call.service.factors.delete(user_id(call), call.holes[1]))
