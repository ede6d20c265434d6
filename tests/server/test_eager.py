"""The first step of a handler, taken at once: nothing that runs in it may notice."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import weakref
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from turnout.http.response import Response
from turnout.server.eager import start

from .wire import breathe, get, hello, serve, until

pytestmark = pytest.mark.usefixtures("loop_factory")

Name = contextvars.ContextVar("Name", default="none")


def begin(coro: Coroutine[Any, Any, Any], context: contextvars.Context | None = None) -> Any:
    """``start`` as the protocol calls it: from a callback of the loop, outside of every task."""
    outcome: list[Any] = []

    def callback() -> None:
        try:
            outcome.append(start(coro, asyncio.get_running_loop(), context or contextvars.copy_context()))
        except BaseException as exc:
            outcome.append(exc)

    return callback, outcome


async def step(coro: Coroutine[Any, Any, Any], context: contextvars.Context | None = None) -> Any:
    """What the first step of *coro* comes to: a result, an exception, or a task."""
    callback, outcome = begin(coro, context)
    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(0)
    return outcome[0]


async def finish(coro: Coroutine[Any, Any, Any], context: contextvars.Context | None = None) -> Any:
    """The result of *coro*, started eagerly."""
    outcome = await step(coro, context)
    if isinstance(outcome, BaseException):
        raise outcome
    return await outcome if isinstance(outcome, asyncio.Task) else outcome


async def test_a_coroutine_that_never_waits_gives_its_result_at_once() -> None:
    async def handler() -> int:
        return 5

    assert await step(handler()) == 5


async def test_a_coroutine_that_waits_gives_its_task() -> None:
    async def handler() -> int:
        await asyncio.sleep(0)
        return 5

    task = await step(handler())
    assert isinstance(task, asyncio.Task)
    assert await task == 5


async def test_what_is_raised_in_the_first_step_is_raised_at_once() -> None:
    for kind in (ValueError, asyncio.CancelledError, SystemExit):

        async def handler(kind: Any = kind) -> None:
            raise kind("no")

        assert type(await step(handler())) is kind

        async def touched(kind: Any = kind) -> None:
            asyncio.current_task().get_name()  # type: ignore[union-attr]
            raise kind("no")

        assert type(await step(touched())) is kind
    await breathe()


async def test_what_is_raised_after_a_wait_is_the_tasks() -> None:
    async def handler() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await finish(handler())


async def test_current_task_is_a_task_and_the_same_one_after_waiting() -> None:
    seen = []

    async def handler() -> None:
        for _ in range(3):
            seen.append(asyncio.current_task())
            await asyncio.sleep(0)

    task = await step(handler())
    await task
    assert isinstance(seen[0], asyncio.Task)
    assert all(each is task for each in seen)
    assert asyncio.current_task() is not task


async def test_current_task_is_restored_whatever_the_first_step_does() -> None:
    async def returns() -> None: ...

    async def raises() -> None:
        raise ValueError

    async def waits() -> None:
        await asyncio.sleep(0)

    for make in (returns, raises, waits):
        callback, outcome = begin(make())
        seen: list[Any] = []
        asyncio.get_running_loop().call_soon(callback)
        asyncio.get_running_loop().call_soon(lambda seen=seen: seen.append(asyncio.current_task()))
        await asyncio.sleep(0)
        assert seen == [None]
        if isinstance(outcome[0], asyncio.Task):
            await outcome[0]


async def test_the_current_task_can_be_looked_at_in_the_first_step() -> None:
    done = []

    async def handler() -> Any:
        task = asyncio.current_task()
        assert task is not None
        assert task.get_name()
        task.set_name("mine")
        coro: Any = task.get_coro()
        assert isinstance(coro, Coroutine)
        assert coro.cr_code.co_name == "handler"
        assert inspect.getcoroutinestate(coro) == inspect.CORO_RUNNING
        assert not task.done() and not task.cancelled()
        assert task.cancelling() == 0
        assert task in asyncio.all_tasks()
        assert "handler" in repr(task)
        assert {task: 1}[task] == 1
        task.add_done_callback(done.append)
        with pytest.raises(asyncio.InvalidStateError):
            task.result()
        return task

    task = await step(handler())
    await breathe()
    assert task.get_name() == "mine"
    assert done == [task]
    assert task.result() is task


async def test_a_task_looked_at_in_its_only_step_ends_as_its_coroutine_did() -> None:
    done: list[Any] = []

    async def handler(raises: type[BaseException] | None) -> int:
        asyncio.current_task().add_done_callback(done.append)  # type: ignore[union-attr]
        if raises:
            raise raises
        return 5

    assert await step(handler(None)) == 5
    assert type(await step(handler(ValueError))) is ValueError
    assert type(await step(handler(asyncio.CancelledError))) is asyncio.CancelledError
    await breathe()
    assert done[0].result() == 5
    assert type(done[1].exception()) is ValueError
    assert done[2].cancelled()


async def test_a_task_that_is_only_kept_is_no_other_requests() -> None:
    kept: list[Any] = []
    known: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    async def keeps() -> None:
        kept.append(asyncio.current_task())

    async def notes(name: str) -> str:
        return known.setdefault(asyncio.current_task(), name)

    for _ in range(3):
        await step(keeps())
    assert len(set(kept)) == 3
    assert [await step(notes(name)) for name in "abc"] == list("abc")


async def test_nothing_of_a_request_that_is_answered_is_kept() -> None:
    class Value: ...

    async def handler(argument: Value) -> Value:
        return Value()

    argument = Value()
    result = await step(handler(argument))
    held = [weakref.ref(each) for each in (argument, result)]
    del argument, result
    assert [each() for each in held] == [None, None]


async def test_a_step_within_a_step_harms_neither() -> None:
    async def inner() -> int:
        return 5

    async def outer() -> Any:
        coro = inner()
        try:
            return start(coro, asyncio.get_running_loop(), contextvars.copy_context())
        except RuntimeError:
            coro.close()
            return "refused"

    assert await step(outer()) in ("refused", 5)  # 3.12 and later swap the task instead
    assert await step(inner()) == 5


async def test_a_task_looked_at_by_another_while_it_waits_is_whole() -> None:
    gate = asyncio.Event()

    async def handler() -> str:
        await gate.wait()
        return "done"

    task = await step(handler())
    assert task in asyncio.all_tasks()
    assert task.get_stack()
    assert inspect.getcoroutinestate(task.get_coro()) == inspect.CORO_SUSPENDED
    gate.set()
    assert await asyncio.wait_for(task, 60) == "done"
    assert task not in asyncio.all_tasks()


async def test_a_timeout_in_the_first_step_strikes_after_it() -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(0.005):
                await asyncio.sleep(10)
        except TimeoutError:
            return f"timed out {asyncio.current_task().cancelling()}"  # type: ignore[union-attr]
        return "no"

    assert await finish(handler()) == "timed out 0"


async def test_a_timeout_that_does_not_strike_leaves_no_trace() -> None:
    async def handler() -> str:
        async with asyncio.timeout(10):  # noqa: ASYNC100 - nothing to wait for
            pass
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        return "fine"

    assert await finish(handler()) == "fine"


async def test_a_timeout_already_over_strikes_at_the_first_wait() -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(10)
        except TimeoutError:
            return "timed out"
        return "no"

    assert await finish(handler()) == "timed out"


async def test_wait_for_works_in_the_first_step() -> None:
    async def inner(delay_s: float) -> str:
        await asyncio.sleep(delay_s)
        return "done"

    async def handler() -> list[str]:
        said = [await asyncio.wait_for(inner(0), 60)]
        try:
            await asyncio.wait_for(inner(10), 0.005)
        except TimeoutError:
            said.append("timed out")
        return said

    assert await finish(handler()) == ["done", "timed out"]


async def test_a_task_group_in_the_first_step_waits_for_its_tasks() -> None:
    async def child(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def handler() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(number)) for number in range(3)]
        return [task.result() for task in tasks]

    assert await finish(handler()) == [0, 1, 2]


async def test_a_task_group_cancels_its_parent_when_a_child_fails() -> None:
    async def child() -> None:
        raise ValueError("child")

    async def handler() -> Any:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                await asyncio.sleep(10)
        except ExceptionGroup as failed:
            return [str(each) for each in failed.exceptions], asyncio.current_task().cancelling()  # type: ignore[union-attr]

    assert await finish(handler()) == (["child"], 0)


async def test_shield_and_gather_work_in_the_first_step() -> None:
    ended = []

    async def inner() -> str:
        await asyncio.sleep(0.005)
        ended.append(1)
        return "done"

    async def handler() -> Any:
        return await asyncio.gather(asyncio.shield(inner()), inner())

    assert await finish(handler()) == ["done", "done"]
    task = await step(handler())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: len(ended) == 3)  # the shielded one


async def test_sleep_zero_and_a_bare_yield_give_way() -> None:
    order = []

    class Bare:
        def __await__(self) -> Any:
            yield

    async def handler(wait: Any) -> None:
        order.append("first")
        await wait()
        order.append("second")

    async def bare() -> None:
        await Bare()

    for wait in (lambda: asyncio.sleep(0), bare):
        order.clear()
        task = await step(handler(wait))
        order.append("outside")
        await task
        assert order == ["first", "outside", "second"]


async def test_a_future_that_is_done_is_no_wait() -> None:
    async def handler() -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.set_result("at once")
        return await future

    assert await step(handler()) == "at once"


async def test_yielding_nonsense_is_a_runtime_error_like_in_any_task() -> None:
    class Wrong:
        def __await__(self) -> Any:
            yield 5

    async def handler() -> str:
        try:
            await Wrong()
        except RuntimeError as exc:
            return str(exc)
        return "no"

    assert "5" in await finish(handler())


# --- context


async def test_what_the_first_step_sets_in_its_context_is_there_afterwards() -> None:
    async def handler() -> tuple[str, str]:
        Name.set("mine")
        before = Name.get()
        await asyncio.sleep(0)
        return before, Name.get()

    context = contextvars.copy_context()
    assert await finish(handler(), context) == ("mine", "mine")
    assert context[Name] == "mine"
    assert Name.get() == "none"


async def test_contexts_of_requests_do_not_mix() -> None:
    async def handler(request: Any) -> str:
        before = Name.get()
        Name.set(request.target)
        if "wait" in request.target:
            await asyncio.sleep(0.001)
        return f"{before} {Name.get()}"

    async with serve({"/": handler}) as door:
        client = await door.connect()
        targets = ["/?a", "/?wait=b", "/?c", "/?wait=d", "/?e"]
        await client.send(b"".join(get(target) for target in targets))
        for target in targets:
            assert (await client.answer()).body.decode() == f'"none {target}"'
        assert Name.get() == "none"


async def test_a_stream_has_the_context_of_its_handler() -> None:
    async def handler(request: Any) -> Response:
        async def chunks() -> Any:
            yield Name.get()
            await asyncio.sleep(0)
            yield Name.get()

        Name.set("handler's")
        return Response.stream(chunks())

    async with serve({"/": handler}) as door:
        assert (await door.asks(get())).chunks == [b"handler's"] * 2


# --- cancellation


async def test_a_cancellation_in_the_first_step_is_raised_at_the_first_wait() -> None:
    order = []

    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancel()
        assert task.cancelling() == 1
        order.append("goes on")
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            order.append("cancelled")
            raise

    with pytest.raises(asyncio.CancelledError):
        await finish(handler())
    assert order == ["goes on", "cancelled"]


async def test_a_cancellation_in_the_first_step_can_be_taken_back() -> None:
    async def handler() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        left = task.uncancel()
        await asyncio.sleep(0)
        return left

    assert await finish(handler()) == 0


@pytest.mark.parametrize("when", ["before its second step", "later"])
async def test_a_cancellation_goes_to_what_is_waited_for_first(when: str) -> None:
    order, waited = [], []

    async def inner() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            order.append("inner")
            raise

    async def handler() -> None:
        try:
            waited.append(asyncio.ensure_future(inner()))
            await waited[0]
        except asyncio.CancelledError:
            order.append("handler")
            raise

    outcome: list[Any] = []

    def callback() -> None:
        task = start(handler(), asyncio.get_running_loop(), contextvars.copy_context())
        outcome.append(task)
        if when.startswith("before"):
            task.cancel("why")

    asyncio.get_running_loop().call_soon(callback)
    await breathe()
    if when == "later":
        outcome[0].cancel("why")
    with pytest.raises(asyncio.CancelledError):
        await outcome[0]
    assert outcome[0].cancelled() and outcome[0].cancelling() == 1
    assert waited[0].cancelled()
    # Cancelled at once, the inner task may not even begin.
    assert order == ["inner", "handler"] or (when.startswith("before") and order == ["handler"])


async def test_a_cancellation_before_the_second_step_cancels_the_future_it_waits_for() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outcome: list[Any] = []

    async def handler() -> str:
        try:
            await future
        except asyncio.CancelledError:
            return f"cancelled, future {future.cancelled()}"
        return "no"

    def callback() -> None:
        outcome.append(start(handler(), asyncio.get_running_loop(), contextvars.copy_context()))
        outcome[0].cancel()

    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(0)
    assert await outcome[0] == "cancelled, future True"


async def test_a_cancellation_reaches_a_task_whose_future_is_done_already() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outcome: list[Any] = []

    async def handler() -> str:
        try:
            await future
        except asyncio.CancelledError:
            return "cancelled"
        return "no"

    def callback() -> None:
        outcome.append(start(handler(), asyncio.get_running_loop(), contextvars.copy_context()))
        future.set_result(None)
        outcome[0].cancel()

    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(0)
    assert await outcome[0] == "cancelled"


async def test_cancelling_at_a_bare_yield_works_before_the_second_step() -> None:
    outcome: list[Any] = []

    async def handler() -> str:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return "cancelled"
        return "no"

    def callback() -> None:
        outcome.append(start(handler(), asyncio.get_running_loop(), contextvars.copy_context()))
        outcome[0].cancel()

    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(0)
    assert await outcome[0] == "cancelled"


async def test_a_task_that_finished_in_its_first_step_cannot_be_hurt_by_a_late_cancel() -> None:
    kept = []

    async def handler() -> int:
        kept.append(asyncio.current_task())
        kept[0].get_name()
        return 5

    assert await step(handler()) == 5
    kept[0].cancel()
    await breathe()
    assert kept[0].done()


# --- cost and leaks


async def test_no_task_is_made_for_a_handler_that_does_not_wait() -> None:
    tasks = []

    async def handler(request: Any) -> str:
        tasks.append(len(asyncio.all_tasks()))
        return "x"

    async with serve({"/": handler}) as door:
        client = await door.connect()
        await client.asks(get())
        gc.collect()
        before = len([each for each in gc.get_objects() if isinstance(each, asyncio.Task)])
        for _ in range(50):
            await client.asks(get())
        after = len([each for each in gc.get_objects() if isinstance(each, asyncio.Task)])
        assert after == before


async def test_a_weak_dictionary_keyed_by_the_task_holds_over_the_first_wait() -> None:
    states: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    async def handler(wait: bool) -> str:
        states[asyncio.current_task()] = "mine"
        if wait:
            await asyncio.sleep(0)
        return states[asyncio.current_task()]

    assert await finish(handler(True)) == "mine"
    assert await finish(handler(False)) == "mine"
    await breathe()
    gc.collect()
    assert len(states) == 0


@pytest.mark.parametrize("kind", ["at once", "looked at", "waits", "raises", "cancelled"])
async def test_nothing_is_left_of_10_000_calls(kind: str) -> None:
    async def handler() -> None:
        if kind == "looked at":
            asyncio.current_task().get_name()  # type: ignore[union-attr]
        elif kind in ("waits", "cancelled"):
            await asyncio.sleep(0)
        elif kind == "raises":
            raise ValueError

    loop, context = asyncio.get_running_loop(), contextvars.copy_context()

    def run(times: int) -> None:
        for _ in range(times):
            try:
                task = start(handler(), loop, context.copy())
            except ValueError:
                continue
            if kind == "cancelled":
                task.cancel()

    async def many(times: int) -> int:
        loop.call_soon(run, times)
        await breathe()
        gc.collect()
        return len(gc.get_objects())

    await many(200)
    before = await many(200)
    assert await many(10_000) - before < 50
    assert len(asyncio.all_tasks()) == 1


async def test_debug_mode_changes_nothing() -> None:
    asyncio.get_running_loop().set_debug(True)

    async def handler(wait: bool) -> str:
        async with asyncio.timeout(1):
            if wait:
                await asyncio.sleep(0)
        return "fine"

    assert await finish(handler(True)) == "fine"
    assert await finish(handler(False)) == "fine"

    async def child() -> None:
        await asyncio.sleep(0)

    async def group() -> str:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(child())
        return "fine"

    assert await finish(group()) == "fine"


# --- other people's libraries in a handler


async def test_anyio_works_in_a_handler() -> None:
    async def handler(request: Any) -> list[Any]:
        said: list[Any] = []
        with anyio.move_on_after(0.005) as scope:
            await anyio.sleep(10)
        said.append(scope.cancelled_caught)
        with anyio.CancelScope() as outer:
            outer.cancel()
            with suppress(BaseException):
                await anyio.lowlevel.checkpoint()
        said.append(outer.cancel_called)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
            group.start_soon(anyio.sleep, 10)
            await anyio.sleep(0.001)
            group.cancel_scope.cancel()
        said.append(await anyio.to_thread.run_sync(lambda: "thread"))
        with anyio.fail_after(1):
            await anyio.lowlevel.checkpoint()
        said.append(anyio.get_current_task().name is not None)
        return said

    async with serve({"/": handler}) as door:
        for _ in range(2):
            answer = await door.asks(get())
            assert answer.body == b'[true,true,"thread",true]'


async def test_a_cancel_scope_that_is_entered_in_the_first_step_is_cancelled_by_a_task_of_its_own() -> None:
    async def handler(request: Any) -> str:
        async def cancels(scope: anyio.CancelScope) -> None:
            scope.cancel()

        with anyio.CancelScope() as scope:
            task = asyncio.ensure_future(cancels(scope))
            await anyio.sleep_forever()
        await task
        return "free"

    async with serve({"/": handler}) as door:
        assert (await door.asks(get())).body == b'"free"'


async def test_httpx_calls_a_second_server_from_a_handler() -> None:
    async with serve({"/": hello}) as second:

        async def handler(request: Any) -> str:
            async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
                answer = await client.get(f"http://127.0.0.1:{second.port}/", headers={"host": "localhost"})
            return answer.text

        async def too_slow(request: Any) -> str:
            async with httpx.AsyncClient(timeout=0.01, trust_env=False) as client:
                try:
                    await client.get(f"http://127.0.0.1:{second.port}/wait", headers={"host": "localhost"})
                except httpx.TimeoutException:
                    return "timed out"
            return "no"

        async def waits(request: Any) -> str:
            await asyncio.sleep(0.2)
            return "x"

        async with serve({"/": handler}) as first:
            client = await first.connect()
            for _ in range(3):
                assert (await client.asks(get())).body == b'"hello"'
        async with serve({"/wait": waits}) as second, serve({"/": too_slow}) as first:
            assert (await first.asks(get())).body == b'"timed out"'


async def test_a_client_that_leaves_in_the_middle_of_an_httpx_call_cancels_it() -> None:
    ended = []
    release = asyncio.Event()

    async def waits(request: Any) -> str:
        await release.wait()
        return "x"

    async with serve({"/": waits}) as second:

        async def handler(request: Any) -> None:
            async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
                try:
                    await client.get(f"http://127.0.0.1:{second.port}/", headers={"host": "localhost"})
                except asyncio.CancelledError:
                    ended.append("cancelled")
                    raise

        async with serve({"/": handler}) as first:
            client = await first.connect()
            await client.send(get())
            await until(lambda: second.serving.in_flight)
            client.close()
            await until(lambda: ended)
        release.set()
    assert ended == ["cancelled"]
