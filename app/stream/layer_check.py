"""That a layer which a registry sends is the one that its manifest and its configuration name: hashed as it comes."""

from __future__ import annotations

import hashlib

from app.errors import Internal, InvalidParameter, NotImplemented
from app.stream.decompress import MAGIC_LENGTH, Budget, Decompressor, detect
from app.stream.image_manifest import Blob


class LayerCheck:
    """Of one blob, fed to `update` block by block. `plain` is the digest that the configuration names for its plain
    form, `known` the one that it is known to have; None where that is to be found out.

    `__init__`, `update` and `finish` raise InvalidParameter, Internal and NotImplemented where it is another.
    """

    def __init__(self, layer: Blob, plain: str, known: str | None) -> None:
        if known is not None and known != plain:
            raise InvalidParameter("the image's configuration names other layers than its manifest")
        self.size = 0
        self._layer = layer
        self._plain = plain
        self._sealed = hashlib.sha256()
        #: What the plain form is need not be found out twice.
        self._known = known is not None
        self._open = hashlib.sha256()
        self._gzip: Decompressor | None = None
        self._start: bytes | None = b""

    def update(self, block: bytes) -> None:
        self.size += len(block)
        if self.size > self._layer.size:
            raise InvalidParameter(f"the registry sent more than the {self._layer.size} bytes of {self._layer.digest}")
        self._sealed.update(block)
        if self._known:
            return
        if self._start is not None:
            self._start += block
            if len(self._start) < MAGIC_LENGTH:
                return
            block = self._begin()
        self._take(block)

    def _begin(self) -> bytes:
        start, self._start = self._start or b"", None
        kind = detect(start)
        if kind == "gzip":
            self._gzip = Decompressor("gzip", Budget())
        elif kind:
            raise NotImplemented(f"a layer compressed with {kind} cannot be checked here; use gzip")
        return start

    def _take(self, block: bytes) -> None:
        if self._gzip is None:
            self._open.update(block)
        else:
            for piece in self._gzip.feed(block):
                self._open.update(piece)

    def finish(self) -> None:
        if f"sha256:{self._sealed.hexdigest()}" != self._layer.digest:
            raise Internal(f"filesystem layer verification failed for digest {self._layer.digest}")
        if not self._known:
            if self._start is not None:
                self._take(self._begin())
            if self._gzip is not None:
                self._gzip.finish()
            if f"sha256:{self._open.hexdigest()}" != self._plain:
                raise InvalidParameter("the image's configuration names other layers than its manifest")
