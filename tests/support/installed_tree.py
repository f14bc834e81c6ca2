"""What an installer made: every file that is to be the same whoever installs, for comparing two."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

# The differences that are meant (docs/adr/0002-native-wheel-installer.md): each installer's own notes in .dist-info (
# and uv's lock of the whole), and RECORD, which lists them; bytecode, which is another entry.
NOTES = re.compile(
    r"lib/python3\.11/site-packages/[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json|uv_cache\.json)|\.lock"
)

Tree = dict[str, tuple[bool, str]]


def tree_of(prefix: Path) -> Tree:
    """Whether each file may be executed, and the digest of its content."""
    found: Tree = {}
    for path in prefix.rglob("*"):
        name, info = str(path.relative_to(prefix)), path.lstat()
        if stat.S_ISLNK(info.st_mode):
            found[name] = (False, f"-> {os.readlink(path)}")
        if not stat.S_ISREG(info.st_mode) or NOTES.fullmatch(name) or name.endswith(".pyc"):
            continue
        with open(path, "rb") as opened:
            found[name] = (bool(info.st_mode & 0o111), hashlib.file_digest(opened, "sha256").hexdigest())
    return found


def programs_in(tree: Tree) -> set[str]:
    """Each installer has its own words for those it makes, and its own Python's path."""
    return {name for name in tree if name.startswith("bin/")}


def differences(mine: Tree, theirs: Tree) -> tuple[set[str], set[str]]:
    """Files that only one of them has, and those, but for programs, that are not the same in both."""
    alone = mine.keys() ^ theirs.keys()
    return alone, {name for name in mine.keys() - alone - programs_in(mine) if mine[name] != theirs[name]}
