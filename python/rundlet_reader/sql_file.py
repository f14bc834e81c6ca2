"""What a SQL file declares: one query, its tables and parameters, and a header of options."""

from __future__ import annotations

import logging
import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

from rundlet import _values
from rundlet._errors import DeclarationError
from rundlet_reader.digest import code_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rundlet_reader.errors import Faults

logging.disable(logging.CRITICAL)  # sqlglot's warnings are not this program's output

_DIALECT = "duckdb"
_OPTION_LINE = re.compile(r"\s*--\s*rundlet:(.*)")
_OPTION = re.compile(r"""\s*,?\s*(\w+)\s*=\s*("[^"]*"|'[^']*'|[^\s,]+)""")
_OPTIONS = (
    "name",
    "materialize",
    "python",
    "image",
    "network",
    "cpus",
    "memory",
    "pids",
    "disk",
    "timeout",
    "retries",
)
# How sqlglot's messages show a word of the query.
_TOKEN = re.compile(r"<Token token_type: .*?, text: (.*?), line: \d+, col: .*>", re.DOTALL)
_FILE_FUNCTION = re.compile(
    r"(read|scan)_?(csv|parquet|json|ndjson|blob|text|xlsx)|glob|"
    r".*_(scan|query|attach)\Z",
    re.IGNORECASE,
)


def read_sql(path: str, source: bytes, faults: Faults) -> list[dict[str, Any]]:
    """The model of one SQL file, in a list; empty when there are faults."""
    return _Query(path, faults).read(source)


class _Query:
    def __init__(self, path: str, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self.name = path.rsplit("/", 1)[-1][: -len(".sql")]
        self.options: dict[str, Any] = {}
        self.text = ""

    def read(self, source: bytes) -> list[dict[str, Any]]:
        text = self._decode(source)
        if text is None:
            return []
        doc = self._header(text)
        try:
            tokens = sqlglot.tokenize(text, read=_DIALECT)
            trees = [tree for tree in sqlglot.parse(text, read=_DIALECT) if tree is not None]
        except SqlglotError as error:
            self._syntax(error)
            return []
        self.text = text
        first = self._line_of(tokens[0].start) if tokens else 1
        if len(trees) != 1:
            count = "no query" if not trees else f"{len(trees)} statements"
            self._fault(first, 0, f"`{self.path}` holds {count}, not one query")
            return []
        if not isinstance(trees[0], exp.Query):
            self._fault(
                first,
                0,
                f"the statement in `{self.path}` is not a query",
                "a model's SQL is one SELECT, with WITH if you like",
            )
            return []
        inputs = self._inputs(trees[0])
        parameters = self._parameters(tokens)
        try:
            _values.check_name("name", self.name)
        except DeclarationError:
            self._fault(
                first,
                0,
                f"the file name `{self.path}` does not give a name for a model",
                "use letters, digits and underscores, or `-- rundlet: name=...`",
            )
        if self.faults.found:
            return []
        return [self._model(text, first, doc, inputs, parameters, tokens)]

    def _model(
        self,
        text: str,
        line: int,
        doc: str | None,
        inputs: list[Any],
        parameters: list[Any],
        tokens: list[Any],
    ) -> dict[str, Any]:
        code = "\0".join(f"{token.token_type.name} {token.text}" for token in tokens)
        return {
            "expectation": False,
            "name": self.name,
            "kind": "sql",
            "file": self.path,
            "line": line,
            "doc": doc,
            "function": None,
            "sql": text,
            "code": code_digest([("sql", code.encode("utf-8"))]),
            "inputs": inputs,
            "parameters": parameters,
            "python": {
                "version": self.options.get("python"),
                "pip": None,
                "image": self.options.get("image"),
            },
            "imports": [],
            "materialize": self.options.get("materialize", "none"),
            "env": {},
            "network": self.options.get("network", "none"),
            "cpus": self.options.get("cpus"),
            "memory": self.options.get("memory"),
            "pids": self.options.get("pids"),
            "disk": self.options.get("disk"),
            "timeout": self.options.get("timeout"),
            "retries": self.options.get("retries", 0),
        }

    def _decode(self, source: bytes) -> str | None:
        try:
            text = source.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = source[: error.start].count(b"\n") + 1
            self._fault(line, 0, f"`{self.path}` is not UTF-8")
            return None
        if "\0" in text:
            self._fault(text[: text.index("\0")].count("\n") + 1, 0, "the file holds a NUL byte")
            return None
        return text

    def _header(self, text: str) -> str | None:
        """Take the options of the comments above the query; gives the first other comment."""
        doc = None
        above = True
        for number, line in enumerate(text.split("\n"), 1):
            match = _OPTION_LINE.match(line)
            if match and above:
                self._options(match.group(1), number)
            elif match:
                self._fault(
                    number,
                    1,
                    "`-- rundlet:` stands below the start of the query",
                    "move it above the query",
                )
            elif above and line.strip().startswith("--"):
                doc = doc or line.strip().lstrip("-").strip()[:200] or None
            elif line.strip():
                above = False
        return doc

    def _options(self, text: str, line: int) -> None:
        at = 0
        while text[at:].strip():
            match = _OPTION.match(text, at)
            if not match:
                self._fault(line, 0, f"`{text[at:].strip()}` is not `key=value`")
                return
            at = match.end()
            key, value = match.group(1), match.group(2)
            if value[0] in "\"'":
                value = value[1:-1]
            if key in self.options:
                self._fault(line, 0, f"`{key}` is given twice")
            elif key not in _OPTIONS:
                self._fault(
                    line, 0, f"there is no option `{key}`", f"there are {', '.join(_OPTIONS)}"
                )
            else:
                self._option(key, value, line)

    def _option(self, key: str, value: str, line: int) -> None:
        try:
            self.options[key] = _checked(key, value)
        except DeclarationError as error:
            self._fault(line, 0, str(error))
        else:
            if key == "name":
                self.name = value

    def _inputs(self, tree: exp.Expression) -> list[dict[str, Any]]:
        inputs: dict[str, dict[str, Any]] = {}
        for table in tree.find_all(exp.Table):
            line, column = self._place(table)
            if not isinstance(table.this, exp.Identifier):
                name = table.this.sql(dialect=_DIALECT).split("(")[0].lower() if table.this else ""
                if _FILE_FUNCTION.match(name):
                    self._fault(
                        line,
                        column,
                        f"the query reads outside the pipeline with `{name}`",
                        "declare the files as `[tables.NAME]` in rundlet.toml",
                    )
                continue
            name = table.name
            if table.db or table.catalog:
                full = table.sql(dialect=_DIALECT)
                self._fault(
                    line,
                    column,
                    f"`{full}` names a table in a schema",
                    "tables of a pipeline have one plain name",
                )
            elif not _is_cte(table):
                self._input(inputs, name, line, column)
        return sorted(inputs.values(), key=lambda entry: str(entry["model"]))

    def _input(self, inputs: dict[str, Any], name: str, line: int, column: int) -> None:
        try:
            _values.check_name("table", name)
        except DeclarationError:
            self._fault(
                line,
                column,
                f"`{name}` is not a table of the pipeline",
                "declare files as `[tables.NAME]` in rundlet.toml",
            )
            return
        known = inputs.setdefault(
            name.lower(),  # SQL's names do not differ by case
            {
                "argument": name,
                "model": name,
                "columns": None,
                "filter": None,
                "filter_text": None,
                "line": line,
            },
        )
        known["line"] = min(known["line"], line)

    def _parameters(self, tokens: list[Any]) -> list[dict[str, Any]]:
        found: dict[str, int] = {}
        for token, following in zip(tokens, [*tokens[1:], None]):
            if token.token_type == TokenType.PLACEHOLDER or token.text == "?":
                self._fault(
                    self._line_of(token.start),
                    0,
                    "the query has a parameter without a name",
                    "write `$name`",
                )
            if token.token_type != TokenType.PARAMETER or following is None:
                continue
            if not following.text.isidentifier() or following.start != token.end + 1:
                self._fault(
                    self._line_of(token.start),
                    0,
                    f"`${following.text}` is not a parameter",
                    "write `$name`",
                )
            else:
                found.setdefault(following.text, self._line_of(token.start))
        return [{"argument": name, "name": name, "line": line} for name, line in found.items()]

    def _syntax(self, error: SqlglotError) -> None:
        first = (getattr(error, "errors", None) or [{}])[0]
        message = str(first.get("description") or str(error).split("\n")[0]).rstrip(".")
        line, column = int(first.get("line") or 0), int(first.get("col") or 0)
        if not line:
            match = re.search(r"(?:line |from )(\d+)(?:, col:? |:)(\d+)", str(error), re.IGNORECASE)
            line, column = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
        if not line:  # the tokenizer names no place: a quote or comment that does not end
            message = "the text cannot be split into words: a quote or a comment may not end"
            line = 1
        message = _TOKEN.sub(r"`\1`", message)
        self._fault(line, column, f"syntax error: {message[:1].lower()}{message[1:]}")

    def _line_of(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1  # sqlglot's own count is off after comments

    def _place(self, table: exp.Table) -> tuple[int, int]:
        for node in table.walk():
            if "start" in node.meta:
                start = int(node.meta["start"])
                return self._line_of(start), start - self.text.rfind("\n", 0, start)
        return 0, 0

    def _fault(self, line: int, column: int, message: str, hint: str | None = None) -> None:
        self.faults.add(line, column, message, self.name or self.path, hint)


def _checked(key: str, value: str) -> Any:
    if key == "name":
        return _values.check_name(key, value)
    if key == "materialize":
        return _values.check_choice(key, value, _values.MATERIALIZE)
    if key == "network":
        return _values.check_choice(key, value, _values.NETWORK)
    if key == "python":
        return _values.check_version(value)
    if key == "image":
        return _values.check_text(key, value)
    if key in ("memory", "disk"):
        return _values.memory_bytes(key, value)
    if key == "timeout":
        return _values.timeout_seconds(value)
    if key == "pids":
        return _values.process_count(_whole(value))
    if key == "retries":
        return _values.retry_count(_whole(value))
    try:
        number = float(value)
    except ValueError:
        return _values.cpu_count(value)
    return _values.cpu_count(int(number) if number.is_integer() else number)


def _whole(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdigit() else value


def _is_cte(table: exp.Table) -> bool:
    """Whether a table's name means a CTE where it stands: SQL's scoping, from inside out."""
    name = table.name.lower()
    child: exp.Expression = table
    inside: exp.CTE | None = None  # the CTE that the walk came through
    while child.parent is not None:
        node = child.parent
        if isinstance(child, exp.CTE):
            inside = child
        if isinstance(node, exp.With):
            child = node
            continue
        scope = node.args.get("with_") or node.args.get("with")
        if isinstance(scope, exp.With):
            through = inside if child is scope else None
            for cte in scope.expressions:
                if cte is through and not scope.args.get("recursive"):
                    break
                if cte.alias.lower() == name:
                    return True
            inside = None
        child = node
    return False
