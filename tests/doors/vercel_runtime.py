"""Vercel's own builder and runtime on this machine: opt-in, since both are fetched (see the how-to on Vercel).

``TURNOUT_VERCEL`` names a folder for them, which is filled on first use: the builder from npm, uv, and wheels of
Turnout and what the sample needs. The build itself then runs without a network.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

from doors.cases import Case
from doors.hosts import HTTP, Process

CLI, RUNTIME = "vercel@59.25.4", "vercel-runtime==0.23.0"  # the runtime that this builder asks for
REPOSITORY = Path(__file__).parents[2]


def python312() -> str | None:
    """An interpreter that Vercel's runtime takes, if there is one."""
    named = os.environ.get("TURNOUT_PYTHON312")
    found = sorted(Path.home().glob(".pyenv/versions/3.12*/bin/python3.12"))
    return named or (str(found[-1]) if found else shutil.which("python3.12"))


def fill(tools: Path) -> None:
    """Fetch the builder, uv and wheels into *tools*, if they are not there."""
    tools.mkdir(parents=True, exist_ok=True)
    python, wheels = tools / "venv/bin/python", tools / "wheels"
    if not (tools / "node_modules/.bin/vercel").exists():
        _run(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(tools), CLI], tools)
    if not (tools / "venv/bin/uv").exists():
        _run([python312() or "", "-m", "venv", str(tools / "venv")], tools)
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"], tools)
    if not wheels.exists():
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "download", "--dest", f"{wheels}.part", "msgspec", "httptools", "uvloop", "ada-url",
              "python-multipart", "jinja2", "brotli", "pip", "setuptools", RUNTIME], tools)  # fmt: skip
        Path(f"{wheels}.part").rename(wheels)
    for old in wheels.glob("turnout-*"):
        old.unlink()
    _run([str(python), "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir",
          str(wheels), str(REPOSITORY)], tools)  # fmt: skip


def build(tools: Path, out: Path) -> Path:
    """Let Vercel's builder make its function of *out*; the folder of that, with every file in it."""
    (out / ".vercel").mkdir()
    (out / ".python-version").write_text("3.12\n")
    (out / ".vercel/project.json").write_text('{"projectId": "prj_x", "orgId": "team_x", "settings": {}}')
    path = os.pathsep.join([str(tools / "venv/bin"), str(Path(python312() or "").parent), os.environ["PATH"]])
    offline = {
        "PATH": path,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_NO_CACHE": "1",  # a wheel of Turnout keeps its version while it changes
        "UV_FIND_LINKS": str(tools / "wheels"),
        "VERCEL_TELEMETRY_DISABLED": "1",
    }
    _run([str(tools / "node_modules/.bin/vercel"), "build", "--token", "none", "--yes"], out, **offline)
    (function,) = (out / ".vercel/output/functions").glob("**/*.func")  # one, whatever the project holds
    settings = json.loads((function / ".vc-config.json").read_text())
    for name, source in settings["filePathMap"].items():
        target = function / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(out / source, target)
    return function


def _run(command: list[str], cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


class Vercel(HTTP):
    """A built function under Vercel's runtime, which says over a socket where it listens."""

    def __init__(self, function: Path, log: Path) -> None:
        self.kind = "http"
        where = log.with_suffix(".sock")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(where))
            listening.listen()
            listening.settimeout(90)
            self._process = Process(
                [python312() or sys.executable, "-c", "import vc__handler__python"], function, log,
                VERCEL_IPC_PATH=str(where), PYTHONPATH=str(function),
            )  # fmt: skip
            self._ipc = listening.accept()[0]
        self._ipc.settimeout(90)
        self.port = self._port()
        self.send(Case("GET", "/livez", 200))  # the first answer brings Vercel's own figures in a field

    def _port(self) -> int:
        said = b""
        while True:
            said += self._ipc.recv(65_536)
            *whole, said = said.split(b"\0")
            for message in map(json.loads, whole):
                if message["type"] == "server-started":
                    threading.Thread(target=self._drain, daemon=True).start()
                    return int(message["payload"]["httpPort"])

    def _drain(self) -> None:
        """Take what else it says: its log goes this way, and it waits for a reader."""
        self._ipc.settimeout(None)
        try:
            while self._ipc.recv(65_536):
                pass
        except OSError:
            pass  # the door is closed

    def end(self) -> None:
        """Close the door."""
        super().end()
        self._ipc.close()
