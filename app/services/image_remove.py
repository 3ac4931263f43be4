"""docker rmi and docker image prune: the account's rows go. What then nobody has, an observer takes off the nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.domain import event, image_reference, image_view
from app.domain.account import Account
from app.domain.image_filter import Prune
from app.domain.image_reference import DEFAULT_TAG
from app.domain.image_removal import Owned, Removal, has_tag, is_id
from app.errors import Conflict
from app.services.image_history import ImageHistory
from app.store import containers, events, images
from app.store.images import Image
from app.store.session import Store, Transaction

Json = dict[str, Any]


class ImageRemove:
    def __init__(self, store: Store, history: ImageHistory) -> None:
        self._store = store
        self._history = history

    def remove(self, account: Account, name: str, *, force: bool, prune: bool) -> list[Json]:
        """The answer of DELETE /images/{name}. Raises NotFound, Conflict, InvalidParameter."""
        with self._store.begin() as tx:
            images.lock_account(tx, account.id)
            target = images.resolve(tx, account.id, name)
            mine = images.list_mine(tx, account.id)
            removal = Removal(_owned(tx, account, mine))
            if is_id(target.id, name):
                removal.by_id(target.id, force=force, prune=prune)
            else:
                reference = image_reference.parse(name)
                word = reference.digest or reference.tag or DEFAULT_TAG
                removal.by_name(target.id, (reference.repository, word), force=force, prune=prune)
            _apply(tx, account, removal, {image.id: image for image in mine})
        return removal.records

    def prune(self, account: Account, filters: Mapping[str, Sequence[str]]) -> Json:
        """The answer of POST /images/prune. Raises InvalidParameter."""
        wanted = Prune.parse(filters)
        with self._store.autocommit() as tx:
            sized = images.list_mine(tx, account.id)
        # Sizes may have to be asked for, and no transaction waits for an engine.
        sizes: dict[str, int] = {}
        for image in sized:
            sizes |= self._history.layer_sizes(image)
        with self._store.begin() as tx:
            images.lock_account(tx, account.id)
            mine = images.list_mine(tx, account.id)
            removal = Removal(_owned(tx, account, mine))
            parents = {image.inspect.get("Parent") for image in mine}
            for image in mine:
                if (image.names or image.id not in parents) and wanted.takes(image.inspect, image_view.labels):
                    _prune_one(removal, image, wanted.dangling)
            _apply(tx, account, removal, {image.id: image for image in mine})
            freed = sum(sizes.get(record.get("Deleted", ""), 0) for record in removal.records)
            events.append(tx, event.pruned(account.id, "image", freed))
        return {"ImagesDeleted": removal.records or None, "SpaceReclaimed": freed}


def _prune_one(removal: Removal, image: Image, dangling: bool) -> None:
    names = list(image.names)
    if dangling and has_tag(names):
        return
    if image.id in removal.deleted:
        return
    try:
        if not names:
            removal.by_id(image.id, force=False, prune=True)
        for name in names:
            if (name, image.id) not in removal.untagged:
                removal.by_name(image.id, name, force=False, prune=True)
    except Conflict:
        return  # It is in use, and stays.


def _owned(tx: Transaction, account: Account, mine: Sequence[Image]) -> list[Owned]:
    running, stopped = containers.using_images(tx, account.id)
    return [
        Owned(
            image.id,
            parent=image.inspect.get("Parent") or "",
            diff_ids=(image.inspect.get("RootFS") or {}).get("Layers") or [],
            names=list(image.names),
            running=running.get(image.id, ()),
            stopped=stopped.get(image.id, ()),
        )
        for image in mine
    ]


def _apply(tx: Transaction, account: Account, removal: Removal, known: Mapping[str, Image]) -> None:
    gone = sorted(removal.deleted)
    # Before any name: who brings an image holds it when he names it.
    for image_id in gone:
        images.lock(tx, image_id)
    for (repository, reference), _ in removal.untagged:
        images.remove_name(tx, account.id, repository, reference)
    for image_id in gone:
        images.remove(tx, account.id, image_id)
    if removal.told:
        events.append(tx, *(_event(account.id, action, known[image_id]) for action, image_id in removal.told))


def _event(account_id: UUID, action: str, image: Image) -> event.Event:
    # An engine has nothing to read labels from any more when it tells of the end.
    return event.of_image(account_id, action, image.inspect if action != "delete" else {}, image.id, image.id)
