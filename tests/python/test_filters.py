"""Filters: read by the reader, applied by the runner, compared with DuckDB's SQL and pandas."""

import datetime
import decimal

import pytest

pa = pytest.importorskip("pyarrow")

from rundlet_reader.filters import FilterError, parse_filter  # noqa: E402
from rundlet_runner.failure import StepError  # noqa: E402
from rundlet_runner.filters import mask  # noqa: E402

DAY = datetime.date(2013, 1, 1)
NOON = datetime.datetime(2013, 1, 1, 12)
TABLE = pa.table(
    {
        "id": list(range(6)),
        "n": pa.array([1, 2, 3, None, -5, 20], pa.int32()),
        "x": [0.5, None, 2.0, 3.5, -1.0, 15.0],
        "s": ["a", "b", None, "it's", "", "z"],
        "b": [True, False, None, True, None, False],
        "d": [DAY, None, *[DAY + datetime.timedelta(days) for days in (1, 2, 31, 400)]],
        "t": [NOON, None, *[NOON + datetime.timedelta(hours) for hours in (1, 2, 31, 400)]],
        "m": [decimal.Decimal("1.10"), None, *map(decimal.Decimal, ("2.20", "3", "-1", "9.99"))],
        "k": pa.array(["a", "b", None, "a", "c", "z"]).dictionary_encode(),
        "odd name": [1, 2, 3, 4, 5, None],
    }
)

FILTERS = [
    "n > 1", "n >= 2", "n < 2.5", "n <= 3", "n = 3", "n == 3", "n != 3", "n <> 3", "2 < n",
    "n = 2.5", "n > 5000000000", "x > 1", "x = 2", "x < -0.5", "x > 1e0", "s = 'a'",
    "s = 'it''s'", "s != 'a'", "s > 'a'", "s = ''", "b", "NOT b", "b = TRUE", "b = false",
    "b <> true", "n IN (1, 3)", "n NOT IN (1, 3)", "NOT n IN (1, 3)", "s IN ('a', 'z')",
    "s NOT IN ('a')", "n IN (1, 2.5)", "x IN (2, 3.5)",
    "n IN (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18)",
    "n NOT IN (1,2,30,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18)",
    "n BETWEEN 1 AND 3", "n NOT BETWEEN 1 AND 3", "s BETWEEN 'a' AND 'b'", "n IS NULL",
    "n IS NOT NULL", "s is null", "n > 1 AND x > 1", "n > 1 OR x > 1", "NOT (n > 1 OR x > 1)",
    "NOT (n > 1 AND x > 1)", "n > 1 AND s = 'a' OR b", "n > 1 AND (s = 'a' OR b)",
    "NOT NOT n > 1", "d > '2013-01-01'", "d = DATE '2013-01-02'",
    "d BETWEEN '2013-01-02' AND '2013-02-01'",
    "t > '2013-01-01 12:30:00'", "t = TIMESTAMP '2013-01-01 12:00:00'", "m > 1.5", "m = 3",
    "k = 'a'", "k IN ('a', 'c')", "k NOT IN ('a')", '"odd name" >= 2', '"odd name" IS NULL',
    "(n = 1)", "n>1 and x>1",
]  # fmt: skip


def ids(condition):
    return TABLE.filter(mask(TABLE, parse_filter(condition), "t"))["id"].to_pylist()


@pytest.mark.parametrize("condition", FILTERS)
def test_filters_mean_what_sql_means(condition):
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.register("t", TABLE)
    rows = connection.execute(f"SELECT id FROM t WHERE {condition} ORDER BY id").fetchall()
    assert ids(condition) == [row[0] for row in rows]


@pytest.mark.parametrize(
    "condition",
    ["n > 1", "n <= 3", "x > 1", "s == 'a'", "n > 1 and x > 1", "n > 1 or x > 1"],
)
def test_filters_of_positive_tests_mean_what_pandas_means(condition):
    pytest.importorskip("pandas")
    frame = TABLE.select(["id", "n", "x", "s"]).to_pandas()
    assert ids(condition) == frame.query(condition)["id"].tolist()


def test_trees():
    assert parse_filter("a > 1 AND (NOT b OR c IN ('x', 'y')) AND d IS NOT NULL") == {
        "op": "and",
        "args": [
            {"op": ">", "column": "a", "value": 1},
            {
                "op": "or",
                "args": [
                    {"op": "not", "arg": {"op": "=", "column": "b", "value": True}},
                    {"op": "in", "column": "c", "values": ["x", "y"]},
                ],
            },
            {"op": "is_not_null", "column": "d"},
        ],
    }
    assert parse_filter("x BETWEEN -1 AND .5") == {
        "op": "between", "column": "x", "low": -1, "high": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "at"),
    [
        ("", 1),
        ("  ", 1),
        ("n >", 4),
        ("n > > 1", 5),
        ("n > m", 5),
        ("n > 1 n", 7),
        ("(n > 1", 7),
        ("n > 1)", 6),
        ("n = NULL", 5),
        ("n IN ()", 7),
        ("n IN (1, NULL)", 10),
        ("n LIKE 'a'", 3),
        ("n NOT 1", 7),
        ("1", 2),
        ("1 = 1", 5),
        ("n = 'x", 5),
        ("n = 1x", 5),
        ("n + 1 > 2", 3),
        ("f(n) > 2", 2),
        ("n > 99999999999999999999", 5),
        ("n > 1e999", 5),
        ("n; DROP TABLE t", 2),
        ("n = 1 -- x", 7),
        ("(" * 1000 + "n" + ")" * 1000, 51),
        ("NOT " * 1000 + "n", None),
        ("x" * 20_000, 1),
    ],
)
def test_faults(condition, at):
    with pytest.raises(FilterError) as caught:
        parse_filter(condition)
    if at is not None:
        assert caught.value.at == at


@pytest.mark.parametrize(
    "condition", ["n = 'x'", "s = 1", "b = 1", "n = TRUE", "d > 'soon'", "n IN ('a')", "d = 1"]
)
def test_comparing_different_things_is_an_error(condition):
    with pytest.raises(StepError, match="the filter on `t` compares"):
        ids(condition)


def test_a_missing_column_is_an_error():
    with pytest.raises(StepError, match="names `nope`"):
        ids("nope = 1")


def test_time_zones():
    table = pa.table({"t": pa.array([NOON], pa.timestamp("us", "UTC"))})
    tree = parse_filter("t = '2013-01-01 12:00:00'")
    assert table.filter(mask(table, tree, "t")).num_rows == 1
