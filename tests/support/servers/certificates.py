"""A certificate authority of a test's own, and a server's certificate by it."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@dataclass(frozen=True)
class Certificates:
    authority: Path  # a PEM file to trust
    certificate: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificates(folder: Path, *names: str) -> Certificates:
    made = Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    request = ["openssl", "req", "-x509", *_NEW_KEY]
    root = [*request, "-keyout", folder / "authority.key", "-out", made.authority, "-subj", "/CN=test authority"]
    leaf = [*request, "-keyout", made.key, "-out", made.certificate, "-subj", "/CN=test server"]
    leaf += ["-CA", made.authority, "-CAkey", folder / "authority.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    leaf += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    for command in (root, leaf):
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return made
