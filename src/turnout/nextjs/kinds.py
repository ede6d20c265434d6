"""What a value is, as far as its expression shows: it decides how the value's parts are reached."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .scope import Kind, Scope
from .syntax import field, named, text, unwrapped

if TYPE_CHECKING:
    from tree_sitter import Node

RESPONSES = ("Response", "NextResponse")
_ROWS = ("map", "filter", "slice", "concat")
_PLAIN: dict[str, Kind] = {
    "string": "text", "template_string": "text", "number": "number", "true": "bool", "false": "bool",
}  # fmt: skip
_ASKING = ("===", "!==", "==", "!=", "<", ">", "<=", ">=", "in", "instanceof")
_OF_TEXT = ("trim", "toLowerCase", "toUpperCase", "toString", "replace", "replaceAll", "toISOString", "join")
_OF_NUMBER = ("getTime", "indexOf")
_ASKED = ("includes", "startsWith", "endsWith", "some", "every", "has")
_FUNCTIONS: dict[str, Kind] = {
    "fetch": "answer", "cookies": "cookies", "headers": "fields", "createClient": "supabase", "String": "text",
    "encodeURIComponent": "text", "Number": "number", "parseInt": "number", "parseFloat": "number", "Boolean": "bool",
}  # fmt: skip
# What a function whose name asks something gives is taken for true or false.
_QUESTION = re.compile(r"(is|has|can|should|are|was)[A-Z_]")


def kind_of(node: Node, scope: Scope) -> Kind:
    """What the value of *node* is."""
    node = unwrapped(node)
    if node.type == "identifier":
        if text(node) == "db" and "db" not in scope.names:
            return "db"
        return "request" if text(node) == scope.request else scope.kind(text(node))
    if node.type == "object":
        return "dict"
    if node.type == "array":
        return "list"
    if node.type in _PLAIN:
        return _PLAIN[node.type]
    if node.type == "await_expression":
        return kind_of(named(node)[0], scope)
    if node.type == "member_expression":
        return _kind_of_member(field(node, "object"), text(field(node, "property")), scope)
    if node.type == "subscript_expression":
        return "dict" if kind_of(field(node, "object"), scope) in ("dict", "list") else "unknown"
    if node.type == "binary_expression":
        return _kind_of_operation(node, scope)
    if node.type in ("new_expression", "call_expression"):
        return _kind_of_made(node, scope)
    if node.type == "ternary_expression":
        yes, no = field(node, "consequence"), field(node, "alternative")
        kind = kind_of(yes, scope)
        return kind if kind == kind_of(no, scope) or (kind == "dict" and text(no) == "null") else "unknown"
    return "unknown"


def _kind_of_operation(node: Node, scope: Scope) -> Kind:
    operator = text(field(node, "operator"))
    left, right = kind_of(field(node, "left"), scope), kind_of(field(node, "right"), scope)
    if operator in _ASKING:
        return "bool"
    if operator in ("||", "&&", "??"):
        return left if left == right or left in ("dict", "list", "struct") else "unknown"
    if operator == "+":
        return "text" if "text" in (left, right) else "number" if left == right == "number" else "unknown"
    return "number"


def _kind_of_member(owner: Node, name: str, scope: Scope) -> Kind:
    inner = kind_of(owner, scope)
    if name == "length":
        return "number"
    if inner in ("db", "supabase"):
        return inner
    if inner == "request" and name in ("url", "method"):
        return "text"
    if inner == "answer" and name in ("ok", "status"):
        return "bool" if name == "ok" else "number"
    if inner == "error" and name == "message":
        return "text"
    if name == "value" and inner == "text":
        return "text"  # of a cookie
    if is_params(owner, scope):
        return "unknown" if name in scope.rests else "text"
    if inner == "env" or text(owner) == "process.env":
        return "text"
    if inner == "request":
        return {"nextUrl": "url", "cookies": "cookies", "headers": "fields"}.get(name, "unknown")  # type: ignore[return-value]
    if inner == "url" and name == "searchParams":
        return "fields"
    if inner == "parsed" and name == "data":
        return "struct"
    return inner if inner in ("dict", "struct") else "unknown"


def is_params(node: Node, scope: Scope) -> bool:
    """Whether *node* is the mapping of the path's parameters, waited for or not."""
    node = unwrapped(node)
    if node.type == "await_expression":
        node = unwrapped(named(node)[0])
    return scope.params is not None and text(node) == scope.params


def _kind_of_made(node: Node, scope: Scope) -> Kind:
    if node.type == "new_expression":
        name = text(field(node, "constructor"))
        return {"URL": "url", "Headers": "fields", "URLSearchParams": "fields"}.get(name, "unknown")  # type: ignore[return-value]
    function = unwrapped(field(node, "function"))
    if function.type == "identifier":
        name = text(function)
        return _FUNCTIONS.get(name) or ("bool" if _QUESTION.match(name) else "unknown")
    if function.type != "member_expression":
        return "unknown"
    owner, name = unwrapped(field(function, "object")), text(field(function, "property"))
    if text(root(owner)) == "stripe":
        return "struct"  # its parts have their names here too
    inner = kind_of(owner, scope)
    if inner in ("request", "answer"):
        return {"json": "dict", "formData": "form"}.get(name, "unknown")  # type: ignore[return-value]
    if text(owner) in scope.schemas:
        return "parsed" if name == "safeParse" else "struct"
    if inner in ("db", "supabase"):
        return inner
    if inner in ("fields", "cookies") and name == "get":
        return "text"
    if text(owner) == "Math" or (text(owner), name) == ("Date", "now") or name in _OF_NUMBER:
        return "number"
    if text(owner) == "JSON":
        return "text" if name == "stringify" else "dict"
    if name in _OF_TEXT:
        return "text"
    if name in _ASKED or _QUESTION.match(name):
        return "bool"
    if inner == "text" and name in ("slice", "split"):
        return "text" if name == "slice" else "list"
    return "list" if inner == "list" and name in _ROWS else "unknown"


def _waited_for(node: Node) -> Node:
    node = unwrapped(node)
    return unwrapped(named(node)[0]) if node.type == "await_expression" else node


def root(node: Node) -> Node:
    """Where a chain of calls and members begins: ``db`` of ``db.from('a').select()``."""
    node = _waited_for(node)
    while node.type in ("call_expression", "member_expression", "subscript_expression"):
        node = _waited_for(field(node, "function" if node.type == "call_expression" else "object"))
    return node


def chain(node: Node) -> list[tuple[str, Node | None]]:
    """The steps of a chain after its root: each a name, and its arguments where it is called."""
    found: list[tuple[str, Node | None]] = []
    node = _waited_for(node)
    while node.type in ("call_expression", "member_expression"):
        arguments = None
        if node.type == "call_expression":
            arguments = field(node, "arguments")
            node = unwrapped(field(node, "function"))
            if node.type != "member_expression":
                break
        found.append((text(field(node, "property")), arguments))
        node = unwrapped(field(node, "object"))
    return found[::-1]
