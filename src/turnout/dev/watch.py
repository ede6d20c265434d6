"""Which files of a project changed: looks at the folder again and again, with nothing to install.

A few hundred files cost under a millisecond a look; the pause grows with the cost, so that a big
project never takes more than about a twentieth of one core. An editor that writes a file in two
steps is waited for: a change is reported when two looks in a row agree.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SUFFIXES = (".py", ".html", ".sql", ".toml")
SKIPPED = frozenset(("__pycache__", "node_modules", ".git"))
SKIPPED_AT_ROOT = frozenset(("data", "build", "dist"))  # further down these are names of routes
SHORTEST_PAUSE_S, LONGEST_PAUSE_S, SETTLE_S = 0.05, 1.0, 0.02

Look = dict[str, tuple[int, int]]


def look(root: Path) -> Look:
    """Every watched file below *root* with its time and size; hidden folders of the root are not entered."""
    return dict(_files(str(root), at_root=True))


def _files(folder: str, at_root: bool = False) -> Iterator[tuple[str, tuple[int, int]]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # removed between two looks, or not ours to read
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return  # a virtual environment, whatever its name
    for entry in entries:
        name = entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                if name not in SKIPPED and not (at_root and (name in SKIPPED_AT_ROOT or name.startswith("."))):
                    yield from _files(entry.path)
            elif name.endswith(SUFFIXES) or name.startswith(".env"):
                status = entry.stat()
                yield entry.path, (status.st_mtime_ns, status.st_size)
        except OSError:
            continue


def changed(before: Look, after: Look) -> list[Path]:
    """The files that came, went or differ, in the order of their names."""
    return [Path(file) for file in sorted(before.keys() | after.keys()) if before.get(file) != after.get(file)]


class Watcher:
    """A thread that calls *on_change* with the files that changed, one call after the other.

    Args:
        root: The project's folder.
        on_change: Called in the watcher's thread; what changes meanwhile is reported next.
    """

    def __init__(self, root: Path, on_change: Callable[[list[Path]], None]) -> None:
        self.root, self.on_change = root, on_change
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="turnout-watch", daemon=True)
        self._seen = look(root)

    def start(self) -> None:
        """Begin; what changed since the watcher was made counts too."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        pause_s = SHORTEST_PAUSE_S
        while not self._stop.wait(pause_s):
            began_s = time.monotonic()
            now = look(self.root)
            pause_s = min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, 20 * (time.monotonic() - began_s)))
            if now != self._seen:
                now = self._settled(now)
                files, self._seen = changed(self._seen, now), now
                if files:
                    self.on_change(files)

    def _settled(self, now: Look) -> Look:
        while not self._stop.wait(SETTLE_S):
            later = look(self.root)
            if later == now:
                break
            now = later
        return now
