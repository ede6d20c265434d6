"""The JSON that an expression gives, as far as its source shows: literals, models, rows of a query."""

from __future__ import annotations

import ast
import types
import typing
from types import FunctionType
from typing import Any

import msgspec

from ..http.form import FormData
from ..http.request import Request
from ..http.response import Response
from .known import OBJECT
from .model import Schema
from .schemas import Schemas
from .scope import UNKNOWN, Instance, Scope, argument_of, is_database, is_simple, returns_of


class Shapes(Scope):
    """A function whose data is described."""

    def __init__(self, schemas: Schemas, function: FunctionType, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        super().__init__(function, node)
        self.schemas = schemas

    def schema_of(self, node: ast.expr | None) -> Schema:
        """What is known of the JSON of *node*; ``{}`` if nothing is."""
        if isinstance(node, ast.Dict):
            return self.schema_of_dict(node)
        if isinstance(node, (ast.List, ast.Tuple)):
            items = [self.schema_of(each) for each in node.elts]
            # By identity too: the schema of a type is empty as long as not all types are known.
            same = bool(items) and all(each is items[0] or (each and each == items[0]) for each in items)
            return {"type": "array", **({"items": items[0]} if same else {})}
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return {"type": "array"}
        if isinstance(node, ast.DictComp):
            return dict(OBJECT)
        if isinstance(node, ast.Constant):
            return of_constant(node.value)
        if isinstance(node, ast.JoinedStr):
            return {"type": "string"}
        if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            return {"type": "boolean"}
        if isinstance(node, ast.Await):
            return self.schema_of(node.value)
        if isinstance(node, ast.Name):
            return self.schema_of_name(node.id)
        if isinstance(node, ast.Call):
            return self.schema_of_call(node)
        return {}

    def schema_of_dict(self, node: ast.Dict) -> Schema:
        keys = [self.resolve(key) if key is not None else UNKNOWN for key in node.keys]
        names = [key for key in keys if isinstance(key, str)]
        if len(names) != len(keys):  # ** or a key that is worked out
            return dict(OBJECT)
        shapes = [self.schema_of(value) for value in node.values]
        return {"type": "object", "properties": dict(zip(names, shapes, strict=True)), "required": names}

    def schema_of_name(self, name: str) -> Schema:
        values = self.assigned.get(name)
        if values is None:
            value = self.resolve_name(name)
            if isinstance(value, Instance):
                return self.typed(value.kind)
            return of_constant(value) if value is not UNKNOWN else {}
        if len(values) != 1 or not is_simple(values[0], name):
            return {}
        value = values[0].value if isinstance(values[0], ast.Await) else values[0]
        is_call = isinstance(value, ast.Call)
        shape = self.schema_of_call(value, there=name in self.checked) if is_call else self.schema_of(value)  # type: ignore[arg-type]
        if name in self.touched and "properties" in shape:  # filled or changed after it was made
            return dict(OBJECT)
        return shape

    def schema_of_call(self, node: ast.Call, *, there: bool = False) -> Schema:
        """What a call gives; *there*: None was looked for, and is no more."""
        callee = self.resolve(node.func)
        if isinstance(callee, type):
            return self.typed(callee)
        rows = self.schema_of_rows(node, there)
        if rows is not None:
            return rows
        kind = without_none(returns_of(callee)) if there else returns_of(callee)
        return self.schemas.of(kind) if kind is not None and is_describable(kind) else {}

    def schema_of_rows(self, node: ast.Call, there: bool) -> Schema | None:
        """What a query gives, if it is one: rows, or one row, of the model that ``as_`` names."""
        steps: dict[str, ast.Call] = {}
        root: ast.expr = node
        while isinstance(root, ast.Call) and isinstance(root.func, ast.Attribute):
            steps[root.func.attr] = root
            root = root.func.value
        if not is_database(self.resolve(root)) or not {"from_", "table", "sql"} & steps.keys():
            return None
        row = dict(OBJECT)
        if "as_" in steps:
            kind = self.resolve(argument_of(steps["as_"], 0, "model"))
            row = self.typed(kind) if isinstance(kind, type) else {}
        if "single" not in steps:
            return {"type": "array", "items": row}
        return row if there or {"insert", "upsert"} & steps.keys() else {"anyOf": [row, {"type": "null"}]}

    def typed(self, kind: type) -> Schema:
        return self.schemas.of(kind) if is_describable(kind) else {}


def without_none(kind: Any) -> Any:
    members = typing.get_args(kind)
    if type(None) not in members or typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    return typing.Union[tuple(each for each in members if each is not type(None))]  # noqa: UP007 - made at run time


def is_describable(kind: Any) -> bool:
    """Whether a schema of *kind* says what Turnout would write of it."""
    if kind in (Response, Request, FormData) or kind is type(None):
        return False
    try:
        info = msgspec.inspect.type_info(kind)
    except Exception:
        return hasattr(kind, "model_json_schema")
    return not isinstance(info, msgspec.inspect.CustomType) or hasattr(kind, "model_json_schema")


def of_constant(value: Any) -> Schema:
    kinds: dict[type, str] = {str: "string", bool: "boolean", int: "integer", dict: "object", list: "array"}
    if value is None:
        return {"type": "null"}
    if type(value) is float:
        return {"type": "number"}
    name = kinds.get(type(value))
    return {"type": name} if name else {}
