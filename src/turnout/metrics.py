"""Prometheus metrics at ``/_turnout/metrics``: requests, the event loop, and whatever the app counts itself.

``metrics = true`` turns them on. In production who asks has to know ``METRICS_TOKEN``; elsewhere this machine
is answered. The workers of ``turnout start`` add up: each writes its figures to files that all of them read,
by the means that ``prometheus_client`` has for this. What the app registers with that library is served too.

Names follow OpenTelemetry's semantic conventions for HTTP servers, as Prometheus spells them. Routes are
patterns, so that nobody can make a time series by asking for a path.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING

from .errors import ConfigError, Unauthorized
from .http.guard import METHODS
from .http.request import Request
from .http.response import Response
from .middleware import Endpoint

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

logger = logging.getLogger("turnout.metrics")

PATH = "/_turnout/metrics"
TOKEN = "METRICS_TOKEN"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # what prometheus_client goes by
SAMPLE_S = 0.25  # between two looks at how late the event loop is

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_UNREADABLE = (OSError, RuntimeError, ValueError, struct.error)  # as prometheus_client says it
_LATE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """What is counted in this process. There is one: the library refuses a second metric of a name.

    Raises:
        ConfigError: ``prometheus_client`` is not installed.
    """

    def __init__(self) -> None:
        try:
            from prometheus_client import Counter, Gauge, Histogram
        except ImportError:
            raise ConfigError("metrics need prometheus_client", cure='pip install "turnout[metrics]"') from None
        self.seconds = Histogram(
            "http_server_request_duration_seconds",
            "Seconds from a request's head to its answer, a stream's body not included.",
            ["http_request_method", "http_route", "http_response_status_code"],
            buckets=_SECONDS,
        )
        self.active = Gauge(
            "http_server_active_requests", "Requests without an answer yet.", multiprocess_mode="livesum"
        )
        self.late = Histogram(
            "turnout_event_loop_lag_seconds", "How late the event loop does what was due.", buckets=_LATE
        )
        self.stalled = Counter(
            "turnout_stalls_total", "Times a handler held the event loop for 100 ms or longer.", ["http_route"]
        )
        self._sampler: asyncio.TimerHandle | None = None

    async def __call__(self, request: Request, next: Endpoint) -> Response:
        """Count one request: a watcher for ``App.watch``."""
        began = perf_counter()
        self.active.inc()
        status = "cancelled"  # at its deadline, or because its client left
        try:
            response = await next(request)
            status = str(response.status)
            return response
        finally:
            self.active.dec()
            method = request.method if request.method in METHODS else "_OTHER"
            self.seconds.labels(method, _pattern(request), status).observe(perf_counter() - began)

    def stall(self, request: Request, seconds: float) -> None:
        """Count a step of *request* that held the loop."""
        self.stalled.labels(_pattern(request)).inc()

    async def start(self) -> None:
        """Begin to look how late the loop is."""
        loop = asyncio.get_running_loop()
        self._sampler = loop.call_at(due := loop.time() + SAMPLE_S, self._sample, loop, due)

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.late.observe(max(0.0, now - due))
        self._sampler = loop.call_at(due := now + SAMPLE_S, self._sample, loop, due)

    async def stop(self) -> None:
        """End."""
        if self._sampler is not None:
            self._sampler.cancel()


@lru_cache(maxsize=1)
def metrics() -> Metrics:
    """The metrics of this process."""
    return Metrics()


def endpoint(mode: str, values: Mapping[str, str]) -> Endpoint:
    """What answers at ``PATH``.

    Raises:
        ConfigError: nobody has said in production who may ask.
    """
    token = str(values.get(TOKEN) or "").encode()
    if mode == "production" and len(token) < 16:
        raise ConfigError(
            f"metrics = true needs {TOKEN} in production, of 16 characters at least",
            cure=f"set {TOKEN} in the environment, and as the bearer token of whoever asks",
        )

    async def answer(request: Request) -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        scheme, _, given = (request.headers.get("authorization") or "").partition(" ")
        known = bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token)
        if not known and (mode == "production" or request.ip not in ("127.0.0.1", "::1", None)):
            raise Unauthorized("A bearer token is needed here", headers=(("www-authenticate", "Bearer"),))
        return Response(
            generate_latest(_registry()), 200, {"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"}
        )

    return answer


def _registry() -> CollectorRegistry:
    from prometheus_client import REGISTRY, CollectorRegistry

    folder = os.environ.get(FOLDER)
    if not folder:
        return REGISTRY

    _forget_the_dead(Path(folder))
    registry = CollectorRegistry()
    registry.register(_Files(Path(folder)))
    return registry


class _Files:
    """What the processes have written to their files in *folder*, for a registry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """The figures of all files together, but those that cannot be read."""
        files = list(self._folder.glob("*.db"))
        try:
            return _merged(files)
        except _UNREADABLE:
            # One worker's file shall not hide the others: one that starts has an empty file for a moment, and for
            # good if it is killed there.
            return _merged([file for file in files if _can_be_read(file)])


def _merged(files: list[Path]) -> Iterable[Metric]:
    from prometheus_client.multiprocess import MultiProcessCollector

    found: Iterable[Metric] = MultiProcessCollector.merge([str(file) for file in files])  # type: ignore[no-untyped-call]
    return found


def _can_be_read(file: Path) -> bool:
    try:
        _merged([file])
    except _UNREADABLE as exc:
        with suppress(FileNotFoundError):
            if file.stat().st_size:
                logger.warning("%s is left out of the metrics: %s", file.name, exc)
        return False
    return True


def _forget_the_dead(folder: Path) -> None:
    """Drop what killed workers had under way; what they counted stays, or counters would go down."""
    from prometheus_client.multiprocess import mark_process_dead

    for file in folder.glob("gauge_live*_*.db"):
        with suppress(PermissionError, FileNotFoundError, ValueError):  # another user's, or gone by now
            pid = int(file.stem.rpartition("_")[2])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def set_aside(modules: Iterable[ModuleType]) -> Callable[[], None]:
    """Make room in the library's registry for the metrics of *modules*, which are about to be loaded anew.

    It refuses a second metric of a name, also from the same line of the same file.

    Returns:
        What puts all back as it was, for a reload that failed.
    """
    from prometheus_client import REGISTRY

    before = list(REGISTRY._collector_to_names)
    known = {id(each) for each in before}
    theirs = {id(value) for module in modules for value in vars(module).values() if id(value) in known}
    for each in before:
        if id(each) in theirs:
            REGISTRY.unregister(each)

    def restore() -> None:
        # What a module has registered that then failed is in no module, so it is found by being new.
        for each in list(REGISTRY._collector_to_names):
            if id(each) not in known:
                REGISTRY.unregister(each)
        for each in before:
            if each not in REGISTRY._collector_to_names:
                REGISTRY.register(each)

    return restore


def _pattern(request: Request) -> str:
    return request.route.pattern if request.route else ""
