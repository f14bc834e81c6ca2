"""With the real package index: what only it can show. Not in the default run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from functional.conftest import ROOT

from support import wheelcache
from support.rundlet import Rundlet, program

pytestmark = pytest.mark.index


def test_a_real_package_from_the_real_index(rundlet: Rundlet, image_311: Path) -> None:
    rundlet.environment.pop("RUNDLET_INDEX", None)
    rundlet.ok("image", "import", "python-3.11", image_311)
    done = rundlet("exec", "--with", "six==1.17.0", "--", "python", "-c", "import six; print(six.__version__)")
    assert done.check().out == "1.17.0\n"


def test_a_name_that_the_real_index_does_not_have(rundlet: Rundlet, image_311: Path) -> None:
    rundlet.environment.pop("RUNDLET_INDEX", None)
    rundlet.ok("image", "import", "python-3.11", image_311)
    done = rundlet("-q", "exec", "--with", "rundlet-has-no-such-distribution", "--", "true").check(125)
    assert done.err == (
        "error: resolving the packages of this command for Python 3.11.2\n"
        "caused by: resolving the requirements\n"
        "caused by: `rundlet-has-no-such-distribution` was not found in the package index\n"
        "hint: check the spelling of its name\n"
    )


# What is meant to differ (docs/adr/0002-native-wheel-installer.md): each installer's own notes, and RECORD, which lists
# them; bytecode; programs that an installer makes, which name its own Python.
NOTES = re.compile(r"lib/python3\.11/site-packages/[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)")
INSPECT = ROOT / "tests/support/inspect_environment.py"
# Runs a command in an image's tree, a writable copy: SCRIPT LOWERS FOLDER WHEELS COMMAND...
IN_IMAGE = """
set -e
mkdir -p "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
mkdir -p "$2/root/wheels" "$2/root/proc" "$2/root/dev"
mount --bind "$3" "$2/root/wheels"
mount -t proc proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
mount -t tmpfs tmpfs "$2/root/tmp"
root=$2
shift 3
exec chroot "$root/root" /usr/bin/env -i HOME=/tmp/home PATH=/usr/bin:/bin LANG=C.UTF-8 "$@"
"""
# What does not import, with pip as with us: the image lacks a library; and once pip is imported, which pip-system-certs
# does at every start, setuptools takes the standard library's distutils for a mistake.
NOT_IMPORTED = {
    "cv2": "ImportError: libxcb.so.1: cannot open shared object file: No such file or directory",
    "setuptools": "AssertionError: /usr/lib/python3.11/distutils/core.py",
}
Tree = dict[str, tuple[bool, str]]


class PipInImage:
    """A venv at /env of the image, filled by pip from the files of a folder."""

    def __init__(self, driver: Rundlet, image: str, folder: Path, wheels: Path) -> None:
        layers = [layer["diff_id"] for layer in driver.json("image", "inspect", image)["layers"]]
        trees = [driver.state / "layers" / one.removeprefix("sha256:") / "tree" for one in layers]
        self.lowers = ":".join(str(tree) for tree in reversed(trees))
        self.folder, self.wheels = folder, wheels
        (folder / "upper").mkdir()
        shutil.copy(next(Path("/usr/share/python-wheels").glob("pip-*.whl")), folder / "upper/pip.whl")

    def run(self, *command: str) -> str:
        inside = ["sh", "-c", IN_IMAGE, "sh", self.lowers, str(self.folder), str(self.wheels), *command]
        namespaces = ["--mount", "--pid", "--fork", "--net", "--ipc", "--propagation", "private"]
        done = subprocess.run(["unshare", *namespaces, *inside], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    def install(self, files: list[str]) -> None:
        self.run("python3", "-m", "venv", "--without-pip", "/env")
        self.empty = tree_of(self.prefix).keys()
        options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", "-q"]
        install = ["/env/bin/python", "/pip.whl/pip", "install", *options]
        self.run(*install, *(f"/wheels/{name}" for name in files if name.endswith(".whl")))
        # What has no wheel is built beside setuptools alone, as pip would with an index at hand.
        self.run("python3", "-m", "venv", "--without-pip", "/build")
        backend = next(name for name in files if name.startswith("setuptools-"))
        build = ["/build/bin/python", "/pip.whl/pip"]
        self.run(*build, "install", *options, f"/wheels/{backend}")
        sources = [f"/wheels/{name}" for name in files if not name.endswith(".whl")]
        self.run(*build, "wheel", *options[:2], "-q", "--no-build-isolation", "-w", "/built", *sources)
        self.run("sh", "-c", f"{' '.join(install)} /built/*.whl")

    def tree(self) -> Tree:
        return {name: entry for name, entry in tree_of(self.prefix).items() if name not in self.empty}

    @property
    def prefix(self) -> Path:
        return self.folder / "upper/env"


def tree_of(root: Path) -> Tree:
    """Whether each file may be executed, and the digest of its content."""
    found: Tree = {}
    for path in root.rglob("*"):
        name, info = str(path.relative_to(root)), path.lstat()
        if stat.S_ISLNK(info.st_mode):
            found[name] = (False, f"-> {os.readlink(path)}")
        if not stat.S_ISREG(info.st_mode) or NOTES.fullmatch(name) or name.endswith(".pyc"):
            continue
        with open(path, "rb") as opened:
            found[name] = (bool(info.st_mode & 0o111), hashlib.file_digest(opened, "sha256").hexdigest())
    return found


@pytest.mark.timeout(3600)
def test_forty_packages_are_what_pip_makes_of_them(
    rundlet: Rundlet, image_311: Path, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """With all they pull in: files, metadata, programs and imports, in the same image."""
    rundlet.environment.pop("RUNDLET_INDEX", None)
    rundlet.timeout = 1800
    rundlet.ok("image", "import", "python-3.11", image_311)
    listed = wheelcache.read_list(wheelcache.FORTY_LIST)
    folder = wheelcache.default_folder()
    wheelcache.fetch(folder, listed)
    pins = [f"--with={one}" for one in sorted({item.requirement for item in listed})]
    pins += [f"--build={one.split('==')[0]}" for one in wheelcache.FORTY_SOURCES]
    command = ("exec", "--image", "python-3.11", *pins, "--", "python3")
    here = json.loads(rundlet.ok(*command, "-", "/env", input=INSPECT.read_bytes()).out)
    assert rundlet.ok(*command, "-m", "pip", "check").out == "No broken requirements found.\n"

    pip = PipInImage(rundlet, "python-3.11", tmp_path, folder)
    pip.install([item.filename for item in listed])
    theirs = pip.tree()  # before anything runs there, which may write
    (tmp_path / "upper/inspect.py").write_bytes(INSPECT.read_bytes())
    there = json.loads(pip.run("/env/bin/python", "/inspect.py", "/env"))

    assert here["distributions"] == there["distributions"]
    assert len(here["distributions"]) == len(listed)
    assert here["scripts"] == there["scripts"]
    assert here["modules"] == there["modules"]
    assert {name: end for name, end in here["modules"].items() if end != "ok"} == NOT_IMPORTED

    (flat,) = rundlet.state.glob("environments/*/tree")
    mine = {name: entry for name, entry in tree_of(flat).items() if name not in pip.empty}
    assert mine.keys() ^ theirs.keys() == {"bin/pip3.11"}  # pip gives its own program one more name than its wheel says
    made = {name for name in mine if name.startswith("bin/")}  # they name their installer's Python
    differ = {name for name in mine.keys() - made if mine[name] != theirs[name]}
    assert differ == set()
    assert [name for name in made if not mine[name][0]] == []
    for name, count in (
        ("distributions", len(listed)),
        ("files", len(mine)),
        ("programs", len(here["scripts"])),
        ("modules", len(here["modules"])),
        ("programs without a target", {name: end for name, end in here["scripts"].items() if end[1:] != [True, "ok"]}),
    ):
        record_testsuite_property(name, count)


def test_a_round_of_the_pipeline_benchmark(image_311: Path) -> None:
    """It runs, with a package of the real index more in one step. What it measures is for quiet machines."""
    command = [sys.executable, str(ROOT / "bench/pipeline"), str(image_311), "--rundlet", str(program())]
    command += ["--rounds", "1", "--again", "1", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    rows = ["first run", "prophet added", "again", "again, nothing to do", "plan", "plan, one file changed"]
    times = json.loads(done.stdout)
    assert list(times) == rows
    assert times["again, nothing to do"] < times["prophet added"]
