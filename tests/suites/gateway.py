"""Serves a project as ``turnout dev`` does, and gives callers without a key the public one.

Run:     python gateway.py FOLDER --port PORT --host HOST

Supabase's own development stack asks for no key on its auth endpoints, and the client's suites count
on that in places. This server does, so the suites are run through here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from turnout.auth import auth_service
from turnout.cli.load import configure_log, load, read_settings
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.server.supervisor import bind
from turnout.server.worker import work


class Gateway:
    """*app*, with *key* for those who have none."""

    kept = None

    def __init__(self, app: Any, key: str) -> None:
        self.app, self.key = app, key

    async def fetch(self, request: Request) -> Response:
        if not request.headers.has("apikey") and not request.headers.has("authorization"):
            request.headers.set("apikey", self.key)
        response: Response = await self.app.fetch(request)
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--host")
    args = parser.parse_args()
    settings = replace(read_settings(args.folder, "development").server, drain_delay_s=0, drain_s=2)
    configure_log("development")
    sock = bind(args.host, args.port)

    def load_app() -> Gateway:
        app = load(args.folder, "development").app
        print(f"ready on http://{args.host}:{args.port}", flush=True)
        return Gateway(app, auth_service().keys.api_key("anon"))

    return work([sock], load_app, settings)


if __name__ == "__main__":
    raise SystemExit(main())
