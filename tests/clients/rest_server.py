"""The REST wire of one database on a socket, for official clients: run by the tests beside it in a process of its own.

    python rest_server.py FOLDER '{"place": ":memory:", "statements": [...], "port": 0, "default": "anon"}'

FOLDER/port holds the port once requests are answered. ``Authorization: Bearer`` names the role itself:
``anon``, ``authenticated:<uid>``, ``service_role``; no authentication is part of this.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from turnout.config import ServerConfig
from turnout.db import POLICIES, Database, Scope
from turnout.db.rest import Settings, check, rest
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.server.supervisor import bind
from turnout.server.worker import work

CORS = {"access-control-allow-origin": "*", "access-control-expose-headers": "content-range, preference-applied"}


def scope_of(request: Request, default: str | None) -> Scope | None:
    """The scope that the request names."""
    word = (request.headers.get("authorization") or "").removeprefix("Bearer ").strip() or default
    if word is None:
        return None
    role, _, uid = word.partition(":")
    return Scope(role, {"sub": uid} if uid else {})


class App:
    """Answers every path with the wire."""

    kept = None

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.settings = Settings(**options.get("settings", {}))
        self.database = Database(options["place"])
        if "policies" in options:
            sys.path.insert(0, str(Path(__file__).parents[1]))
            module, _, name = options["policies"].partition(":")
            with POLICIES.replacing():
                getattr(importlib.import_module(module), name)()

    async def fetch(self, request: Request) -> Response:
        scope = scope_of(request, self.options.get("default"))
        return await rest(request, self.database, scope, settings=self.settings)

    async def startup(self) -> None:
        for statement in self.options.get("statements", ()):
            await self.database.sql(statement)
        await check(self.database)

    def sent(self, request: Request, response: Response) -> None:
        pass

    def drain(self) -> None:
        pass

    def healthy(self) -> bool:
        return True

    async def shutdown(self) -> None:
        await self.database.close()


def main(folder: Path, options: dict[str, Any]) -> int:
    """Serve until told to stop."""
    sock = bind("127.0.0.1", options.get("port", 0))
    (folder / "port.new").write_text(str(sock.getsockname()[1]))
    (folder / "port.new").rename(folder / "port")
    return work([sock], lambda: App(options), ServerConfig())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
