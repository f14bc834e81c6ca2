#!/usr/bin/env python3
"""The base images of the tests, made from Debian packages once and then kept.

python3 tests/support/baseimages.py DIR     makes what DIR lacks
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "tests") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests"))

from support.images import Image  # noqa: E402
from support.layouts import small_layout  # noqa: E402

IMAGES = {  # name -> suite, shape
    "python-3.11": ("bookworm", "debian"),
    "python-3.13": ("trixie", "debian"),
    "python-3.11-official": ("bookworm", "official"),
}
SMALL = "python-3.11-small"  # made of the first
MUSL = "python-3.11-musl"  # takes the compiler minutes, so it is made when it is first wanted


def make(folder: Path, name: str) -> Path:
    """The image layout of this name, made when it is not there yet."""
    if name == SMALL:
        return _make_small(folder)
    if name == MUSL:
        return _make_musl(folder)
    suite, shape = IMAGES[name]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [str(ROOT / "scripts/python-image"), "--suite", suite, "--shape", shape]
        command += ["--name", name, "--output", str(folder / name)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    return folder / name


def _make_small(folder: Path) -> Path:
    plain = make(folder, "python-3.11")
    with open(folder / f"{SMALL}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / SMALL).exists():
            with tempfile.TemporaryDirectory(dir=folder, prefix=".small-") as scratch:
                small_layout(plain, Path(scratch) / SMALL).rename(folder / SMALL)
    return folder / SMALL


def _make_musl(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{MUSL}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / MUSL).exists():
            with tempfile.TemporaryDirectory(dir=folder, prefix=".musl-") as scratch:
                archive = Path(scratch) / "python.tar"
                command = [str(ROOT / "tests/support/musl_python"), str(archive)]
                done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
                assert done.returncode == 0, done.stderr
                Image([archive.read_bytes()], name=MUSL).write_layout(Path(scratch) / MUSL).rename(folder / MUSL)
    return folder / MUSL


if __name__ == "__main__":
    for image in (*IMAGES, SMALL):
        make(Path(sys.argv[1]), image)
