"""What recipes have in common: their arguments, where files go, and that nothing of the user's is written over.

A recipe is a plain function from a project and a few words to a ``ChangeSet``; the same input gives the same
bytes. Its texts stand whole in its file, with ``@NAME@`` where a word of the project goes. What is written by a
recipe passes the same gates as what a model writes.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from ...errors import ConfigError
from ..changeset import ChangeSet, FileChange

if TYPE_CHECKING:
    from ..view import ProjectView

Plan = Callable[["ProjectView", Mapping[str, str]], ChangeSet]
Read = Callable[[str], dict[str, str]]

_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_path = re.compile(rf"(?:/{_SEGMENT})+").fullmatch
_path_in_ask = re.compile(rf"(?<![\w/:.])((?:/{_SEGMENT})+)(?![\w/\[{{])").search
_name = re.compile(r"[a-z][a-z0-9_]*").fullmatch
_env_name = re.compile(r"[A-Z][A-Z0-9_]*").fullmatch
_env_in_ask = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b").findall


def nothing(ask: str) -> dict[str, str]:
    """The arguments in a sentence, where a recipe reads none."""
    return {}


class Argument(Struct, frozen=True):
    """One word that a recipe takes.

    Attributes:
        default: Taken where it is not given; None: it must be given.
        rest: It takes every word that is left.
    """

    name: str
    summary: str
    default: str | None = None
    rest: bool = False


class Recipe(Struct, frozen=True):
    """A generator for one kind of route.

    Attributes:
        plan: What it would change in a project.
        arguments: In the order in which bare words fill them.
        signs: Patterns and what each adds to the score of a sentence in lower case; some take away.
        read: The arguments that a sentence names.
    """

    name: str
    summary: str
    plan: Plan
    arguments: tuple[Argument, ...] = ()
    signs: tuple[tuple[str, float], ...] = ()
    read: Read = nothing

    def parse(self, words: Sequence[str]) -> dict[str, str]:
        """Command line words as arguments: ``name=value``, or bare in their order.

        Raises:
            ConfigError: an unknown name, or more words than it takes.
        """
        known = {each.name: each for each in self.arguments}
        given: dict[str, str] = {}
        bare: list[str] = []
        for word in words:
            name, found, value = word.partition("=")
            if found and name in known:
                given[name] = value
            else:
                bare.append(word)
        for each in self.arguments:
            if bare and each.name not in given:
                given[each.name] = " ".join(bare) if each.rest else bare[0]
                bare = [] if each.rest else bare[1:]
        if bare:
            raise ConfigError(f"recipe {self.name} does not know what {bare[0]!r} is", cure=self.usage())
        return given

    def complete(self, args: Mapping[str, str]) -> dict[str, str]:
        """*args* with the defaults of those that are not given.

        Raises:
            ConfigError: one is unknown, or missing.
        """
        known = {each.name: each.default for each in self.arguments}
        unknown = sorted(args.keys() - known.keys())
        missing = [name for name, default in known.items() if default is None and not args.get(name)]
        if unknown:
            raise ConfigError(f"recipe {self.name} takes no argument {unknown[0]!r}", cure=self.usage())
        if missing:
            raise ConfigError(f"recipe {self.name} needs {' and '.join(missing)}", cure=self.usage())
        return {name: args.get(name) or default or "" for name, default in known.items()}

    def usage(self) -> str:
        """How it is asked for on the command line."""
        words = [
            each.name.upper() if each.default is None else f"[{each.name}={each.default}]" for each in self.arguments
        ]
        return " ".join(["turnout create --recipe", self.name, *words])


def fill(text: str, **words: str) -> str:
    """*text* with each ``@WORD@`` replaced."""
    for name, word in words.items():
        text = text.replace(f"@{name.upper()}@", word)
    return text


def check_path(path: str) -> str:
    """*path* as a route's own: ``/api/contact``.

    Raises:
        ConfigError: it has holes, or characters that no folder should have.
    """
    if len(path) > 100 or not _path(path):
        raise ConfigError(
            f"{path[:100]!r} is no path for a recipe", cure="letters, digits and dashes: path=/api/contact"
        )
    return path


def check_name(name: str, what: str = "name") -> str:
    """*name* as a Python and SQL name, in lower case.

    Raises:
        ConfigError: it is none.
    """
    found = name.strip().replace("-", "_").lower()
    if len(found) > 40 or not _name(found) or keyword.iskeyword(found):
        raise ConfigError(f"{name[:40]!r} is no {what}", cure="a word of small letters, digits and _, such as post")
    return found


def check_env(name: str) -> str:
    """*name* as that of an environment variable.

    Raises:
        ConfigError: it is none.
    """
    if len(name) > 60 or not _env_name(name):
        raise ConfigError(f"{name[:60]!r} is no name of an environment variable", cure="capitals, such as WEATHER_URL")
    return name


def path_in(ask: str) -> dict[str, str]:
    """The path that a sentence names, if it names one without holes."""
    found = _path_in_ask(ask)
    return {"path": found[1]} if found else {}


def env_in(ask: str) -> list[str]:
    """The environment variables that a sentence names."""
    return list(dict.fromkeys(_env_in_ask(ask)))


def slug(path: str) -> str:
    """A name for the files that belong to *path*: ``webhooks_stripe`` of ``/api/webhooks/stripe``."""
    words = [each for each in path.lower().replace("-", "_").split("/") if each]
    return "_".join(words[1:] if len(words) > 1 and words[0] == "api" else words)


def plural(word: str) -> str:
    """The usual plural of an English word."""
    if re.search(r"(?:s|x|z|ch|sh)$", word):
        return word + "es"
    return word[:-1] + "ies" if re.search(r"[^aeiou]y$", word) else word + "s"


def singular(word: str) -> str:
    """The word of which *word* is the usual plural, or *word* itself."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(?:sses|xes|zes|ches|shes)$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^siu]s$", word) else word


def new_route(project: ProjectView, path: str) -> str:
    """The file for a new route at *path*.

    Raises:
        ConfigError: there is one.
    """
    there = [route for route in project.routes().routes if route.pattern.text == check_path(path)]
    if there:
        raise ConfigError(
            f"{path} is there already",
            file=there[0].file,
            cure="name another one: path=/api/...; a recipe changes no route that it did not write",
        )
    return f"app{path}/route.py"


def new_table(project: ProjectView, table: str) -> str:
    """*table*, if the project has none of that name.

    Raises:
        ConfigError: it has.
    """
    if table in project.tables():
        raise ConfigError(f"a migration makes the table {table} already", cure="choose another name")
    return table


def new_files(project: ProjectView, files: Mapping[str, str]) -> list[FileChange]:
    """Files that are not there yet.

    Raises:
        ConfigError: one is; nothing of the user's is written over.
    """
    for path in files:
        if project.exists(path):
            raise ConfigError(
                f"{path} is there already", file=project.root / path, cure="move it away, or name another path"
            )
    return [FileChange(path, None, text) for path, text in files.items()]


def next_migration(project: ProjectView, name: str) -> str:
    """The path, without an ending, of a migration that comes after all there are."""
    versions = [found[0] for path in project.migrations() if (found := re.search(r"(?<=/)\d+", path))]
    last = max(versions, key=int, default="0000")
    return f"migrations/{int(last) + 1:0{len(last)}d}_{name}"


def dialects(project: ProjectView) -> tuple[str, ...]:
    """For which databases migrations are written here, by those there are; both where nothing tells."""
    files = project.migrations()
    text = "\n".join(project.read(path) or "" for path in files).lower()
    postgres = any(path.endswith(".pg.sql") for path in files) or re.search(r"\b(?:big)?serial\b|as identity", text)
    sqlite = any(path.endswith(".sqlite.sql") for path in files) or "autoincrement" in text
    if bool(postgres) == bool(sqlite):
        return ("sqlite", "pg")
    return ("pg",) if postgres else ("sqlite",)
