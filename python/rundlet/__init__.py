"""The rundlet SDK: declare what a step needs, in decorators on the step's function.

A pipeline is a folder of ordinary Python and SQL files. The decorators return the function
unchanged, so the same file works in a notebook, a REPL and pytest:

>>> import rundlet
>>> @rundlet.model(materialize="replace")
... @rundlet.python("3.11", pip={"pandas": "2.2.3"})
... def doubled(numbers=rundlet.Model("numbers", columns=["n"], filter="n > 1")):
...     return [2 * n for n in numbers]
>>> doubled([2, 3])
[4, 6]

rundlet reads the decorators without importing the file, so their arguments must be literals.
Importing this package imports only the standard library.
"""

from rundlet import expect
from rundlet._declare import (
    Model,
    Parameter,
    env,
    expectation,
    model,
    network,
    python,
    resources,
)
from rundlet._errors import DeclarationError, RundletError, TableError

__version__ = "0.1.0"

__all__ = [
    "DeclarationError",
    "Model",
    "Parameter",
    "RundletError",
    "TableError",
    "env",
    "expect",
    "expectation",
    "model",
    "network",
    "python",
    "resources",
]
