"""``app/instrumentation.py``: what runs once around a worker's life, and what hears of its errors.

``register()`` runs before the first request; written with one ``yield``, the rest of it runs after the
last one, which is the place to close what it has opened::

    async def register():
        global client
        async with httpx.AsyncClient() as client:
            yield

    async def on_request_error(error, request, context):
        report(error, route=context["route"], request_id=context["request_id"])

What ``on_request_error`` hears of is what is logged: an exception that became a 5xx, not an answer
that was meant. It runs beside the answer and cannot change it; what it raises is logged.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ConfigError
from .http.request import Request

logger = logging.getLogger("turnout.instrumentation")


class Instrumentation:
    """The two functions of one project's file.

    Raises:
        ConfigError: neither is there, or one cannot be called as it will be.
    """

    def __init__(self, module: ModuleType, file: Path) -> None:
        self._register: Callable[[], Any] | None = _function(module, "register", file, 0)
        self._heard: Callable[..., Awaitable[None]] | None = _function(module, "on_request_error", file, 3)
        if self._register is None and self._heard is None:
            raise ConfigError(
                "the file has neither register nor on_request_error", file=file, line=1, cure="define one of them"
            )
        self._file = file
        self._running: AsyncGenerator[Any, None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Run ``register()``, up to its ``yield`` if it has one."""
        if self._register is None:
            return
        made = self._register()
        if not isinstance(made, AsyncGenerator):
            await made
            return
        self._running = made
        try:
            await anext(made)
        except StopAsyncIteration:
            self._running = None
            raise ConfigError("register() has ended without its yield", file=self._file) from None

    async def stop(self) -> None:
        """Let errors be told, then run the rest of ``register()``."""
        if self._telling:
            await asyncio.wait(self._telling)
        running, self._running = self._running, None
        if running is None:
            return
        try:
            await anext(running)
        except StopAsyncIteration:
            return
        await running.aclose()
        raise ConfigError("register() yields a second time", file=self._file, cure="yield once, between start and end")

    def hear(self, error: Exception, request: Request, status: int) -> None:
        """Tell ``on_request_error``, beside the answer that is being made."""
        if self._heard is None:
            return
        context = {
            "route": request.route.pattern if request.route else None,
            "method": request.method,
            "path": request.target.partition("?")[0],
            "status": status,
            "request_id": request.id,
        }
        task = asyncio.get_running_loop().create_task(self._tell(error, request, context))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, error: Exception, request: Request, context: dict[str, Any]) -> None:
        assert self._heard is not None
        try:
            await self._heard(error, request, context)
        except Exception as exc:
            logger.error("on_request_error failed: %s", exc, exc_info=exc, extra={"request_id": request.id})


def _function(module: ModuleType, name: str, file: Path, arguments: int) -> Any:
    found = vars(module).get(name)
    if found is None:
        return None
    line = getattr(getattr(found, "__code__", None), "co_firstlineno", None)
    wanted = (
        "async def register(): ..." if arguments == 0 else "async def on_request_error(error, request, context): ..."
    )
    is_right = inspect.iscoroutinefunction(found) or (arguments == 0 and inspect.isasyncgenfunction(found))
    if not is_right:
        raise ConfigError(f"{name} is not an async function", file=file, line=line, cure=f"define it as {wanted}")
    try:
        inspect.signature(found).bind(*[None] * arguments)
    except TypeError:
        raise ConfigError(
            f"{name} cannot be called with {arguments} arguments", file=file, line=line, cure=f"define it as {wanted}"
        ) from None
    return found
