"""The project as a folder for ``turnout start``: what a machine, a container or a process host runs.

It carries everything. Turnout and the packages are installed where it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .target import NO_WEBSOCKETS, Refusal, Use

if TYPE_CHECKING:
    from ..config import DeployConfig
    from .builder import Builder


class Target:
    """See ``target.Target``."""

    name = "server"
    lasting = True

    def __init__(self, config: DeployConfig) -> None:
        pass

    def detect(self, env: Mapping[str, str]) -> bool:
        """It is what is left when no other target says yes."""
        return False

    def judge(self, use: Use) -> Refusal | None:
        """Only what Turnout itself has not."""
        if use.feature == "websocket":
            return NO_WEBSOCKETS
        return None

    def adapt(self, builder: Builder) -> None:
        """The project, its manifest, byte code."""
        builder.write_app(builder.out)
        builder.compile(builder.out)

    def preview(self, out: Path) -> list[str]:
        """``turnout start`` in the output."""
        return [sys.executable, "-m", "turnout", "start", str(out)]
