"""Fixtures of the tests that drive the real programs.

RUNDLET_BUILD names the meson build directory under test (default: `build`), RUNDLET_TEST_CACHE the
directory that keeps images and real wheels between runs (default: `test-cache` in it).
"""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "tests") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests"))

from support import baseimages, wheelcache  # noqa: E402
from support.control_groups import own_groups  # noqa: E402
from support.leaks import Allowance, assert_no_leaks  # noqa: E402
from support.rundlet import Rundlet, program  # noqa: E402
from support.servers.index import PackageIndex  # noqa: E402
from support.wheels import sdist, small_wheels  # noqa: E402

CLONE_NEWNS = 0x00020000  # linux/sched.h

# Test runners work beside each other: what one leaves behind is no leak of the other.
apart = contextlib.ExitStack()


def own_mount_namespace() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "leaving the mount namespace")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # one of several, by pytest-xdist
        own_mount_namespace()
    apart.enter_context(own_groups())
    config.addinivalue_line("markers", "index: needs the real package index; not in the default run")
    config.addinivalue_line("markers", "soak: runs for minutes; not in the default run")


def pytest_unconfigure() -> None:
    apart.close()


def built_image(name: str) -> Path:
    """The image layout of this name, made when it is not there yet."""
    return baseimages.make(wheelcache.default_folder().parent / "images", name)


def import_image(driver: Rundlet, name: str) -> None:
    driver.ok("image", "import", name, built_image(name), timeout=300)


@pytest.fixture(scope="session")
def real_wheels() -> list[wheelcache.Distribution]:
    """The distributions of tests/data/wheels.txt, present in the cache."""
    try:
        wheelcache.fetch(wheelcache.default_folder())
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"the real wheels cannot be fetched here: {error}")
    return wheelcache.read_list()


def fill(index: PackageIndex, real: list[wheelcache.Distribution]) -> PackageIndex:
    for wheel in small_wheels():
        index.add(wheel)
    index.add_bytes(*sdist("only-source", files={"only_source.py": "x = 1\n"}))
    folder = wheelcache.default_folder()
    for item in real:
        index.add_file(folder / item.filename, item.sha256)
    return index


@pytest.fixture
def index(real_wheels: list[wheelcache.Distribution]) -> Iterator[PackageIndex]:
    """A loopback index of the test's own: faults and counts are nobody else's."""
    with PackageIndex() as made:
        yield fill(made, real_wheels)


@pytest.fixture(scope="session")
def shared_index(real_wheels: list[wheelcache.Distribution]) -> Iterator[PackageIndex]:
    """The index that `shared_state` uses. No faults here."""
    with PackageIndex() as made:
        yield fill(made, real_wheels)


@pytest.fixture(scope="session")
def image_311() -> Path:
    """Layout of a Debian image with Python 3.11."""
    return built_image("python-3.11")


@pytest.fixture(scope="session")
def small_image() -> Path:
    """Half of `image_311`, for tests that unpack it into a state of their own."""
    return built_image(baseimages.SMALL)


@pytest.fixture(scope="session")
def image_313() -> Path:
    """Layout of a Debian image with Python 3.13."""
    return built_image("python-3.13")


@pytest.fixture(scope="session")
def image_official() -> Path:
    """Layout of a Python 3.11 image whose interpreter lies under /usr/local."""
    return built_image("python-3.11-official")


def _remove(folder: Path) -> None:
    # Never through a mount: the check for leaks has run before, but may have failed.
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


@pytest.fixture(scope="session")
def shared_state(
    tmp_path_factory: pytest.TempPathFactory, shared_index: PackageIndex, image_311: Path, image_313: Path
) -> Iterator[Rundlet]:
    """A driver whose state directory has both images and keeps what earlier tests installed."""
    state = tmp_path_factory.mktemp("shared") / "state"
    driver = Rundlet(state, environment={"RUNDLET_INDEX": shared_index.url})
    for name in ("python-3.11", "python-3.13"):
        import_image(driver, name)
    yield driver
    _remove(state)


@pytest.fixture
def state_directory(tmp_path: Path) -> Iterator[Path]:
    """Where the test's own state goes. Not made yet: that is rundlet's part."""
    yield tmp_path / "state"
    _remove(tmp_path / "state")


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest, state_directory: Path) -> Iterator[Allowance]:
    """Fails a test that leaves mounts, processes, control groups or staging entries behind.

    A test that means to adds patterns to `no_leaks.patterns`.
    """
    states = [state_directory]
    if "shared_state" in request.fixturenames:
        states.append(request.getfixturevalue("shared_state").state)
    with assert_no_leaks(*states) as allowance:
        yield allowance


@pytest.fixture
def rundlet(state_directory: Path, no_leaks: Allowance, request: pytest.FixtureRequest) -> Rundlet:
    """A driver with a fresh state directory, and the test's `index` when it has one."""
    assert program().exists(), f"`{program()}` is not built; RUNDLET_BUILD names the build directory"
    environment = {}
    if "index" in request.fixturenames:
        environment["RUNDLET_INDEX"] = request.getfixturevalue("index").url
    return Rundlet(state_directory, environment=environment)


@pytest.fixture
def warm(shared_state: Rundlet, index: PackageIndex, no_leaks: Allowance) -> Rundlet:
    """The shared state with the test's own `index`: nothing is locked from it yet."""
    return shared_state.with_environment(RUNDLET_INDEX=index.url)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty folder for a pipeline."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder
