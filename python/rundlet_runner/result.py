"""The result file, and the preview of a table in it."""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 1 << 20
MAX_CELL = 80

_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

_FIELDS: dict[str, Any] = {
    "ok": True,
    "rows": None,
    "bytes": None,
    "columns": [],
    "preview": [],
    "held": None,
    "message": None,
    "first_line": None,
    "error": None,
}


def write_result(out: str, fields: dict[str, Any]) -> bool:
    """Write result.json, whole or not at all; False when it cannot be written."""
    path = os.path.join(out, "result.json")
    data = _encode({"version": fields["version"], **_FIELDS, **fields})
    try:
        descriptor = os.open(
            path + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644
        )
        with open(descriptor, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        os.rename(path + ".part", path)
        return True
    except OSError as error:
        print(f"rundlet: writing the result: {error.strerror}", file=sys.stderr)
        return False


def _encode(fields: dict[str, Any]) -> bytes:
    """JSON within the size limit: the preview goes first, then the columns."""
    data = _json(fields)
    rows = fields["preview"]
    while len(data) > MAX_BYTES and rows:
        rows = rows[: len(rows) // 2]
        data = _json({**fields, "preview": rows})
    if len(data) > MAX_BYTES:
        columns = [
            {"name": column["name"][:200], "type": column["type"][:200]}
            for column in fields["columns"][:1000]
        ]
        data = _json({**fields, "preview": [], "columns": columns})
    return data


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(_valid(fields), allow_nan=False).encode("ascii")


def _valid(value: Any) -> Any:
    """The same value, with every text valid Unicode."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_valid(item) for item in value]
    if isinstance(value, dict):
        return {_valid(key): _valid(item) for key, item in value.items()}
    return value


def columns_of(schema: Any) -> list[dict[str, str]]:
    """Names and types of a schema's columns."""
    return [{"name": field.name, "type": str(field.type)} for field in schema]


class Preview:
    """Collects the first rows of a table that passes by in batches."""

    def __init__(self, limit: object) -> None:
        self.left = limit if isinstance(limit, int) and limit > 0 else 0
        self.rows: list[list[Any]] = []

    def add(self, batch: Any) -> None:
        """Take rows from a batch or table, while there is room."""
        count = min(self.left, batch.num_rows)
        if count:
            part = batch.slice(0, count)
            columns = [
                [cell(part.column(index)[row]) for row in range(count)]
                for index in range(part.num_columns)
            ]
            self.rows += [list(row) for row in zip(*columns)] if columns else [[]] * count
            self.left -= count


def cell(scalar: Any) -> Any:
    """One value as a JSON scalar.

    Numbers that JSON has no word for, times, bytes and nested values become text, cut at 80.
    """
    try:
        value = scalar.as_py()
    except Exception:  # nanoseconds without pandas, an unknown time zone, text that is not UTF-8
        return _short(scalar)
    if value is None or isinstance(value, bool):
        return value
    if type(value).__name__ == "Decimal" and scalar.type.scale == 0:
        value = int(value)  # DuckDB's HUGEINT, which is what sum() of integers gives
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else str(value)
    if type(value) is float:
        return value if value - value == 0 else _NOT_FINITE[str(value)]
    if isinstance(value, bytes):
        return _cut("0x" + value[:MAX_CELL].hex())
    return _short(value)


def _short(value: Any) -> str:
    try:
        return _cut(str(value))
    except Exception:
        return f"<{type(value).__name__}>"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 3] + "..."
