"""One step as its decorators and arguments declare it."""

from __future__ import annotations

import ast

from rundlet import _values
from rundlet_reader.filters import FilterError, parse_filter
from rundlet_reader.names import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LITERAL_HINT = "rundlet reads this without running the file: write the value itself"

# What each decorator takes: by position, and by name.
_SIGNATURES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "model": ((), ("materialize", "name")),
    "expectation": ((), ("name",)),
    "python": (("version",), ("version", "pip", "image")),
    "resources": ((), ("cpus", "memory", "pids", "disk", "timeout", "retries")),
    "env": ((), ()),
    "network": (("level",), ("level", "allow")),
    "Model": (("name",), ("name", "columns", "filter")),
    "Parameter": (("name",), ("name",)),
}


class UnreadableError(Exception):
    """Part of a declaration that cannot be taken as it stands, with its place."""

    def __init__(self, node: ast.AST, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.node = node
        self.message = message
        self.hint = hint


def literal(node: ast.expr, what: str) -> Any:
    """The value of an expression of literals alone."""
    if isinstance(node, ast.Constant) and node.value is not Ellipsis:
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [literal(item, what) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values):
            if key is None:
                raise UnreadableError(value, f"{what} is not a literal", _LITERAL_HINT)
            name = literal(key, what)
            if not isinstance(name, str):
                raise UnreadableError(key, f"{what} has a key that is not text")
            if name in pairs:
                raise UnreadableError(key, f"{what} gives {name!r} twice")
            pairs[name] = literal(value, what)
        return pairs
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = literal(node.operand, what)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return -value
    raise UnreadableError(node, f"{what} is not a literal", _LITERAL_HINT)


class Declaration:
    """Collects what is declared; `as_step` gives the protocol's MODEL."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.kind: str | None = None
        self.name = function
        self.seen: set[str] = set()
        self.inputs: list[dict[str, Any]] = []
        self.parameters: list[dict[str, Any]] = []
        self.values: dict[str, Any] = {
            "python": {"version": None, "pip": None, "image": None},
            "materialize": "none",
            "env": {},
            "network": "none",
            "cpus": None,
            "memory": None,
            "pids": None,
            "disk": None,
            "timeout": None,
            "retries": 0,
        }

    def add(self, names: Names, decorator: ast.expr) -> None:
        """Take one decorator; raises `UnreadableError` or `DeclarationError`."""
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        member = names.member(called) or ""
        if not isinstance(decorator, ast.Call):
            raise UnreadableError(
                decorator,
                f"`@rundlet.{member}` of `{self.function}` is not called",
                f"write `@rundlet.{member}(...)`",
            )
        if member in self.seen:
            raise UnreadableError(decorator, f"`{self.function}` has `@rundlet.{member}` twice")
        self.seen.add(member)
        given = self._arguments(member, decorator)
        if member in ("model", "expectation"):
            self._add_kind(member, given, decorator)
        elif member == "python":
            self._add_python(given)
        elif member == "resources":
            self._add_resources(given)
        elif member == "env":
            self.values["env"] = _values.check_env(given)
        elif member == "network":
            text = _values.network_text(given.get("level"), given.get("allow"))
            self.values["network"] = text

    def _add_kind(self, member: str, given: dict[str, Any], decorator: ast.Call) -> None:
        if self.kind is not None:
            raise UnreadableError(
                decorator, f"`{self.function}` is both a model and an expectation"
            )
        self.kind = member
        if given.get("name") is not None:
            self.name = given["name"]
        _values.check_name("name", self.name)
        if "materialize" in given:
            self.values["materialize"] = _values.check_choice(
                "materialize", given["materialize"], _values.MATERIALIZE
            )

    def _add_python(self, given: dict[str, Any]) -> None:
        python = self.values["python"]
        if given.get("version") is not None:
            python["version"] = _values.check_version(given["version"])
        if given.get("pip") is not None:
            python["pip"] = _values.requirements(given["pip"])
        if given.get("image") is not None:
            python["image"] = _values.check_text("image", given["image"])

    def _add_resources(self, given: dict[str, Any]) -> None:
        if given.get("cpus") is not None:
            self.values["cpus"] = _values.cpu_count(given["cpus"])
        if given.get("memory") is not None:
            self.values["memory"] = _values.memory_bytes("memory", given["memory"])
        if given.get("pids") is not None:
            self.values["pids"] = _values.process_count(given["pids"])
        if given.get("disk") is not None:
            self.values["disk"] = _values.memory_bytes("disk", given["disk"])
        if given.get("timeout") is not None:
            self.values["timeout"] = _values.timeout_seconds(given["timeout"])
        if "retries" in given:
            self.values["retries"] = _values.retry_count(given["retries"])

    def _arguments(self, member: str, call: ast.Call) -> dict[str, Any]:
        """A call's arguments by name, all literal."""
        positional, allowed = _SIGNATURES[member]
        given: dict[str, Any] = {}
        if len(call.args) > len(positional):
            extra = call.args[len(positional)]
            hint = f"name them: {', '.join(allowed)}" if allowed else 'name them: `NAME="value"`'
            raise UnreadableError(
                extra,
                f"`{member}` of `{self.function}` has too many arguments without a name",
                hint,
            )
        for name, value in zip(positional, call.args):
            given[name] = literal(value, f"`{name}` in `{member}` of `{self.function}`")
        for keyword in call.keywords:
            if keyword.arg is None:
                raise UnreadableError(
                    keyword.value,
                    f"`{member}` of `{self.function}` takes `**`, which is not a literal",
                    _LITERAL_HINT,
                )
            if keyword.arg in given:
                raise UnreadableError(
                    keyword.value, f"`{member}` of `{self.function}` has `{keyword.arg}` twice"
                )
            if member != "env" and keyword.arg not in allowed:
                raise UnreadableError(
                    keyword.value,
                    f"`{member}` of `{self.function}` has no argument `{keyword.arg}`",
                    f"it takes {', '.join(allowed)}",
                )
            what = f"`{keyword.arg}` in `{member}` of `{self.function}`"
            given[keyword.arg] = literal(keyword.value, what)
        return given

    def add_arguments(self, names: Names, function: ast.FunctionDef) -> None:
        """Take the function's arguments: inputs, parameters, and plain literals."""
        arguments = function.args
        for star, sign in ((arguments.vararg, "*"), (arguments.kwarg, "**")):
            if star is not None:
                raise UnreadableError(
                    star,
                    f"`{self.function}` takes `{sign}{star.arg}`, so its inputs are not known",
                    "name every input",
                )
        for argument in getattr(arguments, "posonlyargs", []):
            raise UnreadableError(
                argument,
                f"`{argument.arg}` of `{self.function}` is positional-only",
                "inputs are passed by name: remove the `/`",
            )
        missing = [None] * (len(arguments.args) - len(arguments.defaults))
        pairs = list(zip(arguments.args, [*missing, *arguments.defaults]))
        pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults))
        for argument, default in pairs:
            self._add_argument(names, argument, default)

    def _add_argument(self, names: Names, argument: ast.arg, default: ast.expr | None) -> None:
        name = argument.arg
        if default is None:
            raise UnreadableError(
                argument,
                f"`{name}` of `{self.function}` has no default that says what it is",
                f'write `{name}=rundlet.Model("{name}")`',
            )
        member = names.member(default.func) if isinstance(default, ast.Call) else None
        if isinstance(default, ast.Call) and member in ("Model", "Parameter"):
            given = self._arguments(member, default)
            if "name" not in given:
                raise UnreadableError(default, f"`{member}` of `{self.function}` has no name")
            given["name"] = _values.check_name("name", given["name"])
            if member == "Model":
                self._add_input(name, given, default)
            else:
                self.parameters.append(
                    {"argument": name, "name": given["name"], "line": default.lineno}
                )
        else:
            try:
                literal(default, "")
            except UnreadableError:
                raise UnreadableError(
                    default,
                    f"the default of `{name}` in `{self.function}` is none of"
                    " rundlet.Model, rundlet.Parameter and a literal",
                    _LITERAL_HINT,
                ) from None

    def _add_input(self, argument: str, given: dict[str, Any], call: ast.Call) -> None:
        columns, text, tree = given.get("columns"), given.get("filter"), None
        if text is not None:
            where = next((k.value for k in call.keywords if k.arg == "filter"), call)
            if not isinstance(text, str):
                raise UnreadableError(where, f"`filter` of `{self.function}` is not text")
            try:
                tree = parse_filter(text)
            except FilterError as error:
                raise UnreadableError(
                    where,
                    f"the filter `{text}` of `{self.function}` cannot be read:"
                    f" {error.message} (character {error.at})",
                    error.hint,
                ) from None
        self.inputs.append(
            {
                "argument": argument,
                "model": given["name"],
                "columns": None if columns is None else _values.check_columns(columns),
                "filter": tree,
                "filter_text": text,
                "line": call.lineno,
            }
        )

    def as_step(self, path: str, function: ast.FunctionDef) -> dict[str, Any]:
        """The protocol's MODEL, but for `code` and `imports`."""
        return {
            "expectation": self.kind == "expectation",
            "name": self.name,
            "kind": "python",
            "file": path,
            "line": function.lineno,
            "doc": first_line(ast.get_docstring(function)),
            "function": self.function,
            "sql": None,
            "inputs": self.inputs,
            "parameters": self.parameters,
            **self.values,
        }


def first_line(text: str | None) -> str | None:
    """The first line of a docstring, at most 200 characters; None when there is none."""
    lines = (text or "").strip().splitlines()
    return lines[0].strip()[:200].encode("utf-8", "replace").decode() if lines else None
