"""auth-js's own tests, unchanged but for the base URLs and keys, against our wire.

    git clone https://github.com/supabase/supabase-js /somewhere
    cd /somewhere/packages/core/auth-js && npm install      (with the versions of the workspace)
    TURNOUT_SUPABASE_JS=/somewhere pytest tests/suites/test_auth_js.py

Two revisions of them are known. That of January 2026 (09aa10628b00) has four servers with different
settings, that of August 2026 has one. Most of the tests pass with no server at all, so they are run
twice: those that fail without one depend on a server, and of them it is counted how many pass with
ours. The tests of passkeys are left out, which are not offered here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from suites.auth_servers import auth_server, database, four_servers, shared_secret

from turnout.auth.keys import Keys

CHECKOUT = os.environ.get("TURNOUT_SUPABASE_JS")
PACKAGE = Path(CHECKOUT or ".") / "packages" / "core" / "auth-js"
CLIENTS = Path("test", "lib", "clients.ts")
SIGNING_KEYS = PACKAGE / "test" / "generate-signing-keys.js"
COMPOSE = PACKAGE / "infra" / "docker-compose.yml"
pytestmark = pytest.mark.skipif(
    not (CHECKOUT and (PACKAGE / "node_modules" / ".bin" / "jest").exists()),
    reason="TURNOUT_SUPABASE_JS does not name a checkout of supabase-js with auth-js's packages installed",
)


@dataclass(frozen=True)
class Revision:
    """What is known of the tests as they were at one time.

    Attributes:
        dependent: So many fail without a server.
        least_passed: So many of them pass with ours.
        misses: Parts of the names of all that fail.
    """

    dependent: int
    least_passed: int
    misses: tuple[str, ...]


# Passes where nobody answers. It wants an error that would tell who is registered: here the answer
# for an unknown address is that for a known one.
TELLS = "signInWithOtp() with PKCE flow should return error"
REVISIONS = {
    # What is not offered: phones (3), signing in with an ID token (1), which is refused in other words.
    "January 2026": Revision(
        104, 100, ("resend with phone", "signInWithPassword() for phone", "IdToken fails with disabled provider", TELLS)
    ),
    # What is not offered: the clients of an OAuth server (7), WebAuthn as a second factor (4).
    "August 2026": Revision(111, 100, ("OAuth Admin", "WebAuthn MFA", TELLS)),
}
SITE = """
auto_confirm = true
anonymous = true
site_url = "http://127.0.0.1:3000"
redirect_urls = ["https://127.0.0.1:3000", "http://localhost:5173"]
"""

Outcome = dict[tuple[str, str, int], bool]


@dataclass(frozen=True)
class Servers:
    """Where the tests find their servers: *urls* by what stands in their place in the clients' file."""

    urls: dict[str, str]
    anon: str
    service: str


def revision() -> str:
    """Which one the checkout is of: the later makes the keys of its server before it runs."""
    return "August 2026" if SIGNING_KEYS.exists() else "January 2026"


def run(folder: Path, servers: Servers) -> Outcome:
    """Which tests pass: by file, name, and how often the name came before."""
    package = folder / "packages" / "core" / "auth-js"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("node_modules", "dist", "example", "coverage"))
    shutil.copy(Path(str(CHECKOUT), "tsconfig.base.json"), folder)
    (package / "node_modules").symlink_to(PACKAGE / "node_modules")
    if SIGNING_KEYS.exists():
        subprocess.run(["node", f"test/{SIGNING_KEYS.name}"], cwd=package, check=True, capture_output=True)
    (package / CLIENTS).write_text(_clients((package / CLIENTS).read_text(), servers))
    report = folder / "report.json"
    command = ["node_modules/.bin/jest", "--ci", "--coverage=false", "--json", f"--outputFile={report}"]
    left_out = ["/node_modules/", "/docker-tests/", "/example/", "passkey.e2e"]
    with (folder / "jest.log").open("w") as log:
        subprocess.run(
            [*command, "--testPathIgnorePatterns", *left_out], cwd=package, stdout=log, stderr=log, check=False,
            timeout=300,
        )  # fmt: skip
    return dict(_outcomes(json.loads(report.read_text())))


def _clients(text: str, servers: Servers) -> str:
    """The clients' file with the addresses and keys of *servers*."""
    for name, url in servers.urls.items():
        assert name in text
        text = text.replace(name, url)

    def key(signed: re.Match[str]) -> str:
        return f"{signed[1]} = '{servers.anon if 'PUBLISHABLE' in signed[1] else servers.service}'"

    text, count = re.subn(r"^((?:export )?const \w+) = jwt\.sign\(.*?^\)", key, text, flags=re.M | re.S)
    assert count >= 2
    return text


def _outcomes(report: dict[str, Any]) -> Iterator[tuple[tuple[str, str, int], bool]]:
    for file in report["testResults"]:
        before: dict[str, int] = {}
        for test in file["assertionResults"]:
            name = test["fullName"]
            before[name] = before.get(name, 0) + 1
            yield (Path(file["name"]).name, name, before[name]), test["status"] == "passed"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("auth-js")
    with database(request.param, folder) as url:
        if revision() == "August 2026":
            with auth_server(folder / "site", SITE, database=url) as running:
                yield Servers({"http://127.0.0.1:54321": running.url}, running.anon, running.service)
            return
        text = (PACKAGE / CLIENTS).read_text()
        secret = re.search(r"GOTRUE_JWT_SECRET = '([^']+)'", text)
        assert secret is not None
        keys = Keys.of([shared_secret(secret[1])])
        with four_servers(folder, COMPOSE, secret[1], url) as urls:
            ports = re.findall(r"(\w+_PORT) = (\d+)", text)
            places = {f"http://localhost:${{{name}}}": urls[int(port)] for name, port in ports}
            yield Servers(places, keys.api_key("anon"), keys.api_key("service_role"))


@pytest.fixture(scope="module")
def null(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What passes where nobody listens, not even another server of this machine."""
    nowhere = Servers(dict.fromkeys(servers.urls, "http://127.0.0.1:9"), "no-key", "no-key")
    return run(tmp_path_factory.mktemp("null") / "without", nowhere)


def test_the_javascript_clients_own_suite(servers: Servers, null: Outcome, tmp_path: Path) -> None:
    known = REVISIONS[revision()]
    found = run(tmp_path / "with", servers)
    dependent = {name for name, good in null.items() if not good}
    passed = sum(found[name] for name in dependent)
    print(f"auth-js of {revision()}: {passed} of {len(dependent)} that depend on a server pass; "
          f"{sum(found.values())} of {len(found)} in all, {sum(null.values())} with no server")  # fmt: skip
    assert len(dependent) == known.dependent
    failed = {name for _, name, _ in (key for key, good in found.items() if not good)}
    assert not [name for name in failed if not any(miss in name for miss in known.misses)]
    assert passed >= known.least_passed
