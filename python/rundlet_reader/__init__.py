"""The static reader: what a project declares, found without importing it.

Reads Python with `ast` and SQL with sqlglot; see docs/reference/step-protocol.md. Everything it is
given is hostile until shown otherwise: whatever goes wrong with a file is an error about that file.
"""
