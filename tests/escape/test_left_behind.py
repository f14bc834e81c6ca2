"""What a step writes where its engine reads: it ends inside, and nothing of it stays on the host's disk."""

from __future__ import annotations

from pathlib import Path

from support.pipelines import write
from support.rundlet import Rundlet

STEP = """
import rundlet


@rundlet.model(materialize="{keep}")
@rundlet.python("3.11")
def hostile():
    import os
    import pyarrow

{body}
    return pyarrow.table({{"number": [1]}})
"""
# Until there is no room; its result has to find some.
FILL = """
    os.mkdir("/rundlet/out/dir")
    for size in (1 << 20, 0):
        made = 0
        try:
            while made < 1_000_000:
                with open(f"/rundlet/out/dir/{size}-{made}", "wb") as file:
                    file.write(bytes(size))
                made += 1
        except OSError as error:
            print(size, made, error.strerror, flush=True)
        for name in os.listdir("/rundlet/out/dir"):
            os.unlink(f"/rundlet/out/dir/{name}")
    os.chdir("/rundlet/out")
    for _ in range(3_000):
        os.mkdir("d")
        os.chdir("d")
    os.chdir("/rundlet/out")
    os.symlink("/etc/passwd", "link")
    os.mkfifo("fifo")
"""
FLOOD = """
    line = b"x" * 65_535 + b"\\n"
    for _ in range(1_100):
        os.write(1, line)
"""


def step(project: Path, body: str, keep: str = "replace") -> Path:
    write(project, STEP.format(body=body, keep=keep))
    return project


def test_the_directory_for_its_result_is_small_and_gone(shared_state: Rundlet, project: Path) -> None:
    done = shared_state("run", "--no-cache", step(project, FILL)).check(0)
    bytes_full, files_full = (line.split(" | ")[1].split(" ", 2) for line in done.err.splitlines() if " | " in line)
    assert bytes_full[0] == "1048576" and int(bytes_full[1]) < 17 and bytes_full[2] == "No space left on device"
    assert files_full[0] == "0" and int(files_full[1]) < 5_000 and files_full[2] == "No space left on device"
    left = list(shared_state.state.glob("runs/*/**/fifo")) + list(shared_state.state.glob("runs/*/steps/*/d"))
    assert left == []


def test_a_log_is_cut(shared_state: Rundlet, project: Path) -> None:
    shared_state("run", "--no-cache", step(project, FLOOD, "none")).check(0)
    log = max(shared_state.state.glob("runs/*/logs/hostile.log"), key=lambda path: path.stat().st_mtime_ns)
    assert log.stat().st_size <= (64 << 20) + 100
    with log.open("rb") as file:
        file.seek(-100, 2)
        assert file.read().endswith(b"x\n[rundlet: the log is full at 64 MiB]\n")
