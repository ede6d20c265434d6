"""How long a function on AWS Lambda takes from its first event to its first answer, by runtime and size of project.

Run:     python -m benchmarks.cold            (about two minutes; make test-deploy fetches the emulator)
Prints:  case, cold start in ms: median, least and most of 20 processes; what of the median the process
         was on a CPU, which is steady on a busy machine; a warm answer: median in ms; the zip in MB.
         A cold start is a new process each: the emulator starts it at its first event.
Do not:  take the emulator's "Init Duration", which is fiction, or compare with numbers of a real
         Lambda, which fetches and unpacks the zip first and gives a small function a part of a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RIE = Path(sys.prefix) / "aws-lambda-rie"
PYTHON = os.path.realpath(sys.executable)

SETTINGS = """
[project]
name = "cold"
version = "1"
dependencies = ["turnout"]

[tool.turnout]
allowed_hosts = ["*"]

[tool.turnout.deploy]
lambda_runtime = "{runtime}"
"""
TEXT = "from turnout import Response\n\n\nasync def GET(request):\n    return Response.text('hello')\n"
JSON = "async def GET(request, id: int):\n    return {'id': id}\n"
WAITS = "import asyncio\n\n\nasync def GET(request):\n    await asyncio.sleep(0)\n    return {'waited': True}\n"
OTHER = """from msgspec import Struct


class Item(Struct):
    name: str


async def GET(request, id: int):
    return {"id": id}


async def POST(request, id: int, body: Item):
    return body
"""
MANGUM = """
from mangum import Mangum
from turnout.built import asgi

handler = Mangum(asgi("."), lifespan="off")
"""
ANSWERS = {"/text": "hello", "/json/7": '{"id":7}', "/waits": '{"waited":true}'}


def project(root: Path, routes: int, runtime: str) -> Path:
    """Build a function of so many routes, and give its folder, unpacked from the zip."""
    files = {"text": TEXT, "json/[id]": JSON, "waits": WAITS}
    files |= {f"other/{number}/[id]": OTHER for number in range(routes - len(files))}
    (root / "pyproject.toml").write_text(SETTINGS.format(runtime=runtime))
    for place, text in files.items():
        (root / "app" / place).mkdir(parents=True)
        (root / "app" / place / "route.py").write_text(text)
    subprocess.run([sys.executable, "-m", "turnout", "build", str(root), "--target", "aws-lambda"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    folder = root / "function"
    shutil.unpack_archive(root / "build/aws-lambda/function.zip", folder)
    return folder


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def invoke(port: int, path: str) -> str:
    """One invocation; the body of the answer."""
    http = {"method": "GET", "path": path, "sourceIp": "192.0.2.7"}
    event = {"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {"host": "cold.example"},
             "requestContext": {"http": http, "stage": "$default"}, "isBase64Encoded": False}  # fmt: skip
    body = json.dumps(event).encode()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(
            b"POST /2015-03-31/functions/function/invocations HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        answer = b"".join(iter(lambda: sock.recv(65_536), b""))
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["body"])


def measure(folder: Path, path: str, runtime: str, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Cold times, of them on a CPU, and warm times, in ms."""
    cold, on_cpu, warm = [], [], []
    handler = "mangum_function.handler" if runtime == "mangum" else "lambda_function.handler"
    command = ["/bin/sh", str(folder / "bootstrap"), PYTHON]
    environment = {"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": str(folder), "AWS_LAMBDA_FUNCTION_NAME": "cold"}
    if runtime != "loop":
        command = [PYTHON, "-m", "awslambdaric", handler]
        site = next(place for place in sys.path if place.endswith("site-packages"))
        environment["PYTHONPATH"] = f"{folder}{os.pathsep}{site}"
    for _ in range(rounds):
        port, api = free_port(), free_port()
        where = [
            "--runtime-interface-emulator-address",
            f"127.0.0.1:{port}",
            "--runtime-api-address",
            f"127.0.0.1:{api}",
        ]
        process = subprocess.Popen([str(RIE), *where, *command], cwd=folder, env=environment, start_new_session=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.01)
            cold.append(timed(port, path))
            on_cpu.append(cpu_ms(process.pid))
            warm.extend(timed(port, path) for _ in range(20))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return cold, on_cpu, warm


def cpu_ms(emulator: int) -> float:
    """How long the process that *emulator* has started was on a CPU so far."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == emulator:
                return int((stat.parent / "schedstat").read_text().split()[0]) / 1e6
        except OSError:  # it has ended meanwhile
            continue
    raise AssertionError("the emulator runs nothing")


def timed(port: int, path: str) -> float:
    """Milliseconds of one invocation, whose answer is the right one."""
    begun_s = time.perf_counter()
    answer = invoke(port, path)
    spent_ms = (time.perf_counter() - begun_s) * 1_000
    assert answer == ANSWERS[path], answer
    return spent_ms


def main() -> None:
    """Measure every case and print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    if not RIE.is_file():
        raise SystemExit("AWS's Lambda emulator is not here: make test-deploy fetches it")
    cases = [
        ("loop", 3, "/text"), ("loop", 3, "/json/7"), ("loop", 3, "/waits"), ("loop", 200, "/text"),
        ("managed", 3, "/text"), ("managed", 3, "/waits"), ("mangum", 3, "/text"),
    ]  # fmt: skip
    print("runtime  routes path      cold ms  least   most  cpu ms  warm ms  zip MB")
    for runtime, routes, path in cases:
        with tempfile.TemporaryDirectory() as place:
            folder = project(Path(place), routes, "loop" if runtime == "loop" else "managed")
            size = (Path(place) / "build/aws-lambda/function.zip").stat().st_size / 1e6
            if runtime == "mangum":
                (folder / "mangum_function.py").write_text(MANGUM)
                own = Path(__file__).parents[1] / "src/turnout"
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(own, folder / "turnout", dirs_exist_ok=True, ignore=ignored)
                subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=True)
            cold, on_cpu, warm = measure(folder, path, runtime, rounds)
        print(
            f"{runtime:<8} {routes:>6} {path:<8} {statistics.median(cold):>8.1f} {min(cold):>6.1f} {max(cold):>6.1f} "
            f"{statistics.median(on_cpu):>7.1f} {statistics.median(warm):>8.2f} {size:>7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
