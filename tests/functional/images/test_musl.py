"""Real wheels for both C libraries, each in an image that has it. Not in the default run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from functional.conftest import import_image

from support import baseimages
from support.rundlet import Result, Rundlet

pytestmark = pytest.mark.index

PINS = ("polars==2.1.0", "pyarrow==26.0.1")
PROGRAM = """
import polars, pyarrow.compute, sysconfig
table = polars.DataFrame({"n": [1, 2, 39]}).to_arrow()
print(pyarrow.compute.sum(table["n"]), sysconfig.get_config_var("MULTIARCH"))
"""
GLIBC, MUSL = "python-3.11", baseimages.MUSL


def run(driver: Rundlet, image: str, *pins: str, code: str = PROGRAM) -> Result:
    options = [f"--with={pin}" for pin in pins]
    return driver("exec", "--image", image, *options, "--", "python3", "-c", code, timeout=300)


def tags(state: Path) -> dict[str, set[str]]:
    """Of each package in the store, by name, for which C libraries its wheels are."""
    found: dict[str, set[str]] = {}
    for path in state.glob("packages/*/entry.json"):
        (wheel,) = path.parent.glob("tree/lib/python3.11/site-packages/*.dist-info/WHEEL")
        lines = [line for line in wheel.read_text().splitlines() if line.startswith("Tag: ")]
        kinds = {line.rpartition("-")[2].partition("_")[0].removesuffix("2014") for line in lines}
        found.setdefault(json.loads(path.read_text())["name"], set()).add("+".join(sorted(kinds)))
    return found


def test_each_image_gets_the_wheels_of_its_c_library(rundlet: Rundlet, small_image: Path) -> None:
    """Row 21."""
    rundlet.environment.pop("RUNDLET_INDEX", None)
    rundlet.ok("image", "import", GLIBC, small_image)
    import_image(rundlet, MUSL)
    for image, library in ((GLIBC, "gnu"), (MUSL, "musl")):
        done = run(rundlet, image, *PINS).check()
        assert done.out == f"42 x86_64-linux-{library}\n"
        assert "needs the library" not in done.err
    # Entries of their own, but for what is the same.
    assert tags(rundlet.state) == {
        "polars 2.1.0": {"any"},
        "polars-runtime-32 2.1.0": {"manylinux", "musllinux"},
        "pyarrow 26.0.1": {"manylinux", "musllinux"},
    }
    # One that has wheels for glibc only.
    error = run(rundlet, MUSL, "nvidia-nvtx-cu12==12.9.79", code="pass").check(125).err
    assert "nvidia-nvtx-cu12==12.9.79 has no wheels with a matching platform tag" in error
    assert "`musllinux_1_2_x86_64`" in error
