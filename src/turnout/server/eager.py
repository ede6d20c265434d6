"""The first step of a coroutine, taken at once; a task only for what is left of it.

Most handlers answer without ever waiting, and for them an ``asyncio.Task`` is the dearest
part of the request: made, registered, scheduled, woken, thrown away. So the first step runs
inside the caller, and only a coroutine that really waits goes on as a scheduled task.

What runs in that first step must not notice: ``asyncio.current_task()`` has to be a Task
then, and the same one after the first wait, since ``asyncio.timeout`` and ``TaskGroup``
remember it to cancel it later. Python 3.12 has ``eager_start`` for just this. On 3.11 a bare
Task object stands in: ``Task.__init__``, which is what costs, runs when somebody looks at it
or when the coroutine waits. In most requests neither happens, and the next one has the same object.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, NoReturn, TypeVar, cast

T = TypeVar("T")

if sys.version_info >= (3, 12):

    def start(coro: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, context: Context) -> T | asyncio.Task[T]:
        """Run *coro* in *context* up to its first wait; its result, or the task that goes on with it."""
        task = asyncio.Task(coro, loop=loop, context=context, eager_start=True)
        return task.result() if task.done() else task

else:
    import types
    from _weakref import getweakrefcount
    from asyncio.tasks import _enter_task, _leave_task
    from collections.abc import Callable, Generator
    from sys import getrefcount

    class EagerTask(asyncio.Task[Any]):
        """The current task of a first step; becomes a full Task at the first look or the first wait."""

        __slots__ = ("bare", "tail")
        bare: list[Any]  # coroutine, loop and context of one that is bare; empty of a full one
        tail: _Tail

        def __getattribute__(self, name: str) -> Any:
            # Every look from outside passes here; asyncio's own C code does not. That makes
            # this the one place where a bare Task can be caught before somebody uses it.
            if _bare_of(self):
                _become(self)
            return super().__getattribute__(name)

    _bare_of = EagerTask.__dict__["bare"].__get__
    _NOTHING: list[Any] = []
    _UNSEEN = 3  # references to a task that only its kit, ``start`` and the count itself know

    def _become(task: EagerTask) -> _Tail:
        """Fill in *task*; that schedules it to go on from its coroutine's first wait."""
        bare = _bare_of(task)
        coro, loop, context = bare
        bare.clear()
        tail = task.tail = _Tail(coro)
        asyncio.Task.__init__(task, tail, loop=loop, context=context)
        return tail

    class _Tail(Coroutine[Any, Any, Any]):
        """What is left of a coroutine whose first step has been taken, as a coroutine for Task."""

        __slots__ = ("_coro", "_fresh", "ended", "runner", "waiting")

        def __init__(self, coro: Coroutine[Any, Any, Any]) -> None:
            self._coro = coro
            self._fresh = True  # the task has not taken a step of its own yet
            self.ended: BaseException | None = None  # how the first step did, if it was the last: so does the task
            self.runner: Any = None  # what the coroutine runs in
            self.waiting: Any = None  # the future that the first step waits for

        def send(self, value: Any) -> Any:
            if not self._fresh:
                return self._given(self.runner.send(value))
            self._fresh = False
            if self.ended is not None:
                self._end()
            return self.waiting

        def throw(self, exc: Any, *_: Any) -> Any:
            if not self._fresh:
                return self._given(self.runner.throw(exc))
            self._fresh = False
            if self.ended is not None:
                self._end()
            if self.waiting is not None:
                # Cancelled before its second step. A task hands a cancellation first to
                # what it waits for; from inside, this must look the same.
                if self.waiting.cancel():
                    return self.waiting
                self.waiting._asyncio_future_blocking = False
            return self._given(self.runner.throw(exc))

        def _given(self, value: Any) -> Any:
            if _has_ended(self.runner):
                raise StopIteration(value)
            return value

        def _end(self) -> NoReturn:
            ended, self.ended = self.ended, None
            try:
                raise cast(BaseException, ended)
            finally:
                del ended  # which holds this frame through its traceback

        def __getattr__(self, name: str) -> Any:
            # cr_frame, cr_code and the like, which inspect and anyio ask for.
            return getattr(self._coro, name)

        def close(self) -> None:
            self._coro.close()

        def __await__(self) -> Any:
            raise TypeError("this coroutine belongs to its task")

    @types.coroutine
    def _run() -> Generator[Any, Any, None]:
        """Run one coroutine after the other: each is sent in, and what it returns is given."""
        # By coroutine.send() a result leaves as a StopIteration, made and caught: four times as dear as this.
        coro = yield
        while True:
            coro = yield (yield from coro)

    def _has_ended(runner: Any) -> bool:
        """Whether what *runner* has just given was returned by its coroutine, which does not wait then."""
        return runner.gi_yieldfrom is None

    # What a first step needs, left by one before it: a runner, its send, and a task that nobody has looked at.
    _idle: list[tuple[Any, Callable[[Any], Any], EagerTask]] = []

    def _made() -> tuple[Any, Callable[[Any], Any], EagerTask]:
        runner = _run()
        runner.send(None)
        return runner, runner.send, EagerTask.__new__(EagerTask)

    def start(coro: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, context: Context) -> T | asyncio.Task[T]:
        """Run *coro* in *context* up to its first wait; its result, or the task that goes on with it."""
        try:
            kit = _idle.pop()
        except IndexError:
            kit = _made()
        runner, send, task = kit
        task.bare = bare = [coro, loop, context]
        _enter_task(loop, task)
        try:
            outcome: Any = context.run(send, coro)
        except BaseException as exc:
            if not bare:
                # What ends a process is not raised a second time.
                ends = isinstance(exc, (Exception, asyncio.CancelledError))
                task.tail.ended = exc if ends else asyncio.CancelledError()
                task.add_done_callback(_retrieve)
            raise
        finally:
            _leave_task(loop, task)
        if runner.gi_yieldfrom is None:  # _has_ended, on the one way that every request takes
            if not bare:
                task.tail.ended = StopIteration(outcome)
            elif getrefcount(task) == _UNSEEN and not getweakrefcount(task):
                task.bare = _NOTHING  # or it would keep the request
                _idle.append(kit)
            result: T = outcome
            return result
        tail = _become(task) if bare else task.tail
        tail.runner, tail.waiting = runner, outcome
        return task

    def _retrieve(task: asyncio.Task[Any]) -> None:
        """The caller of ``start`` has the exception; asyncio need not report it a second time."""
        if not task.cancelled():
            task.exception()
