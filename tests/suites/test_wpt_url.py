"""The URL parsing cases of web-platform-tests, all through our URL."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from turnout.http.url import URL

SUITES = os.environ.get("TURNOUT_SUITES")
COMPONENTS = ("href", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash")

pytestmark = pytest.mark.skipif(
    not SUITES, reason="TURNOUT_SUITES is not set: the URL cases are outside this repository"
)


def cases() -> list[dict[str, Any]]:
    if not SUITES:
        return []
    data = json.loads(Path(SUITES, "wpt-url", "urltestdata.json").read_text())
    return [case for case in data if isinstance(case, dict)]


def test_every_case_is_here() -> None:
    assert len(cases()) == 891


@pytest.mark.parametrize("case", cases(), ids=lambda case: ascii(case["input"])[:60])
def test_a_url_parses_as_the_standard_says(case: dict[str, Any]) -> None:
    if case.get("failure"):
        with pytest.raises(TypeError):
            URL(case["input"], case["base"])
        assert not URL.can_parse(case["input"], case["base"])
        return

    url = URL(case["input"], case["base"])

    assert {part: getattr(url, part) for part in COMPONENTS} == {part: case[part] for part in COMPONENTS}
    assert url.origin == case.get("origin", url.origin)
    assert str(url.search_params) == case.get("searchParams", str(url.search_params))
    assert URL(url.href) == url
