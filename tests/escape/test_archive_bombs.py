"""Small layers that would become large, in bytes, names, depth, holes or attributes: refused soon, in little memory."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import re
import resource
import select
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support import leaks
from support.archives import END, GNU, file, header, long_name, padded, pax
from support.images import CONFIG, LAYER, MANIFEST, Image, encoded, layout_files, sha256, write_tree
from support.layouts import zstd
from support.rundlet import Rundlet
from support.store import entries

MIB, GIB = 1 << 20, 1 << 30
SECONDS = 60.0  # of processors, for one import
MEMORY = 256 * MIB  # of one worker
Pack = Callable[[bytes], bytes]


def packed_gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def layout_of(blob: bytes, suffix: str, folder: Path) -> Path:
    """An image of one layer, whose diff id nobody will come to compare."""
    config = Image([b""]).config_bytes([b""])
    descriptors = [
        {"mediaType": kind, "digest": f"sha256:{sha256(data)}", "size": len(data)}
        for kind, data in ((CONFIG, config), (LAYER + suffix, blob))
    ]
    manifest = encoded({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptors[0], "layers": descriptors[1:]})
    top = {"mediaType": MANIFEST, "digest": f"sha256:{sha256(manifest)}", "size": len(manifest)}
    blobs = {sha256(data): data for data in (config, blob, manifest)}
    return write_tree(folder, layout_files(blobs, [top]))


def zeros(pack: Pack) -> bytes:
    """10 GiB in a file, as 640 times the same 16 KiB."""
    return pack(header("zeros", size=10 * GIB, magic=GNU, binary_size=True)) + pack(bytes(16 * MIB)) * 640 + pack(END)


def same(entry: bytes, count: int) -> bytes:
    """So many entries, packed less well than the ratio that is allowed."""
    several = 256 * 1024 // len(entry)
    noise = header("noise", size=1024) + random.Random(1).randbytes(1024)
    return packed_gzip(entry * several + noise) * (count // several) + packed_gzip(END)


def numbers(*values: int) -> bytes:
    return padded("".join(f"{value}\n" for value in values).encode())


def sparse(size: int, *parts: tuple[int, int], stored: bytes = b"") -> bytes:
    listed = numbers(len(parts), *(number for part in parts for number in part))
    version = (("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"))
    records = (*version, ("GNU.sparse.name", "holes"), ("GNU.sparse.realsize", str(size)))
    return pax(*records) + header("GNUSparseFile.1/holes", size=len(listed) + len(stored)) + listed + padded(stored)


def xattrs(count: int, size: int) -> bytes:
    return pax(*((f"SCHILY.xattr.user.{number}", b"x" * size) for number in range(count))) + file("a") + END


BOMBS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "10 GiB of zeros, gzip": (lambda: zeros(packed_gzip), "+gzip", "unpacks to more than 250 times its size"),
    "10 GiB of zeros, zstd": (lambda: zeros(zstd), "+zstd", "unpacks to more than 250 times its size"),
    "a gzip in a gzip": (lambda: packed_gzip(packed_gzip(bytes(MIB))), "+gzip", "no tar archive"),
    "2 M entries": (lambda: same(header("fifo", b"6"), 2_000_000), "+gzip", "a layer may have 1500000"),
    "names of 300 MiB": (
        lambda: same(long_name("/".join(["n" * 250] * 16)) + header("a", b"6"), 100_000),
        "+gzip",
        "the names together exceed 256 MiB",
    ),
    "depth": (lambda: long_name("d/" * 257 + "x") + header("x") + END, "", "is deeper than 256"),
    "8 EiB of holes": (lambda: sparse(2**63 - 1) + END, "", "is too sparse"),
    "holes of many files": (lambda: sparse(GIB) * 5 + END, "", "is too sparse"),
    "too many parts": (lambda: sparse(GIB, *((n * 1024, 0) for n in range(70_000))) + END, "", "more than 65536"),
    "a list of parts without end": (
        lambda: pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "1"))
        + header("a", size=8**11 - 1)
        + b"9" * (4 * MIB),
        "",
        "has no end",
    ),
    "attributes of a file": (lambda: xattrs(3, 30_000), "", "more than 64 KiB of extended attributes"),
    "attributes of a header": (lambda: xattrs(3, 400_000), "", "an extended header is larger than 1.0 MiB"),
    "a long name of 8 GiB": (lambda: header("l", b"L", size=8**11 - 1) + bytes(MIB), "", "larger than 1.0 MiB"),
}  # fmt: skip


def peak_memory() -> int:
    """Of this test's workers that run now: the most that one of them had, in bytes."""
    peak = 0
    for process in leaks.processes():
        if not process.name.startswith(("rundlet-worker", "rundlet-fetcher", "memfd:rundlet")):
            continue
        with contextlib.suppress(OSError):  # it ended
            found = re.search(rb"^VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_bytes(), re.MULTILINE)
            peak = max(peak, int(found[1]) * 1024 if found else 0)
    return peak


def work_done() -> float:
    """By this process's children that have ended, and theirs, in seconds of processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def watched(driver: Rundlet, layout: Path) -> tuple[str, int]:
    """What an import says, and the memory of its workers."""
    with driver.start("-q", "image", "import", "x", layout, stderr=subprocess.PIPE) as process:
        memory, ended = 0, select.poll()
        pidfd = os.pidfd_open(process.pid)
        ended.register(pidfd, select.POLLIN)
        while not ended.poll(10):  # milliseconds between two looks, until it has ended
            memory = max(memory, peak_memory())
        os.close(pidfd)
        assert process.wait() == 2
        assert process.stderr is not None
        return process.stderr.read().decode(), memory


@pytest.mark.parametrize("name", BOMBS)
def test_bomb(rundlet: Rundlet, tmp_path: Path, name: str) -> None:
    make, suffix, words = BOMBS[name]
    layout = layout_of(make(), suffix, tmp_path / "image")
    before = work_done()
    error, memory = watched(rundlet, layout)
    assert work_done() - before < SECONDS
    assert words in error
    assert memory < MEMORY
    assert not entries(rundlet.state)
    assert entries(rundlet.state, "staging") <= {"staging/.lock"}


def test_what_is_large_and_no_bomb(rundlet: Rundlet, tmp_path: Path) -> None:
    """A hundred thousand marks on one directory, and a sparse file with a hundred holes: taken in little memory."""
    parts = [(number * MIB, 512) for number in range(100)]
    marks = header("d/.wh..wh..opq") * 100_000
    tar = header("d", b"5", mode=0o755) + marks + sparse(100 * MIB, *parts, stored=bytes(range(256)) * 200) + END
    error, memory = watched(rundlet, Image([tar]).write_layout(tmp_path / "image"))
    assert "it has no python3" in error
    assert 0 < memory < MEMORY
    tree = rundlet.state / "layers" / sha256(tar) / "tree"
    assert os.getxattr(tree / "d", "trusted.overlay.opaque") == b"y"
    holes = tree / "holes"
    assert holes.stat().st_size == 100 * MIB
    assert holes.stat().st_blocks * 512 <= 2 * 100 * 4096  # the list of parts takes some, too
    with holes.open("rb") as content:
        for offset, size in parts:
            content.seek(offset)
            assert content.read(size + 1) == bytes(range(256)) * 2 + b"\0"
