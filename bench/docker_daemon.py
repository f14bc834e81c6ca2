"""A docker daemon with everything of its own: socket, data, containers, mount namespace, control groups."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path


class LeftOut(Exception):
    """Why a contender does not take part."""


class DockerDaemon:
    """Runs until it is closed. `client` is the command that talks to it."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir()
        self.group = f"rundlet-bench-{os.getpid()}"
        self.socket = folder / "socket"
        # Debian's client fits Debian's daemon.
        client = shutil.which("docker", path="/usr/bin:" + os.environ["PATH"])
        daemon = shutil.which("dockerd")
        if client is None or daemon is None:
            raise LeftOut("not installed")
        self.client = [client, "--host", f"unix://{self.socket}"]
        places = {
            "--host": f"unix://{self.socket}",
            "--data-root": folder / "data",
            "--exec-root": folder / "run",
            "--pidfile": folder / "pid",
            "--config-file": folder / "none.json",
            "--bridge": "none",
            "--cgroup-parent": f"/{self.group}",
            "--log-driver": "none",
        }
        (folder / "none.json").write_text("{}")
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.daemon = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", daemon, "--iptables=false", "--ip-forward=false"]
                + [f"{name}={value}" for name, value in places.items()]
                + list(options),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._await()
        except BaseException:
            self.close()
            raise

    def _await(self) -> None:
        end = time.monotonic() + 60
        while subprocess.run([*self.client, "version"], capture_output=True, check=False).returncode != 0:
            if self.daemon.poll() is not None or time.monotonic() > end:
                lines = self.log.read_text(errors="replace").splitlines() or ["no word from it"]
                raise LeftOut(f"its daemon does not serve here: {lines[-1]}")
            time.sleep(0.1)

    def import_tree(self, root: Path, name: str) -> None:
        """A plain tree as an image of one layer."""
        with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
            command = [*self.client, "import", "-", name]
            done = subprocess.run(command, stdin=tar.stdout, capture_output=True, check=False)
        if done.returncode != 0:
            raise LeftOut(f"it does not take the image: {done.stderr.decode(errors='replace').strip()}")

    def close(self) -> None:
        self.daemon.terminate()
        self.daemon.wait(120)
        for group in Path("/sys/fs/cgroup").glob(f"**/{self.group}"):
            with contextlib.suppress(OSError):
                group.rmdir()
