"""Package indexes that ask for a user and a password: who sees these, and who sees what came for them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.layouts import with_layers
from support.rundlet import Result, Rundlet
from support.servers.hosts import with_hosts
from support.servers.index import PackageIndex, Request
from support.wheels import module, sdist

IMAGE = ("--image", "python-3.11")
HOST = "closed.test"
SECRET = "s3cret-canary-7261"
CREDENTIALS = f"reader:{SECRET}"
SPOKEN = base64.b64encode(CREDENTIALS.encode()).decode()
HINT = f"the netrc file (NETRC, or ~/.netrc) says with which user and password `{HOST}` is asked"


def netrc(folder: Path, password: str = SECRET, mode: int = 0o600) -> str:
    path = folder / f"netrc-{password[:4]}-{mode:o}"
    path.write_text(f"machine other.test login x password y\nmachine {HOST}\n  login reader\n  password {password}\n")
    path.chmod(mode)
    return str(path)


@pytest.fixture
def closed() -> Iterator[PackageIndex]:
    with PackageIndex(credentials=CREDENTIALS, host=HOST) as made:
        made.add(module("inner-one", content="word = 'inner'\n"))
        yield made


@pytest.fixture
def anybody(warm: Rundlet, tmp_path: Path) -> Rundlet:
    """Knows the host, and has no credentials."""
    binary = with_hosts(warm.binary, tmp_path, {HOST: ["127.0.0.1"], "elsewhere.test": ["127.0.0.1"]})
    environment = {**warm.environment, "RUNDLET_PRIVATE_HOSTS": f"{HOST},elsewhere.test"}
    return Rundlet(warm.state, environment=environment, binary=binary)


@pytest.fixture
def reader(anybody: Rundlet, tmp_path: Path) -> Rundlet:
    return anybody.with_environment(NETRC=netrc(tmp_path))


def use(
    driver: Rundlet, index: PackageIndex, *options: str, code: str = "import inner_one as m; print(m.word)"
) -> Result:
    pinned = ("--index", f"inner-one={index.url}", "--with", "inner-one")
    return driver("exec", *IMAGE, *pinned, *options, "--", "python3", "-c", code)


def holders(folder: Path) -> list[Path]:
    """The files that hold the secret, as it is or as it goes over the line."""
    found = []
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                if SECRET.encode() in data or SPOKEN.encode() in data:
                    found.append(path)
    return found


def test_what_came_for_credentials_is_for_those_who_have_them(
    reader: Rundlet, anybody: Rundlet, closed: PackageIndex, index: PackageIndex, tmp_path: Path
) -> None:
    refused = use(anybody, closed).check(125)
    assert f"caused by: asking the package index `{closed.url}`\n" in refused.err
    assert f"caused by: `{HOST}` answers 401 (it asks for credentials)\nhint: {HINT}\n" in refused.err
    assert use(reader, closed).check(0).out == "inner\n"
    closed.forget()
    # A second time nothing is asked; without the credentials, or with others, nothing of it is there.
    assert use(reader, closed).check(0).out == "inner\n"
    assert not closed.requests
    for other in (anybody, anybody.with_environment(NETRC=netrc(tmp_path, "wrong-one"))):
        assert "answers 401" in use(other, closed).check(125).err
    assert "answers 401" in use(anybody, closed, "--upgrade").check(125).err
    assert "rundlet is to be offline" in use(anybody, closed, "--offline").check(125).err
    # Nor for who knows the digest of the wheel.
    wheel = module("inner-one", content="word = 'inner'\n")
    path = index.add(wheel)
    index.forget()
    named = ("--with", f"inner-one @ {closed.base}{path}#sha256={index.file(path).sha256}")
    done = anybody("exec", *IMAGE, *named, "--", "true").check(125)
    assert f"fetching `inner-one 1.0` from `{HOST}`" in done.err
    # The same bytes from an index for all are fetched, and installed, once more.
    plain = anybody.ok(
        "exec", *IMAGE, "--with", "inner-one", "--", "python3", "-c", "import inner_one as m; print(m.word)"
    )
    assert plain.out == "inner\n"
    assert index.count(path) == 1


def test_the_secret_is_nowhere(reader: Rundlet, closed: PackageIndex, project: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def look(_: Request) -> None:
        # While uv and the fetcher are at work: what any process has as its arguments and variables.
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    data = (process / name).read_bytes()
                except OSError:
                    continue
                if SECRET.encode() in data or SPOKEN.encode() in data:
                    seen.append(f"{process}/{name}")

    closed.on_request = look
    code = "import os, inner_one; print(sorted(os.environ.items()), open('/proc/self/mountinfo').read())"
    done = use(reader, closed, "--upgrade", code=code).check(0)
    assert len(closed.requests) >= 2
    (project / "rundlet.toml").write_text(
        '[python]\nversion = "3.11"\npip = ["pyarrow==22.0.0", "inner-one"]\n'
        '[images]\n"3.11" = "python-3.11"\n'
        f'[[index]]\nname = "closed"\nurl = "{closed.url}"\npackages = ["inner-one"]\n'
    )
    (project / "pipeline.py").write_text(
        "import rundlet\n\n\n@rundlet.model()\ndef only():\n    import inner_one, os, pyarrow\n\n"
        "    print(os.environ)\n    return pyarrow.table({'word': [inner_one.word]})\n"
    )
    locked = reader.ok("-v", "lock", project)
    assert closed.base in (project / "pylock.toml").read_text()
    ran = reader.ok("-v", "run", project, "-o", "json")
    wrong = reader.with_environment(NETRC=netrc(tmp_path, "wrong-one"))("-v", "run", project)
    assert wrong.code != 0
    for text in (done, locked, ran, wrong):
        assert SECRET not in text.out + text.err
        assert SPOKEN not in text.out + text.err
    assert not seen
    assert not holders(reader.state)
    assert not holders(project)


@pytest.mark.parametrize("what", ["page", "file"])
def test_it_goes_to_no_other_host(reader: Rundlet, closed: PackageIndex, what: str) -> None:
    with PackageIndex(host="elsewhere.test") as other:
        other.add(module("inner-one", content=f"word = '{what}'\n"))
        path = closed.add(module("inner-one", content=f"word = '{what}'\n"))
        closed.fault(
            "/simple/inner-one/" if what == "page" else path,
            redirect=other.base + ("/simple/inner-one/" if what == "page" else path),
        )
        assert use(reader, closed, "--upgrade").check(0).out == f"{what}\n"
        assert other.requests
        assert all("authorization" not in (name.lower() for name in one.headers) for one in other.requests)
        assert all("Authorization" in one.headers for one in closed.requests)


def test_a_page_that_names_another_hosts_file(reader: Rundlet, closed: PackageIndex) -> None:
    with PackageIndex(host="elsewhere.test") as other:
        wheel = module("inner-one", "2.0", content="word = 'cdn'\n")
        path = other.add(wheel)
        closed.add(wheel, listed_url=f"{other.base}{path}")
        assert use(reader, closed, "--upgrade").check(0).out == "cdn\n"
        assert other.count(path) == 1
        assert all("Authorization" not in one.headers for one in other.requests)


def test_the_administrators_index_may_ask_too(
    rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path
) -> None:
    index.credentials = CREDENTIALS
    rundlet.ok("image", "import", "python-3.11", small_image)
    command = ("exec", *IMAGE, "--with", "leaf", "--", "python3", "-c", "import leaf")
    assert "answers 401" in rundlet(*command).check(125).err
    own = tmp_path / ".netrc"
    own.write_text(f"machine 127.0.0.1 login reader password {SECRET}\n")
    own.chmod(0o600)
    # Its HOME is there: uv itself is fetched, then the package.
    rundlet.ok(*command)
    own.unlink()
    assert "answers 401" in rundlet(*command).check(125).err


def test_built_from_a_closed_archive(reader: Rundlet, anybody: Rundlet, closed: PackageIndex) -> None:
    setup = "from setuptools import setup\nsetup(name='inner-one', version='3.0', py_modules=['inner_one'])\n"
    closed.add_bytes(*sdist("inner-one", "3.0", files={"setup.py": setup, "inner_one.py": "word = 'built'\n"}))
    pinned = ("--index", f"inner-one={closed.url}", "--with", "inner-one==3.0", "--build", "inner-one")
    command = ("exec", *IMAGE, *pinned, "--", "python3", "-c", "import inner_one as m; print(m.word)")
    assert reader.ok(*command).out == "built\n"
    error = anybody(*command).check(125).err
    assert f"answers 401 (it asks for credentials)\nhint: {HINT}\n" in error


def test_netrc_files_that_are_refused(anybody: Rundlet, closed: PackageIndex, tmp_path: Path) -> None:
    open_ = netrc(tmp_path, mode=0o644)
    error = use(anybody.with_environment(NETRC=open_), closed).check(125).err
    assert f"it has a password for `{HOST}`, and others may read it\nhint: chmod 600 {open_}\n" in error
    for text in (f"machine {HOST} login reader password", f"machine {HOST} password {SECRET}", f"{SECRET} {HOST}"):
        bad = tmp_path / "bad"
        bad.write_text(text)
        bad.chmod(0o600)
        error = use(anybody.with_environment(NETRC=str(bad)), closed).check(125).err
        assert "reading the netrc file" in error
        assert SECRET not in error
    # Hosts that it does not have are asked without a word.
    strangers = tmp_path / "strangers"
    strangers.write_text("machine else.test login a password b\ndefault login a password b\n")
    assert "answers 401" in use(anybody.with_environment(NETRC=str(strangers)), closed).check(125).err
    assert all("Authorization" not in one.headers for one in closed.requests)


# Python runs it at its start: uv asks the image's interpreter for its paths, beside which it has the gate.
SPY = """
import glob, json, os, socket, sys
found = {"secret": [], "reached": [], "answers": []}
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/rundlet/in/*"):
    try:
        if b"canary" in open(path, "rb").read(): found["secret"].append(path)
    except OSError:
        pass
for address in (("127.0.0.1", PORT), ("192.0.2.1", 80), ("10.0.0.1", 80)):
    try:
        socket.create_connection(address, timeout=2)
        found["reached"].append(address)
    except OSError:
        pass
index = ""
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        words = open(path, "rb").read().decode().split("\\0")
    except OSError:
        continue
    for word in words:
        if word.startswith("http://127.0.0.1:3128/"): index = word.split("/")[3]
def ask(path):
    try:
        line = socket.create_connection(("127.0.0.1", 3128), timeout=30)
        line.sendall(f"GET {path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode())
        return line.recv(12).decode().split()[1]
    except OSError as error:
        return str(error)
if index and os.path.isdir("/out"):
    seal = "0" * 32
    for path in ("/", "/simple/leaf/", f"/{index}/simple/../../etc/", f"/{index}/file/{seal}/http/127.0.0.1:PORT/x",
                 f"/{index}/file/{seal}/https/192.0.2.1/x", f"/{index}/file//http/127.0.0.1:PORT/x"):
        found["answers"].append(ask(path))
    with open("/out/found", "w") as made: json.dump(found, made)
"""


def test_a_hostile_image_beside_the_resolver(
    rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path
) -> None:
    index.credentials = CREDENTIALS
    own = tmp_path / ".netrc"
    own.write_text(f"machine 127.0.0.1 login reader password {SECRET}\n")
    own.chmod(0o600)
    spy = SPY.replace("PORT", str(index.port))
    layout = with_layers(small_image, tmp_path / "spying", {"usr/lib/python3.11/sitecustomize.py": spy})
    rundlet.ok("image", "import", "python-3.11", layout)
    rundlet.ok("exec", *IMAGE, "--with", "leaf", "--", "python3", "-c", "import leaf")
    (found,) = (rundlet.state / "cache/uv").glob("*/found")
    assert json.loads(found.read_text()) == {"secret": [], "reached": [], "answers": ["403"] * 6}
    assert not [one for one in index.requests if one.path == "/x"]
    assert not holders(rundlet.state)
