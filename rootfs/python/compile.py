"""Compile a package directory's modules to bytecode, in a sandbox, with the image's interpreter.

Usage: python -I -S - SOURCE OUT PREFIX   (this program on standard input)

Every SOURCE/**/X.py becomes OUT/**/__pycache__/X.<tag>.pyc with an unchecked hash: the package
directory never changes, so nothing is looked up at import. Code objects name the file as
PREFIX/**/X.py, where it will be mounted. A module that does not compile is left out (templates,
vendored Python 2): it is compiled, and fails, only when somebody imports it. What was written is
checked by rundlet afterwards, file by file.
"""

import importlib.util
import marshal
import os
import sys
import warnings

UNCHECKED_HASH = b"\1\0\0\0"  # PEP 552: hash-based, and not compared with the source
FORK_FROM = 200  # modules; below, a second process costs more than it brings


def modules(source):
    """Relative paths of all modules, in a fixed order."""
    found = []
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        inside = os.path.relpath(folder, source)
        names = sorted(name for name in files if name.endswith(".py"))
        found += [os.path.normpath(os.path.join(inside, name)) for name in names]
    return found


def compile_one(source, target, name):
    """Write one module's bytecode, unless it does not compile.

    It is what py_compile writes, which takes longer to import than a small package to compile.
    """
    with open(source, "rb") as file:
        text = file.read()
    try:
        code = compile(text, name, "exec", dont_inherit=True)
    except Exception:  # it may be anything at all
        return
    with open(target, "wb") as file:
        file.write(importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(text))
        file.write(marshal.dumps(code))


def compile_all(source, out, prefix, names):
    """Write the bytecode of some modules."""
    # Invalid escapes and the like in other people's code are not this program's news.
    warnings.simplefilter("ignore")
    made = set()
    for module in names:
        folder, name = os.path.split(module)
        cache = os.path.join(out, folder, "__pycache__")
        if cache not in made:
            os.makedirs(cache, exist_ok=True)
            made.add(cache)
        target = os.path.join(cache, f"{name[:-3]}.{sys.implementation.cache_tag}.pyc")
        compile_one(os.path.join(source, module), target, os.path.join(prefix, module))


def main(source, out, prefix):
    """Compile everything; returns the exit code."""
    names = modules(source)
    if len(names) < FORK_FROM or (os.cpu_count() or 1) < 2:
        compile_all(source, out, prefix, names)
        return 0
    child = os.fork()
    if child == 0:
        status = 1
        try:
            compile_all(source, out, prefix, names[1::2])
            status = 0
        finally:
            os._exit(status)
    compile_all(source, out, prefix, names[0::2])
    return 0 if os.waitpid(child, 0)[1] == 0 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
