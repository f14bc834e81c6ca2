"""Names that only one driver's programs know, and a port that nobody listens at."""

from __future__ import annotations

import contextlib
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def with_hosts(binary: Path, folder: Path, hosts: Mapping[str, Sequence[str]]) -> Path:
    """A program that runs `binary` in a mount namespace of its own, where /etc/hosts has these names."""
    table = folder / "hosts"
    table.write_text("".join(f"{address} {name}\n" for name, addresses in hosts.items() for address in addresses))
    made = folder / "rundlet-with-hosts"
    inner = f'mount --bind {shlex.quote(str(table))} /etc/hosts && exec {shlex.quote(str(binary))} "$@"'
    made.write_text(f'#!/bin/sh\nexec unshare --mount --propagation private sh -c {shlex.quote(inner)} sh "$@"\n')
    made.chmod(0o755)
    return made


@contextlib.contextmanager
def nobody_listens() -> Iterator[str]:
    """An address of loopback that is taken, so that nobody comes to listen at it meanwhile either."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
