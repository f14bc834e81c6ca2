"""Gives Debian's interpreter the shape of the official Python images."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from python_image.snapshot import newest_package
from python_image.tree import chroot, edit, put, remove

SITECUSTOMIZE = """import sys

if sys.prefix == sys.base_prefix:
    import site

    _PACKAGES = "%s/lib/python%d.%d/site-packages" % (sys.prefix, *sys.version_info[:2])

    def _getsitepackages(prefixes=None):
        return [_PACKAGES]

    site.getsitepackages = _getsitepackages
    site.addsitedir(_PACKAGES)
"""


def unpack_wheel(wheel: Path, site: Path, epoch: int) -> None:
    """Installs pip or setuptools as far as needed: its files, without console scripts."""
    shutil.unpack_archive(str(wheel), site, "zip")
    wheel.unlink()
    for path in sorted(site.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (epoch, epoch))  # the compiled files repeat their sources' times


def move_to_usr_local(root: Path, python: str) -> None:
    """Gives Debian's interpreter the prefix, layout and pip of the official images."""
    name = f"python{python}"
    library = root / "usr/local/lib" / name
    packages = ["python3", "python3-minimal", "libpython3-stdlib", "python3-distutils", "python3-lib2to3"]
    packages += [f"{name}", f"{name}-minimal", f"lib{name}-stdlib", f"lib{name}-minimal"]
    packages += ["python3-pip-whl", "python3-setuptools-whl", "media-types"]
    wheels = {path.name.split("-")[0]: path for path in root.glob("usr/share/python-wheels/*.whl")}

    (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    if library.exists():
        remove(library)  # with nothing but Debian's empty dist-packages
    shutil.move(root / "usr/lib" / name, library)
    shutil.move(root / "usr/bin" / name, root / "usr/local/bin" / name)
    site = library / "site-packages"
    site.mkdir()
    for tool in ("pip", "setuptools"):
        if tool in wheels:
            unpack_wheel(wheels[tool], site, newest_package(root))
    for path in list(library.rglob("__pycache__")):
        remove(path)
    # The packages' maintainer scripts would run the interpreter that was just removed.
    installed = chroot(root, "dpkg-query", "-W", "-f", "${Package}\n").split()
    gone = [package for package in packages if package in installed]
    for package in gone:
        for script in (root / "var/lib/dpkg/info").glob(f"{package}[.:]*"):
            if script.suffix in {".prerm", ".postrm", ".triggers"}:
                script.unlink()
    chroot(root, "dpkg", "--purge", "--force-depends", *gone, stderr=subprocess.DEVNULL)
    for left in ("etc/python3", f"etc/{name}", "usr/lib/python3", "usr/share/python3", f"usr/lib/{name}"):
        remove(root / left)
    for left in ("EXTERNALLY-MANAGED", "sitecustomize.py", "_distutils_system_mod.py"):
        remove(library / left)

    # Undoes Debian's changes to the places where packages are searched and installed. Its `site` is
    # frozen into the interpreter, hence sitecustomize. A virtual environment needs none of it.
    put(library / "sitecustomize.py", SITECUSTOMIZE)
    os.utime(library / "sitecustomize.py", (newest_package(root), newest_package(root)))
    sysconfig = library / "sysconfig/__init__.py"
    edit(
        sysconfig if sysconfig.exists() else library / "sysconfig.py",
        ("prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"),
    )
    for data in library.glob("_sysconfigdata__linux_*.py"):
        edit(data, (r"(': ?'|': ?\n +')/usr(?=/lib/python|/bin'|/lib'|/include|')", r"\1/usr/local"))

    bin_dir = root / "usr/local/bin"
    (bin_dir / "python3").symlink_to(name)
    (bin_dir / "python").symlink_to("python3")
    if (site / "pip").is_dir():
        launcher = (
            f"#!/usr/local/bin/{name}\nimport sys\nfrom pip._internal.cli.main import main\n"
            "if __name__ == '__main__':\n    sys.exit(main())\n"
        )
        for command in ("pip", "pip3", f"pip{python}"):
            put(bin_dir / command, launcher, 0o755)
    # One process, in order: the bytes of a .pyc depend on what the interpreter has interned before.
    chroot(root, f"/usr/local/bin/{name}", "-m", "compileall", "-q", f"/usr/local/lib/{name}")
