"""A terminal with `rundlet` at it, for what a person would type."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.rundlet import Argument, Rundlet


@dataclass
class Terminal:
    """Our side of it; `screen` is all that was shown and not yet read by `until`."""

    fd: int
    other: int  # the side that the program has: held open so that its settings can be asked for
    process: subprocess.Popen[bytes]
    screen: str = ""
    seen: str = field(default="", repr=False)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, pattern: str, seconds: float = 300) -> re.Match[str]:
        """What is shown up to there; fails when it does not come."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.screen)) is None:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"`{pattern}` was not shown:\n{self.screen}"
            data = os.read(self.fd, 1 << 16).decode(errors="replace")
            self.screen += data
            self.seen += data
        self.screen = self.screen[found.end() :]
        return found

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self) -> list[object]:
        return termios.tcgetattr(self.other)

    def end(self, seconds: float = 120) -> int:
        """Its exit code, once it has ended; what it shows meanwhile is read."""
        deadline = time.monotonic() + seconds
        pidfd = os.pidfd_open(self.process.pid)
        try:
            while True:
                ready, _, _ = select.select([self.fd, pidfd], [], [], max(0.0, deadline - time.monotonic()))
                assert ready, f"it did not end:\n{self.seen}"
                if self.fd in ready:
                    data = os.read(self.fd, 1 << 16).decode(errors="replace")
                    self.screen += data
                    self.seen += data
                elif pidfd in ready:
                    return self.process.wait()
        finally:
            os.close(pidfd)


@contextlib.contextmanager
def at_terminal(driver: Rundlet, *args: Argument, rows: int = 24, columns: int = 80) -> Iterator[Terminal]:
    """Starts it as the leader of a session whose terminal this is."""
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        driver.command(*args),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=driver.state.parent,
        env={**driver.environment, "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        yield Terminal(ours, theirs, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)
        os.close(theirs)
