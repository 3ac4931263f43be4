"""What containers are: list, inspect, top. The list comes from the database alone; inspect asks the engine, briefly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from app.domain import container_filter, container_view
from app.domain.account import Account
from app.domain.container_filter import Filters
from app.domain.policy.top import decide_ps
from app.engine.errors import scrub
from app.engine.fleet import Fleet
from app.errors import Error, InvalidParameter, NotFound, Unavailable
from app.services.container_call import find, in_tenant_words
from app.services.container_sync import ContainerSync, engine_words
from app.services.list_cache import ListCache
from app.store import container_lists, containers, images, nodes
from app.store.session import Store, Transaction

Json = dict[str, Any]

#: A person waits for inspect; behind a node that hangs the stored view is the better answer. An engine looks at every
#: file for a size, and goes on with it when nobody waits any more.
INSPECT_SECONDS, SIZE_SECONDS = 3.0, 300.0


class ContainerQueries:
    def __init__(self, store: Store, fleet: Fleet, sync: ContainerSync, fleet_name: str) -> None:
        self._store = store
        self._fleet = fleet
        self._sync = sync
        self._fleet_name = fleet_name
        self._lists = ListCache()

    def list(self, account: Account, *, everything: bool, limit: int, filters: Filters, size: bool) -> bytes:
        """The JSON array of GET /containers/json at API 1.44, newest first. Raises InvalidParameter, NotFound."""
        if not filters and not size:
            return self._plain(account, active_only=not everything and limit <= 0, limit=max(limit, 0))
        now = datetime.now(UTC)
        with self._store.autocommit() as tx:
            ancestors = self._ancestors(tx, account, filters["ancestor"]) if "ancestor" in filters else None
            candidates = container_lists.candidates(
                tx, account.id, detailed=bool(container_filter.DETAILED & filters.keys())
            )
        chosen = container_filter.select(candidates, filters, everything=everything, limit=limit, ancestors=ancestors)
        sizes = self.sizes(account) if size else {}
        entries = []
        for candidate in chosen:
            c = candidate
            entry = _entry(now, c.state, c.started_at, c.finished_at, c.exit_code, c.health, c.list_head, c.list_tail)
            if size:
                extra = orjson.dumps(sizes.get(candidate.id, {"SizeRw": 0, "SizeRootFs": 0})).decode()
                entry = f"{entry[:-1]},{extra[1:]}"
            entries.append(entry)
        return _array(entries)

    def _plain(self, account: Account, *, active_only: bool, limit: int) -> bytes:
        with self._store.autocommit() as tx:

            def make() -> tuple[bytes, bool]:
                rows = container_lists.plain(tx, account.id, active_only=active_only, limit=limit)
                now = datetime.now(UTC)
                return _array([_entry(now, *row) for row in rows]), any(row.started_at for row in rows)

            if limit:
                # Of those there is one for each number that a client thinks of.
                return make()[0]
            return self._lists.get((account.id, active_only), container_lists.stamp(tx, account.id), make)

    def sizes(self, account: Account) -> dict[str, Json]:
        """Container id -> sizes, from the engines; a node that is away has none."""
        with self._store.autocommit() as tx:
            up = [n for n in nodes.list_all(tx) if n.state == "up"]
        labels = (f"sdc.fleet={self._fleet_name}", f"sdc.account={account.id}")
        sizes = {}
        for node in up:
            try:
                for seen in self._fleet.on(node).list_containers(labels, size=True):
                    sizes[seen["Labels"].get("sdc.container", "")] = {
                        "SizeRw": seen.get("SizeRw", 0),
                        "SizeRootFs": seen.get("SizeRootFs", 0),
                    }
            except Unavailable:
                continue
        return sizes

    @staticmethod
    def _ancestors(tx: Transaction, account: Account, words: Iterable[str]) -> frozenset[str]:
        found = set()
        for word in words:
            try:
                found.add(images.resolve(tx, account.id, word).id)
            except (NotFound, InvalidParameter):
                continue  # as dockerd does: an unknown ancestor has no descendants
        return frozenset(found)

    def inspect(self, account: Account, id_or_name: str, *, size: bool = False) -> Json:
        """The container at API 1.44. Where its node is away: the last state seen, which `State.Error` then says."""
        with self._store.autocommit() as tx:
            container, node, words = containers.get_described(tx, account.id, id_or_name)
        try:
            seconds = SIZE_SECONDS if size else INSPECT_SECONDS
            seen = self._fleet.on(node).inspect_container(container.engine_name, size=size, timeout=seconds)
        except NotFound:
            self._sync.refresh(container.id)
            with self._store.autocommit() as tx:
                fresh = containers.find_by_id(tx, container.id)
            if fresh is None or fresh.inspect is None:
                raise NotFound(f"No such container: {id_or_name}") from None
            return fresh.inspect
        except Unavailable:
            with self._store.autocommit() as tx:
                last = containers.find_by_id(tx, container.id)
            if last is None or last.inspect is None:
                raise
            state = {**last.inspect["State"], "Error": "the node cannot be reached; this is the last known state"}
            return {**last.inspect, "State": state}
        seen["State"]["Error"] = scrub(seen["State"].get("Error") or "", engine_words(container))
        view = container_view.inspect(container, seen, words)
        shown = (container.inspect or {}).get("State", {})
        if any(view["State"][key] != shown.get(key) for key in ("Status", "StartedAt", "FinishedAt", "ExitCode")):
            # Nobody may be told less by a list than what this answer tells.
            with contextlib.suppress(Error):
                self._sync.refresh(container.id)
        return view

    def top(self, account: Account, id_or_name: str, ps_args: str) -> Json:
        """Titles and Processes. Raises Forbidden for arguments that might show others' processes."""
        ps_args = decide_ps(ps_args)
        container, node = find(self._store, account, id_or_name)
        with in_tenant_words(container):
            return self._fleet.on(node).top(container.engine_name, ps_args or None)


def _array(entries: list[str]) -> bytes:
    return f"[{','.join(entries)}]".encode()


def _entry(
    now: datetime,
    state: str,
    started_at: datetime | None,
    finished_at: datetime | None,
    exit_code: int | None,
    health: str,
    head: str,
    tail: str,
) -> str:
    """A list's entry: the ready text with the status of this moment in its hole. Called once per container."""
    return f'{head}"{container_view.status_text(state, now, started_at, finished_at, exit_code, health)}"{tail}'
