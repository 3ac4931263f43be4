"""docker stats: an engine's samples of one container, in the tenant's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.domain import stats_view
from app.domain.account import Account
from app.engine.client import RawStream
from app.engine.fleet import Fleet
from app.services.container_call import find, in_tenant_words
from app.store.session import Store

Json = dict[str, Any]


@dataclass(frozen=True)
class OpenStats:
    """The engine's lines of JSON, and what makes the tenant's sample (at API 1.44) of one of its own."""

    upstream: RawStream
    sample: Callable[[Json], Json]


class ContainerStats:
    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet

    def open(self, account: Account, id_or_name: str, *, stream: bool, one_shot: bool) -> OpenStats:
        """A sample each second, or one: after the second that the use of CPUs is told by, unless it is `one_shot`."""
        container, node = find(self._store, account, id_or_name)
        query = {"stream": "1" if stream else "0", "one-shot": "1" if one_shot else None}
        with in_tenant_words(container):
            upstream = self._fleet.on(node).stats(container.engine_name, query)
        return OpenStats(upstream, lambda seen: stats_view.sample(container, seen))
