"""Digests of code: the same for the same behaviour, whatever the comments and positions."""

from __future__ import annotations

import ast
import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SKIPPED = frozenset(("type_comment", "type_ignores", "kind", "ctx"))


def dump(node: object) -> str:
    """A canonical text of a syntax tree, without positions, the same in every Python.

    >>> dump(ast.parse("x = 1  # one"))
    "Module(body=[Assign(targets=[Name(id=str:'x')],value=Constant(value=int:0x1))])"
    """
    out: list[str] = []
    _dump(node, out)
    return "".join(out)


def _dump(node: object, out: list[str]) -> None:
    if isinstance(node, ast.AST):
        out.append(type(node).__name__ + "(")
        first = True
        for field in node._fields:
            value = getattr(node, field, None)
            # Newer Pythons add fields; one that is empty must not change the text.
            if field in _SKIPPED or value == [] or (value is None and field != "value"):
                continue
            out.append(("" if first else ",") + field + "=")
            first = False
            _dump(value, out)
        out.append(")")
    elif isinstance(node, list):
        out.append("[")
        for item in node:
            _dump(item, out)
            out.append(",")
        out[-1] = "]"
    else:
        # Hexadecimal: CPython refuses to print very long integers in decimal.
        text = hex(node) if type(node) is int else repr(node)
        out.append(f"{type(node).__name__}:{text}")


def code_digest(parts: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 over labelled parts, each with its length, so that no two lists look the same."""
    digest = hashlib.sha256(b"rundlet code 1\n")
    for label, content in parts:
        head = label.encode("utf-8", "surrogatepass")
        digest.update(b"%d %d\n" % (len(head), len(content)) + head + content)
    return digest.hexdigest()
