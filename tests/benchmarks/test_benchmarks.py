"""The benchmark harness's own arithmetic, and its refusal to time a wrong answer. No server for long, no load."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks/ is not part of the installed package

from benchmarks import contenders, load, processes, report, running, start, stores, workloads
from benchmarks.load import Round
from benchmarks.workloads import HELLO, Answer, Call, Expect, WrongAnswer, check_answer

WRK = """\
Running 2s test @ http://127.0.0.1:8000/api/hello
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   850.12us  120.00us   9.10ms   90.00%
  Latency Distribution
     50%  820.00us
     99%    1.25ms
  120000 requests in 2.00s, 16.10MB read
Requests/sec:  60000.50
"""


def can_pin() -> bool:
    return sys.platform == "linux" and shutil.which("taskset") is not None and len(os.sched_getaffinity(0)) > 1


def right(
    body: bytes = b'{"message": "Hello World!"}', status: int = 200, content_type: str = "application/json"
) -> Answer:
    return Answer(status, content_type, body)


def hello() -> Expect:
    return Expect(Call("/api/hello"), 200, HELLO)


def test_the_right_answer_passes_whatever_its_white_space() -> None:
    check_answer(hello(), right())
    check_answer(hello(), right(b'{"message":"Hello World!"}'))


@pytest.mark.parametrize(
    "answer",
    [right(b'{"message":"hello"}'), right(b"Hello World!"), right(status=201), right(content_type="text/plain")],
    ids=["body", "not JSON", "status", "type"],
)
def test_a_wrong_answer_is_not_timed(answer: Answer) -> None:
    with pytest.raises(WrongAnswer, match="GET /api/hello gave"):
        check_answer(hello(), answer)


def test_a_field_whose_value_nobody_knows_is_passed_over() -> None:
    expect = Expect(Call("/api/posts"), 200, [{"title": "One"}], ("id",))
    check_answer(expect, right(b'[{"id":3,"title":"One"}]'))
    with pytest.raises(WrongAnswer):
        check_answer(expect, right(b'[{"id":3,"title":"Two"}]'))


def test_one_answer_for_two_parameters_is_caught() -> None:
    first, *others = workloads.WORKLOADS["W2"].expected
    assert others and all(each.data != first.data for each in others)


class Shelf(BaseHTTPRequestHandler):
    """Answers W4 from a file of rows, read anew, or once and for ever."""

    forget = True
    kept: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        with closing(sqlite3.connect(self.kept["file"].decode())) as connection:
            rows = connection.execute("select id, title, views, body from articles order by id limit 10").fetchall()
        fresh = json.dumps([dict(zip(("id", "title", "views", "body"), row, strict=True)) for row in rows]).encode()
        body = fresh if self.forget else self.kept.setdefault("answer", fresh)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def shelf(file: Path, forget: bool) -> Iterator[int]:
    kept = {"file": str(file).encode()}
    server = HTTPServer(("127.0.0.1", 0), type("OneShelf", (Shelf,), {"forget": forget, "kept": kept}))
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_contender_that_keeps_its_first_answer_is_caught(tmp_path: Path) -> None:
    file = stores.make_sqlite(tmp_path / "rows.db", (), tmp_path)
    with shelf(file, forget=True) as port:
        workloads.check(port, workloads.WORKLOADS["W4"], stores.Stores(file))
    with shelf(file, forget=False) as port, pytest.raises(WrongAnswer, match="after a row changed"):
        workloads.check(port, workloads.WORKLOADS["W4"], stores.Stores(file))


def test_the_script_for_wrk_sends_the_call_that_is_checked() -> None:
    lua = workloads.WORKLOADS["W3"].to_lua()
    assert lua.splitlines()[:2] == ['wrk.method = "POST"', 'wrk.headers["Content-Type"] = "application/json"']
    assert r'wrk.body = "{\"name\":\"Lamp\"' in lua


@pytest.mark.parametrize("name", ["W1v", "W3v", "W5", "W9"])
def test_a_workload_that_varies_sends_all_its_calls_in_turn(name: str) -> None:
    workload = workloads.WORKLOADS[name]
    lua = workload.to_lua()
    assert lua.count("wrk.format(") == len(workload.variants) >= 200
    assert "n = n % #calls + 1" in lua


def test_no_two_neighbours_are_alike_where_one_thing_should_differ() -> None:
    headers = [call.headers["X-Request-Id"] for call in workloads.WORKLOADS["W1v"].variants]
    assert len(set(headers)) == len(headers)
    lengths = [len(call.body) for call in workloads.WORKLOADS["W3v"].variants]
    assert sum(a == b for a, b in itertools.pairwise(lengths)) < len(lengths) / 20


def test_a_browser_sends_14_fields() -> None:
    assert len({"Host", *workloads.BROWSER}) == 14


def test_the_output_of_wrk_is_read_with_its_units() -> None:
    assert load.parse_wrk(WRK, "x") == (120000, 60000.5, 1.25)
    assert load.parse_wrk(WRK.replace("1.25ms", "980.00us"), "x")[2] == pytest.approx(0.98)


@pytest.mark.parametrize(
    "line", ["Non-2xx or 3xx responses: 3", "Socket errors: connect 0, read 2, write 0, timeout 0"]
)
def test_a_round_with_errors_does_not_count(line: str) -> None:
    with pytest.raises(processes.BenchmarkError, match=line.split(":")[0]):
        load.parse_wrk(f"{WRK}  {line}\n", "x")


def test_the_ratio_compares_rounds_taken_side_by_side() -> None:
    ours, theirs = rounds(100, 50, 80), rounds(50, 25, 60)
    assert report.ratio(theirs, ours) == 0.5

    head, row, _ = report.to_table({"theirs": theirs, "turnout": ours}, "turnout")
    assert row == ["theirs", "50", "25", "60", "10.0", "1.00", "100%", "0.50"]
    assert len(head) == len(row)


def test_third_party_packages_are_told_from_the_standard_library() -> None:
    own = start.parse_importtime("import time:       120 |        900 |   msgspec._core\nimport time: 7 | 7 | json\n")
    assert own == {"msgspec._core": 120, "json": 7}
    assert start.third_party({"msgspec", "json", "turnout"}) == ["msgspec"]


def test_an_unknown_contender_is_named_with_those_that_exist() -> None:
    with pytest.raises(processes.BenchmarkError, match=r"no contender named nginx; there are: turnout, .*raw"):
        contenders.pick("raw,nginx")


@pytest.mark.skipif(not can_pin(), reason="needs Linux, taskset and two cores")
def test_a_server_is_ended_with_its_children(tmp_path: Path) -> None:
    port = processes.free_port()
    command = ["sh", "-c", f"{sys.executable} -m http.server --bind 127.0.0.1 {port} & wait"]
    with processes.serving("web", command, port=port, log=tmp_path / "log", cwd=tmp_path) as server:
        assert server.wait(Call("/"), timeout_s=90).status == 200
        assert server.cpu_s() > 0  # of the child: the shell itself only waits
    with pytest.raises(ConnectionError):
        workloads.fetch(port, Call("/"))


def test_every_contender_takes_part_in_workloads_that_exist_with_pinned_versions() -> None:
    for contender in contenders.CONTENDERS.values():
        assert set(contender.workloads) <= set(workloads.WORKLOADS), contender.name
    for file in (Path(contenders.__file__).parent / "peers" / "python" / "requirements").iterdir():
        assert all("==" in line for line in file.read_text().splitlines()), file.name
    for file in (Path(contenders.__file__).parent / "peers" / "node").glob("*/package.json"):
        assert all(version[0].isdigit() for version in json.loads(file.read_text())["dependencies"].values())


@pytest.mark.skipif(not can_pin(), reason="needs Linux, taskset and two cores")
def test_a_contender_that_does_not_start_is_told_of_and_stops_no_other(tmp_path: Path) -> None:
    web = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
    well = contenders.Setup(lambda port: [*web, str(port)], tmp_path, "")
    sick = contenders.Setup(lambda port: [sys.executable, "-c", "raise SystemExit('no such port')"], tmp_path, "")
    trouble = running.Trouble()
    with ExitStack() as stack:
        started = running.start(stack, {"sick": sick, "well": well}, None, trouble)
        assert [server.name for server in started] == ["well"]
    assert [row[:2] for row in trouble.rows[1:]] == [["sick", "all"]]
    assert "no such port" in trouble.rows[1][2]


def rounds(*rates: float) -> list[Round]:
    return [Round(rate, 1.0, 10.0, 1.0) for rate in rates]


def test_the_table_for_a_readme_is_the_last_summary_with_its_date_and_command(tmp_path: Path) -> None:
    compared = {"W1": {"turnout": rounds(100), "raw": rounds(200)}, "W2": {"turnout": rounds(50)}}
    rows = report.summary(compared, "turnout")
    assert rows == [["contender", "W1", "W2"], ["raw", "200 (2.00)", "–"], ["turnout", "100 (1.00)", "50 (1.00)"]]

    facts = {"Command": "`python -m benchmarks`", "Rounds": "5 of 2 s"}
    page = report.write_page(tmp_path, "first", facts, {report.SUMMARY: rows, "Not measured": [["x"]]})
    report.write_page(tmp_path, "later", {}, {"Memory": [["a"], ["b"]]})
    text = report.last_summary(tmp_path, {"turnout": "**Turnout**", "W1": "hello"})
    assert "| contender | hello | W2 |" in text and "| **Turnout** | 100 (1.00) | 50 (1.00) |" in text
    assert page.name[:10] in text and "`python -m benchmarks`; 5 of 2 s" in text
    with pytest.raises(FileNotFoundError):
        report.last_summary(tmp_path / "none", {})


@pytest.mark.skipif(not (can_pin() and shutil.which("wrk")), reason="needs Linux, taskset, two cores and wrk")
def test_a_contender_that_breaks_down_leaves_the_measurement(tmp_path: Path) -> None:
    left: list[str] = []
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with processes.serving("gone", command, port=processes.free_port(), log=tmp_path / "log", cwd=tmp_path) as server:
        results = load.measure(
            {server: workloads.WORKLOADS["W1"]},
            seconds=0.1,
            rounds=2,
            scripts=tmp_path,
            warm_s=0.1,
            fail=lambda server, exc: left.append(f"{server.name}: {exc}"),
        )
    assert results == {} and len(left) == 1 and left[0].startswith("gone: wrk failed")
