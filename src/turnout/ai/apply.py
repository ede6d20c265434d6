"""Writing a ChangeSet into the project: all of it or nothing, and only over what it was made from.

Compare and swap: a file whose hash is no longer the base's is a ``Conflict``, and nothing is
written; ``merged`` gives the change on top of what is there now, to be proved again. A journal
with every old and new text is on the disk before the first file is touched, each file is replaced
at once, and ``recover`` finishes after a crash what a journal began, or undoes it if somebody has
changed one of its files meanwhile. Works without git and never calls it but for the three-way merge
of texts. Migrations are written, never run.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct, field

from ..errors import ConfigError, TurnoutError
from .changeset import ChangeSet, FileChange, Finding, sha256
from .policy import EXAMPLE, check_paths, is_allowed
from .runs import open_store, sync, write_whole
from .tree import Tree

JOURNAL = "journal.json"
_is_name = re.compile(r"[\w-]{1,64}").fullmatch


class Conflict(TurnoutError):
    """Files moved on since the change was made; nothing was written."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(f"changed meanwhile: {', '.join(paths)}")
        self.paths = paths


class Refused(TurnoutError):
    """The change may not be written; nothing was."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = findings


class Entry(Struct, frozen=True):
    """One file of a journal: its bytes before and after, None where there is no file."""

    path: str
    before: bytes | None
    after: bytes | None


class Journal(Struct, frozen=True):
    """What one apply does, whole: enough to finish it, to take it back, and to undo it later.

    Attributes:
        made: Folders that did not exist before.
        unmade: Folders that go, if nothing is left in them.
    """

    run: str
    entries: list[Entry]
    made: list[str] = field(default_factory=list)
    unmade: list[str] = field(default_factory=list)


def apply(root: Path, change: ChangeSet, *, run: str) -> Journal:
    """Write *change* into the project at *root*, names for the environment into ``.env.example`` too.

    Raises:
        Conflict: a file is not what the change was made from.
        Refused: a path is not allowed.
        NotPlain: a link was put in the way.
    """
    if findings := check_paths(change, root):
        raise Refused(findings)
    with _locked(root) as (tree, store):
        _recover(tree, store)
        entries, moved = [], []
        for file in [*change.files, *_example(tree, change)]:
            now, after = tree.read(file.path), _encoded(file.text)
            if (None if now is None else sha256(now)) != file.base_sha256:
                moved.append(file.path)
            elif now != after:
                entries.append(Entry(file.path, now, after))
        if moved:
            raise Conflict(moved)
        made = {folder: None for entry in entries for folder in tree.missing_folders(entry.path)}
        journal = Journal(run, entries, list(made))
        _do(tree, store, journal)
        return journal


def undo(root: Path, journal: Journal, *, keep: frozenset[str] = frozenset()) -> list[str]:
    """Take back what *journal* did, with what was changed since kept; the paths that were restored.

    Args:
        keep: Paths left as they are, such as a migration that a database has run.

    Raises:
        Conflict: what was changed since cannot be told from what is taken back.
    """
    _judge(journal)
    with _locked(root) as (tree, store):
        _recover(tree, store)
        entries, moved = [], []
        for entry in journal.entries:
            if entry.path in keep:
                continue
            now = tree.read(entry.path)
            if now == entry.before:
                continue
            wanted = entry.before if now == entry.after else merge(entry.after, now, entry.before)
            if isinstance(wanted, _Clash):
                moved.append(entry.path)
            else:
                entries.append(Entry(entry.path, now, wanted))
        if moved:
            raise Conflict(moved)
        _do(tree, store, Journal(journal.run, entries, unmade=journal.made))
        return [entry.path for entry in entries]


def recover(root: Path) -> str | None:
    """Finish, or take back, what a crash cut short; the id of its run, None if there was nothing."""
    if not (root / ".turnout" / "ai" / JOURNAL).is_file():
        return None
    with _locked(root) as (tree, store):
        return _recover(tree, store)


def merged(root: Path, change: ChangeSet, bases: Mapping[str, str]) -> ChangeSet:
    """*change* on top of the files as they are now; to be proved again before it is applied.

    Raises:
        Conflict: both changed the same lines, or one removed what the other changed.
    """
    files, clashes = [], []
    with Tree(root) as tree:
        for file in change.files:
            now = tree.read(file.path)
            base = None if now is None else sha256(now)
            text: bytes | _Clash | None = _encoded(file.text)
            if base != file.base_sha256:
                text = merge(_encoded(bases.get(file.path)), now, _encoded(file.text))
            if isinstance(text, _Clash):
                clashes.append(file.path)
            else:
                files.append(FileChange(file.path, base, None if text is None else text.decode()))
    if clashes:
        raise Conflict(clashes)
    return msgspec.structs.replace(change, files=files)


class _Clash:
    """No text: two sides changed the same lines."""


def merge(base: bytes | None, ours: bytes | None, theirs: bytes | None) -> bytes | _Clash | None:
    """Three texts to one by ``git merge-file``; a clash where they overlap, or git is not there."""
    if ours in (theirs, base):
        return theirs
    if base is None or ours is None or theirs is None:
        return _Clash()
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, text in (("ours", ours), ("base", base), ("theirs", theirs)):
            (Path(folder) / name).write_bytes(text)
            names.append(name)
        try:
            done = subprocess.run(
                ["git", "merge-file", "-p", *names], cwd=folder, capture_output=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return _Clash()
        return done.stdout if done.returncode == 0 else _Clash()


def _example(tree: Tree, change: ChangeSet) -> Iterator[FileChange]:
    """The change that adds the names of *change* to ``.env.example``; made by us, never by a proposal."""
    data = tree.read(EXAMPLE)
    text = "" if data is None else data.decode()
    listed = {line.lstrip("# ").partition("=")[0].strip() for line in text.splitlines()}
    new = [name for name in dict.fromkeys(change.env) if name not in listed]
    if new:
        gap = "" if not text or text.endswith("\n") else "\n"
        added = text + gap + "".join(f"{name}=\n" for name in new)
        yield FileChange(EXAMPLE, None if data is None else sha256(data), added)


# -- the journal


@contextmanager
def _locked(root: Path) -> Iterator[tuple[Tree, Path]]:
    """The project open, and its run store, for one process at a time."""
    store = open_store(root)
    with Tree(root) as tree, (store / "lock").open("w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        except ImportError:  # no such lock on this system; Tree has refused it already
            pass
        yield tree, store


def _do(tree: Tree, store: Path, journal: Journal) -> None:
    """Carry *journal* out; once it is on the disk, whatever happens next, it is finished or taken back."""
    write_whole(store / JOURNAL, msgspec.json.encode(journal))
    try:
        for number, entry in enumerate(journal.entries):
            _swap(tree, entry.path, _spare(journal, number), entry.before, entry.after)
    except Exception:  # a full disk, a file that changed this very moment; a crash is for _recover
        _take_back(tree, journal)
        _end(store)
        raise
    tree.remove_empty(journal.unmade)
    _end(store)


def _end(store: Path) -> None:
    (store / JOURNAL).unlink()
    sync(store)


def _swap(tree: Tree, path: str, spare: str, before: bytes | None, after: bytes | None) -> None:
    """Make *path* read *after*; staged first, and put in place only while it still reads *before*."""
    if after is not None:
        tree.stage(path, spare, after)
    now = tree.read(path)
    if now not in (before, after):
        raise Conflict([path])
    if after is None:
        tree.remove(path)
    elif now == after:
        _remove_spare(tree, path, spare)
    else:
        tree.put(path, spare, new=before is None)


def _take_back(tree: Tree, journal: Journal) -> None:
    """Give each file that reads as *journal* wanted its text from before; others are somebody else's."""
    for number, entry in enumerate(journal.entries):
        spare = _spare(journal, number)
        _remove_spare(tree, entry.path, spare)
        if entry.before != entry.after and tree.read(entry.path) == entry.after:
            _swap(tree, entry.path, spare, entry.after, entry.before)
    tree.remove_empty(journal.made)


def _recover(tree: Tree, store: Path) -> str | None:
    try:
        journal = msgspec.json.decode((store / JOURNAL).read_bytes(), type=Journal)
    except FileNotFoundError:
        return None
    _judge(journal)
    if all(tree.read(entry.path) in (entry.before, entry.after) for entry in journal.entries):
        for number, entry in enumerate(journal.entries):
            _swap(tree, entry.path, _spare(journal, number), entry.before, entry.after)
        tree.remove_empty(journal.unmade)
    else:  # somebody has changed one since: theirs stays, and the others go back to what they were
        _take_back(tree, journal)
    _end(store)
    return journal.run


def _judge(journal: Journal) -> None:
    """Refuse a journal that is not ours: a project that came from elsewhere may have brought one."""
    odd = [entry.path for entry in journal.entries if not is_allowed(entry.path)]
    if odd or not _is_name(journal.run):
        raise ConfigError(
            f"a journal in .turnout/ai would write {', '.join(odd) or journal.run!a}; turnout create never does",
            cure="remove the folder .turnout; it did not come from you",
        )


def _spare(journal: Journal, number: int) -> str:
    return f".turnout-{journal.run}-{number}"


def _remove_spare(tree: Tree, path: str, spare: str) -> None:
    tree.remove("/".join([*path.split("/")[:-1], spare]))


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
