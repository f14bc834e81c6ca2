"""What a Python file declares: functions under rundlet's decorators, taken from its syntax tree."""

from __future__ import annotations

import ast

from rundlet._errors import DeclarationError
from rundlet_reader.declaration import Declaration, UnreadableError
from rundlet_reader.digest import code_digest, dump
from rundlet_reader.imports import local_files, outside_imports
from rundlet_reader.names import DECORATORS, Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    from rundlet_reader.errors import Faults
    from rundlet_reader.project import Project

    Definition = Union[ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef]

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def read_python(project: Project, path: str, source: bytes, faults: Faults) -> list[dict[str, Any]]:
    """The steps of one Python file."""
    tree = _parse(path, source, faults)
    if tree is None:
        return []
    return _File(project, path, source, tree, faults).steps()


def _parse(path: str, source: bytes, faults: Faults) -> ast.Module | None:
    if b"\0" in source:
        line = source[: source.index(b"\0")].count(b"\n") + 1
        faults.add(line, 0, "the file holds a NUL byte", path)
        return None
    try:
        return ast.parse(source, path)
    except SyntaxError as error:
        message = (error.msg or "invalid syntax").rstrip(".")
        faults.add(error.lineno or 0, error.offset or 0, f"syntax error: {message}", path)
    except ValueError as error:
        faults.add(0, 0, f"the file is not Python: {error}", path)
    return None


class _File:
    def __init__(
        self, project: Project, path: str, source: bytes, tree: ast.Module, faults: Faults
    ) -> None:
        self.project = project
        self.path = path
        self.source = source
        self.tree = tree
        self.faults = faults
        self.names = Names(tree)
        self.understood: set[int] = set()  # ids of decorator expressions that were dealt with

    def steps(self) -> list[dict[str, Any]]:
        for node in self.names.stars:
            self._fault(
                node,
                "`from rundlet import *` hides which names are rundlet's",
                self.path,
                "import rundlet, or the names by themselves",
            )
        if not self.names:
            return []
        declared = [s for s in self.tree.body if isinstance(s, _DEFINITIONS) and self._ours(s)]
        if not declared:
            self._check_uses()
            return []
        rest = [statement for statement in self.tree.body if statement not in declared]
        module = dump(rest).encode("utf-8", "surrogatepass")
        imports = outside_imports(self.project, self.path, self.tree.body)
        steps = []
        for definition in declared:
            step = self._step(definition)
            if step is not None and not self._is_rebound(definition):
                step["code"] = self._code(definition, module, rest)
                step["imports"] = imports
                steps.append(step)
        self._check_uses()
        return steps

    def _ours(self, definition: Definition) -> list[ast.expr]:
        return [
            decorator
            for decorator in definition.decorator_list
            if self.names.member(_called(decorator)) in DECORATORS
        ]

    def _step(self, definition: Definition) -> dict[str, Any] | None:
        ours = self._ours(definition)
        self.understood.update(id(_called(decorator)) for decorator in ours)
        if not isinstance(definition, ast.FunctionDef):
            kind = "a class" if isinstance(definition, ast.ClassDef) else "an async function"
            self._fault(
                definition,
                f"`{definition.name}` is {kind}, not a function",
                definition.name,
                "a step is a plain function: `def`",
            )
            return None
        declaration = Declaration(definition.name)
        healthy = True
        for decorator in ours:
            healthy &= self._try(declaration, declaration.add, self.names, decorator)
        healthy &= self._try(declaration, declaration.add_arguments, self.names, definition)
        if healthy and declaration.kind is None:
            self._fault(
                definition,
                f"`{definition.name}` is neither a model nor an expectation",
                definition.name,
                "add `@rundlet.model()` or `@rundlet.expectation()`",
            )
            healthy = False
        return declaration.as_step(self.path, definition) if healthy else None

    def _try(self, declaration: Declaration, read: Any, *arguments: Any) -> bool:
        try:
            read(*arguments)
            return True
        except UnreadableError as error:
            self._fault(error.node, error.message, declaration.function, error.hint)
        except DeclarationError as error:
            self._fault(
                arguments[-1], f"{error} (in `{declaration.function}`)", declaration.function
            )
        return False

    def _code(self, definition: Definition, module: bytes, rest: list[ast.stmt]) -> str:
        ours = self._ours(definition)
        kept = [d for d in definition.decorator_list if d not in ours]
        definition.decorator_list, whole = kept, definition.decorator_list
        function = dump(definition).encode("utf-8", "surrogatepass")
        files = local_files(self.project, self.path, [definition, *rest])
        definition.decorator_list = whole
        parts = [("function", function), ("module", module)]
        parts += [("file " + file, self.project.contents(file) or b"") for file in files]
        return code_digest(parts)

    def _is_rebound(self, definition: Definition) -> bool:
        """Whether a later statement has the runner find something else under the step's name."""
        for statement in self.tree.body[self.tree.body.index(definition) + 1 :]:
            targets: list[Any] = []
            if isinstance(statement, ast.Assign):
                targets = statement.targets
            elif isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
                targets = [statement.target]
            elif isinstance(statement, _DEFINITIONS) and not self._ours(statement):
                targets = [ast.Name(id=statement.name)]
            if any(isinstance(t, ast.Name) and t.id == definition.name for t in targets):
                self._fault(
                    statement,
                    f"`{definition.name}` is defined again, so it is no longer the step of line"
                    f" {definition.lineno}",
                    definition.name,
                    "give one of them another name",
                )
                return True
        return False

    def _check_uses(self) -> None:
        """Every use of a decorator that was not understood is an error, never ignored."""
        waiting: list[tuple[ast.AST, bool]] = [(self.tree, False)]
        while waiting:
            node, local = waiting.pop()
            if isinstance(node, _DEFINITIONS):
                self._check_nested(node)
            member = self.names.member(node)
            loaded = isinstance(getattr(node, "ctx", None), ast.Load)
            if member in DECORATORS and loaded and id(node) not in self.understood:
                if isinstance(node, ast.Attribute) or not local:
                    self._fault(
                        node,
                        f"`{member}` of rundlet is used other than as a decorator",
                        member,
                        "write it above a function at the file's top level: "
                        f"`@rundlet.{member}(...)`",
                    )
            elif isinstance(node, ast.Name) and not local and self.names.misused(node):
                self._fault(
                    node,
                    f"`{node.id}` is rundlet's, and is used in a way that cannot be"
                    " read without running the file",
                    node.id,
                    "use it as `rundlet.NAME` only, and bind no other value to it",
                )
            if isinstance(node, ast.Attribute) and self.names.is_module(node.value):
                continue
            for child in ast.iter_child_nodes(node):
                inside = local or (
                    isinstance(node, _FUNCTIONS)
                    and child not in getattr(node, "decorator_list", [])
                )
                waiting.append((child, inside))

    def _check_nested(self, definition: Definition) -> None:
        left = [d for d in self._ours(definition) if id(_called(d)) not in self.understood]
        if left:
            self.understood.update(id(_called(decorator)) for decorator in left)
            self._fault(
                definition,
                f"`{definition.name}` is a step inside another statement",
                definition.name,
                "move it to the file's top level: not inside `if`, a loop, a function or a class",
            )

    def _fault(self, node: Any, message: str, about: object, hint: str | None = None) -> None:
        line = getattr(node, "lineno", 0)
        column = self._column(line, getattr(node, "col_offset", -1))
        self.faults.add(line, column, message, about, hint)

    def _column(self, line: int, offset: int) -> int:
        """Characters from 1, where `ast` counts bytes of UTF-8 from 0."""
        lines = self.source.split(b"\n")
        if offset < 0 or not 1 <= line <= len(lines):
            return 0
        return len(lines[line - 1][:offset].decode("utf-8", "replace")) + 1


def _called(decorator: ast.expr) -> ast.expr:
    return decorator.func if isinstance(decorator, ast.Call) else decorator
