"""`rundlet shell`: a terminal of the sandbox's own, as a person at one uses it."""

from __future__ import annotations

import os
import re
import select
import signal
from pathlib import Path

import pytest

from support.pipelines import write
from support.rundlet import Rundlet
from support.terminal import Terminal, at_terminal

IMAGE = ("--image", "python-3.11")
PROMPT = r"\$ $"


def run(terminal: Terminal, line: str) -> str:
    """What a line at the prompt prints."""
    terminal.type(f"{line}; echo do''ne\n")
    terminal.until(r"do''ne\r\n")
    shown = terminal.until(r"(?s)(.*?)done\r\n").group(1)
    terminal.until(PROMPT)
    return re.sub(r"\x1b\[\?2004[hl]\r?", "", shown).replace("\r\n", "\n")


def test_it_is_the_sandbox_of_exec(shared_state: Rundlet) -> None:
    line = "id -u; pwd; echo $HOME; hostname; env | grep -c RUNDLET; ls /sys"
    same = shared_state("exec", *IMAGE, "--", "sh", "-c", line).out
    with at_terminal(shared_state, "-q", "shell", *IMAGE) as terminal:
        terminal.until(PROMPT)
        assert run(terminal, line) == same
        assert run(terminal, "echo ${BASH_VERSION:+bash} $TERM") == "bash xterm\n"
        assert run(terminal, "tty; ls /dev/pts; stat -c %u:%g /dev/pts/0") == "/dev/pts/0\n0  ptmx\n1000:1000\n"
        terminal.type("exit 7\n")
        assert terminal.end() == 7


def test_packages_mounts_and_python(shared_state: Rundlet, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    options = ("--with", "six", "--mount", f"{tmp_path}:/data")
    with at_terminal(shared_state, "-q", "shell", *IMAGE, *options, "--python") as terminal:
        terminal.until(">>> $")
        terminal.type("import six, os, sys; print(six.__file__, os.listdir('/data'), sys.stdin.isatty())\r")
        terminal.until(re.escape("/env/lib/python3.11/site-packages/six.py [] True"))
        terminal.type("raise SystemExit(3)\r")
        assert terminal.end() == 3


def test_ctrl_c_reaches_the_foreground_only(shared_state: Rundlet) -> None:
    with at_terminal(shared_state, "-q", "shell", *IMAGE) as terminal:
        terminal.until(PROMPT)
        terminal.type("trap 'echo caught by the shell' INT; sleep 600 & sh -c 'echo as''leep; exec sleep 600'\n")
        terminal.until("asleep\r\n")
        terminal.type("\x03")
        terminal.until(PROMPT)
        assert run(terminal, "jobs -r").endswith("sleep 600 &\n")
        assert "128" not in run(terminal, "kill %1; wait; echo $?")
        terminal.type("exit\n")
        terminal.end()


def test_a_job_is_stopped_and_goes_on(shared_state: Rundlet) -> None:
    with at_terminal(shared_state, "-q", "shell", *IMAGE) as terminal:
        terminal.until(PROMPT)
        terminal.type("""sh -c 'echo rea''dy; read word; echo "got $word"'\n""")
        terminal.until("ready\r\n")
        terminal.type("\x1a")
        terminal.until("Stopped")
        terminal.until(PROMPT)
        terminal.type("fg\n")
        terminal.until(r"fg\r\n(?s:.*?)\r\n")
        terminal.type("this\n")
        terminal.until("got this\r\n")
        terminal.until(PROMPT)
        terminal.type("exit 0\n")
        assert terminal.end() == 0


def test_the_size_follows(shared_state: Rundlet) -> None:
    with at_terminal(shared_state, "-q", "shell", *IMAGE, rows=40, columns=100) as terminal:
        terminal.until(PROMPT)
        assert run(terminal, "stty size") == "40 100\n"
        terminal.type("trap 'stty size' WINCH; echo tr''apped\n")
        terminal.until("trapped\r\n")
        terminal.until(PROMPT)
        terminal.resize(51, 133)
        terminal.type("\n")
        terminal.until("51 133\r\n")
        terminal.type("exit\n")
        terminal.end()


@pytest.mark.parametrize("way", ["exit", "killed inside", "error", "TERM", "HUP", "KILL"])
def test_the_settings_are_put_back(shared_state: Rundlet, way: str) -> None:
    command = ("shell", "--image", "nowhere") if way == "error" else ("-q", "shell", *IMAGE)
    with at_terminal(shared_state, *command) as terminal:
        cooked = [*terminal.settings()]
        if way != "error":
            terminal.until(PROMPT)
            assert terminal.settings() != cooked
        children: list[int] = []
        if way != "error":
            process = terminal.process.pid
            there = Path(f"/proc/{process}/task/{process}/children").read_text()
            children = [os.pidfd_open(int(pid)) for pid in there.split()]
        if way == "exit":
            terminal.type("exit\n")
        elif way == "killed inside":
            terminal.type("kill -KILL $$\n")
        elif way != "error":
            # The keeper of the settings is not in the group that is killed.
            os.killpg(terminal.process.pid, getattr(signal, f"SIG{way}"))
        code = terminal.end()
        if way in ("TERM", "HUP"):  # the shell's own: it gets HUP, and the end of its input
            assert code in (0, 1, 128 + signal.SIGHUP)
        else:
            assert code == {"exit": 0, "killed inside": 137, "error": 125, "KILL": -9}[way]
        for child in children:
            assert select.select([child], [], [], 30)[0], "a process of it goes on"
            os.close(child)
        assert terminal.settings() == cooked
    if way == "KILL":
        shared_state.ok("exec", *IMAGE, "--", "true")  # removes the control group that is left


def test_what_is_printed_last_is_shown(shared_state: Rundlet) -> None:
    with at_terminal(shared_state, "-q", "shell", *IMAGE, "--python") as terminal:
        terminal.until(">>> $")
        terminal.type(
            "import sys, os; sys.stdout.write('x' * 300_000 + 'the' + ' end'); sys.stdout.flush(); os._exit(5)\r"
        )
        terminal.until("x{300000}the end")
        assert terminal.end() == 5


def test_a_large_paste_arrives_whole(shared_state: Rundlet) -> None:
    with at_terminal(shared_state, "-q", "shell", *IMAGE) as terminal:
        terminal.until(PROMPT)
        terminal.type("stty -echo; cat >/tmp/pasted; wc -c /tmp/pasted; stty echo\n")
        terminal.until("stty echo\r\n")
        os.set_blocking(terminal.fd, False)
        line, left = b"y" * 999 + b"\n", 200
        while left:
            select.select([], [terminal.fd], [])
            assert os.write(terminal.fd, line) == len(line)
            left -= 1
        os.set_blocking(terminal.fd, True)
        terminal.type("\x04")
        terminal.until("200000 /tmp/pasted")
        terminal.until(PROMPT)
        terminal.type("exit\n")
        terminal.end()


def test_the_users_terminal_is_out_of_reach(shared_state: Rundlet) -> None:
    """Neither a descriptor of it nor its input; and the terminal inside takes no pushed input either."""
    program = """
import fcntl, os, termios
try:
    fcntl.ioctl(0, termios.TIOCSTI, b"!")
except OSError as error:
    print("refused", error.errno)
print([os.readlink(f"/proc/{pid}/fd/{fd}") for pid in (os.getpid(), os.getppid()) for fd in range(3)])
print(sorted(os.listdir("/proc/self/fd")), os.listdir("/dev/pts"))
"""
    with at_terminal(shared_state, "-q", "shell", *IMAGE) as terminal:
        terminal.until(PROMPT)
        terminal.type(f"cat >/tmp/reach.py <<'END'{program}END\n")
        terminal.until(PROMPT)
        out = run(terminal, "python3 /tmp/reach.py")
        assert "refused 1\n" in out
        assert "['/dev/pts/0', '/dev/pts/0', '/dev/pts/0', '/dev/pts/0', '/dev/pts/0', '/dev/pts/0']" in out
        assert "['0', '1', '2', '3'] ['0', 'ptmx']" in out  # 3: the list's own
        terminal.type("exit\n")
        terminal.end()


STEPS = """
import rundlet

@rundlet.model(materialize="replace")
def numbers():
    import pyarrow
    return pyarrow.table({"n": [1, 2, 3]})

@rundlet.model()
def unkept():
    import pyarrow
    return pyarrow.table({"n": [1]})

@rundlet.model()
@rundlet.python("3.11", pip={"tiny": "1.0"})
@rundlet.env(GREETING="hello")
@rundlet.resources(disk="5MiB")
def total(numbers=rundlet.Model("numbers"), unkept=rundlet.Model("unkept"), top=rundlet.Parameter("limit")):
    import pyarrow
    return pyarrow.table({"sum": [sum(numbers["n"].to_pylist())]})
"""


def test_a_step(shared_state: Rundlet, project: Path) -> None:
    write(project, STEPS)
    shared_state.ok("run", project, "--only", "numbers")
    with at_terminal(shared_state, "shell", project, "total", "--param", "limit=7") as terminal:
        terminal.until("input `numbers` is at /rundlet/in/numbers")
        terminal.until("input `unkept` is not there")
        terminal.until(PROMPT)
        out = run(terminal, "pwd; ls; echo $GREETING $RUNDLET_PARAMETERS; df --output=size -k /tmp | tail -1")
        assert out.split("\n")[:3] == ["/work", "pipeline.py", 'hello {"top":7}']
        assert int(out.split()[-1]) == 5 * 1024
        assert run(terminal, "touch /work/x 2>/dev/null || echo read-only; touch /rundlet/out/x && echo out") == (
            "read-only\nout\n"
        )
        use = "import tiny, pipeline, pyarrow.parquet as p; t = p.read_table('/rundlet/in/numbers')"
        assert run(terminal, f'python -c "{use}; print(pipeline.total(numbers=t)[0])"').endswith("  6\n  ]\n]\n")
        terminal.type("exit 4\n")
        assert terminal.end() == 4


def test_a_step_that_is_not_there(shared_state: Rundlet, project: Path) -> None:
    write(project, STEPS)
    with at_terminal(shared_state, "shell", project, "totals") as terminal:
        assert terminal.end() == 125
        assert "looking for step `totals`" in terminal.seen
        assert "it has numbers, total, unkept" in terminal.seen
    shared_state("shell", project).check(2)  # which step?
    shared_state("shell", *IMAGE, project, "total").check(2)  # a step has its own


def test_without_a_terminal(shared_state: Rundlet) -> None:
    done = shared_state("shell", *IMAGE).check(125)
    assert "standard input is not a terminal" in done.err
    assert "`rundlet exec`" in done.err


def test_a_limit_is_told_and_time_ends_it(shared_state: Rundlet) -> None:
    for seconds in (2, 10, 60):  # from the sandbox's start, and the shell may be slow to come to its prompt
        with at_terminal(shared_state, "-q", "shell", *IMAGE, "--timeout", f"{seconds}s") as terminal:
            code = terminal.end(seconds + 60)
        if "$ " in terminal.seen:
            break
    assert "$ " in terminal.seen
    assert code == 124
    assert f"timed out after {seconds} s" in terminal.seen
