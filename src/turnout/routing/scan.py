"""The ``app/`` folder to a Manifest: which file answers which URL, and where the actions are.

Only the file system is read; no module of the user is imported. Everything that would make
a URL ambiguous stops the start here, with the names of both files, since a router that
quietly prefers one of them is how guards get skipped. ``_folder`` and all below it is
private; a folder that starts with a dot, such as ``.well-known``, is an ordinary one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError
from .manifest import ActionFile, Manifest, RouteFile
from .pattern import Pattern, Segment, parse_segment

ROUTE, MIDDLEWARE, ERROR, ACTIONS = "route.py", "middleware.py", "error.py", "actions.py"
_OURS = (ROUTE, MIDDLEWARE, ERROR, ACTIONS)


def scan(app_dir: Path, public: Path | None = None) -> Manifest:
    """Read *app_dir*, the ``app`` folder right below the project root.

    Args:
        public: The folder of static files, if routes must not hide any of them. A static
            file counts as static in the order of matching: only a route without parameters
            can hide it.

    Raises:
        ConfigError: a conflict between two files or folders, a malformed name, a link that
            leads out of the project, or no such folder.
    """
    root = Path(os.path.abspath(app_dir.parent))  # noqa: PTH100 - resolve() would follow links, and names come from here
    app_dir = root / app_dir.name
    if not app_dir.is_dir():
        raise ConfigError(f"There is no folder {app_dir}", cure="create it, with a route.py in it or in a folder below")
    walk = _Walk(root)
    found = walk.routes(app_dir, walk.inside(app_dir))
    routes = sorted(found, key=lambda route: (route.pattern.text, str(route.file)))
    for route in routes:
        _check_path(route, root)
    _check_places(routes, root)
    if public is not None:
        _check_public(routes, root, public)
    return Manifest(root, tuple(routes), actions=tuple(walk.actions))


class _Walk:
    """One pass over the folders; holds what stays the same all the way down."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.real_root = Path(os.path.realpath(root))
        self.actions: list[ActionFile] = []  # met on the way

    def routes(
        self,
        folder: Path,
        real: Path,
        segments: tuple[Segment, ...] = (),
        middleware: tuple[Path, ...] = (),
        errors: tuple[Path, ...] = (),
        above: frozenset[Path] = frozenset(),
    ) -> Iterator[RouteFile]:
        """Yield the route of *folder*, whose real path is *real*, and those below it."""
        if real in above:
            raise self.error(folder, "is a link to a folder above it", "remove the link")
        files, folders = self.entries(folder)
        if MIDDLEWARE in files:
            middleware = (*middleware, folder / MIDDLEWARE)
        if ERROR in files:
            errors = (folder / ERROR, *errors)
        if ACTIONS in files:
            self.actions.append(ActionFile(folder / ACTIONS, middleware, errors))
        if ROUTE in files:
            yield RouteFile(Pattern(segments), folder / ROUTE, middleware, errors)
        for name, is_link in folders:
            segment = self.segment(folder / name)
            deeper = segments if segment is None else (*segments, segment)
            child = self.inside(folder / name) if is_link else real / name
            yield from self.routes(folder / name, child, deeper, middleware, errors, above | {real})

    def entries(self, folder: Path) -> tuple[set[str], list[tuple[str, bool]]]:
        """The names of our files in *folder*; and of the folders that may hold routes, with whether each is a link."""
        files: set[str] = set()
        folders: list[tuple[str, bool]] = []
        folded: dict[str, str] = {}
        try:
            with os.scandir(folder) as listing:
                found = sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in listing)
        except OSError as exc:
            raise self.error(folder, f"cannot be read: {exc.strerror}", "make it readable for this user") from exc
        for name, is_folder, is_link in found:
            if is_folder and not name.startswith("_"):
                twin = folded.setdefault(name.casefold(), name)
                if twin != name:
                    raise self.case(folder / twin, folder / name)
                folders.append((name, is_link))
            elif not is_folder and name.lower() in _OURS:
                self.check_ours(folder / name, is_link)
                files.add(name)
        return files, folders

    def check_ours(self, file: Path, is_link: bool) -> None:
        """Refuse one of our own files that another machine would not read as we do."""
        if file.name not in _OURS:
            # It would be a route on a disk that ignores case, and none on the server.
            raise self.error(file, "is not read: its name has capitals", f"rename it to {file.name.lower()}")
        if is_link and not file.exists():
            raise self.error(file, "is a link that leads nowhere", "remove the link, or mend it")
        if is_link:
            self.inside(file)

    def inside(self, place: Path) -> Path:
        """The real path of *place*, which must be inside the project."""
        real = Path(os.path.realpath(place))
        if not real.is_relative_to(self.real_root):
            raise self.error(
                place, "is a link that leads out of the project", "copy what it points to, or import it from a package"
            )
        return real

    def segment(self, folder: Path) -> Segment | None:
        try:
            return parse_segment(folder.name)
        except ConfigError as exc:
            raise ConfigError(exc.message, file=folder, cure=exc.cure) from None

    def case(self, one: Path, other: Path) -> ConfigError:
        return ConfigError(
            f"{_short(one, self.root)} and {_short(other, self.root)} differ only in upper and lower case",
            file=other,
            cure="rename one of them: they are one folder on a disk that ignores case",
        )

    def error(self, place: Path, problem: str, cure: str) -> ConfigError:
        return ConfigError(f"{_short(place, self.root)} {problem}", file=place, cure=cure)


class _Place:
    """One place in the tree of URLs, and the route file that first led to it."""

    __slots__ = ("end", "file", "folded", "holes", "static")

    def __init__(self, file: Path) -> None:
        self.file = file
        self.end: Path | None = None
        self.static: dict[str, _Place] = {}
        self.folded: dict[str, str] = {}
        self.holes: dict[str, tuple[str, _Place]] = {}


def _check_path(route: RouteFile, root: Path) -> None:
    """Refuse what is wrong within one path."""
    slugs = route.pattern.slugs
    for slug in slugs:
        if slugs.count(slug) > 1:
            raise ConfigError(
                f"{_short(route.file, root)} has the slug {slug!r} twice in its path",
                file=route.file,
                cure=f"rename one of the folders, for example to [{slug}_2]",
            )
    for segment in route.pattern.segments[:-1]:
        if segment.kind in ("rest", "optional_rest"):
            raise ConfigError(
                f"{_short(route.file, root)} is below {segment.text}, and a catch-all must be the last segment",
                file=route.file,
                cure=f"move the file up, or turn {segment.text} into [{segment.name}]",
            )


def _check_places(routes: list[RouteFile], root: Path) -> None:
    """Refuse two routes that claim one place in the tree of URLs."""
    if not routes:
        return
    top = _Place(routes[0].file)
    for route in routes:
        place = top
        for segment in route.pattern.segments:
            place = _step(place, segment, route.file, root)
        if place.end is not None:
            raise _conflict(
                place.end,
                route.file,
                root,
                f"both answer {route.pattern.text}",
                "remove one, or move it out of its group",
            )
        place.end = route.file
    _check_optional(top, root)


def _step(place: _Place, segment: Segment, file: Path, root: Path) -> _Place:
    if segment.kind == "static":
        twin = place.folded.setdefault(segment.name.casefold(), segment.name)
        if twin != segment.name:
            raise _conflict(
                place.static[twin].file,
                file,
                root,
                f"have folders that differ only in upper and lower case, {twin!r} and {segment.name!r}",
                "rename one of the folders",
            )
        return place.static.setdefault(segment.name, _Place(file))
    slug, child = place.holes.setdefault(segment.kind, (segment.name, _Place(file)))
    if slug != segment.name:
        raise _conflict(
            child.file,
            file,
            root,
            f"give one place in the path two names, {slug!r} and {segment.name!r}",
            f"rename the folders so that both say {segment.text}",
        )
    if "rest" in place.holes and "optional_rest" in place.holes:
        one, other = place.holes["rest"][1].file, place.holes["optional_rest"][1].file
        raise _conflict(
            one,
            other,
            root,
            f"are [...{place.holes['rest'][0]}] beside [[...{place.holes['optional_rest'][0]}]]",
            "keep one of the two: [[...x]] also answers without a rest",
        )
    return child


def _check_optional(place: _Place, root: Path) -> None:
    """Refuse ``/a`` beside ``/a/[[...x]]``: both answer ``/a``."""
    optional = place.holes.get("optional_rest")
    if optional is not None and place.end is not None:
        slug, below = optional
        raise _conflict(
            place.end,
            below.file,
            root,
            f"answer the same URL, since [[...{slug}]] matches no segment too",
            f"rename [[...{slug}]] to [...{slug}], or remove the other file",
        )
    for child in place.static.values():
        _check_optional(child, root)
    for _, child in place.holes.values():
        _check_optional(child, root)


def _check_public(routes: list[RouteFile], root: Path, public: Path) -> None:
    """Refuse a static file at the URL of a route."""
    for route in routes:
        names = [segment.name for segment in route.pattern.segments]
        if route.pattern.slugs or any("/" in name for name in names):
            continue
        hidden = public.joinpath(*names)
        if hidden.is_file():
            raise _conflict(
                hidden, route.file, root, f"both answer {route.pattern.text}", "remove or rename one of the two"
            )


def _conflict(one: Path, other: Path, root: Path, problem: str, cure: str) -> ConfigError:
    return ConfigError(f"{_short(one, root)} and {_short(other, root)} {problem}", file=other, cure=cure)


def _short(place: Path, root: Path) -> str:
    """*place* as the user knows it: relative to the project."""
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)
