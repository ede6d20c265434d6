"""app/instrumentation.py: it runs around the app, and hears of errors."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from projects import client_of

from turnout import ConfigError

NOTE = """
        import json
        from pathlib import Path

        def note(event):
            with (Path(__file__).parents[1] / "events.txt").open("a") as file:
                file.write(json.dumps(event) + "\\n")
"""
FILES = {
    "app/instrumentation.py": NOTE
    + """
        async def register():
            note("open")
            yield
            note("close")

        async def on_request_error(error, request, context):
            note([type(error).__name__, context])
    """,
    "app/fails/route.py": "async def GET(request): return 1 / 0",
    "app/refuses/route.py": """
        from turnout import Conflict, HTTPError
        async def GET(request): raise Conflict("no")
        async def POST(request): raise HTTPError(503, "meant")
        async def PUT(request): raise HTTPError(502, "upstream") from ValueError("why")
    """,
}


def events(root: Path) -> list[Any]:
    return [json.loads(line) for line in (root / "events.txt").read_text().splitlines()]


async def test_it_is_opened_before_the_first_request_and_closed_after_the_last(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES):
        assert events(tmp_path) == ["open"]
    assert events(tmp_path) == ["open", "close"]


async def test_it_hears_of_what_is_logged_and_of_nothing_that_was_meant(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        failed = await client.get("/fails?token=secret")
        assert failed.status == 500
        assert [(await client.request(method, "/refuses")).status for method in ("GET", "POST", "PUT")] == [
            409,
            503,
            502,
        ]
    heard = events(tmp_path)[1:-1]
    assert [name for name, _ in heard] == ["ZeroDivisionError", "HTTPError"]
    assert heard[0][1] == {
        "route": "/fails",
        "method": "GET",
        "path": "/fails",
        "status": 500,
        "request_id": failed.json()["instance"],
    }


async def test_what_it_raises_is_logged_and_changes_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = "async def on_request_error(error, request, context): raise ValueError('broken')"
    async with client_of(tmp_path, {**FILES, "app/instrumentation.py": broken}) as client:
        with caplog.at_level(logging.ERROR):
            assert (await client.get("/fails")).status == 500
            await asyncio.sleep(0.01)
    assert "on_request_error failed: broken" in caplog.text


async def test_a_plain_register_is_enough(tmp_path: Path) -> None:
    plain = (
        NOTE
        + """
        async def register():
            note("begun")
    """
    )
    async with client_of(tmp_path, {**FILES, "app/instrumentation.py": plain}):
        assert events(tmp_path) == ["begun"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1", "neither register nor on_request_error"),
        ("def register(): ...", "register is not an async function"),
        ("async def register(app): ...", "cannot be called with 0 arguments"),
        ("async def on_request_error(error): ...", "cannot be called with 3 arguments"),
        ("async def register():\n    if 0:\n        yield", "ended without its yield"),
    ],
)
async def test_a_file_that_would_not_work_stops_the_start(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        async with client_of(tmp_path, {**FILES, "app/instrumentation.py": text}):
            pass
