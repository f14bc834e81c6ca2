"""Real wheels, installed by rundlet, by pip and by uv: the same tree, but for what is listed here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support import wheelcache
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
SITE = "lib/python3.11/site-packages"

# The differences that are meant (docs/adr/0002-native-wheel-installer.md):
# - each installer's own notes in .dist-info (and uv's lock of the whole), and RECORD, which lists them
NOTES = re.compile(rf"{SITE}/[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json|uv_cache\.json)|\.lock")
# - bytecode is another entry
BYTECODE = re.compile(r".*\.pyc")
# - programs: each tool has its own words for those it makes, and its own Python's path; pip lets one that the wheel
#   brings be as little executable as there, ours and uv's can be run
PROGRAM = re.compile(r"bin/[^/]+")

Tree = dict[str, tuple[bool, str]]


def tree_of(root: Path) -> Tree:
    """Whether each file may be executed, and the digest of its content."""
    found: Tree = {}
    for path in root.rglob("*"):
        name, info = str(path.relative_to(root)), path.lstat()
        if stat.S_ISLNK(info.st_mode):
            found[name] = (False, f"-> {os.readlink(path)}")
        if not stat.S_ISREG(info.st_mode) or NOTES.fullmatch(name) or BYTECODE.fullmatch(name):
            continue
        with open(path, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        found[name] = (bool(info.st_mode & 0o111), digest)
    return found


def told_apart(tree: Tree) -> tuple[Tree, set[str]]:
    """All but the programs, and the programs' names: those that are text differ in it."""
    programs = {name for name in tree if PROGRAM.fullmatch(name)}
    return {name: entry for name, entry in tree.items() if name not in programs}, programs


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
    our_files, our_programs = told_apart(merged)
    their_files, their_programs = told_apart(theirs)
    assert our_programs == their_programs
    assert sorted(our_files.keys() ^ their_files.keys()) == []
    differ = {name: (mine, their_files[name]) for name, mine in our_files.items() if mine != their_files[name]}
    assert differ == {}
    assert [name for name in our_programs if not merged[name][0]] == []
    assert len(our_files) > 5000
