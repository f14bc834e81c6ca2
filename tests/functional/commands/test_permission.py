"""No permission: whose fault it is, the reason, and nothing touched."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images import Image
from support.leaks import Allowance
from support.rundlet import Rundlet

NOBODY = 65534
ORDINARY = (
    "error: starting rundlet for an ordinary user\n"
    "caused by: no daemon is running, and sandboxes of your own need a kernel interface that is not used yet\n"
    "hint: run it as root, for instance with sudo\n"
)


def as_nobody(driver: Rundlet, *args: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(
        driver.command(*args),
        env=driver.environment,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory of root's that an ordinary user may enter, unlike pytest's own."""
    folder = Path("/var/tmp") / f"rundlet-test-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("command", [("image", "ls"), ("package", "ls"), ("runs", "ls"), ("run", "{}"), ("plan", "{}")])
def test_ordinary_user(reachable: Path, command: tuple[str, ...]) -> None:
    (reachable / "pipeline.py").write_text("import rundlet\n")
    driver = Rundlet(reachable / "state")
    told = as_nobody(driver, *(part.format(reachable) for part in command))
    assert told == (3, "", ORDINARY)
    assert not driver.state.exists()


def test_exec_of_an_ordinary_user(reachable: Path) -> None:
    driver = Rundlet(reachable / "state")
    assert as_nobody(driver, "exec", "--", "true") == (125, "", ORDINARY)
    assert not driver.state.exists()


def test_image_that_its_user_may_not_read(reachable: Path) -> None:
    """Opened with the rights of whoever asks, before anything else is done."""
    path = Image([{"a": "x"}]).write_oci_archive(reachable / "image.tar")
    path.chmod(0o600)
    driver = Rundlet(reachable / "state")
    told = as_nobody(driver, "image", "import", "py", path)
    assert told == (3, "", f"error: opening `{path}`\ncaused by: permission denied\n")
    assert not driver.state.exists()


def test_project_that_its_user_may_not_read(reachable: Path) -> None:
    project = reachable / "project"
    project.mkdir(mode=0o700)
    told = as_nobody(Rundlet(reachable / "state"), "run", project)
    assert told == (3, "", f"error: opening `{project}`\ncaused by: permission denied\n")


@pytest.fixture
def read_only(tmp_path: Path, no_leaks: Allowance) -> Iterator[Path]:
    folder = tmp_path / "read-only"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_state_directory_that_cannot_be_made(read_only: Path) -> None:
    driver = Rundlet(read_only / "state")
    done = driver("image", "ls").check(3)
    assert done.err == f"error: creating state directory `{driver.state}`\ncaused by: read-only file system\n"


def test_state_directory_that_cannot_be_written(rundlet: Rundlet, tmp_path: Path) -> None:
    rundlet.ok("image", "ls")
    subprocess.run(["mount", "--bind", rundlet.state, rundlet.state], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", rundlet.state], check=True)
        layout = Image([{"a": "x"}]).write_layout(tmp_path / "image")
        done = rundlet("-q", "image", "import", "py", layout).check(3)
        assert done.err.startswith("error: importing image `py`\ncaused by: opening `leases/layers-")
        assert done.err.endswith("`\ncaused by: read-only file system\n")
    finally:
        subprocess.run(["umount", rundlet.state], check=True)


def refused(driver: Rundlet) -> str:
    before = os.stat(driver.state)
    done = driver("image", "ls").check(3)
    after = os.stat(driver.state)
    assert (after.st_uid, after.st_mode, after.st_mtime_ns) == (before.st_uid, before.st_mode, before.st_mtime_ns)
    assert done.out == ""
    return done.err


def test_state_directory_of_another_owner(rundlet: Rundlet) -> None:
    rundlet.ok("image", "ls")
    os.chown(rundlet.state, NOBODY, NOBODY)
    assert refused(rundlet) == (
        f"error: opening state directory `{rundlet.state}`\n"
        "caused by: it belongs to uid 65534, not to uid 0\n"
        "hint: choose another directory with --state\n"
    )


@pytest.mark.parametrize("made_by", ["its user", "rundlet"])
@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_state_directory_that_others_may_write_to(rundlet: Rundlet, made_by: str, mode: int) -> None:
    if made_by == "rundlet":
        rundlet.ok("image", "ls")
    else:
        rundlet.state.mkdir()
    rundlet.state.chmod(mode)
    assert refused(rundlet) == (
        f"error: opening state directory `{rundlet.state}`\n"
        f"caused by: others may write to it (mode {mode:04o})\n"
        "hint: choose another directory with --state\n"
    )


@pytest.mark.parametrize("mode", [0o750, 0o705])
def test_state_directory_that_others_may_enter(rundlet: Rundlet, mode: int) -> None:
    rundlet.ok("image", "ls")
    rundlet.state.chmod(mode)
    assert refused(rundlet) == (
        f"error: opening state directory `{rundlet.state}`\n"
        f"caused by: others may enter it (mode {mode:04o})\n"
        f"hint: chmod 700 {rundlet.state}\n"
    )
    rundlet.state.chmod(0o700)
    rundlet.ok("image", "ls")


def test_empty_directory_is_closed_to_others(rundlet: Rundlet) -> None:
    rundlet.state.mkdir(mode=0o755)
    rundlet.ok("image", "ls")
    assert stat.S_IMODE(rundlet.state.stat().st_mode) == 0o700


def test_state_directory_that_is_a_link(rundlet: Rundlet, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    rundlet.state.symlink_to(tmp_path / "elsewhere")
    assert refused(rundlet) == (
        f"error: opening state directory `{rundlet.state}`\n"
        "caused by: it is a symbolic link\n"
        "hint: name the directory itself with --state\n"
    )
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.fixture
def ram(tmp_path: Path, no_leaks: Allowance) -> Iterator[Path]:
    """A file system whose mounts cannot shift the owners of files, on any kernel."""
    folder = tmp_path / "ram"
    folder.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "-o", "mode=0755", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_state_directory_whose_owners_cannot_be_shifted(ram: Path, tmp_path: Path) -> None:
    layout = Image([{"data": "x"}]).write_layout(tmp_path / "image")
    done = Rundlet(ram / "state")("-q", "image", "import", "py", layout).check(3)
    assert done.err.startswith("error: importing image `py`\n")
    assert done.err.count("error:") == 1
    assert done.err.endswith(
        "caused by: invalid argument\n"
        "hint: where the file system of the state directory cannot shift owners (tmpfs can since Linux 6.3), "
        "choose another with --state\n"
    )
