"""Several package indexes, a point in time, and staying off the network."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.conftest import fill

from support import wheelcache
from support.rundlet import Result, Rundlet
from support.servers.certificates import make_certificates
from support.servers.hosts import with_hosts
from support.servers.index import PackageIndex, Request
from support.wheels import Wheel, module

IMAGE = ("--image", "python-3.11")
NAMES = """
from importlib.metadata import distributions
print(*sorted(f"{one.name} {one.version}" for one in distributions()), sep=", ")
"""
SETTINGS = """
[python]
version = "3.11"
pip = ["pyarrow==22.0.0", "vision"]
{more}

[images]
"3.11" = "python-3.11"
"""
PIPELINE = """
import rundlet


@rundlet.model(materialize="replace")
def versions():
    import pyarrow
    import light

    return pyarrow.table({"light": [light.__version__]})
"""


def run(driver: Rundlet, *options: object) -> Result:
    return driver("exec", *IMAGE, *options, "--", "python3", "-c", NAMES)  # type: ignore[arg-type]


def names(driver: Rundlet, *options: object) -> str:
    return run(driver, *options).check(0).out.strip()


@pytest.fixture
def other() -> Iterator[PackageIndex]:
    """A second index: builds of `light` that the first does not have, and its own `vision`."""
    with PackageIndex() as made:
        made.add(module("light", "2.0+cu1"))
        made.add(module("light", "1.5+cu1"))
        made.add(module("vision", "7.0"))
        yield made


@pytest.fixture
def two(warm: Rundlet, index: PackageIndex, other: PackageIndex) -> Rundlet:
    index.add(module("light", "9.0"))
    index.add(Wheel("vision", files={"vision.py": ""}, requires=["light"]))
    index.add(Wheel("needs-inner", files={"needs_inner.py": ""}, requires=["inner-only"]))
    return warm.with_environment(RUNDLET_PRIVATE_HOSTS="127.0.0.1")


def test_a_package_comes_from_its_index_alone(two: Rundlet, index: PackageIndex, other: PackageIndex) -> None:
    pinned = ("--index", f"light={other.url}")
    # Asked for, with bounds, and brought along: from there. All else: from the administrator's index.
    assert names(two, *pinned, "--with", "light") == "light 2.0+cu1"
    assert names(two, *pinned, "--with", "light<2") == "light 1.5+cu1"
    assert index.count("/simple/light/") == 0
    assert names(two, *pinned, "--with", "vision") == "light 2.0+cu1, vision 1.0"
    assert names(two, *pinned, "--with", "vision", "--with", "light; python_version < '3'") == (
        "light 2.0+cu1, vision 1.0"
    )
    assert other.count("/simple/vision/") == 0
    # Without the option it is another lock.
    assert names(two, "--with", "vision") == "light 9.0, vision 1.0"
    # What the index does not have is not taken from elsewhere.
    error = run(two, *pinned, "--with", "light>=9").check(125).err
    assert "light" in error
    assert "resolving" in error


def test_a_package_that_only_another_index_has(two: Rundlet, other: PackageIndex) -> None:
    other.add(module("inner-only", "3.0"))
    error = run(two, "--with", "needs-inner").check(125).err
    assert "`inner-only` was not found" in error
    pinned = ("--index", f"inner-only={other.url}")
    assert names(two, *pinned, "--with", "needs-inner") == "inner-only 3.0, needs-inner 1.0"


def test_indexes_of_a_project(two: Rundlet, index: PackageIndex, other: PackageIndex, project: Path) -> None:
    pin = f'[[index]]\nname = "second"\nurl = "{other.url}/"\npackages = ["Light"]\n'
    (project / "pipeline.py").write_text(PIPELINE)
    (project / "rundlet.toml").write_text(SETTINGS.format(more=""))
    two.ok("lock", project)
    assert "light-9.0-" in (project / "pylock.toml").read_text()
    # Where packages come from is part of what a lock was made from.
    (project / "rundlet.toml").write_text(SETTINGS.format(more="") + pin)
    assert "`pylock.toml`" in two("run", project).check(2).err
    two.ok("lock", project, "--upgrade")
    assert "light-2.0%2Bcu1-" in (project / "pylock.toml").read_text()
    document = two.json("run", project)
    assert document["previews"]["versions"]["rows"][0][0] == "2.0+cu1"


@pytest.mark.parametrize(
    ("option", "cause"),
    [
        ("light", "PACKAGE[,PACKAGE]=URL"),
        ("light=ftp://example.org/simple", "no plain http or https URL"),
        ("light=https://user:secret@example.org/simple", "no plain http or https URL"),
        ("light=http://example.org/simple", "plain http"),
        ("li ght=https://example.org/simple", "not the name of a package"),
    ],
)
def test_indexes_that_are_refused(warm: Rundlet, option: str, cause: str) -> None:
    error = run(warm, "--index", option, "--with", "light").check(125).err
    assert cause in error
    assert "secret" not in error


def test_a_package_has_one_index(warm: Rundlet) -> None:
    both = ("--index", "light=https://one.example/simple", "--index", "Light=https://two.example/simple")
    assert "another index already" in run(warm, *both, "--with", "light").check(125).err


def test_what_was_uploaded_later_is_left_out(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    for version, day in (("1.0", "2024-03-01"), ("2.0", "2025-03-01")):
        index.add(module("dated", version), uploaded=f"{day}T12:00:00.000000Z")
    assert names(warm, "--with", "dated") == "dated 2.0"
    assert names(warm, "--with", "dated", "--exclude-newer", "2024-12-31") == "dated 1.0"
    assert names(warm, "--with", "dated", "--exclude-newer", "2025-03-01T13:00:00Z") == "dated 2.0"
    error = run(warm, "--with", "dated", "--exclude-newer", "2024-03-01").check(125).err
    assert "`exclude-newer`" in error
    assert "not of the form" in run(warm, "--with", "dated", "--exclude-newer", "3 days").check(125).err


def test_offline_takes_what_is_there(rundlet: Rundlet, index: PackageIndex, small_image: Path) -> None:
    rundlet.ok("image", "import", "python-3.11", small_image)
    assert "rundlet is to be offline" in run(rundlet, "--offline", "--with", "tiny").check(125).err
    assert names(rundlet, "--with", "tiny", "--with", "leaf") == "leaf 1.0, tiny 2.0"
    index.forget()
    assert names(rundlet, "--offline", "--with", "leaf", "--with", "tiny") == "leaf 1.0, tiny 2.0"
    # The lock is there, a package is not.
    rundlet.ok("package", "prune", "--max-bytes", "0")
    error = run(rundlet, "--offline", "--with", "tiny", "--with", "leaf").check(125).err
    assert "fetching `leaf 1.0`" in error or "fetching `tiny 2.0`" in error
    assert "rundlet is to be offline" in error
    error = run(rundlet, "--offline", "--with", "branch").check(125).err
    assert "resolving the packages of this command" in error
    assert not index.requests


INNER = "leads to an inner address, which only a configured host may"


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "inner.test", "0xa9fea9fe"]
)
def test_a_projects_index_is_no_way_to_inner_hosts(
    warm: Rundlet, other: PackageIndex, tmp_path: Path, host: str
) -> None:
    """Whoever asks it, the resolver or the fetcher."""
    binary = with_hosts(warm.binary, tmp_path, {"localhost": ["127.0.0.1"], "inner.test": ["127.0.0.1"]})
    driver = Rundlet(warm.state, environment=warm.environment, binary=binary)
    error = run(driver, "--index", f"light=https://{host}:{other.port}/simple", "--with", "light").check(125).err
    assert INNER in error
    assert f"asking the package index `https://{host}:{other.port}/simple`" in error
    build = ("--with", "light==2.0", "--build", "light")
    assert INNER in run(driver, "--index", f"light=https://{host}:{other.port}/simple", *build).check(125).err
    assert not other.requests


@pytest.mark.parametrize("page", ["/simple/light/", "file", "metadata"])
def test_nor_do_its_redirects_lead_there(two: Rundlet, other: PackageIndex, tmp_path: Path, page: str) -> None:
    with PackageIndex(host="inner.test") as inner:
        name = other.add(module("light", "6.0", content=f"# {page}\n"))
        path = {"file": name, "metadata": name + ".metadata"}.get(page, page)
        other.fault(path, redirect=inner.base + path)
        binary = with_hosts(two.binary, tmp_path, {"inner.test": ["127.0.0.1"]})
        driver = Rundlet(two.state, environment=two.environment, binary=binary)
        error = run(driver, "--index", f"light={other.url}", "--with", "light").check(125).err
        assert f"`inner.test` {INNER}" in error
        assert not inner.requests


def test_pages_of_older_indexes(two: Rundlet) -> None:
    """HTML, without metadata beside the wheels, and without parts of files: all of it through the gate."""
    for settings in ({"json_pages": False}, {"metadata": False}, {"json_pages": False, "metadata": False}):
        with PackageIndex(**settings) as old:
            path = old.add(Wheel("vision", "8.0", files={"vision.py": ""}, requires=["light<2"]))
            old.add(module("light", "1.5+cu1"), yanked="a b")
            old.add(module("light", "1.4+cu1"))
            pinned = ("--index", f"light,vision={old.url}")
            assert names(two, *pinned, "--with", "vision") == "light 1.4+cu1, vision 8.0"
            if "metadata" in settings:
                assert any("Range" in one.headers for one in old.requests if one.path == path)
                old.fault(path, no_ranges=True)
                assert names(two, *pinned, "--with", "vision<9") == "light 1.4+cu1, vision 8.0"


@pytest.mark.parametrize("secure", [False, True])
def test_pages_are_asked_for_at_once(
    warm: Rundlet, real_wheels: list[wheelcache.Distribution], tmp_path: Path, secure: bool
) -> None:
    """Eight projects at once, of an index that speaks HTTP/1.1: nobody waits for another one's page."""
    together = threading.Barrier(8, timeout=120)

    def wait_for_the_others(request: Request) -> None:
        if request.path.startswith("/simple/at-once-"):
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait()

    made = make_certificates(tmp_path, "localhost")
    with PackageIndex(tls=made.server() if secure else None, host="localhost" if secure else "127.0.0.1") as index:
        fill(index, real_wheels)
        wanted = [f"at-once-{number}" for number in range(together.parties)]
        for name in wanted:
            index.add(module(name))
        index.on_request = wait_for_the_others
        settings = {"RUNDLET_CA_BUNDLE": str(made.authority), "RUNDLET_NETWORK_TIMEOUT": "200"}
        driver = warm.with_environment(RUNDLET_INDEX=index.url, **settings)
        driver.timeout = 300
        assert names(driver, *(f"--with={name}" for name in wanted)) == ", ".join(f"{name} 1.0" for name in wanted)
    assert not together.broken
