"""The images of the fake engine: contents, layers, and the names that the engine itself knows them by."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from app.engine import lift
from app.errors import Conflict, Internal, NotFound
from app.stream import image_manifest
from tests import busybox
from tests.fakes import shapes
from tests.fakes.body import FakeBody
from tests.fakes.registry import FakeRegistry, digest_of
from tests.fakes.traps import Traps, recorded

Json = dict[str, Any]


class _Archive(FakeBody):
    """Bytes instead of messages."""

    def __init__(self, data: bytes) -> None:
        super().__init__(iter(()))
        self._data = data

    def chunks(self, size: int = 262144) -> Iterator[bytes]:
        yield self._data


class FakeImages(Traps):
    """The mixin's user has `containers` and `bodies`."""

    containers: dict[str, Any]
    bodies: list[FakeBody]

    def __init__(self) -> None:
        super().__init__()
        self.images: dict[str, Json] = {}
        #: "repository:tag" or "repository@sha256:..." -> image id, as the engine itself names them.
        self.names: dict[str, str] = {}
        #: Configuration files and plain layers of what was loaded or pulled.
        self.files: dict[str, bytes] = {}
        #: Digests of packed layers -> digests of the plain ones that the engine has.
        self.layers: dict[str, str] = {}
        #: What registries have.
        self.remote = FakeRegistry()

    # -- for tests -----------------------------------------------------------------------------------------------

    def add_image(self, config: Json, *, size: int = 1000) -> str:
        """Put an image on the engine, without a name. `config` is the image's configuration file."""
        image_id = f"sha256:{hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()}"
        self.images[image_id] = shapes.image(image_id, config, size)
        return image_id

    def publish(
        self, repository: str, tag: str, config: Json, layers: Sequence[bytes] = (b"a layer",)
    ) -> tuple[str, str]:
        """Put an image into a registry ("registry.example.com/a/b"). Its (id, digest)."""
        return self.remote.publish(repository, tag, config, layers)

    # -- calls ---------------------------------------------------------------------------------------------------

    @recorded
    def pull_image(self, image: str, tag: str, *, platform: str = "", auth: str = "") -> FakeBody:
        found = self.remote.manifests.get((image, tag))
        if found is None:
            joint = "@" if tag.startswith("sha256:") else ":"
            raise NotFound(f"manifest for {image}{joint}{tag} not found: manifest unknown: manifest unknown")
        body = FakeBody(self._pulling(image, tag, *found))
        self.bodies.append(body)
        return body

    def _pulling(self, image: str, tag: str, kind: str, content: bytes) -> Iterator[Json]:
        yield {"status": f"Pulling from {image.partition('/')[2]}", "id": tag}
        digest = digest_of(content)
        if kind in image_manifest.INDEXES:
            _, content = self.remote.manifests[
                image, image_manifest.choose(content, image_manifest.Platform("linux", "amd64"))
            ]
        manifest = image_manifest.manifest(content)
        news = manifest.config.digest not in self.images
        if news:
            yield from self._fetching(image, manifest)
        self.names[f"{image}@{digest}"] = manifest.config.digest
        if not tag.startswith("sha256:"):
            self.names[f"{image}:{tag}"] = manifest.config.digest
        yield {"status": f"Digest: {digest}"}
        word = "Downloaded newer image" if news else "Image is up to date"
        yield {"status": f"Status: {word} for {image}:{tag}"}

    def _fetching(self, image: str, manifest: image_manifest.Manifest) -> Iterator[Json]:
        config = json.loads(self.remote.blobs[image, manifest.config.digest])
        plain_forms = config["rootfs"]["diff_ids"]
        for layer, plain in zip(manifest.layers, plain_forms, strict=True):
            short = layer.digest[7:19]
            if layer.digest in self.layers:
                if self.layers[layer.digest] != plain:
                    raise Internal("layers from manifest don't match image configuration")
                yield {"status": "Already exists", "progressDetail": {}, "id": short}
                continue
            yield {"status": "Pulling fs layer", "progressDetail": {}, "id": short}
            if (image, layer.digest) not in self.remote.blobs:
                words = "blob unknown: blob unknown to registry"
                yield {"errorDetail": {"message": words}, "error": words}
                return
            detail = {"current": 500, "total": 1000}
            yield {"status": "Downloading", "progressDetail": detail, "progress": "[==>  ]", "id": short}
            self.layers[layer.digest] = plain
            yield {"status": "Pull complete", "progressDetail": {}, "id": short}
        self.spring("pulling", False)
        self.images[manifest.config.digest] = shapes.image(manifest.config.digest, config, 1000)

    @recorded
    def inspect_image(self, name: str) -> Json:
        try:
            return lift.image(copy.deepcopy(self._image(name)))
        except NotFound as error:
            raise NotFound(f"no such image: {name}: {error.message}") from None

    @recorded
    def load_images(self, chunks: Iterable[bytes], *, quiet: bool = True) -> FakeBody:
        data = b"".join(chunks)
        try:
            with closing(tarfile.open(fileobj=io.BytesIO(data))) as archive:
                said = [self._load(archive, entry) for entry in json.loads(_member(archive, "manifest.json"))]
        except (tarfile.TarError, KeyError):
            words = "Error processing tar file(exit status 1): unexpected EOF"
            return FakeBody(iter([{"errorDetail": {"message": words}, "error": words}]))
        return FakeBody(iter([{"stream": f"{line}\n"} for lines in said for line in lines]))

    def _load(self, archive: tarfile.TarFile, entry: Json) -> list[str]:
        config = _member(archive, entry["Config"])
        known = {digest for image in self.images.values() for digest in image["RootFS"].get("Layers") or []}
        # Of a layer that it has an engine does not look for the file.
        brought = [
            layer
            for layer, digest in zip(entry["Layers"], json.loads(config)["rootfs"]["diff_ids"], strict=False)
            if digest not in known or layer in archive.getnames()
        ]
        layers = [_member(archive, layer) for layer in brought]
        image_id = f"sha256:{hashlib.sha256(config).hexdigest()}"
        self.images[image_id] = shapes.image(image_id, json.loads(config), sum(map(len, layers)))
        self.files[image_id] = config
        for layer in layers:
            self.files[digest_of(layer)] = layer
        for tag in entry.get("RepoTags") or []:
            self.names[f"docker.io/library/{tag}"] = image_id
        return [f"Loaded image: {tag}" for tag in entry.get("RepoTags") or []] or [f"Loaded image ID: {image_id}"]

    @recorded
    def import_image(
        self, repository: str, tag: str, chunks: Iterable[bytes], *, message: str, changes: Iterable[str], platform: str
    ) -> FakeBody:
        layer = b"".join(chunks)
        plain = digest_of(layer)
        config = {"os": "linux", "comment": message, "rootfs": {"type": "layers", "diff_ids": [plain]}}
        image_id = self.add_image(config, size=len(layer))
        self.images[image_id]["Comment"] = message
        self.files[plain] = layer
        self.names[f"{repository}:{tag}"] = image_id
        return FakeBody(iter([{"status": image_id}]))

    @recorded
    def save_images(self, ids: Iterable[str]) -> FakeBody:
        files: dict[str, bytes] = {}
        manifest = []
        for image_id in ids:
            self._image(image_id)
            config = self.files.get(image_id, b"{}")
            layers = [layer[7:] + "/layer.tar" for layer in self.images[image_id]["RootFS"]["Layers"]]
            files[f"{image_id[7:]}.json"] = config
            for layer in layers:
                files[layer] = self.files.get(f"sha256:{layer[:64]}", b"")
            manifest.append({"Config": f"{image_id[7:]}.json", "RepoTags": None, "Layers": layers})
        files["manifest.json"] = json.dumps(manifest).encode()
        body = _Archive(busybox.files(files))
        self.bodies.append(body)
        return body

    @recorded
    def push_image(self, repository: str, tag: str, *, auth: str) -> FakeBody:
        body = FakeBody(self._pushing(repository, tag, self.names.get(f"{repository}:{tag}", "")))
        self.bodies.append(body)
        return body

    def _pushing(self, repository: str, tag: str, image_id: str) -> Iterator[Json]:
        yield {"status": f"The push refers to repository [{repository}]"}
        if not image_id:
            words = f"An image does not exist locally with the tag: {repository}"
            yield {"errorDetail": {"message": words}, "error": words}
            return
        short = (self.images[image_id]["RootFS"]["Layers"] or ["sha256:000000000000"])[0][7:19]
        yield {"status": "Preparing", "progressDetail": {}, "id": short}
        self.spring("pushing", False)
        yield {"status": "Mounted from somebody/else", "progressDetail": {}, "id": short}
        digest = digest_of(image_id.encode())
        self.names[f"{repository}@{digest}"] = image_id
        yield {"status": f"{tag}: digest: {digest} size: 527"}
        yield {"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": 527}}

    @recorded
    def tag_image(self, image_id: str, repository: str, tag: str) -> None:
        self.names[f"{repository}:{tag}"] = self._image(image_id)["Id"]

    @recorded
    def remove_image(self, name: str) -> None:
        image_id = self._image(name)["Id"]
        names = [known for known, meant in self.names.items() if meant == image_id]
        used = any(container.image_id == image_id for container in self.containers.values())
        if name in self.names:
            if used and len(names) == 1:
                raise Conflict(
                    f'conflict: unable to remove repository reference "{name}" (must force) - container is using it'
                )
            del self.names[name]
            repository = name.partition("@")[0] if "@" in name else name.rpartition(":")[0]
            left = [known for known in names if known != name]
            if "@" not in name and not any(known.startswith(f"{repository}:") for known in left):
                for known in [known for known in left if known.startswith(f"{repository}@")]:
                    del self.names[known]
                    left.remove(known)
            if left:
                return
        elif used:
            raise Conflict(f"conflict: unable to delete {image_id[7:19]} (must be forced) - image is being used")
        elif len(names) > 1:
            words = "image is referenced in multiple repositories"
            raise Conflict(f"conflict: unable to delete {image_id[7:19]} (must be forced) - {words}")
        if not used:
            del self.images[image_id]
            self.names = {known: meant for known, meant in self.names.items() if meant != image_id}

    @recorded
    def image_history(self, image_id: str) -> list[Json]:
        image = self._image(image_id)
        step = {"Comment": image["Comment"], "Created": 0, "CreatedBy": "sh", "Size": image["Size"]}
        return [{**step, "Id": image["Id"], "Tags": ["engine/name:1"]}, {**step, "Id": "<missing>", "Tags": None}]

    @recorded
    def search_images(self, term: str, *, limit: int | None, filters: Mapping[str, Any], auth: str) -> list[Json]:
        found = {"name": term, "description": "found", "star_count": 3, "is_official": True, "is_automated": False}
        return [found | {"secret": "x"}]

    def _image(self, name: str) -> Json:
        if name in self.images:
            return self.images[name]
        if re.fullmatch("[0-9a-f]{12,63}", name):
            found = [image for key, image in self.images.items() if key.startswith(f"sha256:{name}")]
            if len(found) == 1:
                return found[0]
        full = name if "/" in name else f"docker.io/library/{name}"
        if "@" not in full and ":" not in full:
            full, name = f"{full}:latest", f"{name}:latest"
        if full in self.names:
            return self.images[self.names[full]]
        raise NotFound(f"No such image: {name}")


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file
    return file.read()
