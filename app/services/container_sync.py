"""Makes a container's row what its engine says.

Everybody who learns that something happened to a container calls `refresh`: the services after their own engine call,
the observer on an event. The row's version is read before the engine is asked and checked when its answer is written,
so that an older answer never overwrites a newer one, whoever is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import structlog

from app.domain import container_view, event
from app.domain.container import Container
from app.domain.container_state import ACTIVE, ContainerState
from app.domain.container_view import Words
from app.domain.durations import parse_go_time
from app.domain.network import uuid_of
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.engine.errors import scrub
from app.engine.fleet import Fleet
from app.errors import Error, NotFound, Unavailable
from app.services.put_off import PutOff
from app.store import accounts, addresses, container_names, container_ports, containers, events, operations
from app.store import volumes as store_volumes
from app.store.containers import WrittenMeanwhile
from app.store.session import Store, Transaction

log = structlog.get_logger()

Also = Callable[[Transaction], object]
Described = tuple[Container, Node, Words]
#: What `find` gave, and what the engine has said after that.
Looked = tuple[Described, dict[str, Any] | None]

ATTEMPTS = 20
#: For how long an engine may take to tell of one container, where nobody waits for others.
ALONE_SECONDS = 20.0
_AT_REST = frozenset({ContainerState.CREATING, ContainerState.CREATED, ContainerState.EXITED})


class ContainerSync:
    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet
        self._put_off = PutOff()

    def find(self, container_id: str) -> Described | None:
        """What `refresh` begins with, for who reads it before."""
        with self._store.autocommit() as tx:
            return containers.find_described(tx, container_id)

    def refresh(
        self,
        container_id: str,
        also: Also | None = None,
        looked: Looked | None = None,
        *,
        seconds: float = ALONE_SECONDS,
    ) -> Container | None:
        """Read the engine and write what it says; `also` runs in the same transaction (to end an operation).

        `looked` is as much as has been read already. Returns the container as written, or None where it is gone. Raises
        Unavailable where the node is away.
        """
        for _ in range(ATTEMPTS):
            found, seen = looked or (self.find(container_id), None)
            looked = None
            if found is None:
                if also:
                    with self._store.begin() as tx:
                        also(tx)
                return None
            container, node, words = found
            try:
                if seen is None:
                    seen = self._fleet.on(node).inspect_container(container.engine_name, timeout=seconds)
            except NotFound:
                if self._gone(container, also):
                    return None
                continue
            seen["State"]["Error"] = scrub(seen["State"].get("Error") or "", engine_words(container))
            values = self._values(container, seen, words)
            try:
                with self._store.begin() as tx:
                    containers.write_seen(tx, container, **values)
                    if also:
                        also(tx)
                    # Last, for it may tell of new volumes: the lock of the events, which all share, comes after others.
                    self._write_attachments(tx, container, seen)
                    if container.state is ContainerState.REMOVING:
                        containers.keep_removing(tx, container_id)
                        return containers.find_by_id(tx, container_id)
            except WrittenMeanwhile:
                continue
            known = {field.name: values[field.name] for field in fields(Container) if field.name in values}
            return replace(container, version=container.version + 1, **known)
        raise Unavailable(f"container {container_id} changes too fast to be followed", retry_after=1)

    def note_removed(self, container_id: str) -> None:
        """The engine has just told that it does not have the container any more."""
        with self._store.autocommit() as tx:
            container = containers.find_by_id(tx, container_id)
        if container is not None and not self._gone(container, None):
            self.refresh(container_id)

    def try_refresh(self, container_id: str) -> None:
        """For one who goes through many: an engine may fail at one, and the others are to be looked at all the same.

        An engine says nothing of a container from which somebody copies files, for as long as that takes. It is looked
        at later then. Raises Unavailable where the node is away.
        """
        if self._put_off.has(container_id):
            return
        found = self.find(container_id)
        if found is None:
            return
        container, node, _ = found
        account_id = container.account_id
        try:
            self.refresh(container_id, looked=(found, None), seconds=self._put_off.seconds(account_id))
        except Unavailable as error:
            if not self._answers(node):
                raise
            self._put_off.add(container_id, account_id)
            log.warning("a container cannot be looked at now", container=container_id, error=error.message)
        except Error as error:
            log.warning("a container cannot be read", container=container_id, error=error.message)
        else:
            self._put_off.end(container_id)

    def _answers(self, node: Node) -> bool:
        """Whether the node's engine does."""
        try:
            return bool(self._fleet.on(node).version())
        except Error:
            return False

    @staticmethod
    def _values(container: Container, seen: dict[str, Any], words: Words) -> dict[str, Any]:
        view = container_view.inspect(container, seen, words)
        head, tail = container_view.list_entry(container, view)
        state = seen["State"]
        return {
            "state": ContainerState(state["Status"]),
            "engine_id": seen["Id"],
            "exit_code": state["ExitCode"],
            "health": (state.get("Health") or {}).get("Status", ""),
            "started_at": parse_go_time(state["StartedAt"]),
            "finished_at": parse_go_time(state["FinishedAt"]),
            "labels": view["Config"]["Labels"],
            **container_view.facts(view),
            "inspect": view,
            "list_head": head,
            "list_tail": tail,
        }

    @staticmethod
    def _write_attachments(tx: Transaction, container: Container, seen: dict[str, Any]) -> None:
        joined = {
            network_uuid: (endpoint.get("IPAddress") or "", endpoint.get("MacAddress") or "")
            for name, endpoint in (seen["NetworkSettings"].get("Networks") or {}).items()
            if (network_uuid := uuid_of(name)) is not None
        }
        # What a row at rest says is written down already: it has no address, and no port but those of a start.
        rests = container.state in _AT_REST
        if not rests or any(address or mac for address, mac in joined.values()):
            addresses.record(tx, container.id, joined)
        held: set[tuple[str, int, int]] = set()
        if seen["State"]["Status"] in ACTIVE:
            for key, bindings in (seen["NetworkSettings"].get("Ports") or {}).items():
                port, _, protocol = key.partition("/")
                held |= {(protocol, int(b["HostPort"]), int(port)) for b in bindings or []}
        # In one order everywhere, so that two who want the same ports wait instead of blocking each other.
        for protocol, host_port, port in sorted(held):
            container_ports.hold(tx, container.node_id, protocol, host_port, container.id, port)
        if not rests or held or container.spec.get("Ports"):
            container_ports.release(tx, container.id, keep={(protocol, host_port) for protocol, host_port, _ in held})
        for mount in seen.get("Mounts") or []:
            if mount["Type"] == "volume":
                _record_volume(tx, container, mount["Destination"], mount["Name"])

    def _gone(self, container: Container, also: Also | None) -> bool:
        """The engine does not have it. False where somebody else has written meanwhile, so that one must look again."""
        if container.state is ContainerState.CREATING:
            # The engine call may be under way: the operation's own end decides.
            return True
        try:
            self._write_gone(container, also)
        except WrittenMeanwhile:
            return False
        return True

    def _write_gone(self, container: Container, also: Also | None) -> None:
        with self._store.begin() as tx:
            if operations.is_pending(tx, container.id, OperationKind.REMOVE):
                # Its volumes may be wanted: the removal's own end decides. What `also` ends is another operation.
                if also:
                    also(tx)
                return
            if container.auto_remove or container.state is ContainerState.REMOVING:
                forget(tx, container, volumes=container.auto_remove)
            elif container.state is not ContainerState.DEAD:
                # Removed behind our back. The tenant learns it, and removes the row himself.
                containers.write_seen(tx, container, **self._lost(container))
                container_ports.release(tx, container.id)
                addresses.record(tx, container.id, {})
            if also:
                also(tx)

    @staticmethod
    def _lost(container: Container) -> dict[str, Any]:
        view = dict(container.inspect or {})
        if not view:
            return {"state": ContainerState.DEAD}
        view["State"] = {**view["State"], "Status": "dead", "Dead": True, "Running": False, "Pid": 0}
        head, tail = container_view.list_entry(container, view)
        return {"state": ContainerState.DEAD, "inspect": view, "list_head": head, "list_tail": tail}


def forget(tx: Transaction, container: Container, *, volumes: bool) -> None:
    """The container is gone from its engine: its row, quota and ports go, and its anonymous volumes where wanted."""
    accounts.lock(tx, container.account_id)
    unused = store_volumes.anonymous_of(tx, container.id) if volumes else []
    targets = {target for target, _ in container.spec.get("Links") or []}
    if targets:
        container_names.lock(tx, container.account_id, container.id, targets)
    removed = containers.remove(tx, container.id)
    if removed is None:
        return
    accounts.release(tx, *removed)
    if targets:
        container_names.renew_links(tx, container.account_id, container.id, targets)
    for volume in unused:
        store_volumes.end_removal(tx, volume.id)
        events.append(tx, event.ours(container.account_id, "volume", "destroy", volume.name, {"driver": "local"}))


def _record_volume(tx: Transaction, container: Container, target: str, engine_name: str) -> None:
    labels = None
    if not engine_name.startswith("v-"):
        asked = {m["Target"]: m for m in container.spec.get("HostConfig", {}).get("Mounts") or []}
        labels = (asked.get(target, {}).get("VolumeOptions") or {}).get("Labels") or {}
    account_id = container.account_id
    if store_volumes.record_seen(tx, account_id, container.id, container.node_id, target, engine_name, labels):
        events.append(tx, event.ours(account_id, "volume", "create", engine_name, {"driver": "local"}))


def engine_words(container: Container) -> dict[str, str]:
    """What an engine's messages call this container -> what the tenant calls it."""
    return {
        container.engine_name: container.name,
        container.engine_id: container.id,
        container.engine_id[:12]: container.short_id,
    }
