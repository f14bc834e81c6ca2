"""The SDK's errors: one base class, two subclasses."""

from __future__ import annotations


class RundletError(Exception):
    """Base class of every error that rundlet raises on purpose.

    >>> issubclass(DeclarationError, RundletError) and issubclass(TableError, RundletError)
    True
    """


class DeclarationError(RundletError, ValueError):
    """A decorator, `Model` or `Parameter` got an invalid argument.

    >>> import rundlet
    >>> rundlet.network("x")
    Traceback (most recent call last):
    ...
    rundlet._errors.DeclarationError: `network` must be one of 'none', 'packages', 'host', not 'x'
    """


class TableError(RundletError, TypeError):
    """A value is not a table, or a table lacks a column.

    >>> import rundlet
    >>> rundlet.expect.not_null([1, 2], "n")
    Traceback (most recent call last):
    ...
    rundlet._errors.TableError: a list is not a table
    """
