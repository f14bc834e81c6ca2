"""What a sandbox sees of an image's layers, against `umoci unpack`; and the forms `skopeo` gives an image."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.images import OPAQUE, WHITEOUT, as_old_docker, directory, file, hardlink, symlink
from support.layouts import with_layers
from support.rundlet import Rundlet

LAYERS = [
    {
        "case": directory(),
        "case/kept": "kept",
        "case/program": file("#!/bin/sh\n", 0o755),
        "case/set-id": file("#!/bin/sh\n", 0o6755),
        "case/owned": file("owned", uid=1000, gid=33),
        "case/gone": "gone",
        "case/back": "first",
        "case/changed": "old",
        "case/link": symlink("kept"),
        "case/twin": hardlink("case/kept"),
        "case/file-to-link": "file",
        "case/file-to-folder": "file",
        "case/folder-to-file/old": "old",
        "case/folder-to-link/old": "old",
        "case/deleted/one": "1",
        "case/deleted/below/two": "2",
        "case/remade/one": "1",
        "case/remade/below/two": "2",
        "case/opaque/old": "old",
        "case/opaque/below/old": "old",
        "case/deep/a/b/c/old": "old",
        "case/cleared/old": "old",
    },
    {
        "case/gone": WHITEOUT,
        "case/back": WHITEOUT,
        "case/changed": file("new", 0o604),
        "case/twin": "no twin any more",
        "case/link": symlink("changed"),
        "case/file-to-link": symlink("kept"),
        "case/file-to-folder": directory(),
        "case/file-to-folder/inside": "inside",
        "case/folder-to-file": "file",
        "case/folder-to-link": symlink("opaque"),
        "case/deleted": WHITEOUT,
        "case/remade": WHITEOUT,
        # The marker comes last: it is about the layers below, wherever it stands.
        "case/opaque/new": "new",
        "case/opaque/below/new": "new",
        "case/opaque": OPAQUE,
        "case/deep/a": OPAQUE,
        "case/deep/a/b/new": "new",
        "case/cleared": OPAQUE,
        "etc/debian_version": WHITEOUT,
        "etc/issue": "of the image\n",
        "usr/lib/python3.11/unittest": OPAQUE,
        "var/lib/dpkg": WHITEOUT,
    },
    {
        "case/back": "second",
        "case/remade": directory(0o715),
        "case/remade/three": "3",
        "case/opaque/newer": "newer",
        "case/opaque/new": WHITEOUT,
        "case/deep/a/b/c/newer": "newer",
        "case/file-to-folder": WHITEOUT,
    },
]

LISTING = """
import hashlib, json, os, stat, sys

found = {}
for folder, folders, files in os.walk(sys.argv[1]):
    if folder == sys.argv[1]:
        folders[:] = set(folders) - set(sys.argv[2:])
    for name in folders + files:
        path = os.path.join(folder, name)
        info, content = os.lstat(path), None
        if stat.S_ISLNK(info.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(info.st_mode) and info.st_mode & 0o004:
            content = hashlib.sha256(open(path, "rb").read()).hexdigest()
        found[os.path.relpath(path, sys.argv[1])] = [info.st_mode, info.st_uid, info.st_gid, content]
json.dump(found, sys.stdout)
"""
# What a sandbox brings itself, whatever the image has there.
OURS = ("dev", "proc", "sys", "tmp", "env", "rundlet", "run", "work", "out", "image")
OURS_IN_ETC = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/passwd", "etc/group", "etc/nsswitch.conf")

Listing = dict[str, list[object]]


def of_the_image(listing: Listing) -> Listing:
    """Without what is ours, without what an ordinary user cannot list, and without set-id bits: they are taken off."""
    closed = {path for path, (mode, *_) in listing.items() if stat.S_ISDIR(mode) and mode & 5 != 5}  # type: ignore[arg-type,operator]
    kept: Listing = {}
    for path, (mode, *rest) in listing.items():
        parents = {str(parent) for parent in Path(path).parents}
        if path in OURS or path in OURS_IN_ETC or parents & closed:
            continue
        kept[path] = [mode & ~(stat.S_ISUID | stat.S_ISGID), *rest]  # type: ignore[operator]
    return kept


def test_sandbox_sees_what_umoci_unpacks(rundlet: Rundlet, image_311: Path, tmp_path: Path) -> None:
    layout = with_layers(image_311, tmp_path / "layout", *LAYERS)
    (tag,) = json.loads((layout / "index.json").read_text())["manifests"]
    reference = f"{layout}:{tag['annotations']['org.opencontainers.image.ref.name']}"
    bundle = tmp_path / "bundle"
    subprocess.run(["umoci", "unpack", "--image", reference, bundle], check=True, capture_output=True)
    command = [sys.executable, "-c", LISTING, str(bundle / "rootfs"), *OURS]
    wanted = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    rundlet.ok("image", "import", "py", layout, timeout=300)
    found = json.loads(rundlet.ok("exec", "--", "python3", "-c", LISTING, "/", *OURS).out)
    assert wanted["case/set-id"][0] & 0o6000 == 0o6000
    assert found["case/set-id"][0] & 0o6000 == 0
    wanted, found = of_the_image(wanted), of_the_image(found)
    assert sorted(found.keys() ^ wanted.keys()) == []
    assert {path: (found[path], wanted[path]) for path in wanted if found[path] != wanted[path]} == {}

    # And so that two wrongs do not make a right:
    names = {path.removeprefix("case/") for path in found if path.startswith("case/")}
    assert "back" in names
    assert not names & {"gone", "deleted", "opaque/old", "opaque/new", "remade/one", "deep/a/b/c/old", "cleared/old"}
    assert {"opaque/newer", "opaque/below/new", "remade/three", "deep/a/b/c/newer", "cleared"} <= names
    assert "etc/debian_version" not in found
    assert not [path for path in found if path.startswith(("usr/lib/python3.11/unittest/", "var/lib/dpkg"))]


def skopeo(layout: Path, form: str, path: Path) -> Path:
    destination = f"{form}:{path}:py:latest"
    subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}", destination], check=True, capture_output=True)
    return path


FORMS: dict[str, Callable[[Path, Path], Path]] = {
    "OCI archive": lambda layout, path: skopeo(layout, "oci-archive", path),
    "docker archive": lambda layout, path: skopeo(layout, "docker-archive", path),
    "archive of an old docker": lambda layout, path: as_old_docker(skopeo(layout, "docker-archive", path)),
}


def outputs(state: Path) -> dict[str, str]:
    """The layers in the store, and the digest of what each holds."""
    records = (json.loads(path.read_text()) for path in state.glob("layers/*/entry.json"))
    return {record["key"]: record["output"] for record in records}


@pytest.fixture(scope="module")
def layered(small_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_layers(small_image, tmp_path_factory.mktemp("layered") / "layout", *LAYERS)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_layers(rundlet: Rundlet, layered: Path, tmp_path: Path, form: str) -> None:
    path = FORMS[form](layered, tmp_path / "image.tar")
    # In a state directory of its own, where no layer is there already.
    imported = rundlet.json("image", "import", "py", path, timeout=300)
    assert imported["python"].startswith("3.11.")
    (listed,) = rundlet.json("image", "ls")
    assert listed["layers"] == len(outputs(rundlet.state))
    assert rundlet.ok("exec", "--", "cat", "/case/back", "/case/opaque/newer").out == "secondnewer"
    layers = outputs(rundlet.state)

    plain = Rundlet(rundlet.state.parent / "plain")
    plain.ok("image", "import", "py", layered, timeout=300)
    assert outputs(plain.state) == layers
