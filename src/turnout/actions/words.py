"""What is wrong with a field, in words for the person who filled it in.

``errors`` of a problem keeps the words of whoever checked, for programmers; these go beside the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_length = re.compile(r"Expected `(str|array|bytes)` of length (>=|<=|==) (\d+)").match
_bound = re.compile(r"Expected `[a-z]+` (>=|<=|>|<) (\S+)").match
_multiple = re.compile(r"Expected `[a-z]+` that's a multiple of (\S+)").match
_type = re.compile(r"Expected `([a-z]+)").match
_TYPES = {
    "int": "Enter a whole number.",
    "float": "Enter a number.",
    "decimal": "Enter a number.",
    "bool": "Choose yes or no.",
    "date": "Enter a date, such as 2026-01-31.",
    "datetime": "Enter a date and a time, such as 2026-01-31T12:00.",
    "time": "Enter a time, such as 12:00.",
    "uuid": "This is not a valid id.",
    "file": "Choose a file.",
}
_LEAST = {">=": "at least", "<=": "at most", "==": "exactly"}
_BOUNDS = {">=": "at least {}", "<=": "at most {}", ">": "more than {}", "<": "less than {}"}
CHECK = "Please check what is marked."


def field_errors(errors: Iterable[dict[str, Any]] | None) -> dict[str, str]:
    """The first of *errors* for each field of the form, in words for people."""
    found: dict[str, str] = {}
    for each in errors or ():
        name = str(each["pointer"]).split("/")[1:2]
        if name:
            found.setdefault(name[0].replace("~1", "/").replace("~0", "~"), said(each))
    return found


def said(failure: dict[str, Any]) -> str:
    """What *failure* comes to for whoever typed the value."""
    kind, message = failure["type"], str(failure["message"])
    if kind == "missing":
        return "This is required."
    if found := _length(message):
        unit = "characters" if found[1] == "str" else "entries"
        if found[1] == "str" and found[2] == ">=" and found[3] == "1":
            return "This is required."
        if found[3] == "1":
            unit = unit.replace("characters", "character").replace("entries", "entry")
        return f"Enter {_LEAST[found[2]]} {found[3]} {unit}."
    if found := _bound(message):
        return f"Enter {_BOUNDS[found[1]].format(found[2])}."
    if message.startswith("Expected `str` matching"):
        return "This does not have the expected form."
    if kind == "enum" or message.startswith("Invalid enum value"):
        return "Choose one of the offered values."
    if found := _multiple(message):
        return f"Enter a multiple of {found[1]}."
    if found := _type(message):
        return _TYPES.get(found[1], "This is not valid.")
    if kind == "value" and message.startswith("Invalid "):
        return next((_TYPES[word] for word in message.lower().split() if word in _TYPES), "This is not valid.")
    # An ActionError's own words, and those of pydantic, are for people already.
    return message
