"""Every test here is marked ``faults``; TURNOUT_FAULTS=full gives the long forms. Linux only: /proc is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="reads /proc, which only Linux has"))


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether the long form is asked for."""
    return os.environ.get("TURNOUT_FAULTS") == "full"


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest, full: bool):
    """Prints a figure; past pytest's capture in the long form, whose figures are what it is run for."""

    def write(text: str) -> None:
        if full:
            with capsys.disabled():
                print(f"\n  {request.node.name}: {text}", flush=True)
        else:
            print(text)

    return write
