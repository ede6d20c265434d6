"""The keys that sign tokens: a ring whose first key signs while all of them verify.

A key is a JWK (RFC 7517) with its ``kid`` and its one algorithm. In development a pair is made in
``.turnout/keys.json``, readable by its owner alone; production takes the list from
``TURNOUT_AUTH_KEYS`` and does not start without it, since a key that each machine makes for itself
signs everybody out at every deploy. There is no built-in secret. From each private key two more
secrets are derived, for refresh tokens and for codes, so that there is one thing to keep.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..env import Mode
from ..errors import ConfigError

VARIABLE = "TURNOUT_AUTH_KEYS"
API_ISSUER = "turnout"  # of the anon and service_role keys, which belong to no site
_API_KEY_S = 10 * 365 * 86_400
_ALGORITHMS = {"EC": "ES256", "oct": "HS256", "RSA": "RS256"}
_PUBLIC = {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "oct": ()}
_NEEDED = {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "oct": ("k",)}
_LEAST_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a ring.

    Attributes:
        kid: Its name in token headers; None for a key of tokens that name none.
        alg: The only algorithm it is used with.
        verifying: What PyJWT verifies with.
        signing: What it signs with; None for a public key.
        secret: The private part as bytes, from which others are derived; empty for a public key.
        public: The JWK that may be shown; None for a shared secret.
    """

    kid: str | None
    alg: str
    verifying: Any
    signing: Any
    secret: bytes
    public: dict[str, Any] | None

    def __repr__(self) -> str:
        return f"<Key {self.kid} {self.alg}>"

    def derived(self, purpose: bytes) -> bytes:
        """A secret of this key's own for *purpose*."""
        return hmac.digest(self.secret, b"turnout " + purpose, "sha256")


class Keys:
    """A ring of keys, made by :meth:`load` or :meth:`of`."""

    def __init__(self, ring: Sequence[Key]) -> None:
        if not ring or ring[0].signing is None:
            raise ConfigError(
                "the first signing key has no private part", cure="put a key made by: turnout auth keys first"
            )
        self.ring = tuple(ring)
        self.by_kid = {key.kid: key for key in reversed(self.ring)}
        if len(self.by_kid) != len(self.ring):
            raise ConfigError("two signing keys have the same kid", cure="remove one, or rename it")
        private = [key for key in self.ring if key.secret]
        self.rotation = tuple(key.derived(b"refresh") for key in private)
        self.codes = tuple(key.derived(b"codes") for key in private)

    def __repr__(self) -> str:
        return f"<Keys {', '.join(map(str, self.by_kid))}>"

    @property
    def first(self) -> Key:
        """The one that signs."""
        return self.ring[0]

    @classmethod
    def of(cls, jwks: Sequence[Mapping[str, Any]]) -> Keys:
        """The ring of *jwks*, the first of which signs.

        Raises:
            ConfigError: a key of a kind, curve or use that is not for signing tokens, or too short a secret.
        """
        return cls([parse_key(jwk) for jwk in jwks])

    @classmethod
    def load(cls, root: Path, mode: Mode, env: Mapping[str, str]) -> Keys:
        """The project's keys: from ``TURNOUT_AUTH_KEYS``, or outside production from ``.turnout/keys.json``.

        Raises:
            ConfigError: production without ``TURNOUT_AUTH_KEYS``, or keys that cannot be used.
        """
        return cls.of(read_keys(root, mode, env))

    def jwks(self) -> dict[str, Any]:
        """What ``/.well-known/jwks.json`` shows: the public keys."""
        return {"keys": [key.public for key in self.ring if key.public is not None]}

    def api_key(self, role: str, *, now_s: float | None = None) -> str:
        """A token that is nobody's, for *role* ``anon`` or ``service_role``, good for ten years.

        The same key gives the same token but for the signature, which ES256 salts.
        """
        import jwt

        now = int(time.time() if now_s is None else now_s)
        claims = {"iss": API_ISSUER, "aud": role, "role": role, "iat": now, "exp": now + _API_KEY_S}
        headers = None if self.first.kid is None else {"kid": self.first.kid}
        return jwt.encode(claims, self.first.signing, self.first.alg, headers=headers)


def keys_file(root: Path) -> Path:
    """Where the keys of the project in *root* are outside production."""
    return root / ".turnout" / "keys.json"


def read_keys(root: Path, mode: Mode, env: Mapping[str, str]) -> list[dict[str, Any]]:
    """The JWKs that :meth:`Keys.load` makes a ring of; made now if there are none and may be."""
    text = env.get(VARIABLE)
    if text:
        return _parse_list(text, VARIABLE)
    if mode == "production":
        raise ConfigError(
            f"{VARIABLE} is not set, and in production there is no other place for signing keys",
            cure="run: turnout auth keys; and set its one line where the server is started",
        )
    file = keys_file(root)
    return _parse_list(_read_private(file) or _make_file(file), str(file))


def make_key() -> dict[str, Any]:
    """A new ES256 pair as a JWK, with its private part."""
    from cryptography.hazmat.primitives.asymmetric import ec

    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    point = numbers.public_numbers
    d, x, y = (_b64(n.to_bytes(32, "big")) for n in (numbers.private_value, point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "kid": _b64(secrets.token_bytes(9)), "alg": "ES256", "use": "sig",
            "x": x, "y": y, "d": d}  # fmt: skip


def parse_key(jwk: Mapping[str, Any]) -> Key:
    """Read one JWK; its ``use`` and ``key_ops`` are honoured.

    Raises:
        ConfigError: it cannot be used for signing tokens.
    """
    kind, kid = jwk.get("kty"), jwk.get("kid")
    name = f"the signing key {kid!r}" if kid else "a signing key without kid"
    if kind not in _ALGORITHMS:
        raise ConfigError(f"{name} has the kty {str(kind)[:20]!r}", cure="EC (P-256), RSA or oct")
    alg = jwk.get("alg", _ALGORITHMS[kind])
    if alg != _ALGORITHMS[kind]:
        raise ConfigError(f"{name} has the alg {str(alg)[:20]!r}", cure=f"{kind} goes with {_ALGORITHMS[kind]}")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= 200):
        raise ConfigError("a signing key has a kid that is no short text", cure="make keys with: turnout auth keys")
    operations = jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or not (operations is None or {"sign", "verify"} & set(operations)):
        raise ConfigError(f"{name} is not for signatures, by its use or key_ops", cure="use one that is")
    if any(not isinstance(jwk.get(part), str) for part in _NEEDED[kind]):
        raise ConfigError(f"{name} lacks one of {', '.join(_NEEDED[kind])}", cure="copy the whole key")
    try:
        return _built(kind, kid, alg, jwk, may_sign=operations is None or "sign" in operations)
    except ConfigError:
        raise
    except Exception as exc:  # whatever the library says, it may quote the key
        raise ConfigError(f"{name} cannot be read: {type(exc).__name__}", cure="copy the whole key") from None


def _built(kind: str, kid: str | None, alg: str, jwk: Mapping[str, Any], *, may_sign: bool) -> Key:
    import jwt

    if kind == "oct":
        secret = _unb64(jwk["k"])
        if len(secret) < _LEAST_SECRET_BYTES:
            raise ConfigError(
                f"the HS256 secret {kid!r} is shorter than {_LEAST_SECRET_BYTES} bytes", cure="make a longer one"
            )
        return Key(kid, alg, secret, secret if may_sign else None, secret, None)
    if kind == "EC" and jwk["crv"] != "P-256":
        raise ConfigError(f"the key {kid!r} is on the curve {str(jwk['crv'])[:20]!r}", cure="ES256 needs P-256")
    shown = {"kty": kind, "kid": kid, "alg": alg, "use": "sig", "key_ops": ["verify"]}
    public = {name: value for name, value in shown.items() if value is not None}
    public |= {part: jwk[part] for part in _PUBLIC[kind]}
    verifying = jwt.PyJWK(public).key
    if kind == "RSA" and verifying.key_size < 2048:
        raise ConfigError(f"the RSA key {kid!r} is shorter than 2048 bits", cure="make a longer one")
    if "d" not in jwk:
        return Key(kid, alg, verifying, None, b"", public)
    private = {name: value for name, value in jwk.items() if name not in ("use", "key_ops")}
    signing = jwt.PyJWK({**private, "alg": alg}).key
    if signing.public_key().public_numbers() != verifying.public_numbers():
        raise ConfigError(f"the private part of the key {kid!r} is another key's", cure="copy the whole key")
    return Key(kid, alg, verifying, signing if may_sign else None, _unb64(jwk["d"]), public)


def _parse_list(text: str, where: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None  # the message would quote the keys
    if isinstance(found, dict):
        found = found.get("keys", [found])
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise ConfigError(f"{where} is not a list of JWKs in JSON", cure="make it with: turnout auth keys")
    return found


def _read_private(file: Path) -> str | None:
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8") as opened:
        if os.name != "nt" and stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)  # a copy or a checkout has opened it to others
        return opened.read()


def _make_file(file: Path) -> str:
    """Write a new ring, and give back what is in the file: another process may have been first."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    ignore = file.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return write_keys(file, [make_key()], replace=False)


def write_keys(file: Path, jwks: Sequence[Mapping[str, Any]], *, replace: bool) -> str:
    """Write *jwks* to *file* for its owner alone, in one step; without *replace* a file that is there stays."""
    text = json.dumps({"keys": list(jwks)}, indent=2) + "\n"
    fresh = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        if replace:
            fresh.replace(file)
            return text
        try:
            os.link(fresh, file)
        except FileExistsError:
            return file.read_text(encoding="utf-8")
        return text
    finally:
        fresh.unlink(missing_ok=True)


def fingerprint(jwk: Mapping[str, Any]) -> str:
    """The RFC 7638 thumbprint of a public key, for showing people which one it is."""
    parts = {name: jwk[name] for name in sorted(("kty", *_PUBLIC[jwk["kty"]]))}
    return _b64(hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).digest())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
