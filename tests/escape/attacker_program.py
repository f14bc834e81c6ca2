"""The attacker's program (tests/escape/attacker), run as a step, and what it reports."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.rundlet import Rundlet, build_directory

PROGRAM = build_directory() / "tests/escape/attacker/attacker"
INSIDE = "/attacker"
KEYCTL, ADD_KEY, JOIN, SESSION = 250, 248, 1, -3  # of x86-64 and linux/keyctl.h
LINE = re.compile(r"(not )?ok \d+ - (?P<name>.*): (?P<word>[^:]+?)( instead of (?P<held>.*))?")


@dataclass(frozen=True)
class Tried:
    """One attack: what came of it, and whether that was expected."""

    name: str
    word: str
    held: bool


def parse(text: str) -> list[Tried]:
    """The attacks of a report that is whole: its last line says how many there were."""
    first, *lines, plan = text.splitlines()
    assert first == "TAP version 13", text
    tried = []
    for line in lines:
        match = LINE.fullmatch(line)
        assert match is not None, line
        tried.append(Tried(match["name"], match["word"], match[1] is None))
    assert plan == f"1..{len(tried)}", text[-500:]
    return tried


def arguments(*names: str, options: tuple[object, ...] = ()) -> tuple[object, ...]:
    """The command line of the step."""
    image = () if "--image" in options else ("--image", "python-3.11")
    return ("exec", *image, "--mount", f"{PROGRAM}:{INSIDE}", *options, "--", INSIDE, *names)


def attack(driver: Rundlet, *names: str, options: tuple[object, ...] = ()) -> list[Tried]:
    """Those whose names begin so, from one step."""
    done = driver(*arguments(*names, options=options))  # type: ignore[arg-type]
    assert done.code in (0, 1), str(done)
    tried = parse(done.out)
    assert done.code == (0 if all(one.held for one in tried) else 1), str(done)
    return tried


def facts(driver: Rundlet, *paths: str) -> dict[str, str]:
    """The first lines of files as a step sees them."""
    out = driver.ok(*arguments("facts", *paths)).out  # type: ignore[arg-type]
    return dict(line.split("=", 1) for line in out.splitlines())


def hashes(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder: mode, time of change, content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (info.st_mode, info.st_mtime_ns, content)
    return found


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A TCP port of the host's loopback, and an abstract socket that is named after it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        port: int = server.getsockname()[1]
        abstract.bind(f"\0rundlet-canary-{port}")
        abstract.listen()
        yield port


def _take_a_key() -> None:
    """A session keyring of this process's own, with a key that nobody else should find."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(KEYCTL, JOIN, None) < 0 or libc.syscall(ADD_KEY, b"user", b"rundlet-canary", b"x", 1, SESSION) < 0:
        raise OSError(ctypes.get_errno(), "adding a key")


def on_a_terminal(
    driver: Rundlet, *names: str, options: tuple[object, ...] = (), input_too: bool = False
) -> list[Tried]:
    """As `attack`, started by somebody with a controlling terminal and a key.

    With `input_too` the terminal is the step's standard input as well.
    """
    command = driver.command(*arguments(*names, options=options))  # type: ignore[arg-type]
    read, write = os.pipe()
    pid, master = pty.fork()
    if pid == 0:  # its standard streams are the terminal
        _take_a_key()
        os.dup2(write, 1)
        if not input_too:
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.execve(command[0], command, driver.environment)
    os.close(write)
    with open(read) as report:
        text = report.read()
    _, status = os.waitpid(pid, 0)
    with open(master, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
        said = terminal.read(4096)
    assert os.waitstatus_to_exitcode(status) in (0, 1), said
    return parse(text)
