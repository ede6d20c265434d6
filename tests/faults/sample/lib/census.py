"""What there is in this worker: counted by the worker itself, on request."""

import asyncio
import ctypes
import gc
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

cancelled_at_s: list[float] = []
entered: list[int] = []


def give_back() -> None:
    """Give the system what the C library holds free after a crowd, so that what stays is what is in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # which not every C library has
    if trim is not None:
        trim(0)


def census() -> dict[str, Any]:
    gc.collect()
    objects = gc.get_objects()
    kinds = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in objects)
    return {
        "pid": os.getpid(),
        "objects": len(objects),
        "blocks": sys.getallocatedblocks(),
        "tasks": len(asyncio.all_tasks()),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "connections": kinds["turnout.server.protocol.Connection"],
        "requests": kinds["turnout.http.request.Request"],
        "entered": len(entered),
        "cancelled_at_s": cancelled_at_s,
        "kinds": dict(kinds.most_common(40)),
    }
