"""``turnout dev``: one process that serves the project, reloads it on save and keeps the last good app.

A change is loaded in a thread while the old app goes on answering; only when the new one has
started does it take over, between two requests. What the old one has begun it finishes. A load
that fails is printed and changes nothing. Until a first load has succeeded, each request is
answered with what is wrong, where, and the cure.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .. import log
from ..errors import ConfigError
from ..http.fetch import Fetch
from ..http.request import Request
from ..http.response import Response
from . import mailpage
from .docspage import Docs
from .errorpage import CSP, render, render_config_error
from .watch import Watcher

if TYPE_CHECKING:
    from ..app import App

logger = logging.getLogger("turnout.dev")

BLOCKED_S = 0.05

T = TypeVar("T")


class _Generation:
    """One loaded app, and how many requests it has not finished."""

    def __init__(self, app: Fetch) -> None:
        self.app, self.busy = app, 0


class Reloading:
    """A Fetch that stays while the app behind it is replaced.

    Args:
        root: The project's folder.
        load: Loads the project; called in a thread on each change.
        close: Called once, at the very end.
        fail: Prints what a load has raised and gives it back as a ConfigError.
        say: Prints a line for the developer.
        ready: Called when the first request may come.
        docs: Describes what *load* has loaded.
    """

    kept: Callable[[Request], Response | None] | None = None  # every request is watched and logged

    def __init__(
        self,
        root: Path,
        *,
        load: Callable[[], App],
        close: Callable[[], Awaitable[None]],
        fail: Callable[[Exception], ConfigError],
        say: Callable[[str], None],
        ready: Callable[[], None],
        docs: Docs | None = None,
    ) -> None:
        self.root, self.load, self.close, self.fail, self.say, self.ready = root, load, close, fail, say, ready
        self.docs = docs or Docs()
        # Made before the first load, so that an edit during it is not missed.
        self.watcher = Watcher(root, self._changed)
        self._open: dict[int, tuple[Request, _Generation]] = {}  # answered, but streaming or with work after
        self._tasks: set[asyncio.Task[None]] = set()
        self._pages: set[str] = set()  # ids of requests that are answered with an error page
        self._now = _Generation(self._first())

    def _first(self) -> Fetch:
        try:
            return self._load()
        except Exception as exc:
            return Broken(self.fail(exc))

    def _load(self) -> Fetch:
        app = self.load()
        app.error_page = self._page
        return app

    def _page(self, exc: Exception, request: Request) -> str:
        self._pages.add(request.id)
        return render(exc, request)

    # -- what a door calls

    async def fetch(self, request: Request) -> Response:
        """Answer with the newest app that works, and log the request."""
        if request.target.startswith(mailpage.PREFIX) and (page := await mailpage.answer(request)) is not None:
            return page
        if request.target.startswith("/_turnout/") and (page := await self.docs.answer(request)) is not None:
            return page
        generation = self._now
        generation.busy += 1
        began_s = time.perf_counter()
        status = 499  # what the log says of a client that left
        try:
            response = await _watched(generation.app.fetch(request), request)
            status = response.status
            if self._pages and request.id in self._pages:
                self._pages.remove(request.id)
                response.headers.set("content-security-policy", CSP)
            if response.chunks is not None:
                self._open[id(request)] = request, generation
            return response
        finally:
            if request.after_work is not None:
                self._open[id(request)] = request, generation
            if id(request) not in self._open:
                self._release(generation)
            pattern = request.route.pattern if request.route else None
            path = request.target.partition("?")[0]
            log.access(request.method, path, status, (time.perf_counter() - began_s) * 1000, request.id, pattern)

    def sent(self, request: Request, response: Response) -> None:
        """Tell the app that has answered *request*, which may be an older one."""
        _, generation = self._open.pop(id(request), (request, self._now))
        generation.app.sent(request, response)
        self._release(generation)

    async def startup(self) -> None:
        """Start the first app and watch the files."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._now.app.startup()
        except Exception as exc:
            self._now = _Generation(Broken(self.fail(exc)))
        self.watcher.start()
        self.ready()

    def drain(self) -> None:
        """Pass it on."""
        self._now.app.drain()

    def healthy(self) -> bool:
        """Pass it on."""
        return self._now.app.healthy()

    async def shutdown(self) -> None:
        """Stop watching, and stop the app."""
        await asyncio.to_thread(self.watcher.stop)
        await self._now.app.shutdown()
        await self.close()

    # -- a change

    def _changed(self, files: list[Path]) -> None:
        """Called in the watcher's thread; waits, so that reloads never overlap."""
        reload = asyncio.run_coroutine_threadsafe(self._reload(files), self._loop)
        try:
            reload.result()
        except (asyncio.CancelledError, RuntimeError):
            pass  # the loop is closing

    async def _reload(self, files: list[Path]) -> None:
        began_s = time.perf_counter()
        try:
            app = await asyncio.to_thread(self._load)
            await app.startup()
        except Exception as exc:
            error = self.fail(exc)
            if isinstance(self._now.app, Broken):
                self._now = _Generation(Broken(error))
            else:
                self.say("still serving the last version that worked")
            return
        before, self._now = self._now, _Generation(app)
        self._retire(before)
        names = ", ".join(_name(file, self.root) for file in files[:3]) + (" ..." if len(files) > 3 else "")
        self.say(f"reloaded in {(time.perf_counter() - began_s) * 1000:.0f} ms: {names}")

    def _release(self, generation: _Generation) -> None:
        generation.busy -= 1
        self._retire(generation)

    def _retire(self, generation: _Generation) -> None:
        """Shut down an app that was replaced and has nothing left to do."""
        if generation is self._now or generation.busy:
            return
        task = self._loop.create_task(generation.app.shutdown())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _name(file: Path, root: Path) -> str:
    return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)


class _watched(Awaitable[Response]):
    """Awaits a handler step by step, and warns when one step keeps the event loop too long."""

    def __init__(self, work: Coroutine[Any, Any, Response], request: Request) -> None:
        self.work, self.request = work, request

    def __await__(self) -> Generator[Any, Any, Response]:
        step: Callable[[], Any] = lambda: self.work.send(None)  # noqa: E731
        while True:
            began_s = time.perf_counter()
            try:
                waits_for = step()
            except StopIteration as done:
                response: Response = done.value
                return response
            finally:
                self._judge(time.perf_counter() - began_s)
            try:
                sent = yield waits_for
            except BaseException as exc:
                step = _bind(self.work.throw, exc)
            else:
                step = _bind(self.work.send, sent)

    def _judge(self, seconds: float) -> None:
        if seconds > BLOCKED_S:
            route = self.request.route
            logger.warning(
                "%s %s blocked the event loop for %.0f ms; await what waits, or write the handler with def, "
                "which runs in a thread (%s)",
                self.request.method,
                route.pattern if route else self.request.target.partition("?")[0],
                seconds * 1000,
                route.file if route else "no route",
            )


def _bind(function: Callable[[T], Any], argument: T) -> Callable[[], Any]:
    return lambda: function(argument)


class Broken:
    """Answers for a project that does not start: the error as a page or as JSON, to this machine only."""

    kept: Callable[[Request], Response | None] | None = None

    def __init__(self, error: ConfigError) -> None:
        self.error = error

    async def fetch(self, request: Request) -> Response:
        """Say what is wrong, where, and the cure."""
        if request.peer not in (None, "127.0.0.1", "::1"):
            return Response.text("The project does not start", 500)
        if "text/html" in (request.headers.get("accept") or ""):
            page = Response.html(render_config_error(self.error), 500)
            page.headers.set("content-security-policy", CSP)
            return page
        error = self.error
        return Response.json(
            {
                "type": "about:blank",
                "title": "The project does not start",
                "status": 500,
                "detail": log.redact(error.message),
                "file": str(error.file) if error.file else None,
                "line": error.line,
                "cure": error.cure,
            },
            500,
            {"content-type": "application/problem+json"},
        )

    def sent(self, request: Request, response: Response) -> None:
        """Nothing to do."""

    async def startup(self) -> None:
        """Nothing to do."""

    def drain(self) -> None:
        """Nothing to do."""

    def healthy(self) -> bool:
        """The next change of a file mends it."""
        return True

    async def shutdown(self) -> None:
        """Nothing to do."""


def say(text: str) -> None:
    """One dim line on standard error."""
    colours = log.use_colours(sys.stderr)
    print(f"\x1b[2m{text}\x1b[0m" if colours else text, file=sys.stderr, flush=True)
