"""A disk that nobody has used before."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOM = 8 << 30  # bytes; the file behind it is sparse


NAMESPACE = "RUNDLET_BENCH_NAMESPACE"  # set in the one whose mounts end with the bench


def enter_own_mounts() -> None:
    """Starts the program again, in a mount namespace: what it mounts ends with it, whatever happens."""
    if NAMESPACE in os.environ:
        return
    os.environ[NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


@contextlib.contextmanager
def new_file_system(place: Path) -> Iterator[Path]:
    """An ext4 of its own, mounted there.

    Where files were deleted not long before, ext4 searches for inodes at twice the cost of all else, and who syncs a
    file system writes what others left in memory.
    """
    disk = place.with_suffix(".ext4")
    place.mkdir()
    with open(disk, "wb") as file:
        file.truncate(ROOM)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", disk], check=True)
        subprocess.run(["mount", "-o", "loop", disk, place], check=True)
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)
        disk.unlink()
        place.rmdir()
