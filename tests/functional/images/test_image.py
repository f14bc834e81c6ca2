"""`rundlet image`: what is taken in, what is refused, and that layers are kept once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.images import Image, write_archive
from support.rundlet import Rundlet


def archive_of(layout: Path, path: Path) -> Path:
    subprocess.run(["tar", "-C", str(layout), "-cf", str(path), "."], check=True)
    return path


def layer_entries(state: Path) -> dict[str, int]:
    """The layers in the store and the inode of each: a layer made again would have another."""
    return {entry.name: entry.stat().st_ino for entry in (state / "layers").iterdir()}


def test_layout_directory(rundlet: Rundlet, small_image: Path) -> None:
    done = rundlet.ok("image", "import", "py", small_image)
    assert done.out.startswith("py: Python 3.11.")
    (listed,) = rundlet.json("image", "ls")
    assert listed["name"] == "py"
    assert listed["python"].startswith("3.11.")
    assert listed["interpreter"].startswith("/usr/bin/python3")
    assert listed["libc"].startswith("glibc ")
    assert listed["layers"] >= 2
    assert listed["bytes"] > 50_000_000
    index = json.loads((small_image / "index.json").read_text())
    assert listed["digest"] == index["manifests"][0]["digest"]


def test_import_prints_json(rundlet: Rundlet, small_image: Path) -> None:
    document = rundlet.json("image", "import", "py", small_image)
    assert document["name"] == "py"
    assert document["python"].startswith("3.11.")
    assert document["digest"].startswith("sha256:")


def test_archive_gives_the_same_image_as_the_directory(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> None:
    archive = archive_of(small_image, tmp_path / "image.tar")
    packed = rundlet.json("image", "import", "packed", archive)
    layers = layer_entries(rundlet.state)
    plain = rundlet.json("image", "import", "plain", small_image)
    assert packed["digest"] == plain["digest"]
    assert layer_entries(rundlet.state) == layers
    assert {image["name"] for image in rundlet.json("image", "ls")} == {"packed", "plain"}


def test_second_import_keeps_the_layers(rundlet: Rundlet, small_image: Path) -> None:
    rundlet.ok("image", "import", "py", small_image)
    layers = layer_entries(rundlet.state)
    assert len(layers) == rundlet.json("image", "ls")[0]["layers"]
    rundlet.ok("image", "import", "py", small_image)
    assert layer_entries(rundlet.state) == layers
    assert len(rundlet.json("image", "ls")) == 1


def test_no_images(rundlet: Rundlet) -> None:
    assert rundlet.json("image", "ls") == []
    assert "rundlet image import" in rundlet.ok("image", "ls").err


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_what_is_altered_is_said_to_be_altered(rundlet: Rundlet, tmp_path: Path, compression: str) -> None:
    """Also where the altered bytes cannot be unpacked at all."""
    image = Image([{"a": "x" * 5000}], compression=compression)
    layout = image.write_layout(tmp_path / "image")
    manifest = next(blob for blob in image.blobs()[0].values() if b'"schemaVersion"' in blob)
    blob = layout / "blobs/sha256" / json.loads(manifest)["layers"][0]["digest"].partition(":")[2]
    blob.write_bytes(blob.read_bytes()[:8] + b"\xff" * (blob.stat().st_size - 8))
    done = rundlet("image", "import", "faulty", layout).check(2)
    assert "it was altered: its digest is" in done.err


def test_altered_docker_archive(rundlet: Rundlet, tmp_path: Path) -> None:
    files = Image([{"a": "x" * 5000}]).docker_files()
    layer = next(name for name in files if name.endswith("/layer.tar"))
    files[layer] = b"\xff" * 512 + files[layer][512:]
    done = rundlet("image", "import", "faulty", write_archive(tmp_path / "image.tar", files)).check(2)
    assert "it was altered: its digest is" in done.err


def test_official_shape(rundlet: Rundlet, image_official: Path) -> None:
    rundlet.ok("image", "import", "official", image_official)
    (listed,) = rundlet.json("image", "ls")
    assert listed["interpreter"].startswith("/usr/local/bin/python3")
    done = rundlet.ok("exec", "--", "python3", "-c", "import sys; print(sys.prefix)")
    assert done.out == "/usr/local\n"
