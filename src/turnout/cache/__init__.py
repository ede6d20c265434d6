"""Answers of GET routes that are kept: ``revalidate = 60`` on a route, ``revalidate_path("/posts")`` after a change.

A kept answer is sent at once, also when it is over its time: then it is made anew after the
answer, once, however many ask. ``revalidate_path`` and ``revalidate_tag`` end it at once, in every
process that shares the store (``STORE_URL``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .rule import CacheRule

if TYPE_CHECKING:
    from .kept import Answers, Pending

__all__ = ["CacheRule", "answers", "revalidate_path", "revalidate_tag"]

_answers: Answers | None = None


def answers() -> Answers:
    """The kept answers of this process."""
    global _answers
    if _answers is None:
        from .kept import Answers

        _answers = Answers()
    return _answers


def revalidate_path(path: str, type: Literal["page", "route"] = "page") -> Pending:
    """End the kept answers of a path, whatever their queries.

    The next request gets a new one. It may be awaited: then every other process has been told.

    Args:
        path: A path as in a URL, ``/posts/1``; with ``type="route"`` a pattern, ``/posts/[id]``: all of its paths.

    Raises:
        ValueError: it is no path.
    """
    if not path.startswith("/"):
        raise ValueError(f"a path begins with /, unlike {path!r}")
    return answers().revalidate(f"{'route' if type == 'route' else 'path'}:{path}")


def revalidate_tag(tag: str) -> Pending:
    """End the kept answers whose rule has the *tag*: ``cache = CacheRule(60, tags=("posts",))``."""
    return answers().revalidate(f"tag:{tag}")
