"""`python -m rundlet_runner`: request on standard input, answer in /rundlet/out/result.json."""

import os
import sys

if __name__ == "__main__":
    # The project may hold a `json.py`: it is put back on the path just before the step's module
    # is imported, when everything that the runner itself needs is there.
    _here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    _project = os.path.realpath(os.environ.get("RUNDLET_PROJECT", "/work"))
    _unsafe = {_project, os.path.realpath(os.getcwd())} - {_here}
    sys.path[:] = [_here] + [
        entry
        for entry in sys.path
        if entry and entry != _here and os.path.realpath(entry) not in _unsafe
    ]

    from rundlet_runner.program import main

    main(_project)
