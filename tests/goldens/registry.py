"""A registry of few words inside an engine's own network: a login that gives an identity token, and a search."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ADDRESS = ("127.0.0.1", 5000)
HOST = "127.0.0.1:5000"

_NEW_NETWORK = 0x40000000


class _Words(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/v2/") and "Authorization" not in self.headers:
            challenge = f'Bearer realm="http://{HOST}/token",service="it"'
            self._say(401, {"errors": []}, {"WWW-Authenticate": challenge})
        elif url.path == "/v2/":
            self._say(200, {})
        elif url.path == "/token":
            self._say(200, {"access_token": "access", "refresh_token": "refresh", "expires_in": 300})
        elif url.path == "/v1/_ping":
            self._say(200, True)
        elif url.path == "/v1/search":
            limit = int(urllib.parse.parse_qs(url.query).get("n", ["25"])[0])
            found = [{"name": f"thing{n}", "description": "", "star_count": n} for n in range(40)][:limit]
            self._say(200, {"num_results": len(found), "query": "thing", "results": found})
        else:
            self._say(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()

    def _say(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        said = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}
        for name, value in {**said, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def beside(engine_pid: int) -> Iterator[None]:
    """The registry at ADDRESS in the network of that process."""
    server = ThreadingHTTPServer(ADDRESS, _Words, bind_and_activate=False)
    server.socket.close()

    def listen() -> None:
        # A socket stays in the network in which it was made; only this thread goes there.
        namespace = os.open(Path("/proc") / str(engine_pid) / "ns" / "net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(namespace, _NEW_NETWORK) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(namespace)
        server.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.server_bind()
        server.server_activate()

    maker = threading.Thread(target=listen)
    maker.start()
    maker.join()
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
