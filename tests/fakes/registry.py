"""A registry in memory: what it has, and a client of it behind the interface of app.engine.registry.Registry."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from app.engine.engine import Engine
from app.engine.registry import Credentials, Fetched
from app.errors import NotFound, Unauthorized
from app.services.registries import Registries
from app.stream.image_manifest import DOCKER_INDEX, DOCKER_MANIFEST

Json = dict[str, Any]


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class FakeRegistry:
    """Repositories by host and path: "reg.lan/a/b"."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        #: Blobs that were fetched whole, and whose they were: (repository, digest).
        self.fetched: list[tuple[str, str]] = []
        #: Repositories that want this user.
        self.private: dict[str, tuple[str, str]] = {}
        self.login_token = ""

    def publish(self, repository: str, tag: str, config: Json, layers: Sequence[bytes]) -> tuple[str, str]:
        """An image of plain `layers`, which are packed. Its (id, digest)."""
        plain = [digest_of(layer) for layer in layers]
        raw = json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": plain}}, sort_keys=True).encode()
        packed = [gzip.compress(layer, mtime=0) for layer in layers]
        return digest_of(raw), self.put(repository, tag, raw, packed)

    def put(self, repository: str, tag: str, config: bytes, packed: Sequence[bytes], *, missing: bool = False) -> str:
        """A manifest over these blobs, of which `missing` ones are named but not there. Its digest."""
        for blob in (config, *(() if missing else packed)):
            self.blobs[repository, digest_of(blob)] = blob
        document = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"size": len(config), "digest": digest_of(config)},
            "layers": [{"size": len(blob), "digest": digest_of(blob)} for blob in packed],
        }
        return self._add(repository, tag, DOCKER_MANIFEST, json.dumps(document).encode())

    def index(self, repository: str, tag: str, platforms: dict[str, str]) -> str:
        """An index: "linux/arm64" -> digest of a manifest. Its digest."""
        listed = []
        for platform, digest in platforms.items():
            system, architecture = platform.split("/")
            about = {"os": system, "architecture": architecture}
            listed.append({"size": 1, "digest": digest, "platform": about})
        document = {"schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": listed}
        return self._add(repository, tag, DOCKER_INDEX, json.dumps(document).encode())

    def _add(self, repository: str, tag: str, kind: str, content: bytes) -> str:
        digest = digest_of(content)
        self.manifests[repository, tag] = self.manifests[repository, digest] = (kind, content)
        return digest


class FakeClient:
    def __init__(self, registry: FakeRegistry, host: str, credentials: Credentials) -> None:
        self._registry = registry
        self._host = host
        self._credentials = credentials
        self.closed = False

    def _repository(self, path: str) -> str:
        repository = f"{self._host}/{path}"
        wanted = self._registry.private.get(repository)
        if wanted and wanted != (self._credentials.username, self._credentials.password):
            raise Unauthorized("unauthorized: authentication required")
        return repository

    def manifest(self, path: str, reference: str) -> Fetched:
        found = self._registry.manifests.get((self._repository(path), reference))
        if found is None:
            raise NotFound("manifest unknown: manifest unknown")
        return Fetched(found[0], digest_of(found[1]), found[1])

    def blob(self, path: str, digest: str, limit: int = 4 << 20) -> bytes:
        found = self._registry.blobs.get((self._repository(path), digest))
        if found is None:
            raise NotFound("blob unknown: blob unknown to registry")
        assert digest_of(found) == digest
        return found

    def blocks(self, path: str, digest: str) -> Iterator[bytes]:
        repository = self._repository(path)
        data = self._registry.blobs.get((repository, digest))
        if data is None:
            raise NotFound("blob unknown: blob unknown to registry")
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]
        self._registry.fetched.append((repository, digest))

    def tags(self, path: str) -> list[str]:
        repository = self._repository(path)
        found = [tag for name, tag in self._registry.manifests if name == repository and not tag.startswith("sha256:")]
        if not found:
            raise NotFound("name unknown: repository name not known to registry")
        return sorted(found)

    def login(self) -> str:
        if self._credentials.password == "wrong":
            raise Unauthorized("login attempt to https://reg.lan/v2/ failed with status: 401 Unauthorized")
        return self._registry.login_token

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeRegistries(Registries):
    """The rules are the product's; what is behind them is in memory."""

    def __init__(self, registry: FakeRegistry, *how: Any) -> None:
        super().__init__(*how)
        self._registry = registry
        self.clients: list[FakeClient] = []

    def _open(self, host: str, credentials: Credentials, engine: Engine) -> Any:
        self.clients.append(FakeClient(self._registry, host, credentials))
        return self.clients[-1]
