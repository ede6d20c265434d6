"""The example's routes through its clients: from Node, from a page of the example, and from Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from browsers import chromium, new_context
from client.compile import HERE, compile_ts, needs_tsc
from client.test_python import mypy
from served import Served, served

from turnout.cli.main import main
from turnout.env import env
from turnout.routing.module import unload

EXAMPLE = HERE.parents[1] / "examples" / "blog"
SECRETS = {"STRIPE_WEBHOOK_SECRET": "whsec_x", "EXTERNAL_API_KEY": "x"}
SAID = ["Hello World!", "By a client", "Changed", True, None, True, "/title", True, "email_taken", True, True, "value"]
SHOW = """
import asyncio
import sys

from api_client import Api, ApiError


async def main(url: str) -> None:
    async with Api(url) as api:
        print((await api("GET /api/hello"))["message"])
        post = await api("POST /api/posts", body={"title": "By a client", "content": "x"})
        posts = await api("GET /api/posts", query={"limit": 100})
        print(post["id"] in [each["id"] for each in posts])
        await api("DELETE /api/posts/[id]", params={"id": post["id"]})
        try:
            await api("POST /api/posts", body={"title": "", "content": "x"})
        except ApiError as error:
            print(error.status, error.code == "validation_failed")


asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A copy of the example, served, with its clients; that of TypeScript compiled into public/."""
    root = tmp_path_factory.mktemp("blog") / "blog"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "__pycache__", ".env*.local", ".ruff_cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", sys.path[:])
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        patch.delenv("DATABASE_URL", raising=False)
        words = [
            "client",
            str(root),
            "--ts",
            str(root / "client/api.ts"),
            "--python",
            str(root / "client/api_client.py"),
        ]
        assert main(words) == 0
        unload(root)
        env.unload()
    shutil.copy(HERE / "blog.ts", root / "client")
    if needs_tsc.args[0] is False:
        assert compile_ts(root / "client", "blog.ts") == ""
        shutil.copytree(root / "client/built", root / "public/client")
    own = {"app/route.py": (root / "app/route.py").read_text()}
    with served(root, own, settings=(root / "pyproject.toml").read_text(), environment=SECRETS) as server:
        yield server


@needs_tsc
def test_the_example_is_called_from_node(blog: Served) -> None:
    script = (
        f"import('./built/blog.js').then((blog) => blog.run('{blog.url}')).then((s) => console.log(JSON.stringify(s)))"
    )
    command = ["node", "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=blog.root / "client", capture_output=True, text=True, timeout=180)

    assert done.stderr == ""
    assert json.loads(done.stdout) == SAID


@needs_tsc
def test_the_example_is_called_from_a_page_of_its_own(blog: Served) -> None:
    with chromium() as browser:
        page = new_context(browser).new_page()
        page.goto(blog.url)

        assert page.evaluate("import('/client/blog.js').then((blog) => blog.run(''))") == SAID


def test_the_example_is_called_from_python(blog: Served) -> None:
    pytest.importorskip("mypy")
    (blog.root / "client/show.py").write_text(SHOW)

    assert mypy(blog.root / "client", "show.py") == []
    command = [sys.executable, "show.py", blog.url]
    done = subprocess.run(command, cwd=blog.root / "client", capture_output=True, text=True, timeout=180)
    assert (done.stderr, done.stdout.splitlines()) == ("", ["Hello World!", "True", "422 True"])
