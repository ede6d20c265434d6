"""What signing in can answer, in GoTrue's words.

The words are those of https://supabase.com/docs/guides/auth/debugging/error-codes, so programs
written against hosted Supabase read them. How an error looks on the wire is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import HTTPError

EXPIRED = "Token has expired or is invalid"

# Word -> status, and what people are told.
_KNOWN: dict[str, tuple[int, str]] = {
    "validation_failed": (400, "A value has the wrong form"),
    "bad_jwt": (403, "invalid JWT: unable to parse or verify signature"),
    "no_authorization": (401, "This endpoint requires a valid Bearer token"),
    "not_admin": (403, "User not allowed"),
    "user_not_found": (404, "User not found"),
    "session_not_found": (403, "Session from session_id claim in JWT does not exist"),
    "session_expired": (400, "Invalid Refresh Token: Session Expired"),
    "refresh_token_not_found": (400, "Invalid Refresh Token: Refresh Token Not Found"),
    "refresh_token_already_used": (400, "Invalid Refresh Token: Already Used"),
    "flow_state_not_found": (404, "invalid flow state, no valid flow state found"),
    "flow_state_expired": (404, "invalid flow state, flow state has expired"),
    "bad_code_verifier": (400, "code challenge does not match previously saved code verifier"),
    "signup_disabled": (422, "Signups not allowed for this instance"),
    "anonymous_provider_disabled": (422, "Anonymous sign-ins are disabled"),
    "user_already_exists": (422, "User already registered"),
    "email_exists": (422, "A user with this email address has already been registered"),
    "invalid_credentials": (400, "Invalid login credentials"),
    "email_not_confirmed": (400, "Email not confirmed"),
    "user_banned": (400, "User is banned"),
    "same_password": (422, "New password should be different from the old password."),
    "weak_password": (422, "Password should be longer."),
    "reauthentication_needed": (401, "Password update requires reauthentication"),
    "reauthentication_not_valid": (422, "Nonce has expired or is invalid"),
    "otp_expired": (403, EXPIRED),
    "otp_disabled": (422, "Signups not allowed for otp"),
    "over_request_rate_limit": (429, "Request rate limit reached"),
    "over_email_send_rate_limit": (429, "For security purposes, you can only request this after a while."),
    "provider_disabled": (400, "Unsupported provider: provider is not enabled"),
    "provider_email_needs_verification": (422, "Unverified email with the provider"),
    "bad_oauth_state": (400, "OAuth state not found or expired"),
    "bad_oauth_callback": (400, "OAuth callback with invalid state"),
    "identity_already_exists": (422, "Identity is already linked to another user"),
    "identity_not_found": (404, "Identity doesn't exist"),
    "single_identity_not_deletable": (422, "User must have at least 1 identity after unlinking"),
    "email_address_invalid": (400, "Email address is invalid"),
    "bad_json": (400, "Could not parse request body as JSON"),
    "not_found": (404, "There is no such endpoint"),
    "phone_provider_disabled": (400, "Phones are not offered here"),
    "manual_linking_disabled": (404, "Manual linking is disabled"),
    "web3_provider_disabled": (422, "Web3 provider is disabled"),
    "saml_provider_disabled": (404, "SAML 2.0 is disabled"),
    "mfa_factor_not_found": (404, "Factor not found"),
    "mfa_factor_name_conflict": (422, "A factor with this friendly name exists already"),
    "mfa_challenge_expired": (422, "MFA challenge has expired, verify against another challenge or create a new one."),
    "mfa_verification_failed": (422, "Invalid TOTP code entered"),
    "mfa_phone_enroll_not_enabled": (422, "MFA by phone is not offered here"),
    "mfa_webauthn_enroll_not_enabled": (422, "MFA by WebAuthn is not offered here"),
    "too_many_enrolled_mfa_factors": (422, "Maximum number of verified factors reached, unenroll to continue"),
    "insufficient_aal": (403, "AAL2 session is required to do this"),
    "unexpected_failure": (500, "Unexpected failure, please check server logs for more information"),
}


class AuthError(HTTPError):
    """Signing in, or anything like it, was refused.

    Args:
        code: GoTrue's word; it brings its status and message.
        message: A better message.
        status: Another status.
        reasons: For ``weak_password``: ``length``, ``characters``.
    """

    code: str

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        status: int | None = None,
        reasons: Sequence[str] = (),
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        known, said = _KNOWN[code]
        super().__init__(status or known, message or said, headers=headers, code=code)
        self.reasons = tuple(reasons)

    @property
    def message(self) -> str:
        """What people are told."""
        return self.detail or ""


def invalid(message: str) -> AuthError:
    """``validation_failed`` with *message*."""
    return AuthError("validation_failed", message)
