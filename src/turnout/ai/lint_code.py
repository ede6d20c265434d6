"""What may not stand in generated Python, whatever it is for: rules that look at one file by its syntax tree.

A rule is a generator of findings and knows nothing of the disk. It sees names through their imports, so
``from os import system as s`` hides nothing; what Python can still hide (``getattr`` with a made-up name, an
attribute that leads to the interpreter) is refused as such. The jail is the wall; this is the sieve before it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from ..log import HIDDEN, redact_tokens
from .changeset import Finding

Found = Iterator[Finding]

HANDLERS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH")
WRITES = frozenset(("POST", "PUT", "DELETE", "PATCH"))


class Module:
    """One Python file, parsed, with the names that its imports bind.

    Raises:
        SyntaxError: it is no Python.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self.tree = ast.parse(text)
        self.nodes = list(ast.walk(self.tree))
        self.is_test = path.startswith("tests/")
        self.is_route = path.startswith("app/") and path.endswith("/route.py")
        self.names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    short = alias.name.partition(".")[0]
                    self.names[alias.asname or short] = alias.name if alias.asname else short
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def dotted(self, node: ast.AST) -> str:
        """``os.system`` of whatever *node* calls it here; "" if it is no plain chain of names."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            left = self.dotted(node.value)
            return f"{left}.{node.attr}" if left else ""
        return ""

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Every call and the dotted name of what it calls."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                yield node, self.dotted(node.func)

    def functions(self) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
        """The functions at the top level."""
        return {node.name: node for node in self.tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}

    def constants(self) -> dict[str, ast.expr]:
        """The values that names have at the top level."""
        found: dict[str, ast.expr] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign):
                found.update((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                found[node.target.id] = node.value
        return found

    def finding(self, node: ast.AST | None, code: str, message: str, fix: str) -> Finding:
        """A finding at *node*."""
        return Finding(self.path, getattr(node, "lineno", None), code, message, fix)


def text_of(node: ast.AST | None) -> str | None:
    """The text that *node* is, if it is a literal one."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def argument(call: ast.Call, name: str, place: int | None = None) -> ast.expr | None:
    """The argument *name* of *call*, or the one at *place*."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[place] if place is not None and place < len(call.args) else None


# -- the interpreter and the machine

_CODE = frozenset(("eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path", "code.interact"))
_CODE_MODULES = frozenset(("pickle", "marshal", "shelve", "dill", "cloudpickle", "ctypes", "cffi", "subprocess", "pty"))
_CODE_MODULES |= {"multiprocessing", "runpy", "code", "codeop", "imp", "jsonpickle"}
_CODE_STARTS = ("os.exec", "os.spawn", "os.posix_spawn", "os.fork", "asyncio.create_subprocess")
_INSIDE_MODULES = frozenset(("gc", "inspect", "atexit", "importlib", "builtins", "faulthandler", "sys", "site", "mmap"))
_INSIDE_MODULES |= {"_thread", "_ctypes", "pdb", "trace", "tracemalloc", "pytest", "unittest"}
_HARMLESS = frozenset(
    ("sys.maxsize", "sys.version_info", "sys.platform", "inspect.iscoroutinefunction", "inspect.isawaitable",
     "importlib.resources", "importlib.metadata")
)  # fmt: skip
_TEST_TOOLS = frozenset(("pytest", "unittest", "inspect", "importlib"))
_DUNDERS = frozenset(
    ("__globals__", "__builtins__", "__subclasses__", "__bases__", "__mro__", "__code__", "__closure__",
     "__loader__", "__spec__", "__dict__", "__getattribute__", "__reduce__", "__reduce_ex__", "f_globals",
     "f_locals", "f_back", "gi_frame", "cr_frame", "tb_frame")
)  # fmt: skip
_REACHES = frozenset(("globals", "locals", "vars", "breakpoint", "input", "delattr", "os._exit", "os.abort", "os.kill"))


def runs_code(module: Module) -> Found:
    """TRN101."""
    fix = "say it in plain Python; decode JSON with a model, and leave programs to the machine"
    for node in module.nodes:
        for name in _imported(node):
            if name.partition(".")[0] in _CODE_MODULES:
                yield module.finding(node, "TRN101", f"{name} turns data into code or starts programs", fix)
    for call, name in module.calls():
        if name.removeprefix("builtins.") in _CODE or name.startswith(_CODE_STARTS):
            yield module.finding(call, "TRN101", f"{name}() turns data into code or starts programs", fix)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def reaches_inside(module: Module) -> Found:
    """TRN118."""
    fix = "use what turnout exports; routes need nothing of the interpreter's"
    for node in module.nodes:
        for name in _imported(node):
            if _is_inside(name, module):
                yield module.finding(node, "TRN118", f"{name} reaches into the interpreter or the tools", fix)
        if isinstance(node, ast.Attribute) and node.attr in _DUNDERS:
            yield module.finding(node, "TRN118", f".{node.attr} reaches into the interpreter", fix)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)) and not module.is_test:
            left = module.dotted(node.value)
            if _is_foreign(left, module):
                yield module.finding(node, "TRN118", f"{left}.{node.attr} belongs to another module", fix)
    for call, name in module.calls():
        bare = name.removeprefix("builtins.")
        if bare in _REACHES or name.startswith("sys._"):
            yield module.finding(call, "TRN118", f"{name}() reaches into the interpreter", fix)
        if bare == "setattr" and call.args and _is_foreign(module.dotted(call.args[0]), module) and not module.is_test:
            yield module.finding(call, "TRN118", f"setattr() on {module.dotted(call.args[0])}, another module's", fix)
        if bare in ("getattr", "setattr", "hasattr") and text_of(argument(call, "", 1)) is None and len(call.args) > 1:
            yield module.finding(call, "TRN118", f"{bare}() with a name that is made up as it runs", fix)


def _is_foreign(name: str, module: Module) -> bool:
    """Whether *name* was imported, and not from the project."""
    imported = set(module.names.values())
    return name.partition(".")[0] not in ("lib", "app", "") and any(
        name == each or name.startswith(f"{each}.") for each in imported
    )


def _is_inside(name: str, module: Module) -> bool:
    top = name.partition(".")[0]
    if name in _HARMLESS or name.rpartition(".")[0] in _HARMLESS or (module.is_test and top in _TEST_TOOLS):
        return False
    if top == "sys":
        return any(
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and module.names.get(node.value.id) == "sys"
            and f"sys.{node.attr}" not in _HARMLESS
            for node in module.nodes
        ) or (name != "sys")
    return top in _INSIDE_MODULES or name.startswith(("turnout.ai", "turnout.cli", "turnout.dev", "turnout.project"))


def private_files(module: Module) -> Found:
    """TRN120."""
    pattern = re.compile(
        r"(?:^|/)(?:\.env(?!\.example)\b|\.turnout/|\.ssh/|\.git/|id_(?:rsa|ed25519)$)|^/(?:etc|proc|root)/"
    )
    for node in module.nodes:
        text = text_of(node)
        if text is not None and "\n" not in text and pattern.search(text):
            yield module.finding(
                node, "TRN120", f"{text[:60]!r} is a private file", "read settings by env[...], and no other file of it"
            )


# -- secrets and the network

_SECRET_NAME = re.compile(r"(?:^|_)(?:secret|token|password|passwd|api_?key|private_?key)s?$", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"[a-z ._-]+", re.IGNORECASE)


def secret_literals(module: Module) -> Found:
    """TRN103."""
    fix = "put it in .env.local, name it in === env, and read it by env[...]"
    for node in module.nodes:
        text = text_of(node)
        if text is not None and len(text) >= 12 and HIDDEN in redact_tokens(text) and not module.is_test:
            yield module.finding(node, "TRN103", "this text has the shape of a secret", fix)
    if module.is_test:
        return
    for node in module.nodes:
        named = [*_assigned(node)]
        for name, value in named:
            text = text_of(value)
            if text and len(text) >= 8 and _SECRET_NAME.search(name) and not _PLACEHOLDER.fullmatch(text):
                yield module.finding(value, "TRN103", f"{name} is written into the program", fix)


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg, node.value


_TLS_OFF = frozenset(("ssl._create_unverified_context", "ssl._create_default_https_context"))


def tls_off(module: Module) -> Found:
    """TRN102."""
    fix = "leave the check on; a private authority goes into the machine's certificates"
    for node in module.nodes:
        off = isinstance(node, ast.keyword) and node.arg in ("verify", "verify_ssl", "ssl", "check_hostname")
        if off and isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant) and node.value.value is False:
            yield module.finding(node.value, "TRN102", f"{node.arg}=False switches a check of TLS off", fix)
        if isinstance(node, ast.Attribute) and module.dotted(node) in (*_TLS_OFF, "ssl.CERT_NONE"):
            yield module.finding(node, "TRN102", f"{module.dotted(node)} switches the check of certificates off", fix)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is False:
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr == "check_hostname":
                    yield module.finding(node, "TRN102", "check_hostname = False switches a check of TLS off", fix)


_BLOCKING = frozenset(
    ("time.sleep", "urllib.request.urlopen", "urllib.request.urlretrieve", "sqlite3.connect", "smtplib.SMTP",
     "smtplib.SMTP_SSL", "socket.create_connection", "socket.getaddrinfo", "socket.gethostbyname", "input",
     "http.client.HTTPConnection", "http.client.HTTPSConnection", "psycopg2.connect", "httpx.Client")
)  # fmt: skip
_BLOCKING_STARTS = ("requests.",)
_HTTPX = frozenset(
    f"httpx.{verb}" for verb in ("get", "post", "put", "patch", "delete", "head", "options", "request", "stream")
)


def blocking(module: Module) -> Found:
    """TRN106."""
    for function in module.nodes:
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for node in _own_nodes(function):
            if not isinstance(node, ast.Call):
                continue
            name = module.dotted(node.func)
            if name in _BLOCKING or name in _HTTPX or name.startswith(_BLOCKING_STARTS):
                yield module.finding(
                    node, "TRN106", f"{name}() makes every other request wait", "await its async form, or use def"
                )


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What runs in *function* itself, and not in a function inside it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from _own_nodes(child)


# -- data

_SQL = re.compile(
    r"\s*(?:select|insert|update|delete|with|create|alter|drop|truncate|replace|merge)\b.*\b", re.I | re.S
)
_SQL_CALLS = ("sql", "execute", "executemany", "fetch", "fetchrow", "fetchval", "executescript", "raw")


def made_sql(module: Module) -> Found:
    """TRN105."""
    fix = 'write one literal text with :names, and give the values: db.sql("... where id = :id", id=id)'
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SQL_CALLS:
            if node.args and _is_made(node.args[0]):
                yield module.finding(node.args[0], "TRN105", "SQL is put together from pieces", fix)
        elif _is_made(node) and _SQL.match(_first_text(node) or "") and _looks_like_sql(_first_text(node) or ""):
            yield module.finding(node, "TRN105", "SQL is put together from pieces", fix)


def _is_made(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mod, ast.Add)):
        return _first_text(node) is not None and not _is_literal(node)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("format", "format_map", "replace", "join")
        and text_of(node.func.value) is not None
    )


def _is_literal(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and _is_literal(node.left) and _is_literal(node.right)
    return text_of(node) is not None


def _first_text(node: ast.AST) -> str | None:
    """The text that *node* begins with."""
    if isinstance(node, ast.JoinedStr):
        return _first_text(node.values[0]) if node.values else None
    if isinstance(node, ast.BinOp):
        return _first_text(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _first_text(node.func.value)
    return text_of(node)


def _looks_like_sql(text: str) -> bool:
    return re.search(r"\b(?:from|into|set|table|where|values)\b", text, re.I) is not None


_FILTERS = frozenset(
    ("eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "is_", "in_", "not_in", "contains", "contained_by",
     "overlaps", "text_search", "match", "filter", "not_", "or_", "like_all_of", "like_any_of", "ilike_all_of",
     "ilike_any_of")
)  # fmt: skip


def chains(module: Module) -> Iterator[tuple[ast.Call, dict[str, ast.Call]]]:
    """Each whole chain of calls that begins at a table, with its links by name."""
    inner = {
        id(node.func.value)
        for node in module.nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    for node in module.nodes:
        if not isinstance(node, ast.Call) or id(node) in inner:
            continue
        links: dict[str, ast.Call] = {}
        at: ast.AST = node
        while isinstance(at, ast.Call) and isinstance(at.func, ast.Attribute):
            links.setdefault(at.func.attr, at)
            at = at.func.value
        if "from_" in links or "table" in links:
            yield node, links


def unfiltered(module: Module) -> Found:
    """TRN111."""
    for node, links in chains(module):
        verb = "delete" if "delete" in links else "update"
        if verb in links and (module.is_test is False) and ("all_rows" in links or not _FILTERS & links.keys()):
            yield module.finding(
                node, "TRN111", f"{verb}() changes every row of the table", 'name the rows: .eq("id", id)'
            )


def raw_json(module: Module) -> Found:
    """TRN108."""
    if not module.is_route or "webhook" in module.path:
        return
    for name, function in module.functions().items():
        if name not in WRITES:
            continue
        for node in _own_nodes(function):
            bare = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "json"
            if bare and isinstance(node, ast.Call) and not node.args and not node.keywords:
                owner = node.func.value if isinstance(node.func, ast.Attribute) else None
                if isinstance(owner, ast.Name) and owner.id == "request":
                    yield module.finding(
                        node,
                        "TRN108",
                        f"{name} takes any JSON",
                        f"say what fits: async def {name}(request, body: Model)",
                    )


# -- tests

_SKIPS = frozenset(("skip", "skipif", "xfail", "importorskip"))


def skipped_tests(module: Module) -> Found:
    """TRN114."""
    if not module.is_test:
        return
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr in _SKIPS and module.dotted(node).startswith("pytest."):
            yield module.finding(node, "TRN114", f"pytest.{node.attr} keeps a test from running", "let it run")
    for name in ("collect_ignore", "collect_ignore_glob", "pytest_plugins"):
        if name in module.constants():
            yield module.finding(module.constants()[name], "TRN114", f"{name} changes what pytest runs", "leave it out")
    for name, function in module.functions().items():
        if name.startswith("pytest_"):
            yield module.finding(function, "TRN114", f"{name} changes how tests are judged", "use a fixture")
        if name.startswith("test") and not _asserts(function, module):
            yield module.finding(function, "TRN114", f"{name} asserts nothing", "compare what came with what should")


def _asserts(function: ast.AST, module: Module) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if isinstance(node, ast.Call) and module.dotted(node.func) == "pytest.raises":
            return True
        # A helper at the top level may hold the assert: one step is followed.
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            helper = module.functions().get(node.func.id)
            if helper is not None and any(isinstance(inner, ast.Assert) for inner in ast.walk(helper)):
                return True
    return False


RULES: tuple[Callable[[Module], Found], ...] = (
    runs_code,
    reaches_inside,
    private_files,
    secret_literals,
    tls_off,
    blocking,
    made_sql,
    unfiltered,
    raw_json,
    skipped_tests,
)
