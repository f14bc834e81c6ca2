"""`rundlet image`: what is taken in, what is refused, and that layers are kept once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from support.images import LAYER, file, layer_tar, sha256
from support.rundlet import Rundlet


def archive_of(layout: Path, path: Path) -> Path:
    subprocess.run(["tar", "-C", str(layout), "-cf", str(path), "."], check=True)
    return path


def largest_blob(layout: Path) -> Path:
    return max((layout / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)


def linked_copy(layout: Path, folder: Path) -> Path:
    """A copy that shares the blobs where it can; replace a blob, never write into it."""

    def link_or_copy(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    shutil.copytree(layout, folder, copy_function=link_or_copy)
    return folder


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


def with_layer(layout: Path, folder: Path, entries: dict[str, object]) -> Path:
    """The image with one more layer on top."""
    linked_copy(layout, folder)
    blobs = folder / "blobs/sha256"
    index = json.loads((folder / "index.json").read_text())
    descriptor = index["manifests"][0]
    manifest = json.loads((blobs / descriptor["digest"].partition(":")[2]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].partition(":")[2]).read_text())

    def put(data: bytes) -> dict[str, object]:
        digest = sha256(data)
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    tar = layer_tar(entries)  # type: ignore[arg-type]
    manifest["layers"].append({"mediaType": LAYER, **put(tar)})
    config["rootfs"]["diff_ids"].append(f"sha256:{sha256(tar)}")
    config.get("history", []).append({"created_by": "test"})
    manifest["config"].update(put(json.dumps(config).encode()))
    descriptor.update(put(json.dumps(manifest).encode()))
    (folder / "index.json").unlink()
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_doctored_interpreter_affects_no_other_image(warm: Rundlet, image_311: Path, tmp_path: Path) -> None:
    """An image whose `python3` writes into whatever it is asked to do shares no package with others."""
    wrapper = file(
        "#!/usr/bin/python3.11\n"
        "import os, sys\n"
        "os.environ['PYTHONSTARTUP'] = '/nonexistent'\n"
        "os.execv('/usr/bin/python3.11', ['/usr/bin/python3.11', *sys.argv[1:]])\n",
        0o755,
    )
    evil = "import builtins\nbuiltins.doctored = True\n"
    layout = with_layer(
        image_311,
        tmp_path / "doctored",
        {"usr/local/bin/python3": wrapper, "usr/lib/python3.11/sitecustomize.py": evil},
    )
    imported = warm("image", "import", "doctored", layout)
    program = "import tiny, builtins; print(tiny.__version__, getattr(builtins, 'doctored', False))"
    if imported.code == 0:
        identities = {image["name"]: image["identity"] for image in warm.json("image", "ls")}
        assert identities["doctored"] != identities["python-3.11"]
        inside = warm("exec", "--image", "doctored", "--with", "tiny==1.0", "--", "python3", "-c", program)
        assert inside.out in ("1.0 True\n", "")
    clean = warm.ok("exec", "--image", "python-3.11", "--with", "tiny==1.0", "--", "python3", "-c", program)
    assert clean.out == "1.0 False\n"
