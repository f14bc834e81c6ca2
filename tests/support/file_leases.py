"""To be there when another process opens a file, and to do something before it goes on (fcntl(2), leases)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def held(path: Path) -> Iterator[Callable[[], None]]:
    """Whoever opens the file waits until the end of the block; gives what waits for that."""
    descriptor = os.open(path, os.O_RDWR)

    def wait() -> None:
        deadline = time.monotonic() + 30
        while fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_WRLCK:
            assert time.monotonic() < deadline, f"nobody opens {path}"
            time.sleep(0.002)  # the other one needs the processor

    signal.signal(signal.SIGIO, signal.SIG_IGN)  # which says so too, and would end this process
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield wait
    finally:
        os.close(descriptor)
