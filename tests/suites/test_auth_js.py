"""auth-js's own tests, unchanged but for the base URL and keys, against our wire.

    git clone https://github.com/supabase/supabase-js /somewhere
    cd /somewhere/packages/core/auth-js && npm install      (with the versions of the workspace's catalog)
    TURNOUT_SUPABASE_JS=/somewhere pytest tests/suites/test_auth_js.py

Most of these tests pass with no server at all, so they are run twice: those that fail without one
depend on a server, and of them it is counted how many pass with ours. The tests of passkeys are left
out, which are not offered here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Served
from suites.auth_servers import auth_server, database

CHECKOUT = os.environ.get("TURNOUT_SUPABASE_JS")
PACKAGE = Path(CHECKOUT or ".") / "packages" / "core" / "auth-js"
pytestmark = pytest.mark.skipif(
    not (CHECKOUT and (PACKAGE / "node_modules" / ".bin" / "jest").exists()),
    reason="TURNOUT_SUPABASE_JS does not name a checkout of supabase-js with auth-js's packages installed",
)

DEPENDENT = 111  # fail without a server, at the revision of August 2026
LEAST_PASSED = 100
# What is not offered: the clients of an OAuth server (7), WebAuthn as a second factor (4).
MISSES = ("OAuth Admin", "WebAuthn MFA")
# Passes where nobody answers. It wants an error that would tell who is registered: here the answer
# for an unknown address is that for a known one.
TELLS = "signInWithOtp() with PKCE flow should return error"
SITE = """
auto_confirm = true
site_url = "http://127.0.0.1:3000"
redirect_urls = ["https://127.0.0.1:3000", "http://localhost:5173"]
"""

Outcome = dict[tuple[str, str, int], bool]


def run(folder: Path, url: str, anon: str, service: str) -> Outcome:
    """Which tests pass: by file, name, and how often the name came before."""
    package = folder / "packages" / "core" / "auth-js"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("node_modules", "dist", "example", "coverage"))
    shutil.copy(Path(str(CHECKOUT), "tsconfig.base.json"), folder)
    (package / "node_modules").symlink_to(PACKAGE / "node_modules")
    subprocess.run(["node", "test/generate-signing-keys.js"], cwd=package, check=True, capture_output=True)
    clients = package / "test" / "lib" / "clients.ts"
    text = clients.read_text().replace("http://127.0.0.1:54321", url)
    for name, key in (
        ("export const SUPABASE_PUBLISHABLE_KEY", anon),
        ("export const SUPABASE_SECRET_KEY", service),
        ("const AUTH_ADMIN_JWT", service),
    ):
        text, count = re.subn(rf"^{name} = jwt\.sign\(.*?^\)", f"{name} = '{key}'", text, flags=re.M | re.S)
        assert count == 1
    clients.write_text(text)
    report = folder / "report.json"
    command = ["node_modules/.bin/jest", "--ci", "--coverage=false", "--json", f"--outputFile={report}"]
    left_out = ["/node_modules/", "/docker-tests/", "/example/", "passkey.e2e"]
    with (folder / "jest.log").open("w") as log:
        subprocess.run(
            [*command, "--testPathIgnorePatterns", *left_out], cwd=package, stdout=log, stderr=log, check=False,
            timeout=300,
        )  # fmt: skip
    return dict(_outcomes(json.loads(report.read_text())))


def _outcomes(report: dict[str, Any]) -> Iterator[tuple[tuple[str, str, int], bool]]:
    for file in report["testResults"]:
        before: dict[str, int] = {}
        for test in file["assertionResults"]:
            name = test["fullName"]
            before[name] = before.get(name, 0) + 1
            yield (Path(file["name"]).name, name, before[name]), test["status"] == "passed"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("auth-js")
    with database(request.param, folder) as url, auth_server(folder / "site", SITE, database=url) as running:
        yield running


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What passes where nobody listens, not even another server of this machine."""
    return run(tmp_path_factory.mktemp("null") / "without", "http://127.0.0.1:9", "no-key", "no-key")


def test_the_javascript_clients_own_suite(server: Served, null: Outcome, tmp_path: Path) -> None:
    found = run(tmp_path / "with", server.url, server.anon, server.service)
    dependent = {name for name, good in null.items() if not good}
    passed = sum(found[name] for name in dependent)
    print(f"auth-js: {passed} of {len(dependent)} that depend on a server pass; "
          f"{sum(found.values())} of {len(found)} in all, {sum(null.values())} with no server")  # fmt: skip
    assert len(dependent) == DEPENDENT
    failed = {name for _, name, _ in (key for key, good in found.items() if not good)}
    assert not [name for name in failed if not any(miss in name for miss in (*MISSES, TELLS))]
    assert passed >= LEAST_PASSED
