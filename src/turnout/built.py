"""A built project at run time: its manifest to an App, and that to the door of the place it runs in.

``turnout build`` writes the small files that call these; a door itself knows no project.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import ConfigError
from .http.aside import need_loop
from .http.jsontext import loads
from .logger import at_first
from .project import Project, load_project
from .routing.manifest import MANIFEST, Manifest

if TYPE_CHECKING:
    from .adapters.asgi import ASGI
    from .adapters.aws_lambda import Handler
    from .app import App


def load_manifest(root: Path) -> Manifest | None:
    """The manifest of the built project in *root*; None if that is no output of ``turnout build``.

    Raises:
        ConfigError: it is of another version.
    """
    try:
        text = (root / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    data = loads(text)
    # public/ aside, other tools have files of that name; only ours says what was built.
    return Manifest.from_json(data, root) if isinstance(data, dict) and "built" in data else None


def load_built(root: Path | str) -> Project:
    """Load the built project in *root*, for production.

    Raises:
        ConfigError: there is none, or it does not load.
    """
    root = Path(root).absolute()
    manifest = load_manifest(root)
    if manifest is None:
        raise ConfigError(f"There is no built project in {root}", cure="run turnout build, and this in its output")
    return load_project(root, mode="production", manifest=manifest)


def asgi(root: Path | str) -> ASGI:
    """The built project in *root* for an ASGI host."""
    from .adapters.asgi import ASGI

    project = load_built(root)
    return ASGI(project.app, max_duration_s=project.config.server.max_duration_s)


# -- AWS Lambda


def lambda_handler(root: Path | str) -> Handler:
    """The built project in *root* as ``handler(event, context)``, for AWS's own runtime client."""
    from .adapters.aws_lambda import Handler

    return Handler(load_built(root).app, run_task)


def lambda_loop(root: Path | str) -> NoReturn:
    """Serve the built project in *root* by Turnout's own client of the Runtime API."""
    from .adapters.aws_lambda_loop import serve

    at_first(_log)  # AWS's own client sees to its log itself; here nobody does

    def load() -> App:
        project = load_built(root)
        if "log" in (project.manifest.built.uses if project.manifest.built else ()):
            _log()
        return project.app

    serve(
        load,
        os.environ["AWS_LAMBDA_RUNTIME_API"],
        run_task,
        stream=os.environ.get("TURNOUT_LAMBDA_STREAM") == "1",
    )


def _log() -> None:
    from .applog import configure

    configure("production")


async def run_task(name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Run the task *name* of the project here and now, as a schedule or a queue asks for it.

    Raises:
        ConfigError: there is no such task.
    """
    from .tasks.task import TASKS

    found = TASKS.get(name)
    if found is None:
        raise ConfigError(f"there is no task {name!r}", cure=f"known here: {', '.join(sorted(TASKS)) or 'none'}")
    await need_loop()
    await found.run(found.pack(tuple(args), kwargs))
