"""Small wheels, correct or wrong in one chosen way, with the same bytes on every run.

    wheel = Wheel("demo", "1.0", files={"demo/__init__.py": "x = 1\\n"})
    path = wheel.write(folder)

The faults are arguments of `Wheel`: what RECORD says (`record_omit`, `record_hashes`, `record_extra`),
and entries that go into the archive as they are, in order and under any name (`raw`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

Content = Union[str, bytes]


def _bytes(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content


def record_hash(data: bytes) -> str:
    """The form RECORD has: urlsafe base64 without padding."""
    digest = hashlib.sha256(data).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class Raw:
    """An archive entry as it is: any name (`../x`, `/etc/x`, `A` beside `a`), any mode, a link."""

    name: str
    content: Content = b""
    mode: int = stat.S_IFREG | 0o644
    recorded: bool = True
    date: tuple[int, int, int, int, int, int] = (2020, 1, 1, 0, 0, 0)
    compress: bool = True

    @staticmethod
    def symlink(name: str, target: str, recorded: bool = True) -> Raw:
        return Raw(name, target, stat.S_IFLNK | 0o777, recorded)


@dataclass
class Wheel:
    name: str
    version: str = "1.0"
    files: Mapping[str, Content] = field(default_factory=dict)
    python: str = "py3"
    abi: str = "none"
    platform: str = "any"
    build: str = ""
    requires: Iterable[str] = ()
    extras: Iterable[str] = ()
    requires_python: str = ""
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    data: Mapping[str, Content] = field(default_factory=dict)  # "scripts/run", "data/share/x", ...
    executable: Iterable[str] = ()  # names of entries with the x bits
    metadata: Mapping[str, Content] = field(default_factory=dict)  # further files of .dist-info
    metadata_version: str = "2.1"
    root_is_purelib: Optional[bool] = None
    # Faults
    raw: Iterable[Raw] = ()
    record_omit: Iterable[str] = ()
    record_hashes: Mapping[str, str] = field(default_factory=dict)  # path -> hash to state instead
    record_sizes: Mapping[str, int] = field(default_factory=dict)
    record_extra: Iterable[str] = ()  # whole lines
    record: Optional[Content] = None  # the whole file
    wheel_file: Optional[Content] = None
    metadata_file: Optional[Content] = None
    omit: Iterable[str] = ()  # entries of .dist-info to leave out: "RECORD", "WHEEL", "METADATA"

    @property
    def escaped_name(self) -> str:
        return self.name.replace("-", "_").replace(".", "_")

    @property
    def dist_info(self) -> str:
        return f"{self.escaped_name}-{self.version}.dist-info"

    @property
    def data_dir(self) -> str:
        return f"{self.escaped_name}-{self.version}.data"

    @property
    def tag(self) -> str:
        return f"{self.python}-{self.abi}-{self.platform}"

    @property
    def filename(self) -> str:
        build = f"-{self.build}" if self.build else ""
        return f"{self.escaped_name}-{self.version}{build}-{self.tag}.whl"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def metadata_bytes(self) -> bytes:
        if self.metadata_file is not None:
            return _bytes(self.metadata_file)
        lines = [f"Metadata-Version: {self.metadata_version}", f"Name: {self.name}", f"Version: {self.version}"]
        if self.requires_python:
            lines.append(f"Requires-Python: {self.requires_python}")
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        lines += [f"Provides-Extra: {extra}" for extra in self.extras]
        return ("\n".join(lines) + "\n").encode()

    def _wheel_bytes(self) -> bytes:
        if self.wheel_file is not None:
            return _bytes(self.wheel_file)
        pure = self.abi == "none" if self.root_is_purelib is None else self.root_is_purelib
        lines = ["Wheel-Version: 1.0", "Generator: rundlet-tests", f"Root-Is-Purelib: {str(pure).lower()}"]
        for python in self.python.split("."):
            lines += [f"Tag: {python}-{self.abi}-{platform}" for platform in self.platform.split(".")]
        return ("\n".join(lines) + "\n").encode()

    def entries(self) -> list[Raw]:
        """The archive's entries, RECORD last."""
        executable = set(self.executable)

        def entry(name: str, content: Content) -> Raw:
            return Raw(name, content, stat.S_IFREG | (0o755 if name in executable else 0o644))

        entries = [entry(name, content) for name, content in self.files.items()]
        for name, content in self.data.items():
            entries.append(entry(f"{self.data_dir}/{name}", content))
        entries += self.raw
        omit = set(self.omit)
        info: dict[str, Content] = {"METADATA": self.metadata_bytes(), "WHEEL": self._wheel_bytes()}
        if self.entry_points:
            groups = (
                f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
                for group, points in self.entry_points.items()
            )
            info["entry_points.txt"] = "\n".join(groups)
        info.update(self.metadata)
        entries += [entry(f"{self.dist_info}/{name}", c) for name, c in info.items() if name not in omit]
        if "RECORD" not in omit:
            entries.append(Raw(f"{self.dist_info}/RECORD", self._record_bytes(entries)))
        return entries

    def _record_bytes(self, entries: Iterable[Raw]) -> bytes:
        if self.record is not None:
            return _bytes(self.record)
        omit, lines = set(self.record_omit), []
        for item in entries:
            if item.name in omit or not item.recorded or item.name.endswith("/"):
                continue
            data = _bytes(item.content)
            digest = self.record_hashes.get(item.name, record_hash(data))
            name = f'"{item.name}"' if "," in item.name else item.name
            lines.append(f"{name},{digest},{self.record_sizes.get(item.name, len(data))}")
        lines += self.record_extra
        lines.append(f"{self.dist_info}/RECORD,,")
        return ("\n".join(lines) + "\n").encode()

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for item in self.entries():
                info = zipfile.ZipInfo(item.name, item.date)
                info.create_system = 3
                info.external_attr = item.mode << 16
                info.compress_type = zipfile.ZIP_DEFLATED if item.compress else zipfile.ZIP_STORED
                info.filename = item.name  # ZipInfo cuts names at NUL and rewrites some
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # duplicates are made on purpose
                    archive.writestr(info, _bytes(item.content))
        return buffer.getvalue()

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.filename
        path.write_bytes(self.to_bytes())
        return path


def module(name: str, version: str = "1.0", content: str = "", **more: object) -> Wheel:
    """A wheel with one module that states its version."""
    text = content or f"__version__ = {version!r}\n"
    return Wheel(name, version, files={f"{name.replace('-', '_')}.py": text}, **more)  # type: ignore[arg-type]


def pkgutil_namespace(space: str, *parts: str) -> list[Wheel]:
    """Distributions that share a package in the old way: each with the same `__init__`, which looks for others."""
    init = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    name = space.replace("_", "-")
    return [
        Wheel(f"{name}-{part}", files={f"{space}/__init__.py": init, f"{space}/{part}.py": f"name = {part!r}\n"})
        for part in parts
    ]


def small_wheels() -> list[Wheel]:
    """What most tests need of an index: names that no real distribution has."""
    return [
        module("tiny"),
        module("tiny", "2.0"),
        module("leaf"),
        Wheel("branch", files={"branch/__init__.py": "import leaf\n"}, requires=["leaf>=1"]),
        Wheel("space-one", files={"shared_space/one.py": "name = 'one'\n"}),
        Wheel("space-two", files={"shared_space/two.py": "name = 'two'\n"}),
        Wheel(
            "with-script",
            files={"with_script.py": "def main():\n    print('script ran')\n"},
            entry_points={"console_scripts": {"with-script": "with_script:main"}},
        ),
        Wheel(
            "with-data",
            files={"with_data.py": ""},
            data={
                "data/share/with-data/note.txt": "note\n",
                "scripts/with-data-run": "#!python\nprint('data script ran')\n",
            },
        ),
        Wheel("clash-a", files={"clash.py": "owner = 'a'\n"}),
        Wheel("clash-b", files={"clash.py": "owner = 'b'\n"}),
    ]


def sdist(name: str, version: str = "1.0", files: Optional[Mapping[str, Content]] = None) -> tuple[str, bytes]:
    """A source distribution as (file name, bytes); `files` come on top of PKG-INFO."""
    import gzip
    import tarfile

    escaped = name.replace("-", "_")
    top = f"{escaped}-{version}"
    members = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", **(files or {})}
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for member, content in sorted(members.items()):
                info = tarfile.TarInfo(f"{top}/{member}")
                data = _bytes(content)
                info.size, info.mtime, info.mode = len(data), 1577836800, 0o644
                tar.addfile(info, io.BytesIO(data))
    return f"{top}.tar.gz", buffer.getvalue()
