"""Packages as one directory, and each by itself on PYTHONPATH: where both agree, and where the second cannot."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest

from support.rundlet import Result, Rundlet, exec_command
from support.servers.index import PackageIndex
from support.shared_objects import NATIVE, SUFFIX, with_library
from support.wheels import Wheel, module, pkgutil_namespace

IMAGE = ("--image", "python-3.11")
COMPOSITIONS = ("overlay", "binds")
SITE = "/env/lib/python3.11/site-packages"

# Imports what it is told to and says, as JSON and without the prefixes, what came from where.
LOOK = r"""
import importlib, importlib.metadata as metadata, json, re, shutil, subprocess, sys

def plain(path):
    return re.sub(r"^(/env|/rundlet/packages/\d+)/", "", str(path))

names, programs = (text.split(",") for text in sys.argv[1:])
for name in names:
    importlib.import_module(name)
modules = {}
for name, loaded in sys.modules.items():
    origin = getattr(loaded.__spec__, "origin", None) if getattr(loaded, "__spec__", None) else None
    modules[name] = [plain(origin), plain(getattr(loaded, "__cached__", None))]
found = {}
for one in metadata.distributions():
    points = sorted(map(str, one.entry_points))
    files = sorted(plain(one.locate_file(file).resolve()) for file in one.files)
    found[one.name] = [one.version, sorted(one.requires or ()), points, files]
said = {name: [plain(shutil.which(name)), subprocess.check_output([name], text=True)] for name in programs}
print(json.dumps({"modules": modules, "distributions": found, "programs": said}))
"""


def run(driver: Rundlet, composition: str, requirements: list[str], *command: str) -> Result:
    return driver(*exec_command(requirements, *command, options=("--composition", composition)), timeout=600)


def look(driver: Rundlet, composition: str, requirements: list[str], names: str, programs: str) -> dict[str, Any]:
    done = run(driver, composition, requirements, "python3", "-c", LOOK, names, programs).check(0)
    return json.loads(done.out)  # type: ignore[no-any-return]


def test_both_agree(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("agree-base"))
    index.add(
        Wheel(
            "agree-top",
            files={"agree_top/__init__.py": "import agree_base\n\ndef main():\n    print(agree_base.__version__)\n"},
            requires=["agree-base"],
            entry_points={"console_scripts": {"agree-program": "agree_top:main"}, "agreed": {"top": "agree_top:main"}},
        )
    )
    for part in ("one", "two"):
        points = {"agreed": {part: f"agree_space.{part}:x"}}
        index.add(Wheel(f"agree-{part}", files={f"agree_space/{part}.py": ""}, entry_points=points))
    for wheel in pkgutil_namespace("agree_old", "one", "two"):
        index.add(wheel)
    soname = "libagreed-1a2b.so.1"
    user, bundled = with_library("_agree_native", soname, "agreed", "$ORIGIN/agree_native.libs")
    files = {f"_agree_native.{SUFFIX}": user, f"agree_native.libs/{soname}": bundled}
    index.add(Wheel("agree-native", files=files, data={"scripts/agree-script": "#!python\nprint('ran')\n"}, **NATIVE))
    requirements = ["agree-top", "agree-one", "agree-two", "agree-old-one", "agree-old-two", "agree-native"]
    names = "agree_top,agree_space.one,agree_space.two,agree_old.one,agree_old.two,_agree_native"
    overlay, binds = (look(warm, one, requirements, names, "agree-program,agree-script") for one in COMPOSITIONS)
    assert binds == overlay
    assert binds["modules"]["agree_top"] == [
        "lib/python3.11/site-packages/agree_top/__init__.py",
        "lib/python3.11/site-packages/agree_top/__pycache__/__init__.cpython-311.pyc",
    ]
    assert sorted(binds["distributions"]) == sorted(["agree-base", *requirements])
    assert binds["programs"] == {
        "agree-program": ["bin/agree-program", "1.0\n"],
        "agree-script": ["bin/agree-script", "ran\n"],
    }


def test_both_agree_on_real_packages(warm: Rundlet) -> None:
    names = "pandas,numpy.linalg,dateutil.parser,pytz"
    overlay, binds = (look(warm, one, ["pandas==2.2.3"], names, "f2py") for one in COMPOSITIONS)
    assert binds == overlay
    assert len(binds["modules"]) > 500


@dataclass(frozen=True)
class Difference:
    """What a program prints, or the last line of its failure, in each."""

    name: str
    requirement: str
    code: str
    overlay: str
    binds: str


def wheels_that_tell() -> list[Wheel]:
    init = {"tell_shared/__init__.py": ""}
    soname = "libtell.so.1"
    user, sibling = with_library("_tell", soname, "from the sibling", "$ORIGIN/tell_sibling")
    return [
        module("tell"),
        Wheel("tell-pth", files={"tell.pth": "tell_more\n", "tell_more/tell_added.py": ""}),
        Wheel("tell-first", files={**init, "tell_shared/first/__init__.py": ""}),
        Wheel("tell-second", files={**init, "tell_shared/second/__init__.py": ""}, requires=["tell-first"]),
        Wheel("tell-sibling", files={f"tell_sibling/{soname}": sibling}, **NATIVE),
        Wheel("tell-user", files={f"_tell.{SUFFIX}": user}, requires=["tell-sibling"], **NATIVE),
        Wheel("statistics", files={"statistics.py": ""}),
        Wheel("tell-data", files={"tell_data.py": ""}, data={"data/share/tell/a.txt": "a"}),
    ]


DIFFERENCES = [
    Difference(
        ".pth files",
        "tell-pth",
        "import tell_added; print('added')",
        "added",
        "ModuleNotFoundError: No module named 'tell_added'",
    ),
    Difference(
        "a package whose parts are in several distributions, each with the same plain `__init__`",
        "tell-second",
        "import tell_shared.first, tell_shared.second; print('both')",
        "both",
        "ModuleNotFoundError: No module named 'tell_shared.second'",
    ),
    Difference(
        "libraries found beside another distribution",
        "tell-user",
        "import _tell; print(_tell.value)",
        "from the sibling",
        "ImportError: libtell.so.1: cannot open shared object file: No such file or directory",
    ),
    Difference(
        "backports of the standard library",
        "statistics",
        "import statistics; print(hasattr(statistics, 'mean'))",
        "True",
        "False",
    ),
    Difference(
        "data below `sys.prefix`",
        "tell-data",
        "import os, sys; print(os.path.exists(f'{sys.prefix}/share/tell/a.txt'))",
        "True",
        "False",
    ),
    Difference(
        "programs that are started without PYTHONPATH",
        "tell",
        "import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', 'import tell; print(1)'])",
        "1",
        "ModuleNotFoundError: No module named 'tell'",
    ),
    Difference(
        "where `site` and `sysconfig` say that packages are",
        "tell",
        "import os, sysconfig; print('tell.py' in os.listdir(sysconfig.get_path('purelib')))",
        "True",
        "False",
    ),
]


@pytest.mark.parametrize("case", DIFFERENCES, ids=lambda case: case.name)
def test_where_they_cannot_agree(warm: Rundlet, index: PackageIndex, case: Difference) -> None:
    for wheel in wheels_that_tell():
        index.add(wheel)

    def last_line(composition: str) -> str:
        done = run(warm, composition, [case.requirement], "python3", "-c", textwrap.dedent(case.code))
        return (done.out or done.err).strip().splitlines()[-1]

    assert (last_line("overlay"), last_line("binds")) == (case.overlay, case.binds)


def test_binds_refuse_what_they_cannot_give(warm: Rundlet) -> None:
    done = warm("exec", *IMAGE, "--composition", "binds", "--with", "six", "--writable-env", "--", "true").check(125)
    assert done.err == (
        "error: making /env writable\ncaused by: packages are not put together there\nhint: leave out --composition\n"
    )
    done = warm("exec", *IMAGE, "--composition", "binds", "--env", "PYTHONPATH=/x", "--", "true").check(125)
    assert done.err == (
        "error: setting `PYTHONPATH`\ncaused by: it says where the packages are\nhint: leave out --composition\n"
    )
