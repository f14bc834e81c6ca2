"""Which names of a module mean rundlet, however it was imported."""

from __future__ import annotations

import ast

DECORATORS = frozenset(("model", "expectation", "python", "resources", "env", "network"))
REFERENCES = frozenset(("Model", "Parameter"))


class Names:
    """`import rundlet`, `import rundlet as r`, `from rundlet import model, python as py`."""

    def __init__(self, tree: ast.Module) -> None:
        self.modules: set[str] = set()
        self.members: dict[str, str] = {}
        self.stars: list[ast.AST] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                self._import_from(node)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name == "rundlet":
                self.modules.add(alias.asname or "rundlet")
            elif alias.name.startswith("rundlet.") and not alias.asname:
                self.modules.add("rundlet")

    def _import_from(self, node: ast.ImportFrom) -> None:
        if node.module not in ("rundlet", "rundlet._declare"):
            return
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(node)
            elif alias.name in DECORATORS or alias.name in REFERENCES:
                self.members[alias.asname or alias.name] = alias.name

    def __bool__(self) -> bool:
        return bool(self.modules or self.members)

    def is_module(self, node: ast.AST) -> bool:
        """Whether an expression is rundlet itself."""
        return isinstance(node, ast.Name) and node.id in self.modules

    def member(self, node: ast.AST) -> str | None:
        """The name in rundlet that an expression means, when it means one."""
        if isinstance(node, ast.Attribute) and self.is_module(node.value):
            return node.attr
        if isinstance(node, ast.Name):
            return self.members.get(node.id)
        return None

    def misused(self, node: ast.Name) -> bool:
        """Whether rundlet itself is passed about, or one of its names is bound to another value."""
        if isinstance(node.ctx, ast.Load):
            return node.id in self.modules
        return node.id in self.modules or self.members.get(node.id) in DECORATORS
