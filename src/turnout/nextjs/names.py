"""Names: what TypeScript calls ``createUserAccount`` is ``create_user_account`` here."""

from __future__ import annotations

import json
import keyword
import re

_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Names that a route means something else by, or that would hide what the translation uses.
_TAKEN = frozenset(
    [
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
        "iter",
        "bytes",
        "json",
        "math",
        "time",
        "asyncio",
        "httpx",
        "msgspec",
        "logging",
        "stripe",
        "datetime",
        "quote",
        "uuid4",
        "urllib",
        "client",
        "logger",
        "request",
        "db",
        "env",
        "headers",
        "cookies",
        "params",
        "redirect",
        "after",
        "create_client",
        "create_admin_client",
        "revalidate_path",
        "revalidate_tag",
        "auth",
        "cors",
        "rate_limit",
        "body_limit",
        "revalidate",
        "max_duration",
        "cancel_on_disconnect",
        "middleware",
    ]
)


def snake(name: str) -> str:
    """*name* as a function or variable of Python; constants and classes stay as they are."""
    if name.isupper() or (name[:1].isupper() and not name.isupper()):
        return safe(name)
    return safe(_EDGE.sub("_", name).lower())


def attribute(name: str) -> str:
    """*name* as a part of something: there only the keywords are taken."""
    said = re.sub(r"\W", "_", name if name[:1].isupper() else _EDGE.sub("_", name).lower())
    return f"{said}_" if keyword.iskeyword(said) else said


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
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two escapes make one emoji
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\x7f")
