"""An archive of images, as `docker save` writes it, checked and made anew while it passes to an engine.

The engine gets a plain tar with the same files and a manifest of our own behind them, without names: names are the
account's, in the database. Every layer is hashed on the way and must be the one that the image's configuration names.
An engine does not read a layer that it has already, so without this check a made-up configuration with the digests of
somebody else's layers would give these layers away. The manifest comes last: an engine reads an archive to its end
before it does anything, and one that is refused half-way has no manifest and no end.

Nothing large is kept: a digest for each file, and the small JSON files while they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidParameter
from app.stream import tar
from app.stream.decompress import MAGIC_LENGTH, Budget, Decompressor, detect, plain
from app.stream.image_json import as_object, loads

MAX_JSON = 4 << 20
MAX_IMAGES = 1000
#: `docker save` writes paths of two or three parts, none of which is longer than a digest.
MAX_PATH = 255
MAX_DEPTH = 8
_MAX_LINKS = 10
_MALFORMED = "invalid archive: it has malformed JSON"

MANIFEST = "manifest.json"
#: Other descriptions of the same content. Without them every engine goes by the manifest.
_DROPPED = frozenset({"repositories", "index.json", "oci-layout"})


@dataclass(frozen=True)
class ArchivedImage:
    """An image of the archive: its id, and the names that the archive gives it."""

    id: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Config:
    id: str
    diff_ids: list[str]
    os: str
    has_nul: bool


class ImageArchive:
    """`chunks` is the body of a load. Read `contents` to its end, look at `images`, then send `ending` too.

    Raises InvalidParameter for a bad archive, in dockerd's words where it has them, and TooLarge.
    """

    def __init__(self, chunks: Iterable[bytes], budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._reader = tar.Reader(plain(chunks, self._budget))
        self._kinds: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._digests: dict[str, str | None] = {}
        self._configs: dict[str, _Config] = {}
        self._manifest: bytes | None = None
        self._entries: list[dict[str, Any]] = []
        self.images: list[ArchivedImage] = []
        #: Bytes of each layer as the archive has it, by its digest.
        self.layer_sizes: dict[str, int] = {}

    def contents(self) -> Iterator[bytes]:
        """The archive for the engine, up to its manifest."""
        yield tar.START
        for entry in self._reader.entries():
            self._note(entry)
            if entry.name == MANIFEST:
                if entry.kind != tar.FILE:
                    raise InvalidParameter(f"invalid archive: {MANIFEST} is not a file")
                self._manifest = self._small(entry)
            elif entry.name not in _DROPPED:
                yield tar.header(entry)
                if entry.kind == tar.FILE:
                    yield from self._file(entry)
        self._check()

    def ending(self) -> Iterator[bytes]:
        """The manifest, and the mark of the archive's end."""
        yield tar.file(MANIFEST, json.dumps(self._entries).encode())
        yield tar.END

    # -- entries -------------------------------------------------------------------------------------------------

    def _note(self, entry: tar.Entry) -> None:
        """Two files of a name, or files below a link, would let us check one thing and the engine load another."""
        if len(entry.name) > MAX_PATH or entry.name.count("/") > MAX_DEPTH:
            raise InvalidParameter("invalid archive: it has a path that is too long")
        known = self._kinds.get(entry.name)
        if known is not None and not known == entry.kind == tar.FOLDER:
            raise InvalidParameter(f"invalid archive: it has {entry.name!r} twice")
        folder = entry.name
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if self._kinds.setdefault(folder, tar.FOLDER) != tar.FOLDER:
                raise InvalidParameter(f"invalid archive: {folder!r} is not a folder")
        self._kinds[entry.name] = entry.kind
        if entry.kind == tar.HARDLINK:
            self._links[entry.name] = entry.target
        elif entry.kind == tar.SYMLINK:
            self._links[entry.name] = tar.inside(
                f"{entry.name.rpartition('/')[0] or '.'}/{entry.target}", climbing=True
            )

    def _small(self, entry: tar.Entry) -> bytes:
        if entry.size > MAX_JSON:
            raise InvalidParameter(f"invalid archive: {entry.name} is larger than {MAX_JSON} bytes")
        return b"".join(self._reader.content())

    def _file(self, entry: tar.Entry) -> Iterator[bytes]:
        """Pass a file on. Its digest is kept, and what it says if it is the configuration of an image."""
        start = b""
        content = self._reader.content()
        for piece in content:
            start += piece
            if len(start) >= MAGIC_LENGTH:
                break
        if start.startswith(b"{") and entry.size <= MAX_JSON:
            start += b"".join(content)
            self._read_config(entry.name, start)
            self._digests[entry.name] = hashlib.sha256(start).hexdigest()
            yield start
        else:
            hasher = _Hasher(detect(start), self._budget)
            hasher.update(start)
            yield start
            for piece in content:
                hasher.update(piece)
                yield piece
            digest = self._digests[entry.name] = hasher.finish()
            self.layer_sizes[f"sha256:{digest}"] = entry.size
        yield tar.padding(entry.size)

    def _read_config(self, name: str, data: bytes) -> None:
        try:
            config = as_object(loads(data, _MALFORMED), _MALFORMED, "rootfs", "os")
            root = as_object(config.get("rootfs"), _MALFORMED, "diff_ids")
            diff_ids = root.get("diff_ids")
        except InvalidParameter:
            return  # Not a configuration; if the manifest says it is one, it is refused then.
        if diff_ids is None:
            diff_ids = []
        if isinstance(diff_ids, list) and all(isinstance(digest, str) for digest in diff_ids):
            digest = hashlib.sha256(data).hexdigest()
            self._configs[name] = _Config(
                f"sha256:{digest}", diff_ids, str(config.get("os") or "linux"), b"\\u0000" in data
            )

    # -- the manifest --------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._manifest is None:
            raise InvalidParameter(f"invalid archive: it has no {MANIFEST}")
        listed = loads(self._manifest, _MALFORMED)
        if not isinstance(listed, list) or not 0 < len(listed) <= MAX_IMAGES:
            raise InvalidParameter(f"invalid archive: {MANIFEST} is not a list of images")
        for item in listed:
            image = as_object(item, _MALFORMED, "Config", "RepoTags", "Layers")
            config_name = _text(image.get("Config"))
            layers = [_text(layer) for layer in _list(image.get("Layers"))]
            names = tuple(_text(name) for name in _list(image.get("RepoTags")))
            config = self._configs.get(self._resolve(config_name))
            if config is None:
                raise InvalidParameter(f"invalid archive: {config_name!r} is not the configuration of an image")
            if config.has_nul:
                raise InvalidParameter("the image has a NUL character in its configuration")
            if config.os != "linux":
                raise InvalidParameter(f"cannot load {config.os[:32]} image on linux")
            self._check_layers(config, layers)
            self._entries.append({"Config": config_name, "RepoTags": None, "Layers": layers})
            self.images.append(ArchivedImage(config.id, names))

    def _check_layers(self, config: _Config, layers: list[str]) -> None:
        if len(layers) != len(config.diff_ids):
            raise InvalidParameter(
                f"invalid manifest, layers length mismatch: expected {len(layers)}, got {len(config.diff_ids)}"
            )
        for position, (layer, expected) in enumerate(zip(layers, config.diff_ids, strict=True)):
            path = self._resolve(layer)
            if path not in self._digests:
                raise InvalidParameter(f"invalid archive: it has no layer {layer!r}")
            digest = self._digests[path]
            if digest is None:
                raise InvalidParameter(f"invalid archive: layer {layer!r} is neither plain nor compressed with gzip")
            if expected != f"sha256:{digest}":
                raise InvalidParameter(
                    f'invalid diffID for layer {position}: expected "{expected[:80]}", got "sha256:{digest}"'
                )

    def _resolve(self, name: str) -> str:
        """The file that `name` leads to over links."""
        path = tar.inside(name)
        for _ in range(_MAX_LINKS):
            if path not in self._links:
                break
            path = self._links[path]
        return path


class _Hasher:
    """The digest of a layer, which is that of its plain form. None where we do not read its compression."""

    def __init__(self, kind: str, budget: Budget) -> None:
        self._hash = hashlib.sha256()
        self._gzip = Decompressor("gzip", budget) if kind == "gzip" else None
        self._readable = kind in ("", "gzip")

    def update(self, data: bytes) -> None:
        if self._gzip:
            for piece in self._gzip.feed(data):
                self._hash.update(piece)
        elif self._readable:
            self._hash.update(data)

    def finish(self) -> str | None:
        if self._gzip:
            self._gzip.finish()
        return self._hash.hexdigest() if self._readable else None


def _list(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise InvalidParameter(_MALFORMED)
    return value or []


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidParameter(_MALFORMED)
    return value
