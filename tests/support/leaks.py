"""What rundlet may leave behind on the host: mounts, processes, control groups, temporary files.

with assert_no_leaks(state):
    ...
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from support import control_groups

UNIFIED = Path("/sys/fs/cgroup")
OUR_PROGRAMS = ("rundlet", "rundletd", "rundlet-launcher", "rundlet-worker", "rundlet-fetcher")


@dataclass(frozen=True)
class Process:
    pid: int
    start: int  # clock ticks since boot: makes a reused pid another process
    name: str

    def __str__(self) -> str:
        return f"{self.pid} ({self.name})"


@dataclass(frozen=True)
class Host:
    mounts: frozenset[str] = frozenset()
    processes: frozenset[Process] = frozenset()
    cgroups: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    def since(self, before: Host) -> Host:
        return Host(
            self.mounts - before.mounts,
            self.processes - before.processes,
            self.cgroups - before.cgroups,
            self.files - before.files,
        )

    def __bool__(self) -> bool:
        return bool(self.mounts or self.processes or self.cgroups or self.files)

    def __str__(self) -> str:
        lines = []
        for what in ("mounts", "processes", "cgroups", "files"):
            lines += [f"{what}: {item}" for item in sorted(map(str, getattr(self, what)))]
        return "\n".join(lines)


def _read(path: str) -> str:
    """What the names in it are made of need not be UTF-8: tests give processes and paths such names."""
    return os.fsdecode(Path(path).read_bytes())


def mounts() -> frozenset[str]:
    """The mounts of this namespace, each as `mount id, mount point, type`."""
    found = set()
    for line in _read("/proc/self/mountinfo").splitlines():
        fields = line.split()
        separator = fields.index("-")
        found.add(f"{fields[0]} {fields[4]} ({fields[separator + 1]})")
    return frozenset(found)


def _process(pid: int) -> Optional[Process]:
    try:
        text = _read(f"/proc/{pid}/stat")
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return Process(pid, int(fields[19]), name)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _of_others(pid: int) -> bool:
    """Started by a living program that is neither ours nor this one: someone else's use of rundlet."""
    while True:
        try:
            text = _read(f"/proc/{pid}/stat")
        except OSError:
            return False
        pid = int(text[text.rindex(")") + 2 :].split()[1])
        if pid <= 1 or pid == os.getpid():
            return False
        exe = _link(f"/proc/{pid}/exe").removesuffix(" (deleted)")
        if os.path.basename(exe) not in OUR_PROGRAMS and not exe.startswith("/memfd:rundlet"):
            return True


def _belongs(pid: int, states: Sequence[str]) -> bool:
    """By program, or by using something in one of the state directories."""
    program = os.path.basename(_link(f"/proc/{pid}/exe").removesuffix(" (deleted)"))
    if program in OUR_PROGRAMS or _link(f"/proc/{pid}/exe").startswith("/memfd:rundlet"):
        return not _of_others(pid)
    if not states or pid == os.getpid():
        return False
    places = [_link(f"/proc/{pid}/exe"), _link(f"/proc/{pid}/cwd"), _link(f"/proc/{pid}/root")]
    try:
        places += [_link(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        if any(place == state or place.startswith(state + "/") for place in places for state in states):
            return True
        # A sandbox's processes: their root is a mount over the state directory.
        own = os.readlink("/proc/self/ns/mnt")
        if _link(f"/proc/{pid}/ns/mnt") == own:
            return False
        text = _read(f"/proc/{pid}/mountinfo")
        return any(state in text for state in states)
    except OSError:
        return False


def _ancestors() -> set[int]:
    """This process and those above it: a test runner may itself be called rundlet-something."""
    found, pid = set(), os.getpid()
    while pid > 0:
        found.add(pid)
        try:
            text = _read(f"/proc/{pid}/stat")
        except OSError:
            break
        pid = int(text[text.rindex(")") + 2 :].split()[1])
    return found


def processes(states: Sequence[Path] = ()) -> frozenset[Process]:
    places, skipped = [str(state.resolve()) for state in states], _ancestors()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = {_process(pid) for pid in pids if pid not in skipped and _belongs(pid, places)}
    return frozenset(process for process in found if process is not None)


def cgroups() -> frozenset[str]:
    """The control groups of engines, with those in them: of those that this process starts, on a host with v1."""
    found: set[str] = set()

    def walk(folder: Path, depth: int) -> None:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    continue
                if entry.name.startswith("rundlet-"):
                    found.add(entry.path)
                    found.update(str(path) for path in Path(entry.path).rglob("*") if path.is_dir())
                elif depth:
                    walk(Path(entry.path), depth - 1)

    for group in control_groups.of_this_process() or [UNIFIED]:
        walk(group, 4)
    return frozenset(found)


def abandoned(groups: frozenset[str]) -> frozenset[str]:
    """Those of `groups` whose engine is gone: a living one holds a lock on its directory."""

    def in_use(path: str) -> bool:
        engine = re.match(r".*?/rundlet-[^/]+", path)
        assert engine is not None, path
        try:
            fd = os.open(engine.group(), os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return True  # gone meanwhile
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    return frozenset(path for path in groups if not in_use(path))


def temporary_files(state: Path) -> frozenset[str]:
    """Staging entries and partial files in a state directory."""
    found: set[str] = set()
    staging = state / "staging"
    if staging.is_dir():
        found.update(str(entry) for entry in staging.iterdir() if entry.name != ".lock")  # the lock stays
    for folder, names, files in os.walk(state):
        depth = Path(folder).relative_to(state).parts
        if len(depth) >= 2:  # what lies deeper is the content of layers and packages
            names.clear()
        found.update(os.path.join(folder, n) for n in files if n.endswith((".part", ".partial", ".tmp")))
    return frozenset(found)


def snapshot(states: Sequence[Path] = ()) -> Host:
    files: set[str] = set()
    for state in states:
        if state.is_dir():
            files |= temporary_files(state)
    return Host(mounts(), processes(states), cgroups(), frozenset(files))


@dataclass
class Allowance:
    """What a test says it leaves on purpose: substrings of the lines that would be reported."""

    patterns: list[str] = field(default_factory=list)

    def _allows(self, item: object) -> bool:
        return any(pattern in str(item) for pattern in self.patterns)

    def filter(self, host: Host) -> Host:
        return Host(
            frozenset(item for item in host.mounts if not self._allows(item)),
            frozenset(item for item in host.processes if not self._allows(item)),
            frozenset(item for item in host.cgroups if not self._allows(item)),
            frozenset(item for item in host.files if not self._allows(item)),
        )


def wait_for_exit(found: frozenset[Process], deadline: float) -> None:
    """Waits for the end of processes by pidfd; gives up at the deadline."""
    poll, fds = select.poll(), {}
    try:
        for process in found:
            with contextlib.suppress(OSError):
                fd = os.pidfd_open(process.pid)
                fds[fd] = process
                if _process(process.pid) == process:
                    poll.register(fd, select.POLLIN)
        waiting = len(fds)
        while waiting and (left := deadline - time.monotonic()) > 0:
            for fd, _ in poll.poll(left * 1000):
                poll.unregister(fd)
                waiting -= 1
    finally:
        for fd in fds:
            os.close(fd)


def leaked(before: Host, states: Sequence[Path], patience: float, allowance: Allowance) -> Host:
    """What is there now and was not before, once what is just ending had its time to end."""
    deadline = time.monotonic() + patience
    while True:
        new = snapshot(states).since(before)
        new = allowance.filter(replace(new, cgroups=abandoned(new.cgroups)))
        if not new or time.monotonic() >= deadline:
            return new
        if new.processes:
            wait_for_exit(new.processes, deadline)
        else:
            time.sleep(0.02)  # mounts and control groups go a moment after the last process


@contextlib.contextmanager
def assert_no_leaks(*states: Path, patience: float = 30.0) -> Iterator[Allowance]:
    """Fails when the block leaves anything behind. A failing block keeps its own failure."""
    before, allowance = snapshot(states), Allowance()
    yield allowance
    new = leaked(before, states, patience, allowance)
    assert not new, f"left behind:\n{new}"
