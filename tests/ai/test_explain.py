"""Every code of a finding is explained, by the command and on its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from turnout.ai.explain import codes
from turnout.cli.main import main

PAGE = Path(__file__).parents[2] / "docs/reference/findings.md"


@pytest.mark.parametrize("code", sorted(codes()))
def test_each_code_is_explained_in_one_line(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", code.lower()]) == 0

    assert capsys.readouterr().out == f"{code}: {codes()[code]}\n"


def test_an_unknown_code_is_an_error_that_names_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", "TRN000"]) == 2

    assert "findings.md" in capsys.readouterr().err


def test_the_page_lists_what_the_command_says() -> None:
    listed = dict(re.findall(r"^\| `(TRN\d+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))

    assert listed == {code: text.replace("|", "/") for code, text in codes().items()}


def test_every_code_in_the_program_is_explained() -> None:
    ai = Path(__file__).parents[2] / "src/turnout/ai"
    used = {code for file in ai.rglob("*.py") for code in re.findall(r"\"(TRN\d{3})\"", file.read_text())}

    assert used == set(codes())
