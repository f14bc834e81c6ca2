"""The program: request in, document out."""

from __future__ import annotations

import gc
import json
import os
import sys
import warnings

from rundlet_reader.errors import Faults
from rundlet_reader.project import Project
from rundlet_reader.python_file import read_python

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
MAX_REQUEST_BYTES = 16 << 20
MAX_FILES = 10_000
MAX_ERRORS = 1000


def main() -> int:
    """Read a request and write a document; 0 whenever a document was written."""
    warnings.simplefilter("ignore")  # a project's own SyntaxWarnings are not ours to print
    try:
        request = json.loads(sys.stdin.buffer.read(MAX_REQUEST_BYTES))
        files = request["files"]
        if request["version"] != VERSION or not isinstance(files, list) or len(files) > MAX_FILES:
            raise ValueError("not a request of version 1")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        print(f"rundlet_reader: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    document = read_project(os.environ.get("RUNDLET_PROJECT", "/work"), files)
    sys.stdout.buffer.write(json.dumps(document).encode("ascii") + b"\n")
    sys.stdout.buffer.flush()
    return 0


def read_project(root: str, files: list[Any]) -> dict[str, Any]:
    """Everything the project's files declare, and every fault in them."""
    project = Project(root)
    models: list[dict[str, Any]] = []
    expectations: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for path in files:
        faults = Faults(path if isinstance(path, str) else repr(path))
        try:
            for step in _read_file(project, path, faults):
                (expectations if step.pop("expectation") else models).append(step)
        except (RecursionError, MemoryError):
            gc.collect()
            faults.add(0, 0, "the file is nested too deeply to be read", path)
        except Exception as error:  # one odd file must not hide what the others declare
            faults.add(0, 0, f"reading failed: {type(error).__name__}: {error}", path)
        errors += faults.found
    return {
        "version": VERSION,
        "models": models,
        "expectations": expectations,
        "errors": errors[:MAX_ERRORS],
    }


def _read_file(project: Project, path: Any, faults: Faults) -> list[dict[str, Any]]:
    source = project.read(path, faults)
    if source is None:
        return []
    if path.endswith(".py"):
        return read_python(project, path, source, faults)
    if path.endswith(".sql"):
        from rundlet_reader.sql_file import read_sql  # sqlglot takes 0.1 s to import

        return read_sql(path, source, faults)
    faults.add(0, 0, f"`{path}` is neither Python (.py) nor SQL (.sql)", path)
    return []
