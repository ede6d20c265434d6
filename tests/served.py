"""A project served for real by ``turnout dev`` or ``turnout start``, for tests that drive official clients."""

from __future__ import annotations

import email
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from ports import free_port
from projects import make_project

from turnout.auth.keys import Keys, make_key

DEADLINE_S = 90.0

SETTINGS = """
[tool.turnout]
allowed_hosts = ["localhost", "127.0.0.1"]
origin = "http://localhost:{port}"
supabase = true

[tool.turnout.server]
port = {port}

[tool.turnout.mail]
sender = "app@example.com"

[tool.turnout.auth]
{auth}
"""


class Served:
    """A running server.

    Attributes:
        url: Where it is, ``http://127.0.0.1:<port>``.
        anon: The key for browsers.
        service: The key for administrators.
    """

    def __init__(self, root: Path, process: subprocess.Popen[str], url: str, environment: dict[str, str]) -> None:
        self.root, self.process, self.url = root, process, url
        keys = Keys.load(root, "development", environment)
        self.anon, self.service = keys.api_key("anon"), keys.api_key("service_role")

    def mails(self, to: str) -> list[EmailMessage]:
        """What was mailed to *to* so far, oldest first."""
        folder = self.root / "data" / "outbox"
        found = [email.message_from_bytes(file.read_bytes(), policy=default) for file in sorted(folder.glob("*.eml"))]
        return [message for message in found if to.lower() in str(message["to"]).lower()]

    def mail(self, to: str, count: int = 1) -> str:
        """The text of the *count*-th mail to *to*; mail is sent behind an answer, so it is waited for."""
        give_up = time.monotonic() + DEADLINE_S
        while len(found := self.mails(to)) < count:
            assert time.monotonic() < give_up, f"no mail to {to}"
            time.sleep(0.02)
        body = found[count - 1].get_body(("plain",))
        assert body is not None
        return str(body.get_content())

    def code(self, to: str, count: int = 1) -> str:
        """The six digits in the *count*-th mail to *to*."""
        found = re.search(r"code: (\d{6})\b", self.mail(to, count))
        assert found is not None
        return found[1]

    def link(self, to: str, count: int = 1) -> str:
        """The link in the *count*-th mail to *to*."""
        found = re.search(r"https?://\S+/auth/v1/verify\S+", self.mail(to, count))
        assert found is not None
        return found[0]


@contextmanager
def served(
    root: Path,
    files: dict[str, str] | None = None,
    *,
    auth: str = "",
    settings: str | None = None,
    database: str | None = None,
    port: int = 0,
    environment: dict[str, str] | None = None,
    script: Path | None = None,
    production: bool = False,
) -> Iterator[Served]:
    """The project that *files* make in *root*, served by ``turnout dev`` until the end.

    Args:
        auth: Lines of ``[tool.turnout.auth]``.
        port: Any free one if 0. It is settled before the start, since links in mails name it.
        settings: The whole ``pyproject.toml`` instead.
        database: DATABASE_URL; a file in the project if None.
        environment: More of it for the server.
        script: What serves, in the place of ``turnout dev``.
        production: Served by two workers of ``turnout start``, after ``turnout db migrate``.
    """
    port = port or free_port()
    text = SETTINGS.format(auth=auth, port=port) if settings is None else settings
    make_project(root, {"pyproject.toml": text, "app/route.py": "def GET(request):\n    return {}\n", **(files or {})})
    values = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "TURNOUT_MODE")}
    values |= environment or {}
    if database is not None:
        values["DATABASE_URL"] = database
    command = ["-m", "turnout", "dev"] if script is None else [str(script)]
    if production:
        values |= {"TURNOUT_AUTH_KEYS": json.dumps([make_key()]), "MAIL_TRANSPORT": "outbox", "WEB_CONCURRENCY": "2"}
        command = ["-m", "turnout", "start"]
        migrate = [sys.executable, "-m", "turnout", "db", "migrate"]
        subprocess.run(migrate, cwd=root, env=values | {"TURNOUT_MODE": "production"}, check=True, capture_output=True)
    with (root / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, *command, str(root), "--port", str(port), "--host", "127.0.0.1"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=values,
        )
    try:
        yield Served(root, process, _address(root, process), values)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE_S)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _address(root: Path, process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    give_up = time.monotonic() + DEADLINE_S
    said = ""
    while time.monotonic() < give_up and process.poll() is None:
        if select.select([process.stdout], [], [], 0.2)[0]:
            line = process.stdout.readline()
            said += line
            if found := re.search(r"ready on (http://\S+)", line):
                return found[1]
    raise AssertionError(f"the server did not start:\n{said}\n{(root / 'stderr').read_text()}")


def node() -> str | None:
    """The Node on this machine, or None; the clients it runs are in ``tests/js``."""
    installed = (Path(__file__).parent / "js" / "node_modules" / "@supabase" / "supabase-js").is_dir()
    return shutil.which("node") if installed else None
