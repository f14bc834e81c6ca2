"""Expectations about tables, for functions under `@rundlet.expectation()`.

Every function takes a `pyarrow.Table`, or a pandas or polars frame, and returns a `Result`. It is
true when the expectation holds; its message counts the violations.

>>> import pyarrow as pa
>>> from rundlet import expect
>>> delays = pa.table({"carrier": ["9E", "AA", None], "delay": [16.5, -3.0, 2.0]})
>>> expect.values_between(delays, "delay", 0, 1000)
<does not hold: delay: 1 of 3 rows outside 0..1000>
>>> bool(expect.unique(delays, "carrier"))
True
"""

from __future__ import annotations

from rundlet import _tables
from rundlet._errors import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "Result",
    "accepted_values",
    "all_of",
    "has_columns",
    "mean_between",
    "not_null",
    "row_count_between",
    "unique",
    "values_between",
]


class Result:
    """Whether an expectation holds, with a message about the finding.

    >>> Result(True, "3 rows")
    <holds: 3 rows>
    >>> Result(False, "no rows").held
    False
    """

    __slots__ = ("held", "message")

    def __init__(self, held: bool, message: str) -> None:
        self.held = held
        self.message = message

    def __bool__(self) -> bool:
        return self.held

    def __and__(self, other: Result) -> Result:
        return all_of(self, other)

    def __repr__(self) -> str:
        return f"<{'holds' if self.held else 'does not hold'}: {self.message}>"


def all_of(*results: Result) -> Result:
    """Hold when all results hold; the message joins those that do not.

    >>> all_of(Result(True, "a"), Result(False, "b"), Result(False, "c"))
    <does not hold: b; c>
    """
    failed = [result.message for result in results if not result.held]
    return Result(not failed, "; ".join(failed or [result.message for result in results]))


def values_between(
    table: Any, column: str, low: float | None = None, high: float | None = None
) -> Result:
    """Expect every value of a column within `low` and `high`, both included; nulls do not count.

    A bound of None is not checked. NaN is never within bounds.

    >>> import pyarrow as pa
    >>> values_between(pa.table({"n": [1, None, 30]}), "n", 0, 10)
    <does not hold: n: 1 of 3 rows outside 0..10>
    """
    import pyarrow.compute as pc

    values, rows = _column(table, column)
    inside = pc.is_valid(values)
    if low is not None:
        inside = pc.and_kleene(inside, pc.greater_equal(values, low))
    if high is not None:
        inside = pc.and_kleene(inside, pc.less_equal(values, high))
    valid = len(values) - values.null_count
    outside = valid - (pc.sum(inside).as_py() or 0)
    return _counted(column, outside, rows, f"outside {_span(low, high)}", f"in {_span(low, high)}")


def mean_between(
    table: Any, column: str, low: float | None = None, high: float | None = None
) -> Result:
    """Expect the mean of a column within `low` and `high`, both included; nulls do not count.

    >>> import pyarrow as pa
    >>> mean_between(pa.table({"n": [1, 2, 6]}), "n", 0, 2)
    <does not hold: n: mean 3 is outside 0..2>
    """
    import pyarrow.compute as pc

    values, _ = _column(table, column)
    mean = pc.mean(values).as_py()
    if mean is None:
        return Result(False, f"{column}: no values")
    held = (low is None or mean >= low) and (high is None or mean <= high)
    where = "in" if held else "outside"
    return Result(held, f"{column}: mean {mean:g} is {where} {_span(low, high)}")


def not_null(table: Any, *columns: str) -> Result:
    """Expect no nulls in these columns, or in any column if none is named.

    >>> import pyarrow as pa
    >>> not_null(pa.table({"n": [1, None]}), "n")
    <does not hold: n: 1 of 2 rows null>
    """
    data = _tables.to_table(table)
    results = []
    for column in columns or data.column_names:
        values, rows = _column(data, column)
        results.append(_counted(column, values.null_count, rows, "null", "not null"))
    return all_of(*results) if len(results) != 1 else results[0]


def unique(table: Any, *columns: str) -> Result:
    """Expect no two rows with the same values in all these columns.

    >>> import pyarrow as pa
    >>> unique(pa.table({"n": [1, 1, 2], "m": [1, 2, 2]}), "n")
    <does not hold: n: 1 of 3 rows repeated>
    >>> unique(pa.table({"n": [1, 1, 2], "m": [1, 2, 2]}), "n", "m")
    <holds: n, m: 3 rows unique>
    """
    if not columns:
        raise TableError("`unique` wants the name of at least one column")
    data = _tables.to_table(table)
    for column in columns:
        _column(data, column)
    distinct = data.select(list(columns)).group_by(list(columns)).aggregate([]).num_rows
    return _counted(
        ", ".join(columns), data.num_rows - distinct, data.num_rows, "repeated", "unique"
    )


def accepted_values(table: Any, column: str, values: Iterable[Any]) -> Result:
    """Expect every value of a column to be one of `values`; nulls do not count.

    >>> import pyarrow as pa
    >>> accepted_values(pa.table({"origin": ["JFK", "ORD"]}), "origin", ["JFK", "LGA", "EWR"])
    <does not hold: origin: 1 of 2 rows not accepted, such as 'ORD'>
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found, rows = _column(table, column)
    if pa.types.is_dictionary(found.type):
        found = found.cast(found.type.value_type)
    accepted = pc.is_in(found, value_set=pa.array(list(values), found.type))
    wrong = found.filter(pc.and_(pc.invert(accepted), pc.is_valid(found)))
    such_as = f", such as {wrong[0].as_py()!r}" if len(wrong) else ""
    return _counted(column, len(wrong), rows, "not accepted" + such_as, "accepted")


def row_count_between(table: Any, low: int | None = None, high: int | None = None) -> Result:
    """Expect at least `low` and at most `high` rows.

    >>> import pyarrow as pa
    >>> row_count_between(pa.table({"n": []}), 1)
    <does not hold: 0 rows, outside 1..>
    """
    rows = _tables.to_table(table).num_rows
    held = (low is None or rows >= low) and (high is None or rows <= high)
    return Result(held, f"{_rows(rows)}, {'in' if held else 'outside'} {_span(low, high)}")


def has_columns(table: Any, *columns: str) -> Result:
    """Expect these columns to exist; others are allowed.

    >>> import pyarrow as pa
    >>> has_columns(pa.table({"n": [1]}), "n", "m")
    <does not hold: no column m>
    """
    there = _tables.to_table(table).column_names
    missing = [column for column in columns if column not in there]
    return Result(
        not missing, f"no column {', '.join(missing)}" if missing else f"{len(there)} columns"
    )


def _column(table: Any, column: str) -> tuple[Any, int]:
    data = _tables.to_table(table)
    if data.column_names.count(column) != 1:
        there = ", ".join(data.column_names[:20])
        raise TableError(f"no one column `{column}`: the table has {there or 'none'}")
    return data.column(column), data.num_rows


def _counted(what: str, wrong: int, rows: int, fault: str, virtue: str) -> Result:
    if wrong:
        return Result(False, f"{what}: {wrong} of {_rows(rows)} {fault}")
    return Result(True, f"{what}: {_rows(rows)} {virtue}")


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def _span(low: float | None, high: float | None) -> str:
    return f"{'' if low is None else low}..{'' if high is None else high}"
