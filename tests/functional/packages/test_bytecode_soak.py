"""Many commands at once on one new environment, killed at random moments while it is pruned: nothing is half made."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from functional.conftest import built_image

from support import baseimages
from support.leaks import Allowance
from support.rundlet import Rundlet, exec_command
from support.servers.index import PackageIndex
from support.wheels import Wheel

SEED = 65_067
ROUNDS, TOGETHER = 12, 6
NAMES = [f"part_{number}" for number in range(8)]
PROGRAM = "import " + ", ".join(f"{name}.m3" for name in NAMES) + "; print('all')"
COMMAND = exec_command(NAMES, "python3", "-c", PROGRAM)
# By code and output.
END = {
    (-signal.SIGKILL, b""): "killed",
    (-signal.SIGKILL, b"all\n"): "killed",  # while it compiled the rest
    (0, b"all\n"): "finished",
    (125, b""): "pruned",
}


def part(name: str) -> Wheel:
    """Takes its compiler longer than its installer."""
    text = "".join(f"def f{number}(a):\n    return [a * n for n in range(a)]\n\n" for number in range(60))
    return Wheel(name, files={f"{name}/__init__.py": "", **{f"{name}/m{number}.py": text for number in range(6)}})


def leased(state: Path) -> list[str]:
    """What somebody holds a lease of."""
    files = [Path(folder, name) for folder, _, names in os.walk(state / "leases") for name in names]
    locked = {line.split()[5].rpartition(":")[2] for line in Path("/proc/locks").read_text().splitlines()}
    return [str(file) for file in files if str(file.stat().st_ino) in locked]


def kill_in_time(running: list[subprocess.Popen[bytes]], moments: list[float]) -> None:
    """One after the other, each so long after the start; those that were quicker have ended."""
    began = time.monotonic()
    for process, moment in sorted(zip(running, moments, strict=True), key=lambda one: one[1]):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, began + moment - time.monotonic()))
        process.kill()


class Removing:
    """Prunes all that nobody uses, again and again."""

    def __init__(self, driver: Rundlet) -> None:
        self._driver, self._enough = driver, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.removed = 0

    def _run(self) -> None:
        while not self._enough.is_set():
            document = self._driver("-o", "json", "package", "prune", "--max-bytes", "0").check(0).json
            self.removed += len(document["removed"])
            self._driver("gc").check(0)

    def __enter__(self) -> Removing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()


@pytest.mark.soak
def test_killed_at_random_moments(rundlet: Rundlet, index: PackageIndex, no_leaks: Allowance) -> None:
    rundlet.ok("image", "import", "python-3.11", built_image(baseimages.SMALL), timeout=300)
    for name in NAMES:
        index.add(part(name))
    first = rundlet.ok(*COMMAND)  # uv is there now, and what a whole command takes is known
    dice = random.Random(SEED)
    ends: Counter[str] = Counter()
    removed = 0
    for _ in range(ROUNDS):
        rundlet.ok("package", "prune", "--max-bytes", "0")
        assert rundlet.json("package", "ls") == []
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(rundlet.start(*COMMAND)) for _ in range(TOGETHER)]
            with Removing(rundlet) as removing:
                # Those at once are slower than one; the first is let to its end.
                kill_in_time(running, [120, *(dice.uniform(0, 1.2 * first.seconds) for _ in running[1:])])
            removed += removing.removed
            for process in running:
                out, err = process.communicate(timeout=120)
                ends[END[process.returncode, out]] += 1
                assert process.returncode != 125 or b"while it was wanted\nhint: run the command again" in err, err
        rundlet.sweep_groups("--image", "python-3.11")
        assert leased(rundlet.state) == []
        assert rundlet.json("package", "verify")["damaged"] == []
        assert rundlet.ok(*COMMAND).out == "all\n"
        assert rundlet.json("package", "verify")["damaged"] == []
        assert not list((rundlet.state / "staging").glob("[0-9a-f]*"))
    assert ends["killed"] >= ROUNDS
    assert ends["finished"] > 0
    assert removed > 0
