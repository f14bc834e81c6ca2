"""`rundlet runs` of records that a crash or another process left in an odd state."""

from __future__ import annotations

import contextlib
import fcntl
import json
from pathlib import Path

import pytest

from support.file_leases import held
from support.rundlet import Rundlet

RUN = "20260101-000000-0000"


@pytest.fixture
def record(rundlet: Rundlet) -> Path:
    """Of a run that goes on, as its process writes it."""
    rundlet.ok("runs", "ls")
    folder = rundlet.state / "runs" / RUN
    folder.mkdir()
    (folder / ".lock").touch()
    write(folder / "run.json", "running")
    return folder / "run.json"


def write(path: Path, state: str) -> None:
    run = {"version": 1, "id": RUN, "project": "p", "path": "/p", "started_at": 0, "seconds": 0.0, "state": state}
    path.write_text(json.dumps({**run, "id_base": 0, "id_count": 0, "steps": []}))


def states(driver: Rundlet) -> list[str]:
    return [run["state"] for run in driver.json("runs", "ls")]


def test_a_record_that_a_power_cut_left_empty(rundlet: Rundlet, record: Path) -> None:
    """It costs its own run only."""
    empty = record.parent.parent / "20260101-000001-0000"
    empty.mkdir()
    (empty / "run.json").touch()
    assert states(rundlet) == ["interrupted"]
    assert "it is not installed, and no run that is kept used it" in rundlet("package", "why", "tiny").check(2).err
    assert rundlet.json("runs", "show", "last")["id"] == RUN
    assert rundlet.json("runs", "show", "20260101-00000")["id"] == RUN
    assert "it has no record" in rundlet("runs", "show", empty.name).check(2).err


def test_somebody_else_looks_at_it_too(rundlet: Rundlet, record: Path) -> None:
    """Whether its process lives: readers do not stand in for it."""
    with record.with_name(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert states(rundlet) == ["interrupted"]
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert states(rundlet) == ["running"]


def test_a_run_that_ends_while_it_is_looked_at(rundlet: Rundlet, record: Path) -> None:
    """Its record says that it runs, and its lock is free a moment later: it was not interrupted."""
    with contextlib.ExitStack() as until:
        wait = until.enter_context(held(record.with_name(".lock")))
        with rundlet.start("-o", "json", "runs", "ls") as process:
            wait()
            write(record, "succeeded")
            until.close()
            out, _ = process.communicate(timeout=30)
    assert [run["state"] for run in json.loads(out)] == ["succeeded"]
