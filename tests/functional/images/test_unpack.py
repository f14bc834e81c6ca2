"""Layers on disk are what `umoci unpack` makes of them: over images, and over stacks made at random."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import pytest

from support import trees
from support.images import OPAQUE, WHITEOUT, Content, Entry, Image, directory, file, hardlink, symlink
from support.rundlet import Rundlet

NAMES = ["a", "b", "c", "dd", "e e", "ü", "x" * 120]


class Stack:
    """Layers that make sense: what changes is there, and parents come with their children, as tools write them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tree: dict[str, Entry] = {}  # what all layers so far make
        self.layers = [self.layer() for _ in range(self.random.randint(2, 6))]

    def metadata(self) -> dict[str, Any]:
        choose = self.random.choice
        more: dict[str, Any] = {"uid": choose([0, 0, 7, 1000, 65535]), "gid": choose([0, 0, 50, 65535])}
        more["mtime"] = self.random.randint(0, 1_700_000_000)
        if self.random.random() < 0.2:
            more["pax"] = {"SCHILY.xattr.user.note": choose(["x", "a longer value", "1"])}
        return more

    def folders(self) -> list[str]:
        return ["", *[path for path, entry in self.tree.items() if entry.type == b"5"]]

    def new_path(self) -> str:
        return f"{self.random.choice(self.folders())}/{self.random.choice(NAMES)}".lstrip("/")

    def old_path(self) -> Optional[str]:
        return self.random.choice(sorted(self.tree)) if self.tree else None

    def forget(self, path: str) -> None:
        for other in [other for other in self.tree if other == path or other.startswith(path + "/")]:
            del self.tree[other]

    def layer(self) -> list[tuple[str, Content]]:
        """Whiteouts first, then all else, parents first."""
        hidden: list[tuple[str, Content]] = []
        made: dict[str, Entry] = {}
        for _ in range(self.random.randint(1, 12)):
            self.step(hidden, made)
        for path in [path for path, _ in hidden] + list(made):
            parts = path.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                parent = "/".join(parts[:depth])
                if parent not in made and parent in self.tree:
                    made[parent] = self.tree[parent]
        folders = [(path, entry) for path, entry in sorted(made.items()) if entry.type == b"5"]
        hidden = [(path, mark) for path, mark in hidden if not (mark is OPAQUE and path not in made)]
        files = [(path, entry) for path, entry in made.items() if entry.type not in (b"5", b"1")]
        links = [(path, entry) for path, entry in made.items() if entry.type == b"1"]
        whiteouts = [pair for pair in hidden if pair[1] is WHITEOUT]
        marks = [pair for pair in hidden if pair[1] is OPAQUE]
        # An opaque mark counts wherever it stands.
        self.random.shuffle(files)
        return [*whiteouts, *folders, *marks, *files, *links]

    def step(self, hidden: list[tuple[str, Content]], made: dict[str, Entry]) -> None:
        what = self.random.choice(["file", "file", "directory", "symlink", "hardlink", "change", "delete", "opaque"])
        path = self.old_path() if what in ("change", "delete", "opaque") else self.new_path()
        if path is None:
            return
        if what in ("delete", "opaque"):
            # What this layer itself made is not hidden by it.
            touched = any(other == path or other.startswith(path + "/") for other in made)
            inside = any(mark is WHITEOUT and path.startswith(other + "/") for other, mark in hidden)
            if touched or inside or (what == "opaque" and self.tree[path].type != b"5"):
                return
            entry = self.tree[path]
            self.forget(path)
            # No tool writes whiteouts below what the same layer hides, and readers differ on them.
            hidden[:] = [(other, mark) for other, mark in hidden if not other.startswith(path + "/")]
            if what == "delete":
                hidden.append((path, WHITEOUT))
            else:
                hidden.append((path, OPAQUE))
                self.tree[path] = made[path] = entry
            return
        if path in made:
            return
        old = self.tree.get(path)
        text = "".join(self.random.choice("abc\n") for _ in range(self.random.choice([0, 1, 100, 5000])))
        entry = file(text, self.random.choice([0o644, 0o755, 0o600, 0o1644]), **self.metadata())
        if what == "directory":
            entry = directory(self.random.choice([0o755, 0o700, 0o1777]), **self.metadata())
        elif what == "symlink":
            more = {name: value for name, value in self.metadata().items() if name != "pax"}
            entry = symlink(self.random.choice(["a", "../b", "/etc/passwd", "nowhere/x"]), **more)
        elif what == "hardlink":
            targets = [other for other, made_entry in made.items() if made_entry.type == b"0"]
            if not targets or (old is not None and old.type == b"5"):
                return
            target = self.random.choice(targets)
            source = made[target]
            entry = hardlink(target, uid=source.uid, gid=source.gid, mode=source.mode, mtime=source.mtime)
        if old is not None and old.type == b"5" and entry.type != b"5":
            if any(other.startswith(path + "/") for other in made):
                return
            self.forget(path)
        self.tree[path] = made[path] = entry


def assert_same(driver: Rundlet, layout: Path, name: str, folder: Path) -> None:
    """The layers are in the store already."""
    bundle = folder / "bundle"
    command = ["umoci", "--log=error", "unpack", "--image", f"{layout}:{name}", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    blobs = layout / "blobs/sha256"

    def read(descriptor: Mapping[str, Any]) -> Any:
        return json.loads((blobs / descriptor["digest"].partition(":")[2]).read_text())

    config = read(read(json.loads((layout / "index.json").read_text())["manifests"][0])["config"])
    keys = [digest.partition(":")[2] for digest in config["rootfs"]["diff_ids"]]
    unique = list(dict.fromkeys(reversed(keys)))  # a layer that comes twice: only the upper one shows
    mountpoint = folder / "mountpoint"
    mountpoint.mkdir()
    shown = ["unshare", "-m", sys.executable, trees.__file__, str(mountpoint)]
    shown += [str(driver.state / "layers" / key / "tree") for key in unique]
    ours = json.loads(subprocess.run(shown, check=True, capture_output=True, text=True).stdout)
    theirs = trees.tree_of(bundle / "rootfs")
    for path in sorted({*ours["entries"], *theirs["entries"]}):
        assert ours["entries"].get(path) == theirs["entries"].get(path), path
    assert ours["same_file"] == theirs["same_file"]
    subprocess.run(["rm", "-rf", "--one-file-system", str(bundle)], check=True)


@pytest.mark.parametrize("name", ["python-3.11", "python-3.13", "python-3.11-official"])
def test_images(rundlet: Rundlet, tmp_path: Path, name: str, request: pytest.FixtureRequest) -> None:
    fixtures = {"python-3.11": "image_311", "python-3.13": "image_313", "python-3.11-official": "image_official"}
    layout = request.getfixturevalue(fixtures[name])
    rundlet.ok("image", "import", "x", layout, timeout=300)
    assert_same(rundlet, layout, name, tmp_path)


def check_stack(driver: Rundlet, folder: Path, seed: int) -> None:
    layers, compression = Stack(seed).layers, ("gzip", "zstd", "none")[seed % 3]
    layout = Image(layers, name="x", compression=compression).write_layout(folder / "image")
    # There is no Python in it, which is found out when all layers are in the store.
    assert "python3" in driver("image", "import", "x", layout).check(2).err
    if compression == "zstd":  # which this umoci does not read
        layout = Image(layers, name="x").write_layout(folder / "gzip")
    assert_same(driver, layout, "x", folder)


@pytest.mark.parametrize("seed", range(20))
def test_stack(rundlet: Rundlet, tmp_path: Path, seed: int) -> None:
    check_stack(rundlet, tmp_path, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20, 220))
def test_many_stacks(rundlet: Rundlet, tmp_path: Path, seed: int) -> None:
    check_stack(rundlet, tmp_path, seed)
