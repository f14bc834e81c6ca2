"""`rundlet image export`: the very digests that came, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images import Image
from support.layouts import official_layout, with_layers
from support.rundlet import Rundlet
from support.servers.docker_registry import DockerRegistry
from support.servers.registry import FakeRegistry
from support.store import entries

LEFT = ".out.rundlet-export"
MIB = 1 << 20


def blobs(layout: Path) -> dict[str, int]:
    """Name and size of each blob, whose content is what its name says."""
    found = {}
    for blob in (layout / "blobs/sha256").iterdir():
        data = blob.read_bytes()
        assert hashlib.sha256(data).hexdigest() == blob.name
        found[blob.name] = len(data)
    return found


def skopeo(*command: object) -> str:
    done = subprocess.run(["skopeo", *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kept_blobs(driver: Rundlet) -> dict[str, Path]:
    return {entry.name: entry / "tree/blob" for entry in (driver.state / "blobs").iterdir()}


@pytest.fixture
def kept(rundlet: Rundlet, small_image: Path) -> Rundlet:
    """With an image `py` that can be exported."""
    rundlet.ok("image", "import", "--keep-blobs", "py", small_image)
    return rundlet


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, image_official: Path) -> Iterator[DockerRegistry]:
    """The image for two platforms, with layers in gzip, in zstd and plain."""
    layout = official_layout(image_official, tmp_path_factory.mktemp("official") / "layout")
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as running:
        running.push(layout, "library/python:3.11")
        yield running


def test_pulled_and_exported(rundlet: Rundlet, registry: DockerRegistry, tmp_path: Path) -> None:
    name = registry.name("library/python:3.11")
    pulled = rundlet.json("image", "pull", "--plain-http", "--keep-blobs", name)
    document = rundlet.json("image", "export", name, tmp_path / "out")
    found = blobs(tmp_path / "out")
    assert document == {
        "name": name,
        "digest": pulled["digest"],
        "path": str(tmp_path / "out"),
        "blobs": len(found),
        "bytes": sum(found.values()),
    }
    assert rundlet.json("image", "inspect", name)["kept_blob_bytes"] == sum(found.values())

    there = skopeo("inspect", "--tls-verify=false", f"docker://{registry.host}/library/python@{pulled['digest']}")
    here = json.loads(skopeo("inspect", f"oci:{tmp_path}/out"))
    assert here["Digest"] == pulled["digest"] == json.loads(there)["Digest"]
    assert here["Layers"] == json.loads(there)["Layers"]
    assert len(found) == len(set(here["Layers"])) + 2  # nothing beside them but manifest and config

    # To another registry, and to another host
    copy = registry.name("back:1")
    skopeo("copy", "-q", "--preserve-digests", "--dest-tls-verify=false", f"oci:{tmp_path}/out", f"docker://{copy}")
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{copy}"))["Digest"] == pulled["digest"]
    other = Rundlet(tmp_path / "other", environment=rundlet.environment)
    assert other.json("image", "import", name, tmp_path / "out")["digest"] == pulled["digest"]
    assert entries(other.state, "layers") == entries(rundlet.state, "layers")
    other.ok("exec", "--", "python3", "-c", "import json")


def test_imported_and_exported(kept: Rundlet, small_image: Path, tmp_path: Path) -> None:
    done = kept.ok("image", "export", "py", tmp_path / "out")
    assert done.out.startswith(f"py: {len(blobs(small_image))} blobs, ")
    assert "done export of py" in done.err
    assert blobs(tmp_path / "out") == blobs(small_image)
    # As an archive, which is carried more easily
    subprocess.run(["tar", "-C", tmp_path / "out", "-cf", tmp_path / "out.tar", "."], check=True)
    again = kept.json("image", "import", "again", tmp_path / "out.tar")
    assert again["digest"] == json.loads((small_image / "index.json").read_text())["manifests"][0]["digest"]


def test_what_was_not_kept(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> None:
    with FakeRegistry(small_image) as registry:
        rundlet.ok("image", "pull", "--plain-http", registry.name())
        done = rundlet("image", "export", registry.name(), tmp_path / "out").check(2)
        assert done.err == (
            f"error: exporting image `{registry.name()}`\n"
            "caused by: reading its blobs\n"
            "caused by: they were not kept: an image's layers are stored unpacked\n"
            "hint: take it once more with `rundlet image pull --keep-blobs` or `import --keep-blobs`\n"
        )
        assert os.listdir(tmp_path) == ["state"]
        # As the hint says: only the blobs come, and then nothing more.
        layers = {entry.name: entry.stat().st_ino for entry in (rundlet.state / "layers").iterdir()}
        keeping = ("image", "pull", "--plain-http", "--keep-blobs", registry.name())
        assert rundlet.json(*keeping)["unchanged"] is False
        assert {entry.name: entry.stat().st_ino for entry in (rundlet.state / "layers").iterdir()} == layers
        registry.requests.clear()
        assert rundlet.json(*keeping)["unchanged"] is True
        assert len(registry.requests) == 1
        rundlet.ok("image", "export", registry.name(), tmp_path / "out")
    assert blobs(tmp_path / "out") == blobs(small_image)
    assert not list((rundlet.state / "cache/downloads").iterdir())


def test_archive_of_docker_has_nothing_to_keep(rundlet: Rundlet, tmp_path: Path) -> None:
    archive = Image([{"a": "x"}]).write_docker_archive(tmp_path / "image.tar")
    done = rundlet("image", "import", "--keep-blobs", "x", archive).check(2)
    assert "an archive of docker has no manifest" in done.err
    assert entries(rundlet.state, "layers", "blobs") == frozenset()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def replace_by_link(path: Path) -> None:
    shutil.copy(path, path.parents[3] / "cache/copy")
    path.unlink()
    path.symlink_to("../../../cache/copy")


def remove(path: Path) -> None:
    shutil.rmtree(path.parents[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [(flip, "altered"), (shorten, "altered"), (replace_by_link, "blob"), (remove, "not in the store any more")],
)
def test_damage_in_the_store(kept: Rundlet, small_image: Path, tmp_path: Path, change: object, words: str) -> None:
    assert callable(change)
    largest = max(kept_blobs(kept).values(), key=lambda path: path.stat().st_size)
    change(largest)
    done = kept("image", "export", "py", tmp_path / "out").check(3)
    assert words in done.err
    assert os.listdir(tmp_path) == ["state"]
    if change is not replace_by_link:
        assert done.err.endswith("take it once more with `rundlet image pull --keep-blobs` or `import --keep-blobs`\n")
        kept.ok("image", "import", "--keep-blobs", "py", small_image)
        kept.ok("image", "export", "py", tmp_path / "out")
        assert blobs(tmp_path / "out") == blobs(small_image)


def test_target_that_is_there(kept: Rundlet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(os.listdir(tmp_path))
    for path in ("file", "folder", "folder/", "link", ".", "..", "folder/..", "/"):
        done = kept("image", "export", "py", path, cwd=tmp_path).check(2)
        assert "caused by: there is something already\nhint: name a path that does not exist\n" in done.err
    kept("image", "export", "py", tmp_path / "nowhere/out").check(2)
    kept("image", "export", "nothing", tmp_path / "out").check(2)
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "file").read_text() == "mine"
    kept.ok("image", "export", "py", "folder/out///", cwd=tmp_path)


def test_what_an_earlier_export_left(kept: Rundlet, small_image: Path, tmp_path: Path) -> None:
    left = tmp_path / LEFT
    (left / "blobs/sha256").mkdir(parents=True)
    (left / "blobs/sha256/half").write_text("x")
    folder = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        done = kept("image", "export", "py", tmp_path / "out").check(3)
        assert "caused by: another process is making it\n" in done.err
        assert (left / "blobs/sha256/half").exists()
    finally:
        os.close(folder)
    os.chown(left, 1000, 1000)
    assert "somebody else" in kept("image", "export", "py", tmp_path / "out").check(3).err
    os.chown(left, 0, 0)
    kept.ok("image", "export", "py", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["out", "state"]
    assert blobs(tmp_path / "out") == blobs(small_image)
    # A link leads nowhere else.
    shutil.rmtree(tmp_path / "out")
    left.symlink_to("state")
    kept("image", "export", "py", tmp_path / "out").check(3)
    assert (tmp_path / "state/version").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ended_in_between(rundlet: Rundlet, small_image: Path, tmp_path: Path, number: signal.Signals) -> None:
    large = with_layers(small_image, tmp_path / "large", {"opt/x": random.Random(1).randbytes(128 * MIB)})
    rundlet.ok("image", "import", "--keep-blobs", "large", large)
    (tmp_path / "there").mkdir()
    out, left = tmp_path / "there/out", tmp_path / "there" / LEFT
    for _ in range(10):  # it may be quicker than we are
        shutil.rmtree(out, ignore_errors=True)
        with rundlet.start("image", "export", "large", out) as process:
            while process.poll() is None and not left.exists():
                pass
            process.send_signal(number)
            process.wait(60)
        if not out.exists():
            break
    else:
        pytest.fail("never ended in between")
    assert os.listdir(out.parent) == ([LEFT] if number == signal.SIGKILL else [])
    assert process.returncode == (-number if number == signal.SIGKILL else 130)
    rundlet.ok("image", "export", "large", out)
    assert os.listdir(out.parent) == ["out"]
    assert blobs(out).keys() == kept_blobs(rundlet).keys()


def test_gc_and_tag(kept: Rundlet, small_image: Path, tmp_path: Path) -> None:
    keys = entries(kept.state, "blobs")
    assert len(keys) == len(blobs(small_image))
    owners = {item["path"]: item["owner"] for item in kept.json("gc", "--dry-run")}
    assert {owners[key] for key in keys} == {"image py"}
    kept.ok("gc")
    assert entries(kept.state, "blobs") == keys
    kept.ok("image", "tag", "py", "other")
    kept.ok("image", "rm", "py")
    kept.ok("gc")
    kept.ok("image", "export", "other", tmp_path / "out")
    # Taken once more without them, the image does not own them any more.
    kept.ok("image", "import", "other", small_image)
    kept.ok("gc")
    assert entries(kept.state, "blobs") == frozenset()
    kept.ok("exec", "--", "python3", "-c", "import json")


def test_a_folder_whose_name_is_no_text(kept: Rundlet, tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"bytes-\xff")
    assert "bytes-" in kept.json("image", "export", "py", out)["path"]
    assert (out / "index.json").exists()
