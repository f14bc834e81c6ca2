"""Small pipelines as files of a project."""

from __future__ import annotations

from pathlib import Path

SETTINGS = """
[project]
name = "small"

[python]
version = "3.11"
pip = ["pyarrow==22.0.0"]

[images]
"3.11" = "python-3.11"

[parameters.limit]
type = "int"
default = 3
"""

PIPELINE = """
import rundlet


@rundlet.model()
@rundlet.python("3.11", pip={"tiny": "1.0"})
def numbers(limit=rundlet.Parameter("limit")):
    import pyarrow
    import tiny

    print("tiny", tiny.__version__)
    return pyarrow.table({"n": list(range(limit))})


@rundlet.model(materialize="replace")
@rundlet.python("3.11")
def squares(numbers=rundlet.Model("numbers")):
    import pyarrow

    return pyarrow.table({"square": [n * n for n in numbers["n"].to_pylist()]})


@rundlet.expectation()
@rundlet.python("3.11")
def squares_are_positive(squares=rundlet.Model("squares")):
    return rundlet.expect.values_between(squares, "square", 0, 1000)
"""


def write(project: Path, pipeline: str = PIPELINE, **more: str) -> Path:
    """The project's settings, `pipeline.py`, and a SQL file for each further name."""
    (project / "rundlet.toml").write_text(SETTINGS)
    (project / "pipeline.py").write_text(pipeline)
    for name, text in more.items():
        (project / f"{name}.sql").write_text(text)
    return project


def models(*functions: str, options: str = "") -> str:
    """A pipeline of bodies: `name(arguments): body`."""
    parts = ["import rundlet\n"]
    for function in functions:
        parts.append(f'@rundlet.model({options})\n@rundlet.python("3.11")\ndef {function}\n')
    return "\n\n".join(parts)


def line_of(project: Path, text: str) -> int:
    lines = (project / "pipeline.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)
