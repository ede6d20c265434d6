"""zod schemas as Structs of msgspec."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from .expressions import py
from .kinds import chain, root
from .names import class_name, quoted
from .scope import Scope
from .syntax import Untranslated, named, string, text, unwrapped
from .syntax import field as part

if TYPE_CHECKING:
    from tree_sitter import Node

# A "$" of Python's is also before a last line break, which has to be ruled out.
END = r"$(?!\n)"
EMAIL = r"^[A-Za-z0-9_'+\-]+(\.[A-Za-z0-9_'+\-]+)*@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}" + END
_BASES = {
    "string": "str",
    "number": "float",
    "boolean": "bool",
    "any": "Any",
    "unknown": "Any",
    "date": "datetime",
    "bigint": "int",
}
# A field of such a name would stand in the way of the fields below it.
_HIDING = frozenset({"str", "int", "float", "bool", "list", "dict", "datetime"})
_WITHOUT_EFFECT = frozenset({"describe", "finite", "safe", "brand", "readonly"})


class Type(Struct):
    """A type in the making.

    Attributes:
        base: Its annotation without bounds.
        bounds: Arguments of ``Meta``.
        default: The field's default, if it may be left out.
        none: Whether null is a value of it.
    """

    base: str
    bounds: dict[str, str] = field(default_factory=dict)
    default: str | None = None
    none: bool = False

    def annotation(self) -> str:
        """The annotation, bounds and None included."""
        bounds = ", ".join(f"{name}={value}" for name, value in self.bounds.items())
        said = f"Annotated[{self.base}, Meta({bounds})]" if bounds else self.base
        return f"{said} | None" if self.none else said


class Shape(Struct):
    """The fields of an object's schema, as far as other schemas are made of it.

    Attributes:
        strict: Whether other fields are refused.
    """

    fields: dict[str, Type]
    strict: bool = False


# What makes one object's schema of another.
_SHAPING = frozenset({"extend", "merge", "pick", "omit", "partial", "strict", "strip", "describe"})


def is_schema(node: Node, scope: Scope) -> bool:
    """Whether *node* is an expression that begins with ``z.``, or makes a schema of one that is known."""
    node = unwrapped(node)
    if node.type != "call_expression":
        return False
    begins = text(root(node))
    return begins == "z" or (begins in scope.schemas and all(step in _SHAPING for step, _ in chain(node)))


def structs(name: str, node: Node, scope: Scope) -> list[str]:
    """The lines of the class *name* for the schema *node*, and of those that it needs.

    Raises:
        Untranslated: it is more than an object of fields, or a check has no translation.
    """
    before: list[str] = []
    shape = scope.shapes[name] = _shape(name, node, scope, before)
    lines: list[tuple[bool, str]] = []
    for label, kind in shape.fields.items():
        default = "" if kind.default is None else f" = {kind.default}"
        lines.append((kind.default is not None, f"    {label}: {kind.annotation()}{default}"))
    scope.use("msgspec", "Struct")
    options = ", kw_only=True" if [late for late, _ in lines] != sorted(late for late, _ in lines) else ""
    options += ", forbid_unknown_fields=True" if shape.strict else ""
    return [*before, f"class {name}(Struct{options}):", *([said for _, said in lines] or ["    pass"]), "", ""]


def _shape(name: str, node: Node, scope: Scope, before: list[str]) -> Shape:
    """What the object of the schema *node* has; classes that its fields need are added to *before*."""
    steps = chain(node)
    begins = text(root(node))
    if begins in scope.schemas:
        shape = _known(node, begins, scope)
    elif steps and steps[0][0] in ("object", "strictObject") and steps[0][1] is not None:
        shape = Shape(_fields(name, _only(node, steps[0][1]), scope, before), steps[0][0] == "strictObject")
        steps = steps[1:]
    else:
        raise Untranslated(node, "a schema that is no z.object()")
    for step, given in steps:
        _reshape(node, shape, step, given, name, scope, before)
    return shape


def _known(node: Node, schema: str, scope: Scope) -> Shape:
    """The shape of the schema that is called *schema* there, to be changed."""
    shape = scope.shapes.get(scope.schemas.get(schema, ""))
    if shape is None:
        raise Untranslated(node, "a schema of another file, or of none")
    return Shape(dict(shape.fields), shape.strict)


def _only(node: Node, given: Node | None) -> Node:
    inner = named(given) if given is not None else []
    if len(inner) != 1:
        raise Untranslated(node, "a schema whose fields are not written out")
    return unwrapped(inner[0])


def _fields(name: str, shape: Node, scope: Scope, before: list[str]) -> dict[str, Type]:
    """``{ a: z.string(), ...Other.shape }``: each field's name, and its type; the last of two of one name counts."""
    if shape.type == "member_expression" and text(part(shape, "property")) == "shape":
        return _shape(name, unwrapped(part(shape, "object")), scope, before).fields
    if shape.type != "object":
        raise Untranslated(shape, "a schema whose fields are not written out")
    found: dict[str, Type] = {}
    for each in named(shape):
        if each.type == "spread_element":
            found |= _fields(name, unwrapped(named(each)[0]), scope, before)
            continue
        if each.type != "pair":
            raise Untranslated(each, "a field that is not written out")
        key = part(each, "key")
        label = string(key) if key.type == "string" else text(key)
        if not label.isidentifier() or keyword.iskeyword(label) or label in _HIDING:
            raise Untranslated(each, f"a field called {label!r}")
        found[label] = _type(part(each, "value"), f"{name}{class_name(label)}", scope, before)
    return found


def _reshape(
    node: Node, shape: Shape, step: str, given: Node | None, name: str, scope: Scope, before: list[str]
) -> None:
    """Change *shape* as *step* does. Whether other fields are refused stays; with ``merge`` it is the other's."""
    if step == "extend":
        shape.fields |= _fields(name, _only(node, given), scope, before)
    elif step == "merge":
        other = _shape(name, _only(node, given), scope, before)
        shape.fields |= other.fields
        shape.strict = other.strict
    elif step in ("pick", "omit"):
        mask = _mask(node, shape, given)
        shape.fields = {label: kind for label, kind in shape.fields.items() if (label in mask) == (step == "pick")}
    elif step == "partial":
        mask = _mask(node, shape, given) if given is not None and named(given) else set(shape.fields)
        shape.fields = {label: _optional(node, kind) if label in mask else kind for label, kind in shape.fields.items()}
        scope.gaps = True
    elif step in ("strict", "strip"):
        shape.strict = step == "strict"
    elif step != "describe":
        raise Untranslated(node, f".{step}() of a schema")


def _mask(node: Node, shape: Shape, given: Node | None) -> set[str]:
    """``{ a: true, b: true }``: names of fields."""
    mask = _only(node, given)
    pairs = named(mask) if mask.type == "object" else []
    labels = {text(part(each, "key")) for each in pairs if each.type == "pair" and text(part(each, "value")) == "true"}
    if not pairs or len(labels) != len(pairs) or not labels <= shape.fields.keys():
        raise Untranslated(node, "fields that are not written out, or that there are none of")
    return labels


def _optional(node: Node, kind: Type) -> Type:
    if kind.default is None:
        return Type(kind.base, kind.bounds, "None", none=True)
    if kind.default != "None":  # zod 3 leaves it out then, zod 4 takes the default
        raise Untranslated(node, ".partial() of a field with a default")
    return kind


def _type(node: Node, name: str, scope: Scope, before: list[str]) -> Type:
    node = unwrapped(node)
    steps = chain(node)
    if node.type == "identifier" and text(node) in scope.schemas:
        return Type(scope.schemas[text(node)])
    if node.type != "call_expression" or (text(root(node)) != "z" and text(root(node)) not in scope.schemas):
        raise Untranslated(node, "a field that is no schema of zod")
    if steps[0] == ("coerce", None):
        raise Untranslated(node, "z.coerce: a Struct takes a value as it was sent")
    kind, rest = _first(node, steps, name, scope, before)
    for step, given in rest:
        _refine(node, kind, step, named(given) if given is not None else [], scope)
    if len(kind.bounds.keys() & {"gt", "ge"}) > 1 or len(kind.bounds.keys() & {"lt", "le"}) > 1:
        raise Untranslated(node, "two bounds on one side")
    if kind.bounds:
        scope.use("typing", "Annotated")
        scope.use("msgspec", "Meta")
    for base, module in (("Any", "typing"), ("Literal", "typing"), ("datetime", "datetime"), ("UUID", "uuid")):
        if kind.base.startswith(base) or f"[{base}" in kind.base:
            scope.use(module, base)
    return kind


def _first(
    node: Node, steps: list[tuple[str, Node | None]], name: str, scope: Scope, before: list[str]
) -> tuple[Type, list[tuple[str, Node | None]]]:
    """The type that a schema begins with, and the steps that refine it."""
    step, given = steps[0]
    if text(root(node)) in scope.schemas or step in ("object", "strictObject"):
        return _object(node, steps, name, scope, before)
    inner = named(given) if given is not None else []
    if step in _BASES:
        return Type(_BASES[step]), steps[1:]
    if step in ("email", "url", "uuid", "int") and given is not None:  # zod 4 spells z.email()
        return Type("int" if step == "int" else "str"), steps
    if step in ("enum", "literal") and inner:
        values = named(unwrapped(inner[0])) if step == "enum" and unwrapped(inner[0]).type == "array" else [inner[0]]
        if step == "enum" and unwrapped(inner[0]).type != "array":
            raise Untranslated(node, "an enum that is not written out")
        values = named(unwrapped(inner[0])) if unwrapped(inner[0]).type == "array" else values
        if any(unwrapped(each).type not in ("string", "null") and not text(each).isdigit() for each in values):
            raise Untranslated(node, "a literal that is no text and no whole number")
        return Type(f"Literal[{', '.join(py(each, scope) for each in values)}]"), steps[1:]
    if step == "array" and inner:
        return Type(f"list[{_type(inner[0], name, scope, before).annotation()}]"), steps[1:]
    if step == "record" and inner:
        if len(inner) == 2 and text(inner[0]) != "z.string()":
            raise Untranslated(node, "a record whose keys are checked")
        return Type(f"dict[str, {_type(inner[-1], name, scope, before).annotation()}]"), steps[1:]
    if step in ("optional", "nullable") and inner:
        kind = _type(inner[0], name, scope, before)
        return kind, [(step, None), *steps[1:]]
    if step == "union" and inner:
        kinds = [_type(each, name, scope, before).annotation() for each in named(unwrapped(inner[0]))]
        if any(kinds.index(each) != place or not _PLAIN.fullmatch(each) for place, each in enumerate(kinds)):
            raise Untranslated(node, "a union of more than texts, numbers and bools")
        return Type(" | ".join(kinds)), steps[1:]
    raise Untranslated(node, f"z.{step}()")


def _object(
    node: Node, steps: list[tuple[str, Node | None]], name: str, scope: Scope, before: list[str]
) -> tuple[Type, list[tuple[str, Node | None]]]:
    """``z.object({...}).partial().optional()`` as a class for what makes the object, and the rest."""
    begins = text(root(node))
    made = 0 if begins in scope.schemas else 1
    while made < len(steps) and steps[made][0] in _SHAPING:
        made += 1
    if made == 0:
        return Type(scope.schemas[begins]), steps
    whole = unwrapped(node)
    while len(chain(whole)) > made:
        whole = unwrapped(part(part(whole, "function"), "object"))
    before += structs(name, whole, scope)
    return Type(name), steps[made:]


_PATTERNS = {"email": EMAIL, "url": r"^https?://[^\s/?#]+[^\s]*" + END}
_PLAIN = re.compile(r"str|float|int|bool|None")
_SIGNS = {"positive": ("gt", "0"), "nonnegative": ("ge", "0"), "negative": ("lt", "0"), "nonpositive": ("le", "0")}
# As bounds of a text or a list, and of a number.
_LIMITS = {
    "min": ("min_length", "ge"), "max": ("max_length", "le"), "gte": ("", "ge"), "lte": ("", "le"), "gt": ("", "gt"),
    "lt": ("", "lt"), "multipleOf": ("", "multiple_of"),
}  # fmt: skip


def _refine(node: Node, kind: Type, step: str, given: list[Node], scope: Scope) -> None:
    sized = kind.base == "str" or kind.base.startswith(("list[", "dict["))
    if step in _LIMITS and given and not sized and kind.base not in ("float", "int"):
        raise Untranslated(node, f".{step}() of what is no text, list or number")
    if "pattern" in kind.bounds and (step in _PATTERNS or step == "regex"):
        raise Untranslated(node, "two patterns")
    if step in _LIMITS and given:
        kind.bounds[_LIMITS[step][0 if sized else 1]] = py(given[0], scope)
    elif step == "length" and given:
        kind.bounds |= {"min_length": py(given[0], scope), "max_length": py(given[0], scope)}
    elif step == "nonempty":
        kind.bounds["min_length"] = "1"
    elif step == "int":
        kind.base = "int"
    elif step in _SIGNS:
        bound, value = _SIGNS[step]
        kind.bounds[bound] = value
    elif step in _PATTERNS:
        kind.bounds["pattern"] = f"r{quoted(_PATTERNS[step])}".replace("\\\\", "\\")
    elif step == "regex" and given and unwrapped(given[0]).type == "regex":
        kind.bounds["pattern"] = _pattern(unwrapped(given[0]))
    elif step in ("uuid", "datetime") and kind.bounds:
        raise Untranslated(node, f".{step}() with other checks")
    elif step == "uuid":
        kind.base = "UUID"
    elif step == "datetime":
        if given:
            raise Untranslated(node, ".datetime() with options")
        kind.base = "datetime"
    elif step in ("optional", "nullish"):
        kind.none, kind.default = True, "None"
        scope.gaps = True
    elif step == "nullable":
        kind.none = True
    elif step == "default" and given:
        kind.default = _default(unwrapped(given[0]), kind)
    elif step not in _WITHOUT_EFFECT:
        raise Untranslated(node, f".{step}()")


def _default(node: Node, kind: Type) -> str:
    """A default; one that is made anew for each body only where it is empty."""
    if node.type in ("array", "object"):
        if named(node) or not kind.base.startswith("list[" if node.type == "array" else "dict["):
            raise Untranslated(node, "a default that is not plain")
        return "[]" if node.type == "array" else "{}"
    if node.type == "string":
        return quoted(string(node))
    if node.type not in ("number", "true", "false", "null") or kind.base in ("UUID", "datetime"):
        raise Untranslated(node, "a default that is not plain")
    return {"true": "True", "false": "False", "null": "None"}.get(node.type, text(node))


# A piece of a regular expression: an escape, or a character that means something.
_PIECE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)|\(\?.|.", re.DOTALL)
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_"}


def _pattern(node: Node) -> str:
    """A regular expression's literal, where Python has one that takes no more than that."""
    pattern = text(part(node, "pattern"))
    if node.child_by_field_name("flags") is not None or '"' in pattern:
        raise Untranslated(node, "a regular expression")
    said, inside = "", False
    for piece in _PIECE.findall(pattern):
        said += _piece(node, piece, inside=inside)
        inside = piece == "[" or (inside and piece != "]")
    if "[]" in said or "[^]" in said:
        raise Untranslated(node, "a regular expression")
    try:
        re.compile(said)
    except (re.error, FutureWarning):
        raise Untranslated(node, "a regular expression") from None
    return f'r"{said}"'


def _piece(node: Node, piece: str, *, inside: bool) -> str:
    if piece[0] == "\\" and piece[1:2].isalnum():
        if piece[1] in _CLASSES:  # Python's are all the digits and letters that there are
            return _CLASSES[piece[1]] if inside else f"[{_CLASSES[piece[1]]}]"
        if (piece[1] in "DWS" and inside) or piece[1] not in "DWSsnrtfvux":
            raise Untranslated(node, "a regular expression")
        return {"D": "[^0-9]", "W": "[^A-Za-z0-9_]"}.get(piece[1], piece)
    if piece == "\\/":
        return "/"
    if piece[:2] == "(?" and not piece.startswith(("(?:", "(?=", "(?!")):
        raise Untranslated(node, "a regular expression")
    if inside:
        if piece in ("[", "&", "|", "~"):
            return f"\\{piece}"
        return piece
    return {"$": END, ".": r"[^\n\r\u2028\u2029]"}.get(piece, piece)
