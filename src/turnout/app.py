"""The app: one value in, one value out. ``await App.fetch(request) -> Response``.

Here the host is accepted, the path made canonical and the route resolved, once, before any
middleware; on the way back errors become problem responses and cookies become fields. How
bytes come and go is a door's business, what a route does is its file's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .admission import Admission
from .context import current
from .errors import BadRequest, DbError, HTTPError, MethodNotAllowed, NotFound
from .http import guard, problem
from .http.address import Trust
from .http.aside import has_loop, of_context
from .http.body import Limits
from .http.compress import LEAST_BYTES, compress
from .http.cors import Cors
from .http.fetch import PROBES
from .http.guard import AllowedHosts
from .http.path import is_plain, join, segments
from .http.request import Request, RouteInfo
from .http.response import Response, to_response
from .logger import get_logger
from .middleware import Endpoint, Middleware, compose
from .routing.pattern import Pattern
from .routing.signature import is_coroutine_function
from .routing.table import Table
from .threads import Threads

if TYPE_CHECKING:
    import asyncio

    from .routing.bind import Call

logger = get_logger("turnout.app")

ErrorHandler = Callable[[Exception, Request], Awaitable[Response | None]]
ErrorPage = Callable[[Exception, Request], str]


class Route:
    """What one ``route.py`` answers with: its methods, each a whole chain composed at load.

    Args:
        methods: What they give becomes a response as what a handler returns does.
        probe: Answers whatever the Host and however busy.
    """

    __slots__ = (
        "allow", "body_limit", "cancel_on_disconnect", "cors", "file", "info", "max_duration", "methods", "pattern",
        "probe", "special",
    )  # fmt: skip

    def __init__(
        self,
        pattern: Pattern,
        file: Path,
        methods: dict[str, Call],
        *,
        body_limit: int | None = None,
        max_duration: float | None = None,
        cancel_on_disconnect: bool = True,
        cors: Cors | None = None,
        probe: bool = False,
    ) -> None:
        self.cors = cors
        self.pattern, self.file, self.methods = pattern, file, methods
        self.body_limit, self.max_duration, self.cancel_on_disconnect = body_limit, max_duration, cancel_on_disconnect
        self.probe = probe
        # Whether something differs from the defaults.
        self.special = (body_limit, max_duration, cancel_on_disconnect, cors) != (None, None, True, None)
        self.info = RouteInfo(pattern.text, str(file))
        if "GET" in self.methods:
            self.methods.setdefault("HEAD", self.methods["GET"])
        self.allow = ", ".join(sorted({*self.methods, "OPTIONS"}))
        self.methods.setdefault("OPTIONS", self._options)

    async def _options(self, request: Request) -> Response:
        response = Response(None, 204, {"allow": self.allow})
        if self.cors is not None:
            self.cors.preflight(request, response, self.allow)
        return response


class App:
    """Answers requests with the routes it was given.

    Args:
        routes: Every route; conflicts were refused by the scanner.
        allowed_hosts: Names it answers to.
        trust: Whose forwarding fields are believed.
        limits: What a request may bring.
        admission: How much one worker takes on.
        threads: For handlers written with ``def``.
        cors: Who may read what no route answers: 404 and 405.
        compress: Whether answers are made smaller for clients that can read that.
        trailing_slash: True: ``/x`` redirects to ``/x/``; False: the reverse.
        debug: True in development: answers show what went wrong.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        allowed_hosts: AllowedHosts,
        trust: Trust | None = None,
        limits: Limits | None = None,
        admission: Admission | None = None,
        threads: Threads | None = None,
        cors: Cors | None = None,
        compress: bool = True,
        trailing_slash: bool = False,
        debug: bool = False,
    ) -> None:
        self.hosts, self.trust, self.limits = allowed_hosts, trust or Trust(), limits or Limits()
        self.admission, self.threads = admission or Admission(), threads or Threads()
        self.debug, self.cors, self.compress = debug, cors, compress
        # Whether requests must be told of limits and trust that are not theirs by default.
        self.own_terms = self.limits != Limits() or self.trust != Trust() or cors is not None
        self.kept: Callable[[Request], Response | None] | None = None  # see Fetch
        self.error_page: ErrorPage | None = None
        self.on_error: list[Callable[[Exception, Request, int], None]] = []  # each hears of what is logged
        self.on_startup: list[Callable[[], Awaitable[None]]] = []
        self.on_shutdown: list[Callable[[], Awaitable[None]]] = []
        self.on_ready: list[Callable[[], Awaitable[bool]]] = []
        self.started = self.draining = False
        self.routes: list[Route] = [*routes, *self._probes()]
        self._slash = "/" if trailing_slash else ""
        self._good_hosts: set[str] = set()  # Host values judged before; a request costs one look-up
        self._after: set[asyncio.Task[None]] = set()
        self._left: list[Request] = []  # answered where no loop runs: their after() work waits for settle()
        self._table: Table[Route] = Table()
        for route in self.routes:
            self._table.add(route.pattern, route)
        self._table.freeze()
        self._static = {
            path if path == "/" or route.probe else path + self._slash: route
            for path, route in self._table.static.items()
        }

    # -- a request

    async def fetch(self, request: Request) -> Response:
        """Answer *request*; what a handler raises becomes a response, only cancellation passes."""
        if self.own_terms:
            request.limits, request.trust, request.cors = self.limits, self.trust, self.cors
            request.special = True
        current.set(request)
        admission = self.admission
        admission.in_flight += 1
        try:
            route = self._static.get(request.target) or self._find(request)
            request.route = route.info
            if route.special or self.own_terms:
                self._apply(route, request)
            # A Host value is judged once; whoever sends it again costs one look-up.
            if request._host not in self._good_hosts or admission.in_flight > admission.max_in_flight:
                self._admit(request, route)
            response = await (route.methods.get(request.method) or self._no_method(route, request))(request)
            if type(response) is not Response:
                response = to_response(response)
        except Exception as exc:
            response = self._failed(exc, request)
        except BaseException:  # cancellation, mostly, which is known by its name only where asyncio is loaded
            _close_form(request)
            raise
        finally:
            admission.in_flight -= 1
        if response.special or request.special or len(response.body) >= LEAST_BYTES:
            response = await self._finish(request, response)
        return response

    def _apply(self, route: Route, request: Request) -> None:
        request.body_limit, request.max_duration = route.body_limit, route.max_duration
        request.cancel_on_disconnect = route.cancel_on_disconnect
        request.cors = route.cors
        if route.cors is not None:
            request.special = True

    async def _finish(self, request: Request, response: Response) -> Response:
        """What only some responses need: a file, fewer bytes, a place for its stream, cookies, closed uploads, HSTS."""
        try:
            if response.file_path is not None:
                from .http.file import prepare

                response = await prepare(request, response)
            if self.compress:
                await compress(request, response)
            if response.status == 304:
                response.headers.delete("content-type")  # of what was not sent
            if response.chunks is not None and self.admission.streams >= self.admission.max_streams:
                await _close(response)
                raise self.admission.refuse()
        except Exception as exc:
            response = self._failed(exc, request)
        if response.chunks is not None:
            self.admission.streams += 1
        if request.set_cookies is not None or response._cookies is not None:
            self._write_cookies(request, response)
        if request.personal and not response.headers.has("cache-control"):
            response.headers.set("cache-control", "private, no-store")
        if request.cors is not None:
            request.cors.answer(request, response)
        for name, value in request.answer_headers:
            response.headers.set(name, value)
        request.answered = True
        if request.secure and not response.headers.has(guard.HSTS[0]):
            response.headers.set(*guard.HSTS)
        if response.chunks is None and request.after_work is None:
            _close_form(request)
        return response

    def _admit(self, request: Request, route: Route) -> None:
        """Judge what is not judged on every request: a Host value not seen before, and crowds."""
        if route.probe:
            return
        self._judge_host(request)
        if self.admission.in_flight > self.admission.max_in_flight:
            raise self.admission.refuse()

    def _judge_host(self, request: Request) -> None:
        if request._raw is None:
            # Not from our own parser, so what that refuses may still be in it.
            guard.check_incoming(request)
        host = request.host
        if host in self._good_hosts:
            return
        if not guard.is_host(host):
            raise guard.malformed_host()
        if not self.hosts.allows(host):
            name = host.rpartition(":")[0] or host
            cure = f"; to allow it, add {name!r} to allowed_hosts in pyproject.toml" if self.debug else ""
            raise BadRequest(f"This server does not answer to that host{cure}", code="invalid_host")
        # Port and case make many spellings of one name, so the set is bounded.
        if len(self._good_hosts) < 1_000:
            self._good_hosts.add(host)

    def _find(self, request: Request) -> Route:
        """The route for a target that is not simply a static path.

        Raises:
            HTTPError: 400 for a path that has no canonical form, 404 for no route.
        """
        path, mark, query = request.target.partition("?")
        request._query = query
        route = self._static.get(path) if mark else None
        if route is not None:
            return route
        if not self._slash:
            found = self._table.match_last(path)
            if found is not None:
                request._path = path
                route, request.params = found
                return route
        # Before anything is refused; who asks for a route is judged by fetch.
        if request._host not in self._good_hosts:
            self._judge_host(request)
        if not path.startswith("/"):
            if path == "*" and request.method == "OPTIONS":
                return self._whole_server()
            raise BadRequest("The request target must be a path that starts with /", code="invalid_path")
        if not self._slash and is_plain(path):
            match = self._table.match(path[1:].split("/"))
            if match is None:
                raise NotFound()
            request._path, request.params = path, match.params
            return match.value
        parts = segments(path)
        kept = [part for part in parts if part]
        match = self._table.match(kept)
        if match is None:
            raise NotFound()
        canonical = join(kept)
        if kept and not match.value.probe:
            canonical += self._slash
        slashed = len(kept) != len(parts)
        if slashed != bool(self._slash and kept) or (slashed and not _one_slash_at_end(parts)):
            return _moved(match.value, canonical + mark + query)
        request.params = match.params
        return match.value

    def _no_method(self, route: Route, request: Request) -> Endpoint:
        if request.method not in guard.METHODS:
            raise guard.unknown_method()
        raise MethodNotAllowed(f"{request.method} is not answered here", headers=(("allow", route.allow),))

    def _whole_server(self) -> Route:
        """``OPTIONS *`` (RFC 9110 section 9.3.7)."""
        return Route(Pattern(()), Path("*"), {})

    def _failed(self, exc: Exception, request: Request) -> Response:
        status = problem.status_of(exc)
        if (status >= 500 and not isinstance(exc, HTTPError)) or exc.__cause__ is not None:
            # A database that is away or full refuses many a second, each for the same known reason.
            known = isinstance(exc, DbError) and status == 503
            logger.error(
                "%s: %s",
                type(exc).__name__,
                exc,
                exc_info=None if known else exc,
                extra={"request_id": request.id, "route": request.route.pattern if request.route else None},
            )
            if status >= 500:
                for hear in self.on_error:
                    hear(exc, request, status)
        page = self.error_page if not isinstance(exc, HTTPError) and _is_local(request) else None
        if page is not None and _wants_html(request):
            return Response.html(page(exc, request), 500)
        return problem.to_problem(exc, request, debug=self.debug and _is_local(request))

    def _write_cookies(self, request: Request, response: Response) -> None:
        for name, value, options in request.set_cookies or ():
            response.set_cookie(name, value, **options)
        response.write_cookies(request.secure)

    def sent(self, request: Request, response: Response) -> None:
        """The door is done with *response*: its stream has ended, ``after()`` work may run.

        A door need not call this for a response without chunks and a request without after_work.
        """
        if response.chunks is not None:
            self.admission.streams -= 1
        if request.after_work is not None:
            if not has_loop():
                self._left.append(request)
                return
            import asyncio

            task = asyncio.get_running_loop().create_task(self._run_after(request))
            self._after.add(task)
            task.add_done_callback(self._after.discard)
        else:
            _close_form(request)

    async def _run_after(self, request: Request) -> None:
        request.answered = True
        for function, args, kwargs, context in request.after_work or ():
            try:
                if is_coroutine_function(function):
                    await of_context(context, function(*args, **kwargs))
                else:
                    result = await self.threads.queue(context.run, partial(function, *args, **kwargs))
                    if isinstance(result, Awaitable):
                        await result
            except Exception as exc:
                name = getattr(function, "__qualname__", repr(function))
                logger.error("after(%s) failed: %s", name, exc, exc_info=exc, extra={"request_id": request.id})
        _close_form(request)

    # -- a process

    def watch(self, watcher: Middleware) -> None:
        """Put *watcher* around every request from now on, also one that no route answers; the last is outermost."""
        # In the place of the method, so that a request costs nothing where nobody watches.
        self.fetch = compose([watcher], self.fetch)  # type: ignore[assignment, method-assign]
        self.kept = None

    async def startup(self) -> None:
        """Run every ``on_startup``, in order; also after a shutdown, since some hosts start an app more than once."""
        self.started = self.draining = False
        self.threads.open()
        for start in self.on_startup:
            await start()
        self.started = True

    def drain(self) -> None:
        """Readiness says no from now on; requests are still answered."""
        self.draining = True

    def healthy(self) -> bool:
        """False when half of the threads are stuck in handlers whose requests are over."""
        return 2 * self.threads.stuck() < self.threads.size

    async def settle(self) -> None:
        """Return when all ``after()`` work is done: for a door whose process is frozen between two requests."""
        while self._left:
            await self._run_after(self._left.pop(0))
        while self._after:
            import asyncio

            await asyncio.wait(set(self._after))

    async def shutdown(self) -> None:
        """Wait for ``after()`` work, then run every ``on_shutdown``, last started first."""
        self.draining = True
        await self.settle()
        for stop in reversed(self.on_shutdown):
            try:
                await stop()
            except Exception as exc:
                logger.error("shutdown: %s", exc, exc_info=exc)
        self.threads.close()

    # -- probes

    def _probes(self) -> list[Route]:
        answers = (self._livez, self._readyz, self._startupz)
        return [
            Route(Pattern.parse(path), Path(__file__), {"GET": answer}, probe=True)
            for path, answer in zip(PROBES, answers, strict=True)
        ]

    async def _livez(self, request: Request) -> Response:
        return _status("ok", 200) if self.healthy() else _status("stuck", 503)

    async def _startupz(self, request: Request) -> Response:
        return _status("ok", 200) if self.started else _status("starting", 503)

    async def _readyz(self, request: Request) -> Response:
        """Ready: started, not draining, and every check says yes within a second."""
        if self.draining or not self.started:
            return _status("draining" if self.draining else "starting", 503)
        if not self.on_ready:
            return _status("ok", 200)
        import asyncio

        try:
            async with asyncio.timeout(1):
                ready = all([await check() for check in self.on_ready])
        except Exception as exc:
            logger.warning("readiness check failed: %s", exc)
            ready = False
        return _status("ok", 200) if ready else _status("unavailable", 503)


def _moved(route: Route, location: str) -> Route:
    """*route* under another spelling of its path: every method is sent to the canonical one."""

    async def redirect(request: Request) -> Response:
        return Response._made(b"", None, 308, [("location", location)])

    return Route(route.pattern, route.file, dict.fromkeys(guard.METHODS, redirect), probe=route.probe)


def sized(endpoint: Call) -> Call:
    """*endpoint* behind the check that a declared body length is within the limit."""

    def checked(request: Request) -> Awaitable[Any]:
        if request._body is not None:
            request._body.check(request.body_limit or request.limits.body_bytes)
        return endpoint(request)

    return checked


def answering(handlers: list[ErrorHandler], endpoint: Endpoint) -> Endpoint:
    """*endpoint* with its folder's ``error.py`` functions, nearest first, for what it raises."""
    if not handlers:
        return endpoint

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as exc:
            for handler in handlers:
                response = await handler(exc, request)
                if response is not None:
                    return to_response(response)
            raise

    return guarded


def _close_form(request: Request) -> None:
    """Uploads are temporary: they go when nobody can read them any more."""
    if request._form is not None:
        request._form.close()


async def _close(response: Response) -> None:
    close: Any = getattr(response.chunks, "aclose", None)
    if close is not None:
        await close()
    response.chunks = None


def _status(text: str, status: int) -> Response:
    return Response.json({"status": text}, status, {"cache-control": "no-store"})


def _one_slash_at_end(parts: list[str]) -> bool:
    return len(parts) > 1 and parts[-1] == "" and all(parts[:-1])


def _is_local(request: Request) -> bool:
    """Whether the peer is on this machine: nobody else is shown what went wrong, not even in development."""
    return request.peer is None or request.peer in ("127.0.0.1", "::1")


def _wants_html(request: Request) -> bool:
    from .http.media import negotiate

    return negotiate(request.headers.get("accept") or "*/*", ["application/json", "text/html"]) == "text/html"
