"""Installations of their own whose programs are other ones, built for the tests only."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from functional.conftest import ROOT

from support.rundlet import Rundlet, build_directory, program

FOLDER = build_directory() / "tests/escape/weakened"
MARK = b"rundlet without walls:"
ROOM = 1024  # of a text that is written into a program, with its mark


def patched(source: Path, target: Path, mark: bytes, text: bytes) -> None:
    """A copy of a program with a text behind the mark in its data."""
    data = source.read_bytes()
    assert data.count(mark) == 1
    at = data.index(mark) + len(mark)
    assert len(mark) + len(text) < ROOM
    assert data[at : at + len(text)] == bytes(len(text))
    target.unlink(missing_ok=True)  # the old one may still be running
    target.write_bytes(data[:at] + text + data[at + len(text) :])
    target.chmod(0o755)


class Installation:
    """Copies of the programs, with a state of their own beside them."""

    def __init__(self, folder: Path) -> None:
        libexec = folder / "libexec/rundlet"
        for made in (folder / "bin", libexec, folder / "share/rundlet"):
            made.mkdir(parents=True)
        self.engine, self.launcher = folder / "bin/rundlet", libexec / "rundlet-launcher"
        self.worker, self.fetcher = libexec / "rundlet-worker", libexec / "rundlet-fetcher"
        for name, place in (
            ("rundlet", self.engine),
            ("rundlet-launcher", self.launcher),
            ("rundlet-worker", self.worker),
            ("rundlet-fetcher", self.fetcher),
        ):
            shutil.copy2(program(name), place)
        (folder / "share/rundlet/python").symlink_to(ROOT / "python")
        self.state = folder / "state"
        self.driver = Rundlet(self.state, binary=self.engine)


class Weak:
    """Copies of the programs without some of their walls, on the state of others."""

    def __init__(self, folder: Path) -> None:
        self.installation = Installation(folder)

    def without(self, driver: Rundlet, *walls: str) -> Rundlet:
        text = b"," + b"".join(f"{wall},".encode() for wall in walls)
        patched(FOLDER / "rundlet-weak", self.installation.engine, MARK, text)
        patched(FOLDER / "rundlet-worker-weak", self.installation.worker, MARK, text)
        patched(FOLDER / "rundlet-fetcher-weak", self.installation.fetcher, MARK, text)
        return Rundlet(driver.state, environment=driver.environment, binary=self.installation.engine)


@dataclass
class Attack:
    """`tried` says whether it got through."""

    weak: Weak
    driver: Rundlet
    tried: Callable[[Rundlet], bool]

    def is_held_by(self, *walls: str) -> None:
        for wall in walls:
            others = [other for other in walls if other != wall]
            assert not self.tried(self.weak.without(self.driver, *others)), f"`{wall}` does not hold alone"
        assert self.tried(self.weak.without(self.driver, *walls)), "the attack does not attack any more"
