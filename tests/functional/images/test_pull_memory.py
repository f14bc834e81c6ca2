"""The memory of `rundlet image pull` with layers that ask for much."""

from __future__ import annotations

import contextlib
import os
import random
import select
import subprocess
import threading
import time
from pathlib import Path

from support.images import LAYER
from support.layouts import add_packed_layers, linked_copy
from support.leaks import processes
from support.rundlet import Rundlet
from support.servers.registry import FakeRegistry, Handler, Reply

MIB = 1 << 20
MEMORY = 100 * MIB
LARGE = 300 * MIB
AT_ONCE = 3  # layers


def memory_of(driver: Rundlet) -> int:
    """Of all its processes together: what they share is counted once."""
    total = 0
    for process in processes([driver.state]):
        with contextlib.suppress(OSError):  # it ended
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total


def most_memory(driver: Rundlet, image: str) -> int:
    with driver.start("-q", "image", "pull", "--plain-http", image, stderr=subprocess.PIPE) as process:
        most, ended = 0, select.poll()
        pidfd = os.pidfd_open(process.pid)
        ended.register(pidfd, select.POLLIN)
        while not ended.poll(2):  # milliseconds between two looks, until it has ended
            most = max(most, memory_of(driver))
        os.close(pidfd)
        assert process.stderr is not None
        assert process.wait() == 0, process.stderr.read()
        return most


def grown(driver: Rundlet, beyond: int, seconds: float) -> int:
    """Its memory once it is more than this, or the most of so many seconds."""
    most, deadline = 0, time.monotonic() + seconds
    while most <= beyond and time.monotonic() < deadline:
        most = max(most, memory_of(driver))
        time.sleep(0.01)
    return most


def tar_of(folder: Path, content: bytes) -> bytes:
    """A layer with that file, by GNU tar."""
    folder.mkdir()
    (folder / "data").write_bytes(content)
    done = subprocess.run(["tar", "-cC", folder, "data"], check=True, stdout=subprocess.PIPE)
    return done.stdout


def packed(tar: bytes, *command: str) -> bytes:
    return subprocess.run(command, input=tar, check=True, stdout=subprocess.PIPE).stdout


def test_windows_of_32_mib(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> None:
    """Three layers at once whose decompression has to remember 32 MiB each: one after another."""
    rundlet.ok("image", "import", "below", small_image)
    layers = []
    for number in range(AT_ONCE):
        tar = tar_of(tmp_path / str(number), random.Random(number).randbytes(48 * MIB))
        layers.append((LAYER + "+zstd", tar, packed(tar, "zstd", "-q", "-c", "-1", "--zstd=wlog=25")))
    add_packed_layers(linked_copy(small_image, tmp_path / "image"), layers)
    seen = []
    looked = threading.Event()

    def hold(request: Handler, reply: Reply) -> bool:
        if len(reply.body) < 48 * MIB:
            return False
        request.send(reply, reply.body[:-MIB])
        # Unpacked to nearly the end, it remembers all that it has to.
        seen.append(grown(rundlet, 32 * MIB, 60))
        # So do the others soon, unless they wait for their turn, and take nothing from the line meanwhile.
        if not looked.is_set():
            seen.append(grown(rundlet, MEMORY, 5))
            looked.set()
        request.wfile.write(reply.body[-MIB:])
        return True

    with FakeRegistry(tmp_path / "image", fault=hold) as registry:
        patient = rundlet.with_environment(RUNDLET_NETWORK_TIMEOUT="300")
        seen.append(most_memory(patient, registry.name()))
    assert 32 * MIB < max(seen) < MEMORY


def test_large_layer(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "large", random.Random(1).randbytes(MIB) * (LARGE // MIB))
    layer = (LAYER + "+gzip", tar, packed(tar, "gzip", "-1"))
    add_packed_layers(linked_copy(small_image, tmp_path / "image"), [layer])
    with FakeRegistry(tmp_path / "image") as registry:
        assert 0 < most_memory(rundlet, registry.name()) < MEMORY
