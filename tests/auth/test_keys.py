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


def turnout_auth(root: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``turnout auth`` in *root*."""
    clean = {name: value for name, value in os.environ.items() if name not in ("TURNOUT_AUTH_KEYS", "TURNOUT_MODE")}
    command = [sys.executable, "-m", "turnout", "auth", *words, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, env=clean | env)


def in_variable(output: str) -> str:
    name, _, value = output.strip().partition("=")
    assert name == "TURNOUT_AUTH_KEYS"
    return value.strip("'")


def test_the_command_prints_a_new_variable_and_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    done = turnout_auth(tmp_path, "keys")
    assert done.returncode == 0, done.stderr
    ring = Keys.load(tmp_path, "production", {"TURNOUT_AUTH_KEYS": in_variable(done.stdout)})
    assert ring.first.signing is not None
    assert not (tmp_path / ".turnout").exists()


def test_rotating_the_file_leaves_old_tokens_good(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    before = Tokens(Keys.load(tmp_path, "development", {}), SITE)
    token, _ = before.sign({"sub": "x"})
    for kept in (True, True, False):
        done = turnout_auth(tmp_path, "keys", "--rotate")
        assert done.returncode == 0, done.stderr
        ring = Keys.load(tmp_path, "development", {})
        assert ring.first.kid not in before.keys.by_kid
        assert (before.keys.first.kid in ring.by_kid) == kept
        if kept:
            assert Tokens(ring, SITE).verify(token)["sub"] == "x"
    assert stat.S_IMODE((tmp_path / ".turnout" / "keys.json").stat().st_mode) == 0o600
    assert len(list((tmp_path / ".turnout").iterdir())) == 2


def test_rotating_the_variable_prints_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    old = make_key()
    done = turnout_auth(tmp_path, "keys", "--rotate", TURNOUT_AUTH_KEYS=json.dumps([old]))
    ring = json.loads(in_variable(done.stdout))
    assert ring[1] == old and ring[0]["kid"] != old["kid"]
    assert turnout_auth(tmp_path, "keys", "--rotate", "--keep", "1").returncode == 2


def test_what_the_command_shows_works_and_holds_no_private_part(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    done = turnout_auth(tmp_path, "show", "--json", TURNOUT_AUTH_KEYS=json.dumps([KEY]))
    shown = json.loads(done.stdout)
    assert KEY["d"] not in done.stdout
    mine = Tokens(Keys.of([KEY]), SITE)
    assert [mine.verify(shown[role])["role"] for role in ("anon", "service_role")] == ["anon", "service_role"]
    plain = turnout_auth(tmp_path, "show", TURNOUT_AUTH_KEYS=json.dumps([KEY]))
    assert KEY["d"] not in plain.stdout and "ES256  signs" in plain.stdout
    assert turnout_auth(tmp_path, "show", TURNOUT_MODE="production").returncode == 3


def test_production_starts_without_keys_where_auth_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.projects import make_project
    from turnout.auth import auth_service
    from turnout.project import load_project

    monkeypatch.delenv("TURNOUT_AUTH_KEYS", raising=False)
    route = 'async def GET(request):\n    return {"a": 1}\n'
    settings = '[tool.turnout]\nallowed_hosts = ["example.com"]\norigin = "https://example.com"\n'
    make_project(tmp_path, {"app/api/a/route.py": route, "pyproject.toml": settings})
    load_project(tmp_path, mode="production")
    with pytest.raises(ConfigError, match="TURNOUT_AUTH_KEYS is not set"):
        auth_service()
    monkeypatch.setenv("TURNOUT_AUTH_KEYS", json.dumps([make_key()]))
    load_project(tmp_path, mode="production")
    assert auth_service().api_url == "https://example.com/auth/v1"
    assert auth_service() is auth_service()
    load_project(tmp_path, mode="test")
    assert auth_service().keys.first.kid
