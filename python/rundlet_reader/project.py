"""The project's files: bounded reading, and which of them an import means."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rundlet_reader.errors import Faults

MAX_FILE_BYTES = 4 << 20
MAX_IMPORTED_FILES = 2000


class Project:
    """A project directory. Nothing outside it is opened, whatever a path or an import says."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._contents: dict[str, bytes | None] = {}

    def read(self, path: object, faults: Faults) -> bytes | None:
        """The bytes of one of the project's files; None, and a fault, when it cannot be had."""
        if not isinstance(path, str) or "\0" in path or not self._inside(path):
            faults.add(0, 0, f"`{path}` is not a path inside the project", path)
            return None
        try:
            data = self._load(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            faults.add(0, 0, f"reading `{path}`: {str(reason).lower()}", path)
            return None
        if len(data) > MAX_FILE_BYTES:
            faults.add(0, 0, f"`{path}` is larger than {MAX_FILE_BYTES >> 20} MiB", path)
            return None
        return data

    def contents(self, path: str) -> bytes | None:
        """The bytes of a file that may not exist; kept, because several files may import it."""
        if path not in self._contents:
            try:
                self._contents[path] = self._load(path) if self._inside(path) else None
            except (OSError, ValueError):
                self._contents[path] = None
        return self._contents[path]

    def module_files(self, module: str) -> list[str]:
        """The project's files that importing `a.b.c` runs: packages first, then the module.

        Empty when the first name is not the project's.
        """
        found: list[str] = []
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            stem = "/".join(parts[:depth])
            for candidate in (f"{stem}/__init__.py", f"{stem}.py"):
                if self._exists(candidate):
                    found.append(candidate)
                    break
        return found

    def is_local(self, module: str) -> bool:
        """Whether the first name of a module is a file or a folder of the project."""
        first = module.split(".")[0]
        return self._exists(f"{first}.py") or os.path.isdir(os.path.join(self.root, first))

    def _exists(self, path: str) -> bool:
        return os.path.isfile(os.path.join(self.root, path))

    def _inside(self, path: str) -> bool:
        if os.path.isabs(path) or ".." in path.split("/"):
            return False
        real = os.path.realpath(os.path.join(self.root, path))
        return real.startswith(self.root.rstrip("/") + "/")

    def _load(self, path: str) -> bytes:
        descriptor = os.open(
            os.path.join(self.root, path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "not a regular file")
            return file.read(MAX_FILE_BYTES + 1)
