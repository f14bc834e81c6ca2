"""The tables of attacks (docs/concepts/sandbox.md): what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/concepts/sandbox.md"


def rows() -> list[dict[str, str]]:
    """Of every table whose first column is `attack`, by the first word of their columns."""
    found: list[dict[str, str]] = []
    columns: list[str] = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not cells or cells[0] == "attack":
            columns = [cell.split(" ")[0] for cell in cells]
        elif columns and not cells[0].startswith("---"):
            found.append(dict(zip(columns, cells, strict=True)))
    return found


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def sources(folder: str, kind: str) -> str:
    return "".join(path.read_text() for path in sorted((ROOT / folder).rglob(f"*.{kind}")))


PYTHON = sources("tests", "py")
PROGRAMS = sources("tests", "cc")
ATTACKER = sources("tests/escape/attacker", "c")


def is_there(name: str) -> bool:
    if re.fullmatch(r"test_\w+", name):
        return f"def {name}(" in PYTHON
    if re.fullmatch(r"\w+\.[\w*]+", name) and not name.endswith(".py"):
        suite, case = name.split(".")
        case = case.replace("*", r"\w*")
        return re.search(rf"TEST(_F|_P)?\(\s*{suite},\s*{case}\)", PROGRAMS) is not None
    if name.endswith("/"):
        return f'"{name}' in ATTACKER
    places = [ROOT / name, ROOT / "tests/escape" / name, *(ROOT / "tests/functional").glob(f"*/{name}")]
    return any(place.exists() for place in places)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["attack"][:60])
def test_a_row_names_tests_that_are_there(row: dict[str, str]) -> None:
    assert names(row["test"])
    assert [name for name in names(row["test"]) if not is_there(name)] == []


def test_there_are_tables() -> None:
    assert len(rows()) > 40


def test_walls_are_those_of_the_weak_programs() -> None:
    listed = re.search(r"^DEFENCES = \[(.*?)\]", (ROOT / "tests/escape/test_weakened.py").read_text(), re.M | re.S)
    assert listed is not None
    engines = re.findall(r'return "([^"]+)"', (ROOT / "tests/escape/weakened/walls.cc").read_text())
    walls = {name for row in rows() for name in names(row.get("walls", ""))}
    assert walls == {*re.findall(r'"([^"]+)"', listed.group(1)), *engines}


@pytest.mark.parametrize("name", ["test_absent", "test_absent.py", "Absent.*", "Identity.Absent", "absent/"])
def test_what_is_not_there_is_found_out(name: str) -> None:
    assert not is_there(name)
