"""`rundlet image inspect`, `tag`, `rm`, and `rundlet gc`: what is known, and what goes when nobody needs it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support.file_leases import held
from support.layouts import add_layers, linked_copy
from support.rundlet import Rundlet, limited
from support.servers.registry import FakeRegistry


@pytest.fixture
def two_images(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> Rundlet:
    """`plain`, and `more` with one layer on top of it."""
    rundlet.ok("image", "import", "plain", small_image)
    add_layers(linked_copy(small_image, tmp_path / "more"), [("none", {"opt/more": "more\n"})])
    rundlet.ok("image", "import", "more", tmp_path / "more")
    return rundlet


def layers(driver: Rundlet) -> set[str]:
    return {entry.name for entry in (driver.state / "layers").iterdir()}


def fates(items: list[dict[str, Any]], fate: str) -> set[str]:
    return {item["path"] for item in items if item["fate"] == fate}


def test_inspect(two_images: Rundlet) -> None:
    plain, more = (two_images.json("image", "inspect", name) for name in ("plain", "more"))
    assert plain["name"] == "plain"
    assert plain["origin"] is None
    assert plain["interpreter"]["version"].startswith("3.11.")
    # The same Python, and each image has made what it keeps by itself.
    assert {**plain["interpreter"], "identity": ""} == {**more["interpreter"], "identity": ""}
    assert len(plain["interpreter"]["identity"]) == 64
    assert plain["interpreter"]["identity"] != more["interpreter"]["identity"]
    assert plain["config"]["os"] == "linux"
    assert plain["shared_bytes"] == plain["bytes"] == more["shared_bytes"]
    assert more["bytes"] == plain["bytes"] + len("more\n")
    assert [layer["also_in"] for layer in more["layers"]][-2:] == [["plain"], []]
    assert {layer["diff_id"].partition(":")[2] for layer in more["layers"]} == layers(two_images)
    text = two_images.ok("image", "inspect", "more").out
    assert more["interpreter"]["identity"] in text
    assert "shared with other images" in text


def test_inspect_tells_where_it_was_pulled(rundlet: Rundlet, small_image: Path) -> None:
    with FakeRegistry(small_image) as registry:
        rundlet.ok("image", "pull", "--plain-http", registry.name())
        document = rundlet.json("image", "inspect", registry.name())
        assert document["origin"] == {
            "reference": registry.name(),
            "digest": f"sha256:{registry.top}",
            "platform": "linux/amd64/v1",
        }


def test_unknown_names(two_images: Rundlet) -> None:
    for command in (["inspect", "nowhere"], ["tag", "nowhere", "x"], ["rm", "nowhere"]):
        done = two_images("image", *command).check(2)
        assert "there is no image of that name" in done.err
    two_images("image", "tag", "plain", "-x").check(2)
    assert len(two_images.json("image", "ls")) == 2


def test_one_that_is_removed_while_they_are_listed(two_images: Rundlet) -> None:
    records = two_images.state / "images"
    with contextlib.ExitStack() as until:
        wait = until.enter_context(held(records / "more.json"))
        with two_images.start("-o", "json", "image", "ls") as process:
            wait()
            (records / "plain.json").unlink()
            until.close()
            out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert [image["name"] for image in json.loads(out)] == ["more"]


def test_tag_and_rm(two_images: Rundlet) -> None:
    two_images.ok("image", "tag", "plain", "other/name:1.0")
    two_images.ok("image", "tag", "more", "other/name:1.0")  # moves
    two_images.ok("image", "rm", "plain", "more")
    (left,) = two_images.json("image", "ls")
    assert left["name"] == "other/name:1.0"
    assert two_images.ok("exec", "--", "cat", "/opt/more").out == "more\n"


def test_gc(two_images: Rundlet) -> None:
    before = layers(two_images)
    assert fates(two_images.json("gc"), "removed") == set()
    top = two_images.json("image", "inspect", "more")["layers"][-1]["diff_id"].partition(":")[2]
    two_images.ok("image", "rm", "more")
    dry = two_images.json("gc", "--dry-run")
    assert fates(dry, "removed") == {f"layers/{top}"}
    assert {item["path"]: item["owner"] for item in dry if item["path"].startswith("layers/")} == {
        **{f"layers/{key}": "image plain" for key in before},
        f"layers/{top}": None,
    }
    assert layers(two_images) == before
    assert fates(two_images.json("gc"), "removed") == {f"layers/{top}"}
    assert layers(two_images) == before - {top}
    assert not (two_images.state / f"leases/layers-{top}").exists()
    assert "removed 0 entries" in two_images.ok("gc").err
    two_images.ok("exec", "--", "python3", "-c", "import json")


def test_every_file_has_an_owner(two_images: Rundlet) -> None:
    two_images.ok("exec", "--image", "more", "--", "true")
    items = {item["path"] for item in two_images.json("gc", "--dry-run")}
    state = two_images.state
    folders = {"layers", "packages", "lowers", "wheels", "tools", "skeletons", "environments", "blobs"}
    own = {"version", "catalog.lock", "catalog.db-wal", "catalog.db-shm"}
    for path in state.iterdir():
        inside = {f"{path.name}/{entry.name}" for entry in path.iterdir()} if path.name in folders else {path.name}
        assert inside <= items | own, path


def test_gc_sweeps_what_killed_processes_left(two_images: Rundlet) -> None:
    damaged = two_images.state / "layers" / ("a" * 64)
    damaged.mkdir()
    (two_images.state / "leases" / f"layers-{'b' * 64}").touch()
    old = []
    for folder in ("images", "locks", "cache", "cache/reader", "cache/steps/project", "tables/project/name", "runs/x"):
        old.append(two_images.state / folder / ".x.json.11.0")
        old[-1].parent.mkdir(parents=True, exist_ok=True)
        old[-1].touch()
        os.utime(old[-1], (0, 0))
    young = two_images.state / "images" / ".x.json.12.0"
    young.touch()
    assert fates(two_images.json("gc"), "removed") == {f"layers/{'a' * 64}"}
    assert not damaged.exists()
    assert not (two_images.state / "leases" / f"layers-{'b' * 64}").exists()
    assert [path for path in old if path.exists()] == []
    assert young.exists()


def test_gc_keeps_what_a_command_uses(two_images: Rundlet) -> None:
    top = two_images.json("image", "inspect", "more")["layers"][-1]["diff_id"].partition(":")[2]
    script = "echo ready; read line; cat /opt/more"
    with two_images.start("exec", "--image", "more", "--", "sh", "-c", script, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        two_images.ok("image", "rm", "more")
        assert fates(two_images.json("gc"), "in use") == {f"layers/{top}"}
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stdout.read() == b"more\n"
        assert process.wait(30) == 0
    assert fates(two_images.json("gc"), "removed") == {f"layers/{top}"}


def test_gc_against_pull(rundlet: Rundlet, small_image: Path) -> None:
    """Whatever the order, an image that was pulled has its layers."""
    stop = threading.Event()
    failures: list[str] = []

    def collect() -> None:
        while not stop.is_set():
            done = rundlet("gc")
            if done.code != 0:
                failures.append(str(done))

    collector = threading.Thread(target=collect)
    with FakeRegistry(small_image) as registry:
        collector.start()
        try:
            for _ in range(3):
                rundlet.ok("image", "pull", "--plain-http", registry.name())
                rundlet.ok("exec", "--image", registry.name(), "--", "python3", "-c", "import json")
                rundlet.ok("image", "rm", registry.name())
        finally:
            stop.set()
            collector.join()
    assert not failures
    rundlet.ok("gc")
    assert layers(rundlet) == set()


def test_gc_while_a_folder_changes(rundlet: Rundlet) -> None:
    rundlet.ok("gc")
    busy = rundlet.state / "staging" / "busy"
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for name in range(100):
                (busy / str(name) / "a").mkdir(parents=True)
            shutil.rmtree(busy)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(60):
            rundlet.ok("gc")
    finally:
        stop.set()
        changer.join()


def test_gc_of_what_is_deeper_than_there_are_descriptors(rundlet: Rundlet, tmp_path: Path) -> None:
    """An image's Python writes to uv's cache, and whoever is killed does not look at it afterwards."""
    rundlet.ok("gc")
    cache = rundlet.state / "cache" / "uv" / ("a" * 64)
    cache.mkdir(parents=True)
    (cache / "/".join(["d"] * 600)).mkdir(parents=True)
    make_older(cache, 100)
    few = limited(rundlet, tmp_path, "-n 512")  # more are not to be had
    few.ok("gc")
    assert fates(few.json("gc", "--unused-for", "90d"), "removed") == {f"cache/uv/{cache.name}"}
    assert not cache.exists()


def test_gc_keeps_what_a_lock_names(rundlet: Rundlet, index: object, small_image: Path) -> None:
    rundlet.ok("image", "import", "python-3.11", small_image)
    rundlet.ok("exec", "--with", "tiny==1.0", "--", "python3", "-c", "import tiny")
    kept = fates(rundlet.json("gc"), "kept")
    assert {path.partition("/")[0] for path in kept} >= {"packages", "lowers", "wheels", "tools", "skeletons"}
    rundlet.ok("exec", "--with", "tiny==1.0", "--", "python3", "-c", "import tiny")
    # One that cannot be read, or is of another version, owns nothing and stops nobody.
    for lock in (rundlet.state / "locks").iterdir():
        lock.write_text('{"version": 1}')
    gone = fates(rundlet.json("gc"), "removed")
    assert {path.partition("/")[0] for path in gone} == {"packages", "lowers", "wheels"}


def make_older(path: Path, days: int) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def test_gc_by_age(rundlet: Rundlet, index: object, small_image: Path) -> None:
    rundlet.ok("image", "import", "python-3.11", small_image)
    for requirement in ("tiny==1.0", "six"):
        rundlet.ok("exec", "--with", requirement, "--", "python3", "-c", "")
    (cache,) = (rundlet.state / "cache/uv").iterdir()
    locks = list((rundlet.state / "locks").iterdir())
    for path in (*locks, cache):
        make_older(path, 40)
    rundlet.ok("exec", "--with", "six", "--", "python3", "-c", "")  # notes its use
    (unused,) = (path for path in locks if path.stat().st_mtime < time.time() - 86400)

    rundlet.ok("gc")  # the download of the resolver
    assert fates(rundlet.json("gc"), "removed") == set()
    assert fates(rundlet.json("gc", "--unused-for", "41d"), "removed") == set()
    wanted = fates(rundlet.json("gc", "--unused-for", "30d", "--dry-run"), "removed")
    assert unused.exists() and cache.exists()
    gone = fates(rundlet.json("gc", "--unused-for", "30d"), "removed")
    assert gone == wanted
    expected = {f"locks/{unused.name}", f"cache/uv/{cache.name}"}
    assert {path for path in gone if path.startswith(("locks", "cache"))} == expected
    assert {path.partition("/")[0] for path in gone} == {"locks", "cache", "packages", "lowers", "wheels"}
    assert not unused.exists() and not cache.exists()

    offline = rundlet.with_environment(RUNDLET_OFFLINE="1")
    offline.ok("exec", "--with", "six", "--", "python3", "-c", "import six")
    offline("exec", "--with", "tiny==1.0", "--", "python3", "-c", "").check(125)
    rundlet.ok("exec", "--with", "tiny==1.0", "--", "python3", "-c", "import tiny")
