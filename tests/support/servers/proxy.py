"""A proxy on loopback that remembers what it was asked for.

with Proxy() as proxy:
    environment = {"https_proxy": proxy.url}
"""

from __future__ import annotations

import http.client
import http.server
import select
import socket
import threading
import urllib.parse


class Proxy:
    """`asked`: `CONNECT host:port` and `GET url`, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                outer.asked.append(f"CONNECT {self.path}")
                host, _, port = self.path.rpartition(":")
                with socket.create_connection((host, int(port)), timeout=30) as there:
                    self.send_response(200)
                    self.end_headers()
                    self.tunnel(there)
                self.close_connection = True

            def tunnel(self, there: socket.socket) -> None:
                other = {self.connection: there, there: self.connection}
                while True:
                    for ready in select.select(list(other), [], [])[0]:
                        try:
                            data = ready.recv(1 << 16)
                            other[ready].sendall(data)
                        except OSError:
                            return
                        if not data:
                            return

            def do_GET(self) -> None:
                outer.asked.append(f"GET {self.path}")
                parts = urllib.parse.urlsplit(self.path)
                connection = http.client.HTTPConnection(parts.netloc, timeout=30)
                headers = {key: value for key, value in self.headers.items() if not key.startswith("Proxy-")}
                connection.request("GET", parts.path, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                connection.close()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
