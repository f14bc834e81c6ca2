"""With the real package index: what only it can show. Not in the default run."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.rundlet import Rundlet

pytestmark = pytest.mark.index


def test_a_real_package_from_the_real_index(rundlet: Rundlet, image_311: Path) -> None:
    rundlet.environment.pop("RUNDLET_INDEX", None)
    rundlet.ok("image", "import", "python-3.11", image_311)
    done = rundlet("exec", "--with", "six==1.17.0", "--", "python", "-c", "import six; print(six.__version__)")
    assert done.check().out == "1.17.0\n"


def test_a_name_that_the_real_index_does_not_have(rundlet: Rundlet, image_311: Path) -> None:
    rundlet.environment.pop("RUNDLET_INDEX", None)
    rundlet.ok("image", "import", "python-3.11", image_311)
    done = rundlet("-q", "exec", "--with", "rundlet-has-no-such-distribution", "--", "true").check(125)
    assert done.err == (
        "error: resolving the packages of this command for Python 3.11.2\n"
        "caused by: resolving the requirements\n"
        "caused by: `rundlet-has-no-such-distribution` was not found in the package index\n"
        "hint: check the spelling of its name\n"
    )
