"""`filter=` strings to FILTER trees.

A small language, so a small parser: sqlglot takes 0.1 s to import and gives no positions.

    or    = and {"OR" and}
    and   = not {"AND" not}
    not   = "NOT" not | "(" or ")" | test
    test  = column [compare literal | ["NOT"] "IN" "(" literal {"," literal} ")"
                   | ["NOT"] "BETWEEN" literal "AND" literal | "IS" ["NOT"] "NULL"]
          | literal compare column
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_LENGTH = 10_000
MAX_DEPTH = 50

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z0-9_.]))
  | (?P<string>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<word>[^\W\d]\w*)
  | (?P<sign><=|>=|<>|!=|==|[<>=(),])
)""",
    re.VERBOSE,
)
_COMPARE = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=", "==": "=", "!=": "!=", "<>": "!="}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_RESERVED = frozenset(
    ["AND", "OR", "NOT", "IN", "BETWEEN", "IS", "NULL", "TRUE", "FALSE", "LIKE", "ILIKE"]
)


class FilterError(Exception):
    """A filter that cannot be read: what is wrong, and at which character (from 1)."""

    def __init__(self, message: str, at: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint


def parse_filter(text: str) -> dict[str, Any]:
    """The FILTER tree of a condition.

    >>> parse_filter("dep_delay > 15")
    {'op': '>', 'column': 'dep_delay', 'value': 15}
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"longer than {MAX_LENGTH} characters", 1)
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, character
        at = 0
        end = len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if not match or match.lastgroup is None:
                at = len(text) - len(text[at:].lstrip())
                raise FilterError(f"unexpected `{text[at]}`", at + 1)
            kind = match.lastgroup
            self.tokens.append((kind, match.group(kind), match.start(kind) + 1))
            at = match.end()
        self.tokens.append(("end", "", end + 1))
        self.next = 0
        self.depth = 0

    def parse(self) -> dict[str, Any]:
        tree = self._or()
        if self.tokens[self.next][0] != "end":
            raise self._unexpected("AND, OR or the end")
        return tree

    def _or(self) -> dict[str, Any]:
        return self._chain("OR", self._and)

    def _and(self) -> dict[str, Any]:
        return self._chain("AND", self._not)

    def _chain(self, word: str, part: Any) -> dict[str, Any]:
        parts = [part()]
        while self._take_word(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else {"op": word.lower(), "args": parts}

    def _not(self) -> dict[str, Any]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError(f"nested more than {MAX_DEPTH} deep", self.tokens[self.next][2])
        if self._take_word("NOT"):
            tree = {"op": "not", "arg": self._not()}
        elif self._take_sign("("):
            tree = self._or()
            self._expect_sign(")")
        else:
            tree = self._test()
        self.depth -= 1
        return tree

    def _test(self) -> dict[str, Any]:
        if self._at_literal():
            value = self._literal()
            return {
                "op": _FLIPPED[self._compare()],
                "column": self._column(),
                "value": value,
            }
        column = self._column()
        if self.tokens[self.next][1] in _COMPARE:
            return {"op": self._compare(), "column": column, "value": self._literal()}
        if self._take_word("IS"):
            op = "is_not_null" if self._take_word("NOT") else "is_null"
            if not self._take_word("NULL"):
                raise self._unexpected("NULL")
            return {"op": op, "column": column}
        negated = self._take_word("NOT")
        if self._take_word("IN"):
            tree: dict[str, Any] = {"op": "in", "column": column, "values": self._list()}
        elif self._take_word("BETWEEN"):
            low = self._literal()
            if not self._take_word("AND"):
                raise self._unexpected("AND")
            tree = {"op": "between", "column": column, "low": low, "high": self._literal()}
        elif negated:
            raise self._unexpected("IN or BETWEEN")
        elif self.tokens[self.next][0] == "end" or self._at_connective():
            return {"op": "=", "column": column, "value": True}  # a column of booleans, by itself
        else:
            raise self._unexpected("a comparison, IN, BETWEEN or IS NULL")
        return {"op": "not", "arg": tree} if negated else tree

    def _list(self) -> list[Any]:
        self._expect_sign("(")
        values = [self._literal()]
        while self._take_sign(","):
            values.append(self._literal())
        self._expect_sign(")")
        return values

    def _compare(self) -> str:
        kind, text, _ = self.tokens[self.next]
        if kind != "sign" or text not in _COMPARE:
            raise self._unexpected("a comparison")
        self.next += 1
        return _COMPARE[text]

    def _column(self) -> str:
        kind, text, _ = self.tokens[self.next]
        if kind == "quoted":
            self.next += 1
            return text[1:-1].replace('""', '"')
        if kind != "word" or text.upper() in _RESERVED:
            raise self._unexpected("a column")
        self.next += 1
        return text

    def _at_literal(self) -> bool:
        kind, text, _ = self.tokens[self.next]
        if kind == "word" and text.upper() in ("DATE", "TIMESTAMP"):
            return self.tokens[self.next + 1][0] == "string"
        return kind in ("number", "string") or (
            kind == "word" and text.upper() in ("TRUE", "FALSE", "NULL")
        )

    def _literal(self) -> Any:
        kind, text, at = self.tokens[self.next]
        if not self._at_literal():
            hint = (
                "a filter compares a column with a literal" if kind in ("word", "quoted") else None
            )
            raise self._unexpected("a number, text in single quotes, TRUE or FALSE", hint)
        self.next += 1
        if kind == "number":
            return _number(text, at)
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if text.upper() in ("DATE", "TIMESTAMP"):  # the column's type says how the text is read
            return self._literal()
        if text.upper() == "NULL":
            raise FilterError("nothing compares with NULL", at, "use IS NULL or IS NOT NULL")
        return text.upper() == "TRUE"

    def _at_connective(self) -> bool:
        kind, text, _ = self.tokens[self.next]
        return text == ")" or (kind == "word" and text.upper() in ("AND", "OR"))

    def _take_word(self, word: str) -> bool:
        kind, text, _ = self.tokens[self.next]
        taken = kind == "word" and text.upper() == word
        self.next += taken
        return taken

    def _take_sign(self, sign: str) -> bool:
        kind, text, _ = self.tokens[self.next]
        taken = kind == "sign" and text == sign
        self.next += taken
        return taken

    def _expect_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise self._unexpected(f"`{sign}`")

    def _unexpected(self, wanted: str, hint: str | None = None) -> FilterError:
        _, text, at = self.tokens[self.next]
        return FilterError(f"{f'`{text}`' if text else 'the end'} where {wanted} belongs", at, hint)


def _number(text: str, at: int) -> float:
    if re.fullmatch(r"-?\d{1,20}", text):
        value = int(text)
        if not -(2**63) <= value < 2**63:
            raise FilterError(f"`{text}` does not fit 64 bits", at)
        return value
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise FilterError(f"`{text}` is too large", at)
    return number
