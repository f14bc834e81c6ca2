"""Tables of files: source files in (scan), Parquet out (materialize), first rows (head)."""

from __future__ import annotations

import errno
import os

from rundlet_runner.failure import StepError
from rundlet_runner.result import Preview
from rundlet_runner.tables import map_table, open_input, summary, write_arrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

BATCH_ROWS = 122_880
ROW_GROUP_ROWS = 1 << 20


def scan(request: dict[str, Any]) -> dict[str, Any]:
    """Read the files of a source table into one Arrow IPC file."""
    return write_arrow(_open(request["source"]), request["output"], request.get("limit"))


def materialize(request: dict[str, Any]) -> dict[str, Any]:
    """Write an Arrow table as Parquet, compressed with zstd."""
    import pyarrow.parquet as pq

    table = open_input(_one_input(request))
    preview = Preview(request.get("limit"))
    preview.add(table)
    path = request["output"]
    try:
        pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StepError("NoSpaceError", "no space is left where results are kept") from error
    return summary(table.schema, table.num_rows, os.stat(path).st_size, preview)


def head(request: dict[str, Any]) -> dict[str, Any]:
    """The first rows of a source or an input; `rows` is null where counting would read it all."""
    limit = request.get("limit")
    preview = Preview(10 if limit is None else limit)
    source = request.get("source")
    if source is None:
        entry = _one_input(request)
        table = open_input(entry)
        preview.add(table)
        return summary(table.schema, table.num_rows, os.stat(entry["path"]).st_size, preview)
    size = sum(os.stat(path).st_size for path in source["paths"])
    reader = _open(source, batch_rows=max(1, preview.left))
    for batch in reader:
        preview.add(batch)
        if not preview.left:
            break
    return summary(reader.schema, _count(source), size, preview)


def _one_input(request: dict[str, Any]) -> dict[str, Any]:
    inputs = request.get("inputs") or []
    if len(inputs) != 1:
        raise StepError("ProtocolError", f"{len(inputs)} inputs, where there must be one")
    entry: dict[str, Any] = inputs[0]
    return entry


def _open(source: dict[str, Any], batch_rows: int = BATCH_ROWS) -> Any:
    """A reader over all files of a source, in their order, as one table."""
    import pyarrow as pa

    paths = source["paths"]
    if not paths:
        raise StepError("SourceError", "the table has no files")
    try:
        if source["format"] == "csv":
            return _open_csv(paths, batch_rows)
        if source["format"] == "parquet":
            return _open_parquet(paths, batch_rows)
        if source["format"] == "arrow":
            return _open_arrow(paths)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OSError) as error:
        raise StepError("SourceError", f"reading the table's files: {error}") from error
    raise StepError("ProtocolError", f"there is no format {source['format']!r}")


def _open_parquet(paths: list[str], batch_rows: int) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [pq.ParquetFile(path, memory_map=True) for path in paths]
    schema = _unify([file.schema_arrow for file in files])

    def batches() -> Iterator[Any]:
        for file in files:
            for batch in file.iter_batches(batch_size=batch_rows):
                yield from _as_schema(pa.Table.from_batches([batch]), schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _open_arrow(paths: list[str]) -> Any:
    import pyarrow as pa

    tables = []
    for path in paths:
        try:
            tables.append(map_table(path))
        except StepError:
            with pa.ipc.open_stream(pa.memory_map(path)) as reader:  # the streaming format, then
                tables.append(reader.read_all())
    schema = _unify([table.schema for table in tables])
    batches = (batch for table in tables for batch in _as_schema(table, schema))
    return pa.RecordBatchReader.from_batches(schema, batches)


def _open_csv(paths: list[str], batch_rows: int) -> Any:
    """DuckDB's reader: it finds delimiter, header and types over all files."""
    import duckdb

    from rundlet_runner.sql_step import connect

    connection = connect(paths)
    try:
        query = "SELECT * FROM read_csv($paths, union_by_name = true, sample_size = 100000)"
        connection.execute(query, {"paths": paths})
        result = getattr(connection, "to_arrow_reader", None) or connection.fetch_record_batch
        return result(batch_rows)
    except duckdb.Error as error:
        raise StepError("SourceError", f"reading the table's files: {error}") from error


def _unify(schemas: list[Any]) -> Any:
    import pyarrow as pa

    first = schemas[0]
    if all(schema.equals(first) for schema in schemas[1:]):
        return first.remove_metadata()
    try:
        return pa.unify_schemas(
            [schema.remove_metadata() for schema in schemas], promote_options="permissive"
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StepError(
            "SourceError", f"the table's files have different columns: {error}"
        ) from error


def _as_schema(table: Any, schema: Any) -> list[Any]:
    """A table's batches with the columns and types of the whole; what it lacks is null."""
    import pyarrow as pa

    if table.schema.equals(schema, check_metadata=False):
        return list(table.replace_schema_metadata(None).to_batches())
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return list(pa.Table.from_arrays(columns, schema=schema).to_batches())


def _count(source: dict[str, Any]) -> int | None:
    if source["format"] == "parquet":
        import pyarrow.parquet as pq

        return sum(int(pq.read_metadata(path).num_rows) for path in source["paths"])
    if source["format"] == "arrow":
        return sum(int(batch.num_rows) for batch in _open_arrow(source["paths"]))
    return None
