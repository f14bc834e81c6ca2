"""What is stopped by a limit, and that killing leaves nothing: the check for leaks ends each of these tests."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from functional.commands.test_exec import IMAGE, read_line

from support import leaks
from support.rundlet import Rundlet

FORK_BOMB = """
import os
print("ready", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
# A hundred that nobody waits for, in sessions of their own, deaf to every signal, some of them stopped.
SCATTER = """
import os, signal, time
read, write = os.pipe()
for i in range(100):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in set(range(1, 65)) - {9, 19, 32, 33}:
                signal.signal(number, signal.SIG_IGN)
            os.write(write, b"x")
            if i % 3 == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(600)
        os._exit(0)
got = 0
while got < 100:
    got += len(os.read(read, 100))
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def processes_below(engine: int) -> int:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_bytes().rpartition(b")")[2].split()[1])

    def is_below(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == engine:
                return True
        return False

    return sum(is_below(pid) for pid in parents)


def forks_were_refused() -> bool:
    """By a control group of ours: it counts them as `max 7`."""
    counts = [Path(group, "pids.events") for group in leaks.cgroups()]
    return any(int(count.read_text().split()[1]) > 0 for count in counts if count.exists())


def test_a_fork_bomb_stays_within_its_limit(shared_state: Rundlet) -> None:
    with shared_state.start("exec", *IMAGE, "--pids", "64", "--", "python3", "-c", FORK_BOMB) as process:
        assert read_line(process) == "ready\n"
        most, left, deadline = 0, 20, time.monotonic() + 120
        while left:  # looks, once it is at its bound
            assert time.monotonic() < deadline, most
            assert process.poll() is None
            most = max(most, processes_below(process.pid))
            left -= most > 32 and forks_were_refused()
            time.sleep(0.05)
        assert most < 2 * 64  # the launcher too, and some that began while others ended
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (128 + signal.SIGTERM, 128 + signal.SIGKILL)  # as below


def test_a_fork_bomb_without_limits_is_ended_in_time(shared_state: Rundlet) -> None:
    with shared_state.start("exec", *IMAGE, "--", "python3", "-c", FORK_BOMB) as process:
        assert read_line(process) == "ready\n"
        process.send_signal(signal.SIGTERM)
        # Whether the kernel gives the first of so many its turn within the grace period is not ours to say.
        assert process.wait(60) in (128 + signal.SIGTERM, 128 + signal.SIGKILL)


@pytest.mark.parametrize(
    "program",
    [
        "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "f = open('/dev/shm/x', 'wb')\nwhile True: f.write(bytes(1 << 20))",
        "f = open('/tmp/x', 'wb')\nwhile True: f.write(bytes(1 << 20))",
        "import os; f = os.memfd_create('x')\nwhile True: os.write(f, bytes(1 << 20))",
        "import mmap; m = mmap.mmap(-1, 1 << 30)\nfor i in range(0, 1 << 30, 4096): m[i] = 1",
    ],
)
def test_memory_is_counted_wherever_it_is(shared_state: Rundlet, program: str) -> None:
    limits = ("--memory", "64MiB", "--disk", "64MiB")
    done = shared_state("exec", *IMAGE, *limits, "--", "python3", "-c", program).check(128 + signal.SIGKILL)
    assert "caused by: out of memory at 64 MiB" in done.err


def test_descriptors_run_out_inside_only(shared_state: Rundlet) -> None:
    program = "import itertools, os\nfor i in itertools.count(): os.dup(0)"
    done = shared_state("exec", *IMAGE, "--", "python3", "-c", program).check(1)
    assert "Too many open files" in done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_does_not_want_to_end_is_killed(shared_state: Rundlet, number: signal.Signals) -> None:
    with shared_state.start("exec", *IMAGE, "--", "python3", "-c", SCATTER) as process:
        assert read_line(process) == "ready\n"
        process.send_signal(number)
        assert process.wait(60) == 128 + signal.SIGKILL


def test_a_second_interrupt_is_not_a_question(shared_state: Rundlet) -> None:
    with shared_state.start("exec", *IMAGE, "--", "python3", "-c", SCATTER) as process:
        assert read_line(process) == "ready\n"
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(6)  # longer than the grace period: the first is the command's own matter
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 128 + signal.SIGKILL


def launcher_of(pid: int) -> int:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text() == "rundlet-launch\n":
            return int(child)
    raise AssertionError(f"{pid} has no launcher")


def test_nothing_survives_a_killed_engine(shared_state: Rundlet) -> None:
    with shared_state.start("exec", *IMAGE, "--pids", "1000", "--", "python3", "-c", SCATTER) as process:
        assert read_line(process) == "ready\n"
        assert leaks.cgroups()
        process.kill()
        process.wait()
    shared_state.sweep_groups(*IMAGE)


def test_a_command_outlives_a_killed_launcher(shared_state: Rundlet) -> None:
    program = "import sys; print('ready', flush=True); sys.stdin.read(); print('done')"
    with shared_state.start("exec", *IMAGE, "--", "python3", "-c", program, stdin=subprocess.PIPE) as process:
        assert read_line(process) == "ready\n"
        os.kill(launcher_of(process.pid), signal.SIGKILL)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_files_run_out_inside_only(shared_state: Rundlet, place: str) -> None:
    """Empty ones: they take no room on a disk, but the kernel's memory."""
    program = f"import itertools\nfor i in itertools.count(): open(f'{place}/{{i}}', 'x').close()"
    done = shared_state("exec", *IMAGE, "--disk", "16MiB", "--", "python3", "-c", program).check(1)
    assert "No space left on device" in done.err
    assert "its disk" in done.err
    shared_state.ok("exec", *IMAGE, "--", "true")
