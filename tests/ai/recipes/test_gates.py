"""Every recipe passes the gates that a model's answer has to pass; several at once, as a gate costs that much.

By default those of the specification's two sentences and the one with a table; TURNOUT_GATES=full takes all.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.ai.recipes.town import fresh, plan, write
from turnout.ai.changeset import ChangeSet
from turnout.ai.gates import run_gates
from turnout.ai.recipes import RECIPES

TOGETHER = [
    [["signup-email"], ["stripe-webhook"], ["crud", "note", "title:str", "body:text", "author:ref(users)"]],
    [["contact-form"], ["health"], ["proxy", "weather", "city"], ["cron"], ["auth-route"]],
    [["upload"], ["webhook"], ["webhook", "github", "github"], ["webhook", "acme", "hmac"]],
]
FULL = os.environ.get("TURNOUT_GATES") == "full"


def test_every_recipe_is_among_them() -> None:
    assert {words[0] for group in TOGETHER for words in group} == RECIPES.keys()


@pytest.mark.parametrize(
    "group", TOGETHER if FULL else TOGETHER[:1], ids=lambda group: "+".join(words[0] for words in group)
)
async def test_they_pass_every_gate(tmp_path: Path, group: list[list[str]]) -> None:
    root, scratch = fresh(tmp_path / "app"), fresh(tmp_path / "scratch")
    changes = []
    for words in group:
        changes.append(plan(scratch, words))
        write(scratch, changes[-1])
    together = ChangeSet(
        summary="several",
        contract=[claim for change in changes for claim in change.contract],
        files=[file for change in changes for file in change.files],
        env=[name for change in changes for name in change.env],
    )

    verdict = await run_gates(root, together, allow_weak=True)

    assert verdict.proved, [str(finding) for report in verdict.reports for finding in report.findings]
