"""scripts/test: which tests its arguments choose, and when a call that chose none fails."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Stands for meson: two programs of gtest, two fuzzers. `test` writes the results of those that were chosen.
MESON = f"""#!{sys.executable}
import fnmatch, json, pathlib, sys
UNIT = ["LeaseTest.IsShared", "RecordTest.IsRead"]
TESTS = {{"unit-store": "unit", "zip": "fuzz", "wheel_name": "fuzz"}}
command, *arguments = sys.argv[1:]
if command == "introspect":
    folder = arguments[0]
    print(json.dumps([{{"name": name, "suite": ["rundlet:" + suite], "cmd": [folder + "/tests/" + name]}}
                      for name, suite in TESTS.items()]))
elif command == "test":
    suite = arguments[arguments.index("--suite") + 1]
    named = [name for name in arguments if name in TESTS]
    names = UNIT if suite == "unit" else [name for name in TESTS if TESTS[name] == suite]
    for argument in arguments:
        if argument.startswith("--test-args=--gtest_filter="):
            names = [name for name in names if fnmatch.fnmatchcase(name, argument.split("=", 2)[2])]
    names = named or names
    with open("ran", "a") as ran:
        ran.writelines(f"{{name}}\\n" for name in names)
    logs = pathlib.Path(arguments[arguments.index("-C") + 1], "meson-logs")
    logs.mkdir(exist_ok=True)
    cases = "".join(f'<testcase classname="c" name="{{name}}"/>' for name in names)
    (logs / "testlog.junit.xml").write_text(f"<testsuites><testsuite>{{cases}}</testsuite></testsuites>")
"""
PYTEST = """import pathlib

def test_{name}():
    with open("ran", "a") as ran:
        ran.write("{name}\\n")
"""
FILES = {
    "tests/requirements.txt": "",
    "tests/allowed-skips.txt": "",
    "tests/support/ruff.toml": "",
    "tests/support/baseimages.py": "",
    "tests/support/wheelcache.py": "",
    "tests/support/test_helpers.py": PYTEST.format(name="wheel_helper"),
    "python/pyproject.toml": "",
    "tests/python/test_sdk.py": PYTEST.format(name="sdk"),
    "tests/functional/test_exec.py": PYTEST.format(name="exec_starts") + PYTEST.format(name="exec_ends"),
    "build/build.ninja": "",
    "build-asan/build.ninja": "",
}


class Tree:
    """A tree with scripts/test in it, small tests, and no compiler."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in FILES.items():
            self.write(name, text)
        self.write("bin/meson", MESON, mode=0o755)
        self.write("bin/ninja", "#!/bin/sh\n", mode=0o755)
        self.write("build/test-venv/.made-from", f"{hashlib.sha256(b'').hexdigest()}  -\n")
        self.write("build/test-venv/bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n', mode=0o755)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def test(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.run(
            [self.root / "scripts/test", "--no-install", *arguments],
            env={**inherited, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def ran(self) -> list[str]:
        path = self.root / "ran"
        return sorted(path.read_text().split()) if path.exists() else []


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--only", "unit", "--"], "`--` needs arguments"),
        (["--only", "unit", "--", "-k"], "`-k` needs a name"),
        (["--only", "unit", "--", "-k", ""], "`-k` needs a name"),
        (["--only", "lint", "--", "-k", "x"], "suite `lint` takes no arguments"),
        (["--suite", "tidy", "--", "-k", "x"], "suite `tidy` takes no arguments"),
        (["--only", "unit", "--", "-x"], "suite `unit` takes `-k NAME` only, not `-x`"),
        (["--only", "kernel", "--", "-k", "a or b"], "suite `kernel` takes a part of one name, not `a or b`"),
        (["--only", "fuzz", "--", "-k", "*"], "suite `fuzz` takes a part of one name, not `*`"),
        (["--only", "functional", "--", "tests/functional/test_exec.py::test_exec_ends"], "is a file"),
        (["--only", "units"], "unknown suite `units`"),
        (["-k", "x"], "unknown argument `-k`"),
    ],
)
def test_arguments_that_are_refused(tree: Tree, arguments: list[str], error: str) -> None:
    done = tree.test(*arguments)
    assert done.returncode == 2
    assert error in done.stderr
    assert tree.ran() == []


def test_one_name_chooses_tests_of_every_kind(tree: Tree) -> None:
    done = tree.test("--only", "fuzz", "--only", "functional", "--", "-k", "wheel")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree.ran() == ["wheel_helper", "wheel_name"]


def test_tests_of_a_program_are_chosen_by_a_part_of_their_name(tree: Tree) -> None:
    done = tree.test("--only", "unit", "--", "-k", "seTest.Is")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree.ran() == ["LeaseTest.IsShared"]


def test_other_arguments_are_pytests(tree: Tree) -> None:
    done = tree.test("--only", "functional", "--", "-k", "exec and not ends", "-n", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree.ran() == ["exec_starts"]


@pytest.mark.parametrize("suite", ["unit", "fuzz", "functional"])
def test_a_name_that_nothing_has_fails(tree: Tree, suite: str) -> None:
    done = tree.test("--only", suite, "--", "-k", "nothing_has_it")
    assert done.returncode == 1
    assert f"error: no test ran: nothing in {suite} matches `-k nothing_has_it`" in done.stderr
    assert tree.ran() == []


def test_without_arguments_a_suite_that_runs_nothing_fails(tree: Tree) -> None:
    (tree.root / "tests/python/test_sdk.py").unlink()
    done = tree.test("--only", "functional")
    assert done.returncode == 1
    assert "functional: no test ran" in done.stderr


def test_a_failed_test_that_was_chosen_fails(tree: Tree) -> None:
    tree.write("tests/python/test_sdk.py", "def test_sdk():\n    assert False\n")
    done = tree.test("--only", "functional", "--", "-k", "test_sdk", "-n", "0")
    assert done.returncode == 1
    assert "1 failed" in done.stdout.splitlines()[-1]


def test_the_default_run_without_lint_when_tests_are_chosen(tree: Tree) -> None:
    done = tree.test("--", "-k", "LeaseTest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "== lint" not in done.stdout
    assert tree.ran() == ["LeaseTest.IsShared"]


def test_the_hook_runs_what_ci_runs_to_lint(tree: Tree) -> None:
    def git(*arguments: str) -> int:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, cwd=tree.root, capture_output=True, timeout=60).returncode

    tree.write("scripts/test", '#!/bin/sh\necho "$@" "$PWD" "$GIT_INDEX_FILE" >ran\nexit "$(cat status)"\n', mode=0o755)
    tree.write("status", "1")
    assert git("init", "-q") == git("config", "core.hooksPath", "scripts") == git("add", "status") == 0
    assert git("commit", "-qm", "refused") != 0
    assert (tree.root / "ran").read_text().split() == ["--only", "lint", "--no-install", str(tree.root)]
    tree.write("status", "0")
    assert git("commit", "-qam", "made") == 0
