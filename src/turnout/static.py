"""The files of ``public/``, as they are, at their own paths: ``public/logo.svg`` is ``/logo.svg``.

The folder is listed once, at load, and each file becomes a route: a request never turns into a
path on the disk, so there is no ``..`` to get wrong. Left out: hidden names (``.well-known``
excepted), Python files, and links that lead out of the folder.

``asset("style.css")`` gives an address with the fingerprint of what is in the file,
``/_assets/3f2a9c1b7d40/style.css``. A browser keeps that for a year and never asks again; after a
change the address is another. Links inside the file that are relative go on to work.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from .errors import ConfigError, NotFound
from .http.request import Request
from .http.response import Response

Endpoint = Callable[[Request], Awaitable[Response]]

PREFIX = "/_assets"
ALWAYS_ASK = "public, max-age=0, must-revalidate"
FOR_A_YEAR = "public, max-age=31536000, immutable"


class Public:
    """The files of one folder; none if there is no such folder.

    Attributes:
        files: Their paths by name, ``css/site.css``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Path] = dict(sorted(_listed(folder)))
        self._prints: dict[str, tuple[tuple[int, int], str]] = {}

    def endpoint(self, name: str) -> Endpoint:
        """What answers at the file's own path; ETag, conditions and ranges are the response's."""
        path = self.files[name]

        async def serve(request: Request) -> Response:
            return _kept(path, ALWAYS_ASK)

        return serve

    async def fingerprinted(self, request: Request) -> Response:
        """What answers at ``/_assets/[print]/[...name]``.

        An address from before a change gives the file of today: a page that was loaded then
        still gets its style. Only the right address may be kept.
        """
        name = "/".join(request.params["name"])
        path = self.files.get(name)
        if path is None:
            raise NotFound()
        return _kept(path, FOR_A_YEAR if request.params["print"] == self.fingerprint(name) else ALWAYS_ASK)

    def asset(self, name: str) -> str:
        """The address of the file *name* with its fingerprint.

        Raises:
            ConfigError: there is no such file.
        """
        name = name.removeprefix("/")
        if name not in self.files:
            raise ConfigError(f"there is no file {name!r} in {self.folder}", cure="mend the name, or add the file")
        return f"{PREFIX}/{self.fingerprint(name)}/{quote(name)}"

    def fingerprint(self, name: str) -> str:
        """Twelve hexadecimal digits of what is in the file; read again only when the file has changed."""
        import hashlib

        path = self.files[name]
        try:
            info = path.stat()
            state = (info.st_mtime_ns, info.st_size)
            known = self._prints.get(name)
            if known is None or known[0] != state:
                with path.open("rb") as opened:
                    digest = hashlib.file_digest(opened, "sha256").hexdigest()
                known = self._prints[name] = (state, digest[:12])
        except OSError:
            raise NotFound() from None
        return known[1]


def _kept(path: Path, how_long: str) -> Response:
    response = Response.file(path)
    response.headers.set("cache-control", how_long)
    return response


def _listed(folder: Path) -> Iterator[tuple[str, Path]]:
    real = Path(os.path.realpath(folder))
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if _is_open(name)]  # links to folders are not followed
        for name in files:
            path = Path(place, name)
            leads_out = path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(real)
            if _is_open(name) and not name.endswith((".py", ".pyc")) and not leads_out and path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _is_open(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no text: no path of a URL leads there
        return False
    return not name.startswith(".") or name == ".well-known"


_public: Public | None = None


def configure(folder: Path) -> Public:
    """Say where the project's public files are; those of another project are forgotten."""
    global _public
    _public = Public(folder)
    return _public


def asset(name: str) -> str:
    """The address of a file in ``public/``, with a fingerprint of what is in it: for pages and templates.

    Raises:
        ConfigError: there is no such file, or no project.
    """
    if _public is None:
        raise ConfigError("there is no project here", cure="run inside a project (turnout dev)")
    return _public.asset(name)
