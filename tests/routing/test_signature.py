"""Signatures read without ``inspect`` are what ``inspect`` would have read."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

from turnout.routing import signature
from turnout.routing.signature import EMPTY, is_coroutine_function, is_generator_function, read_signature


def nothing(): ...
def plain(a, b=1): ...
def typed(a: int, b: str = "x") -> float: ...
def only(a, /, b, *, c, d=4): ...
def rest(a, *args, b=2, **kwargs): ...
def defaults(a=1, /, b=2, *c, d, e=5, **f: int) -> None: ...
async def waits(request, id: int): ...
async def steps(request):
    yield 1


def each(request):
    local = 1
    yield local


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Callable:
    async def __call__(self, request): ...

    def method(self, request): ...


FUNCTIONS = [
    nothing, plain, typed, only, rest, defaults, waits, steps, each, wrapped(only), Callable(), Callable().method,
    functools.partial(only, 1), lambda request, x=2: None,
]  # fmt: skip


def inspected(function: Any) -> list[tuple[Any, ...]]:
    def given(value: Any) -> Any:
        return EMPTY if value is inspect.Parameter.empty else value

    found = inspect.signature(function)
    parameters = [(p.name, int(p.kind), given(p.default), given(p.annotation)) for p in found.parameters.values()]
    return [*parameters, given(found.return_annotation)]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: getattr(each, "__name__", type(each).__name__))
def test_a_signature_is_read_as_inspect_reads_it(function):
    read = read_signature(function)

    assert [*map(tuple, read.parameters), read.returns] == inspected(function)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: getattr(each, "__name__", type(each).__name__))
def test_what_a_call_gives_is_told_as_inspect_tells_it(function):
    target = function.__call__ if isinstance(function, Callable) else function

    assert is_coroutine_function(function) == inspect.iscoroutinefunction(target)
    assert is_generator_function(function) == (
        inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)
    )


def test_what_has_no_signature_is_a_type_error():
    with pytest.raises((TypeError, ValueError)):
        read_signature(5)  # type: ignore[arg-type]


def test_decorators_are_taken_off():
    assert signature.unwrap(wrapped(wrapped(plain))) is plain
    assert signature.unwrap(plain) is plain
