"""The fixtures of the functional tests: attacks drive the same programs."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = str(Path(__file__).resolve().parents[1])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

from functional.conftest import *  # noqa: E402, F403
