"""What a step may try against the host, from Python inside an ordinary sandbox.

Each attack prints what came of it; the expected text is the defence at work. tests/kernel makes the same tries by raw
system calls.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from support.rundlet import Rundlet

ERRNO = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def tried(result):
    print(errno.errorcode[ctypes.get_errno()] if result == -1 else "DONE")
"""


def attack(rundlet: Rundlet, program: str) -> str:
    return rundlet("exec", "--image", "python-3.11", "--", "python3", "-c", program).check().out.strip()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("libc.unshare(0x10000000)", "EPERM"),  # a user namespace
        ("libc.unshare(0x20000)", "EPERM"),  # a mount namespace
        ("libc.setns(os.open('/proc/self/ns/mnt', 0), 0)", "EPERM"),
        ("libc.mount(b'x', b'/tmp', b'tmpfs', 0, None)", "EPERM"),
        ("libc.umount2(b'/proc', 2)", "EPERM"),
        ("libc.chroot(b'/tmp')", "EPERM"),
        ("libc.pivot_root(b'/tmp', b'/tmp')", "EPERM"),
        ("libc.ptrace(16, 1, 0, 0)", "EPERM"),
        ("libc.syscall(250, 0, -3, 0)", "EPERM"),  # keyctl
        ("libc.syscall(321, 0, 0, 0)", "EPERM"),  # bpf
        ("libc.syscall(425, 1, 0)", "EPERM"),  # io_uring_setup
        ("libc.syscall(323, 0)", "EPERM"),  # userfaultfd
        ("libc.syscall(304, 0, 0, 0)", "EPERM"),  # open_by_handle_at
        ("libc.syscall(435, 0, 0)", "ENOSYS"),  # clone3
        ("libc.setuid(0)", "EPERM"),
        ("libc.socket(38, 5, 0)", "ENOSYS"),  # AF_ALG
        ("libc.socket(40, 1, 0)", "ENOSYS"),  # AF_VSOCK
    ],
)
def test_privileged_calls_fail(shared_state: Rundlet, call: str, expected: str) -> None:
    assert attack(shared_state, f"{ERRNO}\ntried({call})") == expected


def test_no_capability_is_left(shared_state: Rundlet) -> None:
    program = "print([line for line in open('/proc/self/status') if line.startswith('Cap')])"
    out = attack(shared_state, program)
    assert out.count("0000000000000000") == 5


def test_no_descriptor_but_the_standard_ones(shared_state: Rundlet) -> None:
    program = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])"
    assert attack(shared_state, program) == "[0, 1, 2]"


def test_the_host_is_not_reached_by_parents_of_the_working_directory(shared_state: Rundlet, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    program = f"""
import os
for start in ("/", "/proc/1/root", "/proc/1/cwd", "/proc/self/root"):
    path = start + "/.." * 40 + {str(canary)!r}
    try:
        open(path, "w").write("escaped")
        print("ESCAPED", path)
    except OSError as error:
        pass
print("held")
"""
    assert attack(shared_state, program) == "held"
    assert canary.read_text() == "untouched"


def test_the_launcher_cannot_be_overwritten(shared_state: Rundlet) -> None:
    launcher = Path(os.environ["RUNDLET_BUILD"]) / "runtime" / "launcher" / "rundlet-launcher"
    before = hashlib.sha256(launcher.read_bytes()).hexdigest()
    program = """
import os
for path in ("/proc/1/exe", "/proc/1/root", "/proc/1/mem", "/proc/1/environ"):
    try:
        os.open(path, os.O_WRONLY if path.endswith(("exe", "mem")) else os.O_RDONLY)
        print("OPENED", path)
    except OSError:
        pass
print("held")
"""
    assert attack(shared_state, program) == "held"
    assert hashlib.sha256(launcher.read_bytes()).hexdigest() == before


def test_nobody_outside_is_signalled(shared_state: Rundlet) -> None:
    program = """
import os, signal
try:
    os.kill(-1, 0)
except OSError as error:
    print(type(error).__name__)
print(sorted(int(n) for n in os.listdir("/proc") if n.isdigit())[:2])
"""
    assert attack(shared_state, program).splitlines()[-1] == "[1, 2]"


def test_the_network_is_not_there(shared_state: Rundlet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
import errno, os, socket
print(sorted(name for _, name in socket.if_nameindex()))
for address in (("127.0.0.1", {port}), ("192.0.2.1", 80), ("169.254.169.254", 80)):
    try:
        socket.create_connection(address, timeout=5)
        print("CONNECTED", address)
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
        assert attack(shared_state, program).splitlines() == [
            "['lo']",
            "ECONNREFUSED",
            "ENETUNREACH",
            "ENETUNREACH",
        ]


def test_facts_of_the_host_do_not_leak(shared_state: Rundlet) -> None:
    program = "import os, socket; print(sorted(os.environ), socket.gethostname(), os.path.exists('/etc/machine-id'))"
    out = attack(shared_state, program)
    assert socket.gethostname() not in out or socket.gethostname() == "rundlet"
    for name in ("RUNDLET_STATE", "SSH_AUTH_SOCK", "SUDO_USER"):
        assert name not in out


def test_system_files_are_read_only_or_gone(shared_state: Rundlet) -> None:
    program = """
import errno
for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/usr/bin/python3", "/etc/passwd",
             "/dev/new", "/sys/x"):
    try:
        open(path, "w")
        print("WROTE", path)
    except OSError:
        pass
print("held")
"""
    assert attack(shared_state, program) == "held"
