"""The images of scripts/quickstart: from a registry when one answers, else made here."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from support.rundlet import Rundlet
from support.servers.registry import FakeRegistry

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
set -euo pipefail
rundlet=$1 layout=$2
say() { echo "== $*"; }
. scripts/lib/python_images.sh
ensure_python_image 3.11 bookworm "$layout"
"""


def ensure(driver: Rundlet, layout: Path, **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-c", SCRIPT, "-", str(driver.binary), str(layout)],
        cwd=ROOT,
        env={**driver.environment, "RUNDLET_STATE": str(driver.state), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digest(driver: Rundlet) -> str:
    listed = {image["name"]: image["digest"] for image in driver.json("image", "ls")}
    return str(listed["python-3.11"])


def test_image_of_a_registry(rundlet: Rundlet, image_official: Path, tmp_path: Path) -> None:
    with FakeRegistry(image_official) as registry:
        variables = {"RUNDLET_MIRRORS": f"docker.io=http://{registry.host}"}
        said = ensure(rundlet, tmp_path / "unused", **variables)
        assert "== image python-3.11: pulling python:3.11-slim\n" in said
        assert registry.paths()[0] == "/v2/library/python/manifests/3.11-slim"
        assert digest(rundlet) == f"sha256:{registry.top}"
        assert not (tmp_path / "unused").exists()
        # What is there already is not done again.
        registry.requests.clear()
        assert ensure(rundlet, tmp_path / "unused", **variables) == ""
        assert registry.requests == []


def test_no_registry_answers(rundlet: Rundlet, small_image: Path) -> None:
    """One that takes connections and says nothing does not hold it up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = ensure(rundlet, small_image, https_proxy=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (
        "== the public registry does not answer within 5 s\n== image python-3.11: made from Debian packages\n" in said
    )
    assert rundlet.json("image", "inspect", "python-3.11")["origin"] is None
