"""Results that a step writes itself, instead of what runs it: told as the step's failure, and the engine goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.pipelines import write
from support.rundlet import Rundlet

STEP = """
import rundlet


@rundlet.model()
@rundlet.python("3.11")
def forged():
    import os

    os.chdir("/rundlet/out")
    {body}
    os._exit(0)
"""
# The engine's stack would not hold what is written down again.
DEEP = "open('result.json', 'w').write('{\"ok\": true, \"preview\": ' + '[' * 500_000 + ']' * 500_000 + '}')"


def success(preview: str, name: str = "'x'", rows: int = 1) -> str:
    """A line of Python that writes it; the arguments are Python too."""
    columns = f"[{{'name': {name}, 'type': 'int64'}}]"
    fields = f"'ok': True, 'rows': {rows}, 'columns': {columns}, 'preview': {preview}"
    return f"import json; json.dump({{{fields}}}, open('result.json', 'w'))"


BODIES = {
    "a deep preview": (DEEP, "its result is malformed: it is nested too deeply"),
    "deep and cut off": ("open('result.json', 'w').write('[' * 1_000_000)", "nested too deeply"),
    "no JSON": ("open('result.json', 'w').write('ok')", "its result is malformed"),
    "too long": (
        "open('result.json', 'w').write(' ' * (1 << 20) + '{}')",
        "its result cannot be read: it is larger than 1.0 MiB",
    ),
    "a word for ok": ("open('result.json', 'w').write('{\"ok\": \"yes\"}')", "its result is malformed: no `ok`"),
    "no words for a failure": ("open('result.json', 'w').write('{\"ok\": false, \"error\": [[]]}')", "running step"),
    "a preview as long as one wants": (success("[[1]] * 11"), "its result is malformed: its preview is none"),
    # Padded to the width of one cell, the others would take gigabytes.
    "a cell as wide as one wants": (success("[['x' * 500_000]]"), "its preview is none"),
    "a cell that is a document": (success("[[{}]]"), "its preview is none"),
    "rows of other columns": (success("[[1, 2]]"), "its preview is none"),
    "a link": (
        "os.symlink('/etc/hostname', 'result.json')",
        "its result cannot be read: too many levels of symbolic links",
    ),
    "a link to a device": (
        "os.symlink('/dev/zero', 'result.json')",
        "its result cannot be read: too many levels of symbolic links",
    ),
    "a fifo": ("os.mkfifo('result.json')", "its result is malformed"),
    "a directory": ("os.mkdir('result.json')", "its result cannot be read: is a directory"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_forged_result(shared_state: Rundlet, project: Path, name: str) -> None:
    body, why = BODIES[name]
    write(project, STEP.format(body=body))
    done = shared_state("run", "--no-cache", project).check(1)
    assert why in done.err, done.err
    assert "forged" in done.err
    assert len(done.err) < 4000


def test_a_forged_success(shared_state: Rundlet, project: Path) -> None:
    """Nothing of it is a surprise to a terminal."""
    body = success(r"[['\x1b]0;x\x07']]", name=r"'\x1b[2J\u00e4' * 50_000", rows=2**64 - 1)
    write(project, STEP.format(body=body))
    done = shared_state("run", "--no-cache", project).check(0)
    assert "\x1b" not in done.out + done.err
    assert "18,446,744,073,709,551,615 rows" in done.out
    assert len(done.out) < 4000
