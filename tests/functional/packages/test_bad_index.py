"""An index that changes or misbehaves: a clear error or the right bytes, and nothing that was there is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support.rundlet import Result, Rundlet
from support.servers.index import PackageIndex, Request
from support.store import nothing_kept
from support.wheels import module


def version(driver: Rundlet, name: str, *options: str) -> Result:
    program = f"import {name}; print({name}.__version__)"
    return driver("exec", "--image", "python-3.11", "--with", name, *options, "--", "python3", "-c", program)


def forget_downloads(driver: Rundlet, name: str) -> None:
    """As if its wheel and its package had been pruned; the lock stays."""
    for folder in ("wheels", "packages", "lowers"):
        for record in (driver.state / folder).glob("*/entry.json"):
            if f'"{name} ' in record.read_text():
                subprocess.run(["rm", "-rf", str(record.parent)], check=True)


@pytest.mark.parametrize("word", ["other", "of another size"])
def test_a_wheel_replaced_under_its_name(warm: Rundlet, index: PackageIndex, word: str) -> None:
    name = f"replaced{len(word)}"
    first, second = (module(name, content=f"__version__ = {text!r}\n") for text in ("first", word))
    index.add(first)
    assert version(warm, name).check(0).out == "first\n"
    index.add(second)  # the same name and version, other bytes
    # What was locked is what is used, as long as it is there.
    assert version(warm, name).check(0).out == "first\n"
    forget_downloads(warm, name)
    error = version(warm, name).check(125).err
    assert f"fetching `{name} 1.0` from `127.0.0.1`" in error
    assert "the lock says" in error
    assert "check the network" not in error
    # Nobody takes other bytes for a lock's unless they ask again.
    assert version(warm, name, "--upgrade").check(0).out == f"{word}\n"
    assert version(warm, name).check(0).out == f"{word}\n"


def test_a_release_that_is_withdrawn(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("receding", "1.0"))
    index.add(module("receding", "2.0"))
    assert version(warm, "receding").check(0).out == "2.0\n"
    index.add(module("receding", "2.0"), yanked="a mistake")
    assert version(warm, "receding").check(0).out == "2.0\n"  # as it was locked
    assert version(warm, "receding", "--upgrade").check(0).out == "1.0\n"


def test_pages_that_lie_about_hashes(warm: Rundlet, index: PackageIndex) -> None:
    wheel = module("lied-about")
    index.add(wheel, listed_sha256="3" * 64)
    version(warm, "tiny").check(0)  # uv is there
    with nothing_kept(warm.state):
        error = version(warm, "lied_about").check(125).err
    assert wheel.sha256 in error
    assert "3" * 64 in error
    # The truth is found when it is told.
    index.add(wheel)
    assert version(warm, "lied_about", "--upgrade").check(0).out == "1.0\n"


def test_pages_without_hashes(warm: Rundlet, index: PackageIndex) -> None:
    """What came first is what is locked."""
    index.add(module("unhashed", content="__version__ = 'first'\n"), listed_sha256=None)
    assert version(warm, "unhashed").check(0).out == "first\n"
    index.add(module("unhashed", content="__version__ = 'other'\n"), listed_sha256=None)
    forget_downloads(warm, "unhashed")
    assert "the lock says" in version(warm, "unhashed").check(125).err


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_flaky_one(warm: Rundlet, index: PackageIndex, status: int) -> None:
    """Pages and files that come at the second try."""
    name = f"flaky{status}"
    path = index.add(module(name))
    index.fault(path, status=status, times=1)
    index.fault(f"/simple/{name}/", status=status, times=1)
    assert version(warm, name).check(0).out == "1.0\n"
    assert index.count(path) == 2


def test_one_that_never_recovers(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("whole"))
    path = index.add(module("gone-half-way", requires=["whole"]))
    index.fault(path, status=503)
    error = version(warm, "gone_half_way").check(125).err
    assert "fetching `gone-half-way 1.0` from `127.0.0.1`" in error
    assert "503" in error
    # What arrived beside it stays, and is not fetched again.
    index.fault(path)
    index.forget()
    assert version(warm, "gone_half_way").check(0).out == "1.0\n"
    assert not [request for request in index.requests if "whole" in request.path and request.path.endswith(".whl")]


def test_one_that_denies_many(warm: Rundlet, index: PackageIndex) -> None:
    """What a worker writes down of failures does not grow with them: the first is what is told."""
    names = [f"denied{number}" for number in range(40)]
    for name in names:
        index.fault(f"/simple/{name}/", status=403)
    written = [0]
    started, first = threading.Event(), threading.Lock()

    def look() -> None:
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(descriptor).startswith("/memfd:failures"):
                    written.append(descriptor.read_bytes().count(b'"cause"'))

    def answer(_: Request) -> None:
        """The first one at once, all others when something was written of that."""
        started.wait(60)
        deadline = time.monotonic() + 60
        waits = not first.acquire(blocking=False)
        look()
        while waits and not max(written) and time.monotonic() < deadline:
            time.sleep(0.002)
            look()

    wanted = [word for name in names for word in ("--with", name)]
    index.on_request = answer
    with warm.start("exec", "--image", "python-3.11", *wanted, "--", "true") as process:
        started.set()
        assert process.stderr is not None
        said = process.stderr.read().decode()
        index.on_request = lambda request: None
    assert "answers 403" in said
    assert max(written) == 1


def test_a_slow_one(warm: Rundlet, index: PackageIndex) -> None:
    """Slow is not broken."""
    path = index.add(module("gradual", content="__version__ = 'slow'\n" + "# ....\n" * 10000))
    index.fault(path, rate=400)
    index.fault("/simple/gradual/", stall=2)
    assert version(warm, "gradual").check(0).out == "slow\n"
    assert index.count(path) == 1


def test_pages_that_are_cut_short(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("cut-page"))
    index.fault("/simple/cut-page/", truncate=40)
    assert "127.0.0.1" in version(warm, "cut_page").check(125).err
    index.fault("/simple/cut-page/")
    assert version(warm, "cut_page").check(0).out == "1.0\n"
