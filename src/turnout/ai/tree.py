"""The project's folder as one open descriptor: every step below it is taken without following links.

A path that was judged may be another a moment later. So nothing here opens by a whole path: each
folder is opened from the one above it, and a link anywhere on the way is refused by the system.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ..errors import ConfigError, TurnoutError

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class NotPlain(TurnoutError):
    """A path leads through a link, or to something that is no plain file; nothing was written there."""


class Tree:
    """The folder *root*, open for as long as the ``with`` lasts.

    Raises:
        ConfigError: this system cannot open a file relative to a folder.
    """

    def __init__(self, root: Path) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigError(
                "this system cannot write relative to an open folder, so links could lead the writing elsewhere",
                cure="use Linux or macOS, or WSL; --dry-run --show prints what would be written",
            )
        self.root = root
        self.fd = os.open(root, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.fd)

    @contextlib.contextmanager
    def folder(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The descriptor of the folder that holds *path*, and the last part of it."""
        *folders, name = path.split("/")
        if {"", ".", ".."} & {*folders, name}:
            raise NotPlain(f"{path} is no plain path below the project")
        fd = os.dup(self.fd)
        try:
            for part in folders:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o777, dir_fd=fd)
                deeper = self._enter(part, fd, path)
                os.close(fd)
                fd = deeper
            yield fd, name
        finally:
            os.close(fd)

    def _enter(self, part: str, fd: int, path: str) -> int:
        try:
            return os.open(part, _FOLDER, dir_fd=fd)
        except FileNotFoundError:
            raise
        except OSError as exc:  # ELOOP or ENOTDIR
            raise NotPlain(f"{path}: {part} is a link, or no folder") from exc

    def read(self, path: str) -> bytes | None:
        """The bytes of the plain file at *path*; None if there is none."""
        try:
            with self.folder(path) as (fd, name):
                try:
                    file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW, dir_fd=fd)
                except FileNotFoundError:
                    return None
                except OSError as exc:
                    raise NotPlain(f"{path} is a link, or no plain file") from exc
                with os.fdopen(file, "rb") as opened:
                    if not stat.S_ISREG(os.fstat(file).st_mode):
                        raise NotPlain(f"{path} is no plain file")
                    return opened.read()
        except FileNotFoundError:
            return None

    def stage(self, path: str, spare: str, data: bytes) -> None:
        """Write *data* on the disk beside *path*, under the name *spare*, with the permissions of what is at *path*."""
        with self.folder(path, make=True) as (fd, name):
            mode = 0o644
            with contextlib.suppress(FileNotFoundError):
                mode = stat.S_IMODE(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode) & 0o777
            with contextlib.suppress(FileNotFoundError):
                os.unlink(spare, dir_fd=fd)
            file = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, mode, dir_fd=fd)
            with os.fdopen(file, "wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(file)

    def put(self, path: str, spare: str, *, new: bool = False) -> None:
        """Let what was staged under *spare* take the place of *path*, at once and for good.

        Raises:
            FileExistsError: *path* is there, and *new* said that it was not.
        """
        with self.folder(path) as (fd, name):
            if new and os.link in os.supports_dir_fd:
                # A rename would quietly replace what somebody made this very moment; a link refuses to.
                os.link(spare, name, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
                os.unlink(spare, dir_fd=fd)
            else:
                os.replace(spare, name, src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)

    def remove(self, path: str) -> None:
        """Remove the file at *path*, if there is one, and what Python has compiled of it."""
        try:
            with self.folder(path) as (fd, name):
                os.unlink(name, dir_fd=fd)
                os.fsync(fd)
                if name.endswith(".py"):
                    _remove_compiled(fd, name.removesuffix(".py"))
        except FileNotFoundError:
            pass

    def missing_folders(self, path: str) -> list[str]:
        """The folders above *path* that do not exist yet, the outermost first."""
        parts = path.split("/")[:-1]
        above = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        return [folder for folder in above if not os.path.lexists(self.root / folder)]

    def remove_empty(self, folders: list[str]) -> None:
        """Remove those of *folders* that are empty, the innermost first."""
        for path in sorted(folders, key=len, reverse=True):
            with contextlib.suppress(OSError, NotPlain), self.folder(path) as (fd, name):
                os.rmdir(name, dir_fd=fd)


def _remove_compiled(fd: int, module: str) -> None:
    """Remove the byte code of *module* in the folder *fd*; a folder that holds nothing else is not seen as empty."""
    try:
        cache = os.open("__pycache__", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
    except OSError:
        return
    try:
        for name in os.listdir(cache):  # noqa: PTH208 - a folder that is open, not a path
            if name.startswith(f"{module}.") and name.endswith(".pyc"):
                os.unlink(name, dir_fd=cache)
    finally:
        os.close(cache)
    with contextlib.suppress(OSError):  # other modules' are in it
        os.rmdir("__pycache__", dir_fd=fd)
