"""One file of the user's to a module, and its exports checked.

Files are loaded by path, since ``[id]`` is no Python name. The module name follows the
folders (``turnout_app.api.posts.[id].route``) and is registered before the file runs, because
dataclasses, ``get_type_hints`` and pickling look it up; each folder is a package with a
``__path__``, so ``from .schemas import Post`` works in it. In a name ``.``, ``%`` and ``~`` are
escaped, so no two folders share one; a folder beside a file of its name (``posts/`` and
``posts.py``) is ``~posts``, and the plain name is left to the file, as Python would have it.
"""

from __future__ import annotations

import importlib
import math
import os
import re
import sys
from collections.abc import Awaitable, Callable
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from ..errors import ConfigError
from .signature import EMPTY, KEYWORD_ONLY, VAR_POSITIONAL, is_coroutine_function, read_signature

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH")

Handler = Callable[..., Any]


class RouteConfig(Struct, frozen=True):
    """The constants of a route module; None where it says nothing.

    Args:
        revalidate: Seconds that a cached GET stays fresh; False for never cached.
        max_duration: Seconds until the handler is ended with 503.
        cache: A CacheRule, which says more than ``revalidate``.
        body_limit: Bytes that a body may have; ``"2 MB"`` is read as 2,000,000.
    """

    revalidate: int | Literal[False] | None = None
    max_duration: float | None = None
    body_limit: int | None = None
    cors: str | list[Any] | dict[str, Any] | bool | None = None
    auth: str | None = None
    rate_limit: str | None = None
    cache: Any = None
    cancel_on_disconnect: bool | None = None


class Exports(Struct, frozen=True):
    """What a route module gives: handlers by method, in the order of ``METHODS``, and its constants."""

    handlers: dict[str, Handler]
    config: RouteConfig


# -- loading


def importable(root: Path) -> None:
    """Put the project *root* first on the import path, so ``from lib.email import send`` works."""
    place = str(root)
    if sys.path[:1] != [place]:
        if place in sys.path:
            sys.path.remove(place)
        sys.path.insert(0, place)


def load_module(file: Path, root: Path) -> ModuleType:
    """Load *file*, somewhere below the project *root*; once, until ``unload``.

    Raises:
        ConfigError: it does not load; with the file and line of the user's code at fault.
    """
    try:
        name = f"{_package(file.parent, root)}.{_escape(file.stem)}"
        if name in sys.modules:
            return sys.modules[name]
        spec = spec_from_file_location(name, file)
        assert spec is not None  # it is None only for endings that are not Python's
        return _run(spec)
    except (Exception, SystemExit) as exc:
        raise _not_loaded(exc, file, root) from exc


def import_named(name: str, file: Path, root: Path) -> ModuleType:
    """Import *name*, which is *file*, as the project's own code would.

    Raises:
        ConfigError: it does not load; with the file and line of the user's code at fault.
    """
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as exc:
        raise _not_loaded(exc, file, root) from exc


def unload(root: Path) -> dict[str, ModuleType]:
    """Forget every module whose file is in the project, and return them by name.

    ``sys.modules.update()`` with the result puts them back, for a reload that failed. What is
    installed in a virtual environment inside the project stays.
    """
    prefix = str(root) + os.sep
    environment = sys.prefix + os.sep if sys.prefix.startswith(prefix) else None

    def is_ours(name: str, module: ModuleType) -> bool:
        place = _place_of(module)
        return (
            place.startswith(prefix)
            and name != "__main__"
            and name.partition(".")[0] != __name__.partition(".")[0]
            and not (environment and place.startswith(environment))
            and f"{os.sep}site-packages{os.sep}" not in place
        )

    # Found before any is dropped: the path of a namespace package is worked out from its parent.
    names = [name for name, module in list(sys.modules.items()) if is_ours(name, module)]
    dropped = {name: sys.modules.pop(name) for name in names}
    importlib.invalidate_caches()
    return dropped


def _place_of(module: ModuleType | None) -> str:
    """The file of *module*, or the folder of a package without one, with a closing separator."""
    known = getattr(module, "__dict__", {})  # getattr on the module itself could run a lazy import
    if isinstance(known.get("__file__"), str):
        return str(known["__file__"])
    try:
        return next((f"{folder}{os.sep}" for folder in known.get("__path__") or ()), "")
    except KeyError:  # a namespace package whose parent somebody else has dropped
        return ""


_tops: dict[Path, str] = {}


def _package(folder: Path, root: Path) -> str:
    """Make *folder* a package, with those above it, and return its name."""
    parts = folder.relative_to(root).parts
    top = root.joinpath(*parts[:1])
    if top not in _tops:
        # Two projects in one process, as in a test run, must not share names.
        wanted = f"turnout_{_escape(top.name)}"
        taken = set(_tops.values())
        _tops[top] = next(name for at in count(1) if (name := wanted if at == 1 else f"{wanted}~{at}") not in taken)
    name = _tops[top]
    _make_package(name, top)
    for part in parts[1:]:
        top = top / part
        beside = top.with_name(f"{part}.py").exists()
        name = f"{name}.{'~' if beside else ''}{_escape(part)}"
        _make_package(name, top)
    return name


def _make_package(name: str, folder: Path) -> None:
    if name in sys.modules:
        return
    init = folder / "__init__.py"
    if init.is_file():
        spec = spec_from_file_location(name, init, submodule_search_locations=[str(folder)])
        assert spec is not None
    else:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    _run(spec)


def _run(spec: ModuleSpec) -> ModuleType:
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    if spec.origin is not None and spec.loader is not None:
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(spec.name, None)
            raise
    parent, _, child = spec.name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


def _escape(part: str) -> str:
    return part.replace("%", "%25").replace(".", "%2E").replace("~", "%7E")


def _not_loaded(exc: BaseException, file: Path, root: Path) -> ConfigError:
    """*exc* as a ConfigError at the deepest line that the user wrote."""
    place, line = file, 1
    trace = exc.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if _is_own(name, root):
            place, line = Path(name), trace.tb_lineno
        trace = trace.tb_next
    if isinstance(exc, ConfigError):
        return ConfigError(exc.message, file=exc.file or place, line=exc.line if exc.file else line, cure=exc.cure)
    if isinstance(exc, SyntaxError) and exc.filename and _is_own(exc.filename, root):
        place, line = Path(exc.filename), exc.lineno or 1
    what = exc.msg if isinstance(exc, SyntaxError) else exc
    return ConfigError(
        f"{_short(file, root)} does not load: {type(exc).__name__}: {what}",
        file=place,
        line=line,
        cure=_cure(exc, root),
    )


def _cure(exc: BaseException, root: Path) -> str:
    if isinstance(exc, SyntaxError):
        return "mend the line, or the one before it"
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        top = exc.name.partition(".")[0]
        if (root / top).is_dir() or top.startswith("turnout_"):
            return f"check the spelling: there is no such file in the project for {exc.name!r}"
        return f"install the package ({top!r} is its import name), or create {top}.py in the project folder"
    if isinstance(exc, SystemExit):
        return "a route module must not end the process while it is imported"
    if isinstance(exc, ImportError) and exc.name:
        if "partially initialized" in str(exc):
            return "two files import each other: move what both need into a third"
        return f"check the spelling: {exc.name} is there, and has no such name"
    if isinstance(exc, NameError) and exc.name:
        return f"check the spelling, or import or define {exc.name!r} above this line"
    return "mend the line; it runs once, when the file is loaded, so what is for requests belongs into a handler"


def _is_own(name: str, root: Path) -> bool:
    return name.startswith(str(root) + os.sep) and f"{os.sep}site-packages{os.sep}" not in name


def _short(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


# -- what a module says


class _Binding(NamedTuple):
    how: Literal["def", "class", "import", "value"]
    line: int


class _Source:
    """Where a file binds its names at the top level; parsed only when an error needs it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: dict[str, _Binding] | None = None

    def find(self, name: str) -> _Binding:
        """How and where *name* is bound, the last time."""
        if self._found is None:
            import ast

            self._found = {}
            self._collect(ast.parse(self.file.read_bytes()).body)
        return self._found.get(name, _Binding("import", 1))  # ``from x import *`` names nothing

    def _collect(self, nodes: list[Any]) -> None:
        import ast

        found = self._found
        assert found is not None
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found[node.name] = _Binding("def", node.lineno)
            elif isinstance(node, ast.ClassDef):
                found[node.name] = _Binding("class", node.lineno)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    found[alias.asname or alias.name.partition(".")[0]] = _Binding("import", node.lineno)
            else:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        found[inner.id] = _Binding("value", inner.lineno)
                for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                    self._collect(getattr(node, block, []))

    def error(self, name: str, problem: str, cure: str) -> ConfigError:
        return ConfigError(problem, file=self.file, line=self.find(name).line, cure=cure)


def read_exports(module: ModuleType, file: Path) -> Exports:
    """Check what the route *module* of *file* exports.

    Raises:
        ConfigError: no handler, a handler that cannot be called or has its name in the wrong
            case, a constant of the wrong type, or a name that looks like a constant and is none.
    """
    source = _Source(file)
    names = vars(module)
    for name, value in names.items():
        method = meant_method(name) if callable(value) else None
        if method is not None and source.find(name).how == "def":
            raise source.error(name, *misnamed(name, method))
    handlers = {method: _check_handler(method, names[method], source) for method in METHODS if method in names}
    if not handlers:
        raise ConfigError(
            "the file exports no handler",
            file=file,
            line=1,
            cure=f"define one of {', '.join(METHODS)}, for example: async def GET(request): ...",
        )
    return Exports(handlers, _read_config(names, source))


def meant_method(name: str) -> str | None:
    """The method that a function *name* was probably meant to answer; None if it is one's, or nothing like it."""
    if name in METHODS:
        return None
    if name.upper() in METHODS:
        return name.upper()
    if not name.isupper():  # a helper may well be called gets() or patched()
        return None
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, METHODS, 1, 0.7)), None)


def misnamed(name: str, method: str) -> tuple[str, str]:
    """What is wrong with a handler *name* that is meant to answer *method*, and the cure."""
    if name.upper() == method:
        return (
            f"the handler {name!r} must be named {method}",
            f"rename it to {method}, or to _{name} if it is no handler",
        )
    return f"{name!r} is no method", f"did you mean {method}? Rename it to _{name.lower()} if it is no handler"


def read_constants(module: ModuleType, file: Path) -> RouteConfig:
    """Check the constants of a *module* without handlers, such as one of actions.

    Raises:
        ConfigError: a constant of the wrong type, or a name that looks like a constant and is none.
    """
    return _read_config(vars(module), _Source(file))


def _check_handler(method: str, value: Any, source: _Source) -> Handler:
    if isinstance(value, type) or not callable(value):
        kind = f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"
        raise source.error(
            method, f"{method} is {kind}, not a function", f"write async def {method}(request): ... instead"
        )
    handler: Handler = value
    return handler


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_size = re.compile(r"(\d{1,15}) ?([a-z]{0,3})", re.ASCII)
_rate = re.compile(
    r"[1-9]\d*\s*/\s*(?:[1-9]\d*\s*)?(?:s|sec|second|m|min|minute|h|hour|d|day)s?", re.ASCII | re.IGNORECASE
)


def _is_number(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _read_size(value: Any) -> int | None:
    """Bytes from a number or a text such as ``2 MB``; None if it is neither."""
    if _is_number(value, int):
        return int(value) if value > 0 else None
    found = _size.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if found is None or found[2] not in _UNITS:
        return None
    return int(found[1]) * _UNITS[found[2]] or None


_CONSTANTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "revalidate": (
        lambda value: value is False or (_is_number(value, int) and value >= 0),
        "a whole number of seconds, or False",
    ),
    "max_duration": (
        lambda value: _is_number(value, int, float) and 0 < value < math.inf,
        "a number of seconds over 0",
    ),
    "body_limit": (lambda value: _read_size(value) is not None, 'a number of bytes over 0, or a text such as "2 MB"'),
    "cors": (lambda value: isinstance(value, (str, list, dict, bool)), "a text, a list, a dict or a bool"),
    "auth": (lambda value: isinstance(value, str), "a text"),
    "rate_limit": (
        lambda value: isinstance(value, str) and _rate.fullmatch(value.strip()) is not None,
        'a text such as "20/min" or "5/10s"',
    ),
    "cache": (lambda value: isinstance(value, Struct), "a CacheRule"),
    "cancel_on_disconnect": (lambda value: isinstance(value, bool), "True or False"),
}


def _read_config(names: dict[str, Any], source: _Source) -> RouteConfig:
    found: dict[str, Any] = {}
    for name, value in names.items():
        is_helper = isinstance(value, ModuleType) or callable(value)
        if name not in _CONSTANTS:
            if not is_helper and not name.startswith("_"):
                _check_look_alike(name, source)
            continue
        # ``from turnout import rate_limit`` is a helper with the name of a constant, but
        # ``auth = check_user`` is a mistake that would leave the route open.
        if value is None or (is_helper and source.find(name).how == "import"):
            continue
        found[name] = read_constant(name, value, source.file, source.find(name).line if _wrong(name, value) else 1)
    return RouteConfig(**found)


def _wrong(name: str, value: Any) -> bool:
    return not _CONSTANTS[name][0](value)


def read_constant(name: str, value: Any, file: Path, line: int) -> Any:
    """*value* as the route constant *name* at *line* of *file*; a size becomes bytes.

    Raises:
        ConfigError: it is of a wrong type.
    """
    if _wrong(name, value):
        raise ConfigError(
            f"the route constant {name} must be {_CONSTANTS[name][1]}, not {value!r:.80}",
            file=file,
            line=line,
            cure=f"write {name} = ..., or give the variable another name if it is no route constant",
        )
    return _read_size(value) if name == "body_limit" else value


def _check_look_alike(name: str, source: _Source) -> None:
    plain = name.lower().replace("_", "")
    for known in _CONSTANTS:
        target = known.replace("_", "")
        # ``author`` and ``page_limit`` are two letters from a constant and words of their
        # own, so the shorter the constant, the less it may differ.
        slack = max(0, min(2, len(target) - 8))
        if abs(len(plain) - len(target)) <= slack and _distance(plain, target) <= slack:
            raise source.error(
                name,
                f"{name!r} is no route constant; did you mean {known!r}?",
                f"rename it to {known}, or to _{name} if it is a variable of your own",
            )


def _distance(one: str, other: str) -> int:
    """How many letters to add, drop or change (Levenshtein) between *one* and *other*."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        last, row[0] = row[0], at
        for to, wanted in enumerate(other, 1):
            last, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, last + (letter != wanted))
    return row[-1]


# -- the two other files of a folder


def load_middleware(file: Path, root: Path) -> Callable[..., Awaitable[Any]]:
    """The ``middleware(request, next)`` of a ``middleware.py``."""
    return _load_hook(file, root, "middleware", ("request", "next"))


def load_error(file: Path, root: Path) -> Callable[..., Awaitable[Any]]:
    """The ``error(exc, request)`` of an ``error.py``."""
    return _load_hook(file, root, "error", ("exc", "request"))


def _load_hook(file: Path, root: Path, name: str, parameters: tuple[str, str]) -> Callable[..., Awaitable[Any]]:
    hook = vars(load_module(file, root)).get(name)
    source = _Source(file)
    wanted = f"async def {name}({', '.join(parameters)})"
    if hook is None:
        raise ConfigError(f"the file has no {name} function", file=file, line=1, cure=f"define {wanted}: ...")
    if not is_coroutine_function(hook):
        raise source.error(name, f"{name} is not an async function", f"define it as {wanted}: ...")
    try:
        _check_two(hook)
    except TypeError:
        raise source.error(
            name, f"{name} does not take two arguments, {' and '.join(parameters)}", f"define it as {wanted}: ..."
        ) from None
    function: Callable[..., Awaitable[Any]] = hook
    return function


def _check_two(hook: Callable[..., Any]) -> None:
    """Raise TypeError if *hook* cannot be called with two arguments."""
    given = read_signature(hook).parameters
    room = [each for each in given if each.kind < KEYWORD_ONLY and each.kind != VAR_POSITIONAL]
    most = 2 if any(each.kind == VAR_POSITIONAL for each in given) else len(room)
    needed = [each for each in room[2:] if each.default is EMPTY]
    needed += [each for each in given if each.kind == KEYWORD_ONLY and each.default is EMPTY]
    if most < 2 or needed:
        raise TypeError
