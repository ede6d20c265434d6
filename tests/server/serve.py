"""A server to be killed: run by the tests beside it in a process of its own.

    python serve.py FOLDER '{"workers": 2, "settings": {"drain_s": 5}}'

FOLDER is where both sides meet: ``port`` holds the port once requests are answered, ``workers/``
a file for each process that started, ``broken`` makes the app fail to load, ``gate`` lets the
requests to /wait go on. ``workers: 0`` serves in this process, without a supervisor; ``uvloop: false`` without uvloop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

from turnout.config import ServerConfig
from turnout.errors import ConfigError
from turnout.http.request import Request
from turnout.http.response import Response
from turnout.server.supervisor import bind, bind_unix, supervise
from turnout.server.worker import work

FOLDER = Path(sys.argv[1])
OPTIONS = json.loads(sys.argv[2])
if not OPTIONS.get("uvloop", True):
    sys.modules["uvloop"] = None  # type: ignore[assignment]  # what makes an import fail


class App:
    """Answers with its process id, after doing what the path says."""

    kept = None

    async def fetch(self, request: Request) -> Response:
        if request.target == "/wait":
            (FOLDER / "entered").touch()
            while not (FOLDER / "gate").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        elif request.target == "/forever":
            (FOLDER / "entered").touch()
            try:
                await asyncio.Event().wait()
            finally:
                (FOLDER / "cancelled").touch()
        elif request.target == "/hang":
            time.sleep(60)  # noqa: ASYNC251  # the mistake that heartbeats are for
        return Response(str(os.getpid()))

    def sent(self, request: Request, response: Response) -> None:
        pass

    async def startup(self) -> None:
        (FOLDER / "workers" / str(os.getpid())).touch()
        if (FOLDER / "slow").exists():
            await asyncio.Event().wait()

    def drain(self) -> None:
        (FOLDER / "draining").touch()

    def healthy(self) -> bool:
        return not (FOLDER / f"unwell-{os.getpid()}").exists()

    async def shutdown(self) -> None:
        match OPTIONS.get("shutdown"):
            case "stuck":
                time.sleep(60)  # noqa: ASYNC251
            case "raise":
                raise RuntimeError("no more")
            case "never":
                await asyncio.Event().wait()
        (FOLDER / f"shutdown-{os.getpid()}").touch()


def load() -> App:
    if (FOLDER / "broken").exists():
        raise ConfigError("GET is not a function", file="app/api/route.py", line=3, cure="write `async def GET`")
    if (FOLDER / "raising").exists():
        raise RuntimeError("who raised this?")
    if (FOLDER / "endless").exists():
        time.sleep(60)
    return App()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if "terminal" in OPTIONS:
        os.open(OPTIONS["terminal"], os.O_RDWR)  # a session's leader that opens a terminal has it from then on
    settings = ServerConfig(**OPTIONS.get("settings", {}))
    sock = bind_unix(OPTIONS["unix"]) if "unix" in OPTIONS else bind("127.0.0.1", 0)
    port = "" if "unix" in OPTIONS else str(sock.getsockname()[1])

    def ready() -> None:
        (FOLDER / "port.new").write_text(port)
        (FOLDER / "port.new").rename(FOLDER / "port")

    if OPTIONS["workers"] == 0:
        ready()
        return work([sock], load, settings)
    return supervise([sock], load, settings, workers=OPTIONS["workers"], ready=ready)


if __name__ == "__main__":
    sys.exit(main())
