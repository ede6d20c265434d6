"""A documentation page run as a story: its blocks, from the top, against one project in a temporary folder.

How a page is written so that it runs (docs/index.md says the same to writers):

- A ``python``, ``toml``, ``ini``, ``sql``, ``html`` or ``text`` block whose first line is a comment with a
  path (``# app/api/hello/route.py``) is a file of the project, whole.
- Other ``python`` runs as a script. ``expression  # -> value`` is compared, ``# raises Name`` must raise.
- ``python fastapi`` is a whole program of FastAPI's; the next ``http`` block is asked of both.
- ``console`` holds ``$ command`` lines with what they print. ``curl`` goes to the project through
  ``turnout.testing.Client`` and must succeed, or give the status of a comment such as ``# 404``.
- ``http`` holds a request a line: ``POST /api/posts {"title": "x"} -> 201 {"id":1}``.
- ``sh``, ``toml``, ``ini``, ``sql``, ``json``, ``html``, ``nginx``, ``haproxy`` and ``typescript`` are parsed as far
  as we can. ``text`` is for people. Any other kind fails.

In expected text ``…`` stands for anything.
"""

from __future__ import annotations

import ast
import asyncio
import configparser
import inspect
import io
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from turnout.config import load_config
from turnout.db import db, migrate
from turnout.env import env, parse_env
from turnout.routing.module import unload
from turnout.testing import Answer, Client

REPOSITORY = Path(__file__).parents[2]
PYPROJECT = '[tool.turnout]\nallowed_hosts = ["localhost", "127.0.0.1"]\n'

_fence = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```\s*$", re.MULTILINE | re.DOTALL)
_path = re.compile(r"(?:#|--|//|<!--) (\S*(?:\.\w+|\.env[\w.]*))(?: -->)?").fullmatch
_own_command = re.compile(r"(?:[A-Z_]+=\S* )*(?:\S*/)?turnout ((?!-)[a-z]+)( [^|>]*)?").match
_exchange = re.compile(r"([A-Z]+) (\S+)(?: (.+?))? -> (\d{3})(?: (.+))?").fullmatch


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its kind and its text without indentation."""

    page: Path
    line: int
    kind: str
    text: str

    @property
    def path(self) -> str | None:
        """The file that this block is, if its first line says so."""
        first = self.text.partition("\n")[0].strip()
        found = _path(first)
        return found[1] if found else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of *page*, in order."""
    text = page.read_text()
    for found in _fence.finditer(text):
        indent = found[1]
        body = "".join(line.removeprefix(indent) for line in found[3].splitlines(keepends=True))
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[2].strip(), body)


class Story:
    """The project of one page, and the client that its requests go through."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.client: Client | None = None
        self.changed = False
        self.peer: Any = None  # a FastAPI app that the next requests are put to as well
        self.names: dict[str, Any] = {"__name__": "__main__"}
        (folder / "pyproject.toml").write_text(PYPROJECT)

    async def run(self, block: Block) -> None:
        """Do what *block* says; an AssertionError names its place."""
        if block.path is not None and block.kind in ("python", "toml", "ini", "sql", "html", "text"):
            await self.write(block.path, block)
            return
        step = getattr(self, f"run_{block.kind.replace(' ', '_')}", None)
        assert step is not None, f"{block}: nothing here knows how to check a block of kind {block.kind!r}"
        done = step(block)
        if inspect.isawaitable(done):
            await done

    # -- files and the app

    async def write(self, path: str, block: Block) -> None:
        """Make the file that *block* is; the app is loaded anew before the next request."""
        await self.close()
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        text = block.text.partition("\n")[2] if block.kind in ("html", "text") else block.text
        file.write_text(text)
        if file.suffix == ".py":
            compile(text, str(file), "exec")
        elif file.name.startswith(".env"):
            parse_env(text, file)
        elif file.name == "pyproject.toml":
            load_config(self.root, "test", {})
        self.changed = True

    async def app(self) -> Client:
        """The project as it is now, migrated and started."""
        if self.client is None:
            unload(self.root)
            (self.root / "data").mkdir(exist_ok=True)
            client = Client(root=self.root)
            if (self.root / "migrations").is_dir():
                await migrate.migrate(db, self.root / "migrations")
            self.client = await client.__aenter__()
            self.changed = False
        return self.client

    async def close(self) -> None:
        """End the client, if there is one."""
        if self.client is not None:
            client, self.client = self.client, None
            await client.__aexit__(None, None, None)

    async def end(self) -> None:
        """Load what no request has loaded, and leave nothing behind in this process."""
        try:
            if self.changed and any((self.root / "app").rglob("route.py")):
                await self.app()
        finally:
            await self.close()
            unload(self.root)
            env.unload()
            if str(self.root) in sys.path:
                sys.path.remove(str(self.root))

    # -- python

    async def run_python(self, block: Block) -> None:
        """Run a script statement by statement; compare the values that its comments give."""
        comments = {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(io.StringIO(block.text).readline)
            if token.type == tokenize.COMMENT
        }
        sys.path.insert(0, str(self.root))
        try:
            for node in ast.parse(block.text).body:
                said = comments.get(node.end_lineno or 0, "")
                place = f"{block} + {node.lineno}"
                if said.startswith("raises "):
                    wanted = said.split()[1].rstrip(":,")
                    try:
                        await self._statement(node, place)
                    except Exception as exc:
                        assert type(exc).__name__ == wanted, f"{place}: {exc!r}"
                    else:
                        raise AssertionError(f"{place}: raises nothing")
                    continue
                value = await self._statement(node, place)
                if said.startswith("->"):
                    expected = eval(said[2:], self.names)  # our own pages
                    assert value == expected, f"{place}: {value!r} is not {expected!r}"
        finally:
            sys.path.remove(str(self.root))

    async def _statement(self, node: ast.stmt, place: str) -> Any:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        if isinstance(node, ast.Expr):
            code = compile(ast.Expression(node.value), place, "eval", flags, dont_inherit=True)
        else:
            code = compile(ast.Module([node], []), place, "exec", flags, dont_inherit=True)
        value = eval(code, self.names)
        return await value if code.co_flags & inspect.CO_COROUTINE else value

    # -- requests

    async def run_http(self, block: Block) -> None:
        """One request a line, and its answer."""
        for line in filter(None, map(str.strip, block.text.splitlines())):
            found = _exchange(line)
            assert found, f"{block}: not METHOD /path [body] -> status [body]: {line}"
            method, target, body, status, expected = found.groups()
            client = await self.app()
            client.cookies.clear()
            headers = {"content-type": _guess_type(body)} if body else {}
            answer = await client.request(method, target, body=body or b"", headers=headers)
            assert answer.status == int(status), f"{block}: {line}\n{answer.status} {answer.text}"
            if expected is not None:
                same(answer.text.strip(), expected, f"{block}: {line}")
            if self.peer is not None:
                await self._ask_peer(method, target, body, int(status), expected, f"{block}: {line}, by FastAPI")
        self.peer = None

    async def _ask_peer(
        self, method: str, target: str, body: str | None, status: int, expected: str | None, place: str
    ) -> None:
        import httpx

        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.peer), base_url="http://localhost") as client:
            headers = {"content-type": _guess_type(body)} if body else {}
            answer = await client.request(method, target, content=body, headers=headers)
        assert answer.status_code == status, f"{place}\n{answer.status_code} {answer.text}"
        if expected is not None:
            same(answer.text.strip(), expected, place)

    async def run_console(self, block: Block) -> None:
        """Commands and what they print."""
        for command, expected in _commands(block):
            words = shlex.split(command, comments=True)
            place = f"{block}: {command}"
            if words[0] == "curl":
                status = re.search(r"#\s*(\d{3})\s*$", command)
                await self._curl(words[1:], int(status[1]) if status else None, expected, place)
            elif words[0] == "cd":
                await self.close()
                self.root = self.root / words[1]
                assert self.root.is_dir(), place
            elif words[:2] in (["turnout", "dev"], ["turnout", "start"]):
                await self.close()
                same(_ports(await asyncio.to_thread(_serve, words, self.root)), _ports(expected), place)
            else:
                await self.close()
                same(await asyncio.to_thread(_shell, command, self.root), expected, place)

    async def _curl(self, words: list[str], status: int | None, expected: str, place: str) -> None:
        asked = _Curl(words, self.root, place)
        client = await self.app()
        client.cookies.clear()
        answer = await client.request(asked.method, asked.target, headers=asked.headers, body=asked.body)
        if status is None and not asked.include:
            assert answer.ok or answer.status in (301, 302, 303, 307, 308), f"{place}\n{answer.status} {answer.text}"
        elif status is not None:
            assert answer.status == status, f"{place}\n{answer.status} {answer.text}"
        if asked.include:
            head, _, expected = expected.partition("\n\n")
            _same_head(answer, head, place)
        if expected or not asked.include:
            same(answer.text.rstrip("\n"), expected, place)

    def run_python_fastapi(self, block: Block) -> None:
        """A program of FastAPI's, whole, with its ``app``."""
        names: dict[str, Any] = {"__name__": "theirs"}
        exec(compile(block.text, str(block), "exec", dont_inherit=True), names)
        self.peer = names["app"]

    # -- what is only parsed

    def run_text(self, block: Block) -> None:
        """Trees and tables for people."""

    def run_sh(self, block: Block) -> None:
        """Commands that change a machine: their syntax, and the arguments of our own ones."""
        done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}: {done.stderr}"
        makefile = (REPOSITORY / "Makefile").read_text()
        extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for line in block.text.replace("\\\n", " ").splitlines():
            for command in line.partition("#")[0].split("&&"):
                if found := _own_command(command.strip()):
                    _parse_arguments(found[1], shlex.split(found[2] or ""), f"{block}: {line}")
            for extra in re.findall(r"turnout\[([\w,]+)\]", line):
                assert set(extra.split(",")) <= extras.keys(), f"{block}: {line}"
            if found := re.match(r"make ([a-z]+)", line):
                assert re.search(rf"^{found[1]}:", makefile, re.MULTILINE), f"{block}: {line}"

    def run_toml(self, block: Block) -> None:
        """Settings, read as a project's own where they are."""
        data = tomllib.loads(block.text)
        if "turnout" in data.get("tool", {}):
            folder = self.root / ".toml"
            folder.mkdir(exist_ok=True)
            (folder / "pyproject.toml").write_text(block.text)
            load_config(folder, "test", {})

    def run_yaml(self, block: Block) -> None:
        """Settings of other programs."""
        import yaml

        assert yaml.safe_load(block.text), f"{block}: nothing in it"

    def run_ini(self, block: Block) -> None:
        """Unit files."""
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_string(block.text)
        assert parser.sections(), f"{block}: no section"

    def run_sql(self, block: Block) -> None:
        """Statements that SQLite takes."""
        with sqlite3.connect(":memory:") as connection:
            connection.executescript(block.text)
        connection.close()

    def run_json(self, block: Block) -> None:
        """Data."""
        json.loads(block.text)

    def run_html(self, block: Block) -> None:
        """Markup whose tags are closed."""
        _Tags(block).check()

    def run_nginx(self, block: Block) -> None:
        """Directives end with a semicolon or a brace, and braces balance."""
        lines = [line.partition("#")[0].strip() for line in block.text.splitlines()]
        assert all(line.endswith((";", "{", "}")) for line in lines if line), f"{block}: a line has no end"
        _balanced(block)

    def run_haproxy(self, block: Block) -> None:
        """Sections at the margin, directives indented below them."""
        for line in block.text.splitlines():
            known = re.match(r"(global|defaults|frontend|backend|listen)\b|\s+[a-z][\w-]*( |$)|\s*(#|$)", line)
            assert known, f"{block}: {line}"

    def run_typescript(self, block: Block) -> None:
        """Quoted from elsewhere; brackets balance."""
        _balanced(block)


# -- comparing


def same(seen: str, expected: str, place: str) -> None:
    """Compare texts; in *expected* ``…`` stands for anything."""
    pattern = re.escape(expected.strip("\n")).replace("…", ".*?")
    assert re.fullmatch(pattern, seen.strip("\n"), re.DOTALL), f"{place}\nsaid:\n{expected}\nseen:\n{seen}"


def _same_head(answer: Answer, head: str, place: str) -> None:
    first, *fields = head.splitlines()
    assert first.startswith(f"HTTP/1.1 {answer.status} "), f"{place}\n{answer.status} {answer.text}"
    sent = [f"{name}: {value}" for name, value in answer.headers.items()]
    for field in fields:
        if field == "…":
            continue
        pattern = re.compile(re.escape(field).replace("…", ".*"))
        assert any(map(pattern.fullmatch, sent)), f"{place}\nno field {field!r} in\n" + "\n".join(sent)


def _balanced(block: Block) -> None:
    for opening, closing in ("()", "[]", "{}"):
        assert block.text.count(opening) == block.text.count(closing), f"{block}: {opening} and {closing}"


class _Tags(HTMLParser):
    VOID = frozenset(("input", "br", "img", "link", "meta", "hr"))

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"{self.block}: </{tag}>"

    def check(self) -> None:
        self.feed(self.block.text)
        assert not self.open, f"{self.block}: {self.open} not closed"


# -- commands


def _commands(block: Block) -> Iterator[tuple[str, str]]:
    """Each ``$ command``, continued after a backslash, with the lines that follow it."""
    command, answer = "", []
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(answer).rstrip()
            command, answer = line[2:], []
        else:
            assert command, f"{block}: a console block begins with a $ command"
            answer.append(line)
    yield command, "\n".join(answer).rstrip()


def _guess_type(body: str) -> str:
    return "application/json" if body[:1] in '{["0123456789tfn' and "=" not in body.split('"')[0] else FORM


FORM = "application/x-www-form-urlencoded"


class _Curl:
    """What a curl command line asks for, in the options that the pages use."""

    def __init__(self, words: list[str], root: Path, place: str) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.include, method, url = False, None, None
        parts: list[tuple[str, str]] = []
        rest = iter(words)
        for word in rest:
            if word in ("-s", "-N", "-sN"):
                continue
            if word in ("-i", "-si"):
                self.include = True
            elif word == "-I":
                self.include, method = True, "HEAD"
            elif word == "-X":
                method = next(rest)
            elif word == "-H":
                name, _, value = next(rest).partition(":")
                self.headers[name.strip().lower()] = value.strip()
            elif word == "-b":
                self.headers["cookie"] = next(rest)
            elif word in ("-d", "--json", "--data-binary"):
                data = next(rest)
                more = (root / data[1:]).read_bytes() if data.startswith("@") else data.encode()
                self.body = self.body + b"&" + more if self.body else more
                kind = "application/json" if word == "--json" else FORM
                self.headers.setdefault("content-type", kind)
            elif word == "-F":
                name, _, value = next(rest).partition("=")
                parts.append((name, value))
            else:
                assert not word.startswith("-") and url is None, f"{place}: {word} is not known here"
                url = word
        assert url is not None, place
        self.target = "/" + re.sub(r"^(https?://)?[^/]*/?", "", url, count=1)
        if parts:
            self.headers["content-type"] = "multipart/form-data; boundary=xxxx"
            self.body = b"".join(_part(name, value, root) for name, value in parts) + b"--xxxx--\r\n"
        self.method = method or ("POST" if self.body else "GET")


def _part(name: str, value: str, root: Path) -> bytes:
    head = f'--xxxx\r\nContent-Disposition: form-data; name="{name}"'
    if value.startswith("@"):
        file = root / value[1:]
        return (
            f'{head}; filename="{file.name}"\r\nContent-Type: text/plain\r\n\r\n'.encode() + file.read_bytes() + b"\r\n"
        )
    return f"{head}\r\n\r\n{value}\r\n".encode()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "TURNOUT_MODE")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"}


def _shell(command: str, root: Path) -> str:
    words = shlex.split(command, comments=True)
    assert words[0] in ("turnout", "pytest", "echo", "cat", "ls", "printf", "mkdir"), f"{command}: not run from a page"
    if words[0] == "pytest":
        command = f"{command} -p no:cacheprovider"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=root,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def _serve(words: list[str], root: Path) -> str:
    """Start the server on a free port, and give what it printed until it was ready."""
    with subprocess.Popen(
        [*words, "--port", "0"],
        cwd=root,
        env=_environment() | {"NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        process.wait(90)
    assert process.returncode == 0, first + rest
    return first + rest


def _ports(text: str) -> str:
    return re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", text)


def _parse_arguments(name: str, words: list[str], place: str) -> None:
    import argparse
    from importlib import import_module

    parser = argparse.ArgumentParser(prog=name, exit_on_error=False)
    import_module(f"turnout.cli.{name}").configure(parser)
    try:
        parser.parse_args(words)
    except (SystemExit, argparse.ArgumentError) as exc:
        raise AssertionError(f"{place}: {exc}") from None
