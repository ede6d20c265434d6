"""What a task is: a function with a name, and how often it is tried again.

Arguments travel as JSON and come back as what the signature says, since the process that runs a
task is rarely the one that enqueued it. Nothing here knows a database or an engine.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

import msgspec

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..db import Transaction

P = ParamSpec("P")
R = TypeVar("R")

OWN_WORDS = ("delay", "idempotency_key", "tx")
LONGEST_WAIT_S = 3_600.0
_CRON_FIELDS = (5, 6)
_NAME_CHARACTERS = 100

TASKS: dict[str, Task[..., Any]] = {}


class Task(Generic[P, R]):
    """A function that can be enqueued; made by :func:`task`. Called like the function, it is the function."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        retries: int = 5,
        backoff_s: float = 1.0,
        cron: str | None = None,
        timezone: str = "UTC",
    ) -> None:
        self.function, self.name = function, name or function.__name__
        self.retries, self.backoff_s, self.cron, self.timezone = retries, backoff_s, cron, timezone
        self.signature = inspect.signature(function)
        self.module = function.__module__
        self._check()

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    async def enqueue(
        self,
        *args: Any,
        delay: float | timedelta = 0,
        idempotency_key: str | None = None,
        tx: Transaction | None = None,
        **kwargs: Any,
    ) -> str:
        """Write down that the function is to be called with these arguments, and give the id of that.

        Inside a transaction it is part of it: it happens if the transaction commits, and only then.

        Args:
            delay: Not before so many seconds, or a timedelta, from now.
            idempotency_key: A second call with the same key does nothing and gives the same id, until the
                task has been over for 30 days.
            tx: The transaction it belongs to; the one that the caller is in if None.

        Raises:
            TypeError: the arguments do not fit the function, or are no JSON.
            ConfigError: ``turnout[durable]`` is not installed.
        """
        from .outbox import put

        payload = self.pack(args, kwargs)
        wait_s = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        return await put(self.name, payload, wait_s, idempotency_key, tx)

    def pack(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The arguments as JSON, after a look at whether the function would take them."""
        self.signature.bind(*args, **kwargs)
        try:
            return msgspec.json.encode({"args": args, "kwargs": kwargs}).decode()
        except (TypeError, ValueError, OverflowError) as exc:
            raise TypeError(f"the arguments of {self.name} are no JSON: {exc}; pass ids and plain values") from exc

    async def run(self, payload: str) -> None:
        """Call the function with the arguments in *payload*; a ``def`` runs in a thread."""
        args, kwargs = self._unpack(payload)
        if inspect.iscoroutinefunction(self.function):
            await self.function(*args, **kwargs)
            return
        import asyncio

        await asyncio.to_thread(self.function, *args, **kwargs)

    def wait_s(self, attempt: int) -> float:
        """Seconds between *attempt*, counted from 1, and the next: each twice the one before, an hour at most."""
        return min(self.backoff_s * 2.0 ** min(attempt - 1, 30), LONGEST_WAIT_S)

    def _unpack(self, payload: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        found = msgspec.json.decode(payload)
        bound = self.signature.bind(*found["args"], **found["kwargs"])
        hints = get_type_hints(self.function)
        for name, value in bound.arguments.items():
            kind = self.signature.parameters[name].kind
            if name in hints and kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                bound.arguments[name] = msgspec.convert(value, hints[name])
        return bound.args, bound.kwargs

    def _check(self) -> None:
        where = f"the task {self.name}"
        if not (0 < len(self.name) <= _NAME_CHARACTERS and self.name.isprintable()):
            raise ConfigError(f"{self.name!r} is no name for a task", cure='@task(name="send_welcome")')
        for word in OWN_WORDS:
            if word in self.signature.parameters:
                raise ConfigError(f"{where} has an argument named {word}, which enqueue() takes", cure="rename it")
        if self.retries < 0 or not 0 <= self.backoff_s <= LONGEST_WAIT_S:
            raise ConfigError(
                f"{where} has {self.retries} retries and waits {self.backoff_s} s",
                cure=f"retries of 0 or more, backoff_s from 0 to {LONGEST_WAIT_S:.0f}",
            )
        if self.cron is not None:
            self._check_cron(where)

    def _check_cron(self, where: str) -> None:
        assert self.cron is not None
        if len(self.cron.split()) not in _CRON_FIELDS:
            raise ConfigError(
                f"{where} has the cron expression {self.cron!r}",
                cure='five fields, minute hour day month weekday: cron="0 3 * * *"; with six, seconds come first',
            )
        if any(each.default is each.empty and each.kind is not each.VAR_POSITIONAL and each.kind is not each.VAR_KEYWORD
               for each in self.signature.parameters.values()):  # fmt: skip
            raise ConfigError(f"{where} is scheduled, and nobody gives its arguments", cure="give each a default")


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    retries: int = 5,
    backoff_s: float = 1.0,
    cron: str | None = None,
    timezone: str = "UTC",
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task: ``@task``, or ``@task(retries=3, cron="0 3 * * *")``.

    Args:
        name: By which it is stored; the function's own if None. To rename a function while tasks of it
            wait, keep the old name here.
        retries: How many times it is tried again after it has raised.
        backoff_s: Seconds before the first retry; each further wait is twice as long, an hour at most.
        cron: When it runs by itself, once in all workers: ``"0 3 * * *"``. Such a function takes no arguments.
        timezone: In which the cron expression is meant, such as ``Europe/Berlin``.

    Raises:
        ConfigError: another task has the name, or an option makes no sense.
    """
    if function is None:
        return lambda inner: _register(Task(inner, **options))
    return _register(Task(function))


def _register(made: Task[..., Any]) -> Task[..., Any]:
    there = TASKS.get(made.name)
    # A module that is loaded again, as after a save in development, declares its tasks again.
    if there is not None and (there.module, there.function.__qualname__) != (made.module, made.function.__qualname__):
        raise ConfigError(
            f"two tasks are named {made.name}: in {there.module} and in {made.module}",
            cure=f'name one of them: @task(name="{made.module.rpartition(".")[2]}_{made.name}")',
        )
    TASKS[made.name] = made
    return made


def own(made: Task[..., Any]) -> bool:
    """Whether the project declared it, and not Turnout itself."""
    return made.module.partition(".")[0] != __name__.partition(".")[0]


def forget_unloaded() -> None:
    """Drop the tasks of modules that are not loaded any more: another project's, or from before a reload."""
    for name, made in list(TASKS.items()):
        module = sys.modules.get(made.module)
        if module is None or made.function.__globals__ is not vars(module):
            del TASKS[name]
