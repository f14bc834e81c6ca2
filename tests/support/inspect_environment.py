"""Run inside an environment: prints, as JSON, what its Python finds there.

    python inspect_environment.py PREFIX

Of each distribution its version, what it requires and its entry points; each console script's target, and whether that
can be loaded; each top-level module, and how its import ends. Every load and import has a process of its own.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from functools import partial

SECONDS = 120
TOP_LEVEL_ENDINGS = (".py", ".abi3.so", ".cpython-311-x86_64-linux-gnu.so", ".so")


def outcome_of(action: Callable[[], object]) -> str:
    """ "ok", or what was raised, from a child: what an import does to its process stays there."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        warnings.simplefilter("ignore")
        try:
            action()
            text = "ok"
        except BaseException as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0]
        os.write(write, text.encode()[:4096])
        os._exit(0)
    os.close(write)
    with open(read, "rb") as said:
        text = said.read().decode()
    status = os.waitpid(child, 0)[1]
    return text or f"ended with {status}"


def modules_of(distribution: importlib.metadata.Distribution) -> set[str]:
    found = set()
    for file in distribution.files or ():
        first = file.parts[0]
        if first in ("..", "__pycache__") or first.endswith((".dist-info", ".pth", ".libs", ".data")):
            continue
        if len(file.parts) == 1:
            ending = next((one for one in TOP_LEVEL_ENDINGS if first.endswith(one)), None)
            first = first[: -len(ending)] if ending else ""
        if first.isidentifier() and (len(file.parts) == 1 or file.suffix in (".py", ".so")):
            found.add(first)
    return found


def main(prefix: str) -> None:
    def plain(text: str) -> str:
        return text.replace(prefix, "PREFIX")

    distributions, scripts, modules = {}, {}, set()
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]
        entries = sorted(f"{entry.group}: {entry.name} = {entry.value}" for entry in one.entry_points)
        distributions[name] = [one.version, sorted(one.requires or ()), entries]
        modules |= modules_of(one)
        for entry in one.entry_points:
            if entry.group in ("console_scripts", "gui_scripts"):
                there = os.access(f"{prefix}/bin/{entry.name}", os.X_OK)
                scripts[entry.name] = [entry.value, there, plain(outcome_of(entry.load))]
    imported = {name: plain(outcome_of(partial(importlib.import_module, name))) for name in sorted(modules)}
    print(json.dumps({"distributions": distributions, "scripts": scripts, "modules": imported}))


if __name__ == "__main__":
    main(sys.argv[1])
