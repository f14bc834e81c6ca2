"""Every kind of step, and every way for one to fail."""

import decimal
import math
import subprocess
import sys
import textwrap

import pytest

pa = pytest.importorskip("pyarrow")
duckdb = pytest.importorskip("duckdb")

from conftest import PYTHON  # noqa: E402

NUMBERS = pa.table({"n": [1, 2, None, 4], "s": ["a", "b", "c", None]})


def step(body, signature="", top=""):
    return f"{top}\ndef step({signature}):\n" + textwrap.indent(textwrap.dedent(body), "    ")


# -- results


def test_a_table_goes_in_and_out(runner):
    done = runner.run(step("return t", "t"), inputs=[{**runner.table("t", NUMBERS)}])
    assert done.ok
    assert runner.result().equals(NUMBERS)
    assert done.rows == 4
    assert done.bytes == runner.output.stat().st_size
    assert done.columns == [{"name": "n", "type": "int64"}, {"name": "s", "type": "string"}]
    assert done.preview == [[1, "a"], [2, "b"], [None, "c"], [4, None]]
    assert done.first_line > 0
    assert done.error is None
    assert done.held is None


@pytest.mark.parametrize(
    ("library", "expression"),
    [
        ("pyarrow", "pyarrow.table({'n': [1, 2]})"),
        ("pyarrow", "pyarrow.record_batch({'n': [1, 2]})"),
        ("pyarrow", "pyarrow.table({'n': [1, 2]}).to_reader()"),
        ("pandas", "pandas.DataFrame({'n': [1, 2]})"),
        ("pandas", "pandas.DataFrame({'n': [0, 1, 2]}).query('n > 0')"),
        ("pandas", "pandas.DataFrame({'v': [0]*2, 'n': [1, 2]}).set_index('n')[[]]"),
        ("polars", "polars.DataFrame({'n': [1, 2]})"),
        ("polars", "polars.LazyFrame({'n': [1, 2]})"),
        ("duckdb", "duckdb.sql('select unnest([1, 2])::bigint as n')"),
    ],
)
def test_what_a_model_may_return(runner, library, expression):
    pytest.importorskip(library)
    done = runner.run(step(f"import {library}\nreturn {expression}"))
    assert done.ok, done.error
    assert runner.result().to_pydict() == {"n": [1, 2]}
    assert b"pandas" not in (runner.result().schema.metadata or {})


def test_anything_with_an_arrow_stream_is_a_table(runner):
    top = """
class Foreign:
    def __arrow_c_stream__(self, requested_schema=None):
        import pyarrow
        return pyarrow.table({"n": [1]}).__arrow_c_stream__(requested_schema)
"""
    assert runner.run(step("return Foreign()", top=top)).preview == [[1]]


def test_a_reader_is_streamed(runner):
    done = runner.run(
        step("""
        import pyarrow as pa
        schema = pa.schema([("n", pa.int64())])
        batches = (pa.record_batch([pa.array(range(100_000))], schema=schema) for _ in range(50))
        return pa.RecordBatchReader.from_batches(schema, batches)
        """)
    )
    assert done.rows == 5_000_000
    assert len(done.preview) == 10


def test_dictionaries_of_several_batches_become_one(runner):
    done = runner.run(
        step("""
        import pyarrow as pa
        parts = [pa.array(x).dictionary_encode() for x in (["a", "b"], ["c"])]
        return pa.table({"s": pa.chunked_array(parts)})
        """)
    )
    assert done.ok, done.error
    assert runner.result().to_pydict() == {"s": ["a", "b", "c"]}


def test_polars_text_can_be_read_by_anything(runner):
    pytest.importorskip("polars")
    assert runner.run(step("import polars\nreturn polars.DataFrame({'s': ['x' * 40]})")).ok
    assert str(runner.result().schema.field("s").type) in ("string", "large_string")


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("None", "None"),
        ("[1]", "`list`"),
        ("{'a': 1}", "`dict`"),
        ("__import__('pandas').Series([1])", "`pandas.Series`"),
        ("__import__('polars').Series([1])", "`polars.Series`"),
        ("object", "`type`"),
    ],
)
def test_a_result_that_is_no_table_is_named(runner, expression, named):
    done = runner.run(step(f"return {expression}"))
    assert not done.ok
    assert done.error["message"] == f"the model `step` returned {named}, which is not a table"
    assert done.error["file"] == "pipeline.py"
    assert done.error["hint"]
    assert not runner.output.exists()


def test_cells_are_json_scalars(runner):
    table = pa.table(
        {
            "float": [1.5, math.nan, math.inf],
            "time": pa.array([0, 1, None], pa.timestamp("ns")),
            "zone": pa.array([0, 1, None], pa.timestamp("us", "America/New_York")),
            "bytes": [b"\x00\xff", b"", None],
            "list": [[1, 2], [], None],
            "decimal": [decimal.Decimal("1.10"), None, None],
            "long": ["x" * 200, "", None],
            "big": pa.array([2**64 - 1, 0, None], pa.uint64()),
            "date": pa.array([0, 1, None], pa.date32()),
            "whole": pa.array([12, 2**70, None], pa.decimal128(38, 0)),
        }
    )
    rows = runner.run(step("return t", "t"), inputs=[runner.table("t", table)]).preview
    assert rows[0][0] == 1.5
    assert [rows[1][0], rows[2][0]] == ["NaN", "Infinity"]
    assert rows[0][1].startswith("1970-01-01 00:00:00")
    assert rows[0][3:6] == ["0x00ff", "[1, 2]", "1.10"]
    assert len(rows[0][6]) == 80
    assert rows[0][7] == str(2**64 - 1)
    assert rows[0][8] == "1970-01-01"
    assert [row[9] for row in rows] == [12, str(2**70), None]
    assert rows[2][1:] == [None] * 9


def test_the_result_stays_below_its_limit(runner):
    table = pa.table({f"column {n}" * 5: ["x" * 100] * 10 for n in range(3000)})
    done = runner.run(step("return t", "t"), inputs=[runner.table("t", table)])
    assert done.ok
    assert (runner.out / "result.json").stat().st_size <= 1 << 20


# -- inputs


def test_inputs_are_mapped_not_copied(runner):
    big = pa.table({"n": pa.array(range(1_000_000)), "m": pa.array(range(1_000_000))})
    code = step(
        """
        import pyarrow as pa
        print(pa.total_allocated_bytes())
        return t.slice(0, 1)
        """,
        "t",
    )
    entry = {**runner.table("t", big), "columns": ["m"]}
    done = runner.run(code, inputs=[entry])
    assert done.stdout == "0\n"
    assert done.columns == [{"name": "m", "type": "int64"}]


def test_columns_come_in_the_order_asked_for(runner):
    entry = {**runner.table("t", NUMBERS), "columns": ["s", "n"]}
    assert runner.run(step("return t", "t"), inputs=[entry]).preview[0] == ["a", 1]


def test_a_missing_column_is_named(runner):
    entry = {**runner.table("t", NUMBERS), "columns": ["x"]}
    done = runner.run(step("return t", "t"), inputs=[entry])
    assert done.error["message"] == "`t` has no one column `x`"
    assert done.error["hint"] == "its columns are n, s"


def test_a_filter_sees_columns_that_are_not_passed(runner):
    entry = {
        **runner.table("t", NUMBERS),
        "columns": ["s"],
        "filter": {"op": ">", "column": "n", "value": 1},
    }
    assert runner.run(step("return t", "t"), inputs=[entry]).preview == [["b"], [None]]


def test_a_damaged_input_is_an_error(runner):
    entry = runner.table("t", NUMBERS)
    with open(entry["path"], "r+b") as file:
        file.truncate(100)
    assert "reading `t.arrow`" in runner.run(step("return t", "t"), inputs=[entry]).error["message"]


def test_parameters_are_passed(runner):
    code = step("import pyarrow\nreturn pyarrow.table({'y': [year]})", "year")
    assert runner.run(code, parameters={"year": 2013}).preview == [[2013]]


# -- failures


def test_a_traceback_starts_in_the_users_file(runner):
    done = runner.run("def inner():\n    return {}['x']\n\n\ndef step():\n    return inner()\n")
    assert done.error["type"] == "KeyError"
    assert done.error["message"] == "'x'"
    assert (done.error["file"], done.error["line"]) == ("pipeline.py", 2)
    assert done.error["function"] == "inner"
    assert done.error["traceback"].splitlines()[:2] == [
        "Traceback (most recent call last):",
        '  File "pipeline.py", line 6, in step',
    ]
    assert "rundlet_runner" not in done.stderr
    assert done.stderr == done.error["traceback"]


def test_an_error_inside_a_library_is_placed_in_the_users_line(runner):
    done = runner.run("import json\n\ndef step():\n    json.loads('{')\n")
    assert (done.error["line"], done.error["function"]) == (4, "step")


@pytest.mark.parametrize(
    ("code", "kind", "line"),
    [
        ("raise SystemExit(0)", "SystemExit", 3),
        ("import sys; sys.exit('bye')", "SystemExit", 3),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", 3),
        ("raise GeneratorExit", "GeneratorExit", 3),
        ("return step()", "RecursionError", 3),
        ("bytearray(1 << 60)", "MemoryError", 3),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "Odd", 3),
        ("raise ValueError('\\udcff')", "ValueError", 3),
        ("raise ValueError('x' * 10_000_000)", "ValueError", 3),
    ],
)
def test_whatever_a_step_raises_is_told(runner, code, kind, line):
    done = runner.run(step(code, top="import os"))
    assert not done.ok
    assert done.error["type"] == kind
    assert done.error["line"] == line
    assert done.error["message"]
    assert len(done.error["message"]) < 10_000


def test_a_missing_package_has_a_hint(runner):
    done = runner.run("import sklearn_missing\n\ndef step():\n    pass\n")
    assert done.error["type"] == "ModuleNotFoundError"
    assert done.error["line"] == 1
    assert done.error["function"] is None
    assert done.error["hint"] == (
        "add `sklearn_missing` to the step's `pip`,"
        " or move the import into the function that uses it"
    )
    inside = runner.run(step("import bs4_missing"))
    assert inside.error["hint"] == "add `bs4_missing` to the step's `pip`"


def test_a_syntax_error_has_its_line(runner):
    done = runner.run("x = 1\ndef step(:\n")
    assert (done.error["type"], done.error["file"], done.error["line"]) == (
        "SyntaxError",
        "pipeline.py",
        2,
    )


def test_a_full_disk_leaves_no_half_table(runner):
    code = step(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        import pyarrow
        return pyarrow.table({"n": list(range(1_000_000))})
        """
    )
    done = runner.run(code)
    assert not done.ok
    assert done.error["type"] == "OSError"
    assert not runner.output.exists()


def test_prints_pass_through_line_by_line(runner):
    done = runner.run(step("import os, signal\nprint('one')\nos.kill(os.getpid(), signal.SIGKILL)"))
    assert done.stdout == "one\n"


def test_closing_standard_output_is_survived(runner):
    code = step("import sys, pyarrow\nsys.stdout.close()\nreturn pyarrow.table({'n': [1]})")
    assert runner.run(code).ok


def test_standard_input_is_empty(runner):
    code = step("import sys, pyarrow\nreturn pyarrow.table({'n': [len(sys.stdin.read())]})")
    assert runner.run(code).preview == [[0]]


def test_exit_functions_and_threads_end_first(runner):
    code = step("""
        import atexit, threading, time, pyarrow
        atexit.register(print, "exit function")
        threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
        return pyarrow.table({"n": [1]})
        """)
    assert runner.run(code).stdout == "thread\nexit function\n"


def test_a_forked_child_does_not_write_the_result(runner):
    code = step("""
        import os, pyarrow
        pid = os.fork()
        if not pid:
            raise ValueError("in the child")
        os.waitpid(pid, 0)
        return pyarrow.table({"n": [1]})
        """)
    assert runner.run(code).ok


# -- modules


def test_a_project_file_may_be_named_like_a_standard_module(runner):
    (runner.project / "json.py").write_text("raise RuntimeError('imported by the runner')")
    (runner.project / "rundlet").mkdir()
    assert runner.run(step("import pyarrow\nreturn pyarrow.table({'n': [1]})")).ok


def test_local_modules_and_packages(runner):
    (runner.project / "models").mkdir()
    (runner.project / "models" / "shared.py").write_text("N = 7")
    (runner.project / "helpers.py").write_text("M = 8")
    done = runner.run(
        "import helpers, pyarrow\nfrom . import shared\n\n"
        "def step():\n    return pyarrow.table({'n': [shared.N, helpers.M]})\n",
        file="models/step.py",
    )
    assert done.preview == [[7], [8]], done.error


def test_multiprocessing_can_spawn(runner):
    code = step(
        """
        import multiprocessing, pyarrow
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pyarrow.table({"n": pool.map(double, [1, 2])})
        """,
        top="def double(x):\n    return 2 * x\n",
    )
    assert runner.run(code).preview == [[2], [4]]


@pytest.mark.parametrize("name", ["rundlet_runner", "rundlet_runner/__main__.py"])
def test_the_runner_starts_by_path_too(runner, name):
    code = step("import pyarrow, rundlet\nreturn pyarrow.table({'n': [1]})")
    assert runner.run(code, launch=(str(PYTHON / name),)).ok


def test_an_unknown_kind_is_an_error(runner):
    assert runner.run(kind="dance").error["type"] == "ProtocolError"


# -- expectations


@pytest.mark.parametrize(
    ("body", "held", "message"),
    [
        ("return True", True, None),
        ("return False", False, "`step` returned False"),
        ("import numpy\nreturn numpy.bool_(True)", True, None),
        ("import numpy\nreturn numpy.float64(1) > 2", False, "`step` returned False"),
        ("import pyarrow\nreturn pyarrow.scalar(True)", True, None),
        ("assert len(t) == 3", False, "assert len(t) == 3"),
        ("assert len(t) == 3, 'three rows'", False, "three rows"),
        (
            "import rundlet\nreturn rundlet.expect.values_between(t, 'n', 0, 3)",
            False,
            "n: 1 of 4 rows outside 0..3",
        ),
    ],
)
def test_expectations(runner, body, held, message):
    inputs = [runner.table("t", NUMBERS)]
    done = runner.run(step(body, "t"), kind="expectation", inputs=inputs)
    assert done.ok, done.error
    assert (done.held, done.message) == (held, message)


@pytest.mark.parametrize("value", ["None", "1", "'yes'", "[]"])
def test_an_expectation_must_say_whether_it_holds(runner, value):
    done = runner.run(step(f"return {value}"), kind="expectation")
    assert not done.ok
    assert "not whether it holds" in done.error["message"]


# -- SQL


def sql(runner, text, **request):
    return runner.run(
        kind="sql", sql=text, file="q.sql", inputs=[runner.table("t", NUMBERS)], **request
    )


def test_sql_reads_its_inputs(runner):
    done = sql(
        runner, "SELECT s, n * 10 AS m FROM t WHERE n >= $low", parameters={"low": 2, "x": 1}
    )
    assert done.ok, done.error
    assert done.preview == [["b", 20], [None, 40]]


def test_sql_errors_have_a_line(runner):
    done = sql(runner, "SELECT s,\n  nope\nFROM t")
    assert done.error["type"] == "BinderException"
    assert (done.error["file"], done.error["line"]) == ("q.sql", 2)
    assert (
        sql(runner, "SELECT $low").error["message"] == "the query wants `$low`, which is not given"
    )


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY t TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/x.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT * FROM numbers",  # a variable of the runner's
    ],
)
def test_sql_reaches_nothing_else(runner, text):
    assert not sql(runner, text).ok


# -- files


def write_source(runner, kind, tables):
    import pyarrow.csv
    import pyarrow.parquet

    paths = []
    for number, table in enumerate(tables):
        path = str(runner.inputs / f"{number}.{kind}")
        if kind == "parquet":
            pyarrow.parquet.write_table(table, path)
        elif kind == "csv":
            pyarrow.csv.write_csv(table, path)
        else:
            import pyarrow.feather

            pyarrow.feather.write_feather(table, path, compression="zstd")
        paths.append(path)
    return {"paths": paths, "format": kind}


@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow"])
def test_scan_and_head(runner, kind):
    source = write_source(runner, kind, [pa.table({"n": [1, 2]}), pa.table({"n": [3], "s": ["x"]})])
    done = runner.run(kind="scan", source=source)
    assert done.ok, done.error
    assert runner.result().to_pydict() == {"n": [1, 2, 3], "s": [None, None, "x"]}
    head = runner.run(kind="head", source=source, limit=2)
    assert head.preview == [[1, None], [2, None]]
    assert head.rows == (None if kind == "csv" else 3)


def test_head_of_an_input(runner):
    done = runner.run(kind="head", inputs=[runner.table("t", NUMBERS)], limit=1)
    assert (done.preview, done.rows) == ([[1, "a"]], 4)


def test_scan_of_a_broken_file(runner):
    path = runner.inputs / "0.parquet"
    path.write_bytes(b"not parquet")
    done = runner.run(kind="scan", source={"paths": [str(path)], "format": "parquet"})
    assert done.error["type"] == "SourceError"


def test_materialize(runner):
    import pyarrow.parquet as pq

    path = runner.out / "table.parquet"
    done = runner.run(kind="materialize", inputs=[runner.table("t", NUMBERS)], output=str(path))
    assert done.ok, done.error
    assert pq.read_table(path).equals(NUMBERS)
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"
    assert done.rows == 4


# -- cost


def test_a_step_pays_for_no_module_it_does_not_use(runner):
    code = step("import sys\nprint(*sys.modules)\nreturn t", "t")
    loaded = set(runner.run(code, inputs=[runner.table("t", NUMBERS)]).stdout.split())
    modules = "import sys, pyarrow, pyarrow.ipc\nprint(*sys.modules)"
    pyarrows = subprocess.check_output([sys.executable, "-c", modules], text=True).split()
    loaded -= set(pyarrows)
    assert not loaded & {"argparse", "dataclasses", "inspect", "logging", "traceback", "typing"}
    assert not loaded & {"pandas", "polars", "duckdb", "pyarrow.parquet", "pyarrow.dataset"}
    assert not loaded & {"rundlet_runner.sql_step", "rundlet_runner.files"}
