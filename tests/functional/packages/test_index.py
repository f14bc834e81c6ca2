"""With the real package index: what only it can show. Not in the default run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from functional.conftest import ROOT, fill
from functional.packages.test_credentials import CREDENTIALS, SECRET, holders

from support import wheelcache
from support.installed_tree import Tree, differences, programs_in, tree_of
from support.rundlet import Result, Rundlet, exec_command, program
from support.servers.index import JSON_TYPE, PackageIndex
from support.wheels import module

pytestmark = pytest.mark.index

PUBLIC = "https://pypi.org/simple"  # the index that is asked when RUNDLET_INDEX names none


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory, image_311: Path) -> Iterator[Rundlet]:
    """A state directory whose packages come from the real index."""
    state = tmp_path_factory.mktemp("public") / "state"
    driver = Rundlet(state)
    driver.environment.pop("RUNDLET_INDEX", None)
    driver.ok("image", "import", "python-3.11", image_311, timeout=300)
    yield driver
    subprocess.run(["rm", "-rf", "--one-file-system", str(state)], check=False)


def python(driver: Rundlet, code: str, *requirements: str) -> Result:
    return driver(*exec_command(requirements, "python3", "-c", code), timeout=300)


def test_a_real_package_from_the_real_index(public: Rundlet) -> None:
    assert python(public, "import six; print(six.__version__)", "six==1.17.0").check().out == "1.17.0\n"


def test_a_name_that_the_real_index_does_not_have(public: Rundlet) -> None:
    done = public("-q", "exec", "--with", "rundlet-has-no-such-distribution", "--", "true").check(125)
    assert done.err == (
        "error: resolving the packages of this command for Python 3.11.2\n"
        "caused by: resolving the requirements\n"
        "caused by: `rundlet-has-no-such-distribution` was not found in the package index\n"
        "hint: check the spelling of its name\n"
    )


def test_real_distributions_with_the_same_file(public: Rundlet) -> None:
    """Row 13: both have a package `jwt`."""
    both = ("jwt==1.4.0", "PyJWT==2.10.1")
    error = python(public, "pass", *both).check(125).err
    assert "`jwt 1.4.0`" in error
    assert "`pyjwt 2.10.1`" in error
    command = exec_command(both, "python3", "-c", "import jwt; print(jwt.__version__)", options=("--prefer", "pyjwt"))
    assert public.ok(*command).out == "2.10.1\n"


def test_a_real_release_that_was_yanked(public: Rundlet) -> None:
    """Row 24."""
    done = python(public, "import attr; print(attr.__version__)", "attrs==21.1.0").check()
    assert done.out == "21.1.0\n"
    assert "yanked" in done.err


def test_markers_and_spelling_of_real_packages(public: Rundlet) -> None:
    """Rows 26 and 36."""
    code = "import importlib.metadata as m; print(sorted(one.name for one in m.distributions()))"
    markers = 'pywin32==311; sys_platform == "win32"'
    out = python(public, code, markers, "markdown-it-py[linkify]==3.0.0").check().out
    assert "'linkify-it-py', 'markdown-it-py', 'mdurl'" in out
    assert "pywin32" not in out
    locks = len(list(public.state.glob("locks/*")))
    python(public, code, "Markdown.It_Py[Linkify] == 3.0.0", markers).check()
    assert len(list(public.state.glob("locks/*"))) == locks


def url_of(name: str, filename: str) -> tuple[str, str]:
    """Where the public index has this file, and its hash."""
    request = urllib.request.Request(f"{PUBLIC}/{name}/", headers={"Accept": JSON_TYPE})
    with urllib.request.urlopen(request, timeout=60) as page:
        (file,) = [one for one in json.load(page)["files"] if one["filename"] == filename]
    return file["url"], file["hashes"]["sha256"]


def test_files_of_the_real_index_by_url(public: Rundlet) -> None:
    """Row 25: a wheel, and an archive that is built."""
    wheel, digest = url_of("six", "six-1.17.0-py2.py3-none-any.whl")
    code = "import six; print(six.__version__)"
    assert python(public, code, f"six @ {wheel}").check().out == "1.17.0\n"
    assert python(public, code, f"six @ {wheel}#sha256={digest}").check().out == "1.17.0\n"
    assert digest in python(public, code, f"six @ {wheel}#sha256={'1' * 64}").check(125).err

    archive, digest = url_of("docopt", "docopt-0.6.2.tar.gz")
    code = "import docopt; print(docopt.__version__)"
    assert "`--build docopt`" in python(public, code, f"docopt @ {archive}").check(125).err
    command = exec_command([f"docopt @ {archive}"], "python3", "-c", code, options=("--build", "docopt"))
    assert public.ok(*command, timeout=300).out == "0.6.2\n"
    # Pinned to what they were: nobody is asked again.
    assert public.ok("--offline", *command).out == "0.6.2\n"
    wrong = exec_command([f"docopt @ {archive}#sha256={'1' * 64}"], "true", options=("--build", "docopt"))
    assert digest in public(*wrong).check(125).err


def test_one_package_of_the_real_index_in_a_project(
    public: Rundlet, real_wheels: list[wheelcache.Distribution], project: Path, tmp_path: Path
) -> None:
    """Row 23: all others come from the administrator's index, which asks for credentials."""
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login reader password {SECRET}\n")
    (tmp_path / "netrc").chmod(0o600)
    pin = f'[[index]]\nname = "public"\nurl = "{PUBLIC}"\npackages = ["idna"]\n'
    settings = '[python]\nversion = "3.11"\npip = ["pyarrow==22.0.0", "idna==3.10", "inner"{more}]\n'
    settings += '[images]\n"3.11" = "python-3.11"\n' + pin
    (project / "pipeline.py").write_text(
        "import rundlet\n\n\n@rundlet.model()\ndef versions():\n    import idna, inner, pyarrow\n\n"
        "    return pyarrow.table({'idna': [idna.__version__], 'inner': [inner.__version__]})\n"
    )
    with PackageIndex(credentials=CREDENTIALS) as index:
        fill(index, real_wheels)
        index.add(module("inner", "1.0", requires=["idna"]))
        index.add(module("idna", "3.10"))  # of the same version, and nobody wants it
        driver = public.with_environment(RUNDLET_INDEX=index.url, NETRC=str(tmp_path / "netrc"))
        (project / "rundlet.toml").write_text(settings.format(more=""))
        locked = driver.ok("-v", "lock", project)
        text = (project / "pylock.toml").read_text()
        assert url_of("idna", "idna-3.10-py3-none-any.whl")[1] in text
        ran = driver.ok("-v", "-o", "json", "run", project)
        assert ran.json["previews"]["versions"]["rows"] == [["3.10", "1.0"]]
        assert index.count("/simple/idna/") == 0
        assert index.count("/simple/inner/") > 0
        # What the project did not name is not looked for there.
        (project / "rundlet.toml").write_text(settings.format(more=', "idna-ssl"'))
        missing = driver("-v", "lock", project).check(2)
        assert "`idna-ssl` was not found in the package index" in missing.err
    for said in (text, *(part for done in (locked, ran, missing) for part in (done.out, done.err))):
        assert SECRET not in said
    assert holders(public.state) == []


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


@pytest.mark.timeout(3600)
def test_forty_packages_are_what_pip_makes_of_them(
    rundlet: Rundlet, image_311: Path, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """With all they pull in: files, metadata, programs and imports, in the same image."""
    rundlet.environment.pop("RUNDLET_INDEX", None)
    rundlet.timeout = 1800
    rundlet.ok("image", "import", "python-3.11", image_311)
    listed = wheelcache.read_list(wheelcache.FORTY.pins)
    folder = wheelcache.default_folder()
    wheelcache.fetch(folder, listed)
    pins = [f"--with={one}" for one in sorted({item.requirement for item in listed})]
    pins += [f"--build={one.split('==')[0]}" for one in wheelcache.FORTY.sources]
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
    # pip gives its own program one more name than its wheel says.
    assert differences(mine, theirs) == ({"bin/pip3.11"}, set())
    assert [name for name in programs_in(mine) if not mine[name][0]] == []
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
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    rows = ["first run", "prophet added", "again", "again, nothing to do", "plan", "plan, one file changed"]
    times = json.loads(done.stdout)
    assert list(times) == rows
    assert times["again, nothing to do"] < times["prophet added"]
