"""Access tokens: JWTs that we sign, and a strict look at those that come back.

RFC 7519 and RFC 8725. PyJWT computes signatures and decides nothing: which key and algorithm is
settled before it is asked, by ``kid`` alone, and each key has one algorithm. What a signature
covered is remembered by the token's sha256; when it expires is looked at every time. Whether the
session behind a token is still there is not known here.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .errors import AuthError
from .keys import API_ISSUER, Key, Keys

AUDIENCE = "authenticated"
API_ROLES = frozenset(("anon", "service_role"))
MAX_BYTES = 16_384
_REMEMBERED, _REMEMBERED_BYTES = 10_000, 4_096
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_REFUSED = frozenset(("crit", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "b64", "enc", "epk", "p2c", "p2s"))
_REQUIRED = ("exp", "iss", "aud")


class Tokens:
    """Signs and verifies the access tokens of one site.

    Args:
        keys: The ring.
        issuer: The ``iss`` of tokens; another's are refused.
        audience: The ``aud`` likewise.
        lifetime_s: How long a token is good for.
        required: The claims that must be there. Only a test that plays another server's tokens gives fewer.
    """

    def __init__(
        self,
        keys: Keys,
        issuer: str,
        audience: str = AUDIENCE,
        lifetime_s: int = 3600,
        required: Iterable[str] = _REQUIRED,
    ) -> None:
        self.keys, self.issuer, self.audience, self.lifetime_s = keys, issuer, audience, lifetime_s
        self.required = frozenset(required)
        self.verified = 0  # signatures computed; tests count them
        self._known: OrderedDict[bytes, dict[str, Any]] = OrderedDict()

    def sign(self, claims: Mapping[str, Any], *, now_s: float | None = None) -> tuple[str, int]:
        """A token with *claims* and the usual ones, and the second at which it expires."""
        import jwt

        now = int(time.time() if now_s is None else now_s)
        expires = now + self.lifetime_s
        full = {"iss": self.issuer, "aud": self.audience, "exp": expires, "iat": now, **claims}
        key = self.keys.first
        return jwt.encode(full, key.signing, key.alg, headers=None if key.kid is None else {"kid": key.kid}), expires

    def verify(self, token: str, *, now_s: float | None = None) -> dict[str, Any]:
        """The claims of *token*; the caller may not change them.

        Raises:
            AuthError: ``bad_jwt``, for whatever reason: what exactly is wrong helps forgers only.
        """
        if not isinstance(token, str) or len(token) > MAX_BYTES or not token.isascii():
            raise AuthError("bad_jwt")
        name = hashlib.sha256(token.encode()).digest()
        claims = self._known.get(name)
        if claims is None:
            claims = self._proven(token)
            if len(token) <= _REMEMBERED_BYTES:
                self._known[name] = claims
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        now = time.time() if now_s is None else now_s
        if claims.get("exp", math.inf) <= now:
            raise AuthError("bad_jwt", "invalid JWT: token is expired")
        if claims.get("nbf", -math.inf) > now:
            raise AuthError("bad_jwt")
        return claims

    def _proven(self, token: str) -> dict[str, Any]:
        shape = _SHAPE.fullmatch(token)
        if shape is None:
            raise AuthError("bad_jwt")
        header, claims = _object(shape[1]), _object(shape[2])
        _canonical(shape[3])
        key = self._key(header)
        _check_signature(token, key)
        self.verified += 1
        self._check_claims(claims)
        return claims

    def _key(self, header: Mapping[str, Any]) -> Key:
        if _REFUSED & header.keys() or header.get("typ", "JWT") not in ("JWT", "jwt"):
            raise AuthError("bad_jwt")
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise AuthError("bad_jwt")
        key = self.keys.by_kid.get(kid)
        if key is None or header.get("alg") != key.alg:
            raise AuthError("bad_jwt")
        return key

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        for name in ("exp", "nbf", "iat"):
            value = claims.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise AuthError("bad_jwt")
        if any(claims.get(name) is None for name in self.required):
            raise AuthError("bad_jwt")
        issuer, audience = claims.get("iss"), claims.get("aud")
        if issuer == API_ISSUER:
            # A key of the API is nobody: it cannot pass for a user, nor a user's token for it.
            if claims.get("role") not in API_ROLES or audience != claims["role"] or "sub" in claims:
                raise AuthError("bad_jwt")
            return
        if issuer != self.issuer and (issuer is not None or "iss" in self.required):
            raise AuthError("bad_jwt")
        named = audience if isinstance(audience, list) else [audience]
        if self.audience not in named and (audience is not None or "aud" in self.required):
            raise AuthError("bad_jwt")


def _check_signature(token: str, key: Key) -> None:
    import jwt

    try:
        jwt.api_jws.PyJWS(algorithms=[key.alg]).decode(token, key.verifying, algorithms=[key.alg])
    except jwt.PyJWTError:
        raise AuthError("bad_jwt") from None


def _object(part: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(_canonical(part))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AuthError("bad_jwt") from None
    if not isinstance(found, dict):
        raise AuthError("bad_jwt")
    return found


def _canonical(part: str) -> bytes:
    """Decode base64url that is written in its one way: the spare bits of the last character are zero."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise AuthError("bad_jwt") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise AuthError("bad_jwt")
    return data


# --- refresh tokens ---


def first_refresh_token() -> str:
    """256 random bits, for a new session."""
    return secrets.token_urlsafe(32)


def child_of(token: str, rotation: bytes) -> str:
    """The token that follows *token*: whoever has the key and *token* can say it again, nobody else."""
    import hmac

    return base64.urlsafe_b64encode(hmac.digest(rotation, token.encode(), "sha256")).rstrip(b"=").decode()


def stored(token: str) -> str:
    """What the database holds of a secret: its sha256 in hex. Only for secrets too long to guess."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
