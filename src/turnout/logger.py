"""A logger that imports ``logging`` with its first line: most requests of a cold start have none to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from logging import Logger


class _Lazy:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import logging

        return getattr(logging.getLogger(self._name), method)


def get_logger(name: str) -> Logger:
    """The logger *name*."""
    return cast("Logger", _Lazy(name))
