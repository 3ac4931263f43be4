"""A container's endpoints on its engine: joined under the names that it has now, and again where something was lost.

The rows say which networks a container is on and what it asked for there; everybody who joins one does it here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from ipaddress import IPv4Network, ip_address
from typing import Any

from app.domain.account import Account
from app.domain.container import Container
from app.domain.container_state import ACTIVE, ContainerState
from app.domain.network import Network, Place, endpoint_settings
from app.domain.node import Node
from app.engine.engine import Engine
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, Internal, InvalidParameter, NotFound, Unavailable
from app.services.networks import Networks
from app.store import container_names, containers, endpoints
from app.store.session import Store, Transaction

_LOST = re.compile(r"network \S+ not found")


class Endpoints:
    def __init__(self, store: Store, fleet: Fleet, networks: Networks) -> None:
        self._store = store
        self._fleet = fleet
        self._networks = networks

    def run(self, container: Container, engine: Engine, call: Callable[[], object]) -> None:
        """An engine call that starts the container, with what may be in the way of its networks put right once."""
        if container.auto_remove:
            # A start that fails is its end.
            self._look_first(container, engine)
        try:
            call()
            return
        except Error as error:
            lost, taken = bool(_LOST.search(error.message)), "Address already in use" in error.message
            if not lost and not taken:
                raise
            if lost and container.auto_remove:
                # In this very moment.
                raise Unavailable("the container's network was just lost; please try once more") from error
            with self._store.autocommit() as tx:
                placed = containers.find_placed(tx, container.id)
                places = endpoints.of_container(tx, container.id)
                linked = self._linked(tx, container, places)
            if placed is None or (lost and not places):
                raise
            if lost:
                self._make_again(container, placed[1], engine, places, linked)
            else:
                # A rename fixes a running container's address; once it has stopped another may get it.
                free = [place for place in places if not place.ipv4]
                if not free:
                    raise
                for place in free:
                    engine.disconnect_network(place.network.engine_name, container.engine_name)
                    self._join(engine, container, place, linked)
        call()

    def _look_first(self, container: Container, engine: Engine) -> None:
        with self._store.autocommit() as tx:
            places = endpoints.of_container(tx, container.id)
        lost = [place for place in places if engine.find_network(place.network.engine_name) is None]
        if not lost:
            return
        with self._store.autocommit() as tx:
            placed = containers.find_placed(tx, container.id)
            linked = self._linked(tx, container, places)
        if placed is not None:
            self._make_again(container, placed[1], engine, lost, linked)

    def _make_again(
        self, container: Container, node: Node, engine: Engine, places: list[Place], linked: dict[str, str]
    ) -> None:
        """The engine goes by the lost network's id, which the new one does not have: the container joins anew."""
        for place in places:
            self._networks.make(place.network, node)
        for place in places:
            with contextlib.suppress(Internal, NotFound):
                engine.disconnect_network(place.network.engine_name, container.engine_name)
            self._join(engine, container, place, linked)

    def join(self, container: Container, node: Node, place: Place) -> None:
        """Connect the container to a network on its engine."""
        with self._store.autocommit() as tx:
            linked = self._linked(tx, container, [place])
        engine = self._fleet.on(node)
        self.mending([place.network], node, lambda: self._join(engine, container, place, linked))

    def mending(self, of: list[Network], node: Node, call: Callable[[], object]) -> None:
        """An engine call that needs networks; one that somebody removed on the engine is made again, once."""
        try:
            call()
        except NotFound as error:
            if not _LOST.search(error.message):
                raise
            for network in of:
                self._networks.make(network, node)
            call()

    def announce(self, container_id: str) -> None:
        """Make the DNS of all its networks know the container's present name. The endpoints keep their addresses.

        May be repeated, also after an end between leaving a network and joining it again.
        """
        with self._store.autocommit() as tx:
            found = containers.find_placed(tx, container_id)
            places = endpoints.of_container(tx, container_id)
            linked = self._linked(tx, found[0], places) if found else {}
        if found is None or not places:
            return
        container, node = found
        engine = self._fleet.on(node)
        try:
            seen = engine.inspect_container(container.engine_name)["NetworkSettings"].get("Networks") or {}
        except NotFound:
            return
        for place in places:
            endpoint = seen.get(place.network.engine_name)
            if endpoint is None or container.name not in (endpoint.get("Aliases") or []):
                try:
                    self.join_again(engine, container, place, endpoint, linked)
                except Error as error:
                    if "No such container" not in error.message and not self._leaves(container_id):
                        raise
                    # Nobody asks for its name any more.
                    return

    def _leaves(self, container_id: str) -> bool:
        """Whether the container is being removed, or is gone. Not by an engine's word: it says so as well before a
        removal that it then refuses."""
        with self._store.autocommit() as tx:
            container = containers.find_by_id(tx, container_id)
        return container is None or container.state is ContainerState.REMOVING

    def join_again(
        self,
        engine: Engine,
        container: Container,
        place: Place,
        endpoint: dict[str, Any] | None,
        linked: dict[str, str],
    ) -> None:
        """Leave the network, where `endpoint` is on it, and join it under the names of now, with the same address."""
        address = (endpoint or {}).get("IPAddress") or ""
        if endpoint is not None:
            engine.disconnect_network(place.network.engine_name, container.engine_name)
        self._join(engine, container, place, linked, address=address)

    @staticmethod
    def _join(engine: Engine, container: Container, place: Place, linked: dict[str, str], *, address: str = "") -> None:
        settings = endpoint_settings(container.name, container.short_id, place, linked)
        if address:
            settings["IPAMConfig"] = {"IPv4Address": address}
        engine.connect_network(place.network.engine_name, container.engine_name, settings)

    @staticmethod
    def _linked(tx: Transaction, container: Container, places: list[Place]) -> dict[str, str]:
        targets = sorted({target for place in places for target, _ in place.links})
        return endpoints.engine_names(tx, container.account_id, targets) if targets else {}

    def remove_link(self, account: Account, word: str) -> str:
        """Forget the link `/container/alias`. The container's id. Raises NotFound, Conflict in dockerd's words.

        What the container was told when it was made it keeps: an engine changes neither environment nor hosts file.
        """
        name, slash, alias = word.strip("/").rpartition("/")
        with self._store.begin() as tx:
            if not slash:
                containers.get(tx, account.id, word)
                raise Conflict("Conflict, cannot remove the default name of the container")
            try:
                container = containers.get(tx, account.id, name)
            except NotFound:
                raise NotFound(f"No such container: {word}") from None
            links = [(target, known) for target, known in container.spec.get("Links") or []]
            left = [link for link in links if link[1] != alias]
            if left == links:
                raise NotFound(f"No such container: {word}")
            targets = {target for target, _ in links}
            container_names.lock(tx, account.id, container.id, targets)
            endpoints.set_links(tx, container.id, left)
            container_names.renew_links(tx, account.id, container.id, targets)
        return container.id

    def check_links(self, account: Account, container: Container) -> None:
        """Raises Internal, as dockerd does, where a container that it links to does not run."""
        links = container.spec.get("Links") or []
        if not links:
            return
        with self._store.autocommit() as tx:
            states = containers.states(tx, [target for target, _ in links])
        for target, alias in links:
            seen = states.get(target)
            if seen is not None and seen.state not in ACTIVE:
                raise Internal(f"Cannot link to a non running container: /{seen.name} AS /{container.name}/{alias}")


def link_target(tx: Transaction, account: Account, word: str) -> Container:
    """The container that a link names. Raises InvalidParameter: a 404 would speak of what has the link."""
    try:
        return containers.get(tx, account.id, word)
    except NotFound as error:
        raise InvalidParameter(f"could not get container for {word}: {error.message}") from error


def check_address(network: Network, ipv4: str, ipv6: str) -> None:
    """Whether an address that a tenant chose can be one of the network's. Raises InvalidParameter."""
    if (ipv4 or ipv6) and network.is_default:
        raise InvalidParameter("user specified IP address is supported on user defined networks only")
    if ipv6:
        raise InvalidParameter(f"no configured subnet contains IP address {ipv6}")
    if not ipv4:
        return
    subnet, address = IPv4Network(network.subnet), ip_address(ipv4)
    if address not in subnet:
        raise InvalidParameter(f"no configured subnet contains IP address {ipv4}")
    if address in (subnet.network_address, subnet.broadcast_address) or ipv4 == network.gateway:
        raise InvalidParameter(f"IP address {ipv4} is not one that a container can have on network {network.name}")
