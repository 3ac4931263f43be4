"""docker save: images with all their layers as one tar, under the account's names for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from app.domain import event, image_reference
from app.domain.account import Account
from app.domain.image_reference import familiar
from app.domain.image_removal import is_id
from app.engine.client import Body
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Error, InvalidParameter, NotFound, Unavailable
from app.services.image_content import ImageContent
from app.store import events, images
from app.store.session import Store, Transaction
from app.stream import saved_archive

#: What one archive may hold.
MAX_IMAGES = 1000
BLOCK = 256 * 1024


class ImageSave:
    def __init__(self, store: Store, fleet: Fleet, content: ImageContent) -> None:
        self._store = store
        self._fleet = fleet
        self._content = content

    def save(self, account: Account, names: Sequence[str]) -> Saved:
        """The archive of the images that `names` mean. Raises NotFound, InvalidParameter, Unavailable."""
        if len(names) > MAX_IMAGES:
            raise InvalidParameter(f"more than {MAX_IMAGES} images at a time")
        chosen: dict[str, list[tuple[str, str]]] = {}
        with self._store.begin() as tx:
            for name in names:
                for image_id, tags in self._meant(tx, account, name):
                    known = chosen.setdefault(image_id, [])
                    known.extend(tag for tag in tags if tag not in known)
            saved = [images.resolve(tx, account.id, image_id) for image_id in chosen]
            told = [event.of_image(account.id, "save", image.inspect, image.id, image.id) for image in saved]
            if told:
                events.append(tx, *told)
        if not chosen:
            return Saved(lambda: None, [saved_archive.NOTHING])
        node = self._content.holder(list(chosen))
        try:
            body = self._fleet.on(node).save_images(chosen)
        except NotFound as error:
            raise Unavailable("the node has lost an image", retry_after=10) from error
        except Error as error:
            raise reworded(error, {}) from error
        return Saved(body.close, saved_archive.named(_chunks(body), chosen))

    @staticmethod
    def _meant(tx: Transaction, account: Account, name: str) -> list[tuple[str, list[tuple[str, str]]]]:
        """(image id, names in the archive). A repository without a tag means all its tags; an id none."""
        try:
            reference = image_reference.parse(name)
        except InvalidParameter:
            reference = None
        if reference is not None and not reference.tag and not reference.digest:
            tagged = images.list_tags(tx, account.id, reference.repository)
            if tagged:
                shown = familiar(reference.repository)
                return [(image_id, [(shown, tag)]) for tag, image_id in tagged]
        try:
            image = images.resolve(tx, account.id, name)
        except NotFound as error:
            raise NotFound(f"No such image: {name}") from error
        if reference is not None and reference.tag and not is_id(image.id, name):
            return [(image.id, [(familiar(reference.repository), reference.tag)])]
        return [(image.id, [])]


class Saved:
    """The bytes of an archive. Closing it early ends the engine's work on it."""

    def __init__(self, close: Callable[[], None], blocks: Iterable[bytes]) -> None:
        self._close = close
        self._blocks = iter(blocks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        self._close()


def _chunks(body: Body) -> Iterator[bytes]:
    """The engine's small pieces as large ones: each costs a write to the client."""
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in body.chunks():
            pieces.append(piece)
            size += len(piece)
            if size >= BLOCK:
                yield b"".join(pieces)
                pieces, size = [], 0
        yield b"".join(pieces)
    finally:
        body.close()
