"""The TypeScript parser, and what every part of the translation says about a place that it cannot translate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


class Untranslated(Exception):
    """A piece of TypeScript that has no translation here.

    Attributes:
        node: The piece.
        why: For the person who goes on by hand.
    """

    def __init__(self, node: Node, why: str) -> None:
        super().__init__(why)
        self.node, self.why = node, why


@lru_cache(maxsize=2)
def _parser(dialect: str) -> Parser:
    try:
        import tree_sitter_typescript
        from tree_sitter import Language, Parser
    except ImportError:
        raise ConfigError(
            "reading TypeScript needs tree-sitter and its TypeScript grammar", cure='pip install "turnout[next]"'
        ) from None
    made = tree_sitter_typescript.language_tsx() if dialect == "tsx" else tree_sitter_typescript.language_typescript()
    return Parser(Language(made))


def parse(source: bytes, *, tsx: bool = False) -> Node:
    """The syntax tree of *source*; broken places are nodes of the type ERROR."""
    return _parser("tsx" if tsx else "typescript").parse(source).root_node


def text(node: Node) -> str:
    """The source of *node*."""
    # A NUL would make a comment of ours something that Python does not read.
    return (node.text or b"").decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def line(node: Node) -> int:
    """Where *node* begins, counted from 1."""
    return int(node.start_point[0]) + 1


def named(node: Node) -> list[Node]:
    """The children of *node* that mean something."""
    return [child for child in node.named_children if child.type != "comment"]


def field(node: Node, name: str) -> Node:
    """The child in the role *name*.

    Raises:
        Untranslated: there is none.
    """
    found = node.child_by_field_name(name)
    if found is None:
        raise Untranslated(node, f"it has no {name}")
    return found


def walk(node: Node) -> Iterator[Node]:
    """*node* and everything below it."""
    yield node
    for child in node.named_children:
        yield from walk(child)


def unwrapped(node: Node) -> Node:
    """*node* without parentheses and without what only speaks of types: ``(x as T)!`` is ``x``."""
    while (node := _cast(node)).type in (
        "parenthesized_expression",
        "as_expression",
        "satisfies_expression",
        "non_null_expression",
        "type_assertion",
    ):
        inner = named(node)
        node = inner[-1] if node.type == "type_assertion" else inner[0]
    return node


def _cast(node: Node) -> Node:
    """``x as A.B.C``, which the grammar takes for the member ``C`` of ``x as A.B``."""
    inner = node
    while inner.type == "member_expression":
        inner = field(inner, "object")
    return inner if inner.type in ("as_expression", "satisfies_expression") else node


def has_optional(node: Node) -> bool:
    """Whether a chain has a ``?.`` somewhere, which ends all of it there."""
    while node.type in ("member_expression", "call_expression", "subscript_expression", "non_null_expression"):
        if any(child.type == "optional_chain" for child in node.named_children):
            return True
        if node.type == "non_null_expression":
            node = named(node)[0]
        else:
            node = field(node, "function" if node.type == "call_expression" else "object")
    return False


def string(node: Node) -> str:
    """The value of a string literal."""
    parts = []
    for child in node.named_children:
        parts.append(unescaped(text(child)) if child.type == "escape_sequence" else text(child))
    return "".join(parts)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}


def unescaped(escape: str) -> str:
    """What an escape sequence stands for."""
    body = escape[1:]
    if body[0] in "xu":
        return chr(int(body[1:].strip("{}"), 16))
    return _ESCAPES.get(body, body)


def arrow_parts(node: Node) -> tuple[list[str], Node]:
    """The names of an arrow function's parameters, and its body.

    Raises:
        Untranslated: it takes something apart.
    """
    single = node.child_by_field_name("parameter")
    if single is not None:
        return [text(single)], field(node, "body")
    found = []
    for each in named(field(node, "parameters")):
        pattern = each.child_by_field_name("pattern") or each
        if pattern.type != "identifier":
            raise Untranslated(each, "a parameter that takes something apart")
        found.append(text(pattern))
    return found, field(node, "body")
