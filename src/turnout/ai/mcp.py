"""The MCP server of a project: live state for coding agents, and the recipes; knowledge stays in the documentation.

It has no tool that runs commands or SQL and none that asks a model: whoever calls is a model already. Whatever loads
the project's code does so in a process of its own, on a database that is thrown away. Of the environment it gives the
names that ``.env.example`` lists, and no value. Answers have at most 8 KB and say what they left off.

The official ``mcp`` package speaks the protocol. By HTTP it answers this machine alone: the address is a loopback
one, ``Host`` and ``Origin`` are compared with a list, and each run has a token of its own.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..env import secret_values
from ..errors import ConfigError, TurnoutError
from ..log import Hidden
from .changeset import ChangeSet, FileChange, RouteClaim, sha256
from .redact import Redactor, is_private

if TYPE_CHECKING:
    from mcp.server import MCPServer

LARGEST = 8_000  # bytes of an answer
PATIENCE_S = 40
LOG = Path(".turnout") / "dev.log"
_LEVELS = ("debug", "info", "warning", "error", "critical")
INSTRUCTIONS = (
    "Live state of a Turnout project. Turnout is not FastAPI, Flask or Next.js: ask docs before writing a route, "
    "recipe for one of the usual routes, and check after every change."
)
Scope = Any
App = Callable[[Any, Any, Any], Awaitable[None]]


class Tools:
    """What the server can do, without the protocol.

    Args:
        root: The project's folder.
        may_apply: Whether recipes may write into it.
    """

    def __init__(self, root: Path, *, may_apply: bool = True) -> None:
        self.root, self.may_apply = root, may_apply

    async def routes(self) -> dict[str, Any]:
        """List every route: method, path, auth, rate limit, statuses, file and line."""
        return fit(await self._look("routes"), "routes")

    async def schema(self) -> dict[str, Any]:
        """List the tables that the migrations make, and the names of environment variables; never their values."""
        return fit(await self._look("schema"), "tables")

    async def errors(self) -> dict[str, Any]:
        """List everything that would stop the start, with file, line and cure, as ``turnout check`` does."""
        output = await self._run(["-m", "turnout", "check", "--json", str(self.root)], "")
        return fit(dict(json.loads(output)), "problems")

    async def logs(self, tail: int = 50, level: str = "info") -> dict[str, Any]:
        """Read the newest lines that ``turnout dev`` has logged.

        Args:
            tail: How many lines, 200 at most.
            level: The least of debug, info, warning, error, critical.
        """
        if level not in _LEVELS:
            raise ConfigError(f"there is no level {level!r}", cure=f"one of {', '.join(_LEVELS)}")
        least = _LEVELS.index(level)
        file = self.root / LOG
        if not file.is_file():
            return {"lines": [], "note": "nothing is logged yet: turnout dev writes .turnout/dev.log"}
        redact = Redactor(self.root)
        lines = [json.loads(redact(line)) for line in file.read_text(errors="replace").splitlines() if line[:1] == "{"]
        found = [line for line in lines if _LEVELS.index(line.get("level", "info")) >= least]
        newest = found[-max(1, min(tail, 200)) :]
        return fit({"lines": newest[::-1]}, "lines")

    async def call_route(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Call a route in test mode, on an empty migrated database that is thrown away afterwards.

        Args:
            method: GET, POST, PUT, PATCH, DELETE ...
            path: Path and query: /api/posts?page=2.
            body: Sent as it is; as JSON if it looks like it and no content-type is given.
            headers: Fields by name.
        """
        fields = {name.lower(): value for name, value in (headers or {}).items()}
        if body and "content-type" not in fields:
            looks_json = body.lstrip()[:1] in ("{", "[")
            fields["content-type"] = "application/json" if looks_json else "application/x-www-form-urlencoded"
        question = {"method": method.upper(), "path": path, "body": body, "headers": fields}
        return fit(await self._look("call", **question), "")

    async def check(self, paths: list[str]) -> dict[str, Any]:
        """Judge files that you have written: paths, lint, routes, types, migrations, probes, tests, in a jail.

        They are compared with the last commit, or, outside of git, with a project that lacks them.

        Args:
            paths: The files of one change, relative to the project; its tests belong to it.
        """
        from .gates import run_gates

        with tempfile.TemporaryDirectory(prefix="turnout-check-", ignore_cleanup_errors=True) as folder:
            base = Path(folder) / "project"
            change = await self._change(base, paths)
            verdict = await run_gates(base, change, sandbox="auto")
        redact = Redactor(self.root)
        gates = [
            {"name": each.name, "ok": each.ok, "findings": [redact(str(one)) for one in each.findings],
             "notes": [redact(note) for note in each.notes]}
            for each in verdict.reports
        ]  # fmt: skip
        return fit({"proved": verdict.proved, "gates": gates}, "gates")

    async def docs(self, query: str) -> dict[str, Any]:
        """Search the documentation of the installed version; gives sections, and where their pages are.

        Args:
            query: A few words: "signed webhook", "limit requests by user".
        """
        from ..docs import folder, search

        found = [
            {"page": each.path, "place": each.place, "heading": each.heading, "excerpt": each.excerpt}
            for each in search(query)
        ]
        return fit({"folder": str(folder()), "sections": found}, "sections")

    async def recipe(self, name: str = "", args: dict[str, str] | None = None, apply: bool = False) -> dict[str, Any]:
        """Write one of the usual routes, with its tests and migration; without a name, list what there is.

        Args:
            name: stripe-webhook, signup-email, crud, auth-route, contact-form, proxy, cron, upload, health, webhook.
            args: Its arguments by name.
            apply: Prove it in a jail and write it into the project; else it is only shown.
        """
        from .recipes import RECIPES
        from .view import ProjectView

        if not name:
            listed = [{"name": each.name, "does": each.summary, "usage": each.usage()} for each in RECIPES.values()]
            return {"recipes": listed}
        if name not in RECIPES:
            raise ConfigError(f"there is no recipe {name!r}", cure=f"there are {', '.join(RECIPES)}")
        if apply:
            return fit(await self._apply(name, args or {}), "gates")
        change = RECIPES[name].plan(ProjectView(self.root), args or {})
        return fit(
            {**_about(change), "files": [{"path": each.path, "text": each.text} for each in change.files]}, "files"
        )

    async def _apply(self, name: str, args: Mapping[str, str]) -> dict[str, Any]:
        from .create import Gate, create

        if not self.may_apply:
            raise ConfigError("this server writes nothing", cure="start it without --read-only")
        gates = []
        async with create("", project=self.root, recipe=name, arguments=args) as run:
            async for event in run.events():
                if isinstance(event, Gate):
                    gates.append({"name": event.name, "ok": event.ok, "findings": event.report, "notes": event.notes})
            written = run.apply() if run.proved else []
            about = _about(run.change) if run.change is not None else {}
        return {**about, "proved": run.proved, "run": run.id, "written": written, "gates": gates}

    async def _change(self, base: Path, paths: list[str]) -> ChangeSet:
        """The change that *paths* are, with *base* as the project without it."""
        from .gates.place import copy

        files = []
        copy(self.root, base)
        for path in dict.fromkeys(paths):
            place = self.root / path
            if is_private(path) or not place.resolve().is_relative_to(self.root.resolve()):
                raise ConfigError(
                    f"{path} is private, or not of this project", cure="name files of app, lib, tests ..."
                )
            committed = await self._committed(path)
            text = place.read_text(encoding="utf-8") if place.is_file() else None
            if text is None and committed is None:
                raise ConfigError(f"there is no file {path}", cure="paths are relative to the project's folder")
            (base / path).parent.mkdir(parents=True, exist_ok=True)
            if committed is None:
                (base / path).unlink(missing_ok=True)
            else:
                (base / path).write_bytes(committed)
            files.append(FileChange(path, None if committed is None else sha256(committed), text))
        after, before = await self._routes_of(self.root), await self._routes_of(base)
        claims = [
            RouteClaim(method, path, auth)
            for (method, path), auth in sorted(after.items())
            if (method, path) not in before and method not in ("HEAD", "OPTIONS")
        ]
        return ChangeSet(summary="files of the project", contract=claims, files=files)

    async def _routes_of(self, root: Path) -> dict[tuple[str, str], str | None]:
        found = await self._look("routes", root=str(root))
        return {(each["method"], each["path"]): each["auth"] for each in found.get("routes", ())}

    async def _committed(self, path: str) -> bytes | None:
        """*path* as of the last commit."""
        git = shutil.which("git")
        if git is None:
            return None
        process = await asyncio.create_subprocess_exec(
            git, "-C", str(self.root), "show", f"HEAD:./{path}",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        output, _ = await process.communicate()
        return output if process.returncode == 0 else None

    async def _look(self, what: str, **question: Any) -> dict[str, Any]:
        asked = {"what": what, "root": str(self.root), **question}
        found: dict[str, Any] = json.loads(await self._run(["-m", "turnout.ai.look"], json.dumps(asked)))
        if "error" in found:
            raise ConfigError(found["error"], cure=found.get("cure"))
        return found

    async def _run(self, arguments: list[str], text: str) -> bytes:
        """What a Python of our own prints, asked *text*; it is ended when it takes too long."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=self.root, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE_S):
                output, said = await process.communicate(text.encode())
        except BaseException as exc:
            process.kill()
            await process.wait()
            if isinstance(exc, TimeoutError):
                raise ConfigError(f"no answer within {PATIENCE_S} s", cure="look for what waits at import") from exc
            raise
        if not output:
            last = Redactor(self.root)(said.decode(errors="replace"))[-1_500:]
            raise ConfigError(f"the project could not be looked at:\n{last}", cure="turnout check says more")
        return output


def _about(change: ChangeSet) -> dict[str, Any]:
    routes = [f"{each.method} {each.path} auth={each.auth}" for each in change.contract]
    return {"summary": change.summary, "routes": routes, "environment": change.env, "needs": change.needs}


def fit(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """*answer* in 8 KB: items of the list *name* are left off from its end, and texts in it cut, until it fits."""
    items = answer.get(name)
    if not isinstance(items, list) or _size(answer) <= LARGEST:
        return answer
    kept = [dict(each) for each in items]
    for each in kept:
        for key in ("text", "excerpt", "traceback", "message"):
            if isinstance(each.get(key), str) and len(each[key]) > 1_000:
                each[key] = each[key][:1_000] + "…"
    while kept and _size({**answer, name: kept, "left_off": len(items) - len(kept)}) > LARGEST:
        kept.pop()
    return {**answer, name: kept, "left_off": len(items) - len(kept)}


def _size(answer: Any) -> int:
    return len(json.dumps(answer).encode())


def server(tools: Tools) -> MCPServer:
    """The MCP server with *tools*.

    Raises:
        ConfigError: the package ``mcp`` is not installed.
    """
    try:
        from mcp.server import MCPServer
        from mcp_types import ToolAnnotations
    except ImportError as exc:
        raise ConfigError("turnout mcp needs the package mcp", cure='pip install "turnout[ai]"') from exc
    from importlib.metadata import version

    made = MCPServer("turnout", instructions=INSTRUCTIONS, version=version("turnout"), log_level="WARNING")
    for name in ("routes", "schema", "errors", "logs", "call_route", "check", "docs", "recipe"):
        writes = name == "recipe"
        hints = ToolAnnotations(read_only_hint=not writes, destructive_hint=False, open_world_hint=False)
        made.add_tool(_told(getattr(tools, name)), name=name, annotations=hints, structured_output=True)
    return made


def _told(tool: Callable[..., Awaitable[dict[str, Any]]]) -> Callable[..., Awaitable[dict[str, Any]]]:
    """*tool*, whose errors of Turnout say what, where and the cure, and hold no secret."""
    from functools import wraps

    @wraps(tool)
    async def told(*args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return await tool(*args, **kwargs)
        except TurnoutError as exc:
            cure = getattr(exc, "cure", None)
            text = f"{exc}" + (f" — fix: {cure}" if cure else "")
            return {"error": Hidden(secret_values).sub(text)}

    return told


async def serve_stdio(root: Path, *, may_apply: bool) -> None:
    """Serve on standard input and output until that ends."""
    await server(Tools(root, may_apply=may_apply)).run_stdio_async()


def http_app(tools: Tools, port: int, token: str) -> App:
    """The server as an ASGI app at ``/mcp`` for the loopback address and *port*, behind *token*."""
    from mcp.server.transport_security import TransportSecuritySettings

    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    allowed = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts])
    app = server(tools).streamable_http_app(transport_security=allowed, json_response=True, stateless_http=True)
    return guarded(app, frozenset(hosts), token)


def guarded(app: App, hosts: frozenset[str], token: str) -> App:
    """*app* for who knows *token* and comes from this machine; all others are refused before anything is read.

    A page on another site reaches a loopback port by a name of its own that leads here, so ``Host`` is compared, and
    ``Origin`` where a browser sends one; no answer lets another origin read it.
    """
    wanted = f"Bearer {token}".encode()

    async def guard(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        fields = [(name.lower(), value) for name, value in scope["headers"]]
        said = [value.decode("latin-1") for name, value in fields if name == b"host"]
        origins = [value.decode("latin-1") for name, value in fields if name == b"origin"]
        given = next((value for name, value in fields if name == b"authorization"), b"")
        if len(said) != 1 or said[0].lower() not in hosts:
            await _refuse(send, 421)
        elif any(origin.lower().removeprefix("http://") not in hosts for origin in origins):
            await _refuse(send, 403)
        elif not hmac.compare_digest(given, wanted):
            await _refuse(send, 401)
        else:
            await app(scope, receive, send)

    return guard


async def _refuse(send: Any, status: int) -> None:
    fields = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b""})
