"""Hostile and absurd words of `exec`'s user: refused with the reason, before anything is fetched or started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.rundlet import Rundlet
from support.servers.index import PackageIndex

LONG = "/" + "x" * 4999
DEEP = "/x" * 2500

TARGETS = {
    "/": "only the first mount may be the root",
    "work": "it is not an absolute path",
    "/work/../etc": "it has empty, `.` or `..` components",
    "/work/./x": "it has empty, `.` or `..` components",
    "/work//x": "it has empty, `.` or `..` components",
    "/work/": "it has empty, `.` or `..` components",
    "/..": "it has empty, `.` or `..` components",
    "": "it is not an absolute path",
    LONG: "or is too long",
    DEEP: "or is too long",
    "/proc/1": "`/proc` belongs to the sandbox",
    "/dev": "`/dev` belongs to the sandbox",
}
DIRECTORIES = {path: why for path, why in TARGETS.items() if path not in ("", "/", "/proc/1", "/dev")}


def refused(driver: Rundlet, index: PackageIndex, why: str, *options: str) -> None:
    done = driver("exec", "--image", "python-3.11", "--with", "tiny", *options, "--", "true").check(125)
    assert f"caused by: {why}" in done.err or (why.startswith("or ") and why in done.err), done.err
    assert len(done.err) < 12_000
    assert index.count("/simple/tiny/") == 0


@pytest.mark.parametrize(("target", "why"), TARGETS.items(), ids=lambda text: text[:20])
def test_mount_target(warm: Rundlet, index: PackageIndex, tmp_path: Path, target: str, why: str) -> None:
    refused(warm, index, why, "--mount", f"{tmp_path}:{target}")


@pytest.mark.parametrize(("directory", "why"), DIRECTORIES.items(), ids=lambda text: text[:20])
def test_working_directory(warm: Rundlet, index: PackageIndex, directory: str, why: str) -> None:
    refused(warm, index, why, "--cwd", directory)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("/", "`/` is the whole host"),
        ("/proc/..", "`/` is the whole host"),
        ("", "no such file or directory"),
        ("{place}/nowhere", "no such file or directory"),
        ("{place}/link", "it is a symbolic link, or behind one\nhint: if that is meant, name `{place}/real`"),
        (
            "{place}/link/inner",
            "it is a symbolic link, or behind one\nhint: if that is meant, name `{place}/real/inner`",
        ),
        ("{place}/dangling", "it is a symbolic link, or behind one\n"),
        ("{place}/loop", "it is a symbolic link, or behind one\n"),
        ("/proc/self/root", "it is a symbolic link, or behind one\n"),
        ("/proc/self/fd/0", "it is a symbolic link, or behind one\n"),
        ("{place}/real/file/x", "not a directory"),
        (LONG, "file name too long"),
    ],
    ids=lambda text: text[:30],
)
def test_mount_source(warm: Rundlet, index: PackageIndex, tmp_path: Path, source: str, why: str) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "real/file").write_text("")
    for name, target in (("link", "real"), ("dangling", "nowhere"), ("loop", "loop")):
        os.symlink(target, tmp_path / name)
    place = {"place": str(tmp_path)}
    refused(warm, index, why.format(**place), "--mount", f"{source.format(**place)}:/work")


def test_too_many_mounts(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    mounts = [part for number in range(256) for part in ("--mount", f"{tmp_path}:/work/{number}")]
    refused(warm, index, "there are over 256", *mounts)


def test_too_many_variables(warm: Rundlet, index: PackageIndex) -> None:
    variables = [part for number in range(4096) for part in ("--env", f"V{number}=x")]
    refused(warm, index, "there are over 4096", *variables)


@pytest.mark.parametrize("name", ["../python-3.11", "a/../b", "/etc", "x" * 5000, "-x", "", "a\nb", "ä"])
def test_image_name(shared_state: Rundlet, name: str) -> None:
    done = shared_state("exec", f"--image={name}", "--", "true")
    assert done.code == 125, str(done)
    assert done.err.startswith("error: "), done.err
    assert "\ncaused by: " in done.err
    assert len(done.err) < 12_000
