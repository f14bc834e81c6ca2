"""The decorators, and the defaults that declare inputs and parameters."""

from __future__ import annotations

from rundlet import _values
from rundlet._errors import DeclarationError

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` costs a step's start more than the rest of this package
    from collections.abc import Sequence
    from typing import Any, Callable, Literal, NoReturn, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])
    Materialize = Literal["none", "replace", "append"]
    Network = Literal["none", "packages", "host"]


def _unchanged(function: Function) -> Function:
    return function


def model(
    *, materialize: Materialize = "none", name: str | None = None
) -> Callable[[Function], Function]:
    """Make a function a model: it returns the table of that name.

    `materialize` decides what happens to the result after the run: `"none"` drops it, `"replace"`
    makes it the table's new content, `"append"` adds its rows to the table. `name` is the model's
    name, if it differs from the function's.

    >>> @model(materialize="replace")
    ... def two():
    ...     return 2
    >>> two()
    2
    """
    _values.check_choice("materialize", materialize, _values.MATERIALIZE)
    if name is not None:
        _values.check_name("name", name)
    return _unchanged


def expectation(*, name: str | None = None) -> Callable[[Function], Function]:
    """Make a function an expectation: it returns whether something holds about its inputs.

    It returns a bool or a result of `rundlet.expect`. With a failed `assert` it does not hold.

    >>> @expectation()
    ... def not_empty(delays=Model("delays")):
    ...     return len(delays) > 0
    >>> not_empty(["a row"])
    True
    """
    if name is not None:
        _values.check_name("name", name)
    return _unchanged


def python(
    version: str | None = None, *, pip: _values.Pip = None, image: str | None = None
) -> Callable[[Function], Function]:
    """Give a step its Python version and packages.

    `pip` is a dict of names and versions (`{"pandas": "2.2.3"}`, `{"numpy": "<2"}`) or a list of
    requirements (`["polars>=1.0"]`). `image` names an image of `rundlet.toml`, if it should not
    be the version's default image.

    >>> @python("3.13", pip=["polars>=1.0"])
    ... def step():
    ...     pass
    """
    if version is not None:
        _values.check_version(version)
    if pip is not None:
        _values.requirements(pip)
    if image is not None:
        _values.check_text("image", image)
    return _unchanged


def resources(
    *,
    cpus: float | None = None,
    memory: int | str | None = None,
    pids: int | None = None,
    disk: int | str | None = None,
    timeout: float | str | None = None,
    retries: int = 0,
) -> Callable[[Function], Function]:
    """Set the limits of a step, and how often it is tried again.

    `cpus` limits processors, `memory` all its processes and tables (bytes or `"512MiB"`), `pids`
    processes and threads, `disk` writes to `/tmp` and elsewhere, `timeout` the time of each try
    (seconds or `"5m"`). `retries` is the number of tries after a failure.

    >>> @resources(cpus=2, memory="2GiB", timeout="10m", retries=1)
    ... def step():
    ...     pass
    """
    if cpus is not None:
        _values.cpu_count(cpus)
    if memory is not None:
        _values.memory_bytes("memory", memory)
    if pids is not None:
        _values.process_count(pids)
    if disk is not None:
        _values.memory_bytes("disk", disk)
    if timeout is not None:
        _values.timeout_seconds(timeout)
    _values.retry_count(retries)
    return _unchanged


def env(**variables: str) -> Callable[[Function], Function]:
    """Set environment variables for a step.

    >>> @env(TZ="America/New_York")
    ... def step():
    ...     pass
    """
    _values.check_env(dict(variables))
    return _unchanged


def network(
    level: Network | None = None, *, allow: Sequence[str] | None = None
) -> Callable[[Function], Function]:
    """Set the network level of a step.

    `"none"` is the default, `"packages"` reaches the package index through a read-only mirror, and
    `"host"` reaches everything the host can. `allow` lists the only hosts to reach, by https, with
    their ports. A step that may reach a host may also send data to it.

    >>> @network(allow=["api.example.com:443"])
    ... def step():
    ...     pass
    """
    _values.network_text(level, allow)
    return _unchanged


class _Reference:
    """A placeholder in a step's signature for a value that rundlet passes."""

    __slots__ = ("columns", "filter", "name")

    def __init__(self, name: str, columns: list[str] | None, filter: str | None) -> None:
        self.name = name
        self.columns = columns
        self.filter = filter

    def __repr__(self) -> str:
        return f"<the rundlet input {self.name!r}, which a run passes as a table>"

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(
            f"no table was passed for the rundlet input {self.name!r}: "
            "call the function with one, or run the pipeline"
        )


class _ParameterReference(_Reference):
    __slots__ = ()

    def __repr__(self) -> str:
        return f"<the rundlet parameter {self.name!r}, which a run passes as a value>"


# `Model` and `Parameter` are functions, not classes: a type checker then accepts them as defaults
# of arguments annotated with the type that a run passes.


def Model(  # noqa: N802
    name: str,
    *,
    columns: Sequence[str] | None = None,
    filter: str | None = None,
) -> Any:
    """Declare an input table, as the default of a step's argument.

    `columns` and `filter` limit what the step reads. A filter is a condition in SQL:
    comparisons of a column with a literal, `IN`, `BETWEEN`, `IS NULL`, `AND`, `OR`, `NOT`.

    >>> Model("flights", columns=["carrier"], filter="dep_delay > 15")
    <the rundlet input 'flights', which a run passes as a table>
    """
    _values.check_name("name", name)
    if filter is not None and (not isinstance(filter, str) or not filter.strip()):
        raise DeclarationError(f"`filter` must be a condition such as 'delay > 15', not {filter!r}")
    return _Reference(name, None if columns is None else _values.check_columns(columns), filter)


def Parameter(name: str) -> Any:  # noqa: N802
    """Declare a pipeline parameter (`[parameters.NAME]`), as an argument's default.

    >>> Parameter("year")
    <the rundlet parameter 'year', which a run passes as a value>
    """
    return _ParameterReference(_values.check_name("name", name), None, None)
