"""`python -m rundlet_reader`: a request on standard input, a document on standard output."""

import os
import sys

if __name__ == "__main__":
    # Neither the project nor the working directory may provide what the reader imports.
    _here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    _project = os.path.realpath(os.environ.get("RUNDLET_PROJECT", "/work"))
    _unsafe = {_project, os.path.realpath(os.getcwd())} - {_here}
    sys.path[:] = [_here] + [
        entry for entry in sys.path if entry and os.path.realpath(entry) not in _unsafe
    ]

    from rundlet_reader.program import main

    sys.exit(main())
