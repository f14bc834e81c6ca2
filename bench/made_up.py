"""The packages that are measured with: made up, small, pure Python."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.wheels import Wheel


def package(number: int) -> Wheel:
    files = {f"bench_{number}/m{module}.py": f"x = {module}\n" for module in range(5)}
    points = {"bench": {f"b{number}": f"bench_{number}.m0:x"}}
    return Wheel(f"bench-{number}", files=files, entry_points=points)


def collection(size: int) -> Wheel:
    """Requires all others: one package more."""
    return Wheel(f"bench-all-{size}", files={}, requires=[f"bench-{number}" for number in range(size - 1)])
