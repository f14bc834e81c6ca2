"""Environments of more packages than are stacked: put together on disk, and the same to whoever looks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import wheelcache
from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.wheels import Wheel

STACKED = 100  # packages at most
LISTING = """
import os, sys
for folder, folders, files in os.walk("/env"):
    for name in folders + files:
        path = os.path.join(folder, name)
        info = os.lstat(path)
        target = os.readlink(path) if os.path.islink(path) else ""
        size = 0 if name in folders else info.st_size
        print(path, oct(info.st_mode), info.st_uid, info.st_gid, size, target)
"""


def part(number: int) -> Wheel:
    name = f"part-{number:03}"
    files = {f"part_{number:03}/__init__.py": f"number = {number}\n", f"parts/p{number:03}.py": f"n = {number}\n"}
    return Wheel(name, files=files, entry_points={"console_scripts": {name: f"part_{number:03}:main"}})


def collection(name: str, parts: int) -> Wheel:
    """Requires that many parts; with itself, one package more."""
    return Wheel(name, files={f"{name}.py": ""}, requires=[f"part-{number:03}" for number in range(parts)])


@pytest.fixture(scope="module")
def parts(real_wheels: list[wheelcache.Distribution]) -> Iterator[PackageIndex]:
    with PackageIndex() as index:
        for item in real_wheels:
            if item.filename.startswith("uv-"):
                index.add_file(wheelcache.default_folder() / item.filename, item.sha256)
        for number in range(STACKED + 2):
            index.add(part(number))
        index.add(collection("few", STACKED - 1))
        index.add(collection("many", STACKED + 2))
        yield index


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, parts: PackageIndex, small_image: Path) -> Iterator[Rundlet]:
    """A state directory of this file's own, since it is pruned, and an index of many packages."""
    state = tmp_path_factory.mktemp("large") / "state"
    driver = Rundlet(state, environment={"RUNDLET_INDEX": parts.url})
    driver.ok("image", "import", "python-3.11", small_image, timeout=300)
    yield driver
    subprocess.run(["rm", "-rf", "--one-file-system", str(state)], check=False)


def run(driver: Rundlet, name: str, code: str, *options: str) -> str:
    command = ("--image", "python-3.11", "--with", name, *options, "--", "python3", "-c", code)
    return driver.ok("exec", *command, timeout=600).out


def flat(driver: Rundlet) -> list[Path]:
    return sorted((driver.state / "environments").iterdir())


def test_the_same_as_stacked(large: Rundlet) -> None:
    run(large, "few", "pass")  # then their bytecode is there
    stacked = run(large, "few", LISTING).splitlines()
    assert flat(large) == []
    together = run(large, "many", LISTING).splitlines()
    (entry,) = flat(large)
    own = ("few", "many", f"{STACKED - 1:03}", f"{STACKED:03}", f"{STACKED + 1:03}")

    def shared(lines: list[str]) -> list[str]:
        return sorted(line for line in lines if not any(word in line.split()[0] for word in own))

    assert len(stacked) > 5 * STACKED
    assert shared(together) == shared(stacked)
    assert len(together) > len(stacked)
    # Every file is a link: nothing is there twice.
    assert all(path.stat().st_nlink > 1 for path in entry.glob("tree/**/*") if path.is_file())


def test_works_as_any_environment(large: Rundlet) -> None:
    code = f"""
import importlib, importlib.metadata, parts.p{STACKED:03} as last, subprocess
assert sum(importlib.import_module(f"part_{{n:03}}").number for n in range({STACKED + 2})) > 0
assert last.__cached__.startswith("/env/") and last.n == {STACKED}
print(len(list(importlib.metadata.distributions())))
print(len(importlib.metadata.entry_points(group="console_scripts")))
"""
    assert run(large, "many", code).split() == [str(STACKED + 3), str(STACKED + 2)]
    code = "import part_000, pathlib; note = pathlib.Path(part_000.__file__).with_name('note'); print(note.exists())"
    assert run(large, "many", f"{code}; print(note.write_text('1'))", "--writable-env") == "False\n1\n"
    assert run(large, "many", code) == "False\n"


def test_kept_and_removed_with_its_packages(large: Rundlet) -> None:
    run(large, "many", "pass")
    (entry,) = flat(large)
    items = {item["path"]: item for item in large.json("gc", "--dry-run")}
    assert items[f"environments/{entry.name}"]["owner"] == "its packages"
    # One that lacks a file is found, removed, and made again when it is next needed.
    assert large.json("package", "verify")["damaged"] == []
    shutil.rmtree(entry / "tree/lib/python3.11/site-packages/parts")
    (damaged,) = large.json("package", "verify", "--repair")["damaged"]
    assert (damaged["kind"], damaged["state"]) == ("environments", "removed")
    assert flat(large) == []
    run(large, "many", "import parts.p000")
    assert flat(large) == [entry]
    # A package that goes takes along what links to its files.
    removed = large.json("package", "prune", "--max-bytes", "0")["removed"]
    assert ("part-000 1.0", "packages") in {(one["name"], one["kind"]) for one in removed}
    assert flat(large) == []
    assert not list((large.state / "packages").glob("*/tree/lib/python3.11/site-packages/part_000"))


@pytest.mark.soak
def test_six_hundred(large: Rundlet, parts: PackageIndex) -> None:
    for number in range(STACKED + 2, 600):
        parts.add(part(number))
    parts.add(collection("most", 600))
    code = "import importlib.metadata as m, parts.p599; print(len(list(m.distributions())))"
    assert run(large, "most", code) == "601\n"
    assert run(large, "most", code) == "601\n"
