"""One eval as it lies on the disk: a prompt, a project, hidden tests, a reference, and mutants of that."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

from msgspec import Struct

from ...errors import ConfigError

CATEGORIES = ("validation", "data", "auth", "webhooks", "mail", "integration", "editing", "must-not")
HIDDEN = ("test_http", "test_exploit")
_LEAK = 40  # characters of a line that are no chance


class Eval(Struct, frozen=True):
    """A prompt and how its answer is judged.

    Attributes:
        env: What the project finds in its environment, by name.
        packages: What an answer may import beside Turnout.
    """

    name: str
    folder: Path
    prompt: str
    category: str
    env: dict[str, str]
    packages: list[str]
    time_limit_s: float

    @property
    def mutants(self) -> list[Path]:
        """Changes of the reference that a hidden test has to notice."""
        return sorted((self.folder / "mutants").glob("*.patch"))


def read(folder: Path, only: str = "") -> list[Eval]:
    """The evals of *folder*; those whose name begins with *only*.

    Raises:
        ConfigError: there are none, or one lacks a part.
    """
    if not (folder / "conftest.py").is_file():
        raise ConfigError(f"there are no evals in {folder}", cure="run it in a checkout of Turnout, or name the folder")
    found = [_read(place) for place in sorted(folder.glob(f"{only}*")) if (place / "prompt.md").is_file()]
    if not found:
        raise ConfigError(f"no eval is named {only!r}", cure="such as 005, or 005-welcome")
    return found


def _read(folder: Path) -> Eval:
    for part in ("eval.toml", "project/app", "reference", "mutants", *(f"hidden/{name}.py" for name in HIDDEN)):
        if not (folder / part).exists():
            raise ConfigError(f"{folder.name} has no {part}", cure="see docs/explanation/evals.md")
    settings = tomllib.loads((folder / "eval.toml").read_text(encoding="utf-8"))
    if settings.get("category") not in CATEGORIES:
        raise ConfigError(f"{folder.name} has no category", cure=f"one of {', '.join(CATEGORIES)}")
    prompt = (folder / "prompt.md").read_text(encoding="utf-8").strip()
    return Eval(
        folder.name,
        folder,
        prompt,
        settings["category"],
        settings["env"],
        settings["packages"],
        settings["time_limit_s"],
    )


def leaks(found: Eval) -> list[str]:
    """Lines of the hidden tests that a prompt or a project gives away."""
    shown = found.prompt + "".join(
        file.read_text(errors="replace") for file in (found.folder / "project").rglob("*") if file.is_file()
    )
    lines = {
        line.strip()
        for name in HIDDEN
        for line in (found.folder / "hidden" / f"{name}.py").read_text(encoding="utf-8").splitlines()
        if len(line.strip()) >= _LEAK and not line.strip().startswith(('"', "#", "from ", "import ", "def ", "await "))
    }
    return sorted(line for line in lines if line in shown)


def lay_out(found: Eval, target: Path, *, reference: bool = False, mutant: Path | None = None) -> Path:
    """The project of *found* in *target*, perhaps with the reference and a mutant of it.

    Raises:
        ConfigError: the mutant does not fit the reference.
    """
    shutil.copytree(found.folder / "project", target)
    if reference:
        shutil.copytree(found.folder / "reference", target, dirs_exist_ok=True)
    if mutant is not None:
        # The environment keeps git from taking a repository around the folder for the one that is meant.
        command = ["git", "apply", "--whitespace=nowarn", str(mutant.resolve())]
        environment = {"GIT_CEILING_DIRECTORIES": str(target.parent), "PATH": os.environ.get("PATH", os.defpath)}
        done = subprocess.run(command, cwd=target, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise ConfigError(f"{found.name}: {mutant.name} does not fit: {done.stderr.strip()}", cure="make it anew")
    return target


def add_judge(found: Eval, target: Path) -> None:
    """Put the hidden tests beside the project in *target*."""
    shutil.rmtree(target / "hidden", ignore_errors=True)
    shutil.copytree(found.folder / "hidden", target / "hidden", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(found.folder / "eval.toml", target / "eval.toml")
