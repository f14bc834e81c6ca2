"""Layers that try to get out of the directory they are unpacked into.

Each ends in a clear error, or in the harmless tree that the table states. A directory outside, the layers that were
there before and the rest of the state directory stay as they were.

    "dir" a directory; "'text' 644" a file; "-> x" a link; "whiteout" what hides a name of the layers below
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import pytest

from support.archives import END, header, long_name, pax
from support.archives import file as raw_file
from support.images import (
    OPAQUE,
    WHITEOUT,
    Content,
    Image,
    device,
    directory,
    fifo,
    file,
    hardlink,
    layer_tar,
    sha256,
    symlink,
)
from support.rundlet import Rundlet
from support.store import entries
from support.trees import tree_of

OUT = f"/tmp/rundlet-canary-{os.getpid()}"  # stands for the directory outside
UP = "../" * 12 + OUT.lstrip("/")
INSIDE = OUT.lstrip("/")

Pairs = list[tuple[str, Content]]
Tree = dict[str, str]
NO_EXIT = "leads out of the archive"
ON_ITS_WAY = "has a symbolic link of the same layer on its way"
NOT_THERE = "which is not in the same layer"
NO_NAME = "is a whiteout of no name"
ROOT = "makes the root something else than a directory"
NO_PYTHON = "it has no python3 on its PATH"
NO_DIRECTORY = "uses the name of a whiteout for a directory"
TRUSTED = {f"SCHILY.xattr.trusted.overlay.{name}": "y" for name in ("opaque", "redirect", "metacopy", "origin")}
USER = {f"SCHILY.xattr.user.overlay.{name}": "y" for name in ("opaque", "whiteout", "redirect")}


@dataclass(frozen=True)
class Case:
    layer: Union[Pairs, bytes]
    outcome: Union[str, Tree]  # a part of the error, or what is in the tree


def refused(layer: Union[Pairs, bytes], error: str) -> Case:
    return Case(layer, error)


def harmless(layer: Union[Pairs, bytes], tree: Tree) -> Case:
    return Case(layer, tree)


CASES: dict[str, Case] = {
    # Names
    "up": refused([(f"{UP}/x", "x")], NO_EXIT),
    "up from a directory": refused([("a", directory()), (f"a/{UP}/x", "x")], NO_EXIT),
    "dot-dot that stays inside": refused([("a/../b", "x")], NO_EXIT),
    "the parent itself": refused([("..", directory(0o777))], NO_EXIT),
    "dot-dot behind a link": refused([("a", symlink(OUT)), ("a/../x", "x")], NO_EXIT),
    "dot-dot by a pax header": refused(pax(("path", f"{UP}/x")) + raw_file("x") + END, NO_EXIT),
    "dot-dot by a long name": refused(long_name(f"{UP}/x") + raw_file("x") + END, NO_EXIT),
    "dot-dot by a prefix": refused(header("x", more=[(345, b"../..")]) + END, NO_EXIT),
    "dot-dot by a sparse file's name": refused(
        pax(("GNU.sparse.size", "0"), ("GNU.sparse.numblocks", "0"), ("GNU.sparse.map", ""), ("GNU.sparse.name", UP))
        + raw_file("x")
        + END,
        NO_EXIT,
    ),
    "absolute": harmless([(f"{OUT}/x", "x")], {"tmp": "dir", INSIDE: "dir", f"{INSIDE}/x": "'x' 644"}),
    "absolute with many slashes": harmless([("//.//x", "x")], {"x": "'x' 644"}),
    "a backslash is no slash": harmless([("..\\x", "x")], {"..\\x": "'x' 644"}),
    "NUL in a name": refused(pax(("path", b"a\0/../x")) + raw_file("x") + END, "holds a NUL byte"),
    "newline in a name": harmless([("a\nb", "x")], {"a\nb": "'x' 644"}),
    "name of 300 bytes": refused([("n" * 300, "x")], "has a name of more than 255 bytes"),
    "path of 5000 bytes": refused([("/".join(["n" * 200] * 25), "x")], "has a path of more than 4095 bytes"),
    "depth of 300": refused([("d/" * 300 + "x", "x")], "is deeper than 256"),
    "no name": refused(header("") + END, "an entry has no name"),
    # Links, and what goes through them
    "file through a link": refused([("a", symlink(OUT)), ("a/x", "x")], ON_ITS_WAY),
    "file through a relative link": refused([("a", symlink(UP)), ("a/x", "x")], ON_ITS_WAY),
    "file through a chain": refused(
        [("a", symlink("b")), ("b", symlink("c")), ("c", symlink(OUT)), ("a/x", "x")], "`a`"
    ),
    "file through a link to the tree": refused([("d", directory()), ("a", symlink("d")), ("a/x", "x")], ON_ITS_WAY),
    "directory becomes a link": refused(
        [("d", directory()), ("d/x", "x"), ("d", symlink(OUT)), ("d/file", "y")], ON_ITS_WAY
    ),
    "directory through a link": refused([("a", symlink(OUT)), ("a/d", directory())], ON_ITS_WAY),
    "file over a link": harmless([("a", symlink(f"{OUT}/file")), ("a", "x")], {"a": "'x' 644"}),
    "mode and time over a link": harmless([("a", symlink(OUT)), ("a/", directory(0o700))], {"a": "dir 700"}),
    "owner of a link": harmless([("a", symlink(OUT, uid=1000, gid=1000, mtime=1))], {"a": f"-> {OUT}"}),
    "attribute of a link": harmless(
        [("a", symlink(f"{OUT}/file", pax={"SCHILY.xattr.user.x": "y"}))], {"a": f"-> {OUT}/file"}
    ),
    "link over a directory with files": harmless(
        [("d/e", directory()), ("d/e/f", "x"), ("d", symlink(OUT))], {"d": f"-> {OUT}"}
    ),
    "dangling link": harmless([("a", symlink("../../nowhere"))], {"a": "-> ../../nowhere"}),
    "link with a long target": refused([("a", symlink("t" * 5000))], "over-long target"),
    "hard link up": refused([("a", hardlink(f"{UP}/file"))], NO_EXIT),
    "hard link, absolute": refused([("a", hardlink(f"{OUT}/file"))], NOT_THERE),
    "hard link through a link": refused([("a", symlink(OUT)), ("b", hardlink("a/file"))], NOT_THERE),
    "hard link to a link, then written": harmless(
        [("a", symlink(f"{OUT}/file")), ("b", hardlink("a")), ("b", "x")], {"a": f"-> {OUT}/file", "b": "'x' 644"}
    ),
    "hard link to a link, with a mode": harmless(
        [("a", symlink(f"{OUT}/file")), ("b", hardlink("a", mode=0o777))],
        {"a": f"-> {OUT}/file", "b": f"-> {OUT}/file"},
    ),
    "hard link to a later entry": refused([("a", hardlink("b")), ("b", "x")], NOT_THERE),
    "hard link to a directory": refused([("d", directory()), ("a", hardlink("d"))], "which is no file"),
    "hard link to the root": refused([("a", hardlink("."))], "which is no file"),
    "hard link to itself": refused([("a", "x"), ("a", hardlink("./a"))], "is a hard link to itself"),
    "hard link to a whiteout": refused([(".wh.a", "x"), ("b", hardlink("a"))], NOT_THERE),
    "hard link to a device": refused([("a", device("b", 8, 0)), ("b", hardlink("a"))], NOT_THERE),
    "hard link to another layer": refused([("a", hardlink("below"))], NOT_THERE),
    # A file that is written again must not change its other name.
    "twice, with two names": harmless(
        [("a", "first"), ("b", hardlink("a")), ("a", "second")], {"a": "'second' 644", "b": "'first' 644"}
    ),
    "file as a directory": refused([("a", "x"), ("a/b", "y")], "which is no directory in the same layer"),
    # Whiteouts
    "whiteout of the root": refused([(".wh.", "")], NO_NAME),
    "whiteout of .": refused([(".wh..", "")], NO_NAME),
    "whiteout of the parent": refused([("a", directory()), ("a/.wh...", "")], NO_NAME),
    "whiteout through a link": refused([("a", symlink(OUT)), ("a/.wh.file", "")], ON_ITS_WAY),
    "opaque through a link": refused([("a", symlink(OUT)), ("a/.wh..wh..opq", "")], ON_ITS_WAY),
    "whiteout that is a directory": refused([(".wh.a", directory())], NO_DIRECTORY),
    "below a whiteout's name": refused([(".wh.a/b", "x")], NO_DIRECTORY),
    "whiteout that is a link": harmless([(".wh.below", symlink(OUT))], {"below": "whiteout"}),
    "whiteout of what is below": harmless([("below", WHITEOUT)], {"below": "whiteout"}),
    "whiteout of what the layer brings": harmless([("a", "x"), ("a", WHITEOUT)], {"a": "'x' 644"}),
    "opaque root": harmless([("", OPAQUE), ("a", "x")], {"a": "'x' 644"}),
    "bookkeeping of aufs": harmless([(".wh..wh.plnk/x", "x")], {}),
    "bookkeeping of aufs, and out": refused([(".wh..wh.plnk/../../x", "x")], NO_EXIT),
    "whiteout as a device": harmless([("below", device("c", 0, 0))], {}),
    # The root
    "root as a link": refused([("./", symlink(OUT))], ROOT),
    "root as a link, by a dot": refused(header("/.", b"2", link=OUT) + END, ROOT),
    "root as a file": refused(header(".") + END, ROOT),
    "root as a hard link": refused(header("/", b"1", link="below") + END, ROOT),
    "root as a device": refused(header("./.", b"3") + END, ROOT),
    # Special files, privileges, attributes
    "devices": harmless([("disk", device("b", 8, 0)), ("mem", device("c", 1, 1))], {}),
    "fifo": harmless([("f", fifo())], {}),
    "unknown type": refused(header("a", b"s") + END, "is of unknown type"),
    "setuid and setgid": harmless(
        [("a", file("x", 0o4755)), ("b", file("x", 0o2755)), ("d", directory(0o6755))],
        {"a": "'x' 755", "b": "'x' 755", "d": "dir"},
    ),
    "capabilities of a file": harmless(
        [("a", file("x", 0o755, pax={"SCHILY.xattr.security.capability": "\1\0\0\2"}))], {"a": "'x' 755"}
    ),
    "attributes of overlays, trusted": harmless([("d", directory(pax=TRUSTED))], {"d": "dir"}),
    "attributes of overlays, user": harmless([("d", directory(pax=USER))], {"d": "dir"}),
    "attribute of our own kind": harmless(
        [("a", file("x", pax={"SCHILY.xattr.user.note": "y"}))], {"a": "'x' 644 user.note"}
    ),
    # Owners
    "owner that a sandbox has not": harmless([("a", file("x", uid=4_000_000))], {"a": "'x' 644 65534:0"}),
    "group that a sandbox has not": harmless([("d", directory(gid=65_536))], {"d": "dir 0:65534"}),
    "the highest owner": harmless([("a", file("x", uid=65_535, gid=65_535))], {"a": "'x' 644 65535:65535"}),
    "owner that is no id": refused([("a", file("x", uid=4_294_967_295))], "which are no ids"),
    "owner beyond 32 bits": refused([("a", file("x", uid=4_294_967_296))], "which are no ids"),
    "negative owner": refused(pax(("uid", "-1")) + raw_file("a") + END, "is not a number"),
}


def described(path: Path) -> str:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return f"-> {os.readlink(path)}"
    if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
        return "whiteout"
    mode = stat.S_IMODE(info.st_mode)
    assert stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode), path
    text = "dir" if stat.S_ISDIR(info.st_mode) else f"{path.read_text()!r} {mode:o}"
    if stat.S_ISDIR(info.st_mode) and mode != 0o755:
        text += f" {mode:o}"
    if (info.st_uid, info.st_gid) != (0, 0):
        text += f" {info.st_uid}:{info.st_gid}"
    return " ".join([text, *sorted(os.listxattr(path))])


def tree_below(root: Path) -> Tree:
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder) / name
            found[str(path.relative_to(root))] = described(path)
    return found


@pytest.fixture
def canary() -> Iterator[Path]:
    folder = Path(OUT)
    folder.mkdir()
    try:
        (folder / "file").write_text("alive")
        (folder / "d").mkdir()
        yield folder
    finally:
        for path in (folder / "file", folder / "d", folder):
            path.unlink() if path.is_file() else path.rmdir()


@pytest.mark.parametrize("name", CASES)
def test_archive(rundlet: Rundlet, tmp_path: Path, canary: Path, name: str) -> None:
    case = CASES[name]
    below, layer = layer_tar({"below": "of the layer below"}), layer_tar(case.layer)
    layers = rundlet.state / "layers"
    command = ("-q", "image", "import", "x")
    # There is no Python in any of them, which is found out when all layers are in the store.
    assert NO_PYTHON in rundlet(*command, Image([below]).write_layout(tmp_path / "first")).check(2).err
    before = tree_of(canary), tree_of(layers / sha256(below)), (rundlet.state / "version").read_text()
    kept = entries(rundlet.state)

    done = rundlet(*command, Image([below, layer]).write_layout(tmp_path / "second")).check(2)
    assert "\x1b" not in done.err
    if isinstance(case.outcome, str):
        assert case.outcome in done.err
        assert f"caused by: unpacking layer `sha256:{sha256(layer)}`\n" in done.err
        assert entries(rundlet.state) == kept
    else:
        assert NO_PYTHON in done.err
        assert tree_below(layers / sha256(layer) / "tree") == case.outcome
        assert entries(rundlet.state) == kept | {f"layers/{sha256(layer)}"}
    assert entries(rundlet.state, "staging") <= {"staging/.lock"}
    assert (tree_of(canary), tree_of(layers / sha256(below)), (rundlet.state / "version").read_text()) == before
