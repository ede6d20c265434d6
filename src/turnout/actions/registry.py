"""The actions of the project: which there are, and which a page means by a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..context import current
from ..errors import ConfigError
from ..parts import imported

if TYPE_CHECKING:
    from ..auth.keys import Keys
    from ..config import Config
    from .action import Action


class Known(Struct):
    """What is known of the project in use.

    Args:
        app_dir: Its ``app`` folder.
        actions: By file and name.
        ids: Of these actions.
        loading: True while its files are read: an address may be asked for before its action is known.
    """

    config: Config
    env: Mapping[str, str]
    app_dir: Path
    actions: dict[Path, dict[str, Action]] = {}
    ids: set[str] = set()
    loading: bool = True
    keys: Keys | None = None


_known: Known | None = None


def configure(config: Config, env: Mapping[str, str]) -> Known:
    """Begin with the project of *config*; what was known of another is forgotten."""
    global _known
    _known = Known(config, env, config.root / config.app_dir)
    return _known


def known() -> Known:
    """The project in use.

    Raises:
        ConfigError: there is none.
    """
    if _known is None:
        raise ConfigError("there is no project here whose action this could be", cure="run inside a project")
    return _known


def put_back(known: Known | None) -> None:
    """Use *known* again, after a load that failed."""
    global _known
    _known = known


def now() -> Known | None:
    """The project in use, or None."""
    return _known


def slash() -> str:
    """What ends a path in this project."""
    return "/" if known().config.trailing_slash else ""


def place_of(action: Action) -> str:
    """The path of *action*'s file below ``app/``.

    Raises:
        ConfigError: it is not below it.
    """
    app_dir = known().app_dir
    if not action.file.is_relative_to(app_dir):
        raise ConfigError(
            f"the action {action.name} is outside of {app_dir}",
            file=action.file,
            line=action.line,
            cure="move it to an actions.py in app/ or in a folder below",
        )
    return action.file.relative_to(app_dir).as_posix()


def add(file: Path, module: ModuleType) -> list[Action]:
    """Note the actions that *module* of *file* defines itself, and return them.

    Raises:
        ConfigError: two of them have one name.
    """
    from .action import Action

    found: dict[str, Action] = {}
    for value in list(vars(module).values()):
        if isinstance(value, Action) and value.file == file and found.setdefault(value.name, value) is not value:
            raise ConfigError(
                f"two actions are called {value.name}",
                file=file,
                line=value.line,
                cure="rename one: the name is part of its address",
            )
    project = known()
    project.actions[file] = found
    project.ids.update(each.id for each in found.values())
    return list(found.values())


def check_known(action: Action) -> None:
    """Raise ConfigError if nobody would answer at *action*'s address."""
    project = known()
    if not project.loading and action.id not in project.ids:
        raise ConfigError(
            f"the action {action.name} is in a folder that is not read for actions",
            file=action.file,
            line=action.line,
            cure="move it out of folders whose name begins with _",
        )


class Nearest:
    """``actions`` in a template: each action of the project by its name.

    Of several with one name it is that of the file in the folder of the route that answers, else of the nearest
    folder above; else of the only other file that has one.
    """

    def __getattr__(self, name: str) -> Action:
        if name.startswith("__"):  # what Jinja and Python ask of any object
            raise AttributeError(name)
        found = nearest(name)
        if found is None:
            raise AttributeError(f"no actions.py has an action {name!r}")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({name for group in known().actions.values() for name in group}))

    def __absent__(self, name: str) -> str:
        """What to say to a template that asks for *name*."""
        from difflib import get_close_matches

        near = get_close_matches(name, self, 1)
        return f"no actions.py has an action {name!r}" + (f"; did you mean {near[0]}?" if near else "")


def nearest(name: str) -> Action | None:
    """The action that a page of the route being answered means by *name*.

    Raises:
        ConfigError: none is near, and several are far.
    """
    if _known is None:
        return None
    request = current.get(None)
    groups = _known.actions
    if request is not None and request.route is not None:
        for folder in Path(request.route.file).parents:
            action = groups.get(folder / "actions.py", {}).get(name)
            if action is not None:
                return action
    found = [group[name] for group in groups.values() if name in group]
    if len(found) > 1:
        places = ", ".join(place_of(each) for each in found)
        raise ConfigError(
            f"{name!r} is the name of actions in {places}, none of them in a folder of this route or above it",
            cure="hand the action that you mean to render(), or rename one",
        )
    return found[0] if found else None


def keys() -> Keys:
    """The keys that seal bound arguments: those of auth.

    Raises:
        ConfigError: production without ``TURNOUT_AUTH_KEYS``, or without the extra ``auth``.
    """
    project = known()
    if project.keys is None:
        try:
            import cryptography  # noqa: F401
            import jwt  # noqa: F401
        except ImportError as exc:
            raise ConfigError("bound arguments need cryptography", cure='pip install "turnout[auth]"') from exc
        from ..auth.keys import Keys

        project.keys = Keys.load(project.config.root, project.config.mode, project.env)
    return project.keys


def check_bindings(files: Iterable[Path]) -> None:
    """Find out at the start of production what the first page with a bound action would fail by.

    Raises:
        ConfigError: a file binds arguments, and there is no key to seal them with.
    """
    names = {name for group in known().actions.values() for name in group}
    if not names:
        return
    binds: Any = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\s*\.\s*bind\s*\(").search
    for file in files:
        found = binds(file.read_text(encoding="utf-8", errors="replace"))
        if found is None:
            continue
        try:
            keys()
        except ConfigError as exc:
            line = found.string.count("\n", 0, found.start()) + 1
            raise ConfigError(
                f"bound arguments are sealed: {exc.message}", file=file, line=line, cure=exc.cure
            ) from exc
        return


imported(__name__)
