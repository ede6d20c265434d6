"""What blocks runs in a thread beside the loop, and here where there is none."""

from __future__ import annotations

import contextvars
import threading

from turnout.http.aside import aside, has_loop, need_loop, of_context

word = contextvars.ContextVar("word", default="none")


def drive(work):
    """Drive a coroutine by hand; what it waits for, or its result."""
    try:
        return "waits", work.send(None)
    except StopIteration as done:
        return "done", done.value


def where(*args, **kwargs):
    return threading.current_thread(), word.get(), args, kwargs


async def test_beside_a_loop_it_is_another_thread_in_the_same_context():
    word.set("here")

    thread, seen, args, kwargs = await aside(where, 1, key=2)

    assert thread is not threading.current_thread()
    assert (seen, args, kwargs) == ("here", (1,), {"key": 2})


def test_without_a_loop_it_is_called_here():
    state, (thread, _, args, kwargs) = drive(aside(where, 1, key=2))

    assert (state, thread) == ("done", threading.current_thread())
    assert (args, kwargs) == ((1,), {"key": 2})


async def test_who_needs_a_loop_and_has_one_goes_on():
    assert has_loop()
    await need_loop()


def test_who_needs_a_loop_and_has_none_waits():
    async def work():
        await need_loop()

    coroutine = work()
    assert not has_loop()
    assert drive(coroutine) == ("waits", None)
    coroutine.close()


def test_work_in_a_context_sees_it_and_changes_no_other():
    context = contextvars.copy_context()
    context.run(word.set, "of the context")

    async def work():
        seen = word.get()
        word.set("changed")
        return seen

    assert drive(of_context(context, work())) == ("done", "of the context")
    assert (word.get(), context[word]) == ("none", "changed")


async def test_the_same_holds_in_a_loop():
    context = contextvars.copy_context()
    context.run(word.set, "of the context")

    async def work():
        return word.get()

    assert await of_context(context, work()) == "of the context"
    assert word.get() == "none"
