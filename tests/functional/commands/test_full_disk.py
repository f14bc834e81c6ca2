"""A full disk: the reason and what to do, and nothing half-made, wherever the space runs out."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images import Image
from support.leaks import Allowance
from support.pipelines import models, write
from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.servers.registry import FakeRegistry, Handler, Reply
from support.store import nothing_kept
from support.wheels import Wheel

MIB = 1 << 20
NO_SPACE = (
    "caused by: no space left on device\n"
    "hint: free space on the file system of the state directory, or choose another with --state\n"
)


class Disk:
    """A file system in a file, which can be filled up to so many free bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        self.file, self.root, self.filler = folder / "disk.img", folder / "disk", folder / "disk/filler"
        self.root.mkdir()
        with open(self.file, "wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", self.file], check=True)
        subprocess.run(["mount", "-o", "loop", self.file, self.root], check=True)

    def leave(self, free: int) -> None:
        self.filler.unlink(missing_ok=True)
        found = os.statvfs(self.root)
        with open(self.filler, "wb", buffering=0) as file:
            # The blocks that say where the filler lies take a little themselves.
            os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - max(free, MIB))
            file.seek(0, os.SEEK_END)
            with contextlib.suppress(OSError):
                while not free:
                    file.write(bytes(4096))

    def close(self) -> None:
        subprocess.run(["umount", self.root], check=True)
        self.file.unlink()


@pytest.fixture
def disk(tmp_path: Path, no_leaks: Allowance) -> Iterator[Disk]:
    """Unmounted before the check for leaks: a mount that is still in use shows here."""
    made = Disk(tmp_path, 2000 * MIB)
    yield made
    made.close()


def test_while_a_layer_arrives(disk: Disk) -> None:
    """The rest of the layer, which never comes, is not waited for."""
    layer = Image([{"data": random.Random(1).randbytes(64 * MIB)}], compression="none")

    def stall(request: Handler, reply: Reply) -> bool:
        if len(reply.body) < 64 * MIB:
            return False
        request.send(reply, reply.body[: 60 * MIB])
        return registry.released.wait(300)

    disk.leave(30 * MIB)
    # So long the fetcher itself has patience with a registry
    driver = Rundlet(disk.root / "state", environment={"RUNDLET_NETWORK_TIMEOUT": "300"})
    driver.ok("image", "ls")
    with FakeRegistry(layer, fault=stall) as registry, nothing_kept(driver.state):
        done = driver("-q", "image", "pull", "--plain-http", registry.name(), timeout=250).check(3)
    assert done.err.endswith(NO_SPACE)
    assert done.seconds < 200


def test_while_an_image_is_imported(disk: Disk, small_image: Path) -> None:
    disk.leave(30 * MIB)
    driver = Rundlet(disk.root / "state")
    driver.ok("image", "ls")
    with nothing_kept(driver.state, but=("layers",)):  # those that were whole
        done = driver("-q", "image", "import", "python-3.11", small_image).check(3)
    assert done.err.startswith("error: importing image `python-3.11`\ncaused by: unpacking layer `sha256:")
    assert done.err.endswith(NO_SPACE), done.err
    assert driver.json("image", "ls") == []
    # With room again the same command does it.
    disk.filler.unlink()
    driver.ok("image", "import", "python-3.11", small_image, timeout=300)


def test_while_an_image_is_exported(disk: Disk, rundlet: Rundlet, small_image: Path) -> None:
    """The disk that is full is not that of the state directory."""
    rundlet.ok("image", "import", "--keep-blobs", "py", small_image)
    disk.leave(10 * MIB)
    before = sorted(os.listdir(disk.root))
    done = rundlet("-q", "image", "export", "py", disk.root / "out").check(3)
    assert done.err.endswith(
        "caused by: no space left on device\nhint: free space there, or name a path on another file system\n"
    ), done.err
    assert sorted(os.listdir(disk.root)) == before
    disk.filler.unlink()
    rundlet.ok("image", "export", "py", disk.root / "out")


RANDOM_ROWS = """big(limit=rundlet.Parameter('limit')):
    import os, pyarrow
    return pyarrow.table({'x': [os.urandom(1 << 20) for _ in range(limit)]})"""


def test_while_packages_come_and_results_are_kept(
    disk: Disk, index: PackageIndex, project: Path, small_image: Path
) -> None:
    index.add(Wheel("random", files={"random_bytes.bin": os.urandom(20 * MIB)}))
    index.add(Wheel("zeros", files={"zeros.bin": bytes(60 * MIB)}))
    driver = Rundlet(disk.root / "state", environment={"RUNDLET_INDEX": index.url})
    driver.ok("image", "import", "python-3.11", small_image, timeout=300)
    write(project, models(RANDOM_ROWS, options="materialize='replace'"))
    driver.ok("run", project, "--param", "limit=1")

    # A download of a size that the index tells: not begun
    disk.leave(10 * MIB)
    with nothing_kept(driver.state):
        done = driver("-q", "exec", "--with", "random", "--", "echo", "ran").check(125)
    assert done.out == ""
    assert "fetching `random 1.0`\ncaused by: no space left on device: it has 20" in done.err
    assert done.err.endswith(NO_SPACE.splitlines(keepends=True)[1])
    assert index.count("/files/random-1.0-py3-none-any.whl") == 0

    # One of a size that nobody knows
    index.json_pages = False
    index.add(Wheel("random", "2.0", files={"random_bytes.bin": os.urandom(20 * MIB)}))
    with nothing_kept(driver.state):
        done = driver("-q", "exec", "--with", "random==2.0", "--", "echo", "ran").check(125)
    assert (done.out, done.err) == (
        "",
        f"error: fetching `random 2.0`\ncaused by: writing a downloaded file\n{NO_SPACE}",
    )

    # An install, of what came whole
    disk.leave(40 * MIB)
    with nothing_kept(driver.state, but=("wheels",)):
        done = driver("-q", "exec", "--with", "zeros", "--", "echo", "ran").check(125)
    assert (done.out, done.err) == (
        "",
        "error: installing `zeros 1.0` from `zeros-1.0-py3-none-any.whl`\n"
        f"caused by: writing `lib/python3.11/site-packages/zeros.bin`\n{NO_SPACE}",
    )

    # A result: the earlier one stays
    disk.leave(10 * MIB)
    with nothing_kept(driver.state):
        done = driver("-q", "run", project, "--param", "limit=30").check(3)
    assert done.err == f"error: keeping the result of `big`\n{NO_SPACE}"
    assert driver.json("table", "ls")[0]["rows"] == 1
    assert driver.json("runs", "ls")[0]["state"] == "failed"
    assert not list((driver.state / "runs").rglob("*.parquet"))

    # Not a byte: said, and nothing worse
    disk.leave(0)
    with nothing_kept(driver.state):
        done = driver("-q", "run", project, "--param", "limit=2").check(3)
    assert done.err.endswith(NO_SPACE)

    # With room again all of it goes on
    disk.filler.unlink()
    driver.ok("exec", "--with", "random", "--with", "zeros", "--", "true")
    driver.ok("run", project, "--param", "limit=30")
    assert driver.json("table", "ls")[0]["rows"] == 30
