"""Processes that die, hang, reload and stop, as their clients see it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import time

import pytest

from turnout.errors import ConfigError
from turnout.server.supervisor import bind, bind_unix, supervise
from turnout.server.worker import Crowd

from .processes import Load, serving, starting, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def test_a_killed_worker_is_replaced_while_the_other_answers(tmp_path):
    with serving(tmp_path, workers=2) as server, Load(server) as load:
        load.until_more()
        killed, other = server.started()

        os.kill(killed, signal.SIGKILL)

        load.until_more(by={other})
        (new,) = until(lambda: server.started() - {killed, other}, "a new worker")
        load.until_more(by={new})
        assert len(load.failures) <= load.clients  # what each client had under way at that moment


def test_sigterm_finishes_the_request_under_way_and_exits_0(tmp_path):
    with serving(tmp_path, workers=2) as server:
        waiting = server.get_later("/wait")

        server.signal(signal.SIGTERM)
        until((tmp_path / "draining").exists, "drain")
        (tmp_path / "gate").touch()

        assert waiting.answer() in server.started()
        assert server.exit_status() == 0
        assert len(list(tmp_path.glob("shutdown-*"))) == 2


def test_after_the_drain_delay_new_connections_are_refused_and_not_kept_waiting(tmp_path):
    with serving(tmp_path, workers=2) as server:
        server.get_later("/wait")
        server.signal(signal.SIGTERM)

        def refused():
            try:
                server.get()
            except ConnectionError:
                return True

        until(refused, "a refusal")
        assert server.process.poll() is None


def test_ctrl_c_reaches_every_process_of_the_terminal_and_exits_0(tmp_path):
    with serving(tmp_path, workers=2) as server:
        os.killpg(server.process.pid, signal.SIGINT)

        assert server.exit_status() == 0
        assert "Traceback" not in server.stderr


def test_a_second_sigint_kills_at_once(tmp_path):
    with serving(tmp_path, workers=2) as server:
        waiting = server.get_later("/wait")
        server.signal(signal.SIGINT)
        until((tmp_path / "draining").exists, "drain")

        server.signal(signal.SIGINT)

        assert server.exit_status() == 130
        assert isinstance(waiting.answer(), Exception)


@pytest.mark.slow
def test_a_worker_that_does_not_stop_in_time_is_killed_and_the_exit_status_says_so(tmp_path):
    with serving(tmp_path, workers=1, settings={"drain_s": 0, "drain_delay_s": 0}, shutdown="stuck") as server:
        server.signal(signal.SIGTERM)

        assert server.exit_status() == 1
        assert "did not stop in time" in server.stderr


def test_sighup_replaces_the_workers_and_no_request_fails(tmp_path):
    with serving(tmp_path, workers=2) as server, Load(server) as load:
        load.until_more()
        old = server.started()

        server.signal(signal.SIGHUP)

        until(lambda: server.alive() and not server.alive() & old, "new workers only")
        load.until_more(by=server.alive())
        assert load.failures == []
        assert len(server.alive()) == 2


def test_closing_the_terminal_stops_the_server_although_sighup_means_reload(tmp_path):
    terminal, inside = os.openpty()
    with serving(tmp_path, workers=2, terminal=os.ttyname(inside)) as server:
        old = server.started()
        server.signal(signal.SIGHUP)
        until(lambda: server.alive() and not server.alive() & old, "new workers only")

        os.close(inside)
        os.close(terminal)

        assert server.exit_status() == 0


def test_a_reload_that_fails_keeps_the_old_workers_and_a_later_one_works(tmp_path):
    with serving(tmp_path, workers=2) as server, Load(server) as load:
        old = server.started()
        (tmp_path / "broken").touch()
        server.signal(signal.SIGHUP)
        until(lambda: "reload failed" in server.stderr, "the failure")

        load.until_more()
        assert server.stderr.count("GET is not a function") == 1
        assert server.alive() == old

        (tmp_path / "broken").unlink()
        server.signal(signal.SIGHUP)
        until(lambda: server.alive() and not server.alive() & old, "new workers only")
        load.until_more(by=server.alive())
        assert load.failures == []


def test_a_project_that_does_not_load_is_named_once_and_exits_3(tmp_path):
    (tmp_path / "broken").touch()
    with starting(tmp_path, workers=4) as server:
        assert server.exit_status() == 3
        assert server.stderr == ("turnout: app/api/route.py:3: GET is not a function\n  cure: write `async def GET`\n")


@pytest.mark.slow
def test_a_project_broken_under_a_running_server_does_not_take_down_the_workers_left(tmp_path):
    with serving(tmp_path, workers=2) as server, Load(server) as load:
        killed, other = server.started()
        (tmp_path / "broken").touch()
        os.kill(killed, signal.SIGKILL)
        until(lambda: "the others keep serving" in server.stderr, "a replacement that fails")
        load.until_more(by={other})

        (tmp_path / "broken").unlink()
        (new,) = until(lambda: server.started() - {killed, other}, "a replacement")
        load.until_more(by={new})
        assert len(load.failures) <= load.clients


def test_an_unexpected_error_while_loading_shows_its_traceback_once_and_exits_3(tmp_path):
    (tmp_path / "raising").touch()
    with starting(tmp_path, workers=4) as server:
        assert server.exit_status() == 3
        assert server.stderr.count("RuntimeError: who raised this?") == 1


def test_five_deaths_in_a_row_end_the_server_with_3(tmp_path):
    with serving(tmp_path, workers=4) as server:
        for _ in range(5):
            pid = until(lambda: min(server.alive(), default=None), "a worker")
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: pid not in server.alive(), "its end")

        assert server.exit_status() == 3
        assert "5 workers died" in server.stderr
        assert server.alive() == set()


def test_a_worker_drained_by_hand_is_replaced_and_is_no_death(tmp_path):
    with serving(tmp_path, workers=1) as server:
        for count in range(2, 9):
            os.kill(max(server.alive()), signal.SIGTERM)
            until(lambda count=count: len(server.started()) == count, "a new worker")
            until(lambda: len(server.alive()) == 1, "the old one's end")
            server.get()

        server.signal(signal.SIGTERM)
        assert server.exit_status() == 0


def test_a_worker_that_is_not_healthy_serves_until_another_is_ready(tmp_path):
    with serving(tmp_path, workers=1) as server, Load(server) as load:
        load.until_more()
        (old,) = server.alive()
        (tmp_path / f"unwell-{old}").touch()
        until(lambda: old not in server.alive(), "the end of the unhealthy worker")
        load.until_more(by=server.alive())

    assert load.failures == []
    assert "is being replaced" in server.stderr and "died" not in server.stderr


def test_workers_go_when_their_supervisor_is_killed(tmp_path):
    with serving(tmp_path, workers=2) as server:
        waiting = server.get_later("/wait")

        server.signal(signal.SIGKILL)
        server.process.wait()
        (tmp_path / "gate").touch()

        assert waiting.answer() in server.started()  # drained, not dropped
        until(lambda: not server.alive(), "the workers' end")


def test_a_hung_worker_is_killed_with_its_stack_in_the_log_and_replaced(tmp_path):
    with serving(tmp_path, workers=1, settings={"silence_s": 1}) as server:
        (hung,) = server.started()
        request = server.connect()
        request.request("GET", "/hang")

        (new,) = until(lambda: server.started() - {hung}, "a new worker")
        assert server.get() == new
        assert "serve.py" in server.stderr and "in fetch" in server.stderr
        request.close()


def test_an_app_that_never_finishes_loading_exits_3_with_the_stack(tmp_path):
    (tmp_path / "endless").touch()
    with starting(tmp_path, workers=2, settings={"silence_s": 0.3}) as server:
        assert server.exit_status() == 3
        assert "in load" in server.stderr


def test_a_supervisor_that_was_itself_stopped_blames_no_worker(tmp_path):
    with serving(tmp_path, workers=2, settings={"silence_s": 3}) as server:
        before = server.alive()
        os.killpg(server.process.pid, signal.SIGSTOP)
        time.sleep(4)  # longer than the silence that would be blamed
        os.killpg(server.process.pid, signal.SIGCONT)

        with Load(server) as load:
            load.until_more()
        assert server.alive() == before


def test_connections_spread_over_the_workers(tmp_path):
    with serving(tmp_path, workers=2) as server:
        answers: list[bytes] = []
        # A busy machine may give many to whichever worker it runs first.
        while len(set(answers)) < 2 or min(map(answers.count, set(answers))) < 8:
            assert len(answers) < 2_000, {pid: answers.count(pid) for pid in set(answers)}
            connections = [server.connect() for _ in range(40)]
            for connection in connections:
                connection.connect()
                time.sleep(0.005)
            for connection in connections:
                connection.request("GET", "/")
                answers.append(connection.getresponse().read())
                connection.close()


def test_systemd_hears_that_the_service_is_ready_alive_and_stopping(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(90)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with serving(tmp_path, workers=1) as server:
            heard = {manager.recv(100), manager.recv(100)}
            assert heard == {b"READY=1", b"WATCHDOG=1"}
            assert manager.recv(100) == b"WATCHDOG=1"
            server.signal(signal.SIGTERM)
            until(lambda: manager.recv(100) == b"STOPPING=1", "stopping")
            assert server.exit_status() == 0


def test_a_unix_socket_is_served_with_its_permissions_and_a_stale_file_replaced(tmp_path):
    path = tmp_path / "s"
    for _ in range(2):
        with serving(tmp_path, workers=2, unix=str(path)) as server:
            assert server.get() in server.started()
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            with pytest.raises(ConfigError, match="another server answers"):
                bind_unix(path)


def test_a_unix_socket_stays_when_old_workers_go(tmp_path):
    with serving(tmp_path, workers=1, unix=str(tmp_path / "s")) as server:
        (old,) = server.started()
        server.signal(signal.SIGHUP)
        until(lambda: server.alive() and old not in server.alive(), "new workers only")

        assert server.get() != old


def test_asyncios_own_loop_serves_and_reloads_where_uvloop_is_missing(tmp_path):
    with serving(tmp_path, workers=2, unix=str(tmp_path / "s"), uvloop=False) as server, Load(server) as load:
        load.until_more()
        old = server.started()
        server.signal(signal.SIGHUP)
        until(lambda: server.alive() and not server.alive() & old, "new workers only")
        load.until_more(by=server.alive())

        assert load.failures == []
        server.signal(signal.SIGTERM)
        assert server.exit_status() == 0


def test_a_file_in_the_place_of_a_unix_socket_is_kept(tmp_path):
    (tmp_path / "s").write_text("precious")

    with pytest.raises(ConfigError, match="not a socket"):
        bind_unix(tmp_path / "s")

    assert (tmp_path / "s").read_text() == "precious"


def test_a_unix_socket_path_that_is_too_long_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot listen on .*too long"):
        bind_unix(tmp_path / ("s" * 200))


def test_a_port_in_use_is_named_with_the_cure():
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 is in use") as caught:
            bind("127.0.0.1", port)
        assert "--port" in str(caught.value)


def test_a_listening_port_is_never_shared():
    with bind("127.0.0.1", 0) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 65536), ("no.such.host.invalid", 8000), ("192.0.2.1", 8000)])
def test_an_address_that_cannot_be_opened_is_a_config_error(host, port):
    with pytest.raises(ConfigError):
        bind(host, port)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_two_colons_listen_on_ipv4_too():
    with bind("::", 0) as sock, socket.create_connection(("127.0.0.1", sock.getsockname()[1])):
        pass


def test_no_workers_is_a_config_error():
    with pytest.raises(ConfigError, match="workers = 0"):
        supervise([], lambda: None, None, workers=0)


def test_a_crowd_counts_only_workers_that_accept():
    crowd = Crowd(2)
    assert crowd.fewest() == 0
    first, second = crowd.take(), crowd.take()
    assert crowd.take() is None

    crowd.place = first
    crowd.write(7)
    assert crowd.fewest() == 7
    crowd.place = second
    crowd.write(3)
    assert crowd.fewest() == 3
    crowd.write(-2)
    assert crowd.fewest() == 7
    crowd.give_back(second)
    assert crowd.take() == second
