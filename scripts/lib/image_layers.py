#!/usr/bin/env python3
"""Turns a root file system, at several moments of its making, into the layers of an OCI image.

scripts/python-image calls it: `base` and `python` run as mmdebstrap hooks, while mmdebstrap still
uses the tree; `finish` writes the image layout; `finished` tells whether a layout holds an image.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

from python_image.layout import finish, finished
from python_image.official_shape import move_to_usr_local
from python_image.sample import SAMPLE, change_sample, make_sample
from python_image.snapshot import newest_package, snapshot
from python_image.tree import chroot, put, remove


def base(args: argparse.Namespace) -> None:
    snapshot(args.work, args.root, "base system", newest_package(args.root))


def python_layers(args: argparse.Namespace) -> None:
    root, epoch = args.root, newest_package(args.root)
    packages = chroot(root, "dpkg-query", "-W", "-f", "${binary:Package} ${Version}\n").split("\n")
    if args.shape == "official":
        move_to_usr_local(root, args.python)
    elif not (root / "usr/bin/python").exists():
        (root / "usr/bin/python").symlink_to("python3")
    make_sample(root)
    snapshot(args.work, root, f"Python {args.python}", epoch)

    for path in ("usr/share/doc", "etc/init.d", "etc/cron.d", "etc/cron.daily", "var/cache/debconf"):
        remove(root / path)
    for path in (".bash_logout", ".bashrc", ".profile"):
        remove(root / "etc/skel" / path)
    put(root / "etc/skel/.profile", 'PS1="\\w \\$ "\n')
    remove(root / "etc/localtime")
    (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    remove(root / "etc/mtab")
    (root / "etc/mtab").symlink_to("/proc/self/mounts")
    change_sample(root)
    snapshot(args.work, root, "files deleted and replaced", epoch, ("etc/skel", f"{SAMPLE}/opaque"))

    # Checks that the interpreter is complete; its last line of output is its version.
    check = (
        "import bz2, ctypes, curses, dbm, hashlib, lzma, readline, sqlite3, ssl, uuid, venv, zlib\n"
        "import site, sys, sysconfig, zoneinfo\n"
    )
    if args.python == "3.11":
        check += "import distutils.core, lib2to3\n"
    check += (
        "zoneinfo.ZoneInfo('Europe/Vienna')\n"
        f"prefix = {'/usr/local' if args.shape == 'official' else '/usr'!r}\n"
        "assert sys.prefix == sys.exec_prefix == prefix, sys.prefix\n"
        "assert sysconfig.get_path('stdlib').startswith(prefix + '/lib/python')\n"
        "assert ssl.create_default_context().cert_store_stats()['x509_ca'] > 50\n"
    )
    if args.shape == "official":
        check += (
            "wanted = f'/usr/local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages'\n"
            "assert site.getsitepackages() == [wanted] and wanted in sys.path, site.getsitepackages()\n"
            "assert sysconfig.get_path('purelib') == wanted, sysconfig.get_path('purelib')\n"
            "assert sysconfig.get_config_var('INCLUDEPY').startswith(prefix)\n"
            "import pip\n"
        )
    check += "print(sys.version.split()[0])\n"
    version = chroot(root, "python3", "-B", "-c", check).split()[-1]
    record = {"packages": sorted(filter(None, packages)), "python": version, "shape": args.shape}
    (args.work / "image.json").write_text(json.dumps({**record, "epoch": epoch}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, function: Callable[[argparse.Namespace], None], *options: str) -> None:
        sub = commands.add_parser(name)
        sub.set_defaults(function=function)
        for option in options:
            kind = Path if option in {"work", "root", "layout"} else str
            sub.add_argument(f"--{option}", type=kind, required=True)

    command("base", base, "work", "root")
    command("python", python_layers, "work", "root", "python", "shape")
    command("finish", finish, "work", "key", "name", "python", "suite", "shape", "zstd")
    command("finished", finished, "layout", "key")
    args = parser.parse_args()
    os.umask(0o022)
    args.function(args)


if __name__ == "__main__":
    main()
