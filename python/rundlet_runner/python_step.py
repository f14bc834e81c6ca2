"""Python steps and expectations: the user's function, called with mapped tables."""

from __future__ import annotations

import os
import sys
import time

from rundlet_runner.failure import StepError
from rundlet_runner.tables import open_input, write_arrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable

MAX_MESSAGE = 8_000


def run_python(request: dict[str, Any], project: str) -> dict[str, Any]:
    """Run a model or an expectation."""
    import pyarrow.ipc  # noqa: F401  before the project is on the path

    import rundlet._tables

    arguments = {entry["argument"]: open_input(entry) for entry in request.get("inputs") or []}
    arguments.update(request.get("parameters") or {})
    module = load(project, request["file"])
    function = getattr(module, request["function"], None)
    if not callable(function):
        raise StepError(
            "StepError",
            f"`{request['file']}` has no function `{request['function']}`",
            file=request["file"],
        )
    if request["kind"] == "expectation":
        return _expect(function, arguments, request)
    first_line = time.monotonic()
    value = function(**arguments)
    try:
        reader = rundlet._tables.to_reader(value)
    except rundlet.TableError:
        raise _no_table(value, function, request) from None
    del value
    fields = write_arrow(reader, request["output"], request.get("limit"))
    return {**fields, "first_line": first_line}


def load(project: str, file: str) -> ModuleType:
    """Import the step's module: `models.delays` for models/delays.py."""
    from importlib.util import module_from_spec, spec_from_file_location

    if project in sys.path:
        sys.path.remove(project)
    # After the SDK and before everything else, as when a script is run in the project's folder.
    sys.path.insert(1, project)
    path = os.path.join(project, file)
    parts = file[: -len(".py")].split("/")
    name = ".".join(parts)
    if len(parts) > 1:
        if all(part.isidentifier() for part in parts):
            __import__(".".join(parts[:-1]))
        else:
            name = parts[-1]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise StepError("StepError", f"there is no file `{file}` in the project")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _expect(
    function: Callable[..., Any], arguments: dict[str, Any], request: dict[str, Any]
) -> dict[str, Any]:
    first_line = time.monotonic()
    message: str | None
    try:
        value = function(**arguments)
    except AssertionError as error:
        value, message = False, str(error) or _asserted(error)
    else:
        message = getattr(value, "message", None)
    held = _truth(value)
    if held is None:
        raise StepError(
            "TypeError",
            f"the expectation `{request['step']}` returned {_named(value)}, not whether it holds",
            **_where(function, request),
            hint="return a bool or a result of `rundlet.expect`",
        )
    if not isinstance(message, str):
        message = None if held else f"`{request['function']}` returned {value!s}"
    if message is not None:
        message = message[:MAX_MESSAGE]
    return {"held": held, "message": message, "first_line": first_line}


def _truth(value: Any) -> bool | None:
    """Whether an expectation's value says that it holds; None when it says nothing."""
    if isinstance(value, bool):
        return value
    held = getattr(value, "held", None)
    if isinstance(held, bool):
        return held
    library = type(value).__module__.split(".")[0]
    if library == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    if library == "pyarrow" and type(value).__name__ == "BooleanScalar":
        answer = value.as_py()
        return answer if isinstance(answer, bool) else None
    return None


def _asserted(error: AssertionError) -> str:
    """The text of a bare `assert`."""
    import linecache

    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an assertion failed"
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
    return line or "an assertion failed"


def _no_table(value: Any, function: Callable[..., Any], request: dict[str, Any]) -> StepError:
    hint = "return an Arrow table, a pandas or polars frame, or a DuckDB relation"
    if value is None:
        hint = "did you forget `return`? A model returns its table"
    elif isinstance(value, (dict, list)):
        hint = "make it a table with `pyarrow.table(...)` or `pyarrow.Table.from_pylist(...)`"
    elif type(value).__name__ == "Series":
        hint = "make it a table with `.to_frame()`"
    elif type(value).__name__ == "coroutine":
        value.close()
        hint = "a model is a plain function, not an async one"
    return StepError(
        "TypeError",
        f"the model `{request['step']}` returned {_named(value)}, which is not a table",
        **_where(function, request),
        hint=hint,
    )


def _named(value: Any) -> str:
    from rundlet._tables import type_name

    return "None" if value is None else f"`{type_name(value)}`"


def _where(function: Any, request: dict[str, Any]) -> dict[str, Any]:
    code = getattr(function, "__code__", None)
    line = getattr(code, "co_firstlineno", None)
    return {"file": request["file"], "line": line, "function": request["function"]}
