"""GET /networks and GET /networks/{id}: from the database alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.domain import network_filter, network_view
from app.domain.account import Account
from app.domain.network import Network
from app.domain.network_filter import Filters
from app.errors import NotFound
from app.services.networks import Networks
from app.store import endpoints, networks
from app.store.session import Store, Transaction

Json = dict[str, Any]


def mine(tx: Transaction, account_id: UUID) -> list[Network]:
    """The account's networks that it knows of: not those between the intent and the engine's answer."""
    return [network for network in networks.list_mine(tx, account_id) if network.ready or network.is_default]


class NetworkQueries:
    def __init__(self, store: Store, account_networks: Networks) -> None:
        self._store = store
        self._networks = account_networks

    def list_all(self, account: Account, filters: Filters) -> list[Json]:
        """All of the account's networks, as inspect shows them. Raises InvalidParameter."""
        network_filter.check(filters, network_filter.LIST)
        return network_filter.select(self._shown(account), filters)

    def inspect(self, account: Account, word: str, *, scope: str = "") -> Json:
        """Raises NotFound, InvalidParameter where several are meant."""
        shown = self._shown(account)
        if scope and scope != "local":
            raise NotFound(f"network {word} not found")
        for key in ("Id", "Name"):
            for network in shown:
                if network[key] == word:
                    return network
        found = [network for network in shown if network["Id"].startswith(word)]
        if len(found) > 1:
            # The choice and its words are the store's.
            with self._store.autocommit() as tx:
                networks.choose(mine(tx, account.id), word)
        if not found:
            raise NotFound(f"network {word} not found")
        return found[0]

    def _shown(self, account: Account) -> list[Json]:
        default = self._networks.default_row(account)
        with self._store.autocommit() as tx:
            own = mine(tx, account.id)
            attached = endpoints.list_attached(tx, account.id)
        shown = [
            network_view.network(
                network,
                network_view.attached((a.container_id, a.name, a.endpoint) for a in attached.get(network.uuid, ())),
            )
            for network in own
        ]
        return [*shown, *network_view.unmade(account.id, default.created_at)]
