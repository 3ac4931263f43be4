"""POST /networks/create: the row with its subnet is the claim; then the engine's network, or everything is undone."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Network
from urllib.parse import urlsplit
from uuid import UUID

from app.domain import event
from app.domain.account import Account
from app.domain.network import Network, NetworkSpec
from app.domain.node import Node
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, Forbidden, InvalidParameter, NotFound, Unavailable
from app.services.intent import Intents
from app.services.networks import PREFIX, Networks
from app.store import accounts, events, networks, nodes
from app.store.session import Store, Transaction

#: Networks of one account besides its default one: each is a bridge with firewall rules on a node.
MOST_NETWORKS = 32
OVERLAP = "Pool overlaps with other one on this address space"


class NetworkCreate:
    def __init__(
        self, store: Store, fleet: Fleet, intents: Intents, account_networks: Networks, reserved: Iterable[IPv4Network]
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._intents = intents
        self._networks = account_networks
        self._reserved = tuple(reserved)

    def create(self, account: Account, spec: NetworkSpec) -> str:
        """The id. Raises Conflict, Forbidden, InvalidParameter, Unavailable."""
        for _ in range(8):
            with self._store.begin() as tx:
                accounts.lock(tx, account.id)
                mine = networks.list_mine(tx, account.id)
                if any(network.name == spec.name for network in mine):
                    raise Conflict(f"network with name {spec.name} already exists")
                own = sum(not network.is_default for network in mine)
                if own >= MOST_NETWORKS:
                    raise Forbidden(f"quota exceeded: networks {own} of {MOST_NETWORKS}")
                fleet = nodes.list_all(tx)
                node = next((node for node in fleet if node.state == "up"), None)
                if node is None:
                    raise Unavailable("no compute node can make the network now", retry_after=5)
                if spec.subnet is not None:
                    self._check(spec.subnet, fleet)
                network = self._add(tx, account, spec)
                operation_id = self._networks.open(tx, network, node, undo=True) if network else None
            if network is not None and operation_id is not None:
                return self._carry_out(network, node, operation_id)
            if spec.subnet is not None:
                # Of this account or of another one: whose it is, nobody is told.
                raise Forbidden(OVERLAP)
        raise Unavailable("the network could not be made", retry_after=1)

    def _check(self, subnet: IPv4Network, fleet: Iterable[Node]) -> None:
        """A bridge's route is the whole node's: nothing that nodes talk to may be lost behind it."""
        if subnet.overlaps(self._networks.pool) and subnet.prefixlen < PREFIX:
            raise InvalidParameter(
                f"invalid subnet {subnet}: one out of {self._networks.pool} has at least {PREFIX} bits here"
            )
        taken = [*self._reserved, *(around for node in fleet for around in neighbourhood(node))]
        if any(subnet.overlaps(network) for network in taken):
            raise InvalidParameter(f"invalid subnet {subnet}: it is not available in this data center")

    def _add(self, tx: Transaction, account: Account, spec: NetworkSpec) -> Network | None:
        subnet = spec.subnet or self._networks.free_subnet(networks.taken_subnets(tx))
        gateway = spec.gateway or next(host for host in subnet.hosts() if str(host) not in spec.aux_addresses.values())
        values = {
            "chosen": spec.subnet is not None,
            "internal": spec.internal,
            "attachable": spec.attachable,
            "ip_range": str(spec.ip_range) if spec.ip_range else None,
            "aux_addresses": dict(spec.aux_addresses),
            "options": dict(spec.options),
            "labels": dict(spec.labels),
        }
        return networks.add(tx, account.id, spec.name, subnet, gateway=str(gateway), values=values)

    def _carry_out(self, network: Network, node: Node, operation_id: UUID) -> str:
        try:
            self._networks.make(network, node)
            with self._store.begin() as tx:
                networks.set_ready(tx, network.uuid)
                about = {"name": network.name, "type": "bridge"}
                events.append(tx, event.ours(network.account_id, "network", "create", network.id, about))
                self._intents.finish(tx, operation_id)
        except Error as error:
            try:
                undo_create(self._store, self._fleet, network, node)
                with self._store.begin() as tx:
                    self._intents.undone(tx, operation_id, error.message)
            except BaseException as failure:
                self._intents.abandon(operation_id)
                if not isinstance(failure, Error):
                    raise
            if isinstance(error, Conflict) and "overlap" in error.message:
                raise Forbidden(OVERLAP) from error
            raise reworded(error, {network.engine_name: network.name}) from error
        except BaseException:
            self._intents.abandon(operation_id)
            raise
        return network.id


def undo_create(store: Store, fleet: Fleet, network: Network, node: Node) -> None:
    """Take back what a create may have left. May be repeated. Raises Unavailable."""
    try:
        fleet.on(node).remove_network(network.engine_name)
    except NotFound:
        pass
    except Forbidden as error:
        raise Unavailable("the network is in use already", retry_after=5) from error
    with store.begin() as tx:
        networks.remove(tx, network.uuid)


def neighbourhood(node: Node) -> list[IPv4Network]:
    """The /24 around each address that the node is known by."""
    around = []
    for word in (node.public_address, urlsplit(node.url).hostname or ""):
        try:
            around.append(IPv4Network(f"{ipaddress.IPv4Address(word)}/24", strict=False))
        except ValueError:
            continue
    return around
