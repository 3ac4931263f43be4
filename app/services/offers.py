"""What the data center has for an account: its services' addresses, packages and the account's networks."""

from __future__ import annotations

from datetime import datetime

from app.domain.account import Account
from app.domain.network import Network
from app.domain.package import Package
from app.errors import NotFound
from app.settings import Places
from app.store import accounts, networks, packages
from app.store.session import Store


class Offers:
    def __init__(self, store: Store, datacenter: str, places: Places) -> None:
        self._store = store
        self._datacenter = datacenter
        self._docker = f"tcp://{places.docker_address}" if places.docker_address else ""
        self._cloudapi = f"https://{places.cloudapi_address}" if places.cloudapi_address else ""

    def services(self) -> dict[str, str]:
        """Name -> URL of what clients may talk to; what an operator has not set is not there."""
        known = {"cloudapi": self._cloudapi, "docker": self._docker}
        return {name: url for name, url in known.items() if url}

    def datacenters(self) -> dict[str, str]:
        """Name -> URL of its CloudAPI. There is this one: others are not known here."""
        return {self._datacenter: self._cloudapi}

    def since(self, account: Account) -> datetime:
        """When the account was added."""
        with self._store.autocommit() as tx:
            return accounts.created_at(tx, account.id)

    def packages(self) -> list[Package]:
        with self._store.autocommit() as tx:
            return packages.list_active(tx)

    def package(self, wanted: str) -> Package:
        """By id or name."""
        for package in self.packages():
            if wanted in (str(package.id), package.name):
                return package
        raise NotFound(f"{wanted} not found")

    def networks(self, account: Account) -> list[Network]:
        with self._store.autocommit() as tx:
            return sorted(networks.list_mine(tx, account.id), key=lambda network: network.name)

    def network(self, account: Account, wanted: str) -> Network:
        """By the uuid that CloudAPI shows, or the id that Docker shows."""
        for network in self.networks(account):
            if wanted in (str(network.uuid), network.id):
                return network
        raise NotFound(f"{wanted} not found")
