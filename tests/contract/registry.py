"""A registry of a few images, without TLS or login: `python -m tests.contract.registry`.

It serves what an engine asks for in a pull and nothing else. The layer of `slow/tool` takes hours.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests import busybox

ADDRESS = "127.0.0.1:5000"
_TYPE = "application/vnd.docker."
MANIFEST = f"{_TYPE}distribution.manifest.v2+json"
_PATH = re.compile(r"/v2/(.+)/(manifests|blobs)/(.+)")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Content:
    """Repository -> tag -> manifest. `lib/tool:1`, `lib/tool:2` and `slow/tool:1` are different images."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.ids: dict[tuple[str, str], str] = {}
        for repository, tag in (("lib/tool", "1"), ("lib/tool", "2"), ("slow/tool", "1")):
            self._add(repository, tag)

    def _add(self, repository: str, tag: str) -> None:
        config = json.dumps(self.config(repository, tag), sort_keys=True).encode()
        layer = gzip.compress(self.layer(repository), mtime=0)
        for blob in (config, layer):
            self.blobs[digest_of(blob)] = blob
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self._descriptor("container.image.v1+json", config),
                "layers": [self._descriptor("image.rootfs.diff.tar.gzip", layer)],
            }
        ).encode()
        self.manifests[repository, tag] = self.manifests[repository, digest_of(manifest)] = manifest
        self.ids[repository, tag] = digest_of(config)

    @staticmethod
    def layer(repository: str) -> bytes:
        # A layer that the engine has already would not be fetched.
        return busybox.files({"slow": random.Random(1).randbytes(100_000)}) if "slow" in repository else busybox.layer()

    @classmethod
    def config(cls, repository: str, tag: str) -> dict[str, Any]:
        root = {"type": "layers", "diff_ids": [digest_of(cls.layer(repository))]}
        return busybox.config(Labels={"name": f"{repository}:{tag}"}) | {"rootfs": root}

    @staticmethod
    def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
        return {"mediaType": _TYPE + kind, "size": len(content), "digest": digest_of(content)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content = Content()

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self._answer(200, "application/json", b"{}")
            return
        match = _PATH.fullmatch(self.path)
        repository, kind, reference = match.groups() if match else ("", "", "")
        if kind == "manifests" and (manifest := self.content.manifests.get((repository, reference))):
            self._answer(200, MANIFEST, manifest)
        elif kind == "blobs" and (blob := self.content.blobs.get(reference)):
            slow = repository == "slow/tool" and len(blob) > 50_000
            self._answer(200, "application/octet-stream", blob, slow=slow)
        else:
            code = "MANIFEST_UNKNOWN" if kind == "manifests" else "NAME_UNKNOWN"
            # Without a detail, an engine does not know its own error code again.
            error = {"code": code, "message": code.lower().replace("_", " "), "detail": {"Tag": reference}}
            self._answer(404, "application/json", json.dumps({"errors": [error]}).encode())

    do_HEAD = do_GET

    def _answer(self, status: int, kind: str, body: bytes, *, slow: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", digest_of(body))
        self.end_headers()
        if self.command == "HEAD":
            return
        if slow:
            self.wfile.write(body[:5000])
            for byte in body[5000:]:
                time.sleep(0.2)
                self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        sys.stdout.write(f"{self.command} {self.path}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    host, port = ADDRESS.split(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    server.serve_forever()
