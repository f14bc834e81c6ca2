"""Compiled files for wheels: shared libraries, programs, extension modules; made by the C compiler, kept by content."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

# The part of Python.h that a module without functions needs; its layout is the same in 3.9 to 3.13.
EXTENSION = """
#include <stddef.h>
struct ModuleDef {{
  ptrdiff_t references; void *type; void *init; ptrdiff_t index; void *copy;
  const char *name; const char *doc; ptrdiff_t size; void *methods, *slots, *traverse, *clear, *free;
}};
extern void *PyModule_Create2(struct ModuleDef *, int);
extern int PyModule_AddStringConstant(void *, const char *, const char *);
{declarations}
static struct ModuleDef definition = {{1, 0, 0, 0, 0, "{name}", 0, -1, 0, 0, 0, 0, 0}};
void *PyInit_{name}(void) {{
  void *module = PyModule_Create2(&definition, 1013);
  PyModule_AddStringConstant(module, "value", {value});
  return module;
}}
"""


# How an extension module for the image's Python ends, and what a wheel that has one says of itself.
SUFFIX = "cpython-311-x86_64-linux-gnu.so"
NATIVE = {"python": "cp311", "abi": "cp311", "platform": "manylinux_2_17_x86_64"}


@functools.cache
def _compile(source: str, options: tuple[str, ...], libraries: tuple[tuple[str, bytes], ...]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        code, output = Path(folder) / "source.c", Path(folder) / "output"
        code.write_text(source)
        for name, content in libraries:
            (Path(folder) / name).write_bytes(content)
        command = ["cc", "-O1", "-L", folder, "-o", str(output), str(code), *options]
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
        return output.read_bytes()


def program(source: str) -> bytes:
    return _compile(source, ("-static",), ())


def library(source: str, soname: str) -> bytes:
    return _compile(source, ("-shared", "-fPIC", f"-Wl,-soname,{soname}"), ())


def extension(
    name: str,
    *,
    value: str = '"own"',
    declarations: str = "",
    needs: Sequence[tuple[str, bytes]] = (),
    rpath: str = "",
) -> bytes:
    """A module with one text, `value`: a C expression, which may call what `needs` (soname, library) define."""
    source = EXTENSION.format(name=name, value=value, declarations=declarations)
    options = ["-shared", "-fPIC", "-Wl,--no-as-needed"]
    options += [f"-l:{soname}" for soname, _ in needs]
    if rpath:
        options.append(f"-Wl,--enable-new-dtags,-rpath,{rpath}")
    return _compile(source, tuple(options), tuple(needs))


def with_library(name: str, soname: str, text: str, rpath: str) -> tuple[bytes, bytes]:
    """A module whose `value` is the text that a library has, which it looks for at `rpath`; and that library."""
    needed = library(f'const char *needed_text(void) {{ return "{text}"; }}', soname)
    declarations = "extern const char *needed_text(void);"
    return extension(
        name, value="needed_text()", declarations=declarations, needs=[(soname, needed)], rpath=rpath
    ), needed
