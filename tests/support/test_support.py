"""The support code itself: what it makes is what it says, and its faults are the ones asked for."""

from __future__ import annotations

import csv
import hashlib
import http.client
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import control_groups, images, leaks, wheelcache
from support.images import OPAQUE, WHITEOUT, Image
from support.rundlet import Rundlet
from support.servers.index import JSON_TYPE, PackageIndex, normalized
from support.store import nothing_kept
from support.wheels import Raw, Wheel, module, record_hash, sdist

# -- wheels


def members(wheel: Wheel) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(wheel.to_bytes()))


def record_of(wheel: Wheel) -> list[list[str]]:
    text = members(wheel).read(f"{wheel.dist_info}/RECORD").decode()
    return list(csv.reader(text.splitlines()))


def test_a_wheels_record_states_every_file() -> None:
    wheel = Wheel(
        "Demo.Pack",
        files={"demo/__init__.py": "x = 1\n", "a,b.txt": "comma"},
        data={"scripts/run": "#!python\n"},
        entry_points={"console_scripts": {"demo": "demo:main"}},
    )
    rows = {name: (digest, size) for name, digest, size in record_of(wheel)}
    archive = members(wheel)
    assert set(rows) == set(archive.namelist())
    assert wheel.filename == "Demo_Pack-1.0-py3-none-any.whl"
    for name, (digest, size) in rows.items():
        if name.endswith("/RECORD"):
            assert (digest, size) == ("", "")
        else:
            assert digest == record_hash(archive.read(name))
            assert int(size) == len(archive.read(name))


def test_a_wheel_has_the_same_bytes_each_time() -> None:
    assert module("same").to_bytes() == module("same").to_bytes()
    assert sdist("same") == sdist("same")


def test_pip_installs_a_wheel(tmp_path: Path) -> None:
    wheel = Wheel(
        "real-enough",
        files={"real_enough.py": "def main(): print('ran')\n"},
        entry_points={"console_scripts": {"real-enough": "real_enough:main"}},
        data={"data/share/x": "y"},
    ).write(tmp_path)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--prefix",
        str(tmp_path / "env"),
    ]
    subprocess.run([*command, str(wheel)], check=True)
    assert (tmp_path / "env/share/x").read_text() == "y"
    assert (tmp_path / "env/bin/real-enough").exists()


def test_a_wheels_faults() -> None:
    bad = Wheel(
        "bad",
        files={"good.py": "", "unlisted.py": "", "wrong.py": "x"},
        raw=[
            Raw("../up.py", "x"),
            Raw("/abs.py", "x"),
            Raw("Good.py", "case"),
            Raw("good.py", "twice"),
            Raw.symlink("link.py", "/etc/passwd"),
            Raw("extra.py", "x", recorded=False),
        ],
        record_omit=["unlisted.py"],
        record_hashes={"wrong.py": record_hash(b"other")},
        record_extra=["ghost.py,sha256=AAAA,3"],
    )
    names = members(bad).namelist()
    for name in ("../up.py", "/abs.py", "Good.py", "link.py", "extra.py"):
        assert name in names
    assert names.count("good.py") == 2
    assert stat.S_ISLNK(members(bad).getinfo("link.py").external_attr >> 16)
    rows = {row[0]: row for row in record_of(bad)}
    assert "unlisted.py" not in rows
    assert "extra.py" not in rows
    assert rows["ghost.py"][2] == "3"
    assert rows["wrong.py"][1] == record_hash(b"other")
    assert "bad-1.0.dist-info/WHEEL" not in members(Wheel("bad", omit=["WHEEL"])).namelist()


# -- index


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(url, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_the_index_has_pages_files_and_metadata() -> None:
    with PackageIndex() as index:
        wheel = module("Some_Thing", requires=["tiny"], requires_python=">=3.9")
        path = index.add(wheel)
        status, body, headers = get(f"{index.url}/some-thing/", Accept=JSON_TYPE)
        assert status == 200
        assert headers["Content-Type"] == JSON_TYPE
        (file,) = json.loads(body)["files"]
        assert file["hashes"] == {"sha256": wheel.sha256}
        assert get(file["url"])[1] == wheel.to_bytes()
        metadata = get(file["url"] + ".metadata")[1]
        assert metadata == wheel.metadata_bytes()
        assert file["core-metadata"]["sha256"] == hashlib.sha256(metadata).hexdigest()
        page = get(f"{index.url}/some-thing/")[1].decode()
        assert f"#sha256={wheel.sha256}" in page
        assert 'data-requires-python="&gt;=3.9"' in page
        assert get(f"{index.url}/nothing/")[0] == 404
        assert "some-thing" in get(f"{index.url}/")[1].decode()
        assert index.count(path) == 1


def test_pip_downloads_from_the_index(tmp_path: Path) -> None:
    with PackageIndex() as index:
        index.add(Wheel("branch", files={"branch.py": ""}, requires=["leaf"]))
        index.add(module("leaf"))
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--index-url",
            index.url,
            "-d",
            str(tmp_path),
            "branch",
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        subprocess.run(command, check=True, env={**environment, "PIP_CONFIG_FILE": os.devnull})
        assert len(list(tmp_path.iterdir())) == 2


def test_the_index_serves_ranges() -> None:
    with PackageIndex() as index:
        path = index.add_bytes("x-1.tar.gz", bytes(range(100)))
        status, body, headers = get(index.base + path, Range="bytes=10-19")
        assert (status, body) == (206, bytes(range(10, 20)))
        assert headers["Content-Range"] == "bytes 10-19/100"
        assert get(index.base + path, Range="bytes=90-")[1] == bytes(range(90, 100))
        assert get(index.base + path, Range="bytes=-5")[1] == bytes(range(95, 100))
        assert get(index.base + path, Range="bytes=100-")[0] == 416
        assert get(index.base + path, Range="bytes=10-", If_Range='"other"')[0] == 200


def test_the_indexs_faults() -> None:
    with PackageIndex() as index:
        data = bytes(1000)
        path = index.add_bytes("x-1.tar.gz", data)
        index.fault(path, truncate=300)
        with pytest.raises(http.client.IncompleteRead) as cut:
            get(index.base + path)
        assert len(cut.value.partial) == 300
        index.fault(path, flip=7)
        assert get(index.base + path)[1] == data[:7] + b"\1" + data[8:]
        index.fault(path, status=500, times=2)
        assert [get(index.base + path)[0] for _ in range(3)] == [500, 500, 200]
        index.fault(path, rate=4000)
        start = time.monotonic()
        assert get(index.base + path)[1] == data
        assert time.monotonic() - start > 0.15
        hold = threading.Event()
        index.fault(path, hold=hold)
        with urllib.request.urlopen(index.base + path) as answer:
            assert answer.read(500) == data[:500]
            hold.set()
            assert answer.read() == data[500:]
        index.fault(path, redirect=f"{index.url}/x/")
        assert b"x-1.tar.gz" in get(index.base + path)[1]
        index.fault("/simple/*", status=503)
        assert get(f"{index.url}/x/")[0] == 503
        index.fault("/simple/*")
        index.add_bytes("y-1.tar.gz", b"y", listed_sha256="0" * 64)
        assert "0" * 64 in get(f"{index.url}/y/")[1].decode()


def test_a_stalled_answer_ends_when_the_index_closes() -> None:
    index = PackageIndex()
    path = index.add_bytes("x-1.tar.gz", b"x")
    index.fault(path, stall=600)
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(index.base + path, timeout=0.2)
    start = time.monotonic()
    index.close()
    assert time.monotonic() - start < 5


def test_an_index_may_ask_for_credentials() -> None:
    with PackageIndex(credentials="me:secret") as index:
        assert get(f"{index.url}/")[0] == 401
        assert get(f"{index.url}/", Authorization="Basic bWU6c2VjcmV0")[0] == 200


# -- images


LAYERS: list[images.Layer] = [
    {
        "bin": images.directory(),
        "bin/tool": images.file("tool", mode=0o4755),
        "bin/alias": images.symlink("tool"),
        "bin/twin": images.hardlink("bin/tool"),
        "gone": "x",
        "full/old": "old",
    },
    {"gone": WHITEOUT, "full": OPAQUE, "full/new": "new"},
]


def tar_of(layer: images.Layer) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(images.layer_tar(layer)))


def test_a_layers_entries() -> None:
    first, second = (tar_of(layer) for layer in LAYERS)
    assert first.getmember("bin/tool").mode == 0o4755
    assert first.getmember("bin/alias").linkname == "tool"
    assert first.getmember("bin/twin").islnk()
    assert second.getnames() == [".wh.gone", "full/.wh..wh..opq", "full/new"]
    odd = tar_of(
        [
            ("dev/null", images.device("c", 1, 3, mode=0o666)),
            ("pipe", images.fifo()),
            ("same", "one"),
            ("same", "two"),
            ("attributed", images.file("x", pax={"SCHILY.xattr.user.a": "b"})),
        ]
    )
    assert odd.getmember("dev/null").ischr()
    assert odd.getmember("pipe").isfifo()
    assert odd.getnames().count("same") == 2
    assert odd.getmember("attributed").pax_headers["SCHILY.xattr.user.a"] == "b"


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_layouts_digests_agree(tmp_path: Path, compression: str) -> None:
    folder = Image(LAYERS, compression=compression).write_layout(tmp_path / "layout")
    for blob in (folder / "blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    index = json.loads((folder / "index.json").read_text())
    manifest = json.loads((folder / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
    for layer in manifest["layers"]:
        assert (folder / "blobs/sha256" / layer["digest"][7:]).stat().st_size == layer["size"]


@pytest.mark.skipif(not shutil.which("umoci"), reason="umoci is not here")
def test_umoci_unpacks_a_layout(tmp_path: Path) -> None:
    Image(LAYERS).write_layout(tmp_path / "layout")
    subprocess.run(
        ["umoci", "unpack", "--rootless", "--image", f"{tmp_path}/layout:test:latest", tmp_path / "bundle"],
        check=True,
    )
    root = tmp_path / "bundle/rootfs"
    assert sorted(p.name for p in (root / "full").iterdir()) == ["new"]
    assert not (root / "gone").exists()
    assert (root / "bin/twin").stat().st_ino == (root / "bin/tool").stat().st_ino


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not here")
def test_skopeo_reads_every_form(tmp_path: Path) -> None:
    image = Image(LAYERS)
    image.write_layout(tmp_path / "layout")
    image.write_oci_archive(tmp_path / "oci.tar")
    image.write_docker_archive(tmp_path / "docker.tar")
    for place in ("oci:layout", "oci-archive:oci.tar", "docker-archive:docker.tar"):
        kind, _, name = place.partition(":")
        subprocess.run(["skopeo", "inspect", f"{kind}:{tmp_path}/{name}"], check=True, stdout=subprocess.DEVNULL)


def test_an_images_faults() -> None:
    def wrong_blobs(image: Image) -> int:
        blobs, _ = image.blobs()
        return sum(images.sha256(data) != digest for digest, data in blobs.items())

    def config(image: Image) -> object:
        blobs, _ = image.blobs()
        documents = (data for data in blobs.values() if data.startswith(b'{"architecture'))
        return json.loads(next(documents))["rootfs"]["diff_ids"]

    good = Image(LAYERS)
    assert wrong_blobs(good) == 0
    assert wrong_blobs(Image(LAYERS, flip=[0])) == 1
    assert wrong_blobs(Image(LAYERS, truncate=[0, 1])) == 2
    assert wrong_blobs(Image(LAYERS, flip_manifest=True)) == 1
    assert wrong_blobs(Image(LAYERS, flip_config=True)) == 1
    assert wrong_blobs(Image(LAYERS, wrong_diff_id=[1])) == 0
    assert config(Image(LAYERS, wrong_diff_id=[1])) != config(good)
    assert len(Image(LAYERS, missing=[0]).blobs()[0]) == len(good.blobs()[0]) - 1
    assert len(images.nested_index(good, 3)) == len(good.layout_files()) + 3
    confused = Image(LAYERS, manifest={"manifests": []})
    assert any(b'"manifests":[]' in data and b'"layers"' in data for data in confused.blobs()[0].values())


# -- leaks


def test_a_clean_block_passes(tmp_path: Path) -> None:
    with leaks.assert_no_leaks(tmp_path):
        subprocess.run(["true"], check=True)


def test_a_process_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    with leaks.assert_no_leaks(tmp_path):
        child = subprocess.Popen(["sh", "-c", "read line; sleep 0.3"], cwd=tmp_path, stdin=subprocess.PIPE)
        assert any(process.pid == child.pid for process in leaks.processes([tmp_path]))
        assert child.stdin is not None
        child.stdin.close()
    child.wait()


def test_a_process_left_in_the_state_is_found(tmp_path: Path) -> None:
    child = None
    try:
        with pytest.raises(AssertionError, match="sleep"), leaks.assert_no_leaks(tmp_path, patience=0.2):
            child = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
            deadline = time.monotonic() + 5  # until the child has become sleep
            while leaks._link(f"/proc/{child.pid}/exe").rpartition("/")[2] == Path(sys.executable).resolve().name:
                assert time.monotonic() < deadline
    finally:
        if child:
            child.kill()
            child.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Of a mount that only another process has, and of that process."""
    place = os.path.join(os.fsencode(tmp_path), b"\xff")
    os.mkdir(place)
    program = os.path.join(place, b"sleep\xff")
    script = b'mount -t tmpfs none "$1" && cp "$(command -v sleep)" "$1/sleep\xff" && echo up && exec "$1/sleep\xff" 60'
    argv = [b"unshare", b"--mount", b"sh", b"-c", script, b"sh", place]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"up\n"
            while os.readlink(b"/proc/%d/exe" % child.pid) != program:
                assert child.poll() is None
            (found,) = leaks.processes([tmp_path])
            assert found.pid == child.pid
            assert found.name == "sleep\udcff"
        finally:
            child.kill()


def test_staging_and_partial_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    with pytest.raises(AssertionError) as failure, leaks.assert_no_leaks(tmp_path, patience=0.1):
        (tmp_path / "staging/x").mkdir()
        (tmp_path / "blob.part").write_text("")
    assert "staging/x" in str(failure.value)
    assert "blob.part" in str(failure.value)
    with leaks.assert_no_leaks(tmp_path, patience=0.1) as allowance:
        allowance.patterns.append("staging/y")
        (tmp_path / "staging/y").mkdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_mount_is_found(tmp_path: Path) -> None:
    try:
        with pytest.raises(AssertionError, match="mounts: "), leaks.assert_no_leaks(tmp_path, patience=0.1):
            subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or not control_groups.of_this_process(), reason="needs root and groups of v1")
def test_only_own_control_groups_are_found() -> None:
    outside = control_groups.of_this_process()
    name = f"rundlet-of-test-{os.getpid()}"
    with control_groups.own_groups():
        inside = control_groups.of_this_process()
        assert len(inside) == len(outside)
        assert all(own.parent == above for own, above in zip(inside, outside, strict=True))
        for group in (outside[0] / name, inside[0] / name):
            before = leaks.snapshot()
            group.mkdir()
            try:
                found = leaks.leaked(before, (), 0.1, leaks.Allowance()).cgroups
            finally:
                group.rmdir()
            assert found == (frozenset({str(group)}) if group.parent in inside else frozenset())
    assert control_groups.of_this_process() == outside
    assert not any(path.name == f"tests-{os.getpid()}" for group in outside for path in group.iterdir())


# -- the mirrors that images are made from


def test_images_are_made_from_the_hosts_own_mirrors(tmp_path: Path) -> None:
    fake = tmp_path / "apt-get"
    kinds = ("Packages", "Sources")
    targets = [("http://near.test/", "Debian", "Debian-Security"), ("http://near.test/debian/", "Debian", "Debian")]
    targets.insert(0, ("http://other.test/", "Elsewhere", "Debian"))
    lines = [f"{uri} {origin} {kind} {label}" for uri, origin, label in targets for kind in kinds]
    fake.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(lines) + "\nEND\n")
    fake.chmod(0o755)
    script = f". {wheelcache.ROOT}/scripts/lib/mirrors.sh && debian_sources trixie"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "deb http://near.test/debian/ trixie main",
        "deb http://near.test/debian/ trixie-updates main",
        "deb http://near.test/ trixie-security main",
    ]


# -- the list of wheels, and the driver


@pytest.mark.parametrize("path", [wheelcache.LIST, wheelcache.FORTY.pins, wheelcache.AIRFLOW.pins])
def test_the_lists_of_wheels_are_well_formed(path: Path) -> None:
    items = wheelcache.read_list(path)
    assert len({item.filename for item in items}) > 10
    for item in items:
        assert len(item.sha256) == 64
        assert item.python in {"3.11", "3.13", "musl", "source"}
        name, _, version = item.requirement.partition("==")
        assert version
        assert normalized(item.filename).startswith(normalized(name))


def test_the_driver_gives_output_code_and_json(tmp_path: Path) -> None:
    script = tmp_path / "fake"
    script.write_text('#!/bin/sh\necho "{\\"home\\": \\"$HOME\\"}"\necho talk >&2\nexit ${CODE:-0}\n')
    script.chmod(0o755)
    driver = Rundlet(tmp_path / "state", binary=script)
    result = driver("anything")
    assert result.json == {"home": str(tmp_path)}
    assert (result.code, result.err) == (0, "talk\n")
    assert result.args[1:3] == ["--state", str(tmp_path / "state")]
    with pytest.raises(AssertionError, match="exit code 3"):
        driver.with_environment(CODE="3").ok()


def test_the_driver_kills_what_does_not_end(tmp_path: Path) -> None:
    script = tmp_path / "fake"
    script.write_text("#!/bin/sh\necho started\nsleep 600 &\nwait\n")
    script.chmod(0o755)
    with leaks.assert_no_leaks(tmp_path), pytest.raises(AssertionError, match="did not end"):
        Rundlet(tmp_path / "state", binary=script)(timeout=0.3)


# -- a state directory from outside


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for folder in ("layers/a", "packages", "staging"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "staging/.lock").touch()
    return tmp_path


def test_an_unchanged_store_passes(state: Path) -> None:
    with nothing_kept(state):
        (state / "locks").mkdir()  # no entry
    with nothing_kept(state / "gone"):
        pass


@pytest.mark.parametrize("left", ["packages/b", "layers/b", "staging/0123456789abcdef"])
def test_what_is_left_in_a_store_is_named(state: Path, left: str) -> None:
    with pytest.raises(AssertionError, match=left), nothing_kept(state):
        (state / left).mkdir()


def test_what_is_gone_from_a_store_is_named(state: Path) -> None:
    with pytest.raises(AssertionError, match="layers/a"), nothing_kept(state):
        (state / "layers/a").rmdir()


def test_what_may_be_added_to_a_store(state: Path) -> None:
    with nothing_kept(state, but=("packages",)):
        (state / "packages/b").mkdir()
    with pytest.raises(AssertionError, match="layers/b"), nothing_kept(state, but=("packages",)):
        (state / "layers/b").mkdir()


def test_archive_of_an_old_docker(tmp_path: Path) -> None:
    image = Image([{"a": "x"}])
    whole = image.docker_files()
    with tarfile.open(images.as_old_docker(image.write_docker_archive(tmp_path / "image.tar"))) as tar:
        kept = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert kept == {name: data for name, data in whole.items() if "/" in name or name == "repositories"}
    assert sorted(name.split("/")[-1] for name in kept) == ["VERSION", "json", "layer.tar", "repositories"]
