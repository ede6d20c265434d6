"""What may block, beside the event loop; or here, where there is none and so nothing else waits.

A door for one request at a time, such as a function on AWS Lambda, drives what never waits by hand:
asyncio alone takes as long to import as all of Turnout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def has_loop() -> bool:
    """Whether an event loop runs here; asked without importing asyncio."""
    asyncio: Any = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


async def aside(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call *function* in a thread, in the context of the caller."""
    if not has_loop():
        return function(*args, **kwargs)
    import asyncio

    return await asyncio.to_thread(function, *args, **kwargs)


async def of_context(context: Context, work: Coroutine[Any, Any, T]) -> T:
    """Await *work* in *context*."""
    if not has_loop():
        return await _stepped(context, work)
    import asyncio

    return await asyncio.get_running_loop().create_task(work, context=context)


@coroutine
def _stepped(context: Context, work: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
    while True:
        try:
            waiting = context.run(work.send, None)
        except StopIteration as done:
            result: T = done.value
            return result
        yield waiting


@coroutine
def need_loop() -> Generator[None, None, None]:
    """Go on in an event loop: a door that drives by hand takes any wait as the wish for one."""
    if not has_loop():
        yield
