"""The names of one function, and what is known of their values before anything runs.

Looking a name up runs nobody's code: attributes are found without properties, and a call gives no value but an
``Instance`` of what it is said to return. What a function answers is read in ``source.py``.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import inspect
import typing
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

from msgspec import Struct

from ..http.request import Request

PACKAGE = __name__.partition(".")[0]
UNKNOWN = object()
_DONE = (ast.Return, ast.Raise, ast.Continue, ast.Break)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Instance(Struct):
    """Some value of a class, of which nothing else is known."""

    kind: type


class Scope:
    """One function: its nodes, and its names.

    Attributes:
        assigned: The expressions that each name of its own stands for.
        touched: Names whose value is changed in place.
        checked: Names that None is looked for in.
        statuses: What is set as the status of a response by that name.
        parameters: Its parameters by name.
        first: The name of the first of them.
    """

    def __init__(self, function: FunctionType, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.function, self.node = function, node
        self.closure: dict[str, Any] = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                self.closure[name] = cell.cell_contents
            except ValueError:  # not filled yet
                pass
        self.assigned: dict[str, list[ast.expr]] = {}
        self.touched: set[str] = set()  # names whose value is changed in place
        self.checked: set[str] = set()  # names that are compared with None
        self.statuses: dict[str, list[ast.expr]] = {}  # what is set as the status of a response by that name
        self.parameters = {each.arg: each for each in parameters_of(node)}
        self.first = next(iter(self.parameters), None)
        for each in self.own_nodes():
            self._note(each)

    def own_nodes(self) -> Iterator[ast.AST]:
        """Every node in its order, but those of functions defined inside, whose answers are not this one's."""
        waiting: list[ast.AST] = self.node.body[::-1]  # type: ignore[assignment]
        while waiting:
            node = waiting.pop()
            yield node
            if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                waiting.extend(reversed(list(ast.iter_child_nodes(node))))

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._note_target(target, node.value)
                if isinstance(target, ast.Attribute) and target.attr == "status" and isinstance(target.value, ast.Name):
                    self.statuses.setdefault(target.value.id, []).append(node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            self._note_target(node.target, node.value)
        elif isinstance(node, (ast.AugAssign, ast.For, ast.AsyncFor)):
            self._note_target(node.target, None)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._note_target(node.optional_vars, None)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            self.assigned.setdefault(node.name, []).append(ast.Name("_", ast.Load()))
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            self.touched.add(node.func.value.id)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            self.assigned.setdefault(node.name, []).append(ast.Name("_", ast.Load()))
        elif isinstance(node, (ast.If, ast.IfExp, ast.Assert)):
            self.checked.update(compared_with_none(node.test))

    def _note_target(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            # A value that is not one expression stands as a name that is nowhere.
            self.assigned.setdefault(target.id, []).append(value if value is not None else ast.Name("_", ast.Load()))
        elif isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self._note_target(each, None)
        elif isinstance(target, (ast.Subscript, ast.Attribute)) and isinstance(target.value, ast.Name):
            self.touched.add(target.value.id)

    def resolve(self, node: ast.expr | None) -> Any:
        """The value of *node* as it is known before anything runs; ``UNKNOWN`` if it is not."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Await):
            return self.resolve(node.value)
        if isinstance(node, ast.Name):
            return self.resolve_name(node.id)
        if isinstance(node, ast.Attribute):
            return attribute_of(self.resolve(node.value), node.attr)
        if isinstance(node, ast.Call):
            made = self.resolve(node.func)
            if isinstance(made, type):
                return Instance(made)
            kind = returns_of(made)
            return Instance(kind) if isinstance(kind, type) and kind is not type(None) else UNKNOWN
        return UNKNOWN

    def resolve_name(self, name: str) -> Any:
        if name in self.assigned:
            values = self.assigned[name]
            return self.resolve(values[0]) if len(values) == 1 and is_simple(values[0], name) else UNKNOWN
        if name in self.parameters:
            kind = self.function.__annotations__.get(name)
            if isinstance(kind, str):
                kind = self.named(kind)
            if isinstance(kind, type):
                return Instance(kind)
            return Instance(Request) if name == "request" else UNKNOWN
        return self.named(name)

    def named(self, name: str) -> Any:
        for place in (self.closure, self.function.__globals__, vars(builtins)):
            if name in place:
                return place[name]
        return UNKNOWN


# -- small questions


def plain(function: Any) -> Any:
    """The function itself, of a method, a partial or an object that can be called."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif function is None or isinstance(function, FunctionType):
            return function
        else:
            function = getattr(type(function), "__call__", None)  # noqa: B004 - of an object
            if not isinstance(function, FunctionType):
                return None


def parameters_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    taken = node.args
    extra = [each for each in (taken.vararg, taken.kwarg) if each is not None]
    return [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, *extra]


def is_simple(node: ast.expr, name: str) -> bool:
    """Whether *node* does not go back to *name* itself."""
    return not any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node))


def argument_of(node: ast.Call, place: int | None, name: str) -> ast.expr | None:
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    if place is None or len(node.args) <= place or any(isinstance(each, ast.Starred) for each in node.args):
        return None
    return node.args[place]


def attribute_of(value: Any, name: str) -> Any:
    """``value.name`` where looking it up runs no code of anybody's."""
    if value is UNKNOWN or value is None:
        return UNKNOWN
    if isinstance(value, Instance):
        found = inspect.getattr_static(value.kind, name, UNKNOWN)
        return found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
    if isinstance(value, ModuleType):
        # A module of ours loads its names when they are first asked for.
        return getattr(value, name, UNKNOWN) if value.__name__.startswith(PACKAGE) else vars(value).get(name, UNKNOWN)
    if isinstance(value, enum.EnumMeta):
        return value.__members__.get(name, UNKNOWN)
    found = inspect.getattr_static(value, name, UNKNOWN)
    if isinstance(found, (classmethod, staticmethod)):
        return found.__func__
    return UNKNOWN if isinstance(found, property) else found


def key_of(value: Any) -> str | None:
    """``http.response.Response.json`` for a function or class of ours; None for anything else."""
    if isinstance(value, (MethodType, functools.partial)):
        value = getattr(value, "__func__", None) or value.func  # type: ignore[union-attr]
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module.partition(".")[0] != PACKAGE:
        return None
    return f"{module.partition('.')[2]}.{name}"


def returns_of(function: Any) -> Any:
    """The annotation of what *function* returns; None if it has none or cannot be read."""
    function = plain(function) if callable(function) and not isinstance(function, type) else None
    if function is None:
        return None
    try:
        return typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # whatever evaluating somebody's annotation may raise
        return None


def compared_with_none(test: ast.expr) -> Iterator[str]:
    """The names that *test* looks for None in: ``post is None``, ``not post``, ``post``."""
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name):
            if any(isinstance(each, ast.Constant) and each.value is None for each in node.comparators):
                yield node.left.id
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Name):
            yield node.operand.id
    if isinstance(test, ast.Name):
        yield test.id


def is_database(value: Any) -> bool:
    if isinstance(value, ModuleType):  # ``from turnout import db`` may give the package, which stands for its database
        return value.__name__ == f"{PACKAGE}.db"
    kind = value.kind if isinstance(value, Instance) else type(value)
    return kind.__name__ in ("Database", "Transaction") and str(kind.__module__).startswith(f"{PACKAGE}.db")


def is_kind(value: Any, kind: type) -> bool:
    return isinstance(value, Instance) and issubclass(value.kind, kind)


def ends(body: list[ast.stmt]) -> bool:
    """Whether control never falls off the end of *body*."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, _DONE):
        return True
    if isinstance(last, ast.If):
        return ends(last.body) and ends(last.orelse)
    if isinstance(last, (ast.With, ast.AsyncWith)):
        return ends(last.body)
    if isinstance(last, ast.Try):
        handled = all(ends(each.body) for each in last.handlers)
        return ends(last.finalbody) or (ends(last.orelse or last.body) and handled)
    if isinstance(last, ast.Match):
        wild = any(isinstance(each.pattern, ast.MatchAs) and each.pattern.pattern is None for each in last.cases)
        return wild and all(ends(each.body) for each in last.cases)
    if isinstance(last, ast.While):
        return isinstance(last.test, ast.Constant) and bool(last.test.value)
    return False
