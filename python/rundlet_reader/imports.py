"""Which project files a module imports, and which packages it wants from outside."""

from __future__ import annotations

import ast
import os
import sys

from rundlet_reader.project import MAX_IMPORTED_FILES, Project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Gone from newer standard libraries; a step may run on an older one than the reader does.
_REMOVED = frozenset(
    [
        "_bootlocale",
        "aifc",
        "asynchat",
        "asyncore",
        "audioop",
        "binhex",
        "cgi",
        "cgitb",
        "chunk",
        "crypt",
        "distutils",
        "formatter",
        "imghdr",
        "imp",
        "lib2to3",
        "mailcap",
        "msilib",
        "nis",
        "nntplib",
        "ossaudiodev",
        "parser",
        "pipes",
        "smtpd",
        "sndhdr",
        "spwd",
        "sunau",
        "symbol",
        "telnetlib",
        "uu",
        "xdrlib",
    ]
)


def _standard_library() -> frozenset[str]:
    names = getattr(sys, "stdlib_module_names", None)  # Python 3.10 and later
    if names is None:
        folder = os.path.dirname(os.__file__)
        files = os.listdir(folder) + os.listdir(os.path.join(folder, "lib-dynload"))
        names = {name.split(".")[0] for name in files} | set(sys.builtin_module_names)
    return frozenset(names) | _REMOVED


_STANDARD = _standard_library()


def package_of(path: str) -> str:
    """The package that a file's relative imports start from.

    >>> package_of("models/delays.py"), package_of("pipeline.py")
    ('models', '')
    """
    return ".".join(path.split("/")[:-1])


def imported(nodes: Iterable[ast.AST], path: str) -> Iterator[tuple[str, list[str]]]:
    """Each import statement below `nodes` as a module and the names taken from it."""
    for node in nodes:
        for child in ast.walk(node):
            yield from _modules(child, path)


def _modules(node: ast.AST, path: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, []
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = package_of(path).split(".") if package_of(path) else []
            kept = parts[: max(0, len(parts) - node.level + 1)]
            base = ".".join(kept + ([base] if base else []))
        yield base, [alias.name for alias in node.names if alias.name != "*"]


def local_files(project: Project, path: str, nodes: Iterable[ast.AST]) -> list[str]:
    """The project files, sorted, that these statements of `path` import, also indirectly."""
    found: set[str] = set()
    waiting = _direct(project, imported(nodes, path))
    waiting += project.module_files(package_of(path)) if package_of(path) else []
    while waiting and len(found) < MAX_IMPORTED_FILES:
        file = waiting.pop()
        if file in found or file == path:
            continue
        found.add(file)
        tree = _parse(project, file)
        if tree is not None:
            waiting += _direct(project, imported([tree], file))
    return sorted(found)


def outside_imports(project: Project, path: str, body: list[ast.stmt]) -> list[dict[str, object]]:
    """Packages that importing the module needs, with the line of `path` that asks for each.

    Only imports at the top level count: one inside a function, `try` or `if` may never run.
    """
    found: dict[str, int] = {}
    seen = {path}

    def visit(file: str, statements: list[ast.stmt], line: int) -> None:
        for statement in statements:
            place = line or statement.lineno
            for module, names in _modules(statement, file):
                first = module.split(".")[0]
                if first and project.is_local(first):
                    for inner in _direct(project, [(module, names)]):
                        tree = None if inner in seen else _parse(project, inner)
                        seen.add(inner)
                        if tree is not None:
                            visit(inner, tree.body, place)
                elif first and first not in _STANDARD and first != "rundlet":
                    found.setdefault(first, place)

    visit(path, body, 0)
    return [{"name": name, "line": line} for name, line in found.items()]


def _direct(project: Project, modules: Iterable[tuple[str, list[str]]]) -> list[str]:
    files: list[str] = []
    for module, names in modules:
        for name in names or [""]:
            files += project.module_files(".".join(filter(None, (module, name))))
    return files


def _parse(project: Project, path: str) -> ast.Module | None:
    try:
        source = project.contents(path)
        return None if source is None else ast.parse(source)
    except (SyntaxError, ValueError):  # its own fault, told when that file is read
        return None
