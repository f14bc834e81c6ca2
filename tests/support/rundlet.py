"""Runs the built `rundlet` as a user would."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from support import leaks

Argument = Union[str, Path]


def build_directory() -> Path:
    """The meson build directory under test: RUNDLET_BUILD, or `build` in the checkout."""
    given = os.environ.get("RUNDLET_BUILD")
    return Path(given).resolve() if given else Path(__file__).resolve().parents[2] / "build"


def program(name: str = "rundlet") -> Path:
    folders = {
        "rundlet-launcher": "runtime/launcher",
        "rundlet-worker": "rootfs/worker",
        "rundlet-fetcher": "rootfs/worker",
        "rundletd": "src/daemon",
    }
    return build_directory() / folders.get(name, "src/cli") / name


def exec_command(requirements: Sequence[str], *command: Argument, options: Sequence[Argument] = ()) -> list[Argument]:
    """`exec` of a command in an environment of these requirements."""
    wanted = [part for requirement in requirements for part in ("--with", requirement)]
    return ["exec", "--image", "python-3.11", *options, *wanted, "--", *command]


@dataclass(frozen=True)
class Result:
    args: Sequence[str]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines() if line]

    def check(self, code: int = 0) -> Result:
        """Itself when the exit code is the expected one."""
        assert self.code == code, str(self)
        return self

    def __str__(self) -> str:
        return f"{' '.join(self.args)}\nexit code {self.code}\nstdout:\n{self.out}\nstderr:\n{self.err}"


class Rundlet:
    """One state directory and the environment variables of its user.

    Nothing of the caller's environment but what is named here reaches the program.
    """

    KEPT = ("PATH", "LANG", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")

    def __init__(
        self, state: Path, *, environment: Optional[Mapping[str, str]] = None, binary: Optional[Path] = None
    ) -> None:
        self.state, self.binary = state, binary or program()
        self.timeout = 400.0  # seconds; what a test waits for on a busy machine
        self.environment = {key: os.environ[key] for key in self.KEPT if key in os.environ}
        self.environment.update({"NO_COLOR": "1", "HOME": str(state.parent)})
        self.environment.update(environment or {})

    def with_environment(self, **more: str) -> Rundlet:
        other = Rundlet(self.state, environment={**self.environment, **more}, binary=self.binary)
        other.timeout = self.timeout
        return other

    def command(self, *args: Argument) -> list[str]:
        return [str(self.binary), "--state", str(self.state), *(str(arg) for arg in args)]

    def __call__(
        self,
        *args: Argument,
        input: Union[str, bytes, None] = None,
        cwd: Optional[Path] = None,
        timeout: Optional[float] = None,
        environment: Optional[Mapping[str, str]] = None,
        pass_fds: Sequence[int] = (),
    ) -> Result:
        """Runs to the end. On a time-out the whole process group is killed and the test fails."""
        command = self.command(*args)
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd or self.state.parent,
            env={**self.environment, **(environment or {})},
            start_new_session=True,
            pass_fds=pass_fds,
        )
        data = input.encode() if isinstance(input, str) else input
        try:
            out, err = process.communicate(data, timeout or self.timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                text = f"stdout:\n{out.decode(errors='replace')}\nstderr:\n{err.decode(errors='replace')}"
                raise AssertionError(f"{' '.join(command)} did not end in {error.timeout} s\n{text}") from None
            raise
        seconds = time.monotonic() - start
        text_out, text_err = out.decode(errors="replace"), err.decode(errors="replace")
        return Result(command, process.returncode, text_out, text_err, seconds)

    def ok(self, *args: Argument, **more: Any) -> Result:
        return self(*args, **more).check(0)

    def json(self, *args: Argument, **more: Any) -> Any:
        """The document that `-o json` prints on success."""
        return self.ok("-o", "json", *args, **more).json

    def sweep_groups(self, *image: Argument) -> None:
        """Removes the control groups of a killed engine: the next with some does, once their processes have ended."""
        deadline = time.monotonic() + 120
        while left := leaks.cgroups():
            assert time.monotonic() < deadline, left
            self.ok("exec", *image, "--pids", "100", "--", "true")

    @contextlib.contextmanager
    def start(self, *args: Argument, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A running program, for signals and races; killed with its session's group at the end."""
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        more.setdefault("cwd", self.state.parent)
        with subprocess.Popen(self.command(*args), env=self.environment, start_new_session=True, **more) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def limited(driver: Rundlet, folder: Path, limit: str) -> Rundlet:
    """As from a shell that has run `ulimit` with these arguments."""
    binary = folder / "rundlet-with-limits"
    binary.write_text(f'#!/bin/sh\nulimit {limit}\nexec {driver.binary} "$@"\n')
    binary.chmod(0o755)
    return Rundlet(driver.state, environment=driver.environment, binary=binary)
