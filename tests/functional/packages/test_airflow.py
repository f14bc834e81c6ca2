"""More than 300 real distributions in one environment: Airflow with its providers. Not in the default run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import wheelcache
from support.rundlet import Rundlet
from support.servers.index import PackageIndex, normalized

pytestmark = pytest.mark.index

# What is installed; which providers say what they are, and what Airflow makes of them; modules of some.
LOOK = """
import importlib, importlib.metadata as metadata, json, sys

found = [[one.name, one.version] for one in metadata.distributions()]
points = metadata.entry_points(group="apache_airflow_provider")
providers = sorted(point.load()()["package-name"] for point in points)
from airflow.providers_manager import ProvidersManager
from airflow.sdk import DAG
from airflow.version import version
for name in sys.argv[1:]:
    importlib.import_module(name)
known = sorted(ProvidersManager().providers)
layers = [line.count("/store/") for line in open("/proc/self/mountinfo") if " /env " in line]
print(json.dumps({"found": found, "providers": providers, "known": known, "version": version, "layers": layers}))
"""
MODULES = (
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.common.sql.hooks.sql",
    "airflow.providers.cncf.kubernetes.operators.pod",
    "airflow.providers.docker.operators.docker",
    "airflow.providers.fab.auth_manager.fab_auth_manager",
    "airflow.providers.http.operators.http",
    "airflow.providers.openai.hooks.openai",
    "airflow.providers.postgres.hooks.postgres",
    "airflow.providers.ssh.hooks.ssh",
    "airflow.providers.standard.operators.python",
)


@pytest.fixture(scope="module")
def listed() -> list[wheelcache.Distribution]:
    return wheelcache.read_list(wheelcache.AIRFLOW.pins)


@pytest.fixture(scope="module")
def many(listed: list[wheelcache.Distribution]) -> Iterator[PackageIndex]:
    """Of the real distributions those that are listed, and nothing else."""
    folder = wheelcache.default_folder()
    wheelcache.fetch(folder, listed)
    with PackageIndex() as index:
        for item in [*listed, *wheelcache.read_list()]:
            if item in listed or item.filename.startswith("uv-"):
                index.add_file(folder / item.filename, item.sha256)
        yield index


def calls_of(driver: Rundlet, folder: Path, *command: str) -> int:
    """How many system calls it takes, with all its processes."""
    counts = folder / "counts"
    options = ["-f", "-c", "-U", "calls,name", "-o", str(counts)]
    subprocess.run(["strace", *options, *driver.command(*command)], env=driver.environment, check=True)
    rows = [line.split() for line in counts.read_text().splitlines()]
    return sum(int(row[0]) for row in rows if row[0].isdigit() and row[1] != "total")


def kept(state: Path) -> dict[str, int]:
    """The entries of the store and the locks: one that is made again has another inode."""
    folders = [state / name for name in ("wheels", "packages", "lowers", "environments", "skeletons", "locks")]
    return {str(path): path.stat().st_ino for folder in folders for path in folder.iterdir()}


@pytest.mark.timeout(1200)
def test_airflow_with_its_providers(
    rundlet: Rundlet,
    many: PackageIndex,
    listed: list[wheelcache.Distribution],
    image_311: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Row 28: put together as one tree, whole, and started for a few system calls a package."""
    driver = rundlet.with_environment(RUNDLET_INDEX=many.url)
    driver.timeout = 900
    driver.ok("image", "import", "python-3.11", image_311)
    wanted = wheelcache.AIRFLOW.requirements()
    plain = ("exec", "--image", "python-3.11")
    command = (*plain, *(f"--with={one}" for one in wanted), "--")
    assert 300 < len(listed) <= 350

    first = driver.ok(*command, "true")
    assert "`libodbc.so.2`" in first.err  # row 31
    assert len(list((driver.state / "packages").iterdir())) == len(listed)
    (flat,) = driver.state.glob("environments/*/tree")
    files = [path for path in flat.rglob("*") if path.is_file() and not path.is_symlink()]
    assert all(path.stat().st_nlink > 1 for path in files)

    # A second start makes nothing, asks nobody, and takes a bounded number of system calls.
    many.forget()
    before = kept(driver.state)
    again = driver.ok(*command, "true")
    assert kept(driver.state) == before
    calls = calls_of(driver, tmp_path, *command, "true") - calls_of(driver, tmp_path, *plain, "--", "true")
    assert calls < 5 * len(listed)
    assert many.requests == []

    look = driver.ok(*command, "python3", "-c", LOOK, *MODULES)
    seen = json.loads(look.out.splitlines()[-1])  # libraries warn there, too
    assert sorted(f"{normalized(name)}=={version}" for name, version in seen["found"]) == sorted(
        item.requirement for item in listed
    )
    providers = [one.split("==")[0] for one in wanted if "-providers-" in one]
    assert set(providers) < set(seen["providers"])
    assert seen["known"] == seen["providers"]
    assert f"apache-airflow=={seen['version']}" in wanted
    assert seen["layers"] == [2]

    used = subprocess.run(["du", "-sm", driver.state], capture_output=True, text=True, check=True).stdout.split()[0]
    with capsys.disabled():
        print(
            f"\n{len(listed)} distributions, {len(files)} files, {used} MiB of disk: installed in"
            f" {first.seconds:.0f} s, started again in {again.seconds:.2f} s with {calls} system calls more than"
            f" without, imported in {look.seconds:.0f} s"
        )
