"""Server-sent events: items to the ``text/event-stream`` format, with a comment when quiet.

Format: HTML standard, section 9.2 (https://html.spec.whatwg.org/#server-sent-events).
"""

from __future__ import annotations

import asyncio
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
    fields = item if isinstance(item, dict) and "data" in item else {"data": item}
    unknown = fields.keys() - {"data", "event", "id", "retry"}
    if unknown:
        raise TypeError(f"an event has data, event, id and retry, not {', '.join(sorted(unknown))}")
    lines = []
    for name in ("event", "id", "retry"):
        value = fields.get(name)
        if value is None:
            continue
        text = str(value)
        if re.search(r"[\r\n\x00]", text):
            raise TypeError(f"the {name} of an event cannot hold a line end")
        lines.append(f"{name}: {text}")
    data = fields["data"]
    text = data if isinstance(data, str) else jsontext.dumps(data).decode()
    lines.extend(f"data: {line}" for line in _line_ends.split(text))
    return ("\n".join(lines) + "\n\n").encode()


async def encode_events(events: AsyncIterable[Any], ping_s: float) -> AsyncIterator[bytes]:
    """The events as bytes; a comment whenever *ping_s* seconds pass without one."""
    source = aiter(events)
    coming: asyncio.Task[Any] | None = None
    try:
        while True:
            # A task, since the wait for the next item must outlive each ping.
            coming = asyncio.ensure_future(_next(source))
            while not (await asyncio.wait({coming}, timeout=ping_s))[0]:
                yield PING
            try:
                item = coming.result()
            except StopAsyncIteration:
                return
            yield encode_event(item)
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
            await asyncio.wait({coming})
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def _next(source: AsyncIterator[Any]) -> Any:
    return await anext(source)
