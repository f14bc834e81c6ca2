"""Pipelines that cannot run: one error a fault, word by word, before anything is installed or kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.pipelines import PIPELINE, SETTINGS, models, write
from support.rundlet import Rundlet
from support.store import nothing_kept

NO_IMAGE = (
    "error: {place}: {who} asks for Python 3.11\n"
    "caused by: [images] in rundlet.toml has no `3.11`\n"
    "hint: it has `3.12`: use what is there, or add an image that `rundlet image ls` lists\n"
)

STEP_ALONE = """
import rundlet


@rundlet.model(materialize="replace")
@rundlet.python("3.11")
def alone():
    import pyarrow

    return pyarrow.table({"number": [7]})
"""

# What is wrong, in which files, and what is said of it.
FAULTS: dict[str, tuple[Mapping[str, str], str]] = {
    "syntax error": (
        {"pipeline.py": "import rundlet\n\ndef f(:\n"},
        "error: pipeline.py:3:7: syntax error: invalid syntax\n",
    ),
    "syntax error in SQL": (
        {"total.sql": "SELECT FROM WHERE\n"},
        "error: total.sql:1:17: `total`: syntax error: expected table name but got `WHERE`\n",
    ),
    "syntax error in the settings": (
        {"rundlet.toml": "pip = [\n"},
        "error: reading `rundlet.toml`\n"
        "caused by: reading TOML at line 1, column 9\n"
        "caused by: error while parsing array: encountered end-of-file\n",
    ),
    "cycle": (
        {"pipeline.py": models("a(b=rundlet.Model('b')):\n    return b", "b(a=rundlet.Model('a')):\n    return a")},
        "error: pipeline.py:6: model `a` needs its own result\n"
        "caused by: `a` (pipeline.py:6) reads `b` (pipeline.py:12), which reads `a`\n",
    ),
    "two models of one name": (
        {"pipeline.py": models("twin():\n    return 1", "twin():\n    return 2")},
        "error: pipeline.py:12: model `twin` is declared twice\n"
        "caused by: the name is taken by the model at pipeline.py:6\n",
    ),
    "a query with the name of a model": (
        {"pipeline.py": models("twin():\n    return 1"), "twin.sql": "SELECT 1 AS x\n"},
        "error: twin.sql:1: model `twin` is declared twice\n"
        "caused by: the name is taken by the model at pipeline.py:6\n",
    ),
    "dynamic decorator": (
        {
            "pipeline.py": "import rundlet\n\nPINS = {'tiny': str(1 + 1)}\n\n\n"
            "@rundlet.model()\n@rundlet.python('3.11', pip=PINS)\ndef f():\n    return 1\n"
        },
        "error: pipeline.py:7:29: `pip` in `python` of `f` is not a literal\n"
        "hint: rundlet reads this without running the file: write the value itself\n",
    ),
    "missing input": (
        {"pipeline.py": models("f(gone=rundlet.Model('gone')):\n    return gone")},
        "error: pipeline.py:6: model `f` reads `gone`\n"
        "caused by: no model or table has that name\n"
        "hint: make a model of that name, or say where its files are below [tables.gone] in rundlet.toml\n",
    ),
    "an image that is not there": (
        {"rundlet.toml": SETTINGS.replace('"python-3.11"', '"nowhere"')},
        "error: looking for image `nowhere`\n"
        "caused by: there is no image of that name; there are: python-3.11, python-3.13\n"
        "hint: add it with `rundlet image import`\n",
    ),
    "an image that is no text": (
        {"rundlet.toml": SETTINGS.replace('"python-3.11"', "311")},
        'error: rundlet.toml:10: reading `images."3.11"`\ncaused by: it is not text\n'
        "hint: write a name that `rundlet image ls` lists\n",
    ),
    "an image without a name": (
        {"rundlet.toml": SETTINGS.replace('"python-3.11"', '""')},
        'error: rundlet.toml:10: reading `images."3.11"`\ncaused by: it is not between 1 and 512 bytes long\n'
        "hint: write a name that `rundlet image ls` lists\n",
    ),
    "images that are no table": (
        {"rundlet.toml": "images = 3\n"},
        "error: rundlet.toml:1: reading `images`\ncaused by: it is not a table\nhint: write it as [images]\n",
    ),
    "a version without an image": (
        {"rundlet.toml": SETTINGS.replace('"3.11" =', '"3.12" =')},
        NO_IMAGE.format(place="pipeline.py:7", who="model `numbers`")
        + NO_IMAGE.format(place="pipeline.py:17", who="model `squares`")
        + NO_IMAGE.format(place="pipeline.py:25", who="expectation `squares_are_positive`")
        + "error: rundlet.toml:6: reading `python.version`\ncaused by: [images] has no `3.11`\n"
        "hint: it has `3.12`: use what is there, or add an image that `rundlet image ls` lists\n",
    ),
    "a malformed requirement": (
        {"pipeline.py": PIPELINE.replace('"tiny": "1.0"', '"tiny": "1.0 oops"')},
        "error: pipeline.py:6:2: `pip` gives tiny the version '1.0 oops', which is not one (in `numbers`)\n",
    ),
}


@pytest.fixture(scope="module")
def ready(shared_state: Rundlet, tmp_path_factory: pytest.TempPathFactory) -> Rundlet:
    """What reads a project is installed: from here on a refused one adds nothing."""
    shared_state.ok("plan", write(tmp_path_factory.mktemp("ready")))
    return shared_state


def check_refused(driver: Rundlet, project: Path, error: str) -> None:
    with nothing_kept(driver.state):
        for command in ("run", "plan"):
            done = driver("-q", command, project).check(2)
            assert done.err == error
            assert done.out == ""
    assert not [run for run in driver.json("runs", "ls") if run["path"] == str(project)]


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(ready: Rundlet, project: Path, fault: str) -> None:
    files, error = FAULTS[fault]
    write(project)
    for name, text in files.items():
        (project / name).write_text(text)
    check_refused(ready, project, error)


def test_unknown_package(ready: Rundlet, project: Path) -> None:
    write(project, PIPELINE.replace('"tiny": "1.0"', '"no-such-distribution": "1.0"'))
    check_refused(
        ready,
        project,
        "error: resolving the packages of step `numbers` for Python 3.11.2\n"
        "caused by: resolving the requirements\n"
        "caused by: `no-such-distribution` was not found in the package index\n"
        "hint: check the spelling of its name\n",
    )


def test_impossible_requirements(ready: Rundlet, project: Path) -> None:
    write(project, PIPELINE.replace('"tiny": "1.0"', '"branch": "1.0", "leaf": "0.1"'))
    check_refused(
        ready,
        project,
        "error: resolving the packages of step `numbers` for Python 3.11.2\n"
        "caused by: resolving the requirements\n"
        "caused by: because all versions of branch depend on leaf>=1 and you require branch==1.0, we can conclude "
        "that you require leaf>=1. And because you require leaf==0.1, we can conclude that your requirements are "
        "unsatisfiable\n",
    )


def test_folder_without_a_project(ready: Rundlet, project: Path) -> None:
    check_refused(ready, project, f"error: reading project `{project}`\ncaused by: it has no Python or SQL files\n")


def test_folder_that_is_not_there(ready: Rundlet, project: Path) -> None:
    with nothing_kept(ready.state):
        done = ready("-q", "run", project / "gone").check(2)
    assert done.err == f"error: reading project `{project}/gone`\ncaused by: no such file or directory\n"


def test_settings_without_an_image(ready: Rundlet, project: Path) -> None:
    write(project)
    (project / "rundlet.toml").write_text('[project]\nname = "small"\n')
    check_refused(
        ready,
        project,
        "error: rundlet.toml: the project names no image\n"
        "caused by: steps have no Python to run on\n"
        'hint: add a table such as `[images]` with `"3.11" = "python-3.11"`; `rundlet image ls` lists what is there\n',
    )


LACKING = "try:\n    import nothere\nexcept ImportError:\n    nothere = None\n\nimport leaf\n" + PIPELINE


def test_top_level_import_that_the_environment_lacks(ready: Rundlet, project: Path) -> None:
    """Before anything runs, once its packages are there; `try: import` is nobody's fault."""
    write(project)
    ready.ok("-q", "run", project)
    write(project, LACKING)
    done = ready("-q", "run", project, "--no-cache").check(2)
    assert done.err == (
        "error: pipeline.py:6: importing `leaf` for step `numbers`\n"
        "caused by: none of the step's packages has a module of that name\n"
        "hint: add the package that has it to the step's `pip`, or move the import into the function that uses it\n"
    )
    write(project, LACKING.replace("import leaf", "import pyarrow, tiny").replace('pip={"tiny"', 'pip={"tiny" '))
    done = ready("-q", "run", project).check(2)
    assert done.err.startswith("error: pipeline.py:6: importing `tiny` for step `squares`\n")  # it is not its package


def test_top_level_import_that_a_new_environment_lacks(
    rundlet: Rundlet, index: object, small_image: Path, project: Path
) -> None:
    rundlet.ok("image", "import", "python-3.11", small_image)
    write(project, LACKING)
    done = rundlet("-q", "run", project, "--only", "numbers").check(1)
    assert done.err == (
        "error: running step `numbers`\n"
        "caused by: pipeline.py:6: ModuleNotFoundError: No module named 'leaf'\n"
        "hint: add `leaf` to the step's `pip`, or move the import into the function that uses it\n"
    )


def test_a_folder_whose_name_is_a_pattern(shared_state: Rundlet, tmp_path: Path) -> None:
    """Of its tables' files only what the project says is one."""
    pipeline = models("one(given=rundlet.Model('given')):\n    return given")
    for name, row in (("a[b]*", 5), ("ab-other", 6)):
        folder = tmp_path / name
        folder.mkdir()
        settings = write(folder, pipeline) / "rundlet.toml"
        settings.write_text(settings.read_text() + '\n[tables.given]\npath = "given*.csv"\n')
        (folder / "given.csv").write_text(f"x\n{row}\n")
    for name, row in (("a[b]*", 5), ("ab-other", 6)):
        assert shared_state.json("run", "--no-cache", tmp_path / name)["previews"]["one"]["rows"] == [[row]]


def test_a_folder_whose_name_is_no_text(shared_state: Rundlet, tmp_path: Path) -> None:
    """Bytes, and what a terminal would obey: of the folder, and of a file in it."""
    folder = tmp_path / os.fsdecode(b"bytes-\xff\x1b[2J")
    folder.mkdir()
    write(folder, STEP_ALONE)
    settings = folder / "rundlet.toml"
    settings.write_text(settings.read_text().replace('name = "small"', ""))
    done = shared_state("run", folder, "-o", "json").check(0)
    assert json.loads(done.out)["previews"]["alone"]["rows"] == [[7]]
    assert "bytes-" in shared_state.json("runs", "show", "last")["path"]
    assert any("bytes-" in table["project"] for table in shared_state.json("table", "ls"))
    with settings.open("a") as more:
        more.write('\n[tables.given]\npath = "given.csv"\n')
    (folder / "given.csv").write_text("x\n5\n")
    (folder / "pipeline.py").write_text(models("one(given=rundlet.Model('given')):\n    return given"))
    done = shared_state("run", folder, "-o", "json").check(0)
    assert json.loads(done.out)["previews"]["one"]["rows"] == [[5]]
    (folder / os.fsdecode(b"odd-\xff\x1b[2J.py")).write_text("")
    done = shared_state("run", folder).check(2)
    assert "odd-" in done.err
    assert "\x1b" not in done.out + done.err
