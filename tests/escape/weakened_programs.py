"""Installations of their own whose programs are other ones, built for the tests only."""

from __future__ import annotations

import shutil
from pathlib import Path

from functional.conftest import ROOT

from support.rundlet import Rundlet, program

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
