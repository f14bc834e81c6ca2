"""`rundlet lock`: locks that uv and pip read too, from which a project then runs; and scripts with what they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from functional.packages.test_source_builds import offer, own_build
from packaging.pylock import Pylock

from support import wheelcache
from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.wheels import Wheel, module, sdist

IMAGE = ("--image", "python-3.11")
SETTINGS = """
[project]
name = "locked"

[python]
version = "3.11"
pip = ["pyarrow==22.0.0", "drifting"]
prefer = ["clash-b"]

[images]
"3.11" = "python-3.11"
"""
PIPELINE = """
import rundlet


@rundlet.model(materialize="replace")
def versions():
    import drifting
    import pyarrow

    return pyarrow.table({{"drifting": [drifting.__version__]}})


@rundlet.model(materialize="replace")
@rundlet.python("3.11", pip={own})
def own():
    import pyarrow
    import tiny

    return pyarrow.table({{"tiny": [tiny.__version__]}})
"""


def write(project: Path, own: str = '["pyarrow==22.0.0", "tiny"]') -> Path:
    (project / "rundlet.toml").write_text(SETTINGS)
    (project / "pipeline.py").write_text(PIPELINE.format(own=own))
    return project


def value(driver: Rundlet, project: Path, model: str) -> object:
    document = driver.json("run", "--no-cache", project)
    assert document["errors"] == []
    return document["previews"][model]["rows"][0][0]


def test_project_runs_from_its_locks(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    index.add(module("drifting", "1.0"))
    write(project)
    locks = warm.json("lock", project)
    assert [(lock["file"], lock["changed"], lock["steps"]) for lock in locks] == [
        ("pylock.own.toml", True, ["own"]),
        ("pylock.toml", True, ["versions"]),
    ]
    # A newer release is not taken, neither from the locks nor by locking again.
    index.add(module("drifting", "2.0"))
    assert value(warm, project, "versions") == "1.0"
    assert [lock["changed"] for lock in warm.json("lock", project)] == [False, False]
    assert value(warm, project, "versions") == "1.0"
    # For one package, then for all.
    index.add(module("tiny", "3.0"))
    warm.ok("lock", project, "--upgrade", "drifting")
    assert 'version = "2.0"' in (project / "pylock.toml").read_text()
    assert "tiny-2.0-" in (project / "pylock.own.toml").read_text()
    assert value(warm, project, "versions") == "2.0"
    warm.ok("lock", project, "--upgrade")
    assert "tiny-3.0-" in (project / "pylock.own.toml").read_text()
    # Requirements that changed since are an error, until they are locked; versions are kept then.
    index.add(module("drifting", "3.0"))
    (project / "rundlet.toml").write_text(SETTINGS.replace('"drifting"', '"drifting", "leaf"'))
    done = warm("run", project).check(2)
    assert "`pylock.toml`" in done.err
    assert "rundlet lock" in done.err
    warm.ok("lock", project)
    assert value(warm, project, "versions") == "2.0"
    # A step without a lock, in a project with locks.
    (project / "pylock.own.toml").unlink()
    assert "`pylock.own.toml`" in warm("plan", project).check(2).err


def test_lock_refuses_a_collision(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    index.add(module("drifting"))
    write(project, own='["pyarrow==22.0.0", "tiny", "clash-a", "clash-b"]')
    (project / "rundlet.toml").write_text(SETTINGS.replace('prefer = ["clash-b"]\n', ""))
    error = warm("lock", project).check(2).err
    assert "clash-a" in error
    assert "clash-b" in error
    assert not (project / "pylock.own.toml").exists()
    write(project, own='["pyarrow==22.0.0", "tiny", "clash-a", "clash-b"]')
    warm.ok("lock", project)
    assert (project / "pylock.own.toml").exists()


def test_plan_tells_of_known_warnings(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    index.add(module("drifting"))
    for part in ("left", "right"):
        index.add(Wheel(f"junk-{part}", files={f"junk_{part}.py": "", "tests/__init__.py": f"# {part}\n"}))
    write(project, own='["pyarrow==22.0.0", "tiny", "junk-left", "junk-right"]')
    warm.ok("lock", project)
    assert "tests/__init__.py" in warm.ok("plan", project).err


def uv() -> Path:
    found = Path(sys.executable).with_name("uv")
    assert found.exists(), "tests/requirements.txt brings uv into the tests' environment"
    return found


def read_as_pip_does(path: Path) -> Pylock:
    """Refused when it is not what PEP 751 says."""
    return Pylock.from_dict(tomllib.loads(path.read_text()))


def installer(name: str, index: PackageIndex, folder: Path) -> list[str | Path]:
    """What installs from a lock into `folder`/target."""
    if name == "pip":
        (wheel,) = wheelcache.default_folder().glob("pip-*.whl")
        command: list[str | Path] = [sys.executable, "-W", "ignore", wheel / "pip", "install", "--index-url", index.url]
        return [*command, "--no-cache-dir", "--no-deps", "--target", folder / "target", "-r"]
    command = [uv(), "pip", "install", "--target", folder / "target", "--cache-dir", folder / "uv"]
    return [*command, "--python-version", "3.11", "--no-deps", "--default-index", index.url, "-r"]


@pytest.mark.parametrize("name", ["uv", "pip"])
def test_others_install_from_a_lock(
    warm: Rundlet, index: PackageIndex, project: Path, tmp_path: Path, name: str
) -> None:
    index.add(module("drifting"))
    write(project)
    warm.ok("lock", project)
    lock = project / "pylock.toml"
    assert [one.name for one in read_as_pip_does(lock).packages] == ["drifting", "pyarrow"]
    index.add(module("drifting", "2.0"))  # which the lock does not have
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "UV_NO_CONFIG": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }

    def install() -> subprocess.CompletedProcess[str]:
        command = [*installer(name, index, tmp_path), lock]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = install()
    assert done.returncode == 0, done.stderr
    assert "1.0" in (tmp_path / "target/drifting.py").read_text()
    assert (tmp_path / "target/pyarrow/__init__.py").exists()
    # They hold the lock's hashes, as rundlet does.
    drifting, _ = read_as_pip_does(lock).packages
    assert drifting.wheels is not None
    digest = drifting.wheels[0].hashes["sha256"]
    lock.write_text(lock.read_text().replace(digest, "4" * 64))
    subprocess.run(["rm", "-rf", tmp_path / "target", tmp_path / "uv"], check=True)
    done = install()
    assert done.returncode != 0
    assert "4" * 64 in done.stderr


def test_lock_with_built_packages(warm: Rundlet, index: PackageIndex, project: Path, tmp_path: Path) -> None:
    """A lock has the source of what was built; whoever runs from it builds that, and nothing else."""
    path = offer(index, "drifting", "return 'good'")
    archive = index.add_bytes(*sdist("by-url", files=own_build("by-url")), project="elsewhere")
    write(project)
    settings = SETTINGS.replace('"drifting"]', f'"drifting==1.0", "by-url @ {index.base}{archive}"]')
    settings = settings.replace("prefer =", 'build = ["drifting", "by-url"]\nprefer =')
    (project / "rundlet.toml").write_text(settings)
    (project / "pipeline.py").write_text(
        "import rundlet\n\n\n@rundlet.model()\ndef only():\n    import by_url, drifting, pyarrow\n\n"
        "    return pyarrow.table({'found': [drifting.found], 'made': [drifting.made]})\n"
    )
    warm.ok("lock", project)
    text = (project / "pylock.toml").read_text()
    assert f'sdist = {{ name = "drifting-1.0.tar.gz", url = "{index.base}{path}"' in text
    assert f'archive = {{ url = "{index.base}{archive}"' in text
    by_url, drifting, _ = read_as_pip_does(project / "pylock.toml").packages
    assert (by_url.archive is not None, drifting.sdist is not None, drifting.wheels) == (True, True, None)
    rows = warm.json("run", project)["previews"]["only"]["rows"]
    assert rows[0][0] == "good"
    assert warm.json("lock", project)[0]["changed"] is False
    # uv builds the same from it.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "UV_NO_CONFIG": "1"}
    command = [uv(), "pip", "install", "--target", tmp_path / "target", "--cache-dir", tmp_path / "uv"]
    command += ["--no-deps", "--default-index", index.url]
    done = subprocess.run(
        [*command, "-r", project / "pylock.toml"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "found = 'good'" in (tmp_path / "target/drifting.py").read_text()
    assert (tmp_path / "target/by_url.py").exists()
    # Somewhere else, with another archive under the same name: the lock's hash decides.
    with PackageIndex() as other:
        for wheel in wheelcache.read_list():
            other.add_file(wheelcache.default_folder() / wheel.filename, wheel.sha256)
        offer(other, "drifting", "return 'evil'")
        theirs = warm.with_environment(RUNDLET_INDEX=other.url)
        assert "none of the given hashes" in theirs("run", project).check(2).err
    # A lock allows nothing: that is the project's part.
    command = ("exec", *IMAGE, "-r", project / "pylock.toml", "--", "true")
    assert "`--build by-url`" in warm(*command).check(125).err


def test_what_a_power_cut_left_of_the_cache(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    index.add(module("drifting"))
    write(project)
    warm.ok("lock", project)
    for kept in (file for name in ("toml", "reader") for file in (warm.state / "cache" / name).iterdir()):
        size = kept.stat().st_size
        os.truncate(kept, size // 2 if size % 2 else 0)
    assert warm.json("lock", project)[0]["changed"] is False


SCRIPT = """#!/usr/bin/env python3
# /// script
# requires-python = "{python}"
# dependencies = ["drifting"]
# ///
import sys
import drifting
print(sys.version_info[1], drifting.__version__, sys.argv[1:], sys.stdin.read())
"""


def test_script_that_says_what_it_needs(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    index.add(module("drifting"))
    script = tmp_path / "report.py"
    script.write_text(SCRIPT.format(python="==3.11.*"))
    # The image with that Python is taken; arguments and standard input are the script's.
    assert warm.ok("exec", script, "a", "b", input="in").out == "11 1.0 ['a', 'b'] in\n"
    script.write_text(SCRIPT.format(python=">=3.12"))
    assert warm.ok("exec", script).out.startswith("13 1.0 [] ")
    done = warm("exec", *IMAGE, script).check(125)
    assert ">=3.12" in done.err
    assert "3.11" in done.err
    script.write_text(SCRIPT.format(python="3.12"))
    assert "version specifier" in warm("exec", *IMAGE, script).check(125).err
    script.write_text("# /// script\nprint('ran')\n")
    assert "not closed" in warm("exec", *IMAGE, script).check(125).err
    script.write_text("print('plain')\n")
    assert warm.ok("exec", *IMAGE, script).out == "plain\n"
    assert warm.ok("exec", *IMAGE, "--with", "drifting", script).out == "plain\n"


def test_lock_in_text(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    index.add(module("drifting"))
    write(project)
    assert "pylock.toml: 2 packages, written" in warm.ok("lock", project).out
    assert "pylock.toml: 2 packages, up to date" in warm.ok("lock", project).out
    assert json.loads(warm.ok("-o", "json", "lock", project).out)[0]["changed"] is False
