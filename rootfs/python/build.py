"""Builds the wheel of a source archive (PEP 517): the sandbox is what keeps its code in.

    python build.py describe|requires|build ARCHIVE BACKEND

`describe` runs nothing of the archive and says what its pyproject.toml holds. BACKEND is JSON:
{"backend": "module:object", "path": [folders of the archive]}. The answer is a line of JSON on standard output; a wheel
follows as lines of base64. What the hooks print goes to standard error.
"""

import base64
import importlib
import json
import os
import sys
import tarfile
import zipfile

SOURCE = "/tmp/source"
WHEELS = "/tmp/wheels"
PIECE = 30000  # bytes of a wheel in a line


def unpack(archive):
    if archive.endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            file.extractall(SOURCE)
    else:
        with tarfile.open(archive) as file:
            file.extractall(SOURCE)
    names = os.listdir(SOURCE)
    if len(names) != 1:
        sys.exit("the archive does not hold one directory")
    os.chdir(os.path.join(SOURCE, names[0]))


def describe():
    try:
        with open("pyproject.toml", encoding="utf-8") as file:
            return {"pyproject": file.read()}
    except FileNotFoundError:
        return {"pyproject": ""}


def backend(wanted):
    sys.path[:0] = [os.path.abspath(path) for path in wanted["path"]]
    module, _, path = wanted["backend"].partition(":")
    found = importlib.import_module(module)
    for name in filter(None, path.split(".")):
        found = getattr(found, name)
    return found


def main():
    mode, archive, wanted = sys.argv[1:]
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    unpack(archive)
    if mode == "describe":
        print(json.dumps(describe()), file=answer)
        return
    hooks = backend(json.loads(wanted))
    if mode == "requires":
        extra = getattr(hooks, "get_requires_for_build_wheel", lambda: [])()
        print(json.dumps({"requires": list(extra)}), file=answer)
        return
    os.mkdir(WHEELS)
    name = hooks.build_wheel(WHEELS)
    print(json.dumps({"wheel": os.path.basename(name)}), file=answer)
    with open(os.path.join(WHEELS, name), "rb") as file:
        while piece := file.read(PIECE):
            print(base64.b64encode(piece).decode(), file=answer)
    answer.flush()


main()
