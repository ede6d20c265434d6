"""ai/redact.py and ai/view.py: what is never read, and what is replaced in everything that is sent or kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.ai.redact import HIDDEN, Redactor, is_private
from turnout.ai.view import ProjectView

PRIVATE = [
    *(".env", ".env.local", ".env.production.local", "app/.env", ".ENV", "id_rsa", "id_ed25519.pub", "keys/server.key"),
    *("cert.pem", "credentials.json", "lib/credentials.py", "secrets.yml", "data/app.db", "app.sqlite3", ".git/config"),
    *(".turnout/ai/x/run.json", "../outside.py", "/etc/passwd", "lib/../.env", ".netrc", ".aws/config", ""),
]
READABLE = ["app/api/data/route.py", "lib/id_card.py", ".env.example", "app/.well-known/x/route.py", "lib/tokens.py"]


@pytest.mark.parametrize("path", PRIVATE)
def test_private_files_are_known_by_name(path):
    assert is_private(path)


@pytest.mark.parametrize("path", READABLE)
def test_ordinary_files_are_not_private(path):
    assert not is_private(path)


def test_a_view_reads_no_private_file_by_any_way(tmp_path):
    root = tmp_path / "project"
    (root / "lib").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("outside")
    (root / ".env").write_text("A=secret")
    (root / "lib/notes.py").write_text("fine")
    (root / "lib/env.py").symlink_to(root / ".env")
    (root / "lib/out.py").symlink_to(tmp_path / "outside.txt")
    (root / "lib/big.py").write_text("x" * 70_000)
    (root / "lib/binary.py").write_bytes(b"\xff\xfe\0")
    view = ProjectView(root)

    assert view.read("lib/notes.py") == "fine" and view.files() == ["lib/big.py", "lib/binary.py", "lib/notes.py"]
    for path in (".env", "lib/env.py", "lib/out.py", "lib/big.py", "lib/binary.py", "../outside.txt", "lib", "nothing"):
        assert view.read(path) is None, path
    assert view.exists(".env") and not view.exists("nothing")


ENV = {
    "plain": "API_KEY=plain-canary-1",
    "quoted": 'API_KEY="quoted canary 2"',
    "single": "export API_KEY='single-canary-3'",
    "spaced": "API_KEY = spaced-canary-4   # a comment",
    "hashed": "DB_PASSWORD=pass#canary5",
    "broken": 'GOOD=canary-six\nBROKEN="never closed',
    "lines": 'KEY="-----BEGIN PRIVATE KEY-----\nMIIcanarycanarycanary7\n-----END PRIVATE KEY-----"',
}


@pytest.mark.parametrize("name", [".env", ".env.local", ".env.test", ".env.production.local"])
@pytest.mark.parametrize("kind", ENV)
def test_values_of_env_files_are_replaced_wherever_they_stand(tmp_path, name, kind):
    (tmp_path / name).write_text(ENV[kind] + "\n")
    secrets = ["plain-canary-1", "quoted canary 2", "single-canary-3", "spaced-canary-4", "pass#canary5", "canary-six"]
    secret = next((each for each in secrets if each in ENV[kind]), "MIIcanarycanarycanary7")

    said = Redactor(tmp_path, process={})(f"url = 'https://x/?k={secret}'  # {secret}\n")

    assert secret not in said and said.count(HIDDEN) == 2


def test_secrets_of_the_process_are_replaced_by_their_names(tmp_path):
    redact = Redactor(tmp_path, process={"MY_API_KEY": "canary-of-the-shell", "EDITOR": "canary-editor"})

    assert redact("canary-of-the-shell canary-editor") == f"{HIDDEN} canary-editor"


@pytest.mark.parametrize(
    "token",
    [
        "sk_live_51Habcdefghijkl",
        "whsec_abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        "postgresql://user:hunter2hunter2@db/x",
    ],
)
def test_what_looks_like_a_token_is_replaced(tmp_path, token):
    said = Redactor(tmp_path, process={})(f"x = {token!s}")

    assert HIDDEN in said and token not in said


def test_code_is_left_as_it_is(tmp_path):
    (tmp_path / ".env").write_text("MODE=test\nPORT=8000\nDEBUG=true\nEMPTY=\nGREETING=Hi\n")
    text = 'password: str = body["password"]\nassert port == 8000 and debug is True  # test\ntoken = env["API_TOKEN"]\n'

    assert Redactor(tmp_path, process={})(text) == text


def test_the_example_of_names_is_no_secret(tmp_path):
    (tmp_path / ".env.example").write_text("GREETING=ordinary-word\n")

    assert Redactor(tmp_path, process={})("ordinary-word") == "ordinary-word"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n\0\"'`#$\\ \t"), min_size=8, max_size=40))
@settings(deadline=None, max_examples=100)
def test_no_value_of_an_env_file_comes_through(tmp_path_factory, value):
    root = tmp_path_factory.mktemp("env")
    (root / ".env.local").write_bytes(f"ANY={value}\n".encode())

    assert value.strip() not in Redactor(root, process={})(f"before {value} after")
