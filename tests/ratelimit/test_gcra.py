"""GCRA against an exact model in fractions, and against the packages ``throttled-py`` and ``limits``.

``throttled-py`` has GCRA too, so every decision must be the same. ``limits`` has none, so its decisions
differ by design. What must hold against it: in a burst from a quiet start its moving and its fixed window
of the same limit decide as GCRA does, call by call; and its moving window of twice the limit, fed with
what GCRA has admitted, refuses none of it. Each over 10,000 random traces.
"""

from __future__ import annotations

import random
from datetime import timedelta
from fractions import Fraction

import pytest
import throttled
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from turnout.ratelimit import interval_us, parse_window
from turnout.store.memory import Memory

TRACES = 10_000
START = 1_700_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.us = START

    def __call__(self) -> int:
        return self.us


class Bucket:
    """The exact model: a bucket of *limit* that refills by one each interval, in fractions of a call."""

    def __init__(self, limit: int, interval: int) -> None:
        self.limit, self.interval = limit, interval
        self.level, self.at = Fraction(limit), START

    def take(self, now: int, cost: int) -> tuple[bool, Fraction]:
        self.level = min(Fraction(self.limit), self.level + Fraction(now - self.at, self.interval))
        self.at = now
        granted = self.level >= cost
        if granted:
            self.level -= cost
        return granted, self.level


def traces(seed: int, count: int = TRACES):
    """Random limits, windows in µs, and calls as (µs since the last, cost)."""
    draw = random.Random(seed)
    for _ in range(count):
        limit = draw.choice((1, 2, 3, 5, 10, draw.randint(1, 60)))
        window = draw.choice((1_000_000, 10_000_000, draw.randint(limit, 5_000_000)))
        interval = interval_us(limit, window)
        pause = draw.choice((interval // 3, interval, 2 * interval, window))
        pauses = (0, 0, interval - 1, interval, interval + 1)
        calls = [
            (draw.choice((*pauses, draw.randint(0, 2 * pause))), draw.choice((1, 1, 1, min(2, limit))))
            for _ in range(draw.randint(1, 40))
        ]
        yield limit, window, interval, calls


async def test_every_decision_is_the_exact_models():
    clock, decisions = Clock(), 0
    memory = Memory(clock_us=clock)
    for number, (limit, _, interval, calls) in enumerate(traces(1)):
        clock.us = START
        model = Bucket(limit, interval)
        for pause, cost in calls:
            clock.us += pause
            taken = await memory.take(f"{number}", interval, limit, cost)
            granted, level = model.take(clock.us, cost)
            assert taken.granted == granted
            assert limit - Fraction(taken.ahead_us, interval) == level
            decisions += 1
    assert decisions > 100_000


async def test_the_file_decides_as_memory_does(tmp_path):
    from turnout.store.sqlite import Sqlite

    clock = Clock()
    memory, file = Memory(clock_us=clock), Sqlite(tmp_path / "store.db", clock, clock)
    for number, (limit, _, interval, calls) in enumerate(traces(2, 200)):
        for pause, cost in calls:
            clock.us += pause
            assert await file.take(f"{number}", interval, limit, cost) == await memory.take(
                f"{number}", interval, limit, cost
            )
    await file.close()


async def test_every_decision_is_that_of_throttled_py(monkeypatch):
    clock, decisions = Clock(), 0
    # It counts in floating seconds: with a second in the place of each microsecond it is exact, too.
    monkeypatch.setattr("throttled.utils.now_mono_f", lambda: float(clock.us))
    clock.us = 0
    memory = Memory(max_keys=TRACES, clock_us=clock)
    theirs = throttled.store.MemoryStore(options={"MAX_SIZE": TRACES})
    draw = random.Random(4)
    for number in range(TRACES):
        limit, interval = draw.randint(1, 20), draw.randint(1, 50)
        rate = throttled.rate_limiter.Rate(timedelta(seconds=limit * interval), limit)
        quota = throttled.rate_limiter.Quota(rate, burst=limit)
        limiter = throttled.Throttled(using="gcra", quota=quota, store=theirs)
        clock.us += 10_000
        for _ in range(draw.randint(1, 15)):
            clock.us += draw.choice((0, 0, 1, interval - 1, interval, interval + 1, draw.randint(0, 2 * interval)))
            cost = draw.choice((1, 1, min(2, limit)))
            taken = await memory.take(f"{number}", interval, limit, cost)
            assert taken.granted != limiter.limit(f"{number}", cost=cost).limited
            decisions += 1
    assert decisions > 50_000


@pytest.fixture
def frozen(monkeypatch):
    """The clock of ``limits``, which asks time.time()."""
    clock = Clock()
    monkeypatch.setattr("time.time", lambda: clock.us / 1_000_000)
    return clock


async def test_what_is_admitted_stays_within_the_bounds_of_the_limits_package(frozen):
    memory, storage = Memory(max_keys=TRACES, clock_us=frozen), MemoryStorage()
    moving, fixed = MovingWindowRateLimiter(storage), FixedWindowRateLimiter(storage)
    draw = random.Random(3)
    for number in range(TRACES):
        limit, window_s = draw.randint(1, 12), draw.choice((1, 2, 10))
        window = window_s * 1_000_000
        interval = interval_us(limit, window)
        twice = RateLimitItemPerSecond(2 * limit, window_s)
        once = RateLimitItemPerSecond(limit, window_s)
        frozen.us = (frozen.us // 60_000_000 + 2) * 60_000_000  # a quiet start, at the edge of a fixed window
        for _ in range(draw.randint(1, limit + 3)):  # a burst at one moment: all three decide alike
            ours = (await memory.take(f"{number}", interval, limit)).granted
            assert ours == moving.hit(once, f"{number}") == fixed.hit(once, f"{number}")
            if ours:
                assert moving.hit(twice, f"{number}")
        for _ in range(draw.randint(0, 30)):
            frozen.us += draw.randint(0, window // 3)
            if (await memory.take(f"{number}", interval, limit)).granted:
                # Never more in any one window than twice the limit.
                assert moving.hit(twice, f"{number}")


async def test_who_keeps_to_the_pace_is_never_refused(frozen):
    memory = Memory(clock_us=frozen)
    for limit, text in ((20, "1 min"), (7, "10 s"), (1, "1 s"), (3, "100 ms")):
        interval = interval_us(limit, parse_window(text))
        for _ in range(200):
            assert (await memory.take(text, interval, limit)).granted
            frozen.us += interval
