"""Converts tables of any library to Arrow, importing no library but pyarrow."""

from __future__ import annotations

from rundlet._errors import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def type_name(value: object) -> str:
    """Return the name of a value's type, as users write it.

    >>> type_name([]), type_name(None)
    ('list', 'None')
    """
    if value is None:
        return "None"
    kind = type(value)
    module = kind.__module__.split(".")[0]
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def to_reader(value: Any) -> Any:
    """Return a `pyarrow.RecordBatchReader` over a table of any library, with few copies.

    Takes tables of pyarrow, pandas, polars and DuckDB, and any value with `__arrow_c_stream__`.
    Raises `TableError` for every other value.
    """
    import pyarrow as pa

    if isinstance(value, pa.RecordBatchReader):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(value.schema, [value])
    if not isinstance(value, pa.Table):
        value = _from_library(value, pa)
    return value if isinstance(value, pa.RecordBatchReader) else value.to_reader()


def to_table(value: Any) -> Any:
    """Return a `pyarrow.Table` for a table of any library; see `to_reader`.

    >>> import pyarrow as pa
    >>> to_table(pa.record_batch({"n": [1, 2]})).num_rows
    2
    """
    import pyarrow as pa

    return value if isinstance(value, pa.Table) else to_reader(value).read_all()


def _from_library(value: Any, pa: Any) -> Any:
    library = type(value).__module__.split(".")[0]
    name = type(value).__name__
    if library == "pandas" and name == "DataFrame":
        return _from_pandas(value, pa)
    if library == "polars" and name == "LazyFrame":
        value = value.collect()
        name = "DataFrame"
    if library == "polars" and name == "DataFrame":
        return value.to_arrow()
    # A DuckDB relation, or any table with the Arrow PyCapsule interface.
    from_stream = getattr(pa.RecordBatchReader, "from_stream", None)  # pyarrow 15 and later
    if from_stream and library != "pandas" and hasattr(value, "__arrow_c_stream__"):
        try:
            return from_stream(value)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            pass  # a stream of one column, not of rows
    for method in ("fetch_record_batch", "fetch_arrow_reader"):
        if library in ("duckdb", "_duckdb") and hasattr(value, method):
            return getattr(value, method)()
    raise TableError(f"{_a(type_name(value))} is not a table")


def _from_pandas(frame: Any, pa: Any) -> Any:
    """Turn named index levels into columns; drop a nameless index, which only numbers rows."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    return pa.Table.from_pandas(frame, preserve_index=False)


def _a(noun: str) -> str:
    if noun == "None":
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
