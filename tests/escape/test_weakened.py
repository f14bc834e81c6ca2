"""The walls taken away: an attack gets through when all that hold it back are gone, and not before.

rundlet-launcher-weak (runtime/child/defences.h) leaves out what the file beside it names. A test that could not fail
would not notice that an attack stopped attacking.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from escape.attacker_program import PROGRAM, arguments, hashes, on_a_terminal, parse
from escape.attacker_program import listening as listening_on_the_host
from escape.weakened_programs import Installation
from functional.commands.test_exec import read_line
from functional.conftest import import_image

from support.images import directory, file
from support.layouts import with_layers
from support.rundlet import Rundlet, build_directory, program

WEAK = build_directory() / "tests/escape/weakened/rundlet-launcher-weak"
DEFENCES = [
    "filter",
    "no new privileges",
    "nosuid",
    "capabilities",
    "landlock",
    "read-only",
    "read-only proc",
    "masks",
    "network",
    "processes",
    "session",
    "keyring",
    "ids",
    "descriptors",
    "in root",
    "bare root",
    "directory",
    "init",
    "lifeline",
    "limits",
]
# tests/escape/test_swaps.py takes these away.
WALLS_OF_MOUNT_POINTS = ("in root", "bare root", "ids")
WALLS_OF_THE_DIRECTORY = ("descriptors", "directory")
LANDLOCK_CREATE_RULESET = 444


def landlock_version() -> int:
    """Of this kernel; from 6 on it knows of sockets and signals."""
    return ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)


@dataclass(frozen=True)
class Case:
    attack: str
    walls: tuple[str, ...]  # each of them holds alone
    word: str = "DONE"  # what the attack says without any
    shared: str = ""  # what shared/... is about: a file inside

    def __str__(self) -> str:
        return f"{self.attack} {self.shared}".strip()


CASES = [
    Case("namespaces/user by unshare", ("filter",)),
    Case("namespaces/user by clone3", ("filter",)),
    Case("namespaces/uts by unshare", ("filter", "capabilities")),
    Case("calls/101 ptrace", ("filter",)),
    Case("calls/425 io_uring_setup", ("filter",)),
    Case("i386/199", ("filter",)),
    Case("sockets/netlink 15", ("filter",)),
    Case("terminals/TIOCSTI above 0", ("filter",)),
    Case("keys/add to the session keyring", ("filter",)),
    Case("keys/the caller's", ("keyring", "filter")),
    Case("privileges/a setuid program", ("no new privileges", "nosuid"), "root"),
    Case("privileges/become root", ("capabilities",)),
    Case("privileges/mount", ("capabilities", "filter", "landlock")),
    Case("shared/write", ("read-only", "landlock"), shared="/work/canary"),
    Case("shared/write", ("read-only", "landlock", "ids", "capabilities"), shared="/work/owned"),
    Case("shared/read", ("ids",), shared="/work/private"),
    Case("proc/write /proc/self/oom_score_adj", ("read-only proc", "landlock")),
    Case("proc/read /proc/cmdline", ("masks",)),
    Case("network/the host's loopback", ("network",)),
    Case("network/an abstract socket of the host", ("network", "landlock")),
    Case("processes/signal another sandbox", ("processes", "landlock")),
    Case("processes/find others", ("processes",), "seen"),
    Case("terminals/the caller's by name", ("session",)),
    Case("terminals/into the caller's", ("session", "filter")),
    Case("descriptors/left open", ("descriptors",), "open"),
    Case("descriptors/of init", ("init", "capabilities"), "read"),
    Case("root/uncover what is below", ("filter", "capabilities", "landlock"), "bare"),
    Case("root/uncover what is below", ("filter", "capabilities", "landlock", "bare root"), "the launcher's"),
    # Init runs the launcher's program: then only that it runs keeps a step from writing to it.
    Case("proc/write /proc/1/exe", ("init", "capabilities", "ids"), "ETXTBSY"),
    Case("proc/write /proc/1/mem", ("init", "capabilities", "read-only proc", "landlock")),
]


class Weakened:
    """An installation of its own whose launcher is the weak one, with a state of its own to damage."""

    def __init__(self, folder: Path) -> None:
        made = Installation(folder)
        shutil.copy2(WEAK, made.launcher)
        self.list = made.launcher.with_name("rundlet-launcher.weak")
        self.sound = Rundlet(made.state)
        self.weak = made.driver

    def without(self, *walls: str) -> Rundlet:
        self.list.write_text("".join(f"without {wall}\n" for wall in walls))
        return self.weak


@pytest.fixture(scope="module")
def weakened(tmp_path_factory: pytest.TempPathFactory, image_311: Path) -> Iterator[Weakened]:
    folder = tmp_path_factory.mktemp("weakened")
    made = Weakened(folder)
    layer = {"attack": directory(), "attack/setuid": file(PROGRAM.read_bytes(), 0o755)}
    import_image(made.sound, "python-3.11")
    made.sound.ok("image", "import", "setuid", with_layers(image_311, folder / "layout", layer))
    # Unpacking strips the bit, which is a wall of its own (tests/functional): set here, behind its back.
    (found,) = made.sound.state.glob("layers/*/tree/attack/setuid")
    found.chmod(0o4755)
    yield made
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


@pytest.fixture(scope="module")
def victim(weakened: Weakened) -> Iterator[int]:
    """A process of another sandbox, as the host numbers it."""
    with weakened.sound.start(
        "exec", "--image", "python-3.11", "--", "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE
    ) as engine:
        assert read_line(engine) == "ready\n"
        (init,) = children(engine.pid, "rundlet-launch")
        yield children(init, "sh")[0]
        assert engine.stdin is not None
        engine.stdin.close()
        assert engine.wait(30) == 0


def children(pid: int, name: str) -> list[int]:
    """Those of the name whose parent is the process; the launcher is one as well, but it is root's."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        process = Path(f"/proc/{child}")
        if (process / "comm").read_text() == f"{name}\n" and "\nUid:\t0\t" not in (process / "status").read_text():
            found.append(int(child))
    return found


def tries(weakened: Weakened, victim: int, case: Case, place: Path, *without: str) -> str:
    """The word of the attack, in a step that could reach all there is to reach."""
    with listening_on_the_host() as port:
        variables = {"RUNDLET_PORT": str(port), "RUNDLET_VICTIM": str(victim), "RUNDLET_SHARED": case.shared}
        options: tuple[object, ...] = ("--image", "setuid", "--mount", f"{place}:/work")
        for name, value in variables.items():
            options += ("--env", f"{name}={value}")
        tried = on_a_terminal(weakened.without(*without), case.attack, options=options)
    (word,) = [one.word for one in tried if one.name == case.attack]
    return word


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Handed to the step read-only: what anybody may write, what only root, and what only user 1000 may read."""
    folder = tmp_path / "place"
    folder.mkdir(mode=0o755)
    for name, mode, owner in (("canary", 0o666, 0), ("owned", 0o644, 0), ("private", 0o600, 1000)):
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
        os.chown(folder / name, owner, owner)
    return folder


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_attack_gets_through_without_its_walls(weakened: Weakened, victim: int, case: Case, place: Path) -> None:
    before = hashes(place)
    scoped = case.attack.startswith(("network/", "processes/"))
    there = landlock_version() >= (6 if scoped else 2)
    for wall in case.walls:
        others = [other for other in case.walls if other != wall]
        if wall == "landlock" and not there:
            continue
        assert tries(weakened, victim, case, place, *others) != case.word, f"`{wall}` does not hold alone"
        assert hashes(place) == before
    word = tries(weakened, victim, case, place, *case.walls)
    # EIO: kernels whose administrator has turned this request off for everybody.
    assert word == case.word or (word == "EIO" and "TIOCSTI" in case.attack), word
    assert (hashes(place) != before) == (case.attack == "shared/write")


def test_another_root_is_no_way_out(weakened: Weakened) -> None:
    """Without walls a step may chroot and enter its namespace: both end at its root, which is the namespace's."""
    driver = weakened.without("filter", "capabilities", "landlock")
    tried = parse(driver(*arguments("root/chroot", "root/by", "root/enter", "root/of", "root/pivot")).out)
    words = {one.name.removeprefix("root/"): one.word for one in tried}
    assert (words.pop("by a handle"), words.pop("pivot")) == ("EPERM", "EBUSY")
    assert len(words) == 8
    assert set(words.values()) == {"inside"}


@pytest.mark.parametrize("left", [*WALLS_OF_THE_DIRECTORY, None])
def test_a_step_starts_outside_without_its_walls(weakened: Weakened, left: str | None) -> None:
    """`--cwd` through whatever is open while the sandbox is made."""
    driver = weakened.without(*(wall for wall in WALLS_OF_THE_DIRECTORY if wall != left))
    name = "descriptors/the working directory"
    words = set()
    for number in range(3, 65):
        done = driver(*arguments(name, options=("--cwd", f"/proc/self/fd/{number}")))
        words |= {one.word for one in parse(done.out)} if done.code != 125 else set()
    assert ("outside" in words) == (left is None), words


# What is more than the limit, and no harm to a host.
GREEDY = {
    "--memory 64MiB": "x = bytearray(96 << 20); print('got it')",
    "--pids 20": "import os, time; all([os.fork() or time.sleep(60) for _ in range(40)]); print('got it')",
    "--disk 2MiB": "open('/tmp/x', 'wb').write(bytes(8 << 20)); print('got it')",
}


@pytest.mark.parametrize("limit", GREEDY)
def test_a_step_takes_more_without_its_limits(weakened: Weakened, limit: str) -> None:
    command = ("exec", "--image", "python-3.11", *limit.split(), "--", "python3", "-c", GREEDY[limit])
    assert weakened.without()(*command).out == ""
    assert weakened.without("limits").ok(*command).out == "got it\n"


# A daemon by the book, known by its last argument. The first process ends when the others have come to rest.
DAEMON = """
import os, time
done, resting = os.pipe()
if os.fork():
    os.close(resting)
    os.read(done, 1)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.close(resting)
time.sleep(600)
"""


def named(word: str) -> list[int]:
    """Processes of the host whose last argument is the word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().endswith(f"\0{word}\0".encode()):
                found.append(int(path.parent.name))
    return found


def test_a_daemon_outlives_its_sandbox_without_its_walls(weakened: Weakened) -> None:
    word = f"a-daemon-of-{os.getpid()}"
    quiet = f'exec python3 -c "$0" {word} </dev/null >/dev/null 2>&1'
    command = ("exec", "--image", "python-3.11", "--", "sh", "-c", quiet, DAEMON)
    weakened.without().ok(*command)
    assert named(word) == []
    weakened.without("processes").ok(*command)
    (left,) = named(word)
    os.kill(left, signal.SIGKILL)
    weakened.sound.sweep_groups("--image", "python-3.11")


def test_a_sandbox_outlives_its_engine_without_its_walls(weakened: Weakened) -> None:
    for without in ([], ["lifeline"]):
        driver = weakened.without(*without)
        command = ("exec", "--image", "python-3.11", "--", "sh", "-c", "echo ready; cat")
        with driver.start(*command, stdin=subprocess.PIPE) as engine:
            assert engine.stdin is not None
            assert engine.stdout is not None
            assert engine.stdout.readline() == b"ready\n"
            engine.kill()
            engine.wait(30)
            if without:
                engine.stdin.write(b"still there\n")
                engine.stdin.flush()
                assert engine.stdout.readline() == b"still there\n"
                engine.stdin.close()
            assert engine.stdout.read() == b""  # its end
        weakened.sound.sweep_groups("--image", "python-3.11")


def test_every_defence_has_an_attack() -> None:
    walls = {wall for case in CASES for wall in case.walls}
    assert walls | {*WALLS_OF_MOUNT_POINTS, *WALLS_OF_THE_DIRECTORY, "lifeline", "limits"} == set(DEFENCES)


def test_the_weak_launcher_names_these_defences(weakened: Weakened) -> None:
    weakened.without(*DEFENCES).ok("exec", "--image", "python-3.11", "--", "true")
    weakened.list.write_text("without anything\n")
    done = weakened.weak("exec", "--image", "python-3.11", "--", "true").check(125)
    assert "leaving out `anything`" in done.err


def test_what_is_installed_cannot_be_weakened() -> None:
    """The hooks are in the tests' launcher, and in nothing else; and that is not installed."""
    marks = [b".weak", b"leaving out `", b"stop at "]
    assert all(mark in WEAK.read_bytes() for mark in marks)
    for name in ("rundlet", "rundlet-launcher", "rundlet-worker", "rundlet-fetcher"):
        assert not any(mark in program(name).read_bytes() for mark in marks), name
    installed = json.loads((build_directory() / "meson-info/intro-installed.json").read_text())
    assert any(path.endswith("/rundlet-launcher") for path in installed)
    assert not any("weak" in path.rpartition("/")[2] for path in installed)
