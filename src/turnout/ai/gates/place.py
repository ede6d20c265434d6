"""Two copies of a project in a temporary folder, as it is and as the change would have it, and runs of the test bed.

Nothing private is copied: no ``.env`` file, no key, no database. The environment that the bed sees is made up here;
each secret of it is a canary that no answer and no log line may show.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ...errors import ConfigError
from ..changeset import ChangeSet
from ..jail import MIB, Limits, Mode, Ran, jailed
from ..redact import is_private

Side = Literal["base", "after"]

LARGEST_BYTES, MOST_BYTES = 5_000_000, 200_000_000
_SKIPPED = frozenset(("__pycache__", "node_modules", "venv", "site-packages"))
_OURS = re.compile(
    r"DATABASE_URL|STORE_URL|SMTP_URL|MAIL_TRANSPORT|SUPABASE_\w*|TURNOUT_\w*|PYTHON\w*|LD_\w*|PATH|HOME"
)
_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE|_KEY$|CREDENTIAL")
MEMORY = {"small": 1_024 * MIB, "large": 4_096 * MIB}


class Place:
    """The work copies of one change.

    Args:
        folder: An empty temporary one.
        mode: How strong the jail is.
    """

    def __init__(self, folder: Path, root: Path, change: ChangeSet, mode: Mode) -> None:
        self.folder, self.root, self.change, self.mode = Path(os.path.realpath(folder)), root, change, mode
        self.layers: list[str] = []
        self.dialect, self.migrations = database(root)
        for side in ("base", "after"):
            copy(root, self.folder / side / "project")
        _apply(change, self.project("after"))
        shutil.copytree(_made(self.project("base") / self.migrations), self.folder / "after" / "base_migrations")
        _made(self.project("after") / self.migrations)
        self.env, self.canaries = made_up(self._texts(), change.env)

    def project(self, side: Side) -> Path:
        """The copy on one side."""
        return self.folder / side / "project"

    def _texts(self) -> str:
        after = self.project("after")
        sources = [path for folder in ("app", "lib") for path in sorted((after / folder).rglob("*.py"))]
        example = after / ".env.example"
        return "\n".join(path.read_text(errors="replace") for path in (*sources, example) if path.is_file())

    async def bed(self, side: Side, task: str, *, timeout_s: float, **spec: Any) -> dict[str, Any]:
        """The result of *task* of the test bed on one side; ``{"failed": why}`` where it came to none."""
        folder = self.folder / side
        (folder / "result.json").unlink(missing_ok=True)
        word = secrets.token_hex(16)
        facts = {
            "word": word,
            "dialect": self.dialect,
            "migrations": self.migrations,
            "canaries": self.canaries,
            **spec,
        }
        (folder / "spec.json").write_text(json.dumps(facts))
        argv = [sys.executable, "-I", "-m", "turnout.ai.gates.bed", task, str(folder)]
        large = self.dialect == "postgres" or task == "pytest"
        ran = await self.run(side, argv, timeout_s=timeout_s, large=large)
        try:
            result: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
            ours = result.get("word") == word
        except (OSError, ValueError, AttributeError):
            ours = False
        return result if ours else {"failed": _why(ran), "crashed": True}

    async def run(
        self, side: Side, argv: list[str], *, timeout_s: float, large: bool = False, writable: tuple[Path, ...] = ()
    ) -> Ran:
        """Run any program on one side."""
        ran = await jailed(
            argv, work=self.folder / side, cwd=self.project(side), writable=writable, timeout_s=timeout_s, env=self.env,
            limits=Limits(memory_bytes=MEMORY["large" if large else "small"]), mode=self.mode,
        )  # fmt: skip
        self.layers = ran.layers
        return ran


def _why(ran: Ran) -> str:
    if ran.timed_out:
        return f"it did not end in {ran.seconds:.0f} s"
    return f"it ended with status {ran.returncode}: {ran.output[-400:].strip()}"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# -- copies


def copy(root: Path, target: Path) -> None:
    """Copy what the project is made of, and nothing private.

    Raises:
        ConfigError: it is larger than a project of source files can be.
    """
    total = 0
    for path in _files(root, root):
        file = root / path
        total += file.stat().st_size
        if total > MOST_BYTES:
            raise ConfigError(f"{root} is over {MOST_BYTES} bytes", cure="move data out of the project's folder")
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    target.mkdir(parents=True, exist_ok=True)


def _files(folder: Path, root: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = Path(entry.path).relative_to(root).as_posix()
        if entry.is_symlink() or (entry.name.startswith(".") and entry.name not in (".env.example", ".well-known")):
            continue
        if entry.is_dir():
            skipped = entry.name in _SKIPPED or path == "data" or Path(entry.path, "pyvenv.cfg").exists()
            if not skipped:
                yield from _files(Path(entry.path), root)
        # Code may be called secrets.py; a file of secrets is never Python.
        elif (path.endswith(".py") or not is_private(path)) and entry.stat().st_size <= LARGEST_BYTES:
            yield path


def _apply(change: ChangeSet, project: Path) -> None:
    for file in change.files:
        place = project / file.path
        if file.text is None:
            place.unlink(missing_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(file.text, encoding="utf-8")


# -- settings


def database(root: Path) -> tuple[str, str]:
    """The engine that the project uses, and its folder of migrations."""
    from ...config import load_config
    from ...env import load_env
    from ...project import migrations_folder

    try:
        config = load_config(root, "development", load_env(root, "development"))
        folder = migrations_folder(config).relative_to(config.root).as_posix()
    except (ConfigError, ValueError):  # G2 says what is wrong with it
        return "sqlite", "migrations"
    return ("postgres" if config.database_url.startswith("postgres") else "sqlite"), folder


def made_up(texts: str, names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """An environment for every name that *texts* and *names* speak of, and the secrets in it."""
    example = dict(re.findall(r"^\s*#?\s*([A-Z][A-Z0-9_]*)\s*=[ \t]*([^\n#]*)", texts, re.MULTILINE))
    spoken = re.findall(r"[\"']([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])[\"']|secret:([A-Z][A-Z0-9_]*)", texts)
    wanted = sorted({*example, *names, *(one or other for one, other in spoken), "API_SECRET"})
    env: dict[str, str] = {"TURNOUT_MODE": "test"}
    canaries: dict[str, str] = {}
    for name in wanted:
        if _OURS.fullmatch(name):
            continue
        env[name] = _value(name, example.get(name, "").strip().strip("\"'"))
        if _SECRET.search(name):
            canaries[name] = env[name]
    return env, canaries


def _value(name: str, example: str) -> str:
    canary = f"canary_{secrets.token_hex(20)}"
    if "WEBHOOK" in name and "SECRET" in name:
        return "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    if _SECRET.search(name):
        return canary
    if example:
        return example
    if name.endswith(("_URL", "_URI", "_ENDPOINT", "_ORIGIN", "_HOST")):
        return "https://example.invalid"
    if any(word in name for word in ("EMAIL", "MAIL_TO", "MAIL_FROM", "SENDER", "RECIPIENT", "INBOX", "_TO", "_FROM")):
        return "somebody@example.com"
    if name.endswith(("PORT", "LIMIT", "COUNT", "SIZE", "DAYS", "HOURS", "MINUTES", "SECONDS", "_S", "_MS", "MAX")):
        return "7"
    return canary
