"""What a value is, as far as its expression shows: it decides how the value's parts are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scope import Kind, Scope
from .syntax import field, named, text, unwrapped

if TYPE_CHECKING:
    from tree_sitter import Node

RESPONSES = ("Response", "NextResponse")
_ROWS = ("map", "filter", "slice", "sort", "concat", "reverse")


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
    if node.type == "await_expression":
        return kind_of(named(node)[0], scope)
    if node.type == "member_expression":
        return _kind_of_member(field(node, "object"), text(field(node, "property")), scope)
    if node.type == "subscript_expression":
        return "dict" if kind_of(field(node, "object"), scope) in ("dict", "list") else "unknown"
    if node.type in ("binary_expression", "new_expression", "call_expression"):
        return _kind_of_made(node, scope)
    return "unknown"


def _kind_of_member(owner: Node, name: str, scope: Scope) -> Kind:
    inner = kind_of(owner, scope)
    if inner in ("db", "supabase"):
        return inner
    if inner == "request":
        return {"nextUrl": "url", "cookies": "cookies", "headers": "fields"}.get(name, "unknown")  # type: ignore[return-value]
    if inner == "url" and name == "searchParams":
        return "fields"
    if inner == "parsed" and name == "data":
        return "struct"
    return "dict" if inner == "dict" else "unknown"


def _kind_of_made(node: Node, scope: Scope) -> Kind:
    if node.type == "binary_expression":
        return kind_of(field(node, "left"), scope)
    if node.type == "new_expression":
        name = text(field(node, "constructor"))
        return {"URL": "url", "Headers": "fields", "URLSearchParams": "fields"}.get(name, "unknown")  # type: ignore[return-value]
    function = unwrapped(field(node, "function"))
    if function.type == "identifier":
        made: dict[str, Kind] = {
            "fetch": "answer",
            "cookies": "cookies",
            "headers": "fields",
            "createClient": "supabase",
        }
        return made.get(text(function), "unknown")
    if function.type != "member_expression":
        return "unknown"
    owner, name = unwrapped(field(function, "object")), text(field(function, "property"))
    inner = kind_of(owner, scope)
    if inner in ("request", "answer"):
        return {"json": "dict", "formData": "form"}.get(name, "unknown")  # type: ignore[return-value]
    if text(owner) in scope.schemas:
        return "parsed" if name == "safeParse" else "struct"
    if inner in ("db", "supabase"):
        return inner
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
