"""A registry in the test's own process: what it has and what it says is the test's choice. Tokens where wanted."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
#: The longest that anything is held, in seconds.
PATIENCE = 120
_PATH = re.compile(r"/v2/(.+)/(manifests|blobs|tags)/(.+)")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class AnyRegistry:
    """`users` (name -> password) makes it one with tokens; a repository `name/...` is the user's own."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.users: dict[str, str] = {}
        #: What a search finds; None where the registry has no index.
        self.index: list[dict[str, Any]] | None = None
        #: method and path of all requests.
        self.asked: list[str] = []
        #: path -> what its answer waits for.
        self.held: dict[str, threading.Event] = {}
        #: path -> what the second half of its content waits for.
        self.halved: dict[str, threading.Event] = {}
        #: What the answer to content that is sent here waits for.
        self.taken: threading.Event | None = None
        #: path -> (status, headers) instead of what would be answered.
        self.instead: dict[str, tuple[int, dict[str, str]]] = {}
        address, port = host.rsplit(":", 1)
        registry = self

        class Handler(_Handler):
            here = registry

        self._server = ThreadingHTTPServer((address, int(port)), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> AnyRegistry:
        threading.Thread(target=self._server.serve_forever, name="registry", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, name: str, tag: str, config: bytes, layers: Sequence[bytes], *, missing: bool = False) -> str:
        """A manifest that names these blobs, of which `missing` ones are not there. Its digest."""
        for blob in () if missing else (config, *layers):
            self.blobs[name, digest_of(blob)] = blob
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor("application/vnd.docker.container.image.v1+json", config),
            "layers": [_descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", blob) for blob in layers],
        }
        raw = json.dumps(document).encode()
        self.manifests[name, tag] = self.manifests[name, digest_of(raw)] = (MANIFEST, raw)
        return digest_of(raw)

    def image(self, name: str, tag: str, layers: Sequence[bytes], **config: Any) -> str:
        """An image of plain layers. Its id."""
        root = {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}
        raw = json.dumps({"os": "linux", "architecture": "amd64", "config": config, "rootfs": root}).encode()
        self.put(name, tag, raw, [gzip.compress(layer, mtime=0) for layer in layers])
        return digest_of(raw)


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(content), "digest": digest_of(content)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    here: AnyRegistry

    def do_GET(self) -> None:
        self.here.asked.append(f"{self.command} {self.path}")
        data = self._body()
        parts = urlsplit(self.path)
        if parts.path in self.here.held:
            self.here.held[parts.path].wait(PATIENCE)
        if parts.path in self.here.instead:
            status, headers = self.here.instead[parts.path]
            self._answer(status, b"", **headers)
        elif parts.path == "/token":
            self._token(parse_qs(parts.query))
        elif parts.path == "/v1/_ping" and self.here.index is not None:
            self._answer(200, b"true")
        elif parts.path == "/v1/search" and self.here.index is not None:
            self._search(parse_qs(parts.query))
        elif not self._allowed(parts.path):
            scope = re.sub(r"/v2/(.+)/(?:manifests|blobs|tags)/.*", r"repository:\1:pull,push", parts.path)
            scope = f',scope="{scope}"' if scope.startswith("repository") else ""
            realm = f'Bearer realm="http://{self.here.host}/token",service="test"{scope}'
            self._refuse(401, "UNAUTHORIZED", **{"WWW-Authenticate": realm})
        elif parts.path == "/v2/":
            self._answer(200, b"{}")
        else:
            match = _PATH.fullmatch(parts.path)
            name, kind, reference = match.groups() if match else ("", "", "")
            getattr(self, f"_{kind or 'none'}")(name, reference, data)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def _body(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _token(self, query: dict[str, list[str]]) -> None:
        given = base64.b64decode((self.headers.get("Authorization") or "Basic ").split(" ")[1]).decode()
        name, _, password = given.partition(":")
        if self.here.users.get(name) != password:
            self._refuse(401, "UNAUTHORIZED", message="incorrect username or password")
        else:
            self._answer(200, json.dumps({"token": f"token-of-{name}"}).encode())

    def _search(self, query: dict[str, list[str]]) -> None:
        term, most = query["q"][0], int(query.get("n", ["25"])[0])
        found = [one for one in self.here.index or [] if term in one["name"]][:most]
        answer = {"query": term, "num_results": len(found), "page_size": most, "results": found}
        self._answer(200, json.dumps(answer).encode())

    def _allowed(self, path: str) -> bool:
        if not self.here.users:
            return True
        name = (self.headers.get("Authorization") or "").removeprefix("Bearer token-of-")
        return name in self.here.users and path.startswith(("/v2/" + name + "/", "/v2/")[path == "/v2/"])

    def _manifests(self, name: str, reference: str, data: bytes) -> None:
        if self.command == "PUT":
            kind = self.headers["Content-Type"]
            self.here.manifests[name, reference] = self.here.manifests[name, digest_of(data)] = (kind, data)
            self._answer(201, b"", **{"Docker-Content-Digest": digest_of(data)})
        elif found := self.here.manifests.get((name, reference)):
            self._answer(200, found[1], **{"Content-Type": found[0], "Docker-Content-Digest": digest_of(found[1])})
        else:
            self._refuse(404, "MANIFEST_UNKNOWN")

    def _blobs(self, name: str, reference: str, data: bytes) -> None:
        if reference.startswith("uploads/"):
            self._upload(name, reference, data)
        elif (name, reference) in self.here.blobs:
            self._answer(200, self.here.blobs[name, reference], **{"Docker-Content-Digest": reference})
        else:
            self._refuse(404, "BLOB_UNKNOWN")

    def _upload(self, name: str, reference: str, data: bytes) -> None:
        if self.command == "POST":
            reference = f"uploads/{secrets.token_hex(8)}"
        pending = self.here.blobs.get((name, reference), b"") + data if self.command != "POST" else b""
        self.here.blobs[name, reference] = pending
        if self.command == "PATCH" and self.here.taken is not None:
            self.here.taken.wait(PATIENCE)
        if self.command == "PUT":
            digest = parse_qs(urlsplit(self.path).query)["digest"][0]
            assert digest == digest_of(pending)
            self.here.blobs[name, digest] = self.here.blobs.pop((name, reference))
            self._answer(201, b"", **{"Docker-Content-Digest": digest, "Location": f"/v2/{name}/blobs/{digest}"})
        else:
            self._answer(202, b"", Location=f"/v2/{name}/blobs/{reference}", Range=f"0-{max(len(pending) - 1, 0)}")

    def _tags(self, name: str, reference: str, data: bytes) -> None:
        tags = sorted(tag for known, tag in self.here.manifests if known == name and not tag.startswith("sha256:"))
        self._answer(200, json.dumps({"name": name, "tags": tags}).encode())

    def _none(self, name: str, reference: str, data: bytes) -> None:
        self._refuse(404, "NAME_UNKNOWN")

    def _refuse(self, status: int, code: str, message: str = "", **headers: str) -> None:
        words = message or code.lower().replace("_", " ")
        error = {"code": code, "message": words, "detail": {"Tag": "x"}}
        self._answer(status, json.dumps({"errors": [error]}).encode(), **headers)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):  # who asked may be dead
                if gate := self.here.halved.get(urlsplit(self.path).path):
                    half = len(body) // 2
                    self.wfile.write(body[:half])
                    gate.wait(PATIENCE)
                    body = body[half:]
                self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
