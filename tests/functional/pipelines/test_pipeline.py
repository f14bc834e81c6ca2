"""`rundlet run` and `plan` on small projects: results, what is kept, what is refused, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support.pipelines import PIPELINE, SETTINGS, line_of, models, write
from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.wheels import module

TOTAL = "-- rundlet: materialize=replace\nSELECT sum(n) AS total FROM numbers\n"


def read_until(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Until its talk says so; the test's own limit of time ends a wait in vain."""
    assert process.stderr is not None
    seen = b""
    while text not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line


def results(document: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["result"] for step in document["steps"]}


def test_rundlets_own_modules_are_compiled_once(rundlet: Rundlet, small_image: Path, project: Path) -> None:
    """For each interpreter: reader and steps find the bytecode; it goes with the image."""
    rundlet.ok("image", "import", "python-3.11", small_image)
    body = """    import os
    import rundlet._values as one
    import rundlet_runner.result as other
    return pyarrow.table({"there": [os.path.exists(module.__cached__) for module in (one, other)]})
"""
    write(project, models(f"compiled():\n    import pyarrow\n{body}"))
    made = "tools/*/tree/rundlet_reader/__pycache__/program.cpython-311.pyc"
    rundlet.ok("plan", project)
    (bytecode,) = rundlet.state.glob(made)
    before = bytecode.stat()
    assert rundlet.json("run", project)["previews"]["compiled"]["rows"] == [[True], [True]]
    rundlet.ok("gc")
    (bytecode,) = rundlet.state.glob(made)
    assert (bytecode.stat().st_ino, bytecode.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(rundlet.state.glob("tools/*/tree/**/*.txt")) == []  # modules, and no more
    rundlet.ok("image", "rm", "python-3.11")
    rundlet.ok("gc")
    assert list(rundlet.state.glob(made)) == []


def test_first_and_second_run(shared_state: Rundlet, project: Path) -> None:
    write(project, total=TOTAL)
    first = shared_state.json("run", "--no-cache", project)  # another test's may be the same
    assert first["state"] == "succeeded"
    assert {step["result"] for step in first["steps"]} == {"done"}
    assert first["previews"]["squares"]["rows"] == [[0], [1], [4]]
    assert first["previews"]["total"]["rows"] == [[3]]
    second = shared_state.json("run", project)
    assert second["packages"]["installed"] == 0
    assert second["packages"]["resolved"] == 0
    assert second["packages"]["fetched"] == 0
    steps = results(second)
    # What is kept is shown as when it was made; `numbers` is not kept.
    assert list(second["previews"]) == ["squares", "total"]
    assert second["previews"] == {name: first["previews"][name] for name in second["previews"]}
    kept = {name: steps[name] for name in ("numbers", "squares", "total", "squares_are_positive")}
    assert set(kept.values()) <= {"cached", "not-needed"}, steps

    assert shared_state.json("runs", "show", "last")["id"] == second["run"]  # even if of the same second

    # The history and the tables of these two runs
    runs = [run for run in shared_state.json("runs", "ls") if run["path"] == str(project)]
    assert [run["id"] for run in runs] == [second["run"], first["run"]]
    shown = shared_state.json("runs", "show", first["run"])
    assert shown["state"] == "succeeded"
    assert results(shown) == results(first)
    assert "tiny 1.0" in shared_state.ok("runs", "logs", first["run"], "numbers").out
    tables = {table["name"]: table for table in shared_state.json("table", "ls")}
    assert tables["squares"]["rows"] == 3
    head = shared_state.json("table", "head", "squares", "-n", "2")
    assert head["rows"] == [[0], [1]]
    assert head["total_rows"] == 3


def test_changed_pin_installs_only_that(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    for version in ("1.0", "2.0", "3.0"):
        index.add(module("pinned", version))
    pipeline = PIPELINE.replace('"tiny": "1.0"', '"pinned": "1.0", "leaf": "1.0"').replace("tiny", "pinned")
    write(project, pipeline)
    first = warm.json("run", project)["packages"]
    before = {row["key"] for row in warm.json("package", "ls")}

    index.forget()
    write(project, pipeline.replace('"pinned": "1.0"', '"pinned": "2.0"'))
    second = warm.json("run", project)
    new = [(row["name"], row["version"]) for row in warm.json("package", "ls") if row["key"] not in before]
    assert new == [("pinned", "2.0")]
    reused = first["installed"] + first["reused"] - 1
    assert second["packages"] == {"resolved": 1, "fetched": 1, "installed": 1, "reused": reused}
    assert [path for path in index.counts() if path.endswith(".whl")] == ["/files/pinned-2.0-py3-none-any.whl"]
    assert results(second)["numbers"] == "done"
    assert results(second)["squares"] == "done"  # what it reads may have changed

    write(project, pipeline.replace('"pinned": "1.0"', '"pinned": "3.0"'))
    talk = warm.ok("run", project).err.splitlines()
    named = [line.split("  ")[0] for line in talk if line.startswith(("done fetch", "done install", "done resolve"))]
    assert sorted(named) == ["done fetch pinned 3.0", "done install pinned 3.0", "done resolve for step `numbers`"]
    assert f"packages: 1 installed, {reused} reused, 1 fetched; 1 resolves" in talk[-1]


def test_whole_numbers_stay_numbers(shared_state: Rundlet, project: Path) -> None:
    """DuckDB's sum() of integers is a HUGEINT, which Arrow has as a decimal."""
    huge = "sum(n) * 1000000000000000000000000::HUGEINT"
    write(project, total=f"-- rundlet: materialize=replace\nSELECT sum(n) AS total, {huge} AS huge FROM numbers\n")
    done = shared_state.json("run", project)
    row = [3, "3000000000000000000000000"]  # more than 64 bits: JSON's readers would round it
    assert done["previews"]["total"]["rows"] == [row]
    assert shared_state.json("table", "head", "small/total")["rows"] == [row]


def tables_held(pid: int) -> set[str]:
    """The tables that a running rundlet keeps in memory, by name."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(entry).removeprefix("/memfd:").removesuffix(" (deleted)"))
    return found


def test_table_is_dropped_after_its_last_reader(shared_state: Rundlet, project: Path) -> None:
    wait = "    import time\n    print('here', flush=True)\n    time.sleep(600)"
    body = "    import pyarrow\n    return pyarrow.table({'x': [1]})"
    write(
        project,
        models(
            f"a():\n{body}",
            f"unread():\n{body}",
            f"b(a=rundlet.Model('a')):\n{body}",
            f"c(a=rundlet.Model('a'), b=rundlet.Model('b')):\n{body}",
            f"d(b=rundlet.Model('b'), c=rundlet.Model('c')):\n{wait}",
        ),
    )

    def held(pid: int) -> set[str]:
        return tables_held(pid) & {"a", "b", "c", "d", "unread"}

    with shared_state.start("run", project) as process:
        read_until(process, b"d | here")
        deadline = time.monotonic() + 60
        while held(process.pid) != {"b", "c", "d"}:  # `unread` may end after the others
            assert time.monotonic() < deadline, held(process.pid)
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_parameter(shared_state: Rundlet, project: Path) -> None:
    write(project, total=TOTAL)
    done = shared_state.json("run", project, "--param", "limit=5")
    assert done["previews"]["total"]["rows"] == [[10]]


@pytest.mark.parametrize("wrong", ["limit=x", "nothing=1", "limit"])
def test_wrong_parameter(shared_state: Rundlet, project: Path, wrong: str) -> None:
    write(project)
    done = shared_state("run", project, "--param", wrong).check(2)
    assert wrong.partition("=")[0] in done.err


def test_only(shared_state: Rundlet, project: Path) -> None:
    write(project, total=TOTAL)
    done = shared_state.json("run", project, "--only", "total")
    assert "squares" not in results(done)
    assert done["previews"]["total"]["rows"] == [[3]]


def test_only_of_an_unknown_model(shared_state: Rundlet, project: Path) -> None:
    write(project)
    assert "`nowhere`" in shared_state("run", project, "--only", "nowhere").check(2).err


def test_no_cache(shared_state: Rundlet, project: Path) -> None:
    write(project)
    shared_state.ok("run", project)
    done = shared_state.json("run", project, "--no-cache")
    assert {step["result"] for step in done["steps"]} == {"done"}
    assert done["packages"]["installed"] == 0


PLAN = """\
planned: 4 steps, {counts}

{0}    numbers               python 3.11.2 (image 3.11)
│                          tiny 1.0 and 1 more
│                          {numbers}
├─{1}  squares               python 3.11.2 (image 3.11), replace
│ │                        pyarrow 22.0.0
│ │                        {squares}
│ {2}  squares_are_positive  expectation, python 3.11.2 (image 3.11)
│                          pyarrow 22.0.0
│                          {positive}
{3}    total                 sql, python 3.11.2 (image 3.11), replace
                           duckdb 1.4.5, pyarrow 22.0.0
                           {total}
"""
KEPT = "cached: result kept from an earlier run"


def planned(driver: Rundlet, *command: str | Path) -> str:
    """The picture, without what depends on the store and the clock."""
    picture, packages = driver.ok(*command).out.split("\npackages: ", 1)
    assert re.match(r"\d+ installed, \d+ to install", packages), packages
    return picture


def test_plan(shared_state: Rundlet, project: Path) -> None:
    """What would run, and why: before, after, and when something has changed. Nothing is run for it."""
    write(project, total=TOTAL)
    (project / "rundlet.toml").write_text(SETTINGS.replace('"small"', '"planned"'))
    everything = PLAN.format(
        *"●●●●",
        counts="4 to run, 0 cached, 0 not needed",
        **dict.fromkeys(("numbers", "squares", "positive", "total"), "run: new step"),
    )
    assert planned(shared_state, "plan", project) == everything
    assert planned(shared_state, "run", project, "--dry-run") == everything
    document = shared_state.json("plan", project)
    assert {step["name"]: step["reads"] for step in document["steps"]} == {
        "numbers": [],
        "squares": ["numbers"],
        "squares_are_positive": ["squares"],
        "total": ["numbers"],
    }
    assert {(step["action"], step["reason"]) for step in document["steps"]} == {("run", "new step")}
    assert document["counts"] == {"run": 4, "cached": 0, "not_needed": 0}
    # A step's own packages, or else the project's
    packages = {step["name"]: {p["name"]: p["version"] for p in step["packages"]} for step in document["steps"]}
    assert packages["numbers"].keys() == {"pyarrow", "tiny"}
    assert packages["squares"] == {"pyarrow": "22.0.0"}
    assert not [run for run in shared_state.json("runs", "ls") if run["path"] == str(project)]

    shared_state.ok("run", project)
    held = "cached: held in an earlier run"
    unread = "not needed: nothing that runs reads it"
    assert planned(shared_state, "plan", project) == PLAN.format(
        *"○○○○",
        counts="0 to run, 3 cached, 1 not needed",
        numbers=unread,
        squares=KEPT,
        positive=held,
        total=KEPT,
    )

    (project / "pipeline.py").write_text(PIPELINE.replace("n * n", "n * n * n"))
    assert planned(shared_state, "plan", project) == PLAN.format(
        *"●●●○",
        counts="3 to run, 1 cached, 0 not needed",
        numbers="run: read by `squares`",
        squares="run: code changed",
        positive="run: input `squares` changed",
        total=KEPT,
    )


FAILING = models(
    "broken():\n    raise ValueError('on purpose')",
    "dependant(broken=rundlet.Model('broken')):\n    return broken",
    "bystander():\n    import pyarrow\n    return pyarrow.table({'x': [1]})",
)


def test_failing_step(shared_state: Rundlet, project: Path) -> None:
    write(project, FAILING)
    done = shared_state("run", project).check(1)
    assert "broken" in done.err
    assert "ValueError: on purpose" in done.err
    place = line_of(project, "on purpose")
    assert f"pipeline.py:{place}" in done.err or f'pipeline.py", line {place}' in done.err
    steps = results(shared_state.json("runs", "show", "last"))
    assert steps["broken"] == "failed"
    assert steps["dependant"] == "skipped"
    assert steps["bystander"] == "done"


def test_expectation_that_does_not_hold(shared_state: Rundlet, project: Path) -> None:
    write(project, PIPELINE.replace("0, 1000", "5, 1000"))
    done = shared_state("run", project).check(1)
    assert "squares_are_positive" in done.err


def test_unknown_run_and_table(shared_state: Rundlet) -> None:
    assert "`nothing`" in shared_state("runs", "show", "nothing").check(2).err
    assert "`nothing`" in shared_state("table", "head", "nothing").check(2).err
