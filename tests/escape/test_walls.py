"""The walls of the engine and of its workers taken away: an attack gets through without them, and not before.

rundlet-weak, rundlet-worker-weak and rundlet-fetcher-weak (src/base/walls.h) leave out what is written into a copy of
them. Each attack runs with all of its walls gone, when it has to get through, and with all but one, when it must not.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from escape.test_archive_bombs import layout_of, packed_gzip
from escape.test_forged_results import STEP as FORGED
from escape.test_forged_results import success
from escape.test_left_behind import FLOOD
from escape.test_left_behind import step as printing
from escape.test_parser_bombs import PAGE
from escape.weakened_programs import FOLDER, MARK, Attack, Weak
from functional.commands.test_network import HOST, HOSTS, Served
from functional.conftest import ROOT, import_image
from functional.images.test_doctored_image import DROP, doctored, file_of
from functional.packages.test_credentials import CREDENTIALS, SPY, netrc, use
from functional.packages.test_credentials import HOST as CLOSED
from functional.packages.test_git_requirements import HOST as GIT
from functional.packages.test_git_requirements import OTHER as OTHER_GIT
from functional.packages.test_package_mirror import run as ask_mirror
from functional.packages.test_source_builds import own_build

from support.archives import END, header
from support.images import directory, file
from support.layouts import with_layers
from support.pipelines import write
from support.rundlet import Rundlet, build_directory, program
from support.servers.certificates import make_certificates
from support.servers.git_server import GitServer, Repository
from support.servers.hosts import with_hosts
from support.servers.index import PackageIndex
from support.wheels import Wheel, module

IMAGE = ("--image", "python-3.11")
MIB = 1 << 20
SANITIZED = 99  # the exit code of a program that died with sanitizers in it (scripts/test)

numbers = itertools.count()


def test_every_wall_is_taken_away_somewhere() -> None:
    names = re.findall(r'return "([^"]+)"', (ROOT / "tests/escape/weakened/walls.cc").read_text())
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_walls*.py"))
    assert len(names) > 15
    assert [name for name in names if f'"{name}"' not in here] == []


def test_what_is_installed_has_all_walls() -> None:
    """The hooks are in the tests' programs, and in nothing else; and those are not installed."""
    marks = [MARK, b"inner addresses\0", b"foreign memory\0"]
    weak_programs = ("rundlet-weak", "rundlet-worker-weak", "rundlet-fetcher-weak")
    for name in weak_programs:
        assert all(mark in (FOLDER / name).read_bytes() for mark in marks), name
    for name in ("rundlet", "rundlet-launcher", "rundlet-worker", "rundlet-fetcher"):
        assert not any(mark in program(name).read_bytes() for mark in marks), name
        symbols = subprocess.run(["nm", "-C", program(name)], capture_output=True, text=True, check=True).stdout
        assert "base::Holds" not in symbols
    installed = json.loads((build_directory() / "meson-info/intro-installed.json").read_text())
    assert not any(Path(path).name in weak_programs for path in installed)


# What a step writes for its result.
FORGED_RESULTS = {
    "as long as one wants": (
        "open('result.json', 'w').write(' ' * (1 << 20) + '{\"ok\": true}')",
        0,
        ("result's size",),
    ),
    "a wide cell": (success("[['x' * 500_000]]"), 0, ("preview",)),
    # Writing it down again takes more stack than there is.
    "deep": (
        "open('result.json', 'w').write('{\"ok\": true, \"preview\": ' + '[' * 500_000 + ']' * 500_000 + '}')",
        -signal.SIGSEGV,
        ("result's depth", "preview"),
    ),
    "a file of the host's": ("os.symlink('CANARY', 'result.json')", 0, ("result's file",)),
    "32 MiB beside it": (
        "open('x', 'wb').write(bytes(32 << 20)); os.unlink('x')\n    open('result.json', 'w').write('{\"ok\": true}')",
        0,
        ("output directory",),
    ),
}


@pytest.mark.parametrize("name", FORGED_RESULTS)
def test_forged_results(weak: Weak, shared_state: Rundlet, project: Path, tmp_path: Path, name: str) -> None:
    body, code, walls = FORGED_RESULTS[name]
    canary = tmp_path / "canary"
    canary.write_text('{"ok": true, "rows": 424242, "columns": [], "preview": []}')
    write(project, FORGED.format(body=body.replace("CANARY", str(canary))))

    def tried(driver: Rundlet) -> bool:
        done = driver("run", "--no-cache", project)
        through = done.code == code or (code < 0 and done.code == SANITIZED)
        assert through or done.code == 1, str(done)
        if "CANARY" in body and through:
            assert "424,242" in done.out
        return through

    Attack(weak, shared_state, tried).is_held_by(*walls)
    if code < 0:
        shared_state.sweep_groups(*IMAGE)


def test_a_log_without_end(weak: Weak, shared_state: Rundlet, project: Path) -> None:
    printing(project, FLOOD, "none")

    def tried(driver: Rundlet) -> bool:
        driver("run", "--no-cache", project).check(0)
        log = max(driver.state.glob("runs/*/logs/hostile.log"), key=lambda path: path.stat().st_mtime_ns)
        return log.stat().st_size > 65 * MIB

    Attack(weak, shared_state, tried).is_held_by("log")


def test_the_hosts_variables(weak: Weak, shared_state: Rundlet) -> None:
    def tried(driver: Rundlet) -> bool:
        told = driver.with_environment(A_SECRET="of the host").ok("exec", *IMAGE, "--", "env").out
        return "A_SECRET=of the host\n" in told

    Attack(weak, shared_state, tried).is_held_by("variables")


# A directory of the host leads to its parents.
CLIMB = "cd -P /proc/self/fd/{fd}; cd -P ..; cat outside"


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_stream_that_leads_out(weak: Weak, shared_state: Rundlet, tmp_path: Path, stream: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "outside").write_text("outside\n")
    tmp_path.chmod(0o711)
    number = ("stdin", "stdout", "stderr").index(stream)
    told = "stderr" if stream == "stdout" else "stdout"
    script = f"exec 3>&{2 if stream == 'stdout' else 1}; " + CLIMB.format(fd=number) + " >&3"

    def tried(driver: Rundlet) -> bool:
        folder = os.open(tmp_path / "folder", os.O_RDONLY | os.O_DIRECTORY)
        try:
            streams = {"stdin": subprocess.DEVNULL, told: subprocess.PIPE, stream: folder}
            command = driver.command("exec", *IMAGE, "--", "sh", "-c", script)
            done = subprocess.run(command, **streams, env=driver.environment, text=True, timeout=60, check=False)
        finally:
            os.close(folder)
        return "outside\n" in (done.stdout or "") + (done.stderr or "")

    Attack(weak, shared_state, tried).is_held_by("streams")


def test_a_source_behind_a_link(weak: Weak, shared_state: Rundlet, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/marker").write_text("outside\n")
    (tmp_path / "link").symlink_to("outside")

    def tried(driver: Rundlet) -> bool:
        mount = ("--mount", f"{tmp_path}/link:/work")
        return driver("exec", *IMAGE, *mount, "--", "cat", "/work/marker").out == "outside\n"

    Attack(weak, shared_state, tried).is_held_by("no links")


# What python3 of an image does first, and what its user allows it.
GREEDY = {
    "foreign memory": ("head -c 2300000000 /dev/zero | tail -c 2200000000 >/dev/null || exit 1", {}),
    "foreign time": ("sleep 6", {"RUNDLET_PYTHON_TIMEOUT": "3"}),
}


@pytest.mark.parametrize("wall", GREEDY)
def test_a_greedy_interpreter(weak: Weak, shared_state: Rundlet, image_311: Path, tmp_path: Path, wall: str) -> None:
    first, settings = GREEDY[wall]
    script = f'#!/bin/sh\n{first}\nexec /usr/bin/python3 "$@"\n'
    layer = {"usr/local/sbin": directory(), "usr/local/sbin/python3": file(script.encode(), 0o755)}
    layout = with_layers(image_311, tmp_path / "layout", layer)

    def tried(driver: Rundlet) -> bool:
        done = driver.with_environment(**settings)("image", "import", "greedy", layout)
        assert done.code == 0 or "out of memory at 2.0 GiB" in done.err or "timed out after 3 s" in done.err, str(done)
        return done.code == 0

    Attack(weak, shared_state, tried).is_held_by(wall)
    shared_state.ok("image", "rm", "greedy")


# While uv asks it.
FILL = """
with open("/proc/self/cmdline") as _line:
    if "get_interpreter_info" in _line.read():
        import os
        with open("/out/greedy", "wb") as _file:
            os.posix_fallocate(_file.fileno(), 0, 1200 << 20)
"""


def test_a_resolver_that_fills_its_cache(weak: Weak, warm: Rundlet, image_311: Path, tmp_path: Path) -> None:
    library = "usr/lib/python3.11/json/__init__.py"
    changed = {library: file_of(image_311, library).decode() + FILL}
    warm.ok("image", "import", "greedy", with_layers(image_311, tmp_path / "layout", changed))

    def tried(driver: Rundlet) -> bool:
        driver.ok("exec", "--image", "greedy", "--upgrade", "--with", "tiny", "--", "true")
        found = list(driver.state.glob("cache/uv/*/greedy"))
        for path in found:
            path.unlink()
        return bool(found)

    Attack(weak, warm, tried).is_held_by("uv's cache")
    warm.ok("image", "rm", "greedy")


def test_an_interpreter_that_drops_files(weak: Weak, shared_state: Rundlet, image_311: Path, tmp_path: Path) -> None:
    shared_state.ok("image", "import", "doctored", doctored(image_311, tmp_path / "layout", DROP))
    find = "import glob; print(glob.glob('/env/**/dropped.py', recursive=True))"

    def tried(driver: Rundlet) -> bool:
        options = ("--image", "doctored", "--with", "tiny")
        done = driver("exec", *options, "--", "python3", "-c", find)
        assert done.code == 0 or "wrote it unasked" in done.err, str(done)
        return done.code == 0 and "dropped.py" in done.out

    Attack(weak, shared_state, tried).is_held_by("bytecode")
    shared_state.ok("image", "rm", "doctored")


def test_a_page_that_grows(weak: Weak, rundlet: Rundlet, index: PackageIndex) -> None:
    import_image(rundlet, "python-3.11")
    index.fault(
        "/simple/uv/",
        body=b'{"meta": {"api-version": "1.0"}, "name": "uv", "files": [' + b"{}," * (PAGE // 3) + b"{}]}",
    )

    def tried(driver: Rundlet) -> bool:
        error = driver("exec", *IMAGE, "--with", "tiny", "--", "true").check(125).err
        return "of memory" not in error

    Attack(weak, rundlet, tried).is_held_by("worker's memory")


@pytest.fixture
def tls_index(tmp_path: Path) -> Iterator[PackageIndex]:
    with PackageIndex(tls=make_certificates(tmp_path, *HOSTS).server(), host=HOST) as made:
        made.add(module("demo"))
        yield made


# What a sandbox asks the proxy for, whom its administrator vouches for, and what it is told.
WAYS_OUT = {
    "inner addresses": ("status('index.test')", "", " 200 "),
    "allowed hosts": ("status('other.test')", "index.test,other.test", " 200 "),
    "server's name": ("hello('other.test')", "index.test", " 200 OK"),
}


@pytest.mark.parametrize("wall", WAYS_OUT)
def test_more_than_a_network_gives(
    weak: Weak, shared_state: Rundlet, tls_index: PackageIndex, tmp_path: Path, wall: str
) -> None:
    program_text, private, through = WAYS_OUT[wall]
    settings = {"RUNDLET_CA_BUNDLE": str(tmp_path / "authority.pem"), "RUNDLET_PRIVATE_HOSTS": private}

    def tried(driver: Rundlet) -> bool:
        binary = with_hosts(driver.binary, tmp_path, HOSTS)
        named = Rundlet(driver.state, environment={**driver.environment, **settings}, binary=binary)
        return through in Served(named, tls_index).try_(f"print({program_text})")

    Attack(weak, shared_state, tried).is_held_by(wall)


def test_a_git_server_that_leads_elsewhere(weak: Weak, warm: Rundlet, tmp_path: Path) -> None:
    """To a host that the requirement does not name, and that has the commit."""
    names = {GIT: ["127.0.0.1"], OTHER_GIT: ["127.0.0.1"]}
    certificates = make_certificates(tmp_path, *names)
    settings = {"RUNDLET_CA_BUNDLE": str(certificates.authority), "RUNDLET_PRIVATE_HOSTS": ",".join(names)}
    folder = tmp_path / "repositories"
    folder.mkdir()
    repository = Repository(folder / "pkg.git")

    def tried(driver: Rundlet) -> bool:
        binary = with_hosts(driver.binary, tmp_path, names)
        named = Rundlet(driver.state, environment={**driver.environment, **settings}, binary=binary)
        commit = repository.commit(own_build("from-git", f"return {next(numbers)}"))
        with (
            GitServer(folder, certificates.server(), GIT) as server,
            GitServer(folder, certificates.server(), OTHER_GIT) as other,
        ):
            server.elsewhere = other.url("").rstrip("/")
            requirement = f"from-git @ git+{server.url('pkg.git')}@{commit}"
            done = named("exec", *IMAGE, "--build", "from-git", "--with", requirement, "--", "true")
        assert (done.code == 0) == bool(other.requests), str(done)
        assert done.code == 0 or "response 403" in done.err, str(done)
        return done.code == 0

    Attack(weak, warm, tried).is_held_by("allowed hosts")


def test_other_bytes_of_the_mirror(weak: Weak, warm: Rundlet, index: PackageIndex) -> None:
    index.fault(index.add(module("small-lie")), flip=-1)

    def tried(driver: Rundlet) -> bool:
        return ask_mirror(driver, "print(status(links('small-lie')[0]))") == ["200 OK"]

    Attack(weak, warm, tried).is_held_by("mirrored bytes")


def test_a_setuid_bit(weak: Weak, shared_state: Rundlet, image_311: Path, tmp_path: Path) -> None:
    def tried(driver: Rundlet) -> bool:
        # Each a layer of its own: what is unpacked already is not unpacked again.
        name = f"setuid-{next(numbers)}"
        layout = with_layers(image_311, tmp_path / name, {"opt/" + name: file(b"", 0o4755)})
        driver.ok("image", "import", "setuid", layout)
        (found,) = driver.state.glob(f"layers/*/tree/opt/{name}")
        driver.ok("image", "rm", "setuid")
        return bool(found.stat().st_mode & stat.S_ISUID)

    Attack(weak, shared_state, tried).is_held_by("modes")


def test_a_layer_of_nothing(weak: Weak, rundlet: Rundlet, tmp_path: Path) -> None:
    zeros = header("zeros", size=300 * MIB) + bytes(300 * MIB) + END
    layout = layout_of(packed_gzip(zeros), "+gzip", tmp_path / "image")

    def tried(driver: Rundlet) -> bool:
        return "times its size" not in driver("image", "import", "x", layout).check(2).err

    Attack(weak, rundlet, tried).is_held_by("ratio")


def test_a_wheel_with_other_files(weak: Weak, warm: Rundlet, index: PackageIndex) -> None:
    index.add(Wheel("faulty", files={"faulty.py": "print(1)\n"}, record_hashes={"faulty.py": "sha256=" + "A" * 43}))

    def tried(driver: Rundlet) -> bool:
        return driver("exec", *IMAGE, "--with", "faulty", "--", "python3", "-m", "faulty").out == "1\n"

    Attack(weak, warm, tried).is_held_by("record")


def test_a_wheel_of_nothing(weak: Weak, warm: Rundlet, index: PackageIndex) -> None:
    index.add(Wheel("zeros", files={"zeros.bin": bytes(80 * MIB)}))

    def tried(driver: Rundlet) -> bool:
        done = driver("exec", *IMAGE, "--with", "zeros", "--", "true")
        assert done.code == 0 or "it would grow from" in done.err, str(done)
        return done.code == 0

    Attack(weak, warm, tried).is_held_by("wheel's ratio")


def test_credentials_for_another_host(weak: Weak, warm: Rundlet, tmp_path: Path) -> None:
    """A page names another host's file. Each time another one: what is there is not fetched again."""
    names = {CLOSED: ["127.0.0.1"], "elsewhere.test": ["127.0.0.1"]}
    settings = {"RUNDLET_PRIVATE_HOSTS": ",".join(names), "NETRC": netrc(tmp_path)}

    def tried(driver: Rundlet) -> bool:
        binary = with_hosts(driver.binary, tmp_path, names)
        reader = Rundlet(driver.state, environment={**driver.environment, **settings}, binary=binary)
        with PackageIndex(credentials=CREDENTIALS, host=CLOSED) as closed, PackageIndex(host="elsewhere.test") as other:
            wheel = module("inner-one", content=f"word = {next(numbers)}\n")
            closed.add(wheel, listed_url=f"{other.base}{other.add(wheel)}")
            use(reader, closed, "--upgrade").check(0)
            assert other.requests
            return any("Authorization" in one.headers for one in other.requests)

    Attack(weak, warm, tried).is_held_by("login's origin")


def test_what_came_for_credentials(weak: Weak, warm: Rundlet, tmp_path: Path) -> None:
    """Who knows a wheel's digest, and has no credentials, names it."""
    settings = {"RUNDLET_PRIVATE_HOSTS": CLOSED}

    def tried(driver: Rundlet) -> bool:
        binary = with_hosts(driver.binary, tmp_path, {CLOSED: ["127.0.0.1"]})
        anybody = Rundlet(driver.state, environment={**driver.environment, **settings}, binary=binary)
        with PackageIndex(credentials=CREDENTIALS, host=CLOSED) as closed:
            path = closed.add(module("inner-one", content=f"word = {next(numbers)}\n"))
            use(anybody.with_environment(NETRC=netrc(tmp_path)), closed, "--upgrade").check(0)
            named = ("--with", f"inner-one @ {closed.base}{path}#sha256={closed.file(path).sha256}")
            done = anybody("exec", *IMAGE, *named, "--", "true")
        assert done.code == 0 or "answers 401" in done.err, str(done)
        return done.code == 0

    Attack(weak, warm, tried).is_held_by("realms")


def test_other_addresses_by_the_gate(weak: Weak, rundlet: Rundlet, index: PackageIndex, image_311: Path) -> None:
    """What an image runs beside the resolver asks the gate for what no page names."""
    spy = SPY.replace("PORT", str(index.port))
    layout = with_layers(image_311, rundlet.state.parent / "spying", {"usr/lib/python3.11/sitecustomize.py": spy})
    rundlet.ok("image", "import", "python-3.11", layout)

    def tried(driver: Rundlet) -> bool:
        shutil.rmtree(driver.state / "cache/uv", ignore_errors=True)  # it is asked again
        index.forget()
        driver.ok("exec", *IMAGE, "--upgrade", "--with", "leaf", "--", "true")
        (found,) = driver.state.glob("cache/uv/*/found")
        assert len(json.loads(found.read_text())["answers"]) == 6
        return any(one.path == "/x" for one in index.requests)

    Attack(weak, rundlet, tried).is_held_by("seal")


def test_a_state_directory_of_somebody_else(weak: Weak, rundlet: Rundlet) -> None:
    rundlet.ok("image", "ls")
    os.chown(rundlet.state, 65534, 65534)

    def tried(driver: Rundlet) -> bool:
        return driver("image", "ls").code == 0

    Attack(weak, rundlet, tried).is_held_by("state's owner")


def test_a_wheel_that_is_another(weak: Weak, warm: Rundlet, index: PackageIndex) -> None:
    """Sound in itself, and as long as the one that the page names."""

    def tried(driver: Rundlet) -> bool:
        name = f"swapped{next(numbers)}"
        good = module(name, content="print('good') # 0\n")
        evils = (module(name, content=f"print('evil') # {n}\n").to_bytes() for n in itertools.count())
        index.fault(index.add(good), body=next(evil for evil in evils if len(evil) == len(good.to_bytes())))
        done = driver("exec", *IMAGE, "--with", name, "--", "python3", "-m", name)
        assert done.out == "evil\n" or "its sha256 is " in done.err, str(done)
        return done.out == "evil\n"

    Attack(weak, warm, tried).is_held_by("fetched bytes", "arrived bytes")


def test_removal_of_what_is_in_use(weak: Weak, shared_state: Rundlet, image_311: Path, tmp_path: Path) -> None:
    def tried(driver: Rundlet) -> bool:
        name = f"used-{next(numbers)}"
        layout = with_layers(image_311, tmp_path / name, {"opt/" + name: file(name.encode())})
        shared_state.ok("image", "import", "used", layout)
        script = f"echo ready; read line; cat /opt/{name}"
        command = ("exec", "--image", "used", "--", "sh", "-c", script)
        with shared_state.start(*command, stdin=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == b"ready\n"
            driver.ok("image", "rm", "used")
            driver.ok("gc")
            process.stdin.write(b"\n")
            process.stdin.close()
            told = process.stdout.read()
        shared_state.ok("gc")
        return bool(told != name.encode())

    Attack(weak, shared_state, tried).is_held_by("leases")
