"""SQL steps: DuckDB over the mapped input tables, with nothing else in its reach."""

from __future__ import annotations

import os
import re
import time

from rundlet_runner.failure import StepError
from rundlet_runner.tables import open_input, write_arrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BATCH_ROWS = 122_880  # DuckDB's own row group

_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)


def run_sql(request: dict[str, Any]) -> dict[str, Any]:
    """Run a query over its inputs and write what it gives."""
    import duckdb

    connection = connect()
    tables = [(entry["argument"], open_input(entry)) for entry in request.get("inputs") or []]
    for name, table in tables:
        connection.register(name, table)
    given = request.get("parameters") or {}
    first_line = time.monotonic()
    try:
        wanted = _parameters(connection, request["sql"])
        missing = sorted(wanted - set(given))
        if missing:
            raise StepError(
                "ParameterError",
                f"the query wants `${missing[0]}`, which is not given",
                file=request.get("file"),
            )
        used = {name: given[name] for name in wanted}
        connection.execute(request["sql"], *([used] if used else []))
        result = (
            connection.to_arrow_reader
            if hasattr(connection, "to_arrow_reader")
            else connection.fetch_record_batch
        )
        fields = write_arrow(result(BATCH_ROWS), request["output"], request.get("limit"))
    except duckdb.Error as error:
        message = str(error)
        line = _LINE.search(message)
        raise StepError(
            type(error).__name__,
            message,
            file=request.get("file"),
            line=int(line.group(1)) if line else None,
            hint=_hint(message),
        ) from error
    return {**fields, "first_line": first_line}


def connect(paths: list[str] | None = None) -> Any:
    """A DuckDB in memory, within the step's limits, that can reach nothing but `paths`."""
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": _threads(),
            # Not /tmp itself: DuckDB lets queries at all that is in its scratch directory.
            "temp_directory": os.path.join(os.environ.get("TMPDIR", "/tmp"), "rundlet-duckdb"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    limit = _memory()
    if limit is not None:
        connection.execute(f"SET memory_limit = '{limit}B'")
    if paths is not None:
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _threads() -> int:
    """As many as the step's cpu limit says, which the sandbox puts in OMP_NUM_THREADS."""
    processors = len(os.sched_getaffinity(0))
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return max(1, min(processors, int(limit))) if limit.isdigit() else processors


def _memory() -> int | None:
    """Four fifths of the step's memory in bytes, as its /proc/meminfo tells it."""
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(b"MemTotal:"):
                    return int(line.split()[1]) * 1024 * 4 // 5
    except (OSError, ValueError, IndexError):
        pass
    return None


def _parameters(connection: Any, sql: str) -> set[str]:
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise StepError("StepError", f"{len(statements)} statements, where a model has one query")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise StepError("StepError", "the statement is not a query: a model's SQL is one SELECT")
    return set(statements[0].named_parameters)


def _hint(message: str) -> str | None:
    if "disabled" in message and ("file system" in message or "external access" in message.lower()):
        return "a query reads tables only: declare files as `[tables.NAME]` in rundlet.toml"
    return None
