"""docker container prune: the account's own stopped containers, one by one, as `docker rm` takes them."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import structlog

from app.domain import event, label_filter
from app.domain.account import Account
from app.domain.container_state import ContainerState
from app.domain.label_filter import Filters
from app.errors import Error
from app.services.container_lifecycle import ContainerLifecycle
from app.services.container_queries import ContainerQueries
from app.store import container_lists, events
from app.store.session import Store

log = structlog.get_logger()

KNOWN = ("label", "label!", "until")
#: So long the prune's own event waits for those of the removals, which come from the engine by way of an observer.
TOLD_SECONDS = 1.0
_STOPPED = frozenset([ContainerState.CREATED, ContainerState.EXITED, ContainerState.DEAD])


class ContainerPrune:
    def __init__(self, store: Store, lifecycle: ContainerLifecycle, queries: ContainerQueries) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._queries = queries

    def prune(self, account: Account, filters: Filters) -> dict[str, Any]:
        """The answer of POST /containers/prune. Raises InvalidParameter."""
        label_filter.check_known(filters, KNOWN)
        until = label_filter.until(filters)
        with self._store.autocommit() as tx:
            chosen = [
                c
                for c in container_lists.candidates(tx, account.id)
                if c.state in _STOPPED
                and (until is None or c.created_at < until)
                and label_filter.passes(c.labels, filters)
            ]
        sizes = self._queries.sizes(account) if chosen else {}
        gone, reclaimed = [], 0
        for container in chosen:
            try:
                self._lifecycle.remove(account, container.id, force=False, volumes=False, link=False)
            except Error as error:
                # It runs by now, or somebody else removes it, or its node is away.
                log.info("a container was not pruned", container=container.id, error=error.message)
                continue
            gone.append(container.id)
            reclaimed += sizes.get(container.id, {}).get("SizeRw", 0)
        self._await_told(account.id, gone)
        with self._store.begin() as tx:
            events.append(tx, event.pruned(account.id, "container", reclaimed))
        return {"ContainersDeleted": gone or None, "SpaceReclaimed": reclaimed}

    def _await_told(self, account_id: UUID, gone: list[str]) -> None:
        end = time.monotonic() + TOLD_SECONDS
        while gone and time.monotonic() < end:
            with self._store.autocommit() as tx:
                if events.count_gone(tx, account_id, gone) == len(gone):
                    return
            time.sleep(0.01)
