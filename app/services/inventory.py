"""What there is, for an operator's eyes: nodes, packages, images, address pools, an account's belongings."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from app.domain.account import Account
from app.domain.address_pool import PoolUse, use_of
from app.errors import NotFound
from app.settings import Settings
from app.store import accounts, inventory
from app.store.session import Store

Row = dict[str, Any]


class Inventory:
    def __init__(self, store: Store) -> None:
        self._store = store

    def nodes(self) -> list[Row]:
        with self._store.autocommit() as tx:
            return inventory.list_nodes(tx)

    def node(self, name: str) -> tuple[Row, list[Row]]:
        """A node, and its containers by package. Raises NotFound."""
        with self._store.autocommit() as tx:
            found = inventory.list_nodes(tx, name)
            if not name or not found:
                raise NotFound(f"there is no node {name}")
            return found[0], inventory.packages_on(tx, found[0]["id"])

    def packages(self) -> list[Row]:
        with self._store.autocommit() as tx:
            return inventory.list_packages(tx)

    def images(self, account: str = "", node: str = "") -> list[Row]:
        """Images of all accounts, or of one, or on one node. Raises NotFound for a name that is not there."""
        with self._store.autocommit() as tx:
            if account and accounts.find_by_login(tx, account) is None:
                raise NotFound(f"there is no account {account}")
            if node and not inventory.list_nodes(tx, node):
                raise NotFound(f"there is no node {node}")
            return inventory.list_images(tx, account, node)

    def pools(self, settings: Settings) -> tuple[list[PoolUse], list[Row]]:
        """The pools that account networks are cut from, and the networks."""
        with self._store.autocommit() as tx:
            networks = inventory.list_networks(tx)
        subnets = [IPv4Network(network["subnet"]) for network in networks]
        return [use_of(settings.network_pool, subnets)], networks

    def belongings(self, account: Account) -> Row:
        with self._store.autocommit() as tx:
            return inventory.count_of_account(tx, account.id)
