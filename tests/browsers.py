"""The browser of the tests: one way to start it, with deadlines for a machine that is busy with others.

Nothing may be read from a page straight after what changes it later: wait for what is to be seen, and then read.
Keys go to an element (``locator.press``), not to whatever has the focus by then; where the focus is the point of
the test it is waited for, as ``autofocus`` takes hold when the page is first drawn, after its ``load``.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

START_S = 180
PATIENCE_S = 60
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, or a skip that says what is missing.

    Of one file at most: while Playwright's event loop runs, no other test of the process could have one.
    """
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: no test drives a browser"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium on this machine: no page is tried in a browser")
    # One whose installation broke off has a program, and not what it needs.
    if subprocess.run([program, "--version"], capture_output=True, timeout=START_S).returncode:
        pytest.skip(f"{program} does not start: no page is tried in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS, timeout=START_S * 1000)
        try:
            yield browser
        finally:
            browser.close()


def new_context(browser: Any, **options: Any) -> Any:
    """A visitor's own context, which waits as long as a busy machine needs."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_S * 1000)
    return context


def until(page: Any, is_so: Callable[[], Any], what: str) -> None:
    """Wait for what no locator can: *is_so* is asked again and again."""
    give_up = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up, f"not within {PATIENCE_S} s: {what}"
        page.wait_for_timeout(20)  # Playwright's events come in meanwhile, as they would not during time.sleep()
