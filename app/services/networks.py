"""The account's own default network, which the tenant sees as `bridge`.

It is made on first use. The row with its subnet is the claim: whoever inserts it, or finds the one that did gone, makes
the engine's network; all others wait until it is ready. Making it is idempotent by name, so finishing it twice is one.
"""

from __future__ import annotations

import contextlib
import time
from ipaddress import IPv4Network

from app.domain.account import Account
from app.domain.network import Network
from app.domain.node import Node
from app.domain.operation import OperationKind, OperationState
from app.engine.fleet import Fleet
from app.errors import Conflict, Forbidden, Internal, InvalidParameter, Unavailable
from app.services.process import Process
from app.store import networks, operations
from app.store.session import Store, UniqueViolation

DEFAULT_NAME = "bridge"
PREFIX = 24
WAIT_SECONDS = 40.0


class Networks:
    def __init__(self, store: Store, fleet: Fleet, process: Process, pool: IPv4Network, fleet_name: str) -> None:
        self._store = store
        self._fleet = fleet
        self._process = process
        self._pool = pool
        self._fleet_name = fleet_name

    def default(self, account: Account, node: Node) -> Network:
        """The account's default network, ready on `node`. Raises Unavailable where it cannot be made now."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            with self._store.begin() as tx:
                network = networks.find(tx, account.id, DEFAULT_NAME)
                if network is not None and network.ready:
                    return network
                operation = None
                if network is None:
                    network = networks.add(tx, account.id, DEFAULT_NAME, self._free_subnet(networks.taken_subnets(tx)))
                    if network is not None:
                        operation = operations.open_(
                            tx,
                            OperationKind.NETWORK,
                            account_id=account.id,
                            target=network.id,
                            node_id=node.id,
                            process_id=self._process.id,
                            detail={"uuid": str(network.uuid)},
                        )
                elif not operations.is_pending(tx, network.id, OperationKind.NETWORK):
                    # Whoever made it may have ended between the two looks; it is ready then.
                    network = networks.find(tx, account.id, DEFAULT_NAME)
                    if network is not None and network.ready:
                        return network
                    raise Unavailable("the account's network could not be made", retry_after=5)
            if network is not None and operation is not None:
                try:
                    self.make(network, node)
                    with self._store.begin() as tx:
                        networks.set_ready(tx, network.uuid)
                        operations.end(tx, operation, self._process.id, OperationState.DONE)
                except BaseException:
                    self._process.abandon(operation)
                    raise
                continue
            time.sleep(0.05)
        raise Unavailable("the account's network is not ready yet", retry_after=5)

    def make(self, network: Network, node: Node) -> None:
        """Make the engine's network, unless it is there. A subnet that the node already routes gives way to another."""
        engine = self._fleet.on(node)
        for _ in range(64):
            if engine.find_network(network.engine_name):
                return
            try:
                engine.create_network(self._body(network))
                return
            except (Conflict, Forbidden, InvalidParameter, Internal) as error:
                if "overlap" not in error.message:
                    raise Unavailable("the account's network could not be made", retry_after=5) from error
            with contextlib.suppress(UniqueViolation), self._store.begin() as tx:
                # Another account may take the same one at the same moment; the next round tries the one after it.
                networks.move(tx, network.uuid, self._free_subnet(networks.taken_subnets(tx), after=network.subnet))
            with self._store.begin() as tx:
                moved = networks.get_by_uuid(tx, network.uuid)
            if moved is None:
                raise Unavailable("the account's network could not be made", retry_after=5)
            network = moved
        raise Unavailable("the data center has no free subnet", retry_after=60)

    def _body(self, network: Network) -> dict:
        return {
            "Name": network.engine_name,
            "Driver": "bridge",
            "CheckDuplicate": True,
            "IPAM": {"Driver": "default", "Config": [{"Subnet": network.subnet, "Gateway": network.gateway}]},
            "Labels": {"sdc.fleet": self._fleet_name, "sdc.account": str(network.account_id)},
        }

    def _free_subnet(self, taken: set[str], after: str = "") -> IPv4Network:
        passed = not after
        for subnet in self._pool.subnets(new_prefix=PREFIX):
            if passed and str(subnet) not in taken:
                return subnet
            passed = passed or str(subnet) == after
        raise Unavailable("the data center has no free subnet", retry_after=60)
