"""Faults found in a file, with their places."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_TEXT = 500


class Faults:
    """Collects the faults of one file; lines and columns count from 1, 0 is unknown."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[dict[str, Any]] = []

    def add(
        self, line: int, column: int, message: str, about: object, hint: str | None = None
    ) -> None:
        """Note a fault: `about` is the step, table or file that it is in."""
        self.found.append(
            {
                "file": clean(self.file),
                "line": line,
                "column": column,
                "message": clean(message),
                "object": clean(str(about)),
                "hint": None if hint is None else clean(hint),
            }
        )


def clean(text: str) -> str:
    """Text that is short enough and is valid UTF-8 (a file's name or literal may not be)."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
