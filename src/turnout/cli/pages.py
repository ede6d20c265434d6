"""What a project says by name and finds out late: templates in Python and in templates, actions in templates.

Only names that are written out are looked at; one that is put together, or comes from a variable, is left alone.
Python is read by ``ast`` and templates by Jinja2's own parser, so nothing of the project runs here.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from ..errors import ConfigError

if TYPE_CHECKING:
    from jinja2 import nodes

    from ..templates import Templates

_AUTH = "auth/"  # the looks of the pages to sign in: what these extend may be the package's
_MAIL = "mail/"
_TAKE_A_NAME = {
    "turnout": ("render", "send_email"),
    "turnout.templates": ("render", "render_text"),
    "turnout.mail": ("send_email",),
}


class Named(Struct):
    """One name that is written somewhere.

    Args:
        kind: Of what: ``template``, ``mail template`` or ``action``.
        names: What it may stand for; one is enough.
    """

    file: Path
    line: int
    kind: str
    names: list[str]


def misspelt(pages: Templates, folders: Iterable[Path], actions: Collection[str] | None) -> list[ConfigError]:
    """A problem for each name of a template or an action that nothing has.

    Args:
        pages: The project's templates.
        folders: Where its Python is.
        actions: The names of its actions; None if they are not known.
    """
    calls = [(file, *each) for folder in folders for file in sorted(folder.rglob("*.py")) for each in _calls(file)]
    if not calls and not pages.folder.is_dir():
        return []  # a project without pages needs no Jinja2
    if any(keyword.arg == "actions" for _, call, _ in calls for keyword in call.keywords):
        actions = None  # some page's actions are its own
    known = pages.environment.list_templates()
    mails = {name.removeprefix(_MAIL).rpartition(".")[0] for name in known if name.startswith(_MAIL)}
    there = {"template": known, "mail template": mails, "action": actions}
    named = [each for file, call, function in calls for each in _in_call(file, call, function)]
    named += [each for name in known if not name.startswith(_AUTH) for each in _in_template(pages, name)]
    return [
        _problem(each, among, pages)
        for each in named
        if (among := there[each.kind]) is not None and not set(each.names) & set(among)
    ]


def _problem(named: Named, known: Collection[str], pages: Templates) -> ConfigError:
    name = named.names[0]
    near = get_close_matches(name, known, 1)
    what, cure = {
        "template": (f"there is no template {name!r}", f"make the file {pages.folder.name}/{name}"),
        "mail template": (
            f"there is no mail template {name!r}",
            f"make {pages.folder.name}/{_MAIL}{name}.html or .txt",
        ),
        "action": (f"no actions.py has an action {name!r}", "turnout routes --actions lists those that there are"),
    }[named.kind]
    return ConfigError(what, file=named.file, line=named.line, cure=f"did you mean {near[0]}?" if near else cure)


# -- Python


def _calls(file: Path) -> Iterator[tuple[ast.Call, str]]:
    """The calls of our functions that take the name of a template, each with the function's name."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # whoever loads it says so
        return
    imported = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
        for alias in node.names
        if alias.name in _TAKE_A_NAME.get(node.module or "", ())
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            module, _, name = function.rpartition(".")
            if function in imported or name in _TAKE_A_NAME.get(module, ()):
                yield node, imported.get(function, name)


def _in_call(file: Path, call: ast.Call, function: str) -> Iterator[Named]:
    if function == "send_email":
        given = next((each.value for each in call.keywords if each.arg == "template"), None)
        kind = "mail template"
    else:
        given, kind = next(iter(call.args), None), "template"
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        yield Named(file, given.lineno, kind, [given.value])


# -- templates


def _in_template(pages: Templates, name: str) -> Iterator[Named]:
    import jinja2
    from jinja2 import nodes

    environment = pages.environment
    assert environment.loader is not None
    try:
        source, filename, _ = environment.loader.get_source(environment, name)
        tree = environment.parse(source, name, filename)
    except (UnicodeDecodeError, jinja2.TemplateError):  # whoever compiles it says so
        return
    file = Path(filename or name)
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        names = _names(node.template)  # type: ignore[attr-defined]
        if names and not getattr(node, "ignore_missing", False):
            yield Named(file, node.lineno, "template", names)
    if any(each.name == "actions" and each.ctx != "load" for each in tree.find_all(nodes.Name)):
        return  # something else has the name here
    for get in tree.find_all(nodes.Getattr):
        if isinstance(get.node, nodes.Name) and get.node.name == "actions":
            yield Named(file, get.lineno, "action", [get.attr])


def _names(given: nodes.Expr) -> list[str]:
    """The names that are written out in *given*: one, or several of which one has to be there; else none."""
    from jinja2 import nodes

    parts = given.items if isinstance(given, nodes.List | nodes.Tuple) else [given]
    names = [part.value for part in parts if isinstance(part, nodes.Const) and isinstance(part.value, str)]
    return names if len(names) == len(parts) else []
