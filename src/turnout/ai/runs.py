"""What every ``turnout create`` leaves behind, in ``.turnout/ai/<id>/``: nothing that was made is lost.

A run is kept whether it was applied, declined or failed: the ask, what was sent and answered (with
secrets replaced), each attempt with its reports, the texts it was based on and what it cost. The
folder is for its owner alone (mode 0700) and ignored by git. The newest 50 stay, and those that are
applied stay until they are undone.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from ..errors import ConfigError
from .changeset import ChangeSet

KEPT = 50
State = Literal["open", "proved", "failed", "declined", "applied", "undone"]
T = TypeVar("T")

_is_id = re.compile(r"\d{8}-\d{6}-\d{6}").fullmatch


class Record(Struct):
    """``run.json``: what a list of runs shows.

    Attributes:
        by: ``recipe NAME`` or ``model NAME``.
        arguments: Those of the recipe.
        attempts: How many proposals were judged.
        cost_usd: None where the price is not known.
    """

    id: str
    ask: str
    made: str
    state: State = "open"
    by: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    proved: bool = False
    summary: str = ""
    why: str = ""
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = 0.0


class Kept:
    """One run on the disk."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder = folder
        self.record = record

    def save(self, **changes: Any) -> None:
        """Note *changes* of the record, and write it."""
        self.record = msgspec.structs.replace(self.record, **changes)
        self.write("run.json", self.record)

    def write(self, name: str, value: Any) -> None:
        """Keep *value* as *name*: a text as it is, anything else as JSON."""
        file = self.folder / name
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(file, value.encode() if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)))

    def read(self, name: str, kind: type[T]) -> T | None:
        """What was kept as *name*; None if nothing was."""
        try:
            return msgspec.json.decode((self.folder / name).read_bytes(), type=kind)
        except FileNotFoundError:
            return None

    def said(self, who: str, text: str) -> None:
        """Add to the transcript; *text* has been redacted."""
        line = msgspec.json.encode({"who": who, "text": text})
        file = os.open(self.folder / "transcript.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(file, "ab") as out:
            out.write(line + b"\n")

    def attempt(self, number: int, change: ChangeSet, verdict: Any) -> None:
        """Keep one proposal and how it was judged."""
        self.write(f"attempt-{number}.json", {"change": change, "verdict": verdict})
        self.save(attempts=max(number, self.record.attempts))

    def change(self) -> ChangeSet | None:
        """The proposal that this run ended with."""
        return self.read("change.json", ChangeSet)


def open_store(root: Path) -> Path:
    """The folder of all runs of the project at *root*, made if need be.

    Raises:
        ConfigError: it is a link, or no folder.
    """
    folder = root
    for name in (".turnout", "ai"):
        folder = folder / name
        folder.mkdir(mode=0o700, exist_ok=True) if not os.path.lexists(folder) else None
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise ConfigError(f"{folder} is a link, or no folder", cure="remove it; turnout create makes its own")
        folder.chmod(0o700)
    ignore = root / ".turnout" / ".gitignore"
    if not os.path.lexists(ignore):
        ignore.write_text("*\n")
    return folder


def new_run(root: Path, ask: str, *, arguments: dict[str, str] | None = None) -> Kept:
    """Begin a run; older ones beyond the newest 50 go, unless they are applied."""
    store = open_store(root)
    while True:
        seconds, micro = divmod(time.time_ns() // 1000, 1_000_000)
        now = time.gmtime(seconds)
        name = f"{time.strftime('%Y%m%d-%H%M%S', now)}-{micro:06d}"  # names sort as they were made
        folder = store / name
        try:
            folder.mkdir(mode=0o700)
            break
        except FileExistsError:  # two at the same microsecond
            continue
    kept = Kept(folder, Record(name, ask, time.strftime("%Y-%m-%dT%H:%M:%SZ", now), arguments=arguments or {}))
    kept.save()
    _prune(root)
    return kept


def runs(root: Path) -> list[Kept]:
    """Every run, the newest first; a folder that cannot be read is left out."""
    store = root / ".turnout" / "ai"
    names = (
        sorted((entry.name for entry in store.iterdir() if _is_id(entry.name)), reverse=True) if store.is_dir() else []
    )
    return [kept for name in names if (kept := _load(store / name)) is not None]


def find_run(root: Path, name: str) -> Kept:
    """The run whose id is *name*, or begins or ends with it; ``last`` is the newest.

    Raises:
        ConfigError: there is none, or more than one.
    """
    known = runs(root)
    found = known[:1] if name == "last" else [kept for kept in known if kept.record.id == name]
    found = found or [kept for kept in known if kept.record.id.startswith(name) or kept.record.id.endswith(name)]
    if len(found) != 1:
        raise ConfigError(
            f"there are {len(found)} runs called {name!r}" if found else f"there is no run {name!r}",
            cure="turnout create --runs lists them",
        )
    return found[0]


def _load(folder: Path) -> Kept | None:
    try:
        return Kept(folder, msgspec.json.decode((folder / "run.json").read_bytes(), type=Record))
    except (OSError, msgspec.DecodeError):
        return None


def _prune(root: Path) -> None:
    for kept in runs(root)[KEPT:]:
        if kept.record.state != "applied":
            shutil.rmtree(kept.folder, ignore_errors=True)


def write_whole(file: Path, data: bytes) -> None:
    """Replace *file* by *data* so that a crash leaves the old or the new, never a part."""
    spare = file.with_name(f"{file.name}.new")
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(descriptor)
    spare.replace(file)
    sync(file.parent)


def sync(folder: Path) -> None:
    """Make the names in *folder* last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
