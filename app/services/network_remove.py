"""DELETE /networks/{id} and POST /networks/prune."""

from __future__ import annotations

from uuid import UUID

from app.domain import event
from app.domain.account import Account
from app.domain.network import UNMADE, Network
from app.domain.network_filter import Prune
from app.domain.operation import OperationKind
from app.engine.engine import Engine
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Error, Forbidden, NotFound, Unavailable
from app.services.intent import Intents
from app.services.network_queries import mine
from app.store import endpoints, events, networks, nodes
from app.store.session import Store, Transaction


class NetworkRemove:
    def __init__(self, store: Store, fleet: Fleet, intents: Intents) -> None:
        self._store = store
        self._fleet = fleet
        self._intents = intents

    def remove(self, account: Account, word: str) -> None:
        """Raises NotFound, and Forbidden where a running container is on it or every account has it."""
        with self._store.autocommit() as tx:
            if word in UNMADE:
                raise Forbidden(f"{word} is a pre-defined network and cannot be removed")
            network = networks.choose(mine(tx, account.id), word)
        if network.is_default:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        self._remove(network)

    def prune(self, account: Account, filters: Prune) -> list[str]:
        """Remove those that no running container is on. Their names."""
        with self._store.autocommit() as tx:
            found = [n for n in mine(tx, account.id) if not n.is_default and not n.removing]
            found = [n for n in found if filters.takes(n) and not endpoints.active(tx, n.uuid)]
        removed = []
        for network in found:
            try:
                self._remove(network)
            except (Forbidden, NotFound):
                # Somebody has joined it, or was faster.
                continue
            removed.append(network.name)
        with self._store.begin() as tx:
            events.append(tx, event.pruned(account.id, "network", 0))
        return removed

    def _remove(self, network: Network) -> None:
        with self._store.begin() as tx:
            locked = networks.lock(tx, network.uuid)
            if locked is None or locked.removing:
                raise NotFound(f"network {network.name} not found")
            if endpoints.active(tx, network.uuid):
                raise in_use(network)
            everywhere = nodes.list_all(tx)
            if not everywhere:
                # The last node has gone, and what was there of the network with it.
                forget(tx, network)
                return
            networks.set_removing(tx, network.uuid, True)
            operation_id = self._intents.open_new(
                tx,
                OperationKind.NETWORK_REMOVE,
                network.account_id,
                network.id,
                everywhere[0].id,
                {"uuid": str(network.uuid), "name": network.name},
            )
        try:
            carry_out_removal(self._store, self._fleet, network)
            with self._store.begin() as tx:
                forget(tx, network)
                self._intents.done(tx, operation_id)
        except Unavailable:
            self._intents.abandon(operation_id)
            raise
        except Error as error:
            self._keep(network, operation_id, error)
            if isinstance(error, Forbidden) and "active endpoints" in error.message:
                raise in_use(network) from error
            raise reworded(error, {network.engine_name: network.name}) from error
        except BaseException:
            self._intents.abandon(operation_id)
            raise

    def _keep(self, network: Network, operation_id: UUID, error: Error) -> None:
        with self._store.begin() as tx:
            networks.set_removing(tx, network.uuid, False)
            self._intents.undone(tx, operation_id, error.message)


def carry_out_removal(store: Store, fleet: Fleet, network: Network) -> None:
    """The engines' part; that a network is not there any more is success."""
    with store.autocommit() as tx:
        everywhere = nodes.list_all(tx)
    for node in everywhere:
        try:
            take_away(fleet.on(node), network.engine_name)
        except NotFound:
            continue


def take_away(engine: Engine, engine_name: str) -> None:
    """Remove a network from its engine. Raises NotFound, and Forbidden where a running container is on it.

    An engine may keep the endpoint of a container that it removed while it was restarting and was being connected.
    Nobody could ask for that one's disconnection: it has no name any more.
    """
    try:
        engine.remove_network(engine_name)
    except Forbidden:
        stale = [
            endpoint
            for container, endpoint in engine.network_endpoints(engine_name).items()
            if not _is_there(engine, container)
        ]
        if not stale:
            raise
        for endpoint in stale:
            engine.disconnect_network(engine_name, endpoint, force=True)
        engine.remove_network(engine_name)


def _is_there(engine: Engine, container: str) -> bool:
    try:
        engine.inspect_container(container)
    except NotFound:
        return False
    return True


def forget(tx: Transaction, network: Network) -> None:
    """Its row goes, and the account is told."""
    if networks.remove(tx, network.uuid):
        about = {"name": network.name, "type": "bridge"}
        events.append(tx, event.ours(network.account_id, "network", "destroy", network.id, about))


def in_use(network: Network) -> Forbidden:
    return Forbidden(f"error while removing network: network {network.name} id {network.id} has active endpoints")
