"""The benchmark harness's own arithmetic, and its refusal to time a wrong answer. No server for long, no load."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks/ is not part of the installed package

from benchmarks import contenders, load, processes, report, start, workloads
from benchmarks.load import Round
from benchmarks.workloads import HELLO, Answer, Call, WrongAnswer, check_answer

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


def test_the_right_answer_passes_whatever_its_white_space() -> None:
    check_answer(Call("/api/hello"), right(), 200, HELLO)
    check_answer(Call("/api/hello"), right(b'{"message":"Hello World!"}'), 200, HELLO)


@pytest.mark.parametrize(
    "answer",
    [right(b'{"message":"hello"}'), right(b"Hello World!"), right(status=201), right(content_type="text/plain")],
    ids=["body", "not JSON", "status", "type"],
)
def test_a_wrong_answer_is_not_timed(answer: Answer) -> None:
    with pytest.raises(WrongAnswer, match="GET /api/hello gave"):
        check_answer(Call("/api/hello"), answer, 200, HELLO)


def test_one_answer_for_two_parameters_is_caught() -> None:
    workload = workloads.WORKLOADS["W2"]
    (_, _, first), *others = workload.expected
    assert others and all(data != first for _, _, data in others)


def test_the_script_for_wrk_sends_the_call_that_is_checked() -> None:
    lua = workloads.WORKLOADS["W3"].call.to_lua()
    assert lua.splitlines()[:2] == ['wrk.method = "POST"', 'wrk.headers["Content-Type"] = "application/json"']
    assert r'wrk.body = "{\"name\":\"Lamp\"' in lua


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
    def rounds(*rates: float) -> list[Round]:
        return [Round(rate, 1.0, 10.0, 1.0) for rate in rates]

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
    with pytest.raises(processes.BenchmarkError, match="no contender named nginx; there are: turnout, raw"):
        contenders.pick("raw,nginx")


@pytest.mark.skipif(not can_pin(), reason="needs Linux, taskset and two cores")
def test_a_server_is_ended_with_its_children(tmp_path: Path) -> None:
    port = processes.free_port()
    command = ["sh", "-c", f"{sys.executable} -m http.server --bind 127.0.0.1 {port} & wait"]
    with processes.serving("web", command, port=port, log=tmp_path / "log", cwd=tmp_path) as server:
        assert server.wait(Call("/"), timeout_s=20).status == 200
        assert server.cpu_s() > 0  # of the child: the shell itself only waits
    with pytest.raises(ConnectionRefusedError):
        workloads.fetch(port, Call("/"))
