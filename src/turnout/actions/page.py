"""What every template knows besides its data: ``actions``, ``flashes``, ``errors`` and ``values``.

They look at the request being answered when they are used, so one object of each serves all pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from ..context import current
from .flash import Flashes, get_flashes
from .registry import Nearest

if TYPE_CHECKING:
    from .action import Action


class Failed(Struct):
    """The form of an action that could not be done, for the page that held it.

    Args:
        action: Whose form it was, and with which bound arguments.
        page: Path and query of the page.
        errors: By field, and ``form`` for what is about none.
        values: The texts that were sent; neither files nor passwords.
        asked: The names whose errors the page has looked at.
    """

    action: Action
    arguments: dict[str, Any]
    page: str
    errors: dict[str, str]
    values: dict[str, list[str]]
    asked: set[str] = msgspec.field(default_factory=set)

    @property
    def unsaid(self) -> list[str]:
        """The names of the errors that the page has not looked at."""
        return [name for name in self.errors if name not in self.asked]


class Errors:
    """Field names to messages; ``""`` for a field that has none."""

    def __init__(self, found: dict[str, str] | None = None) -> None:
        self._found = found

    def _look(self, name: str | None = None) -> dict[str, str]:
        if self._found is not None:
            return self._found
        failed = _failed()
        if failed is None:
            return {}
        if name is not None:  # names alone, or how many, say to nobody what is wrong
            failed.asked.add(name)
        return failed.errors

    def __getitem__(self, name: str) -> str:
        return self._look(name).get(name, "")

    def __contains__(self, name: str) -> bool:
        return name in self._look(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())


class Values:
    """Field names to what was typed; ``""`` for what was not sent."""

    def __init__(self, found: dict[str, list[str]] | None = None) -> None:
        self._found = found

    def _look(self) -> dict[str, list[str]]:
        if self._found is not None:
            return self._found
        failed = _failed()
        return {} if failed is None else failed.values

    def __getitem__(self, name: str) -> str:
        return next(iter(self._look().get(name, ())), "")

    def get(self, name: str, default: Any = "") -> Any:
        """The first text of *name*; *default* only where no form was sent: an emptied field stays empty."""
        found = self._look()
        return next(iter(found.get(name, ())), "") if found else default

    def get_all(self, name: str) -> list[str]:
        """Every text of *name*."""
        return list(self._look().get(name, ()))

    def __contains__(self, name: str) -> bool:
        return name in self._look()

    def __iter__(self) -> Iterator[str]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())


NAMES: dict[str, Any] = {
    "actions": Nearest(),
    "flashes": Flashes(),
    "get_flashes": get_flashes,
    "errors": Errors(),
    "values": Values(),
}


def errors_of(action: Action, arguments: dict[str, Any] | None = None) -> Errors:
    """The errors of the form of *action*, with these bound *arguments*; none if another form failed."""
    failed = _failed()
    if failed is None or not _is_of(failed, action, arguments):
        return Errors({})
    return Errors()


def values_of(action: Action, arguments: dict[str, Any] | None = None) -> Values:
    """The values of the form of *action*, with these bound *arguments*; none if another form failed."""
    failed = _failed()
    if failed is None or not _is_of(failed, action, arguments):
        return Values({})
    return Values()


def _is_of(failed: Failed, action: Action, arguments: dict[str, Any] | None) -> bool:
    return failed.action.id == action.id and failed.arguments == (arguments or {})


def _failed() -> Failed | None:
    request = current.get(None)
    return None if request is None else request.failed_action
