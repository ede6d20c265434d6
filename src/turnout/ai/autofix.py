"""Slips that are mended before a model is asked again: exact, cheap, and shown in the report.

Only what has one right answer: ``get`` is ``GET`` in a route, a handler that awaits is ``async``,
``Request`` comes from ``turnout``, an import of ours that nothing uses goes. What cannot be parsed
is left to the gates.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from .changeset import ChangeSet, FileChange
from .protocol import METHODS

_SOURCES = {
    "turnout": "BadRequest Conflict Forbidden FormData HTTPError NotFound Request Response TooManyRequests "
    "Unauthorized UploadFile after db env rate_limit send_email",
    "msgspec": "Struct Meta",
    "typing": "Annotated Any Literal",
    "turnout.testing": "Client",
}
# Modules that are used by their own name; of datetime nobody knows whether the class is meant.
_MODULES = frozenset(("asyncio", "hashlib", "hmac", "json", "math", "pytest", "re", "secrets", "time"))
_KNOWN = {name: module for module, names in _SOURCES.items() for name in names.split()}
_DEF = re.compile(r"^(async\s+def|def)\s+(\w+)\b")


def autofix(change: ChangeSet) -> tuple[ChangeSet, list[str]]:
    """*change* with its plain slips mended, and a line for each."""
    said: list[str] = []
    files = [_fixed(file, said) for file in change.files]
    return replace(change, files=files), said


def _fixed(file: FileChange, said: list[str]) -> FileChange:
    if file.text is None or not file.path.endswith(".py"):
        return file
    text = file.text
    steps: list[Callable[[ast.Module, str, FileChange], tuple[str, list[str]]]] = [_handlers, _missing, _unused]
    for step in steps:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            break
        text, done = step(tree, text, file)
        said += [f"{file.path}: {what}" for what in done]
    return replace(file, text=text)


def _handlers(tree: ast.Module, text: str, file: FileChange) -> tuple[str, list[str]]:
    if not file.path.endswith("/route.py"):
        return text, []
    lines, done = text.split("\n"), []
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        found = _DEF.match(lines[node.lineno - 1])
        if found is None:
            continue
        word, name = found[1], node.name
        if name != name.upper() and name.upper() in METHODS and not _named(tree, name.upper()):
            done.append(f"{name} is named {name.upper()}")
            name = name.upper()
        if word == "def" and name in METHODS and _awaits(node):
            done.append(f"{name} is async")
            word = "async def"
        lines[node.lineno - 1] = f"{word} {name}{lines[node.lineno - 1][found.end() :]}"
    return "\n".join(lines), done


def _named(tree: ast.Module, name: str) -> bool:
    return any(getattr(node, "name", None) == name for node in tree.body)


def _awaits(node: ast.AST) -> bool:
    return any(isinstance(each, (ast.Await, ast.AsyncFor, ast.AsyncWith)) for each in ast.walk(node))


def _missing(tree: ast.Module, text: str, file: FileChange) -> tuple[str, list[str]]:
    """Import the names of ours that are used and come from nowhere."""
    bound = set(_bound(tree))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    loose = used - bound - set(dir(builtins))
    wanted = sorted(name for name in loose if name in _KNOWN)
    modules = sorted(loose & _MODULES)
    if not (wanted or modules) or any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in tree.body
    ):
        return text, []
    lines = text.split("\n")
    at = _after_head(tree)
    for name in modules:
        lines.insert(at, f"import {name}")
        at += 1
    for module in sorted({_KNOWN[name] for name in wanted}):
        names = ", ".join(name for name in wanted if _KNOWN[name] == module)
        lines.insert(at, f"from {module} import {names}")
        at += 1
    return "\n".join(lines), [f"{', '.join([*modules, *wanted])} imported"]


def _base(node: ast.Attribute) -> str:
    return node.value.id if isinstance(node.value, ast.Name) else ""


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id


def _after_head(tree: ast.Module) -> int:
    """The line after the docstring and the imports from ``__future__``."""
    at = 0
    for node in tree.body:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_text and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        at = node.end_lineno or at
    return at


def _unused(tree: ast.Module, text: str, file: FileChange) -> tuple[str, list[str]]:
    """Remove names imported from ours, ``msgspec`` and ``typing`` that stand nowhere else in the text."""
    lines, done = text.split("\n"), []
    modules = set(_SOURCES)
    for node in reversed(tree.body):
        if not isinstance(node, ast.ImportFrom) or node.module not in modules or node.level:
            continue
        rest = [each for each in node.names if each.name == "*" or _stands(each.asname or each.name, text) > 1]
        gone = [each.name for each in node.names if each not in rest]
        if gone:
            new = [ast.unparse(ast.ImportFrom(node.module, rest, 0))] if rest else []
            lines[node.lineno - 1 : node.end_lineno] = new
            done.append(f"{', '.join(gone)} is not used and not imported")
    return "\n".join(lines), done


def _stands(name: str, text: str) -> int:
    return len(re.findall(rf"\b{re.escape(name)}\b", text))
