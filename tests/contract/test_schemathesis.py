"""The example against its own document: Schemathesis asks whatever the document allows, and much that it does not.

Every check is on. What is let pass, and why, is in ``is_fine``.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request

import pytest
from served import Served, served

from turnout.contract.model import Contract

EXAMPLE = Path(__file__).parents[2] / "examples" / "blog"
SCHEMATHESIS = Path(sys.executable).with_name("st")
# More of everything than in an ordinary run.
FULL = os.environ.get("TURNOUT_CONTRACT") == "full"


class Upstream(http.server.BaseHTTPRequestHandler):
    """The other service that the example asks."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"from": "upstream"}')

    def log_message(self, *args: object) -> None: ...


@contextmanager
def upstream() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Blog(NamedTuple):
    """The example served by ``turnout dev``: its address, a user's token, its OpenAPI document and its contract."""

    url: str
    token: str
    document: dict[str, Any]
    contract: Contract


@contextmanager
def blog(folder: Path) -> Iterator[Blog]:
    root = folder / "blog"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "__pycache__", ".env*.local", ".*_cache"))
    settings = (root / "pyproject.toml").read_text()
    with upstream() as other:
        environment = {
            "EXTERNAL_API_URL": other,
            "EXTERNAL_API_KEY": "key",
            "STRIPE_WEBHOOK_SECRET": "whsec_test_secret",
        }
        own = {"app/route.py": (root / "app/route.py").read_text()}
        with served(root, own, settings=settings, environment=environment) as server:
            with urllib.request.urlopen(f"{server.url}/_turnout/openapi.json") as answer:
                document = json.load(answer)
            yield Blog(server.url, token_of(server), document, contract_of(root, environment))


def token_of(server: Served) -> str:
    """The access token of somebody who has an account."""
    credentials = json.dumps({"email": "ada@example.com", "password": "correct horse battery"}).encode()
    fields = {"apikey": server.anon, "content-type": "application/json"}
    with urllib.request.urlopen(Request(f"{server.url}/auth/v1/signup", credentials, fields)) as answer:
        return str(json.load(answer)["access_token"])


def contract_of(root: Path, environment: dict[str, str]) -> Contract:
    """Read in a process of its own, whose modules and settings are nobody else's."""
    import msgspec

    code = (
        "import sys, msgspec; from turnout import load_project; from turnout.contract import read;"
        "sys.stdout.buffer.write(msgspec.json.encode(read(load_project('.', mode='test'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, **environment}, capture_output=True, check=True
    )
    return msgspec.json.decode(done.stdout, type=Contract)


def is_fine(failure: dict[str, Any], method: str, answer: dict[str, Any] | None) -> bool:
    """What the checks find and the document is right about."""
    status = answer["status_code"] if answer else 0
    # RFC 9110 §9.1: a method that the server does not know at all is 501, one that only this route lacks 405.
    if status == 501 and method not in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"):
        return True
    # A route has methods whatever has been deleted below it.
    if method == "OPTIONS" and failure["title"] == "Deleted resource still available":
        return True
    # Rules that a handler has beyond its schema, in words of its own: a signature, one field of two. What Turnout
    # itself refuses is a problem, and then the schema would be wrong.
    own_words = answer is not None and "application/json" in str(answer["headers"].get("content-type"))
    return failure["title"] == "Schema-valid request rejected" and status == 400 and own_words


def failures(report: Path) -> list[str]:
    """What failed, but for what is fine."""
    found = []
    for line in report.read_text().splitlines():
        (kind, event), *_ = json.loads(line).items()
        assert kind != "NonFatalError" and kind != "FatalError", line[:2_000]
        if kind != "ScenarioFinished":
            continue
        recorder = event["recorder"]
        for case_id, checks in recorder.get("checks", {}).items():
            interaction = recorder["interactions"].get(case_id) or {}
            answer = interaction.get("response")
            method = recorder["cases"][case_id]["value"]["method"]
            for check in checks:
                failure = (check.get("failure_info") or {}).get("failure")
                if failure is not None and not is_fine(failure, method, answer):
                    asked = interaction.get("request") or {}
                    found.append(f"{method} {asked.get('uri')}: {failure['title']}: {failure.get('message')}: {answer}")
    return found


@pytest.mark.slow
def test_the_example_answers_as_its_document_says(tmp_path: Path) -> None:
    report = tmp_path / "report.ndjson"
    with blog(tmp_path) as site:
        file = tmp_path / "openapi.json"
        file.write_text(json.dumps(site.document))
        # An answer that never ends cannot be waited for; the next test looks at those.
        endless = [each.operation_id for each in site.contract.operations if is_endless(each) and each.method == "GET"]
        done = subprocess.run(
            [
                *(str(SCHEMATHESIS), "run", str(file), "--url", site.url, "--no-color", "--checks", "all"),
                *("--header", f"Authorization: Bearer {site.token}"),
                *("--max-examples", "100" if FULL else "8", "--continue-on-failure", "--request-timeout", "60"),
                *("--generation-database", "none", *(() if FULL else ("--seed", "1"))),
                *("--generation-allow-x00", "false"),  # no database takes NUL, which is a documented 400
                *("--report", "ndjson", "--report-ndjson-path", str(report)),
                *(part for each in endless for part in ("--exclude-operation-id", each)),
            ],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if not name.startswith("HYPOTHESIS")},
            capture_output=True,
            text=True,
            timeout=900 if FULL else 480,
        )
    assert "Test cases:" in done.stdout, done.stdout + done.stderr
    assert failures(report) == []


def is_endless(operation: Any) -> bool:
    return any("text/event-stream" in answer.media for answer in operation.answers)


@pytest.mark.slow
def test_streams_of_the_example_begin_as_its_document_says(tmp_path: Path) -> None:
    with blog(tmp_path) as site:
        for operation in site.contract.operations:
            if operation.method == "GET" and is_endless(operation) and "[" not in operation.path:
                with urllib.request.urlopen(site.url + operation.path, timeout=90) as answer:
                    assert answer.headers.get_content_type() == "text/event-stream"
                    assert answer.status in [each.status for each in operation.answers]
