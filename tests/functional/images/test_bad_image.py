"""Images that are refused: the error word by word, in each form an image comes in, and nothing kept of them.

The images hold no Python: one that is taken in whole ends with just that being said, and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from support.images import Image, as_old_docker, file, layer_tar, sha256, symlink
from support.rundlet import Rundlet
from support.store import entries, nothing_kept

DATA = random.Random(7).randbytes(50_000)
TAR = layer_tar({"data": file(DATA)})
WHOLE = Image([{"data": file(DATA)}])
NO_PYTHON = (
    "error: looking for Python in image `faulty`\n"
    "caused by: it has no python3 on its PATH\n"
    "hint: use an image that holds Python, such as one made by scripts/python-image\n"
)

FORMS: dict[str, Callable[[Image, Path], Path]] = {
    "directory": lambda image, folder: image.write_layout(folder / "image"),
    "OCI archive": lambda image, folder: image.write_oci_archive(folder / "image.tar"),
    "docker archive": lambda image, folder: image.write_docker_archive(folder / "image.tar"),
    "archive of an old docker": lambda image, folder: as_old_docker(image.write_docker_archive(folder / "image.tar")),
}


def refused(driver: Rundlet, path: Path, code: int = 2) -> str:
    with nothing_kept(driver.state):
        done = driver("-q", "image", "import", "faulty", path).check(code)
    assert done.out == ""
    assert driver.json("image", "ls") == []
    return done.err


@pytest.mark.parametrize("form", FORMS)
def test_whole_image_is_unpacked(rundlet: Rundlet, tmp_path: Path, form: str) -> None:
    done = rundlet("-q", "image", "import", "faulty", FORMS[form](WHOLE, tmp_path)).check(2)
    assert done.err == NO_PYTHON
    assert entries(rundlet.state, "layers") == {f"layers/{sha256(TAR)}"}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "directory"])
def test_archive_cut_short(rundlet: Rundlet, tmp_path: Path, form: str) -> None:
    path = FORMS[form](WHOLE, tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert refused(rundlet, path) == (
        "error: importing image `faulty`\n"
        "caused by: reading a tar archive\n"
        "caused by: it ends in the middle: it was cut short\n"
    )


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


LAYER = f"caused by: unpacking layer `sha256:{sha256(TAR)}`\ncaused by: checking the layer\n"


def faults() -> dict[str, tuple[Image, str]]:
    """What is wrong with a layout, and what is said below `importing image`."""
    image, layers = {"data": file(DATA)}, [{"data": file(DATA)}]
    packed = WHOLE.packed(TAR)
    blobs, descriptor = WHOLE.blobs()
    manifest = descriptor["digest"]
    config = sha256(WHOLE.config_bytes([TAR]))
    link = [("a", symlink("/etc")), ("a/b", "x")]
    up = layer_tar({"../a": "x"})
    return {
        "altered layer": (
            Image(layers, flip=[0]),
            f"{LAYER}caused by: it was altered: its digest is `sha256:{sha256(flipped(packed))}`, "
            f"not `sha256:{sha256(packed)}`\n",
        ),
        "cut layer": (
            Image(layers, truncate=[0]),
            f"caused by: reading the image\ncaused by: layer `sha256:{sha256(packed)}` has {len(packed) - 1} bytes, "
            f"its descriptor says {len(packed)}\n",
        ),
        "wrong size": (
            Image(layers, wrong_size=[0]),
            f"caused by: reading the image\ncaused by: layer `sha256:{sha256(packed)}` has {len(packed)} bytes, "
            f"its descriptor says {len(packed) + 1}\n",
        ),
        "wrong diff id": (
            Image(layers, wrong_diff_id=[0]),
            f"caused by: unpacking layer `sha256:{sha256(b'wrong')}`\ncaused by: checking the layer\n"
            f"caused by: its content is not what the image's config says: `sha256:{sha256(TAR)}`\n",
        ),
        "missing layer": (
            Image(layers, missing=[0]),
            f"caused by: reading the image\ncaused by: `blobs/sha256/{sha256(packed)}` is missing\n",
        ),
        "altered manifest": (
            Image(layers, flip_manifest=True),
            f"caused by: reading blob `{manifest}`\n"
            f"caused by: it was altered: its digest is `sha256:{sha256(flipped(blobs[manifest[7:]]))}`\n",
        ),
        "altered config": (
            Image(layers, flip_config=True),
            f"caused by: reading blob `sha256:{config}`\n"
            f"caused by: it was altered: its digest is `sha256:{sha256(flipped(blobs[config]))}`\n",
        ),
        "fewer diff ids": (
            Image([image, {"b": "y"}], drop_diff_ids=1),
            "caused by: reading the image\ncaused by: its manifest has 2 layers, its config 1\n",
        ),
        "another platform": (
            Image(layers, architecture="s390x"),
            "caused by: choosing an image\ncaused by: it is for `linux/s390x`, not for linux/amd64\n",
        ),
        "path that leads out": (
            Image([{"../a": "x"}]),
            f"caused by: unpacking layer `sha256:{sha256(up)}`\ncaused by: reading an archive\n"
            "caused by: entry `../a` leads out of the archive\n",
        ),
        "path through a link": (
            Image([link]),
            f"caused by: unpacking layer `sha256:{sha256(layer_tar(link))}`\ncaused by: unpacking a layer\n"
            "caused by: entry `a` has a symbolic link of the same layer on its way: `a`\n",
        ),
    }


FAULTS = faults()


@pytest.mark.parametrize("form", ["directory", "OCI archive"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_layout(rundlet: Rundlet, tmp_path: Path, fault: str, form: str) -> None:
    image, cause = FAULTS[fault]
    assert refused(rundlet, FORMS[form](image, tmp_path)) == f"error: importing image `faulty`\n{cause}"


@pytest.mark.parametrize("fault", ["altered", "cut short"])
def test_faulty_layer_of_a_docker_archive(rundlet: Rundlet, tmp_path: Path, fault: str) -> None:
    image = Image([{"data": file(DATA)}], **{"flip" if fault == "altered" else "truncate": [0]})
    stored = flipped(TAR) if fault == "altered" else TAR[:-1536]
    assert refused(rundlet, image.write_docker_archive(tmp_path / "image.tar")) == (
        f"error: importing image `faulty`\n{LAYER}"
        f"caused by: its content is not what the image's config says: `sha256:{sha256(stored)}`\n"
    )


def test_what_came_before_the_fault_is_no_obstacle(rundlet: Rundlet, tmp_path: Path) -> None:
    """A whole lower layer is kept, the faulty one is not; the whole image then takes it up."""
    layers = [{"below": "x"}, {"data": file(DATA)}]
    done = rundlet("-q", "image", "import", "faulty", Image(layers, flip=[1]).write_layout(tmp_path / "bad")).check(2)
    assert f"caused by: unpacking layer `sha256:{sha256(TAR)}`\n" in done.err
    assert entries(rundlet.state, "layers") <= {f"layers/{sha256(layer_tar(layers[0]))}"}
    done = rundlet("-q", "image", "import", "faulty", Image(layers).write_layout(tmp_path / "good")).check(2)
    assert done.err == NO_PYTHON
    assert len(entries(rundlet.state, "layers")) == 2


def test_path_that_is_not_there(rundlet: Rundlet, tmp_path: Path) -> None:
    rundlet.json("image", "ls")
    path = tmp_path / "nowhere"
    assert refused(rundlet, path, 2) == f"error: opening `{path}`\ncaused by: no such file or directory\n"


def test_directory_that_is_no_layout(rundlet: Rundlet, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert refused(rundlet, tmp_path / "empty") == (
        "error: importing image `faulty`\n"
        "caused by: reading the image\n"
        "caused by: it is neither an OCI image layout (`index.json`) nor an archive of `docker save` "
        "(`manifest.json`)\n"
    )


def test_file_that_is_no_archive(rundlet: Rundlet, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(b"this is not an archive\n" * 100)
    assert refused(rundlet, path) == (
        "error: importing image `faulty`\ncaused by: reading a tar header\ncaused by: the checksum is not a number\n"
    )


@pytest.mark.parametrize("name", ["", "a b", "../up", "-dash", "Upper", "/abs"])
def test_name_that_is_refused(rundlet: Rundlet, tmp_path: Path, name: str) -> None:
    path = WHOLE.write_layout(tmp_path / "image")
    with nothing_kept(rundlet.state):
        done = rundlet("-q", "image", "import", "--", name, path).check(2)
    assert done.err == (
        f"error: using `{name}` as an image name\n"
        "caused by: a name starts with a lower-case letter or a digit, goes on with letters, digits and `._/:@-`, "
        "and has at most 200 bytes\n"
    )
