"""Network levels: what a command or step with a few allowed hosts reaches, and what it does not.

The allowed host is a server of the tests on this host's loopback, which the administrator's setting permits.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.installers import TARGET, pip, uv
from support.leaks import processes
from support.no_way_around import NONE_FOUND, attempts
from support.pipelines import write
from support.rundlet import Rundlet
from support.servers.certificates import make_certificates
from support.servers.hosts import with_hosts
from support.servers.index import PackageIndex
from support.wheels import module

IMAGE = ("--image", "python-3.11")
PROXY = b"rundlet-fetcher\0proxy\0"
HOST = "index.test"
HOSTS = {HOST: ["127.0.0.1"], "other.test": ["127.0.0.1"], "inner.test": ["127.0.0.1", "10.0.0.1"]}

# Speaks to the proxy as a hostile program would.
CLIENT = """
import socket, ssl, sys
def connect(host, port=PORT, head=None):
    sock = socket.create_connection(("127.0.0.1", 3128), 60)
    sock.sendall(head or f"CONNECT {host}:{port} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
    answer = b""
    while b"\\r\\n\\r\\n" not in answer:
        more = sock.recv(4096)
        if not more:
            break
        answer += more
    return sock, answer.decode().split("\\r\\n")[0]
def status(*args, **more):
    return connect(*args, **more)[1]
def hello(name):
    context = ssl.create_default_context()
    context.check_hostname = False
    sock, line = connect("index.test")
    assert " 200 " in line, line
    try:
        with context.wrap_socket(sock, server_hostname=name) as secure:
            secure.sendall(b"GET /simple/demo/ HTTP/1.0\\r\\n\\r\\n")
            return secure.recv(15).decode()
    except OSError as error:
        return str(error)
"""


@dataclass
class Served:
    """A driver whose sandboxes may reach the index, by name."""

    driver: Rundlet
    index: PackageIndex

    @property
    def allow(self) -> str:
        return f"allow={HOST}:{self.index.port}"

    def run(self, *command: object, options: tuple[object, ...] = ()) -> str:
        return self.driver.ok("exec", *IMAGE, "--network", self.allow, *options, "--", *command).out

    def try_(self, program: str, allow: str = "") -> str:
        """What a hostile program prints."""
        text = CLIENT.replace("PORT", str(self.index.port)) + program
        command = ("exec", *IMAGE, "--network", allow or self.allow, "--", "python3", "-c", text)
        return self.driver.ok(*command).out.strip()


@pytest.fixture
def served(shared_state: Rundlet, tmp_path: Path) -> Iterator[Served]:
    made = make_certificates(tmp_path, *HOSTS)
    binary = with_hosts(shared_state.binary, tmp_path, HOSTS)
    settings = {"RUNDLET_CA_BUNDLE": str(made.authority), "RUNDLET_PRIVATE_HOSTS": HOST}
    driver = Rundlet(shared_state.state, environment={**shared_state.environment, **settings}, binary=binary)
    with PackageIndex(tls=made.server(), host=HOST) as index:
        index.add(module("demo"))
        yield Served(driver, index)


def test_urllib(served: Served) -> None:
    program = f"import urllib.request as r; print(r.urlopen('{served.index.url}/demo/').status)"
    assert served.run("python3", "-c", program) == "200\n"


def test_pip(served: Served) -> None:
    options, line = pip("--index-url", served.index.url, "demo")
    assert "demo.py" in served.run("sh", "-c", f"{line} && ls {TARGET}", options=options).split()


def test_uv(served: Served, tmp_path: Path) -> None:
    options, line = uv(tmp_path, "--index-url", served.index.url, "demo")
    assert "demo.py" in served.run("sh", "-c", f"{line} && ls {TARGET}", options=options).split()


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_libraries(served: Served, library: str) -> None:
    """They go by the variables: proxy and authorities."""
    program = f"import {library} as one; print(one.get('{served.index.url}/demo/').status_code)"
    assert served.run("python", "-c", program, options=("--with", library)) == "200\n"
    elsewhere = f"import {library} as one\ntry:\n    one.get('https://other.test/')\nexcept Exception as error:\n"
    out = served.run("python", "-c", elsewhere + "    print(error)", options=("--with", library))
    assert "is not allowed to this sandbox" in out


def test_only_what_is_listed(served: Served) -> None:
    port = served.index.port
    refused = served.try_(
        "for host, port in (('other.test', PORT), ('index.test', 443), ('127.0.0.1', PORT), ('[::1]', PORT),\n"
        "                   ('index.test.', PORT), ('2130706433', PORT), ('user@index.test', PORT)):\n"
        "    print(status(host, port))\n".replace("PORT", str(port))
    ).splitlines()
    assert refused[:2] == [
        f"HTTP/1.1 403 `other.test:{port}` is not allowed to this sandbox",
        "HTTP/1.1 403 `index.test:443` is not allowed to this sandbox",
    ]
    assert len(refused) == 7
    assert all(line.startswith("HTTP/1.1 403 ") for line in refused)
    assert served.try_(f"print(status(0, head=b'GET {served.index.url}/demo/ HTTP/1.1\\r\\n\\r\\n'))").startswith(
        "HTTP/1.1 405 only CONNECT"
    )
    assert served.try_("print(status(0, head=b'\\x16\\x03\\x01\\r\\n\\r\\n'))").startswith("HTTP/1.1 400 ")
    assert served.index.requests == []


def test_the_name_in_the_hello_is_the_hosts(served: Served) -> None:
    out = served.try_(f"for name in ('{HOST}', 'INDEX.test', 'other.test', None): print(hello(name))").splitlines()
    assert out[:2] == ["HTTP/1.1 200 OK"] * 2
    assert len(out) == 4
    assert all("unrecognized name" in line.replace("_", " ").lower() for line in out[2:])
    assert len(served.index.requests) == 2


def test_nothing_but_tls_goes_through(served: Served) -> None:
    """Neither in the clear, nor after the first bytes of a hello, nor with one that never ends."""
    program = f"""
record = b"\\x16\\x03\\x01"
other_message = record + b"\\x00\\x05\\x02\\x00\\x00\\x01\\x00"
endless = record + b"\\x40\\x00\\x01\\x00\\x7f\\xff" + bytes(1 << 16)
for data in (b"GET / HTTP/1.0\\r\\n\\r\\n", other_message, endless):
    sock, line = connect("{HOST}")
    try:
        sock.sendall(data)
        print(sock.recv(100))
    except OSError as error:
        print(type(error).__name__)
"""
    out = served.try_(program).splitlines()
    assert len(out) == 3
    assert all(
        line in ("b'\\x15\\x03\\x03\\x00\\x02\\x02p'", "b''", "ConnectionResetError", "BrokenPipeError") for line in out
    )
    assert served.index.requests == []


def test_heads_are_bounded_in_size_and_time(served: Served) -> None:
    assert served.try_("print(status(0, head=b'CONNECT ' + b'a' * 9000))").startswith("HTTP/1.1 431 ")
    # A slow one is cut off, and others are served meanwhile.
    program = f"""
import threading
slow = socket.create_connection(("127.0.0.1", 3128), 60)
slow.sendall(b"CONNECT ")
print(hello("{HOST}"))
print(slow.recv(100).decode().split("\\r\\n")[0])
"""
    out = served.try_(program).splitlines()
    assert out == ["HTTP/1.1 200 OK", "HTTP/1.1 408 the request took too long"]


def test_inner_addresses_are_refused(served: Served) -> None:
    """Whatever name leads there: nobody vouched for it. The look-up is the proxy's, once."""
    port = served.index.port
    out = served.try_(f"print(status('inner.test')); print(status('{HOST}'))", f"allow=inner.test:{port},{HOST}:{port}")
    assert out.splitlines() == ["HTTP/1.1 403 `inner.test` has an inner address", "HTTP/1.1 200 Connection established"]
    refused = served.driver.with_environment(RUNDLET_PRIVATE_HOSTS="")
    assert "inner address" in Served(refused, served.index).try_(f"print(status('{HOST}'))")
    assert served.index.requests == []


def test_there_is_no_way_around_the_proxy(served: Served) -> None:
    assert served.try_(attempts(HOST, served.index.port)).splitlines() == NONE_FOUND


def line_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def test_the_proxy_ends_with_the_command(served: Served, shared_state: Rundlet) -> None:
    script = "import time; print('asleep', flush=True); time.sleep(600)"
    command = served.driver.command("exec", *IMAGE, "--network", served.allow, "--", "python3", "-c", script)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=served.driver.environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"asleep\n"
            # The command does not wait for its proxy: that may be what its launcher becomes only now.
            deadline = time.monotonic() + 60
            while PROXY not in [line_of(one.pid) for one in processes([shared_state.state])]:
                assert time.monotonic() < deadline
        finally:
            process.kill()
    shared_state.sweep_groups(*IMAGE)


def test_a_step(served: Served, project: Path) -> None:
    write(
        project,
        f"""
import rundlet

@rundlet.model(materialize="replace")
@rundlet.network(allow=["{HOST}:{served.index.port}"])
def fetched():
    import urllib.request
    import pyarrow
    return pyarrow.table({{"status": [urllib.request.urlopen("{served.index.url}/demo/").status]}})
""",
    )
    network = f"network {served.allow}"
    assert network in served.driver.ok("plan", project).out
    assert served.driver.json("plan", project)["steps"][0]["network"] == served.allow
    summary = served.driver.json("run", project)
    assert summary["previews"]["fetched"]["rows"] == [[200]]
    shown = served.driver.ok("runs", "show", "last").out
    assert f"`fetched` had {network}" in shown
    steps = served.driver.json("runs", "show", "last")["steps"]
    assert {step["network"] for step in steps if step["name"] == "fetched" and step["kind"] == "python"} == {
        served.allow
    }


def test_the_hosts_network(served: Served) -> None:
    program = f"import urllib.request as r; print(r.urlopen('{served.index.url}/demo/').status)"
    done = served.driver.ok("exec", *IMAGE, "--network", "host", "--", "python3", "-c", program)
    assert done.out == "200\n"
    served.driver("exec", *IMAGE, "--", "python3", "-c", program).check(1)


@pytest.mark.parametrize("wrong", ["all", "allow=", "allow=index.test", "allow=127.0.0.1:443", "allow=*:443"])
def test_malformed_networks(shared_state: Rundlet, wrong: str) -> None:
    done = shared_state("exec", *IMAGE, "--network", wrong, "--", "true").check(125)
    assert f"`--network {wrong}`" in done.err
