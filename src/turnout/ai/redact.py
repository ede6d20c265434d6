"""What never leaves the machine: files that are not read, and values that are replaced.

Two walls. ``is_private`` says which files no prompt is made from, by name. ``Redactor`` replaces,
in whatever is sent or kept, the values found in the project's env files and everything that has
the shape of a known token. A secret in a file of another name and of no known shape is not seen;
that is why ``--show-context`` prints the exact bytes.
"""

from __future__ import annotations

from pathlib import PurePosixPath

PRIVATE_SUFFIXES = (
    *(".pem", ".key", ".crt", ".cer", ".der", ".p12", ".pfx", ".p8", ".jks", ".keystore", ".kdbx", ".gpg", ".asc"),
    *(".db", ".sqlite", ".sqlite3", ".db-wal", ".db-shm", ".dump", ".ovpn"),
)
_PRIVATE_STARTS = (".env", "id_", "credentials", "secrets", "secret.", ".netrc", ".npmrc", ".pypirc", ".pgpass")
_PRIVATE_FOLDERS = frozenset(("data", "secrets", "node_modules"))  # at the top; app/api/data/ is a route


def is_private(path: str) -> bool:
    """Whether the file at *path*, relative to the project, is never read for a prompt."""
    parts = PurePosixPath(path.casefold()).parts
    if not parts or parts[0] == "/" or ".." in parts:
        return True
    name = parts[-1]
    if name == ".env.example":  # names without values, meant to be read
        return False
    return (
        name.startswith(_PRIVATE_STARTS)
        or name.endswith(PRIVATE_SUFFIXES)
        or (len(parts) > 1 and parts[0] in _PRIVATE_FOLDERS)
        or any(part.startswith(".") and part != ".well-known" for part in parts[:-1])
    )
