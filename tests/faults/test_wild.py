"""The fuzzer against a real worker: no server error, no hang, no dead worker, every answer well formed."""

from __future__ import annotations

import asyncio
import os

from faults import fuzz
from faults.load import Client, request
from faults.started import raise_file_limit, resident_kb, started

SEED = int(os.environ.get("TURNOUT_FUZZ_SEED") or 20_261_122)
# Every deadline is near, so that each connection ends while somebody looks.
QUICK = {"header_timeout_s": 0.5, "body_grace_s": 0.5, "body_bytes_per_s": 1_000_000, "keep_alive_s": 0.5}
QUICK |= {"write_stall_s": 2, "max_in_flight": 10_000}
GROWTH_KB = 5_000  # most of what there is, up to 3,500, is pages that SQLite keeps of a file that grows
GROWTH_BLOCKS = 2_000  # one small object kept of every tenth request would be 8,000


async def census(port: int) -> dict[str, int]:
    """The worker's own count, once the last connection has met its deadline."""
    for _ in range(600):
        client = await Client.connect(port)
        await client.ask()
        counts = (await client.ask(request("/api/census?give_back"))).json
        client.close()
        if counts["connections"] == 1 >= counts["requests"]:  # itself, where it is counted at all
            break
        await asyncio.sleep(0.1)
    return counts


def constant(counts: dict[str, int]) -> dict[str, int]:
    """What of *counts* is the same whenever nothing is going on."""
    return {name: counts[name] for name in ("tasks", "files", "connections", "requests")}


async def test_wild_requests_get_answers_in_order(tmp_path, full, say):
    count, first = (100_000, 20_000) if full else (3_000, 1_000)
    raise_file_limit(20_000)
    with started(tmp_path, **QUICK) as server:
        (pid,) = server.workers()
        found = await fuzz.run(server.port, first, SEED)  # what is made once is made
        before, before_kb = await census(server.port), resident_kb(pid)

        await fuzz.run(server.port, count - first, SEED + 4 * first, found=found)

        peak_kb = resident_kb(pid)  # most of it free: a thousand conversations at once have used it
        after, after_kb = await census(server.port), resident_kb(pid)
        say(
            f"seed {SEED}: {found}. Worker: {before_kb} KiB in use after the first {first:,}, {after_kb} at the end of "
            f"{peak_kb}; blocks {before['blocks']} -> {after['blocks']}; {constant(after)}"
        )
        assert server.workers() == {pid}
        assert constant(after) == constant(before)
        assert after["blocks"] - before["blocks"] < GROWTH_BLOCKS
        assert after_kb - before_kb < GROWTH_KB
    assert not (found.server_errors or found.hangs or found.malformed or found.cut or found.refused), found.__dict__
    # A stream whose request has a body that breaks while it is being sent: its head is out, so it breaks off too.
    assert len(found.broken_off) < count // 1_000, found.broken_off
    # The die reaches every corner.
    assert {200, 201, 204, 308, 400, 404, 405, 408, 414, 415, 417, 422, 501, 505} <= set(found.statuses), found
