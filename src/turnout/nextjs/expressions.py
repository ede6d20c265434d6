"""Expressions of TypeScript as expressions of Python.

A translation says the same or nothing: what could come out differently raises Untranslated. Where both languages have
a word for it the idiom is Python's (``x.length`` is ``len(x)``, ``a.map(f)`` a comprehension).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from . import calls
from .kinds import is_params, kind_of, root
from .layout import FALSE
from .names import attribute, quoted, snake
from .scope import Scope
from .syntax import Untranslated, arrow_parts, field, has_optional, named, string, text, unescaped, unwrapped, walk

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


def truth(node: Node, scope: Scope) -> Code:
    """*node* as a condition, true here for the values that are true there.

    An empty list or mapping is true in JavaScript. So only what is a text, a number or a bool for sure is asked as
    it stands.
    """
    node = unwrapped(node)
    if node.type == "unary_expression" and text(field(node, "operator")) == "!":
        return _untruth(unwrapped(field(node, "argument")), scope)
    operator = text(field(node, "operator")) if node.type == "binary_expression" else ""
    if operator in ("&&", "||"):
        word, level = ("and", AND) if operator == "&&" else ("or", OR)
        sides = (truth(field(node, side), scope) for side in ("left", "right"))
        return Code(f" {word} ".join(f"({each.text})" if each.level < level else each.text for each in sides), level)
    said, conditions = _asked(node, scope), list[str]()
    if node.type == "member_expression" and has_optional(node):
        value, conditions = _reach(node, scope)
        said = Code(value)
    if kind_of(node, scope) == "list":
        said = Code(f"{_at(said, BITS)} is not None", COMPARE)
    elif kind_of(node, scope) not in _SCALARS:
        said = Code(f"{_at(said, BITS)} not in {FALSE}", COMPARE)
    if conditions:
        return Code(" and ".join(dict.fromkeys([*conditions, _at(said, AND)])), AND)
    return said


def _untruth(node: Node, scope: Scope) -> Code:
    """Where *node* is false there."""
    said = truth(node, scope)
    opposite = {" is not None": " is None", f" not in {FALSE}": f" in {FALSE}"}
    for ending, other in opposite.items():
        if said.level == COMPARE and said.text.endswith(ending):
            return Code(said.text.removesuffix(ending) + other, COMPARE)
    if said.level == COMPARE and _is_includes(node):
        what, _, where = said.text.partition(" in ")
        return Code(f"{what} not in {where}", COMPARE)
    return Code(f"not {_at(said, NOT)}", NOT)


_SCALARS = ("text", "number", "bool")


def _at(code: Code, level: int) -> str:
    return f"({code.text})" if code.level < level else code.text


def _asked(node: Node, scope: Scope) -> Code:
    """*node*, where it does not matter that there may be nothing: a setting of the environment raises elsewhere."""
    said = expression(node, scope)
    if _is_setting(node, scope) and said.text.startswith("env["):
        return Code(f"env.get({said.text[4:-1]})")
    return said


def _is_setting(node: Node, scope: Scope) -> bool:
    node = unwrapped(node)
    if node.type not in ("member_expression", "subscript_expression"):
        return False
    owner = unwrapped(field(node, "object"))
    return text(owner) == "process.env" or kind_of(owner, scope) == "env"


def _is_includes(node: Node) -> bool:
    if node.type != "call_expression":
        return False
    function = unwrapped(field(node, "function"))
    return function.type == "member_expression" and text(field(function, "property")) == "includes"


def is_simple(node: Node) -> bool:
    """Whether *node* may be said twice: nothing is done in it."""
    return not any(
        each.type in ("await_expression", "call_expression", "new_expression", "update_expression")
        for each in walk(node)
    )


def _identifier(node: Node, scope: Scope) -> Code:
    name = text(node)
    if name == "undefined":
        return Code("None")
    if scope.kind(name) == "foreign":
        raise Untranslated(node, f"{name} is from a package of npm")
    if scope.kind(name) == "lost":
        raise Untranslated(node, f"{name} has no translation where it is defined")
    if name in _GLOBALS and name not in scope.names:
        raise Untranslated(node, f"{name}: no translation")
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
            if kind_of(named(child)[0], scope) in ("bool", "list"):
                raise Untranslated(child, "what is no text or number is written otherwise there")
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
        return "**" + _spread(unwrapped(named(node)[0]), scope)
    if node.type == "shorthand_property_identifier":
        return f"{quoted(text(node))}: {_identifier(node, scope).text}"
    if node.type != "pair":
        raise Untranslated(node, "a function inside an object")
    return f"{key(field(node, 'key'), scope)}: {py(field(node, 'value'), scope)}"


def _spread(node: Node, scope: Scope) -> str:
    """What an object takes in: ``...(cond && {a})`` is nothing where *cond* is false."""
    if node.type == "binary_expression" and text(field(node, "operator")) == "&&":
        made, asked = py(field(node, "right"), scope, OR), truth(field(node, "left"), scope)
        return f"({made} if {_at(asked, OR)} else {{}})"
    if kind_of(node, scope) == "struct":
        if scope.gaps:
            raise Untranslated(node, "a Struct has None where nothing was sent")
        scope.use("msgspec")
        return f"msgspec.structs.asdict({py(node, scope)})"
    return py(node, scope, ATOM)


def key(node: Node, scope: Scope) -> str:
    """A property's name as a literal, or the expression that computes it."""
    if node.type == "property_identifier":
        return quoted(text(node))
    if node.type == "string":
        return quoted(string(node))
    if node.type == "number":
        raise Untranslated(node, "a number as a key, which is a text there")
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
            return _as_bool(truth(field(inner, "argument"), scope))
        return truth(node, scope)
    if operator == "-":
        return Code(f"-{py(operand, scope, SIGN)}", SIGN)
    if operator == "+":
        return Code(calls.number(operand, scope, py))
    raise Untranslated(node, f"{operator}: no translation")


_SAME = {"<": ("<", COMPARE), ">": (">", COMPARE), "<=": ("<=", COMPARE), ">=": (">=", COMPARE)}
_ARITHMETIC = {"-": ADD, "*": MULTIPLY, "%": MULTIPLY, "/": MULTIPLY, "&": BITS, "^": BITS}
_EQUAL = {"===": "==", "==": "==", "!==": "!=", "!=": "!="}


def _as_bool(condition: Code) -> Code:
    """A condition as True or False itself."""
    if condition.level in (NOT, COMPARE) or condition.text.startswith(("isinstance(", "any(", "all(")):
        return condition
    return Code(f"bool({condition.text})")


def _binary(node: Node, scope: Scope) -> Code:
    operator, left, right = text(field(node, "operator")), field(node, "left"), field(node, "right")
    if operator in _EQUAL:
        if len(operator) == 2:
            _check_loose(node, unwrapped(left), unwrapped(right), scope)
        return _compare(_EQUAL[operator], left, right, scope)
    if operator == "||":
        return _or(node, left, right, scope)
    if operator == "&&":
        return _and(left, right, scope)
    if operator in _SAME:
        word, level = _SAME[operator]
        return Code(f"{py(left, scope, BITS)} {word} {py(right, scope, BITS)}", level)
    if operator == "??":
        return _or_if_none(node, left, right, scope)
    if operator == "+":
        return _plus(left, right, scope)
    if operator == "%" and not _is_asked_of_zero(node):
        raise Untranslated(node, "% of what may be negative")
    if operator == "|":
        raise Untranslated(node, "|: no translation")
    if operator in _ARITHMETIC:
        level = _ARITHMETIC[operator]
        return Code(f"{py(left, scope, level)} {operator} {py(right, scope, level + 1)}", level)
    if operator == "in":
        if kind_of(right, scope) != "dict" or unwrapped(left).type == "number":
            raise Untranslated(node, "in: no translation")
        return Code(f"{py(left, scope, BITS)} in {py(right, scope, BITS)}", COMPARE)
    if operator == "instanceof":
        return Code(f"isinstance({py(left, scope)}, {_exception(right, scope)})")
    raise Untranslated(node, f"{operator}: no translation")


def _is_asked_of_zero(node: Node) -> bool:
    """``a % b === 0``: only there the sign does not matter."""
    above = node.parent
    while above is not None and above.type == "parenthesized_expression":
        above = above.parent
    if above is None or above.type != "binary_expression" or text(field(above, "operator")) not in _EQUAL:
        return False
    return text(field(above, "right")) == "0"


def _or(node: Node, left: Node, right: Node, scope: Scope) -> Code:
    if kind_of(left, scope) in _SCALARS:
        return Code(f"{_at(_asked(left, scope), OR)} or {py(right, scope, OR)}", OR)
    if not is_simple(left):
        raise Untranslated(node, "|| after a call, which would be made twice")
    value = py(left, scope, OR)
    if unwrapped(left).type == "member_expression" and has_optional(unwrapped(left)):
        value = _reach(left, scope)[0]  # which is reached where the condition holds
    return Code(f"{value} if {_at(truth(left, scope), OR)} else {py(right, scope, CHOICE)}", CHOICE)


def _and(left: Node, right: Node, scope: Scope) -> Code:
    if kind_of(left, scope) in _SCALARS or unwrapped(left).type == "unary_expression":
        return Code(f"{_at(truth(left, scope), AND)} and {py(right, scope, AND)}", AND)
    if not is_simple(left):
        raise Untranslated(left, "&& after a call, which would be made twice")
    return Code(f"{py(right, scope, OR)} if {_at(truth(left, scope), OR)} else {py(left, scope, CHOICE)}", CHOICE)


def _check_loose(node: Node, left: Node, right: Node, scope: Scope) -> None:
    """``==`` turns its sides into each other: that says the same only for null, and for two of one kind."""
    if text(right) in ("null", "undefined") or (left.type == "unary_expression" and right.type == "string"):
        return
    if kind_of(left, scope) != kind_of(right, scope) or kind_of(left, scope) not in _SCALARS:
        raise Untranslated(node, "== of values of any kind; === has a translation")


def _exception(node: Node, scope: Scope) -> str:
    if text(node) in ("ZodError", "z.ZodError"):
        scope.use("turnout", "ValidationFailed")
        return "ValidationFailed"
    return "Exception" if text(node) == "Error" else py(node, scope)


_TYPES = {
    "string": "isinstance({0}, str)", "boolean": "isinstance({0}, bool)",
    "number": "isinstance({0}, (int, float)) and not isinstance({0}, bool)",
    "object": "{0} is None or isinstance({0}, (dict, list))",
}  # fmt: skip
# What is there without being defined or imported, and is not known to the translation where it stands alone.
_GLOBALS = frozenset(
    [
        "Date",
        "Array",
        "Object",
        "Map",
        "Set",
        "WeakMap",
        "RegExp",
        "Promise",
        "Symbol",
        "BigInt",
        "Math",
        "JSON",
        "Number",
        "String",
        "Boolean",
        "Buffer",
        "Infinity",
        "NaN",
        "Uint8Array",
        "TextEncoder",
        "TextDecoder",
        "ReadableStream",
        "AbortController",
        "AbortSignal",
        "FormData",
        "Blob",
        "File",
        "globalThis",
        "process",
        "crypto",
        "console",
        "window",
        "document",
        "URL",
        "URLSearchParams",
        "Headers",
        "Error",
        "TypeError",
        "Intl",
        "performance",
        "require",
        "module",
        "exports",
        "__dirname",
        "NextResponse",
        "NextRequest",
        "Response",
        "Request",
        "this",
        "arguments",
    ]
)


def _compare(operator: str, left: Node, right: Node, scope: Scope) -> Code:
    left, right = unwrapped(left), unwrapped(right)
    if left.type == "unary_expression" and text(field(left, "operator")) == "typeof":
        return _typeof(operator, left, right, scope)
    if text(right) in ("null", "undefined"):
        strict = left.parent is None or len(text(field(_above(left), "operator"))) == 3
        return _is_nothing(operator, left, text(right) if strict else "", scope)
    if text(right) in ("true", "false"):  # 1 == True here
        return Code(f"{py(left, scope, BITS)} {'is' if operator == '==' else 'is not'} {py(right, scope)}", COMPARE)
    return Code(f"{py(left, scope, BITS)} {operator} {py(right, scope, BITS)}", COMPARE)


def _typeof(operator: str, left: Node, right: Node, scope: Scope) -> Code:
    value, kind = py(field(left, "argument"), scope), string(right) if right.type == "string" else ""
    if kind == "undefined":
        return _is_nothing(operator, unwrapped(field(left, "argument")), kind, scope)
    if kind not in _TYPES or not (is_simple(left) or kind in ("string", "boolean")):
        raise Untranslated(left, "typeof: no translation")
    found = Code(_TYPES[kind].format(value), {"number": AND, "object": OR}.get(kind, ATOM))
    return found if operator == "==" else Code(f"not {_at(found, NOT)}", NOT)


def _above(node: Node) -> Node:
    """The comparison that *node* is a side of."""
    above = node.parent
    while above is not None and above.type != "binary_expression":
        above = above.parent
    return above if above is not None else node


def _is_nothing(operator: str, node: Node, strictly: str, scope: Scope) -> Code:
    """Whether *node* is null, undefined, or (*strictly* is empty) either.

    A member of a body that was not sent is told from one that is null, as a check of a body may depend on it.
    """
    body = scope.origins.get(text(node)) or _member_of_body(node, scope)
    if strictly and body is not None:
        holder, name = body
        if strictly == "undefined":
            return Code(f"{quoted(name)} {'not in' if operator == '==' else 'in'} {holder}", COMPARE)
        return Code(f'{holder}.get({quoted(name)}, "") {"is" if operator == "==" else "is not"} None', COMPARE)
    if strictly and root(node).type == "identifier" and text(root(node)) in scope.bodies and root(node) != node:
        raise Untranslated(node, "null and undefined are one here")
    return Code(f"{_at(_asked(node, scope), BITS)} {'is' if operator == '==' else 'is not'} None", COMPARE)


def _member_of_body(node: Node, scope: Scope) -> tuple[str, str] | None:
    if node.type != "member_expression" or any(child.type == "optional_chain" for child in node.named_children):
        return None
    owner = unwrapped(field(node, "object"))
    if owner.type != "identifier" or text(owner) not in scope.bodies:
        return None
    return py(owner, scope, ATOM), text(field(node, "property"))


def _or_if_none(node: Node, left: Node, right: Node, scope: Scope) -> Code:
    got = unwrapped(left)
    if _is_setting(got, scope):
        return Code(f"{_asked(got, scope).text[:-1]}, {py(right, scope)})")
    if (
        calls.is_get(got) and kind_of(got, scope) == "text"
    ):  # get() takes what it is to give for a name that is not there
        found = py(got, scope)
        if found.endswith(")"):
            return Code(f"{found[:-1]}, {py(right, scope)})")
    if not is_simple(got):
        raise Untranslated(node, "?? after a call, which would be made twice")
    if text(unwrapped(right)) == "null":
        return expression(got, scope)  # undefined is null here
    if got.type == "member_expression" and has_optional(got):
        value, conditions = _reach(got, scope)
        asked = " and ".join(dict.fromkeys([*conditions, f"{value} is not None"]))
        return Code(f"{value} if {asked} else {py(right, scope, CHOICE)}", CHOICE)
    value = py(left, scope, OR)
    return Code(f"{value} if {py(left, scope, BITS)} is not None else {py(right, scope, CHOICE)}", CHOICE)


def _plus(left: Node, right: Node, scope: Scope) -> Code:
    sides = []
    literal = "text" in (kind_of(left, scope), kind_of(right, scope))
    for side, level in ((left, ADD), (right, MULTIPLY)):
        code = expression(side, scope)
        is_text = kind_of(side, scope) == "text"
        if literal and kind_of(side, scope) in ("bool", "list"):
            raise Untranslated(side, "what is no text or number is written otherwise there")
        if literal and not is_text:
            sides.append(f"str({code.text})")  # JavaScript adds anything to a text
        else:
            sides.append(f"({code.text})" if code.level < level else code.text)
    return Code(" + ".join(sides), ADD)


def _choice(node: Node, scope: Scope) -> Code:
    yes, no = py(field(node, "consequence"), scope, OR), py(field(node, "alternative"), scope, CHOICE)
    return Code(f"{yes} if {_at(truth(field(node, 'condition'), scope), OR)} else {no}", CHOICE)


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
        if not is_simple(owner) and not calls.is_get(owner):
            raise Untranslated(node, "?. after something that would be done twice")
        conditions.append(f"{value} is not None")
    kind = kind_of(owner, scope)
    if name == "length":
        return f"len({value})", conditions
    if kind == "dict":
        return f"{value}.get({quoted(name)})", conditions
    if kind == "error":
        raise Untranslated(node, f"{name} of an error")
    return f"{value}.{name if kind == 'struct' else attribute(name)}", conditions


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
    owner, index = field(node, "object"), unwrapped(field(node, "index"))
    if text(owner) == "process.env":
        scope.use("turnout", "env")
        return Code(f"env[{py(index, scope)}]")
    if is_params(owner, scope):
        if index.type != "string" or string(index) not in scope.slugs:
            raise Untranslated(node, "a part of the path that is not written out")
        return Code(scope.slugs[string(index)])
    if has_optional(owner):
        raise Untranslated(node, "[ ] after ?.")
    if index.type == "number" and text(index).isdigit() and _is_entered(node):
        return Code(f"{py(owner, scope, ATOM)}[{text(index)}]")  # what is not there raises in both
    if index.type == "number" and text(index).isdigit():
        return Code(*nth(py(owner, scope, ATOM), int(text(index)), simple=is_simple(owner)))
    if kind_of(owner, scope) == "dict" or index.type == "string":
        return Code(f"{py(owner, scope, ATOM)}.get({py(index, scope)})")
    raise Untranslated(node, "[ ] of something unknown, which is undefined there where it raises here")


def _is_entered(node: Node) -> bool:
    """Whether a member of *node* is asked for, without a ``?.``."""
    above = node.parent
    while above is not None and above.type in ("parenthesized_expression", "as_expression", "non_null_expression"):
        node, above = above, above.parent
    if above is None or above.type != "member_expression" or field(above, "object") != node:
        return False
    return not any(child.type == "optional_chain" for child in above.named_children)


def nth(items: str, place: int, *, simple: bool) -> tuple[str, int]:
    """The item of *items* at *place*, None if there are not so many, and how tightly that binds."""
    if simple:
        return f"{items}[{place}] if len({items}) > {place} else None", CHOICE
    return f"next(iter({items}{f'[{place}:]' if place else ''}), None)", ATOM


def _arrow(node: Node, scope: Scope) -> Code:
    parameters, body = arrow_parts(node)
    if body.type == "statement_block" or text(node).startswith("async"):
        raise Untranslated(node, "a function inside an expression")
    inner = scope.inside()
    names = ", ".join(inner.named(name, parameter=True) for name in parameters)
    return Code(f"lambda {names}: {py(body, inner)}".replace("lambda :", "lambda:"), LAMBDA)


def _call(node: Node, scope: Scope) -> Code:
    function = unwrapped(field(node, "function"))
    if function.type == "member_expression" and text(field(function, "property")) == "includes":
        if has_optional(function):
            raise Untranslated(node, "?. before a call")
        [what] = calls.arguments(node) if len(calls.arguments(node)) == 1 else [node]
        if what is not node:
            return Code(f"{py(what, scope, BITS)} in {py(field(function, 'object'), scope, BITS)}", COMPARE)
    if text(function) == "Boolean" and len(calls.arguments(node)) == 1:
        return _as_bool(truth(calls.arguments(node)[0], scope))
    return Code(calls.call(node, scope, py))


def _new(node: Node, scope: Scope) -> Code:
    return Code(calls.new(node, scope, py))


_TRANSLATIONS: dict[str, Callable[[Node, Scope], Code]] = {
    "identifier": _identifier,
    "shorthand_property_identifier": _identifier,
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
