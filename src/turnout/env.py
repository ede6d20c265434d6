"""The environment: ``.env`` files by mode, typed settings, and secrets that do not print.

Files are layered ``process > .env.{mode}.local > .env.local (not in test) > .env.{mode} > .env``, as
Next.js layers them, and the first that has a name wins. The syntax is what a POSIX shell would
take from ``NAME=value`` lines, minus commands::

    export NAME=value          # a comment needs a space before it
    NAME='as it is, $unexpanded'
    NAME="tab\\t, line\\n, \\$5, $OTHER, ${OTHER}, ${OTHER:-default},
    and a second line"

The surprise: a reference to a name that is not set is an error and not an empty string, for an
unescaped ``$`` in a password would otherwise shorten it in silence. Where a file repeats a name,
the last one counts. Nothing here reads ``pyproject.toml``; that is ``config.py``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn, SupportsIndex, TypeAlias

from .errors import ConfigError

Mode: TypeAlias = Literal["development", "test", "production"]

_ASSIGN = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_UNQUOTED = re.compile(r"(?:(?![ \t]#)[^\n])*")
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_PIECE = re.compile(r"\\(.)|\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([^{}]*)\})", re.DOTALL)
_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class Entry:
    """One assignment in a file: the text between its quotes, and where it stands."""

    __slots__ = ("file", "line", "name", "quote", "raw")

    def __init__(self, name: str, raw: str, quote: str, file: Path, line: int) -> None:
        self.name, self.raw, self.quote, self.file, self.line = name, raw, quote, file, line


def parse_env(text: str, file: Path) -> list[Entry]:
    """Read the assignments of *text* in order; values are not expanded yet.

    Raises:
        ConfigError: a line that is no assignment, an open quote, text behind a closing quote,
            or a NUL; with file and line.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    entries: list[Entry] = []
    at, line = 0, 1
    while at < len(text):
        if blank := _BLANK.match(text, at):
            end = blank.end()
        else:
            entry, end = _assignment(text, at, line, file)
            entries.append(entry)
        line += text.count("\n", at, end)
        at = end
    return entries


def _assignment(text: str, at: int, line: int, file: Path) -> tuple[Entry, int]:
    head = _ASSIGN.match(text, at)
    if head is None:
        # The text itself may be half a secret, so the message does not quote it.
        raise ConfigError(
            "this line is not NAME=value", file=file, line=line, cure="write NAME=value, or start a comment with #"
        )
    name, start = head[1], head.end()
    quote = text[start : start + 1]
    if quote not in ("'", '"'):
        value = _UNQUOTED.match(text, start - 1)  # from the = or the space, so that "NAME= # note" is empty
        raw, quote = value[0][1:].strip(" \t") if value else "", ""
        end = text.find("\n", start)
        end = len(text) if end < 0 else end + 1
    else:
        value = (_DOUBLE if quote == '"' else _SINGLE).match(text, start)
        if value is None:
            raise ConfigError(
                f"the value of {name} opens with {quote} and never closes",
                file=file,
                line=line,
                cure="close the quote; a value that holds one kind of quote goes between the other kind",
            )
        rest = _BLANK.match(text, value.end())
        if rest is None:
            raise ConfigError(
                f"there is text after the closing quote of {name}",
                file=file,
                line=line + text.count("\n", start, value.end()),
                cure="put the whole value between the quotes, or a # before a comment",
            )
        raw, end = value[1], rest.end()
    if "\0" in raw:
        raise ConfigError(f"the value of {name} holds a NUL byte", file=file, line=line, cure="remove it")
    return Entry(name, raw, quote, file, line), end


class _Expansion:
    """Expands the winning entries, each once; the process environment is taken as it is."""

    def __init__(self, base: Mapping[str, str], entries: Mapping[str, Entry]) -> None:
        self.values = dict(base)
        self.entries = entries
        self.under_way: list[str] = []

    def value(self, entry: Entry) -> str:
        name = entry.name
        if name in self.values:
            return self.values[name]
        if name in self.under_way:
            ring = " -> ".join([*self.under_way[self.under_way.index(name) :], name])
            raise ConfigError(
                f"{name} refers to itself ({ring})", file=entry.file, line=entry.line, cure=r"write \$ for a plain $"
            )
        if len(self.under_way) > 64:
            raise ConfigError(
                f"{name} is reached through more than 64 references",
                file=entry.file,
                line=entry.line,
                cure="shorten them",
            )
        self.under_way.append(name)
        value = entry.raw if entry.quote == "'" else _PIECE.sub(lambda piece: self._piece(piece, entry), entry.raw)
        self.under_way.pop()
        self.values[name] = value
        return value

    def _piece(self, piece: re.Match[str], entry: Entry) -> str:
        escaped, plain, braced = piece.groups()
        if escaped is not None:
            # Without quotes a backslash is text (C:\temp), but for the one escape that expansion needs.
            known = _ESCAPES if entry.quote else {"$": "$"}
            return known.get(escaped, "\\" + escaped)
        default: str | None = None
        name = plain
        if braced is not None:
            parts = _BRACED.match(braced)
            if parts is None:
                raise ConfigError(
                    f"{entry.name} holds ${{...}} that is neither ${{NAME}} nor ${{NAME:-default}}",
                    file=entry.file,
                    line=entry.line,
                    cure=r"write \$ for a plain $, or put the value in single quotes",
                )
            name, default = parts[1], parts[2]
        return self._lookup(name, default, entry)

    def _lookup(self, name: str, default: str | None, entry: Entry) -> str:
        value = self.values.get(name)
        if value is None and name in self.entries:
            value = self.value(self.entries[name])
        if value is None or (not value and default is not None):
            value = default
        if value is None:
            raise ConfigError(
                f"{entry.name} refers to {name}, which is not set",
                file=entry.file,
                line=entry.line,
                cure=rf"set {name}, give a default with ${{{name}:-...}}, or write \${name} for the text itself",
            )
        return value


def env_files(root: Path, mode: Mode) -> list[Path]:
    """The files that *mode* looks at in *root*, strongest first, whether they exist or not."""
    names = [f".env.{mode}.local", ".env.local", f".env.{mode}", ".env"]
    if mode == "test":
        names.remove(".env.local")  # a test run gives the same answer on every machine
    return [root / name for name in names]


def _read(file: Path) -> list[Entry]:
    try:
        text = file.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []  # a virtual environment may be a folder called .env
    except UnicodeDecodeError as exc:
        raise ConfigError("this file is not UTF-8", file=file, cure="save it as UTF-8") from exc
    except OSError as exc:
        raise ConfigError(f"cannot read this file: {exc.strerror}", file=file, cure="check its permissions") from exc
    return parse_env(text, file)


def _winners(root: Path, mode: Mode) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for file in reversed(env_files(root, mode)):
        entries.update((entry.name, entry) for entry in _read(file))
    return entries


def load_env(root: Path, mode: Mode, *, process: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every variable that a project in *root* sees in *mode*; changes nothing outside.

    Args:
        root: The project's folder.
        mode: Which ``.env.{mode}`` files count.
        process: The process environment; ``os.environ`` if None.

    Raises:
        ConfigError: a file that cannot be read or parsed, or a reference that leads nowhere.
    """
    entries = _winners(root, mode)
    expansion = _Expansion(os.environ if process is None else process, entries)
    for entry in entries.values():
        expansion.value(entry)
    return expansion.values


class Env(Mapping[str, str]):
    """The variables of the running project: a read-only mapping with helpful errors.

    Before ``load`` it shows the process environment alone.
    """

    def __init__(self) -> None:
        self._values: Mapping[str, str] = os.environ
        self._exported: dict[str, str] = {}
        self._entries: dict[str, Entry] = {}
        self._files: list[Path] = []

    def load(self, root: Path, mode: Mode) -> None:
        """Take the variables of the project in *root*, and show them to other libraries too.

        Names that the process environment lacks are put into ``os.environ``, since most libraries
        read only that. A second call takes back what the first one put there.

        Raises:
            ConfigError: as ``load_env``; nothing has changed then.
        """
        process = {name: value for name, value in os.environ.items() if self._exported.get(name) != value}
        entries = _winners(root, mode)
        values = load_env(root, mode, process=process)
        self.unload()
        self._values, self._entries, self._files = values, entries, env_files(root, mode)
        self._exported = {name: value for name, value in values.items() if name not in process}
        os.environ.update(self._exported)

    def unload(self) -> None:
        """Take back what ``load`` put into ``os.environ``, except what has been changed since."""
        for name, value in self._exported.items():
            if os.environ.get(name) == value:
                del os.environ[name]
        self._values, self._exported, self._entries, self._files = os.environ, {}, {}, []

    def where(self, name: str) -> str:
        """Say where the value of *name* comes from: ``.env.local:3`` or ``the process environment``."""
        entry = self._entries.get(name)
        if entry is None or name not in self._exported:
            return "the process environment"
        return f"{entry.file.name}:{entry.line}"

    def looked_at(self) -> str:
        """The places that were searched, for an error message."""
        return ", ".join(["the process environment", *(file.name for file in self._files)])

    def __getitem__(self, name: str) -> str:
        value = self._values.get(name)
        if value is None:
            raise ConfigError(
                f"{name} is not set; looked at {self.looked_at()}",
                cure=f"add {name}=... to .env.local (this machine only) or set it where the server is started",
            )
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """The value of *name*, or *default*."""
        return self._values.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Env of {len(self)} variables>"  # never the values: this ends up in tracebacks


env = Env()
"""The running project's variables: ``from turnout import env; env["EXTERNAL_API_KEY"]``."""


def public_env(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that a browser may see: those whose names begin with ``PUBLIC_``."""
    return {name: value for name, value in (env if source is None else source).items() if name.startswith("PUBLIC_")}


secret_values: set[str] = set()
"""The values of the first 256 secrets made in this process; ``log.configure`` keeps them out of the log."""


class Secret:
    """A text that does not print: ``str()``, ``repr()``, formatting and JSON never show it.

    It is not a ``str``, so an encoder refuses it instead of sending it; ``reveal()`` gives the text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(secret_values) < 256:  # settings come first; a Secret made per request must not fill the memory
            secret_values.add(value)

    def reveal(self) -> str:
        """The text itself; call it where the text is used and not before."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        import hmac

        if isinstance(other, Secret):
            other = other._value
        if not isinstance(other, str):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Secret is not pickled; pickle secret.reveal() if it must leave the process")


class Settings:
    """Typed settings from the environment; a subclass lists them as annotated fields.

    ``page_size: int = 10`` is read from ``PAGE_SIZE``. A field may be ``str``, ``int``, ``float``,
    ``bool``, ``Path``, ``Secret``, an ``Enum``, a ``Literal``, a ``list[...]`` of these (separated
    by commas), or any of them ``| None``. A name that is empty counts as missing, but for ``str``
    and lists. The values are read when the object is made and do not change::

        class Blog(Settings):
            stripe_secret: Secret
            page_size: int = 10

        settings = Blog()

    Raises:
        ConfigError: lists every field that is missing or does not convert; never a value.
    """

    _fields: ClassVar[dict[str, Any]]

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        variables = env if source is None else source
        problems: list[str] = []
        for field, kind in _annotations(type(self)).items():
            try:
                self.__dict__[field] = _setting(type(self), field, kind, variables.get(field.upper()))
            except _Unreadable as exc:
                origin = f" (from {env.where(field.upper())})" if source is None and field.upper() in env else ""
                problems.append(f"{field.upper()} {exc}{origin}")
        if problems:
            looked_at = f"; looked at {env.looked_at()}" if source is None else ""
            raise ConfigError(
                f"{type(self).__name__} cannot be read{looked_at}:" + "".join(f"\n    {each}" for each in problems),
                cure="set these in .env.local (this machine only) or where the server is started",
            )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"settings do not change: {type(self).__name__}.{name}")

    def __repr__(self) -> str:
        # Fields that should have been a Secret often are plain text, so none is shown.
        return f"<{type(self).__name__}: {', '.join(self.__dict__)}>"


class _Unreadable(Exception):
    """Why one field has no value; ``Settings`` collects these."""


def _annotations(cls: type[Settings]) -> dict[str, Any]:
    from typing import get_origin, get_type_hints

    hints = get_type_hints(cls)
    return {name: kind for name, kind in hints.items() if not name.startswith("_") and get_origin(kind) is not ClassVar}


def _setting(cls: type[Settings], field: str, kind: Any, text: str | None) -> Any:
    from types import NoneType, UnionType
    from typing import Union, get_args, get_origin

    optional = get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind)
    if optional:
        kinds = [each for each in get_args(kind) if each is not NoneType]
        kind = kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007 - built at run time
    empty_is_a_value = kind is str or get_origin(kind) is list
    if text is None or (not text and not empty_is_a_value):
        if hasattr(cls, field):
            return getattr(cls, field)
        if optional:
            return None
        raise _Unreadable("is empty" if text is not None else "is missing")
    return _convert(text, kind)


_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off"))


def _convert(text: str, kind: Any) -> Any:
    from enum import Enum
    from typing import get_args, get_origin

    origin = get_origin(kind)
    if origin is list:
        (item,) = get_args(kind)
        return [_convert(part, item) for part in (piece.strip() for piece in text.split(",")) if part]
    if origin is Literal:
        options = {str(option): option for option in get_args(kind)}
        if text not in options:
            raise _Unreadable(f"must be one of {', '.join(options)}")
        return options[text]
    if kind is bool:
        if text.strip().lower() not in _TRUE | _FALSE:
            raise _Unreadable("must be true or false")
        return text.strip().lower() in _TRUE
    if isinstance(kind, type) and issubclass(kind, Enum):
        members = {str(member.value): member for member in kind} | kind.__members__
        if text not in members:
            raise _Unreadable(f"must be one of {', '.join(str(member.value) for member in kind)}")
        return members[text]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise _Unreadable("must be a whole number" if kind is int else "must be a number") from None
    if kind in (str, Path, Secret):
        return kind(text)
    raise _Unreadable(
        f"has the type {kind!r}, which no text converts to: use str, int, float, bool, Path, Secret, an Enum, "
        "a Literal, a list of these, or one of them | None"
    )


def compare_with_example(root: Path, values: Mapping[str, str], mode: Mode) -> tuple[list[str], list[str]]:
    """Compare a project's variables with its ``.env.example``.

    Returns:
        The names in ``.env.example`` that *values* lacks, and the names in the project's other
        ``.env`` files that ``.env.example`` lacks; two empty lists where there is no example.

    Raises:
        ConfigError: one of the files cannot be parsed.
    """
    example = root / ".env.example"
    if not example.is_file():
        return [], []
    promised = {entry.name for entry in _read(example)}
    used = set(_winners(root, mode))
    return sorted(promised - set(values)), sorted(used - promised)
