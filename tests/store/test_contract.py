"""One list of what a store does, over all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from turnout import ConfigError
from turnout.store import Store, StoreUnavailable, connect

# Lives of a value that is to be seen before its end: the next one, where a busy machine has let it end meanwhile.
LIVES_S = (0.05, 1.0, 30.0)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = connect(url)
    try:
        yield store
    finally:
        await store.close()


async def test_a_value_is_read_back_until_it_is_deleted(url):
    async with opened(url) as store:
        assert await store.get("a") is None
        await store.set("a", b"\x00\xff one")
        await store.set("a", b"\x00\xff two")

        assert await store.get("a") == b"\x00\xff two"
        assert await store.delete("a") is True
        assert await store.delete("a") is False
        assert await store.get("a") is None


async def test_an_empty_value_is_a_value(url):
    async with opened(url) as store:
        await store.set("a", b"")

        assert await store.get("a") == b""
        assert await store.add("a", b"x", 10) is False


@pytest.mark.parametrize("key", ["a b", "ключ/🙂", "'; drop table entries; --", "k" * 300, "line\nbreak", "a%s:1"])
async def test_any_text_is_a_key(url, key):
    async with opened(url) as store:
        await store.set(key, b"1")

        assert await store.get(key) == b"1"
        assert await store.get(key + "x") is None


async def test_a_value_is_gone_after_its_time(url):
    async with opened(url) as store:
        for life_s in LIVES_S:
            began_s = time.monotonic()
            await store.set("a", b"1", life_s)
            await store.set("b", b"1", 60)
            await store.set("c", b"1", life_s)
            await store.set("c", b"2")
            found = await store.get("a")
            if time.monotonic() - began_s < life_s:
                break
        assert found == b"1"
        await asyncio.sleep(life_s + 0.03)

        assert await store.get("a") is None
        assert await store.delete("a") is False
        assert await store.get("b") == b"1"
        assert await store.get("c") == b"2"
        assert await store.add("a", b"again", 60) is True


async def test_only_the_first_add_writes(url):
    async with opened(url) as store:
        assert await store.add("a", b"1", 60) is True
        assert await store.add("a", b"2", 60) is False

        assert await store.get("a") == b"1"


async def test_a_count_goes_up_and_down_and_reads_as_text(url):
    async with opened(url) as store:
        assert await store.increment("n") == 1
        assert await store.increment("n", 41) == 42
        assert await store.increment("n", -50) == -8

        assert await store.get("n") == b"-8"
        await store.set("n", b"7")
        assert await store.increment("n") == 8


async def test_the_life_of_a_count_begins_with_its_first(url):
    async with opened(url) as store:
        for life_s in LIVES_S:
            began_s = time.monotonic()
            await store.increment("n", ttl_s=2 * life_s)
            await asyncio.sleep(1.2 * life_s)
            second = await store.increment("n", ttl_s=2 * life_s)
            if time.monotonic() - began_s < 2 * life_s:
                break
            await store.delete("n")
        assert second == 2
        await asyncio.sleep(1.2 * life_s)

        assert await store.increment("n", ttl_s=2 * life_s) == 1
        await store.set("for ever", b"1")
        await store.increment("for ever", ttl_s=0.01)
        await asyncio.sleep(0.03)
        assert await store.get("for ever") == b"2"


async def test_what_is_no_whole_number_is_not_counted(url):
    async with opened(url) as store:
        await store.set("a", b"ten")
        with pytest.raises(ValueError, match="increment"):
            await store.increment("a")
        await store.set("a", str(2**63 - 1).encode())
        with pytest.raises(ValueError, match="increment"):
            await store.increment("a")

        assert await store.get("a") == str(2**63 - 1).encode()
        assert await store.increment("a", -1) == 2**63 - 2


async def test_compare_and_set_writes_only_over_what_it_expects(url):
    async with opened(url) as store:
        assert await store.compare_and_set("a", b"0", b"1") is False
        assert await store.compare_and_set("a", None, b"1") is True
        assert await store.compare_and_set("a", None, b"2") is False
        assert await store.compare_and_set("a", b"0", b"2") is False
        for life_s in LIVES_S:
            began_s = time.monotonic()
            await store.set("a", b"1")
            assert await store.compare_and_set("a", b"1", b"2", life_s) is True
            found = await store.get("a")
            if time.monotonic() - began_s < life_s:
                break
        assert found == b"2"
        await asyncio.sleep(life_s + 0.03)

        assert await store.compare_and_set("a", b"2", b"3") is False
        assert await store.compare_and_set("a", None, b"3") is True


@pytest.mark.parametrize("key", ["", b"a", None, 1])
async def test_what_is_no_text_is_no_key(url, key):
    async with opened(url) as store:
        for call in (store.get(key), store.set(key, b""), store.increment(key), store.publish(key, b"")):
            with pytest.raises(TypeError, match="a key is a text"):
                await call


async def test_a_value_is_bytes_and_a_life_is_a_time(url):
    async with opened(url) as store:
        for value in ("text", None, 1, bytearray(b"x")):
            with pytest.raises(TypeError, match="a value is bytes"):
                await store.set("a", value or {})
        for ttl_s in (0, -1, 0.0001, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="ttl_s"):
                await store.set("a", b"", ttl_s)
        assert await store.get("a") is None


async def test_a_closed_store_opens_again(url):
    async with opened(url) as store:
        await store.set("a", b"1")
        await store.close()
        await store.close()

        assert await store.get("a") == b"1"


def test_a_store_serves_one_event_loop_after_another(url):
    store = connect(url)

    async def use(value: bytes) -> bytes | None:
        await store.set("a", value)
        found = await store.get("a")
        await store.close()
        return found

    assert asyncio.run(use(b"1")) == b"1"
    assert asyncio.run(use(b"2")) == b"2"


async def test_many_tasks_count_to_the_right_sum(url):
    async with opened(url) as store:
        await asyncio.gather(*(store.increment("n") for _ in range(500)))

        assert await store.get("n") == b"500"


async def test_of_many_tasks_one_adds(url):
    async with opened(url) as store:
        added = await asyncio.gather(*(store.add("lease", b"%d" % each, 60) for each in range(200)))

        assert added.count(True) == 1
        assert await store.get("lease") == b"%d" % added.index(True)


# -- take


async def test_a_limit_lets_so_many_through_and_says_how_far_ahead_it_is(url):
    hour = 3_600_000_000
    async with opened(url) as store:
        taken = [await store.take("a", hour, 3) for _ in range(5)]

        assert [each.granted for each in taken] == [True, True, True, False, False]
        assert [round(each.ahead_us / hour, 3) for each in taken] == [1, 2, 3, 3, 3]
        assert (await store.take("b", hour, 3, 3)).granted
        assert not (await store.take("b", hour, 3)).granted
        assert (await store.take("c", hour, 3, 2)).granted
        assert not (await store.take("c", hour, 3, 2)).granted
        assert (await store.take("c", hour, 3, 1)).granted


async def test_a_limit_comes_back_with_time(url):
    async with opened(url) as store:
        assert [(await store.take("a", 40_000, 2)).granted for _ in range(2)] == [True, True]
        await asyncio.sleep(0.1)

        assert [(await store.take("a", 10_000_000, 2)).granted for _ in range(3)] == [True, True, False]


# -- messages


async def heard(messages: AsyncIterator[bytes], count: int) -> list[bytes]:
    async with asyncio.timeout(60):
        return [await anext(messages) for _ in range(count)]


async def test_a_subscriber_hears_what_is_published_from_then_on_in_order(url):
    async with opened(url) as store:
        await store.publish("news", b"too early")
        async with store.subscribe("news") as messages, store.subscribe("other") as others:
            for each in range(20):
                await store.publish("news", b"%d" % each)
            await store.publish("other", b"\x00")

            assert await heard(messages, 20) == [b"%d" % each for each in range(20)]
            assert await heard(others, 1) == [b"\x00"]
        await store.publish("news", b"too late")
        async with store.subscribe("news") as messages:
            await store.publish("news", b"again")

            assert await heard(messages, 1) == [b"again"]


async def test_every_subscriber_hears_a_message(url):
    async with opened(url) as store, store.subscribe("a") as one, store.subscribe("a") as two:
        await store.publish("a", b"1")

        assert [await heard(one, 1), await heard(two, 1)] == [[b"1"], [b"1"]]


async def test_a_subscriber_that_does_not_read_is_told_and_the_others_hear_on(url):
    async with opened(url) as store, store.subscribe("a") as lazy, store.subscribe("a") as eager:
        for each in range(1_100):
            await store.publish("a", b"%d" % each)
            if each % 100 == 99:
                await heard(eager, 100)
        assert await heard(lazy, 1_000) == [b"%d" % each for each in range(1_000)]

        with pytest.raises(StoreUnavailable, match="subscribe again"):
            await heard(lazy, 1)


# -- addresses


@pytest.mark.parametrize("wrong", ["", "postgres://localhost", "sqlite://", "sqlite:///", "memory", "data/store.db"])
def test_an_address_of_no_store_is_refused_with_the_cure(wrong):
    with pytest.raises(ConfigError, match="valkey://host:6379/0"):
        connect(wrong)


@pytest.mark.parametrize("wrong", ["valkey://localhost:port/0", "redis://localhost:99999999"])
async def test_an_address_that_cannot_be_read_is_refused(wrong):
    with pytest.raises((ConfigError, StoreUnavailable)):
        await connect(wrong).get("a")
