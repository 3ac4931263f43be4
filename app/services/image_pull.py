"""docker pull. What an account gets, it has been given: by the registry, with its own credentials.

An engine that holds an image, or a layer, does not fetch it again, whoever asks. A registry of one's own that names
the digests of somebody else's content would so be a way to it. Therefore we look at the manifest first, and have every
layer that the engine did not fetch for this very pull, and that the account has never had, sent to ourselves: it is
hashed and thrown away. The engine is asked for the manifest by its digest, so that it gets what we have looked at, and
no name on the engine moves.

What the engine fetched is known from its messages. Two pulls of a layer at a time share one transfer, so a layer that
another account is just pulling counts as not fetched. Messages name a layer by 12 digits; where two layers share these,
the worse of what is said counts for both.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.domain import event, image_reference, image_view, progress
from app.domain.account import Account
from app.domain.image_reference import ImageReference
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.engine.client import Body
from app.engine.engine import Engine
from app.engine.fleet import Fleet
from app.engine.registry import Registry
from app.errors import Conflict, Error, Internal, InvalidParameter, NotFound, NotImplemented, Unavailable
from app.services.image_content import ImageContent
from app.services.intent import Intents
from app.services.registries import Registries, Remote, pull_error
from app.store import events, images, operations
from app.store.session import Store, Transaction
from app.stream import image_manifest, json_stream
from app.stream.image_manifest import INDEXES, MANIFESTS, Blob, Config, Manifest, Platform
from app.stream.layer_check import LayerCheck

Json = dict[str, Any]

_ATTEMPTS = 3
#: Seconds between two messages of a download of ours.
_TELL_EVERY = 0.1


class ImagePull:
    def __init__(
        self, store: Store, fleet: Fleet, intents: Intents, registries: Registries, content: ImageContent
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._intents = intents
        self._registries = registries
        self._content = content

    def pull(
        self, account: Account, from_image: str, tag: str = "", *, platform: str = "", auth: Mapping[str, str]
    ) -> Pull:
        """Start a pull. `tag` may be a digest; without one all tags are pulled. `auth`: the fields of an AuthConfig.

        Raises InvalidParameter, Forbidden, Unavailable, and what the registry refuses before anything is sent:
        NotFound, Internal. Later errors are messages.
        """
        reference = _reference(from_image, tag)
        remote = self._registries.remote(account, reference, auth)
        node = self._content.node()
        engine = self._fleet.on(node)
        registry = self._registries.open(remote, engine)
        try:
            wanted = Platform.parse(platform, "")
            if not wanted.architecture:
                wanted = Platform.parse(platform, str(engine.version().get("Arch", "")))
            one = reference.digest or reference.tag
            tags = [one] if one else self._tags(registry, remote)
            first = _look(registry, remote, tags[0], wanted)
        except BaseException:
            registry.close()
            raise
        pulling = _Pulling(self, account, remote, node, engine, registry, wanted)
        return Pull(pulling, self._told(pulling, tags, first))

    @staticmethod
    def _tags(registry: Registry, remote: Remote) -> list[str]:
        try:
            tags = [tag for tag in registry.tags(remote.path) if image_reference.TAG.fullmatch(tag)]
        except Error as error:
            raise pull_error(remote, "latest", error) from error
        if not tags:
            raise NotFound(f"repository {remote.shown} not found: it has no tags")
        return tags

    def _told(self, pulling: _Pulling, tags: list[str], first: _Looked) -> Generator[Json, None, None]:
        remote = pulling.remote
        news = False
        try:
            for tag in tags:
                looked = first if tag == first.wanted else _look(pulling.registry, remote, tag, pulling.platform)
                shown = f"{remote.shown.repository}@{tag}" if tag.startswith("sha256:") else tag
                yield {"status": f"Pulling from {remote.shown.path}", "id": shown}
                news = (yield from self._one(pulling, looked)) or news
            word = "Downloaded newer image" if news else "Image is up to date"
            # What the last line says has to be true by then for whoever reads it.
            yield {"status": f"Status: {word} for {remote.shown}"}
        except Error as error:
            yield json_stream.error(remote.told(error).message)
        finally:
            pulling.close()

    # -- one image -----------------------------------------------------------------------------------------------

    def _one(self, pulling: _Pulling, looked: _Looked) -> Generator[Json, None, bool]:
        """Pull one image. The generator's value is whether the name is new to the account, or means something new."""
        account, engine = pulling.account, pulling.engine
        image_id = looked.manifest.config.digest
        for _ in range(_ATTEMPTS):
            with self._store.autocommit() as tx:
                mine = images.has(tx, account.id, image_id)
            if mine and (seen := self._content.find(engine, image_id)):
                news = self._record_mine(pulling, looked, seen)
                if news is None:
                    continue  # It has just been removed.
                yield {"status": f"Digest: {looked.digest}"}
                return news
            yield from self._bring(pulling, looked)
            seen = engine.inspect_image(image_id)
            yield {"status": f"Digest: {looked.digest}"}
            return self._record(pulling, looked, seen)
        raise Conflict("the image was being removed at the same time")

    def _record_mine(self, pulling: _Pulling, looked: _Looked, seen: Json) -> bool | None:
        """Give names to an image that the account has already; None where it has it no more."""
        account = pulling.account
        with self._store.begin() as tx:
            images.lock(tx, seen["Id"])
            if not images.has(tx, account.id, seen["Id"]):
                return None
            images.put_on_node(tx, seen["Id"], image_view.content(seen), pulling.node.id)
            return self._name(tx, pulling, looked, seen)

    def _record(self, pulling: _Pulling, looked: _Looked, seen: Json) -> bool:
        news: list[bool] = []
        self._content.keep(pulling.engine, seen["Id"])
        operation, pulling.operation = pulling.operation, None
        try:
            self._content.record(
                pulling.account,
                pulling.node,
                seen,
                operation,
                lambda tx: news.append(self._name(tx, pulling, looked, seen)),
            )
        except BaseException:
            pulling.operation = operation
            raise
        self._content.unname(pulling.engine, pulling.undo["names"])
        return news[0]

    @staticmethod
    def _name(tx: Transaction, pulling: _Pulling, looked: _Looked, seen: Json) -> bool:
        account, shown = pulling.account, pulling.remote.shown
        known = images.find_name(tx, account.id, shown.repository, looked.wanted) == seen["Id"]
        for name in {looked.wanted, looked.digest}:
            images.set_name(tx, account.id, shown.repository, name, seen["Id"])
        joint = "@" if looked.wanted.startswith("sha256:") else ":"
        name = f"{shown.familiar_repository}{joint}{looked.wanted}"
        events.append(tx, event.of_image(account.id, "pull", seen, name, shown.familiar_repository))
        return not known

    # -- content and proof ---------------------------------------------------------------------------------------

    def _bring(self, pulling: _Pulling, looked: _Looked) -> Iterator[Json]:
        """Have the image on the engine, and every layer of it proven to be the account's."""
        account, node, registry = pulling.account, pulling.node, pulling.registry
        manifest, image_id = looked.manifest, looked.manifest.config.digest
        config = self._config(pulling, manifest)
        # Where the engine has the image already, a name of this digest there is somebody else's.
        names = [] if self._content.find(pulling.engine, image_id) else [looked.engine_name]
        layers = [layer.digest for layer in manifest.layers]
        detail = {"images": [image_id], "names": names, "layers": layers}
        pulling.operation = self._content.begin(account, node, OperationKind.PULL, image_id, detail)
        pulling.undo = detail
        with self._store.autocommit() as tx:
            had = images.layers_had(tx, account.id, config.diff_ids)
        unproven = {
            layer.digest: (layer, plain)
            for layer, plain in zip(manifest.layers, config.diff_ids, strict=True)
            if plain not in had
        }
        if self._content.find(pulling.engine, image_id) is None:
            fetched, known = yield from self._by_engine(pulling, looked, unproven)
            if all(_short(layer.digest) in fetched | known for layer in manifest.layers):
                # It has compared the layers with the configuration then.
                plain_forms = dict(zip((layer.digest for layer in manifest.layers), config.diff_ids, strict=True))
                with self._store.begin() as tx:
                    images.learn_blobs(tx, plain_forms)
                    # Asked for at the end: a registry can keep an engine waiting until somebody else pulls.
                    others = operations.details_beside(tx, pulling.operation)
                shared = {digest for detail in others for digest in detail.get("layers", ())}
                proven = {d for d in unproven if _short(d) in fetched - known and d not in shared}
                unproven = {digest: pair for digest, pair in unproven.items() if digest not in proven}
        for layer, plain in unproven.values():
            yield from self._prove(account, registry, pulling.remote, layer, plain)

    @staticmethod
    def _config(pulling: _Pulling, manifest: Manifest) -> Config:
        """The configuration, which the registry has to know word for word."""
        remote = pulling.remote
        try:
            config = image_manifest.config(pulling.registry.blob(remote.path, manifest.config.digest))
        except Error as error:
            raise _in_words(remote, error) from error
        if config.platform.os not in ("", "linux"):
            system = config.platform.os[:32]
            raise InvalidParameter(f'cannot download image with operating system "{system}" when requesting "linux"')
        if len(config.diff_ids) != len(manifest.layers):
            raise InvalidParameter("the image's configuration and its manifest do not have the same layers")
        return config

    def _by_engine(
        self, pulling: _Pulling, looked: _Looked, unproven: Mapping[str, object]
    ) -> Generator[Json, None, tuple[set[str], set[str]]]:
        """Let the engine pull. The generator's value: layers that it fetched, and those that it had, by 12 digits."""
        fetched: set[str] = set()
        known: set[str] = set()
        remote = pulling.remote
        to_prove = {_short(digest) for digest in unproven}
        try:
            body = pulling.engine.pull_image(remote.repository, looked.manifest_digest, auth=remote.auth_header)
        except Error as error:
            raise _in_words(remote, error) from error
        pulling.body = body
        for message in body.messages():
            if "error" in message or "errorDetail" in message:
                raise Internal(remote.words(str(message.get("error") or "the pull failed")))
            shown = progress.rebuilt(message)
            status, layer = str(message.get("status", "")), str(message.get("id", ""))
            if status.startswith(("Digest: ", "Status: ", "Pulling from ")):
                continue
            if status == "Already exists":
                known.add(layer)
                if layer in to_prove:
                    # Whether some other account has a layer is not told.
                    shown = {"status": "Pulling fs layer", "progressDetail": {}, "id": layer}
            elif status == "Pull complete":
                fetched.add(layer)
            yield shown
        body.close()
        pulling.body = None
        return fetched, known

    def _prove(self, account: Account, registry: Registry, remote: Remote, layer: Blob, plain: str) -> Iterator[Json]:
        """Have the registry send a layer, hash it, and throw it away."""
        with self._store.autocommit() as tx:
            known = images.find_plain(tx, layer.digest)
        check = LayerCheck(layer, plain, known)
        told = 0.0
        short = _short(layer.digest)
        try:
            for block in registry.blocks(remote.path, layer.digest):
                check.update(block)
                if time.monotonic() - told >= _TELL_EVERY:
                    told = time.monotonic()
                    yield progress.of(short, "Downloading", check.size, layer.size)
            check.finish()
        except Error as error:
            raise _in_words(remote, error) from error
        yield {"status": "Download complete", "progressDetail": {}, "id": short}
        with self._store.begin() as tx:
            images.put_layers(tx, account.id, [plain])
            images.learn_blobs(tx, {layer.digest: plain})
        yield {"status": "Pull complete", "progressDetail": {}, "id": short}

    def give_up(self, pulling: _Pulling) -> None:
        """What a pull that broke off has begun."""
        operation, pulling.operation = pulling.operation, None
        if operation is not None:
            if pulling.body is not None:
                # The engine may still be at it: an observer looks later.
                self._intents.abandon(operation)
            else:
                self._content.give_up(operation, pulling.node, pulling.undo["images"], pulling.undo["names"])


@dataclass
class _Pulling:
    """What a pull holds while it runs."""

    service: ImagePull
    account: Account
    remote: Remote
    node: Node
    engine: Engine
    registry: Registry
    platform: Platform
    body: Body | None = None
    operation: UUID | None = None
    undo: dict[str, list[str]] = field(default_factory=dict)

    def close(self) -> None:
        """Closing the connection to the engine is what ends a pull there."""
        if self.body is not None:
            self.body.close()
        self.registry.close()
        self.service.give_up(self)


class Pull:
    """The messages of a pull. Closing it early gives it up."""

    def __init__(self, pulling: _Pulling, messages: Generator[Json, None, None]) -> None:
        self._pulling = pulling
        self._messages = messages

    def __iter__(self) -> Iterator[Json]:
        return self

    def __next__(self) -> Json:
        return next(self._messages)

    def close(self) -> None:
        self._messages.close()
        # A generator that never began does not end either.
        self._pulling.close()


@dataclass(frozen=True)
class _Looked:
    """What a name means at the registry: the digest that people see, and the manifest for the platform."""

    wanted: str
    digest: str
    manifest_digest: str
    manifest: Manifest
    engine_name: str


def _look(registry: Registry, remote: Remote, wanted: str, platform: Platform) -> _Looked:
    """Ask the registry, in dockerd's words where it refuses."""
    try:
        found = registry.manifest(remote.path, wanted)
        digest = found.digest
        if found.media_type in INDEXES:
            found = registry.manifest(remote.path, image_manifest.choose(found.content, platform))
    except NotFound as error:
        if error.message.startswith("no matching manifest"):
            raise
        raise pull_error(remote, wanted, error) from error
    except Error as error:
        raise pull_error(remote, wanted, error) from error
    if found.media_type not in MANIFESTS:
        raise NotImplemented(f"images of manifest type {found.media_type[:100]!r} are not supported")
    name = f"{remote.repository}@{found.digest}"
    return _Looked(wanted, digest, found.digest, image_manifest.manifest(found.content), name)


def _in_words(remote: Remote, error: Error) -> Error:
    """An error after the head: its kind does not matter any more."""
    return error if isinstance(error, Unavailable) else Internal(remote.words(error.message))


def _short(digest: str) -> str:
    """As progress messages name a layer."""
    return digest.removeprefix("sha256:")[:12]


def _reference(from_image: str, tag: str) -> ImageReference:
    """The reference that the two parameters mean together: `tag` wins over a tag in the name, as in dockerd."""
    reference = image_reference.parse(from_image)
    if not tag:
        return reference
    joint = "@" if tag.startswith("sha256:") else ":"
    try:
        return image_reference.parse(f"{reference.repository}{joint}{tag}")
    except InvalidParameter:
        raise InvalidParameter("invalid tag format") from None
