"""Image layouts on disk, made of other layouts."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.images import CONFIG, INDEX, LAYER, MANIFEST, Content, Image, Layer, encoded, layer_tar, sha256

# Of Debian's images: interpreters of other languages, character sets, time zones, package lists, Python's own tests.
UNUSED = re.compile(
    r"usr/(lib/x86_64-linux-gnu/(perl|libperl|gconv)|bin/perl|share/(perl|zoneinfo|bash-completion|doc|terminfo)"
    r"|lib/python3[.]\d+/(lib2to3|test|pydoc_data|idlelib)|lib/terminfo)|var/lib/dpkg/info/"
)


def linked_copy(layout: Path, folder: Path) -> Path:
    """A copy that shares the blobs where it can; replace a blob, never write into it."""

    def link_or_copy(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    shutil.copytree(layout, folder, copy_function=link_or_copy)
    return folder


def zstd(data: bytes) -> bytes:
    done = subprocess.run(["zstd", "-q", "-c", "-3"], input=data, check=True, stdout=subprocess.PIPE)
    packed: bytes = done.stdout
    return packed


class Layout:
    """An OCI layout that is changed blob by blob."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, data: bytes, media_type: str) -> dict[str, Any]:
        digest = sha256(data)
        (self.folder / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def read(self, descriptor: Mapping[str, Any]) -> bytes:
        return (self.folder / "blobs/sha256" / str(descriptor["digest"]).partition(":")[2]).read_bytes()

    def put_json(self, document: Any, media_type: str) -> dict[str, Any]:
        return self.put(encoded(document), media_type)

    def set_top(self, descriptor: dict[str, Any]) -> None:
        (self.folder / "index.json").unlink(missing_ok=True)
        (self.folder / "index.json").write_bytes(encoded({"schemaVersion": 2, "manifests": [descriptor]}))


def add_layers(folder: Path, packed: Sequence[tuple[str, Layer]]) -> dict[str, Any]:
    """Puts layers on top of the one image of the layout; each is `gzip`, `zstd` or `none`."""
    blobs = []
    for compression, entries in packed:
        tar = layer_tar(entries)
        data = gzip.compress(tar) if compression == "gzip" else zstd(tar) if compression == "zstd" else tar
        blobs.append((LAYER if compression == "none" else f"{LAYER}+{compression}", tar, data))
    return add_packed_layers(folder, blobs)


def add_packed_layers(folder: Path, packed: Sequence[tuple[str, bytes, bytes]]) -> dict[str, Any]:
    """The same with layers as media type, archive and blob."""
    layout = Layout(folder)
    top = json.loads((folder / "index.json").read_text())["manifests"][0]
    manifest = json.loads(layout.read(top))
    config = json.loads(layout.read(manifest["config"]))
    for media_type, tar, data in packed:
        manifest["layers"].append(layout.put(data, media_type))
        config["rootfs"]["diff_ids"].append(f"sha256:{sha256(tar)}")
        config.get("history", []).append({"created_by": "test"})
    manifest["config"] = layout.put_json(config, CONFIG)
    descriptor = layout.put_json(manifest, MANIFEST)
    layout.set_top(descriptor)
    return descriptor


def with_config(plain: Path, folder: Path, **changes: Any) -> Path:
    """The image with changes in the `config` of its configuration."""
    layout = Layout(linked_copy(plain, folder))
    top = json.loads((folder / "index.json").read_text())["manifests"][0]
    manifest = json.loads(layout.read(top))
    config = json.loads(layout.read(manifest["config"]))
    config["config"] = {**config.get("config", {}), **changes}
    manifest["config"] = layout.put_json(config, CONFIG)
    layout.set_top({**top, **layout.put_json(manifest, MANIFEST)})
    return folder


def with_layers(plain: Path, folder: Path, *layers: Mapping[str, Content]) -> Path:
    """The image with more layers on top, under its name."""
    linked_copy(plain, folder)
    top = json.loads((folder / "index.json").read_text())["manifests"][0]
    Layout(folder).set_top({**top, **add_layers(folder, [("none", entries) for entries in layers])})
    return folder


def small_layout(plain: Path, folder: Path) -> Path:
    """The image without what a Python step never looks at: half the files, half the bytes, as many layers."""
    linked_copy(plain, folder)
    layout = Layout(folder)
    top = json.loads((folder / "index.json").read_text())["manifests"][0]
    manifest = json.loads(layout.read(top))
    config = json.loads(layout.read(manifest["config"]))
    for number, descriptor in enumerate(manifest["layers"]):
        tar = _without(gzip.decompress(layout.read(descriptor)), UNUSED)
        manifest["layers"][number] = layout.put(gzip.compress(tar, 6, mtime=0), LAYER + "+gzip")
        config["rootfs"]["diff_ids"][number] = f"sha256:{sha256(tar)}"
        (folder / "blobs/sha256" / str(descriptor["digest"]).partition(":")[2]).unlink()
    for old in (top, manifest["config"]):
        (folder / "blobs/sha256" / str(old["digest"]).partition(":")[2]).unlink()
    manifest["config"] = layout.put_json(config, CONFIG)
    layout.set_top({**top, **layout.put_json(manifest, MANIFEST)})
    return folder


def _without(tar: bytes, unused: re.Pattern[str]) -> bytes:
    kept = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(tar)) as old, tarfile.open(fileobj=kept, mode="w") as new:
        for member in old:
            if not unused.match(member.name.removeprefix("./")):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
    return kept.getvalue()


def official_layout(plain: Path, folder: Path) -> Path:
    """The shape of the official image: layers in gzip and zstd, an index for two platforms."""
    linked_copy(plain, folder)
    layout = Layout(folder)
    top = json.loads((folder / "index.json").read_text())["manifests"][0]
    manifest = json.loads(layout.read(top))
    last = manifest["layers"][1]
    tar = gzip.decompress(layout.read(last))
    manifest["layers"][1] = layout.put(zstd(tar), LAYER + "+zstd")
    layout.set_top(layout.put_json(manifest, MANIFEST))
    ours = add_layers(folder, [("zstd", {"opt/a": "a\n"}), ("none", {"opt/b": "b\n"}), ("gzip", {"opt/c": "c\n"})])
    blobs, other = Image([{"a": "arm"}], architecture="arm64").blobs()
    for data in blobs.values():
        layout.put(data, "")
    other.pop("annotations")
    ours = {**ours, "platform": {"os": "linux", "architecture": "amd64"}}
    layout.set_top(layout.put_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, ours]}, INDEX))
    return folder
