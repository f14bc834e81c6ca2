"""Why a step failed, told from where its own code begins."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

MAX_MESSAGE = 8_000
MAX_TRACEBACK = 64_000

# Where a module's name is not its package's.
_PACKAGES = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "pkg_resources": "setuptools<81",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


class StepError(Exception):
    """A failure that the runner itself found; `kind` is the type that is told."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        function: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.place = (file, line, function)
        self.hint = hint


def describe(error: BaseException, project: str) -> dict[str, Any]:
    """The protocol's `error`, and the traceback printed on standard error."""
    if isinstance(error, StepError):
        file, line, function = error.place
        kind, message, hint = error.kind, error.message, error.hint
        text = f"{kind}: {message}\n"
    else:
        frames = _users_frames(error.__traceback__, project)
        file, line, function = _place(error, frames, project)
        kind, message, hint = type(error).__name__, _message(error), _hint(error, frames, project)
        text = _traceback(error, frames, project)
    try:
        sys.stderr.write(text if hint is None else f"{text}hint: {hint}\n")
        sys.stderr.flush()
    except Exception:  # the step may have closed or replaced it
        pass
    return {
        "type": kind,
        "message": _cut(message, MAX_MESSAGE),
        "file": file,
        "line": line,
        "function": function,
        "traceback": _cut(text, MAX_TRACEBACK),
        "hint": hint,
    }


def _users_frames(trace: TracebackType | None, project: str) -> TracebackType | None:
    """The traceback from its first frame in the project, or else after the runner's last one."""
    ours = os.path.dirname(os.path.abspath(__file__)) + os.sep
    at = trace
    while at is not None and not _in_project(at.tb_frame.f_code.co_filename, project):
        at = at.tb_next
    if at is not None:
        return at
    last = trace
    at = trace
    while at is not None:
        if at.tb_frame.f_code.co_filename.startswith((ours, "<frozen importlib")):
            last = at.tb_next
        at = at.tb_next
    return last


def _in_project(filename: str, project: str) -> bool:
    return filename.startswith(project.rstrip("/") + "/")


def _place(
    error: BaseException, frames: TracebackType | None, project: str
) -> tuple[str | None, int | None, str | None]:
    """The innermost place in the user's own files."""
    filename = getattr(error, "filename", None)
    if isinstance(error, SyntaxError) and isinstance(filename, str):
        return _relative(filename, project), error.lineno, None
    place: tuple[str | None, int | None, str | None] = (None, None, None)
    while frames is not None:
        code = frames.tb_frame.f_code
        if _in_project(code.co_filename, project):
            name = None if code.co_name == "<module>" else code.co_name
            place = (_relative(code.co_filename, project), frames.tb_lineno, name)
        frames = frames.tb_next
    return place


def _relative(filename: str, project: str) -> str:
    prefix = project.rstrip("/") + "/"
    return filename[len(prefix) :] if filename.startswith(prefix) else filename


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        code = "" if error.code is None else error.code
        return f"the step called sys.exit({code})"
    if isinstance(error, KeyboardInterrupt):
        return "the step was interrupted"
    if isinstance(error, MemoryError):
        return str(error) or "out of memory"
    try:
        return str(error) or type(error).__name__
    except Exception:
        return "the exception has no text: its __str__ failed"


def _hint(error: BaseException, frames: TracebackType | None, project: str) -> str | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.split(".")[0]
        package = _PACKAGES.get(module, module)
        if module == "pyarrow":
            return "every Python step needs `pyarrow`: add it to the step's `pip`"
        if os.path.exists(os.path.join(project, module)):
            return None
        while frames is not None:
            code = frames.tb_frame.f_code
            if code.co_name != "<module>" and _in_project(code.co_filename, project):
                return f"add `{package}` to the step's `pip`"
            frames = frames.tb_next
        advice = f"add `{package}` to the step's `pip`"
        return advice + ", or move the import into the function that uses it"
    if isinstance(error, ImportError) and "pyarrow requires NumPy" in str(error):
        return "pin a `pyarrow` that takes the step's numpy, such as 20.0.0, in the step's `pip`"
    if isinstance(error, MemoryError):
        return 'give the step more with `@rundlet.resources(memory="...")`'
    if isinstance(error, OSError) and error.errno == 28:  # ENOSPC
        return "the step ran out of space for its output or its scratch files"
    return None


def _traceback(error: BaseException, frames: TracebackType | None, project: str) -> str:
    import traceback  # 10 ms; only failures pay

    try:
        lines = traceback.format_exception(type(error), error, frames)
    except Exception:  # a __str__ or __repr__ of the user's that raises, or no memory
        return f"{type(error).__name__}\n"
    return "".join(lines).replace(f'File "{project.rstrip("/")}/', 'File "')


def _cut(text: str, limit: int) -> str:
    """Text within a limit: its beginning and, because that is where the cause is, its end."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 4]}\n... cut ...\n{text[-(limit - limit // 4) + 20 :]}"
