"""What a directory tree holds, for comparing two: paths, types, modes, owners, times, links, attributes, bytes.

As a program: prints, as JSON, what an overlay of the given layers (topmost first) holds.
    unshare -m python3 trees.py MOUNTPOINT LAYER...
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


def entry_of(path: Path, root: Path) -> dict[str, Any]:
    info = path.lstat()
    kind = TYPES.get(stat.S_IFMT(info.st_mode), "special")
    entry: dict[str, Any] = {"type": kind, "owner": [info.st_uid, info.st_gid]}
    if kind != "link":
        entry["mode"] = oct(stat.S_IMODE(info.st_mode) & 0o1777)  # setuid and setgid are dropped on purpose
        names = [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith("user.")]
        entry["xattrs"] = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
    if path != root:
        entry["mtime"] = int(info.st_mtime)
    if kind == "link":
        entry["target"] = os.readlink(path)
    if kind == "file":
        entry["size"] = info.st_size
        entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return entry


def tree_of(root: Path) -> dict[str, Any]:
    """Entries by path, without devices and the like, which layers lose; and which paths are one file."""
    entries: dict[str, Any] = {}
    inodes: dict[tuple[int, int], list[str]] = {}
    for folder, folders, files in os.walk(root):
        for name in [".", *folders, *files] if folder == str(root) else [*folders, *files]:
            path = root if name == "." else Path(folder) / name
            entry = entry_of(path, root)
            if entry["type"] == "special":
                continue
            relative = str(path.relative_to(root))
            entries[relative] = entry
            info = path.lstat()
            if entry["type"] == "file" and info.st_nlink > 1:
                inodes.setdefault((info.st_dev, info.st_ino), []).append(relative)
    groups = sorted(sorted(group) for group in inodes.values() if len(group) > 1)
    return {"entries": entries, "same_file": groups}


def overlay_of(mountpoint: Path, layers: list[str]) -> dict[str, Any]:
    if len(layers) == 1:
        return tree_of(Path(layers[0]))
    options = f"lowerdir={':'.join(layers)},redirect_dir=off,metacopy=off,index=off,xino=off"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(mountpoint)], check=True)
    return tree_of(mountpoint)


if __name__ == "__main__":
    print(json.dumps(overlay_of(Path(sys.argv[1]), sys.argv[2:])))
