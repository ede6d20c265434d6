"""What never leaves the machine: files that are not read, and values that are replaced.

Two walls. ``is_private`` says which files no prompt is made from, by name. ``Redactor`` replaces,
in whatever is sent or kept, the values found in the project's env files and everything that has
the shape of a known token. A secret in a file of another name and of no known shape is not seen;
that is why ``--show-context`` prints the exact bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ..log import HIDDEN, Hidden, redact_tokens

__all__ = ["HIDDEN", "Redactor", "is_private"]

_SUFFIXES = (
    *(".pem", ".key", ".crt", ".cer", ".der", ".p12", ".pfx", ".p8", ".jks", ".keystore", ".kdbx", ".gpg", ".asc"),
    *(".db", ".sqlite", ".sqlite3", ".db-wal", ".db-shm", ".dump", ".ovpn"),
)
_STARTS = (".env", "credentials", "secrets", "secret.", ".netrc", ".npmrc", ".pypirc", ".pgpass", ".htpasswd")
_FOLDERS = frozenset(("data", "secrets", "node_modules"))  # at the top; app/api/data/ is a route
_SECRET_NAME = re.compile(r"passw|pwd|secret|token|api.?key|access.?key|private.?key|credential|_url$|_dsn$", re.I)
# Values that say nothing about anyone, and that stand all over a program.
_WORD = re.compile(
    r"true|false|none|null|auto|text|json|https?|info|debug|test|local|development|production|localhost"
    r"|127\.0\.0\.1|0\.0\.0\.0|memory:|turnout|user|public",
    re.IGNORECASE,
)
_SHORTEST = 4


def is_private(path: str) -> bool:
    """Whether the file at *path*, relative to the project, is never read for a prompt and never written."""
    parts = PurePosixPath(path.casefold()).parts
    if not parts or parts[0] == "/" or ".." in parts:
        return True
    name = parts[-1]
    if name == ".env.example":  # names without values, meant to be read
        return False
    return (
        name.startswith(_STARTS)
        or name.endswith(_SUFFIXES)
        or (name.startswith("id_") and not name.endswith(".py"))  # id_ed25519, and what is made from it
        or (len(parts) > 1 and parts[0] in _FOLDERS)
        or any(part.startswith(".") and part != ".well-known" for part in parts[:-1])
    )


class Redactor:
    """Replaces secrets in texts: those of one project's env files, of the process, and known shapes.

    Args:
        root: The project; its ``.env*`` files are read here, and nothing of them is given out.
        process: The environment; ``os.environ`` if None.
    """

    def __init__(self, root: Path, *, process: Mapping[str, str] | None = None) -> None:
        found = {value for name, value in (os.environ if process is None else process).items() if _is_secret(name)}
        for file in sorted(root.glob(".env*")):
            if file.name != ".env.example" and file.is_file():
                found |= _values(file)
        self._hidden = Hidden(frozenset(value for value in found if _tells(value)))

    def __call__(self, text: str) -> str:
        """*text* as it may be sent or kept."""
        return redact_tokens(self._hidden.sub(text))


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _tells(value: str) -> bool:
    short = len(value) < _SHORTEST or (value.isdecimal() and len(value) < 6)
    return not short and _WORD.fullmatch(value) is None


_LINE = re.compile(r"^\s*(?:export\s+)?[A-Za-z_]\w*\s*=\s*(.*)$", re.MULTILINE)


def _values(file: Path) -> set[str]:
    """Every value of an env file, read leniently: a file that does not parse holds secrets all the same."""
    from ..env import parse_env
    from ..errors import ConfigError

    try:
        text = file.read_bytes().decode(errors="replace")
    except OSError:
        return set()
    values = {found[1].strip() for found in _LINE.finditer(text)}
    values |= {value.partition(" #")[0].strip() for value in values}
    try:
        values |= {entry.raw for entry in parse_env(text, file)}
    except ConfigError:
        pass
    values |= {value[1:-1] for value in values if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`"}
    # A value of several lines, such as a key, may be quoted elsewhere line by line.
    return values | {line for value in values for line in value.splitlines() if len(line) > 15}
