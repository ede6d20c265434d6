"""G5 in the jail: what the framework asks of every route, whatever its tests say.

The probes are derived from the route itself: its signature, its constants, the tables of the database. A probe sends
requests to the app in this process and looks at the answers, the rows and the log. Each begins with the database as
it was seeded. What a probe cannot judge it leaves alone: a 429 or a missing value is no finding.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import Struct

from ...errors import ConfigError, TurnoutError
from ...testing import Answer, Client
from .rows import Kept, Rows, mark, seed, snapshot
from .values import NUMBER, UUID, fields, sample, schema_of

LIMIT_S = 5.0
PASSWORD = "correct horse battery 7"
WEBHOOK_WORDS = ("signature", "webhook", "stripe", "github", "slack")


class Target(Struct):
    """One method of one route, and what is known of it."""

    method: str
    pattern: Any
    handler: Any
    config: Any
    file: str
    line: int
    statuses: list[int]
    source: str  # of its file and the middleware above
    own: str  # of the handler alone
    methods: list[str]
    kinds: dict[str, Any]
    body: Any
    has_body: bool
    query: Any

    @property
    def name(self) -> str:
        """``POST /api/posts``."""
        return f"{self.method} {self.pattern.text}"

    @property
    def is_webhook(self) -> bool:
        """Whether the handler is made by ``turnout.webhooks``."""
        from ...webhooks.hook import Webhook

        return isinstance(self.handler, Webhook)

    @property
    def signer(self) -> tuple[str, str] | None:
        """The provider whose signatures it verifies, and the variable with the secret; None if it verifies none."""
        if self.is_webhook:
            return self.handler.provider, next(iter(self.handler._names), "")
        calls = re.search(r"\b(stripe|github|slack|standard)\.(?:verify|construct_event)\(", self.source)
        name = re.search(r"[\"']([A-Z0-9_]*SECRET[A-Z0-9_]*)[\"']", self.source)
        return (calls[1], name[1]) if calls and name and self.method == "POST" else None

    @property
    def is_open(self) -> bool:
        """Whether the route's constant lets everybody in."""
        return self.config.auth in (None, "public")


class Bed:
    """The app, its database and its people: Ada, whose rows they are, and Mallory, whose they are not."""

    def __init__(self, folder: Path, spec: dict[str, Any], client: Client, project: Any, heard: io.StringIO) -> None:
        self.folder, self.spec, self.client, self.project, self.heard = folder, spec, client, project, heard
        self.root = folder / "project"
        self.findings: dict[tuple[str, str], dict[str, Any]] = {}
        self.notes: list[str] = []
        self.people: dict[str, str] = {}  # names to ids
        self.tokens: dict[str, str] = {}
        self.kept: Kept
        self.seeded: Rows = {}
        self.requests = 0

    def found(self, target: Target, code: str, message: str, fix: str, line: int | None = None) -> None:
        """Note a finding, once for each code and route."""
        finding = {"code": code, "path": target.file, "line": line or target.line}
        self.findings.setdefault((code, target.name), {**finding, "message": f"{target.name}: {message}", "fix": fix})

    # -- requests

    async def call(
        self, target: Target, path: str | None = None, *, method: str | None = None, person: str | None = "self",
        headers: dict[str, str] | None = None, **content: Any,
    ) -> Answer:  # fmt: skip
        """Send one request; a status of 500 and above, a secret and an endless request are found here.

        Args:
            person: ``ada``, ``mallory``, None for nobody, ``self`` for whoever the route lets in.
        """
        from ...store import store

        self.requests += 1
        store.configure("memory:")  # limits count anew: a probe is not a crowd
        self.client.cookies.clear()
        self.client.peer = f"10.7.{self.requests // 250 % 250}.{self.requests % 250 + 1}"
        start = len(self.heard.getvalue())
        fields = {**self._credentials(target, person), **(headers or {})}
        place = self.path(target) if path is None else path
        try:
            async with asyncio.timeout(LIMIT_S):
                answer = await self.client.request(method or target.method, place, headers=fields, **content)
        except TimeoutError:
            self.found(
                target, "TRN246", f"no answer in {LIMIT_S:.0f} s", "give every wait a time, and every loop an end"
            )
            return Answer(599, _no_fields(), b"")
        self._judge(target, answer, self.heard.getvalue()[start:], content)
        return answer

    def _judge(self, target: Target, answer: Answer, logged: str, content: dict[str, Any]) -> None:
        if answer.status >= 500 and (answer.status == 500 or answer.status not in target.statuses):
            line = _last_line(logged, target.file)
            why = _last_error(logged)
            sent = _short(content)
            self.found(
                target, "TRN243", f"{answer.status} on {sent}{f': {why}' if why else ''}",
                "answer what does not fit with 400, 404, 409 or 422", line,
            )  # fmt: skip
        said = "\n".join(
            [answer.body.decode(errors="replace"), *(f"{name}: {value}" for name, value in answer.headers)]
        )
        for name, value in self.spec["canaries"].items():
            if value in said or value in logged:
                place = "an answer" if value in said else "the log"
                self.found(
                    target, "TRN244", f"the value of {name} stands in {place}", "keep it out of what is sent or logged"
                )

    def _credentials(self, target: Target, person: str | None) -> dict[str, str]:
        if person is None:
            return {}
        word = target.config.auth
        if word == "service":
            return {"authorization": f"Bearer {self.tokens.get('service', '')}"}
        if word is not None and word.partition(":")[0] == "secret":
            name = word.partition(":")[2] or "API_SECRET"
            return {"authorization": f"Bearer {os.environ.get(name, '')}"}
        token = self.tokens.get("ada" if person == "self" else person)
        if token is None or (person == "self" and target.is_open and not _asks_inside(target)):
            return {}
        return {"authorization": f"Bearer {token}"}

    # -- what is sent

    def path(self, target: Target, **odd: str) -> str:
        """The path of *target* with the seeded values, or those of *odd* as they stand."""
        parts: list[str] = []
        before = ""
        for segment in target.pattern.segments:
            if segment.kind == "static":
                parts.append(quote(segment.name, safe=""))
                before = segment.name
            elif segment.name in odd:
                parts.append(odd[segment.name])
            elif segment.kind != "optional_rest":
                parts.append(quote(str(self.value(target, segment.name, before)), safe=""))
        return "/" + "/".join(parts) + self._query(target)

    def _query(self, target: Target) -> str:
        """What the model of the query demands."""
        schema = schema_of(target.query) if target.query not in (None, Any) else None
        if schema is None:
            return ""
        known, required = fields(schema)
        wanted = {name: sample(known[name], schema.get("$defs", {}), name) for name in required if name in known}
        return "?" + urlencode(wanted, doseq=True) if wanted else ""

    def value(self, target: Target, name: str, before: str) -> Any:
        """A value for the path parameter *name*: of a seeded row where there is one."""
        kind = target.kinds.get(name)
        if kind is int:
            return NUMBER
        guess = sample(schema_of(kind) or {}, None, name) if kind not in (None, Any, str) else None
        if guess is not None and not isinstance(guess, (dict, list)):
            return guess
        if name in ("user_id", "owner_id") and "ada" in self.people:
            return self.people["ada"]
        for table in self._nearest(before):
            row = self.seeded[table][0]
            column = name if name in row else "id" if name.endswith("id") and "id" in row else None
            if column is not None:
                return row[column]
        return NUMBER if name.endswith("id") else "sample"

    def _nearest(self, word: str) -> list[str]:
        """The tables with rows, those first whose name is like *word*."""
        filled = [name for name, rows in self.seeded.items() if rows and name != "auth_users"]
        stem = word.lower().replace("-", "_").rstrip("s")
        return sorted(filled, key=lambda name: (not name.rstrip("s").endswith(stem), name))

    def content(self, target: Target) -> dict[str, Any]:
        """A body that fits, as keyword arguments of ``call``."""
        from ...http.form import FormData

        if target.is_webhook or target.method in ("GET", "HEAD", "OPTIONS"):
            return {}
        if target.has_body and target.body is FormData:
            names = re.findall(r"(?:\.get|\.get_all)\(\s*[\"'](\w+)|\[[\"'](\w+)[\"']\]", target.source)
            texts = {one or other: sample({"type": "string"}, {}, one or other) for one, other in names}
            return _multipart(texts) if "UploadFile" in target.source else {"form": texts}
        if target.has_body and target.body is bytes:
            return {"body": b"sample"}
        if target.has_body and target.body is str:
            return {"body": "sample", "headers": {"content-type": "text/plain"}}
        schema = self.schema(target)
        if schema is not None and target.has_body:
            return {"json": sample(schema)}
        if target.has_body or ".json(" in target.own:
            return {"json": self._columns(target)}
        return {}

    def schema(self, target: Target) -> dict[str, Any] | None:
        """The schema of the model that *target* takes; None if it takes anything."""
        if not target.has_body or target.body in (Any, dict, list, object):
            return None
        schema = schema_of(target.body)
        return schema if schema and sample(schema) not in (None, {}, "sample", "a sample") else None

    def _columns(self, target: Target) -> dict[str, Any]:
        """The columns of the table that the path speaks of, for a handler that takes any JSON."""
        from .rows import AUTHORS

        word = next((each.name for each in reversed(target.pattern.segments) if each.kind == "static"), "")
        for table in self._nearest(word)[:1]:
            row = self.seeded[table][0]
            return {
                name: value for name, value in row.items() if name not in ("id", "created_at", "updated_at", *AUTHORS)
            }
        return {"name": "sample", "title": "sample", "email": "new@example.com"}


_FILES = ("file", "upload", "image", "avatar", "photo", "picture", "document", "attachment")
_PNG = bytes.fromhex(  # a whole image of one pixel: handlers look at the first bytes
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf50000003010100"
    "c9fe92ef0000000049454e44ae426082"
)


def _multipart(texts: dict[str, str]) -> dict[str, Any]:
    """A form with a file in each field that is called like one."""
    parts = b""
    for name, text in texts.items():
        is_file = any(word in name.lower() for word in _FILES)
        head = f'--bed\r\ncontent-disposition: form-data; name="{name}"'
        head += '; filename="a.png"\r\ncontent-type: image/png' if is_file else ""
        parts += head.encode() + b"\r\n\r\n" + (_PNG if is_file else text.encode()) + b"\r\n"
    return {"body": parts + b"--bed--\r\n", "headers": {"content-type": "multipart/form-data; boundary=bed"}}


def _asks_inside(target: Target) -> bool:
    """Whether the handler or a middleware asks for the user, since the constant does not."""
    return re.search(r"\b(?:require_user|get_user|create_client)\b", target.source) is not None


def _no_fields() -> Any:
    from ...http.headers import Headers

    return Headers()


def _short(content: dict[str, Any]) -> str:
    value = content.get("json", content.get("form", content.get("body", "")))
    text = json.dumps(value) if not isinstance(value, (bytes, str)) and "json" in content else repr(value)
    return f"the body {text[:80]}" if value not in ("", b"") else "a request without a body"


def _last_line(logged: str, file: str) -> int | None:
    found = re.findall(rf'File "[^"]*/project/{re.escape(file)}", line (\d+)', logged)
    return int(found[-1]) if found else None


def _last_error(logged: str) -> str:
    found = re.findall(r"^(\w+(?:\.\w+)*(?:Error|Exception|Warning)\b[^\n]*)", logged, re.MULTILINE)
    return found[-1][:120] if found else ""


# -- setting up


async def run(folder: Path, spec: dict[str, Any], server: Any, heard: io.StringIO) -> dict[str, Any]:
    """Seed, and put every probe to every route of ``spec["targets"]``."""
    from ...db import db, migrate
    from ...project import load_project
    from .probes import PROBES

    root = folder / "project"
    kept = Kept(folder, server)
    await kept.open_empty()
    project = load_project(root, mode="test")
    async with Client(project.app) as client:
        bed = Bed(folder, spec, client, project, heard)
        bed.kept = kept
        await migrate.migrate(db, root / spec["migrations"])
        await _people(bed)
        texts = "\n".join(path.read_text() for path in sorted((root / spec["migrations"]).glob("*.sql")))
        bed.seeded, empty = await seed(bed.people.get("ada"), texts)
        bed.notes += [f"no row could be guessed for the table {name}" for name in empty]
        await kept.keep()
        for target in targets(project, spec["targets"]):
            for probe in PROBES:
                if ("TRN246", target.name) in bed.findings:  # each further request would take as long
                    break
                await kept.restore()
                await probe(bed, target)
        await kept.close()
    return {"findings": list(bed.findings.values()), "notes": bed.notes, "requests": bed.requests}


async def _people(bed: Bed) -> None:
    """Ada and Mallory, with every role of the project, where there is auth."""
    from ...auth import auth_service, settings

    try:
        service = auth_service()
        for name in ("ada", "mallory"):
            made = await service.admin_create_user(
                email=f"{name}@example.com", password=PASSWORD, email_confirm=True,
                app_metadata={"roles": list(settings().roles)},
            )  # fmt: skip
            bed.people[name] = str(made.id)
            session = await service.sign_in_with_password(f"{name}@example.com", PASSWORD)
            bed.tokens[name] = session.access_token
        bed.tokens["service"] = service.keys.api_key("service_role")
    except (ConfigError, TurnoutError, ImportError) as exc:
        bed.notes.append(f"no users: {exc}")


def targets(project: Any, wanted: dict[str, list[int]]) -> list[Target]:
    """The methods named in *wanted*, with the statuses that they may answer with."""
    from ...routing.module import load_module, read_exports

    found = []
    for route in project.manifest.routes:
        exports = read_exports(load_module(route.file, project.root), route.file)
        for method, handler in exports.handlers.items():
            name = f"{method} {route.pattern.text}"
            if name in wanted:
                found.append(_target(project, route, exports, method, handler, wanted[name]))
    return found


def _target(project: Any, route: Any, exports: Any, method: str, handler: Any, statuses: list[int]) -> Target:
    from ...routing.bind import plan
    from .bed import line_of

    parameters = plan(handler, route.pattern, route.file).parameters
    body = next((each for each in parameters if each.source == "body"), None)
    query = next((each for each in parameters if each.source == "query"), None)
    files = [route.file, *route.middleware]
    return Target(
        method=method, pattern=route.pattern, handler=handler, config=exports.config,
        file=route.file.relative_to(project.root).as_posix(), line=line_of(handler), statuses=statuses,
        source="\n".join(file.read_text() for file in files),
        own=_own_source(handler), methods=list(exports.handlers),
        kinds={each.name: each.type for each in parameters if each.source == "path"},
        body=body.type if body else None, has_body=body is not None,
        query=query.type if query else None,
    )  # fmt: skip


def _own_source(handler: Any) -> str:
    try:
        return inspect.getsource(inspect.unwrap(handler))
    except (OSError, TypeError):  # an object, such as a webhook
        return ""


async def never_read(read: list[bool]) -> AsyncIterator[bytes]:
    """A body that notes whether anybody asked for it."""
    read.append(True)
    yield b"{}"


def leaks(answer: Answer, tables: list[str], rows: Rows) -> bool:
    """Whether *answer* shows a mark of a row of *tables*."""
    return any(mark(table, column) in answer.text for table in tables for row in rows[table] for column in row)


__all__ = ["NUMBER", "UUID", "Bed", "Target", "leaks", "never_read", "run", "snapshot"]
