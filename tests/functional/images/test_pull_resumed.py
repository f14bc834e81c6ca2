"""Pulls that end early, and what the next one makes of what they left."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import leaks
from support.images import sha256
from support.layouts import with_layers
from support.rundlet import Rundlet
from support.servers.registry import FakeRegistry, Fault, Handler, Reply
from support.store import entries

MIB = 1 << 20
LARGE = 70 * MIB  # of smaller layers nothing is kept


@pytest.fixture(scope="module")
def large_data() -> bytes:
    return random.Random(7).randbytes(LARGE)


@pytest.fixture(scope="module")
def large_image(tmp_path_factory: pytest.TempPathFactory, small_image: Path, large_data: bytes) -> Path:
    return with_layers(small_image, tmp_path_factory.mktemp("large") / "layout", {"opt/large": large_data})


def large_blob(layout: Path) -> Path:
    return max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)


def downloads(driver: Rundlet) -> dict[str, Path]:
    folder = driver.state / "cache/downloads"
    return {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}


def pull(driver: Rundlet, registry: FakeRegistry, *options: str) -> None:
    driver.ok("image", "pull", "--plain-http", *options, registry.name())


def check_large(driver: Rundlet, registry: FakeRegistry, data: bytes) -> None:
    script = "import hashlib; print(hashlib.sha256(open('/opt/large', 'rb').read()).hexdigest())"
    done = driver.ok("exec", "--image", registry.name(), "--", "python3", "-c", script)
    assert done.out == sha256(data) + "\n"


def stop_after(sent: int, reached: threading.Event, done: threading.Event) -> Fault:
    """The large layer stops there, once."""

    def fault(request: Handler, reply: Reply) -> bool:
        if len(reply.body) < LARGE or reached.is_set():
            return False
        request.send(reply, reply.body[:sent])
        reached.set()
        done.wait(60)
        return True

    return fault


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("option", [(), ("--keep-blobs",)])
def test_goes_on_after_a_kill(rundlet: Rundlet, large_image: Path, large_data: bytes, option: tuple[str, ...]) -> None:
    reached, done = threading.Event(), threading.Event()
    name = large_blob(large_image).name
    with FakeRegistry(large_image, fault=stop_after(50 * MIB, reached, done)) as registry:
        with rundlet.start("image", "pull", "--plain-http", *option, registry.name()) as process:
            until(lambda: name in downloads(rundlet) and downloads(rundlet)[name].stat().st_size == 50 * MIB)
            process.kill()
            process.wait(30)
        done.set()
        rundlet.ok("gc")  # what was written a moment ago stays
        registry.requests.clear()
        pull(rundlet, registry, *option)
        ranges = [headers["Range"] for path, headers in registry.requests if path.endswith(name)]
        assert ranges == [f"bytes={50 * MIB}-"]
        check_large(rundlet, registry, large_data)
    assert downloads(rundlet) == {}


def test_all_of_it_was_there(rundlet: Rundlet, large_image: Path, large_data: bytes) -> None:
    blob = large_blob(large_image)
    rundlet.ok("image", "ls")
    (rundlet.state / "cache/downloads").mkdir()
    (rundlet.state / "cache/downloads" / blob.name).write_bytes(blob.read_bytes())
    with FakeRegistry(large_image) as registry:
        pull(rundlet, registry)
        assert not [path for path in registry.paths() if path.endswith(blob.name)]
        check_large(rundlet, registry, large_data)
    assert downloads(rundlet) == {}


def test_more_than_all_of_it(rundlet: Rundlet, large_image: Path, large_data: bytes) -> None:
    """A file that is longer than the blob is not read beyond it."""
    blob = large_blob(large_image)
    rundlet.ok("image", "ls")
    (rundlet.state / "cache/downloads").mkdir()
    (rundlet.state / "cache/downloads" / blob.name).write_bytes(blob.read_bytes() + b"more")
    with FakeRegistry(large_image) as registry:
        pull(rundlet, registry, "--keep-blobs")
        check_large(rundlet, registry, large_data)
    assert (rundlet.state / "blobs" / blob.name / "tree/blob").stat().st_size == blob.stat().st_size


def test_altered_beginning(rundlet: Rundlet, large_image: Path, large_data: bytes) -> None:
    """It is hashed like what comes behind it, found out, and in nobody's way the next time."""
    blob = large_blob(large_image)
    rundlet.ok("image", "ls")
    (rundlet.state / "cache/downloads").mkdir()
    (rundlet.state / "cache/downloads" / blob.name).write_bytes(b"x" * MIB)
    with FakeRegistry(large_image) as registry:
        done = rundlet("image", "pull", "--plain-http", registry.name()).check(2)
        assert "it was altered: its digest is" in done.err
        assert done.err.endswith("hint: what an earlier pull had left of it is dropped: pull again\n")
        assert downloads(rundlet) == {}
        assert entries(rundlet.state, "staging") <= {"staging/.lock"}
        pull(rundlet, registry)
        check_large(rundlet, registry, large_data)


def test_gc_drops_what_nobody_went_on_with(rundlet: Rundlet) -> None:
    rundlet.ok("image", "ls")
    folder = rundlet.state / "cache/downloads"
    folder.mkdir()
    for name, age in (("a" * 64, 60), ("b" * 64, 7200)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age,) * 2)
    rundlet.ok("gc")
    assert set(downloads(rundlet)) == {"a" * 64}


def test_line_that_breaks_often(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> None:
    """More often than a download is tried again; but each attempt brings a part."""
    layout = with_layers(small_image, tmp_path / "more", {"opt/more": random.Random(1).randbytes(7 * MIB)})
    name = next(path.name for path in (layout / "blobs/sha256").iterdir() if 7 * MIB < path.stat().st_size < 8 * MIB)

    def fault(request: Handler, reply: Reply) -> bool:
        if not request.path.endswith(name):
            return False
        request.send(reply, reply.body[: MIB + MIB // 4])
        return True

    with FakeRegistry(layout, fault=fault) as registry:
        pull(rundlet, registry)
        assert len([path for path in registry.paths() if path.endswith(name)]) == 6


def outputs(state: Path) -> dict[str, str]:
    """The digest of what each layer and blob holds."""
    records = [*(state / "layers").glob("*/entry.json"), *(state / "blobs").glob("*/entry.json")]
    return {f"{record.parts[-3]}/{record.parts[-2]}": json.loads(record.read_text())["output"] for record in records}


def kill_after(driver: Rundlet, layout: Path, limit: int) -> None:
    """Kills a pull once the registry has sent so many bytes, and sends no more."""
    left, lock, reached, done = [limit], threading.Lock(), threading.Event(), threading.Event()

    def fault(request: Handler, reply: Reply) -> bool:
        with lock:
            sent = min(len(reply.body), left[0])
            left[0] -= sent
        request.send(reply, reply.body[:sent])
        if sent < len(reply.body):
            reached.set()
            done.wait(60)
        return True

    with FakeRegistry(layout, fault=fault) as registry:
        with driver.start("image", "pull", "--plain-http", "--keep-blobs", registry.name()) as process:
            # What is there already is not asked for: it may get to its end.
            until(lambda: reached.is_set() or process.poll() is not None)
            process.kill()
            process.wait(30)
        done.set()
    leaks.wait_for_exit(leaks.processes([driver.state]), time.monotonic() + 60)  # of workers, that still write
    driver.ok("image", "ls")  # sweeps
    assert entries(driver.state, "staging") <= {"staging/.lock"}


def kill_at_random(driver: Rundlet, layout: Path, seeds: range) -> None:
    """Each time on what the earlier ones left."""
    total = sum(blob.stat().st_size for blob in (layout / "blobs/sha256").iterdir())
    for seed in seeds:
        kill_after(driver, layout, random.Random(seed).randrange(total))


def check_after_kills(driver: Rundlet, layout: Path, folder: Path) -> None:
    with FakeRegistry(layout) as registry:
        pull(driver, registry, "--keep-blobs")
        driver.ok("image", "export", registry.name(), folder / "out")
        driver.ok("exec", "--image", registry.name(), "--", "python3", "-c", "import json")
    whole = Rundlet(folder / "whole", environment=driver.environment)
    whole.ok("image", "import", "--keep-blobs", "x", layout)
    assert outputs(driver.state) == outputs(whole.state)
    assert downloads(driver) == {}


def test_killed_at_random(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> None:
    kill_at_random(rundlet, small_image, range(4))
    check_after_kills(rundlet, small_image, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("group", range(1, 6))
def test_killed_often(rundlet: Rundlet, large_image: Path, tmp_path: Path, group: int) -> None:
    kill_at_random(rundlet, large_image, range(group * 12, group * 12 + 12))
    check_after_kills(rundlet, large_image, tmp_path)


def test_two_keep_at_once(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> None:
    with FakeRegistry(small_image) as registry:
        command = ("image", "pull", "--plain-http", "--keep-blobs", registry.name())
        with rundlet.start(*command) as one, rundlet.start(*command) as other:
            for process in (one, other):
                _, err = process.communicate(timeout=120)
                assert process.returncode == 0, err.decode()
    check_after_kills(rundlet, small_image, tmp_path)
