"""The whole loop with a small real model on this machine: ``make test-llm``.

Passes when nothing unproved or unsafe was applied, and at least one of five tiny asks was accepted:
the first matters, the second shows that the loop is alive. What such a model can do says nothing of
larger ones. ``TURNOUT_REAL_LLM=weak`` takes the smaller one, of which nothing need be accepted.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ai.local_model import MAIN, WEAK, Unavailable, served
from projects import make_project

from turnout.ai.create import Failed, Gate, create

WHICH = os.environ.get("TURNOUT_REAL_LLM", "")
pytestmark = [
    pytest.mark.real_llm,
    pytest.mark.skipif(not WHICH, reason="opt-in: TURNOUT_REAL_LLM=1, or make test-llm"),
]

ASKS = [
    'Add GET /api/ping that answers {"pong": true}',
    'Add GET /api/version that answers {"version": "1.0"}',
    'Add GET /api/add/[a]/[b] that answers {"sum": a + b} for two whole numbers in the path',
    'Add POST /api/echo that takes JSON {"text": "..."} and answers the same text. auth is public.',
    'Add GET /api/colors that answers the list ["red", "green", "blue"]',
]
FILES = {
    "pyproject.toml": """\
        [tool.turnout]
        allowed_hosts = ["localhost"]

        [tool.turnout.ai]
        context_tokens = 1500
        answer_tokens = 700
        """,
    "app/api/hello/route.py": """\
        from turnout import Request, Response


        async def GET(request: Request) -> Response:
            return Response.json({"message": "Hello"})
        """,
    "tests/test_hello.py": """\
        import asyncio

        from turnout.testing import Client


        def test_hello() -> None:
            async def main() -> None:
                async with Client(root=".") as client:
                    assert (await client.get("/api/hello")).json() == {"message": "Hello"}

            asyncio.run(main())
        """,
    ".env.local": "SECRET_THING=canary-in-env-local\n",
}


def test_five_tiny_asks(tmp_path, monkeypatch, capsys):
    import asyncio

    weights = WEAK if WHICH == "weak" else MAIN
    try:
        with served(weights) as (url, key):
            monkeypatch.setenv("TURNOUT_AI_BASE_URL", url)
            monkeypatch.setenv("TURNOUT_AI_KEY", key)
            accepted = [asyncio.run(asked(ask, tmp_path / str(number))) for number, ask in enumerate(ASKS)]
    except Unavailable as exc:
        with capsys.disabled():
            print(f"\nSKIPPED, LOUDLY: the small model cannot be had: {exc}")
        pytest.skip(str(exc))

    with capsys.disabled():
        print(f"{weights.name}: {sum(accepted)} of {len(ASKS)} accepted, nothing unproved applied (n = 1 each)")
    assert any(accepted) or weights is WEAK


async def asked(ask: str, root: Path) -> bool:
    """Whether *ask* was accepted; nothing else than what was proved is written."""
    make_project(root, FILES)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    started = time.monotonic()
    async with create(ask, project=root, model="openai:local", use_recipes=False, max_repairs=2) as run:
        events = [event async for event in run.events()]
        assert {path: path.read_bytes() for path in before} == before
        refused = [event.name for event in events if isinstance(event, Gate) and not event.ok]
        why = events[-1].why if isinstance(events[-1], Failed) else ""
        spent = run.budget
        print(
            f"\n{ask}\n  {'ACCEPTED' if run.proved else 'refused'} after {time.monotonic() - started:.0f} s, "
            f"{spent.requests} requests, {spent.tokens_in} + {spent.tokens_out} tokens; refused at {refused} {why}"
        )
        for finding in run.findings[:3]:
            print(f"    {str(finding)[:200]}")
        if not run.proved:
            with pytest.raises(Exception, match="not proved"):
                run.apply()
        else:
            run.apply()
    after = {path for path in root.rglob("*") if path.is_file() and ".turnout" not in path.parts}
    new = {path.relative_to(root).as_posix() for path in after - before.keys()}
    assert all(path.startswith(("app/", "lib/", "tests/", "templates/", "migrations/")) for path in new), new
    assert run.proved or not new
    assert (root / ".env.local").read_bytes() == before[root / ".env.local"]
    return run.proved
