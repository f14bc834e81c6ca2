"""Where a command may write: what its image lets it, also beside and below what is mounted read-only (Landlock)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images import directory, file
from support.layouts import with_layers
from support.rundlet import Rundlet

LAYER = {
    "srv/own": directory(uid=1000, gid=1000),
    "srv/own/deep": directory(uid=1000, gid=1000),
    "srv/group": directory(0o775, gid=1000),
    "srv/all": directory(0o777),
    "srv/root": directory(),
    "srv/file": file("x", 0o666),
    "everybody": directory(0o777),
    "open": file("x", 0o666),
}
# Creates, renames to another directory, truncates and removes, wherever it may.
PROGRAM = """
import os, sys
for place in sys.argv[1:]:
    try:
        if os.path.isdir(place):
            os.mkdir(place + "/one")
            os.mkdir(place + "/two")
            open(place + "/one/file", "w").write("x")
            os.rename(place + "/one/file", place + "/two/file")
            os.link(place + "/two/file", place + "/one/link")
            os.truncate(place + "/two/file", 0)
            os.symlink("x", place + "/one/symlink")
            os.mkfifo(place + "/one/fifo")
        else:
            open(place, "w").write("y")
        print(place, "written")
    except OSError as error:
        print(place, error.strerror)
"""


@pytest.fixture(scope="module")
def own_image(
    shared_state: Rundlet, image_311: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("writing")
    shared_state.ok("image", "import", "writing", with_layers(image_311, folder / "layout", LAYER))
    yield ("--image", "writing")
    shared_state.ok("image", "rm", "writing")  # errors name the images that there are


def written(driver: Rundlet, image: tuple[str, str], *places: str, mounts: tuple[str, ...] = ()) -> dict[str, str]:
    options = [text for mount in mounts for text in ("--mount", mount)]
    out = driver.ok("exec", *image, *options, "--", "python3", "-c", PROGRAM, *places).out
    return dict(line.split(" ", 1) for line in out.splitlines())


ALLOWED = [
    "/srv/own",
    "/srv/own/deep",
    "/srv/group",
    "/srv/all",
    "/srv/file",
    "/everybody",
    "/open",
    "/tmp",
    "/dev/shm",
]
REFUSED = ["/", "/srv", "/srv/root", "/usr", "/etc/passwd"]


@pytest.mark.parametrize("at", [None, "/work", "/srv/in", "/srv/own/in", "/srv/root/in", "/srv/all/in"])
def test_mounts_do_not_take_away_what_the_image_allows(
    shared_state: Rundlet, own_image: tuple[str, str], tmp_path: Path, at: str
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    given.chmod(0o777)
    mounts = (f"{given}:{at}",) if at else ()
    found = written(shared_state, own_image, *ALLOWED, *REFUSED, *([at] if at else []), mounts=mounts)
    assert [place for place in ALLOWED if found[place] != "written"] == []
    assert {found[place] for place in REFUSED} == {"Permission denied"}
    if at:
        assert found[at] == "Read-only file system"
    assert list(given.iterdir()) == []


def test_writable_mounts_are_written(shared_state: Rundlet, own_image: tuple[str, str], tmp_path: Path) -> None:
    given, inner, one = tmp_path / "given", tmp_path / "inner", tmp_path / "one"
    for folder in (given, inner):
        folder.mkdir()
        folder.chmod(0o777)
    (given / "in").mkdir()
    one.write_text("x")
    one.chmod(0o666)
    mounts = (f"{given}:/given:ro", f"{inner}:/given/in:rw", f"{one}:/given.txt:rw")
    found = written(shared_state, own_image, "/given", "/given/in", "/given.txt", mounts=mounts)
    assert found == {"/given": "Read-only file system", "/given/in": "written", "/given.txt": "written"}
    assert sorted(path.name for path in inner.iterdir()) == ["one", "two"]
    assert one.read_text() == "y"


def test_standard_streams_are_opened_again(shared_state: Rundlet, tmp_path: Path) -> None:
    """`> /dev/stdout` opens what it is: here a file and a device of the host."""
    out = tmp_path / "out"
    out.touch()
    out.chmod(0o666)
    program = "echo first; echo second > /dev/stdout; echo third > /dev/stderr"
    command = shared_state.command("exec", "--image", "python-3.11", "--", "sh", "-ec", program)
    with open(out, "ab") as opened:
        subprocess.run(
            command, env=shared_state.environment, stdout=opened, stderr=subprocess.DEVNULL, check=True, timeout=60
        )
    assert out.read_text().splitlines() == ["second"]
