"""The files of ``migrations/``: which there are, which were applied, which have changed since."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ..errors import ConfigError

Dialect = Literal["sqlite", "postgres"]
_FILE = re.compile(r"(?P<version>\d{1,20})_(?P<name>[A-Za-z0-9_-]+?)(?:\.(?P<dialect>sqlite|pg))?\.sql\Z")
_SEEDS = ("seed.sql", "seed.sqlite.sql", "seed.pg.sql")
_SUFFIX: dict[Dialect, str] = {"sqlite": "sqlite", "postgres": "pg"}


class Migration(Struct, frozen=True):
    """One migration.

    Args:
        file: Its file, or None if it was applied and the file is gone.
        applied_at: When, as ``2026-11-22T09:30:00+00:00``, or None while it is pending.
        changed: The file is not the one that was applied.
    """

    version: str
    name: str
    file: Path | None
    applied_at: str | None = None
    changed: bool = False


class File(Struct, frozen=True):
    """One migration's file, with the SHA-256 of its text."""

    version: str
    name: str
    path: Path
    text: str
    checksum: str


def read_files(folder: Path, dialect: Dialect) -> list[File]:
    """The migrations in *folder* for *dialect*, in order; its own variant of a file wins.

    Raises:
        ConfigError: a name that is none, or a version taken twice.
    """
    ours = _SUFFIX[dialect]
    found: dict[str, tuple[str, Path]] = {}
    for path in sorted(folder.glob("*.sql")) if folder.is_dir() else ():
        if path.name in _SEEDS:
            continue
        match = _FILE.match(path.name)
        if match is None:
            raise ConfigError(
                "a migration's name begins with its version", file=path, cure="20261122093000_add_posts.sql"
            )
        if match["dialect"] not in (None, ours):
            continue
        rank, version = match["dialect"] or "", match["version"]
        if version in found and found[version][0] == rank:
            raise ConfigError(
                f"version {version} is taken by {found[version][1].name}",
                file=path,
                cure="give one of them another number",
            )
        if version not in found or rank:
            found[version] = rank, path
    return [
        _read(version, path) for version, (_, path) in sorted(found.items(), key=lambda item: (int(item[0]), item[0]))
    ]


def read_text(path: Path) -> str:
    """The text of *path*, in one form on every machine: some checkouts have other line ends."""
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        raise ConfigError("a migration is text in UTF-8", file=path, cure="save it as UTF-8") from exc


def _read(version: str, path: Path) -> File:
    text = read_text(path)
    match = _FILE.match(path.name)
    assert match is not None
    return File(version, match["name"], path, text, hashlib.sha256(text.encode()).hexdigest())


def seed_file(folder: Path, dialect: Dialect) -> Path | None:
    """The file with the first rows: ``seed.pg.sql`` or ``seed.sqlite.sql``, else ``seed.sql``."""
    found = [folder / f"seed.{_SUFFIX[dialect]}.sql", folder / "seed.sql"]
    return next((path for path in found if path.is_file()), None)


def new(folder: Path, name: str, now: datetime) -> Path:
    """Create an empty migration, named by the time *now*, and give its path."""
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not slug:
        raise ConfigError(f"{name!r} has no letter or digit to name a file by", cure="turnout db new add_posts")
    folder.mkdir(parents=True, exist_ok=True)
    taken = {file.version for dialect in _SUFFIX for file in read_files(folder, dialect)}
    while (version := now.strftime("%Y%m%d%H%M%S")) in taken:
        now += timedelta(seconds=1)
    path = folder / f"{version}_{slug}.sql"
    path.write_text(f"-- {slug.replace('_', ' ')}\n")
    return path


def compare(files: Sequence[File], applied: Mapping[str, tuple[str, str, str]]) -> list[Migration]:
    """Every migration in order. *applied* is of version to name, checksum and time."""
    found = [Migration(file.version, file.name, file.path) for file in files if file.version not in applied]
    by_version = {file.version: file for file in files}
    for version, (name, checksum, applied_at) in applied.items():
        file = by_version.get(version)
        changed = file is not None and file.checksum != checksum
        found.append(Migration(version, name, file.path if file else None, applied_at, changed))
    return sorted(found, key=lambda migration: (int(migration.version), migration.version))


def refuse_rewritten(files: Sequence[File], applied: Mapping[str, tuple[str, str, str]]) -> None:
    """Raise ConfigError if a file that was applied has changed or is gone."""
    for migration in compare(files, applied):
        if migration.changed:
            raise ConfigError(
                f"migration {migration.version} was changed after it was applied",
                file=migration.file,
                cure="put the file back as it was, and make the change in a new migration",
            )
        if migration.file is None:
            raise ConfigError(
                f"migration {migration.version}_{migration.name} was applied, and its file is gone",
                cure="put the file back; in development, turnout db reset begins again",
            )
