"""Runs a program that nobody has read yet: ``await jailed(argv, work=folder)``.

The jail itself is ``_jail.py``, a program of its own. Here it is decided how strong it can be on this machine,
strongest first: our own namespaces, ``bwrap``, Landlock alone, macOS' ``sandbox-exec`` (written from its
documentation and never run by us), nothing. Every ``Ran`` names the layers that were really in force. What the
program prints is kept up to a limit and read to its end, so that a program that talks too much does not hang.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from ..errors import ConfigError

Sandbox = Literal["require", "auto", "off"]
Mode = Literal["namespaces", "bwrap", "landlock", "sandbox-exec", "limits"]

LAUNCHER = Path(__file__).with_name("_jail.py")
FULL: tuple[Mode, ...] = ("namespaces", "bwrap")
OUTPUT_BYTES = 1_000_000
GRACE_S = 5  # for the launcher to end by itself before it is killed
MIB = 1 << 20


class Limits(Struct, frozen=True):
    """What a jailed program may use. A process may map ``memory_bytes``; threads map more than they use."""

    memory_bytes: int = 1024 * MIB
    cpu_s: int = 60
    file_bytes: int = 256 * MIB
    files: int = 512
    processes: int = 128


class Ran(Struct, frozen=True):
    """How a jailed program ended.

    Attributes:
        returncode: Its exit status; 128 and the signal's number, 124 when the time was over.
        output: What it printed on both streams, cut at a million bytes.
        layers: What was in force, as reported from inside.
    """

    returncode: int
    output: str
    layers: list[str]
    seconds: float
    timed_out: bool = False


_found: dict[Sandbox, Mode] = {}


async def strongest(sandbox: Sandbox = "auto") -> Mode:
    """The mode that this machine gives; tried once, by running a program that does nothing.

    Raises:
        ConfigError: ``require``, and there is no whole jail.
    """
    if sandbox == "off":
        return "limits"
    if sandbox not in _found:
        _found[sandbox] = await _try_all(sandbox)
    return _found[sandbox]


async def _try_all(sandbox: Sandbox) -> Mode:
    why: list[str] = []
    modes: tuple[Mode, ...] = ("namespaces", "bwrap") if sandbox == "require" else _order()
    for mode in modes:
        reason = await _refused(mode)
        if reason is None:
            return mode
        why.append(f"{mode}: {reason}")
    if sandbox == "require":
        raise ConfigError(
            f"generated code cannot be jailed here ({'; '.join(why)})",
            cure='install bubblewrap, allow user namespaces, or set sandbox = "auto" under [tool.turnout.ai]',
        )
    return "limits"


def _order() -> tuple[Mode, ...]:
    return ("sandbox-exec",) if sys.platform == "darwin" else ("namespaces", "bwrap", "landlock")


async def _refused(mode: Mode) -> str | None:
    """Why *mode* does not work here; None if it does."""
    tool = {"bwrap": "bwrap", "sandbox-exec": "sandbox-exec"}.get(mode)
    if tool and shutil.which(tool) is None:
        return f"{tool} is not installed"
    if mode in ("namespaces", "landlock") and sys.platform != "linux":
        return "this is not Linux"
    with tempfile.TemporaryDirectory(prefix="turnout-jail-") as folder:
        try:
            ran = await jailed([sys.executable, "-I", "-c", "pass"], work=Path(folder), mode=mode, timeout_s=20)
        except ConfigError as exc:
            return exc.message
        return None if ran.returncode == 0 else ran.output[-200:] or f"exit status {ran.returncode}"


async def jailed(
    argv: Sequence[str],
    *,
    work: Path,
    cwd: Path | None = None,
    writable: Iterable[Path] = (),
    readable: Iterable[Path] = (),
    timeout_s: float = 30,
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    sandbox: Sandbox = "auto",
    mode: Mode | None = None,
) -> Ran:
    """Run *argv* with *work* as all that it may write, and wait for its end.

    Cancelling ends the program and everything that it has started.

    Args:
        argv: The program's own path first: nothing is looked up.
        cwd: Where it begins; *work* if None.
        writable: Other folders that it may write, at their own paths.
        readable: What it may read beside Python, its packages and the system's libraries.
        timeout_s: By the clock on the wall; then everything is killed.
        env: The environment; nothing of this process's own is passed on.
        mode: Instead of the strongest that *sandbox* finds.

    Raises:
        ConfigError: the jail cannot be set up here.
    """
    mode = mode or await strongest(sandbox)
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="turnout-root-") as root, _pipe() as (reading, writing):
        spec = {
            "mode": {"bwrap": "inner", "sandbox-exec": "limits"}.get(mode, mode),
            "root": root,
            "cwd": _real(cwd or work),
            "writable": [_real(work), *map(_real, writable)],
            "readable": _existing([*own_paths(), *map(str, readable)]),
            "limits": {name: getattr(limits, name) for name in limits.__struct_fields__},
            "wall_s": timeout_s,
            "env": {**_environment(_real(work)), **(env or {})},
            "status_fd": writing,
        }
        started = time.monotonic()
        command = [sys.executable, "-I", str(LAUNCHER), json.dumps(spec), "--", *argv]
        code, output = await _run(_outer(mode, spec) + command, writing, timeout_s + GRACE_S)
        facts = _facts(reading)
    seconds = time.monotonic() - started
    if "failed" in facts:
        raise ConfigError(f"the jail could not be set up: {facts['failed']}", cure="turnout create --doctor says more")
    layers = [*(["bwrap namespaces"] if mode == "bwrap" else []), *facts.get("layers", [])]
    if mode == "sandbox-exec":
        layers.insert(0, "sandbox-exec (untested)")
    return Ran(code, output, layers, seconds, bool(facts.get("timed_out")) or code is None)


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


async def _run(command: list[str], status_fd: int, wall_s: float) -> tuple[int, str]:
    """The exit status of *command* and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        pass_fds=(status_fd,),
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(wall_s):
            output = await _read(process.stdout)
            return await process.wait(), output
    except TimeoutError:
        return 124, ""
    finally:
        if process.returncode is None:
            # The launcher's death is PID 1's, and so everybody's in the jail.
            process.kill()
            await process.wait()


async def _read(stream: asyncio.StreamReader) -> str:
    kept = bytearray()
    while piece := await stream.read(65_536):
        kept += piece[: OUTPUT_BYTES - len(kept)]
    return kept.decode(errors="replace")


def _facts(reading: int) -> dict[str, Any]:
    """What the launcher said, its later words over the earlier."""
    os.set_blocking(reading, False)
    try:
        lines = os.read(reading, 65_536).splitlines()
    except BlockingIOError:
        return {}
    facts: dict[str, Any] = {}
    for line in lines:
        facts.update(json.loads(line))
    return facts


# -- what a jailed program sees


def own_paths() -> list[str]:
    """Python, its environment, this package and the system's libraries: what any program of the project needs."""
    packages = Path(__file__).resolve().parents[2]
    paths = [sys.prefix, str(packages), "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/bin", "/lib", "/lib64"]
    for base in {sys.base_prefix, os.path.realpath(sys.base_prefix), str(Path(sys.executable).resolve().parents[1])}:
        # A Python of the system's shares its folder with everything else that is installed.
        paths += [f"{base}/bin", f"{base}/lib"] if base in ("/usr", "/usr/local") else [base]
    return [*paths, "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime"]


def _existing(paths: Iterable[str]) -> list[str]:
    """*paths* that are there, without those inside another; ``/`` would show everything and is refused."""
    found = sorted({path for path in paths if Path(path).exists()})
    if "/" in found:
        raise ConfigError("a jail that may read / is none", cure="name the folders that are needed")
    return [path for path in found if not any(path.startswith(f"{other}/") for other in found)]


def _real(path: Path) -> str:
    """The one place of *path*: what is bound and what is allowed must be the same folder."""
    return os.path.realpath(path)


def _environment(work: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": work,
        "TMPDIR": work,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
        # A thread's own heap maps 64 MB that it does not use, and the limit counts what is mapped.
        "MALLOC_ARENA_MAX": "2",
    }


# -- walls of others


def _outer(mode: Mode, spec: dict[str, Any]) -> list[str]:
    if mode == "bwrap":
        return _bwrap(spec)
    if mode == "sandbox-exec":
        return ["/usr/bin/sandbox-exec", "-p", _profile(spec)]
    return []


def _bwrap(spec: dict[str, Any]) -> list[str]:
    """The same view in bubblewrap's words; the launcher runs inside it, for Landlock and limits."""
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "jail"]
    words += ["--uid", "1000", "--gid", "1000", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for path in sorted({*spec["readable"], str(LAUNCHER)}, key=len):
        words += ["--ro-bind", path, path]
    for path in spec["writable"]:
        words += ["--bind", path, path]
    return [*words, "--"]


def _profile(spec: dict[str, Any]) -> str:
    """A profile of macOS' sandbox: nothing but what is named."""

    def subpaths(paths: Iterable[str]) -> str:
        return " ".join(f"(subpath {json.dumps(path)})" for path in paths)

    system = ["/usr/lib", "/System", "/Library/Frameworks", "/private/var/db/timezone", str(LAUNCHER.parent)]
    return (
        "(version 1)(deny default)(allow process-fork)(allow process-exec)(allow sysctl-read)"
        "(allow signal (target self))"
        f"(allow file-read-metadata)(allow file-read* {subpaths([*system, *spec['readable'], *spec['writable']])}"
        ' (literal "/dev/null") (literal "/dev/random") (literal "/dev/urandom"))'
        f'(allow file-write* {subpaths(spec["writable"])} (literal "/dev/null"))'
    )
