"""The blobs of an image layout that is being made, in a work directory: WORK/layout and WORK/layers.json."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


class HashingWriter:
    """Passes bytes on, and counts and hashes (sha256) them."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.sink, self.sha, self.size = sink, hashlib.sha256(), 0

    def tell(self) -> int:
        return self.size

    def write(self, data: bytes) -> int:
        self.sha.update(data)
        self.size += len(data)
        self.sink.write(data)
        return len(data)


def blob(work: Path, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (work / "layout/blobs/sha256").mkdir(parents=True, exist_ok=True)
    (work / "layout/blobs/sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def write_layer(work: Path, what: str, fill: Callable[[tarfile.TarFile], None], compressor: str = "gzip") -> None:
    """Writes one layer and adds it to the work directory's list of layers."""
    blobs = work / "layout/blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    partial = work / "layer.partial"
    command = {"gzip": ["gzip", "-n", "-1"], "zstd": ["zstd", "-q", "-3", "-c"]}[compressor]
    with open(partial, "wb") as out:
        packer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out)
        assert packer.stdin is not None
        plain: Any = HashingWriter(packer.stdin)
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
            fill(tar)
        packer.stdin.close()
        if packer.wait() != 0:
            raise SystemExit(f"error: {command[0]} failed")
    with open(partial, "rb") as packed:
        digest = hashlib.sha256()
        while chunk := packed.read(1 << 20):
            digest.update(chunk)
    size = partial.stat().st_size
    partial.rename(blobs / digest.hexdigest())
    notes = work / "layers.json"
    layers = json.loads(notes.read_text()) if notes.exists() else []
    layers.append(
        {
            "what": what,
            "diff_id": f"sha256:{plain.sha.hexdigest()}",
            "descriptor": {
                "mediaType": f"{LAYER_TYPE}+{compressor}",
                "digest": f"sha256:{digest.hexdigest()}",
                "size": size,
            },
        }
    )
    notes.write_text(json.dumps(layers))
