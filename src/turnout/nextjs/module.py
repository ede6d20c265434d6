"""One ``route.ts`` as one ``route.py``."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING

from msgspec import Struct

from .expressions import py
from .names import attribute, safe, snake
from .scope import Note, Scope
from .statements import STOP, block, declare, function, indented, kept, left_out, statement, uses
from .syntax import Untranslated, field, line, named, parse, string, text, unwrapped, walk
from .zod import is_schema

if TYPE_CHECKING:
    from tree_sitter import Node

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_CONSTANTS = {"revalidate": "revalidate", "maxDuration": "max_duration"}
_NEEDLESS = ("dynamic", "runtime", "fetchCache", "preferredRegion", "dynamicParams")
# Packages whose names are known to the translation.
_KNOWN = ("next/server", "next/headers", "next/navigation", "next/cache", "next", "zod", "stripe")
_TRANSLATED = frozenset(
    {
        *(
            "NextResponse",
            "NextRequest",
            "cookies",
            "headers",
            "redirect",
            "permanentRedirect",
            "notFound",
            "after",
            "connection",
        ),
        *("revalidatePath", "revalidateTag", "z", "ZodError", "Stripe"),
    }
)
_SUPABASE = ("@supabase/supabase-js", "@supabase/ssr", "@supabase/auth-helpers-nextjs")
_OURS = frozenset({"createClient", "createServerClient", "createRouteHandlerClient"})
# Libraries that speak to a database in their own words.
_ORMS = frozenset({"prisma", "drizzle", "mongoose", "sql", "knex"})


class Translated(Struct, frozen=True):
    """What became of one file.

    Attributes:
        source: The route.py.
        methods: Its handlers, and whether each was translated whole.
        notes: What to look at, by line of the original.
        imports: Modules of the project that it imports, and the names that they have to have.
    """

    source: str
    methods: dict[str, bool]
    notes: list[Note]
    imports: dict[str, list[str]]


def translate(
    source: bytes, *, file: str = "route.ts", slugs: dict[str, str] | None = None, tsx: bool = False
) -> Translated:
    """Translate the route in *source*.

    Args:
        file: What the marks in the result call it.
        slugs: The path's parameters as there: their annotation here (``str`` or ``list[str]``).
        tsx: Whether it has elements of JSX in it.
    """
    tree = parse(source, tsx=tsx)
    lost: set[str] = set()
    wary = False
    while True:
        module = _Module(file, slugs or {}, lost, wary=wary)
        module.declare(tree)
        for node in tree.named_children:
            module.add(node)
        if module.lost <= lost and module.stops <= wary:
            return module.finish()
        # What uses a thing that has turned out to have no translation has none either, wherever it stands.
        lost, wary = lost | module.lost, wary or module.stops


class _Module:
    def __init__(self, file: str, slugs: dict[str, str], lost: set[str], *, wary: bool) -> None:
        self.types = {safe(name): kind for name, kind in slugs.items()}
        self.scope = Scope(file, {name: safe(name) for name in slugs})
        self.scope.rests |= {name for name, kind in slugs.items() if kind != "str"}
        self.scope.kinds["z"] = "foreign"
        self.methods: dict[str, bool] = {}
        self.pieces: list[list[str]] = []
        self.local: dict[str, list[str]] = {}
        self.scope.kinds |= dict.fromkeys(lost, "lost")
        self.scope.wary = wary
        self.known_lost, self.lost, self.stops = lost, set[str](), False
        self.functions: dict[str, Node] = {}

    def declare(self, tree: Node) -> None:
        """Make every function of the module known, since one may call another that stands below it."""
        for node in tree.named_children:
            inner = node.child_by_field_name("declaration") or node
            if inner.type == "function_declaration":
                name = text(field(inner, "name"))
                self.functions[name] = inner
                if name not in METHODS and name not in self.known_lost:
                    self.scope.named(name)
                    if text(inner).startswith("async"):
                        self.scope.asyncs.add(name)
            elif inner.type == "lexical_declaration":
                for each in named(inner):
                    value = each.child_by_field_name("value")
                    value = unwrapped(value) if value is not None else None
                    if value is not None and value.type in ("arrow_function", "function_expression"):
                        self.functions[text(field(each, "name"))] = value
                        if text(value).startswith("async"):
                            self.scope.asyncs.add(text(field(each, "name")))

    def add(self, node: Node) -> None:
        try:
            self._add(node)
        except Untranslated as found:
            # Not raised here: it would take every handler with it. Who uses its names stops there.
            self.lost |= _defined(node)
            for name in _defined(node):
                self.scope.kinds[name] = "lost"
                self.scope.names.pop(name, None)
                self.scope.schemas.pop(name, None)
            self.pieces.append(kept(node, found.why, self.scope)[:-1])

    def _add(self, node: Node) -> None:
        if node.type == "import_statement":
            self._import(node)
        elif node.type == "export_statement":
            self._export(node)
        elif node.type == "lexical_declaration":
            self._constants(node, exported=False)
        elif node.type == "function_declaration":
            self._helper(text(field(node, "name")), node)
        elif node.type in ("type_alias_declaration", "interface_declaration"):
            self._type(node)
        elif node.type == "expression_statement" and unwrapped(named(node)[0]).type == "string":
            pass  # 'use server'
        elif node.type == "comment":
            self.pieces.append(statement(node, self.scope))
        else:
            raise Untranslated(node, f"{node.type.replace('_', ' ')}: no translation")

    # -- what is imported

    def _import(self, node: Node) -> None:
        package = string(field(node, "source"))
        clause = next((each for each in node.named_children if each.type == "import_clause"), None)
        if clause is None or text(node).startswith("import type"):
            return
        local = package.startswith(("@/", "./", "../", "~/", "~~/", "src/"))
        foreign: list[str] = []
        for name, alias in _imported(clause):
            if package in _SUPABASE or name in _OURS or (package in _KNOWN and name in _TRANSLATED):
                self._know(name, alias)
            elif local and alias in _ORMS:
                foreign.append(alias)
            elif local:
                self._know_local(package, name, alias)
            else:
                foreign.append(alias)
        for alias in foreign:
            self.scope.kinds[alias] = "foreign"
        if foreign:
            self.scope.note(line(node), f"{', '.join(foreign)} of {package}: find or write it in Python")
            self.pieces.append([f"# NEXT {self.scope.file}:{line(node)}: no translation", f"#   {text(node)}"])

    def _know(self, name: str, alias: str) -> None:
        if name in _OURS:
            self.scope.names[alias] = "create_client"
        elif alias != name:
            self.scope.names[alias] = snake(name)

    def _know_local(self, package: str, name: str, alias: str) -> None:
        """What another file of the project gives; some of it Turnout has."""
        if name in ("db", "supabaseAdmin"):
            self.scope.names[alias], self.scope.kinds[alias] = "db", "db"
        elif name == "supabase":
            self.scope.kinds[alias] = "foreign"  # whose rights it has is not to be seen, and db has all
        elif name == "env":
            self.scope.kinds[alias] = "env"
        elif name == "stripe":
            self._use_stripe('env["STRIPE_SECRET_KEY"]')
        elif name.lower().endswith("schema"):
            self._take(package, self.scope.schema(alias), alias)
        else:
            self.scope.named(alias)
            self._take(package, name, alias)

    def _use_stripe(self, key: str) -> None:
        self.scope.use("stripe")
        self.scope.use("turnout", "env")
        self.scope.need(f"stripe.api_key = {key}")
        self.scope.names["stripe"] = "stripe"

    def _take(self, package: str, name: str, alias: str) -> None:
        module = _module_of(package)
        wanted = self.scope.schemas.get(alias) or attribute(name)
        here = self.scope.schemas.get(alias) or self.scope.names[alias]
        said = wanted if here == wanted else f"{wanted} as {here}"
        self.local.setdefault(module, []).append(said)

    # -- what is defined

    def _export(self, node: Node) -> None:
        inner = node.child_by_field_name("declaration")
        if inner is None:
            self._exports(node)
            return
        if inner.type == "function_declaration":
            name = text(field(inner, "name"))
            if name in METHODS:
                self._handler(name, inner)
            else:
                self._helper(name, inner)
        elif inner.type == "lexical_declaration":
            self._constants(inner, exported=True)
        else:
            self._add(inner)

    def _exports(self, node: Node) -> None:
        """``export { get as GET }``, ``export * from './handlers'``."""
        clause = next((each for each in node.named_children if each.type == "export_clause"), None)
        found = False
        for each in named(clause) if clause is not None else []:
            alias = each.child_by_field_name("alias") or field(each, "name")
            if text(alias) not in METHODS:
                continue
            found = True
            made = self.functions.get(text(field(each, "name")))
            if made is not None and node.child_by_field_name("source") is None:
                self._handler(text(alias), made)
            else:
                self._stop(text(alias), node, "a handler that is defined elsewhere")
        if not found:
            raise Untranslated(node, "an export of something defined elsewhere")

    def _stop(self, name: str, node: Node, why: str) -> None:
        """A handler in whose place there is nothing but a stop."""
        self.methods[name] = False
        self.pieces.append([f"async def {name}():", *indented(kept(node, why, self.scope))])

    def _constants(self, node: Node, *, exported: bool) -> None:
        for each in named(node):
            name, value = text(field(each, "name")), each.child_by_field_name("value")
            value = unwrapped(value) if value is not None else None
            taken = [method for method in METHODS if method in _names(field(each, "name"))]
            if exported and name in METHODS:
                if value is not None and value.type == "identifier":
                    value = self.functions.get(text(value), value)
                if value is None or value.type not in ("arrow_function", "function_expression", "function_declaration"):
                    self._stop(name, node, f"{name} is made by a call")
                else:
                    self._handler(name, value)
            elif exported and taken:
                for method in taken:
                    self._stop(method, node, f"{method} is made elsewhere")
            elif name in (*METHODS, *_CONSTANTS) and not exported and value is not None:
                if value.type not in ("arrow_function", "function_expression"):
                    raise Untranslated(node, f"{name} that is not exported")
            elif exported and name in (*_CONSTANTS, *_NEEDLESS):
                self._setting(name, value, each)
            elif value is not None and is_schema(value, self.scope):
                self.pieces.append(_parsed(declare(each, self.scope), each, self.scope))
            elif value is not None and value.type in ("arrow_function", "function_expression"):
                self._helper(name, value)
            elif not self._client(name, value):
                self.pieces.append(declare(each, self.scope))

    def _setting(self, name: str, value: Node | None, node: Node) -> None:
        if name in _CONSTANTS and value is not None and value.type == "number" and text(value) != "0":
            self.pieces.append([f"{_CONSTANTS[name]} = {text(value)}"])
        elif name == "runtime" and value is not None and "edge" in text(value):
            self.scope.note(line(node), "runtime = 'edge': there is one runtime here")

    def _client(self, name: str, value: Node | None) -> bool:
        """``new Stripe(key)``, ``createClient(url, key)``: what the whole module speaks to."""
        if value is None:
            return False
        if value.type == "new_expression" and text(field(value, "constructor")) == "Stripe":
            if name != "stripe":
                return False
            self._use_stripe(py(named(field(value, "arguments"))[0], self.scope))
            return True
        if value.type == "call_expression" and text(field(value, "function")) in _OURS:
            if "SERVICE_ROLE" not in text(value):
                raise Untranslated(
                    value, "a client for everybody: write supabase = await create_client() in each handler"
                )
            self.scope.names[name], self.scope.kinds[name] = "db", "db"
            return True
        return False

    def _helper(self, name: str, node: Node) -> None:
        if name in METHODS:
            return  # which exports it by that name, or nobody calls it
        if name not in self.scope.names:
            self.scope.named(name)
        lines = _parsed(function(name, node, self.scope, hoisted=True), node, self.scope)
        self.stops = self.stops or any(STOP in each for each in lines)
        self.pieces.append(lines)

    def _type(self, node: Node) -> None:
        if "z.infer" not in text(node) and "z.input" not in text(node):
            self.pieces.append(left_out(node, "a type: write a Struct for it, where a body has it", self.scope))

    # -- handlers

    def _handler(self, name: str, node: Node) -> None:
        scope = self.scope.function()
        try:
            self._take_arguments(node, scope)
            body = field(node, "body")
            if body.type == "statement_block":
                lines = block(body, scope)
            else:
                lines = [f"return {py(body, scope)}"]
        except Untranslated as found:
            lines = kept(node, found.why, scope)
        lines = _parsed([f"async def {name}():", *indented(lines)], node, scope)[1:]
        self.pieces.append([f"async def {name}({', '.join(self._arguments(lines))}):", *lines])
        self.methods[name] = not any(STOP in each for each in lines)

    def _take_arguments(self, node: Node, scope: Scope) -> None:
        listed = node.child_by_field_name("parameters")
        given = named(listed) if listed is not None else []
        for place, each in enumerate(given):
            pattern = each.child_by_field_name("pattern") or each
            if place == 0 and pattern.type == "identifier":
                scope.request = text(pattern)
            elif place == 1 and pattern.type == "identifier":
                scope.params, scope.context = f"{text(pattern)}.params", text(pattern)
            elif (
                place == 1
                and pattern.type == "object_pattern"
                and [text(part) for part in named(pattern)] == ["params"]
            ):
                scope.params = "params"
            elif place == 1 and pattern.type == "object_pattern":
                self._take_slugs(pattern, scope)
            else:
                raise Untranslated(each, "an argument of another shape")

    def _take_slugs(self, pattern: Node, scope: Scope) -> None:
        """``{ params: { id } }``."""
        for each in named(pattern):
            inner = each.child_by_field_name("value")
            if inner is None or text(field(each, "key")) != "params":
                raise Untranslated(each, "an argument of another shape")
            if inner.type == "identifier":
                scope.params = text(inner)
                continue
            for part in named(inner):
                if text(part) not in scope.slugs:
                    raise Untranslated(part, f"the path has no [{text(part)}]")
                scope.names[text(part)] = scope.slugs[text(part)]

    def _arguments(self, lines: list[str]) -> list[str]:
        """The arguments that *lines* make use of."""
        found = []
        if uses("request", lines):
            self.scope.use("turnout", "Request")
            found.append("request: Request")
        found += [f"{name}: {kind}" for name, kind in self.types.items() if uses(name, lines)]
        if uses("params", lines):
            found.append("params: dict[str, str]")
        return found

    # -- the file

    def finish(self) -> Translated:
        code = [line for piece in self.pieces for line in piece]
        used = {
            module: [name for name in names if uses(name.rpartition(" ")[2], code)]
            for module, names in self.local.items()
        }
        self.local = {module: names for module, names in used.items() if names}  # types have gone
        lines = [f'"""From {self.scope.file}."""', ""]
        lines += _imports(self.scope.imports, self.local)
        if self.scope.needs:
            lines += [*self.scope.needs, ""]
        for piece in self.pieces:
            if piece and piece[0].startswith(("def ", "async def ", "class ")):
                lines += ["", *piece, "", ""] if lines[-1] == "" else ["", "", *piece, "", ""]
            elif piece:
                lines += piece
        source = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).rstrip() + "\n"
        return Translated(source, self.methods, sorted(self.scope.notes, key=lambda note: note.line), {
            module: sorted(names) for module, names in self.local.items()
        })  # fmt: skip


def _imported(clause: Node) -> list[tuple[str, str]]:
    """Each name that an import takes, and what it is called here."""
    found = []
    for each in clause.named_children:
        if each.type == "identifier":
            found.append((text(each), text(each)))
        elif each.type == "namespace_import":
            found.append((text(named(each)[0]), text(named(each)[0])))
        else:
            for specifier in named(each):
                if text(specifier).startswith("type "):
                    continue
                name = text(field(specifier, "name"))
                alias = specifier.child_by_field_name("alias")
                found.append((name, text(alias) if alias is not None else name))
    return found


def _names(node: Node) -> set[str]:
    """The variables that a pattern defines."""
    kinds = ("identifier", "shorthand_property_identifier_pattern")
    return {text(each) for each in walk(node) if each.type in kinds}


def _defined(node: Node) -> set[str]:
    """The names that a statement of the module defines."""
    inner = node.child_by_field_name("declaration") or node
    if inner.type in ("lexical_declaration", "variable_declaration"):
        return {name for each in named(inner) if each.type == "variable_declarator"
                for name in _names(field(each, "name"))}  # fmt: skip
    name = inner.child_by_field_name("name")
    return {text(name)} if name is not None else set()


def _module_of(package: str) -> str:
    """``@/lib/rate-limit`` is ``lib.rate_limit``; what stands beside the file is ``.helpers``."""
    if package.startswith("."):
        ups = package.count("../")
        rest = package.removeprefix("./").replace("../", "")
        return "." * (ups + 1) + ".".join(attribute(part) for part in rest.split("/") if part)
    rest = package.partition("/")[2]
    return ".".join(attribute(part) for part in rest.split("/") if part)


def _imports(imports: dict[str, set[str]], local: dict[str, list[str]]) -> list[str]:
    groups: list[list[str]] = [[], [], []]
    for module, names in imports.items():
        place = 0 if module.partition(".")[0] in sys.stdlib_module_names else 1
        if "" in names:
            groups[place].append(f"import {module}")
        if names - {""}:
            groups[place].append(f"from {module} import {', '.join(sorted(names - {''}))}")
    for module, taken in local.items():
        groups[2].append(f"from {module} import {', '.join(sorted(taken))}")
    lines: list[str] = []
    for group in groups:
        if group:
            lines += [*sorted(group, key=lambda each: (each.startswith("from"), each)), ""]
    return lines


def _parsed(lines: list[str], node: Node, scope: Scope) -> list[str]:
    """*lines*, if they are Python; else the original, so that what is written can always be loaded."""
    try:
        ast.parse("\n".join(lines))
    except SyntaxError as exc:
        return [lines[0], *indented(kept(node, f"no translation ({exc.msg})", scope))]
    return lines
