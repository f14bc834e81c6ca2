"""Shared by the tests of the SDK, the reader and the runner."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[2] / "python"
sys.path.insert(0, str(PYTHON))


class Runner:
    """Runs the real runner in a process of its own, outside a sandbox."""

    def __init__(self, root: Path) -> None:
        self.project = root / "work"
        self.inputs = root / "in"
        self.out = root / "out"
        for folder in (self.project, self.inputs, self.out):
            folder.mkdir()
        self.output = self.out / "table.arrow"

    def table(self, name, table):
        """Write an input file; gives its entry for a request."""
        import pyarrow as pa

        path = self.inputs / f"{name}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return {"argument": name, "model": name, "path": str(path), "columns": None, "filter": None}

    def run(self, code=None, *, environment=None, launch=("-m", "rundlet_runner"), **request):
        request = {
            "version": 1,
            "kind": "python",
            "step": "step",
            "file": "pipeline.py",
            "function": "step",
            "inputs": [],
            "parameters": {},
            "limit": 10,
            "output": str(self.output),
            **request,
        }
        if code is not None:
            (self.project / request["file"]).write_text(code)
        done = subprocess.run(
            [sys.executable, *launch],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.project,
            env={
                **os.environ,
                "PYTHONPATH": str(PYTHON),
                "RUNDLET_PROJECT": str(self.project),
                "RUNDLET_OUT": str(self.out),
                **(environment or {}),
            },
        )
        result = self.out / "result.json"
        answer = json.loads(result.read_text()) if result.exists() else {}
        assert not list(self.out.glob("*.part"))
        if answer:
            assert done.returncode == (0 if answer["ok"] else 1), done.stderr
        return types.SimpleNamespace(**answer, stdout=done.stdout, stderr=done.stderr)

    def result(self):
        """The table that the step wrote."""
        import pyarrow as pa

        with pa.ipc.open_file(pa.memory_map(str(self.output))) as reader:
            return reader.read_all()


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


@pytest.fixture
def read(tmp_path):
    """Run the reader, in this process, on files given as text or bytes."""
    from rundlet_reader.program import read_project

    def read(**files):
        named = {}
        for name, content in files.items():
            path = name.replace("__", "/")
            path = path[:-4] + ".sql" if path.endswith("_sql") else path + ".py"
            named[path] = content
        for path, content in named.items():
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_project(str(tmp_path), list(named))

    return read
