"""A logger that imports ``logging`` with its first line: most requests of a cold start have none to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from logging import Logger

_first: Callable[[], None] | None = None


def at_first(configure: Callable[[], None]) -> None:
    """Call *configure* before the first line."""
    global _first
    _first = configure


class _Lazy:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        global _first
        import logging

        if _first is not None:
            configure, _first = _first, None
            configure()
        return getattr(logging.getLogger(self._name), method)


def get_logger(name: str) -> Logger:
    """The logger *name*."""
    return cast("Logger", _Lazy(name))
