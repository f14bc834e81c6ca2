"""How a registry is reached: by TLS, a proxy, a mirror, or not at all; and images in formats of docker."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images import DOCKER_MANIFEST
from support.rundlet import Rundlet
from support.servers.docker_registry import DockerRegistry, basic
from support.servers.proxy import Proxy
from support.servers.registry import FakeRegistry, Handler, Reply
from support.store import nothing_kept

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OFFLINE = "caused by: it needs the network, and rundlet is to be offline (`--offline`, RUNDLET_OFFLINE)\n"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, small_image: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("secure"), tls=True) as registry:
        registry.push(small_image, "team/py:1")
        yield registry


def test_tls(rundlet: Rundlet, secure: DockerRegistry) -> None:
    """An authority that the host does not know is not trusted, whatever it signs."""
    name = secure.name("team/py:1")
    with nothing_kept(rundlet.state):
        done = rundlet("-q", "image", "pull", name).check(3)
    assert "caused by: `127.0.0.1`: SSL peer certificate " in done.err
    for variable in ("RUNDLET_CA_BUNDLE", "SSL_CERT_FILE"):
        driver = rundlet.with_environment(**{variable: str(secure.authority)})
        assert driver.json("image", "pull", name)["python"].startswith("3.11.")


def test_the_bundle_of_the_host(rundlet: Rundlet, secure: DockerRegistry) -> None:
    """In a mount namespace where the host's bundle is the one with the registry's authority."""
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    script = f'mount --bind "$1" {bundle} && shift && exec "$@"'
    pull = rundlet.command("-q", "image", "pull", secure.name("team/py:1"))
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(secure.authority), *pull]
    done = subprocess.run(command, capture_output=True, text=True, env=rundlet.environment, check=False)
    assert done.returncode == 0, done.stderr


def test_proxy_of_https(rundlet: Rundlet, secure: DockerRegistry) -> None:
    name = secure.name("team/py:1")
    with Proxy() as proxy:
        driver = rundlet.with_environment(RUNDLET_CA_BUNDLE=str(secure.authority), HTTPS_PROXY=proxy.url)
        driver.with_environment(NO_PROXY="127.0.0.1").ok("image", "pull", name)
        assert proxy.asked == []
        driver.ok("image", "pull", name)
        assert set(proxy.asked) == {f"CONNECT {secure.host}"}


def test_proxy_of_http(rundlet: Rundlet, small_image: Path) -> None:
    with FakeRegistry(small_image) as registry, Proxy() as proxy:
        driver = rundlet.with_environment(http_proxy=proxy.url, HTTPS_PROXY="http://127.0.0.1:1")
        driver.ok("image", "pull", "--plain-http", registry.name("team/py:1"))
        assert f"GET http://{registry.host}/v2/team/py/manifests/1" in proxy.asked
        assert len(proxy.asked) == len(registry.requests)


def test_proxy_that_is_not_there(rundlet: Rundlet, small_image: Path) -> None:
    """Then there is no way: never past the proxy."""
    with FakeRegistry(small_image) as registry:
        driver = rundlet.with_environment(http_proxy="http://127.0.0.1:1")
        driver("image", "pull", "--plain-http", registry.name("team/py:1")).check(3)
        assert registry.requests == []


# -- mirrors


def login_file(folder: Path, host: str) -> str:
    path = folder / "auth.json"
    path.write_text(json.dumps({"auths": {host: {"auth": basic()}}}))
    return str(path)


def test_mirror_is_asked_instead(rundlet: Rundlet, tmp_path: Path, small_image: Path) -> None:
    """The image keeps its name; what the registry's login is, the mirror does not hear."""
    with FakeRegistry(small_image) as mirror:
        driver = rundlet.with_environment(
            RUNDLET_MIRRORS=f"quay.example=https://127.0.0.1:1, docker.io=http://{mirror.host}/hub/",
            REGISTRY_AUTH_FILE=login_file(tmp_path, "https://index.docker.io/v1/"),
        )
        assert driver.json("image", "pull", "python:3.11-slim")["name"] == "python:3.11-slim"
        assert {path.rpartition("/")[0] for path in mirror.paths()} == {
            "/v2/hub/library/python/manifests",
            "/v2/hub/library/python/blobs",
        }
        assert not [headers for _, headers in mirror.requests if "Authorization" in headers]
        assert driver.json("image", "pull", "python:3.11-slim")["unchanged"] is True
        inspected = driver.json("image", "inspect", "python:3.11-slim")
    assert inspected["origin"]["reference"] == "python:3.11-slim"


@pytest.mark.parametrize("kind", ["not there", "lacks it", "breaks off"])
def test_mirror_that_cannot_help(rundlet: Rundlet, small_image: Path, kind: str) -> None:
    def lacks_it(_: Handler, reply: Reply) -> None:
        reply.status, reply.body = 404, b"{}"

    def breaks_off(request: Handler, reply: Reply) -> bool:
        if not request.is_blob:
            return False
        request.send(reply, reply.body[: len(reply.body) // 2])
        return True

    fault = {"not there": None, "lacks it": lacks_it, "breaks off": breaks_off}[kind]
    with FakeRegistry(small_image, fault=fault) as mirror, FakeRegistry(small_image) as registry:
        host = "127.0.0.1:1" if kind == "not there" else mirror.host
        driver = rundlet.with_environment(RUNDLET_MIRRORS=f"{registry.host}=http://{host}")
        done = driver.ok("image", "pull", "--plain-http", registry.name("team/py:1"))
        assert f"mirror `{host}` is passed over: " in done.err
        assert registry.requests
        assert bool(mirror.requests) == (kind != "not there")


def test_mirror_that_alters(rundlet: Rundlet, small_image: Path) -> None:
    def alter(request: Handler, reply: Reply) -> None:
        if request.is_blob:
            reply.body = reply.body[:-1] + b"\1"

    with FakeRegistry(small_image, fault=alter) as mirror, FakeRegistry(small_image) as registry:
        driver = rundlet.with_environment(RUNDLET_MIRRORS=f"{registry.host}=http://{mirror.host}")
        with nothing_kept(rundlet.state, but=("layers",)):
            done = driver("image", "pull", "--plain-http", registry.name("team/py:1")).check(2)
        assert "it was altered" in done.err
        assert registry.requests == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("docker.io", "whose mirror it is"),
        ("docker.io=mirror.example", "not an http or https URL"),
        ("docker.io=https://", "two host names"),
        ("https://docker.io=https://mirror.example", "two host names"),
        ("docker.io=https://user@mirror.example", "two host names"),
        ("docker.io=https://mirror.example/UPPER", "no folder of repositories"),
    ],
)
def test_mirror_that_is_none(rundlet: Rundlet, text: str, words: str) -> None:
    done = rundlet.with_environment(RUNDLET_MIRRORS=text)("image", "ls").check(2)
    assert f"error: using registry mirror `{text}`\n" in done.err
    assert words in done.err


# -- offline


def test_offline(rundlet: Rundlet, small_image: Path, index: object) -> None:
    with FakeRegistry(small_image) as registry:
        name = registry.name("team/py:1")
        done = rundlet("-q", "--offline", "image", "pull", "--plain-http", name).check(3)
        assert done.err == f"error: pulling `{name}`\n{OFFLINE}"
        assert registry.requests == []
        rundlet.ok("image", "pull", "--plain-http", name)
    driver = rundlet.with_environment(RUNDLET_OFFLINE="1")
    done = driver("-q", "exec", "--with", "six", "--", "python3", "-c", "").check(125)
    assert "error: resolving the packages of " in done.err
    assert done.err.endswith(OFFLINE)
    rundlet.ok("exec", "--with", "six", "--", "python3", "-c", "")
    # Now everything is there.
    assert driver.ok("exec", "--with", "six", "--", "python3", "-c", "import six; print(six.__name__)").out == "six\n"


def test_offline_names_the_wheel_that_is_missing(rundlet: Rundlet, small_image: Path, index: object) -> None:
    rundlet.ok("image", "import", "py", small_image)
    rundlet.ok("exec", "--with", "six", "--", "python3", "-c", "")
    for folder in ("wheels", "packages", "lowers"):
        subprocess.run(["rm", "-rf", rundlet.state / folder], check=True)
        (rundlet.state / folder).mkdir()
    done = rundlet("-q", "--offline", "exec", "--with", "six", "--", "python3", "-c", "").check(125)
    assert "fetching `six " in done.err
    assert done.err.endswith(OFFLINE)


def test_offline_step_that_wants_the_network(rundlet: Rundlet, project: Path, small_image: Path, index: object) -> None:
    (project / "rundlet.toml").write_text('[python]\nversion = "3.11"\n[images]\n"3.11" = "py"\n')
    (project / "pipeline.py").write_text(
        "import rundlet\n\n"
        '@rundlet.model()\n@rundlet.network("host")\n'
        "def fetched():\n    import pyarrow\n    return pyarrow.table({'a': [1]})\n"
    )
    rundlet.ok("image", "import", "py", small_image)
    rundlet.ok("run", project)
    done = rundlet("-q", "--offline", "run", "--no-cache", project).check(3)
    assert "giving a sandbox the network it asks for" in done.err


# -- docker's formats


@pytest.fixture(scope="module")
def docker_formats(tmp_path_factory: pytest.TempPathFactory, small_image: Path) -> Iterator[DockerRegistry]:
    """`py:schema2`, and `py:list`: a manifest list with it and with one for another architecture."""
    with DockerRegistry(tmp_path_factory.mktemp("docker")) as registry:
        target = f"docker://{registry.name('py:schema2')}"
        command = ["skopeo", "copy", "-q", "--format", "v2s2", "--dest-tls-verify=false", f"oci:{small_image}", target]
        subprocess.run(command, check=True, capture_output=True)
        base = f"http://{registry.host}/v2/py/manifests"
        wanted = urllib.request.Request(f"{base}/schema2", headers={"Accept": DOCKER_MANIFEST})
        with urllib.request.urlopen(wanted) as answer:
            digest, size = answer.headers["Docker-Content-Digest"], len(answer.read())
            assert answer.headers["Content-Type"] == DOCKER_MANIFEST
        manifests = [
            {
                "mediaType": DOCKER_MANIFEST,
                "digest": digest,
                "size": size,
                "platform": {"os": "linux", "architecture": architecture},
            }
            for architecture in ("s390x", "amd64")
        ]
        body = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": manifests}).encode()
        put = urllib.request.Request(f"{base}/list", data=body, method="PUT", headers={"Content-Type": DOCKER_LIST})
        urllib.request.urlopen(put).close()
        yield registry


@pytest.mark.parametrize("tag", ["schema2", "list"])
def test_docker_formats(rundlet: Rundlet, docker_formats: DockerRegistry, small_image: Path, tag: str) -> None:
    pulled = rundlet.json("image", "pull", "--plain-http", docker_formats.name(f"py:{tag}"))
    layers = {path.name for path in (rundlet.state / "layers").iterdir()}
    assert rundlet.ok("exec", "--", "python3", "-c", "print('hello')").out == "hello\n"
    # The same content as by any other way.
    imported = rundlet.json("image", "import", "imported", small_image)
    assert {path.name for path in (rundlet.state / "layers").iterdir()} == layers
    assert imported["digest"] != pulled["digest"]
