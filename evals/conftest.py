"""What the hidden tests of an eval may use: a client of the project around them, and its users.

Each project lies in a folder of its own, with the tests in ``hidden/``; many are judged in one process.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from turnout.auth import auth_service
from turnout.db import db, migrate
from turnout.env import env
from turnout.routing.module import unload
from turnout.testing import Client

PATIENCE_S = 20


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test; with ``client`` the app is started, and its database migrated, around it."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S):
            if "client" not in pyfuncitem.funcargs:
                await pyfuncitem.obj(**given)
                return
            async with pyfuncitem.funcargs["client"]:
                migrations = pyfuncitem.funcargs["root"] / "migrations"
                if migrations.is_dir():
                    await migrate.migrate(db, migrations)
                await pyfuncitem.obj(**given)

    asyncio.run(run())
    return True


@pytest.fixture
def root(request: pytest.FixtureRequest) -> Path:
    """The project that is judged."""
    return Path(request.path).parent.parent


@pytest.fixture(autouse=True)
def alone(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The eval's environment, a database of the test's own, and no module of another project."""
    settings = tomllib.loads((root / "eval.toml").read_text())
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))
    for name, value in settings["env"].items():
        monkeypatch.setenv(name, value)
    yield
    unload(root)
    env.unload()
    if str(root) in sys.path:
        sys.path.remove(str(root))


@pytest.fixture
def client(root: Path, alone: None) -> Client:
    """Calls the project in this process."""
    return Client(root=root)


@pytest.fixture
def sign_in() -> Callable[[Client, str], Awaitable[str]]:
    """``await sign_in(client, email)``: from then on *client* is a new user of that address; gives the user's id."""

    async def signed_in(client: Client, email: str) -> str:
        auth = auth_service()
        user = await auth.admin_create_user(email=email, password="correct horse", email_confirm=True)
        session = await auth.sign_in_with_password(email, "correct horse")
        client.headers = {"authorization": f"Bearer {session.access_token}"}
        identity: Any = user.id
        return str(identity)

    return signed_in
