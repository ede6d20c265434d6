"""AWS Lambda events to requests and back, and the handler for AWS's own runtime client.

One normaliser for API Gateway (HTTP API and Function URL, payload 2.0; REST API, 1.0) and Application
Load Balancer; EventBridge and SQS go to tasks. Each source has its own traps, noted where they are met.
Source: https://docs.aws.amazon.com/lambda/latest/dg/ and the payload format pages of API Gateway.

A coroutine that never waits is driven by hand: importing asyncio takes as long as all of Turnout, so a
loop is made only for the first one that waits, and kept.
"""

from __future__ import annotations

import contextvars
import types
from binascii import a2b_base64, b2a_base64
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

from ..errors import TurnoutError
from ..http import guard
from ..http.fetch import Fetch, go_on, handler_timeout
from ..http.headers import Headers
from ..http.request import Request
from ..http.response import Response, to_bytes
from ..logger import get_logger

if TYPE_CHECKING:
    import asyncio

Kind = Literal["v2", "v1", "alb-multi", "alb-single"]
RunTask = Callable[[str, list[Any], dict[str, Any]], Awaitable[None]]
T = TypeVar("T")

logger = get_logger("turnout.lambda")

SPARE_S = 0.5  # kept back of the time that the function has left, so that the caller gets our 503
BUFFERED_BYTES = 6_291_556  # what an answer may have as a whole: 6 MB and an envelope
_PATH_SAFE = "/%-._~!$&'()*+,;=:@"
_TEXT = ("text/", "application/json", "application/xml", "application/javascript", "image/svg+xml")


class Served(Fetch, Protocol):
    """What this door needs: work after an answer is waited for, since the process is frozen afterwards."""

    async def settle(self) -> None:
        """Return when the work after the answers so far is done."""
        ...


class Answer(NamedTuple):
    """What goes out: status, fields as pairs, and a whole body."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes


# -- in


def kind_of(event: dict[str, Any]) -> Kind | None:
    """Which HTTP source an event is from; None if it is from none."""
    context = event.get("requestContext")
    if not isinstance(context, dict):
        return None
    if "elb" in context:
        return "alb-multi" if "multiValueHeaders" in event else "alb-single"
    if event.get("version") == "2.0" and "http" in context:
        return "v2"
    return "v1" if "httpMethod" in event else None


def to_request(event: dict[str, Any], kind: Kind) -> Request:
    """The request that an HTTP event stands for."""
    context = event["requestContext"]
    if kind == "v2":
        method, fields = context["http"]["method"], _single(event)
        # Cookies are a list of their own, without their header.
        if event.get("cookies"):
            fields.append(("cookie", "; ".join(event["cookies"])))
        target = _path(event["rawPath"], context.get("stage"))
        query, peer, scheme = event.get("rawQueryString") or "", context["http"].get("sourceIp"), "https"
    else:
        method = event["httpMethod"]
        fields = _single(event) if kind == "alb-single" else _multi(event)
        query = _query(event, decoded=kind == "v1")
        target, peer, scheme = _path(event["path"], None), None, "https"
        if kind == "v1":
            peer = (context.get("identity") or {}).get("sourceIp")
        else:  # the balancer itself writes these two, over whatever the client has sent
            peer = next((value.rpartition(",")[2].strip() for name, value in fields if name == "x-forwarded-for"), None)
            scheme = next((value for name, value in fields if name == "x-forwarded-proto"), "http")
    body = event.get("body") or ""
    request = Request(
        method,
        f"{target}?{query}" if query else target,
        headers=Headers(fields),
        body=a2b_base64(body) if event.get("isBase64Encoded") else body.encode(),
        peer=peer,
        scheme=scheme,
    )
    request.state.lambda_event = event
    return request


def _single(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in (event.get("headers") or {}).items()]


def _multi(event: dict[str, Any]) -> list[tuple[str, str]]:
    found = event.get("multiValueHeaders")
    if not found:
        return _single(event)
    return [(name.lower(), value) for name, values in found.items() for value in values]


def _path(path: str, stage: str | None) -> str:
    """The path as a request target; a stage other than ``$default`` stands before it."""
    if stage and stage != "$default" and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
        path = path[len(stage) + 1 :] or "/"
    if path.isascii() and not set(path) & set(' "<>\\^`{|}#?'):
        return path
    from urllib.parse import quote

    return quote(path, safe=_PATH_SAFE)  # some sources have decoded it; what is left of escapes stays


def _query(event: dict[str, Any], *, decoded: bool) -> str:
    """The query: REST APIs decode it, balancers do not; the order of different names is lost."""
    found = event.get("multiValueQueryStringParameters") or {
        name: [value] for name, value in (event.get("queryStringParameters") or {}).items()
    }
    pairs = [(name, value) for name, values in found.items() for value in values]
    if not decoded:
        return "&".join(f"{name}={value}" for name, value in pairs)
    from urllib.parse import urlencode

    return urlencode(pairs)


# -- out


def to_event(answer: Answer, kind: Kind) -> dict[str, Any]:
    """*answer* as the source of the event wants it.

    Raises:
        TurnoutError: several cookies for a balancer that takes one, or a body over the limit.
    """
    if len(answer.body) > BUFFERED_BYTES:
        raise TurnoutError(f"the answer has {len(answer.body):,} bytes, and Lambda takes {BUFFERED_BYTES:,}")
    is_text = _is_text(answer.fields)
    body = _decode(answer.body) if is_text else None
    made: dict[str, Any] = {
        "statusCode": answer.status,
        "body": b2a_base64(answer.body, newline=False).decode() if body is None else body,
        "isBase64Encoded": body is None,
    }
    multi: dict[str, list[str]] = {}
    for name, value in answer.fields:
        multi.setdefault(name, []).append(value)
    cookies = multi.get("set-cookie", [])
    if kind in ("v1", "alb-multi"):
        return {**made, "multiValueHeaders": multi}  # another key, such as cookies, would be a 502 of API Gateway's
    if kind == "v2" and cookies:
        del multi["set-cookie"]
        made["cookies"] = cookies
    elif len(cookies) > 1:
        raise TurnoutError(
            f"{len(cookies)} cookies for a load balancer that sends one of them; set "
            "lambda.multi_value_headers.enabled = true on its target group"
        )
    return {**made, "headers": {name: ", ".join(values) for name, values in multi.items()}}


def _is_text(fields: list[tuple[str, str]]) -> bool:
    names = dict(fields)
    kind = names.get("content-type", "")
    return "content-encoding" not in names and (not kind or kind.startswith(_TEXT) or "+json" in kind)


def _decode(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def head(response: Response) -> tuple[int, list[tuple[str, str]]]:
    """Status and fields of *response*; the length of a stream is known only when its maker says so."""
    fields = guard.fields(response)
    length = len(response.body) if response.chunks is None else response.content_length
    if length is not None and response.status not in (204, 304):
        fields.append(("content-length", str(length)))
    return response.status, fields


async def whole(request: Request, response: Response) -> Answer:
    """*response* with its stream, if it has one, read to the end."""
    pieces = []
    if response.chunks is not None:
        try:
            size = 0
            async for item in response.chunks if request.method != "HEAD" else _nothing():
                pieces.append(to_bytes(item))
                size += len(pieces[-1])
                if size > BUFFERED_BYTES:
                    raise TurnoutError(f"a stream of more than {BUFFERED_BYTES:,} bytes, which Lambda does not buffer")
        finally:
            await close(response)
    body = response.body if response.chunks is None else b"".join(pieces)
    status, fields = head(response)
    return Answer(status, fields, b"" if request.method == "HEAD" or status in (204, 304) else body)


async def _nothing() -> Any:
    return
    yield


async def close(response: Response) -> None:
    """End the stream of *response*, read or not."""
    end: Any = getattr(response.chunks, "aclose", None)
    if end is not None:
        await end()


# -- driving


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield


class Driver:
    """Runs coroutines to their end: by hand while they never wait, else in a loop that is kept."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What *work* returns. Each runs in a context of its own."""
        context = contextvars.copy_context()
        if self._runner is None:
            try:
                waiting = context.run(work.send, None)
            except StopIteration as done:
                result: T = done.value
                return result
            import asyncio

            self._runner = asyncio.Runner()
            work = _rest(work, waiting)
        return self._runner.run(work, context=context)

    def close(self) -> None:
        """Let the loop go."""
        if self._runner is not None:
            self._runner.close()


async def _rest(work: Coroutine[Any, Any, T], waiting: Any) -> T:
    return await go_on(work, waiting)


async def answer(app: Fetch, request: Request, left_s: float) -> Response:
    """``app.fetch`` within the time that the function has left."""
    coro = app.fetch(request)
    try:
        waiting = coro.send(None)
    except StopIteration as done:
        response: Response = done.value
        return response
    if waiting is None:  # it asks for a loop, in which this goes on then; a clock needs one too
        await _pause()
    import asyncio

    allowed_s = max(0.0, left_s - SPARE_S)
    try:
        async with asyncio.timeout(min(request.max_duration or allowed_s, allowed_s)):
            return await go_on(coro, waiting)
    except TimeoutError:
        return handler_timeout(request)


# -- events that are no requests


async def run_tasks(event: dict[str, Any], run_task: RunTask | None) -> dict[str, Any] | None:
    """Run what a schedule, EventBridge or SQS event names: ``{"task": "nightly", "args": [], "kwargs": {}}``.

    Returns:
        For SQS the ids of the messages to deliver again; None otherwise.

    Raises:
        TurnoutError: it names no task.
    """
    records = event.get("Records")
    if isinstance(records, list):
        failed = []
        for record in records:
            try:
                await _run_named(_message(record), run_task)
            except Exception as exc:
                logger.error("message %s: %s", record.get("messageId"), exc, exc_info=exc)
                failed.append({"itemIdentifier": record.get("messageId")})
        return {"batchItemFailures": failed}
    detail = event.get("detail")
    await _run_named(event if "task" in event or not isinstance(detail, dict) else detail, run_task)
    return None


def _message(record: dict[str, Any]) -> dict[str, Any]:
    from ..http.jsontext import loads

    found = loads(str(record.get("body", "")).encode())
    return found if isinstance(found, dict) else {}


async def _run_named(found: dict[str, Any], run_task: RunTask | None) -> None:
    name = found.get("task")
    if not isinstance(name, str) or run_task is None:
        raise TurnoutError(f"the event with the keys {sorted(found)} is no request and names no task")
    await run_task(name, found.get("args") or [], found.get("kwargs") or {})


# -- under AWS's own runtime client


class Handler:
    """``handler(event, context)`` for ``awslambdaric``: no streams, and ``after()`` runs before the answer leaves.

    Args:
        app: What answers.
        run_task: Runs a task of the project by its name.
    """

    def __init__(self, app: Served, run_task: RunTask | None = None) -> None:
        self.app, self.run_task = app, run_task
        self.driver = Driver()
        self._started = False

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any] | None:
        return self.driver.run(self._handle(event, context.get_remaining_time_in_millis() / 1000))

    async def _handle(self, event: dict[str, Any], left_s: float) -> dict[str, Any] | None:
        if not self._started:
            await self.app.startup()
            self._started = True
        kind = kind_of(event)
        if kind is None:
            return await run_tasks(event, self.run_task)
        request = to_request(event, kind)
        response = await answer(self.app, request, left_s)
        try:
            return to_event(await whole(request, response), kind)
        finally:
            self.app.sent(request, response)
            await self.app.settle()
