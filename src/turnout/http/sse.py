"""Server-sent events: items to the ``text/event-stream`` format.

Format: HTML standard, section 9.2 (https://html.spec.whatwg.org/#server-sent-events). The
comment that keeps a quiet stream alive is sent by the door (``Response.ping``): waiting for
the next event or a clock, whichever is first, would cost every event a task.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from . import jsontext

PING = b": ping\n\n"
_line_ends = re.compile(r"\r\n|\r|\n")


def encode_event(item: Any) -> bytes:
    """One event: a str is its data; a dict has ``data`` and perhaps ``event``, ``id``, ``retry``.

    Data that is not a str is written as JSON.

    Raises:
        TypeError: an unknown key, or a line end in ``event`` or ``id``.
    """
    if not isinstance(item, dict) or "data" not in item:
        return _encode_data(item)
    unknown = item.keys() - {"data", "event", "id", "retry"}
    if unknown:
        raise TypeError(f"an event has data, event, id and retry, not {', '.join(sorted(unknown))}")
    lines = []
    for name in ("event", "id", "retry"):
        value = item.get(name)
        if value is None:
            continue
        text = str(value)
        if re.search(r"[\r\n\x00]", text):
            raise TypeError(f"the {name} of an event cannot hold a line end")
        lines.append(f"{name}: {text}\n")
    return "".join(lines).encode() + _encode_data(item["data"])


def _encode_data(data: Any) -> bytes:
    if not isinstance(data, str):
        return b"data: %b\n\n" % jsontext.dumps(data)  # JSON holds no line end
    lines = [f"data: {line}\n" for line in _line_ends.split(data)]
    return "".join([*lines, "\n"]).encode()


async def encode_events(events: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    """The events as bytes."""
    source = aiter(events)
    try:
        async for item in source:
            yield encode_event(item)
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
