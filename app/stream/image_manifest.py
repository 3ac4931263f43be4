"""What a registry says an image is: manifests, indexes and configurations, read as an engine reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidParameter, NotFound
from app.stream.image_json import as_object, loads

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
INDEXES = frozenset({DOCKER_INDEX, OCI_INDEX})
ACCEPTED = (DOCKER_MANIFEST, DOCKER_INDEX, OCI_MANIFEST, OCI_INDEX)

MAX_LAYERS = 1000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MALFORMED = "the registry sent a malformed manifest"


@dataclass(frozen=True)
class Blob:
    digest: str
    size: int


@dataclass(frozen=True)
class Manifest:
    config: Blob
    layers: tuple[Blob, ...]


@dataclass(frozen=True)
class Platform:
    """What runs where: "linux", "arm64", "v8". An empty part is not told or not asked for."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str, default: str) -> Platform:
        """`os[/architecture[/variant]]`; what is not named is the default's."""
        system, _, rest = text.partition("/")
        architecture, _, variant = rest.partition("/")
        return cls(system or "linux", architecture or default, variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class Config:
    """What matters of an image's configuration."""

    platform: Platform
    diff_ids: tuple[str, ...]


def manifest(content: bytes) -> Manifest:
    """Raises InvalidParameter."""
    found = as_object(
        loads(content, _MALFORMED), _MALFORMED, "schemaVersion", "mediaType", "config", "layers", "manifests"
    )
    if found.get("schemaVersion") != 2 or "manifests" in found:
        raise InvalidParameter(_MALFORMED)
    layers = [] if found.get("layers") is None else found["layers"]
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise InvalidParameter(_MALFORMED)
    return Manifest(_blob(found.get("config")), tuple(_blob(layer) for layer in layers))


def choose(content: bytes, wanted: Platform) -> str:
    """The digest of the manifest in an index that fits a platform. Raises InvalidParameter, NotFound."""
    for platform, digest in entries(content):
        fits = platform.os == wanted.os and platform.architecture == wanted.architecture
        if fits and (not wanted.variant or wanted.variant == _variant(platform)):
            return digest
    raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")


def entries(content: bytes) -> Sequence[tuple[Platform, str]]:
    """(platform, digest) of the manifests that an index lists. Raises InvalidParameter."""
    found = as_object(
        loads(content, _MALFORMED), _MALFORMED, "schemaVersion", "mediaType", "manifests", "config", "layers"
    )
    listed = found.get("manifests")
    if found.get("schemaVersion") != 2 or not isinstance(listed, list) or len(listed) > MAX_LAYERS:
        raise InvalidParameter(_MALFORMED)
    told = []
    for item in listed:
        blob = _blob(item)
        platform = item.get("platform") or {}
        told.append((_platform(as_object(platform, _MALFORMED, "os", "architecture", "variant")), blob.digest))
    return told


def config(content: bytes) -> Config:
    """Raises InvalidParameter."""
    found = as_object(loads(content, _MALFORMED), _MALFORMED, "rootfs", "os", "architecture", "variant")
    root = as_object(found.get("rootfs") or {}, _MALFORMED, "type", "diff_ids")
    diff_ids = root.get("diff_ids") or []
    if not isinstance(diff_ids, list) or not all(isinstance(d, str) and _DIGEST.fullmatch(d) for d in diff_ids):
        raise InvalidParameter("the registry sent a malformed image configuration")
    return Config(_platform(found), tuple(diff_ids))


def _platform(found: dict[str, Any]) -> Platform:
    os, architecture, variant = (found.get(key) or "" for key in ("os", "architecture", "variant"))
    if not all(isinstance(part, str) and len(part) <= 64 for part in (os, architecture, variant)):
        raise InvalidParameter(_MALFORMED)
    return Platform(os, architecture, variant)


def _variant(platform: Platform) -> str:
    """64-bit ARM has one variant, which is often left out."""
    return platform.variant or ("v8" if platform.architecture == "arm64" else "")


def _blob(value: Any) -> Blob:
    found = as_object(value, _MALFORMED, "mediaType", "digest", "size", "urls", "platform")
    digest, size = found.get("digest"), found.get("size")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InvalidParameter(_MALFORMED)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InvalidParameter(_MALFORMED)
    return Blob(digest, size)
