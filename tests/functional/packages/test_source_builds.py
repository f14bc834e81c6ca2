"""Source archives: built when their user says so, in a sandbox, and shared only with who builds the same."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from support.leaks import processes
from support.rundlet import Result, Rundlet
from support.servers.index import PackageIndex
from support.store import nothing_kept
from support.wheels import module, sdist

Seen = TypeVar("Seen")
BACKEND = """
import base64, hashlib, os, time, zipfile

def findings():
{code}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    text = f"made = {{time.time_ns()}}\\nfound = {{findings()!r}}\\n"
    info = "{module}-1.0.dist-info"
    files = {{
        "{module}.py": text,
        f"{{info}}/METADATA": "Metadata-Version: 2.1\\nName: {module}\\nVersion: 1.0\\n",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    record = f"{{info}}/RECORD,,\\n"
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{{path}},sha256={{digest}},{{len(text)}}\\n"
    files[f"{{info}}/RECORD"] = record
    with zipfile.ZipFile(os.path.join(folder, "{module}-1.0-py3-none-any.whl"), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return "{module}-1.0-py3-none-any.whl"
"""


def own_build(name: str, code: str = "return 1", requires: str = "[]", backend: str = "") -> dict[str, str]:
    """The files of a source that builds itself; `code` runs meanwhile."""
    lines = "\n".join(f"    {line}" for line in code.splitlines())
    made = backend or BACKEND.format(code=lines, module=name.replace("-", "_"))
    system = f'[build-system]\nrequires = {requires}\nbuild-backend = "own"\nbackend-path = ["backend"]\n'
    return {"pyproject.toml": system, "backend/own.py": made}


def offer(index: PackageIndex, name: str, code: str = "return 1", requires: str = "[]", backend: str = "") -> str:
    """Such a source as an archive of the index."""
    return index.add_bytes(*sdist(name, files=own_build(name, code, requires, backend)))


def build(driver: Rundlet, name: str, *options: str, code: str = "") -> Result:
    program = code or f"import {name.replace('-', '_')} as m; print(m.made, m.found)"
    command = ("--image", "python-3.11", "--with", f"{name}==1.0", "--build", name)
    return driver("exec", *command, *options, "--", "python3", "-c", program)


def test_built_once_when_it_is_allowed(warm: Rundlet, index: PackageIndex) -> None:
    archive = offer(index, "from-source")
    plain = ("exec", "--image", "python-3.11", "--with", "from-source==1.0", "--", "true")
    assert "from-source" in warm(*plain).check(125).err
    first = build(warm, "from-source").check(0).out
    index.forget()
    # From the kept lock; then resolved again: the same archive and requirements give the same wheel.
    assert build(warm, "from-source").check(0).out == first
    assert index.count(archive) == 0
    assert build(warm, "from-source", "--upgrade").check(0).out == first
    # A version that is not pinned is nobody's word.
    loose = ("--with", "from-source>=1", "--build", "from-source", "--", "true")
    assert "require `from-source==VERSION`" in warm("exec", "--image", "python-3.11", *loose).check(125).err
    gone = ("--with", "from-source==7.0", "--build", "from-source", "--", "true")
    assert "offers none" in warm("exec", "--image", "python-3.11", *gone).check(125).err


def test_setup_py_with_setuptools(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    setup = "from setuptools import setup\nsetup(name='old-style', version='1.0', py_modules=['old_style'])\n"
    index.add_bytes(*sdist("old-style", files={"setup.py": setup, "old_style.py": "made, found = 2, 3\n"}))
    assert build(warm, "old-style").check(0).out == "2 3\n"
    (project / "rundlet.toml").write_text(
        '[python]\nversion = "3.11"\npip = ["pyarrow==22.0.0", "old-style==1.0"]\nbuild = ["Old_Style"]\n'
        '[images]\n"3.11" = "python-3.11"\n'
    )
    (project / "pipeline.py").write_text(
        "import rundlet\n\n\n@rundlet.model()\ndef only():\n    import old_style, pyarrow\n\n"
        "    return pyarrow.table({'n': [old_style.made]})\n"
    )
    assert warm.json("run", project)["previews"]["only"]["rows"] == [[2]]


@pytest.fixture
def other() -> Iterator[PackageIndex]:
    with PackageIndex() as made:
        yield made


def test_another_build_requirement_is_another_wheel(warm: Rundlet, index: PackageIndex, other: PackageIndex) -> None:
    """What a user's own index makes of an archive reaches nobody else."""
    index.add(module("build-helper", content="word = 'good'\n"))
    other.add(module("build-helper", content="word = 'evil'\n"))
    offer(index, "helped", "import build_helper\nreturn build_helper.word", '["build-helper"]')
    theirs = warm.with_environment(RUNDLET_PRIVATE_HOSTS="127.0.0.1")
    own = ("--index", f"build-helper={other.url}")
    assert build(theirs, "helped", *own).check(0).out.split()[1] == "evil"
    good = build(warm, "helped").check(0).out
    assert good.split()[1] == "good"
    assert build(theirs, "helped", *own, "--upgrade").check(0).out.split()[1] == "evil"
    assert build(warm, "helped", "--upgrade").check(0).out == good


def test_a_build_sees_nothing_of_the_host(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    index.add(module("build-helper"))
    code = f"""import glob, socket, subprocess, sys
found = []
for path in ("{tmp_path}/secret", "{warm.state}/version", "/proc/1/root/etc/hostname.canary"):
    if os.path.exists(path): found.append(path)
for address in (("127.0.0.1", {index.port}), ("169.254.169.254", 80), ("192.0.2.1", 80)):
    try:
        socket.create_connection(address, timeout=1)
        found.append(address)
    except OSError:
        pass
for path in ("/env/bin/x", "/env/lib/python3.11/site-packages/build_helper.py", "/rundlet/source/x"):
    try:
        open(path, "w")
        found.append(path)
    except OSError:
        pass
subprocess.Popen([sys.executable, "-c", "import os, time\\nif os.fork() == 0: os.setsid(); time.sleep(1000)"])
found += [name for name in os.environ if "RUNDLET" in name or "INDEX" in name]
return found + [os.getuid()]"""
    offer(index, "curious", code, '["build-helper"]')
    # A process that it leaves behind would be found by the check for leaks.
    assert build(warm, "curious").check(0).out.split(maxsplit=1)[1] == "[1000]\n"


@pytest.mark.parametrize(
    ("name", "code", "cause"),
    [
        ("endless", "while True: time.sleep(60)", "timed out after 3 s"),
        ("hungry", "open('/tmp/full', 'wb').write(bytes(1100 << 20))", "was full at 1.0 GiB"),
        ("failing", "raise SystemExit('the compiler is missing')", "the compiler is missing"),
    ],
)
def test_a_build_has_limits(warm: Rundlet, index: PackageIndex, name: str, code: str, cause: str) -> None:
    offer(index, name, code)
    limited = warm.with_environment(RUNDLET_BUILD_TIMEOUT="3") if name == "endless" else warm
    error = build(limited, name).check(125).err
    assert f"building `{name} 1.0` from its source archive" in error
    assert cause in error


def test_archive_by_url(warm: Rundlet, index: PackageIndex) -> None:
    file, data = sdist("by-hand", files=own_build("by-hand"))
    path = index.add_bytes(file, data, project="elsewhere")
    named = f"by-hand @ {index.base}{path}"
    command = ("exec", "--image", "python-3.11", "--build", "By_Hand", "--with")
    program = ("--", "python3", "-c", "import by_hand; print(by_hand.made)")
    first = warm.ok(*command, named, *program).out
    digest = hashlib.sha256(data).hexdigest()
    # Pinned to what it was, and the same build by its hash.
    assert warm.ok(*command, f"{named}#sha256={digest}", *program).out == first
    assert digest in warm(*command, f"{named}#sha256={'1' * 64}", *program).check(125).err
    index.forget()
    assert warm.ok(*command, named, *program).out == first
    assert index.requests == []
    other = f"other @ {index.base}{path}"
    assert "a wheel of something else" in warm(*command, other, "--build", "other", "--", "true").check(125).err


def test_hashes_are_the_archives(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    file, data = sdist("held", files=own_build("held"))
    index.add_bytes(file, data)
    listed = tmp_path / "requirements.txt"
    command = ("exec", "--image", "python-3.11", "--build", "held", "-r", listed, "--", "python3", "-c", "import held")
    listed.write_text(f"held==1.0 --hash=sha256:{hashlib.sha256(data).hexdigest()}\n")
    warm.ok(*command)
    listed.write_text(f"held==1.0 --hash=sha256:{'2' * 64}\n")
    assert "none of the given hashes" in warm(*command).check(125).err


def gate_of_build(driver: Rundlet) -> Path | None:
    """The pipe that a build waits at, in its sandbox."""
    for one in processes([driver.state]):
        gate = Path(f"/proc/{one.pid}/root/tmp/gate")
        with contextlib.suppress(OSError):  # it ended
            if gate.is_fifo():
                return gate
    return None


def wait_until(reached: Callable[[], Seen], process: subprocess.Popen[bytes]) -> Seen:
    while not (seen := reached()):
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended with {process.wait(0.001)}")
    return seen


@pytest.mark.parametrize("stage", ["source", "requires", "building"])
def test_killed_while_building(warm: Rundlet, index: PackageIndex, stage: str) -> None:
    """Nothing half-made is left, neither of the archive nor of the wheel."""
    name, helper = f"victim-{stage}", f"helper-{stage}"
    part = index.add(module(helper))
    # The build is met at work: it waits until somebody writes.
    archive = offer(index, name, "os.mkfifo('/tmp/gate')\nreturn open('/tmp/gate').read()", f'["{helper}"]')
    reached: dict[str, Callable[[], object]] = {
        "source": lambda: index.count(archive),
        "requires": lambda: index.count(f"/simple/{helper}/"),
        "building": lambda: gate_of_build(warm),
    }
    if stage == "source":
        index.fault(archive, rate=100, times=1)
    if stage == "requires":
        index.fault(f"/simple/{helper}/", stall=60, times=1)
    command = ("exec", "--image", "python-3.11", "--with", f"{name}==1.0", "--build", name, "--", "true")
    with nothing_kept(warm.state, but=("wheels", "packages", "lowers", "tools", "skeletons")):
        with warm.start(*command) as process:
            wait_until(reached[stage], process)
            process.kill()
            process.communicate(timeout=30)
        index.fault(archive)
        index.fault(f"/simple/{helper}/")
        # The gate of the next build is the only one then: nobody reads from that of the killed one.
        deadline = time.monotonic() + 60
        while gate_of_build(warm):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        warm.sweep_groups("--image", "python-3.11")
        with warm.start(*command) as process:
            gate = wait_until(lambda: gate_of_build(warm), process)
            assert gate is not None
            gate.write_text("go on")
            assert process.wait(60) == 0
    warm.sweep_groups("--image", "python-3.11")
    assert index.count(part) == 1
    assert warm.json("package", "verify")["damaged"] == []


def test_gc_takes_builds_by_age(warm: Rundlet, index: PackageIndex) -> None:
    """The record of a build; its wheel is a lock's, as others are."""
    builds = warm.state / "cache/builds"
    before = set(builds.iterdir()) if builds.exists() else set()
    offer(index, "aged")
    first = build(warm, "aged").check(0).out
    (record,) = set(builds.iterdir()) - before
    then = record.stat().st_mtime - 40 * 86400
    os.utime(record, (then, then))
    assert build(warm, "aged", "--upgrade").check(0).out == first  # notes its use

    def removed(*options: str) -> bool:
        items = warm.json("gc", "--dry-run", *options)
        return any(one["path"] == f"cache/builds/{record.name}" and one["fate"] == "removed" for one in items)

    assert not removed("--unused-for", "30d")
    os.utime(record, (then, then))
    assert not removed()
    assert removed("--unused-for", "30d")


def test_times_are_numbers(warm: Rundlet) -> None:
    for name, text in itertools.product(
        ("RUNDLET_BUILD_TIMEOUT", "RUNDLET_PYTHON_TIMEOUT"), ("0", "-1", "ten", "1.5", "5 ")
    ):
        error = build(warm.with_environment(**{name: text}), "leaf").check(125).err
        assert f"reading {name} `{text}`" in error


def test_what_a_build_may_not_give_or_want(warm: Rundlet, index: PackageIndex) -> None:
    made = BACKEND.format(code="    return 1", module="somebody_else")
    offer(index, "impostor", backend=made)
    assert "a wheel of something else" in build(warm, "impostor").check(125).err
    offer(index, "fetching", requires='["x @ https://example.org/x-1.0-py3-none-any.whl"]')
    assert "only packages of an index" in build(warm, "fetching").check(125).err
    hooks = BACKEND.format(code="    return 1", module="asking")
    hooks += "\ndef get_requires_for_build_wheel(config_settings=None):\n    return ['--index-url=http://x/']\n"
    offer(index, "asking", backend=hooks)
    assert "it is an option" in build(warm, "asking").check(125).err
    error = warm("exec", "--image", "python-3.11", "--build", "a b", "--with", "tiny", "--", "true").check(125).err
    assert "not the name of a package" in error
