"""Everything that tests/escape/attacker tries, from inside an ordinary step, and how often: none gets through."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from escape.attacker_program import PROGRAM, Tried, attack, facts, hashes, listening, on_a_terminal

from support.rundlet import Rundlet

# So many at the least: a group that is not tried any more is noticed.
GROUPS = {
    "calls/": 469,
    "x32/": 548,
    "i386/": 471,
    "namespaces/": 138,
    "sockets/": 458,
    "terminals/": 12,
    "processes/": 20,
    "keys/": 8,
    "network/": 2,
    "privileges/": 58,
    "descriptors/": 4,
    "root/": 11,
    "read-only/": 25,
    "proc/": 80,
    "shared/": 2,
}


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A tree outside that anybody may write to, and nobody does."""
    folder = tmp_path / "canary"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    for name in ("a", "b/c"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
        (folder / name).chmod(0o666)
    before = hashes(folder)
    yield folder
    assert hashes(folder) == before


def through(tried: list[Tried]) -> list[Tried]:
    return [one for one in tried if not one.held]


def test_all_groups_are_named(shared_state: Rundlet, canary: Path) -> None:
    """What the program tries by itself is what the test below asks for."""
    tried = attack(shared_state)
    assert through(tried) == []
    groups = {one.name.partition("/")[0] + "/" for one in tried}
    assert groups == set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_gets_through(shared_state: Rundlet, group: str) -> None:
    tried = attack(shared_state, group)
    assert through(tried) == []
    assert len(tried) >= GROUPS[group]


def test_shared_directories_stay_as_they_are(shared_state: Rundlet, canary: Path, tmp_path: Path) -> None:
    """Packages, inputs and files that are given read-only, on mounts of each kind."""
    one = tmp_path / "one"
    one.write_text("one")
    one.chmod(0o666)
    store = [path for path in shared_state.state.glob("packages/*/") if path.is_dir()]
    before = [hashes(path) for path in store]
    options = ("--with", "six==1.17.0", "--mount", f"{canary}:/work/canary", "--mount", f"{one}:/work/one")
    tried = attack(shared_state, "read-only/", options=options)
    assert through(tried) == []
    places = {attack.name.removeprefix("read-only/").partition(": ")[0] for attack in tried}
    assert {"/work/canary", "/work/one", "/env", "/dev"} <= places
    assert [hashes(path) for path in store] == before
    assert one.read_text() == "one"


def test_no_working_directory_by_descriptor(shared_state: Rundlet) -> None:
    """Refused, rather than entered from outside through what is still open while a sandbox is made."""
    own = [f"/proc/self/fd/{number}" for number in (*range(3, 65), 700, 701, 702, 1023)]
    places = [f"fd/{number}" for number in (*range(65), 700, 701)] + ["root", "cwd", "task/1/root", "fd"]
    init = [f"/proc/1/{place}" for place in places]
    for place in own + init:
        done = shared_state("exec", "--image", "python-3.11", "--cwd", place, "--", "pwd").check(125)
        assert done.out == ""
        assert f"working directory `{place}`" in done.err


# Read by everybody on a host, and different (or closed) for a step.
OF_THE_HOST = [
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/random/boot_id",
    "/proc/cmdline",
    "/proc/loadavg",
    "/proc/self/mountinfo",
    "/proc/mounts",
    "/proc/diskstats",
    "/proc/partitions",
    "/proc/interrupts",
    "/proc/1/environ",
    "/proc/1/cmdline",
    "/proc/1/stat",
    "/etc/hostname",
    "/etc/machine-id",
]


def first_line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").partition("\n")[0]
    except OSError:
        return ""


def test_a_step_does_not_learn_where_it_is(shared_state: Rundlet) -> None:
    seen = facts(shared_state, *OF_THE_HOST)
    assert seen["/proc/sys/kernel/hostname"] == "rundlet"
    for path in OF_THE_HOST:
        mine = first_line(path)
        assert seen[path] == "" or seen[path] != mine, path
    assert float(facts(shared_state, "/proc/uptime")["/proc/uptime"].split()[0]) < 60  # its own
    # Nor that it runs where another ran.
    assert (
        facts(shared_state, *OF_THE_HOST)["/proc/sys/kernel/random/boot_id"] != seen["/proc/sys/kernel/random/boot_id"]
    )
    assert str(shared_state.state) not in seen["/proc/self/mountinfo"] + seen["/proc/mounts"]


def test_what_listens_on_the_host_is_not_reached(shared_state: Rundlet) -> None:
    with listening() as port:
        tried = attack(shared_state, "network/", options=("--env", f"RUNDLET_PORT={port}"))
    assert [one.word for one in tried] == ["ECONNREFUSED", "ECONNREFUSED"]


@pytest.mark.parametrize("input_too", [False, True])
def test_the_callers_terminal_is_not_typed_into(shared_state: Rundlet, input_too: bool) -> None:
    tried = on_a_terminal(shared_state, "terminals/", input_too=input_too)
    assert through(tried) == []
    words = {one.name.removeprefix("terminals/"): one.word for one in tried}
    assert words["the caller's by name"] == "ENXIO"
    assert words["standard input becomes its own"] == ("EPERM" if input_too else "ENOTTY")


def test_the_callers_keys_are_not_found(shared_state: Rundlet) -> None:
    assert through(on_a_terminal(shared_state, "keys/")) == []


def test_the_program_is_static() -> None:
    """Else it would try nothing in an image of another C library."""
    readelf = shutil.which("readelf")
    assert readelf is not None
    assert "INTERP" not in subprocess.check_output([readelf, "-lW", PROGRAM], text=True)
