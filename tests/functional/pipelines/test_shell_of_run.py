"""`rundlet shell --run RUN STEP`: the sandbox of a step of a run, whatever became of its project since."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from support.pipelines import models, write
from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.terminal import Terminal, at_terminal

PROMPT = r"\$ $"
READ = "import pyarrow.dataset as d; print(d.dataset('/rundlet/in/{0}', format='{1}').to_table().to_pydict())"

FAILING = """
import rundlet

@rundlet.model()
def numbers(limit=rundlet.Parameter("limit")):
    import pyarrow
    return pyarrow.table({"n": list(range(limit))})

@rundlet.model()
@rundlet.python("3.11", pip={"tiny": "1.0"})
@rundlet.env(GREETING="hello")
@rundlet.resources(disk="5MiB")
def total(numbers=rundlet.Model("numbers"), top=rundlet.Parameter("limit")):
    raise ValueError("as it was")

@rundlet.expectation()
def there_are_many(numbers=rundlet.Model("numbers")):
    return numbers.num_rows > 1000
"""


def failed(driver: Rundlet, project: Path, *options: str) -> str:
    """The id of a run whose steps failed."""
    driver("run", project, *options).check(1)
    return str(driver.json("runs", "show", "last")["id"])


def run(terminal: Terminal, line: str) -> str:
    """What a line at the prompt prints."""
    terminal.type(f"{line}; echo do''ne\n")
    terminal.until(r"do''ne\r\n")
    shown = terminal.until(r"(?s)(.*?)done\r\n").group(1)
    terminal.until(PROMPT)
    return shown.replace("\x1b[?2004l\r", "").replace("\x1b[?2004h", "").replace("\r\n", "\n")


def what_it_says(driver: Rundlet, run_id: str, step: str) -> str:
    """All that is told before the prompt."""
    with at_terminal(driver, "shell", "--run", run_id, step) as terminal:
        terminal.until(PROMPT)
        terminal.type("exit\n")
        assert terminal.end() == 0
        return terminal.seen


def test_after_a_failure(shared_state: Rundlet, project: Path) -> None:
    """With the inputs it had, also when the project is gone."""
    write(project, FAILING)
    done = shared_state("run", project, "--param", "limit=7").check(1)
    shown = shared_state.json("runs", "show", "last")
    for step in ("total", "there_are_many"):
        assert f"`rundlet shell --run {shown['id']} {step}` opens the sandbox of `{step}`" in done.err
    inputs = {step["name"]: [(one["table"], one["kept"]) for one in step["inputs"]] for step in shown["steps"]}
    assert inputs == {"numbers": [], "total": [("numbers", True)], "there_are_many": [("numbers", True)]}
    assert "is kept\n" in shared_state.ok("runs", "show", "last").out
    shutil.rmtree(project)

    with at_terminal(shared_state, "shell", "--run", shown["id"], "total") as terminal:
        terminal.until(f"as in run {shown['id']} of small: image `python-3.11`")
        terminal.until("input `numbers` is at /rundlet/in/numbers")
        terminal.until(PROMPT)
        out = run(terminal, "pwd; ls; echo $GREETING $RUNDLET_PARAMETERS; df --output=size -k /tmp | tail -1")
        assert out.split("\n")[:3] == ["/work", "pipeline.py", 'hello {"top":7}']
        assert int(out.split()[-1]) == 5 * 1024
        assert run(terminal, f'python -c "{READ.format("numbers", "arrow")}"') == "{'n': [0, 1, 2, 3, 4, 5, 6]}\n"
        use = "import pipeline, tiny; pipeline.total(None)"
        assert "ValueError: as it was\n" in run(terminal, f'python -c "{use}"')
        written = run(
            terminal, "for at in /work /rundlet/in/numbers; do touch $at/x 2>/dev/null || echo read-only; done"
        )
        assert written == "read-only\nread-only\n"
        terminal.type("exit 4\n")
        assert terminal.end() == 4
    with at_terminal(shared_state, "-q", "shell", "--run", "last", "there_are_many", "--python") as terminal:
        terminal.until(">>> $")
        terminal.type(f"{READ.format('numbers', 'arrow')}\r")
        terminal.until("'n': \\[0, 1, 2")
        terminal.type("exit(0)\r")
        assert terminal.end() == 0


def test_what_was_changed_since_does_not_matter(shared_state: Rundlet, project: Path) -> None:
    write(project, FAILING)
    first = failed(shared_state, project, "--param", "limit=2")
    changed = (
        FAILING.replace("as it was", "another").replace('"5MiB"', '"6MiB"').replace('pip={"tiny": "1.0"}', "pip={}")
    )
    write(project, changed)
    second = failed(shared_state, project)
    for run_id, rows, size, message in (
        (first, "[0, 1]", "5120", "as it was"),
        (second, "[0, 1, 2]", "6144", "another"),
    ):
        with at_terminal(shared_state, "-q", "shell", "--run", run_id, "total") as terminal:
            terminal.until(PROMPT)
            assert run(terminal, "df --output=size -k /tmp | tail -1").strip() == size
            assert rows in run(terminal, f'python -c "{READ.format("numbers", "arrow")}"')
            assert f"ValueError: {message}\n" in run(terminal, 'python -c "import pipeline; pipeline.total(None)"')
            terminal.type("exit\n")
            terminal.end()


def test_inputs_that_are_too_large_are_not_kept(shared_state: Rundlet, project: Path) -> None:
    write(project, FAILING)
    small = shared_state.with_environment(RUNDLET_KEPT_INPUTS="0")
    done = small("run", project).check(1)
    assert "input `numbers` is not kept: it has " in done.err
    run_id = small.json("runs", "show", "last")["id"]
    assert not (shared_state.state / "runs" / run_id / "inputs").exists()
    assert "and 0 B are left to this run" in small.ok("runs", "show", run_id).out
    said = what_it_says(shared_state, run_id, "total")
    assert "input `numbers` is not there: the run did not keep it (it has " in said
    assert "and no such result is kept" in said
    wrong = shared_state.with_environment(RUNDLET_KEPT_INPUTS="much")
    assert "reading RUNDLET_KEPT_INPUTS `much`" in wrong("runs", "ls").check(2).err


def test_inputs_of_a_step_that_did_not_fail(shared_state: Rundlet, project: Path) -> None:
    """Where they came from, while that is what it was."""
    pipeline = models("total(numbers=rundlet.Model('numbers'), given=rundlet.Model('given')):\n    return numbers")
    made = "import rundlet\n\n@rundlet.model(materialize='replace')\ndef numbers():\n    import pyarrow\n    return "
    made += "pyarrow.table({'n': [1, 2]})\n"
    write(project, pipeline + made)
    with (project / "rundlet.toml").open("a") as settings:
        settings.write('\n[tables.given]\npath = "given.csv"\n')
    (project / "given.csv").write_text("x\n5\n")
    shared_state.ok("run", project)
    run_id = shared_state.json("runs", "show", "last")["id"]
    with at_terminal(shared_state, "shell", "--run", run_id, "total") as terminal:
        terminal.until("input `given` is at /rundlet/in/given")
        terminal.until("input `numbers` is at /rundlet/in/numbers")
        terminal.until(PROMPT)
        assert run(terminal, f'python -c "{READ.format("numbers", "parquet")}"') == "{'n': [1, 2]}\n"
        assert run(terminal, "cat /rundlet/in/given/0.csv") == "x\n5\n"
        terminal.type("exit\n")
        terminal.end()

    (project / "given.csv").write_text("x\n55\n")
    write(project, pipeline + made.replace("[1, 2]", "[1, 2, 3]"))
    with (project / "rundlet.toml").open("a") as settings:
        settings.write('\n[tables.given]\npath = "given.csv"\n')
    shared_state.ok("run", project)
    said = what_it_says(shared_state, run_id, "total")
    assert "input `given` is not there: the run kept none for this step, and its files have changed" in said
    assert "input `numbers` is not there: the run kept none for this step, and no such result is kept" in said
    (project / "given.csv").unlink()
    assert "`given` is not there" in what_it_says(shared_state, run_id, "total")


def test_a_run_that_was_killed(shared_state: Rundlet, project: Path) -> None:
    """Its steps' sandboxes are on record from its beginning; what a step had failed with before is kept."""
    body = "    import time\n    print('asleep', flush=True)\n    time.sleep(600)"
    slow = f"slow(numbers=rundlet.Model('numbers')):\n{body}"
    write(project, FAILING + models(slow).replace("import rundlet\n", ""))
    shared_state.ok("plan", project)
    with shared_state.start("run", project) as process:
        assert process.stderr is not None
        seen = b""
        for line in process.stderr:
            seen += line
            if b"slow | asleep\n" in seen and b"as it was" in seen:
                break
        os.killpg(process.pid, signal.SIGKILL)
    shared_state.sweep_groups("--image", "python-3.11")
    shown = shared_state.json("runs", "show", "last")
    assert shown["state"] == "interrupted"
    assert "input `numbers` is at" in what_it_says(shared_state, shown["id"], "total")
    assert "input `numbers` is at" in what_it_says(shared_state, shown["id"], "slow")
    shutil.rmtree(shared_state.state / "runs" / shown["id"] / "inputs")
    assert "input `numbers` is not there: the run kept none" in what_it_says(shared_state, shown["id"], "slow")
    (shared_state.state / "runs" / shown["id"] / "sandboxes.json").unlink()  # killed a little earlier
    with at_terminal(shared_state, "shell", "--run", shown["id"], "slow") as terminal:
        assert terminal.end() == 125
        assert "there is no record of them" in terminal.seen


def test_what_is_not_there(shared_state: Rundlet, project: Path) -> None:
    write(project, FAILING)
    run_id = failed(shared_state, project)
    for words, cause in (
        (("19990101", "total"), "looking for run `19990101`"),
        ((run_id, "totals"), f"run `{run_id}` had none of that name"),
    ):
        with at_terminal(shared_state, "shell", "--run", *words) as terminal:
            assert terminal.end() == 125
            assert cause in terminal.seen
    assert "it had numbers, there_are_many, total" in terminal.seen
    shared_state("shell", "--run", run_id).check(2)  # which step?
    shared_state("shell", "--run", run_id, "total", "--image", "python-3.11").check(2)  # a step has its own
    shared_state("shell", project, "total", "--run", run_id, "total").check(2)
    shutil.rmtree(shared_state.state / "runs" / run_id)
    with at_terminal(shared_state, "shell", "--run", run_id, "total") as terminal:
        assert terminal.end() == 125
        assert "there is none" in terminal.seen


def test_what_was_removed_since(rundlet: Rundlet, index: PackageIndex, project: Path, small_image: Path) -> None:
    """Packages come again from where the lock says; an image has to be taken again."""
    rundlet.ok("image", "import", "python-3.11", small_image, timeout=300)
    write(project, FAILING)
    run_id = failed(rundlet, project)
    kept = rundlet.state / "runs" / run_id / "inputs" / "numbers.arrow"
    size = kept.stat().st_size

    for lock in (rundlet.state / "locks").iterdir():
        os.utime(lock, (0, 0))
    items = rundlet.json("gc", "--unused-for", "1d")
    assert any(item["path"].startswith("packages/") and item["fate"] == "removed" for item in items)
    assert next(item["bytes"] for item in items if item["path"] == "runs") > size
    assert kept.stat().st_size == size
    with at_terminal(rundlet, "--offline", "shell", "--run", run_id, "total") as terminal:
        assert terminal.end() == 125
        assert "rundlet is to be offline" in terminal.seen
    index.forget()
    assert "input `numbers` is at" in what_it_says(rundlet, run_id, "total")
    assert index.requests

    rundlet.ok("image", "rm", "python-3.11")
    # Its layers are still there.
    assert "input `numbers` is at" in what_it_says(rundlet, run_id, "total")
    rundlet.ok("gc")
    with at_terminal(rundlet, "shell", "--run", run_id, "total") as terminal:
        assert terminal.end() == 125
        assert "image `python-3.11` (sha256:" in terminal.seen
        assert "was removed" in terminal.seen
        assert "hint: import the same image again" in terminal.seen
    rundlet.ok("image", "import", "other-name", small_image, timeout=300)
    assert "input `numbers` is at" in what_it_says(rundlet, run_id, "total")
