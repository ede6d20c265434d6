"""Users and sessions through the official JavaScript client, in Node, against a server that runs, on both engines."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients.sites import site
from served import Served, node

SCRIPT = Path(__file__).with_name("auth_cases.mjs")
NAMES = re.findall(r"^test\('([^']+)'", SCRIPT.read_text(), re.MULTILINE)

pytestmark = pytest.mark.skipif(
    node() is None, reason="node, or tests/js/node_modules, is not here: npm ci in tests/js installs the clients"
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What became of every case: all run in one Node, since starting one takes longer than most of them."""

    def database() -> str | None:
        return str(request.getfixturevalue("new_database")()) if request.param == "postgres" else None

    folders = tmp_path_factory.mktemp("open"), tmp_path_factory.mktemp("mail")
    with (
        site(folders[0], confirms=True, database=database()) as opened,
        site(folders[1], confirms=False, database=database()) as mailing,
    ):
        yield _run(opened, mailing)


def _run(opened: Served, mailing: Served) -> dict[str, Any]:
    def given(site: Served) -> dict[str, Any]:
        return {"url": site.url, "anon": site.anon, "service": site.service}

    command = [str(node()), str(SCRIPT), json.dumps(given(opened) | {"mail": given(mailing)})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return {each["name"]: each for each in said}


@pytest.mark.parametrize("name", NAMES)
def test_the_javascript_client(outcomes: dict[str, Any], name: str) -> None:
    assert outcomes[name]["ok"], outcomes[name].get("error")
