"""What a function takes and what it is, read without ``inspect`` where it is a plain function.

Most handlers are, and ``inspect`` takes longer to import than a cold start has for all of a route.
Wrappers, partials and callable objects are left to it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

# As inspect numbers them.
POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD, VAR_POSITIONAL, KEYWORD_ONLY, VAR_KEYWORD = range(5)
EMPTY: Any = object()  # no default, no annotation

_VARARGS, _VARKEYWORDS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x4, 0x8, 0x20, 0x80, 0x200


class Given(NamedTuple):
    """One parameter of a function."""

    name: str
    kind: int
    default: Any
    annotation: Any


class Signature(NamedTuple):
    """The parameters of a function, in order, and the annotation of what it returns."""

    parameters: list[Given]
    returns: Any


def _is_plain(function: Any) -> bool:
    return type(function) is FunctionType and not vars(function)  # a wrapper or a mark would be in its __dict__


def read_signature(function: Callable[..., Any]) -> Signature:
    """The signature of *function*.

    Raises:
        TypeError, ValueError: it has none that Python can read.
    """
    if _is_plain(function):
        return _read_plain(function)
    import inspect

    def plain(value: Any) -> Any:
        return EMPTY if value is inspect.Parameter.empty else value

    found = inspect.signature(function)
    given = [Given(p.name, int(p.kind), plain(p.default), plain(p.annotation)) for p in found.parameters.values()]
    return Signature(given, plain(found.return_annotation))


def _read_plain(function: Any) -> Signature:
    code, hints = function.__code__, function.__annotations__
    names = list(code.co_varnames)
    positional = code.co_argcount
    defaults = dict(zip(names[:positional][::-1], (function.__defaults__ or ())[::-1], strict=False))
    defaults.update(function.__kwdefaults__ or {})
    kinds = [POSITIONAL_ONLY] * code.co_posonlyargcount
    kinds += [POSITIONAL_OR_KEYWORD] * (positional - code.co_posonlyargcount)
    order = names[:positional]
    keywords, rest = (
        names[positional : positional + code.co_kwonlyargcount],
        names[positional + code.co_kwonlyargcount :],
    )
    if code.co_flags & _VARARGS:
        order.append(rest.pop(0))
        kinds.append(VAR_POSITIONAL)
    order += keywords
    kinds += [KEYWORD_ONLY] * len(keywords)
    if code.co_flags & _VARKEYWORDS:
        order.append(rest.pop(0))
        kinds.append(VAR_KEYWORD)
    given = [
        Given(name, kind, defaults.get(name, EMPTY), hints.get(name, EMPTY))
        for name, kind in zip(order, kinds, strict=True)
    ]
    return Signature(given, hints.get("return", EMPTY))


def is_coroutine_function(function: Any) -> bool:
    """Whether calling *function* gives a coroutine."""
    if _is_plain(function):
        return bool(function.__code__.co_flags & _COROUTINE)
    import inspect

    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def is_generator_function(function: Any) -> bool:
    """Whether calling *function* gives a generator, async or not."""
    if _is_plain(function):
        return bool(function.__code__.co_flags & (_GENERATOR | _ASYNC_GENERATOR))
    import inspect

    return any(
        check(each)
        for check in (inspect.isasyncgenfunction, inspect.isgeneratorfunction)
        for each in (function, getattr(function, "__call__", None))  # noqa: B004
    )


def unwrap(function: Any) -> Any:
    """What decorators have wrapped; *function* itself if none has."""
    if not hasattr(function, "__wrapped__"):
        return function
    import inspect

    return inspect.unwrap(function)
