"""Pressure: a standing queue is told from a burst, and refused without stopping the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from turnout.http.request import Request
from turnout.server.pressure import BUDGET_S, SHORT_TURNS, STANDING_S, Pressure


class Loop(asyncio.BaseEventLoop):
    """An event loop whose turns take as long as they are told to."""

    def __init__(self) -> None:
        self.now_s, self.due = 1_000.0, list[Callable[[], object]]()

    def time(self) -> float:
        return self.now_s

    def call_soon(self, callback, *args, context=None):  # type: ignore[no-untyped-def]
        self.due.append(callback)

    def turn(self, took_s: float) -> None:
        self.now_s += took_s
        due, self.due = self.due, []
        for each in due:
            each()

    def __del__(self) -> None:  # the base class's would ask for what this one has not
        pass


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def pressure(loop):
    return Pressure(loop)


def under_pressure(loop: Loop, pressure: Pressure) -> None:
    pressure.suspect()
    for _ in range(int(STANDING_S / BUDGET_S) + 2):
        loop.turn(BUDGET_S * 1.5)
    assert pressure.high


def test_a_burst_is_not_pressure(loop, pressure):
    pressure.suspect()
    for _ in range(int(STANDING_S / BUDGET_S) - 4):
        loop.turn(BUDGET_S)
    assert not pressure.high

    for _ in range(SHORT_TURNS):
        loop.turn(0.001)
    assert not pressure.high and not loop.due  # and nothing goes on that would keep an idle loop awake


def test_turns_that_stay_long_for_a_second_are_pressure_until_they_are_short(loop, pressure):
    under_pressure(loop, pressure)
    for _ in range(SHORT_TURNS - 1):
        loop.turn(0.001)  # of the kind between an accept and its first byte
    loop.turn(BUDGET_S)
    assert pressure.high

    for _ in range(SHORT_TURNS):
        loop.turn(0.001)
    assert not pressure.high and not loop.due


def test_a_turn_begins_requests_for_its_budget_and_refuses_the_rest(loop, pressure):
    under_pressure(loop, pressure)
    loop.now_s += 5  # what was before the turn's first request does not count against it
    assert pressure.refuses(Request("GET", "/a")) is None
    loop.now_s += BUDGET_S * 0.9
    assert pressure.refuses(Request("GET", "/a")) is None
    loop.now_s += BUDGET_S * 0.2
    refused = pressure.refuses(Request("GET", "/a"))
    assert refused is not None and refused.status == 503 and refused.headers.get("retry-after") == "1"
    assert pressure.refuses(Request("GET", "/livez?x=1")) is None

    loop.turn(0)
    assert pressure.refuses(Request("GET", "/a")) is None
