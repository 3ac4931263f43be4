"""The volumes of a container that is being created: found or made, pinned to its node, and counted as used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.domain import event
from app.domain.account import Account
from app.domain.container import Container
from app.domain.event import Event
from app.domain.node import Node
from app.domain.spec import ContainerSpec
from app.domain.volume import Volume
from app.engine.engine import Engine
from app.errors import Conflict, Error, Forbidden, NotFound, Unavailable
from app.store import events, volumes
from app.store.session import Store, Transaction

#: Volumes of an account, used or not. Rows cost little; a loop that makes them without end should end somewhere.
MOST_VOLUMES = 10_000


@dataclass(frozen=True)
class Taken:
    """What a container's volumes are."""

    #: The tenant's name -> volume
    named: dict[str, Volume] = field(default_factory=dict)
    #: Those that were made, and those that got their node, for this container.
    new: list[UUID] = field(default_factory=list)
    placed: dict[UUID, str] = field(default_factory=dict)

    @property
    def engine_names(self) -> dict[str, str]:
        return {name: volume.engine_name for name, volume in self.named.items()}

    @property
    def detail(self) -> dict[str, Any]:
        """What an undo needs to know."""
        placed = {str(volume_id): engine_name for volume_id, engine_name in self.placed.items()}
        return {"volumes": [str(volume_id) for volume_id in self.new], "placed": placed}


def homes(tx: Transaction, account: Account, spec: ContainerSpec) -> set[UUID]:
    """Nodes that have data which the container is to mount."""
    names = dict.fromkeys(mount.name for mount in spec.volumes if mount.name is not None)
    found = [volumes.find(tx, account.id, name) for name in names]
    return {volume.node_id for volume in found if volume is not None and volume.node_id is not None}


def take(tx: Transaction, account: Account, spec: ContainerSpec, node: Node, container_id: str) -> Taken:
    """A volume that is not there yet is made, as Docker does. The account's row must be locked."""
    taken = Taken()
    for mount in spec.volumes:
        if mount.name is None or mount.name in taken.named:
            continue
        volume = volumes.find(tx, account.id, mount.name)
        if volume is None:
            check_room(tx, account)
            options = {"size": str(mount.size)} if mount.size else {}
            volume = volumes.add_named(
                tx, account.id, mount.name, node.id, mount.labels, options, first_container=container_id
            )
            taken.new.append(volume.id)
        elif volume.node_id not in (None, node.id):
            raise Unavailable("the volume was created on another node meanwhile", retry_after=1)
        else:
            volumes.take(tx, volume, node.id, container_id)
            if volume.node_id is None:
                taken.placed[volume.id] = volume.engine_name
        taken.named[mount.name] = volume
    return taken


def mount(
    tx: Transaction, spec: ContainerSpec, taken: Taken, referred: dict[str, Container], container_id: str
) -> None:
    """From here on nobody takes the volumes for unused. The container's row must be there.

    New volumes are told of last: the lock of the events, which all accounts share, is held until the commit.
    """
    for wanted in spec.volumes:
        if wanted.name is not None:
            volumes.mount(tx, container_id, wanted.target, taken.named[wanted.name].id)
    # Of two that bring the same place the later one wins.
    for ref, _ in reversed(spec.volumes_from):
        volumes.mount_from(tx, container_id, referred[ref].id)
    made = [_told(volume, "create") for volume in taken.named.values() if volume.id in taken.new]
    if made:
        events.append(tx, *made)


def give_back(store: Store, engine: Engine, container_id: str, detail: dict[str, Any]) -> None:
    """Undo `take`, once the container is gone. Raises Unavailable; may be repeated."""
    unused: list[str] = []
    with store.begin() as tx:
        for volume_id in map(UUID, detail.get("volumes", ())):
            volume = volumes.find_by_id(tx, volume_id)
            if volumes.remove_unused(tx, volume_id, container_id):
                unused.append(f"v-{volume_id}")
                if volume is not None:
                    tell(tx, volume, "destroy")
        for volume_id, engine_name in detail.get("placed", {}).items():
            volumes.unplace(tx, UUID(volume_id), container_id)
            volume = volumes.find_by_id(tx, UUID(volume_id))
            if volume is not None and volume.engine_name != engine_name:
                unused.append(engine_name)
    for engine_name in unused:
        try:
            engine.remove_volume(engine_name)
        except (NotFound, Conflict):
            continue
        except Error as error:
            raise Unavailable(f"the volume cannot be removed: {error.message}", retry_after=5) from error


def tell(tx: Transaction, volume: Volume, action: str) -> None:
    """No engine knows a tenant's volume by its name, and none knows one at all before its first use."""
    events.append(tx, _told(volume, action))


def _told(volume: Volume, action: str) -> Event:
    return event.ours(volume.account_id, "volume", action, volume.name, {"driver": "local"})


def check_room(tx: Transaction, account: Account) -> None:
    """Raises Forbidden."""
    if volumes.count(tx, account.id) >= MOST_VOLUMES:
        raise Forbidden(f"quota exceeded: {MOST_VOLUMES} volumes")
