"""The package store under attack, pruning, crashes and company."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from functional.commands.test_full_disk import Disk
from functional.conftest import built_image
from functional.packages.test_source_builds import offer

from support.file_leases import held
from support.images import file, hardlink
from support.layouts import with_layers
from support.leaks import Allowance
from support.pipelines import models, write
from support.rundlet import Rundlet
from support.servers.index import PackageIndex, Request
from support.terminal import at_terminal
from support.wheels import Wheel, module

IMAGE = ("--image", "python-3.11")
DAY = 86400
MAP_LOCKED = 0x2000  # linux/mman.h: pages of a mapping stay in memory
PATIENCE = "120"  # seconds, with an index that holds a file


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, small_image: Path) -> Iterator[Rundlet]:
    """A state directory of this file's own, with an image: what is pruned or damaged is nobody else's."""
    state = tmp_path_factory.mktemp("packages") / "state"
    driver = Rundlet(state)
    driver.ok("image", "import", "python-3.11", small_image, timeout=300)
    yield driver
    subprocess.run(["rm", "-rf", "--one-file-system", str(state)], check=False)


@pytest.fixture
def own(imported: Rundlet, index: PackageIndex, no_leaks: Allowance) -> Rundlet:
    """That state, without packages and runs, and with the test's own index."""
    for folder in ("packages", "lowers", "wheels", "runs", "locks", "cache/environments"):
        for entry in (imported.state / folder).glob("*"):
            subprocess.run(["rm", "-rf", str(entry)], check=True)
    return imported.with_environment(RUNDLET_INDEX=index.url)


def use(driver: Rundlet, *requirements: str) -> None:
    options = [part for requirement in requirements for part in ("--with", requirement)]
    driver.ok("exec", *IMAGE, *options, "--", "true")


def entries(driver: Rundlet, folder: str) -> set[str]:
    return {path.name for path in (driver.state / folder).iterdir()}


def verified(driver: Rundlet) -> None:
    document = driver.json("package", "verify")
    assert document["damaged"] == []
    assert document["entries"] > 0


def site(driver: Rundlet, folder: str, file: str) -> list[Path]:
    return list((driver.state / folder).glob(f"*/tree/lib/python3.11/site-packages/{file}"))


def alter(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    with open(path, "r+b") as file:
        file.write(data)
    path.chmod(0o444)


def test_an_altered_byte_is_found_and_replaced(own: Rundlet, index: PackageIndex) -> None:
    index.add(module("stable"))
    use(own, "stable", "leaf")
    verified(own)
    (package,) = site(own, "packages", "stable.py")
    alter(package)
    done = own("-o", "json", "package", "verify").check(1)
    damaged = done.json["damaged"]
    assert {(one["name"].split()[0], one["kind"], one["state"]) for one in damaged} == {
        ("stable", "packages", "damaged"),
        ("stable", "lowers", "damaged"),  # the same file, by a link
    }
    assert all("stable.py" in one["cause"] for one in damaged)
    repaired = own.json("package", "verify", "--repair")["damaged"]
    assert {one["state"] for one in repaired} == {"repaired"}
    verified(own)
    run = ("python3", "-c", "import stable; print(stable.__version__)")
    assert own.ok("exec", *IMAGE, "--with", "stable", "--with", "leaf", "--", *run).out == "1.0\n"


def test_altered_bytecode_and_downloads(own: Rundlet, index: PackageIndex) -> None:
    path = index.add(module("stable"))
    use(own, "stable")
    (bytecode,) = site(own, "lowers", "__pycache__/stable.cpython-311.pyc")
    alter(bytecode)
    (wheel,) = (own.state / "wheels").glob("*/tree/stable-*.whl")
    wheel.write_bytes(b"")
    index.forget()
    repaired = own.json("package", "verify", "--repair")["damaged"]
    assert {(one["kind"], one["state"]) for one in repaired} == {("lowers", "repaired"), ("wheels", "repaired")}
    assert index.count(path) == 1
    verified(own)


def test_a_damaged_package_that_was_built(own: Rundlet, index: PackageIndex) -> None:
    """Nobody offers it: it is removed, and built again when it is next wanted."""
    offer(index, "from-source")
    command = ("exec", *IMAGE, "--with", "from-source==1.0", "--build", "from-source")
    run = ("--", "python3", "-c", "import from_source; print(from_source.made)")
    first = own.ok(*command, *run).out
    alter(site(own, "packages", "from_source.py")[0])
    for folder in ("wheels", "cache/builds"):
        subprocess.run(["rm", "-rf", str(own.state / folder)], check=True)
        (own.state / folder).mkdir(mode=0o700)
    damaged = own.json("package", "verify", "--repair")["damaged"]
    assert {one["state"] for one in damaged} == {"removed"}
    assert own.ok(*command, *run).out != first
    verified(own)


def test_what_is_in_use_is_not_repaired(own: Rundlet, index: PackageIndex) -> None:
    index.add(module("stable"))
    with running(own, "stable"):
        alter(site(own, "packages", "stable.py")[0])
        damaged = own("-o", "json", "package", "verify", "--repair").check(1).json["damaged"]
        assert {one["state"] for one in damaged} == {"in-use"}
    own.ok("package", "verify", "--repair")
    verified(own)


@contextlib.contextmanager
def running(driver: Rundlet, requirement: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs, with this package, until its input ends."""
    command = ("exec", *IMAGE, "--with", requirement, "--", "sh", "-c", "echo up; cat")
    with driver.start(*command, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.communicate(timeout=60)
        assert process.returncode == 0


def make_old(driver: Rundlet, days: int, names: set[str]) -> None:
    """As if these had last been used so many days ago."""
    then = time.time() - days * DAY
    for folder in ("packages", "lowers", "wheels"):
        for entry in (driver.state / folder).glob("*/entry.json"):
            if any(f'"{name} ' in entry.read_text() for name in names):
                os.utime(entry, (then, then))


def removed(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["name"].split()[0], one["kind"]) for one in document["removed"]]


def test_prune_by_age(own: Rundlet, index: PackageIndex) -> None:
    for name in ("old-one", "older-one", "new-one"):
        index.add(module(name))
        use(own, name)
    make_old(own, 10, {"old-one"})
    make_old(own, 20, {"older-one"})
    would = own.json("package", "prune", "--unused-for", "5d", "--dry-run")
    assert [name for name, _ in removed(would)] == ["older-one"] * 2 + ["old-one"] * 2
    assert len(entries(own, "packages")) == 3
    did = own.json("package", "prune", "--unused-for", "5d")
    assert removed(did) == removed(would)
    assert [row["name"] for row in own.json("package", "ls")] == ["new-one"]
    assert len(entries(own, "lowers")) == 1
    verified(own)
    use(own, "old-one")  # comes back
    assert own("package", "prune").check(2).out == ""


def test_prune_by_bytes(own: Rundlet, index: PackageIndex) -> None:
    for age, name in ((3, "third"), (2, "second"), (1, "first")):
        index.add(Wheel(name, files={f"{name}.py": f"data = {os.urandom(40000).hex()!r}\n"}))
        use(own, name)
        make_old(own, age, {name})
    left = own.json("package", "prune", "--max-bytes", "350000")
    assert "third" in {name for name, _ in removed(left)}
    assert "first" not in {name for name, kind in removed(left) if kind == "packages"}
    assert left["kept_bytes"] <= 350000
    assert "first" in {row["name"] for row in own.json("package", "ls")}


def test_prune_keeps_what_runs(own: Rundlet, index: PackageIndex) -> None:
    index.add(module("in-use"))
    with running(own, "in-use"):
        make_old(own, 100, {"in-use"})
        document = own.json("package", "prune", "--unused-for", "1d")
        assert ("in-use", "packages") not in removed(document)
        assert [row["name"] for row in own.json("package", "ls")] == ["in-use"]
    make_old(own, 100, {"in-use"})
    assert ("in-use", "packages") in removed(own.json("package", "prune", "--unused-for", "1d"))


def test_prune_keeps_what_is_being_installed(own: Rundlet, index: PackageIndex) -> None:
    """Its download, its package and its bytecode, until all else that a command needs is there."""
    index.add(module("early"))
    large = f"data = {os.urandom(1 << 20).hex()!r}\n"  # on its own, and not with the other
    late = index.add(Wheel("late", files={"late.py": large}))
    pruned = threading.Event()
    index.on_request = lambda request: pruned.wait(60) if request.path == late else None
    run = ("python3", "-c", "import early, late; print('both')")
    with own.start("exec", *IMAGE, "--with", "early", "--with", "late", "--", *run) as process:
        while not site(own, "packages", "early.py") and process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        document = own.json("package", "prune", "--max-bytes", "0")
        pruned.set()
        out, err = process.communicate(timeout=60)
    assert out == b"both\n", err
    assert [name for name, _ in removed(document) if name == "early"] == []


def test_prune_keeps_what_was_there_before(own: Rundlet, index: PackageIndex) -> None:
    """The command does not need to install it, and waits for the rest."""
    index.add(module("early"))
    use(own, "early")
    late = index.add(module("late"))
    asked, pruned = threading.Event(), threading.Event()

    def wait(request: Request) -> None:
        if request.path == late:
            asked.set()
            pruned.wait(60)

    index.on_request = wait
    run = ("python3", "-c", "import early, late; print('both')")
    with own.start("exec", *IMAGE, "--with", "early", "--with", "late", "--", *run) as process:
        assert asked.wait(60)
        document = own.json("package", "prune", "--max-bytes", "0")
        pruned.set()
        out, err = process.communicate(timeout=60)
    assert out == b"both\n", err
    assert [name for name, _ in removed(document) if name == "early"] == []


def test_prune_keeps_what_a_run_needs_that_has_begun_since(
    own: Rundlet, index: PackageIndex, project: Path, tmp_path: Path
) -> None:
    index.add(module("early"))
    index.add(module("unused"))
    use(own, "early")
    use(own, "unused")
    make_old(own, 100, {"early", "unused"})
    pipeline = models("numbers():\n    import early, pyarrow\n\n    return pyarrow.table({'n': [1]})")
    write(project, pipeline.replace('"3.11"', '"3.11", pip=["early"]'))
    own.ok("image", "tag", "python-3.11", "small")
    plain = tmp_path / "plain"
    plain.mkdir()
    # What else a run needs is installed before: the kernel ends a lease by itself in the end.
    own.ok("run", write(plain, models("numbers():\n    import pyarrow\n\n    return pyarrow.table({'n': [1]})")))
    earlier = own.state / "runs/20260101-000000-0000"
    earlier.mkdir(parents=True)
    run = {"version": 1, "id": earlier.name, "project": "p", "path": "/p", "started_at": 0, "seconds": 0.0}
    run |= {"state": "succeeded", "id_base": 0, "id_count": 0, "steps": []}
    (earlier / "run.json").write_text(json.dumps(run))
    (earlier / "packages.json").write_text(json.dumps({"version": 1, "steps": []}))
    with contextlib.ExitStack() as until:
        # What the runs of the history need is read, and it is late for another one.
        wait = until.enter_context(held(earlier / "packages.json"))
        with own.start("-o", "json", "package", "prune", "--max-bytes", "0") as process:
            wait()
            own.ok("run", project)
            until.close()
            out, err = process.communicate(timeout=60)
    gone = removed(json.loads(out))
    assert ("unused", "packages") in gone, err
    assert ("early", "packages") not in gone


def offer_many(index: PackageIndex, name: str, parts: int) -> None:
    """A package that requires that many others."""
    wanted = [f"{name}-{number}" for number in range(parts)]
    for part in wanted:
        index.add(module(part))
    index.add(Wheel(name, files={f"{name}.py": ""}, requires=wanted))


def test_a_later_start_keeps_what_it_uses(own: Rundlet, index: PackageIndex) -> None:
    """It has one lease for all its packages: pruning anything else meanwhile must not end that."""
    for name in ("in-use", "other"):
        index.add(module(name))
        use(own, name)
    with running(own, "in-use") as process:
        make_old(own, 100, {"in-use", "other"})
        for _ in range(2):
            document = own.json("package", "prune", "--unused-for", "1d")
            assert ("in-use", "packages") not in removed(document)
            assert [row["name"] for row in own.json("package", "ls")] == ["in-use"]
            own.ok("gc")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        process.returncode = 0
    assert ("in-use", "packages") in removed(own.json("package", "prune", "--unused-for", "1d"))
    use(own, "in-use")
    verified(own)


def test_a_later_start_finds_what_is_damaged_or_missing(own: Rundlet, index: PackageIndex) -> None:
    offer_many(index, "many", 3)
    run = ("exec", *IMAGE, "--with", "many", "--", "python3", "-c", "import many_0, many_1, many_2; print('all')")
    own.ok(*run)
    own.ok(*run)
    for folder in ("lowers", "packages"):
        for damage in ("tree", "entry.json", "record", ""):
            entry = next((own.state / folder).glob("*/tree/lib/python3.11/site-packages/many_1.py")).parents[4]
            if damage == "record":
                (entry / "entry.json").write_text("{}")
            else:
                subprocess.run(["rm", "-rf", str(entry / damage)], check=True)
            assert own.ok(*run).out == "all\n"
            assert (entry / "entry.json").stat().st_size > 2, damage
            verified(own)


def open_below(folder: Path, pid: int) -> list[str]:
    """What a process has open there; it may just be closing what it needed to start another one."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(descriptor))
    return [link for link in links if link.startswith(f"{folder}/")]


def test_a_later_start_costs_little_a_package(own: Rundlet, index: PackageIndex) -> None:
    """No read, no lease and no open file for each of them."""
    few, many = 2, 60
    costs = {}
    for size in (few, many):
        name = f"warm-{size}"
        offer_many(index, name, size)
        use(own, name)
        use(own, name)
        with running(own, name) as process:
            reads = Path(f"/proc/{process.pid}/io").read_text().split("syscr: ")[1].split()[0]
            costs[size] = int(reads), len(open_below(own.state, process.pid))
    assert costs[many][1] == costs[few][1] > 0
    # The lock and the list of entries are longer.
    assert costs[many][0] - costs[few][0] < (many - few) / 4


def due(driver: Rundlet, days: float = 2) -> None:
    """As if that long ago something had been pruned last."""
    os.utime(driver.state / "cache/pruned", (time.time() - days * DAY,) * 2)


def test_the_unused_goes_by_itself(own: Rundlet, index: PackageIndex) -> None:
    """Once a day, at the end of a command: what is old, but for what runs; not where it could not be had again."""
    for name in ("forgotten", "at-work", "recent"):
        index.add(module(name))
        use(own, name)
    with running(own, "at-work"):
        make_old(own, 100, {"forgotten", "at-work"})
        (lock,) = (path for path in own.state.glob("locks/*.json") if "forgotten" in path.read_text())
        os.utime(lock, (time.time() - 100 * DAY,) * 2)
        for settings, days in (
            ({}, 0.5),
            ({}, -5),  # a clock that was set back
            ({"RUNDLET_OFFLINE": "1"}, 2),
            ({"RUNDLET_PRUNE_AFTER": "0"}, 2),
            ({"RUNDLET_PRUNE_AFTER": "200"}, 2),
        ):
            due(own, days)
            use(own.with_environment(**settings), "recent")
            assert len(entries(own, "packages")) == 3
        due(own)
        told = own.ok("exec", *IMAGE, "--with", "recent", "--", "true").err
        assert "3 packages and downloads, 1 locks and caches removed" in told  # one of them the wheel of what runs
        assert {row["name"] for row in own.json("package", "ls")} == {"at-work", "recent"}
        assert not lock.exists()
    make_old(own, 100, {"at-work"})
    assert "removed" not in own.ok("exec", *IMAGE, "--with", "recent", "--", "true").err  # not twice a day
    assert len(entries(own, "packages")) == 2
    verified(own)
    use(own, "forgotten")  # comes back


def test_what_is_too_much_goes_by_itself(own: Rundlet, index: PackageIndex, project: Path) -> None:
    """Packages and caches have sizes of their own; a run of the history keeps its packages."""
    write(project)
    own.ok("run", project, "--param", "limit=3")
    use(own, "leaf")
    kept = {row["name"] for row in own.json("package", "ls")} - {"leaf", "sqlglot"}  # the reader's is no run's
    due(own)
    use(own.with_environment(RUNDLET_PRUNE_AFTER="0", RUNDLET_PRUNE_PACKAGES="0"), "leaf")
    assert {row["name"] for row in own.json("package", "ls")} == kept
    assert entries(own, "wheels") == set()
    assert entries(own, "locks") != set()
    # Locks and caches have another size, and stay for an hour: somebody may be at them.
    small = own.with_environment(RUNDLET_PRUNE_AFTER="0", RUNDLET_PRUNE_CACHES="0")
    for path in [*own.state.glob("locks/*"), *own.state.glob("cache/*/*")]:
        os.utime(path, (time.time() - DAY,) * 2)
    due(own)
    use(small, "leaf")
    (lock,) = own.state.glob("locks/*")
    assert "leaf" in lock.read_text()
    assert entries(own, "cache/uv") == entries(own, "cache/reader") == set()
    own.ok("run", project, "--param", "limit=4")


def test_gc_takes_locks_and_caches_by_size(own: Rundlet, index: PackageIndex) -> None:
    """The least recently used first, until no more is left than is allowed."""
    for name in ("leaf", "tiny"):
        use(own, name)
    reusable = [path for folder in ("locks", "cache/*") for path in own.state.glob(f"{folder}/*")]
    reusable = [path for path in reusable if path.parent.name in {"locks", "uv", "builds", "reader", "toml"}]
    locks = [path for path in reusable if path.parent.name == "locks"]
    assert len(locks) == 2
    assert any(path.parent.name == "uv" for path in reusable)
    now = time.time()
    for path in reusable:
        age = 1 + locks.index(path) if path in locks else 3
        os.utime(path, (now - age * DAY,) * 2)

    def removed(size: int, *options: str) -> set[Path]:
        items = own.json("gc", "--max-bytes", str(size), *options)
        return {own.state / one["path"] for one in items if one["name"].startswith("(unused")}

    newest, older = (path.stat().st_size for path in locks)
    assert removed(1 << 40) == set()
    assert removed(newest + older, "--dry-run") == set(reusable) - set(locks)
    assert removed(newest + older - 1) == set(reusable) - {locks[0]}
    assert [path for path in reusable if path.exists()] == [locks[0]]
    # What only the lock owned went with it.
    assert len(entries(own, "packages")) == 1
    use(own, "leaf", "tiny")


def test_why_and_what_a_run_needs(own: Rundlet, index: PackageIndex, project: Path) -> None:
    (project / "rundlet.toml").write_text('[project]\nname = "reasons"\n[images]\n"3.11" = "python-3.11"\n')
    (project / "pipeline.py").write_text(
        "import rundlet\n\n\n@rundlet.model()\n"
        '@rundlet.python("3.11", pip=["tiny==1.0", "pyarrow==22.0.0"])\n'
        "def only():\n    import pyarrow\n\n    return pyarrow.table({'n': [1]})\n"
    )
    run = own.json("run", project)["run"]
    use(own, "leaf")
    (why,) = own.json("package", "why", "Tiny")
    assert why == {"pipeline": "reasons", "step": "only", "version": "1.0", "runs": 1, "last_run": run}
    assert "only" in own.ok("package", "why", "tiny").out
    assert own.json("package", "why", "leaf") == []
    assert "not installed" in own("package", "why", "absent").check(2).err
    make_old(own, 100, {"tiny", "leaf"})
    document = own.json("package", "prune", "--unused-for", "50d")
    assert set(removed(document)) == {("tiny", "wheels"), ("leaf", "wheels"), ("leaf", "packages")}
    assert document["needed"] == 1


def test_two_processes_install_once(own: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    path = index.add(module("contended", content="x = 1\n" * 20000))
    use(own, "leaf")  # uv is there
    one_waits = threading.Event()
    index.fault(path, hold=one_waits)
    patient = own.with_environment(RUNDLET_NETWORK_TIMEOUT=PATIENCE)
    command = ("exec", *IMAGE, "--with", "contended", "--", "python3", "-c", "import contended")
    logs = [tmp_path / "first", tmp_path / "second"]

    def said() -> list[bytes]:
        return [log.read_bytes() for log in logs]

    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(log.open("wb")) for log in logs]
        processes = [stack.enter_context(patient.start(*command, stderr=file)) for file in files]
        # One waits, or both do: the wheel is made by one, what is made of it by the other.
        while not any(b"another run is at it" in text for text in said()):
            assert [process.poll() for process in processes] == [None, None], said()
            time.sleep(0.01)
        one_waits.set()
        for process in processes:
            process.communicate(timeout=90)
        assert [process.returncode for process in processes] == [0, 0], said()
    assert index.count(path) == 1
    assert len([row for row in own.json("package", "ls") if row["name"] == "contended"]) == 1
    verified(own)


def test_who_waits_sees_the_others_progress(own: Rundlet, index: PackageIndex) -> None:
    path = index.add(Wheel("gradual", files={"gradual.py": f"data = {os.urandom(40000).hex()!r}\n"}))
    use(own, "leaf")  # uv is there
    progress_seen = threading.Event()
    index.fault(path, hold=progress_seen)
    patient = own.with_environment(RUNDLET_NETWORK_TIMEOUT=PATIENCE)
    command = ("exec", *IMAGE, "--with", "gradual", "--", "true")
    with patient.start(*command) as first:
        while not index.count(path) and first.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                first.wait(0.001)
        with at_terminal(patient, *command) as second:
            second.until("waiting: another run is at it")
            second.until(r"fetch gradual 1\.0 .*KiB of .*KiB")
            progress_seen.set()
            assert second.end(60) == 0
        first.communicate(timeout=60)
        assert first.returncode == 0
    assert index.count(path) == 1


def appeared(driver: Rundlet, folder: str, before: set[str]) -> Callable[[], bool]:
    return lambda: bool(entries(driver, folder) - before)


def staged(driver: Rundlet, pattern: str) -> Callable[[], bool]:
    return lambda: any((driver.state / "staging").glob(pattern))


STAGES = ("resolving", "downloading", "wheel", "unpacking", "package", "compiling", "lower")


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_each_stage(own: Rundlet, index: PackageIndex, no_leaks: Allowance, stage: str) -> None:
    modules = {f"victim/m{number}.py": f"x = {number}\n" * 50 for number in range(400)}
    path = index.add(Wheel("victim", files={"victim/__init__.py": "x = 1\n", **modules}))
    use(own, "leaf")
    seen = {folder: entries(own, folder) for folder in ("wheels", "packages", "lowers")}
    reached: dict[str, Callable[[], bool]] = {
        "resolving": lambda: bool(index.count("/simple/victim/")),
        "downloading": lambda: bool(index.count(path)),
        "wheel": appeared(own, "wheels", seen["wheels"]),
        "unpacking": staged(own, "*/tree/lib/python3.11/site-packages/victim"),
        "package": appeared(own, "packages", seen["packages"]),
        "compiling": staged(own, "*/tree/lib/python3.11/site-packages/victim/__pycache__"),
        "lower": appeared(own, "lowers", seen["lowers"]),
    }
    if stage == "resolving":
        index.fault("/simple/victim/", stall=60, times=1)
    if stage == "downloading":
        index.fault(path, rate=1000, times=1)
    with own.start("exec", *IMAGE, "--with", "victim", "--", "true") as process:
        while not reached[stage]() and process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.001)
        process.kill()
        process.communicate(timeout=30)
    own.sweep_groups(*IMAGE)
    index.fault("/simple/victim/")
    index.fault(path)
    # What is there is whole, and the rest is made as if nothing had happened.
    verified(own)
    run = ("python3", "-c", "import victim.m399; print(victim.m399.x)")
    assert own.ok("exec", *IMAGE, "--with", "victim", "--", *run).out == "399\n"
    verified(own)
    assert not list((own.state / "staging").glob("[0-9a-f]*"))


@pytest.fixture
def small_disk(tmp_path: Path, no_leaks: Allowance) -> Iterator[Disk]:
    made = Disk(tmp_path, 700 << 20)
    yield made
    made.close()


def change_below_the_cache(disk: Disk, path: Path, marker: bytes) -> mmap.mmap:
    """The disk holds something else, which readers do not see while the result holds the file in memory."""
    with open(path, "rb") as cached:
        pages = mmap.mmap(cached.fileno(), 0, flags=mmap.MAP_SHARED | MAP_LOCKED, prot=mmap.PROT_READ)
    os.sync()
    with open(disk.file, "r+b") as file, mmap.mmap(file.fileno(), 0) as blocks:
        at = blocks.find(marker)
        assert at >= 0
        while at >= 0:
            blocks[at : at + 5] = b"VALUE"
            at = blocks.find(marker, at)
    assert path.read_bytes() == marker
    return pages


def test_memory_that_is_not_what_the_disk_holds(small_disk: Disk, index: PackageIndex) -> None:
    """As after a write to cached pages; here it is the disk that changes, behind the back of the cache."""
    marker = b"value = 'found on the disk by this text'\n"
    index.add(module("stable", content=marker.decode()))
    driver = Rundlet(small_disk.root / "state", environment={"RUNDLET_INDEX": index.url})
    driver.ok("image", "import", "python-3.11", built_image("python-3.11"), timeout=300)
    use(driver, "stable")
    assert driver.json("package", "verify", "--disk")["damaged"] == []
    with change_below_the_cache(small_disk, *site(driver, "packages", "stable.py"), marker):
        verified(driver)  # every byte that a program would read is what was installed
        found = driver("-o", "json", "package", "verify", "--disk").check(1).json["damaged"]
    assert {one["kind"] for one in found} == {"packages", "lowers"}
    assert all("stable.py` in memory is not what the disk holds" in one["cause"] for one in found)


def test_a_damaged_file_whose_name_is_no_text(small_disk: Disk, image_311: Path, tmp_path: Path) -> None:
    marker = b"found on the disk by this text\n"
    layout = with_layers(image_311, tmp_path / "layout", {os.fsdecode(b"opt/\xff"): file(marker)})
    driver = Rundlet(small_disk.root / "state")
    driver.ok("image", "import", "odd", layout)
    (odd,) = driver.state.glob("layers/*/tree/opt/*")
    with change_below_the_cache(small_disk, odd, marker):
        (found,) = driver("-o", "json", "package", "verify", "--disk").check(1).json["damaged"]
    assert "opt/\ufffd` in memory is not what the disk holds" in found["cause"]


def test_layers_are_compared_with_the_disk_too(own: Rundlet) -> None:
    use(own, "leaf")
    without = own.json("package", "verify")
    compared = own.json("package", "verify", "--disk")
    assert compared["damaged"] == []
    layers = len(entries(own, "layers"))
    assert layers > 0
    assert compared["entries"] == without["entries"] + layers


def test_many_names_of_one_file_are_compared_once(own: Rundlet, image_311: Path, tmp_path: Path) -> None:
    """128 MiB that take no room, under 2,000 names: read once for each, it would take minutes."""
    names = {f"opt/{n}": hardlink("opt/large") for n in range(2000)}
    layout = with_layers(image_311, tmp_path / "layout", {"opt/large": file(b""), **names})
    own.ok("image", "import", "linked", layout)
    (large,) = own.state.glob("layers/*/tree/opt/large")
    os.truncate(large, 128 << 20)
    assert own.json("package", "verify", "--disk", timeout=120)["damaged"] == []
    own.ok("image", "rm", "linked")
