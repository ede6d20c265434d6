"""What may not stand in a generated migration: loss of data unless it was asked for, and ways out of the database.

Words are found after comments and texts are taken out, so a row that says "drop table" is no statement. This is no
parser: a statement that the rules do not know is judged by G4, which runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .changeset import Finding

_NOISE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_DESTRUCTIVE = (
    (
        r"\bdrop\s+(?:table|column|schema|database|view|type|constraint|policy|trigger|function)\b",
        "drops what is there",
    ),
    (r"\balter\s+table\b[^;]*?\bdrop\b", "drops what is there"),
    (r"\btruncate\b", "empties a table"),
    (r"\bdelete\s+from\b", "deletes rows"),
    (r"\balter\s+(?:column\s+)?\S+\s+(?:set\s+data\s+)?type\b", "changes the type of a column"),
    (r"\brename\s+(?:to|column|\S+\s+to)\b", "renames what running code asks for"),
)
_OUTSIDE = r"\b(?:load_extension|pg_read_file|pg_read_binary_file|pg_ls_dir|lo_import|lo_export|dblink\w*)\b"
_SERVER = r"\bcreate\s+(?:extension|role|user|database|tablespace|event\s+trigger|(?:or\s+replace\s+)?language)\b"
_DANGEROUS = (
    (r"\battach\s+database\b|\battach\s+as\b", "opens another file"),
    (r"\bcopy\b[^;]*\b(?:program|from|to)\b", "reads or writes files of the server"),
    (_OUTSIDE, "leaves the database"),
    (r"\bpragma\s+(?:writable_schema|journal_mode|synchronous|trusted_schema)\b", "changes how the database is kept"),
    (_SERVER, "changes the server"),
    (r"\b(?:alter|drop)\s+(?:role|user|system|database)\b", "changes the server"),
    (r"\bdisable\s+row\s+level\s+security\b|\bdisable\s+trigger\b", "switches a protection off"),
    (r"\bsecurity\s+definer\b", "lets callers act as the owner"),
    (r"\bgrant\b[^;]*\bto\s+(?:anon|public)\b", "opens a table to everybody"),
    (r"\b(?:into|update|from|table|index|trigger)\s+(?:_turnout_|auth_|auth\.)\w+", "is about Turnout's own tables"),
)


def lint_sql(path: str, text: str, *, allow_destructive: bool) -> Iterator[Finding]:
    """The findings of one migration."""
    plain = _NOISE.sub(lambda found: " " + "\n" * found[0].count("\n"), text)
    fix = "add beside it instead, or ask again with --allow-destructive"
    for rules, code, cure in (
        (() if allow_destructive else _DESTRUCTIVE, "TRN115", fix),
        (_DANGEROUS, "TRN119", "leave it to whoever runs the database"),
    ):
        seen: set[int] = set()
        for pattern, what in rules:
            for found in re.finditer(pattern, plain, re.IGNORECASE):
                line = plain.count("\n", 0, found.start()) + 1
                if line not in seen:
                    seen.add(line)
                    yield Finding(path, line, code, f"{' '.join(found[0].split())[:50]!r} {what}", cure)


_TABLE = re.compile(
    r'create\s+table\s+(?:if\s+not\s+exists\s+)?["`\[]?(?:public["`\]]?\s*\.\s*["`\[]?)?(\w+)["`\]]?'
    r"\s*\((.*?)\)\s*(?:strict|without|;|\Z)",
    re.I | re.S,
)
_OWNER = re.compile(r'(?:^|,)\s*["`\[]?(user_id|owner_id|owner)["`\]]?\s', re.I)


def owned_tables(texts: list[str]) -> set[str]:
    """The tables whose rows belong to a user, by a column that says so."""
    found: set[str] = set()
    for text in texts:
        plain = _NOISE.sub(" ", text)
        found |= {name.lower() for name, columns in _TABLE.findall(plain) if _OWNER.search(columns)}
    return found
