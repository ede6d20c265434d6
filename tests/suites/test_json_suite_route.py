"""JSONTestSuite through a route: y_ is 200, n_ is 400, i_ is either, and never anything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from projects import client_of

SUITES = os.environ.get("TURNOUT_SUITES")
FOLDER = Path(SUITES or ".") / "JSONTestSuite" / "test_parsing"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="TURNOUT_SUITES does not name the suites' folder")

EXPECTED = {"y": {200}, "n": {400}, "i": {200, 400}}
FILES = {
    "app/a/route.py": """
        from typing import Any

        async def POST(request):
            return {"read": repr(await request.json())[:20]}

        async def PUT(request, body: Any):
            return {"read": repr(body)[:20]}
    """
}


async def test_each_body_is_accepted_or_refused_as_its_name_says(tmp_path: Path) -> None:
    cases = sorted(FOLDER.glob("*.json"))
    assert len(cases) == 318
    wrong = []
    async with client_of(tmp_path, FILES) as client:
        for case in cases:
            for method in ("POST", "PUT"):
                answer = await client.request(
                    method, "/a", body=case.read_bytes(), headers={"content-type": "application/json"}
                )
                if answer.status not in EXPECTED[case.name[0]]:
                    wrong.append((case.name, method, answer.status))
    assert not wrong
