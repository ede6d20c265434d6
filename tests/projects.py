"""Small projects on disk for tests: files by path, loaded as a user's would be."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from turnout.routing.module import unload
from turnout.testing import Client

SETTINGS = '[tool.turnout]\nallowed_hosts = ["localhost", "127.0.0.1"]\n'


def make_project(root: Path, files: dict[str, str]) -> Path:
    """Write *files*, and a pyproject.toml if it is not among them; *root* is a project then."""
    for name, text in {"pyproject.toml": SETTINGS, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return root


def client_of(root: Path, files: dict[str, str]) -> Client:
    """A client of the project that *files* make in *root*."""
    make_project(root, files)
    unload(root)
    return Client(root=root)
