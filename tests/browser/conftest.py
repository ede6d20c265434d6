"""One server of the example and one browser for the tests of a file; each test has visitors of its own.

The server is production's, with two workers. Each visitor comes from another address, as the limits count by it.
Without Chromium every test here is skipped, and says so. Pictures of the pages are in ``screenshots/`` afterwards.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browsers
import pytest
from browser.blog import Blog, Visitor

from turnout.auth.keys import make_key

EXAMPLE = Path(__file__).parents[2] / "examples" / "blog"

addresses = itertools.count(1)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Blog]:
    """The example with its samples, as ``turnout start`` serves it."""
    root = tmp_path_factory.mktemp("browser") / "blog"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "__pycache__", ".env*.local", ".turnout"))
    settings = root / "pyproject.toml"
    settings.write_text(
        settings.read_text().replace("[tool.turnout]\n", '[tool.turnout]\ntrusted_proxies = ["127.0.0.1"]\n')
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "PYTEST_"))}
    for name in ("DATABASE_URL", "STORE_URL", "SUPABASE_URL", "SMTP_URL", "CONTACT_EMAIL", "PORT", "HOST"):
        inherited.pop(name, None)
    variables = inherited | {"MAIL_TRANSPORT": "outbox", "TURNOUT_AUTH_KEYS": json.dumps([make_key()])}
    turnout = [sys.executable, "-m", "turnout"]
    for command in ("migrate", "seed"):
        subprocess.run([*turnout, "db", command], cwd=root, env=variables, check=True, capture_output=True, timeout=180)
    log = root.parent / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [*turnout, "start", "--port", "0", "--workers", "2"],
            cwd=root, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            ready = re.search(r"http://\S+", process.stdout.readline())
            assert ready, log.read_text()
            yield Blog(root, ready[0], log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def scripts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def visit(blog: Blog, chromium: Any) -> Iterator[Callable[..., Visitor]]:
    """``visit(scripts=False, signed_in=True)``: somebody with a browser of their own.

    At the end no page may have complained, as it does of what the Content-Security-Policy refuses.
    """
    visitors: list[Visitor] = []

    def come(*, scripts: bool = True, signed_in: bool = False, **options: Any) -> Visitor:
        number = next(addresses)
        context = browsers.new_context(
            chromium,
            base_url=blog.url,
            java_script_enabled=scripts,
            extra_http_headers={"x-forwarded-for": f"198.51.{number // 250}.{number % 250 + 1}"},
            **options,
        )
        visitor = Visitor(blog, context, f"visitor{number}")
        visitors.append(visitor)
        if signed_in:
            visitor.sign_up()
        return visitor

    yield come
    for visitor in visitors:
        visitor.context.close()
    for visitor in visitors:
        assert visitor.complaints == [], visitor.complaints
