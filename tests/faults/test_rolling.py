"""R3: restarts and reloads behind nginx lose nothing: requests, writes, and streams under way."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.load import ask, offer, request, summary
from faults.started import Started, make, starting, until
from ports import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream turnout {{
        {servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://turnout;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_buffering off;
            proxy_next_upstream error timeout non_idempotent;
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, *upstream: int) -> Iterator[int]:
    """nginx before the servers on these ports; its own port.

    It may send a request on a connection that was idle, and whose end it has not read yet. HTTP/1.1 leaves that to
    whoever sends: so it sends it again, writes too. One that was cut off when it had been written would be there
    twice then.
    """
    if NGINX is None:
        pytest.skip("nginx is not installed; on Debian or Ubuntu: apt-get install nginx")
    folder.mkdir()
    port = free_port()
    servers = "\n".join(f"server 127.0.0.1:{each} max_fails=0;" for each in upstream * 3)
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, servers=servers, port=port))
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")],
            stdout=output,
            stderr=output,
        )
    try:

        def listens() -> bool:
            assert process.poll() is None, (folder / "output").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, "nginx")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def mix(number: int) -> bytes:
    """Of ten requests, one is a write, one a stream of half a second, one a wait."""
    match number % 10:
        case 3:
            return request("/api/notes", b'{"text":"rolling"}')
        case 6:
            return request("/api/stream?items=10&ms=50")
        case 9:
            return request("/api/sleep?ms=200")
        case _:
            return request()


def sent_again(folder: Path) -> int:
    """How many requests met the end of a connection that had been idle."""
    said = (folder / "nginx/error.log").read_text()
    return said.count("prematurely closed connection") + said.count("reset by peer")


STREAM = "".join(f"{number}\n" for number in range(10)).encode()


def judge(outcomes) -> int:
    """Asserts that every answer is whole; the writes among them."""
    failed = [(each.status, each.error) for each in outcomes if each.status not in (200, 201)]
    assert not failed, f"{len(failed)} of {len(outcomes)}: {failed[:5]}"
    streams = [each for each in outcomes if "chunked" in each.answer.headers.get("transfer-encoding", "")]
    assert len(streams) == len(outcomes) // 10 and all(each.answer.body == STREAM for each in streams)
    return sum(each.status == 201 for each in outcomes)


async def test_reloads_behind_nginx_lose_no_request(tmp_path, full, say):
    reloads, rate = (10, 250) if full else (2, 150)
    root = make(tmp_path / "project", drain_delay_s=1 if full else 0.2)
    with starting(root, workers=2) as server, nginx(tmp_path / "nginx", server.port) as port:
        seconds = 4.0 * reloads if full else 1.8 * reloads
        load = asyncio.create_task(offer(port, rate, seconds, mix))
        for _ in range(reloads):
            await asyncio.sleep(seconds / reloads / 4)
            before, done = server.workers(), server.log.count("reloaded:")
            server.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(until, lambda done=done: server.log.count("reloaded:") > done, "the reload")
            await asyncio.to_thread(until, lambda before=before: not server.workers() & before, "the old workers' end")
        outcomes = await load
        writes = judge(outcomes)
        assert (await ask(port, request("/api/notes"))).json == {"count": writes}
    again = sent_again(tmp_path)
    say(
        f"{reloads} reloads behind nginx: 0 of {len(outcomes):,} failed, {writes} writes, {again} sent again. "
        f"{summary(outcomes)}"
    )
    assert not full or again < len(outcomes) // 100


async def test_a_rolling_restart_behind_nginx_loses_no_request(tmp_path, full, say):
    rounds, rate = (5, 250) if full else (1, 150)
    make(tmp_path / "a", drain_delay_s=1 if full else 0.3)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    ports = {name: free_port() for name in "ab"}
    restarts = 0
    with contextlib.ExitStack() as stack:
        servers: dict[str, Started] = {
            name: stack.enter_context(starting(tmp_path / name, workers=2, port=port)) for name, port in ports.items()
        }
        with nginx(tmp_path / "nginx", *ports.values()) as port:
            stop = asyncio.Event()

            async def load() -> list:
                outcomes = []
                while not stop.is_set():
                    outcomes += await offer(port, rate, 1.0, mix)
                return outcomes

            loading = asyncio.create_task(load())
            for _ in range(rounds):
                for name in "ab":
                    await asyncio.sleep(0.3)
                    assert await asyncio.to_thread(servers[name].stop) == 0
                    await asyncio.sleep(0.1)
                    servers[name] = await asyncio.to_thread(
                        lambda name=name: stack.enter_context(starting(tmp_path / name, workers=2, port=ports[name]))
                    )
                    restarts += 1
            stop.set()
            outcomes = await loading
            writes = judge(outcomes)
        counts = [(await ask(ports[name], request("/api/notes"))).json["count"] for name in "ab"]
        assert sum(counts) == writes
    again = sent_again(tmp_path)
    say(
        f"{restarts} restarts behind nginx: 0 of {len(outcomes):,} failed, {writes} writes, {again} sent again. "
        f"{summary(outcomes)}"
    )
    assert not full or again < len(outcomes) // 100
