"""Registries that lie, break off, stall or loop: a clear error, the right exit code, nothing left, in bounded time."""

from __future__ import annotations

import concurrent.futures
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import pytest

from support.images import INDEX, MANIFEST, Image
from support.rundlet import Result, Rundlet
from support.servers.docker_registry import basic
from support.servers.hosts import nobody_listens
from support.servers.registry import FakeRegistry, Fault, Handler, Reply


def small(**more: object) -> Image:
    return Image([{"a": "x" * 20_000, "b": "y"}, {"c": "z"}], compression="none", **more)  # type: ignore[arg-type]


def pull(driver: Rundlet, registry: FakeRegistry, **more: object) -> Result:
    return driver("image", "pull", "--plain-http", registry.name(), **more)  # type: ignore[arg-type]


def assert_refused(driver: Rundlet, done: Result, code: int, words: str) -> None:
    done.check(code)
    assert "error: pulling `127.0.0.1:" in done.err
    assert words in done.err
    assert [path.name for path in (driver.state / "staging").iterdir()] in ([], [".lock"])
    assert driver.json("image", "ls") == []


def on_blobs(change: Callable[[Reply], object]) -> Fault:
    def fault(request: Handler, reply: Reply) -> None:
        if request.is_blob:
            change(reply)

    return fault


def flip(reply: Reply) -> None:
    middle = len(reply.body) // 2
    reply.body = reply.body[:middle] + bytes([reply.body[middle] ^ 1]) + reply.body[middle + 1 :]


def lengthen(reply: Reply) -> None:
    reply.body += b"more"


def shorten(reply: Reply) -> None:
    reply.body = reply.body[:-1]


def manifest_type(media_type: str) -> Fault:
    def fault(request: Handler, reply: Reply) -> None:
        if request.is_manifest:
            reply.headers["Content-Type"] = media_type

    return fault


def without_length(request: Handler, reply: Reply) -> bool:
    """More bytes than the descriptor says, and no word of how many."""
    if not request.is_blob:
        return False
    request.send_response(200)
    request.send_header("Connection", "close")
    request.end_headers()
    request.wfile.write(reply.body + b"x" * 10_000_000)
    return True


CASES: dict[str, tuple[Callable[[], Image], Optional[Fault], int, str]] = {
    "flipped-byte": (small, on_blobs(flip), 2, "it was altered"),
    "longer-blob": (small, on_blobs(lengthen), 2, "the descriptor says"),
    "shorter-blob": (small, on_blobs(shorten), 2, "the descriptor says"),
    "endless-blob": (small, without_length, 2, "than the"),
    "flipped-layer": (lambda: small(flip=[0]), None, 2, "it was altered"),
    "flipped-config": (lambda: small(flip_config=True), None, 2, "it was altered"),
    "missing-layer": (lambda: small(missing=[1]), None, 3, "answers 404"),
    "wrong-size": (lambda: small(wrong_size=[0]), None, 2, "the descriptor says"),
    "wrong-diff-id": (lambda: small(wrong_diff_id=[1]), None, 2, "not what the image's config says"),
    "fewer-diff-ids": (lambda: small(drop_diff_ids=1), None, 2, "its manifest has 2 layers, its config 1"),
    "wrong-compression": (
        lambda: small(layer_types={0: "application/vnd.oci.image.layer.v1.tar+gzip"}),
        None,
        2,
        "its media type says compression `gzip`",
    ),
    "unknown-layer-type": (lambda: small(layer_types={0: "application/octet-stream"}), None, 2, "not supported"),
    "upward-path": (lambda: Image([{"../a": "x"}]), None, 2, "a"),
    "manifest-as-text": (small, manifest_type("text/plain"), 2, "`text/plain`, which is no manifest"),
    "manifest-as-index": (small, manifest_type(INDEX), 2, "media type"),
    "both-at-once": (lambda: small(manifest={"manifests": []}), None, 2, "an index and a manifest at once"),
    "schema-1": (lambda: small(manifest={"schemaVersion": 1}), None, 2, "schema 1"),
    "other-architecture": (lambda: small(architecture="arm64"), None, 2, "arm64"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(rundlet: Rundlet, case: str) -> None:
    image, fault, code, words = CASES[case]
    with FakeRegistry(image(), fault=fault) as registry:
        assert_refused(rundlet, pull(rundlet, registry), code, words)


@pytest.mark.parametrize("what", ["declared", "endless"])
def test_endless_manifest(rundlet: Rundlet, what: str) -> None:
    def fault(request: Handler, reply: Reply) -> bool:
        request.send_response(200)
        request.send_header("Content-Type", MANIFEST)
        if what == "declared":
            request.send_header("Content-Length", str(1 << 40))
        else:
            request.send_header("Connection", "close")
        request.end_headers()
        while True:
            request.wfile.write(b" " * 65536)

    with FakeRegistry(small(), fault=fault) as registry:
        assert_refused(rundlet, pull(rundlet, registry), 2, "4.0 MiB")


def test_self_similar_index(rundlet: Rundlet) -> None:
    """An index that leads to itself, which only a registry that ignores digests can serve."""
    with FakeRegistry(small()) as registry:
        looped = {"mediaType": INDEX, "digest": f"sha256:{'a' * 64}", "size": 0}
        registry.put_index([looped])
        registry.fault = (
            lambda request, reply: request.send(Reply(200, registry.read(registry.top), {"Content-Type": INDEX}))
            or True
        )
        done = pull(rundlet, registry)
        assert_refused(rundlet, done, 2, "it was altered")
        assert len(registry.requests) == 2


@pytest.mark.parametrize("depth", [3, 4])
def test_nested_indexes(rundlet: Rundlet, depth: int) -> None:
    with FakeRegistry(small()) as registry:
        for _ in range(depth):
            registry.put_index([registry.descriptor_of_top()])
        done = pull(rundlet, registry)
        if depth == 3:  # as deep as it may be: what is wrong is only that it has no Python
            assert "python3" in done.check(2).err
        else:
            assert_refused(rundlet, done, 2, "nested deeper than 3")


def test_other_etag_for_the_rest(rundlet: Rundlet) -> None:
    """Half of one file and half of another."""

    def fault(request: Handler, reply: Reply) -> bool:
        if not request.is_blob or len(reply.body) < 1_000_000:
            return False
        if reply.status == 206:
            flip(reply)
            reply.headers["ETag"] = '"another"'
            return False
        request.send(reply, reply.body[: len(reply.body) // 2])
        return True

    with FakeRegistry(Image([{"a": "x" * 3_000_000}], compression="none"), fault=fault) as registry:
        done = pull(rundlet, registry)
        assert done.code in (2, 3)
        assert_refused(rundlet, done, done.code, "caused by: ")


def test_same_etag_and_other_bytes(rundlet: Rundlet) -> None:
    def fault(request: Handler, reply: Reply) -> bool:
        if not request.is_blob or len(reply.body) < 1_000_000:
            return False
        if reply.status == 206:
            flip(reply)
            return False
        request.send(reply, reply.body[: len(reply.body) // 2])
        return True

    with FakeRegistry(Image([{"a": "x" * 3_000_000}], compression="none"), fault=fault) as registry:
        assert_refused(rundlet, pull(rundlet, registry), 2, "it was altered")


def with_login(rundlet: Rundlet, registry: FakeRegistry, login: Optional[dict[str, str]] = None) -> None:
    folder = rundlet.state.parent / ".docker"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {registry.host: login or {"auth": basic()}}}))


def challenge(text: str) -> Fault:
    return lambda request, reply: request.send(Reply(401, b"", {"WWW-Authenticate": text})) or True


@pytest.mark.parametrize(
    ("realm", "words"),
    [
        ("ftp://127.0.0.1/", "token server"),
        ("file:///etc/passwd", "token server"),
        ("http://user:x@127.0.0.1/", "token server"),
        ("", "token server"),
        ("http://localhost:{port}/", "inner address"),
        ("http://169.254.169.254/", "inner address"),
        ("http://[::1]:{port}/", "inner address"),
    ],
)
def test_token_server_that_is_none(rundlet: Rundlet, realm: str, words: str) -> None:
    with FakeRegistry(small()) as listener, FakeRegistry(small()) as registry:
        registry.fault = challenge(f'Bearer realm="{realm.format(port=listener.host.rpartition(":")[2])}"')
        with_login(rundlet, registry)
        done = pull(rundlet, registry)
        assert done.code in (2, 3)
        assert_refused(rundlet, done, done.code, words)
        assert not listener.requests


TOKENS = {
    "nothing": b"",
    "list": b"[]",
    "cut": b"{",
    "empty": b'{"token": ""}',
    "header": b'{"token": "a\\r\\nb: c"}',
    "number": b'{"token": 1}',
    "endless": b"x" * 2_000_000,
}


@pytest.mark.parametrize("kind", TOKENS)
def test_token_that_is_none(rundlet: Rundlet, kind: str) -> None:
    with FakeRegistry(small()) as registry:

        def fault(request: Handler, reply: Reply) -> bool:
            if request.path.startswith("/token"):
                request.send(Reply(200, TOKENS[kind], {}))
            else:
                request.send(Reply(401, b"", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'}))
            return True

        registry.fault = fault
        assert_refused(rundlet, pull(rundlet, registry), 3, "token")


def test_tokens_that_never_help(rundlet: Rundlet) -> None:
    with FakeRegistry(small()) as registry:

        def fault(request: Handler, reply: Reply) -> bool:
            if request.path.startswith("/token"):
                request.send(Reply(200, b'{"token": "t"}', {}))
            else:
                request.send(Reply(401, b"", {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token"'}))
            return True

        registry.fault = fault
        assert_refused(rundlet, pull(rundlet, registry), 3, "answers 401")
        assert len(registry.requests) < 8


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest",
        "http://localhost:{port}/x",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//[::1]:{port}/",
    ],
)
def test_redirect_to_where_it_must_not_go(rundlet: Rundlet, location: str) -> None:
    with FakeRegistry(small()) as listener, FakeRegistry(small()) as registry:
        target = location.format(port=listener.host.rpartition(":")[2])
        registry.fault = lambda request, reply: request.send(Reply(307, b"", {"Location": target})) or True
        done = pull(rundlet, registry)
        assert done.code in (2, 3)
        assert_refused(rundlet, done, done.code, "caused by: ")
        assert not listener.requests


LOGINS = {"password": {"auth": basic()}, "identity": {"identitytoken": "identity", "auth": ""}}


@pytest.mark.parametrize("login", LOGINS)
def test_redirect_that_asks_for_credentials(rundlet: Rundlet, login: str) -> None:
    with FakeRegistry(small()) as elsewhere, FakeRegistry(small()) as registry:

        def ask(request: Handler, reply: Reply) -> bool:
            realm = f'Bearer realm="http://{elsewhere.host}/token"'
            token = request.path.startswith("/token")
            request.send(Reply(200, b'{"token": "t"}', {}) if token else Reply(401, b"", {"WWW-Authenticate": realm}))
            return True

        def redirect(request: Handler, reply: Reply) -> Optional[bool]:
            if not request.is_blob:
                return False
            request.send(Reply(307, b"", {"Location": f"http://{elsewhere.host}{request.path}"}))
            return True

        elsewhere.fault, registry.fault = ask, redirect
        with_login(rundlet, registry, LOGINS[login])
        assert_refused(rundlet, pull(rundlet, registry), 3, "answers 401")
        assert elsewhere.paths() and not [path for path in elsewhere.paths() if path.startswith("/token")]


def test_redirected_token_server_is_sent_no_identity(rundlet: Rundlet) -> None:
    with FakeRegistry(small()) as elsewhere, FakeRegistry(small()) as registry:

        def redirect(request: Handler, reply: Reply) -> bool:
            realm = f'Bearer realm="http://{registry.host}/token"'
            target = f"http://{elsewhere.host}/token"
            token = request.path.startswith("/token")
            request.send(
                Reply(307, b"", {"Location": target}) if token else Reply(401, b"", {"WWW-Authenticate": realm})
            )
            return True

        registry.fault = redirect
        with_login(rundlet, registry, LOGINS["identity"])
        assert_refused(rundlet, pull(rundlet, registry), 3, "token server")
        assert [path for path in registry.paths() if "refresh_token=identity" in path]
        assert not elsewhere.requests


def test_redirects_without_end(rundlet: Rundlet) -> None:
    with FakeRegistry(small()) as registry:
        registry.fault = lambda request, reply: request.send(Reply(302, b"", {"Location": request.path + "x"})) or True
        assert_refused(rundlet, pull(rundlet, registry), 3, "redirects")
        assert len(registry.requests) == 6


@pytest.mark.parametrize(("status", "wait"), [(429, "3600"), (503, "3600"), (429, "Fri, 31 Dec 9999 23:59:59 GMT")])
def test_busy_for_too_long(rundlet: Rundlet, status: int, wait: str) -> None:
    with FakeRegistry(small()) as registry:
        registry.fault = lambda request, reply: request.send(Reply(status, b"", {"Retry-After": wait})) or True
        done = pull(rundlet, registry)
        assert_refused(rundlet, done, 3, "asks to come back in")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_storm(rundlet: Rundlet, status: int) -> None:
    with FakeRegistry(small()) as registry:
        registry.fault = lambda request, reply: request.send(Reply(status, b"", {})) or True
        done = pull(rundlet, registry)
        assert_refused(rundlet, done, 3, f"answers {status}")
        assert len(registry.requests) == 4


def stall_at_once(request: Handler, reply: Reply) -> bool:
    request.registry.released.wait(300)
    return True


def stall_in_a_blob(request: Handler, reply: Reply) -> bool:
    if not request.is_blob:
        return False
    request.send(reply, reply.body[:100])
    request.registry.released.wait(300)
    return True


def drip(request: Handler, reply: Reply) -> bool:
    """Endless headers, one at a time."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not request.registry.released.wait(1):
        request.wfile.write(b"X-More: 1\r\n")
    return True


def test_stalls_end(tmp_path: Path, rundlet: Rundlet) -> None:
    """All at once: each ends after its time-outs, and not after the server's patience."""

    def one(fault: Fault) -> tuple[Rundlet, Result]:
        driver = Rundlet(tmp_path / fault.__name__, environment=rundlet.environment)
        driver.environment["RUNDLET_NETWORK_TIMEOUT"] = "1"
        with FakeRegistry(small(), fault=fault) as registry:
            done = pull(driver, registry)
            assert len(registry.requests) >= 4  # tried again
            return driver, done

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for driver, done in pool.map(one, [stall_at_once, stall_in_a_blob, drip]):
            assert_refused(driver, done, 3, "time")
            assert 4 <= done.seconds < 60


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "1 s", "86401", "99999999999999999999"])
def test_time_out_that_is_none(rundlet: Rundlet, seconds: str) -> None:
    done = rundlet.with_environment(RUNDLET_NETWORK_TIMEOUT=seconds)("image", "ls").check(2)
    assert f"error: reading RUNDLET_NETWORK_TIMEOUT `{seconds}`\n" in done.err
    assert "a number of seconds from 1 to 86400" in done.err


def test_first_failure_stops_the_other_layers(rundlet: Rundlet) -> None:
    stalled = threading.Event()

    def fault(request: Handler, reply: Reply) -> bool:
        if not request.is_blob or len(reply.body) < 2_000:
            return False
        if len(reply.body) > 30_000:
            request.send(reply, reply.body[:100])
            stalled.set()
            request.registry.released.wait(300)
        else:
            stalled.wait(60)
            request.send(Reply(404, b"", {}))
        return True

    image = Image([{"a": "x" * 30_000}, {"b": "y" * 10_000}], compression="none")
    with FakeRegistry(image, fault=fault) as registry:
        # Long before the stalled one would be given up
        patient = rundlet.with_environment(RUNDLET_NETWORK_TIMEOUT="300")
        assert_refused(rundlet, pull(patient, registry, timeout=200), 3, "answers 404")


def test_nobody_listens(rundlet: Rundlet) -> None:
    with nobody_listens() as host:
        done = rundlet("image", "pull", "--plain-http", f"{host}/a:1")
    assert_refused(rundlet, done, 3, "connect")


def test_interrupted(rundlet: Rundlet) -> None:
    with FakeRegistry(small(), fault=stall_in_a_blob) as registry:
        with rundlet.start("image", "pull", "--plain-http", registry.name()) as process:
            deadline = time.monotonic() + 30
            while not any("/blobs/" in path for path in registry.paths()):
                assert time.monotonic() < deadline
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
    assert rundlet.json("image", "ls") == []


def test_altered_after_what_cannot_be_unpacked(rundlet: Rundlet) -> None:
    """The bytes break the archive at its first header; what is told is that they were altered."""

    def fault(request: Handler, reply: Reply) -> None:
        if request.is_blob and len(reply.body) > 10_000:
            reply.body = b"\xff" * 512 + reply.body[512:]

    with FakeRegistry(small(), fault=fault) as registry:
        assert_refused(rundlet, pull(rundlet, registry), 2, "it was altered")
