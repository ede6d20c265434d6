"""Names: what TypeScript calls ``createUserAccount`` is ``create_user_account`` here."""

from __future__ import annotations

import json
import keyword
import re

_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Names that a route means something else by, or that would hide what the translation uses.
_TAKEN = frozenset(
    {
        *(
            "list",
            "dict",
            "str",
            "int",
            "float",
            "bool",
            "len",
            "any",
            "all",
            "isinstance",
            "max",
            "min",
            "abs",
            "next",
        ),
        *("json", "math", "time", "asyncio", "httpx", "msgspec", "logging", "stripe", "datetime", "quote", "uuid4"),
        *("client", "logger", "request", "db", "env", "headers", "cookies", "redirect", "after"),
    }
)


def snake(name: str) -> str:
    """*name* as a function or variable of Python; constants and classes stay as they are."""
    if name.isupper() or (name[:1].isupper() and not name.isupper()):
        return safe(name)
    return safe(_EDGE.sub("_", name).lower())


def safe(name: str) -> str:
    """*name* as an identifier: no keyword, no ``$``, nothing that the translation itself needs."""
    cleaned = re.sub(r"\W", "_", name) or "_"
    if cleaned[0].isdigit():
        cleaned = f"_{cleaned}"
    return f"{cleaned}_" if keyword.iskeyword(cleaned) or cleaned in _TAKEN else cleaned


def class_name(name: str) -> str:
    """*name* as a class: ``postSchema`` is ``PostSchema``."""
    cleaned = safe(name)
    return cleaned[:1].upper() + cleaned[1:]


def quoted(value: str) -> str:
    """*value* as a literal; JSON's string literals are Python's, too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\x7f")
