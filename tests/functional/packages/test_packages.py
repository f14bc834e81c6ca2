"""`rundlet exec --with`: packages are resolved, fetched and installed once, and only when they are right."""

from __future__ import annotations

from support.rundlet import Result, Rundlet
from support.servers.index import PackageIndex
from support.wheels import module

IMAGE = ("--image", "python-3.11")


def exec_with(driver: Rundlet, *requirements: str, run: tuple[str, ...] = ("true",)) -> Result:
    options = [part for requirement in requirements for part in ("--with", requirement)]
    return driver("exec", *IMAGE, *options, "--", *run)


def version_of(driver: Rundlet, name: str, *requirements: str) -> str:
    run = ("python3", "-c", f"import {name}; print({name}.__version__)")
    return exec_with(driver, *requirements, run=run).check(0).out.strip()


def installed(driver: Rundlet, name: str) -> list[str]:
    """The versions of a package in the store."""
    return [row["version"] for row in driver.json("package", "ls") if row["name"] == name]


def test_installed_once(warm: Rundlet, index: PackageIndex) -> None:
    path = index.add(module("once"))
    assert version_of(warm, "once", "once") == "1.0"
    assert index.count(path) == 1
    assert installed(warm, "once") == ["1.0"]
    index.forget()
    assert version_of(warm, "once", "once") == "1.0"
    assert index.requests == []
    assert installed(warm, "once") == ["1.0"]


def test_works_offline_once_installed(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("offline"))
    assert version_of(warm, "offline", "offline==1.0") == "1.0"
    index.fault("*", status=503)
    assert version_of(warm, "offline", "offline==1.0") == "1.0"


def test_order_and_spelling_do_not_matter(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("first-one"))
    index.add(module("second-one"))
    exec_with(warm, "first-one==1.0", "second-one>=1").check(0)
    index.forget()
    exec_with(warm, "Second_One >= 1", "First.One == 1.0").check(0)
    assert index.requests == []


def test_new_release_is_taken_with_upgrade_only(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("moving"))
    assert version_of(warm, "moving", "moving") == "1.0"
    index.add(module("moving", "1.1"))
    assert version_of(warm, "moving", "moving") == "1.0"
    run = ("python3", "-c", "import moving; print(moving.__version__)")
    assert warm.ok("exec", *IMAGE, "--upgrade", "--with", "moving", "--", *run).out == "1.1\n"
    assert installed(warm, "moving") == ["1.0", "1.1"]


def test_two_versions_side_by_side(shared_state: Rundlet) -> None:
    assert version_of(shared_state, "tiny", "tiny==1.0") == "1.0"
    assert version_of(shared_state, "tiny", "tiny==2.0") == "2.0"
    assert version_of(shared_state, "tiny", "tiny<2") == "1.0"


def test_dependencies_come_along(shared_state: Rundlet) -> None:
    exec_with(shared_state, "branch", run=("python3", "-c", "import branch, leaf")).check(0)


def test_packages_of_one_command_do_not_reach_another(shared_state: Rundlet) -> None:
    exec_with(shared_state, "leaf", run=("python3", "-c", "import leaf")).check(0)
    done = exec_with(shared_state, "tiny", run=("python3", "-c", "import leaf")).check(1)
    assert "No module named 'leaf'" in done.err


def test_shared_namespace(shared_state: Rundlet) -> None:
    program = "from shared_space import one, two; print(one.name, two.name)"
    done = exec_with(shared_state, "space-one", "space-two", run=("python3", "-c", program))
    assert done.check(0).out == "one two\n"


def test_console_script(shared_state: Rundlet) -> None:
    assert exec_with(shared_state, "with-script", run=("with-script",)).check(0).out == "script ran\n"


def test_data_files_and_scripts(shared_state: Rundlet) -> None:
    assert exec_with(shared_state, "with-data", run=("with-data-run",)).check(0).out == "data script ran\n"
    out = exec_with(shared_state, "with-data", run=("cat", "/env/share/with-data/note.txt")).check(0).out
    assert out == "note\n"


def test_metadata_is_there(shared_state: Rundlet) -> None:
    program = "from importlib.metadata import version; print(version('tiny'))"
    assert exec_with(shared_state, "tiny==2.0", run=("python3", "-c", program)).check(0).out == "2.0\n"


def test_environment_is_read_only(shared_state: Rundlet) -> None:
    script = "touch /env/new 2>/dev/null || rm -rf /env/lib 2>/dev/null; ls /env; python3 -c 'import tiny'"
    done = exec_with(shared_state, "tiny", run=("sh", "-c", script)).check(0)
    assert "new" not in done.out.split()


def test_bytecode_is_there(shared_state: Rundlet) -> None:
    program = "import tiny; import os; print(os.path.exists(tiny.__cached__))"
    exec_with(shared_state, "tiny", run=("true",)).check(0)
    assert exec_with(shared_state, "tiny", run=("python3", "-c", program)).check(0).out == "True\n"


def test_both_pythons(shared_state: Rundlet) -> None:
    for image in ("python-3.11", "python-3.13"):
        run = ("python3", "-c", "import tiny; print(tiny.__version__)")
        assert shared_state.ok("exec", "--image", image, "--with", "tiny==1.0", "--", *run).out == "1.0\n"


def test_real_wheel(shared_state: Rundlet) -> None:
    run = ("python3", "-c", "import numpy; print(int(numpy.arange(5).sum()))")
    assert exec_with(shared_state, "numpy==1.26.4", run=run).check(0).out == "10\n"


def test_altered_download_is_no_obstacle(warm: Rundlet, index: PackageIndex) -> None:
    path = index.add(module("recovers"))
    index.fault(path, flip=50)
    exec_with(warm, "recovers").check(125)
    index.fault(path)
    assert version_of(warm, "recovers", "recovers") == "1.0"


def test_interrupted_download_is_taken_up(warm: Rundlet, index: PackageIndex) -> None:
    path = index.add(module("resumed"))
    index.fault(path, truncate=100, times=1)
    assert version_of(warm, "resumed", "resumed") == "1.0"


def test_packages_listed_in_text(shared_state: Rundlet) -> None:
    exec_with(shared_state, "tiny==1.0").check(0)
    lines = shared_state.ok("package", "ls").out.splitlines()
    assert lines[0].split()[:2] == ["PACKAGE", "VERSION"]
    assert any(line.split()[:2] == ["tiny", "1.0"] for line in lines)
