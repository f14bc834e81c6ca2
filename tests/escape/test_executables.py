"""The programs that make a sandbox, from inside of it: never opened for writing, whoever starts meanwhile."""

from __future__ import annotations

import hashlib
import subprocess

from functional.commands.test_exec import read_line

from support.rundlet import Rundlet, program

STARTS = 20
ATTACK = """
import glob, os, sys, threading
tries = opened = 0
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
print("ready", flush=True)
while not ended.is_set() or tries < 1000:
    for path in glob.glob("/proc/[0-9]*/exe") + glob.glob("/proc/[0-9]*/task/*/exe") + ["/proc/self/exe"]:
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
            tries += 1
            try:
                os.open(path, flags)
                opened += 1
            except OSError:
                pass
print(tries, opened)
"""


def digests() -> dict[str, str]:
    names = ("rundlet", "rundlet-launcher", "rundlet-worker", "rundlet-fetcher")
    return {name: hashlib.sha256(program(name).read_bytes()).hexdigest() for name in names}


def test_no_executable_is_opened_while_others_start(shared_state: Rundlet) -> None:
    """Also as root of the sandbox, to whom its image belongs (`--writable-env` makes it that)."""
    before = digests()
    for options in ((), ("--with", "six==1.17.0", "--writable-env")):
        command = ("exec", "--image", "python-3.11", *options, "--", "python3", "-c", ATTACK)
        with shared_state.start(*command, stdin=subprocess.PIPE) as attacker:
            assert read_line(attacker) == "ready\n"
            for _ in range(STARTS):
                shared_state.ok("exec", "--image", "python-3.11", "--", "true")
            out, err = attacker.communicate(timeout=60)
        assert attacker.returncode == 0, err
        tries, opened = out.split()
        assert int(tries) >= 1000
        assert int(opened) == 0
        assert digests() == before


def libraries(name: str) -> str:
    """What the dynamic linker maps for that program."""
    return subprocess.run(["ldd", program(name)], check=True, stdout=subprocess.PIPE, text=True).stdout


def test_who_parses_has_no_library_of_the_network() -> None:
    network = ("libcurl", "libssl", "libcrypto", "libgnutls", "libkrb5", "libldap", "libresolv")
    assert [name for name in network if name in libraries("rundlet-worker")] == []
    assert [name for name in network[:2] if name in libraries("rundlet-fetcher")] == list(network[:2])
