"""Tables through the official JavaScript client, in Node, against a server that runs, on both engines."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clients.table_world import ADA, BOB, table_server
from served import node

SCRIPT = Path(__file__).with_name("table_cases.mjs")
NAMES = re.findall(r"^(?:test|only)\((?:'\w+', )?'([^']+)'", SCRIPT.read_text(), re.MULTILINE)

pytestmark = pytest.mark.skipif(
    node() is None, reason="node, or tests/js/node_modules, is not here: npm ci in tests/js installs the clients"
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of every case: all run in one Node, since starting one takes longer than most of them."""
    folder = Path(tmp_path_factory.mktemp("tables"))
    place = str(folder / "app.db")
    if request.param == "postgres":
        place = str(request.getfixturevalue("new_database")())
    with table_server(folder, place) as url:
        given = {"url": url, "engine": request.param, "ada": ADA, "bob": BOB}
        command = [str(node()), str(SCRIPT), json.dumps(given)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", NAMES)
def test_the_javascript_client(outcomes: dict[str, Any], name: str) -> None:
    outcome = outcomes[name]
    if outcome.get("skipped"):
        pytest.skip("a case of the other engine")
    assert outcome["ok"], outcome.get("error")
