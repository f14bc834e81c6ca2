"""A registry on loopback that does what a test says, also what no registry should.

with FakeRegistry(image) as registry:
    registry.fault = cut_short(1000)
    rundlet("image", "pull", "--plain-http", registry.name("team/app:1"))
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from support.images import INDEX, Image, encoded, sha256

Blob = Union[bytes, Path]


class Reply:
    """What would be answered; a fault changes it, or answers itself and says so with True."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status, self.body, self.headers = status, body, dict(headers)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: FakeRegistry

    def do_GET(self) -> None:
        self.answer(self.path)

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self.answer(f"{self.path} {form}")

    def answer(self, what: str) -> None:
        self.registry.requests.append((what, dict(self.headers)))
        reply = self.registry.reply_to(self)
        fault = self.registry.fault
        try:
            if fault is not None and fault(self, reply):
                self.close_connection = True
                return
            self.send(reply)
        except OSError:  # whoever asked went away
            self.close_connection = True

    def send(self, reply: Reply, body: Optional[bytes] = None) -> None:
        body = reply.body if body is None else body
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    @property
    def is_blob(self) -> bool:
        return "/blobs/" in self.path

    @property
    def is_manifest(self) -> bool:
        return "/manifests/" in self.path


Fault = Callable[[Handler, Reply], Optional[bool]]


class FakeRegistry:
    """Serves one image, or what a layout on disk holds, under every name and tag."""

    def __init__(self, source: Union[Image, Path], *, fault: Optional[Fault] = None) -> None:
        self.fault = fault
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.released = threading.Event()  # ends stalls
        self.blobs: dict[str, Blob] = {}
        if isinstance(source, Path):
            self.blobs = {blob.name: blob for blob in (source / "blobs/sha256").iterdir()}
            index = json.loads((source / "index.json").read_text())
            descriptor: dict[str, Any] = index["manifests"][0]
        else:
            blobs, descriptor = source.blobs()
            self.blobs.update(blobs)
        self.top = str(descriptor["digest"]).partition(":")[2]
        self.types = {self.top: str(descriptor["mediaType"])}
        outer = self

        class Bound(Handler):
            registry = outer

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> FakeRegistry:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def name(self, name: str = "team/app:1") -> str:
        return f"{self.host}/{name}"

    def put(self, data: bytes, media_type: str = "") -> str:
        digest = sha256(data)
        self.blobs[digest] = data
        if media_type:
            self.types[digest] = media_type
        return digest

    def put_index(self, descriptors: list[dict[str, Any]]) -> dict[str, Any]:
        """An index, which becomes what every tag names; gives its own descriptor."""
        data = encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors})
        self.top = self.put(data, INDEX)
        return {"mediaType": INDEX, "digest": f"sha256:{self.top}", "size": len(data)}

    def descriptor_of_top(self) -> dict[str, Any]:
        return {"mediaType": self.types[self.top], "digest": f"sha256:{self.top}", "size": len(self.read(self.top))}

    def read(self, digest: str) -> bytes:
        blob = self.blobs[digest]
        return blob if isinstance(blob, bytes) else blob.read_bytes()

    def reply_to(self, request: Handler) -> Reply:
        kind, _, reference = request.path.rpartition("/")
        digest = reference.partition(":")[2] or self.top
        if digest not in self.blobs or not kind.startswith("/v2/"):
            return Reply(404, b'{"errors": []}', {"Content-Type": "application/json"})
        body = self.read(digest)
        content_type = self.types.get(digest, "application/octet-stream")
        headers = {"Content-Type": content_type, "ETag": f'"{digest}"'}
        wanted = request.headers.get("Range", "")
        same = request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
        if wanted.startswith("bytes=") and same:
            start = int(wanted[6:].partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return Reply(206, body[start:], headers)
        return Reply(200, body, headers)

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]


@contextlib.contextmanager
def other_host(registry: FakeRegistry) -> Iterator[FakeRegistry]:
    """A second server with the same blobs and its own list of requests."""
    with FakeRegistry(Image()) as other:
        other.blobs, other.types, other.top = registry.blobs, registry.types, registry.top
        yield other
