"""`rundlet exec` without packages: what the command gets, what it cannot reach, and how it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import leaks
from support.rundlet import Rundlet

IMAGE = ("--image", "python-3.11")


def run(driver: Rundlet, *args: object, **more: object) -> str:
    """What the command prints."""
    return driver.ok("exec", *IMAGE, *args, **more).out  # type: ignore[arg-type]


def read_line(process: subprocess.Popen[bytes], seconds: float = 30) -> str:
    """A line of its output, so that a test knows where the command is."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    assert ready, "the command printed nothing in time"
    return process.stdout.readline().decode()


@pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
def test_exit_code(shared_state: Rundlet, code: int) -> None:
    done = shared_state("exec", *IMAGE, "--", "sh", "-c", f"exit {code}").check(code)
    assert (done.out, done.err) == ("", "")


def test_killed_by_a_signal(shared_state: Rundlet) -> None:
    program = "import os, signal; signal.signal(15, signal.SIG_DFL); os.kill(os.getpid(), 15)"
    shared_state("exec", *IMAGE, "--", "python3", "-c", program).check(128 + signal.SIGTERM)


def test_program_not_found(shared_state: Rundlet) -> None:
    done = shared_state("exec", *IMAGE, "--", "no-such-program").check(127)
    assert "`no-such-program`" in done.err


def test_program_not_executable(shared_state: Rundlet) -> None:
    done = shared_state("exec", *IMAGE, "--", "/etc/passwd").check(126)
    assert "`/etc/passwd`" in done.err
    assert "permission denied" in done.err


def test_unknown_image(shared_state: Rundlet) -> None:
    done = shared_state("exec", "--image", "nowhere", "--", "true").check(125)
    assert "error: looking for image `nowhere`" in done.err
    assert "python-3.11" in done.err  # those there are


def test_one_of_several_images_must_be_named(shared_state: Rundlet) -> None:
    done = shared_state("exec", "--", "true").check(125)
    assert "--image" in done.err


def test_no_image_at_all(rundlet: Rundlet) -> None:
    done = rundlet("exec", "--", "true").check(125)
    assert "rundlet image import" in done.err


def test_without_a_command(shared_state: Rundlet) -> None:
    shared_state("exec", *IMAGE).check(2)


def test_streams(shared_state: Rundlet) -> None:
    done = shared_state.ok("exec", *IMAGE, "--", "sh", "-c", "tr a-z A-Z; echo talk >&2", input="data\n")
    assert done.out == "DATA\n"
    assert done.err == "talk\n"


def test_large_output_arrives_whole(shared_state: Rundlet) -> None:
    out = run(shared_state, "--", "python3", "-c", "print('x' * 5_000_000)")
    assert len(out) == 5_000_001


def test_empty_input_ends(shared_state: Rundlet) -> None:
    assert run(shared_state, "--", "cat") == ""


def test_a_directory_is_no_stream(shared_state: Rundlet, tmp_path: Path) -> None:
    """Its parents are the host's."""
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        command = shared_state.command("exec", *IMAGE, "--", "true")
        options = {"env": shared_state.environment, "stderr": subprocess.PIPE, "text": True, "check": False}
        done = [
            subprocess.run(command, stdin=folder, stdout=subprocess.PIPE, **options),
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=folder, **options),
        ]
    finally:
        os.close(folder)
    assert [one.returncode for one in done] == [125, 125]
    for one, name in zip(done, ("input", "output"), strict=True):
        assert f"error: starting `true`\ncaused by: its standard {name} is a directory\n" in one.stderr


def test_arguments_arrive_as_given(shared_state: Rundlet) -> None:
    args = ["--image", "a b", "", "*", "$HOME", "ü\n"]
    out = run(shared_state, "--", "python3", "-c", "import sys; print(sys.argv[1:])", *args)
    assert out == f"{args}\n"


def test_environment_variables(shared_state: Rundlet) -> None:
    out = run(
        shared_state, "--env", "A=1", "--env", "B=x=y z", "--env", "C=", "--", "sh", "-c", "echo $A,$B,${C-unset}"
    )
    assert out == "1,x=y z,\n"


@pytest.mark.parametrize("wrong", ["A", "=x"])
def test_malformed_variable(shared_state: Rundlet, wrong: str) -> None:
    done = shared_state("exec", *IMAGE, "--env", wrong, "--", "true").check(125)
    assert f"`--env {wrong}`" in done.err


def test_host_variables_stay_outside(shared_state: Rundlet) -> None:
    names = {"SECRET_TOKEN": "s3cret", "LD_PRELOAD_TEST": "x", "PYTHONPATH": "/tmp", "PYTHONSTARTUP": "/tmp/x"}
    out = run(shared_state, "--", "env", environment=names)
    inside = dict(line.split("=", 1) for line in out.splitlines())
    assert not set(inside) & {*names, "NO_COLOR", "RUNDLET_INDEX"}
    assert inside["HOME"] != str(shared_state.state.parent)


def test_working_directory(shared_state: Rundlet) -> None:
    assert run(shared_state, "--cwd", "/usr/lib", "--", "pwd") == "/usr/lib\n"


def test_working_directory_that_is_not_there(shared_state: Rundlet) -> None:
    done = shared_state("exec", *IMAGE, "--cwd", "/nowhere", "--", "true").check(125)
    assert "`/nowhere`" in done.err


@pytest.mark.parametrize("mode", ["", ":ro"])
def test_read_only_mount(shared_state: Rundlet, tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o777)
    (folder / "note").write_text("from the host\n")
    folder.chmod(0o777)
    script = "cat /data/note; touch /data/new 2>/dev/null && echo written"
    done = shared_state("exec", *IMAGE, "--mount", f"{folder}:/data{mode}", "--", "sh", "-c", script)
    assert done.out == "from the host\n"
    assert not (folder / "new").exists()


def test_writable_mount(shared_state: Rundlet, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o777)
    run(shared_state, "--mount", f"{folder}:/data:rw", "--", "sh", "-c", "echo inside > /data/new")
    assert (folder / "new").read_text() == "inside\n"


def test_mounted_file(shared_state: Rundlet, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("one\n")
    assert run(shared_state, "--mount", f"{path}:/tmp/one", "--", "cat", "/tmp/one") == "one\n"


def test_other_host_files_are_not_there(shared_state: Rundlet, tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.write_text("private\n")
    done = shared_state("exec", *IMAGE, "--", "cat", path)
    assert done.code == 1
    assert done.out == ""


@pytest.mark.parametrize("target", ["/proc/x", "/sys", "/dev", "/env/lib", "/rundlet"])
def test_mount_over_the_sandbox(shared_state: Rundlet, tmp_path: Path, target: str) -> None:
    done = shared_state("exec", *IMAGE, "--mount", f"{tmp_path}:{target}", "--", "true").check(125)
    assert f"`{target}`" in done.err


@pytest.mark.parametrize("mount", ["/tmp", "/tmp:/data:rx", "/tmp:/data:ro:x"])
def test_malformed_mount(shared_state: Rundlet, mount: str) -> None:
    done = shared_state("exec", *IMAGE, "--mount", mount, "--", "true").check(125)
    assert "SRC:DST[:ro|rw]" in done.err


def test_mount_source_that_is_not_there(shared_state: Rundlet, tmp_path: Path) -> None:
    done = shared_state("exec", *IMAGE, "--mount", f"{tmp_path}/nowhere:/data", "--", "true").check(125)
    assert "nowhere" in done.err


def test_no_network(shared_state: Rundlet, shared_index: object) -> None:
    port = shared_index.port  # type: ignore[attr-defined]
    program = (
        "import os, socket\n"
        "print(sorted(name for _, name in socket.if_nameindex()))\n"
        f"print(socket.socket().connect_ex(('127.0.0.1', {port})) != 0)\n"
        "print(socket.socket().connect_ex(('192.0.2.1', 80)) != 0)\n"
    )
    assert run(shared_state, "--", "python3", "-c", program) == "['lo']\nTrue\nTrue\n"


def test_not_root_and_no_capabilities(shared_state: Rundlet) -> None:
    out = run(shared_state, "--", "sh", "-c", "id -u; grep -E 'Cap(Prm|Eff|Bnd)|NoNewPrivs' /proc/self/status")
    uid, *lines = out.splitlines()
    assert uid != "0"
    for line in lines:
        name, value = line.split()
        assert value == ("1" if name == "NoNewPrivs:" else "0" * 16), line


def test_own_processes_only(shared_state: Rundlet) -> None:
    out = run(shared_state, "--", "sh", "-c", "ls /proc | grep -c '^[0-9]'")
    assert int(out) < 8


def test_changes_are_gone_the_next_time(shared_state: Rundlet) -> None:
    run(shared_state, "--", "sh", "-c", "echo x > /tmp/left")
    shared_state("exec", *IMAGE, "--", "test", "-e", "/tmp/left").check(1)


def test_left_over_processes_end_with_the_command(shared_state: Rundlet) -> None:
    # The check for leaks finds the sleeper when it stays.
    assert run(shared_state, "--", "sh", "-c", "sleep 600 >/dev/null 2>&1 & echo started") == "started\n"


def test_timings(shared_state: Rundlet) -> None:
    done = shared_state.ok("--timings", "exec", *IMAGE, "--", "true")
    assert "the program has ended" in done.err
    assert done.out == ""


def test_both_pythons(shared_state: Rundlet) -> None:
    for version in ("3.11", "3.13"):
        program = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = shared_state.ok("exec", "--image", f"python-{version}", "--", "python3", "-c", program)
        assert done.out == f"{version}\n"


WAITING = "import time; print('ready', flush=True); time.sleep(600)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(shared_state: Rundlet, number: signal.Signals) -> None:
    program = f"import signal; signal.signal({number}, signal.SIG_DFL); {WAITING}"
    with shared_state.start("exec", *IMAGE, "--", "python3", "-c", program) as process:
        assert read_line(process) == "ready\n"
        process.send_signal(number)
        assert process.wait(30) == 128 + number


def test_signal_can_be_handled_inside(shared_state: Rundlet) -> None:
    program = f"import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(9)); {WAITING}"
    with shared_state.start("exec", *IMAGE, "--", "python3", "-c", program) as process:
        assert read_line(process) == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 9


def processes_with(marker: str) -> frozenset[leaks.Process]:
    """The processes that have this text among their arguments, in whatever namespace they are."""
    found = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            arguments = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in arguments:
            found.add(leaks._process(int(folder.name)))
    return frozenset(process for process in found if process is not None)


def test_killed_rundlet_takes_the_sandbox_along(shared_state: Rundlet, tmp_path: Path) -> None:
    marker = f"of {tmp_path}"
    with shared_state.start("exec", *IMAGE, "--", "python3", "-c", f"{WAITING}  # {marker}") as process:
        assert read_line(process) == "ready\n"
        running = processes_with(marker)
        assert len(running) >= 2, running  # rundlet and the command
        process.kill()
        process.wait(30)
        leaks.wait_for_exit(running, time.monotonic() + 10)
        assert not processes_with(marker)
    shared_state.sweep_groups(*IMAGE)
    # And nothing of it is in the way of the next.
    assert run(shared_state, "--", "echo", "next") == "next\n"


def test_closed_output_does_not_hang(shared_state: Rundlet) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = "import sys\nfor _ in range(100000): print('x' * 100)"
    with shared_state.start("exec", *IMAGE, "--", "python3", "-c", program, stdout=writer) as process:
        os.close(writer)
        assert process.wait(30) != 0
