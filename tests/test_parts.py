"""Parts of Turnout that a project does not use are not loaded, and find the project whenever they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from projects import make_project

from turnout.cli.start import has_database
from turnout.config import load_config

HELLO = {
    "pyproject.toml": '[tool.turnout]\nallowed_hosts = ["localhost"]\n',
    "app/api/hello/route.py": 'async def GET():\n    return {"message": "Hello World!"}\n',
}
# Names of modules and packages: a worker of an app that says hello has no use for any of them.
UNUSED = {
    "argparse", "calendar", "dataclasses", "difflib", "email", "hashlib", "hmac", "html", "jinja2", "json", "mimetypes",
    "random", "secrets", "sqlite3", "unicodedata", "zoneinfo",
    "turnout.actions", "turnout.adapters", "turnout.cache", "turnout.contract", "turnout.db", "turnout.dev",
    "turnout.mail", "turnout.metrics", "turnout.ratelimit", "turnout.tasks", "turnout.webhooks",
    "turnout.auth.client", "turnout.auth.pages", "turnout.auth.wire", "turnout.http.file", "turnout.http.form",
    "turnout.store.sqlite",
}  # fmt: skip
WORKER = """
import sys
from pathlib import Path
from turnout.cli.load import load
from turnout.server import supervisor, worker
worker.loop_factory()
load(Path(sys.argv[1]), "production")
print(*sys.modules)
"""
LATE = """
import asyncio, sys
from turnout import load_project
from turnout.testing import Client
app = load_project(sys.argv[1], mode=sys.argv[2]).app
assert not {"turnout.db", "turnout.mail", "turnout.actions"} & set(sys.modules)

async def ask():
    async with Client(app) as client:
        print((await client.get("/api/late")).text)

asyncio.run(ask())
"""


def run(code: str, *arguments: str) -> str:
    """What *code* prints, in a process of its own."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


def test_a_worker_of_a_plain_app_loads_no_part_that_it_does_not_use(tmp_path: Path) -> None:
    loaded = run(WORKER, str(make_project(tmp_path, HELLO))).split()
    assert not UNUSED & set(loaded)


def test_a_database_that_a_handler_imports_late_is_the_projects(tmp_path: Path) -> None:
    late = """
        async def GET():
            from turnout import db
            return {"file": str(db.path)}
    """
    root = make_project(tmp_path, {**HELLO, "app/api/late/route.py": late})
    assert str(root / "data" / "app.db") in run(LATE, str(root), "production")
    assert (root / "data").is_dir()


def test_mail_that_a_handler_imports_late_is_the_projects(tmp_path: Path) -> None:
    late = """
        async def GET():
            from turnout import send_email
            from turnout.mail import outbox
            await send_email(to="ada@example.com", subject="Hello", text="Hello")
            return {"sent": [str(each.subject) for each in outbox]}
    """
    root = make_project(tmp_path, {**HELLO, "app/api/late/route.py": late})
    assert '"sent":["Hello"]' in run(LATE, str(root), "test")


def test_what_is_wrong_with_an_address_of_a_database_or_of_mail_is_said_at_the_start(tmp_path: Path) -> None:
    code = """
import sys
from turnout import ConfigError, load_project
try:
    load_project(sys.argv[1], mode="production")
except ConfigError as exc:
    print(exc.message)
"""
    root = make_project(tmp_path, {**HELLO, ".env": "DATABASE_URL=mysql://host/name\n"})
    assert "unknown scheme" in run(code, str(root))
    (root / ".env").unlink()
    (root / "pyproject.toml").write_text(f'{HELLO["pyproject.toml"]}[tool.turnout.mail]\nsender = "nobody"\n')
    assert "sender of [tool.turnout.mail]" in run(code, str(root))


def test_a_project_has_a_database_when_its_file_is_there_or_its_address_is_a_servers(tmp_path: Path) -> None:
    root = make_project(tmp_path, HELLO)
    assert not has_database(load_config(root, "production", {}))
    assert has_database(load_config(root, "production", {"DATABASE_URL": "postgresql://localhost/app"}))
    (root / "data").mkdir()
    (root / "data" / "app.db").touch()
    for address in ("", "data/app.db", "sqlite:///data/app.db", f"sqlite:///{root}/data/app.db"):
        assert has_database(load_config(root, "production", {"DATABASE_URL": address})), address
    assert not has_database(load_config(root, "production", {"DATABASE_URL": ":memory:"}))
