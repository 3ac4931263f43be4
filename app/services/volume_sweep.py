"""Volumes on an engine that no row knows: what an engine, or a process of ours, left when it died in the middle.

One that the engine named is given to its account, where it is unused: its owner sees it and may prune it. One of ours
with a name is only told of: data that somebody named is not removed by a comparison. Objects without our label, which
are also the volumes that an engine makes for `Volumes` of a container or an image, are never touched.

Those could have labels if the engine were given them as `Mounts`. But it does not count it as a use when another
container has such a volume by `VolumesFrom`: removed with its volumes, the first would take the other one's data along.
So what an engine that dies in the middle of a create has made for `Volumes`, empty or as the image has it, stays on the
node, and nobody can tell whose it is.
"""

from __future__ import annotations

import time
from uuid import UUID

import structlog

from app.domain import event
from app.domain.node import Node
from app.engine.fleet import Fleet
from app.store import accounts, events, volumes
from app.store.session import Store

log = structlog.get_logger()

#: How often an engine is asked for its volumes.
EVERY_SECONDS = 60.0
#: What is unknown for so long is not just being made, or undone.
STRAY_SECONDS = 600.0


class VolumeSweep:
    def __init__(self, store: Store, fleet: Fleet, fleet_name: str, *, stray_seconds: float = STRAY_SECONDS) -> None:
        self._store = store
        self._fleet = fleet
        self._fleet_name = fleet_name
        self._stray_seconds = stray_seconds
        self._looked: dict[UUID, float] = {}
        #: (node, engine name) -> when it was first seen and not known.
        self._unknown: dict[tuple[UUID, str], float] = {}

    def sweep(self, node: Node, *, now: bool = False) -> None:
        """Raises Unavailable where the node is away."""
        moment = time.monotonic()
        if not now and moment - self._looked.get(node.id, float("-inf")) < EVERY_SECONDS:
            return
        self._looked[node.id] = moment
        listed = self._fleet.on(node).list_volumes([f"sdc.fleet={self._fleet_name}"])
        labels = {entry["Name"]: entry.get("Labels") or {} for entry in listed}
        with self._store.autocommit() as tx:
            known = volumes.engine_names(tx, node.id, labels.keys()) if labels else set()
        unknown = {(node.id, name) for name in labels.keys() - known}
        self._unknown = {key: since for key, since in self._unknown.items() if key[0] != node.id or key in unknown} | {
            key: moment for key in unknown if key not in self._unknown
        }
        for key in unknown:
            since = self._unknown[key]
            if moment - since >= self._stray_seconds and since != float("inf"):
                # Once is enough to tell of it.
                self._unknown[key] = float("inf")
                self._judge(node, key[1], labels[key[1]])

    def _judge(self, node: Node, engine_name: str, labels: dict[str, str]) -> None:
        if engine_name.startswith("v-"):
            log.warning("unknown volume of this fleet", volume=engine_name, node=node.name)
            return
        try:
            account_id = UUID(labels.get("sdc.account", ""))
        except ValueError:
            log.warning("unknown volume of this fleet", volume=engine_name, node=node.name)
            return
        with self._store.begin() as tx:
            if not accounts.exists(tx, account_id):
                log.warning("unknown volume of this fleet", volume=engine_name, node=node.name)
                return
            if volumes.record_anonymous(tx, account_id, node.id, engine_name, {}):
                told = event.ours(account_id, "volume", "create", engine_name, {"driver": "local"})
                events.append(tx, told)
                log.info("a volume without a row was given to its account", volume=engine_name, node=node.name)
