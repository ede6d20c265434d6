"""One ``route.ts`` as one ``route.py``."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING

from msgspec import Struct

from .expressions import py
from .names import safe, snake
from .scope import Note, Scope
from .statements import STOP, block, declare, function, indented, kept, left_out, statement, uses
from .syntax import Untranslated, field, line, named, parse, string, text, unwrapped
from .zod import is_schema

if TYPE_CHECKING:
    from tree_sitter import Node

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_CONSTANTS = {"revalidate": "revalidate", "maxDuration": "max_duration"}
_NEEDLESS = ("dynamic", "runtime", "fetchCache", "preferredRegion", "dynamicParams")
# Packages whose names are known to the translation.
_KNOWN = ("next/server", "next/headers", "next/navigation", "next/cache", "next", "zod", "stripe")
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
    slugs = slugs or {}
    module = _Module(file, slugs)
    tree = parse(source, tsx=tsx)
    module.declare(tree)
    for node in tree.named_children:
        module.add(node)
    return module.finish()


class _Module:
    def __init__(self, file: str, slugs: dict[str, str]) -> None:
        self.types = {safe(name): kind for name, kind in slugs.items()}
        self.scope = Scope(file, {name: safe(name) for name in slugs})
        self.scope.kinds["z"] = "foreign"
        self.methods: dict[str, bool] = {}
        self.pieces: list[list[str]] = []
        self.local: dict[str, list[str]] = {}

    def declare(self, tree: Node) -> None:
        """Make every function of the module known, since one may call another that stands below it."""
        for node in tree.named_children:
            inner = node.child_by_field_name("declaration") or node
            if inner.type == "function_declaration":
                name = text(field(inner, "name"))
                if name not in METHODS:
                    self.scope.named(name)

    def add(self, node: Node) -> None:
        try:
            self._add(node)
        except Untranslated as found:
            # Not raised here: it would take every handler with it. A name that is not there says so when it is used.
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
            if package in _SUPABASE or name in _OURS or (package in _KNOWN):
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
        wanted, here = snake(name), self.scope.schemas.get(alias) or snake(alias)
        said = wanted if here == wanted else f"{wanted} as {here}"
        self.local.setdefault(module, []).append(said)

    # -- what is defined

    def _export(self, node: Node) -> None:
        inner = node.child_by_field_name("declaration")
        if inner is None:
            raise Untranslated(node, "an export of something defined elsewhere")
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

    def _constants(self, node: Node, *, exported: bool) -> None:
        for each in named(node):
            name, value = text(field(each, "name")), each.child_by_field_name("value")
            value = unwrapped(value) if value is not None else None
            if exported and name in METHODS:
                if value is None or value.type not in ("arrow_function", "function_expression"):
                    self.methods[name] = False
                    raise Untranslated(node, f"{name} is made by a call")
                self._handler(name, value)
            elif exported and name in (*_CONSTANTS, *_NEEDLESS):
                self._setting(name, value, each)
            elif value is not None and is_schema(value):
                self.pieces.append(self._schema(each))
            elif value is not None and value.type in ("arrow_function", "function_expression"):
                self._helper(name, value)
            elif not self._client(name, value):
                self.pieces.append(declare(each, self.scope))

    def _schema(self, node: Node) -> list[str]:
        try:
            return declare(node, self.scope)
        except Untranslated:
            # Who reads a body as this must not read it unchecked: there is a name and nothing that it stands for.
            self.scope.schema(text(field(node, "name")))
            raise

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
        self.pieces.append(_parsed(function(name, node, self.scope), node, self.scope))

    def _type(self, node: Node) -> None:
        if "z.infer" not in text(node) and "z.input" not in text(node):
            self.pieces.append(left_out(node, "a type: write a Struct for it, where a body has it", self.scope))

    # -- handlers

    def _handler(self, name: str, node: Node) -> None:
        scope = self.scope.inside()
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


def _module_of(package: str) -> str:
    """``@/lib/rate-limit`` is ``lib.rate_limit``; what stands beside the file is ``.helpers``."""
    if package.startswith("."):
        ups = package.count("../")
        rest = package.removeprefix("./").replace("../", "")
        return "." * (ups + 1) + ".".join(snake(part) for part in rest.split("/") if part)
    rest = package.partition("/")[2]
    return ".".join(snake(part) for part in rest.split("/") if part)


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
