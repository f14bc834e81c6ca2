"""Real wheels, installed by rundlet, by pip and by uv: the same tree, but for what is listed here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import wheelcache
from support.installed_tree import Tree, differences, programs_in, tree_of
from support.rundlet import Rundlet
from support.wheels import small_wheels

# Of each name one version; several are the largest and the oddest there are.
PINS = (
    "duckdb==1.4.5",
    "numpy==1.26.4",
    "packaging==26.3",
    "pandas==2.2.3",
    "polars==1.44.2",
    "polars-runtime-32==1.44.2",
    "pyarrow==22.0.0",
    "python-dateutil==4.0.0",
    "pytz==2026.6",
    "setuptools==84.2.1",
    "six==1.17.0",
    "sqlglot==30.30.0",
    "tzdata==2026.6",
    "wheel==0.48.0",
)
SMALL = ("branch", "leaf", "space-one", "with-script", "with-data")


@pytest.fixture(scope="module")
def wheels(real_wheels: list[wheelcache.Distribution], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files, of the cache and of the tests' own."""
    folder, own = wheelcache.default_folder(), tmp_path_factory.mktemp("wheels")
    real = {folder / item.filename for item in real_wheels if item.requirement in PINS and "cp313" not in item.filename}
    assert len(real) == len(PINS)
    return sorted(real) + [wheel.write(own) for wheel in small_wheels() if wheel.name in SMALL]


@pytest.fixture(scope="module")
def ours(shared_state: Rundlet) -> dict[str, Tree]:
    """What rundlet made of each, by `name version`."""
    options = [f"--with={pin}" for pin in (*PINS, *(f"{name}==1.0" for name in SMALL))]
    shared_state.ok("exec", "--image", "python-3.11", *options, "--", "true", timeout=400)
    wanted = {pin.replace("==", " ") for pin in PINS} | {f"{name} 1.0" for name in SMALL}
    trees = {}
    for path in shared_state.state.glob("packages/*/entry.json"):
        record = json.loads(path.read_text())
        if record["name"] in wanted and json.loads(record["meta"])["python_tag"] == "3.11":
            trees[record["name"]] = tree_of(path.parent / "tree")
    assert trees.keys() == wanted
    return trees


INSTALLERS = {
    "pip": [sys.executable, "-m", "pip", "--python={python}", "install", "-q", "--disable-pip-version-check"],
    "uv": [str(Path(sys.executable).with_name("uv")), "pip", "install", "-q", "--python={python}", "--link-mode=copy"],
}
COMMON = ["--no-deps", "--no-index"]
MORE = {"pip": ["--no-compile"], "uv": ["--no-config", "--offline"]}


@pytest.mark.parametrize("installer", INSTALLERS)
def test_same_tree(installer: str, ours: dict[str, Tree], wheels: list[Path], tmp_path: Path) -> None:
    prefix = tmp_path / "venv"
    # Debian's own 3.11, which is also the image's
    subprocess.run(["/usr/bin/python3.11", "-m", "venv", "--without-pip", prefix], check=True)
    before = tree_of(prefix)
    command = [part.format(python=prefix / "bin/python") for part in INSTALLERS[installer]]
    command += [*COMMON, *MORE[installer], *map(str, wheels)]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(command, check=True, capture_output=True, env=environment)

    merged: Tree = {}
    for tree in ours.values():
        merged.update(tree)
    assert sum(map(len, ours.values())) == len(merged)  # no file is of two packages
    theirs = {name: entry for name, entry in tree_of(prefix).items() if name not in before}
    assert differences(merged, theirs) == (set(), set())
    # pip lets one that the wheel brings be as little executable as there, ours and uv's can be run
    assert [name for name in programs_in(merged) if not merged[name][0]] == []
    assert len(merged) > 5000
