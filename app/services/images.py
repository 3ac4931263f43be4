"""Images as an account has them: list, inspect, history, tag. Names are the account's and stand in the database.

How images come is in `image_pull.py` and `image_load.py`, how they go in `image_remove.py`, and who has what content in
`image_content.py`.
"""

from __future__ import annotations

from typing import Any

from app.domain import event, image_filter, image_layers, image_reference, image_view
from app.domain.account import Account
from app.domain.image_filter import Candidate, Filters
from app.services.image_history import ImageHistory
from app.store import events, images
from app.store.session import Store

Json = dict[str, Any]
Listing = list[Json]


class Images:
    def __init__(self, store: Store, history: ImageHistory) -> None:
        self._store = store
        self._history = history

    def list(self, account: Account, *, everything: bool, filters: Filters, shared_size: bool = False) -> Listing:
        """The array of GET /images/json at API 1.44, newest first. Raises InvalidParameter, NotFound."""
        image_filter.check(filters)
        with self._store.autocommit() as tx:
            mine = images.list_mine(tx, account.id)
            parents = {image.inspect.get("Parent") for image in mine}
            candidates = [Candidate(i.inspect, i.tags, i.digests, i.id in parents) for i in mine]
            chosen = image_filter.select(
                candidates,
                filters,
                everything=everything,
                created_of=lambda name: image_view.created(images.resolve(tx, account.id, name).inspect),
            )
        listed = [image_view.list_entry(c.content, tags=c.tags, digests=c.digests) for c in chosen]
        if shared_size:
            weights = image_layers.shared(self._history.layer_sizes(image) for image in mine)
            by_id = dict(zip((image.id for image in mine), weights, strict=True))
            listed = [{**entry, "SharedSize": by_id[entry["Id"]]} for entry in listed]
        return listed

    def inspect(self, account: Account, name: str) -> Json:
        """The answer of GET /images/{name}/json at API 1.44. Raises NotFound, InvalidParameter."""
        with self._store.autocommit() as tx:
            image = images.resolve(tx, account.id, name)
        return image_view.inspect(image.inspect, tags=image.tags, digests=image.digests, named_at=image.named_at)

    def history(self, account: Account, name: str) -> Listing:
        """The answer of GET /images/{name}/history. Raises NotFound, InvalidParameter, Unavailable."""
        return self._history.history(account, name)

    def tag(self, account: Account, name: str, repository: str, tag: str) -> None:
        """Give an image another name, which may have meant another one. Raises NotFound, InvalidParameter."""
        reference = image_reference.tagged(repository, tag)
        with self._store.begin() as tx:
            image = images.resolve(tx, account.id, name)
            images.set_name(tx, account.id, reference.repository, reference.tag, image.id)
            events.append(tx, event.of_image(account.id, "tag", image.inspect, image.id, str(reference)))
