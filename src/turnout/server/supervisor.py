"""N workers on inherited listening sockets: start, watch, replace, reload, stop.

One parent process opens the sockets once and forks; a worker that dies loses no waiting
connection, because the queue belongs to the socket and not to the process (with SO_REUSEPORT
each process has its own, and takes it along). The supervisor imports no user code and starts
no thread and no event loop, so that nothing of the app can break it and every fork is clean.
POSIX only; elsewhere ``worker.work`` serves in the one process there is.
"""

from __future__ import annotations

import errno
import gc
import logging
import math
import os
import selectors
import signal
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from ..config import ServerConfig
from ..errors import ConfigError
from ..http.fetch import Fetch
from .worker import EXIT_CONFIG, REPLACE_ME, UNHEALTHY, Crowd, loop_factory, work

log = logging.getLogger("turnout.server")

BACKLOG = 2048
DEATHS, DEATHS_WITHIN_S = 5, 30.0
LONGEST_WAIT_S = 5.0  # between a death and the next start
KILL_MARGIN_S = 5.0  # what a worker gets beyond delay and drain
DUMP_S = 0.5  # between asking a silent worker for its stacks and killing it
HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD) if sys.platform != "win32" else ()


def bind(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """Open a listening TCP socket; port 0 takes any free one, host ``::`` means IPv4 as well.

    Raises:
        ConfigError: the port is taken or forbidden, or the host is not an address of this machine.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"port {port} does not exist", cure="choose a port from 1 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # On POSIX this sets SO_REUSEADDR, so that a restart does not wait for old connections
        # to time out, and never SO_REUSEPORT, which would let a second server share the port.
        return socket.create_server(
            (host, port), family=family, backlog=backlog, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
        )
    except OSError as exc:
        raise _cannot_bind(host, port, exc) from exc


def bind_unix(path: str | Path, mode: int = 0o660, backlog: int = BACKLOG) -> socket.socket:
    """Open a listening Unix socket at *path* with the permissions *mode*; a dead server's file is replaced.

    Raises:
        ConfigError: a server answers there, the path is something else than a socket, or it cannot be made.
    """
    path = Path(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        _remove_stale(path)
        sock.bind(str(path))
        # Before listen() nobody can connect, so there is no moment with other permissions.
        path.chmod(mode)
        sock.listen(backlog)
    except OSError as exc:
        sock.close()
        reason = exc.strerror or str(exc)
        raise ConfigError(f"cannot listen on {path}: {reason}", cure="choose another path for the socket") from exc
    except ConfigError:
        sock.close()
        raise
    return sock


def supervise(
    sockets: list[socket.socket],
    load: Callable[[], Fetch],
    settings: ServerConfig,
    *,
    workers: int,
    ready: Callable[[], None] | None = None,
) -> int:
    """Keep *workers* processes serving until a signal says otherwise; return the exit status.

    SIGTERM drains, SIGINT drains without the delay and kills when repeated, SIGHUP starts new
    workers and then drains the old ones. Call it in the main thread.

    Args:
        sockets: Bound and listening; closed when the drain begins.
        load: Makes the app; called in each worker, never here.
        settings: Times and limits.
        workers: How many, 1 or more.
        ready: Called once, when the first worker answers.

    Returns:
        0 after a clean drain, 1 when a worker had to be killed, 3 when the app does not start
        or keeps dying, 130 after a second SIGINT.
    """
    if workers < 1:
        raise ConfigError(f"workers = {workers}", cure="ask for 1 worker or more")
    supervisor = _Supervisor(sockets, load, settings, workers, ready)
    with supervisor.listening_to_signals():
        return supervisor.run()


class _Worker(Struct, eq=False):
    """A forked worker, as its supervisor sees it. Times are of time.monotonic()."""

    pid: int
    beat_fd: int
    generation: int
    place: int | None
    heard_s: float
    ready: bool = False
    told: bool = False  # to stop, so its end is no death
    leaving: bool = False  # has asked to be replaced, and serves until that is done
    dumped: bool = False
    reaped: bool = False
    kill_at_s: float = math.inf


class _Supervisor:
    """The loop over signals, heartbeats and deaths."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        load: Callable[[], Fetch],
        settings: ServerConfig,
        count: int,
        ready: Callable[[], None] | None,
    ) -> None:
        self.sockets, self.load, self.settings, self.count, self.ready = sockets, load, settings, count, ready
        self.workers: list[_Worker] = []
        self.generation = 1  # the one that serves
        self.incoming: int | None = None  # the one that is to replace it
        self.newest = 1
        self.proven: set[int] = set()  # those that have had a ready worker
        self.reload_wanted = False
        self.stopping = False
        self.status = 0
        self.interrupts = 0
        self.deaths: deque[float] = deque()
        self.wait_s = 0.0
        self.spawn_at_s = 0.0
        loop_factory()  # imported once, here: workers share its pages, and a replacement starts sooner
        self.notify = Notifier()
        self.crowd = Crowd(3 * count + 4) if count > 1 else None
        self.selector = selectors.DefaultSelector()
        # The workers hold the read end; its end of file tells them that this process is gone.
        self.alive_r, self.alive_w = os.pipe()
        self.wake_r, self.wake_w = socket.socketpair()
        for end in (self.wake_r, self.wake_w):
            end.setblocking(False)
        self.selector.register(self.wake_r, selectors.EVENT_READ)

    @contextmanager
    def listening_to_signals(self) -> Iterator[None]:
        """Signals become bytes for the selector; the handlers themselves do nothing."""
        # Asked before: under nohup SIGHUP is ignored, and then only `kill -HUP` sends it.
        self.has_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()
        before = {signum: signal.signal(signum, lambda *_: None) for signum in HEARD}
        wakeup = signal.set_wakeup_fd(self.wake_w.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for signum, handler in before.items():
                signal.signal(signum, handler)
            self.selector.close()
            for end in (self.wake_r, self.wake_w):
                end.close()
            for fd in (self.alive_r, self.alive_w):
                os.close(fd)

    def run(self) -> int:
        turn_s = min(1.0, self.settings.heartbeat_s, self.settings.silence_s / 4)
        now = time.monotonic()
        while not (self.stopping and not self.workers):
            self._fill(now)
            ready = self.selector.select(turn_s)
            late_s, now = time.monotonic() - now - turn_s, time.monotonic()
            if late_s > 4 * turn_s:
                # This process was itself stopped (Ctrl-Z, a frozen machine), most likely with
                # its workers; their silence meanwhile says nothing.
                for worker in self.workers:
                    worker.heard_s = now
            for key, _ in ready:
                if key.data is None:
                    self._signals()
                else:
                    self._hear(key.data, now)
            self._reap(now)
            self._check(now)
        return self.status

    # -- signals

    def _signals(self) -> None:
        try:
            signals = self.wake_r.recv(4096)
        except BlockingIOError:
            return
        for signum in signals:
            if signum == signal.SIGTERM:
                self._stop(signal.SIGTERM)
            elif signum == signal.SIGINT:
                self.interrupts += 1
                if self.interrupts == 1:
                    self._stop(signal.SIGINT)
                else:
                    self._kill_all()
            elif signum == signal.SIGHUP:
                if self.has_terminal and not _has_terminal():
                    self._stop(signal.SIGTERM)  # the window was closed: nobody asked for a reload
                else:
                    self.reload_wanted = True

    def _stop(self, signum: signal.Signals, status: int = 0) -> None:
        """Drain every worker; the loop ends with *status* when the last one is gone."""
        if not self.stopping:
            self.stopping, self.status = True, status
            self.notify("STOPPING=1")
            # While this process kept them open, clients would queue on sockets that no worker
            # accepts from any more, instead of being refused.
            for sock in self.sockets:
                sock.close()
        for worker in self.workers:
            self._tell(worker, signum)

    def _tell(self, worker: _Worker, signum: signal.Signals) -> None:
        if not worker.told:
            worker.told = True
            limit_s = self.settings.drain_delay_s + self.settings.drain_s + KILL_MARGIN_S
            worker.kill_at_s = min(worker.kill_at_s, time.monotonic() + limit_s)
        _kill(worker, signum)

    def _kill_all(self) -> None:
        self.stopping, self.status = True, 128 + signal.SIGINT
        for worker in self.workers:
            worker.told = True
            _kill(worker, signal.SIGKILL)

    # -- births

    def _fill(self, now: float) -> None:
        """Start the workers that are missing: the first of a generation alone, the others once it is ready."""
        if self.stopping or now < self.spawn_at_s:
            return
        if self.reload_wanted and self.incoming is None and self.generation in self.proven:
            self.reload_wanted = False
            self.newest += 1
            self.incoming = self.newest
            log.info("reloading: starting new workers")
        for generation in (self.generation, self.incoming):
            if generation is None:
                continue
            wanted = self.count if generation in self.proven else 1
            there = sum(
                worker.generation == generation and not worker.told and not worker.leaving for worker in self.workers
            )
            for _ in range(wanted - there):
                if not self._spawn(generation, now):
                    return

    def _spawn(self, generation: int, now: float) -> bool:
        beat_r, beat_w = os.pipe()
        os.set_blocking(beat_r, False)
        os.set_blocking(beat_w, False)
        place = self.crowd.take() if self.crowd else None
        sys.stdout.flush()
        sys.stderr.flush()
        # A collection in the worker writes to every object it looks at, and so takes a copy of
        # every page it shares with this process: 10 MB a worker without this line, 0.7 MB with it.
        gc.freeze()
        # A signal must not meet the worker while it still has this process's handlers and wake-up pipe.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            pid = os.fork()
            if pid == 0:
                os.close(beat_r)
                self._become_worker(beat_w, place)
        except OSError as exc:
            log.error("cannot start a worker: %s", exc.strerror)
            os.close(beat_r)
            if self.crowd is not None:
                self.crowd.give_back(place)
            self.spawn_at_s = now + LONGEST_WAIT_S
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
            os.close(beat_w)
        worker = _Worker(pid, beat_r, generation, place, heard_s=now)
        self.workers.append(worker)
        self.selector.register(beat_r, selectors.EVENT_READ, worker)
        return True

    def _become_worker(self, beat_fd: int, place: int | None) -> NoReturn:
        """Everything that happens in the forked process, to its end."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for signum in HEARD:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
            # Closed, not unregistered: the epoll behind it is the supervisor's.
            self.selector.close()
            for fd in (self.alive_w, self.wake_r.detach(), self.wake_w.detach(), *(w.beat_fd for w in self.workers)):
                os.close(fd)
            if self.crowd is not None:
                self.crowd.place = place
            status = work(self.sockets, self.load, self.settings, beat_fd, self.alive_r, self.crowd)
        except BaseException:
            log.critical("worker %d failed", os.getpid(), exc_info=True)
        finally:
            # Not sys.exit: that would run the supervisor's clean-up a second time, and wait
            # for threads that a stuck handler never gives back.
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError):
                    pass
            os._exit(status)

    # -- lives

    def _hear(self, worker: _Worker, now: float) -> None:
        try:
            heard = os.read(worker.beat_fd, 4096)
        except BlockingIOError:
            return
        if not heard:  # it is ending; _reap says how
            self.selector.unregister(worker.beat_fd)
            return
        worker.heard_s = now
        self.notify.alive(now)
        if REPLACE_ME in heard and not worker.leaving:
            worker.leaving = True
            log.error("worker %d is being replaced: %s", worker.pid, UNHEALTHY)
        if not worker.ready:
            worker.ready = True
            self._became_ready(worker)

    def _became_ready(self, worker: _Worker) -> None:
        log.info("worker %d is ready", worker.pid)
        self.proven.add(worker.generation)
        if self.ready is not None:
            self.notify("READY=1")
            ready, self.ready = self.ready, None
            ready()
        self._relieve(worker)
        if self.incoming is None:
            return
        arrived = sum(other.ready and other.generation == self.incoming for other in self.workers)
        if arrived == self.count:
            self.generation, self.incoming = self.incoming, None
            self.deaths.clear()
            log.info("reloaded: draining the old workers")
            for old in self.workers:
                if old.generation != self.generation:
                    self._tell(old, signal.SIGTERM)

    def _relieve(self, newcomer: _Worker) -> None:
        """Drain one worker that has asked to be replaced, now that *newcomer* is there."""
        for worker in self.workers:
            if worker.leaving and not worker.told and worker.generation == newcomer.generation:
                self._tell(worker, signal.SIGTERM)
                return

    def _check(self, now: float) -> None:
        """Kill who was told to stop and has not, and who has been silent too long."""
        for worker in self.workers:
            # Loading is silent, and may take its time over large imports.
            limit_s = self.settings.silence_s * (1 if worker.ready else 4)
            if now - worker.heard_s > limit_s and not worker.dumped and not worker.told:
                log.error("worker %d has been silent for %.0f s: its stacks follow", worker.pid, now - worker.heard_s)
                worker.dumped, worker.kill_at_s = True, now + DUMP_S
                os.kill(worker.pid, signal.SIGUSR2)
            if now >= worker.kill_at_s:
                worker.kill_at_s = math.inf
                os.kill(worker.pid, signal.SIGKILL)
                if worker.told:
                    log.error("worker %d did not stop in time and was killed", worker.pid)

    # -- deaths

    def _reap(self, now: float) -> None:
        for worker in list(self.workers):
            pid, waited = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                worker.reaped = True
                self._signals()  # a Ctrl-C that ended it came first
                self._bury(worker)
                self._mourn(worker, os.waitstatus_to_exitcode(waited), now)

    def _bury(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        if worker.beat_fd in self.selector.get_map():
            self.selector.unregister(worker.beat_fd)
        os.close(worker.beat_fd)
        if self.crowd is not None:
            self.crowd.give_back(worker.place)

    def _mourn(self, worker: _Worker, code: int, now: float) -> None:
        """Decide what *worker*'s end means."""
        if worker.told:
            if self.stopping and worker.ready and code != 0:
                self.status = self.status or 1
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
        if code != EXIT_CONFIG or worker.ready:  # else it has said what is wrong with the project
            log.error("worker %d %s", worker.pid, how)
        if worker.generation == self.incoming:
            log.error("reload failed: the old workers keep serving")
            for other in self.workers:
                if other.generation == self.incoming:
                    self._tell(other, signal.SIGTERM)
            self.incoming = None
        elif worker.generation not in self.proven:
            self._stop(signal.SIGTERM, EXIT_CONFIG)
        elif not worker.ready and any(other.ready and not other.told for other in self.workers):
            # Files have changed since the others loaded them. Counted as deaths, one crash
            # during a botched deploy would take down the workers that still serve.
            log.error("worker %d did not become ready; the others keep serving", worker.pid)
            self.spawn_at_s = now + LONGEST_WAIT_S
        elif not (worker.ready and code == 0):  # somebody may drain a single worker; that is not a fault
            self._count_death(now)

    def _count_death(self, now: float) -> None:
        since_last_s = now - self.deaths[-1] if self.deaths else math.inf
        self.deaths.append(now)
        while now - self.deaths[0] > DEATHS_WITHIN_S:
            self.deaths.popleft()
        # All of many workers dying at once, as when memory ran out, is not yet a loop.
        if len(self.deaths) >= max(DEATHS, self.count + 1):
            log.critical("%d workers died within %.0f s: giving up", len(self.deaths), DEATHS_WITHIN_S)
            self._stop(signal.SIGTERM, EXIT_CONFIG)
            return
        self.wait_s = 0.0 if since_last_s > LONGEST_WAIT_S else min(max(0.5, 4 * self.wait_s), LONGEST_WAIT_S)
        self.spawn_at_s = now + self.wait_s


class Notifier:
    """Tells systemd how the service is, where NOTIFY_SOCKET asks for it (man sd_notify)."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._alive_s = -math.inf

    def __call__(self, state: str) -> None:
        """Send one state; a service manager that does not listen must not stop the service."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                sock.sendto(state.encode(), self._address)
            except OSError as exc:
                log.warning("cannot notify %s: %s", self._address, exc)

    def alive(self, now: float) -> None:
        """A worker's loop turns; said at most once a second."""
        if now - self._alive_s >= 1.0:
            self._alive_s = now
            self("WATCHDOG=1")


def _cannot_bind(host: str, port: int, exc: OSError) -> ConfigError:
    if exc.errno == errno.EADDRINUSE:
        return ConfigError(
            f"port {port} on {host} is in use by another program",
            cure=f"stop that program (lsof -i :{port} names it), or choose another port with --port",
        )
    if exc.errno == errno.EACCES:
        return ConfigError(f"port {port} needs special rights", cure="choose a port above 1023 with --port")
    return ConfigError(
        f"cannot listen on {host} port {port}: {exc.strerror or exc}",
        cure="use 127.0.0.1 for this machine only, 0.0.0.0 for every network",
    )


def _remove_stale(path: Path) -> None:
    """Delete the socket file of a server that is gone."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ConfigError(f"{path} exists and is not a socket", cure="choose another path for the socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # its queue is full, so somebody is listening
    raise ConfigError(f"another server answers on {path}", cure="stop it, or choose another path for the socket")


def _kill(worker: _Worker, signum: signal.Signals) -> None:
    if not worker.reaped:  # from then on its process id may be somebody else's
        os.kill(worker.pid, signum)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
