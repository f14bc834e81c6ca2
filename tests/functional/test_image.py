"""`rundlet image`: what is taken in, what is refused, and that layers are kept once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.rundlet import Rundlet


def archive_of(layout: Path, path: Path) -> Path:
    subprocess.run(["tar", "-C", str(layout), "-cf", str(path), "."], check=True)
    return path


def layer_entries(state: Path) -> dict[str, int]:
    """The layers in the store and the inode of each: a layer made again would have another."""
    return {entry.name: entry.stat().st_ino for entry in (state / "layers").iterdir()}


def test_layout_directory(rundlet: Rundlet, image_311: Path) -> None:
    done = rundlet.ok("image", "import", "py", image_311)
    assert done.out.startswith("py: Python 3.11.")
    (listed,) = rundlet.json("image", "ls")
    assert listed["name"] == "py"
    assert listed["python"].startswith("3.11.")
    assert listed["interpreter"].startswith("/usr/bin/python3")
    assert listed["libc"].startswith("glibc ")
    assert listed["layers"] >= 2
    assert listed["bytes"] > 50_000_000
    index = json.loads((image_311 / "index.json").read_text())
    assert listed["digest"] == index["manifests"][0]["digest"]


def test_import_prints_json(rundlet: Rundlet, image_311: Path) -> None:
    document = rundlet.json("image", "import", "py", image_311)
    assert document["name"] == "py"
    assert document["python"].startswith("3.11.")
    assert document["digest"].startswith("sha256:")


def test_archive_gives_the_same_image_as_the_directory(rundlet: Rundlet, image_311: Path, tmp_path: Path) -> None:
    archive = archive_of(image_311, tmp_path / "image.tar")
    packed = rundlet.json("image", "import", "packed", archive)
    layers = layer_entries(rundlet.state)
    plain = rundlet.json("image", "import", "plain", image_311)
    assert packed["digest"] == plain["digest"]
    assert layer_entries(rundlet.state) == layers
    assert {image["name"] for image in rundlet.json("image", "ls")} == {"packed", "plain"}


def test_second_import_keeps_the_layers(rundlet: Rundlet, image_311: Path) -> None:
    rundlet.ok("image", "import", "py", image_311)
    layers = layer_entries(rundlet.state)
    assert len(layers) == rundlet.json("image", "ls")[0]["layers"]
    rundlet.ok("image", "import", "py", image_311)
    assert layer_entries(rundlet.state) == layers
    assert len(rundlet.json("image", "ls")) == 1


def test_no_images(rundlet: Rundlet) -> None:
    assert rundlet.json("image", "ls") == []
    assert "rundlet image import" in rundlet.ok("image", "ls").err


def test_official_shape(rundlet: Rundlet, image_official: Path) -> None:
    rundlet.ok("image", "import", "official", image_official)
    (listed,) = rundlet.json("image", "ls")
    assert listed["interpreter"].startswith("/usr/local/bin/python3")
    done = rundlet.ok("exec", "--", "python3", "-c", "import sys; print(sys.prefix)")
    assert done.out == "/usr/local\n"
