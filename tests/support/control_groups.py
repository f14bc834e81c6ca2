"""Control groups of the test process's own.

The engines that it starts make theirs below them: those of tests that run beside it, or of anybody
else on the host, are then neither seen nor swept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

CONTROLLERS = {"cpu", "cpuacct", "memory", "pids"}  # those an engine makes groups for


def _hierarchies() -> Iterator[tuple[Path, str, set[str]]]:
    """Mount point, the root that is mounted there, and options, of each that is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind, _, options = fields[fields.index("-") + 1 :]
        if kind == "cgroup":
            yield Path(fields[4]), fields[3], set(options.split(","))


def of_this_process() -> list[Path]:
    """Its groups in the v1 hierarchies that have a controller an engine uses. v2 has none of them:
    there an engine's place is the delegated group, wherever in it the process is."""
    groups: dict[frozenset[str], str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        groups[frozenset(names.split(","))] = path
    found = []
    for mount_point, root, options in _hierarchies():
        for controllers, path in groups.items():
            if controllers & CONTROLLERS and controllers <= options:
                found.append(mount_point / os.path.relpath(path, root))
    return found


def _remove_ended(group: Path) -> None:
    """Those that runners left, with their workers': a process that was just ending keeps its group."""
    for left in group.glob("tests-*/"):
        if Path("/proc", left.name.partition("-")[2]).exists():
            continue
        for one in (*sorted(left.rglob("tests-*/"), reverse=True), left):
            with contextlib.suppress(OSError):
                one.rmdir()


@contextlib.contextmanager
def own_groups() -> Iterator[None]:
    """This process and what it starts are in groups of their own meanwhile."""
    before = of_this_process()
    name = f"tests-{os.getpid()}"
    try:
        for group in before:
            _remove_ended(group)
            (group / name).mkdir(exist_ok=True)
            (group / name / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        for group in before:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            with contextlib.suppress(OSError):
                (group / name).rmdir()
