"""``turnout tasks``: what runs, waits and failed in a real server, and what can be done about it."""

from __future__ import annotations

import json
import sys
import time

import pytest
from faults.started import starting

from turnout.cli.main import main
from turnout.config import load_config
from turnout.tasks import engine

from .world import TOO_OLD, make, put, until

pytestmark = pytest.mark.skipif(sys.platform != "linux" or TOO_OLD, reason="reads /proc, and runs DBOS on SQLite")


@pytest.fixture
def turnout(capsys, monkeypatch, request):
    def run(*words):
        status = main(["tasks", *words])
        return status, capsys.readouterr().out

    return run


def test_a_project_without_tasks_has_none(tmp_path, turnout):
    root = make(tmp_path / "project")
    assert turnout("list", "--root", str(root)) == (0, "there are no tasks\n")
    assert turnout("show", "x", "--root", str(root)) == (1, "there is no task x, or several that begin so\n")
    status, said = turnout("cancel", "x", "--json", "--root", str(root))
    assert status == 1 and json.loads(said)["ok"] is False
    assert not (root / "data/tasks.db").exists()


def test_a_task_can_be_seen_cancelled_and_retried(tmp_path, turnout):
    root = make(tmp_path / "project")
    at = ("--root", str(root))

    def found(number):
        lines = turnout("list", "--json", "--limit", "1000", *at)[1].splitlines()
        return next(each for each in map(json.loads, lines) if each["id"] == number)

    def becomes(number, status):
        until(lambda: found(number)["status"] == status, status)

    with starting(root, workers=2) as server:
        running = put(server.port, "sleep", 60)
        later = put(server.port, "sleep", 0, delay=3600)
        becomes(running, "running")
        becomes(later, "delayed")

        assert turnout("cancel", later, *at) == (0, f"cancelled {later}\n")
        assert turnout("cancel", running[:13], *at) == (0, f"cancelled {running}\n")
        becomes(later, "cancelled")
        becomes(running, "cancelled")
        assert turnout("cancel", later, *at)[0] == 1
        until(lambda: "cancelled while it ran" in server.log, "the end of what was cancelled")

        assert turnout("retry", later, *at) == (0, f"enqueued {later} again\n")
        becomes(later, "done")
        status, shown = turnout("show", later, *at)
        assert status == 0 and f"sleep  done  {later}" in shown and 'arguments  {"args": [0], "kwargs": {}}' in shown
        assert shown.splitlines()[-1].startswith("attempt 1") and shown.endswith("done\n")

    books = engine.client(load_config(root, "development", {}))
    assert engine.forget(books) == 0
    assert engine.forget(books, now_s=time.time() + 30 * 86_400 + 1) >= 2
    books.destroy()
    assert turnout("show", later, *at)[0] == 1


def test_a_failure_is_kept_with_every_attempt_and_what_no_worker_has_taken_is_listed_too(tmp_path, turnout):
    root = make(tmp_path / "project")
    at = ("--root", str(root))
    server = starting(root)
    with pytest.raises(AssertionError, match="no carrier"), server as started:  # its traceback is in the log
        number = put(started.port, "fail", "carrier")
        until(lambda: number in turnout("list", "--status", "failed", *at)[1], "the failure")
        _, shown = turnout("show", number, *at)
        assert [line.split("Z  ")[1] for line in shown.splitlines()[-2:]] == ["LookupError: no carrier"] * 2
        assert turnout("retry", number, *at)[0] == 0
        started.stop()
    assert json.loads(turnout("show", number, "--json", *at)[1])["task"] == "fail"
