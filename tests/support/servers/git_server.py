"""Git repositories, served by https from this host's loopback.

repository = Repository(folder / "pkg.git")
commit = repository.commit({"pyproject.toml": "..."}, tag="v1.0")
with GitServer(folder, certificates.server(), host="git.test") as server:
    server.url("pkg.git") == "https://git.test:40123/pkg.git"
"""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit


class Repository:
    """A bare repository with one branch, `main`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(path), inside=False)
        self._git("config", "http.receivepack", "false")

    def _git(self, *command: str, inside: bool = True, **variables: str) -> str:
        where = ("-C", str(self.path)) if inside else ()
        people = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        environment = {**os.environ, **dict.fromkeys(people, "tests@example.org"), "GIT_CONFIG_GLOBAL": "/dev/null"}
        environment.update(variables)
        done = subprocess.run(["git", *where, *command], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(
        self,
        files: Mapping[str, str],
        tag: str = "",
        links: Mapping[str, str] = MappingProxyType({}),
        submodules: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """A commit of exactly these files, symbolic links and commits of submodules on top of `main`; its name."""
        work = self.path.with_suffix(".work")
        inside = {"GIT_DIR": str(self.path), "GIT_WORK_TREE": str(work), "GIT_INDEX_FILE": str(work / ".index")}
        work.mkdir(exist_ok=True)
        (work / ".index").unlink(missing_ok=True)
        for name, text in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
            self._git("add", "--", str(work / name), inside=False, **inside)
        for name, target in links.items():
            (work / name).symlink_to(target)
            self._git("add", "--", str(work / name), inside=False, **inside)
        for name, commit in submodules.items():
            self._git("update-index", "--add", "--cacheinfo", f"160000,{commit},{name}", inside=False, **inside)
        self._git("commit", "--quiet", "--message", "files", inside=False, **inside)
        if tag:
            self._git("tag", tag)
        return self._git("rev-parse", "HEAD")

    def annotate(self, tag: str) -> str:
        """An annotated tag of `main`; the name of the tag itself, not of its commit."""
        self._git("tag", "--annotate", "--message", "a tag", tag)
        return self._git("rev-parse", tag)


class GitServer:
    """git-http-backend for all repositories of a folder, read-only. Threads: one per connection."""

    def __init__(self, folder: Path, tls: ssl.SSLContext, host: str) -> None:
        self._host, self.folder = host, folder
        self.requests: list[str] = []  # paths, without queries
        self.elsewhere = ""  # where all is to be had instead, when there is such a place
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.folder, self._server.git = folder, self
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, name: str) -> str:
        return f"https://{self._host}:{self.port}/{name}"

    def __enter__(self) -> GitServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    folder: Path
    git: GitServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        """By CGI."""
        parts = urlsplit(self.path)
        self.server.git.requests.append(parts.path)
        if self.server.git.elsewhere:
            self.send_response(302)
            self.send_header("Location", self.server.git.elsewhere + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().splitlines()]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
