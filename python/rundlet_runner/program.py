"""The program: one request, one step, one result."""

from __future__ import annotations

import json
import os
import sys

from rundlet_runner.failure import StepError, describe
from rundlet_runner.result import write_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

VERSION = 1


def main(project: str) -> NoReturn:
    """Read the request, run the step, write the result, and end the process."""
    out = os.environ.get("RUNDLET_OUT", "/rundlet/out")
    request: dict[str, Any] = {}
    owner = os.getpid()
    try:
        request = json.loads(sys.stdin.buffer.read())
        _empty_input()
        _show_lines_at_once()
        if request.get("version") != VERSION:
            raise StepError("ProtocolError", f"not a request of version {VERSION}")
        result = run(request, project)
        code = 0
    except BaseException as error:  # sys.exit and Ctrl-C in a step are its failure, not our end
        if os.getpid() != owner:
            os._exit(
                1
            )  # a child that the step forked and let escape; the result is not its to write
        _drop_output(request)
        result = {"ok": False, "error": describe(error, project)}
        code = 1
    if os.getpid() != owner:
        os._exit(0)
    if not write_result(out, {"version": VERSION, **result}):
        code = 1
    _leave(code)


def run(request: dict[str, Any], project: str) -> dict[str, Any]:
    """Run a step of any kind; gives the fields of its result, or raises."""
    kind = request.get("kind")
    if kind in ("python", "expectation"):
        from rundlet_runner.python_step import run_python

        return run_python(request, project)
    if kind == "sql":
        from rundlet_runner.sql_step import run_sql

        return run_sql(request)
    if kind in ("scan", "materialize", "head"):
        from rundlet_runner import files

        return {"scan": files.scan, "materialize": files.materialize, "head": files.head}[kind](
            request
        )
    raise StepError("ProtocolError", f"there is no kind of step {kind!r}")


def _empty_input() -> None:
    """Give the step an empty standard input, also when whoever started us still holds its end."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _show_lines_at_once() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _drop_output(request: Any) -> None:
    """Remove what was written of the output: half a table must not be taken for one."""
    path = request.get("output") if isinstance(request, dict) else None
    if isinstance(path, str):
        try:
            os.unlink(path)
        except OSError:
            pass


def _leave(code: int) -> NoReturn:
    """End the process without taking the interpreter apart, which with pandas takes 20 ms.

    Threads that the step left running are waited for and exit functions are called, as ever.
    """
    try:
        threading = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()
        import atexit  # built in

        atexit._run_exitfuncs()
    except BaseException as error:
        print(f"rundlet: leaving the step: {type(error).__name__}: {error}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed, replaced, or its reader is gone
            pass
    os._exit(code)
