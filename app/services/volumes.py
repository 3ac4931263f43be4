"""docker volume: create, list, inspect, remove, prune.

A volume is a row until its first use: the container that mounts it first gives it its node, and that node's engine
makes it (`container_volumes.py`). One of a size of its own is made at once, for only an engine can tell whether it can
keep it to that size. A removal marks the row, which frees the name, before the engine is asked.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from app.domain import event, volume_filter, volume_view
from app.domain.account import Account
from app.domain.label_filter import Filters
from app.domain.node import Node
from app.domain.operation import Operation, OperationKind, OperationState
from app.domain.policy.volume import VolumeSpec
from app.domain.volume import Volume
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, Unavailable
from app.placement import scheduler
from app.services.container_volumes import check_room, tell
from app.services.disk_usage import VolumeSizes
from app.services.intent import Intents
from app.services.process import Process
from app.store import accounts, events, nodes, operations, volumes
from app.store.operations import TakenOver
from app.store.session import Store, Transaction, UniqueViolation

log = structlog.get_logger()

Json = dict[str, Any]


@dataclass(frozen=True)
class _Removal:
    """A removal that has begun; `operation_id` is None where the row was all that there was."""

    volume: Volume
    node: Node | None = None
    operation_id: UUID | None = None


class Volumes:
    def __init__(self, store: Store, fleet: Fleet, intents: Intents, sizes: VolumeSizes, fleet_name: str) -> None:
        self._store = store
        self._fleet = fleet
        self._intents = intents
        self._sizes = sizes
        self._fleet_name = fleet_name

    def list(self, account: Account, filters: Filters) -> Json:
        """The answer of GET /volumes at API 1.44. Raises InvalidParameter."""
        volume_filter.check(filters)
        with self._store.autocommit() as tx:
            mine = volumes.list_mine(tx, account.id)
        return {"Volumes": [volume_view.entry(v) for v in volume_filter.select(mine, filters)], "Warnings": None}

    def inspect(self, account: Account, name: str) -> Json:
        """Raises NotFound."""
        with self._store.autocommit() as tx:
            return volume_view.entry(volumes.get(tx, account.id, name))

    # -- create --------------------------------------------------------------------------------------------------

    def create(self, account: Account, spec: VolumeSpec) -> Json:
        """The volume of this name, made unless it is there. Raises Forbidden, InvalidParameter, Unavailable."""
        try:
            with self._store.begin() as tx:
                accounts.lock(tx, account.id)
                volume = volumes.find(tx, account.id, spec.name)
                if volume is not None:
                    return volume_view.entry(volume)
                check_room(tx, account)
                if not spec.options:
                    volume = volumes.add_named(tx, account.id, spec.name, None, spec.labels)
                    tell(tx, volume, "create")
                    return volume_view.entry(volume)
                node = self._node(tx)
                volume = volumes.add_named(tx, account.id, spec.name, node.id, spec.labels, spec.options, creating=True)
                target = str(volume.id)
                operation_id = self._intents.open_new(tx, OperationKind.VOLUME_CREATE, account.id, target, node.id)
        except UniqueViolation as violation:
            raise Unavailable("the volume is being created by another request", retry_after=1) from violation
        self._make(volume, node, operation_id)
        return volume_view.entry(volume)

    @staticmethod
    def _node(tx: Transaction) -> Node:
        everyone = nodes.list_all(tx)
        return scheduler.place(scheduler.Request(image_nodes={n.id for n in everyone}), everyone)

    def _make(self, volume: Volume, node: Node, operation_id: UUID) -> None:
        labels = {"sdc.fleet": self._fleet_name, "sdc.account": str(volume.account_id), "sdc.op": str(operation_id)}

        def refused(error: Error) -> None:
            undo_creation(self._store, self._fleet, node, volume.id)
            with self._store.begin() as tx:
                self._intents.undone(tx, operation_id, error.message)

        with self._intents.ending(operation_id, {volume.engine_name: volume.name}, refused):
            self._fleet.on(node).create_volume(volume.engine_name, labels=labels, options=volume.options)
            with self._store.begin() as tx:
                self._intents.finish(tx, operation_id)
                volumes.set_ready(tx, volume.id)
                tell(tx, volume, "create")

    # -- remove --------------------------------------------------------------------------------------------------

    def remove(self, account: Account, name: str, *, force: bool) -> None:
        """Raises NotFound, unless by force, and Conflict where a container mounts it."""
        with self._store.begin() as tx:
            accounts.lock(tx, account.id)
            volume = volumes.find(tx, account.id, name) if force else volumes.get(tx, account.id, name)
            if volume is None:
                return
            removal = self._begin(tx, volume)
            if removal is None:
                ids = ", ".join(volumes.users(tx, volume.id))
                raise Conflict(f"remove {name}: volume is in use - [{ids}]")
        self._carry_out(removal)

    def _begin(self, tx: Transaction, volume: Volume) -> _Removal | None:
        """None where a container mounts it. The account's row must be locked."""
        if volume.node_id is None:
            if not volumes.remove_unplaced(tx, volume):
                return None
            tell(tx, volume, "destroy")
            return _Removal(volume)
        if not volumes.begin_removal(tx, volume):
            return None
        kind, target = OperationKind.VOLUME_REMOVE, str(volume.id)
        # For events of its use that are heard when it is gone.
        words = {"engine_name": volume.engine_name, "name": volume.name}
        operation_id = self._intents.open_new(tx, kind, volume.account_id, target, volume.node_id, words)
        return _Removal(volume, nodes.get(tx, volume.node_id), operation_id)

    def _carry_out(self, removal: _Removal) -> None:
        volume, node, operation_id = removal.volume, removal.node, removal.operation_id
        if node is None or operation_id is None:
            return
        try:
            self._fleet.on(node).remove_volume(volume.engine_name)
            # Who takes it over tells of it.
            with contextlib.suppress(TakenOver), self._store.begin() as tx:
                self._intents.finish(tx, operation_id)
                volumes.end_removal(tx, volume.id)
                tell(tx, volume, "destroy")
        except BaseException as error:
            # It is gone for its account; an observer takes it from the engine.
            self._intents.abandon(operation_id)
            if isinstance(error, Error):
                raise reworded(error, {volume.engine_name: volume.name}) from error
            raise

    def prune(self, account: Account, filters: Filters) -> Json:
        """The answer of POST /volumes/prune: unused ones without a name of somebody's choice, or all of them."""
        with self._store.autocommit() as tx:
            unused = volume_filter.to_prune(volumes.list_mine(tx, account.id), filters)
        sizes = self._sizes.of(unused)
        gone, reclaimed = [], 0
        for volume in unused:
            with self._store.begin() as tx:
                accounts.lock(tx, account.id)
                removal = self._begin(tx, volume)
            if removal is None:
                continue  # A container has come to it.
            try:
                self._carry_out(removal)
            except Error as error:
                log.warning("a volume goes later", volume=str(volume.id), error=error.message)
            gone.append(volume.name)
            reclaimed += max(sizes.get(volume.id, 0), 0)
        with self._store.begin() as tx:
            events.append(tx, event.pruned(account.id, "volume", reclaimed))
        return {"VolumesDeleted": gone, "SpaceReclaimed": reclaimed}


# -- after a process died ----------------------------------------------------------------------------------------


def undo_creation(store: Store, fleet: Fleet, node: Node, volume_id: UUID) -> None:
    """Nobody was told of it. Raises Unavailable; may be repeated."""
    with store.autocommit() as tx:
        volume = volumes.find_by_id(tx, volume_id)
    if volume is None:
        return
    _remove_from_engine(fleet, node, volume)
    with store.begin() as tx:
        volumes.end_removal(tx, volume_id)


def recover(store: Store, fleet: Fleet, process: Process, node: Node, operation: Operation) -> None:
    """End what another process began: a creation is undone, a removal finished. Raises Unavailable; may be repeated."""
    volume_id = UUID(operation.target)
    if operation.kind is OperationKind.VOLUME_CREATE:
        undo_creation(store, fleet, node, volume_id)
        with store.begin() as tx:
            operations.end(tx, operation.id, process.id, OperationState.UNDONE, "its process died")
        return
    with store.autocommit() as tx:
        volume = volumes.find_by_id(tx, volume_id)
    if volume is not None:
        _remove_from_engine(fleet, node, volume)
    with contextlib.suppress(TakenOver), store.begin() as tx:
        operations.finish(tx, operation.id, process.id)
        if volume is not None:
            volumes.end_removal(tx, volume_id)
            tell(tx, volume, "destroy")


def _remove_from_engine(fleet: Fleet, node: Node, volume: Volume) -> None:
    try:
        fleet.on(node).remove_volume(volume.engine_name)
    except Unavailable:
        raise
    except Error as error:
        raise Unavailable(f"the volume cannot be removed: {error.message}", retry_after=5) from error
