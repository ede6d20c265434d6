"""Keys of the project's own: where they are, what is refused, and how they are rotated."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.auth.world import SITE
from turnout.auth.keys import Keys, make_key
from turnout.auth.tokens import Tokens
from turnout.errors import ConfigError

KEY = make_key()
SHORT = base64.urlsafe_b64encode(b"s" * 31).rstrip(b"=").decode()


def test_development_makes_a_key_file_for_its_owner_alone_and_keeps_it(tmp_path: Path) -> None:
    first = Keys.load(tmp_path, "development", {})
    file = tmp_path / ".turnout" / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert (file.parent / ".gitignore").read_text() == "*\n"
    assert first.first.alg == "ES256"
    assert Keys.load(tmp_path, "development", {}).jwks() == first.jwks()


def test_a_key_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    Keys.load(tmp_path, "test", {})
    file = tmp_path / ".turnout" / "keys.json"
    file.chmod(0o644)
    Keys.load(tmp_path, "test", {})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_two_projects_have_different_keys(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert Keys.load(tmp_path / "a", "development", {}).jwks() != Keys.load(tmp_path / "b", "development", {}).jwks()


def test_processes_that_start_at_once_end_up_with_one_key(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from turnout.auth.keys import Keys; "
        "print(Keys.load(Path(sys.argv[1]), 'development', {}).first.kid)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(4)]
    assert len({each.communicate()[0] for each in running}) == 1
    assert all(each.returncode == 0 for each in running)
    assert sorted(each.name for each in (tmp_path / ".turnout").iterdir()) == [".gitignore", "keys.json"]


def test_production_refuses_to_go_without_the_variable_and_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TURNOUT_AUTH_KEYS is not set"):
        Keys.load(tmp_path, "production", {})
    with pytest.raises(ConfigError, match="TURNOUT_AUTH_KEYS is not set"):
        Keys.load(tmp_path, "production", {"TURNOUT_AUTH_KEYS": ""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [list, lambda keys: {"keys": keys}])
def test_production_takes_a_list_whose_first_key_signs_while_all_verify(tmp_path: Path, shape: Any) -> None:
    old, new = make_key(), make_key()
    before = Tokens(Keys.load(tmp_path, "production", {"TURNOUT_AUTH_KEYS": json.dumps([old])}), SITE)
    token, _ = before.sign({"sub": "x"})
    ring = Keys.load(tmp_path, "production", {"TURNOUT_AUTH_KEYS": json.dumps(shape([new, old]))})
    after = Tokens(ring, SITE)
    assert after.verify(token)["sub"] == "x"
    assert ring.first.kid == new["kid"]
    assert before.verify(token)["sub"] == "x"


def test_an_old_key_may_be_listed_without_its_private_part() -> None:
    public = {name: value for name, value in KEY.items() if name != "d"}
    ring = Keys.of([make_key(), public])
    assert len(ring.jwks()["keys"]) == 2
    assert len(ring.rotation) == 1
    with pytest.raises(ConfigError, match="no private part"):
        Keys.of([public])


REFUSED = {
    "kty": {**KEY, "kty": "OKP"},
    "alg": {**KEY, "alg": "ES384"},
    "alg none": {**KEY, "alg": "none"},
    "HS256 with an EC key": {**KEY, "alg": "HS256"},
    "use": {**KEY, "use": "enc"},
    "key_ops": {**KEY, "key_ops": ["encrypt"]},
    "only verify": {**KEY, "key_ops": ["verify"]},
    "curve": {**KEY, "crv": "P-384"},
    "point not on the curve": {**KEY, "y": KEY["x"]},
    "another's private part": {**KEY, "d": make_key()["d"]},
    "a part is missing": {name: value for name, value in KEY.items() if name != "x"},
    "a part is a number": {**KEY, "x": 1},
    "kid is a number": {**KEY, "kid": 7},
    "a short secret": {"kty": "oct", "kid": "s", "k": SHORT},
    "no secret": {"kty": "oct", "kid": "s"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_that_is_not_for_signing_is_refused_and_not_quoted(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Keys.of([REFUSED[name]])
    for part in ("d", "k"):
        secret = REFUSED[name].get(part)
        assert not secret or str(secret) not in str(caught.value)


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '"x"', "[1]", "null"])
def test_a_variable_that_is_no_list_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        Keys.load(tmp_path, "production", {"TURNOUT_AUTH_KEYS": text})


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="same kid"):
        Keys.of([KEY, {**make_key(), "kid": KEY["kid"]}])


def test_what_is_published_and_shown_holds_no_secret() -> None:
    secret = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
    ring = Keys.of([KEY, {"kty": "oct", "kid": "shared", "k": secret}])
    shown = json.dumps(ring.jwks()) + repr(ring) + repr(ring.first) + str(ring.ring)
    assert KEY["d"] not in shown and secret not in shown
    assert [key["kid"] for key in ring.jwks()["keys"]] == [KEY["kid"]]
    assert "shared" in ring.by_kid


def test_rs256_works_by_configuration() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    for bits, good in ((2048, True), (1024, False)):
        jwk = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, bits)))
        jwk = {name: value for name, value in jwk.items() if name != "key_ops"} | {"kid": "r", "alg": "RS256"}
        if good:
            mine = Tokens(Keys.of([jwk]), SITE)
            assert mine.verify(mine.sign({"sub": "x"})[0])["sub"] == "x"
        else:
            with pytest.raises(ConfigError, match="2048"):
                Keys.of([jwk])
