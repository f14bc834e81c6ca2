"""What a state directory keeps, seen from outside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

ENTRIES = (
    *("layers", "packages", "lowers", "wheels", "tools", "skeletons", "environments", "blobs"),
    *("images", "tables"),
)


def entries(state: Path, *folders: str) -> frozenset[str]:
    """`folder/name` of what is kept; without folders, of all that outlives a command."""
    found: set[str] = set()
    for folder in folders or ENTRIES:
        with contextlib.suppress(FileNotFoundError):
            found.update(f"{folder}/{name}" for name in os.listdir(state / folder))
    return frozenset(found)


@contextlib.contextmanager
def nothing_kept(state: Path, *, but: Collection[str] = ()) -> Iterator[None]:
    """Fails when the block adds an entry (of another folder than `but`), removes one, or leaves staging."""
    before = entries(state)
    yield
    changed = {name for name in entries(state) ^ before if name.split("/")[0] not in but}
    assert not changed, f"kept or removed: {sorted(changed)}"
    staging = entries(state, "staging") - {"staging/.lock"}
    assert not staging, f"left in staging: {sorted(staging)}"
