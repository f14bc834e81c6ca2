"""The documentation: what it names is there, what it links to is there, and every page is found from its index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INDEX = ROOT / "docs/README.md"
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
INTERNALS = sorted((ROOT / "docs/internals").glob("*.md"))
DECISIONS = ROOT / "docs/adr"

FOLDERS = ("src", "runtime", "rootfs", "plans", "tests", "scripts", "python", "bench", "docs", "packaging", "examples")
SOURCE_PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[^\s`]*")
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name)


@cache
def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def is_there(path: str) -> bool:
    """Whether files match `path`, which may hold the `*` of a pattern."""
    return any(ROOT.glob(path.rstrip("/"))) if "*" in path else (ROOT / path).exists()


@each_page
def test_paths_in_a_page_are_there(page: Path) -> None:
    words = (code.removeprefix("./").split(" ")[0] for code in CODE.findall(prose(page)))
    assert [word for word in words if SOURCE_PATH.fullmatch(word) and not is_there(word)] == []


@cache
def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*?) *#*$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        plain = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while (anchor := f"{plain}-{number}" if number else plain) in found:
            number += 1
        found.add(anchor)
    return found


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """The relative links of a page: as written, the file, the anchor in it."""
    for link in LINK.findall(CODE.sub("", prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        yield link, (page.parent / path).resolve() if path else page, anchor


@each_page
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = []
    for link, target, anchor in links(page):
        inside = target.is_relative_to(ROOT) and target.exists()
        if not inside or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_found_from_the_index() -> None:
    found, waiting = {INDEX}, [INDEX]
    while waiting:
        for _, target, _ in links(waiting.pop()):
            if target.suffix == ".md" and target.exists() and target not in found:
                found.add(target)
                waiting.append(target)
    assert [name(page) for page in PAGES if page not in found] == []


# -- tours


def rows(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Of the tables with the columns `file` and `look at`: a file, and the names to look at in it."""
    columns: list[str] = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not cells:
            columns = []
        elif not columns:
            columns = cells
        elif "look at" in columns and not cells[0].startswith("---"):
            row = dict(zip(columns, cells, strict=True))
            (file,) = CODE.findall(row["file"])
            yield file, CODE.findall(row["look at"])


def defines(path: Path, function: str) -> bool:
    """Whether a file defines a function. A call is no definition; in a header a declaration is one."""
    text = path.read_text()
    if path.suffix == ".py":
        return re.search(rf"^ *def {function}\(", text, re.MULTILINE) is not None
    end = "" if path.suffix == ".h" else r"(?![^\n]*;$)"
    if re.search(rf"^(?! )(?:[\w:<>,&*\[\] ]+[ &*])?{function}\({end}", text, re.MULTILINE):
        return True
    owner, _, method = function.rpartition("::")
    inside = re.search(rf"^(?:class|struct) {owner}\b.*?^}};", text, re.MULTILINE | re.DOTALL) if owner else None
    return inside is not None and re.search(rf"^ +[^\n=;]*\b{method}\({end}", inside[0], re.MULTILINE) is not None


@pytest.mark.parametrize("page", INTERNALS, ids=name)
def test_a_tour_names_functions_that_are_there(page: Path) -> None:
    found = list(rows(page))
    assert len(found) > 20
    assert [
        f"{file}: {function}"
        for file, functions in found
        for function in functions
        if not (ROOT / file).is_file() or not defines(ROOT / file, function)
    ] == []


@pytest.mark.parametrize("page", INTERNALS, ids=name)
def test_a_tour_names_no_function_without_its_file(page: Path) -> None:
    known = {function for _, functions in rows(page) for function in functions}
    named = re.findall(r"`([A-Z]\w+(?:::\w+)?)`", page.read_text())
    assert [function for function in named if function not in known and not function.isupper()] == []


def test_a_call_is_no_definition(tmp_path: Path) -> None:
    source = tmp_path / "a.cc"
    source.write_text(
        "Pair<int, A> Make(\n    int a) {\n  Call(a);\n  const int b = Used(\n      a);\n}\n"
        "class Queue {\n  void Work() {\n    Serve();\n  }\n};\nstd::vector<B>* Queue::Run() {\n}\n"
    )
    for function in ("Make", "Queue::Work", "Queue::Run"):
        assert defines(source, function), function
    for function in ("Call", "Used", "Serve", "Queue::Serve", "Work", "Queue::Stop", "Mak"):
        assert not defines(source, function), function


# -- decisions


def decisions() -> dict[int, Path]:
    return {int(page.name[:4]): page for page in DECISIONS.glob("[0-9]*.md")}


def explained() -> set[int]:
    """Numbers that the index explains in its table of those without a file."""
    cells = re.findall(r"^\| ([\d, ]+) \|", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    return {int(number) for cell in cells for number in cell.split(",")}


def test_the_index_lists_every_decision_once() -> None:
    lines = re.findall(r"^- \[(\d+)\]\(([^)]+)\) \S", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    assert sorted((int(number), file) for number, file in lines) == sorted(
        (number, page.name) for number, page in decisions().items()
    )


def test_every_number_is_a_decision_or_explained() -> None:
    there = set(decisions())
    assert there & explained() == set()
    assert set(range(1, max(there) + 1)) - there == explained()


@pytest.mark.parametrize("page", decisions().values(), ids=name)
def test_a_decision_has_its_number_and_a_status(page: Path) -> None:
    title, _, status, *_ = page.read_text().splitlines()
    assert title.startswith(f"# {int(page.name[:4])}. ")
    assert status.startswith("Status: ")


def test_what_decisions_call_the_design_is_a_page_that_they_are_led_to() -> None:
    assert "design.md" in {target.name for _, target, _ in links(DECISIONS / "README.md")}
