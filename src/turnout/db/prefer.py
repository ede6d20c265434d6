"""The ``Prefer`` header (RFC 7240) with PostgREST's preferences.

Of two words for one preference the first counts. What is not known is left out, unless
``handling=strict`` asks for an error. What was honoured goes back in ``Preference-Applied``, in
PostgREST's order. Time zones are not switched: a session is always UTC.

Source: https://docs.postgrest.org/en/stable/references/api/preferences.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from msgspec import Struct

from .ast import Count
from .errors import error

_WORDS = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "handling": ("strict", "lenient"),
}
_ORDER = (*_WORDS, "max-affected")
_READING = ("count", "handling")


class Prefer(Struct, frozen=True):
    """What a request prefers, by name; a preference that was not given is None.

    Args:
        given: Those that were understood.
    """

    given: dict[str, str]

    def get(self, name: str) -> str | None:
        """The word for *name*."""
        return self.given.get(name)

    @property
    def count(self) -> Count | None:
        """How the total is to be counted."""
        return cast("Count | None", self.given.get("count"))

    @property
    def most(self) -> int | None:
        """The greatest number of rows that a write may touch; it counts only where handling is strict."""
        number = self.given.get("max-affected")
        return int(number) if number is not None and self.given.get("handling") == "strict" else None

    def applied(self, *, reading: bool, rollback: bool = False) -> str:
        """The value of ``Preference-Applied``, or nothing.

        Args:
            reading: The request changed nothing.
            rollback: The setting for ``tx`` is on.
        """
        if not self.given:
            return ""
        names = [name for name in _ORDER if name in self.given and not (reading and name not in _READING)]
        if not rollback:
            names = [name for name in names if name != "tx"]
        if self.most is None:
            names = [name for name in names if name != "max-affected"]
        return ", ".join(f"{name}={self.given[name]}" for name in names)


_NONE = Prefer({})


def parse_prefer(values: Iterable[str]) -> Prefer:
    """Read every ``Prefer`` value; PGRST122 for an unknown one under ``handling=strict``."""
    words = [word.strip() for value in values for word in value.split(",")]
    if not words:
        return _NONE
    given: dict[str, str] = {}
    unknown = []
    for word in words:
        name, _, value = word.partition("=")
        if value in _WORDS.get(name, ()) or (name == "max-affected" and value.isascii() and value.isdigit()):
            given.setdefault(name, value[:18])
        elif word:
            unknown.append(word)
    if unknown and given.get("handling") == "strict":
        raise error(
            "PGRST122", "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(unknown)[:500]}",
        )  # fmt: skip
    return Prefer(given)
