"""R10: the disk is full: writes are refused as 503, reads go on, and when there is room again so do writes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from faults.load import ask, request
from faults.started import children, make, starting

NOTE = request("/api/notes", b'{"text":"' + b"x" * 3_000 + b'"}')
SIZE = "4m"


def namespace() -> list[str]:
    """What runs a command where it may mount, or a skip."""
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        probe = [*command, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True).returncode == 0:
            return command
    pytest.skip("a small file system cannot be mounted here (unshare -m, tmpfs)")


async def test_writes_on_a_full_disk_are_503_reads_go_on_and_it_heals_by_itself(tmp_path, full, say):
    rounds = 20 if full else 2
    root = make(tmp_path / "project")
    # The server's own view of the data folder: a tmpfs with a copy of what was there.
    script = f'cp -r "$0" "$0.copy" && mount -t tmpfs -o size={SIZE} tmpfs "$0" && cp "$0.copy"/* "$0" && exec "$@"'
    before = [*namespace(), "sh", "-c", script, str(root / "data")]
    stored = refused = 0
    with starting(root, workers=1, before=before) as server:
        (pid,) = children(server.process.pid)
        data = Path(f"/proc/{pid}/root{root}/data")  # seen from outside of its namespace
        assert (await ask(server.port, NOTE)).status == 201
        stored += 1
        for _ in range(rounds):
            ballast(data / "ballast")
            while (answer := await ask(server.port, NOTE)).status == 201:
                stored += 1
            for _ in range(10):
                answer = await ask(server.port, NOTE)
                assert answer.status == 503, answer
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json["code"] == "53100"
                refused += 1
                read = await ask(server.port, request("/api/notes"))
                assert read.status == 200 and read.json == {"count": stored}
            assert (await ask(server.port, request("/readyz"))).status == 200
            (data / "ballast").unlink()
            assert (await ask(server.port, NOTE)).status == 201
            stored += 1
        assert server.workers() == {pid}  # nobody died of it
    say(f"disk full {rounds} times: {refused} writes refused with 503, every read answered, {stored} notes, none lost")


def ballast(file: Path) -> None:
    """Fill what is left of the file system."""
    fd = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        size = 1 << 16
        while size >= 512:
            try:
                os.write(fd, bytes(size))
            except OSError:
                size //= 2
    finally:
        os.close(fd)
