"""An image and what runs it: Dockerfile, systemd unit, Kubernetes and Knative manifests around the server target.

Only text is written: nothing is built, pushed or applied. With several replicas no state may live in one
of them; a project that says it may (``allow = ["state", "sqlite"]``) gets one replica, and says so.
"""

from __future__ import annotations

import math
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .target import Refusal, Use, of_one

if TYPE_CHECKING:
    from ..config import Config, DeployConfig
    from .builder import Builder

REQUIREMENTS = "requirements.txt"
LOCK = "uv export --no-emit-project --format requirements-txt --output-file requirements.txt"
TEMPLATES = Path(__file__).parent / "templates"
# The files and where they go in the output.
WRITTEN = {
    "Dockerfile": "Dockerfile",
    "systemd.service": "$name.service",
    "kubernetes.yaml": "kubernetes.yaml",
    "knative.yaml": "knative.yaml",
}
SPARE_S = 5  # after the drain, for what begins and ends it


class Target:
    """See ``target.Target``."""

    name = "container"
    lasting = True

    def __init__(self, config: DeployConfig) -> None:
        self.one = bool({"state", "sqlite"} & set(config.allow))

    def detect(self, env: Mapping[str, str]) -> bool:
        """An image is asked for by name: many builders make one of what the server target writes."""
        return False

    def judge(self, use: Use) -> Refusal | None:
        """A replica may be one of several, and its disk goes with it."""
        if use.feature == "files":
            return Refusal("the image is read-only but for data/ and /tmp, which go with it", "write to object storage")
        return of_one(use, "replica")

    def adapt(self, builder: Builder) -> None:
        """The project in ``app/``, its locked packages, and the files around it."""
        lock = builder.root / REQUIREMENTS
        if not lock.is_file() or not _is_locked(lock.read_text()):
            raise ConfigError(
                f"{REQUIREMENTS} {'does not say the hash of each package' if lock.is_file() else 'is not there'}, "
                "so nobody could say what is in the image",
                file=lock,
                cure=f"write it: {LOCK}",
            )
        builder.write_app(builder.out / "app")
        shutil.copy(lock, builder.out / REQUIREMENTS)
        values = self._values(builder.config)
        for source, target in WRITTEN.items():
            text = Template((TEMPLATES / source).read_text()).substitute(values)
            (builder.out / Template(target).substitute(values)).write_text(text)
        if self.one:
            builder.warnings.append("one replica: the project keeps state in the process or in a file")

    def _values(self, config: Config) -> dict[str, str]:
        server = config.server
        grace_s = math.ceil(server.drain_delay_s + server.drain_s + SPARE_S)
        return {
            "name": dns_label(config.root.name),
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "port": str(server.port),
            "data": config.data_dir,
            "grace_s": str(grace_s + 5),  # above what the drain itself may take, and preStop before it
            "stop_s": str(grace_s),
            "replicas": "1" if self.one else "2",
            "most": "1" if self.one else "10",
            "strategy": "Recreate" if self.one else "RollingUpdate",
            "min_available": "0" if self.one else "1",
            "in_flight": str(server.max_in_flight),
            "duration_s": str(math.ceil(server.max_duration_s)),
        }

    def preview(self, out: Path) -> list[str]:
        """``turnout start`` in the app, as the image's command does."""
        return [sys.executable, "-m", "turnout", "start", str(out / "app")]


def dns_label(name: str) -> str:
    """*name* as Kubernetes wants names: RFC 1123 labels."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
    return label if label and label[0].isalpha() else f"app-{label}".strip("-")


def _is_locked(text: str) -> bool:
    """Whether each requirement has a hash: what ``pip install --require-hashes`` will ask for."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    named = [line for line in (each.strip() for each in lines) if line and not line.startswith(("#", "-"))]
    return bool(named) and all("--hash=" in line for line in named)
