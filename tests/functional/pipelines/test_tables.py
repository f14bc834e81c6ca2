"""A kept table that another run replaces between two looks at it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.file_leases import held
from support.pipelines import models, write
from support.rundlet import Rundlet

NUMBERS = """import rundlet


@rundlet.model(materialize="replace")
@rundlet.python("3.11")
def numbers():
    import pyarrow

    return pyarrow.table({"n": [1, 2]})
"""
READER = models("reader(numbers=rundlet.Model('numbers')):\n    return numbers # {}").partition("import rundlet\n")[2]


@pytest.fixture
def table(shared_state: Rundlet, project: Path) -> Path:
    """The record of `numbers`, kept by a run."""
    settings = write(project, NUMBERS + READER.format("first")) / "rundlet.toml"
    settings.write_text(settings.read_text().replace('name = "small"', f'name = "{project.parent.name}"'))
    shared_state.ok("run", project)
    return shared_state.state / "tables" / project.parent.name / "numbers" / "table.json"


def replace(record: Path, document: dict[str, Any]) -> None:
    """Does not read it: whoever waits for its lease would be this test."""
    new = record.with_name("new.json")
    new.write_text(json.dumps(document))
    new.rename(record)


def test_since_a_run_was_planned(shared_state: Rundlet, project: Path, table: Path) -> None:
    """Its rows are not what the run has planned with."""
    (project / "pipeline.py").write_text(NUMBERS + READER.format("second"))
    name = project.parent.name
    document = json.loads(table.read_text())
    # Planning reads it after the record of the table.
    with contextlib.ExitStack() as until:
        wait = until.enter_context(held(shared_state.state / "cache" / "steps" / name / "numbers"))
        with shared_state.start("-q", "run", project) as process:
            wait()
            replace(table, {**document, "fingerprint": "0" * 64})
            until.close()
            _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert b"error: reading the kept result of `numbers`\ncaused by: it was replaced by another run" in said
    shared_state.ok("run", project)


def test_while_its_files_are_opened(shared_state: Rundlet, project: Path, table: Path) -> None:
    """A reader that has read the old record finds the new one."""
    name = f"{project.parent.name}/numbers"
    shared_state.ok("table", "head", name)
    document = json.loads(table.read_text())
    (file,) = document["files"]
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        wait_for_first = first.enter_context(held(table))
        with shared_state.start("table", "head", name, stderr=subprocess.STDOUT) as process:
            wait_for_first()
            # One that is replaced in its turn when it has been opened.
            replace(table, {**document, "files": [{**file, "file": "no-longer.parquet"}]})
            wait_for_second = second.enter_context(held(table))
            first.close()
            wait_for_second()
            table.with_name(file["file"]).rename(table.with_name("other.parquet"))
            replace(table, {**document, "files": [{**file, "file": "other.parquet"}]})
            second.close()
            out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert b"2" in out


def test_files_that_are_missing(shared_state: Rundlet, project: Path, table: Path) -> None:
    for file in json.loads(table.read_text())["files"]:
        table.with_name(file["file"]).unlink()
    assert (
        "caused by: files of it are missing\n"
        in shared_state("table", "head", f"{project.parent.name}/numbers").check(3).err
    )
    shared_state.ok("run", "--no-cache", project)
