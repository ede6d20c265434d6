"""Vercel: the project as Vercel's own builder wants it, which makes one function of it.

Written are the entry file, ``vercel.json`` and a ``pyproject.toml`` without the native server's
packages; the function itself, its Build Output and its runtime are Vercel's. The entry file is
``index.py`` and not ``app.py``: beside a folder ``app/`` that name would hide it from imports.
Nothing is uploaded: ``vercel deploy`` does that.
Source: https://vercel.com/docs/functions/runtimes/python and https://vercel.com/docs/functions/limitations
"""

from __future__ import annotations

import json
import math
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .target import Refusal, Use, of_one

if TYPE_CHECKING:
    from ..config import DeployConfig
    from .builder import Builder

ENTRY = "index.py"
OLDEST = (3, 12)  # what Vercel's runtime for Python wants
BODY_BYTES, DURATION_S = 4_500_000, 800
# The native server's, 15 MB of them: the function is served by Vercel's runtime.
UNUSED = ("uvloop", "httptools")
# Where Vercel's builder looks for an app before and beside the entry file, and what it makes functions of.
TAKEN = ("app.py", ENTRY, "api")

SOURCE = '''"""The built project for Vercel's runtime."""

from pathlib import Path

from turnout.built import asgi

app = asgi(Path(__file__).parent)
'''


class Target:
    """See ``target.Target``."""

    name = "vercel"
    lasting = False

    def __init__(self, config: DeployConfig) -> None:
        pass

    def detect(self, env: Mapping[str, str]) -> bool:
        """Vercel's builds say who they are."""
        return env.get("VERCEL") == "1"

    def judge(self, use: Use) -> Refusal | None:
        """A function streams, keeps nothing, and may be frozen between requests."""
        if use.feature == "after":
            return Refusal("the function may be frozen once its answer is out", "do it before the answer", fatal=False)
        if use.feature == "background":
            return Refusal("a function is frozen once its answer is out", "do it in the request, or on a server")
        if use.feature == "files":
            return Refusal("only /tmp can be written, and it is lost", "write to a database or to object storage")
        if use.feature == "body" and use.amount > BODY_BYTES:
            return Refusal(
                f"a request has {BODY_BYTES:,} bytes at most",
                "lower it, and let large files be sent to object storage directly",
            )
        if use.feature == "duration" and use.amount > DURATION_S:
            return Refusal(f"a request has {DURATION_S} s at most", "lower it")
        return of_one(use, "instance")

    def adapt(self, builder: Builder) -> None:
        """The project, its manifest, and the three files that Vercel reads."""
        for name in TAKEN:
            if (builder.root / name).exists():
                raise ConfigError(
                    f"{name} in the project's own folder is Vercel's to read, and would be taken for another app",
                    file=builder.root / name,
                    cure="give it another name; routes stay in app/",
                )
        if builder.schedules:
            first = builder.schedules[0]
            raise ConfigError(
                f"the task {first.task} has a schedule, and nothing runs tasks on Vercel",
                file=first.file,
                line=first.line,
                cure="let a crons entry of Vercel's call a route, or run turnout start elsewhere for it",
            )
        text = to_pyproject(builder.root / "pyproject.toml")
        builder.write_app(builder.out)
        # It was made for other requirements than the ones below, and Vercel's builder would refuse it.
        (builder.out / "uv.lock").unlink(missing_ok=True)
        (builder.out / ENTRY).write_text(SOURCE)
        (builder.out / "pyproject.toml").write_text(text, "utf-8")
        (builder.out / "vercel.json").write_text(json.dumps(self.settings(builder), indent=1) + "\n")

    def settings(self, builder: Builder) -> dict[str, Any]:
        """``vercel.json``: every path leads to the one function, for as long as its slowest route may take."""
        longest = max(
            [use.amount for route in builder.routes for use in route.uses if use.feature == "duration"] or [0]
        )
        wanted_s = min(DURATION_S, math.ceil(max(longest, builder.config.server.max_duration_s)))
        return {
            "$schema": "https://openapi.vercel.sh/vercel.json",
            "framework": "python",  # without it the pattern below is only looked for in api/
            "functions": {ENTRY: {"maxDuration": wanted_s}},
        }

    def preview(self, out: Path) -> list[str]:
        """The entry file under the native server: the app as Vercel's runtime would load it, without Vercel."""
        return [sys.executable, "-m", "turnout", "start", str(out)]


def to_pyproject(file: Path) -> str:
    """The project's ``pyproject.toml``, without the native server's packages.

    Raises:
        ConfigError: it names no packages, or may be run by an older Python than Vercel's.
    """
    text = file.read_text("utf-8") if file.is_file() else ""
    project = tomllib.loads(text).get("project", {})
    if not project.get("dependencies"):
        raise ConfigError(
            "Vercel installs what [project] dependencies names, and there is nothing",
            file=file,
            cure='dependencies = ["turnout"] under [project], with a name and a version',
        )
    oldest = _oldest(str(project.get("requires-python", "")))
    if oldest is None or oldest < OLDEST:
        raise ConfigError(
            f"requires-python is {project.get('requires-python')!r}, and Vercel's runtime needs Python 3.12",
            file=file,
            cure='requires-python = ">=3.12" under [project], and make a lock file anew',
        )
    return _without_server(text, file)


def _oldest(requires: str) -> tuple[int, int] | None:
    """The least version in ``>=3.12,<4``, ``==3.13.*`` or ``~=3.12``; None if it names none."""
    found = re.search(r"(?:>=|==|~=)\s*(\d+)\.(\d+)", requires)
    return (int(found[1]), int(found[2])) if found else None


def _without_server(text: str, file: Path) -> str:
    uv = tomllib.loads(text).get("tool", {}).get("uv", {})
    own = list(uv.get("override-dependencies", []))
    lines = [*own, *(f"{name} ; sys_platform == 'never'" for name in UNUSED)]
    if own:
        raise ConfigError(
            "override-dependencies are set under [tool.uv], where the build leaves out the native server",
            file=file,
            cure="add these yourself, and set them for the build of other targets elsewhere: " + ", ".join(lines[-2:]),
        )
    line = f"override-dependencies = {json.dumps(lines)}\n"
    header = re.search(r"(?m)^\[tool\.uv\][^\n]*\n", text)
    if header:
        return text[: header.end()] + line + text[header.end() :]
    return f"{text.rstrip()}\n\n[tool.uv]\n{line}"
