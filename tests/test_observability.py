"""What is seen of a running app: metrics, traces, and handlers that hold the event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest
from projects import client_of, make_project

from turnout import ConfigError
from turnout.project import load_project
from turnout.stalls import Stalls

ON = '[tool.turnout]\nallowed_hosts = ["localhost", "127.0.0.1"]\nmetrics = true\n'
FILES = {
    "pyproject.toml": ON,
    "app/posts/[id]/route.py": "async def GET(request, id: int): return {'id': id}",
    "app/fails/route.py": "async def GET(request): return 1 / 0",
    "app/waits/route.py": """
        import asyncio
        async def GET(request):
            await asyncio.sleep(0.8)
            return "waited"
    """,
    "app/sleeps/route.py": """
        import asyncio, time
        async def GET(request):
            await asyncio.sleep(0)
            time.sleep(0.12)
            return "slept"
    """,
}


def figure(text: str, name: str, **labels: str) -> float:
    """The value of the sample *name* whose labels include *labels*; 0 if there is none."""
    total = 0.0
    for line in text.splitlines():
        if re.match(rf"{name}(\{{|\s)", line) and all(f'{key}="{value}"' in line for key, value in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total


COUNT = "http_server_request_duration_seconds_count"


async def test_requests_are_counted_by_pattern_method_and_status(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        before = (await client.get("/_turnout/metrics")).text
        for path in ("/posts/1", "/posts/2", "/posts/x", "/nowhere/at/all", "/fails"):
            await client.get(path)
        await client.request("BREW", "/posts/1")
        answer = await client.get("/_turnout/metrics")
    after = answer.text

    def more(**labels: str) -> float:
        return figure(after, COUNT, **labels) - figure(before, COUNT, **labels)

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert more(http_route="/posts/[id]", http_response_status_code="200", http_request_method="GET") == 2
    assert more(http_route="/posts/[id]", http_response_status_code="404") == 1
    assert more(http_route="", http_response_status_code="404") == 1
    assert more(http_route="/fails", http_response_status_code="500") == 1
    assert more(http_request_method="_OTHER") == 1
    assert "/posts/1" not in after
    assert "nowhere" not in after


async def test_a_request_under_way_is_active_and_a_cancelled_one_is_not(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        task = asyncio.create_task(client.get("/waits"))
        await asyncio.sleep(0.01)
        during = (await client.get("/_turnout/metrics")).text
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        after = (await client.get("/_turnout/metrics")).text
    # The scrape itself is active too.
    assert figure(during, "http_server_active_requests") == 2
    assert figure(after, "http_server_active_requests") == 1
    assert figure(after, COUNT, http_response_status_code="cancelled") >= 1


async def test_a_held_loop_shows_as_a_stall_and_as_lag(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        before = (await client.get("/_turnout/metrics")).text
        give_up = time.monotonic() + 90
        while True:
            await client.get("/sleeps")
            after = (await client.get("/_turnout/metrics")).text
            late = [figure(text, "turnout_event_loop_lag_seconds_sum") for text in (before, after)]
            if late[1] - late[0] > 0.02:  # a look at the clock was due while the handler slept
                break
            assert time.monotonic() < give_up
        assert figure(after, "turnout_stalls_total", http_route="/sleeps") >= 1


async def test_production_asks_for_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path, FILES)
    monkeypatch.delenv("METRICS_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="METRICS_TOKEN"):
        load_project(tmp_path, mode="production")
    monkeypatch.setenv("METRICS_TOKEN", "correct-horse-battery")
    from turnout.testing import Client

    async with Client(load_project(tmp_path, mode="production").app) as client:
        tokens = [None, "Bearer wrong-horse-battery", "Basic correct-horse-battery", "Bearer correct-horse-battery"]
        answers = [
            await client.get("/_turnout/metrics", headers={"authorization": token} if token else {}) for token in tokens
        ]
    assert [answer.status for answer in answers] == [401, 401, 401, 200]
    assert answers[0].headers["www-authenticate"] == "Bearer"


async def test_nothing_is_served_where_metrics_are_off(tmp_path: Path) -> None:
    async with client_of(tmp_path, {**FILES, "pyproject.toml": ON.replace("true", "false")}) as client:
        assert (await client.get("/_turnout/metrics")).status == 404


async def test_a_handler_that_holds_the_loop_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = client_of(tmp_path, {**FILES, "pyproject.toml": ON.replace("true", "false")})
    async with client:
        client.app.watch(Stalls())  # type: ignore[attr-defined]
        with caplog.at_level(logging.WARNING, "turnout.stalls"):
            for path in ("/sleeps", "/waits", "/sleeps", "/posts/1"):
                assert (await client.get(path)).status == 200
    said = [record for record in caplog.records if record.name == "turnout.stalls" and "/sleeps" in record.getMessage()]
    assert len(said) == 1
    assert re.match(r"GET /sleeps held the event loop for \d{3,} ms", said[0].getMessage())
    assert said[0].__dict__["route"] == "/sleeps"


async def test_what_is_watched_is_cancelled_and_fails_as_it_would_alone(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        client.app.watch(Stalls())  # type: ignore[attr-defined]
        assert (await client.get("/fails")).status == 500
        task = asyncio.create_task(client.get("/waits"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.get("/waits")).text == '"waited"'


def ask(url: str, token: str) -> str:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=90) as answer:
        return str(answer.read().decode())


def test_the_workers_of_a_server_add_up_also_after_one_was_killed(tmp_path: Path) -> None:
    make_project(tmp_path, FILES)
    environment = {**os.environ, "METRICS_TOKEN": "correct-horse-battery", "TMPDIR": str(tmp_path)}
    environment.pop("TURNOUT_MODE", None)
    command = [sys.executable, "-m", "turnout", "start", "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        url = found[0]

        def counted() -> float:
            text = ask(f"{url}/_turnout/metrics", "correct-horse-battery")
            assert figure(text, "http_server_active_requests") == 1  # the scrape
            return figure(text, COUNT, http_route="/posts/[id]")

        for number in range(40):  # each on a connection of its own, so that both workers get some
            urllib.request.urlopen(f"{url}/posts/{number}", timeout=90).close()
        assert {counted() for _ in range(10)} == {40}
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        give_up = time.monotonic() + 90
        while len(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()) < 2:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        urllib.request.urlopen(f"{url}/posts/1", timeout=90).close()
        assert counted() == 41
    finally:
        process.terminate()
        process.wait(90)
        process.stdout.close()  # type: ignore[union-attr]
    assert not list(tmp_path.glob("turnout-metrics-*"))


async def test_a_file_that_cannot_be_read_is_left_out_and_the_others_are_added_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    code = "from prometheus_client import Counter; [Counter(f'made_{n}', 'Made.').inc(2) for n in range(100)]"
    for _ in range(2):  # as two workers would
        subprocess.run([sys.executable, "-c", code], check=True, timeout=180)
    whole = next(folder.glob("counter_*.db")).read_bytes()
    # Of a worker that has just opened its file, or was killed there; of a full disk; of nobody.
    broken = {"1": b"", "2": whole[:5_000], "3": whole[:3], "4": whole[:8] + b"\xff" * 65_528}
    for pid, data in broken.items():
        for kind in ("counter", "histogram", "gauge_livesum"):
            (folder / f"{kind}_{pid}.db").write_bytes(data)
    async with client_of(tmp_path / "project", FILES) as client:
        answer = await client.get("/_turnout/metrics")
    assert (answer.status, figure(answer.text, "made_7_total"), figure(answer.text, "made_99_total")) == (200, 4, 4)
    said = {record.args[0] for record in caplog.records if record.name == "turnout.metrics"}  # type: ignore[index]
    assert {"counter_2.db", "histogram_3.db", "counter_4.db"} <= said
    assert "counter_1.db" not in said


TRACED = """
    import sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()

    async def register():
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
"""
INSIDE = """
    from opentelemetry import trace
    async def GET(request):
        with trace.get_tracer("mine").start_as_current_span("inside"):
            raise ValueError("password=hunter2hunter2")
"""
LOOK = """
    import asyncio, json, sys
    from pathlib import Path
    from turnout.testing import Client
    from turnout.routing.module import load_module

    async def main():
        root = Path(sys.argv[1])
        async with Client(root=root) as client:
            parent = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
            await client.get("/posts/7?token=abc", headers=parent)
            await client.get("/inside")
            await client.get("/nowhere")
            await client.request("BREW", "/posts/7")
            exporter = load_module(root / "app/instrumentation.py", root).exporter
        print(json.dumps([json.loads(span.to_json()) for span in exporter.get_finished_spans()]))

    asyncio.run(main())
"""


def test_each_request_is_a_span_where_a_provider_is_set(tmp_path: Path) -> None:
    import json

    make_project(tmp_path, {**FILES, "app/instrumentation.py": TRACED, "app/inside/route.py": INSIDE})
    # In a process of its own: a tracer provider is set once and for good.
    code = textwrap.dedent(LOOK)
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr
    post, inside, outer, missing, odd = json.loads(done.stdout)
    assert post["name"] == "GET /posts/[id]"
    assert post["kind"] == "SpanKind.SERVER"
    assert post["context"]["trace_id"] == "0x0af7651916cd43dd8448eb211c80319c"
    assert post["parent_id"] == "0xb7ad6b7169203331"
    assert post["attributes"]["http.route"] == "/posts/[id]"
    assert post["attributes"]["http.response.status_code"] == 200
    assert post["status"]["status_code"] == "UNSET"
    assert "abc" not in json.dumps(post)
    assert inside["parent_id"] == outer["context"]["span_id"]
    assert (outer["name"], outer["status"]["status_code"]) == ("GET /inside", "ERROR")
    [event] = [each for each in outer["events"] if each["name"] == "exception"]
    assert event["attributes"]["exception.type"] == "ValueError"
    assert "hunter2" not in json.dumps(outer)
    assert missing["name"] == "GET"
    assert "http.route" not in missing["attributes"]
    # A client may send any method, and a name of its own for each would be without end.
    assert odd["name"].startswith("HTTP")
    assert "BREW" not in json.dumps(odd)


RELOAD = """
    import sys
    from pathlib import Path
    from turnout.cli.dev import _reload
    from turnout.dev.docspage import Docs

    root, docs = Path(sys.argv[1]), Docs()
    route = root / "app/posts/route.py"
    said = []
    for text in sys.argv[2:]:
        route.write_text(text)
        try:
            _reload(root, docs)
        except Exception as exc:
            said.append(type(exc).__name__)
        else:
            from prometheus_client import REGISTRY
            said.append(sorted(each.name for each in REGISTRY.collect() if each.name.startswith("posts_")))
    print(said)
"""


def test_a_metric_of_a_route_is_there_once_after_each_reload(tmp_path: Path) -> None:
    make_project(tmp_path, {"pyproject.toml": ON, "app/posts/route.py": ""})
    made = (
        "from prometheus_client import Counter\nmade = Counter('posts_made', 'Posts.')\nasync def GET(): made.inc()\n"
    )
    texts = [made, made, f"{made}read = Counter('posts_read', 'Read.')\n1 / 0\n", made]
    # In a process of its own: the registry is the process's.
    command = [sys.executable, "-c", textwrap.dedent(RELOAD), str(tmp_path), *texts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=Path(__file__).parent)
    assert done.stdout.strip() == "[['posts_made'], ['posts_made'], 'ConfigError', ['posts_made']]", done.stderr
