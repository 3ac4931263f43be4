"""POST /networks/{id}/connect and /disconnect: the row, one engine call, the record."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import replace
from uuid import UUID

from app.domain.account import Account
from app.domain.container import Container
from app.domain.container_state import ACTIVE, ContainerState
from app.domain.network import DEFAULT, UNMADE, Network, Place
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.domain.spec import Endpoint
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, Forbidden, Internal, InvalidParameter, NotFound
from app.services.container_endpoints import Endpoints, check_address, link_target
from app.services.container_sync import ContainerSync, engine_words
from app.services.intent import Intents
from app.services.network_queries import mine
from app.services.networks import Networks
from app.store import accounts, containers, endpoints, networks
from app.store.session import Store

_PRIVATE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
_SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"
_HOST = "container cannot be disconnected from host network or connected to host network"


class NetworkConnect:
    def __init__(
        self, store: Store, fleet: Fleet, sync: ContainerSync, intents: Intents, networks_: Networks, ends: Endpoints
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._sync = sync
        self._intents = intents
        self._networks = networks_
        self._endpoints = ends

    def connect(self, account: Account, word: str, container_word: str, endpoint: Endpoint) -> None:
        """Raises NotFound, Forbidden where it is on the network already, InvalidParameter, Conflict."""
        network = self._network(account, word)
        with self._store.autocommit() as tx:
            container, node = containers.get_placed(tx, account.id, container_word)
        self._check(container, network, word)
        if network is None:
            raise InvalidParameter(_HOST if word == "host" else _PRIVATE)
        check_address(network, endpoint.ipv4, endpoint.ipv6)
        network = self._networks.ready(network, node)
        operation_id, place, before = self._reserve(account, container, network, endpoint)
        with self._ending(container, operation_id, network, place, before):
            if before is not None:
                # It does not run: this is how Docker changes what it will have there.
                with contextlib.suppress(Internal):
                    self._fleet.on(node).disconnect_network(network.engine_name, container.engine_name)
            self._endpoints.join(container, node, place)
            self._sync.refresh(container.id, also=lambda tx: self._intents.done(tx, operation_id))

    def _reserve(
        self, account: Account, container: Container, network: Network, endpoint: Endpoint
    ) -> tuple[UUID, Place, Place | None]:
        """The row and the intent; the operation, the place, and the place that it takes the place of."""
        before = None
        with self._store.begin() as tx:
            accounts.lock(tx, account.id)
            links = tuple((link_target(tx, account, word).id, alias) for word, alias in endpoint.links)
            place = Place(network, endpoint.ipv4, "", endpoint.aliases, links)
            known = {p.network.uuid: p for p in endpoints.of_container(tx, container.id)}
            if network.uuid in known:
                if container.state in ACTIVE:
                    raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
                before = known[network.uuid]
                endpoints.remove(tx, container.id, network.uuid)
            if network.is_default and before:
                place = replace(place, ipv4=before.ipv4)
            added = endpoints.add(tx, container.id, place)
            detail = {"uuid": str(network.uuid)}
            return self._intents.open(tx, OperationKind.CONNECT, container, detail), added, before

    def disconnect(self, account: Account, word: str, container_word: str, *, force: bool) -> None:
        """Raises NotFound, and Internal where it is not on the network."""
        network = self._network(account, word)
        with self._store.autocommit() as tx:
            container, node = containers.get_placed(tx, account.id, container_word)
            places = endpoints.of_container(tx, container.id)
        if network is None:
            if word == "host":
                raise InvalidParameter(_HOST)
            self._leave_none(container, node)
            return
        if network.uuid not in {place.network.uuid for place in places}:
            raise Internal(f"container {container.id} is not connected to network {network.name}")
        with self._store.begin() as tx:
            detail = {"uuid": str(network.uuid)}
            operation_id = self._intents.open(tx, OperationKind.DISCONNECT, container, detail)
        engine = self._fleet.on(node)

        def leave() -> None:
            try:
                engine.disconnect_network(network.engine_name, container.engine_name, force=force)
            except Internal as error:
                # What the engine does not have is what is wanted.
                if "is not connected to" not in error.message:
                    raise

        with self._ending(container, operation_id, network, None, None):
            self._endpoints.mending([network], node, leave)
            with self._store.begin() as tx:
                endpoints.remove(tx, container.id, network.uuid)
            self._sync.refresh(container.id, also=lambda tx: self._intents.done(tx, operation_id))

    def _leave_none(self, container: Container, node: Node) -> None:
        with self._store.begin() as tx:
            operation_id = self._intents.open(tx, OperationKind.DISCONNECT, container, {"uuid": ""})
        with self._ending(container, operation_id, None, None, None):
            self._fleet.on(node).disconnect_network("none", container.engine_name)
            self._sync.refresh(container.id, also=lambda tx: self._intents.done(tx, operation_id))

    # -- what both begin and end with ----------------------------------------------------------------------------

    def _network(self, account: Account, word: str) -> Network | None:
        """None is `host` or `none`, which no account has a network of."""
        if word in UNMADE:
            return None
        if word == DEFAULT:
            return self._networks.default_row(account)
        with self._store.autocommit() as tx:
            return networks.choose(mine(tx, account.id), word)

    @staticmethod
    def _check(container: Container, network: Network | None, word: str) -> None:
        if container.state in (ContainerState.REMOVING, ContainerState.DEAD):
            raise Conflict(f"container {container.id} is marked for removal and cannot be connected or disconnected")
        mode = container.spec.get("HostConfig", {}).get("NetworkMode") or ""
        if mode.startswith("container:"):
            raise InvalidParameter(_SHARED)

    def _ending(
        self,
        container: Container,
        operation_id: UUID,
        network: Network | None,
        joined: Place | None,
        before: Place | None,
    ) -> AbstractContextManager[None]:
        """Around the engine call: where it is refused, the row says again what is on the engine."""

        def refused(error: Error) -> None:
            with self._store.begin() as tx:
                if network is not None and joined is not None:
                    endpoints.remove(tx, container.id, network.uuid)
                    if before is not None:
                        endpoints.add(tx, container.id, before)
                self._intents.undone(tx, operation_id, error.message)

        words = engine_words(container)
        if network is not None:
            words[network.engine_name] = network.name
        return self._intents.ending(operation_id, words, refused)


def settle(store: Store, fleet: Fleet, container: Container, node: Node, network_uuid: UUID) -> None:
    """After an interrupted connect or disconnect: the row becomes what the engine says. May be repeated."""
    with store.autocommit() as tx:
        network = networks.get_by_uuid(tx, network_uuid)
    if network is None:
        return
    try:
        seen = fleet.on(node).inspect_container(container.engine_name)["NetworkSettings"].get("Networks") or {}
    except NotFound:
        return
    with store.begin() as tx:
        if network.engine_name not in seen:
            endpoints.remove(tx, container.id, network.uuid)
