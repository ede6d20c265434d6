"""``turnout webhooks`` against a real server: what it sends, shows, and refuses to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from faults.started import starting
from projects import make_project

from turnout.cli.main import CANNOT_START, USAGE, main

SECRET = "whsec_dGVzdCBzZWNyZXQgb2YgdHVybm91dA=="
HOOK = """
from turnout.webhooks import {name}

hook = {name}.webhook()


@hook.on({types})
async def take(event, tx):
    await tx.sql("create table if not exists effects (text text)")
    await tx.from_("effects").insert({{"text": f"{{event.type}} {{event.data}}"}})
    if "fail" in str(event.data):
        raise RuntimeError("it fails\\x1b[2J")


POST = hook
"""
TYPES = {"stripe": '"invoice.paid", "charge.refunded"', "standard": '"*"', "github": '"issues"', "slack": '"message"'}
VARIABLES = dict.fromkeys(
    ("STRIPE_WEBHOOK_SECRET", "WEBHOOK_SECRET", "GITHUB_WEBHOOK_SECRET", "SLACK_SIGNING_SECRET"), SECRET
)

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """``turnout webhooks ...`` in a project that is served meanwhile; exit status, standard output and error."""
    files = {f"app/hooks/{name}/route.py": HOOK.format(name=name, types=types) for name, types in TYPES.items()}
    files["app/webhook/plain/route.py"] = 'async def POST(request):\n    return {"plain": True}\n'
    files["data/.keep"] = ""
    root = make_project(tmp_path_factory.mktemp("cli") / "project", files)
    clean = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "TURNOUT_MODE")}
    with starting_quietly(root) as port:

        def run(*words: str, **env: str) -> tuple[int, str, str]:
            done = subprocess.run(
                [sys.executable, "-m", "turnout", "webhooks", *words],
                cwd=root, capture_output=True, text=True, env=clean | {"PORT": str(port), **VARIABLES, **env},
            )  # fmt: skip
            assert SECRET not in done.stdout + done.stderr
            return done.returncode, done.stdout, done.stderr

        yield run


@contextmanager
def starting_quietly(root: Path) -> Iterator[int]:
    """The server's port; tracebacks in its log are what some tests here are about."""
    with suppress(AssertionError), starting(root, env=VARIABLES) as server:
        yield server.port


@pytest.mark.parametrize(
    ("provider", "type", "outcome"),
    [
        ("stripe", "invoice.paid", "done"), ("stripe", "charge.refunded", "done"),
        ("stripe", "no.such.type", "ignored"),
        ("standard", "user.created", "done"), ("github", "issues.opened", "done"), ("github", "push", "ignored"),
        ("slack", "message", "done"),
    ],
)  # fmt: skip
def test_a_triggered_event_is_accepted_and_its_effect_shown(run: Run, provider: str, type: str, outcome: str) -> None:
    status, out, _ = run("trigger", provider, type, "--json")

    said = json.loads(out)
    assert (status, said["status"], json.loads(said["answer"])) == (0, 200, {"received": True})
    assert (said["type"], said["outcome"], said["tries"]) == (type, outcome, 1)
    status, out, _ = run("list", "--json")
    newest = json.loads(out.splitlines()[0])
    assert (newest["id"], newest["type"], newest["provider"]) == (said["id"], type, provider)


def test_it_is_shown_to_people_too(run: Run) -> None:
    status, out, _ = run("trigger", "stripe", "invoice.paid", "--data", '{"amount_paid": 5}')

    id, type, *_ = out.split()
    assert (
        status == 0
        and type == "invoice.paid"
        and out.splitlines()[1:] == ['200 {"received":true}', "effect: done (1 try)"]
    )
    assert any(id in line and "done" in line for line in run("list")[1].splitlines())
    assert len(run("list", "--limit", "1")[1].splitlines()) == 1


def test_slacks_challenge_is_answered(run: Run) -> None:
    status, out, _ = run("trigger", "slack", "url_verification")

    assert status == 0 and '{"challenge":"' in out


def test_a_failure_is_shown_and_can_be_replayed(run: Run) -> None:
    status, out, _ = run("trigger", "stripe", "invoice.paid", "--data", '{"note": "fail"}')
    id = out.split()[0]
    assert (
        status == 1 and "500" in out and "effect: none: the handler failed: RuntimeError: it fails?[2J (1 try)" in out
    )
    assert "\x1b" not in run("list")[1]

    status, out, _ = run("replay", id, "--json")
    assert (status, json.loads(out)["tries"]) == (1, 2)


def test_what_is_done_is_replayed_only_when_asked_for(run: Run) -> None:
    id = json.loads(run("trigger", "github", "issues.closed", "--json")[1])["id"]
    status, _, err = run("replay", id)
    assert status == 3 and "has had its effect" in err and "--again" in err

    status, out, _ = run("replay", id, "--again", "--json")
    assert (status, json.loads(out)["outcome"], json.loads(out)["tries"]) == (0, "done", 2)
    # Refused for its signature, it stays done.
    status, out, _ = run("replay", id, "--again", GITHUB_WEBHOOK_SECRET="other")
    assert status == 1 and "400" in out
    assert json.loads(run("list", "--json", "--limit", "1")[1])["outcome"] == "done"


def test_a_route_of_ones_own_is_sent_to_as_well(run: Run) -> None:
    status, out, _ = run("trigger", "stripe", "invoice.paid", "--to", "/webhook/plain")

    assert status == 0 and "effect: not known" in out


@pytest.mark.parametrize(
    ("words", "env", "message"),
    [
        (["trigger", "stripe", "x", "--to", "https://example.com/hook"], {}, "no http address on this machine"),
        (["trigger", "stripe", "x", "--to", "http://127.0.0.1.example.com/"], {}, "no http address on this machine"),
        (["trigger", "stripe", "x", "--to", "http://127.0.0.1@example.com/"], {}, "no http address on this machine"),
        (["trigger", "stripe", "x", "--to", "ftp://localhost/"], {}, "no http address on this machine"),
        (["trigger", "stripe", "x", "--to", "http://localhost:x/"], {}, "no http address on this machine"),
        (["trigger", "stripe", "x", "--data", "{"], {}, "no JSON"),
        (["trigger", "stripe", "x", "--data", "[]"], {}, "not a JSON object"),
        (["trigger", "stripe", "x", "--secret-env", "NOT_SET"], {}, "NOT_SET is not set"),
        (["trigger", "stripe", "x"], {"STRIPE_WEBHOOK_SECRET": " "}, "STRIPE_WEBHOOK_SECRET is empty"),
        (["trigger", "stripe", "x"], {"PORT": "1"}, "turnout dev"),
        (["list"], {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "postgresql://127.0.0.1:1/none"),
        (["replay", "evt_unknown"], {}, "has arrived"),
        (["list", "--limit", "0"], {}, "at least 1"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_cure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    env: dict[str, str],
    message: str,
) -> None:
    make_project(tmp_path, {"app/hooks/stripe/route.py": HOOK.format(name="stripe", types='"x"')})
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name, value in {**VARIABLES, **env}.items():
        monkeypatch.setenv(name, value)

    wrong_usage = message in ("no JSON", "not a JSON object", "at least 1")
    assert main(["webhooks", *words, "--root", str(tmp_path)]) == (USAGE if wrong_usage else CANNOT_START)
    said = capsys.readouterr().err
    assert message in said and "cure:" in said and SECRET not in said


def test_a_project_without_webhooks_has_none_to_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path, {"app/route.py": "async def GET():\n    return 1\n"})
    monkeypatch.delenv("DATABASE_URL", raising=False)

    assert main(["webhooks", "list", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no webhook has arrived in the last 30 days\n"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["api/x"], "no route has stripe in its path"),
        (["a/stripe", "b/stripe"], "several routes may be meant"),
        (["hooks/[tenant]/stripe"], "no route has stripe in its path"),
    ],
)
def test_where_to_is_asked_when_it_is_not_plain(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    files: list[str],
    message: str,
) -> None:
    make_project(tmp_path, {f"app/{folder}/route.py": "async def POST():\n    return 1\n" for folder in files})
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)

    assert main(["webhooks", "trigger", "stripe", "invoice.paid", "--root", str(tmp_path)]) == CANNOT_START
    said = capsys.readouterr().err
    assert message in said and "--to /" in said
