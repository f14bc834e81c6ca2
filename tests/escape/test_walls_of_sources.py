"""The walls around where packages and images come from, taken away (test_walls.py): git, redirects, credentials."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from escape.test_walls_of_images import new_image
from escape.weakened_programs import Attack, Weak
from functional.images.test_pull import with_config
from functional.packages.test_git_requirements import HOST, OTHER
from functional.packages.test_source_builds import own_build

from support.rundlet import Result, Rundlet
from support.servers.certificates import Certificates, make_certificates
from support.servers.docker_registry import basic
from support.servers.git_server import GitServer, Repository
from support.servers.hosts import with_hosts
from support.servers.index import PackageIndex
from support.servers.registry import FakeRegistry, Handler, Reply, other_host
from support.wheels import module

IMAGE = ("--image", "python-3.11")

numbers = itertools.count()


@dataclass
class Hosts:
    """Two inner hosts with certificates, which the administrator vouches for."""

    folder: Path
    certificates: Certificates

    def known_to(self, driver: Rundlet) -> Rundlet:
        binary = with_hosts(driver.binary, self.folder, {HOST: ["127.0.0.1"], OTHER: ["127.0.0.1"]})
        settings = {
            "RUNDLET_CA_BUNDLE": str(self.certificates.authority),
            "RUNDLET_PRIVATE_HOSTS": f"{HOST},{OTHER}",
        }
        return Rundlet(driver.state, environment={**driver.environment, **settings}, binary=binary)


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path, make_certificates(tmp_path, HOST, OTHER))


@dataclass
class Git:
    """A repository on one host, and another host that has the same folder."""

    hosts: Hosts
    repository: Repository
    server: GitServer
    other: GitServer

    def use(self, driver: Rundlet, revision: str) -> Result:
        requirement = f"from-git @ git+{self.server.url('pkg.git')}@{revision}"
        command = ("exec", *IMAGE, "--build", "from-git", "--with", requirement, "--", "true")
        return self.hosts.known_to(driver)(*command)


@pytest.fixture
def git(hosts: Hosts, tmp_path: Path) -> Iterator[Git]:
    folder = tmp_path / "repositories"
    folder.mkdir()
    repository = Repository(folder / "pkg.git")
    tls = hosts.certificates.server()
    with GitServer(folder, tls, HOST) as server, GitServer(folder, tls, OTHER) as other:
        yield Git(hosts, repository, server, other)


def new_files() -> dict[str, str]:
    """Of a commit that is not in the store yet."""
    return own_build("from-git", f"return {next(numbers)}")


def test_a_submodule_elsewhere(weak: Weak, warm: Rundlet, git: Git) -> None:
    """Nothing is checked out; and if it were, no other host is reached."""
    more = Repository(git.server.folder / "more.git").commit({"file": "of a submodule\n"})
    named = {".gitmodules": f'[submodule "more"]\npath = more\nurl = {git.other.url("more.git")}\n'}

    def tried(driver: Rundlet) -> bool:
        git.other.requests.clear()
        commit = git.repository.commit({**new_files(), **named}, submodules={"more": more})
        done = git.use(driver, commit)
        assert done.code == 0 or "response 403" in done.err, str(done)
        return bool(git.other.requests)

    Attack(weak, warm, tried).is_held_by("no checkout", "allowed hosts")


def test_a_redirect_without_tls(weak: Weak, warm: Rundlet, git: Git) -> None:
    """What git asks for then comes as far as the proxy, which has nothing but tunnels."""
    git.server.elsewhere = f"http://{HOST}:{git.server.port}"

    def tried(driver: Rundlet) -> bool:
        error = git.use(driver, git.repository.commit(new_files())).check(125).err
        assert ("error: 405" in error) != ('Protocol "http" not supported' in error), error
        return "error: 405" in error

    Attack(weak, warm, tried).is_held_by("git's protocols")


def test_a_tag_in_place_of_a_commit(weak: Weak, warm: Rundlet, git: Git) -> None:
    """It has a digest as well, and may name any commit. Tags, unlike commits, say what they are."""

    def tried(driver: Rundlet) -> bool:
        git.repository.commit(new_files())
        done = git.use(driver, git.repository.annotate(f"v{next(numbers)}"))
        assert done.code == 0 or "for commit `" in done.err, str(done)
        return done.code == 0

    Attack(weak, warm, tried).is_held_by("commit")


def test_credentials_by_a_redirect(weak: Weak, rundlet: Rundlet) -> None:
    """A registry sends whoever has its credentials to another host."""

    def tried(driver: Rundlet) -> bool:
        with FakeRegistry(new_image()) as registry, other_host(registry) as elsewhere:

            def fault(request: Handler, reply: Reply) -> bool:
                if request.headers.get("Authorization") != f"Basic {basic()}":
                    request.send(Reply(401, b"", {"WWW-Authenticate": 'Basic realm="x"'}))
                    return True
                if not request.is_blob:
                    return False
                request.send(Reply(307, b"", {"Location": f"http://{elsewhere.host}{request.path}"}))
                return True

            registry.fault = fault
            with_config(driver, {"auths": {registry.host: {"auth": basic()}}})
            driver("image", "pull", "--plain-http", registry.name()).check(2)
            assert elsewhere.requests
            return any("Authorization" in headers for _, headers in elsewhere.requests)

    Attack(weak, rundlet, tried).is_held_by("token's origin")


def test_an_index_that_leaves_tls(weak: Weak, warm: Rundlet, hosts: Hosts) -> None:
    def tried(driver: Rundlet) -> bool:
        wheel = module("demo", content=f"word = {next(numbers)}\n")
        with (
            PackageIndex(tls=hosts.certificates.server(), host=HOST) as index,
            PackageIndex(host=HOST) as plain,
        ):
            index.fault(index.add(wheel), redirect=f"{plain.base}{plain.add(wheel)}")
            named = hosts.known_to(driver).with_environment(RUNDLET_INDEX=index.url)
            done = named("exec", *IMAGE, "--upgrade", "--with", "demo", "--", "true")
            assert done.code == 0 or "redirects from https to" in done.err, str(done)
            assert (done.code == 0) == bool(plain.requests)
        return done.code == 0

    Attack(weak, warm, tried).is_held_by("stays https")
