"""Starts rest_server.py for a test and stops it after."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEADLINE_S = 90.0


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[str]:
    """The base URL of the wire, ``http://127.0.0.1:…``; *options* as in rest_server.py."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "port").unlink(missing_ok=True)
    script = Path(__file__).with_name("rest_server.py")
    with (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen([sys.executable, str(script), str(folder), json.dumps(options)], stderr=stderr)
    try:
        give_up = time.monotonic() + DEADLINE_S
        while not (folder / "port").exists():
            assert process.poll() is None and time.monotonic() < give_up, (folder / "stderr").read_text()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{(folder / 'port').read_text()}"
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
