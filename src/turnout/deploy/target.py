"""What a target is: which features it carries, what it writes, and how its output runs here.

A target that cannot carry something fails the build, naming route, feature and cure: what would
otherwise be found out is found out in production, by users.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast, get_args

from msgspec import Struct

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config import DeployConfig
    from .builder import Builder

Feature = Literal[
    "streaming",  # a body that is sent while it is made
    "websocket",  # a connection that goes on after the handshake
    "after",  # work once the answer is out
    "background",  # tasks and threads that outlive their request
    "files",  # writing to the disk of the project
    "state",  # limits, caches and stored answers that live in one process or on one disk
    "sqlite",  # SQLite as the database
    "body",  # a body of so many bytes
    "duration",  # a handler that may take so many seconds
]
FEATURES: tuple[str, ...] = get_args(Feature)

TARGETS: dict[str, str] = {
    "server": "server",
    "container": "container",
    "aws-lambda": "aws_lambda",
    "vercel": "vercel",
}  # detected from the last to the first


class Use(Struct, frozen=True):
    """One feature that a route asks for.

    Args:
        file: Where it asks, which may be a file that the route imports.
        what: The words that ask for it, such as ``Response.sse()``.
        amount: Bytes or seconds, for features that have a measure.
    """

    feature: Feature
    file: Path
    line: int
    what: str
    amount: float = 0


class Refusal(Struct, frozen=True):
    """Why a target does not carry a feature, and what to do about it.

    Args:
        fatal: False for what changes its behaviour and still works: a warning.
    """

    problem: str
    cure: str
    fatal: bool = True


NO_WEBSOCKETS = Refusal("Turnout has no WebSockets", "answer with Response.sse(), and POST the other way")


def of_one(use: Use, instance: str) -> Refusal | None:
    """What is against *use* wherever there may be several processes and none lasts.

    Args:
        instance: What the place calls one of them.
    """
    if use.feature == "websocket":
        return NO_WEBSOCKETS
    if use.feature == "state":
        return Refusal(
            f"each {instance} has a state of its own",
            'set STORE_URL to valkey://..., or name it: environment = ["STORE_URL"] under [tool.turnout.deploy]',
        )
    if use.feature == "sqlite":
        return Refusal(
            f"a SQLite file is lost with its {instance}",
            'set DATABASE_URL to postgresql://..., or name it: environment = ["DATABASE_URL"]',
        )
    return None


class Target(Protocol):
    """One place to run a project. The class is called ``Target`` in each target's file."""

    name: str
    lasting: bool  # whether processes and disk outlive a request, so that routes are imported at the start

    def __init__(self, config: DeployConfig) -> None: ...

    def detect(self, env: Mapping[str, str]) -> bool:
        """Whether the environment of the build says that it runs for this target."""
        ...

    def judge(self, use: Use) -> Refusal | None:
        """What is against *use* here; None if nothing is."""
        ...

    def adapt(self, builder: Builder) -> None:
        """Write the output; no network, no account."""
        ...

    def preview(self, out: Path) -> list[str]:
        """The command that runs what is in *out* on this machine."""
        ...


def load_target(name: str, config: DeployConfig) -> Target:
    """The target *name*.

    Raises:
        ConfigError: there is none.
    """
    if name not in TARGETS:
        raise ConfigError(f"there is no target {name!r}", cure=f"one of {', '.join(TARGETS)}")
    module = import_module(f".{TARGETS[name]}", __package__)
    return cast(Target, module.Target(config))


def detect(env: Mapping[str, str], config: DeployConfig) -> Target:
    """The target whose build environment this is, else the server."""
    for name in reversed(TARGETS):
        target = load_target(name, config)
        if target.detect(env):
            return target
    return load_target("server", config)
