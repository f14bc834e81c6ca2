"""Turns the changes of a tree between two moments into a layer.

The same tree gives the same bytes: entries are sorted, owners numeric, and modification times are limited to that of
the newest Debian package in the tree (so that a .pyc still matches its .py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tarfile
from pathlib import Path
from typing import Any, Optional

from python_image.blobs import write_layer

# Directories whose content never goes into a layer.
EMPTY_DIRS = re.compile(r"(proc|sys|dev|run|tmp|var/tmp|var/log|var/cache/apt|var/lib/apt|var/cache/ldconfig)/")
# Facts about the host that makes the image, and remains of the package tools.
DROPPED = re.compile(
    r"etc/(resolv\.conf|hostname|machine-id|apt(/.*)?|dpkg/dpkg\.cfg\.d/99mmdebstrap)"
    r"|var/lib/dpkg/(lock|lock-frontend|triggers/Lock|.*-old)|var/cache/debconf/.*-old"
    r"|(etc|var/lib)/.*\.dpkg-(new|old|tmp)"
)


def scan(root: Path) -> dict[str, os.stat_result]:
    """Every entry of the tree that belongs in an image, by its path relative to the root."""
    found: dict[str, os.stat_result] = {}

    def walk(directory: str) -> None:
        with os.scandir(root / directory) as entries:
            for entry in entries:
                path = f"{directory}{entry.name}"
                if EMPTY_DIRS.match(path) or DROPPED.fullmatch(path):
                    continue
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISSOCK(status.st_mode):
                    continue
                found[path] = status
                if entry.is_dir(follow_symlinks=False):
                    walk(path + "/")

    walk("")
    return found


def newest_package(root: Path) -> int:
    """The modification time of the newest package, which does not depend on this run."""
    return int(max(p.stat().st_mtime for p in root.glob("usr/share/doc/*/copyright")))


def identity(status: os.stat_result) -> list[int]:
    """Stays equal as long as no process changes the entry (the ctime cannot be set)."""
    return [status.st_ino, status.st_ctime_ns, status.st_mode, status.st_uid, status.st_gid]


def content_digest(path: Path, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    if stat.S_ISREG(status.st_mode):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def snapshot(work: Path, root: Path, what: str, epoch: int, opaque: tuple[str, ...] = ()) -> None:
    """Makes a layer of the changes in the tree since the last snapshot.

    A directory named in `opaque` was replaced: it hides the content of lower layers.
    """
    state_file = work / "state.json"
    before: dict[str, Any] = json.loads(state_file.read_text()) if state_file.exists() else {}
    after: dict[str, Any] = {}
    current = scan(root)
    entries: dict[str, Optional[os.stat_result]] = {}  # None: a marker that hides something
    inside = tuple(f"{path}/" for path in opaque)

    for path, status in current.items():
        old = before.get(path)
        if old is not None and old["identity"] == identity(status):
            digest = old["digest"]
        else:
            digest = content_digest(root / path, status)
        facts = [stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid]
        if stat.S_ISREG(status.st_mode):
            facts += [status.st_size, min(int(status.st_mtime), epoch)]
        after[path] = {"identity": identity(status), "digest": digest, "facts": facts}
        changed = old is None or old["facts"] != facts or old["digest"] != digest
        if changed or path in opaque or path.startswith(inside):
            entries[path] = status
    for path in opaque:
        entries[f"{path}/.wh..wh..opq"] = None
    for path in before:
        parent, _, base = path.rpartition("/")
        hidden_with_parent = parent and (parent not in current or not stat.S_ISDIR(current[parent].st_mode))
        if path not in current and not hidden_with_parent and not path.startswith(inside):
            entries[f"{parent}/.wh.{base}".lstrip("/")] = None
    for path in list(entries):  # a layer lists its parent directories
        while path := path.rpartition("/")[0]:
            entries.setdefault(path, current[path])

    def fill(tar: tarfile.TarFile) -> None:
        links: dict[int, str] = {}
        for path in sorted(entries, key=lambda p: p.split("/")):
            status = entries[path]
            info = tarfile.TarInfo(path)
            if status is None:
                info.mode, info.mtime = 0o644, epoch
                tar.addfile(info)
                continue
            info.mode = stat.S_IMODE(status.st_mode)
            info.uid, info.gid = status.st_uid, status.st_gid
            # The times of directories and links change with their neighbours.
            info.mtime = epoch
            if stat.S_ISDIR(status.st_mode):
                info.type = tarfile.DIRTYPE
            elif stat.S_ISLNK(status.st_mode):
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(root / path)
            elif stat.S_ISREG(status.st_mode):
                info.mtime = min(int(status.st_mtime), epoch)
                if status.st_ino in links:
                    info.type, info.linkname = tarfile.LNKTYPE, links[status.st_ino]
                else:
                    if status.st_nlink > 1:
                        links[status.st_ino] = path
                    info.size = status.st_size
                    with open(root / path, "rb") as source:
                        tar.addfile(info, source)
                    continue
            else:
                raise SystemExit(f"error: `{path}` is neither a file, a directory nor a link")
            tar.addfile(info)

    write_layer(work, what, fill)
    state_file.write_text(json.dumps(after))
