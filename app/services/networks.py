"""Networks on engines: made before their first use, and again where somebody took them away.

The account's default network, which the tenant sees as `bridge`, is there for every account: its row is made when it
is first looked at, and the engine's network on first use. The row's lock decides who makes it; all others wait until
it is ready. Making it is idempotent by name, so finishing it twice is one.
"""

from __future__ import annotations

import contextlib
import time
from ipaddress import IPv4Network
from uuid import UUID

from app.domain.account import Account
from app.domain.network import DEFAULT, Network, engine_body
from app.domain.node import Node
from app.domain.operation import OperationKind, OperationState
from app.engine.engine import Engine
from app.engine.fleet import Fleet
from app.errors import Conflict, Forbidden, Internal, InvalidParameter, NotFound, Unavailable
from app.services.process import Process
from app.store import networks, operations
from app.store.session import Store, Transaction, UniqueViolation

PREFIX = 24
#: Of default networks, where each container has an address from `create` on: room for a thousand of them.
DEFAULT_PREFIX = 22
WAIT_SECONDS = 40.0
#: How often, 50 ms apart, one looks for a network whose addresses are taken.
MADE_LOOKS = 10


class Networks:
    def __init__(self, store: Store, fleet: Fleet, process: Process, pool: IPv4Network, fleet_name: str) -> None:
        self._store = store
        self._fleet = fleet
        self._process = process
        self.pool = pool
        self._fleet_name = fleet_name

    def default_row(self, account: Account) -> Network:
        """The account's default network, made on an engine or not yet. Raises Unavailable."""
        for _ in range(64):
            with self._store.begin() as tx:
                network = networks.find(tx, account.id, DEFAULT)
                if network is None:
                    prefix = max(DEFAULT_PREFIX, self.pool.prefixlen)
                    free = self._free_subnet(networks.taken_subnets(tx), prefix)
                    network = networks.add(tx, account.id, DEFAULT, free)
            if network is not None:
                return network
        raise Unavailable("the account's network could not be made", retry_after=5)

    def ready(self, network: Network, node: Node) -> Network:
        """The network once the engine has it. Raises Unavailable, and NotFound where it was removed meanwhile."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            operation = None
            with self._store.begin() as tx:
                found = networks.lock(tx, network.uuid)
                if found is None or found.removing:
                    raise NotFound(f"network {network.name} not found")
                if found.ready:
                    return found
                if not operations.is_pending(tx, found.id, OperationKind.NETWORK):
                    operation = self.open(tx, found, node)
            if operation is not None:
                try:
                    self.make(found, node)
                    with self._store.begin() as tx:
                        networks.set_ready(tx, found.uuid)
                        operations.end(tx, operation, self._process.id, OperationState.DONE)
                except BaseException:
                    self._process.abandon(operation)
                    raise
                continue
            time.sleep(0.05)
        raise Unavailable("the account's network is not ready yet", retry_after=5)

    def open(self, tx: Transaction, network: Network, node: Node, *, undo: bool = False) -> UUID:
        """The intent of making it; `undo` says that one that is not finished is taken back, for nobody was told."""
        if not self._process.known:
            self._process.beat()
        return operations.open_(
            tx,
            OperationKind.NETWORK,
            account_id=network.account_id,
            target=network.id,
            node_id=node.id,
            process_id=self._process.id,
            detail={"uuid": str(network.uuid), "undo": undo},
        )

    def make(self, network: Network, node: Node) -> Network:
        """Make the engine's network, unless it is there. A subnet that the node already routes gives way to another.

        One that the tenant chose, or that containers have addresses of, does not: Conflict, with the engine's words.
        Raises NotFound where it was removed meanwhile.
        """
        engine = self._fleet.on(node)
        for _ in range(64):
            if engine.find_network(network.engine_name):
                return network
            try:
                engine.create_network(engine_body(network, self.labels(network)))
            except (Conflict, Forbidden, InvalidParameter, Internal) as error:
                if network.chosen or network.ready:
                    if "overlap" in error.message and self._is_made(engine, network):
                        return network
                    raise Conflict(error.message) from error
                if "overlap" not in error.message:
                    raise Unavailable("the account's network could not be made", retry_after=5) from error
            else:
                self._check_wanted(network, engine)
                return network
            with contextlib.suppress(UniqueViolation), self._store.begin() as tx:
                # Another account may take the same one at the same moment; the next round tries the one after it.
                prefix = IPv4Network(network.subnet).prefixlen
                free = self._free_subnet(networks.taken_subnets(tx), prefix, after=network.subnet)
                networks.move(tx, network.uuid, free)
            with self._store.begin() as tx:
                moved = networks.get_by_uuid(tx, network.uuid)
            if moved is None:
                raise Unavailable("the account's network could not be made", retry_after=5)
            network = moved
        raise Unavailable("the data center has no free subnet", retry_after=60)

    def _check_wanted(self, network: Network, engine: Engine) -> None:
        """What was made after its removal had passed by is taken away again. Raises NotFound."""
        with self._store.autocommit() as tx:
            now = networks.get_by_uuid(tx, network.uuid)
        if now is None or now.removing:
            # What somebody has joined meanwhile is left to the sweep.
            with contextlib.suppress(NotFound, Forbidden):
                engine.remove_network(network.engine_name)
            raise NotFound(f"network {network.name} not found")

    @staticmethod
    def _is_made(engine: Engine, network: Network) -> bool:
        """Whether another one has made it meanwhile: an engine gives its addresses away before it shows it."""
        for _ in range(MADE_LOOKS):
            if engine.find_network(network.engine_name):
                return True
            time.sleep(0.05)
        return False

    def restore(self, network_uuid: UUID, node: Node) -> None:
        """The engine has lost the network: it is made again, unless that is how its removal goes. Raises Unavailable.

        Before the next container is started, that is: a failed start is the end of one with `--rm`.
        """
        with self._store.autocommit() as tx:
            network = networks.get_by_uuid(tx, network_uuid)
        if network is None or network.removing or not network.ready:
            return
        with contextlib.suppress(NotFound):
            self.make(network, node)

    def labels(self, network: Network) -> dict[str, str]:
        return {"sdc.fleet": self._fleet_name, "sdc.account": str(network.account_id)}

    def free_subnet(self, taken: set[str]) -> IPv4Network:
        """One of the pool that no network has any part of. Raises Unavailable."""
        return self._free_subnet(taken, PREFIX)

    def _free_subnet(self, taken: set[str], prefix: int, after: str = "") -> IPv4Network:
        first, size = int(self.pool.network_address), 32 - prefix
        touched: set[int] = set()
        for subnet in map(IPv4Network, taken):
            if subnet.overlaps(self.pool):
                low = max(int(subnet.network_address) - first, 0)
                high = min(int(subnet.broadcast_address), int(self.pool.broadcast_address)) - first
                touched.update(range(low >> size, (high >> size) + 1))
        passed = not after
        for index, subnet in enumerate(self.pool.subnets(new_prefix=prefix)):
            if passed and index not in touched:
                return subnet
            passed = passed or str(subnet) == after
        raise Unavailable("the data center has no free subnet", retry_after=60)
