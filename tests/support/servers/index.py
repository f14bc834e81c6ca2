"""A package index on the loopback interface, with faults to switch on.

    with PackageIndex() as index:
        index.add(Wheel("demo"))
        index.fault("/files/demo-1.0-py3-none-any.whl", truncate=100)
        ... RUNDLET_INDEX=index.url ...
        assert index.count("/simple/demo/") == 1

Pages follow PEP 503 (HTML) and PEP 691 (JSON), by the Accept header; metadata files PEP 658/714.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import ssl
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional, Union
from urllib.parse import quote, unquote, urlsplit

from support.wheels import Wheel

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HOLD = 100.0  # seconds; RUNDLET_NETWORK_TIMEOUT has to be more


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Fault:
    """How the answer to one path goes wrong. `times` limits it to the first requests."""

    status: Optional[int] = None
    times: Optional[int] = None
    truncate: Optional[int] = None  # close the connection after this many bytes of the body
    flip: Optional[int] = None  # change the byte at this offset
    stall: float = 0  # seconds before the answer; ends early when the index is closed
    rate: int = 0  # bytes a second
    hold: Optional[threading.Event] = None  # the second half of the body waits for it, for HOLD seconds at most
    redirect: str = ""
    body: Optional[bytes] = None
    no_ranges: bool = False
    etag: str = ""


@dataclass(frozen=True)
class IndexFile:
    name: str
    project: str
    source: Union[bytes, Path]
    sha256: str
    size: int
    listed_sha256: Optional[str]  # what the pages say; None: nothing
    metadata: Optional[bytes] = None
    requires_python: str = ""
    yanked: Union[bool, str] = False
    listed_url: str = ""
    uploaded: str = ""  # "2025-01-31T12:00:00.000000Z"; JSON pages only

    def read(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)


class PackageIndex:
    """Threads: one per connection; everything shared is behind one lock."""

    def __init__(
        self,
        *,
        metadata: bool = True,
        json_pages: bool = True,
        cacheable: bool = False,  # it says how long its answers hold, in the words of the public index
        credentials: str = "",
        tls: Optional[ssl.SSLContext] = None,
        host: str = "127.0.0.1",  # the name it gives itself
    ) -> None:
        self._origin = f"{'https' if tls else 'http'}://{host}"
        self.metadata, self.json_pages, self.cacheable = metadata, json_pages, cacheable
        self.credentials = credentials  # "user:password": asked for on every path
        self.on_request: Callable[[Request], None] = lambda request: None  # before it is answered
        self._files: dict[str, IndexFile] = {}
        self._faults: dict[str, Fault] = {}
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.index = self
        if tls:  # shaking hands is the part of each connection's own thread
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> PackageIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def base(self) -> str:
        return f"{self._origin}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.base}/simple"

    def add(self, wheel: Wheel, **more: Any) -> str:
        """Offers a wheel; gives the path of its file."""
        more.setdefault("metadata", wheel.metadata_bytes())
        more.setdefault("requires_python", wheel.requires_python)
        return self.add_bytes(wheel.filename, wheel.to_bytes(), project=wheel.name, **more)

    def add_bytes(self, name: str, data: bytes, project: str = "", **more: Any) -> str:
        digest = hashlib.sha256(data).hexdigest()
        return self._add(name, data, digest, len(data), project, more)

    def add_file(self, path: Path, sha256: str = "", **more: Any) -> str:
        """Offers a file on disk, which is read when it is asked for."""
        if not sha256:
            with open(path, "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if path.suffix == ".whl" and "metadata" not in more:
            with zipfile.ZipFile(path) as archive:
                info = next(n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
                more["metadata"] = archive.read(info)
            found = re.search(rb"^Requires-Python: (.*?)\r?$", more["metadata"], re.MULTILINE)
            if found:
                more.setdefault("requires_python", found.group(1).decode())
        return self._add(path.name, path, sha256, path.stat().st_size, "", more)

    def _add(
        self, name: str, source: Union[bytes, Path], sha256: str, size: int, project: str, more: dict[str, Any]
    ) -> str:
        if not project:
            project = name.split("-")[0] if name.endswith(".whl") else name.rpartition("-")[0]
        more.setdefault("listed_sha256", sha256)
        file = IndexFile(name, normalized(project), source, sha256, size, **more)
        with self._lock:
            self._files[name] = file
        return f"/files/{name}"

    def file(self, path: str) -> IndexFile:
        """What is offered at a path that `add` gave."""
        with self._lock:
            return self._files[path.removeprefix("/files/")]

    def remove(self, name: str) -> None:
        with self._lock:
            del self._files[name]

    def fault(self, path: str, **how: Any) -> None:
        """Replaces the fault of a path; without arguments, removes it. `*` at the end matches any rest."""
        with self._lock:
            self._faults[path] = Fault(**how)

    def _fault_for(self, path: str) -> Fault:
        with self._lock:
            for pattern, fault in self._faults.items():
                if path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1])):
                    if fault.times is None:
                        return fault
                    if fault.times > 0:
                        self._faults[pattern] = replace(fault, times=fault.times - 1)
                        return fault
        return Fault()

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def counts(self) -> Counter[str]:
        """Requests by path."""
        return Counter(request.path for request in self.requests)

    def count(self, path: str) -> int:
        return self.counts()[path]

    def forget(self) -> None:
        """Starts counting anew."""
        with self._lock:
            self._requests.clear()

    # -- answers

    def _page(self, project: Optional[str], as_json: bool) -> Optional[bytes]:
        with self._lock:
            files = [f for f in self._files.values() if project is None or f.project == project]
        if project is None:
            names = sorted({file.project for file in files})
            if as_json:
                answer = {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in names]}
                return json.dumps(answer).encode()
            links = "".join(f'<a href="/simple/{name}/">{name}</a>\n' for name in names)
            return f"<!DOCTYPE html><html><body>\n{links}</body></html>\n".encode()
        if not files:
            return None
        files.sort(key=lambda file: file.name)
        return self._json_page(project, files) if as_json else self._html_page(files)

    def _url_of(self, file: IndexFile) -> str:
        return file.listed_url or f"{self.base}/files/{quote(file.name)}"

    def _json_page(self, project: str, files: list[IndexFile]) -> bytes:
        entries = []
        for file in files:
            entry: dict[str, Any] = {"filename": file.name, "url": self._url_of(file), "size": file.size}
            entry["hashes"] = {"sha256": file.listed_sha256} if file.listed_sha256 else {}
            if file.requires_python:
                entry["requires-python"] = file.requires_python
            if file.yanked:
                entry["yanked"] = file.yanked
            if file.uploaded:
                entry["upload-time"] = file.uploaded
            if self.metadata and file.metadata is not None:
                hashes = {"sha256": hashlib.sha256(file.metadata).hexdigest()}
                entry["core-metadata"] = hashes  # pip before 23.1 fails on the older dist-info-metadata
            entries.append(entry)
        page = {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": entries}
        return json.dumps(page).encode()

    def _html_page(self, files: list[IndexFile]) -> bytes:
        lines = []
        for file in files:
            url = self._url_of(file) + (f"#sha256={file.listed_sha256}" if file.listed_sha256 else "")
            attributes = f'href="{html.escape(url)}"'
            if file.requires_python:
                attributes += f' data-requires-python="{html.escape(file.requires_python)}"'
            if file.yanked:
                reason = "" if file.yanked is True else html.escape(str(file.yanked))
                attributes += f' data-yanked="{reason}"'
            if self.metadata and file.metadata is not None:
                digest = hashlib.sha256(file.metadata).hexdigest()
                attributes += f' data-core-metadata="sha256={digest}" data-dist-info-metadata="sha256={digest}"'
            lines.append(f"<a {attributes}>{html.escape(file.name)}</a><br>\n")
        return f"<!DOCTYPE html><html><body>\n{''.join(lines)}</body></html>\n".encode()

    def _find(self, path: str, accept: str) -> tuple[Optional[bytes], str]:
        """Body and content type for a path; no body: not found."""
        as_json = self.json_pages and JSON_TYPE in accept
        page_type = JSON_TYPE if as_json else "text/html; charset=utf-8"
        parts = [unquote(part) for part in path.split("/")[1:]]
        if parts in (["simple"], ["simple", ""]):
            return self._page(None, as_json), page_type
        if len(parts) in (2, 3) and parts[0] == "simple":
            return self._page(normalized(parts[1]), as_json), page_type
        if len(parts) == 2 and parts[0] == "files":
            name = parts[1].removesuffix(".metadata")
            with self._lock:
                file = self._files.get(name)
            if file is not None and name != parts[1]:
                return (file.metadata if self.metadata else None), "application/octet-stream"
            if file is not None:
                return file.read(), "application/octet-stream"
        return None, ""


class _Server(ThreadingHTTPServer):
    index: PackageIndex
    daemon_threads = True
    request_queue_size = 128  # of five, the sixth client that comes at once waits a second, and longer the next time

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients go away: that is part of the tests


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(send_body=True)

    def do_HEAD(self) -> None:
        self._answer(send_body=False)

    def _authorized(self) -> bool:
        wanted = self.server.index.credentials
        given = self.headers.get("Authorization", "")
        return not wanted or given == "Basic " + base64.b64encode(wanted.encode()).decode()

    def _short(self, status: int, *headers: tuple[str, str]) -> None:
        body = f"{status}\n".encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self, send_body: bool) -> None:
        index, path = self.server.index, urlsplit(self.path).path
        request = Request(self.command, path, dict(self.headers.items()))
        with index._lock:
            index._requests.append(request)
        index.on_request(request)
        fault = index._fault_for(path)
        body, content_type = index._find(path, self.headers.get("Accept", ""))
        if fault.body is not None:
            body, content_type = fault.body, content_type or "text/html"
        if fault.stall and index._closing.wait(fault.stall):
            self.close_connection = True
        elif not self._authorized():
            self._short(401, ("WWW-Authenticate", 'Basic realm="tests"'))
        elif fault.status is not None:
            self._short(fault.status)
        elif fault.redirect:
            self._short(302, ("Location", fault.redirect))
        elif body is None:
            self._short(404)
        else:
            self._answer_with(body, content_type, fault, send_body)

    def _range(self, total: int, etag: str) -> tuple[int, int] | None:
        """The part that is asked for, when one is: from, to (not included)."""
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not wanted or wanted.group(0) == "bytes=-" or self.headers.get("If-Range", etag) != etag:
            return None
        first, last = wanted.groups()
        start = int(first) if first else max(0, total - int(last))
        return start, min(total, int(last) + 1) if first and last else total

    def _answer_with(self, body: bytes, content_type: str, fault: Fault, send_body: bool) -> None:
        etag = fault.etag or f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if fault.flip is not None and body:
            at = fault.flip % len(body)
            body = body[:at] + bytes([body[at] ^ 0x01]) + body[at + 1 :]
        total, start = len(body), 0
        part = None if fault.no_ranges else self._range(total, etag)
        if part is None:
            self.send_response(200)
        elif part[0] >= min(total, part[1]):
            self._short(416, ("Content-Range", f"bytes */{total}"))
            return
        else:
            start, end = part
            body = body[start:end]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", etag)
        if self.server.index.cacheable:
            is_page = self.path.startswith("/simple/")
            self.send_header("Cache-Control", f"max-age={'600' if is_page else '365000000, immutable'}, public")
        if not fault.no_ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if not send_body:
            return
        if fault.truncate is not None:
            body = body[: max(0, fault.truncate - start)]
            self.close_connection = True
        if fault.hold is not None:
            half = len(body) // 2
            self.wfile.write(body[:half])
            body = body[half:]
            self._wait_for(fault.hold)
        self._send(body, fault.rate)

    def _wait_for(self, event: threading.Event) -> None:
        """The end of the index ends it too, and breaks the answer off."""
        closing, deadline = self.server.index._closing, time.monotonic() + HOLD
        while not event.wait(0.02) and time.monotonic() < deadline:
            if closing.is_set():
                raise ConnectionAbortedError

    def _send(self, body: bytes, rate: int) -> None:
        if not rate:
            self.wfile.write(body)
            return
        step = max(1, rate // 20)
        for at in range(0, len(body), step):
            self.wfile.write(body[at : at + step])
            if self.server.index._closing.is_set():
                self.close_connection = True
                return
            time.sleep(step / rate)
