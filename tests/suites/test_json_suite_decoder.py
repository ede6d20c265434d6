"""The parsing cases of JSONTestSuite, all through our decoder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from turnout.errors import BadRequest
from turnout.http.jsontext import load_as, loads

SUITES = os.environ.get("TURNOUT_SUITES")

pytestmark = pytest.mark.skipif(
    not SUITES, reason="TURNOUT_SUITES is not set: JSONTestSuite is outside this repository"
)


def cases() -> list[Path]:
    return sorted(Path(SUITES, "JSONTestSuite", "test_parsing").glob("*.json")) if SUITES else []


def test_every_case_is_here() -> None:
    assert len(cases()) == 318


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.stem)
@pytest.mark.parametrize("decode", [loads, lambda data: load_as(data, dict | list | str | float | bool | None)])
def test_a_text_is_accepted_or_refused_as_the_suite_says(case: Path, decode: object) -> None:
    assert callable(decode)
    try:
        decode(case.read_bytes())
    except BadRequest as exc:
        assert not case.name.startswith("y_"), exc.detail
        assert exc.status == 400
        assert exc.code == "invalid_json"
    else:
        assert not case.name.startswith("n_")
