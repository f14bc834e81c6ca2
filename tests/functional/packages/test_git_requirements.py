"""Requirements of git repositories: fetched by commit, built as any source is, kept and locked by that commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import pytest
from functional.packages.test_lock import read_as_pip_does
from functional.packages.test_source_builds import own_build

from support.rundlet import Argument, Result, Rundlet
from support.servers.certificates import Certificates, make_certificates
from support.servers.git_server import GitServer, Repository
from support.servers.hosts import with_hosts
from support.servers.index import PackageIndex

HOST, OTHER = "git.test", "other.test"
PROGRAM = ("--", "python3", "-c", "import from_git; print(from_git.found)")


@dataclass
class Served:
    driver: Rundlet
    server: GitServer
    repository: Repository
    certificates: Certificates

    def requirement(self, revision: str = "") -> str:
        return f"from-git @ git+{self.server.url('pkg.git')}{revision}"

    def __call__(self, revision: str = "", *options: Argument, driver: Optional[Rundlet] = None) -> Result:
        command = ("exec", "--image", "python-3.11", "--build", "from-git", "--with", self.requirement(revision))
        return (driver or self.driver)(*command, *options, *PROGRAM)


@pytest.fixture
def served(warm: Rundlet, tmp_path: Path) -> Iterator[Served]:
    certificates = make_certificates(tmp_path, HOST, OTHER)
    binary = with_hosts(warm.binary, tmp_path, {HOST: ["127.0.0.1"], OTHER: ["127.0.0.1"]})
    settings = {"RUNDLET_CA_BUNDLE": str(certificates.authority), "RUNDLET_PRIVATE_HOSTS": f"{HOST},{OTHER}"}
    driver = Rundlet(warm.state, environment={**warm.environment, **settings}, binary=binary)
    folder = tmp_path / "repositories"
    folder.mkdir()
    repository = Repository(folder / "pkg.git")
    with GitServer(folder, certificates.server(), HOST) as server:
        yield Served(driver, server, repository, certificates)


def files(word: str) -> dict[str, str]:
    return own_build("from-git", f"return {word!r}")


def test_revisions(served: Served) -> None:
    first = served.repository.commit(files("one"), tag="v1.0")
    second = served.repository.commit(files("two"))
    assert served("@v1.0").check(0).out == "one\n"
    assert served(f"@{first}").check(0).out == "one\n"
    assert served(f"@{second}").check(0).out == "two\n"
    assert served("@main").check(0).out == "two\n"
    assert served().check(0).out == "two\n"
    # A branch is what it was when it was locked.
    served.repository.commit(files("three"))
    served.server.requests.clear()
    assert served("@main").check(0).out == "two\n"
    assert served.server.requests == []
    assert served("@main", "--upgrade").check(0).out == "three\n"
    error = served("@absent").check(125).err
    assert "fetching `from-git` from git repository" in error
    assert "absent" in error
    assert "fetching `from-git`" in served(f"@{'0' * 40}").check(125).err


def test_built_as_any_source_is(served: Served) -> None:
    """The build has no network and no history; git is nowhere to be found."""
    code = """import glob, socket
found = glob.glob("/tmp/source/*/.git")
try:
    socket.create_connection(("127.0.0.1", 3128), timeout=1)
    found.append("proxy")
except OSError:
    pass
return found"""
    commit = served.repository.commit(own_build("from-git", code))
    assert served(f"@{commit}").check(0).out == "[]\n"
    plain = ("exec", "--image", "python-3.11", "--with", served.requirement(f"@{commit}"), "--", "true")
    assert "`--build from-git`" in served.driver(*plain).check(125).err


def test_hosts_and_certificates(served: Served, tmp_path: Path) -> None:
    """As for all that a project names: public addresses only, and who it is must be shown."""
    commit = served.repository.commit(files("one"))
    inner = served.driver.with_environment(RUNDLET_PRIVATE_HOSTS="")
    assert "inner address" in served(f"@{commit}", driver=inner).check(125).err
    (tmp_path / "other").mkdir()
    authority = make_certificates(tmp_path / "other", HOST).authority
    unknown = served.driver.with_environment(RUNDLET_CA_BUNDLE=str(authority))
    assert "certificate" in served(f"@{commit}", driver=unknown).check(125).err
    offline = served.driver.with_environment(RUNDLET_OFFLINE="1")
    assert "offline" in served(f"@{commit}", driver=offline).check(125).err
    assert served.server.requests == []


def test_a_server_that_leads_elsewhere(served: Served) -> None:
    """To a host inside that the requirement does not name, though its certificate is right."""
    commit = served.repository.commit(files("one"))
    with GitServer(served.server.folder, served.certificates.server(), OTHER) as other:
        served.server.elsewhere = other.url("").rstrip("/")
        error = served(f"@{commit}").check(125).err
        assert "response 403" in error  # of the proxy
        assert other.requests == []


def test_what_a_repository_says_of_itself(served: Served, tmp_path: Path) -> None:
    """Its settings run nothing and lead nowhere: no submodules, no filters, no links out of the sandbox."""
    (tmp_path / "secret").write_text("canary")
    code = """import os
try:
    return open("canary").read()
except OSError as error:
    return type(error).__name__"""
    settings = {
        ".gitmodules": f'[submodule "more"]\npath = more\nurl = https://{OTHER}/more.git\n',
        ".gitattributes": "* filter=evil diff=evil\n",
        ".gitconfig": '[filter "evil"]\nsmudge = touch /tmp/evil\n[core]\nhooksPath = .\n',
        "post-checkout": "#!/bin/sh\ntouch /tmp/evil\n",
    }
    links = {"canary": str(tmp_path / "secret")}
    commit = served.repository.commit({**own_build("from-git", code), **settings}, links=links)
    assert served(f"@{commit}").check(0).out == "FileNotFoundError\n"
    assert {path.split("/")[1] for path in served.server.requests} == {"pkg.git"}


def test_a_project_locks_the_commit(served: Served, index: PackageIndex, project: Path) -> None:
    commit = served.repository.commit(files("one"))
    (project / "rundlet.toml").write_text(
        '[python]\nversion = "3.11"\nbuild = ["from-git"]\n'
        f'pip = ["pyarrow==22.0.0", "{served.requirement("@main")}"]\n'
        '[images]\n"3.11" = "python-3.11"\n'
    )
    (project / "pipeline.py").write_text(
        "import rundlet\n\n\n@rundlet.model()\ndef only():\n    import from_git, pyarrow\n\n"
        "    return pyarrow.table({'found': [from_git.found]})\n"
    )
    served.driver.ok("lock", project)
    text = (project / "pylock.toml").read_text()
    vcs = read_as_pip_does(project / "pylock.toml").packages[0].vcs
    assert vcs is not None
    assert (vcs.type, vcs.commit_id) == ("git", commit)
    assert f'vcs = {{ type = "git", url = "{served.server.url("pkg.git")}", commit-id = "{commit}" }}' in text
    served.repository.commit(files("two"))
    assert served.driver.json("run", project)["previews"]["only"]["rows"] == [["one"]]
    served.driver.ok("lock", project, "--upgrade", "from-git")
    assert commit not in (project / "pylock.toml").read_text()
    assert served.driver.json("run", project)["previews"]["only"]["rows"] == [["two"]]
