"""The MCP server: through the official client, in memory, over stdio as a process, and by HTTP behind its guard."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from turnout.ai.mcp import LARGEST, Tools, fit, guarded, server
from turnout.cli import new

CANARY = "sk_live_51canaryCANARYcanary"


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mcp") / "blog"
    new.run(argparse.Namespace(name=str(root), agents=False, json=False))
    (root / ".env.local").write_text(f"STRIPE_KEY={CANARY}\n")
    (root / ".env.example").write_text("STRIPE_KEY=\n")
    return root


@asynccontextmanager
async def client(root: Path, **options: Any) -> AsyncIterator[Any]:
    from mcp.client.client import Client

    async with Client(server(Tools(root, **options))) as connected:
        yield connected


async def ask(root: Path, tool: str, /, **arguments: Any) -> dict[str, Any]:
    async with client(root) as connected:
        result = await connected.call_tool(tool, arguments)
    assert not result.is_error, result.content
    found: dict[str, Any] = result.structured_content
    assert len(json.dumps(found).encode()) <= LARGEST + 100
    assert CANARY not in json.dumps(found)
    return found


async def test_its_tools_are_the_designed_ones_and_say_what_they_are(blog: Path) -> None:
    async with client(blog) as connected:
        tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
    assert set(tools) == {"routes", "schema", "errors", "logs", "call_route", "check", "docs", "recipe"}
    assert [name for name, tool in tools.items() if not tool.annotations.read_only_hint] == ["recipe"]
    assert all(tool.description for tool in tools.values())
    assert "self" not in json.dumps([tool.input_schema for tool in tools.values()])


async def test_routes_are_listed_as_the_files_are_now(blog: Path) -> None:
    found = await ask(blog, "routes")
    listed = {(each["method"], each["path"]): each for each in found["routes"]}
    assert listed["POST", "/api/posts"]["auth"] == "public"
    assert listed["GET", "/api/posts/[id]"]["file"] == "app/api/posts/[id]/route.py"
    fresh = blog / "app/api/fresh/route.py"
    fresh.parent.mkdir()
    fresh.write_text("async def GET():\n    return 1\n")
    try:
        assert ("GET", "/api/fresh") in {
            (each["method"], each["path"]) for each in (await ask(blog, "routes"))["routes"]
        }
    finally:
        fresh.unlink()
        fresh.parent.rmdir()


async def test_the_schema_has_tables_and_names_of_the_environment_and_no_value(blog: Path) -> None:
    found = await ask(blog, "schema")
    (posts,) = found["tables"]
    assert (posts["name"], [column["name"] for column in posts["columns"]][:2]) == ("posts", ["id", "title"])
    assert found["environment"] == ["STRIPE_KEY"]


async def test_errors_have_file_line_and_cure(blog: Path) -> None:
    broken = blog / "app/api/broken/route.py"
    broken.parent.mkdir()
    broken.write_text("async def get():\n    return 1\n")
    try:
        (problem, *_) = (await ask(blog, "errors"))["problems"]
        assert "must be named GET" in problem["message"] and problem["cure"]
        assert "fix: " in (await ask(blog, "routes"))["error"]
    finally:
        broken.unlink()
        broken.parent.rmdir()


async def test_a_route_is_called_on_a_database_of_its_own(blog: Path) -> None:
    for _ in range(2):
        made = await ask(blog, "call_route", method="post", path="/api/posts", body='{"title": "A", "content": "b"}')
        assert (made["status"], json.loads(made["body"])["id"]) == (201, 1)
    assert not (blog / "data/app.db").exists()
    missing = await ask(blog, "call_route", method="GET", path="/api/posts/7")
    assert missing["status"] == 404


async def test_what_a_route_prints_or_does_to_the_process_does_not_reach_the_answer(blog: Path) -> None:
    noisy = blog / "app/api/noisy/route.py"
    noisy.parent.mkdir()
    noisy.write_text('import os\n\nprint("at import")\n\n\nasync def GET():\n    print("x" * 9000)\n    os._exit(3)\n')
    try:
        found = await ask(blog, "call_route", method="GET", path="/api/noisy")
        assert "could not be looked at" in found["error"]
        assert (await ask(blog, "call_route", method="GET", path="/api/hello"))["status"] == 200
    finally:
        noisy.unlink()
        noisy.parent.rmdir()


async def test_the_documentation_is_found_with_its_place(blog: Path) -> None:
    found = await ask(blog, "docs", query="signed webhook")
    assert any("webhook" in each["page"] for each in found["sections"])
    assert all(Path(each["place"]).is_file() for each in found["sections"])


async def test_logs_are_those_of_development_the_newest_first(blog: Path) -> None:
    assert (await ask(blog, "logs"))["lines"] == []
    lines = [{"level": "info", "message": f"line {number}"} for number in range(30)]
    lines += [{"level": "error", "message": f"it broke with {CANARY}", "traceback": "x" * 5_000}]
    (blog / ".turnout").mkdir(exist_ok=True)
    (blog / ".turnout/dev.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = (await ask(blog, "logs", tail=3))["lines"]
    assert [line["level"] for line in found] == ["error", "info", "info"]
    assert "it broke" in found[0]["message"]
    assert len((await ask(blog, "logs", level="error"))["lines"]) == 1
    assert "there is no level" in (await ask(blog, "logs", level="loud"))["error"]


async def test_recipes_are_listed_and_shown_and_nothing_is_written(blog: Path) -> None:
    before = sorted(blog.rglob("*.py"))
    assert len((await ask(blog, "recipe"))["recipes"]) == 10
    found = await ask(blog, "recipe", name="stripe-webhook")
    assert found["routes"] == ["POST /api/webhooks/stripe auth=public"]
    assert [each["path"] for each in found["files"]][:1] == ["app/api/webhooks/stripe/route.py"]
    assert "there is no recipe" in (await ask(blog, "recipe", name="nothing"))["error"]
    assert "fix: " in (await ask(blog, "recipe", name="crud", args={"name": "x y", "fields": "a:str"}))["error"]
    assert sorted(blog.rglob("*.py")) == before


async def test_a_server_that_writes_nothing_refuses_to(blog: Path) -> None:
    async with client(blog, may_apply=False) as connected:
        result = await connected.call_tool("recipe", {"name": "health", "apply": True})
    assert "writes nothing" in result.structured_content["error"]


async def test_a_recipe_is_proved_and_then_applied_and_files_can_be_checked(tmp_path: Path) -> None:
    root = tmp_path / "app"
    new.run(argparse.Namespace(name=str(root), agents=False, json=False))

    applied = await ask(root, "recipe", name="health", apply=True)

    assert applied["proved"] and "app/api/health/route.py" in applied["written"], applied
    files = ["app/api/health/route.py", "tests/test_health.py"]
    checked = await ask(root, "check", paths=files)
    assert checked["proved"], checked
    route = root / files[0]
    route.write_text(route.read_text() + "\n\nimport subprocess\n\nsubprocess.run(['true'])\n")
    checked = await ask(root, "check", paths=files)
    assert not checked["proved"] and "subprocess" in json.dumps(checked["gates"])


@pytest.mark.parametrize("path", [".env.local", "../outside.py", "/etc/passwd", "app/nothing.py"])
async def test_what_is_private_or_elsewhere_is_not_checked(blog: Path, path: str) -> None:
    found = await ask(blog, "check", paths=[path])
    assert "fix: " in found["error"]


def test_an_answer_is_cut_to_its_size_and_says_so() -> None:
    found = fit({"lines": [{"n": number, "message": "x" * 900} for number in range(50)]}, "lines")
    assert len(json.dumps(found).encode()) <= LARGEST and found["left_off"] == 50 - len(found["lines"])
    assert fit({"lines": [{"message": "x" * 50_000}]}, "lines")["lines"][0]["message"].endswith("…")


async def test_over_stdio_as_a_process_of_its_own(blog: Path) -> None:
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters

    command = StdioServerParameters(
        command=sys.executable, args=["-m", "turnout", "mcp", str(blog)], env=dict(os.environ)
    )
    async with Client(command) as connected:
        assert len((await connected.list_tools()).tools) == 8
        result = await connected.call_tool("call_route", {"method": "GET", "path": "/api/hello"})
        assert result.structured_content["status"] == 200


async def inner(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:9"}, 200),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": ""}, 401),
        ({"authorization": "é"}, 401),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9.evil.example"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1:9.evil.example"}, 421),
        ({"host": "127.0.0.1"}, 421),
    ],
    ids=str,
)
async def test_by_http_only_this_machine_and_who_has_the_token_gets_in(headers: dict[str, str], status: int) -> None:
    app = guarded(inner, frozenset({"127.0.0.1:9"}), "t" * 32)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9") as browser:
        sent = {"authorization": "Bearer " + "t" * 32, **headers}
        answer = await browser.post("/mcp", headers={name: value.encode() for name, value in sent.items()})  # type: ignore[misc]
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


async def test_by_http_the_official_client_gets_its_answers(blog: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "turnout", "mcp", str(blog), "--http", "--port", "0", stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        url = (await process.stderr.readline()).decode().strip()
        token = re.sub("^.*Bearer ", "", (await process.stderr.readline()).decode().strip())
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        fields = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {token}"}
        async with httpx.AsyncClient() as browser:
            for _ in range(1_000):
                try:
                    answer = await browser.post(url, json=call, headers=fields)
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
            refused = await browser.post(url, json=call, headers={**fields, "authorization": "Bearer x"})
        assert (answer.status_code, refused.status_code) == (200, 401), answer.text
        assert "call_route" in answer.text
    finally:
        process.terminate()
        await process.wait()
