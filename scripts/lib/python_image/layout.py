"""The image layout: configuration, manifest and index."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from python_image.blobs import blob, write_layer

KEY_ANNOTATION = "io.rundlet.python-image.key"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def finish(args: argparse.Namespace) -> None:
    work: Path = args.work
    record = json.loads((work / "image.json").read_text())
    epoch = record.pop("epoch")
    record["suite"] = args.suite

    def fill(tar: tarfile.TarFile) -> None:
        data = (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()
        for path in ("usr", "usr/share", "usr/share/python-image"):
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, epoch
            tar.addfile(info)
        info = tarfile.TarInfo("usr/share/python-image/image.json")
        info.size, info.mode, info.mtime = len(data), 0o644, epoch
        tar.addfile(info, io.BytesIO(data))

    write_layer(work, "record of the image", fill, "zstd" if args.zstd == "true" else "gzip")

    layers = json.loads((work / "layers.json").read_text())
    machine = os.uname().machine
    created = (
        subprocess.run(["date", "-u", "-d", f"@{epoch}", "+%Y-%m-%dT%H:%M:%SZ"], check=True, stdout=subprocess.PIPE)
        .stdout.decode()
        .strip()
    )
    labels = {
        "org.opencontainers.image.title": f"Python {record['python']} on Debian {args.suite}",
        "org.opencontainers.image.version": record["python"],
        "io.rundlet.python-image.shape": args.shape,
        "io.rundlet.python-image.suite": args.suite,
    }
    platform = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine), "os": "linux"}
    config = {
        "created": created,
        **platform,
        "config": {
            "Env": [
                "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
                f"PYTHON_VERSION={record['python']}",
            ],
            "Cmd": ["python3"],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
        "history": [{"created": created, "created_by": f"python-image: {layer['what']}"} for layer in layers],
    }

    def encoded(document: Any) -> bytes:
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, **blob(work, encoded(config))},
        "layers": [layer["descriptor"] for layer in layers],
    }
    descriptor = {"mediaType": MANIFEST_TYPE, **blob(work, encoded(manifest)), "platform": platform}
    descriptor["annotations"] = {
        "org.opencontainers.image.ref.name": args.name,
        KEY_ANNOTATION: args.key,
    }
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    layout = work / "layout"
    (layout / "index.json").write_bytes(encoded({**index, "manifests": [descriptor]}))
    (layout / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))
    for path in layout.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    layout.chmod(0o755)


def finished(args: argparse.Namespace) -> None:
    try:
        index = json.loads((args.layout / "index.json").read_text())
        found = any(m.get("annotations", {}).get(KEY_ANNOTATION) == args.key for m in index["manifests"])
    except (OSError, ValueError, KeyError):
        found = False
    sys.exit(0 if found else 1)
