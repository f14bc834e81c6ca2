#!/usr/bin/env python3
"""Turns a root file system, at several moments of its making, into the layers of an OCI image.

Called by scripts/python-image: `base` and `python` run as mmdebstrap hooks, with the tree still in
use by it; `finish` writes the image layout; `finished` tells whether a layout holds a given image.

The same tree gives the same bytes: entries are sorted, owners numeric, and modification times are
limited to that of the newest Debian package in the tree (so that a .pyc still matches its .py).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Optional

KEY_ANNOTATION = "io.rundlet.python-image.key"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"

# What never goes into a layer: the directory stays, its content does not.
EMPTY_DIRS = re.compile(r"(proc|sys|dev|run|tmp|var/tmp|var/log|var/cache/apt|var/lib/apt|var/cache/ldconfig)/")
# Facts of the host that makes the image, and leavings of the package tools.
DROPPED = re.compile(
    r"etc/(resolv\.conf|hostname|machine-id|apt(/.*)?|dpkg/dpkg\.cfg\.d/99mmdebstrap)"
    r"|var/lib/dpkg/(lock|lock-frontend|triggers/Lock|.*-old)|var/cache/debconf/.*-old"
    r"|(etc|var/lib)/.*\.dpkg-(new|old|tmp)"
)

# A sample of every change a layer can make to the ones below it, for tests to look at.
SAMPLE = "srv/layers"
SAMPLE_RESULT = {
    "added": "file:new",
    "changed": "file:new",
    "dir-to-file": "file:new",
    "dir-to-link": "link:kept-dir",
    "file-to-dir": "dir",
    "file-to-dir/inner": "file:new",
    "file-to-link": "link:kept",
    "kept": "file:old",
    "kept-dir": "dir",
    "kept-dir/kept": "file:old",
    "link-to-file": "file:new",
    "opaque": "dir",
    "opaque/new": "file:new",
    "opaque/sub": "dir",
    "opaque/sub/new": "file:new",
    "pair-a": "file:old",
    "pair-b": "file:old",
}

SITECUSTOMIZE = """import sys

if sys.prefix == sys.base_prefix:
    import site

    _PACKAGES = "%s/lib/python%d.%d/site-packages" % (sys.prefix, *sys.version_info[:2])

    def _getsitepackages(prefixes=None):
        return [_PACKAGES]

    site.getsitepackages = _getsitepackages
    site.addsitedir(_PACKAGES)
"""


class HashingWriter:
    """Passes bytes on and keeps their sha256 and number."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.sink, self.sha, self.size = sink, hashlib.sha256(), 0

    def tell(self) -> int:
        return self.size

    def write(self, data: bytes) -> int:
        self.sha.update(data)
        self.size += len(data)
        self.sink.write(data)
        return len(data)


def blob(work: Path, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (work / "layout/blobs/sha256").mkdir(parents=True, exist_ok=True)
    (work / "layout/blobs/sha256" / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def write_layer(work: Path, what: str, fill: Callable[[tarfile.TarFile], None], compressor: str = "gzip") -> None:
    """Writes one layer and notes it in the work directory's list of layers."""
    blobs = work / "layout/blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    partial = work / "layer.partial"
    command = {"gzip": ["gzip", "-n", "-1"], "zstd": ["zstd", "-q", "-3", "-c"]}[compressor]
    with open(partial, "wb") as out:
        packer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out)
        assert packer.stdin is not None
        plain: Any = HashingWriter(packer.stdin)
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
            fill(tar)
        packer.stdin.close()
        if packer.wait() != 0:
            raise SystemExit(f"error: {command[0]} failed")
    with open(partial, "rb") as packed:
        digest = hashlib.sha256()
        while chunk := packed.read(1 << 20):
            digest.update(chunk)
    size = partial.stat().st_size
    partial.rename(blobs / digest.hexdigest())
    notes = work / "layers.json"
    layers = json.loads(notes.read_text()) if notes.exists() else []
    layers.append(
        {
            "what": what,
            "diff_id": f"sha256:{plain.sha.hexdigest()}",
            "descriptor": {
                "mediaType": f"{LAYER_TYPE}+{compressor}",
                "digest": f"sha256:{digest.hexdigest()}",
                "size": size,
            },
        }
    )
    notes.write_text(json.dumps(layers))


def scan(root: Path) -> dict[str, os.stat_result]:
    """Every entry of the tree that belongs into an image, by its path relative to the root."""
    found: dict[str, os.stat_result] = {}

    def walk(directory: str) -> None:
        with os.scandir(root / directory) as entries:
            for entry in entries:
                path = f"{directory}{entry.name}"
                if EMPTY_DIRS.match(path) or DROPPED.fullmatch(path):
                    continue
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISSOCK(status.st_mode):
                    continue
                found[path] = status
                if entry.is_dir(follow_symlinks=False):
                    walk(path + "/")

    walk("")
    return found


def newest_package(root: Path) -> int:
    """The modification time of the newest package: a fact of the packages, not of this run."""
    return int(max(p.stat().st_mtime for p in root.glob("usr/share/doc/*/copyright")))


def identity(status: os.stat_result) -> list[int]:
    """Equal as long as nobody touched the entry (the ctime cannot be set)."""
    return [status.st_ino, status.st_ctime_ns, status.st_mode, status.st_uid, status.st_gid]


def content_digest(path: Path, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    if stat.S_ISREG(status.st_mode):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def snapshot(work: Path, root: Path, what: str, epoch: int, opaque: tuple[str, ...] = ()) -> None:
    """Makes a layer of what changed in the tree since the last snapshot.

    A directory named in `opaque` was replaced: it hides all that lower layers have in it.
    """
    state_file = work / "state.json"
    before: dict[str, Any] = json.loads(state_file.read_text()) if state_file.exists() else {}
    after: dict[str, Any] = {}
    current = scan(root)
    entries: dict[str, Optional[os.stat_result]] = {}  # None: a marker that hides something
    inside = tuple(f"{path}/" for path in opaque)

    for path, status in current.items():
        old = before.get(path)
        if old is not None and old["identity"] == identity(status):
            digest = old["digest"]
        else:
            digest = content_digest(root / path, status)
        facts = [stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid]
        if stat.S_ISREG(status.st_mode):
            facts += [status.st_size, min(int(status.st_mtime), epoch)]
        after[path] = {"identity": identity(status), "digest": digest, "facts": facts}
        changed = old is None or old["facts"] != facts or old["digest"] != digest
        if changed or path in opaque or path.startswith(inside):
            entries[path] = status
    for path in opaque:
        entries[f"{path}/.wh..wh..opq"] = None
    for path in before:
        parent, _, base = path.rpartition("/")
        hidden_with_parent = parent and (parent not in current or not stat.S_ISDIR(current[parent].st_mode))
        if path not in current and not hidden_with_parent and not path.startswith(inside):
            entries[f"{parent}/.wh.{base}".lstrip("/")] = None
    for path in list(entries):  # a layer says what its directories are
        while path := path.rpartition("/")[0]:
            entries.setdefault(path, current[path])

    def fill(tar: tarfile.TarFile) -> None:
        links: dict[int, str] = {}
        for path in sorted(entries, key=lambda p: p.split("/")):
            status = entries[path]
            info = tarfile.TarInfo(path)
            if status is None:
                info.mode, info.mtime = 0o644, epoch
                tar.addfile(info)
                continue
            info.mode = stat.S_IMODE(status.st_mode)
            info.uid, info.gid = status.st_uid, status.st_gid
            # Directories and links: their times change when their neighbours do.
            info.mtime = epoch
            if stat.S_ISDIR(status.st_mode):
                info.type = tarfile.DIRTYPE
            elif stat.S_ISLNK(status.st_mode):
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(root / path)
            elif stat.S_ISREG(status.st_mode):
                info.mtime = min(int(status.st_mtime), epoch)
                if status.st_ino in links:
                    info.type, info.linkname = tarfile.LNKTYPE, links[status.st_ino]
                else:
                    if status.st_nlink > 1:
                        links[status.st_ino] = path
                    info.size = status.st_size
                    with open(root / path, "rb") as source:
                        tar.addfile(info, source)
                    continue
            else:
                raise SystemExit(f"error: `{path}` is neither a file, a directory nor a link")
            tar.addfile(info)

    write_layer(work, what, fill)
    state_file.write_text(json.dumps(after))


def remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def base(args: argparse.Namespace) -> None:
    snapshot(args.work, args.root, "base system", newest_package(args.root))


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replaces each pattern, which must be there, and keeps the file's times."""
    status, text = path.stat(), path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text, flags=re.DOTALL)
        if count == 0:
            raise SystemExit(f"error: `{path}` has nothing that matches `{pattern}`")
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def chroot(root: Path, *command: str, stderr: int | None = None) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin", "PYTHONHASHSEED": "0", "LC_ALL": "C"}
    done = subprocess.run(
        ["chroot", str(root), *command], env=environment, check=True, stdout=subprocess.PIPE, stderr=stderr
    )
    return bytes(done.stdout).decode()


def unpack_wheel(wheel: Path, site: Path, epoch: int) -> None:
    """As much of an install as pip and setuptools need: their files, without console scripts."""
    shutil.unpack_archive(str(wheel), site, "zip")
    wheel.unlink()
    for path in sorted(site.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (epoch, epoch))  # the compiled files repeat their sources' times


def move_to_usr_local(root: Path, python: str) -> None:
    """Gives Debian's interpreter the prefix, layout and pip of the images that are in common use."""
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
    # The packages' maintainer scripts would run the interpreter that has just gone.
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

    # Debian's changes to where packages are looked for and installed, undone. Its `site` is frozen
    # into the interpreter, hence sitecustomize; a virtual environment needs and gets nothing of it.
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
    # One process, in order: a .pyc's bytes depend on what the interpreter has interned before.
    chroot(root, f"/usr/local/bin/{name}", "-m", "compileall", "-q", f"/usr/local/lib/{name}")


def make_sample(root: Path) -> None:
    sample = root / SAMPLE
    for path in ("kept", "changed", "gone", "gone-dir/inner", "gone-dir/sub/inner", "kept-dir/kept"):
        put(sample / path, "old")
    for path in ("kept-dir/gone", "opaque/old", "opaque/sub/old", "file-to-link", "file-to-dir"):
        put(sample / path, "old")
    for path in ("dir-to-file/inner", "dir-to-link/inner", "pair-a"):
        put(sample / path, "old")
    os.link(sample / "pair-a", sample / "pair-b")
    (sample / "link-to-file").symlink_to("kept")
    put(sample / "EXPECTED.json", json.dumps(SAMPLE_RESULT, indent=1, sort_keys=True) + "\n")


def change_sample(root: Path) -> None:
    sample = root / SAMPLE
    for path in ("gone", "gone-dir", "kept-dir/gone", "opaque", "file-to-link", "file-to-dir"):
        remove(sample / path)
    for path in ("dir-to-file", "dir-to-link", "link-to-file"):
        remove(sample / path)
    for path in ("added", "changed", "opaque/new", "opaque/sub/new", "file-to-dir/inner"):
        put(sample / path, "new")
    for path in ("dir-to-file", "link-to-file"):
        put(sample / path, "new")
    (sample / "file-to-link").symlink_to("kept")
    (sample / "dir-to-link").symlink_to("kept-dir")


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

    # Proves that the interpreter is whole before anything is shipped; its last line is its version.
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


def finish(args: argparse.Namespace) -> None:
    work: Path = args.work
    record = json.loads((work / "image.json").read_text())
    epoch = record.pop("epoch")
    record["suite"] = args.suite

    def fill(tar: tarfile.TarFile) -> None:
        data = (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()
        for path in ("usr", "usr/share", "usr/share/python-image"):
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, epoch
            tar.addfile(info)
        info = tarfile.TarInfo("usr/share/python-image/image.json")
        info.size, info.mode, info.mtime = len(data), 0o644, epoch
        tar.addfile(info, io.BytesIO(data))

    write_layer(work, "record of the image", fill, "zstd" if args.zstd == "true" else "gzip")

    layers = json.loads((work / "layers.json").read_text())
    machine = os.uname().machine
    created = (
        subprocess.run(["date", "-u", "-d", f"@{epoch}", "+%Y-%m-%dT%H:%M:%SZ"], check=True, stdout=subprocess.PIPE)
        .stdout.decode()
        .strip()
    )
    labels = {
        "org.opencontainers.image.title": f"Python {record['python']} on Debian {args.suite}",
        "org.opencontainers.image.version": record["python"],
        "io.rundlet.python-image.shape": args.shape,
        "io.rundlet.python-image.suite": args.suite,
    }
    platform = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine), "os": "linux"}
    config = {
        "created": created,
        **platform,
        "config": {
            "Env": [
                "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
                f"PYTHON_VERSION={record['python']}",
            ],
            "Cmd": ["python3"],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
        "history": [{"created": created, "created_by": f"python-image: {layer['what']}"} for layer in layers],
    }

    def encoded(document: Any) -> bytes:
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, **blob(work, encoded(config))},
        "layers": [layer["descriptor"] for layer in layers],
    }
    descriptor = {"mediaType": MANIFEST_TYPE, **blob(work, encoded(manifest)), "platform": platform}
    descriptor["annotations"] = {
        "org.opencontainers.image.ref.name": args.name,
        KEY_ANNOTATION: args.key,
    }
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    layout = work / "layout"
    (layout / "index.json").write_bytes(encoded({**index, "manifests": [descriptor]}))
    (layout / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))
    for path in layout.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    layout.chmod(0o755)


def finished(args: argparse.Namespace) -> None:
    try:
        index = json.loads((args.layout / "index.json").read_text())
        found = any(m.get("annotations", {}).get(KEY_ANNOTATION) == args.key for m in index["manifests"])
    except (OSError, ValueError, KeyError):
        found = False
    sys.exit(0 if found else 1)


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
