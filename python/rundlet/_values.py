"""Checks the decorators' values, for the SDK at run time and for the static reader."""

from __future__ import annotations

import re

from rundlet._errors import DeclarationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Union

    Pip = Union[Mapping[str, str], Sequence[str], None]

MATERIALIZE = ("none", "replace", "append")
NETWORK = ("none", "packages", "host")
MAX_HOSTS = 256
MAX_RETRIES = 100
MAX_PIDS = 1 << 22  # the kernel's limit

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
# The last label must not begin with a digit: that would be an address.
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_HOST_PORT = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]){_LABEL}:[0-9]{{1,5}}\Z")
_VERSION = re.compile(r"3\.\d{1,2}\Z")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9._, -]*\])?")
_REQUIREMENT = re.compile(_DISTRIBUTION.pattern + r"\s*(?:[<>=!~;@(].*)?\Z")
_FILE = re.compile(r"-r \S.*\Z|\.{0,2}/\S.*\.whl\Z")
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*\Z")
_BYTES = {
    "": 1, "b": 1,
    "k": 1 << 10, "kib": 1 << 10, "kb": 10**3,
    "m": 1 << 20, "mib": 1 << 20, "mb": 10**6,
    "g": 1 << 30, "gib": 1 << 30, "gb": 10**9,
    "t": 1 << 40, "tib": 1 << 40, "tb": 10**12,
}  # fmt: skip
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def check_name(what: str, value: object) -> str:
    """Check the name of a model, parameter or table: an ASCII identifier.

    >>> check_name("name", "delays")
    'delays'
    """
    if not isinstance(value, str) or not _NAME.match(value):
        raise DeclarationError(
            f"`{what}` must be a name of letters, digits and underscores, not {value!r}"
        )
    return value


def check_choice(what: str, value: object, choices: tuple[str, ...]) -> str:
    """Check that a value is one of the choices.

    >>> check_choice("network", "host", NETWORK)
    'host'
    """
    if not isinstance(value, str) or value not in choices:
        raise DeclarationError(
            f"`{what}` must be one of {', '.join(map(repr, choices))}, not {value!r}"
        )
    return value


def network_text(level: object, allow: object) -> str:
    """Return a network level as one text.

    >>> network_text(None, ["idx.test:443"])
    'allow=idx.test:443'
    """
    if allow is None:
        return check_choice("network", level, NETWORK)
    if level is not None:
        raise DeclarationError("`network` takes a level or `allow`, not both")
    if not isinstance(allow, (list, tuple)) or not 0 < len(allow) <= MAX_HOSTS:
        raise DeclarationError(f"`allow` must be a list of 1 to {MAX_HOSTS} hosts, not {allow!r}")
    return "allow=" + ",".join(sorted({_host_port(item) for item in allow}))


def _host_port(value: object) -> str:
    if isinstance(value, str) and _HOST_PORT.match(value):
        host, port = value.lower().split(":")
        if len(host) <= 253 and 0 < int(port) < 1 << 16:
            return f"{host}:{int(port)}"
    raise DeclarationError(
        f"`allow` takes names with a port such as 'api.example.com:443', not {value!r}"
    )


def check_version(value: object) -> str:
    """Check a Python version: major and minor, as text (the number 3.10 would be 3.1).

    >>> check_version("3.11")
    '3.11'
    """
    if isinstance(value, str) and _VERSION.match(value):
        return value
    raise DeclarationError(f"a Python version must be text such as '3.11', not {value!r}")


def check_text(what: str, value: object) -> str:
    """Check a text of one line.

    >>> check_text("image", "python-3.11")
    'python-3.11'
    """
    if not isinstance(value, str) or not value or not value.isprintable():
        raise DeclarationError(f"`{what}` must be text of one line, not {value!r}")
    return value


def check_columns(value: object) -> list[str]:
    """Check the columns of an input, in the step's order.

    >>> check_columns(["a", "b"])
    ['a', 'b']
    """
    if not isinstance(value, (list, tuple)) or not value:
        raise DeclarationError(f"`columns` must be a list of column names, not {value!r}")
    for name in value:
        if not isinstance(name, str) or not name:
            raise DeclarationError(f"`columns` must hold column names, not {name!r}")
    if len(set(value)) != len(value):
        raise DeclarationError("`columns` names a column twice")
    return list(value)


def requirements(pip: object) -> list[str]:
    """Return the requirements in `pip`: PEP 508, `-r FILE`, or the path of a wheel.

    >>> requirements({"pandas": "2.2.3", "numpy": "<2"})
    ['pandas==2.2.3', 'numpy<2']
    >>> requirements(["polars>=1.0", "-r requirements.txt", "./dist/own-1.0-py3-none-any.whl"])
    ['polars>=1.0', '-r requirements.txt', './dist/own-1.0-py3-none-any.whl']
    """
    if isinstance(pip, dict):
        return [_pinned(name, version) for name, version in pip.items()]
    if isinstance(pip, (list, tuple)):
        for text in pip:
            known = isinstance(text, str) and text.isprintable()
            if not known or not (_REQUIREMENT.match(text) or _FILE.match(text)):
                raise DeclarationError(f"`pip` holds {text!r}, which is not a requirement")
        return list(pip)
    raise DeclarationError(f"`pip` must be a dict or a list of requirements, not {pip!r}")


def _pinned(name: object, version: object) -> str:
    if not isinstance(name, str) or not _DISTRIBUTION.fullmatch(name):
        raise DeclarationError(f"`pip` names {name!r}, which is not a package name")
    if not isinstance(version, str) or not version.isprintable() or not version.strip():
        raise DeclarationError(f"`pip` gives {name} the version {version!r}, which is not text")
    version = version.strip()
    if version == "*":
        return name
    if version[0] in "<>=!~":
        return name + version
    if not re.fullmatch(r"[A-Za-z0-9.!+_*-]+", version):
        raise DeclarationError(f"`pip` gives {name} the version {version!r}, which is not one")
    return f"{name}=={version}"


def memory_bytes(what: str, value: object) -> int:
    """Return bytes for a number or text; `M` and `MiB` are 1,048,576, `MB` is 1,000,000.

    >>> memory_bytes("memory", "512MiB"), memory_bytes("disk", 1024)
    (536870912, 1024)
    """
    amount = _amount(what, value, _BYTES, "'512MiB'")
    if not 1 <= amount < 2**63:
        raise DeclarationError(f"`{what}` must be at least one byte, not {value!r}")
    return int(amount)


def timeout_seconds(value: object) -> float:
    """Return seconds for a number, or text with a unit: `ms`, `s`, `m`, `h`, `d`.

    >>> timeout_seconds("5m"), timeout_seconds(2.5)
    (300.0, 2.5)
    """
    amount = _amount("timeout", value, _SECONDS, "'30s'")
    if not 0 < amount <= 366 * 86400:
        raise DeclarationError(f"`timeout` must be more than 0 and at most a year, not {value!r}")
    return float(amount)


def cpu_count(value: object) -> float:
    """Check a number of processors, which may be a fraction.

    >>> cpu_count(0.5)
    0.5
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 4096:
        raise DeclarationError(f"`cpus` must be a number more than 0, not {value!r}")
    return value


def process_count(value: object) -> int:
    """Check a number of processes and threads.

    >>> process_count(100)
    100
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_PIDS:
        raise DeclarationError(f"`pids` must be a whole number, 1 to {MAX_PIDS}, not {value!r}")
    return value


def retry_count(value: object) -> int:
    """Check how often a failed step is tried again.

    >>> retry_count(2)
    2
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_RETRIES:
        raise DeclarationError(
            f"`retries` must be a whole number, 0 to {MAX_RETRIES}, not {value!r}"
        )
    return value


def check_env(variables: dict[str, object]) -> dict[str, str]:
    """Check environment variables: shell names, text values.

    >>> check_env({"TZ": "UTC"})
    {'TZ': 'UTC'}
    """
    checked: dict[str, str] = {}
    for name, value in variables.items():
        if not isinstance(name, str) or not _NAME.match(name):
            raise DeclarationError(f"{name!r} is not a name for an environment variable")
        if not isinstance(value, str) or "\0" in value:
            raise DeclarationError(f"the environment variable `{name}` must be text, not {value!r}")
        checked[name] = value
    return checked


def _amount(what: str, value: object, units: Mapping[str, float], example: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    match = _AMOUNT.match(value) if isinstance(value, str) else None
    unit = units.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise DeclarationError(
            f"`{what}` must be a number or text such as {example}, not {value!r}"
        )
    return float(match.group(1)) * unit
