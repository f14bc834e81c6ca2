"""Changes to a root file system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path


def remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replaces each pattern, which must occur, and keeps the file's times."""
    status, text = path.stat(), path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text, flags=re.DOTALL)
        if count == 0:
            raise SystemExit(f"error: `{path}` has nothing that matches `{pattern}`")
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def chroot(root: Path, *command: str, stderr: int | None = None) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin", "PYTHONHASHSEED": "0", "LC_ALL": "C"}
    done = subprocess.run(
        ["chroot", str(root), *command], env=environment, check=True, stdout=subprocess.PIPE, stderr=stderr
    )
    return bytes(done.stdout).decode()
