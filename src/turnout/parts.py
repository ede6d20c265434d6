"""What a project has to say to its parts, said when a part is first imported: one that nobody uses costs nothing.

A worker of an app without a database has neither a database's modules nor its memory, and yet
``from turnout import db`` in a handler finds the project's, however late it comes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

_told: dict[str, Callable[[], None]] = {}


def tell(part: str, what: Callable[[], None], *, now: bool = False) -> None:
    """Do *what* when *part* is imported, at once if it has been; what an earlier project had to say is forgotten.

    Args:
        part: ``db``, ``mail``: a module whose last line calls :func:`imported`.
        what: Configures it.
        now: Import it now: the project says something of it that may be wrong.
    """
    name = f"{__package__}.{part}"
    _told[name] = what
    if name in sys.modules:
        what()
    elif now:
        import_module(name)


def imported(name: str) -> None:
    """The last line of the module *name*."""
    if name in _told:
        _told[name]()
