"""Restricts this process and becomes another program: ``python -I _jail.py SPEC -- argv``.

A program of its own, and of the standard library only: what restricts itself after ``fork`` in a process
with threads may hang, so nothing here runs in the caller. SPEC is the JSON of ``jail.py``. The order matters:
namespaces, mounts, the fork that makes PID 1, capabilities, Landlock, limits, ``exec``. What was really
put in place is written to a pipe that the jailed program never has, so a report cannot claim more.

Sources: unshare(2), user_namespaces(7), pivot_root(2), mount_setattr(2), landlock(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
LINUX = sys.platform == "linux"

# sched.h
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
# sys/mount.h
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 2, 4, 8, 4096, 16384, 1 << 18, 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, AT_FDCWD, AT_RECURSIVE = 1, 2, 4, -100, 0x8000
# linux/prctl.h
PDEATHSIG, CAPBSET_DROP, SET_CHILD_SUBREAPER, NO_NEW_PRIVS, CAP_AMBIENT, AMBIENT_CLEAR = 1, 24, 36, 38, 47, 4
# The numbers of 424 and above are the same on every architecture.
SYS_MOUNT_SETATTR, SYS_LANDLOCK_CREATE, SYS_LANDLOCK_RULE, SYS_LANDLOCK_RESTRICT = 442, 444, 445, 446
_BY_MACHINE = {"x86_64": {"pivot_root": 155, "keyctl": 250}, "aarch64": {"pivot_root": 41, "keyctl": 219}}

INSIDE_ID = 1000
DEVICES = ("null", "zero", "full", "random", "urandom")
FAILED, TIMED_OUT = 125, 124


def main(words: list[str]) -> None:
    """Do what SPEC says, and end with the exit status of the program."""
    spec = json.loads(words[0])
    command = words[words.index("--") + 1 :]
    os.set_inheritable(spec["status_fd"], False)
    die_with_parent()
    with last_words(spec):
        os._exit(namespaced(spec, command) if spec["mode"] == "namespaces" else supervised(spec, command))


@contextmanager
def last_words(spec: dict[str, Any]) -> Iterator[None]:
    """End this process after the block, and say which step failed if one did."""
    try:
        yield
    except OSError as exc:
        say(spec, failed=f"{exc.strerror or exc}: {exc.filename or ''}".rstrip(": "))
    finally:
        os._exit(FAILED)


def say(spec: dict[str, Any], **facts: Any) -> None:
    """Tell the caller, on the pipe that the jailed program does not inherit."""
    os.write(spec["status_fd"], json.dumps(facts).encode() + b"\n")


# -- system calls


def call(what: str, result: int) -> int:
    """*result* of a C function, or its error with *what* was tried."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def prctl(option: int, value: int = 0, third: int = 0) -> int:
    """prctl(2); elsewhere than on Linux nothing, as the calls there are other ones."""
    if not LINUX:
        return 0
    words = [ctypes.c_ulong(each) for each in (value, third, 0, 0)]
    return int(_libc.prctl(ctypes.c_int(option), *words))


def syscall(number: int, *words: Any) -> int:
    """syscall(2); every word is passed in full width."""
    plain = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    return int(_libc.syscall(ctypes.c_long(number), *plain))


def unshare(flags: int) -> None:
    """unshare(2); ``os.unshare`` came with Python 3.12."""
    call("unshare", _libc.unshare(flags))


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    call(f"mount {target}", _libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]))


def die_with_parent() -> None:
    """Be killed when the process that started this one ends."""
    prctl(PDEATHSIG, signal.SIGKILL)


# -- the whole jail: namespaces


def namespaced(spec: dict[str, Any], command: list[str]) -> int:
    """Run *command* as the only thing in namespaces of its own; the jail ends with this process."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(NEWUSER | NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS)
    die_with_parent()  # again: gaining the namespace's capabilities has cleared it
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{INSIDE_ID} {uid} 1")
    write("/proc/self/gid_map", f"{INSIDE_ID} {gid} 1")
    # No namespaces within: they would give back the capabilities that are dropped below.
    write("/proc/sys/user/max_user_namespaces", "0")
    alive, alive_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(alive_end)
        die_with_parent()
        with last_words(spec):
            first_process(spec, command, alive)
    os.close(alive)
    return wait_for(spec, child, spec["wall_s"])


def write(path: str, text: str) -> None:
    """Write to a file of /proc, whose content is one write."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def wait_for(spec: dict[str, Any], child: int, wall_s: float) -> int:
    """The exit status of *child*, which is killed after *wall_s* seconds."""
    late = False

    def on_alarm(*_: object) -> None:
        nonlocal late
        late = True
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, wall_s)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.setitimer(signal.ITIMER_REAL, 0)
    if late:
        say(spec, timed_out=True)
        return TIMED_OUT
    return 128 - status if status < 0 else status


def first_process(spec: dict[str, Any], command: list[str], alive: int) -> None:
    """PID 1 of the jail: mounts, drops what it can do, starts *command* and reaps; never returns."""
    os.set_blocking(alive, False)
    try:
        if os.read(alive, 1) == b"":  # the parent died before die_with_parent() was in force
            os._exit(FAILED)
    except BlockingIOError:
        pass
    os.close(alive)
    layers = ["user namespace", "mount namespace", "pid namespace", "network namespace", "ipc namespace"]
    new_root(spec)
    call("sethostname", _libc.sethostname(b"jail", 4))
    drop_capabilities()
    layers.append("no capabilities")
    child = os.fork()
    if child == 0:
        with last_words(spec):
            become(spec, command, layers)
    # The jailed program runs as the same user and could look into this process.
    os.close(spec["status_fd"])
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)  # and with PID 1 everything else in the namespace ends


def new_root(spec: dict[str, Any]) -> None:
    """A root in memory, with what may be read bound read-only and what may be written bound as it is."""
    root = spec["root"]
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("jail", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=0755")
    for folder, size in (("tmp", "256m"), ("dev", "1m"), ("dev/shm", "256m")):
        make_folder(f"{root}/{folder}")
        mount("jail", f"{root}/{folder}", "tmpfs", MS_NOSUID | MS_NODEV, f"size={size},mode=0755")
    for name in DEVICES:
        bind(f"/dev/{name}", root, ATTR_NOSUID)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        Path(root, "dev", name).symlink_to(target)
    # Shortest first: a folder inside another is bound over what the other shows.
    for path in sorted(spec["readable"], key=len):
        bind(path, root, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
    for path in spec["writable"]:
        bind(path, root, ATTR_NOSUID | ATTR_NODEV)
    make_etc(Path(root))
    make_folder(f"{root}/proc")
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for folder in ("", "/dev"):
        set_attributes(root + folder, ATTR_RDONLY, recursive=False)
    os.chdir(root)
    # The old root is mounted over the new one and taken away from there; no folder for it is needed.
    pivot_root = _BY_MACHINE.get(os.uname().machine, {}).get("pivot_root")
    if pivot_root is None:
        raise OSError(0, f"no pivot_root number for {os.uname().machine}")
    call("pivot_root", syscall(pivot_root, b".", b"."))
    call("umount the old root", _libc.umount2(b".", MNT_DETACH))
    os.chdir("/")


def make_folder(path: str) -> None:
    """*path* and those above it; what is there stays."""
    Path(path).mkdir(parents=True, exist_ok=True)


def bind(path: str, root: str, attributes: int) -> None:
    """Show *path* at the same place below *root*."""
    target = root + path
    if Path(path).is_dir():
        make_folder(target)
    elif not Path(target).exists():
        make_folder(str(Path(target).parent))
        Path(target).touch()
    mount(path, target, None, MS_BIND | MS_REC)
    set_attributes(target, attributes)


def set_attributes(target: str, attributes: int, *, recursive: bool = True) -> None:
    """mount_setattr(2): unlike a remount it reaches the mounts below *target* too."""
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    done = syscall(SYS_MOUNT_SETATTR, AT_FDCWD, os.fsencode(target), flags, wanted, ctypes.sizeof(wanted))
    call(f"mount_setattr {target}", done)


def make_etc(root: Path) -> None:
    """Names for the user inside, and no names of hosts but its own."""
    make_folder(str(root / "etc"))
    (root / "etc/passwd").write_text(f"jail:x:{INSIDE_ID}:{INSIDE_ID}:jail:/tmp:/bin/sh\n")
    (root / "etc/group").write_text(f"jail:x:{INSIDE_ID}:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")


def drop_capabilities() -> None:
    """Every capability, from every set, for good."""
    prctl(CAP_AMBIENT, AMBIENT_CLEAR)
    for capability in range(64):
        if prctl(CAPBSET_DROP, capability) < 0 and ctypes.get_errno() == 22:  # EINVAL: there are no more
            break
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    nothing = (ctypes.c_uint32 * 6)()
    call("capset", _libc.capset(header, nothing))


# -- what every mode ends with


def become(spec: dict[str, Any], command: list[str], layers: list[str]) -> None:
    """Take on the last restrictions and exec *command*; returns only by raising."""
    call("no_new_privs", prctl(NO_NEW_PRIVS, 1))
    keyctl = _BY_MACHINE.get(os.uname().machine, {}).get("keyctl")
    if LINUX and keyctl is not None:
        syscall(keyctl, 1, 0)  # KEYCTL_JOIN_SESSION_KEYRING: a new one, not the user's
    if spec["mode"] != "limits":
        abi = landlock(spec)
        if abi:
            layers = [*layers, f"landlock abi {abi}"]
        elif spec["mode"] == "landlock":
            raise OSError(38, "this kernel has no Landlock")
    os.chdir(spec["cwd"])
    say(spec, layers=[*layers, "limits", "clean environment", "wall clock"])
    limit(spec["limits"])
    os.execve(command[0], command, spec["env"])


def limit(limits: dict[str, int]) -> None:
    """Set each limit, hard as well as soft; one that is lower already stays."""
    names = {
        "memory_bytes": resource.RLIMIT_AS,
        "cpu_s": resource.RLIMIT_CPU,
        "file_bytes": resource.RLIMIT_FSIZE,
        "files": resource.RLIMIT_NOFILE,
        "processes": resource.RLIMIT_NPROC,
    }
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, which in names.items():
        hard = resource.getrlimit(which)[1]
        most = limits[name] if hard == resource.RLIM_INFINITY else min(limits[name], hard)
        resource.setrlimit(which, (most, most))


# Rights on files by the ABI that brought them: 13 in the first, then REFER, TRUNCATE and IOCTL_DEV.
_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_READ = 0b1101  # EXECUTE, READ_FILE, READ_DIR
_DEVICE = 0b110 | 1 << 14 | 1 << 15  # WRITE_FILE, READ_FILE, TRUNCATE, IOCTL_DEV
_ON_FILES = 0b111 | 1 << 14 | 1 << 15  # the rights that a rule on a file may name


def landlock(spec: dict[str, Any]) -> int:
    """Files by path, no TCP, no signals and abstract sockets outside; the ABI, or 0 where there is none."""
    abi = syscall(SYS_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return 0
    handled = (1 << _FS_BITS.get(abi, 16)) - 1
    network, scoped = (3 if abi >= 4 else 0), (3 if abi >= 6 else 0)
    ruleset = (ctypes.c_uint64 * 3)(handled, network, scoped)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    descriptor = call("landlock", syscall(SYS_LANDLOCK_CREATE, ruleset, size, 0))
    inside = spec["mode"] in ("namespaces", "inner")  # where the mounts have judged already, the rules are by mount
    readable = ["/"] if inside else spec["readable"]
    writable = [*spec["writable"], *(["/tmp", "/dev/shm"] if inside else [])]
    # Outside a PID namespace /proc is not shown: it tells what the user's other programs were started with.
    own = ["/proc"] if inside else []
    devices = [f"/dev/{name}" for name in DEVICES]
    for paths, rights in ((readable, _READ), (writable, handled), (devices, _DEVICE), (own, _READ | 2)):
        for path in paths:
            _allow(descriptor, path, rights & handled)
    call("landlock", syscall(SYS_LANDLOCK_RESTRICT, descriptor, 0))
    os.close(descriptor)
    return abi


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        at = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not Path(path).is_dir():
            rights &= _ON_FILES
        # struct landlock_path_beneath_attr is packed: 8 bytes of rights, 4 of descriptor.
        rule = rights.to_bytes(8, sys.byteorder) + at.to_bytes(4, sys.byteorder)
        call(f"landlock {path}", syscall(SYS_LANDLOCK_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(at)


# -- without namespaces


def supervised(spec: dict[str, Any], command: list[str]) -> int:
    """Run *command* under Landlock or limits alone, and end whatever it leaves behind.

    A process that detaches itself becomes this one's child, since this one is a sub-reaper; so it is found.
    """
    prctl(SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        die_with_parent()
        with last_words(spec):
            os.setsid()
            become(spec, command, [])
    status = wait_for(spec, child, spec["wall_s"])
    end_orphans()
    return status


def end_orphans(most: int = 10_000) -> None:
    """Kill every child that is left, and theirs as they come."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    for _ in range(most):
        try:
            left = [int(pid) for pid in listing.read_text().split()]
        except OSError:  # not Linux, or a kernel without this file
            return
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        for pid in left:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
