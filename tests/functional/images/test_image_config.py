"""What an image says of users, directories and variables is data: it chooses nothing on the host and breaks nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.images import Image
from support.layouts import add_layers, linked_copy, with_config
from support.rundlet import Rundlet

WHO = "id -u; id -g; id -un; pwd; echo $HOME"
USERS = [
    "root",
    "0",
    "0:0",
    "app:app",
    "4294967296",
    "-1",
    "0:0x",
    "1000 ",
    "\u0661\u0660\u0660\u0660",
    "$(id)",
    ":",
    "a" * 256,
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, small_image: Path) -> Rundlet:
    """Its layers are there: only configurations are new."""
    made = Rundlet(tmp_path_factory.mktemp("config") / "state")
    made.ok("image", "import", "plain", small_image)
    return made


@pytest.mark.parametrize("user", USERS)
def test_user(driver: Rundlet, small_image: Path, tmp_path: Path, user: str) -> None:
    """Shown, and not obeyed: programs are user 1000 in every image."""
    driver.ok("image", "import", "x", with_config(small_image, tmp_path / "x", User=user))
    assert driver.json("image", "inspect", "x")["config"]["user"] == user
    done = driver.ok("exec", "--image", "x", "--", "sh", "-c", WHO)
    assert done.out == "1000\n1000\nstep\n/\n/tmp/home\n"


@pytest.mark.parametrize("user", [0, True, ["root"], "a" * 257, "a\0b"])
def test_user_that_is_none(driver: Rundlet, small_image: Path, tmp_path: Path, user: object) -> None:
    done = driver("image", "import", "y", with_config(small_image, tmp_path / "y", User=user)).check(2)
    assert "caused by: reading an image's config\ncaused by: a text " in done.err


@pytest.mark.parametrize(
    ("directory", "where"),
    [
        ("", "/"),
        ("/usr/lib/", "/usr/lib"),
        ("//usr/./lib/../share", "/usr/share"),
        ("/../../etc", "/etc"),
        ("usr", "/"),
    ],
)
def test_directory(driver: Rundlet, small_image: Path, tmp_path: Path, directory: str, where: str) -> None:
    driver.ok("image", "import", "x", with_config(small_image, tmp_path / "x", WorkingDir=directory))
    assert driver.ok("exec", "--image", "x", "--", "pwd").out == where + "\n"


def test_directory_that_is_not_there(driver: Rundlet, small_image: Path, tmp_path: Path) -> None:
    driver.ok("image", "import", "x", with_config(small_image, tmp_path / "x", WorkingDir="/nowhere"))
    done = driver("exec", "--image", "x", "--", "pwd").check(125)
    assert "caused by: working directory `/nowhere`: no such file or directory\n" in done.err
    assert driver.ok("exec", "--image", "x", "--cwd", "/tmp", "--", "pwd").out == "/tmp\n"


def test_variables(driver: Rundlet, small_image: Path, tmp_path: Path) -> None:
    variables = ["PATH=/usr/bin:/bin", "HOME=/root", "LANG=xx", "OURS=a=b", "RUNDLET_STATE=/nowhere", "EMPTY="]
    driver.ok("image", "import", "x", with_config(small_image, tmp_path / "x", Env=variables))
    done = driver.ok("exec", "--image", "x", "--", "env")
    inside = dict(line.split("=", 1) for line in done.out.splitlines())
    assert inside["OURS"] == "a=b"
    assert inside["EMPTY"] == ""
    assert inside["HOME"] == "/tmp/home"
    assert inside["LANG"] == "C.UTF-8"
    driver.ok("image", "ls")  # of the state that it was, whatever the image says


@pytest.mark.parametrize("variable", ["=x", "x", "a\0=b", 7])
def test_variable_that_is_none(driver: Rundlet, tmp_path: Path, variable: object) -> None:
    image = Image([{"a": "x"}], config={"Env": [variable]})
    driver("image", "import", "y", image.write_layout(tmp_path / "y")).check(2)


def sparse(folder: Path, names: list[str], size: int) -> bytes:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        os.truncate(folder / name, size)
    command = ["tar", "-C", folder, "--format=pax", "-S", "-cf", "-", *names]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def test_accounts_of_a_gigabyte(driver: Rundlet, small_image: Path, tmp_path: Path) -> None:
    """Nobody reads them: every sandbox has files of ours in their places."""
    layer = sparse(tmp_path / "files", ["etc/passwd", "etc/group", "etc/nsswitch.conf"], 1 << 30)
    layout = linked_copy(small_image, tmp_path / "image")
    add_layers(layout, [("none", layer)])
    driver.ok("image", "import", "large", layout)
    script = "id -un; id -gn; cat /etc/passwd /etc/group /etc/nsswitch.conf | wc -c"
    done = driver.ok("exec", "--image", "large", "--memory", "64MiB", "--", "sh", "-c", script)
    user, group, size = done.out.split()
    assert (user, group) == ("step", "step")
    assert int(size) < 1000
