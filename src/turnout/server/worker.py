"""One process that serves: event loop, accepting, heartbeat, drain.

``work`` is complete without a supervisor: it loads the app, accepts on the sockets it is
given and drains on SIGTERM. Connections are accepted here and not by ``loop.create_server``,
which takes every waiting connection in one go (one of two workers got 64 of 65 in a burst),
cannot pause, and on Python 3.13 deletes a Unix socket that other workers still listen on.
Bytes and requests are ``protocol.py``; processes and signals between them ``supervisor.py``.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import heapq
import logging
import mmap
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, cast

from ..config import ServerConfig
from ..errors import ConfigError
from ..http.fetch import Fetch
from ..http.request import Request
from ..log import access
from .protocol import Connection
from .serving import Serving

log = logging.getLogger("turnout.server")

EXIT_CONFIG = 3
# What a drain may take beyond its settings: cancelled handlers unwind, then shutdown() ends.
# Together under the 5 s after which the supervisor kills.
UNWIND_S, SHUTDOWN_S = 1.0, 3.0
LAST_REQUEST_S = 0.05
ACCEPTS_PER_TURN, MOST_ACCEPTS = 16, 1024
UNHEALTHY = "its app is not healthy, most likely because of handlers in threads that do not end"
REPLACE_ME = b"!"  # on the heartbeat's pipe


def work(
    sockets: Sequence[socket.socket],
    load: Callable[[], Fetch],
    settings: ServerConfig,
    heartbeat_fd: int | None = None,
    parent_fd: int | None = None,
    crowd: Crowd | None = None,
) -> int:
    """Serve until told to stop, and return the exit status: 0 drained, 3 never became ready.

    Args:
        sockets: Bound and listening, TCP or Unix; each is closed when the drain begins to refuse.
        load: Makes the app; the only place where user code is imported.
        settings: Limits and times.
        heartbeat_fd: Gets a byte when ready, and one every ``settings.heartbeat_s``.
        parent_fd: A pipe whose end of file means that the supervisor is gone.
        crowd: How full the other workers are, if there are others.
    """
    if sys.platform != "win32":
        # kill -USR2 prints every thread's stack, also while the loop or an import hangs: the handler is C.
        faulthandler.register(signal.SIGUSR2, file=2, all_threads=True)
    try:
        fetch = load()
    except Exception as exc:
        return _not_ready(exc)
    # What loading left behind lives as long as the process, so no collection need look at it
    # again: with the framework alone (30,000 objects) the longest pause under load fell from 7 ms
    # to 0.2 ms, for 15 ms once. Collected first, or garbage would be kept for good.
    gc.collect()
    gc.freeze()
    loop = loop_factory()()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_Worker(loop, sockets, fetch, settings, heartbeat_fd, parent_fd, crowd).run())
    finally:
        _close(loop)


class Crowd:
    """How many connections each worker holds, in memory that forked processes share.

    The supervisor gives and takes back places; each worker writes its own and reads all. A
    stale figure costs fairness for a moment and nothing else, so there is no lock.
    """

    def __init__(self, places: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 8 * places)).cast("q")  # 0 free, -1 not accepting, else connections + 1
        self.place: int | None = None  # this process's own

    def take(self) -> int | None:
        """Reserve a place for a worker about to be forked; None when all are taken."""
        for place, count in enumerate(self._counts):
            if count == 0:
                self._counts[place] = -1
                return place
        return None

    def give_back(self, place: int | None) -> None:
        """The worker at *place* is no more."""
        if place is not None:
            self._counts[place] = 0

    def write(self, connections: int) -> None:
        """Say how many connections this worker holds; -2 that it accepts none."""
        if self.place is not None:
            self._counts[self.place] = connections + 1

    def fewest(self) -> int:
        """The connections of the emptiest worker that accepts."""
        return min((count for count in self._counts if count > 0), default=1) - 1


class _Worker:
    """The life of one serving process, between a loaded app and an exit status."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        fetch: Fetch,
        settings: ServerConfig,
        heartbeat_fd: int | None,
        parent_fd: int | None,
        crowd: Crowd | None,
    ) -> None:
        self.loop, self.fetch, self.settings = loop, fetch, settings
        self.heartbeat_fd, self.parent_fd = heartbeat_fd, parent_fd
        self.serving = Serving(fetch, settings, loop, _log_access if settings.access_log else None)
        self.crowd = crowd
        self.listeners = [Listener(sock, self.serving, settings, loop, crowd) for sock in sockets]
        self.starting: asyncio.Task[Any] | None = None  # while startup runs
        self.asked = False  # to be replaced
        self.stop = asyncio.Event()  # begin to drain
        self.hurry = asyncio.Event()  # and skip the delay
        self.cut = False  # and wait for nobody

    async def run(self) -> int:
        # Before startup, which may say "ready": who hears that may signal at once.
        self._watch_signals()
        self.starting = asyncio.current_task()
        try:
            await self.fetch.startup()
        except Exception as exc:
            return _not_ready(exc)
        except asyncio.CancelledError:
            if not self.stop.is_set():
                raise
            return 0
        self.starting = None
        if self.parent_fd is not None:
            self.loop.add_reader(self.parent_fd, self._parent_gone, self.parent_fd)
        for listener in self.listeners:
            await listener.open()
        self._tick()
        self._beat()
        await self.stop.wait()
        await self._drain()
        if self.parent_fd is not None and sys.platform != "win32":
            # A second copy of the signal, from the terminal or the service manager, must not
            # turn a finished drain into a death.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        return 0

    def _watch_signals(self) -> None:
        _on_signal(self.loop, signal.SIGTERM, self._stop)
        _on_signal(self.loop, signal.SIGINT, self._interrupted)
        if sys.platform != "win32" and self.parent_fd is not None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor's to act on, sent to the whole group

    def _interrupted(self) -> None:
        # Under a supervisor one Ctrl-C arrives twice, from the terminal and forwarded, and the
        # supervisor counts them; alone, the second one means it.
        self.cut = self.hurry.is_set() and self.parent_fd is None
        self.hurry.set()
        self._stop()

    def _stop(self) -> None:
        self.stop.set()
        if self.starting is not None:
            self.starting.cancel()

    def _parent_gone(self, fd: int) -> None:
        self.loop.remove_reader(fd)
        log.error("worker %d: the supervisor is gone; draining", os.getpid())
        self.stop.set()

    def _tick(self) -> None:
        self.loop.call_later(1.0, self._tick)
        self.serving.tick()
        if self.crowd is not None and not self.serving.draining:
            self.crowd.write(len(self.serving.connections))
        if not self.asked and not self.fetch.healthy():
            self._ask_to_be_replaced()

    def _ask_to_be_replaced(self) -> None:
        """Serve on until the supervisor has another worker ready; without one, only say so."""
        self.asked = True
        if self.heartbeat_fd is None:
            log.error("this process should be restarted: %s", UNHEALTHY)
            return
        try:
            os.write(self.heartbeat_fd, REPLACE_ME)
        except BlockingIOError:
            self.asked = False  # next time
        except BrokenPipeError:
            self.stop.set()

    def _beat(self) -> None:
        if self.heartbeat_fd is None:
            return
        self.loop.call_later(self.settings.heartbeat_s, self._beat)
        try:
            os.write(self.heartbeat_fd, b".")
        except BlockingIOError:
            pass  # the supervisor is stopped, and will find 64 KiB of signs of life
        except BrokenPipeError:
            self.stop.set()

    async def _drain(self) -> None:
        """SIGTERM's order of events: see "Drain" in the security notes."""
        self.fetch.drain()
        self.serving.drain()
        if not self.hurry.is_set():
            await _wait(self.hurry, self.settings.drain_delay_s)
        for listener in self.listeners:
            await listener.close()
        if self.crowd is not None:
            self.crowd.write(-2)
        # Whoever connected last has a request under way; closed now, it would be lost.
        await asyncio.sleep(LAST_REQUEST_S)
        self.serving.close_idle()
        deadline = self.loop.time() + self.settings.drain_s
        if not await self._finish(deadline):
            open_, busy = len(self.serving.connections), self.serving.in_flight
            log.warning("worker %d: cut %d connections after the drain, %d of them busy", os.getpid(), open_, busy)
            self.serving.cancel_all()
            await self._finish(self.loop.time() + UNWIND_S)
        try:
            async with asyncio.timeout(max(SHUTDOWN_S, deadline - self.loop.time())):
                await self.fetch.shutdown()
        except TimeoutError:
            log.warning("worker %d: work after the last response did not end in time", os.getpid())
        except Exception:
            log.exception("worker %d: shutdown failed", os.getpid())

    async def _finish(self, deadline: float) -> bool:
        """Wait until the last byte of the last answer has left; False when the loop's clock is past *deadline*."""
        while self.serving.connections:  # one that is lost stays among them until its handler has ended
            if self.cut or self.loop.time() >= deadline:
                return False
            await asyncio.sleep(0.02)
        return True


class Listener:
    """Accepts on one listening socket that other processes may share.

    Args:
        sock: Bound and listening; closed by ``close``.
        serving: Makes the protocol of each connection, and knows the open ones.
        settings: ``max_connections``.
        loop: The running loop.
        crowd: How full the other workers are, if there are others.
    """

    def __init__(
        self,
        sock: socket.socket,
        serving: Serving,
        settings: ServerConfig,
        loop: asyncio.AbstractEventLoop,
        crowd: Crowd | None = None,
    ) -> None:
        self.sock, self.serving, self.loop, self.crowd = sock, serving, loop, crowd
        self.cap = connection_cap(settings)
        self._arriving: set[asyncio.Task[Any]] = set()
        self._server: asyncio.AbstractServer | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._oldest: deque[tuple[float, Connection]] = deque()  # idle connections, as of the last look
        self._leaving: set[Connection] = set()  # closed to make room, and not yet gone
        self._gave_way = False  # to emptier workers, in the last turn
        self._most = ACCEPTS_PER_TURN

    async def open(self) -> None:
        """Begin to accept."""
        self.sock.setblocking(False)
        try:
            self.loop.add_reader(self.sock, self._accept)
        except NotImplementedError:  # Windows' own loop, where there is one process and no limit on files to meet
            self._server = await self.loop.create_server(self.serving.connection, sock=self.sock)

    async def close(self) -> None:
        """Accept no more; what was accepted is among the connections on return."""
        if self._server is not None:
            self._server.close()
            return
        if self._resume is not None:
            self._resume.cancel()
        self.loop.remove_reader(self.sock)
        self.sock.close()
        if self._arriving:
            await asyncio.wait(self._arriving)

    def _accept(self) -> None:
        gave_way, self._gave_way = self._gave_way, False
        self._tell_crowd()  # every worker is woken, so those that let connections go meanwhile say so in time
        for _ in range(self._most):
            if not gave_way and self._is_fuller_than_others():
                # Emptier workers were woken too. What they have not taken a moment later is
                # ours: they are busy, or stuck.
                self._gave_way = True
                self._pause(0.001)
                return
            room = self._held() < self.cap
            oldest = None if room else self._oldest_idle()
            if not room and oldest is None:
                self._pause(0.05)
                return
            try:
                sock, _ = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                self._most = ACCEPTS_PER_TURN
                return
            except OSError as exc:  # out of files or memory: level-triggered, so without a pause this would spin
                log.error("cannot accept connections: %s", exc)
                self._pause(1.0)
                return
            if oldest is not None:  # and not before: another worker may have been faster
                oldest.close()
                self._leaving.add(oldest)
            sock.setblocking(False)
            self.serving.arriving += 1
            task = self.loop.create_task(self._receive(sock))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)
            self._tell_crowd()
        # More wait. If turns are long, a fixed number in each would leave most clients in the
        # kernel's queue, where nobody can refuse them; a short burst is still shared with others.
        self._most = min(2 * self._most, MOST_ACCEPTS)

    async def _receive(self, sock: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(self.serving.connection, sock)
        except OSError:  # reset between accept and here
            self.serving.arriving -= 1
            sock.close()

    def _oldest_idle(self) -> Connection | None:
        """The connection that has been idle longest, if one is idle."""
        for _ in range(2):
            while self._oldest:
                since, connection = self._oldest[0]
                if connection.idle and connection._since == since and not connection.transport.is_closing():
                    return connection
                self._oldest.popleft()
            # Looking through thousands for every one accepted would make a flood worse.
            idle = ((each._since, each) for each in self.serving.connections - self._leaving if each.idle)
            self._oldest.extend(heapq.nsmallest(64, idle, key=itemgetter(0)))
        return None

    def _tell_crowd(self) -> None:
        if self.crowd is not None:
            self.crowd.write(self._held())

    def _held(self) -> int:
        if self._leaving:
            self._leaving &= self.serving.connections
        return len(self.serving.connections) + self.serving.arriving - len(self._leaving)

    def _is_fuller_than_others(self) -> bool:
        if self.crowd is None:
            return False
        fewest = self.crowd.fewest()
        return self._held() > fewest + 2 + fewest // 4

    def _pause(self, seconds: float) -> None:
        self.loop.remove_reader(self.sock)
        self._resume = self.loop.call_later(seconds, self.loop.add_reader, self.sock, self._accept)


def connection_cap(settings: ServerConfig) -> int:
    """The connections one worker may hold: the setting, or 80 % of the limit on open files if that is less."""
    if sys.platform == "win32":
        return settings.max_connections
    import resource

    files: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = settings.max_connections
    return most if files == resource.RLIM_INFINITY else min(most, files * 4 // 5)


def _log_access(request: Request, status: int, seconds: float) -> None:
    # Not request.path: that raises for a target that was refused for its path.
    path = request.target.partition("?")[0]
    pattern = request.route.pattern if request.route is not None else None
    access(request.method, path, status, seconds * 1000, request.id, pattern)


def _not_ready(exc: Exception) -> int:
    if isinstance(exc, ConfigError):
        print(f"turnout: {exc}", file=sys.stderr, flush=True)
    else:
        log.error("the app could not be loaded", exc_info=exc)
    return EXIT_CONFIG


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's loops where uvloop is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left and close. asyncio.run would also join worker threads, which a stuck one makes endless."""
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=UNWIND_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _on_signal(loop: asyncio.AbstractEventLoop, signum: signal.Signals, act: Callable[[], None]) -> None:
    try:
        loop.add_signal_handler(signum, act)
    except NotImplementedError:  # Windows
        signal.signal(signum, lambda *_: loop.call_soon_threadsafe(act))
