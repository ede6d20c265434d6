"""Policy lint: what a proposal's text may not do, judged before anything of it runs.

``lint`` reads the files of a change over the project as it is and gives every finding; none means that the gates may
go on. The rules about one file are in ``lint_code.py`` and ``lint_sql.py``; here are those that need more than one:
the file as it was, the names in ``.env.example``, the tables of all migrations, what can be imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from .changeset import ChangeSet, Finding
from .lint_code import HANDLERS, RULES, Module, argument, chains, text_of
from .lint_sql import lint_sql, owned_tables
from .view import ProjectView

CODES = {
    "TRN101": "Runs data as code, or starts programs: eval, exec, pickle, marshal, ctypes, subprocess, os.system",
    "TRN102": "Switches a check of TLS off",
    "TRN103": "A secret is written into the program",
    "TRN104": "A handler's name is not that of a method: 'get' is no handler, GET is",
    "TRN105": "SQL is put together from pieces, so what a caller sends can become part of it",
    "TRN106": "A call in async def that makes every other request wait",
    "TRN107": "A name of the environment that nothing declares",
    "TRN108": "A handler takes any JSON where a model would say what fits",
    "TRN109": "A webhook's sender is not verified",
    "TRN110": "Rows that belong to users are written by a route that asks nobody to sign in",
    "TRN111": "update() or delete() without a filter changes every row",
    "TRN112": "CORS lets every origin send cookies",
    "TRN113": "A file asks for less than before: auth, rate limit, body limit, CORS, policy or verification",
    "TRN114": "A test is removed, skipped, or asserts nothing",
    "TRN115": "A migration loses data or changes a type (allowed by --allow-destructive)",
    "TRN116": "An import that leads nowhere: no such module, name or installed package",
    "TRN117": "The file does not parse",
    "TRN118": "Reaches into the interpreter, other modules or Turnout's tools",
    "TRN119": "A migration leaves the database, changes the server or switches a protection off",
    "TRN120": "Names a private file: .env, keys, .git, or the system's own",
    "TRN121": "Hands on the whole environment",
}

Found = Iterator[Finding]
_FRAMEWORK_ENV = re.compile(
    r"TURNOUT_\w+|SUPABASE_\w+|MAIL_TRANSPORT|SMTP_URL|RESEND_API_KEY|DATABASE_URL|STORE_URL|AWS_\w+|PORT|HOST|LOG_\w+"
)


def lint(change: ChangeSet, root: Path, *, allow_destructive: bool = False) -> list[Finding]:
    """Every finding in *change* to the project in *root*, in the order of its files and lines."""
    around = _Around(change, ProjectView(root))
    found = [finding for file in change.files for finding in _file(file.path, file.text, around, allow_destructive)]
    return sorted(found, key=lambda each: (list(around.after).index(each.path), each.line or 0, each.code))


class _Around:
    """A change and the project that it is for."""

    def __init__(self, change: ChangeSet, view: ProjectView) -> None:
        self.view = view
        self.after = {file.path: file.text for file in change.files}
        self.env = {*change.env, *_names(view.read(".env.example") or "")}
        migrations = {*view.migrations(), *(path for path in self.after if path.endswith(".sql"))}
        self.owned = owned_tables([self.text(path) or "" for path in sorted(migrations)])

    def text(self, path: str) -> str | None:
        """The text of *path* after the change."""
        return self.after[path] if path in self.after else self.view.read(path)

    def exists(self, path: str) -> bool:
        """Whether a file, or a folder with something in it, is at *path* after the change."""
        if path in self.after:
            return self.after[path] is not None
        return self.view.exists(path) or any(name.startswith(f"{path}/") for name in self.after)


def _names(example: str) -> set[str]:
    return set(re.findall(r"^\s*#?\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=", example, re.MULTILINE))


def _file(path: str, text: str | None, around: _Around, allow_destructive: bool) -> Found:
    before = around.view.read(path)
    if text is None:
        yield from _removed(path, before)
    elif path.endswith(".sql"):
        yield from lint_sql(path, text, allow_destructive=allow_destructive)
    elif path.endswith(".py"):
        yield from _python(path, text, before, around)


def _removed(path: str, before: str | None) -> Found:
    fix = "leave the file; take it away by hand if it is meant"
    if path.startswith("tests/"):
        yield Finding(path, None, "TRN114", "a file of tests is removed", fix)
    elif before is not None and re.search(r"/middleware\.py$|^lib/policies\.py$", path):
        yield Finding(path, None, "TRN113", "what guards other files is removed", fix)


def _python(path: str, text: str, before: str | None, around: _Around) -> Found:
    try:
        module = Module(path, text)
    except (SyntaxError, ValueError, RecursionError) as exc:
        line = exc.lineno if isinstance(exc, SyntaxError) else None
        what = exc.msg if isinstance(exc, SyntaxError) else exc
        yield Finding(path, line, "TRN117", f"the file does not parse: {what}", "mend the line, or the one before it")
        return
    for rule in RULES:
        yield from rule(module)
    yield from _imports(module, around)
    if not module.is_test:
        yield from _environment(module, around)
    if module.is_route:
        yield from _handler_names(module)
        yield from _unverified(module, around)
        yield from _open_writes(module, around)
        yield from _cors(module)
    if before is not None:
        yield from _weaker(module, before)


# -- routes


def _handler_names(module: Module) -> Found:
    for name, function in module.functions().items():
        if name.upper() in HANDLERS and name.upper() != name:
            yield module.finding(function, "TRN104", f"{name!r} is not a handler", f"name it {name.upper()}")


_VERIFIERS = re.compile(r"turnout\.webhooks\b")
_VERIFYING = re.compile(r"(?:^|[._])(?:verify\w*|construct_event|webhook|compare_digest)$")


def _unverified(module: Module, around: _Around) -> Found:
    post = module.functions().get("POST") or module.constants().get("POST")
    if post is None or "webhook" not in module.path:
        return
    if _open(module) and not any(_VERIFYING.search(name) for _, name in module.calls()):
        # Verification may stand in lib/, in what this route imports.
        for name in sorted(set(module.names.values())):
            text = around.text(name.rpartition(".")[0].replace(".", "/") + ".py") or ""
            if _VERIFIERS.search(text) or "compare_digest" in text:
                return
        yield module.finding(
            post, "TRN109", "anybody may send this webhook", "POST = stripe.webhook(secrets=...), from turnout.webhooks"
        )


def _open(module: Module) -> bool:
    """Whether the route asks nobody who they are."""
    word = text_of(module.constants().get("auth"))
    return word in (None, "public") and not any(
        name.rpartition(".")[2] in ("require_user", "get_user") for _, name in module.calls()
    )


def _open_writes(module: Module, around: _Around) -> Found:
    if not around.owned or not _open(module) or _guarded_above(module.path, around):
        return
    for node, links in chains(module):
        table = text_of(argument(links.get("from_") or links["table"], "table", 0))
        verb = next((verb for verb in ("insert", "update", "upsert", "delete") if verb in links), None)
        if verb and (table or "").lower() in around.owned:
            yield module.finding(
                node, "TRN110", f"{verb}() on {table}, whose rows are users', without auth", 'auth = "user"'
            )


def _guarded_above(path: str, around: _Around) -> bool:
    folders = Path(path).parent
    return any(
        re.search(r"\b(?:require_user|get_user)\b", around.text((folder / "middleware.py").as_posix()) or "")
        for folder in (folders, *folders.parents)
    )


def _cors(module: Module) -> Found:
    value = module.constants().get("cors")
    if isinstance(value, ast.Dict):
        said = {text_of(key): item for key, item in zip(value.keys, value.values, strict=True)}
        origins = {
            text_of(node) for item in (said.get("origins"), said.get("origin")) if item for node in ast.walk(item)
        }
        credentials = said.get("credentials")
        if "*" in origins and isinstance(credentials, ast.Constant) and credentials.value is True:
            yield module.finding(
                value, "TRN112", "every origin may send cookies here", "name the origins, or leave credentials out"
            )


# -- the environment and imports


def _environment(module: Module, around: _Around) -> Found:
    fix = "declare it: === env, and a line of .env.example"
    inner = {id(node.value) for node in module.nodes if isinstance(node, (ast.Subscript, ast.Attribute))}
    for node in module.nodes:
        if (
            isinstance(node, (ast.Name, ast.Attribute))
            and module.dotted(node) == "os.environ"
            and id(node) not in inner
        ):
            yield module.finding(
                node, "TRN121", "the whole environment is handed on", "read the one name that is needed"
            )
        name = _env_name(module, node)
        if name and name not in around.env and not _FRAMEWORK_ENV.fullmatch(name):
            yield module.finding(node, "TRN107", f"{name} is declared nowhere", fix)


_ENVIRONMENTS = ("os.environ", "turnout.env", "env")


def _env_name(module: Module, node: ast.AST) -> str | None:
    if isinstance(node, ast.Subscript) and module.dotted(node.value) in _ENVIRONMENTS:
        return text_of(node.slice)
    if isinstance(node, ast.Call):
        name = module.dotted(node.func)
        if name == "os.getenv" or (name.endswith(".get") and name.rpartition(".")[0] in _ENVIRONMENTS):
            return text_of(argument(node, "key", 0))
        if name.endswith(".webhook"):
            secrets = text_of(argument(node, "secrets", 0))
            return secrets if secrets and re.fullmatch(r"[A-Z][A-Z0-9_]+", secrets) else None
    return None


def _imports(module: Module, around: _Around) -> Found:
    for node in module.nodes:
        wanted: list[tuple[str, str | None]]
        if isinstance(node, ast.Import):
            wanted = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            wanted = [(_absolute(module.path, node), alias.name) for alias in node.names]
        else:
            continue
        for name, attribute in wanted:
            problem = _unresolved(name, attribute, around)
            if problem is not None:
                yield module.finding(node, "TRN116", *problem)


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    folder = "/".join(path.split("/")[: -node.level])
    return "/" + "/".join(part for part in (folder, (node.module or "").replace(".", "/")) if part)


def _unresolved(name: str, attribute: str | None, around: _Around) -> tuple[str, str] | None:
    """What is wrong with an import, and the cure; None where it leads somewhere."""
    top = name.partition(".")[0]
    if name.startswith("/"):
        return _in_project(name[1:], attribute, around)
    if around.exists(top) or around.exists(f"{top}.py"):
        return _in_project(name.replace(".", "/"), attribute, around)
    if top in sys.stdlib_module_names:
        return None
    if top == "turnout":
        return _in_turnout(name, attribute)
    try:
        found = find_spec(top) is not None
    except (ImportError, ValueError):
        found = False
    if found:
        return None
    return (
        f"{top} is not installed",
        "use what is there, or ask for it in === needs; nothing is installed by itself",
    )


def _in_project(path: str, attribute: str | None, around: _Around) -> tuple[str, str] | None:
    fix = "import what is there, or write the file too"
    if attribute is not None and (around.exists(f"{path}/{attribute}.py") or around.exists(f"{path}/{attribute}")):
        return None
    text = around.text(f"{path}.py")
    if text is None:
        text = around.text(f"{path}/__init__.py")
        if text is None:
            return None if attribute is None and around.exists(path) else (f"there is no {path}.py", fix)
    if attribute in (None, "*") or re.search(rf"(?<!\w){re.escape(str(attribute))}(?!\w)", text):
        return None
    return f"{path}.py has no {attribute}", fix


def _in_turnout(name: str, attribute: str | None) -> tuple[str, str] | None:
    from importlib import import_module

    fix = "see turnout/docs; turnout is not FastAPI, Flask or Next"
    if "__" in name:  # turnout.__main__ runs when it is imported
        return f"{name} is not to be imported", fix
    try:
        module = import_module(name)
    except ImportError:
        return f"there is no {name}", fix
    if attribute in (None, "*") or hasattr(module, str(attribute)):
        return None
    try:
        return None if find_spec(f"{name}.{attribute}") else (f"{name} has no {attribute}", fix)
    except (ImportError, ValueError):
        return f"{name} has no {attribute}", fix


# -- weaker than before


def _weaker(module: Module, before: str) -> Found:
    try:
        old = Module(module.path, before)
    except (SyntaxError, ValueError):
        return
    fix = "leave it as strict as it was; loosen it by hand if it is meant"
    yield from (module.finding(node, "TRN113", what, fix) for node, what in _loosened(old, module))
    if module.is_test:
        gone = sorted(name for name in old.functions() if name.startswith("test") and name not in module.functions())
        if gone:
            yield module.finding(None, "TRN114", f"the test {gone[0]} is removed", "keep it; change it if it is wrong")


def _loosened(old: Module, new: Module) -> Iterator[tuple[ast.AST | None, str]]:
    was, now = old.constants(), new.constants()
    if module_auth(old) and module_auth(old) != module_auth(new) and not _stricter(module_auth(old), module_auth(new)):
        yield now.get("auth"), f"auth was {module_auth(old)!r} and is {module_auth(new)!r}"
    if (text_of(was.get("rate_limit")) or "") and _rate(now.get("rate_limit")) > _rate(was.get("rate_limit")):
        yield now.get("rate_limit"), "the rate limit is looser than before"
    if new.is_route and _size(now.get("body_limit")) > _size(was.get("body_limit")):
        yield now.get("body_limit"), "the body limit is higher than before"
    if now.get("cors") is not None and _dump(now["cors"]) != _dump(was.get("cors")) and "'*'" in _dump(now["cors"]):
        yield now["cors"], "CORS is open to every origin, and was not"
    for what in ("require_user", "policy", "compare_digest", "verify", "webhook", "rate_limit"):
        if _count(new, what) < _count(old, what):
            yield None, f"{what}() is called less often than before"


def module_auth(module: Module) -> str | None:
    """The route's ``auth`` where it keeps anybody out."""
    word = text_of(module.constants().get("auth"))
    return None if word == "public" else word


def _stricter(was: str | None, now: str | None) -> bool:
    return was == "user" and now not in (None, "user")


def _rate(node: ast.expr | None) -> float:
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d*)\s*([smhd])\w*\s*", (text_of(node) or "").lower())
    if found is None:
        return float("inf")
    return int(found[1]) / (int(found[2] or 1) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[3]])


def _size(node: ast.expr | None) -> int:
    from ..routing.module import _read_size

    value = node.value if isinstance(node, ast.Constant) else None
    return _read_size(value) or 0


def _dump(node: ast.expr | None) -> str:
    return "" if node is None else ast.dump(node)


def _count(module: Module, what: str) -> int:
    return sum(name.rpartition(".")[2] == what for _, name in module.calls())
