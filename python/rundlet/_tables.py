"""Anything tabular as Arrow, without importing a library that the value does not come from."""

from __future__ import annotations

from rundlet._errors import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def type_name(value: object) -> str:
    """A type as its users write it.

    >>> type_name([]), type_name(None)
    ('list', 'None')
    """
    if value is None:
        return "None"
    kind = type(value)
    module = kind.__module__.split(".")[0]
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def to_reader(value: Any) -> Any:
    """Give a `pyarrow.RecordBatchReader` over a table of any library, copying as little as can be.

    Takes what pyarrow, pandas, polars and DuckDB have, and anything with `__arrow_c_stream__`.
    Raises `TableError` for everything else.
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
    """Give a `pyarrow.Table` for a table of any library; see `to_reader`.

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
    # A DuckDB relation, and every table that speaks the Arrow PyCapsule interface.
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
    """Named index levels become columns; a nameless index is only a row number and is dropped."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    return pa.Table.from_pandas(frame, preserve_index=False)


def _a(noun: str) -> str:
    if noun == "None":
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
