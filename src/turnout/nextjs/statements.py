"""Statements of TypeScript as lines of Python; what has no translation is kept as a comment that cannot be passed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import zod
from .calls import member
from .expressions import nth, py, truth
from .kinds import chain, is_params, kind_of, root
from .layout import fold
from .names import attribute, quoted
from .scope import Kind, Scope
from .syntax import Untranslated, arrow_parts, field, line, named, string, text, unwrapped, walk

if TYPE_CHECKING:
    from tree_sitter import Node

Lines = list[str]
STOP = "raise NotImplementedError("  # before what it stands for would be passed over


def block(node: Node, scope: Scope) -> Lines:
    """The statements of *node*, each translated or kept; never empty."""
    statements = node.named_children if node.type == "statement_block" else [node]
    lines: Lines = []
    for each in statements:
        lines += statement(each, scope)
    if not any(said.strip() and not said.lstrip().startswith("#") for said in lines):
        lines.append("pass")
    return lines


def statement(node: Node, scope: Scope) -> Lines:
    """One statement, translated or kept."""
    try:
        translate = _TRANSLATIONS.get(node.type)
        if translate is None or any(each.type == "ERROR" for each in walk(node)):
            raise Untranslated(node, f"{node.type.replace('_', ' ')}: no translation")
        return [folded for said in translate(node, scope) for folded in fold(said)]
    except Untranslated as found:
        return kept(node, found.why, scope)


def kept(node: Node, why: str, scope: Scope) -> Lines:
    """The source of *node* as a marked comment, and what stops a request that comes to it."""
    scope.note(line(node), why)
    source = [f"#   {each}".rstrip() for each in text(node).splitlines()]
    place = f"{scope.file}:{line(node)}"
    return [f"# NEXT {place}: {why}", *source, f"{STOP}{quoted(place)})"]


def left_out(node: Node, why: str, scope: Scope) -> Lines:
    """The source of *node* as a marked comment alone: it has become needless."""
    scope.note(line(node), why)
    return [f"# NEXT {scope.file}:{line(node)}: {why}", *(f"#   {each}".rstrip() for each in text(node).splitlines())]


def indented(lines: Lines) -> Lines:
    """*lines* one step further in."""
    return [f"    {each}" if each else each for each in lines]


def comment(node: Node, scope: Scope) -> Lines:
    """A comment as comments."""
    lines = [each.strip().removeprefix("/**").removeprefix("/*").removesuffix("*/") for each in text(node).splitlines()]
    cleaned = [each.strip().removeprefix("//").removeprefix("*").strip() for each in lines]
    return [f"# {each}" for each in cleaned if each]


def uses(name: str, lines: Lines) -> bool:
    """Whether *lines* speak of the variable *name*; what stands in texts and comments does not count."""
    code = "\n".join(each for each in lines if not each.lstrip().startswith("#"))
    return re.search(rf"(?<![.\w]){name}\b", re.sub(r'(?<!f)"(?:\\.|[^"\\])*"', '""', code)) is not None


# -- declarations


def _declaration(node: Node, scope: Scope) -> Lines:
    lines: Lines = []
    for each in named(node):
        if each.type != "variable_declarator":
            raise Untranslated(each, "a declaration")
        if node.type == "variable_declaration" and text(field(each, "name")) in scope.names:
            raise Untranslated(each, "var of a name that is there already")
        lines += declare(each, scope)
    return lines


def declare(node: Node, scope: Scope) -> Lines:
    """``name = value``, in any of its shapes."""
    target = field(node, "name")
    value = node.child_by_field_name("value")
    if value is None or (target.type == "identifier" and value.type in ("null", "undefined")):
        return [f"{_named_for_later(node, text(target), scope)} = None"]
    if target.type == "identifier":
        return _declare_name(text(target), unwrapped(value), scope)
    if target.type == "object_pattern":
        return _take_apart(node, _parts(target), unwrapped(value), scope)
    return _take_items(target, unwrapped(value), scope)


def _named_for_later(node: Node, name: str, scope: Scope) -> str:
    """``let body;``, with what it holds where all that it is given later is the request's body."""
    around = node.parent
    while around is not None and around.type not in ("function_declaration", "arrow_function", "function_expression"):
        around = around.parent
    given = [
        unwrapped(field(each, "right"))
        for each in (walk(around) if around is not None else ())
        if each.type == "assignment_expression" and text(field(each, "left")) == name
    ]
    whole = bool(given) and all(_is_whole_body(each, scope) for each in given)
    said = scope.named(name, "dict" if whole else "unknown")
    if whole:
        scope.bodies.add(name)
    return said


def _take_items(target: Node, value: Node, scope: Scope) -> Lines:
    """``const [a, , b] = items``: what is not there is undefined."""
    places = _places(target)
    inner = unwrapped(named(value)[0]) if value.type == "await_expression" else value
    said = py(value, scope)
    if inner.type == "call_expression" and text(field(inner, "function")) == "Promise.all":
        given = unwrapped(named(field(inner, "arguments"))[0])
        if given.type != "array" or len(named(given)) != len(places) or None in places:
            raise Untranslated(target, "a pattern that takes some of the items")
        kinds: list[Kind] = [
            "result" if kind_of(each, scope) == "supabase" and chain(each) else kind_of(each, scope)
            for each in named(given)
        ]
        pairs = zip(places, kinds, strict=True)
        return [f"{', '.join(scope.named(name, kind) for name, kind in pairs if name)} = {said}"]
    lines, holder = [], said
    if not said.isidentifier():
        holder = scope.fresh("found")
        lines.append(f"{holder} = {said}")
    for number, name in enumerate(places):
        if name is not None:
            kind: Kind = "dict" if kind_of(value, scope) == "list" else "unknown"
            lines.append(f"{scope.named(name, kind)} = {nth(holder, number, simple=True)[0]}")
    return lines


def _places(target: Node) -> list[str | None]:
    """The names of an array's pattern by their places, None where one is passed over."""
    found: list[str | None] = [None]
    for each in target.children:
        if each.type == ",":
            found.append(None)
        elif each.type == "identifier":
            found[-1] = text(each)
        elif each.is_named and each.type != "comment":
            raise Untranslated(target, "a pattern inside a pattern")
    return found if found[-1] is not None or len(found) == 1 else found[:-1]


def _declare_name(name: str, value: Node, scope: Scope) -> Lines:
    if value.type in ("arrow_function", "function_expression"):
        return function(name, value, scope)
    if zod.is_schema(value, scope):
        return zod.structs(scope.schema(name), value, scope)
    if is_params(value, scope):
        scope.params = name
        return []
    kind = kind_of(value, scope)
    said = py(value, scope)
    if kind == "url" and said == "request.url":
        scope.names[name], scope.kinds[name] = said, kind
        return []
    if said.startswith("(await ") and kind in ("struct", "parsed", "supabase"):
        said = said[1:-1]
    if kind == "db" and chain(value):
        kind = "dict" if chain(value)[-1][0] in ("single", "maybeSingle") else "list"
    if kind == "supabase" and chain(value):
        kind = "result" if chain(value)[0][0] in ("from", "rpc") else "unknown"
    line = f"{scope.named(name, kind)} = {said}"
    if kind == "dict" and _is_whole_body(value, scope):
        scope.bodies.add(name)
    return [line]


def _is_whole_body(value: Node, scope: Scope) -> bool:
    inner = unwrapped(named(value)[0]) if value.type == "await_expression" else value
    return kind_of(root(inner), scope) == "request" and [step for step, _ in chain(inner)] == ["json"]


Part = tuple[str, str, "Node | None", list["Part"]]  # property, variable, default, parts of it in turn


def _parts(pattern: Node) -> list[Part]:
    found: list[Part] = []
    for each in named(pattern):
        if each.type == "shorthand_property_identifier_pattern":
            found.append((text(each), text(each), None, []))
        elif each.type == "object_assignment_pattern":
            found.append((text(field(each, "left")), text(field(each, "left")), field(each, "right"), []))
        elif each.type == "pair_pattern":
            found.append(_pair_part(each))
        else:
            raise Untranslated(each, "a pattern with the rest of an object")
    return found


def _pair_part(node: Node) -> Part:
    """``key: variable``, ``key: variable = default`` and ``key: { ... }`` of a pattern."""
    named_by, value = field(node, "key"), field(node, "value")
    if named_by.type not in ("property_identifier", "string"):
        raise Untranslated(node, "a pattern with a computed name")
    key, default = string(named_by) if named_by.type == "string" else text(named_by), None
    if value.type == "object_pattern":
        return (key, "", None, _parts(value))
    if value.type == "assignment_pattern":
        value, default = field(value, "left"), field(value, "right")
    if value.type != "identifier":
        raise Untranslated(node, "a pattern inside a pattern")
    return (key, text(value), default, [])


def _take_apart(node: Node, parts: list[Part], value: Node, scope: Scope) -> Lines:
    if is_params(value, scope):
        return _take_params(node, parts, scope)
    kind = kind_of(value, scope)
    if kind == "supabase":
        return _take_supabase(node, parts, value, scope)
    if kind == "db":
        return _take_rows(node, parts, value, scope)
    if any(inner for *_, inner in parts):
        raise Untranslated(node, "a pattern inside a pattern")
    if kind in ("request", "url"):
        return _alias(node, parts, value, scope)
    lines: Lines = []
    said = py(value, scope)
    if kind == "parsed" and any(name != "data" for name, *_ in parts):
        raise Untranslated(node, "a failed check is a 422 by itself, so there is no result to ask")
    if kind == "parsed":
        [(_, variable, _, _)] = parts
        return [f"{scope.named(variable, 'struct')} = {said[1:-1] if said.startswith('(await ') else said}"]
    whole = kind == "dict" and (text(value) in scope.bodies or _is_whole_body(value, scope))
    if not said.isidentifier():
        holder = scope.fresh("validated" if kind == "struct" else "body" if whole else "found")
        scope.names[f"={holder}"] = holder  # no name of theirs
        lines.append(f"{holder} = {said[1:-1] if said.startswith('(await ') else said}")
        said = holder
    for name, variable, default, _ in parts:
        if default is not None and kind != "dict":
            raise Untranslated(node, "a default for a part of something unknown")
        fallback = "" if default is None else f", {py(default, scope)}"
        if kind == "struct":
            lines.append(f"{scope.named(variable, 'struct')} = {said}.{name}")
        elif kind == "dict":
            lines.append(f"{scope.named(variable, 'dict')} = {said}.get({quoted(name)}{fallback})")
            if whole and default is None:
                scope.origins[variable] = (said, name)
        elif name.isidentifier():
            lines.append(f"{scope.named(variable)} = {said}.{attribute(name)}")
        else:
            raise Untranslated(node, f"a part called {name!r}")
    return lines


def _take_params(node: Node, parts: list[Part], scope: Scope) -> Lines:
    for name, variable, default, inner in parts:
        if name not in scope.slugs or default is not None or inner:
            raise Untranslated(node, f"the path has no [{name}]")
        scope.names[variable] = scope.slugs[name]
        scope.kinds[variable] = "unknown" if name in scope.rests else "text"
    return []


def _alias(node: Node, parts: list[Part], value: Node, scope: Scope) -> Lines:
    """``const { searchParams } = new URL(request.url)``: the name stands for the expression."""
    for name, variable, default, _ in parts:
        said = member(value, name, scope, py)
        if said is None or default is not None:
            raise Untranslated(node, f"{name}: no translation")
        scope.names[variable] = said
        known: dict[str, Kind] = {"searchParams": "fields", "headers": "fields", "nextUrl": "url", "cookies": "cookies"}
        scope.kinds[variable] = known.get(name, "unknown")
    return []


def _take_supabase(node: Node, parts: list[Part], value: Node, scope: Scope) -> Lines:
    """What Supabase's client gives: Python's raises where TypeScript's has ``error``."""
    said = py(value, scope)
    lines: Lines = []
    for name, variable, default, inner in parts:
        if default is not None:
            raise Untranslated(node, "a default for a part of an answer")
        if name == "error":
            scope.kinds[variable] = "gone"
        elif inner:
            holder = scope.fresh("found")
            for part, alias, _, deeper in inner:
                if deeper:
                    raise Untranslated(node, "a pattern inside a pattern")
                # Nobody is signed in: Python's client gives None in place of the whole.
                lines.append(f"{holder} = {said}")
                lines.append(f"{scope.named(alias)} = {holder}.{attribute(part)} if {holder} is not None else None")
        elif name == "data" and said.endswith(".execute()"):
            lines.append(f"{scope.named(variable, 'dict')} = ({said}).data")
        elif name == "data":
            lines.append(f"{scope.named(variable)} = {said}")
        elif name == "count":
            lines.append(f"{scope.named(variable)} = ({said}).count")
        else:
            raise Untranslated(node, f"{name} of Supabase's answer")
    if sum(each.count(said) for each in lines) > 1:
        raise Untranslated(node, "several parts of one answer")
    return lines or [said]


def _take_rows(node: Node, parts: list[Part], value: Node, scope: Scope) -> Lines:
    said = py(value, scope)
    lines: Lines = []
    for name, variable, default, inner in parts:
        if name == "error":
            scope.kinds[variable] = "gone"
        elif name == "data" and default is None and not inner:
            one = chain(named(value)[0] if value.type == "await_expression" else value)[-1][0] in (
                "single",
                "maybeSingle",
            )
            lines.append(f"{scope.named(variable, 'dict' if one else 'list')} = {said}")
        else:
            raise Untranslated(node, f"{name} of a query's answer")
    return lines or [said]


# -- functions


def function(name: str, node: Node, scope: Scope, *, hoisted: bool = False) -> Lines:
    """A function of the module, or of another one."""
    if any(each.type == "*" for each in node.children):
        raise Untranslated(node, "a generator")
    waits = text(node).startswith("async")
    inner = scope.function()
    if node.type == "arrow_function":
        parameters, body = arrow_parts(node)
        words = [inner.named(each, parameter=True) for each in parameters]
    else:
        words, body = _parameters(node, inner), field(node, "body")
    if waits:
        scope.asyncs.add(name)
    # A function of the module has its name already, since one above it may call it.
    called = scope.names[name] if hoisted else scope.named(name)
    inner.names[name] = called
    head = f"{'async ' if waits else ''}def {called}({', '.join(words)}):"
    lines = block(body, inner) if body.type == "statement_block" else [f"return {py(body, inner)}"]
    return [*fold(head), *indented(lines)]


def _parameters(node: Node, scope: Scope) -> list[str]:
    words = []
    for each in named(field(node, "parameters")):
        pattern = each.child_by_field_name("pattern") or each
        default = each.child_by_field_name("value")
        if pattern.type != "identifier":
            raise Untranslated(each, "a parameter that takes something apart")
        said = scope.named(text(pattern), parameter=True)
        if default is not None and unwrapped(default).type not in _UNCHANGING:
            raise Untranslated(each, "a default that is made for each call")
        if default is not None:
            said += f"={py(default, scope)}"
        elif each.type == "optional_parameter":
            said += "=None"
        words.append(said)
    return words


_UNCHANGING = ("string", "number", "true", "false", "null", "undefined")


def _function_declaration(node: Node, scope: Scope) -> Lines:
    return function(text(field(node, "name")), node, scope)


# -- the rest


def _return(node: Node, scope: Scope) -> Lines:
    given = named(node)
    if not given:
        return ["return"]
    return [f"return {py(given[0], scope)}"]


def _expression(node: Node, scope: Scope) -> Lines:
    inner = unwrapped(named(node)[0])
    if inner.type == "string" or text(inner) == "await connection()":  # 'use server'; every request is awaited here
        return []
    if inner.type == "assignment_expression":
        value, whole = py(field(inner, "right"), scope), text(field(inner, "left")) in scope.bodies
        said = f"{_target(field(inner, 'left'), scope)} = {value}"
        if whole and _is_whole_body(unwrapped(field(inner, "right")), scope):
            scope.bodies.add(text(field(inner, "left")))
        return [said]
    if inner.type == "augmented_assignment_expression":
        operator = text(field(inner, "operator"))
        if operator not in ("+=", "-=", "*=", "/="):
            raise Untranslated(node, f"{operator}: no translation")
        return [f"{_target(field(inner, 'left'), scope)} {operator} {py(field(inner, 'right'), scope)}"]
    if inner.type == "update_expression":
        return [f"{_target(field(inner, 'argument'), scope)} {text(field(inner, 'operator'))[0]}= 1"]
    if inner.type == "call_expression":
        called = text(field(inner, "function"))
        if called == "notFound":
            scope.use("turnout", "NotFound")
            return ["raise NotFound()"]
        if called in ("redirect", "permanentRedirect"):
            return [f"return {py(inner, scope)}"]
    return [py(inner, scope)]


def _target(node: Node, scope: Scope) -> str:
    node = unwrapped(node)
    if node.type == "identifier":
        name = text(node)
        if name not in scope.names or not scope.names[name].isidentifier() or name in scope.outside:
            raise Untranslated(node, f"an assignment to {name}, which is not of this function")
        scope.origins.pop(name, None)
        scope.bodies.discard(name)
        if scope.kinds.get(name) in ("text", "number", "bool"):
            scope.kinds[name] = "unknown"
        return scope.names[name]
    if node.type == "member_expression" and kind_of(field(node, "object"), scope) in ("dict", "list"):
        return f"{py(field(node, 'object'), scope)}[{quoted(text(field(node, 'property')))}]"
    if node.type == "subscript_expression":
        return f"{py(field(node, 'object'), scope, 11)}[{py(field(node, 'index'), scope)}]"
    raise Untranslated(node, "an assignment to a part of something unknown")


def _if(node: Node, scope: Scope) -> Lines:
    condition = field(node, "condition")
    if _asks_of_error(condition, scope):
        if node.child_by_field_name("alternative") is not None:
            raise Untranslated(node, "an error that is raised here is not there to ask")
        return left_out(node, "not needed: what failed has raised, and is a 422 or a logged 500", scope)
    lines = [f"if {truth(condition, scope).text}:", *indented(block(field(node, "consequence"), scope.inside()))]
    otherwise = node.child_by_field_name("alternative")
    if otherwise is None:
        return lines
    inner = named(otherwise)[0]
    if inner.type != "if_statement":
        return [*lines, "else:", *indented(block(inner, scope.inside()))]
    rest = _if(inner, scope)
    if not rest[0].startswith("if "):
        raise Untranslated(node, "an error that is raised here is not there to ask")
    return [*lines, f"el{rest[0]}", *rest[1:]]


def _asks_of_error(condition: Node, scope: Scope) -> bool:
    """``if (error)`` of Supabase's, ``if (!result.success)`` of zod's: here both have raised before."""
    asked = unwrapped(condition)
    if asked.type == "identifier":
        return scope.kind(text(asked)) == "gone"
    if asked.type == "member_expression" and text(field(asked, "property")) == "error":
        return kind_of(field(asked, "object"), scope) == "result"
    if asked.type == "unary_expression" and text(field(asked, "operator")) == "!":
        asked = unwrapped(field(asked, "argument"))
        return asked.type == "member_expression" and text(field(asked, "property")) == "success" and (
            kind_of(field(asked, "object"), scope) == "parsed"
        )  # fmt: skip
    return False


def _throw(node: Node, scope: Scope) -> Lines:
    return [f"raise {py(named(node)[0], scope)}"]


def _try(node: Node, scope: Scope) -> Lines:
    lines = ["try:", *indented(block(field(node, "body"), scope.inside()))]
    if _asks_whether_checked(field(node, "body")):
        scope.use("turnout", "ValidationFailed")
        lines += ["except ValidationFailed:", "    raise"]  # safeParse() throws nothing that there is to catch
    if scope.wary or any(STOP in each for each in lines):
        lines += ["except NotImplementedError:", "    raise"]  # which the handler below would take for an error
    handler = node.child_by_field_name("handler")
    if handler is not None:
        inner = scope.inside()
        name = handler.child_by_field_name("parameter")
        said = inner.named(text(name), "error") if name is not None else ""
        body = block(field(handler, "body"), inner)
        used = bool(said) and uses(said, body)
        lines += [f"except Exception as {said}:" if used else "except Exception:", *indented(body)]
    finalizer = node.child_by_field_name("finalizer")
    if finalizer is not None:
        if any(each.type in ("return_statement", "continue_statement", "break_statement") for each in walk(finalizer)):
            raise Untranslated(finalizer, "a finally that ends what was raised")
        lines += ["finally:", *indented(block(field(finalizer, "body"), scope.inside()))]
    return lines


def _asks_whether_checked(body: Node) -> bool:
    names = ("safeParse", "safeParseAsync")
    return any(each.type == "member_expression" and text(field(each, "property")) in names for each in walk(body))


def _for(node: Node, scope: Scope) -> Lines:
    if text(field(node, "operator")) != "of":
        raise Untranslated(node, "for ... in")
    target, items = field(node, "left"), field(node, "right")
    if any(each.type == "await" for each in node.children):
        raise Untranslated(node, "for await")
    if not any(each.type in ("const", "let") for each in node.children):
        raise Untranslated(node, "a loop over a variable from elsewhere")
    inner = scope.inside()
    names = [target] if target.type == "identifier" else named(target)
    if any(each.type != "identifier" for each in names):
        raise Untranslated(node, "a loop that takes its items apart")
    if target.type != "identifier" and (len(names) != 2 or None in _places(target) or target.type != "array_pattern"):
        raise Untranslated(node, "a loop that takes its items apart")
    kind: Kind = "dict" if kind_of(items, scope) == "list" else "unknown"
    said = ", ".join(inner.named(text(each), kind) for each in names)
    return [f"for {said} in {py(items, scope)}:", *indented(block(field(node, "body"), inner))]


def _while(node: Node, scope: Scope) -> Lines:
    return [
        f"while {truth(field(node, 'condition'), scope).text}:",
        *indented(block(field(node, "body"), scope.inside())),
    ]


def _switch(node: Node, scope: Scope) -> Lines:
    lines = [f"match {py(field(node, 'value'), scope)}:"]
    values: list[str] = []
    for each in named(field(node, "body")):
        body = [child for child in each.children_by_field_name("body") if child.type != "comment"]
        if each.type == "switch_default":
            values.append("_")
        else:
            values.append(_literal(field(each, "value")))
        if not body:
            continue  # the next case is answered alike
        if len(body) == 1 and body[0].type == "statement_block":
            body = named(body[0])
        if not body:
            raise Untranslated(each, "an empty case")
        if body[-1].type not in ("break_statement", "return_statement", "throw_statement") and each.next_named_sibling:
            raise Untranslated(each, "a case that falls into the next one")
        inner = scope.inside()
        said = [line for child in body if child.type != "break_statement" for line in statement(child, inner)]
        pattern = "_" if "_" in values else " | ".join(values)
        lines += [f"    case {pattern}:", *indented(indented(said or ["pass"]))]
        values = []
    return lines


def _literal(node: Node) -> str:
    node = unwrapped(node)
    if node.type == "string":
        return quoted(string(node))
    if node.type == "number":
        return text(node)
    raise Untranslated(node, "a case that is no literal")


def _continue(node: Node, scope: Scope) -> Lines:
    if named(node):
        raise Untranslated(node, "continue with a label")
    return ["continue"]


def _nothing(node: Node, scope: Scope) -> Lines:
    return []


_TRANSLATIONS: dict[str, Callable[[Node, Scope], Lines]] = {
    "comment": comment,
    "lexical_declaration": _declaration,
    "variable_declaration": _declaration,
    "function_declaration": _function_declaration,
    "return_statement": _return,
    "expression_statement": _expression,
    "if_statement": _if,
    "throw_statement": _throw,
    "try_statement": _try,
    "for_in_statement": _for,
    "while_statement": _while,
    "switch_statement": _switch,
    "statement_block": block,
    "continue_statement": _continue,
    "empty_statement": _nothing,
    "type_alias_declaration": _nothing,
    "interface_declaration": _nothing,
}
