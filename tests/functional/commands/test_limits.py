"""Limits of commands and steps: what they do, what the outcome says of them, what is refused before anything starts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from functional.commands.test_exec import IMAGE, WAITING, run
from functional.pipelines.test_pipeline import results, write

from support.rundlet import Rundlet

EAT = "x = bytearray(300_000_000)"
FORK = """
import os, time
made = 0
try:
    while made < 100:
        if os.fork() == 0:
            time.sleep(600)
        made += 1
except OSError as error:
    print(made, error.errno)
    raise SystemExit(3)
"""


def test_out_of_memory_is_told_with_the_limit(shared_state: Rundlet) -> None:
    done = shared_state("exec", *IMAGE, "--memory", "64MiB", "--", "python3", "-c", EAT).check(128 + signal.SIGKILL)
    assert done.err == "error: running `python3`\ncaused by: out of memory at 64 MiB\n"
    assert run(shared_state, "--memory", "512M", "--", "python3", "-c", EAT + "; print('fits')") == "fits\n"


def test_too_many_processes_are_told_with_the_limit(shared_state: Rundlet) -> None:
    done = shared_state("exec", *IMAGE, "--pids", "10", "--", "python3", "-c", FORK).check(3)
    assert done.out == "9 11\n"
    assert "caused by: reached its limit of 10 processes and threads\n" in done.err


def test_a_full_disk_is_told_with_the_limit(shared_state: Rundlet) -> None:
    for path in ("/tmp/file", "/dev/shm/file"):
        done = shared_state("exec", *IMAGE, "--disk", "8MiB", "--", "dd", "if=/dev/zero", f"of={path}").check(1)
        assert "No space left on device" in done.err
        assert done.err.endswith("was full at 8.0 MiB\n")


def test_empty_files_run_out_too(shared_state: Rundlet) -> None:
    program = "import itertools\nfor i in itertools.count(): open(f'/tmp/{i}', 'w').close()"
    done = shared_state("exec", *IMAGE, "--disk", "8MiB", "--", "python3", "-c", program).check(1)
    assert "was full at 8.0 MiB" in done.err


def test_little_memory_means_little_disk(shared_state: Rundlet) -> None:
    program = "import os; s = os.statvfs('/tmp'); print(s.f_blocks * s.f_frsize)"
    assert run(shared_state, "--memory", "64MiB", "--", "python3", "-c", program) == f"{32 << 20}\n"
    assert run(shared_state, "--", "python3", "-c", program) == f"{1 << 30}\n"


def test_a_timeout_ends_what_ignores_everything(shared_state: Rundlet) -> None:
    program = (
        f"import signal\nfor n in set(range(1, 65)) - {{9, 19, 32, 33}}: signal.signal(n, signal.SIG_IGN)\n{WAITING}"
    )
    done = shared_state("exec", *IMAGE, "--timeout", "300ms", "--", "python3", "-c", program).check(124)
    assert done.err == "error: running `python3`\ncaused by: timed out after 0.3 s\n"


def test_a_timeout_asks_first(shared_state: Rundlet) -> None:
    program = f"import signal, sys; signal.signal(15, lambda *_: sys.exit(print('asked')));{WAITING}"
    for seconds in (2, 10, 60):  # from the sandbox's start, and the program may be slow to be ready
        done = shared_state("exec", *IMAGE, "--timeout", f"{seconds}s", "--", "python3", "-c", program).check(124)
        if done.out.startswith("ready\n"):
            break
    assert done.out == "ready\nasked\n"


def test_who_copes_with_a_limit_is_not_blamed(shared_state: Rundlet) -> None:
    program = FORK.replace("raise SystemExit(3)", "")
    assert shared_state.ok("exec", *IMAGE, "--pids", "10", "--", "python3", "-c", program).err == ""


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--memory", "0"], "more than 0"),
        (["--memory", "-1G"], "more than 0"),
        (["--memory", "1MiB"], "between 4.0 MiB and"),
        (["--memory", "1e9"], "not an amount"),
        (["--memory", "12XB"], "not an amount"),
        (["--memory", "9" * 400], "not an amount"),
        (["--memory", "9" * 40], "more than any machine has"),
        (["--memory", "900TiB"], "this host has"),
        (["--cpus", "0"], "more than 0"),
        (["--cpus", "nan"], "not an amount"),
        (["--cpus", "inf"], "not an amount"),
        (["--cpus", "0.001"], "between 0.01 and"),
        (["--cpus", "5000"], "of this host's"),
        (["--pids", "0"], "more than 0"),
        (["--pids", "2.5"], "not a whole number"),
        (["--pids", "99999999999999999999"], "more than any machine has"),
        (["--pids", "4294967296"], "more than any machine has"),
        (["--disk", "1KiB"], "at least 1.0 MiB"),
        (["--disk", "900TiB"], "this host has"),
        (["--disk", "1GiB", "--memory", "64MiB"], "its memory limit has 64 MiB"),
        (["--timeout", "0s"], "more than 0"),
        (["--timeout", "1000d"], "at most a year"),
        (["--timeout", "5 parsecs"], "not an amount"),
    ],
)
def test_absurd_limits_are_refused_before_anything_starts(shared_state: Rundlet, options: list[str], why: str) -> None:
    # Nothing is resolved: no index has this.
    done = shared_state("exec", *IMAGE, *options, "--with", "no-such-package", "--", "true").check(125)
    assert why in done.err
    assert "no-such-package" not in done.err


def test_libraries_are_told(shared_state: Rundlet) -> None:
    program = """
import os
print(os.environ["OMP_NUM_THREADS"], os.environ["POLARS_MAX_THREADS"])
for name in ("meminfo", "cpuinfo", "stat"):
    text = open(f"/proc/{name}").read()
    print(name, text.split()[1] if name == "meminfo" else text.count("\\ncpu"))
    try:
        open(f"/proc/{name}", "w")
    except OSError as error:
        print(type(error).__name__)
"""
    out = run(shared_state, "--memory", "256MiB", "--cpus", "0.5", "--", "python3", "-c", program)
    lines = out.splitlines()
    assert lines[0] == "1 1"
    assert lines[1] == "meminfo 262144"
    assert lines[5] == "stat 1"
    assert {lines[2], lines[4], lines[6]} <= {"PermissionError", "OSError"}


def test_what_a_command_took_is_told(shared_state: Rundlet) -> None:
    done = shared_state.ok("--timings", "exec", *IMAGE, "--", "python3", "-c", "x = b'x' * 200_000_000")
    line = next(line for line in done.err.splitlines() if line.startswith("peak memory"))
    assert int(line.split()[2]) >= 190


RESOURCES = """
import rundlet


@rundlet.model()
@rundlet.python("3.11")
@rundlet.resources(memory="96MiB")
def greedy():
    return bytearray(400_000_000)


@rundlet.model()
@rundlet.python("3.11")
@rundlet.resources(memory="1GiB", cpus=1, pids=100, disk="16MiB", timeout="5m")
def modest():
    import os
    import pyarrow

    assert os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize == 16 << 20
    memory = int(open("/proc/meminfo").read().split()[1])
    return pyarrow.table({"memory": [memory], "threads": [os.environ["OMP_NUM_THREADS"]]})
"""


def test_a_step_that_wants_too_much_fails_alone(shared_state: Rundlet, project: Path) -> None:
    write(project, RESOURCES)
    done = shared_state("-o", "json", "run", project).check(1)
    assert results(done.json) == {"greedy": "failed", "modest": "done"}
    assert done.json["previews"]["modest"]["rows"] == [[1 << 20, "1"]]
    (error,) = done.json["errors"]
    assert error["chain"] == ["running step `greedy`", "out of memory at 96 MiB"]
    assert "`memory`" in error["hint"]
    # Recorded for both, and shown.
    steps = {step["name"]: step for step in shared_state.json("runs", "show", done.json["run"])["steps"]}
    assert (80 << 20) < steps["greedy"]["peak_memory_bytes"] <= (96 << 20)
    assert steps["modest"]["cpu_seconds"] > 0.01
    assert "CPU" in shared_state.ok("runs", "show", done.json["run"]).out


def test_a_step_that_closes_its_streams_still_times_out(shared_state: Rundlet, project: Path) -> None:
    body = "\n    import os, time\n    os.closerange(1, 3)\n    time.sleep(600)\n"
    text = RESOURCES.split("@rundlet.model()")[0] + '@rundlet.model()\n@rundlet.python("3.11")\n'
    write(project, text + f'@rundlet.resources(timeout="2s")\ndef silent():{body}')
    done = shared_state("run", project).check(1)
    assert "caused by: timed out after 2 s" in done.err


def test_a_step_this_host_cannot_hold_is_refused_first(shared_state: Rundlet, project: Path) -> None:
    write(project, RESOURCES.replace("1GiB", "900TiB"))
    done = shared_state("run", project).check(2)
    assert "limiting step `modest`" in done.err
    assert "900 TiB of memory: this host has" in done.err
    assert "greedy" not in done.err


def test_doctor_tells_what_is_limited_by_what(shared_state: Rundlet) -> None:
    features = {item["name"]: item for item in shared_state.json("doctor")}
    for name, controller in (("memory limits", "memory"), ("process limits", "pids"), ("cpu limits", "cpu")):
        assert features[name]["available"], features[name]
        assert features[name]["detail"].startswith((f"v1:{controller} in /", f"v2:{controller} in /"))
        assert os.path.isdir(features[name]["detail"].split(" in ")[1])
