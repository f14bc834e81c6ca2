"""The SDK as its users meet it; most of it is tested by its own doctests."""

import subprocess
import sys

import pytest

import rundlet
from conftest import PYTHON
from rundlet import _values


def test_importing_it_imports_nothing_else():
    code = "import sys, rundlet; print(*sys.modules)"
    out = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(PYTHON)!r}); {code}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"typing", "pyarrow", "dataclasses", "inspect"} & set(out)


def test_decorators_return_the_function():
    def function():
        return 1

    for decorator in (
        rundlet.model(),
        rundlet.expectation(),
        rundlet.python("3.11"),
        rundlet.resources(cpus=1),
        rundlet.env(A="b"),
        rundlet.network("host"),
        rundlet.network("packages"),
        rundlet.network(allow=["api.example.com:443"]),
    ):
        assert decorator(function) is function


@pytest.mark.parametrize(
    "declare",
    [
        lambda: rundlet.model(materialize="x"),
        lambda: rundlet.model(name="a b"),
        lambda: rundlet.python("3"),
        lambda: rundlet.python(3.11),
        lambda: rundlet.python(pip="pandas"),
        lambda: rundlet.python(pip=["--pre"]),
        lambda: rundlet.python(pip={"a b": "1"}),
        lambda: rundlet.resources(cpus=0),
        lambda: rundlet.resources(memory="1 elephant"),
        lambda: rundlet.resources(pids=True),
        lambda: rundlet.resources(disk="-1GiB"),
        lambda: rundlet.resources(timeout=0),
        lambda: rundlet.resources(retries=-1),
        lambda: rundlet.env(A=1),
        lambda: rundlet.network("all"),
        lambda: rundlet.network(),
        lambda: rundlet.network("none", allow=["a:1"]),
        lambda: rundlet.network(allow="a:1"),
        lambda: rundlet.network(allow=[]),
        lambda: rundlet.network(allow=["a"]),
        lambda: rundlet.network(allow=["127.0.0.1:443"]),
        lambda: rundlet.network(allow=["a:65536"]),
        lambda: rundlet.Model("a-b"),
        lambda: rundlet.Model("a", columns=[]),
        lambda: rundlet.Model("a", filter=""),
        lambda: rundlet.Parameter(""),
    ],
)
def test_faults_are_declaration_errors(declare):
    with pytest.raises(rundlet.DeclarationError) as caught:
        declare()
    assert not str(caught.value).endswith(".")


def test_an_input_that_was_not_passed_says_so():
    with pytest.raises(AttributeError, match="no table was passed for the rundlet input 'a'"):
        rundlet.Model("a").to_pandas()


@pytest.mark.parametrize(
    ("pip", "expected"),
    [
        ({"a": "1.0"}, ["a==1.0"]),
        ({"a": ">=1,<2"}, ["a>=1,<2"]),
        ({"a[b]": "~=1.4"}, ["a[b]~=1.4"]),
        ({"a": "==1"}, ["a==1"]),
        ({"a": "*"}, ["a"]),
        (["a", "b>=1; python_version < '3.12'"], ["a", "b>=1; python_version < '3.12'"]),
    ],
)
def test_requirements(pip, expected):
    assert _values.requirements(pip) == expected


def test_a_network_is_one_text():
    assert _values.network_text("host", None) == "host"
    assert _values.network_text("packages", None) == "packages"
    hosts = ["b.example:443", "A.Example:0443", "b.example:443"]
    assert _values.network_text(None, hosts) == "allow=a.example:443,b.example:443"


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_expectations_take_frames(library):
    frames = pytest.importorskip(library)
    pytest.importorskip("pyarrow")
    frame = frames.DataFrame({"n": [1, 2, 3], "s": ["a", "b", "b"]})
    expect = rundlet.expect
    assert expect.values_between(frame, "n", 1, 3)
    assert not expect.values_between(frame, "n", 1, 2)
    assert expect.mean_between(frame, "n", 2, 2)
    assert expect.not_null(frame)
    assert expect.unique(frame, "n")
    assert not expect.unique(frame, "s")
    assert expect.accepted_values(frame, "s", ["a", "b"])
    assert expect.row_count_between(frame, 3, 3)
    assert not expect.has_columns(frame, "z")
    assert not (expect.unique(frame, "n") & expect.unique(frame, "s"))
    with pytest.raises(rundlet.TableError):
        expect.not_null(frame, "z")
