"""Ports for servers that must know theirs before they start.

A port that the system has chosen and that was given back may be chosen again before it is used: by any client's
connection, of this process or another. So these are from below the range that the system chooses from, and each
process of tests walks through them from a place of its own.
"""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

FIRST, COUNT = 18_000, 12_000  # Linux chooses from 32768 on
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_steps = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """A port of this machine that nobody listens on, nor will be given by chance."""
    chosen_by_system = _RANGE.read_text().split() if _RANGE.exists() else ["1024"]
    ours = int(chosen_by_system[0]) >= FIRST + COUNT
    for step in itertools.islice(_steps, COUNT):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", FIRST + step % COUNT if ours else 0))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise AssertionError("every port is taken")
