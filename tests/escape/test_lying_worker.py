"""A worker that was taken over by what it read: what it says is an outsider's, and told as that worker's fault."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from escape.weakened_programs import Installation, patched

from support.pipelines import write
from support.rundlet import build_directory
from support.servers.index import PackageIndex

LYING = build_directory() / "tests/escape/weakened/rundlet-worker-lying"
MARK = b"rundlet-lying-worker says:"

# What it prints -> what is said of it.
LIES = {
    "": "it ended with code 0 and without an answer",
    "5": "it ended with code 0 and without an answer",
    '"answer"': "it ended with code 0 and without an answer",
    '{"progress": 5}': "an object is something else",
    '{"progress": {"item": "0", "done": 0, "total": 0}}': "`item` is no whole number",
    '{"progress": {"item": -1, "done": 0, "total": 0}}': "`item` is no whole number",
    '{"error": []}': "an object is something else",
    '{"error": {"fault": "2", "chain": ["x"]}}': "`fault` is no whole number",
    '{"error": {"fault": 7, "chain": ["x"]}}': "`fault` is none",
    '{"error": {"fault": 2, "chain": {"0": "x"}}}': "`chain` is no list",
    '{"error": {"fault": 2, "chain": []}}': "`chain` is empty",
    '{"error": {"fault": 2, "chain": [1], "hint": 5}}': "",
    '{"answer": 5}': "an object is something else",
    '{"answer": {"data": [], "lines": {}}}': "an object is something else",
    '{"answer": {"data": {}}}': "`lines` is missing",
}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    folder = tmp_path / "installation"
    yield Installation(folder)
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


# What a gate to package indexes writes down of the first failure.
OF_A_GATE = (
    '{"index": "0"}',
    '{"index": 0, "status": []}',
    '{"index": 0, "host": 1}',
    '{"index": 0, "cause": {}}',
    "[0]",
)


def test_a_gate_that_lies(installation: Installation, index: PackageIndex, small_image: Path) -> None:
    """Nothing is resolved through it, and that is said; of what it says itself, what can be read."""
    driver = installation.driver.with_environment(RUNDLET_INDEX=index.url)
    driver.ok("image", "import", "small", small_image)
    driver.ok("exec", "--with", "tiny==1.0", "--", "true")  # uv is there
    for lie in (*OF_A_GATE, '{"index": 0, "cause": "as it likes"}'):
        patched(LYING, installation.fetcher, MARK, lie.encode())
        error = driver("exec", "--with", f"tiny==1.{len(lie)}", "--", "true").check(125).err
        assert ("as it likes" in error) == (lie not in OF_A_GATE), error
        assert "a bug in rundlet" not in error


@pytest.mark.parametrize("lie", LIES)
def test_a_worker_that_lies(installation: Installation, project: Path, lie: str) -> None:
    patched(LYING, installation.worker, MARK, lie.encode() + b"\n")
    done = installation.driver("plan", write(project))
    assert done.code in (2, 3), str(done)
    assert "worker `parse-toml`" in done.err or lie.startswith('{"error": {"fault": 2, "chain": [1]')
    assert LIES[lie] in done.err
    assert "bug" not in done.err
