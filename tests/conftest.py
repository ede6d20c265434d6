"""Runs ``async def test_*`` functions on a fresh event loop each, in asyncio's debug-free mode."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, on every machine: what fails in CI fails here, and nothing fails there alone.
# Look for new ones with ``pytest --hypothesis-profile=wild``. How long an example takes is the machine's affair.
settings.register_profile("wild", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("wild"), derandomize=True)
settings.load_profile("same")

# A test that waits for ever would take the whole run with it. No test comes near this; the long forms of
# the fault tests have an hour.
LIMIT_S = 3_600 if os.environ.get("TURNOUT_FAULTS") == "full" else 900


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Await a coroutine test; leave every other to pytest."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}

    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await pyfuncitem.obj(**arguments)

    with asyncio.Runner() as runner:
        runner.run(limited())
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names that another process would give otherwise: the tests run in several at once."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: an address in a test's name; give the parameters ids")


@pytest.fixture(scope="module", autouse=True)
def of_one_file_alone() -> Iterator[None]:
    """Forget the modules of projects that a file's tests have made: ``lib.posts`` is another one in the next file."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("lib", "app")]:
        del sys.modules[name]
