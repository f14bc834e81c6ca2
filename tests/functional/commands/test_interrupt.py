"""Ctrl-C, as a terminal sends it to all of a command's processes: it ends at once with 130, and nothing is left.

Each test waits for a sign that the command is where it should be: a request at its index, a worker's process, a line
of output.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.leaks import processes
from support.pipelines import models, write
from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.store import nothing_kept
from support.wheels import Wheel, module

IMAGE = ("--image", "python-3.11")
SLEEP = "import time; print('asleep', flush=True); time.sleep(600)"


def wait_for(process: subprocess.Popen[bytes], sign: Callable[[], object]) -> None:
    """Until there is the sign; the test's own limit of time ends a wait in vain."""
    while not sign():
        assert process.poll() is None, process.communicate()


def press_ctrl_c(process: subprocess.Popen[bytes]) -> bytes:
    """What is said then."""
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert out == b""
    return err


def worker_of(driver: Rundlet, command: str) -> Callable[[], bool]:
    """Whether a worker for this runs, over this state directory."""

    def is_one(pid: int) -> bool:
        try:
            program, _, rest = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")
            return program in (b"rundlet-worker", b"rundlet-fetcher") and rest == f"{command}\0".encode()
        except OSError:
            return False

    return lambda: any(is_one(process.pid) for process in processes([driver.state]))


@pytest.fixture(scope="module")
def ready(shared_state: Rundlet, tmp_path_factory: pytest.TempPathFactory) -> Rundlet:
    """Tools and engine packages are there: a command that is cut short adds nothing."""
    project = write(
        tmp_path_factory.mktemp("ready"), models("one():\n    import pyarrow\n    return pyarrow.table({'x': [1]})")
    )
    shared_state.ok("run", project)
    return shared_state


def served(driver: Rundlet, index: PackageIndex) -> Rundlet:
    return driver.with_environment(RUNDLET_INDEX=index.url)


@pytest.mark.parametrize("phase", ["resolving", "downloading"])
def test_while_the_index_is_asked(ready: Rundlet, index: PackageIndex, phase: str) -> None:
    name = f"slow-{phase}"
    path = index.add(module(name))
    if phase == "resolving":
        path = f"/simple/{name}/"
    index.fault(path, stall=60)
    driver = served(ready, index)
    with nothing_kept(driver.state), driver.start("-q", "exec", *IMAGE, "--with", name, "--", "echo", "ran") as process:
        wait_for(process, lambda: index.count(path))
        assert press_ctrl_c(process) == b"interrupted\n"
    # It was nobody's fault: once the index answers, the same command is done.
    index.fault(path)
    assert driver.ok("exec", *IMAGE, "--with", name, "--", "echo", "ran").out == "ran\n"


def test_while_a_file_comes_in(ready: Rundlet, index: PackageIndex) -> None:
    """In the middle of a file, of which a part is on disk."""
    path = index.add(Wheel("trickle", files={"trickle.bin": os.urandom(1 << 20)}))
    index.fault(path, hold=threading.Event())
    driver = served(ready, index).with_environment(RUNDLET_NETWORK_TIMEOUT="120")

    def part_is_there() -> bool:
        try:
            return any(part.stat().st_size for part in driver.state.glob("staging/*/tree/trickle-*"))
        except FileNotFoundError:  # the resolver's directory, just taken away
            return False

    with nothing_kept(driver.state):
        with driver.start("-q", "exec", *IMAGE, "--with", "trickle", "--", "echo", "ran") as process:
            wait_for(process, part_is_there)
            assert press_ctrl_c(process) == b"interrupted\n"


def test_while_a_package_is_installed(ready: Rundlet, index: PackageIndex) -> None:
    block = b"".join(os.urandom(8) + bytes(248) for _ in range(1 << 12))  # 1 MiB, and no bomb to its reader
    index.add(Wheel("large", files={f"large/{n}.bin": block * 60 for n in range(6)}))
    driver = served(ready, index)
    with nothing_kept(driver.state, but=("wheels",)):
        with driver.start("-q", "exec", *IMAGE, "--with", "large", "--", "echo", "ran") as process:
            wait_for(process, worker_of(driver, "install-wheel"))
            assert press_ctrl_c(process) == b"interrupted\n"


@contextlib.contextmanager
def made_by_us(driver: Rundlet, entry: str) -> Iterator[None]:
    """Whoever wants this entry waits for us, as for another rundlet that makes it."""
    lease = os.open(driver.state / "leases" / entry.replace("/", "-"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        byte = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        fcntl.fcntl(lease, fcntl.F_OFD_SETLK, byte)
        yield
    finally:
        os.close(lease)


def has_open(process: subprocess.Popen[bytes], name: str) -> Callable[[], bool]:
    def is_it(descriptor: Path) -> bool:
        with contextlib.suppress(OSError):
            return os.readlink(descriptor).endswith(name)
        return False

    return lambda: sum(is_it(one) for one in Path(f"/proc/{process.pid}/fd").iterdir()) > 1


def test_while_another_takes_the_same_wheel(ready: Rundlet, tmp_path: Path) -> None:
    wheel = module("handed-over")
    path = tmp_path / wheel.filename
    path.write_bytes(wheel.to_bytes())
    entry = f"wheels/{wheel.sha256}"
    with nothing_kept(ready.state), made_by_us(ready, entry):
        with ready.start("-q", "exec", *IMAGE, "--with", path, "--", "echo", "ran") as process:
            # To use it, and to make it.
            wait_for(process, has_open(process, entry.replace("/", "-")))
            assert press_ctrl_c(process) == b"interrupted\n"
    assert ready.ok("exec", *IMAGE, "--with", path, "--", "echo", "ran").out == "ran\n"


def test_while_another_compiles_the_same_modules(ready: Rundlet, project: Path) -> None:
    """rundlet's own, for the first step of an interpreter."""
    write(project, models("one():\n    import pyarrow\n    return pyarrow.table({'x': [1]})"))
    ready.ok("plan", project)
    names = [entry for entry in (ready.state / "tools").iterdir() if "rundlet's modules" in record(entry)]
    for entry in names:
        shutil.rmtree(entry)
    with contextlib.ExitStack() as held:
        for entry in names:
            held.enter_context(made_by_us(ready, f"tools/{entry.name}"))
        with ready.start("-q", "run", "--no-cache", project) as process:
            wait_for(process, lambda: any(has_open(process, f"tools-{entry.name}")() for entry in names))
            assert press_ctrl_c(process).endswith(b"interrupted\n")
    ready.ok("run", "--no-cache", project)


def record(entry: Path) -> str:
    return (entry / "entry.json").read_text()


def test_while_an_image_is_imported(rundlet: Rundlet, small_image: Path) -> None:
    rundlet.ok("image", "ls")
    with nothing_kept(rundlet.state, but=("layers",)):  # those that were whole
        with rundlet.start("-q", "image", "import", "python-3.11", small_image) as process:
            wait_for(process, worker_of(rundlet, "unpack-layer"))
            assert press_ctrl_c(process) == b"interrupted\n"
    assert rundlet.json("image", "ls") == []
    rundlet.ok("image", "import", "python-3.11", small_image, timeout=300)


def test_while_a_command_runs(ready: Rundlet) -> None:
    with nothing_kept(ready.state), ready.start("exec", *IMAGE, "--", "python3", "-c", SLEEP) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asleep\n"
        assert b"KeyboardInterrupt" in press_ctrl_c(process)  # the command's own word


def test_while_a_step_runs(ready: Rundlet, project: Path) -> None:
    body = "    import time\n    print('asleep', flush=True)\n    time.sleep(600)"
    write(project, models(f"slow():\n{body}", "after(slow=rundlet.Model('slow')):\n    return slow"))
    ready.ok("plan", project)
    with nothing_kept(ready.state), ready.start("run", project) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line == b"slow | asleep\n":
                break
        assert press_ctrl_c(process).endswith(b"interrupted\n")
    (run,) = [run for run in ready.json("runs", "ls") if run["path"] == str(project)]
    assert run["state"] == "interrupted"
    steps = {step["name"]: step["result"] for step in ready.json("runs", "show", run["id"])["steps"]}
    assert steps["slow"] == "interrupted"
    assert not (ready.state / "runs" / run["id"] / "steps").exists()
