"""Layers in every form that GNU tar and Python write, and archives whose headers contradict each other.

What two programs read in two ways can hide a file from one of them: so whatever is unpacked is what GNU tar and
Python's tarfile unpack, or it is refused.
"""

from __future__ import annotations

import os
import random
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Optional

import pytest

from support.archives import END, GNU, USTAR, V7, file, header, long_name, padded, pax
from support.images import Image, sha256
from support.rundlet import Rundlet

Tree = dict[str, Any]


def tree_below(root: Path) -> Tree:
    """Type and content by path, but for what layers do not keep."""
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder) / name
            info = path.lstat()
            key = str(path.relative_to(root))
            if stat.S_ISLNK(info.st_mode):
                found[key] = os.readlink(path)
            elif stat.S_ISDIR(info.st_mode):
                found[key] = None
            elif stat.S_ISREG(info.st_mode):
                found[key] = (info.st_size, sha256(path.read_bytes()))
    return found


def by_rundlet(driver: Rundlet, tar: bytes, folder: Path) -> Optional[Tree]:
    """Nothing when the layer is refused."""
    layout = Image([tar], compression="none").write_layout(folder / "image")
    # There is no Python in it, which is found out when the layer is in the store.
    done = driver("-q", "image", "import", "x", layout).check(2)
    if "it has no python3" in done.err:
        return tree_below(driver.state / "layers" / sha256(tar) / "tree")
    assert "unpacking layer" in done.err, done.err
    return None


def by_gnu_tar(path: Path, folder: Path) -> Optional[Tree]:
    folder.mkdir()
    done = subprocess.run(["tar", "-xf", path, "-C", folder], capture_output=True, check=False)
    return tree_below(folder) if done.returncode == 0 else None


def by_python(path: Path, folder: Path) -> Optional[Tree]:
    folder.mkdir()
    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder)
    except (tarfile.TarError, ValueError, OverflowError, KeyError):
        return None
    return tree_below(folder)


# -- every form


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Long names, links, and files with holes at the beginning, in the middle and at the end."""
    folder = tmp_path / "files"
    deep = folder / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    (deep / ("n" * 200)).write_text("long name")
    (folder / "plain").write_bytes(random.Random(3).randbytes(5000))
    os.link(folder / "plain", folder / "twin")
    os.symlink("/" + "t" * 150, folder / "link")
    for name, parts in {
        "start": [(1 << 20, b"x" * 1000)],
        "middle": [(0, b"a" * 4096), (1 << 20, b"b" * 4096)],
        "end": [(0, b"c" * 10), (8 << 20, b"")],
        "all": [(1 << 20, b"")],
        "many": [(number << 16, b"m" * 4096) for number in range(60)],
        "h" * 120: [(1 << 20, b"long")],
    }.items():
        with (folder / name).open("wb") as sparse:
            for offset, content in parts:
                sparse.truncate(offset)
                sparse.seek(offset)
                sparse.write(content)
    return folder


FORMS = {
    "v7": ["--format=v7", "--exclude=" + "?" * 100 + "*", "--exclude=link"],
    "ustar": ["--format=ustar", "--exclude=link", "--exclude=" + "h" * 120],
    "gnu": ["--format=gnu"],
    "oldgnu, sparse": ["--format=oldgnu", "-S"],
    "gnu, sparse": ["--format=gnu", "-S"],
    "pax": ["--format=pax"],
    "pax, sparse 0.0": ["--format=pax", "-S", "--sparse-version=0.0"],
    "pax, sparse 0.1": ["--format=pax", "-S", "--sparse-version=0.1"],
    "pax, sparse 1.0": ["--format=pax", "-S", "--sparse-version=1.0"],
}


@pytest.mark.parametrize("form", FORMS)
def test_form(rundlet: Rundlet, tmp_path: Path, files: Path, form: str) -> None:
    path = tmp_path / "layer.tar"
    command = ["tar", "-C", files, "--hard-dereference", *FORMS[form], "-cf", path, "."]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # v7 leaves out what it cannot hold
    tar = path.read_bytes()
    unpacked = by_rundlet(rundlet, tar, tmp_path)
    assert unpacked is not None
    assert unpacked == by_gnu_tar(path, tmp_path / "theirs")
    assert {"start", "middle", "end", "all", "many"} <= unpacked.keys()
    if "sparse" in form:
        assert unpacked == tree_below(files)
        tree = rundlet.state / "layers" / sha256(tar) / "tree"
        for name in ("start", "middle", "end", "all"):
            assert (tree / name).stat().st_blocks * 512 <= 8192


# -- contradictions


class Contradiction:
    """A few entries, some of which say two things at once."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0
        self.bytes = b"".join(self.entry() for _ in range(self.random.randint(1, 4))) + self.end()

    def name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def end(self) -> bytes:
        return self.random.choice([END, END, END, bytes(512), b"", bytes(512) + file("behind") + END])

    def size_of(self, body: bytes) -> int:
        """Right, mostly; else what another header or program may take for right."""
        return self.random.choice([len(body)] * 6 + [0, 512, 1024, len(body) + 512])

    def entry(self) -> bytes:
        choose = self.random.choice
        inner = file(self.name(), b"inner") if self.random.random() < 0.5 else b""
        body = choose([b"", b"text", inner, inner + file(self.name(), b"second")])
        kind = choose([b"0"] * 8 + [b"\0", b"1", b"2", b"5", b"6", b"7", b"S", b"D", b"x"])
        name = self.name() + choose([""] * 6 + ["/"])
        link = "n1" if kind == b"1" else "target" if kind == b"2" else choose(["", "", "target"])
        more = choose([(), (), (), ((345, b"prefix"),), ((386, b"00000000000\x00"),), ((482, b"\1"),)])
        if kind == b"6":
            more = ()  # fifos are dropped, and with them the directories that only they would need
        block = header(
            name,
            kind,
            link=link,
            size=self.size_of(body),
            magic=choose([USTAR, USTAR, GNU, GNU, V7]),
            binary_size=self.random.random() < 0.2,
            more=more,
        )
        before = b"".join(self.extension(body) for _ in range(choose([0, 0, 1, 1, 2])))
        return before + block + padded(body)

    def extension(self, body: bytes) -> bytes:
        choose = self.random.choice
        what = choose(["size", "size", "path", "link", "long", "long link", "sparse", "several", "global", "nothing"])
        size = str(self.size_of(body))
        if what == "long":
            return long_name(self.name())
        if what == "long link":
            return long_name(self.name(), b"K")
        if what == "sparse":
            listed = [("GNU.sparse.map", f"0,{len(body)}"), ("GNU.sparse.numblocks", "1")]
            version = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")]
            names = [("GNU.sparse.name", self.name()), ("path", self.name())]
            sizes = [("GNU.sparse.size", size), ("GNU.sparse.realsize", size)]
            records = [choose(listed), choose(version), choose(names), choose(sizes), *listed, *version]
            return pax(*self.random.sample(records, self.random.randint(1, 5)))
        if what == "several":
            return pax(("path", self.name()), ("size", size), ("linkpath", self.name()))
        if what == "global":
            return pax(("size", size), kind=b"g")
        records = {"size": ("size", size), "path": ("path", self.name()), "link": ("linkpath", self.name())}
        return pax(records.get(what, ("comment", "x")))


def check(driver: Rundlet, folder: Path, tar: bytes) -> bool:
    """Whether it is unpacked."""
    ours = by_rundlet(driver, tar, folder)
    if ours is None:
        return False
    path = folder / "layer.tar"
    path.write_bytes(tar)
    for theirs in (by_gnu_tar(path, folder / "gnu"), by_python(path, folder / "python")):
        assert theirs is None or theirs == ours, tar
    return True


def check_contradictions(driver: Rundlet, folder: Path, seeds: range) -> None:
    unpacked = 0
    for seed in seeds:
        one = folder / str(seed)
        one.mkdir()
        unpacked += check(driver, one, Contradiction(seed).bytes)
    assert 0 < unpacked < len(seeds)  # else nothing was compared, or nothing was a contradiction


@pytest.mark.parametrize("group", range(4))
def test_contradictions(rundlet: Rundlet, tmp_path: Path, group: int) -> None:
    check_contradictions(rundlet, tmp_path, range(group * 50, group * 50 + 50))


@pytest.mark.soak
@pytest.mark.parametrize("group", range(1, 25))
def test_many_contradictions(rundlet: Rundlet, tmp_path: Path, group: int) -> None:
    check_contradictions(rundlet, tmp_path, range(group * 200, group * 200 + 200))
