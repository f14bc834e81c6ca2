"""bench/launch, once: it runs, and everything it compares is there. What it measures is for quiet machines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from functional.conftest import ROOT

from support.rundlet import build_directory
from support.wheelcache import Distribution, default_folder

OURS = {"bare", "rundlet", "rundlet, no groups", "rundlet exec"}


def test_a_round_of_the_launch_benchmark(image_311: Path, real_wheels: list[Distribution]) -> None:
    command = [sys.executable, str(ROOT / "bench/launch"), str(image_311), "--wheels", str(default_folder())]
    command += ["--build", str(build_directory()), "--rounds", "1", "--packages", "2", "--at-once", "2", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["cases"]) == 2  # programs
    for case in report["cases"]:
        there = set(case["contenders"])
        assert there >= OURS
        assert there | set(report["left_out"]) >= OURS | {"bubblewrap", "runc", "crun"}
        for figures in case["contenders"].values():
            assert figures["starts"] == 2 * case["at_once"]
            assert 0 < figures["p25_ms"] <= figures["p50_ms"] <= figures["p99_ms"]
        assert "joining its control groups" in case["contenders"]["rundlet"]["stages_p50_ms"]
    kernel = report["kernel_alone_p50_ms"]
    assert 0 < kernel["cloning its first process"] < kernel["together"]
