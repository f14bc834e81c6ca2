"""What the reader finds, and what it refuses, with the place."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlglot")

from conftest import PYTHON

GOLDEN = Path(__file__).parent / "golden"
EXAMPLE = PYTHON.parent / "examples" / "flights"
MODEL = "import rundlet\n@rundlet.model()\n"


def only(document):
    """The one model of a document without faults."""
    assert document["errors"] == []
    (model,) = document["models"]
    return model


# -- good


def test_the_example_is_read_as_it_was(request):
    from rundlet_reader.program import read_project

    files = sorted(p.name for p in EXAMPLE.iterdir() if p.suffix in (".py", ".sql"))
    document = read_project(str(EXAMPLE), files)
    golden = GOLDEN / "flights.json"
    if os.environ.get("RUNDLET_ACCEPT") == "1":
        golden.write_text(json.dumps(document, indent=1) + "\n")
    assert document == json.loads(golden.read_text())


def test_the_program_reads_and_writes_json(tmp_path):
    (tmp_path / "p.py").write_text(MODEL + "def step(): pass\n")
    (tmp_path / "ast.py").write_text("raise SystemExit('user code was imported')\n")
    (tmp_path / "rundlet.py").write_text("raise SystemExit('user code was imported')\n")
    done = subprocess.run(
        [sys.executable, str(PYTHON / "rundlet_reader")],
        input=b'{"version": 1, "files": ["p.py"]}',
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "RUNDLET_PROJECT": str(tmp_path)},
        check=True,
    )
    assert only(json.loads(done.stdout))["name"] == "step"
    assert done.stderr == b""


@pytest.mark.parametrize("request_", ["", "[]", "{}", '{"version": 2, "files": []}', "[" * 100_000])
def test_a_bad_request_is_refused(request_):
    done = subprocess.run(
        [sys.executable, str(PYTHON / "rundlet_reader")],
        input=request_,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("rundlet_reader: ")


@pytest.mark.parametrize(
    "text",
    [
        "import rundlet\n@rundlet.model()\ndef step(a=rundlet.Model('b')): pass",
        "import rundlet as r\n@r.model()\ndef step(a=r.Model('b')): pass",
        "from rundlet import model, Model\n@model()\ndef step(a=Model('b')): pass",
        "from rundlet import model as m, Model as M\n@m()\ndef step(a=M(name='b')): pass",
        "import rundlet.expect\n@rundlet.model()\ndef step(*, a=rundlet.Model('b')): pass",
        "try:\n import rundlet\nexcept ImportError: pass\n"
        "@rundlet.model()\ndef step(a=rundlet.Model('b')): pass",
    ],
)
def test_however_rundlet_is_imported(read, text):
    model = only(read(p=text))
    assert model["name"] == "step"
    assert [(i["argument"], i["model"]) for i in model["inputs"]] == [("a", "b")]


def test_every_setting(read):
    model = only(
        read(
            p='''
import rundlet as r
@r.model(materialize="append", name="other")
@r.python("3.13", pip={"pandas": "2.2.3", "numpy": "<2", "rich[x]": "*"}, image="slim")
@r.resources(cpus=1.5, memory="512MiB", pids=64, disk="2GB", timeout="2m", retries=3)
@r.env(TZ="UTC")
@r.network("host")
def step(year=r.Parameter("y"), limit=10):
    """First line.

    More."""
'''
        )
    )
    assert {key: model[key] for key in model if key not in ("code", "imports")} == {
        "name": "other",
        "kind": "python",
        "file": "p.py",
        "line": 8,
        "doc": "First line.",
        "function": "step",
        "sql": None,
        "inputs": [],
        "parameters": [{"argument": "year", "name": "y", "line": 8}],
        "python": {
            "version": "3.13",
            "pip": ["pandas==2.2.3", "numpy<2", "rich[x]"],
            "image": "slim",
        },
        "materialize": "append",
        "env": {"TZ": "UTC"},
        "network": "host",
        "cpus": 1.5,
        "memory": 536870912,
        "pids": 64,
        "disk": 2000000000,
        "timeout": 120.0,
        "retries": 3,
    }


def test_files_without_rundlet_are_left_alone(read):
    nothing = {"version": 1, "models": [], "expectations": [], "errors": []}
    assert read(p="def model(): pass\n@model\ndef f(): pass", empty="") == nothing


def test_duplicates_are_listed_not_judged(read):
    document = read(a=MODEL + "def step(): pass", b=MODEL + "def step(): pass")
    assert [m["file"] for m in document["models"]] == ["a.py", "b.py"]


def test_local_names_do_not_clash(read):
    text = """
from rundlet import model
@model()
def step():
    model = 3
    return model + 1
"""
    assert only(read(p=text))["name"] == "step"


# -- faults in Python

FAULTS = [
    ("def f(:", 1, "syntax error"),
    ("x = 1\n\0", 2, "NUL"),
    (b"# -*- coding: nonsense -*-\n", 0, "unknown encoding"),
    (b"x = '\xff'\n", 0, "syntax error"),
    ("from rundlet import *", 1, "import *"),
    (MODEL + "async def f(): pass", 3, "async function"),
    (MODEL + "class F: pass", 3, "a class"),
    ("import rundlet\nif x:\n  @rundlet.model()\n  def f(): pass", 4, "inside another statement"),
    ("import rundlet\nfor x in y:\n  @rundlet.model()\n  def f(): pass", 4, "inside another"),
    ("import rundlet\ndef g():\n  @rundlet.model()\n  def f(): pass", 4, "inside another"),
    ("import rundlet\nclass C:\n  @rundlet.model()\n  def f(): pass", 4, "inside another"),
    ("import rundlet\n@rundlet.model\ndef f(): pass", 2, "is not called"),
    ("import rundlet\nf = rundlet.model()(lambda: 1)", 2, "other than as a decorator"),
    ("import rundlet\nm = rundlet.model\n", 2, "other than as a decorator"),
    ("import rundlet\n@rundlet.model()(1)\ndef f(): pass", 2, "other than as a decorator"),
    ("from rundlet import model\nm = model", 2, "other than as a decorator"),
    ("import rundlet\nm = getattr(rundlet, 'model')", 2, "cannot be read"),
    ("import rundlet\nrundlet = 3", 2, "cannot be read"),
    ("from rundlet import model\nmodel = 3", 2, "cannot be read"),
    ("import rundlet\n@rundlet.python('3.11')\ndef f(): pass", 3, "neither a model nor"),
    (MODEL + "@rundlet.model()\ndef f(): pass", 3, "twice"),
    (MODEL + "@rundlet.expectation()\ndef f(): pass", 3, "both a model and"),
    (MODEL + "@rundlet.python('3.' + '11')\ndef f(): pass", 3, "not a literal"),
    (MODEL + "@rundlet.python(f'3.11')\ndef f(): pass", 3, "not a literal"),
    (MODEL + "@rundlet.python(3.10)\ndef f(): pass", 3, "must be text such as '3.11'"),
    (MODEL + "@rundlet.python('3.11', pip=PINS)\ndef f(): pass", 3, "not a literal"),
    (MODEL + "@rundlet.python(pip={**a})\ndef f(): pass", 3, "not a literal"),
    (MODEL + "@rundlet.python(**a)\ndef f(): pass", 3, "**"),
    (MODEL + "@rundlet.python(*a)\ndef f(): pass", 3, "not a literal"),
    (MODEL + "@rundlet.python('3.11', ['x'])\ndef f(): pass", 3, "without a name"),
    (MODEL + "@rundlet.python(pip={'a': '1', 'a': '2'})\ndef f(): pass", 3, "twice"),
    (MODEL + "@rundlet.python(pip=['--index-url=x'])\ndef f(): pass", 3, "not a requirement"),
    (MODEL + "@rundlet.python(pip=['-r'])\ndef f(): pass", 3, "not a requirement"),
    (MODEL + "@rundlet.python(pip=['-e .'])\ndef f(): pass", 3, "not a requirement"),
    (MODEL + "@rundlet.python(pip=['a\\n--pre'])\ndef f(): pass", 3, "not a requirement"),
    (MODEL + "@rundlet.python(pip={'a': '1 --pre'})\ndef f(): pass", 3, "is not one"),
    (MODEL + "@rundlet.python(pips=[])\ndef f(): pass", 3, "no argument `pips`"),
    (MODEL + "@rundlet.resources(memory='lots')\ndef f(): pass", 3, "`memory` must be"),
    (MODEL + "@rundlet.resources(memory=-1)\ndef f(): pass", 3, "at least one byte"),
    (MODEL + "@rundlet.resources(disk=0)\ndef f(): pass", 3, "`disk` must be at least one byte"),
    (MODEL + "@rundlet.resources(pids=0)\ndef f(): pass", 3, "`pids` must be"),
    (MODEL + "@rundlet.resources(cpus=0x" + "f" * 9000 + ")\ndef f(): pass", 0, ""),
    (MODEL + "@rundlet.resources(timeout=1e999)\ndef f(): pass", 3, "`timeout` must be"),
    (MODEL + "@rundlet.resources(retries=True)\ndef f(): pass", 3, "`retries` must be"),
    (MODEL + "@rundlet.network('internet')\ndef f(): pass", 3, "`network` must be one of"),
    (MODEL + "@rundlet.network(allow=['10.0.0.1:443'])\ndef f(): pass", 3, "a port such as"),
    (MODEL + "@rundlet.network(allow=[])\ndef f(): pass", 3, "a list of 1 to"),
    (MODEL + "@rundlet.network('host', allow=['a:1'])\ndef f(): pass", 3, "not both"),
    (MODEL + "@rundlet.network()\ndef f(): pass", 3, "`network` must be one of"),
    (MODEL + "@rundlet.env(A=1)\ndef f(): pass", 3, "must be text"),
    ("import rundlet\n@rundlet.model(materialize='x')\ndef f(): pass", 2, "must be one of"),
    ("import rundlet\n@rundlet.model(name='a b')\ndef f(): pass", 2, "must be a name"),
    (MODEL + "def f(*args): pass", 3, "`*args`"),
    (MODEL + "def f(**kw): pass", 3, "`**kw`"),
    (MODEL + "def f(a, /): pass", 3, "positional-only"),
    (MODEL + "def f(a): pass", 3, "has no default"),
    (MODEL + "def f(a=g()): pass", 3, "none of rundlet.Model"),
    (MODEL + "def f(a=rundlet.Model()): pass", 3, "has no name"),
    (MODEL + "def f(a=rundlet.Model(x)): pass", 3, "not a literal"),
    (MODEL + "def f(a=rundlet.Model('../x')): pass", 3, "must be a name"),
    (MODEL + "def f(a=rundlet.Model('x', columns='a')): pass", 3, "must be a list"),
    (MODEL + "def f(a=rundlet.Model('x', columns=['a', 'a'])): pass", 3, "twice"),
    (MODEL + "def f(a=rundlet.Model('x', filter='a >')): pass", 3, "the filter `a >`"),
    (MODEL + "def f(a=rundlet.Model('x', filter=1)): pass", 3, "is not text"),
    (MODEL + "def f(): pass\nf = 1", 4, "defined again"),
    ("x = " + "(" * 5000, 0, ""),
    ("x = " + "-" * 200_000 + "1", 0, ""),
    ("import rundlet\nx = y" + ".z" * 100_000, 0, ""),
    (MODEL + "def f(): return " + "+".join(["1"] * 50_000), 0, ""),
]


@pytest.mark.parametrize(("text", "line", "message"), FAULTS, ids=range(len(FAULTS)))
def test_faults_in_python(read, text, line, message):
    document = read(p=text, good=MODEL + "def good(): pass")
    assert [m["name"] for m in document["models"]] == ["good"]
    json.dumps(document).encode()
    if not document["errors"]:
        assert not message  # how deep is too deep differs between Pythons
        return
    error = document["errors"][0]
    assert error["file"] == "p.py"
    assert message in error["message"]
    if line:
        assert error["line"] == line
    assert not error["message"].endswith(".")


def test_columns_count_characters(read):
    text = MODEL + "def f(ä=rundlet.Model('x'), b=g()): pass"
    (error,) = read(p=text)["errors"]
    assert error["column"] == text.splitlines()[2].index("g()") + 1


def test_other_encodings(read):
    text = "# coding: latin-1\n" + MODEL + 'def f():\n    """Größe"""\n'
    assert only(read(p=text.encode("latin-1")))["doc"] == "Größe"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.py", "no such file"),
        ("../out.py", "not a path inside"),
        ("/etc/passwd", "not a path inside"),
        ("link.py", "not a path inside"),
        ("folder.py", "is a directory"),
        ("pipe.py", "not a regular file"),
        ("large.py", "larger than"),
        ("notes.txt", "neither Python"),
        (3, "not a path"),
        ("a\0b", "not a path"),
    ],
)
def test_odd_files(tmp_path, path, message):
    from rundlet_reader.program import read_project

    (tmp_path / "link.py").symlink_to("/etc/passwd")
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "large.py").write_bytes(b"#" * (5 << 20))
    (tmp_path / "notes.txt").write_text("")
    (error,) = read_project(str(tmp_path), [path])["errors"]
    assert message in error["message"]


# -- digests of code and imports

BASE = "import rundlet, helpers\nX = 1\n@rundlet.model()\n@rundlet.python(pip={'a': '1'})\ndef f():\n    return X\n"  # noqa: E501


def digests(read, text, helpers="Y = 1", inner="Z = 1", sub="W = 1"):
    document = read(p=text, helpers="import pkg.inner\n" + helpers, pkg__inner=inner, pkg__sub=sub)
    return {m["name"]: m["code"] for m in document["models"]}


def test_code_changes_with_behaviour_only(read):
    before = digests(read, BASE)["f"]
    same = [
        BASE.replace("'1'", "'2'"),
        BASE.replace("X = 1", "X = 1  # one"),
        BASE + "@rundlet.model()\ndef g():\n    return 2\n",
        "\n\n" + BASE,
    ]
    for text in same:
        assert digests(read, text)["f"] == before
    for text in (BASE.replace("X = 1", "X = 2"), BASE.replace("return X", "return -X")):
        assert digests(read, text)["f"] != before
    assert digests(read, BASE, helpers="Y = 2")["f"] != before
    assert digests(read, BASE, inner="Z = 2")["f"] != before
    assert digests(read, BASE, sub="W = 2")["f"] == before
    assert (
        digests(read, BASE.replace("return X", "from pkg import sub"), sub="W = 1")["f"] != before
    )


def test_imports_of_other_steps_do_not_count(read):
    text = BASE + "@rundlet.model()\ndef g():\n    import pkg.sub\n"
    before, after = digests(read, text), digests(read, text, sub="W = 2")
    assert before["f"] == after["f"]
    assert before["g"] != after["g"]


def test_relative_imports_are_followed(read):
    def code(value):
        text = "from . import shared\n" + MODEL + "def f(): pass"
        return only(read(models__p=text, models__shared=f"X = {value}"))["code"]

    assert code(1) != code(2)


def test_top_level_imports(read):
    text = """import os, json
import pandas as pd
from sklearn.linear_model import Ridge
import helpers
try:
    import optional
except ImportError:
    pass
import rundlet
@rundlet.model()
def f():
    import inside
"""
    document = read(
        p=text, helpers="import numpy, pandas\nimport helpers2", helpers2="import attrs"
    )
    assert only(document)["imports"] == [
        {"name": "pandas", "line": 2},
        {"name": "sklearn", "line": 3},
        {"name": "numpy", "line": 4},
        {"name": "attrs", "line": 4},
    ]


# -- SQL


def tables(document):
    return [i["model"] for i in only(document)["inputs"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", []),
        ("SELECT * FROM a JOIN b USING (x)", ["a", "b"]),
        ("FROM a", ["a"]),
        ("SELECT * FROM a, A", ["a"]),
        ("WITH c AS (SELECT * FROM a) SELECT * FROM c", ["a"]),
        ("WITH a AS (SELECT * FROM a) SELECT * FROM a", ["a"]),
        ("WITH c AS (SELECT * FROM a), d AS (SELECT * FROM c) SELECT * FROM d", ["a"]),
        ("WITH d AS (SELECT * FROM c), c AS (SELECT 1) SELECT * FROM d", ["c"]),
        ("WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r) SELECT * FROM r", []),
        ("SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c), c", ["c"]),
        ("SELECT (SELECT max(x) FROM a) FROM b WHERE EXISTS (SELECT 1 FROM d)", ["a", "b", "d"]),
        ("SELECT * FROM a UNION ALL SELECT * FROM b", ["a", "b"]),
        ("SELECT * FROM range(10)", []),
        ("SELECT * FROM a, unnest([1, 2]) AS u", ["a"]),
        ("PIVOT a ON x USING sum(y)", None),
    ],
)
def test_tables_of_a_query(read, text, expected):
    document = read(q_sql=text)
    if expected is None:
        return
    assert tables(document) == expected


def test_options_and_parameters(read):
    text = """-- Late carriers.
-- rundlet: materialize=replace, memory=2GiB python=3.13
-- rundlet: timeout="90s" cpus=2 retries=1 name=late pids=9 disk=1GiB

/* not a $parameter */
SELECT '$no', $year
FROM a -- $no
WHERE x = $year AND y < $low
"""
    model = only(read(q_sql=text))
    assert model["name"] == "late"
    assert model["doc"] == "Late carriers."
    assert model["line"] == 6
    assert model["sql"] == text
    assert model["materialize"] == "replace"
    assert model["python"] == {"version": "3.13", "pip": None, "image": None}
    assert (model["pids"], model["disk"]) == (9, 1 << 30)
    assert (model["memory"], model["timeout"], model["cpus"], model["retries"]) == (
        2 << 30,
        90,
        2,
        1,
    )
    assert model["inputs"][0]["line"] == 7
    assert [(p["name"], p["line"]) for p in model["parameters"]] == [("year", 6), ("low", 8)]


def test_comments_do_not_change_sql_code(read):
    def code(text):
        return only(read(q_sql=text))["code"]

    assert code("SELECT 1 FROM a") == code("-- x\nSELECT  1\nFROM a -- y\n")
    assert code("SELECT 'a b'") != code("SELECT 'a  b'")
    assert code("SELECT 'a'") != code('SELECT "a"')


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "holds no query"),
        ("SELECT 1; SELECT 2", 1, "2 statements"),
        ("\nCREATE TABLE x AS SELECT 1", 2, "not a query"),
        ("COPY a TO 'x'", 1, "not a query"),
        ("SELECT\nFROM WHERE", 2, "syntax error"),
        ("SELECT 'x", 1, "syntax error"),
        ("SELECT 1\nFROM read_csv('x')", 2, "outside the pipeline with `read_csv`"),
        ("SELECT 1 FROM 'x.parquet'", 1, "not a table of the pipeline"),
        ("SELECT 1 FROM s.a", 1, "in a schema"),
        ("SELECT ?", 1, "parameter without a name"),
        ("SELECT $1", 1, "not a parameter"),
        ("-- rundlet: pip=pandas\nSELECT 1", 1, "no option `pip`"),
        ("-- rundlet: name\nSELECT 1", 1, "not `key=value`"),
        ("-- rundlet: memory=much\nSELECT 1", 1, "`memory` must be"),
        ("-- rundlet: pids=many\nSELECT 1", 1, "`pids` must be"),
        ("-- rundlet: retries=2 retries=3\nSELECT 1", 1, "twice"),
        ("SELECT 1\n-- rundlet: retries=2", 2, "below the start"),
        (b"SELECT '\xff'", 1, "not UTF-8"),
        ("SELECT 1\n\0", 2, "NUL"),
        ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, 0, ""),
        ("SELECT " + "+".join(["1"] * 50_000), 0, ""),
    ],
)
def test_faults_in_sql(read, text, line, message):
    document = read(q_sql=text, good=MODEL + "def good(): pass")
    assert [m["name"] for m in document["models"] if m["kind"] == "python"] == ["good"]
    if line:
        error = document["errors"][0]
        assert (error["file"], error["line"]) == ("q.sql", line)
        assert message in error["message"]


def test_a_file_name_must_be_a_name(read, tmp_path):
    from rundlet_reader.program import read_project

    (tmp_path / "a-b.sql").write_text("SELECT 1")
    (error,) = read_project(str(tmp_path), ["a-b.sql"])["errors"]
    assert "does not give a name" in error["message"]
