"""`rundlet image pull` from Debian's docker-registry: what arrives, with whose credentials, how often."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import leaks
from support.layouts import official_layout
from support.rundlet import Rundlet
from support.servers.docker_registry import PASSWORD, USER, DockerRegistry, basic
from support.servers.registry import FakeRegistry, Handler, Reply


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, image_official: Path) -> Path:
    return official_layout(image_official, tmp_path_factory.mktemp("official") / "layout")


@pytest.fixture(scope="module")
def open_registry(
    tmp_path_factory: pytest.TempPathFactory, official: Path, image_313: Path
) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        registry.push(official, "library/python:3.11")
        registry.push(image_313, "py:3.13")
        yield registry


def pull(driver: Rundlet, *args: object) -> dict[str, object]:
    document = driver.json("image", "pull", "--plain-http", *args)
    assert isinstance(document, dict)
    return document


def test_official_shape(rundlet: Rundlet, open_registry: DockerRegistry, official: Path) -> None:
    name = open_registry.name("library/python:3.11")
    pulled = pull(rundlet, name)
    assert pulled["name"] == name
    assert str(pulled["python"]).startswith("3.11.")
    assert pulled["layers"] == 7
    assert pulled["unchanged"] is False
    script = "cat /opt/a /opt/b /opt/c; command -v python3"
    done = rundlet.ok("exec", "--image", name, "--", "sh", "-c", script)
    assert done.out == "a\nb\nc\n/usr/local/bin/python3\n"
    (listed,) = rundlet.json("image", "ls")
    assert (listed["name"], listed["digest"]) == (name, pulled["digest"])


def test_pull_and_import_give_the_same_layers(rundlet: Rundlet, open_registry: DockerRegistry, image_313: Path) -> None:
    pulled = pull(rundlet, open_registry.name("py:3.13"))
    layers = {entry.name: entry.stat().st_ino for entry in (rundlet.state / "layers").iterdir()}
    imported = rundlet.json("image", "import", "imported", image_313)
    assert imported["digest"] == pulled["digest"]
    assert {entry.name: entry.stat().st_ino for entry in (rundlet.state / "layers").iterdir()} == layers


def test_nothing_new_is_one_request(rundlet: Rundlet, small_image: Path) -> None:
    with FakeRegistry(small_image) as registry:
        assert pull(rundlet, registry.name())["unchanged"] is False
        assert len(registry.requests) >= 5
        registry.requests.clear()
        again = pull(rundlet, registry.name())
        assert again["unchanged"] is True
        assert registry.paths() == ["/v2/team/app/manifests/1"]
        # A layer that is gone is fetched again, and only that.
        registry.requests.clear()
        shutil.rmtree(next((rundlet.state / "layers").iterdir()))
        assert pull(rundlet, registry.name())["unchanged"] is False
        assert len([path for path in registry.paths() if "/blobs/" in path]) == 2  # with the config
        rundlet.ok("exec", "--image", registry.name(), "--", "python3", "-c", "import json")


def test_digest_pin(rundlet: Rundlet, small_image: Path) -> None:
    with FakeRegistry(small_image) as registry:
        pinned = registry.name(f"team/app@sha256:{registry.top}")
        assert pull(rundlet, pinned)["digest"] == f"sha256:{registry.top}"
        registry.fault = lambda _, reply: setattr(reply, "body", reply.body + b" ")
        done = rundlet("image", "pull", "--plain-http", registry.name(f"a/b@sha256:{registry.top}")).check(2)
        assert "it was altered" in done.err


def test_platform(rundlet: Rundlet, open_registry: DockerRegistry) -> None:
    name = open_registry.name("library/python:3.11")
    done = rundlet("image", "pull", "--plain-http", "--platform", "linux/arm64", name).check(2)
    assert "`linux/arm64`" in done.err
    assert "this host runs `linux/amd64`" in done.err
    rundlet("image", "pull", "--platform", "amd64", name).check(2)
    pull(rundlet, "--platform", "linux/amd64/v3", name)


def test_unknown_image(rundlet: Rundlet, open_registry: DockerRegistry) -> None:
    done = rundlet("image", "pull", "--plain-http", open_registry.name("py:9")).check(3)
    assert f"error: pulling `{open_registry.name('py:9')}`" in done.err
    assert "answers 404 (not there)" in done.err


def test_https_is_the_default(rundlet: Rundlet, open_registry: DockerRegistry) -> None:
    rundlet("image", "pull", open_registry.name("py:3.13"), timeout=60).check(3)


@pytest.mark.parametrize("reference", ["", "Python", "a b", "localhost:0/a", "a@sha256:12", "http://a.b/c"])
def test_reference_that_is_refused(rundlet: Rundlet, reference: str) -> None:
    done = rundlet("image", "pull", "--", reference).check(2)
    assert "error: reading image reference" in done.err


def with_config(rundlet: Rundlet, document: object) -> None:
    folder = rundlet.state.parent / ".docker"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(document))


def secrets_in(driver: Rundlet) -> list[Path]:
    """Files of the state directory that hold a secret."""
    wanted = [PASSWORD.encode(), basic().encode(), b"Bearer"]
    files = [path for path in driver.state.rglob("*") if path.is_file() and not path.is_symlink()]
    small = [path for path in files if "tree" not in path.parts]
    return [path for path in small if any(text in path.read_bytes() for text in wanted)]


@pytest.mark.parametrize("auth", ["password", "token", "token-login"])
def test_login(rundlet: Rundlet, tmp_path: Path, image_313: Path, auth: str) -> None:
    with DockerRegistry(tmp_path / "registry", auth=auth) as registry:
        registry.push(image_313, "py:3.13")
        name = registry.name("py:3.13")
        if auth != "token":
            done = rundlet("image", "pull", "--plain-http", name).check(3)
            assert "hint: log in with" in done.err
        with_config(rundlet, {"auths": {registry.host: {"auth": basic("somebody", "wrong")}}})
        if auth != "token":
            rundlet("image", "pull", "--plain-http", name).check(3)
        with_config(rundlet, {"auths": {registry.host: {"auth": basic()}}})
        done = rundlet.ok("-v", "image", "pull", "--plain-http", name)
        assert PASSWORD not in done.out + done.err
        assert not secrets_in(rundlet)


def test_identity_token(rundlet: Rundlet, tmp_path: Path, image_313: Path) -> None:
    with DockerRegistry(tmp_path / "registry", auth="token-login") as registry:
        registry.push(image_313, "py:3.13")
        with_config(rundlet, {"auths": {registry.host: {"identitytoken": "identity", "auth": ""}}})
        pull(rundlet, registry.name("py:3.13"))
        assert registry.tokens is not None
        assert registry.tokens.requests[-1]["fields"]["scope"] == ["repository:py:pull"]


def test_credential_helper(rundlet: Rundlet, tmp_path: Path, image_313: Path) -> None:
    helper = tmp_path / "bin/docker-credential-tests"
    helper.parent.mkdir()
    answer = json.dumps({"Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\necho \"$0 $* $(cat)\" >{tmp_path}/asked\ncat <<'EOF'\n{answer}\nEOF\n")
    helper.chmod(0o755)
    with DockerRegistry(tmp_path / "registry", auth="password") as registry:
        registry.push(image_313, "py:3.13")
        with_config(rundlet, {"credHelpers": {registry.host: "tests"}})
        driver = rundlet.with_environment(PATH=f"{helper.parent}:{os.environ['PATH']}")
        pull(driver, registry.name("py:3.13"))
        assert (tmp_path / "asked").read_text() == f"{helper} get {registry.host}\n"


def test_credentials_file_by_variable(rundlet: Rundlet, tmp_path: Path, image_313: Path) -> None:
    with DockerRegistry(tmp_path / "registry", auth="password") as registry:
        registry.push(image_313, "py:3.13")
        path = tmp_path / "auth.json"
        path.write_text(json.dumps({"auths": {f"{registry.host}/py": {"auth": basic()}}}))
        pull(rundlet.with_environment(REGISTRY_AUTH_FILE=str(path)), registry.name("py:3.13"))


def test_resumes_where_it_broke(rundlet: Rundlet, small_image: Path) -> None:
    broken: list[str] = []

    def cut(request: Handler, reply: Reply) -> bool:
        if request.is_blob and len(reply.body) > 1_000_000 and broken.count(request.path) < 2:
            broken.append(request.path)
            request.send(reply, reply.body[: len(reply.body) // 2])
            return True
        return False

    with FakeRegistry(small_image, fault=cut) as registry:
        pull(rundlet, registry.name())
        ranges = [headers["Range"] for _, headers in registry.requests if "Range" in headers]
        assert len(ranges) == len(broken) >= 2
        assert all(headers["If-Range"] for _, headers in registry.requests if "Range" in headers)


def test_server_that_ignores_ranges(rundlet: Rundlet, small_image: Path) -> None:
    cut_already: set[str] = set()

    def whole(request: Handler, reply: Reply) -> bool:
        del request.headers["Range"]
        again = request.registry.reply_to(request)
        if request.is_blob and len(again.body) > 1_000_000 and request.path not in cut_already:
            cut_already.add(request.path)
            request.send(again, again.body[: len(again.body) // 2])
            return True
        request.send(again)
        return True

    with FakeRegistry(small_image, fault=whole) as registry:
        pull(rundlet, registry.name())
        assert cut_already


def test_busy_registry_is_asked_again(rundlet: Rundlet, small_image: Path) -> None:
    refused: list[str] = []

    def busy(request: Handler, reply: Reply) -> bool:
        if request.path in refused:
            return False
        refused.append(request.path)
        request.send(Reply(503 if request.is_blob else 429, b"", {"Retry-After": "1"}))
        return True

    with FakeRegistry(small_image, fault=busy) as registry:
        pull(rundlet, registry.name())
        assert len(refused) >= 5


def test_redirect_elsewhere_carries_no_credentials(rundlet: Rundlet, small_image: Path) -> None:
    with FakeRegistry(small_image) as elsewhere:

        def redirect(request: Handler, reply: Reply) -> bool:
            if request.headers.get("Authorization") != f"Basic {basic()}":
                request.send(Reply(401, b"", {"WWW-Authenticate": 'Basic realm="x"'}))
            elif request.is_blob:
                request.send(Reply(307, b"", {"Location": f"http://{elsewhere.host}{request.path}"}))
            else:
                return False
            return True

        with FakeRegistry(small_image, fault=redirect) as registry:
            with_config(
                rundlet, {"auths": {"127.0.0.1": {"auth": basic("other", "x")}, registry.host: {"auth": basic()}}}
            )
            pull(rundlet, registry.name())
            assert elsewhere.requests
            assert not [headers for _, headers in elsewhere.requests if "Authorization" in headers]


def outputs(state: Path) -> dict[str, str]:
    """The digest of each layer's content, by its key."""
    records = (state / "layers").glob("*/entry.json")  # of none before the first is there
    return {record.parent.name: json.loads(record.read_text())["output"] for record in records}


STAGES = ["manifest", "config", "layer-0", "layer-half", "layer-sent", "layer-there", "probe"]


@pytest.mark.parametrize("stage", STAGES)
def test_killed_pull(rundlet: Rundlet, small_image: Path, tmp_path: Path, stage: str) -> None:
    """kill -9 while a request waits for its answer, or once something was seen; then once more to the end."""
    reached, done = threading.Event(), threading.Event()
    first: list[str] = []

    def pause(request: Handler, reply: Reply) -> bool:
        large = len(reply.body) > 1_000_000
        here = (
            (stage == "manifest" and request.is_manifest)
            or (stage == "config" and request.is_blob and not large)
            or (stage.startswith("layer-") and stage != "layer-there" and large)
        )
        if not here or first:
            return False
        first.append(request.path)
        if stage in ("layer-half", "layer-sent"):
            sent = len(reply.body) // 2 if stage == "layer-half" else len(reply.body)
            request.send(reply, reply.body[:sent])
        reached.set()
        done.wait(60)
        return True

    def seen() -> bool:
        if stage == "layer-there":
            return any((rundlet.state / "layers").glob("*/entry.json"))
        if stage == "probe":
            return len(outputs(rundlet.state)) == layers
        return reached.is_set()

    index = json.loads((small_image / "index.json").read_text())["manifests"][0]
    manifest = json.loads((small_image / "blobs/sha256" / index["digest"].partition(":")[2]).read_text())
    layers = len(manifest["layers"])
    with FakeRegistry(small_image, fault=pause) as registry:
        with rundlet.start("image", "pull", "--plain-http", registry.name()) as process:
            deadline = time.monotonic() + 60
            while not seen():
                assert process.poll() is None or seen(), process.stderr
                assert time.monotonic() < deadline
            process.kill()
            process.wait(30)
        done.set()
        registry.fault = None
        # What its workers still write would not be swept.
        leaks.wait_for_exit(leaks.processes([rundlet.state]), time.monotonic() + 60)
        pulled = [image["name"] for image in rundlet.json("image", "ls")]  # also sweeps
        assert pulled == [] or (stage == "probe" and pulled == [registry.name()])  # it may have been at its end
        assert [path.name for path in (rundlet.state / "staging").iterdir()] in ([], [".lock"])
        pull(rundlet, registry.name())
    rundlet.sweep_groups()
    rundlet.ok("exec", "--", "python3", "-c", "import json")
    whole = Rundlet(tmp_path / "whole", environment=rundlet.environment)
    whole.ok("image", "import", "x", small_image)
    assert outputs(rundlet.state) == outputs(whole.state)


def test_two_pulls_at_once(rundlet: Rundlet, small_image: Path) -> None:
    with FakeRegistry(small_image) as registry:
        command = ("image", "pull", "--plain-http", registry.name())
        with rundlet.start(*command) as one, rundlet.start(*command) as other:
            for process in (one, other):
                out, err = process.communicate(timeout=120)
                assert process.returncode == 0, err.decode()
                assert b"Python 3.11" in out
        fetched = [path for path in registry.paths() if path.endswith(tuple(large(small_image)))]
        assert len(fetched) == len(set(fetched)) == len(large(small_image))
    rundlet.ok("exec", "--", "python3", "-c", "import json")


def large(layout: Path) -> list[str]:
    return [blob.name for blob in (layout / "blobs/sha256").iterdir() if blob.stat().st_size > 1_000_000]
