"""docker builder prune: the account's cached steps go, here and from the engines that hold them."""

from __future__ import annotations

import contextlib
from typing import Any
from uuid import UUID

from app.domain import event
from app.domain.account import Account
from app.engine.engine import Engine
from app.engine.fleet import Fleet
from app.errors import Conflict, NotFound, Unavailable
from app.store import build_cache, events, nodes
from app.store.session import Store

Json = dict[str, Any]


class BuildPrune:
    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet

    def prune(self, account: Account) -> Json:
        """The answer of POST /build/prune. An image that an account has stays; a node that is away keeps its steps."""
        with self._store.begin() as tx:
            gone = build_cache.take_all(tx, account.id)
            known = {node.id: node for node in nodes.list_all(tx)}
            dropped = [(node_id, image_id) for node_id, image_id in gone if not build_cache.is_kept(tx, image_id)]
        deleted, reclaimed = [], 0
        away: set[UUID] = set()
        for node_id, image_id in dropped:
            if node_id in away:
                continue
            try:
                size = _drop(self._fleet.on(known[node_id]), image_id)
            except Unavailable:
                away.add(node_id)
                continue
            if size is not None:
                deleted.append(image_id)
                reclaimed += size
        with self._store.begin() as tx:
            events.append(tx, event.pruned(account.id, "builder", reclaimed))
        return {"CachesDeleted": deleted or None, "SpaceReclaimed": reclaimed}


def _drop(engine: Engine, image_id: str) -> int | None:
    """The bytes that are free now; None where the engine does not have it, or needs it for something else."""
    with contextlib.suppress(NotFound, Conflict):
        seen = engine.inspect_image(image_id)
        if seen.get("RepoTags"):
            return None
        parent = 0
        if seen.get("Parent"):
            with contextlib.suppress(NotFound):
                parent = engine.inspect_image(seen["Parent"]).get("Size", 0)
        engine.remove_image(image_id)
        return max(0, seen.get("Size", 0) - parent)
    return None
