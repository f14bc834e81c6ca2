"""Debian's docker-registry on loopback: open, behind a password, or behind a token server.

with DockerRegistry(folder) as registry:
    registry.push(layout, "team/app:1")
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

USER, PASSWORD = "reader", "pass:word \\ and more"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def basic(user: str = USER, password: str = PASSWORD) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class TokenServer:
    """Gives tokens that docker-registry believes: to whoever knows the password, or to all."""

    def __init__(self, folder: Path, *, login: bool) -> None:
        self.folder, self.login = folder, login
        self.requests: list[dict[str, Any]] = []
        self.key, self.certificate = folder / "token.key", folder / "token.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens"]
        command += ["-keyout", str(self.key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self, urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                outer.answer(self, urllib.parse.parse_qs(body.decode()))

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"

    def answer(self, request: http.server.BaseHTTPRequestHandler, fields: dict[str, list[str]]) -> None:
        given = request.headers.get("Authorization")
        self.requests.append({"fields": fields, "authorization": given})
        known = given == f"Basic {basic()}" or fields.get("refresh_token") == ["identity"]
        if (self.login or given) and not known:
            request.send_error(401)
            return
        kind, name, actions = fields["scope"][0].split(":")
        token = self.sign(fields["service"][0], [{"type": kind, "name": name, "actions": actions.split(",")}])
        body = json.dumps({"token": token, "expires_in": 300}).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def sign(self, service: str, access: list[dict[str, Any]]) -> str:
        def packed(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).decode().rstrip("=")

        certificate = "".join(self.certificate.read_text().splitlines()[1:-1])
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
        claims = {"iss": "tests", "sub": "", "aud": service, "exp": now + 300, "nbf": now - 10, "iat": now}
        text = packed(json.dumps(header).encode()) + "." + packed(json.dumps({**claims, "access": access}).encode())
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        signature = subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{packed(signature)}"

    def start(self) -> None:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def make_certificate(folder: Path, authority: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, signed by an authority made on the way."""
    certificate, key, extension = folder / "server.pem", folder / "server.key", folder / "server.ext"
    authority_key, request = str(folder / "authority.key"), str(folder / "server.csr")
    extension.write_text("subjectAltName=IP:127.0.0.1\n")

    def openssl(*command: str) -> None:
        subprocess.run(["openssl", *command, "-days", "2"], check=True, capture_output=True)

    new = ("-newkey", "rsa:2048", "-nodes", "-subj")
    openssl("req", "-x509", *new, "/CN=authority of the tests", "-keyout", authority_key, "-out", str(authority))
    openssl("req", *new, "/CN=registry", "-keyout", str(key), "-out", request)
    signing = ("-CA", str(authority), "-CAkey", authority_key, "-CAcreateserial", "-extfile", str(extension))
    openssl("x509", "-req", "-in", request, *signing, "-out", str(certificate))
    return certificate, key


class DockerRegistry:
    """`auth`: None, "password", "token" (for all) or "token-login" (with the password).

    `tls`: speaks https, with a certificate of the authority in `authority`.
    """

    def __init__(self, folder: Path, *, auth: Optional[str] = None, tls: bool = False) -> None:
        self.folder, self.auth, self.tls = folder, auth, tls
        self.authority = folder / "authority.pem"
        self.host = ""  # known once it runs
        self.tokens: Optional[TokenServer] = None
        self.process: Optional[subprocess.Popen[bytes]] = None

    def settings(self) -> dict[str, Any]:
        """All but the address; with the keys and passwords that they name."""
        settings: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}},
            "http": {},
        }
        if self.tls:
            certificate, key = make_certificate(self.folder, self.authority)
            settings["http"]["tls"] = {"certificate": str(certificate), "key": str(key)}
        if self.auth == "password":
            passwords = self.folder / "passwords"
            made = subprocess.run(["htpasswd", "-Bbn", USER, PASSWORD], check=True, capture_output=True)
            passwords.write_bytes(made.stdout)
            settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(passwords)}}
        elif self.tokens is not None:
            bundle = str(self.tokens.certificate)
            settings["auth"] = {
                "token": {
                    "realm": self.tokens.url,
                    "service": "our registry",
                    "issuer": "tests",
                    "rootcertbundle": bundle,
                }
            }
        return settings

    def __enter__(self) -> DockerRegistry:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.auth in ("token", "token-login"):
            self.tokens = TokenServer(self.folder, login=self.auth == "token-login")
            self.tokens.start()
        settings = self.settings()
        try:
            # A free port may be somebody else's by the time it is used: then the registry ends, and is given another.
            if any(self.runs_at(f"127.0.0.1:{_free_port()}", settings) for _ in range(5)):
                return self
            raise AssertionError((self.folder / "log").read_text())
        except BaseException:
            self.stop()
            raise

    def runs_at(self, host: str, settings: dict[str, Any]) -> bool:
        """Whether it answers there; not when it has ended instead."""
        self.host = settings["http"]["addr"] = host
        path = self.folder / "config.yml"
        path.write_text(json.dumps(settings))  # JSON is YAML
        with open(self.folder / "log", "wb") as log:
            command = ["docker-registry", "serve", str(path)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)
        return self.process.poll() is None

    def answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.authority)) if self.tls else None
        try:
            scheme = "https" if self.tls else "http"
            urllib.request.urlopen(f"{scheme}://{self.host}/v2/", timeout=5, context=context).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.tokens is not None:
            self.tokens.stop()

    def name(self, name: str) -> str:
        return f"{self.host}/{name}"

    def push(self, layout: Path, name: str) -> None:
        """Copies an OCI layout, with all its platforms, byte for byte."""
        command = ["skopeo", "copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false"]
        if self.auth is not None:
            command += ["--dest-creds", f"{USER}:{PASSWORD}"]
        command += [f"oci:{layout}", f"docker://{self.name(name)}"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOME": str(self.folder)})
        assert done.returncode == 0, done.stderr
