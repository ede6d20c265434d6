"""One serving process without a supervisor."""

from __future__ import annotations

import signal
import socket
import sys
import time

import pytest

from turnout.config import ServerConfig
from turnout.server.worker import connection_cap

from .processes import serving, starting, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def test_one_process_serves_and_drains_without_a_supervisor(tmp_path):
    with serving(tmp_path, workers=0) as server:
        waiting = server.get_later("/wait")

        server.signal(signal.SIGTERM)
        until((tmp_path / "draining").exists, "drain")
        (tmp_path / "gate").touch()

        assert waiting.answer() == server.process.pid
        assert server.exit_status() == 0
        assert list(tmp_path.glob("shutdown-*"))


def test_new_connections_are_answered_during_the_drain_delay_and_told_to_close(tmp_path):
    with serving(tmp_path, workers=0, settings={"drain_delay_s": 30}) as server:
        server.signal(signal.SIGTERM)
        until((tmp_path / "draining").exists, "drain")

        connection = server.connect()
        connection.request("GET", "/")
        response = connection.getresponse()
        assert (response.status, response.headers["connection"]) == (200, "close")
        response.read()
        connection.close()

        server.signal(signal.SIGINT)  # skips the rest of the delay
        assert server.exit_status() == 0


def test_an_idle_connection_does_not_hold_up_the_drain(tmp_path):
    with serving(tmp_path, workers=0) as server:
        connection = server.connect()
        connection.request("GET", "/")
        connection.getresponse().read()

        server.signal(signal.SIGTERM)

        assert server.exit_status() == 0
        connection.close()


def test_a_handler_that_outlasts_the_drain_is_cancelled(tmp_path):
    with serving(tmp_path, workers=0, settings={"drain_s": 0.1}) as server:
        waiting = server.get_later("/forever")

        server.signal(signal.SIGTERM)

        assert server.exit_status() == 0
        assert (tmp_path / "cancelled").exists()
        assert isinstance(waiting.answer(), Exception)
        assert "cut 1 connections" in server.stderr


def test_a_second_sigint_waits_for_nobody(tmp_path):
    with serving(tmp_path, workers=0, settings={"drain_s": 60}) as server:
        server.get_later("/forever")
        server.signal(signal.SIGINT)
        until((tmp_path / "draining").exists, "drain")

        server.signal(signal.SIGINT)

        assert server.exit_status() == 0
        assert (tmp_path / "cancelled").exists()


def test_sigterm_ends_a_startup_that_does_not_end_by_itself(tmp_path):
    (tmp_path / "slow").touch()
    with starting(tmp_path, workers=0) as server:
        until(server.started, "the startup's beginning")
        server.signal(signal.SIGTERM)

        assert server.exit_status() == 0


def test_a_project_that_does_not_load_exits_3_with_the_message(tmp_path):
    (tmp_path / "broken").touch()
    with starting(tmp_path, workers=0) as server:
        assert server.exit_status() == 3
        assert server.stderr.startswith("turnout: app/api/route.py:3: GET is not a function\n  cure: ")


def test_a_full_worker_closes_its_oldest_idle_connection_for_a_new_one(tmp_path):
    with serving(tmp_path, workers=0, settings={"max_connections": 2}) as server:
        idle = [server.connect() for _ in range(2)]
        for connection in idle:
            connection.request("GET", "/")
            connection.getresponse().read()
            time.sleep(1.1)  # idleness is known to the second

        assert server.get() == server.process.pid

        oldest, newer = idle
        assert oldest.sock.recv(1) == b""
        newer.request("GET", "/")
        assert newer.getresponse().status == 200
        for connection in idle:
            connection.close()


def test_a_full_worker_with_nothing_idle_lets_new_connections_wait(tmp_path):
    with serving(tmp_path, workers=0, settings={"max_connections": 2}) as server:
        waiting = [server.get_later("/wait"), server.get_later("/wait")]
        third = server.connect()
        third.request("GET", "/")
        third.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            third.sock.recv(1, socket.MSG_PEEK)
        third.sock.settimeout(90)

        (tmp_path / "gate").touch()

        assert [later.answer() for later in waiting] == [server.process.pid] * 2
        assert third.getresponse().status == 200
        third.close()


def test_a_burst_within_the_cap_costs_no_idle_connection(tmp_path):
    with serving(tmp_path, workers=0, settings={"max_connections": 300}) as server:
        server.signal(signal.SIGSTOP)
        burst = [server.connect() for _ in range(295)]
        for connection in burst:
            connection.connect()
        server.signal(signal.SIGCONT)
        for connection in burst:
            connection.request("GET", "/")
            assert connection.getresponse().read()
        for connection in burst:
            assert connection.sock is not None  # kept open by the answer
            connection.request("GET", "/")
            assert connection.getresponse().read()
            connection.close()


def test_the_cap_on_connections_leaves_files_for_the_app():
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    assert connection_cap(ServerConfig(max_connections=10**9)) == (10**9 if files == -1 else files * 4 // 5)
    assert connection_cap(ServerConfig(max_connections=5)) == 5


def test_the_access_log_names_method_and_status_and_not_the_path(tmp_path):
    with serving(tmp_path, workers=0, settings={"access_log": True}) as server:
        server.get("/reset/secret-in-the-path")

        until(lambda: "GET - 200" in server.stderr, "a line")
        assert "secret-in-the-path" not in server.stderr


def test_an_error_while_shutting_down_is_logged_and_the_drain_still_ends(tmp_path):
    with serving(tmp_path, workers=0, shutdown="raise") as server:
        server.signal(signal.SIGTERM)

        assert server.exit_status() == 0
        assert "RuntimeError: no more" in server.stderr


def test_work_after_the_last_response_is_given_up_when_it_does_not_end(tmp_path):
    with serving(tmp_path, workers=0, settings={"drain_s": 0}, shutdown="never") as server:
        server.signal(signal.SIGTERM)

        assert server.exit_status() == 0
        assert "did not end in time" in server.stderr
