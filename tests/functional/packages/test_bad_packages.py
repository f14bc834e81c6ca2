"""Requirements, indexes and wheels that are refused: the error word by word, and no entry made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from support.rundlet import Rundlet
from support.servers.hosts import nobody_listens
from support.servers.index import PackageIndex
from support.store import nothing_kept
from support.wheels import Wheel, module

RESOLVING = "error: resolving the packages of this command for Python 3.11.2\n"
NETWORK = "hint: check the network, the proxy and the CA bundle of this host (`rundlet doctor`)\n"


def refused(driver: Rundlet, *requirements: str, but: tuple[str, ...] = ()) -> str:
    """All that is said of a command that must not run, and that must leave nothing."""
    options = [f"--with={requirement}" for requirement in requirements]
    with nothing_kept(driver.state, but=but):
        done = driver("-q", "exec", "--image", "python-3.11", *options, "--", "echo", "ran").check(125)
    assert done.out == ""
    return done.err


@pytest.fixture(scope="module")
def ready(shared_state: Rundlet) -> Rundlet:
    """The resolver is fetched: from here on a refused requirement adds nothing."""
    shared_state.ok("exec", "--image", "python-3.11", "--with", "tiny", "--", "true")
    return shared_state


@pytest.fixture
def served(ready: Rundlet, index: PackageIndex) -> Rundlet:
    """With the test's own index."""
    return ready.with_environment(RUNDLET_INDEX=index.url)


UNRESOLVED = {
    ("no-such-distribution",): "caused by: `no-such-distribution` was not found in the package index\n"
    "hint: check the spelling of its name\n",
    ("tiny==1.0", "tiny==2.0"): "caused by: because you require tiny==1.0 and tiny==2.0, we can conclude that your "
    "requirements are unsatisfiable\n",
    ("tiny==9.9",): "caused by: because there is no version of tiny==9.9 and you require tiny==9.9, we can conclude "
    "that your requirements are unsatisfiable\n",
    ("only-source",): "caused by: because only-source==1.0 has no usable wheels and only only-source==1.0 is "
    "available, we can conclude that all versions of only-source cannot be used. And because you require "
    "only-source, we can conclude that your requirements are unsatisfiable\n"
    "hint: only wheels are installed: require a version that has one for this Python and platform, or have its source "
    'archive built (`--build NAME`, or `build = ["NAME"]` below [python])\n',
}


@pytest.mark.parametrize("requirements", UNRESOLVED, ids=" ".join)
def test_unresolved(ready: Rundlet, requirements: tuple[str, ...]) -> None:
    error = refused(ready, *requirements)
    assert error == f"{RESOLVING}caused by: resolving the requirements\n{UNRESOLVED[requirements]}"


MALFORMED = {
    "tiny==": "caused by: `` is not a version\n",
    "a b c": "caused by: `b c` does not begin with an operator such as `==` or `>=`\n",
    "--index-url=x": "caused by: it is an option, not a requirement\n"
    "hint: indexes and other settings of the installer are the administrator's\n",
    "tiny @ file:///etc/passwd": "caused by: it is neither a wheel nor a source archive of the web\n"
    "hint: the names of wheels end in .whl, those of archives in .tar.gz or .zip\n",
}


@pytest.mark.parametrize("requirement", MALFORMED)
def test_malformed_requirement(served: Rundlet, index: PackageIndex, requirement: str) -> None:
    assert refused(served, requirement) == f"error: reading requirement `{requirement}`\n{MALFORMED[requirement]}"
    assert index.requests == []


def test_collision(ready: Rundlet) -> None:
    for name in ("clash-a", "clash-b"):
        ready.ok("exec", "--image", "python-3.11", "--with", name, "--", "true")
    assert refused(ready, "clash-a", "clash-b") == (
        "error: putting `clash-a 1.0` and `clash-b 1.0` into one environment\n"
        "caused by: both bring `lib/python3.11/site-packages/clash.py`, with different content\n"
        'hint: require only one of them, or say which wins: `--prefer clash-a`, or `prefer = ["clash-a"]` '
        "below [python]\n"
    )


TEXT = "x = 1\n"
DIFFERS: dict[str, tuple[Wheel, str]] = {
    "another hash": (
        Wheel("faulty", files={"faulty.py": TEXT}, record_hashes={"faulty.py": "sha256=" + "A" * 43}),
        "caused by: checking `faulty.py`\ncaused by: its content is not what RECORD says\n",
    ),
    "another size": (
        Wheel("faulty", files={"faulty.py": TEXT}, record_sizes={"faulty.py": len(TEXT) + 1}),
        "caused by: checking `faulty.py`\ncaused by: its size is not RECORD's\n",
    ),
    "a file RECORD omits": (
        Wheel("faulty", files={"faulty.py": TEXT}, record_omit=["faulty.py"]),
        "caused by: checking `faulty.py`\ncaused by: the wheel holds it and RECORD does not list it\n",
    ),
    "a file the wheel lacks": (
        Wheel("faulty", files={"faulty.py": TEXT}, record_extra=["gone.py,sha256=" + "A" * 43 + ",1"]),
        "caused by: checking `gone.py`\ncaused by: RECORD lists it and the wheel does not hold it\n",
    ),
    "no RECORD": (
        Wheel("faulty", files={"faulty.py": TEXT}, omit=["RECORD"]),
        "caused by: checking `faulty-1.0.dist-info/RECORD`\ncaused by: the wheel does not hold it\n",
    ),
}


@pytest.mark.parametrize("fault", DIFFERS)
def test_wheel_that_differs_from_its_record(served: Rundlet, index: PackageIndex, fault: str) -> None:
    wheel, cause = DIFFERS[fault]
    index.add(wheel)
    error = refused(served, "faulty", but=("wheels",))
    assert error == f"error: installing `faulty 1.0` from `faulty-1.0-py3-none-any.whl`\n{cause}"


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut short": (
        lambda data: data[:-100],
        "caused by: reading a zip archive's directory\n"
        "caused by: it does not end as one (damaged, or bytes follow its end)\n",
    ),
    "altered": (
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        "caused by: reading `broken.py` of a zip archive\ncaused by: its checksum does not agree with its header\n",
    ),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_damaged_wheel_of_an_index_that_lists_its_hash(served: Rundlet, index: PackageIndex, fault: str) -> None:
    damage, cause = DAMAGED[fault]
    wheel = module("broken", content="x = 1\n" * 100)
    index.add_bytes(wheel.filename, damage(wheel.to_bytes()), project="broken", metadata=wheel.metadata_bytes())
    error = refused(served, "broken", but=("wheels",))
    assert error == f"error: installing `broken 1.0` from `broken-1.0-py3-none-any.whl`\n{cause}"


def test_altered_on_the_way(served: Rundlet, index: PackageIndex) -> None:
    wheel = module("altered")
    data = wheel.to_bytes()
    index.fault(index.add(wheel), flip=50)
    arrived = hashlib.sha256(data[:50] + bytes([data[50] ^ 1]) + data[51:]).hexdigest()
    assert refused(served, "altered") == (
        "error: fetching `altered 1.0` from `127.0.0.1`\n"
        f"caused by: its sha256 is {arrived}, the lock says {wheel.sha256}\n"
    )


def test_cut_short_on_the_way(served: Rundlet, index: PackageIndex) -> None:
    index.fault(index.add(module("short")), truncate=100)
    assert refused(served, "short") == (
        "error: fetching `short 1.0` from `127.0.0.1`\n"
        f"caused by: `127.0.0.1`: transferred a partial file (tried 4 times)\n{NETWORK}"
    )


def test_index_that_is_down(served: Rundlet) -> None:
    with nobody_listens() as gone:
        url = f"http://{gone}/simple"
        error = refused(served.with_environment(RUNDLET_INDEX=url), "leaf")
    lines = error.splitlines()
    assert lines == [
        RESOLVING.strip(),
        f"caused by: asking the package index `{url}`",
        "caused by: `127.0.0.1`: couldn't connect to server (tried 4 times)",
        "hint: check the network, the index URL, the proxy and the CA bundle of this host (`rundlet doctor`)",
    ]


def test_index_that_is_down_is_the_hosts_fault(served: Rundlet, project: Path) -> None:
    """`run` tells what this host cannot from what the pipeline got wrong."""
    (project / "rundlet.toml").write_text('[images]\n"3.11" = "python-3.11"\n')
    (project / "pipeline.py").write_text(
        'import rundlet\n\n@rundlet.model()\n@rundlet.python("3.11")\ndef one():\n    return None\n'
    )
    with nobody_listens() as gone, nothing_kept(served.state):
        done = served.with_environment(RUNDLET_INDEX=f"http://{gone}/simple")("-q", "run", project).check(3)
    assert done.err.startswith("error: resolving the packages of rundlet's own steps for Python 3.11.2\n")
    assert done.err.endswith("the proxy and the CA bundle of this host (`rundlet doctor`)\n")
