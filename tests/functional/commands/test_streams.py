"""Standard streams that are closed, full, or at a terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.pipelines import models, write
from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.wheels import module


def closing(*streams: int) -> Callable[[], None]:
    return lambda: [os.close(stream) for stream in streams] and None


@pytest.mark.parametrize("streams", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_closed_ones(shared_state: Rundlet, tmp_path: Path, streams: tuple[int, ...]) -> None:
    """What is opened next would have their numbers, and would be the sandbox's: an eventfd, a pipe, a database."""
    tmp_path.chmod(0o777)
    look = "[os.readlink(f'/proc/self/fd/{number}') for number in range(3)]"
    program = f"import os; seen = {look}; open('/seen/list', 'w').write(' '.join(seen))"
    words = ("exec", "--image", "python-3.11", "--mount", f"{tmp_path}:/seen:rw", "--", "python3", "-c", program)
    done = subprocess.run(
        shared_state.command(*words),
        env=shared_state.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=closing(*streams),
        timeout=60,
    )
    assert done.returncode == 0
    assert (tmp_path / "list").read_text().split() == ["/dev/null"] * 3


@pytest.mark.parametrize("words", [("doctor",), ("-o", "json", "doctor"), ("--help",), ("runs", "ls")])
def test_output_that_cannot_be_written(rundlet: Rundlet, project: Path, words: tuple[str, ...]) -> None:
    """Data that is lost is no success; where there is none, nothing is lost."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            rundlet.command(*words), env=rundlet.environment, stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    if words[0] == "runs":
        assert (done.returncode, done.stderr) == (0, b"no runs yet\n")
    else:
        assert done.returncode == 3
        assert done.stderr.endswith(b"error: writing to standard output\ncaused by: no space left on device\n")


def test_what_a_step_printed_is_not_for_a_terminal(shared_state: Rundlet, project: Path) -> None:
    body = "    print('\\x1b[2Jcleared \\x9b2J')\n    import pyarrow\n    return pyarrow.table({'x': [1]})"
    write(project, models(f"loud():\n{body}"))
    shared_state.ok("run", project)
    for words in (("last",), ("last", "loud")):
        assert "?[2Jcleared ??2J\n" in shared_state.ok("runs", "logs", *words).out
    assert "\x1b[2Jcleared \x9b2J\n" in shared_state.json("runs", "logs", "last")["log"]


def test_where_a_run_was_is_not_for_a_terminal(shared_state: Rundlet, tmp_path: Path) -> None:
    project = tmp_path / "a\x1b[2Jb"
    project.mkdir()
    write(project, models("one():\n    import pyarrow\n    return pyarrow.table({'x': [1]})"))
    shared_state.ok("run", project)
    shown = shared_state.ok("runs", "show", "last").out
    assert "/a?[2Jb)" in shown
    assert "\x1b" not in shown


def test_talk_that_cannot_be_written(shared_state: Rundlet, index: PackageIndex, project: Path) -> None:
    """It stops nothing: neither what is fetched and installed, nor steps."""
    index.add(module("unheard"))
    write(project, models("one():\n    print('loud')\n    import pyarrow\n    return pyarrow.table({'x': [1]})"))
    driver = shared_state.with_environment(RUNDLET_INDEX=index.url)
    for words in (
        ("exec", "--image", "python-3.11", "--with", "unheard", "--", "python3", "-c", "import unheard"),
        ("run", "--no-cache", project),
    ):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                driver.command(*words), env=driver.environment, stdout=subprocess.PIPE, stderr=full, timeout=60
            )
        assert done.returncode == 0
    assert b"one" in done.stdout
