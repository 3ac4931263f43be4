"""docker load and docker import: images that come in a body.

An archive names its images: the account has them as soon as they are on the engine. A root file system has no name but
the request's; on the engine it comes under a name of ours, by which it is found again should this process die.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from app.domain import event, image_reference, progress
from app.domain.account import Account
from app.domain.image_reference import ImageReference
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.engine.client import Body
from app.engine.engine import Engine
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Error, Internal, InvalidParameter, NotFound, NotImplemented
from app.services.image_content import ImageContent
from app.services.registries import without_addresses
from app.store import events, images
from app.store.session import Store, Transaction
from app.stream import json_stream
from app.stream.decompress import Budget, plain
from app.stream.image_archive import ArchivedImage, ImageArchive

Json = dict[str, Any]

#: Where imports stand on an engine until they are recorded.
_IMPORTS = "sdc.invalid/imports"
#: Instructions of a Dockerfile that change an image without running a thing.
_CHANGES = frozenset(
    [
        "cmd",
        "entrypoint",
        "env",
        "expose",
        "healthcheck",
        "label",
        "onbuild",
        "stopsignal",
        "user",
        "volume",
        "workdir",
    ]
)
MAX_CHANGES, MAX_CHANGE = 100, 4096
MAX_MESSAGE = 4096
_RENAMING = "The image {} already exists, renaming the old one with ID {} to empty string"


class ImageLoad:
    def __init__(self, store: Store, fleet: Fleet, content: ImageContent) -> None:
        self._store = store
        self._fleet = fleet
        self._content = content

    # -- load ----------------------------------------------------------------------------------------------------

    def load(self, account: Account, chunks: Iterable[bytes], *, quiet: bool = True) -> Generator[Json, None, None]:
        """Take an archive, plain or compressed; its messages come once it has been read and checked to its end.

        Raises InvalidParameter and TooLarge for a bad archive, of which nothing is then recorded; Unavailable.
        """
        archive = ImageArchive(chunks, Budget())
        node = self._content.node()
        engine = self._fleet.on(node)
        named: list[tuple[ArchivedImage, list[ImageReference]]] = []
        begun: list[tuple[UUID, str]] = []

        def checked() -> Iterator[bytes]:
            yield from archive.contents()
            named.extend((image, [_tag(name) for name in image.names]) for image in archive.images)
            # Until the end is sent the engine does nothing.
            for image_id in sorted({image.id for image, _ in named}):
                begun.append((self._content.begin(account, node, OperationKind.LOAD, image_id), image_id))
            yield from archive.ending()

        try:
            body = engine.load_images(checked(), quiet=quiet)
        except BaseException:
            self._give_up(node, begun)
            raise
        return self._loading(account, node, engine, body, named, begun, None if quiet else archive.layer_sizes)

    def _give_up(self, node: Node, begun: Sequence[tuple[UUID, str]]) -> None:
        for operation, image_id in begun:
            self._content.give_up(operation, node, [image_id])

    def _loading(
        self,
        account: Account,
        node: Node,
        engine: Engine,
        body: Body,
        named: Sequence[tuple[ArchivedImage, list[ImageReference]]],
        begun: list[tuple[UUID, str]],
        sizes: Mapping[str, int] | None,
    ) -> Generator[Json, None, None]:
        shown: set[str] = set()
        try:
            with body:
                for message in body.messages():
                    if "error" in message or "errorDetail" in message:
                        yield json_stream.error(without_addresses(str(message.get("error") or "the load failed")))
                        return
                    if "status" in message:
                        shown.add(str(message.get("id", "")))
                        yield progress.rebuilt(message)
            told: list[Json] = []
            operations = {image_id: operation for operation, image_id in begun}
            for image, references in named:
                seen = self._loaded(engine, image.id)
                self._content.keep(engine, image.id)
                if sizes is not None:
                    yield from self._as_if_new(account, seen, sizes, shown)
                operation = operations.pop(image.id, None)

                def name(tx: Transaction, seen: Json = seen, names: Any = references) -> None:
                    told.extend(_name(tx, account, seen, names))

                self._content.record(account, node, seen, operation, name)
                begun[:] = [pair for pair in begun if pair[0] != operation]
            yield from told
        except Error as error:
            yield json_stream.error(without_addresses(error.message))
        finally:
            self._give_up(node, begun)

    def _as_if_new(self, account: Account, seen: Json, sizes: Mapping[str, int], shown: set[str]) -> Iterator[Json]:
        """A bar for each layer that the engine had and the account had not: that others have it is not told."""
        layers = (seen.get("RootFS") or {}).get("Layers") or []
        with self._store.autocommit() as tx:
            had = images.layers_had(tx, account.id, layers)
        for layer in layers:
            short = layer.removeprefix("sha256:")[:12]
            if layer not in had and short not in shown:
                shown.add(short)
                size = sizes.get(layer, 0)
                yield progress.of(short, "Loading layer", size, size)

    @staticmethod
    def _loaded(engine: Engine, image_id: str) -> Json:
        try:
            return engine.inspect_image(image_id)
        except NotFound as error:
            raise Internal("the node did not load the image") from error

    # -- import --------------------------------------------------------------------------------------------------

    def import_(
        self,
        account: Account,
        source: str,
        chunks: Iterable[bytes],
        *,
        repository: str,
        tag: str,
        message: str,
        changes: Sequence[str],
        platform: str,
    ) -> Json:
        """Make an image of a root file system, and give its message. Raises InvalidParameter, NotImplemented ..."""
        if source != "-":
            raise NotImplemented("importing from a URL is not available here; pipe it in: docker import -")
        reference = _import_name(repository, tag)
        _check_changes(changes)
        if len(message) > MAX_MESSAGE:
            raise InvalidParameter(f"the message is longer than {MAX_MESSAGE} characters")
        node = self._content.node()
        engine = self._fleet.on(node)
        word = uuid4().hex
        name = f"{_IMPORTS}:{word}"
        operation = self._content.begin(account, node, OperationKind.IMPORT, name, {"images": [name], "names": [name]})
        try:
            with engine.import_image(
                _IMPORTS, word, plain(chunks, Budget()), message=message, changes=changes, platform=platform
            ) as body:
                image_id = _imported(body)
            seen = engine.inspect_image(image_id)
            self._content.keep(engine, image_id)

            def also(tx: Transaction) -> None:
                if reference is not None:
                    images.set_name(tx, account.id, reference.repository, reference.tag, image_id)
                    events.append(tx, event.of_image(account.id, "tag", seen, image_id, str(reference)))
                events.append(tx, event.of_image(account.id, "import", seen, image_id, image_id))

            self._content.record(account, node, seen, operation, also)
        except BaseException as error:
            self._content.give_up(operation, node, [name], [name])
            if isinstance(error, Error):
                raise reworded(error, {}) from error
            raise
        self._content.unname(engine, [name])
        return {"status": image_id}


def _name(tx: Transaction, account: Account, seen: Json, references: Sequence[ImageReference]) -> Iterator[Json]:
    image_id = seen["Id"]
    for reference in references:
        old = images.find_name(tx, account.id, reference.repository, reference.tag)
        if old not in (None, image_id):
            yield _line(_RENAMING.format(reference, old))
        images.set_name(tx, account.id, reference.repository, reference.tag, image_id)
        yield _line(f"Loaded image: {reference}")
    if not references:
        yield _line(f"Loaded image ID: {image_id}")
    events.append(tx, event.of_image(account.id, "load", seen, image_id, image_id))


def _imported(body: Body) -> str:
    """The id of the image that an import has made."""
    image_id = ""
    for message in body.messages():
        if "error" in message or "errorDetail" in message:
            raise InvalidParameter(without_addresses(str(message.get("error") or "the import failed")))
        image_id = str(message.get("status") or "")
    if not image_id.startswith("sha256:"):
        raise Internal("the node did not tell what it has imported")
    return image_id


def _import_name(repository: str, tag: str) -> ImageReference | None:
    if not repository:
        return None
    return image_reference.tagged(repository, tag, refusal="cannot import digest reference")


def _check_changes(changes: Sequence[str]) -> None:
    if len(changes) > MAX_CHANGES or any(len(change) > MAX_CHANGE for change in changes):
        raise InvalidParameter(f"more than {MAX_CHANGES} changes, or one of more than {MAX_CHANGE} characters")
    for change in changes:
        for line in change.splitlines():
            words = line.split(None, 1)
            if words and not words[0].startswith("#") and words[0].lower() not in _CHANGES:
                raise InvalidParameter(f"{words[0].lower()[:64]} is not a valid change command")


def _tag(name: str) -> ImageReference:
    """A name in an archive."""
    return image_reference.tagged(name, "", refusal=f'invalid tag "{name[:128]}"')


def _line(text: str) -> Json:
    return {"stream": f"{text}\n"}
