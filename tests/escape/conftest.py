"""The fixtures of the functional tests: attacks drive the same programs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = str(Path(__file__).resolve().parents[1])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

from escape.weakened_programs import Weak  # noqa: E402
from functional.conftest import *  # noqa: E402, F403


@pytest.fixture
def weak(tmp_path: Path) -> Iterator[Weak]:
    folder = tmp_path / "installation"
    yield Weak(folder)
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)
