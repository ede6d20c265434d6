"""R16: probes say what is so."""

from __future__ import annotations

import asyncio
import shutil
import signal

from faults.load import Client, ask, request
from faults.started import DEADLINE_S, started, until


async def statuses(port: int) -> tuple[int, ...]:
    return tuple([(await ask(port, request(path))).status for path in ("/livez", "/readyz", "/startupz")])


async def test_readiness_ends_when_the_drain_begins_and_liveness_does_not(tmp_path):
    with started(tmp_path, drain_delay_s=6) as server:
        assert await statuses(server.port) == (200, 200, 200)
        client = await Client.connect(server.port)
        await client.ask()
        server.process.send_signal(signal.SIGTERM)
        ready = 200
        while ready == 200:
            ready = (await ask(server.port, request("/readyz"))).status
        assert ready == 503
        assert (await ask(server.port, request("/livez"))).status == 200
        answer = await client.ask()
        assert answer.status == 200 and not answer.keeps  # requests are still answered, and asked to go
        assert await asyncio.to_thread(server.process.wait, DEADLINE_S) == 0


async def test_probes_are_answered_while_everything_else_is_refused(tmp_path):
    with started(tmp_path, max_in_flight=2) as server:
        held = [asyncio.create_task(ask(server.port, request("/api/sleep?ms=5000"))) for _ in range(2)]
        while (await ask(server.port)).status == 200:
            pass
        refused = await ask(server.port)
        assert refused.status == 503 and refused.headers["retry-after"] == "1"
        assert await statuses(server.port) == (200, 200, 200)
        assert [(await each).status for each in held] == [200, 200]


async def test_a_reload_that_cannot_load_leaves_readiness_true(tmp_path):
    with started(tmp_path) as server:
        shutil.move(server.root / "app", server.root / "gone")
        server.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(until, lambda: "reload failed" in server.log, "the failed reload")
        assert await statuses(server.port) == (200, 200, 200)
