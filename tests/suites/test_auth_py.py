"""supabase-py's own tests of its auth client, unchanged but for the base URLs and keys, against our wire.

    git clone https://github.com/supabase/supabase-py /somewhere
    pip install Faker pyotp pytest-mock
    TURNOUT_SUPABASE_PY=/somewhere pytest tests/suites/test_auth_py.py

``TURNOUT_SUITES_PYTHON`` names another Python to run them with. Of the 70 tests of the synchronous
client some pass with no server at all, which is counted too: only the others say something about one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from suites.auth_servers import database, four_servers, shared_secret

from turnout.auth.keys import Keys

CHECKOUT = os.environ.get("TURNOUT_SUPABASE_PY")
PYTHON = os.environ.get("TURNOUT_SUITES_PYTHON", sys.executable)
pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="TURNOUT_SUPABASE_PY does not name a checkout of supabase-py, whose tests these are"
)

TESTS = 70
LEAST_PASSED = 63
# What is not offered: an OAuth server's clients, and phones.
MISSES = {
    "test_create_oauth_client", "test_list_oauth_clients", "test_get_oauth_client", "test_update_oauth_client",
    "test_delete_oauth_client", "test_regenerate_oauth_client_secret", "test_resend",
}  # fmt: skip

Outcome = dict[tuple[str, str], bool]


def run(folder: Path, urls: dict[int, str], service_key: str) -> Outcome:
    """Which tests pass: by file and name."""
    tests = folder / "tests"
    shutil.copytree(Path(str(CHECKOUT), "src/auth/tests"), tests)
    clients = tests / "_sync" / "clients.py"
    text = clients.read_text()
    for name, port in re.findall(r"^(\w+_PORT) = (\d+)$", text, re.MULTILINE):
        text = text.replace(f'f"http://localhost:{{{name}}}"', repr(urls[int(port)]))
    for name in ("AUTH_ADMIN_JWT", "SECRET_KEY_JWT"):
        text, count = re.subn(rf"^{name} = encode\(.*?^\)", f"{name} = {service_key!r}", text, flags=re.M | re.S)
        assert count == 1
    clients.write_text(text)
    report = folder / "report.xml"
    source = str(Path(str(CHECKOUT), "src/auth/src"))
    subprocess.run(
        [PYTHON, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider",
         "--junitxml", str(report), "tests/_sync"],
        cwd=folder, env={**os.environ, "PYTHONPATH": source}, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    cases = list(ElementTree.parse(report).iter("testcase"))
    return {
        (str(case.get("classname")), str(case.get("name"))): case.find("failure") is None and case.find("error") is None
        for case in cases
    }


@pytest.fixture(scope="module", autouse=True)
def _needed() -> None:
    probe = subprocess.run([PYTHON, "-c", "import faker, pyotp, pytest_mock"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("the tests need Faker, pyotp and pytest-mock: pip install Faker pyotp pytest-mock")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[int, str], str]]:
    """The four servers of infra/docker-compose.yml, on one database, and the key of service_role."""
    folder = tmp_path_factory.mktemp("auth")
    package = Path(str(CHECKOUT), "src", "auth")
    secret = re.search(
        r'^GOTRUE_JWT_SECRET = "([^"]+)"', (package / "tests/_sync/clients.py").read_text(), re.MULTILINE
    )
    assert secret is not None
    compose = package / "infra" / "docker-compose.yml"
    with database(request.param, folder) as url, four_servers(folder, compose, secret[1], url) as urls:
        yield urls, Keys.of([shared_secret(secret[1])]).api_key("service_role")


def test_the_python_clients_own_suite(servers: tuple[dict[int, str], str], tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    found = run(tmp_path / "with", *servers)
    # A port that nobody listens on, so that no other server of this machine answers.
    null = run(tmp_path / "without", dict.fromkeys(servers[0], "http://127.0.0.1:9/auth/v1"), servers[1])
    passed = sum(found.values())
    print(f"auth-py: {passed} of {len(found)} pass; {sum(null.values())} pass with no server")
    assert len(found) == TESTS
    assert {name for (_, name), good in found.items() if not good} <= MISSES
    assert passed >= LEAST_PASSED
