"""kill -9 of the engine, and of its launcher, at every stage at which a sandbox is set up: nothing is left of it.

rundlet-launcher-weak says when it reached the stage, and waits; what is killed is dead before it goes on.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from escape.test_weakened import Weakened, weakened  # noqa: F401  # a fixture
from functional.commands.test_exec import read_line
from functional.conftest import ROOT

# In the order in which they are reached (runtime/spec/record.cc).
OF_THE_LAUNCHER = [
    "receiving the request",
    "making its mounts",
    "setting up its network",
    "joining its control groups",
    "cloning its first process",
]
OF_THE_SANDBOX = [
    "mapping its user ids",
    "becoming root of its user namespace",
    "attaching its root",
    "mounting below its root",
    "entering its root",
    "setting its session and limits",
    "restricting where it may write",
    "filtering its system calls",
    "starting its init",
    "giving up privileges",
    "entering the working directory",
]
COMMAND = ("exec", "--image", "python-3.11", "--pids", "100", "--", "sh", "-c", "echo started; cat; echo done")


class Fifo:
    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR)

    def wait(self) -> None:
        ready, _, _ = select.select([self.fd], [], [], 30)
        assert ready, "the stage was not reached in time"
        os.read(self.fd, 1)


class Stop:
    """The next launcher stops at the stage."""

    def __init__(self, installed: Weakened, stage: str) -> None:
        installed.without()
        installed.list.write_text(f"stop at {stage}\n")
        self.reached = Fifo(installed.list.with_suffix(".reached"))
        self.leave = Fifo(installed.list.with_suffix(".go"))

    def go_on(self, processes: int = 2) -> None:
        os.write(self.leave.fd, b"g" * processes)


@pytest.fixture
def stop(weakened: Weakened, stage: str) -> Iterator[Stop]:  # noqa: F811
    made = Stop(weakened, stage)
    yield made
    for fifo in (made.reached, made.leave):
        os.close(fifo.fd)


def launcher_of(engine: subprocess.Popen[bytes]) -> int:
    """Not a sandbox's first process, which has that name until it has become its init."""
    for child in Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split():
        if os.readlink(f"/proc/{child}/ns/user") == os.readlink("/proc/self/ns/user"):
            return int(child)
    raise AssertionError("there is no launcher")


@pytest.mark.parametrize("stage", OF_THE_LAUNCHER + OF_THE_SANDBOX)
def test_nothing_is_left_of_a_killed_engine(weakened: Weakened, stop: Stop) -> None:  # noqa: F811
    with weakened.weak.start(*COMMAND, stdin=subprocess.PIPE) as engine:
        stop.reached.wait()
        engine.kill()
        engine.wait()
        stop.go_on()
        assert engine.stdout is not None
        assert engine.stderr is not None
        # To their ends: no launcher and no program has them open any more.
        assert engine.stdout.read() in (b"", b"started\n")
        engine.stderr.read()
    weakened.sound.sweep_groups("--image", "python-3.11")


@pytest.mark.parametrize("stage", OF_THE_LAUNCHER)
def test_a_launcher_killed_before_the_clone_fails_the_start(weakened: Weakened, stop: Stop) -> None:  # noqa: F811
    with weakened.weak.start(*COMMAND) as engine:
        stop.reached.wait()
        os.kill(launcher_of(engine), signal.SIGKILL)
        out, err = engine.communicate(timeout=60)
    assert (engine.returncode, out) == (125, b"")
    assert b"the launcher died" in err


def wait_for_end(pid: int) -> None:
    """Of a process that its parent has not collected yet."""
    pidfd = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([pidfd], [], [], 30)
        assert ended, "the process is still there"
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("stage", OF_THE_SANDBOX)
def test_a_launcher_that_ended_after_the_clone_is_not_missed(weakened: Weakened, stop: Stop) -> None:  # noqa: F811
    """`exec` starts one sandbox: its launcher ends with the reply, whatever the sandbox waits for."""
    with weakened.weak.start(*COMMAND, stdin=subprocess.PIPE) as engine:
        stop.reached.wait()
        wait_for_end(launcher_of(engine))
        stop.go_on()
        assert read_line(engine) == "started\n"
        out, err = engine.communicate(b"more\n", timeout=60)
    assert (engine.returncode, out, err) == (0, b"more\ndone\n", b"")


def test_these_are_all_stages() -> None:
    """But for that of sandboxes with a terminal, and the last, which is the program itself."""
    text = (ROOT / "runtime/spec/record.cc").read_text()
    named = [line.split('"')[1] for line in text.splitlines() if line.strip().startswith("return ")]
    named.remove("opening its terminal")
    assert named == [*OF_THE_LAUNCHER, *OF_THE_SANDBOX, "starting the program", "an unknown stage"]
