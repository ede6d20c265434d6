"""The route table: decoded path segments to a route, at a cost that the number of routes does not change.

At each place a static name wins over ``[x]``, that over ``[...x]``, and that over ``[[...x]]``;
where a choice leads nowhere the next one is tried. Only the path decides: which methods a
route answers is judged afterwards, so that ``POST /users/me`` never falls through to
``users/[id]``. Two routes at one place are the scanner's business, which knows their files.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct

from ..http import path
from .pattern import Pattern

V = TypeVar("V")

Params = dict[str, str | list[str]]


class Match(Struct, Generic[V]):
    """What a path led to: the value given to ``add``, and the decoded path parameters."""

    value: V
    params: Params


class _Leaf:
    __slots__ = ("slugs", "value")

    def __init__(self, value: Any, slugs: tuple[str, ...]) -> None:
        self.value, self.slugs = value, slugs


class _Node:
    """One place in the tree: where each next segment leads, and what ends here."""

    __slots__ = ("end", "forks", "optional_rest", "param", "rest", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.param: _Node | None = None
        self.rest: _Leaf | None = None
        self.optional_rest: _Leaf | None = None
        self.end: _Leaf | None = None
        self.forks = False  # whether a static child may have to be given up for something else here


class Table(Generic[V]):
    """Routes by path: ``add`` them at load, ``freeze``, then ``match`` per request.

    ``static`` holds the routes without parameters by canonical path (``http/path.py``), so a
    door or the app may look up a raw path there first: a raw path that is equal to a canonical
    one also decodes to the same segments. Anything else goes through ``match``.
    """

    __slots__ = ("_frozen", "_last", "_root", "static")

    def __init__(self) -> None:
        self._root = _Node()
        self._frozen = False
        self._last: dict[str, _Leaf] = {}
        self.static: dict[str, V] = {}

    def add(self, pattern: Pattern, value: V) -> None:
        """Put *value* where *pattern* leads.

        Raises:
            ValueError: another route is there already, or a catch-all is not last.
            RuntimeError: the table is frozen.
        """
        if self._frozen:
            raise RuntimeError("The route table is frozen; add routes before freeze()")
        leaf = _Leaf(value, pattern.slugs)
        node = self._root
        for at, segment in enumerate(pattern.segments, 1):
            if segment.kind == "static":
                node = node.static.setdefault(segment.name, _Node())
            elif segment.kind == "param":
                node.forks = True
                node.param = node = node.param or _Node()
            elif at < len(pattern.segments):
                raise ValueError(f"{pattern.text}: a catch-all must be the last segment")
            else:
                node.forks = True
                return _put(node, segment.kind, leaf, pattern)
        _put(node, "end", leaf, pattern)
        if not pattern.slugs:
            self.static[path.join([segment.name for segment in pattern.segments])] = value

    def freeze(self) -> None:
        """Refuse further routes."""
        self._frozen = True
        self._note_last(self._root, [])

    def _note_last(self, node: _Node, way: list[str]) -> None:
        """Note under *node* each parameter that ends a path of static names, for ``match_last``."""
        # Where a static neighbour has an optional catch-all, "/a/b" may be that one's and not "/a/[x]".
        alone = not any(child.optional_rest for child in node.static.values())
        if node.param is not None and node.param.end is not None and alone:
            self._last[path.join(way) if way else ""] = node.param.end
        for name, child in node.static.items():
            self._note_last(child, [*way, name])

    def match_last(self, raw: str) -> tuple[V, Params] | None:
        """``match`` for a *raw* path, not in ``static``, that is static up to its last segment; None for any other.

        What it finds is canonical as it stands. Most parameters are there, as in /posts/[id].
        """
        way, slash, last = raw.rpartition("/")
        leaf = self._last.get(way)
        if leaf is None or not slash:
            return None
        # isalnum first: a pattern costs five times as much.
        if (last.isalnum() and last.isascii()) or path.is_plain_segment(last):
            return leaf.value, {leaf.slugs[0]: last}
        return None

    def match(self, segments: list[str]) -> Match[V] | None:
        """Find the route for decoded *segments* (``[]`` is ``/``), or None."""
        caught: list[Any] = []
        leaf = _find(self._root, segments, 0, len(segments), caught)
        if leaf is None:
            return None
        slugs = leaf.slugs
        if not slugs:
            return Match(leaf.value, {})
        if len(slugs) == 1:  # by far the commonest, and four times faster than zip
            return Match(leaf.value, {slugs[0]: caught[0]})
        return Match(leaf.value, dict(zip(slugs, caught)))  # noqa: B905 - strict= costs 100 ns


def _put(node: _Node, slot: str, leaf: _Leaf, pattern: Pattern) -> None:
    if getattr(node, slot) is not None:
        raise ValueError(f"{pattern.text}: there is another route at this place")
    setattr(node, slot, leaf)


def _find(node: _Node, segments: list[str], at: int, end: int, caught: list[Any]) -> _Leaf | None:
    """Walk down from *node*; *caught* holds the parameters of the way taken when this returns a leaf."""
    while at < end:
        segment = segments[at]
        child = node.static.get(segment)
        if node.forks:
            if child is not None:
                mark = len(caught)
                leaf = _find(child, segments, at + 1, end, caught)
                if leaf is not None:
                    return leaf
                del caught[mark:]
            rest = node.rest or node.optional_rest
            child = node.param if segment else None
            if rest is not None:
                if child is not None:
                    mark = len(caught)
                    caught.append(segment)
                    leaf = _find(child, segments, at + 1, end, caught)
                    if leaf is not None:
                        return leaf
                    del caught[mark:]
                tail = segments[at:]
                if "" in tail:  # a doubled or trailing slash: no parameter is ever empty
                    return None
                caught.append(tail)
                return rest
            caught.append(segment)
        if child is None:
            return None
        # Nothing at this node is left to come back to, so the walk goes on without a call.
        node = child
        at += 1
    if node.end is not None:
        return node.end
    if node.optional_rest is not None:
        caught.append([])
    return node.optional_rest
