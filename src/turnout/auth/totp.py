"""Codes of authenticator apps: six digits out of a shared secret and the time.

RFC 6238 with what every app supports: HMAC-SHA1, six digits, thirty seconds. One step before and
one after are taken, for clocks that differ. That a step is used once only is for the caller to see
to: ``matching_step`` says which one it was.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20  # RFC 4226 section 4 recommends 160 bits


def make_secret() -> bytes:
    """A new secret."""
    return secrets.token_bytes(SECRET_BYTES)


def to_base32(secret: bytes) -> str:
    """*secret* as people type it into an app."""
    return base64.b32encode(secret).decode().rstrip("=")


def code_at(secret: bytes, step: int) -> str:
    """The code of one time step (RFC 4226 section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 0x0F
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: bytes, code: str, now_s: float) -> int | None:
    """The step that *code* belongs to, or None; every candidate is compared, in constant time."""
    if len(code) != DIGITS or not (code.isascii() and code.isdecimal()):
        return None
    current = int(now_s // STEP_S)
    steps = (current, current - 1, current + 1)
    hits = [step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), code.encode())]
    return hits[0] if hits else None


def to_uri(secret: bytes, account: str, issuer: str) -> str:
    """The ``otpauth`` URI that a QR code carries.

    Source: https://github.com/google/google-authenticator/wiki/Key-Uri-Format
    """
    label = quote(f"{issuer}:{account}", safe="@")
    values = {"algorithm": "SHA1", "digits": DIGITS, "issuer": issuer, "period": STEP_S, "secret": to_base32(secret)}
    return f"otpauth://totp/{label}?{urlencode(values, quote_via=quote)}"
