"""The walls around what images bring, taken away (test_walls.py): archives, digests, and what removes them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from escape.test_archive_bombs import BOMBS, layout_of
from escape.test_archives import NO_EXIT, NO_PYTHON, ON_ITS_WAY, tree_below
from escape.weakened_programs import Attack, Weak
from functional.images.test_export import flip, kept_blobs

from support.images import Image, directory, file, hardlink, layer_tar, sha256, symlink
from support.rundlet import Rundlet
from support.servers.registry import FakeRegistry, Fault, Handler, Reply
from support.store import entries

numbers = itertools.count()

# Where each leads -> what is in the tree then, and what holds it back.
ARCHIVES = {
    "up": ([("a/../b", "x")], "b", ("names", "beneath")),
    "file through a link": ([("d", directory()), ("a", symlink("d")), ("a/b", "x")], "d/b", ("beneath",)),
    "hard link through a link": (
        [("d", directory()), ("d/f", "x"), ("a", symlink("d")), ("b", hardlink("a/f"))],
        "b",
        ("beneath",),
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_lead_elsewhere(weak: Weak, rundlet: Rundlet, tmp_path: Path, name: str) -> None:
    """Elsewhere in the same tree: behind these walls is the worker's sandbox, in which there is nothing else."""
    layer, made, walls = ARCHIVES[name]

    def tried(driver: Rundlet) -> bool:
        tar = layer_tar([("n", str(next(numbers))), *layer])  # type: ignore[list-item]
        done = driver("image", "import", "x", Image([tar]).write_layout(tmp_path / f"image-{next(numbers)}"))
        assert done.code in (2, 3), str(done)
        if NO_PYTHON not in done.err:
            return False
        return made in tree_below(driver.state / f"layers/{sha256(tar)}/tree")

    Attack(weak, rundlet, tried).is_held_by(*walls)


def test_archives_that_lead_out(weak: Weak, rundlet: Rundlet, tmp_path: Path) -> None:
    """Without walls they end in the worker's sandbox, whose root is read-only."""
    before = entries(rundlet.state, "layers", "staging")
    for layer in (
        [("../up", "x")],
        [("a", symlink("..")), ("a/up", "x")],
        [("a", symlink("/proc/self")), ("a/x", "x")],
    ):
        layout = Image([layer_tar(layer)]).write_layout(tmp_path / f"image-{next(numbers)}")  # type: ignore[arg-type]
        done = weak.without(rundlet, "names", "beneath")("image", "import", "x", layout)
        assert done.code in (2, 3)
        error = done.err
        assert NO_EXIT not in error
        assert ON_ITS_WAY not in error
        assert NO_PYTHON not in error
    assert entries(rundlet.state, "layers", "staging") - before <= {"staging/.lock"}


def new_image(**more: object) -> Image:
    """Whose layer is not in the store yet."""
    return Image([{"a": "x" * 20_000, "n": str(next(numbers))}], compression="none", **more)  # type: ignore[arg-type]


def altered(of_config: bool) -> Fault:
    def fault(request: Handler, reply: Reply) -> None:
        if request.is_blob and reply.body.startswith(b"{") == of_config:
            before, after = (b"layer 0", b"layer 1") if of_config else (b"xxxx", b"xxyx")
            assert before in reply.body
            reply.body = reply.body.replace(before, after, 1)

    return fault


# Of each the one that comes first is the one that tells.
ALTERED = {
    "layer": (False, ("registry's bytes", "layer's bytes")),
    "config": (True, ("registry's bytes", "document's bytes", "document's answer")),
}


@pytest.mark.parametrize("what", ALTERED)
def test_other_bytes_of_a_registry(weak: Weak, rundlet: Rundlet, what: str) -> None:
    of_config, walls = ALTERED[what]

    def tried(driver: Rundlet) -> bool:
        with FakeRegistry(new_image(), fault=altered(of_config)) as registry:
            return NO_PYTHON in driver("image", "pull", "--plain-http", registry.name()).check(2).err

    Attack(weak, rundlet, tried).is_held_by(*walls)


def test_other_bytes_of_an_imported_layer(weak: Weak, rundlet: Rundlet, tmp_path: Path) -> None:
    def tried(driver: Rundlet) -> bool:
        layout = new_image(flip=[0]).write_layout(tmp_path / f"image-{next(numbers)}")
        return NO_PYTHON in driver("image", "import", "x", layout).check(2).err

    Attack(weak, rundlet, tried).is_held_by("imported bytes", "layer's bytes")


def test_other_bytes_of_a_kept_blob(weak: Weak, rundlet: Rundlet, image_311: Path, tmp_path: Path) -> None:
    def tried(driver: Rundlet) -> bool:
        rundlet.ok("image", "import", "--keep-blobs", "py", image_311)
        flip(max(kept_blobs(rundlet).values(), key=lambda path: path.stat().st_size))
        return driver("image", "export", "py", tmp_path / f"out-{next(numbers)}").code == 0

    Attack(weak, rundlet, tried).is_held_by("kept bytes")


def test_indexes_in_indexes(weak: Weak, rundlet: Rundlet) -> None:
    def tried(driver: Rundlet) -> bool:
        with FakeRegistry(new_image()) as registry:
            for _ in range(20):
                registry.put_index([registry.descriptor_of_top()])
            return NO_PYTHON in driver("image", "pull", "--plain-http", registry.name()).check(2).err

    Attack(weak, rundlet, tried).is_held_by("index's levels")


@pytest.fixture
def canary(tmp_path: Path, rundlet: Rundlet) -> Iterator[Path]:
    """A directory that is mounted inside of what is removed, wherever that is by then."""
    folder = tmp_path / "canary"
    folder.mkdir()
    yield folder
    unmount(rundlet.state)


def unmount(state: Path) -> None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split()[4]
        if place.startswith(f"{state}/"):
            subprocess.run(["umount", place], check=True)


def test_removal_of_what_is_mounted_inside(
    weak: Weak,
    rundlet: Rundlet,
    canary: Path,
    tmp_path: Path,
) -> None:
    def tried(driver: Rundlet) -> bool:
        tar = layer_tar([("d", directory()), ("n", str(next(numbers)))])
        layout = Image([tar]).write_layout(tmp_path / f"image-{next(numbers)}")
        assert NO_PYTHON in driver("image", "import", "x", layout).check(2).err
        (canary / "file").write_text("alive")
        place = driver.state / f"layers/{sha256(tar)}/tree/d"
        subprocess.run(["mount", "--bind", canary, place], check=True)
        try:
            driver("gc")
        finally:
            unmount(driver.state)
        alive = (canary / "file").exists()
        rundlet.ok("gc")  # takes what was left
        return not alive

    Attack(weak, rundlet, tried).is_held_by("mounts")


def worker_of(engine: int, command: str) -> int:
    """The process of a worker that the engine runs; waits until there is one, and until it waits for its input."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        left = [engine]
        while left:
            pid = left.pop()
            try:
                if Path(f"/proc/{pid}/cmdline").read_bytes() == f"rundlet-worker\0{command}\0".encode():
                    if Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x3 "):  # read(3, ...)
                        return pid
                    continue
                for task in Path(f"/proc/{pid}/task").iterdir():
                    left += [int(child) for child in (task / "children").read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
    raise AssertionError(f"no worker `{command}` was started")


def test_a_worker_without_end(weak: Weak, rundlet: Rundlet) -> None:
    """What the kernel counts for it, and what it says when the kernel tells it that this is enough."""
    held = threading.Event()

    def hold(request: Handler, reply: Reply) -> None:
        if request.is_blob and not reply.body.startswith(b"{"):
            held.wait(60)

    def tried(driver: Rundlet) -> bool:
        held.clear()
        with FakeRegistry(new_image(), fault=hold) as registry:
            command = ("image", "pull", "--plain-http", registry.name())
            with driver.start(*command, stderr=subprocess.PIPE) as process:
                worker = worker_of(process.pid, "unpack-layer")
                limits = Path(f"/proc/{worker}/limits").read_text()
                os.kill(worker, signal.SIGXCPU)
                held.set()
                assert process.stderr is not None
                error = process.stderr.read().decode()
        (limit,) = [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max cpu time")]
        told = "worker command `unpack-layer`\ncaused by: it took more than 3600 s of processor time" in error
        assert (limit, told) in ((["3600", "3605"], True), (["unlimited", "unlimited"], False)), error
        return not told

    Attack(weak, rundlet, tried).is_held_by("worker's time")


def test_an_index_of_many_manifests(weak: Weak, rundlet: Rundlet) -> None:
    """More than anybody's image has: each is kept in memory, and looked at."""
    other = {"os": "linux", "architecture": "mips64le"}

    def tried(driver: Rundlet) -> bool:
        with FakeRegistry(new_image()) as registry:
            descriptor = registry.descriptor_of_top()
            registry.put_index([*([{**descriptor, "platform": other}] * 1000), descriptor])
            error = driver("image", "pull", "--plain-http", registry.name()).check(2).err
            assert (NO_PYTHON in error) != ("`manifests` has more than 1000 elements" in error), error
            return NO_PYTHON in error

    Attack(weak, rundlet, tried).is_held_by("index's manifests")


def test_attributes_that_a_kernel_obeys(weak: Weak, rundlet: Rundlet, tmp_path: Path) -> None:
    """Those of an overlay that is mounted without rights; an unpacker has none for the others."""

    def tried(driver: Rundlet) -> bool:
        marked = file("x", pax={"SCHILY.xattr.user.overlay.opaque": "y"})
        tar = layer_tar([("n", str(next(numbers))), ("a", marked)])
        layout = Image([tar]).write_layout(tmp_path / f"image-{next(numbers)}")
        assert NO_PYTHON in driver("image", "import", "x", layout).check(2).err
        return os.listxattr(driver.state / f"layers/{sha256(tar)}/tree/a") == ["user.overlay.opaque"]

    Attack(weak, rundlet, tried).is_held_by("attributes")


@pytest.mark.parametrize("name", ["holes of many files", "attributes of a file"])
def test_more_than_a_layer_may_have(weak: Weak, rundlet: Rundlet, tmp_path: Path, name: str) -> None:
    """Then it is unpacked, and only found to be another than the image's config says."""
    make, suffix, refused = BOMBS[name]
    layout = layout_of(make(), suffix, tmp_path / "image")

    def tried(driver: Rundlet) -> bool:
        error = driver("image", "import", "x", layout).check(2).err
        through = "not what the image's config says" in error
        assert through != (refused in error), error
        return through

    Attack(weak, rundlet, tried).is_held_by("budgets")
