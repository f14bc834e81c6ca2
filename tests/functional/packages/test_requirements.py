"""Requirements in every form, locks, and what is refused or warned of when packages are chosen."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from support.rundlet import Result, Rundlet
from support.servers.index import PackageIndex
from support.shared_objects import extension, library
from support.wheels import Wheel, module

IMAGE = ("--image", "python-3.11")
NATIVE = {"python": "cp311", "abi": "cp311", "platform": "manylinux_2_17_x86_64"}
NAMES = """
from importlib.metadata import distributions
print(*sorted(f"{one.name} {one.version}" for one in distributions()), sep=", ")
"""


def exec_options(driver: Rundlet, *options: object, code: str = NAMES) -> Result:
    return driver("exec", *IMAGE, *options, "--", "python3", "-c", code)  # type: ignore[arg-type]


def names(driver: Rundlet, *options: object) -> str:
    return exec_options(driver, *options).check(0).out.strip()


def refused(driver: Rundlet, *options: object) -> str:
    done = exec_options(driver, *options, code="print('ran')").check(125)
    assert done.out == ""
    return done.err


def test_collision_with_a_choice(warm: Rundlet) -> None:
    error = refused(warm, "--with", "clash-a", "--with", "clash-b")
    assert "clash-a 1.0" in error
    assert "clash-b 1.0" in error
    assert "--prefer" in error
    both = ("--with", "clash-a", "--with", "clash-b")
    code = "import clash; print(clash.owner)"
    for preferred in ("a", "b"):
        done = exec_options(warm, *both, "--prefer", f"clash-{preferred}", code=code).check(0)
        assert done.out.strip() == preferred
        assert "clash.py" in done.err
    assert "not in it" in refused(warm, *both, "--prefer", "clash-c")
    assert "--prefer" in refused(warm, *both)  # what others chose is not this command's word


def test_preferred_names_that_look_like_keys(warm: Rundlet) -> None:
    """What is kept of an environment of two packages is not found by one, however its choice is called."""
    both = ("--with", "leaf", "--with", "tiny")
    for _ in range(2):  # once its bytecode is there, it is kept
        exec_options(warm, *both).check(0)
    tree = "tree/lib/python3.11/site-packages/tiny.py"
    keys = [next((warm.state / folder).glob(f"*/{tree}")).parents[4].name for folder in ("packages", "lowers")]
    preferred = [part for key in keys for part in ("--prefer", key)]
    assert "not in it" in refused(warm, "--with", "leaf", *preferred)


def test_yanked_release_is_warned_of(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("withdrawn"), yanked="broken on Tuesdays")
    for _ in range(2):  # resolved, and from the kept lock
        done = exec_options(warm, "--with", "withdrawn==1.0").check(0)
        assert "withdrawn" in done.err
        assert "broken on Tuesdays" in done.err
    assert "yanked" in refused(warm, "--with", "withdrawn")


def test_hashes_are_held(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    wheel = Wheel("hashed", files={"hashed.py": ""}, requires=["hashed-part"])
    part = module("hashed-part")
    index.add(wheel)
    index.add(part)
    file = tmp_path / "requirements.txt"

    def write(first: str, second: str) -> None:
        file.write_text(f"hashed==1.0 \\\n  --hash=sha256:{first}\nhashed-part==1.0 --hash=sha256:{second}\n")

    write(wheel.sha256, part.sha256)
    assert names(warm, "-r", file) == "hashed 1.0, hashed-part 1.0"
    write(wheel.sha256, "0" * 64)
    assert "hashed-part" in refused(warm, "-r", file)
    file.write_text(f"hashed==1.0 --hash=sha256:{wheel.sha256}\n")
    assert "hashed-part" in refused(warm, "-r", file)
    file.write_text(f"hashed==1.0 --hash=sha256:{wheel.sha256}\nhashed-part==1.0\n")
    error = refused(warm, "-r", file)
    assert "no --hash" in error
    assert "hashed-part==1.0" in error


def test_requirements_file(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    for version in ("1.0", "1.5", "2.0"):
        index.add(module("listed", version))
        index.add(module("bounded", version))
    index.add(module("included", requires=["bounded"]))
    (tmp_path / "sub").mkdir()
    (tmp_path / "requirements.txt").write_text(
        "# comment\nlisted<2  # another\n-r sub/more.txt\n-c bounds.txt\nwindows; sys_platform == 'win32'\n"
    )
    (tmp_path / "sub/more.txt").write_text("included\n")
    (tmp_path / "bounds.txt").write_text("bounded<1.5\nnot-asked-for==9\n")
    assert names(warm, "-r", tmp_path / "requirements.txt") == "bounded 1.0, included 1.0, listed 1.5"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("--index-url http://127.0.0.1:1/simple", "does not choose"),
        ("--extra-index-url=http://127.0.0.1:1/simple", "does not choose"),
        ("-f http://127.0.0.1:1/", "does not choose"),
        ("-e .", "editable"),
        ("--pre", "not known"),
        ("tiny --hash=md5:00", "--hash"),
    ],
)
def test_requirements_file_with_other_options(warm: Rundlet, tmp_path: Path, line: str, word: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"tiny\n{line}\n")
    error = refused(warm, "-r", file)
    assert word in error
    assert "line 2" in error


def test_dependency_groups(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    for name in ("of-project", "of-group", "of-other"):
        index.add(module(name))
    file = tmp_path / "pyproject.toml"
    file.write_text(
        textwrap.dedent("""
            [project]
            name = "mine"
            dependencies = ["of-project"]
            [dependency-groups]
            Dev_Tools = ["of-group", {include-group = "other"}]
            other = ["of-other"]
            loop = [{include-group = "loop"}]
        """)
    )
    assert names(warm, "-r", file) == "of-project 1.0"
    assert names(warm, "-r", f"{file}:dev-tools") == "of-group 1.0, of-other 1.0"
    assert "no group `absent`" in refused(warm, "-r", f"{file}:absent")
    assert "include each other" in refused(warm, "-r", f"{file}:loop")


def test_files_of_a_project(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    """In the defaults and in a step's own words; paths are the project's."""
    for name in ("of-defaults", "of-step", "of-group"):
        index.add(module(name))
    (project / "rundlet.toml").write_text(
        '[python]\nversion = "3.11"\npip = ["-r more/requirements.txt"]\n[images]\n"3.11" = "python-3.11"\n'
    )
    (project / "more").mkdir()
    (project / "more/requirements.txt").write_text("of-defaults ; python_version > '3'\npyarrow==22.0.0\n")
    (project / "pyproject.toml").write_text('[dependency-groups]\ndev = ["of-group", "pyarrow==22.0.0"]\n')
    step = (
        "def {0}():\n    import pyarrow\n    from importlib.metadata import distributions\n\n"
        "    return pyarrow.table({{'names': [','.join(sorted(one.name for one in distributions()))]}})\n\n\n"
    )
    own = '@rundlet.python("3.11", pip=["-r pyproject.toml:dev", "of-step"])\n'
    (project / "pipeline.py").write_text(
        "import rundlet\n\n\n@rundlet.model()\n"
        + step.format("defaults")
        + "@rundlet.model()\n"
        + own
        + step.format("own")
    )
    previews = warm.json("run", project)["previews"]
    assert previews["defaults"]["rows"] == [["of-defaults,pyarrow"]]
    assert previews["own"]["rows"] == [["of-group,of-step,pyarrow"]]


def test_wheel_by_path(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    index.add(module("of-index"))
    path = Wheel("by-path", files={"by_path.py": "x = 1\n"}, requires=["of-index"]).write(tmp_path)
    for requirement in (str(path), f"by-path @ file://{path}"):
        assert names(warm, "--with", requirement) == "by-path 1.0, of-index 1.0"
    # Known by its content: another file of the same name is another package.
    Wheel("by-path", files={"by_path.py": "x = 2\n"}).write(tmp_path)
    done = exec_options(warm, "--with", path, code="import by_path; print(by_path.x)").check(0)
    assert done.out == "2\n"
    index.forget()
    assert names(warm, "--with", path) == "by-path 1.0"
    assert index.requests == []


def test_wheel_by_url(warm: Rundlet, index: PackageIndex) -> None:
    wheel = module("by-url", requires=["tiny==1.0"])
    path = index.add_bytes(wheel.filename, wheel.to_bytes(), project="elsewhere")
    url = f"{index.base}{path}"
    assert names(warm, "--with", f"by-url @ {url}") == "by-url 1.0, tiny 1.0"
    assert names(warm, "--with", f"by-url @ {url}#sha256={wheel.sha256} ; python_version > '3'").startswith("by-url")
    error = refused(warm, "--with", f"by-url @ {url}#sha256={'1' * 64}")
    assert wheel.sha256 in error
    index.forget()
    assert names(warm, "--with", f"by-url @ {url}") == "by-url 1.0, tiny 1.0"
    assert index.requests == []


@pytest.mark.parametrize(
    ("requirement", "word"),
    [
        ("pkg @ git+https://host.invalid/pkg.git@v1", "`--build pkg`"),
        ("pkg @ git+ssh://git@host.invalid/pkg.git", "by https alone"),
        ("pkg @ git+https://host.invalid/pkg.git@v1#subdirectory=x", "the repository's root"),
        ("-e .", "editable"),
        ("--editable=.", "editable"),
        ("./pkg-1.0.tar.gz", "not a wheel"),
        ("pkg @ https://host.invalid/pkg-1.0.zip", "`--build pkg`"),
        ("pkg @ https://host.invalid/pkg-1.0.rpm", "neither a wheel nor a source archive"),
        ("pkg @ https://user:word@host.invalid/pkg-1.0-py3-none-any.whl", "not a plain"),
    ],
)
def test_refused_forms(warm: Rundlet, requirement: str, word: str) -> None:
    assert word in refused(warm, f"--with={requirement}")


def test_missing_system_library(warm: Rundlet, index: PackageIndex) -> None:
    soname = "libnowhere.so.4"
    missing = library("int nowhere(void) { return 1; }", soname)
    user = extension("_lacking", needs=[(soname, missing)])
    files = {"lacking/__init__.py": "", "lacking/_lacking.cpython-311-x86_64-linux-gnu.so": user}
    index.add(Wheel("lacking", files=files, **NATIVE))
    code = "import lacking"  # the rest of the package works
    for _ in range(2):
        done = exec_options(warm, "--with", "lacking", code=code).check(0)
        assert f"`lacking 1.0` needs the library `{soname}`" in done.err
        assert "image `python-3.11`" in done.err
        assert "libc.so" not in done.err
    # Another package may bring it.
    index.add(Wheel("nowhere", files={f"nowhere/{soname}": missing}, **NATIVE))
    assert soname not in exec_options(warm, "--with", "lacking", "--with", "nowhere", code=code).check(0).err


def write_lock(index: PackageIndex, folder: Path, *wheels: Wheel, name: str = "pylock.toml") -> Path:
    text = 'lock-version = "1.0"\ncreated-by = "tests"\n'
    for wheel in wheels:
        text += f'\n[[packages]]\nname = "{wheel.name}"\nversion = "{wheel.version}"\n'
        text += f'[[packages.wheels]]\nurl = "{index.base}/files/{wheel.filename}"\n'
        text += f'hashes = {{sha256 = "{wheel.sha256}"}}\n'
    (folder / name).write_text(text)
    return folder / name


def test_runs_from_a_pylock(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    old = Wheel("locked", "1.0", files={"locked.py": ""}, requires=["locked-part"])
    part = module("locked-part")
    for wheel in (old, part, module("locked", "2.0"), module("locked-part", "2.0")):
        index.add(wheel)
    file = write_lock(index, tmp_path, old, part)
    assert names(warm, "-r", file) == "locked 1.0, locked-part 1.0"
    # What is not in it does not come along.
    assert names(warm, "-r", write_lock(index, tmp_path, old)) == "locked 1.0"
    assert "beside it" in refused(warm, "-r", file, "--with", "tiny")
    file.write_text(file.read_text().replace(old.sha256, "2" * 64))
    assert "none of its wheels" in refused(warm, "-r", file)
    file.write_text('lock-version = "2.0"\n')
    assert "lock-version" in refused(warm, "-r", file)
    file.write_text(
        'lock-version = "1.0"\npackages = [{name = "locked", version = "1.0", wheels = [{url = "http://x/y.whl"}]}]\n'
    )
    assert "no sha256" in refused(warm, "-r", file)
