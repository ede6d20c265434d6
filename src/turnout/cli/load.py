"""Finding a project, and loading it with errors that name the user's line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .. import log
from ..config import Config, load_config
from ..env import Mode, load_env
from ..errors import ConfigError
from .report import from_exception

if TYPE_CHECKING:
    from ..project import Project


def project_root(given: Path | None = None) -> Path:
    """The folder of the project: *given*, or the current one.

    Raises:
        ConfigError: it is not a folder with a project in it.
    """
    root = (given or Path()).absolute()
    if not root.is_dir():
        raise ConfigError(f"there is no folder {root}", cure="check the spelling")
    if not (root / "app").is_dir() and not (root / "pyproject.toml").is_file():
        raise ConfigError(
            f"there is no project in {root}: it has neither app/ nor pyproject.toml",
            cure="change to the project's folder, or create one with turnout new NAME",
        )
    return root


def read_settings(root: Path, mode: Mode) -> Config:
    """The project's settings, read without importing or changing anything of it."""
    return load_config(root, mode, load_env(root, mode))


def load(root: Path, mode: Mode) -> Project:
    """Load the project in *root*, built or not, or raise a ConfigError whatever goes wrong."""
    from ..built import load_manifest
    from ..project import load_project

    try:
        return load_project(root, mode=mode, manifest=load_manifest(root) if mode == "production" else None)
    except Exception as exc:
        raise from_exception(exc, root) from exc


def configure_log(mode: Mode) -> None:
    """Set up logging for a command that serves: secrets hidden, request id and route on each line."""
    from .. import applog

    applog.configure(mode)


def keep_log(root: Path) -> None:
    """Write the log of development to ``.turnout/dev.log`` too, where ``turnout mcp`` reads it; if that can be."""
    from ..applog import about

    with suppress(OSError):
        log.keep(str(root / ".turnout" / "dev.log"), about=about)
