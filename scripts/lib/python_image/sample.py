"""A sample of every change that a layer can make to the layers below it, for tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

from python_image.tree import put, remove

SAMPLE = "srv/layers"
SAMPLE_RESULT = {
    "added": "file:new",
    "changed": "file:new",
    "dir-to-file": "file:new",
    "dir-to-link": "link:kept-dir",
    "file-to-dir": "dir",
    "file-to-dir/inner": "file:new",
    "file-to-link": "link:kept",
    "kept": "file:old",
    "kept-dir": "dir",
    "kept-dir/kept": "file:old",
    "link-to-file": "file:new",
    "opaque": "dir",
    "opaque/new": "file:new",
    "opaque/sub": "dir",
    "opaque/sub/new": "file:new",
    "pair-a": "file:old",
    "pair-b": "file:old",
}


def make_sample(root: Path) -> None:
    sample = root / SAMPLE
    for path in ("kept", "changed", "gone", "gone-dir/inner", "gone-dir/sub/inner", "kept-dir/kept"):
        put(sample / path, "old")
    for path in ("kept-dir/gone", "opaque/old", "opaque/sub/old", "file-to-link", "file-to-dir"):
        put(sample / path, "old")
    for path in ("dir-to-file/inner", "dir-to-link/inner", "pair-a"):
        put(sample / path, "old")
    os.link(sample / "pair-a", sample / "pair-b")
    (sample / "link-to-file").symlink_to("kept")
    put(sample / "EXPECTED.json", json.dumps(SAMPLE_RESULT, indent=1, sort_keys=True) + "\n")


def change_sample(root: Path) -> None:
    sample = root / SAMPLE
    for path in ("gone", "gone-dir", "kept-dir/gone", "opaque", "file-to-link", "file-to-dir"):
        remove(sample / path)
    for path in ("dir-to-file", "dir-to-link", "link-to-file"):
        remove(sample / path)
    for path in ("added", "changed", "opaque/new", "opaque/sub/new", "file-to-dir/inner"):
        put(sample / path, "new")
    for path in ("dir-to-file", "link-to-file"):
        put(sample / path, "new")
    (sample / "file-to-link").symlink_to("kept")
    (sample / "dir-to-link").symlink_to("kept-dir")
