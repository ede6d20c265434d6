"""OpenTelemetry traces: a span for each request, where the app has set a tracer provider.

Nothing is installed or set for it here: ``register()`` in ``app/instrumentation.py``, or
``opentelemetry-instrument``, chooses the provider and where spans go. Without one a request pays nothing.

Names and attributes are those of the semantic conventions for HTTP servers. ``url.path`` is left out, since a
path may hold a token: ``http.route`` is the pattern. Texts of exceptions are redacted as in the log.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .http.guard import METHODS
from .http.request import Request
from .http.response import Response
from .log import redact
from .middleware import Endpoint, Middleware

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def watcher() -> Middleware | None:
    """What makes a span of each request, or None where nobody has set a tracer provider."""
    # A process in which nobody has imported it has no provider either, and need not pay for finding that out.
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    if isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return None
    return _traced


async def _traced(request: Request, next: Endpoint) -> Response:
    from opentelemetry import propagate, trace

    tracer = trace.get_tracer("turnout")
    method = request.method if request.method in METHODS else "_OTHER"
    host = request.headers.get("host") or ""
    attributes = {"http.request.method": method, "url.scheme": request.scheme, "server.address": host}
    name = "HTTP" if method == "_OTHER" else method  # a client may call a method what it likes
    with tracer.start_as_current_span(
        name,
        context=propagate.extract(_carrier(request)),
        kind=trace.SpanKind.SERVER,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,  # its text, as it is
    ) as span:
        response = await next(request)
        _describe(span, name, request, response.status)
    return response


def _carrier(request: Request) -> Mapping[str, str]:
    """The fields that carry a trace (W3C Trace Context), as the propagators ask for them."""
    found = {name: request.headers.get(name) for name in ("traceparent", "tracestate", "baggage")}
    return {name: value for name, value in found.items() if value}


def _describe(span: Span, name: str, request: Request, status: int) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute("http.response.status_code", status)
    span.set_attribute("turnout.request_id", request.id)
    if request.route is not None:
        span.update_name(f"{name} {request.route.pattern}")
        span.set_attribute("http.route", request.route.pattern)
    if status >= 500:
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", str(status))


def hear(error: Exception, request: Request, status: int) -> None:
    """Put *error*, which became a 5xx, on the request's span."""
    from traceback import format_exception

    from opentelemetry import trace

    trace.get_current_span().add_event(
        "exception",
        {
            "exception.type": type(error).__qualname__,
            "exception.message": redact(str(error)),
            "exception.stacktrace": redact("".join(format_exception(error))),
        },
    )
