"""One Python file of the user's, read and not run: a build must need neither secrets nor a database.

What is read: the names that a file binds (which methods it answers), its route constants, what it
imports, and the words by which it asks for something that not every target has. What an import
from elsewhere brings is followed into files of the project, not into packages.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from ..errors import ConfigError
from ..routing.module import METHODS, RouteConfig, meant_method, misnamed, read_constant
from .target import Feature, Use

CONSTANTS = RouteConfig.__struct_fields__
_CALLS: dict[str, Feature] = {
    "turnout.Response.stream": "streaming",
    "turnout.Response.sse": "streaming",
    "turnout.after": "after",
    "turnout.context.after": "after",
    "asyncio.create_task": "background",
    "asyncio.ensure_future": "background",
    "threading.Thread": "background",
    "threading.Timer": "background",
}
_OURS = frozenset({"turnout", "msgspec"})
_WRITERS = frozenset({"write_text", "write_bytes"})
_WAITING = frozenset({"asyncio", "concurrent", "selectors", "turnout"})  # turnout is judged name by name
# What of turnout never waits for anything but the request's own body, which is there as a whole.
_AT_ONCE = frozenset(
    {
        "BadRequest", "BodyUsed", "ConfigError", "Conflict", "Forbidden", "HTTPError", "Headers", "MethodNotAllowed",
        "NotFound", "PayloadTooLarge", "RangeError", "Request", "Response", "Secret", "ServiceUnavailable", "Settings",
        "TooManyRequests", "TurnoutError", "URL", "URLSearchParams", "Unauthorized", "UnsupportedMediaType",
        "ValidationFailed", "after", "context", "cookies", "current_request", "env", "errors", "headers", "redirect",
    }
)  # fmt: skip


class Source(Struct, frozen=True):
    """What one file says.

    Attributes:
        names: What it binds at its top level, and where.
        imports: Absolute module names with the name taken from each, and the line.
        uses: What it asks for.
    """

    file: Path
    root: Path
    tree: ast.Module
    names: dict[str, ast.AST] = field(default_factory=dict)
    imports: list[tuple[str, str | None, int]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)


def read(file: Path, root: Path) -> Source:
    """Read *file*; once per content and place.

    Raises:
        ConfigError: it is not Python.
    """
    return _read(file, root, file.stat().st_mtime_ns)


@cache
def _read(file: Path, root: Path, _changed: int) -> Source:
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except SyntaxError as exc:
        raise ConfigError(
            f"{_short(file, root)} is not Python: {exc.msg}", file=file, line=exc.lineno, cure="mend the line"
        ) from None
    source = Source(file, root, tree)
    _bind(tree.body, source.names)
    known = _imports(source, root)
    _find_uses(source, known)
    return source


def _short(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _bind(nodes: list[Any], names: dict[str, ast.AST]) -> None:
    """Note what *nodes*, at the top level of a module, bind; a later binding wins, as when it runs."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names[node.name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for each in ast.walk(target):
                    if isinstance(each, ast.Name):
                        names[each.id] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            names[node.target.id] = node
        else:
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                _bind(getattr(node, block, []), names)


# -- what it imports


def _imports(source: Source, root: Path) -> dict[str, str]:
    """Fill in imports and the project files behind them; local names to what they stand for."""
    known: dict[str, str] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                source.imports.append((alias.name, None, node.lineno))
                known[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                source.files.extend(_files_of(root, alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            place = root if not node.level else source.file.parents[node.level - 1]
            for alias in node.names:
                if not node.level:
                    source.imports.append((node.module or "", alias.name, node.lineno))
                    known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                source.files.extend(_files_of(place, [*parts, alias.name]))
    return known


def _files_of(place: Path, parts: list[str]) -> Iterator[Path]:
    """The files in the project that importing *parts* from *place* runs."""
    for part in parts:
        if place.is_dir() and (init := place / "__init__.py").is_file():
            yield init
        if (module := place / f"{part}.py").is_file():
            yield module
            return
        place = place / part
        if not place.is_dir():
            return
    if (init := place / "__init__.py").is_file():
        yield init


def closure(files: list[Path], root: Path) -> list[Source]:
    """*files* and every file of the project that they import, sorted by path."""
    found: dict[Path, Source] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = read(file, root)
            waiting.extend(found[file].files)
    return [found[file] for file in sorted(found)]


# -- what it asks for


def _find_uses(source: Source, known: dict[str, str]) -> None:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            _find_call(node, source, known)
    for method in METHODS:
        handler = source.names.get(method)
        if isinstance(handler, (ast.FunctionDef, ast.AsyncFunctionDef)) and _yields(handler):
            source.uses.append(Use("streaming", source.file, handler.lineno, f"{method} with yield"))
    for name in ("SOCKET", "WEBSOCKET"):
        if name in source.names:
            source.uses.append(Use("websocket", source.file, _line(source.names[name]), name))


def _find_call(node: ast.Call, source: Source, known: dict[str, str]) -> None:
    name = _dotted(node.func, known)
    if name in _CALLS:
        source.uses.append(Use(_CALLS[name], source.file, node.lineno, f"{name.removeprefix('turnout.')}()"))
    elif name == "open" and "open" not in source.names and _writes(node):
        source.uses.append(Use("files", source.file, node.lineno, "open() to write"))
    elif isinstance(node.func, ast.Attribute) and node.func.attr in _WRITERS:
        source.uses.append(Use("files", source.file, node.lineno, f"{node.func.attr}()"))


def _dotted(node: ast.AST, known: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, known)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _writes(call: ast.Call) -> bool:
    """Whether an ``open()`` writes, and not in ``/tmp``, which every place has."""
    place = call.args[0] if call.args else None
    if isinstance(place, ast.Constant) and str(place.value).startswith("/tmp/"):
        return False
    modes = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wax+") for mode in modes)


def _yields(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the function itself is a generator; what is defined inside it does not count."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 1)


# -- a route file


def methods(source: Source) -> tuple[str, ...]:
    """The methods that a route file answers.

    Raises:
        ConfigError: it answers none, or takes names from elsewhere that cannot be told without running it.
    """
    if "*" in source.names:
        raise ConfigError(
            "import * may bring handlers and constants that a build cannot see",
            file=source.file,
            line=_line(source.names["*"]),
            cure="import by name",
        )
    for name, node in source.names.items():
        method = meant_method(name) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else None
        if method is not None:
            message, cure = misnamed(name, method)
            raise ConfigError(message, file=source.file, line=_line(node), cure=cure)
    found = tuple(method for method in METHODS if method in source.names)
    if not found:
        raise ConfigError(
            "the file exports no handler", file=source.file, line=1, cure=f"define one of {', '.join(METHODS)}"
        )
    return found


def constants(source: Source) -> dict[str, Any]:
    """The route constants of a file, which must be literals: a build reads them without running anything.

    Raises:
        ConfigError: one is not a literal, or has the wrong type; with its line.
    """
    found: dict[str, Any] = {}
    for name in CONSTANTS:
        node = source.names.get(name)
        if node is None or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            _check_import(name, node, source)
            continue
        value = _literal(name, node, source)
        if value is not None:
            found[name] = value
    return found


def _check_import(name: str, node: ast.Import | ast.ImportFrom, source: Source) -> None:
    """``from turnout import rate_limit`` is a helper with a constant's name, and so is a function of the project's."""
    if isinstance(node, ast.ImportFrom):
        if not node.level and (node.module or "").partition(".")[0] == "turnout":
            return
        place = source.file.parents[node.level - 1] if node.level else source.root
        wanted = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
        for file in _files_of(place, [*(node.module or "").split("."), wanted] if node.module else [wanted]):
            defined = read(file, source.root).names.get(wanted)
            if isinstance(defined, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                return
    raise ConfigError(
        f"the route constant {name} is imported, so a build cannot read it",
        file=source.file,
        line=node.lineno,
        cure=f"write its value here, or import it under another name: {name} as _{name}",
    )


def _literal(name: str, node: ast.AST, source: Source) -> Any:
    value: Any = getattr(node, "value", None)
    if not isinstance(getattr(node, "targets", [getattr(node, "target", None)])[0], ast.Name):
        value = None
    problem, line = f"the route constant {name} is not a literal, so a build cannot read it", _line(node)
    if name == "cache" and isinstance(value, ast.Call):  # CacheRule(60, tags=("posts",)): its arguments are
        for each in (*value.args, *(word.value for word in value.keywords)):
            _evaluate(each, problem, source)
        return True
    if value is None:
        raise ConfigError(problem, file=source.file, line=line, cure=f"write {name} = ... with the value itself")
    return read_constant(name, _evaluate(value, problem, source), source.file, line)


def _evaluate(node: ast.expr, problem: str, source: Source) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise ConfigError(
            problem, file=source.file, line=node.lineno, cure="write the value itself: a number, a text, a list ..."
        ) from None


def waits(sources: list[Source], found: dict[str, Any]) -> bool:
    """Whether anything in *sources* could wait for an event loop; False only when nothing can.

    Args:
        sources: A route with its middleware and error files, and what they import.
        found: The constants of the route; those that bring a guard or a cache wait for it.
    """
    if {"auth", "rate_limit", "cache", "revalidate"} & found.keys():
        return True
    return any(_may_wait(source) for source in sources)


def _may_wait(source: Source) -> bool:
    for module, name, _ in source.imports:
        top, _, rest = module.partition(".")
        if top == "turnout":
            if (rest.partition(".")[0] or name or "?") not in _AT_ONCE:
                return True
        elif top in _WAITING or not (top in sys.stdlib_module_names or top in _OURS or _is_own(top, source.root)):
            return True
    # What reads a form or watches its client leave waits for threads and events.
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("form_data", "signal") for node in ast.walk(source.tree)
    )


def may_log(source: Source) -> bool:
    """Whether a file imports ``logging``, or a package, which may."""
    tops = {module.partition(".")[0] for module, _, _ in source.imports}
    return any(
        top == "logging" or not (top in sys.stdlib_module_names or top in _OURS or _is_own(top, source.root))
        for top in tops
    )


def _is_own(top: str, root: Path) -> bool:
    return (root / top).is_dir() or (root / f"{top}.py").is_file()


def parts(sources: list[Source]) -> set[str]:
    """The parts of Turnout that *sources* import, by module; ``*`` for one that takes the whole."""
    from .. import _LAZY

    found: set[str] = set()
    for source in sources:
        whole = False
        for module, name, _ in source.imports:
            top, _, rest = module.partition(".")
            if top != "turnout":
                continue
            if rest:
                found.add(rest.partition(".")[0])
            elif name is None:
                whole = True
            else:
                found.add(_LAZY.get(name, f".{name}").removeprefix(".").partition(".")[0])
        if whole:  # import turnout: only its attributes say which
            found |= {
                _LAZY.get(node.attr, f".{node.attr}").removeprefix(".").partition(".")[0]
                for node in ast.walk(source.tree)
                if isinstance(node, ast.Attribute)
            }
    return found


# -- scheduled tasks


class Schedule(Struct, frozen=True):
    """A task that runs by itself: its name and cron expression, as ``@task(cron=...)`` has them."""

    task: str
    cron: str
    timezone: str
    file: Path
    line: int


def schedules(source: Source) -> Iterator[Schedule]:
    """The scheduled tasks that a file declares."""
    for node in source.tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and _dotted(decorator.func, {}).rpartition(".")[2] == "task":
                words = {word.arg: word.value for word in decorator.keywords}
                if "cron" in words:
                    problem = f"the options of the task {node.name} are no literals, so a build cannot read them"
                    given = {
                        name: _evaluate(words[name], problem, source)
                        for name in ("cron", "name", "timezone")
                        if name in words
                    }
                    yield Schedule(
                        given.get("name", node.name),
                        given["cron"],
                        given.get("timezone", "UTC"),
                        source.file,
                        node.lineno,
                    )
