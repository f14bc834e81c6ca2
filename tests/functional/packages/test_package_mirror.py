"""The network level `packages`: what a sandbox gets of the package index, and what it does not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from support.installers import TARGET, pip, uv
from support.no_way_around import NONE_FOUND, attempts
from support.pipelines import write
from support.rundlet import Rundlet
from support.servers.certificates import make_certificates
from support.servers.index import PackageIndex
from support.servers.proxy import Proxy
from support.wheels import Wheel, module, sdist

IMAGE = ("--image", "python-3.11")
PACKAGES = ("exec", *IMAGE, "--network", "packages")

# Speaks to the mirror as a hostile program would.
CLIENT = """
import re, socket
def raw(head, body=b""):
    with socket.create_connection(("127.0.0.1", 3128), 60) as sock:
        sock.sendall(head.encode() + body)
        answer = b""
        while more := sock.recv(1 << 16):
            answer += more
    head, _, body = answer.partition(b"\\r\\n\\r\\n")
    return head.decode(), body
def ask(target, method="GET"):
    return raw(f"{method} {target} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
def status(*args, **more):
    return ask(*args, **more)[0].split("\\r\\n")[0].removeprefix("HTTP/1.1 ")
def links(name):
    return [link.split("#")[0] for link in re.findall('href="(.*?)"', ask(f"/simple/{name}/")[1].decode())]
def whole(target):
    head, body = ask(target)
    return len(body) == int(re.search("Content-Length: ([0-9]+)", head).group(1))
"""


def run(driver: Rundlet, program: str) -> list[str]:
    return driver.ok(*PACKAGES, "--", "python3", "-c", CLIENT + program).out.splitlines()


def test_pip_and_uv(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    index.add(module("needy", content="import tiny\n", requires=["tiny<2"]))
    index.add(module("needy", "2.0", requires_python=">=4"))
    index.add(module("needy", "1.1", content="broken = True\n"), yanked="broken")
    for options, line in (pip("needy"), uv(tmp_path, "needy")):
        check = f"cd {TARGET} && python3 -c 'import needy, tiny; print(tiny.__version__, hasattr(needy, \"broken\"))'"
        out = warm.ok(*PACKAGES, *options, "--", "sh", "-c", f"{line} && {check}").out
        assert out == "1.0 False\n"
    assert index.count("/files/needy-1.0-py3-none-any.whl.metadata") > 0


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_building_from_source(warm: Rundlet, index: PackageIndex, tmp_path: Path, installer: str) -> None:
    """What the build requires comes from the mirror too."""
    setup = "from setuptools import setup\nsetup(name='from-there', version='1.0', py_modules=['from_there'])\n"
    index.add_bytes(*sdist("from-there", files={"setup.py": setup, "from_there.py": "made = 7\n"}))
    options, line = pip("from-there") if installer == "pip" else uv(tmp_path, "from-there")
    check = f"cd {TARGET} && python3 -c 'import from_there; print(from_there.made)'"
    assert warm.ok(*PACKAGES, *options, "--", "sh", "-c", f"{line} && {check}").out == "7\n"
    assert any(path.startswith("/files/setuptools-") for path in index.counts())


def test_large_and_real_ones(warm: Rundlet, index: PackageIndex) -> None:
    """Numpy by pip, with the hash that the page states."""
    options, line = pip("numpy==1.26.4")
    check = f"cd {TARGET} && python3 -c 'import numpy; print(numpy.__version__)'"
    assert warm.ok(*PACKAGES, *options, "--", "sh", "-c", f"{line} && {check}").out == "1.26.4\n"


def test_requests_and_httpx(warm: Rundlet) -> None:
    program = """import httpx, os, requests
for library in (httpx, requests):
    answer = library.get(os.environ["PIP_INDEX_URL"] + "tiny/")
    print(answer.status_code, "tiny-1.0-py3-none-any.whl" in answer.text)
"""
    options = ("--with", "requests", "--with", "httpx")
    assert warm.ok(*PACKAGES, *options, "--", "python", "-c", program).out == "200 True\n" * 2


def test_a_step(warm: Rundlet, index: PackageIndex, project: Path) -> None:
    write(
        project,
        """
import rundlet

@rundlet.model(materialize="replace")
@rundlet.network("packages")
def offered():
    import os, urllib.request
    import pyarrow
    page = urllib.request.urlopen(os.environ["UV_INDEX_URL"] + "tiny/").read().decode()
    return pyarrow.table({"files": [page.count("<a ")]})
""",
    )
    assert warm.json("plan", project)["steps"][0]["network"] == "packages"
    assert warm.json("run", project)["previews"]["offered"]["rows"] == [[2]]
    assert "`offered` had network packages" in warm.ok("runs", "show", "last").out


def test_an_index_with_tls(warm: Rundlet, tmp_path: Path) -> None:
    made = make_certificates(tmp_path, "localhost")
    with PackageIndex(tls=made.server(), host="localhost", json_pages=False) as index:
        index.add(module("demo"))
        trusting = warm.with_environment(RUNDLET_INDEX=index.url, RUNDLET_CA_BUNDLE=str(made.authority))
        assert run(trusting, "print(status('/simple/demo/'), whole(links('demo')[0]))") == ["200 OK True"]
        assert (
            "certificate" in run(trusting.with_environment(RUNDLET_CA_BUNDLE=""), "print(status('/simple/demo/'))")[0]
        )
        assert len(index.requests) == 3  # two pages, one file


def test_the_administrators_proxy(warm: Rundlet, index: PackageIndex) -> None:
    with Proxy() as proxy:
        through = warm.with_environment(http_proxy=proxy.url)
        assert run(through, "print(status('/simple/tiny/'), whole(links('tiny')[0]))") == ["200 OK True"]
        page, file = f"GET {index.url}/tiny/", f"GET {index.base}/files/tiny-1.0-py3-none-any.whl"
        assert proxy.asked == [page, page, file]


def test_credentials_stay_outside(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret-word\n")
    netrc.chmod(0o600)
    index.credentials = "somebody:secret-word"
    program = "import os\nprint([value for value in os.environ.values() if 'secret' in value])\n"
    program += "print(status('/simple/tiny/'), whole(links('tiny')[0]))"
    assert run(warm.with_environment(NETRC=str(netrc)), program) == ["[]", "200 OK True"]
    assert "asks for credentials" in run(warm, "print(status('/simple/tiny/'))")[0]


def test_nothing_but_pages_and_their_files(warm: Rundlet, index: PackageIndex) -> None:
    inside = "http://127.0.0.1:3128/simple/tiny/"
    out = run(
        warm,
        f"""
for target in ("/", "/simple/", "/simple/a%2Fb/", "/files/tiny-1.0-py3-none-any.whl", "{index.url}/tiny/", "{inside}"):
    print(status(target))
for method in ("POST", "PUT", "DELETE", "CONNECT", "OPTIONS"):
    print(status("/simple/tiny/", method=method))
print(raw("POST /simple/tiny/ HTTP/1.1\\r\\nContent-Length: 4\\r\\n\\r\\n", b"evil" * 50_000)[0][:12])
print(raw("\\x16\\x03\\x01\\r\\n\\r\\n")[0][:12], raw("GET " + "a" * 9000)[0][:12])
print(status("/simple/absent/"))
""",
    )
    assert [line[:3] for line in out[:6]] == ["404"] * 4 + ["403"] * 2
    assert [line[:3] for line in out[6:11]] == ["405"] * 5
    assert out[11:] == ["HTTP/1.1 405", "HTTP/1.1 400 HTTP/1.1 431", "404 the index has no `absent`"]
    assert index.counts() == {"/simple/absent/": 1}


def test_files_only_after_a_page_named_them(warm: Rundlet, index: PackageIndex) -> None:
    digest = hashlib.sha256(module("tiny").to_bytes()).hexdigest()
    name = "tiny-1.0-py3-none-any.whl"
    out = run(
        warm,
        f"""
print(status("/files/{digest}/{name}"))
print(links("tiny")[0] == "/files/{digest}/{name}", status("/files/{digest}/{name}"))
print(status("/files/{digest}/other.whl"), status("/files/{"0" * 64}/{name}"))
head, body = ask("/files/{digest}/{name}", method="HEAD")
print(head.split("\\r\\n")[0], "Content-Length: {len(module("tiny").to_bytes())}" in head, body)
print(ask("/simple/Tiny/", method="HEAD")[1])
""",
    )
    missing = "404 no page that was served here names this file"
    assert out == [missing, "True 200 OK", f"{missing} {missing}", "HTTP/1.1 200 OK True b''", "b''"]
    assert index.count(f"/files/{name}") == 1


def test_other_bytes_never_arrive_whole(warm: Rundlet, index: PackageIndex) -> None:
    small = index.add(module("small-lie"))
    large = index.add(Wheel("large-lie", files={"large.bin": os.urandom(2 << 20)}))
    longer = index.add(module("longer-lie"))
    unhashed = index.add(module("unhashed"), listed_sha256=None)
    for path in (small, large):
        index.fault(path, flip=-1)
    index.fault(longer, body=b"x" * 9999)
    out = run(
        warm,
        """
print(status(links("small-lie")[0]))
print(whole(links("large-lie")[0]))
print(status(links("longer-lie")[0]))
print(links("unhashed"))
""",
    )
    assert out[0].startswith("502 asking the index for this file: its sha256 is ")
    assert out[1] == "False"
    assert out[2].startswith("502 asking the index for this file: the index sends 9999 bytes, its page says ")
    assert out[3] == "[]"
    assert index.count(unhashed) == 0


def test_pages_that_lie(warm: Rundlet, index: PackageIndex, tmp_path: Path) -> None:
    """Inner hosts, files of this host, credentials, markup: what an index could write."""
    index.add(module("inner"), listed_url="http://127.0.0.2:9/inner-1.0-py3-none-any.whl")
    index.add(module("local"), listed_url=f"file://{tmp_path}/local-1.0-py3-none-any.whl")
    index.add(module("named"), listed_url="http://user:word@127.0.0.1/named-1.0-py3-none-any.whl")
    index.add(module("marked"), requires_python='"><a href="http://evil/#sha256=' + "0" * 64)
    index.fault("/simple/away/", redirect="http://127.0.0.2:9/simple/away/")
    index.fault("/simple/odd/", body=b"no page at all", status=None)
    index.add(module("odd"))
    out = run(
        warm,
        """
for name in ("inner", "local", "named"):
    print(status(links(name)[0]))
print(len(links("marked")), links("marked")[0].startswith("/files/"))
print(status("/simple/away/"))
print(links("odd"))
""",
    )
    assert "leads to an inner address" in out[0]
    assert out[1].startswith("502 ")
    assert "carries credentials" in out[2]
    assert out[3] == "1 True"
    assert "leads to an inner address" in out[4]
    assert out[5] == "[]"


def test_slow_and_broken_ones(warm: Rundlet, index: PackageIndex) -> None:
    """Others are served while one waits; a download that broke is taken up again."""
    index.fault("/simple/leaf/", stall=600)
    broken = index.add(Wheel("broken", files={"broken.bin": os.urandom(2 << 20)}))
    index.fault(broken, truncate=1 << 20, times=1)
    out = run(
        warm,
        """
import threading
slow = socket.create_connection(("127.0.0.1", 3128), 60)
slow.sendall(b"GET ")
waiting = threading.Thread(target=lambda: links("leaf"), daemon=True)
waiting.start()
print(status("/simple/tiny/"), whole(links("broken")[0]), waiting.is_alive())
print(slow.recv(100).decode().split("\\r\\n")[0], flush=True)
import os
os._exit(0)
""",
    )
    assert out == ["200 OK True True", "HTTP/1.1 408 the request took too long"]
    assert index.count(broken) == 2


def test_there_is_no_other_way(warm: Rundlet, index: PackageIndex) -> None:
    program = 'import os\nprint(sorted(name for name in os.environ if "INDEX" in name or "proxy" in name.lower()))\n'
    variables = "['PIP_INDEX_URL', 'UV_DEFAULT_INDEX', 'UV_INDEX_URL']"
    assert run(warm, attempts("localhost.example", index.port) + program) == [*NONE_FOUND, variables]


def test_offline(warm: Rundlet) -> None:
    done = warm("--offline", *PACKAGES, "--", "true").check(125)
    assert "giving a sandbox the network it asks for" in done.err


@pytest.mark.parametrize("level", ["packages=six", "Packages"])
def test_malformed(warm: Rundlet, level: str) -> None:
    assert "`packages`, `host`" in warm("exec", *IMAGE, "--network", level, "--", "true").check(125).err
