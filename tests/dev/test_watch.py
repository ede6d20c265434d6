"""dev/watch.py: which changes count, and which folders are left alone."""

from __future__ import annotations

import os
import queue
from pathlib import Path

from turnout.dev.watch import Watcher, changed, look


def write(root: Path, name: str, text: str = "x") -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    part = root.with_name(f"{root.name}.part")
    part.write_text(text)
    part.replace(file)  # at one stroke: half a file would be a change of its own
    return file


def test_sources_settings_and_templates_are_watched(tmp_path):
    names = [
        "app/api/[id]/route.py",
        "app/api/data/route.py",
        "pages/a.html",
        "migrations/1.sql",
        "pyproject.toml",
        ".env",
        ".env.local",
    ]
    files = {str(write(tmp_path, name)) for name in names} | {str(write(tmp_path, "app/.well-known/x/route.py"))}

    assert set(look(tmp_path)) == files


def test_what_is_not_the_projects_source_is_not(tmp_path):
    write(tmp_path, "environment/pyvenv.cfg")
    for name in (
        ".venv/a.py",
        "environment/lib/a.py",
        "node_modules/a.py",
        "data/a.sql",
        ".git/a.py",
        "a/__pycache__/a.py",
        "a.db",
        "a.pyc",
    ):
        write(tmp_path, name)

    assert look(tmp_path) == {}


def test_a_link_in_a_circle_ends(tmp_path):
    write(tmp_path, "app/a.py")
    (tmp_path / "app" / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere")

    assert set(look(tmp_path)) == {str(tmp_path / "app" / "a.py")}


def test_created_changed_and_removed_files_are_reported(tmp_path):
    edited, removed = write(tmp_path, "edited.py"), write(tmp_path, "removed.py")
    before = look(tmp_path)
    removed.unlink()
    edited.write_text("y")
    os.utime(edited, ns=(1, 1))
    created = write(tmp_path, "created.py")

    assert changed(before, look(tmp_path)) == [created, edited, removed]


def test_the_watcher_reports_each_change_once(tmp_path):
    reports: queue.Queue[list[Path]] = queue.Queue()
    watcher = Watcher(tmp_path, reports.put)
    file = write(tmp_path, "early.py")  # between making and starting it
    watcher.start()

    assert reports.get(timeout=60) == [file]
    file = write(tmp_path, "late.py")
    assert reports.get(timeout=60) == [file]
    watcher.stop()
    assert reports.empty()
