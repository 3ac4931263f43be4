"""Finishes or undoes what a process left behind when it died.

An operation whose process gave no sign of life for a while, or has left it, is taken over: from then on the old process
can end it no more. What each kind needs is idempotent, so a recovery that is interrupted is simply done again:

* create: undone. The client never had its answer; engine object, row, quota and new volumes go.
* remove: finished. It was promised to nobody that it would stay.
* start, stop, restart, kill, pause, unpause, update: the engine has done it or not; the row is made what the engine
  says, and after an update the account's use too.
* commit: undone; the step between goes from the engine.
* volume-create: undone. volume-remove: finished; it was gone for its account already.
* rename: the name is changed already; the network's DNS is brought after it.
* network: the default one is made ready, another one undone; network remove: finished, or kept where it is in use.
* connect, disconnect: the row is made what the engine says.
* pull, load, import, build: undone; what has come to the engine is nobody's, and is dropped.
* push: the name that it took on the engine is given back.

`sweep` looks the other way round: engine objects with our fleet's label that no row knows, left by an engine call that
outlived its process. Objects without our label are never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog

from app.domain.container import engine_name
from app.domain.container_state import ACTIVE, ContainerState
from app.domain.network import uuid_of
from app.domain.node import Node
from app.domain.operation import Operation, OperationKind, OperationState
from app.engine.fleet import Fleet
from app.errors import Error, Unavailable
from app.services import network_connect, network_create, network_remove
from app.services import volumes as volume_operations
from app.services.container_create import undo_create
from app.services.container_lifecycle import ContainerLifecycle
from app.services.container_sync import ContainerSync, forget
from app.services.container_update import settle
from app.services.image_content import ImageContent
from app.services.networks import Networks
from app.services.process import SILENT_SECONDS, Process
from app.services.volume_sweep import VolumeSweep
from app.store import containers, networks, nodes, operations, processes
from app.store.session import Store, Transaction

log = structlog.get_logger()


class Recovery:
    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        process: Process,
        sync: ContainerSync,
        lifecycle: ContainerLifecycle,
        account_networks: Networks,
        fleet_name: str,
        content: ImageContent,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._process = process
        self._sync = sync
        self._lifecycle = lifecycle
        self._networks = account_networks
        self._fleet_name = fleet_name
        self._content = content
        self._volumes = VolumeSweep(store, fleet, fleet_name)

    def run(self) -> None:
        """Take over abandoned operations and end them. What cannot be ended now is tried again at the next run."""
        with self._store.begin() as tx:
            operations.take_over(tx, self._process.id, SILENT_SECONDS)
            held = operations.list_held(tx, self._process.id)
            processes.forget_silent(tx, 10 * SILENT_SECONDS)
        for operation in held:
            try:
                self._end(operation)
                log.info("operation recovered", operation=str(operation.id), kind=operation.kind)
            except Error as error:
                log.warning("recovery will be tried again", operation=str(operation.id), error=error.message)
            except Exception:
                # One operation that cannot be ended must not keep the others from it.
                log.exception("recovery failed and will be tried again", operation=str(operation.id))

    def _end(self, operation: Operation) -> None:
        with self._store.begin() as tx:
            container = containers.find_by_id(tx, operation.target)
            node = nodes.get(tx, operation.node_id)
        match operation.kind:
            case OperationKind.NETWORK:
                self._end_network(operation, node)
            case OperationKind.NETWORK_REMOVE:
                self._end_network_removal(operation)
            case (
                OperationKind.PULL
                | OperationKind.LOAD
                | OperationKind.IMPORT
                | OperationKind.BUILD
                | OperationKind.PUSH
            ):
                self._content.recover(operation, node, self._process)
            case OperationKind.COMMIT:
                # What it brought in a second step is an operation of its own.
                self._content.unname(self._fleet.on(node), operation.detail["names"])
                with self._store.begin() as tx:
                    operations.end(tx, operation.id, self._process.id, OperationState.UNDONE, "its process died")
            case OperationKind.VOLUME_CREATE | OperationKind.VOLUME_REMOVE:
                volume_operations.recover(self._store, self._fleet, self._process, node, operation)
            case OperationKind.CREATE:
                if container is None or container.state is ContainerState.CREATING:
                    undo_create(self._store, self._fleet, node, operation.target, operation.detail)
                with self._store.begin() as tx:
                    operations.end(tx, operation.id, self._process.id, OperationState.UNDONE, "its process died")
            case _ if container is None:
                self._done(operation)
            case OperationKind.REMOVE:
                force, volumes = operation.detail["force"], operation.detail["volumes"]
                try:
                    engine = self._fleet.on(node)
                    self._lifecycle.carry_out_removal(container, engine, force=force, volumes=volumes)
                except Unavailable:
                    raise
                except Error:
                    # It runs and was not to be forced, or its engine cannot remove it: it stays.
                    self._sync.refresh(container.id, also=self._ending(operation, OperationState.UNDONE))
                    return
                with self._store.begin() as tx:
                    forget(tx, container, volumes=volumes)
                    operations.end(tx, operation.id, self._process.id, OperationState.DONE)
            case OperationKind.CONNECT | OperationKind.DISCONNECT:
                if operation.detail["uuid"]:
                    network_connect.settle(self._store, self._fleet, container, node, UUID(operation.detail["uuid"]))
                self._sync.refresh(container.id, also=self._ending(operation))
            case OperationKind.UPDATE:
                settle(self._fleet, self._sync, container, node, self._ending(operation))
            case OperationKind.RENAME:
                self._lifecycle.announce_name(container.id)
                self._sync.refresh(container.id, also=self._ending(operation))
            case _:
                self._sync.refresh(container.id, also=self._ending(operation))

    def _ending(
        self, operation: Operation, state: OperationState = OperationState.DONE
    ) -> Callable[[Transaction], None]:
        def end(tx: Transaction) -> None:
            operations.end(tx, operation.id, self._process.id, state)

        return end

    def _done(self, operation: Operation) -> None:
        with self._store.begin() as tx:
            operations.end(tx, operation.id, self._process.id, OperationState.DONE)

    def _end_network(self, operation: Operation, node: Node) -> None:
        with self._store.begin() as tx:
            network = networks.get_by_uuid(tx, UUID(operation.detail["uuid"]))
        if network is not None and operation.detail.get("undo") and not network.ready:
            # Nobody was told of it.
            network_create.undo_create(self._store, self._fleet, network, node)
            with self._store.begin() as tx:
                operations.end(tx, operation.id, self._process.id, OperationState.UNDONE, "its process died")
            return
        if network is not None:
            self._networks.make(network, node)
        with self._store.begin() as tx:
            if network is not None:
                networks.set_ready(tx, network.uuid)
            operations.end(tx, operation.id, self._process.id, OperationState.DONE)

    def _end_network_removal(self, operation: Operation) -> None:
        with self._store.begin() as tx:
            network = networks.get_by_uuid(tx, UUID(operation.detail["uuid"]))
        state, kept = OperationState.DONE, False
        if network is not None:
            try:
                network_remove.carry_out_removal(self._store, self._fleet, network)
            except Unavailable:
                raise
            except Error:
                state, kept = OperationState.UNDONE, True
        with self._store.begin() as tx:
            if kept and network is not None:
                networks.set_removing(tx, network.uuid, False)
            elif network is not None:
                network_remove.forget(tx, network)
            operations.end(tx, operation.id, self._process.id, state)

    def sweep(self, node: Node, *, after_gap: bool = False) -> None:
        """Compare a node's containers with our rows, both ways. Raises Unavailable where the node is away.

        `after_gap` says that events may have been missed: what ran or runs is read again even where its state's word
        is the same, for it may have ended and begun again.
        """
        with self._store.begin() as tx:
            before = containers.ids_on_node(tx, node.id)
        listed = self._fleet.on(node).list_containers([f"sdc.fleet={self._fleet_name}"])
        with self._store.begin() as tx:
            after = containers.ids_on_node(tx, node.id)
        on_engine = {
            container_id: entry
            for entry in listed
            if (name := engine_name(container_id := entry["Labels"].get("sdc.container", "")))
            and f"/{name}" in entry["Names"]
        }
        for container_id, entry in on_engine.items():
            if container_id not in after and container_id not in before:
                self._remove_stray(node, container_id, entry)
        for container_id, state in after.items():
            seen = on_engine.get(container_id)
            known_lost = state is ContainerState.DEAD and seen is None
            if state is ContainerState.CREATING or known_lost or container_id not in before:
                continue
            if seen is None or seen["State"] != state or (after_gap and state in ACTIVE):
                self._sync.try_refresh(container_id)
        self._sweep_networks(node)
        self._volumes.sweep(node)
        self._content.drop_unreferenced(node)

    def _sweep_networks(self, node: Node) -> None:
        """Remove what an engine call has made of a network that was removed meanwhile: it keeps its addresses taken."""
        engine = self._fleet.on(node)
        listed = engine.list_networks([f"sdc.fleet={self._fleet_name}"])
        named = {uuid: entry for entry in listed if (uuid := uuid_of(entry["Name"])) is not None}
        # A row is there before its network is on an engine, and goes after it.
        with self._store.autocommit() as tx:
            unknown = networks.unknown(tx, named.keys()) if named else {}
        for uuid, ended in unknown.items():
            if not ended:
                log.warning("unknown network of this fleet", network=str(uuid), node=node.name)
                continue
            try:
                network_remove.take_away(engine, named[uuid]["Name"])
                log.info("stray network removed", network=str(uuid), node=node.name)
            except Unavailable:
                raise
            except Error as error:
                log.warning("stray network not removed", network=str(uuid), node=node.name, error=error.message)

    def _remove_stray(self, node: Node, container_id: str, entry: dict) -> None:
        """Remove an engine object only where its own create is known to be undone; others an operator must judge."""
        with self._store.begin() as tx:
            try:
                state = operations.state_of(tx, UUID(entry["Labels"].get("sdc.op", "")))
            except ValueError:
                state = None
        if state is not OperationState.UNDONE:
            log.warning("unknown container of this fleet", container=container_id, node=node.name)
            return
        try:
            self._fleet.on(node).remove_container(entry["Id"], force=True, volumes=True)
            log.info("stray container removed", container=container_id, node=node.name)
        except Unavailable:
            raise
        except Error as error:
            log.warning("stray container not removed", container=container_id, node=node.name, error=error.message)
