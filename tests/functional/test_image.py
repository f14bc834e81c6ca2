"""`rundlet image`: what is taken in, what is refused, and that layers are kept once."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.images import LAYER, Image, directory, file, layer_tar, sha256, symlink, write_archive
from support.layouts import linked_copy
from support.rundlet import Rundlet


def archive_of(layout: Path, path: Path) -> Path:
    subprocess.run(["tar", "-C", str(layout), "-cf", str(path), "."], check=True)
    return path


def largest_blob(layout: Path) -> Path:
    return max((layout / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)


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


def test_path_that_is_not_there(rundlet: Rundlet, tmp_path: Path) -> None:
    done = rundlet("image", "import", "py", tmp_path / "nowhere")
    assert done.code in (2, 3)
    assert "nowhere" in done.err
    assert "no such file or directory" in done.err


def test_directory_that_is_no_layout(rundlet: Rundlet, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = rundlet("image", "import", "py", tmp_path / "empty").check(2)
    assert done.err.startswith("error: ")
    assert rundlet.json("image", "ls") == []


def test_file_that_is_no_archive(rundlet: Rundlet, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(b"this is not an archive\n" * 100)
    done = rundlet("image", "import", "py", path).check(2)
    assert done.err.startswith("error: ")
    assert "caused by: " in done.err


def test_truncated_archive(rundlet: Rundlet, image_311: Path, tmp_path: Path) -> None:
    archive = archive_of(image_311, tmp_path / "image.tar")
    os.truncate(archive, archive.stat().st_size * 2 // 3)
    done = rundlet("image", "import", "py", archive)
    assert done.code in (2, 3), str(done)
    assert "error: " in done.err
    assert rundlet.json("image", "ls") == []


def test_truncated_blob(rundlet: Rundlet, image_311: Path, tmp_path: Path) -> None:
    layout = linked_copy(image_311, tmp_path / "layout")
    blob = largest_blob(layout)
    data = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(data[: len(data) // 2])
    done = rundlet("image", "import", "py", layout).check(2)
    assert blob.name[:12] in done.err
    assert rundlet.json("image", "ls") == []


def test_altered_blob(rundlet: Rundlet, image_311: Path, tmp_path: Path) -> None:
    layout = linked_copy(image_311, tmp_path / "layout")
    blob = largest_blob(layout)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.unlink()
    blob.write_bytes(data)
    done = rundlet("image", "import", "py", layout).check(2)
    assert "unpacking layer `sha256:" in done.err
    assert "it was altered: its digest is" in done.err
    assert rundlet.json("image", "ls") == []
    # What came before the fault is no obstacle to the whole image.
    rundlet.ok("image", "import", "py", image_311)


FAULTS: dict[str, Callable[[], Image]] = {
    "wrong-diff-id": lambda: Image([{"a": "x"}], wrong_diff_id=[0]),
    "wrong-size": lambda: Image([{"a": "x"}], wrong_size=[0]),
    "missing-blob": lambda: Image([{"a": "x"}], missing=[0]),
    "flipped-manifest": lambda: Image([{"a": "x"}], flip_manifest=True),
    "flipped-config": lambda: Image([{"a": "x"}], flip_config=True),
    "fewer-diff-ids": lambda: Image([{"a": "x"}, {"b": "y"}], drop_diff_ids=1),
    "upward-path": lambda: Image([{"../a": "x"}]),
    "through-a-link": lambda: Image([[("a", symlink("/etc")), ("a/b", "x")], {"a/c": "y"}], missing=[1]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("form", ["directory", "archive"])
def test_faulty_image(rundlet: Rundlet, tmp_path: Path, fault: str, form: str) -> None:
    image = FAULTS[fault]()
    if form == "directory":
        path = image.write_layout(tmp_path / "image")
    else:
        path = image.write_oci_archive(tmp_path / "image.tar")
    done = rundlet("image", "import", "faulty", path).check(2)
    assert done.err.startswith("error: ")
    assert "caused by: " in done.err
    assert rundlet.json("image", "ls") == []


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


def test_image_without_python(rundlet: Rundlet, tmp_path: Path) -> None:
    layout = Image([{"bin": directory(), "bin/tool": file("#!/bin/tool\n", 0o755)}]).write_layout(tmp_path / "image")
    done = rundlet("image", "import", "bare", layout).check(2)
    assert "python" in done.err.lower()
    assert rundlet.json("image", "ls") == []


@pytest.mark.parametrize("name", ["", "a b", "../up", "-dash"])
def test_name_that_is_refused(rundlet: Rundlet, image_311: Path, name: str) -> None:
    done = rundlet("image", "import", "--", name, image_311).check(2)
    assert done.err
    assert rundlet.json("image", "ls") == []


def test_official_shape(rundlet: Rundlet, image_official: Path) -> None:
    rundlet.ok("image", "import", "official", image_official)
    (listed,) = rundlet.json("image", "ls")
    assert listed["interpreter"].startswith("/usr/local/bin/python3")
    done = rundlet.ok("exec", "--", "python3", "-c", "import sys; print(sys.prefix)")
    assert done.out == "/usr/local\n"


def test_docker_archive_with_a_truncated_layer(rundlet: Rundlet, tmp_path: Path) -> None:
    path = Image([{"a": "x" * 5000}], truncate=[0]).write_docker_archive(tmp_path / "image.tar")
    done = rundlet("image", "import", "py", path).check(2)
    assert done.err.startswith("error: ")


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
