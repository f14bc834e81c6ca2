"""pip and uv as commands inside a sandbox."""

from __future__ import annotations

import shlex
import zipfile
from pathlib import Path

from support import wheelcache

PIP_WHEELS = Path("/usr/share/python-wheels")
TARGET = "/tmp/installed"


def pip(*arguments: str) -> tuple[tuple[str, ...], str]:
    """Options of `exec`, and a line for a shell that installs into TARGET."""
    wheels = sorted(PIP_WHEELS.glob("pip-*.whl"))
    assert wheels, "the package python3-pip-whl is not there"
    command = ("python3", "/pip.whl/pip", "install", "-q", "--no-cache-dir", "--disable-pip-version-check")
    return ("--mount", f"{wheels[-1]}:/pip.whl"), shlex.join([*command, "--target", TARGET, *arguments])


def uv(folder: Path, *arguments: str) -> tuple[tuple[str, ...], str]:
    """The same; `folder` is where the program is put."""
    folder.chmod(0o755)
    (wheel,) = wheelcache.default_folder().glob("uv-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/uv")]
        (folder / "uv").write_bytes(archive.read(name))
    (folder / "uv").chmod(0o755)
    command = ("uv", "pip", "install", "-q", "--no-cache", "--no-config", "--python", "/usr/bin/python3")
    return ("--mount", f"{folder / 'uv'}:/usr/local/bin/uv"), shlex.join([*command, "--target", TARGET, *arguments])
