"""Threads: calls that go on after their request is over are counted, and too many of them end the worker."""

from __future__ import annotations

import asyncio
import threading

import pytest

from turnout.app import App
from turnout.http.guard import AllowedHosts
from turnout.http.request import Request
from turnout.threads import Threads


async def leave(threads: Threads, event: threading.Event) -> None:
    """Call a function that waits for *event*, and do not wait for it."""
    call = asyncio.create_task(threads.run(event.wait, 10))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_call_that_outlives_its_request_and_its_time_is_stuck():
    threads, event = Threads(4, stuck_after_s=0), threading.Event()
    call = asyncio.create_task(threads.run(event.wait, 10))
    await asyncio.sleep(0.01)
    assert threads.stuck() == 0  # somebody waits for it

    await leave(threads, event)
    assert threads.stuck() == 1 and threads.busy == 2

    event.set()
    await call
    while threads.busy:  # noqa: ASYNC110 - the other thread wakes in its own time
        await asyncio.sleep(0.001)
    assert threads.stuck() == 0
    threads.close()


async def test_a_call_whose_client_left_early_has_its_time_to_end():
    threads, event = Threads(4, stuck_after_s=30), threading.Event()

    await leave(threads, event)

    assert threads.stuck() == 0 and threads.busy == 1
    event.set()
    threads.close()


async def test_an_app_is_healthy_until_half_of_its_threads_are_stuck():
    threads, event = Threads(4, stuck_after_s=0), threading.Event()
    app = App([], allowed_hosts=AllowedHosts(["localhost"]), threads=threads)

    await leave(threads, event)
    assert app.healthy()
    assert (await app.fetch(Request("GET", "/livez"))).status == 200
    await leave(threads, event)
    assert not app.healthy()
    assert (await app.fetch(Request("GET", "/livez"))).status == 503

    event.set()
    threads.close()
