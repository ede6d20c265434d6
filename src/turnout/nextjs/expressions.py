"""Expressions of TypeScript as expressions of Python.

A translation says the same or nothing: what could come out differently raises Untranslated. Where both languages have
a word for it the idiom is Python's (``x.length`` is ``len(x)``, ``a.map(f)`` a comprehension).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from . import calls
from .kinds import kind_of
from .names import quoted, snake
from .scope import Scope
from .syntax import Untranslated, arrow_parts, field, named, string, text, unescaped, unwrapped, walk

if TYPE_CHECKING:
    from tree_sitter import Node

# How tightly an expression binds, loosest first; an operand that binds less tightly gets parentheses.
LAMBDA, CHOICE, OR, AND, NOT, COMPARE, BITS, ADD, MULTIPLY, SIGN, AWAIT, ATOM = range(12)


class Code(Struct, frozen=True):
    """An expression of Python, and how tightly it binds."""

    text: str
    level: int = ATOM


def py(node: Node, scope: Scope, level: int = LAMBDA) -> str:
    """*node* in Python, in parentheses if it binds less tightly than *level*.

    Raises:
        Untranslated: it has no translation.
    """
    code = expression(node, scope)
    return f"({code.text})" if code.level < level else code.text


def expression(node: Node, scope: Scope) -> Code:
    """*node* in Python."""
    node = unwrapped(node)
    translate = _TRANSLATIONS.get(node.type)
    if translate is None:
        raise Untranslated(node, f"{node.type.replace('_', ' ')}: no translation")
    return translate(node, scope)


def is_params(node: Node, scope: Scope) -> bool:
    """Whether *node* is the mapping of the path's parameters, waited for or not."""
    node = unwrapped(node)
    if node.type == "await_expression":
        node = unwrapped(named(node)[0])
    return scope.params is not None and text(node) == scope.params


def _identifier(node: Node, scope: Scope) -> Code:
    name = text(node)
    if name == "undefined":
        return Code("None")
    if scope.kind(name) == "foreign":
        raise Untranslated(node, f"{name} is from a package of npm")
    if scope.kind(name) == "gone":
        raise Untranslated(node, f"{name}: what failed has raised here, so there is no such object")
    if kind_of(node, scope) == "db":
        scope.use("turnout", "db")
        return Code("db")
    if name == scope.context:
        raise Untranslated(node, f"{name}: a route gets its parameters as arguments here")
    if name == scope.request:
        return Code("request")
    if is_params(node, scope):
        return Code("params")
    return Code(scope.names.get(name) or scope.schemas.get(name) or snake(name))


def _number(node: Node, scope: Scope) -> Code:
    value = text(node).removesuffix("n")
    if len(value) > 1 and value[0] == "0" and value[1].isdigit():
        raise Untranslated(node, "an octal number of old")
    return Code(value)


def _template(node: Node, scope: Scope) -> Code:
    if not any(child.type == "template_substitution" for child in node.named_children):
        return Code(quoted(string(node)))
    parts: list[str] = []
    for child in node.named_children:
        if child.type == "template_substitution":
            inner = py(named(child)[0], scope)
            if "\\" in inner or "{" in inner or ("'" in inner and '"' in inner):
                raise Untranslated(child, "too much inside a template")
            parts.append("{" + inner.replace('"', "'") + "}")
        else:
            literal = unescaped(text(child)) if child.type == "escape_sequence" else text(child)
            parts.append(quoted(literal)[1:-1].replace("{", "{{").replace("}", "}}"))
    return Code('f"' + "".join(parts) + '"')


def _array(node: Node, scope: Scope) -> Code:
    return Code("[" + ", ".join(_item(child, scope) for child in named(node)) + "]")


def _item(node: Node, scope: Scope) -> str:
    if node.type == "spread_element":
        return "*" + py(named(node)[0], scope, ATOM)
    return py(node, scope)


def _object(node: Node, scope: Scope) -> Code:
    return Code("{" + ", ".join(_pair(child, scope) for child in named(node)) + "}")


def _pair(node: Node, scope: Scope) -> str:
    if node.type == "spread_element":
        return "**" + py(named(node)[0], scope, ATOM)
    if node.type == "shorthand_property_identifier":
        return f"{quoted(text(node))}: {_identifier(node, scope).text}"
    if node.type != "pair":
        raise Untranslated(node, "a function inside an object")
    return f"{key(field(node, 'key'), scope)}: {py(field(node, 'value'), scope)}"


def key(node: Node, scope: Scope) -> str:
    """A property's name as a literal, or the expression that computes it."""
    if node.type == "property_identifier":
        return quoted(text(node))
    if node.type == "string":
        return quoted(string(node))
    if node.type == "number":
        return quoted(text(node))  # JavaScript's keys are texts
    return py(named(node)[0], scope)


def _await(node: Node, scope: Scope) -> Code:
    inner = unwrapped(named(node)[0])
    if is_params(inner, scope):
        return Code("params")
    found = expression(inner, scope)
    if not calls.is_awaited(inner, scope):
        return found
    return Code("await " + (found.text if found.level >= ATOM else f"({found.text})"), AWAIT)


def _unary(node: Node, scope: Scope) -> Code:
    operator, operand = text(field(node, "operator")), field(node, "argument")
    if operator == "!":
        inner = unwrapped(operand)
        if inner.type == "unary_expression" and text(field(inner, "operator")) == "!":
            return Code(f"bool({py(field(inner, 'argument'), scope)})")
        return Code(f"not {py(operand, scope, NOT)}", NOT)
    if operator == "-":
        return Code(f"-{py(operand, scope, SIGN)}", SIGN)
    if operator == "+":
        return Code(f"int({py(operand, scope)})")
    raise Untranslated(node, f"{operator}: no translation")


_SAME = {"&&": ("and", AND), "<": ("<", COMPARE), ">": (">", COMPARE), "<=": ("<=", COMPARE), ">=": (">=", COMPARE)}
_ARITHMETIC = {"-": ADD, "*": MULTIPLY, "%": MULTIPLY, "/": MULTIPLY, "&": BITS, "|": BITS, "^": BITS}
_EQUAL = {"===": "==", "==": "==", "!==": "!=", "!=": "!="}


def _binary(node: Node, scope: Scope) -> Code:
    operator, left, right = text(field(node, "operator")), field(node, "left"), field(node, "right")
    if operator in _EQUAL:
        return _compare(_EQUAL[operator], left, right, scope)
    if operator == "||":
        return Code(f"{py(left, scope, OR)} or {py(right, scope, OR)}", OR)
    if operator in _SAME:
        word, level = _SAME[operator]
        return Code(f"{py(left, scope, level)} {word} {py(right, scope, level + (level == COMPARE))}", level)
    if operator == "??":
        return _or_if_none(node, left, right, scope)
    if operator == "+":
        return _plus(left, right, scope)
    if operator in _ARITHMETIC:
        level = _ARITHMETIC[operator]
        return Code(f"{py(left, scope, level)} {operator} {py(right, scope, level + 1)}", level)
    if operator == "in":
        return Code(f"{py(left, scope, BITS)} in {py(right, scope, BITS)}", COMPARE)
    if operator == "instanceof":
        return Code(f"isinstance({py(left, scope)}, {_exception(right, scope)})")
    raise Untranslated(node, f"{operator}: no translation")


def _exception(node: Node, scope: Scope) -> str:
    if text(node) in ("ZodError", "z.ZodError"):
        scope.use("turnout", "ValidationFailed")
        return "ValidationFailed"
    return "Exception" if text(node) == "Error" else py(node, scope)


_TYPES = {"string": "str", "number": "(int, float)", "boolean": "bool", "object": "dict"}


def _compare(operator: str, left: Node, right: Node, scope: Scope) -> Code:
    left, right = unwrapped(left), unwrapped(right)
    if left.type == "unary_expression" and text(field(left, "operator")) == "typeof":
        return _typeof(operator, left, right, scope)
    if text(right) in ("null", "undefined"):
        word = "is" if operator == "==" else "is not"
        return Code(f"{py(left, scope, BITS)} {word} None", COMPARE)
    return Code(f"{py(left, scope, BITS)} {operator} {py(right, scope, BITS)}", COMPARE)


def _typeof(operator: str, left: Node, right: Node, scope: Scope) -> Code:
    value, kind = py(field(left, "argument"), scope), string(right) if right.type == "string" else ""
    if kind == "undefined":
        return Code(f"{value} {'is' if operator == '==' else 'is not'} None", COMPARE)
    if kind not in _TYPES:
        raise Untranslated(left, "typeof: no translation")
    found = f"isinstance({value}, {_TYPES[kind]})"
    return Code(found) if operator == "==" else Code(f"not {found}", NOT)


def _or_if_none(node: Node, left: Node, right: Node, scope: Scope) -> Code:
    got = unwrapped(left)
    if calls.is_get(got):  # get() takes what it is to give for a name that is not there
        found = py(got, scope)
        if found.endswith(")"):
            return Code(f"{found[:-1]}, {py(right, scope)})")
    if any(child.type in ("await_expression", "call_expression") for child in walk(got)):
        raise Untranslated(node, "?? after a call, which would be made twice")
    value = py(left, scope, OR)
    return Code(f"{value} if {py(left, scope, BITS)} is not None else {py(right, scope, CHOICE)}", CHOICE)


def _plus(left: Node, right: Node, scope: Scope) -> Code:
    sides = []
    literal = any(unwrapped(side).type in ("string", "template_string") for side in (left, right))
    for side, level in ((left, ADD), (right, MULTIPLY)):
        code = expression(side, scope)
        is_text = unwrapped(side).type in ("string", "template_string") or code.text.startswith(('"', "str(", 'f"'))
        if literal and not is_text:
            sides.append(f"str({code.text})")  # JavaScript adds anything to a text
        else:
            sides.append(f"({code.text})" if code.level < level else code.text)
    return Code(" + ".join(sides), ADD)


def _choice(node: Node, scope: Scope) -> Code:
    yes, no = py(field(node, "consequence"), scope, OR), py(field(node, "alternative"), scope, CHOICE)
    return Code(f"{yes} if {py(field(node, 'condition'), scope, OR)} else {no}", CHOICE)


def _member(node: Node, scope: Scope) -> Code:
    value, conditions = _reach(node, scope)
    if not conditions:
        return Code(value)
    return Code(f"{value} if {' and '.join(dict.fromkeys(conditions))} else None", CHOICE)


def _reach(node: Node, scope: Scope) -> tuple[str, list[str]]:
    """A chain of members, and what has to be true to follow it: ``a?.b.c`` ends at ``a`` where that is null."""
    node = unwrapped(node)
    if node.type != "member_expression":
        return py(node, scope, ATOM), []
    owner, name = unwrapped(field(node, "object")), text(field(node, "property"))
    known = _known_member(node, owner, name, scope)
    if known is not None:
        return known, []
    value, conditions = _reach(owner, scope)
    if any(child.type == "optional_chain" for child in node.named_children):
        if any(child.type in ("await_expression", "new_expression") for child in walk(owner)):
            raise Untranslated(node, "?. after something that would be done twice")
        conditions.append(f"{value} is not None")
    kind = kind_of(owner, scope)
    if name == "length":
        return f"len({value})", conditions
    if kind == "dict":
        return f"{value}.get({quoted(name)})", conditions
    if kind == "error":
        raise Untranslated(node, f"{name} of an error")
    return f"{value}.{name if kind == 'struct' else snake(name)}", conditions


def _known_member(node: Node, owner: Node, name: str, scope: Scope) -> str | None:
    if text(owner) == "process.env" or kind_of(owner, scope) == "env":
        scope.use("turnout", "env")
        return f"env[{quoted(name)}]"
    if is_params(owner, scope):
        if name not in scope.slugs:
            raise Untranslated(node, f"the path has no [{name}]")
        return scope.slugs[name]
    if is_params(node, scope):
        return "params"
    return calls.member(owner, name, scope, py)


def _subscript(node: Node, scope: Scope) -> Code:
    if any(child.type == "optional_chain" for child in node.named_children):
        raise Untranslated(node, "?.[ ]: no translation")
    owner, index = field(node, "object"), field(node, "index")
    if text(owner) == "process.env":
        scope.use("turnout", "env")
        return Code(f"env[{py(index, scope)}]")
    return Code(f"{py(owner, scope, ATOM)}[{py(index, scope)}]")


def _arrow(node: Node, scope: Scope) -> Code:
    parameters, body = arrow_parts(node)
    if body.type == "statement_block" or text(node).startswith("async"):
        raise Untranslated(node, "a function inside an expression")
    inner = scope.inside()
    names = ", ".join(inner.named(name) for name in parameters)
    return Code(f"lambda {names}: {py(body, inner)}".replace("lambda :", "lambda:"), LAMBDA)


def _call(node: Node, scope: Scope) -> Code:
    function = unwrapped(field(node, "function"))
    if function.type == "member_expression" and text(field(function, "property")) == "includes":
        [what] = calls.arguments(node) if len(calls.arguments(node)) == 1 else [node]
        if what is not node:
            return Code(f"{py(what, scope, BITS)} in {py(field(function, 'object'), scope, BITS)}", COMPARE)
    return Code(calls.call(node, scope, py))


def _new(node: Node, scope: Scope) -> Code:
    return Code(calls.new(node, scope, py))


_TRANSLATIONS: dict[str, Callable[[Node, Scope], Code]] = {
    "identifier": _identifier,
    "undefined": lambda node, scope: Code("None"),
    "null": lambda node, scope: Code("None"),
    "true": lambda node, scope: Code("True"),
    "false": lambda node, scope: Code("False"),
    "number": _number,
    "string": lambda node, scope: Code(quoted(string(node))),
    "template_string": _template,
    "array": _array,
    "object": _object,
    "await_expression": _await,
    "unary_expression": _unary,
    "binary_expression": _binary,
    "ternary_expression": _choice,
    "member_expression": _member,
    "subscript_expression": _subscript,
    "arrow_function": _arrow,
    "call_expression": _call,
    "new_expression": _new,
}
