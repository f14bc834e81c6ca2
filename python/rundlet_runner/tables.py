"""Tables in and out: inputs are mapped, outputs are streamed into their file."""

from __future__ import annotations

import os

from rundlet_runner.failure import StepError
from rundlet_runner.filters import mask
from rundlet_runner.result import Preview, columns_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def open_input(entry: dict[str, Any]) -> Any:
    """One of the request's inputs as a `pyarrow.Table` over the mapped file.

    Without a filter nothing is copied. With one, only the wanted columns of the rows that pass.
    """
    name = entry["model"]
    table = map_table(entry["path"])
    columns = entry.get("columns")
    condition = entry.get("filter")
    kept = table
    if columns is not None:
        for column in columns:
            if table.column_names.count(column) != 1:
                there = ", ".join(table.column_names[:30])
                raise StepError(
                    "InputError",
                    f"`{name}` has no one column `{column}`",
                    hint=f"its columns are {there}",
                )
        kept = table.select(columns)
    return kept if condition is None else kept.filter(mask(table, condition, name))


def map_table(path: str) -> Any:
    """A whole Arrow IPC file as a table over its mapped pages."""
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.memory_map(path)) as reader:
            table = reader.read_all()
        table.validate()
        return table
    except (pa.ArrowInvalid, OSError) as error:
        raise StepError("InputError", f"reading `{os.path.basename(path)}`: {error}") from error


def write_arrow(reader: Any, path: str, limit: object) -> dict[str, Any]:
    """Stream batches into an uncompressed Arrow IPC file; gives the result's fields for it."""
    import pyarrow as pa

    reader = _portable(reader, pa)
    preview = Preview(limit)
    rows = 0
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
        for batch in reader:
            if batch.num_rows:
                writer.write_batch(batch)
                preview.add(batch)
                rows += batch.num_rows
    return summary(reader.schema, rows, os.stat(path).st_size, preview)


def summary(schema: Any, rows: int | None, size: int, preview: Preview) -> dict[str, Any]:
    """The fields of a result that describe a table."""
    return {
        "rows": rows,
        "bytes": size,
        "columns": columns_of(schema),
        "preview": preview.rows,
    }


def _portable(reader: Any, pa: Any) -> Any:
    """The same rows in types and form that every later step can map.

    The file format has one dictionary per column for all batches; views of text and binary are
    unknown to older pyarrow and pandas; pandas' notes about itself trouble other pandas versions.
    """
    schema = reader.schema
    changed = {}
    for index, field in enumerate(schema):
        kind = str(field.type)
        if kind in ("string_view", "binary_view"):
            plain = pa.large_string() if kind == "string_view" else pa.large_binary()
            changed[index] = field.with_type(plain)
    if any("dictionary" in str(field.type) for field in schema):
        reader = reader.read_all().unify_dictionaries().to_reader()
    metadata = dict(schema.metadata or {})
    if not changed and b"pandas" not in metadata:
        return reader
    metadata.pop(b"pandas", None)
    fields = [changed.get(index, field) for index, field in enumerate(schema)]
    target = pa.schema(fields, metadata or None)

    def converted() -> Any:
        for batch in reader:
            arrays = [
                batch.column(index).cast(fields[index].type) if index in changed else column
                for index, column in enumerate(batch.columns)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=target)

    return pa.RecordBatchReader.from_batches(target, converted())
