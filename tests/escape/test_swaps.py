"""Directories swapped for links, 100,000 times, while sandboxes are made of them: nothing outside is touched."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from escape.attacker_program import hashes
from escape.test_weakened import WALLS_OF_MOUNT_POINTS, Weakened, weakened  # noqa: F401  # a fixture

from support.rundlet import Rundlet

AT_FDCWD, RENAME_EXCHANGE = -100, 2
RENAMES = 100_000
STARTS = 30
MOST_STARTS = 300  # until somebody who has to lose has lost


class Swapper(threading.Thread):
    """Exchanges two names again and again, until it is told to stop and has done so often enough."""

    def __init__(self, first: Path, second: Path) -> None:
        super().__init__()
        self.names = (os.fsencode(first), os.fsencode(second))
        self.left = RENAMES
        self.stop = threading.Event()
        self.error = 0

    def run(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        while self.error == 0 and not (self.stop.is_set() and self.left <= 0):
            if libc.renameat2(AT_FDCWD, self.names[0], AT_FDCWD, self.names[1], RENAME_EXCHANGE) != 0:
                self.error = ctypes.get_errno()
            self.left -= 1

    def __enter__(self) -> Swapper:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()
        assert self.error == 0, os.strerror(self.error)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of the attacker's, with a directory and a link in it."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "sub").mkdir()
    (folder / "sub/marker").write_text("inside\n")
    for path in (folder, folder / "sub"):
        path.chmod(0o777)
    return folder


@pytest.fixture
def canary(weakened: Weakened) -> Iterator[Path]:  # noqa: F811
    """Anybody may write to it who gets there; the launcher's own name for it is /store/canary."""
    folder = weakened.sound.state / "canary"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    for path in folder.iterdir():
        path.rmdir()
    folder.rmdir()


def start(driver: Rundlet, place: Path, sub: int) -> bool:
    """Mounts something at a place that has to be made, below the directory or the link."""
    mounts = ("--mount", f"{place}:/work:rw", "--mount", f"{place}:/work/sub/made")
    done = driver("exec", "--image", "python-3.11", *mounts, "--", "true")
    assert done.code == 0 or (done.code == 125 and "mounting `/work/sub/made`" in done.err), str(done)
    if "made" in os.listdir(sub):
        os.rmdir("made", dir_fd=sub)
    return done.code == 0


@pytest.mark.parametrize("left", [*WALLS_OF_MOUNT_POINTS, None])
def test_swapped_mount_points_stay_in_the_root(
    weakened: Weakened,  # noqa: F811
    place: Path,
    canary: Path,
    left: str | None,
) -> None:
    """Each wall holds alone; without all of them the canary gets the directory that is made for the mount."""
    (place / "link").symlink_to("/store/canary")
    driver = weakened.without(*(wall for wall in WALLS_OF_MOUNT_POINTS if wall != left))
    sub = os.open(place / "sub", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Swapper(place / "sub", place / "link"):
            if left is None:
                starts = 0
                while not list(canary.iterdir()):
                    start(driver, place, sub)
                    starts += 1
                    assert starts < MOST_STARTS, "the attack does not attack any more"
            else:
                started = [start(driver, place, sub) for _ in range(STARTS)]
                assert any(started)
                assert list(canary.iterdir()) == []
    finally:
        os.close(sub)


def test_a_swapped_source_is_never_a_link(shared_state: Rundlet, place: Path, tmp_path: Path) -> None:
    """What is mounted is the directory that its user named, or nothing, and never what a link names."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "marker").write_text("outside\n")
    for path in (outside, outside / "marker"):
        path.chmod(0o777)
    (place / "link").symlink_to(outside)
    before = hashes(outside)
    seen = {"inside\n": 0, "": 0}
    with Swapper(place / "sub", place / "link"):
        for _ in range(STARTS):
            mount = ("--mount", f"{place}/sub:/work:rw")
            done = shared_state("exec", "--image", "python-3.11", *mount, "--", "cat", "/work/marker")
            assert done.code == 0 or (done.code == 125 and "link" in done.err), str(done)
            seen[done.out] += 1
    assert hashes(outside) == before
    assert sum(seen.values()) == STARTS
