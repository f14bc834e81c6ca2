"""FILTER trees over Arrow tables, with SQL's nulls: a row stays when the condition is true."""

from __future__ import annotations

from rundlet_runner.failure import StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COMPARE = {
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "=": "equal",
    "!=": "not_equal",
}


def mask(table: Any, tree: dict[str, Any], name: str) -> Any:
    """Which rows pass: true, false, or null where SQL says unknown."""
    import pyarrow.compute as pc

    op = tree["op"]
    if op in ("and", "or"):
        combine = pc.and_kleene if op == "and" else pc.or_kleene
        result = mask(table, tree["args"][0], name)
        for part in tree["args"][1:]:
            result = combine(result, mask(table, part, name))
        return result
    if op == "not":
        return pc.invert(mask(table, tree["arg"], name))
    column = _column(table, tree["column"], name)
    if op == "is_null":
        return pc.is_null(column)
    if op == "is_not_null":
        return pc.is_valid(column)
    try:
        if op == "in":
            return _is_in(column, tree["values"])
        if op == "between":
            low = _compare(">=", column, tree["low"])
            return pc.and_kleene(low, _compare("<=", column, tree["high"]))
        return _compare(op, column, tree["value"])
    except _mismatches() as error:
        shown = tree.get("value", tree.get("values", tree.get("low")))
        raise StepError(
            "FilterError",
            f"the filter on `{name}` compares `{tree['column']}`, which is {column.type},"
            f" with {shown!r}",
        ) from error


def _column(table: Any, column: str, name: str) -> Any:
    import pyarrow as pa

    if table.column_names.count(column) != 1:
        raise StepError(
            "InputError",
            f"the filter on `{name}` names `{column}`, of which it has not exactly one",
            hint="its columns are " + ", ".join(table.column_names[:30]),
        )
    values = table.column(column)
    if pa.types.is_dictionary(values.type):
        return values.cast(values.type.value_type)
    if str(values.type) in ("string_view", "binary_view"):
        return values.cast(pa.large_string())
    return values


def _mismatches() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError)


def _compare(op: str, column: Any, value: Any) -> Any:
    import pyarrow.compute as pc

    return getattr(pc, _COMPARE[op])(column, _scalar(value, column.type))


def _is_in(column: Any, values: list[Any]) -> Any:
    """`IN`, where null is unknown: `pc.is_in` says false, which `NOT IN` would turn into true."""
    import pyarrow as pa
    import pyarrow.compute as pc

    result = None
    if len(values) > 16:
        scalars = [_scalar(value, column.type) for value in values]
        kinds = {str(scalar.type) for scalar in scalars}
        if kinds == {str(column.type)}:
            members = pa.array([scalar.as_py() for scalar in scalars], column.type)
            found = pc.is_in(column, value_set=members)
            return pc.if_else(pc.is_valid(column), found, pa.scalar(None, pa.bool_()))
    for value in values:
        equal = _compare("=", column, value)
        result = equal if result is None else pc.or_kleene(result, equal)
    return result


def _scalar(value: Any, kind: Any) -> Any:
    """A literal as a scalar that compares with a column; text is read as the column's time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(value, bool) != pa.types.is_boolean(kind):
        raise TypeError("a boolean compares with booleans only")
    textual = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if isinstance(value, str) and pa.types.is_temporal(kind):
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            naive = pa.scalar(value).cast(pa.timestamp(kind.unit))
            return pc.assume_timezone(naive, kind.tz)
        return pa.scalar(value).cast(kind)
    if isinstance(value, str) != textual:
        raise TypeError("text compares with text only")
    if isinstance(value, int) and pa.types.is_integer(kind):
        try:
            return pa.scalar(value, kind)
        except (pa.ArrowInvalid, OverflowError):
            return pa.scalar(value)  # outside the column's range: compared in a wider type
    return pa.scalar(value, kind) if isinstance(value, str) else pa.scalar(value)
