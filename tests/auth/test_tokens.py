"""Access tokens: what is refused, whoever made it, and what is remembered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest

from tests.auth.world import refused
from turnout.auth.keys import Keys, make_key
from turnout.auth.tokens import Tokens

ISSUER = "https://app.example.com/auth/v1"
KEY, OTHER = make_key(), make_key()
SECRET = base64.urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
RING = Keys.of([KEY, {"kty": "oct", "kid": "shared", "k": SECRET, "alg": "HS256"}])
SUB = "aaaaaaaa-0000-4000-8000-000000000001"


def tokens(ring: Keys = RING, **options: Any) -> Tokens:
    return Tokens(ring, ISSUER, **options)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    full = {"iss": ISSUER, "aud": "authenticated", "exp": now + 3600, "iat": now, "sub": SUB, **changed}
    return {name: value for name, value in full.items() if value is not ...}


def made(payload: Any, ring_key: dict[str, Any] = KEY, **header: Any) -> str:
    """A token that is rightly signed, whatever is in it."""
    full = {"alg": "ES256", "typ": "JWT", "kid": ring_key["kid"], **header}
    head = b64(json.dumps({name: value for name, value in full.items() if value is not ...}).encode())
    body = b64(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    signing = Keys.of([ring_key]).first.signing
    algorithm = jwt.get_algorithm_by_name("ES256")
    return f"{head}.{body}.{b64(algorithm.sign(f'{head}.{body}'.encode(), signing))}"


def hs256(secret: bytes, payload: Any, **header: Any) -> str:
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT", **header}).encode())
    body = b64(json.dumps(payload).encode())
    return f"{head}.{body}.{b64(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def spare_bits(text: str) -> str:
    """The same bytes written in another way: base64url's last character has bits to spare."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(text[-1])
    return text[:-1] + alphabet[at ^ 1]


def flipped(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{('B' if signature[0] == 'A' else 'A') + signature[1:]}"


def public_pem() -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem: bytes = RING.first.verifying.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


GOOD = made(claims())
HEAD, BODY, SIGNATURE = GOOD.split(".")

FORGED = {
    "empty": "",
    "two parts": f"{HEAD}.{BODY}",
    "four parts": f"{GOOD}.x",
    "no signature": f"{HEAD}.{BODY}.",
    "signature changed": flipped(GOOD),
    "signature of another token": f"{HEAD}.{b64(json.dumps(claims(sub='x')).encode())}.{SIGNATURE}",
    "alg none": f"{b64(json.dumps({'alg': 'none', 'typ': 'JWT'}).encode())}.{BODY}.",
    "alg none with kid": f"{b64(json.dumps({'alg': 'none', 'kid': KEY['kid']}).encode())}.{BODY}.{SIGNATURE}",
    "alg NONE": made(claims(), alg="NONE"),
    "alg of another key": made(claims(), alg="HS256"),
    "alg ES384": made(claims(), alg="ES384"),
    "no alg": made(claims(), alg=...),
    "alg is a list": made(claims(), alg=["ES256"]),
    "HS256 by the public key": hs256(public_pem(), claims(), kid=KEY["kid"]),
    "HS256 by the public key, kid of the shared one": hs256(public_pem(), claims(), kid="shared"),
    "HS256 by an empty secret": hs256(b"", claims(), kid="shared"),
    "a key that is not in the ring": made(claims(), OTHER),
    "another key, our kid": made(claims(), {**OTHER, "kid": KEY["kid"]}),
    "no kid": made(claims(), kid=...),
    "kid null": made(claims(), kid=None),
    "kid is a number": made(claims(), kid=1),
    "kid is a path": made(claims(), kid="../../dev/null"),
    "kid is SQL": made(claims(), kid="x' union select 'y"),
    "crit": made(claims(), crit=["exp"]),
    "crit b64": made(claims(), crit=["b64"], b64=False),
    "b64": made(claims(), b64=False),
    "zip": made(claims(), zip="DEF"),
    "jwk": made(claims(), jwk={name: KEY[name] for name in ("kty", "crv", "x", "y")}),
    "jku": made(claims(), jku="https://evil.example/jwks.json"),
    "x5u": made(claims(), x5u="https://evil.example/cert"),
    "x5c": made(claims(), x5c=["MIIB"]),
    "typ at+jwt": made(claims(), typ="at+jwt"),
    "typ is a number": made(claims(), typ=1),
    "padded signature": GOOD + "==",
    "padded header": f"{HEAD}=.{BODY}.{SIGNATURE}",
    "spare bits in the signature": f"{HEAD}.{BODY}.{spare_bits(SIGNATURE)}",
    "plain base64": GOOD.replace("_", "/").replace("-", "+") + "/",
    "a line feed": GOOD + "\n",
    "a blank before": " " + GOOD,
    "a NUL": GOOD + "\0",
    "not ASCII": GOOD + "é",
    "a surrogate": GOOD + "\ud800",
    "too long": GOOD + "A" * 20_000,
    "JSON serialization": json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
    "the header is a list": f"{b64(b'[]')}.{BODY}.{SIGNATURE}",
    "the header is no JSON": f"{b64(b'hello')}.{BODY}.{SIGNATURE}",
    "the payload is a list": made([]),
    "the payload is no JSON": made(b"hello"),
    "the payload is not UTF-8": made(b'{"a":"\xff"}'),
    "the payload is deep": made(b"[" * 20_000),
    "expired": made(claims(exp=int(time.time()) - 1)),
    "expires now": made(claims(exp=time.time())),
    "no exp": made(claims(exp=...)),
    "exp null": made(claims(exp=None)),
    "exp is a text": made(claims(exp=str(int(time.time()) + 60))),
    "exp is true": made(claims(exp=True)),
    "exp is a list": made(claims(exp=[9999999999])),
    "exp is not a number": made(json.dumps(claims(exp=float("nan"))).encode()),
    "not yet": made(claims(nbf=int(time.time()) + 1800)),
    "nbf is a text": made(claims(nbf="0")),
    "no iss": made(claims(iss=...)),
    "another iss": made(claims(iss="https://evil.example/auth/v1")),
    "iss with a slash": made(claims(iss=ISSUER + "/")),
    "iss is a list": made(claims(iss=[ISSUER])),
    "no aud": made(claims(aud=...)),
    "another aud": made(claims(aud="admin")),
    "aud in another case": made(claims(aud="Authenticated")),
    "aud is an object": made(claims(aud={"authenticated": 1})),
    "the API's issuer, a user in it": made(claims(iss="turnout", aud="service_role", role="service_role")),
    "the API's issuer, another role": made(claims(iss="turnout", aud="authenticated", role="authenticated", sub=...)),
    "the API's issuer, aud and role differ": made(claims(iss="turnout", aud="anon", role="service_role", sub=...)),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_or_spoilt_token_is_refused(name: str) -> None:
    with refused("bad_jwt", 403):
        tokens().verify(FORGED[name])


def test_what_the_forgeries_are_made_from_is_good() -> None:
    assert tokens().verify(GOOD)["sub"] == SUB
    assert tokens().verify(hs256(b"s" * 32, claims(), kid="shared"))["sub"] == SUB
    assert tokens().verify(made(claims(aud=["x", "authenticated"])))["sub"] == SUB


def test_every_refusal_says_the_same_but_that_a_token_is_expired() -> None:
    said = set()
    for token in FORGED.values():
        try:
            tokens().verify(token)
        except Exception as exc:
            said.add(str(exc))
    unreadable = "(403, 'invalid JWT: unable to parse or verify signature')"
    assert said == {unreadable, "(403, 'invalid JWT: token is expired')"}


def test_a_token_changed_at_any_place_is_refused() -> None:
    for at, letter in enumerate(GOOD):
        changed = GOOD[:at] + ("A" if letter != "A" else "B") + GOOD[at + 1 :]
        with refused("bad_jwt"):
            tokens().verify(changed)


def test_a_signature_is_computed_once_and_the_expiry_looked_at_every_time() -> None:
    mine, now = tokens(), time.time()
    token, expires = mine.sign({"sub": SUB}, now_s=now)
    assert expires == int(now) + 3600
    for _ in range(3):
        assert mine.verify(token, now_s=now)["sub"] == SUB
    assert mine.verified == 1
    with refused("bad_jwt"):
        mine.verify(token, now_s=now + 3600)
    with refused("bad_jwt"):
        mine.verify(token, now_s=expires)
    assert mine.verify(token, now_s=expires - 1)
    assert mine.verified == 1


def test_at_most_ten_thousand_signatures_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    from turnout.auth import tokens as module

    monkeypatch.setattr(module, "_REMEMBERED", 3)
    mine = tokens()
    signed = [mine.sign({"sub": SUB, "n": n})[0] for n in range(4)]
    for token in signed:
        mine.verify(token)
    mine.verify(signed[3])
    assert mine.verified == 4
    mine.verify(signed[0])
    assert mine.verified == 5


def test_a_refused_token_is_not_remembered_unless_time_alone_is_against_it() -> None:
    mine = tokens()
    for token in FORGED.values():
        with refused("bad_jwt"):
            mine.verify(token)
    now = time.time()
    assert all(claims["exp"] <= now or claims["nbf"] > now for claims in mine._known.values())


def test_a_token_says_nothing_in_its_header_but_algorithm_type_and_key() -> None:
    token, _ = tokens().sign({"sub": SUB})
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "JWT", "kid": KEY["kid"]}


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_the_keys_of_the_api_verify_and_are_nobody(role: str) -> None:
    found = tokens().verify(RING.api_key(role))
    assert found["role"] == role and "sub" not in found


def test_another_library_verifies_our_tokens_from_the_published_keys() -> None:
    token, _ = tokens().sign({"sub": SUB})
    published = jwt.PyJWKSet.from_dict(RING.jwks())[KEY["kid"]]
    assert jwt.decode(token, published.key, algorithms=["ES256"], audience="authenticated", issuer=ISSUER)["sub"] == SUB


def test_a_token_without_kid_is_taken_by_a_key_without_kid_alone() -> None:
    legacy = Keys.of([KEY, {"kty": "oct", "k": SECRET, "alg": "HS256"}])
    assert tokens(legacy).verify(hs256(b"s" * 32, claims()))["sub"] == SUB
    with refused("bad_jwt"):
        tokens(legacy).verify(made(claims(), kid=...))
    with refused("bad_jwt"):
        tokens(legacy).verify(hs256(hashlib.sha256(b"").digest(), claims()))
