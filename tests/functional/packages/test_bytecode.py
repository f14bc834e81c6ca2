"""Bytecode of new packages: who waits for it, and who does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from functional.conftest import import_image

from support.leaks import Allowance
from support.pipelines import models, write
from support.rundlet import Rundlet, exec_command, limited
from support.servers.index import PackageIndex, Request
from support.wheels import Wheel, module

IMAGE = ("--image", "python-3.11")
IS_THERE = "import os, {name}; print(os.path.exists({name}.__cached__))"
LOWER = "lowers/*/tree/lib/python3.11/site-packages/{name}/__init__.py"


@pytest.fixture
def own(rundlet: Rundlet, index: PackageIndex, no_leaks: Allowance) -> Rundlet:
    import_image(rundlet, "python-3.11")
    return rundlet


def large(name: str) -> Wheel:
    """Seconds of a compiler's work; Python starts sooner."""
    text = "".join(
        f"def f{number}(a, b={number}):\n    return [a * n + b for n in range(a)]\n\n" for number in range(200)
    )
    modules = {f"{name}/m{number}.py": text for number in range(120)}
    return Wheel(name, files={f"{name}/__init__.py": "", **modules})


def command(name: str, *run: str) -> tuple[str, ...]:
    return ("exec", *IMAGE, "--with", name, "--", *run)


def test_a_command_starts_without_and_it_is_there_when_it_ends(own: Rundlet, index: PackageIndex) -> None:
    index.add(large("heavy"))
    done = own(*command("heavy", "python3", "-c", IS_THERE.format(name="heavy"))).check(0)
    assert done.out == "False\n"
    assert "done compile 1 package " in done.err
    assert list(own.state.glob(LOWER.format(name="heavy")))
    again = own(*command("heavy", "python3", "-c", IS_THERE.format(name="heavy"))).check(0)
    assert again.out == "True\n"
    assert "compile" not in again.err


def test_a_command_that_fails_does_not_wait_and_the_next_one_does(own: Rundlet, index: PackageIndex) -> None:
    index.add(large("heavy"))
    done = own(*command("heavy", "sh", "-c", "exit 3")).check(3)
    assert "compile" not in done.err
    assert not list(own.state.glob(LOWER.format(name="heavy")))
    # Not put off again: whose command always fails would always go without.
    assert own.ok(*command("heavy", "python3", "-c", IS_THERE.format(name="heavy"))).out == "True\n"


def test_a_command_that_is_over_time_does_not_wait(own: Rundlet, index: PackageIndex) -> None:
    index.add(large("heavy"))
    options = ("--with", "heavy", "--timeout", "0.1s")
    own("exec", *IMAGE, *options, "--", "sleep", "600").check(124)
    assert not list(own.state.glob(LOWER.format(name="heavy")))


def test_killed_before_it_is_there(own: Rundlet, index: PackageIndex) -> None:
    """The package is whole, and the next one makes its bytecode."""
    index.add(large("heavy"))
    started = own.start(*command("heavy", "python3", "-c", "print('ran', flush=True); import time; time.sleep(600)"))
    with started as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ran\n"
        process.kill()
        process.communicate(timeout=30)
    own.sweep_groups(*IMAGE)
    assert own.json("package", "verify")["damaged"] == []
    assert own.ok(*command("heavy", "python3", "-c", IS_THERE.format(name="heavy"))).out == "True\n"
    assert own.json("package", "verify")["damaged"] == []


def test_steps_that_share_a_package_find_it(own: Rundlet, index: PackageIndex, project: Path) -> None:
    """One that is alone with a package starts without."""
    index.add(large("shared"))
    late = index.add(large("alone"))

    def wait(request: Request) -> None:
        """Its wheel comes when the other is being installed: only what is waited for is compiled beside that."""
        deadline = time.monotonic() + 60
        while request.path == late and not list(own.state.glob("staging/*/tree/lib/python3.11/site-packages/shared*")):
            assert time.monotonic() < deadline
            time.sleep(0.002)

    body = """    import importlib, os
    import pyarrow
    there = [os.path.exists(importlib.import_module(name).__cached__) for name in ({names})]
    return pyarrow.table({{"there": there}})
"""
    write(project, models("zeroth():\n    import pyarrow\n    return pyarrow.table({'a': [1]})\n"))
    own.ok("run", project)  # what all steps share is there: what follows is the last to be installed
    write(
        project,
        models("first():\n" + body.format(names="'shared', 'alone'"), "second():\n" + body.format(names="'shared',")),
    )
    text = (project / "pipeline.py").read_text()
    text = text.replace('"3.11")\ndef first', '"3.11", pip={"shared": "1.0", "alone": "1.0"})\ndef first')
    (project / "pipeline.py").write_text(
        text.replace('"3.11")\ndef second', '"3.11", pip={"shared": "1.0"})\ndef second')
    )
    index.on_request = wait
    done = own.json("run", project)
    assert done["previews"]["first"]["rows"] == [[True], [False]]
    assert done["previews"]["second"]["rows"] == [[True]]
    assert list(own.state.glob(LOWER.format(name="alone")))


def test_many_packages_are_put_together_with_theirs(own: Rundlet, index: PackageIndex) -> None:
    names = [f"one-of-many-{number}" for number in range(101)]
    for name in names:
        index.add(module(name))
    options = [part for name in names for part in ("--with", name)]
    program = "import os, one_of_many_7 as one; print(os.path.exists(one.__cached__))"
    done = own.ok("exec", *IMAGE, *options, "--", "python3", "-c", program, timeout=300)
    assert done.out == "True\n"
    assert len(list((own.state / "environments").iterdir())) == 1
    own.ok("exec", *IMAGE, *options, "--", "true")
    assert len(list((own.state / "environments").iterdir())) == 1


def test_a_host_that_allows_few_open_files(own: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    """A lease is one: an environment may need more of them than a shell may have open unasked."""
    names = [f"one-of-many-{number}" for number in range(40)]
    for name in names:
        index.add(module(name))
    program = "import one_of_many_39, resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    for limit, inside in (("-Sn 64", "1024"), ("-n 800", "800")):
        driver = limited(own, tmp_path, limit)
        assert driver.ok(*exec_command(names, "python3", "-c", program)).out == f"{inside}\n"
