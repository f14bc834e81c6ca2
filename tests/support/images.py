"""Small images as OCI layouts, OCI archives and docker archives, right or wrong in one chosen way.

    image = Image([{"etc": directory(), "etc/os": "x"}, {"etc/os": WHITEOUT, "a": OPAQUE}])
    image.write_layout(folder)

A layer maps paths to entries, in order. Text and bytes are files; see the functions for the rest.
A layer may also be a list of pairs (for duplicates), or bytes: a whole tar as it is.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class Entry:
    type: bytes = tarfile.REGTYPE
    content: bytes = b""
    link: str = ""
    mode: Optional[int] = None
    uid: int = 0
    gid: int = 0
    device: tuple[int, int] = (0, 0)
    mtime: int = 1577836800
    size: Optional[int] = None  # to state another size than the content has
    pax: Mapping[str, str] = field(default_factory=dict)


class _Marker:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


# `"a/b": WHITEOUT` writes `a/.wh.b`; `"a": OPAQUE` writes `a/.wh..wh..opq`.
WHITEOUT = _Marker("WHITEOUT")
OPAQUE = _Marker("OPAQUE")
Content = Union[str, bytes, Entry, _Marker]
Layer = Union[Mapping[str, Content], Sequence[tuple[str, Content]], bytes]


def file(content: Union[str, bytes], mode: int = 0o644, **more: Any) -> Entry:
    return Entry(content=content.encode() if isinstance(content, str) else content, mode=mode, **more)


def directory(mode: int = 0o755, **more: Any) -> Entry:
    return Entry(tarfile.DIRTYPE, mode=mode, **more)


def symlink(target: str, **more: Any) -> Entry:
    return Entry(tarfile.SYMTYPE, link=target, mode=0o777, **more)


def hardlink(target: str, **more: Any) -> Entry:
    return Entry(tarfile.LNKTYPE, link=target, **more)


def device(kind: str, major: int, minor: int, **more: Any) -> Entry:
    return Entry(tarfile.CHRTYPE if kind == "c" else tarfile.BLKTYPE, device=(major, minor), **more)


def fifo(**more: Any) -> Entry:
    return Entry(tarfile.FIFOTYPE, **more)


def layer_tar(layer: Layer) -> bytes:
    if isinstance(layer, bytes):
        return layer
    pairs: Iterable[tuple[str, Content]] = layer.items() if isinstance(layer, Mapping) else layer
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in pairs:
            if content is WHITEOUT:
                parent, _, base = path.rstrip("/").rpartition("/")
                path, entry = f"{parent}/.wh.{base}".lstrip("/"), file(b"")
            elif content is OPAQUE:
                path, entry = f"{path.rstrip('/')}/.wh..wh..opq".lstrip("/"), file(b"")
            elif isinstance(content, Entry):
                entry = content
            else:
                assert isinstance(content, (str, bytes))
                entry = file(content)
            info = tarfile.TarInfo(path)
            info.type, info.linkname = entry.type, entry.link
            default = 0o755 if entry.type == tarfile.DIRTYPE else 0o644
            info.mode = default if entry.mode is None else entry.mode
            info.uid, info.gid, info.mtime = entry.uid, entry.gid, entry.mtime
            info.devmajor, info.devminor = entry.device
            info.pax_headers = dict(entry.pax)
            info.size = len(entry.content) if entry.size is None else entry.size
            if entry.type == tarfile.REGTYPE and entry.size is None:
                tar.addfile(info, io.BytesIO(entry.content))
            else:
                tar.addfile(info)
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encoded(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@dataclass
class Image:
    layers: Sequence[Layer] = ()
    name: str = "test:latest"
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/usr/bin:/bin"})
    command: Sequence[str] = ("/bin/true",)
    architecture: str = "amd64"
    os: str = "linux"
    compression: str = "gzip"  # gzip, zstd, none
    config: Mapping[str, Any] = field(default_factory=dict)  # merged into the config's `config`
    # Faults; layer faults are by the layer's number
    wrong_diff_id: Iterable[int] = ()
    wrong_size: Iterable[int] = ()  # in the descriptor
    truncate: Iterable[int] = ()  # the stored blob loses its last byte
    flip: Iterable[int] = ()  # one bit of the stored blob is changed
    missing: Iterable[int] = ()  # no such blob
    layer_types: Mapping[int, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)  # merged over the manifest
    manifest_type: str = MANIFEST
    config_type: str = CONFIG
    drop_diff_ids: int = 0  # so many fewer diff ids than layers
    flip_manifest: bool = False
    flip_config: bool = False

    def packed(self, data: bytes) -> bytes:
        if self.compression == "gzip":
            return gzip.compress(data, 1, mtime=0)
        if self.compression == "zstd":
            return subprocess.run(["zstd", "-q", "-c"], input=data, check=True, stdout=subprocess.PIPE).stdout
        return data

    def config_bytes(self, tars: Sequence[bytes]) -> bytes:
        wrong = set(self.wrong_diff_id)
        diff_ids = [f"sha256:{sha256(b'wrong' if n in wrong else data)}" for n, data in enumerate(tars)]
        if self.drop_diff_ids:
            diff_ids = diff_ids[: -self.drop_diff_ids]
        env = [f"{key}={value}" for key, value in self.environment.items()]
        return encoded(
            {
                "architecture": self.architecture,
                "os": self.os,
                "config": {"Env": env, "Cmd": list(self.command), **self.config},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
                "history": [{"created_by": f"layer {n}"} for n in range(len(tars))],
            }
        )

    def blobs(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Blobs by file name (the digest they should have), and the manifest's descriptor."""
        tars = [layer_tar(layer) for layer in self.layers]
        config = self.config_bytes(tars)
        blobs = {sha256(config): _flipped(config) if self.flip_config else config}
        suffix = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[self.compression]
        descriptors = []
        for number, data in enumerate(tars):
            packed = self.packed(data)
            digest, size = sha256(packed), len(packed)
            if number in set(self.truncate):
                packed = packed[:-1]
            if number in set(self.flip):
                packed = _flipped(packed)
            if number not in set(self.missing):
                blobs[digest] = packed
            media_type = self.layer_types.get(number, LAYER + suffix)
            size += 1 if number in set(self.wrong_size) else 0
            descriptors.append({"mediaType": media_type, "digest": f"sha256:{digest}", "size": size})
        manifest = encoded(
            {
                "schemaVersion": 2,
                "mediaType": self.manifest_type,
                "config": {"mediaType": self.config_type, "digest": f"sha256:{sha256(config)}", "size": len(config)},
                "layers": descriptors,
                **self.manifest,
            }
        )
        digest = sha256(manifest)
        blobs[digest] = _flipped(manifest) if self.flip_manifest else manifest
        return blobs, {
            "mediaType": self.manifest_type,
            "digest": f"sha256:{digest}",
            "size": len(manifest),
            "platform": {"architecture": self.architecture, "os": self.os},
            "annotations": {"org.opencontainers.image.ref.name": self.name},
        }

    def layout_files(self) -> dict[str, bytes]:
        blobs, descriptor = self.blobs()
        return layout_files(blobs, [descriptor])

    def write_layout(self, folder: Path) -> Path:
        return write_tree(folder, self.layout_files())

    def write_oci_archive(self, path: Path) -> Path:
        return write_archive(path, self.layout_files())

    def docker_files(self) -> dict[str, bytes]:
        """As `docker save` wrote before it took up the OCI layout: manifest.json and repositories."""
        tars = [layer_tar(layer) for layer in self.layers]
        config = self.config_bytes(tars)
        config_name = f"{sha256(config)}.json"
        if self.flip_config:
            config = _flipped(config)
        files, names, parent = {config_name: config}, [], ""
        for number, data in enumerate(tars):
            identity = sha256(f"{parent}{sha256(data)}".encode())
            if number in set(self.truncate):
                data = data[:-1536]
            if number in set(self.flip):
                data = _flipped(data)
            names.append(f"{identity}/layer.tar")
            legacy = {"id": identity, "os": self.os, "architecture": self.architecture}
            if parent:
                legacy["parent"] = parent
            files[f"{identity}/VERSION"] = b"1.0"
            files[f"{identity}/json"] = encoded(legacy)
            if number not in set(self.missing):
                files[names[-1]] = data
            parent = identity
        repository, _, tag = self.name.rpartition(":")
        files["manifest.json"] = encoded([{"Config": config_name, "RepoTags": [self.name], "Layers": names}])
        files["repositories"] = encoded({repository: {tag: parent}})
        return files

    def write_docker_archive(self, path: Path) -> Path:
        return write_archive(path, self.docker_files())


def layout_files(blobs: Mapping[str, bytes], descriptors: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """A layout whose index lists these descriptors; several make a multi-platform or a nested one."""
    return {
        "oci-layout": encoded({"imageLayoutVersion": "1.0.0"}),
        "index.json": encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(descriptors)}),
        **{f"blobs/sha256/{digest}": data for digest, data in blobs.items()},
    }


def nested_index(image: Image, depth: int) -> dict[str, bytes]:
    """A layout whose manifest lies below this many further indexes."""
    blobs, descriptor = image.blobs()
    name = descriptor["annotations"]
    for _ in range(depth):
        data = encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]})
        blobs[sha256(data)] = data
        descriptor = {"mediaType": INDEX, "digest": f"sha256:{sha256(data)}", "size": len(data), "annotations": name}
    return layout_files(blobs, [descriptor])


def as_old_docker(path: Path) -> Path:
    """Turns an archive into what docker before 1.10 saved: folders with json and layer.tar, and nothing else."""
    kept = io.BytesIO()
    with tarfile.open(path) as source, tarfile.open(fileobj=kept, mode="w") as target:
        for member in source:
            if "/" not in member.name and member.name != "repositories":
                continue
            content = source.extractfile(member)
            if content is not None:  # skopeo links to the layer
                member.type, member.size = tarfile.REGTYPE, len(data := content.read())
                target.addfile(member, io.BytesIO(data))
    path.write_bytes(kept.getvalue())
    return path


def write_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_archive(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(layer_tar({name: files[name] for name in sorted(files)}))
    return path


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x01]) + data[middle + 1 :]
