"""POST /containers/create: resolve, reserve, place, create on the engine, record, or undo."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from app.domain import link, names, package
from app.domain.account import Account, over_quota
from app.domain.container import Container
from app.domain.link import Link
from app.domain.network import DEFAULT, Network, Place
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.domain.package import Package
from app.domain.policy import check_working_dir
from app.domain.policy.mounts import MOST_TARGET_BYTES, check_image_volumes
from app.domain.spec import ContainerSpec, Endpoint
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, Internal, InvalidParameter, NotFound, Unavailable
from app.placement import scheduler
from app.services import container_body, container_volumes
from app.services.container_body import Resolved
from app.services.container_endpoints import Endpoints, check_address, link_target
from app.services.container_sync import ContainerSync, Described, Looked, forget
from app.services.intent import Intents
from app.services.networks import Networks
from app.store import accounts, at_hand, container_names, containers, endpoints, networks
from app.store.at_hand import AtHand
from app.store.images import Image
from app.store.session import Store, Transaction, UniqueViolation

NAME_ATTEMPTS = 6
#: What an image may bring of things that a request could name no more of.
MOST_IMAGE_PORTS, MOST_IMAGE_VOLUMES = 128, 32


class ContainerCreate:
    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        sync: ContainerSync,
        intents: Intents,
        account_networks: Networks,
        fleet_name: str,
    ) -> None:
        self._endpoints = Endpoints(store, fleet, account_networks)
        self._store = store
        self._fleet = fleet
        self._sync = sync
        self._intents = intents
        self._networks = account_networks
        self._fleet_name = fleet_name

    def create(self, account: Account, spec: ContainerSpec) -> tuple[str, list[str]]:
        """Make the container. Returns its id and the warnings; raises NotFound, Conflict, Forbidden, Unavailable ..."""
        with self._store.autocommit() as tx:
            hand = at_hand.find(tx, account.id, spec.image)
            image = hand.image
            self._check_image(spec, image)
            chosen = self._package(hand, spec)
            referred = self._referred(tx, account, spec)
            node = self._place(tx, account, spec, hand, referred)
        places, told = self._places(account, spec, hand.networks, node)
        for attempt in range(NAME_ATTEMPTS):
            name = spec.name or names.random_container_name(attempt)
            try:
                resolved, operation_id, detail = self._reserve(
                    account, spec, name, image, chosen, referred, node, places
                )
            except UniqueViolation as violation:
                if violation.constraint != "uq_containers_account_id_name":
                    raise Unavailable("the volume is being created by another request", retry_after=1) from violation
                if spec.name is None and attempt + 1 < NAME_ATTEMPTS:
                    continue
                raise self._name_taken(account, name) from violation
            except accounts.OverQuota as error:
                with self._store.autocommit() as tx:
                    now = accounts.find_by_login(tx, account.login) or account
                limits = container_body.size(spec, chosen, node)
                raise over_quota(now, limits.memory, limits.nano_cpus, containers=1) from error
            container_id, warnings = self._carry_out(spec, resolved, operation_id, detail)
            return container_id, warnings + told
        raise Internal("no free name was found for the container")

    # -- before the engine ---------------------------------------------------------------------------------------

    @staticmethod
    def _check_image(spec: ContainerSpec, image: Image) -> None:
        """What the request leaves to the image must do, too."""
        config = image.inspect.get("Config") or {}
        if not spec.config.get("WorkingDir"):
            check_working_dir("the image's WorkingDir", config.get("WorkingDir") or "")
        if spec.publish_all and len(config.get("ExposedPorts") or {}) > MOST_IMAGE_PORTS:
            raise InvalidParameter(f"the image exposes more than {MOST_IMAGE_PORTS} ports; publish single ones with -p")
        if len(config.get("Volumes") or {}) > MOST_IMAGE_VOLUMES:
            raise InvalidParameter(f"the image has more than {MOST_IMAGE_VOLUMES} volumes")
        if any(len(target.encode()) > MOST_TARGET_BYTES for target in config.get("Volumes") or {}):
            raise InvalidParameter(f"the image has a volume at a path of more than {MOST_TARGET_BYTES} bytes")
        check_image_volumes(config.get("Volumes") or {})
        own = spec.config.get("Entrypoint") or spec.config.get("Cmd")
        if not own and not config.get("Entrypoint") and not config.get("Cmd"):
            raise InvalidParameter("No command specified")

    @staticmethod
    def _package(hand: AtHand, spec: ContainerSpec) -> Package:
        wanted = spec.resources
        chosen = package.choose(
            hand.packages,
            label=wanted.package,
            memory=wanted.memory,
            nano_cpus=wanted.asked_nano_cpus,
            disk=wanted.storage_size,
        )
        package.check_swap(chosen, wanted.memory, wanted.memory_swap)
        return chosen

    @staticmethod
    def _referred(tx: Transaction, account: Account, spec: ContainerSpec) -> dict[str, Container]:
        """The account's containers that the spec names: --volumes-from, and network, ipc and pid of another."""
        refs = [ref for ref, _ in spec.volumes_from]
        refs += [n.ref for n in (spec.network, spec.ipc, spec.pid) if n.kind == "container"]
        try:
            return {ref: containers.get(tx, account.id, ref) for ref in refs}
        except NotFound as error:
            # A 404 to a create makes a client pull the image and try again.
            raise InvalidParameter(error.message) from error

    @staticmethod
    def _place(
        tx: Transaction, account: Account, spec: ContainerSpec, hand: AtHand, referred: dict[str, Container]
    ) -> Node:
        homes = {c.node_id for c in referred.values()} | container_volumes.homes(tx, account, spec)
        return scheduler.place(scheduler.Request(image_nodes=hand.holders, only=homes), hand.nodes)

    def _places(
        self, account: Account, spec: ContainerSpec, mine: list[Network], node: Node
    ) -> tuple[list[Place], list[str]]:
        """The container's networks, ready on the node, the main one first, and warnings.

        Raises InvalidParameter: a 404 to a create makes a client pull the image and try again.
        """
        if spec.network.kind in ("none", "container"):
            return [], []
        typed = dict(spec.endpoints)
        if spec.network.kind == "network" or not typed:
            # `docker run --network x` names it twice; settings for other networks alone mean these networks.
            main = self._network(account, spec.network.ref or DEFAULT, mine)
        else:
            main = self._network(account, DEFAULT if DEFAULT in typed else next(iter(typed)), mine)
        settings: dict[UUID, tuple[Network, Endpoint]] = {main.uuid: (main, Endpoint())}
        for name, endpoint in typed.items():
            network = self._network(account, name, mine)
            if network.uuid in settings and settings[network.uuid][1] != Endpoint():
                raise InvalidParameter(f"network {network.name} is given more than once")
            settings[network.uuid] = (network, endpoint)
        places, told = [], []
        for network, endpoint in settings.values():
            check_address(network, endpoint.ipv4, endpoint.ipv6)
            if endpoint.mac and network.uuid != main.uuid:
                told.append(f"the MAC address on network {network.name} is not supported here and was ignored")
            ready = network if network.ready else self._networks.ready(network, node)
            links = [*endpoint.links, *(spec.links if network.uuid == main.uuid else ())]
            to = self._linked(account, links) if links else {}
            places.append(
                Place(
                    ready,
                    endpoint.ipv4,
                    endpoint.mac if network.uuid == main.uuid else "",
                    endpoint.aliases,
                    tuple((target, alias) for alias, target in to.items()),
                )
            )
        return places, told

    def _linked(self, account: Account, links: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Alias -> id of the container."""
        with self._store.autocommit() as tx:
            return {alias: link_target(tx, account, target).id for target, alias in links}

    def _network(self, account: Account, word: str, mine: list[Network]) -> Network:
        if word == DEFAULT and not any(network.is_default for network in mine):
            mine.append(self._networks.default_row(account))
        try:
            network = networks.choose(mine, word)
        except NotFound as error:
            raise InvalidParameter(error.message) from error
        if network.removing:
            raise InvalidParameter(f"network {word} not found")
        return network

    def _links(self, tx: Transaction, account: Account, spec: ContainerSpec, places: list[Place]) -> list[Link]:
        """Links as Docker has them on the default network; on others a link is a name in the DNS alone."""
        if not spec.links or not places or not places[0].network.is_default:
            return []
        links = []
        for word, alias in spec.links:
            target = link_target(tx, account, word)
            theirs = {p.network.uuid: p for p in endpoints.of_container(tx, target.id)}
            place = theirs.get(places[0].network.uuid)
            if place is None:
                raise InvalidParameter(f"Cannot link to /{target.name}, as it does not belong to the default network")
            config = (target.inspect or {}).get("Config") or {}
            links.append(link.of(target.id, target.name, alias, place.ipv4, config))
        return links

    def _reserve(
        self,
        account: Account,
        spec: ContainerSpec,
        name: str,
        image: Image,
        chosen: Package,
        referred: dict[str, Container],
        node: Node,
        places: list[Place],
    ) -> tuple[Resolved, UUID, dict[str, Any]]:
        """Quota, name and the intent in one transaction; from its commit on the operation must end done or undone."""
        uuid = uuid4()
        limits = container_body.size(spec, chosen, node)
        with self._reserving(spec, places) as tx:
            accounts.reserve(tx, account.id, limits.memory, limits.nano_cpus)
            container_id = uuid.hex + secrets.token_hex(16)
            taken = container_volumes.take(tx, account, spec, node, container_id)
            targets = sorted({target for place in places for target, _ in place.links})
            resolved = Resolved(
                account_id=account.id,
                container_id=container_id,
                container_uuid=uuid,
                name=name,
                image_id=image.id,
                image_config=image.inspect.get("Config") or {},
                node=node,
                package=chosen,
                places=tuple(places),
                links=tuple(self._links(tx, account, spec, places)),
                linked=endpoints.engine_names(tx, account.id, targets) if targets else {},
                containers=referred,
                volumes=taken.engine_names,
            )
            containers.insert_new(
                tx,
                id=resolved.container_id,
                uuid=uuid,
                account_id=account.id,
                name=name,
                node_id=node.id,
                image_id=image.id,
                image=spec.image,
                spec=container_body.shown(spec, resolved),
                auto_remove=bool(spec.host.get("AutoRemove")),
                tty=bool(spec.config.get("Tty")),
                package=chosen.name,
                memory=limits.memory,
                nano_cpus=limits.nano_cpus,
            )
            # The words are for the events of a container that is gone before an observer hears of it.
            detail = {**taken.detail, "name": name, "image": spec.image}
            operation_id = self._intents.open_new(tx, OperationKind.CREATE, account.id, container_id, node.id, detail)
            if resolved.links:
                container_names.renew_links(tx, account.id, container_id, {to.container_id for to in resolved.links})
            resolved = replace(resolved, places=tuple(self._join(tx, container_id, place) for place in places))
            container_volumes.mount(tx, spec, taken, referred, container_id)
        return resolved, operation_id, taken.detail

    def _reserving(self, spec: ContainerSpec, places: list[Place]) -> AbstractContextManager[Transaction]:
        """For most containers one message is enough. The disk is waited for when the container is there: where the
        database has forgotten all of it until then, the container is taken away from its engine again."""
        if len(places) > 1 or any(place.links for place in places) or spec.volumes or spec.volumes_from:
            return self._store.begin()
        return self._store.together(lasting=False)

    @staticmethod
    def _join(tx: Transaction, container_id: str, place: Place) -> Place:
        try:
            return endpoints.add(tx, container_id, place)
        except NotFound as error:
            # A 404 to a create makes a client pull the image and try again.
            raise InvalidParameter(error.message) from error

    def _name_taken(self, account: Account, name: str) -> Conflict:
        with self._store.autocommit() as tx:
            owner = containers.find_name_owner(tx, account.id, name)
        return Conflict(
            f'Conflict. The container name "/{name}" is already in use by container "{owner or "unknown"}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )

    # -- the engine ----------------------------------------------------------------------------------------------

    def _carry_out(
        self, spec: ContainerSpec, resolved: Resolved, operation_id: UUID, detail: dict[str, Any]
    ) -> tuple[str, list[str]]:
        engine_name = f"c-{resolved.container_uuid}"
        body = container_body.engine_body(spec, resolved, self._labels(spec, resolved, operation_id))
        try:
            looked = self._make(engine_name, body, spec, resolved)
            # An operation that was taken over is being undone: what one sees of the container is as good as gone.
            created = self._sync.refresh(
                resolved.container_id, lambda tx: self._intents.finish(tx, operation_id), looked
            )
            if created is None:
                raise Internal("the container was gone before it could be recorded")
        except Error as error:
            self._undo(resolved, operation_id, detail, error)
            raise self._for_tenant(error, spec, resolved) from error
        except BaseException:
            self._intents.abandon(operation_id)
            raise
        discarded = container_body.discarded(spec, created.inspect or {})
        return resolved.container_id, container_body.warnings(spec, resolved.node) + discarded

    def _make(self, engine_name: str, body: dict[str, Any], spec: ContainerSpec, resolved: Resolved) -> Looked | None:
        """The engine's part. What is read of the container meanwhile, where it could be."""
        engine = self._fleet.on(resolved.node)
        of = [place.network for place in resolved.places]
        found: Described | None = None
        seen: dict[str, Any] | None = None

        def find() -> None:
            nonlocal found
            with contextlib.suppress(Error):
                found = self._sync.find(resolved.container_id)

        def make() -> None:
            nonlocal seen
            seen = engine.create_container(engine_name, body, platform=spec.platform, meanwhile=find)

        self._endpoints.mending(of, resolved.node, make)
        for place in resolved.places[1:]:
            settings = container_body.settings(resolved, place)
            self._endpoints.mending(
                of,
                resolved.node,
                lambda place=place, settings=settings: engine.connect_network(  # type: ignore[misc]
                    place.network.engine_name, engine_name, settings
                ),
            )
        if found is None:
            return None
        # The other networks have changed what was seen.
        return found, seen if len(resolved.places) <= 1 else None

    def _labels(self, spec: ContainerSpec, resolved: Resolved, operation_id: UUID) -> dict[str, str]:
        return {
            "sdc.fleet": self._fleet_name,
            "sdc.account": str(resolved.account_id),
            "sdc.container": resolved.container_id,
            "sdc.op": str(operation_id),
            "sdc.name": resolved.name,
            # For events that are read when the row has gone.
            "sdc.image": spec.image,
        }

    def _undo(self, resolved: Resolved, operation_id: UUID, detail: dict[str, Any], why: Error) -> None:
        """Take everything back. Where the engine's part cannot be known, an observer does it once it can."""
        try:
            undo_create(self._store, self._fleet, resolved.node, resolved.container_id, detail)
            with self._store.begin() as tx:
                self._intents.undone(tx, operation_id, why.message)
        except BaseException as failure:
            self._intents.abandon(operation_id)
            if not isinstance(failure, Error):
                raise

    @staticmethod
    def _for_tenant(error: Error, spec: ContainerSpec, resolved: Resolved) -> Error:
        if isinstance(error, NotFound) and "No such image" in error.message:
            return NotFound(f"No such image: {spec.image}")
        words: dict[str, Any] = {f"c-{resolved.container_uuid}": resolved.name, resolved.image_id: spec.image}
        words |= {c.engine_name: ref for ref, c in resolved.containers.items()}
        words |= {engine_name: name for name, engine_name in resolved.volumes.items()}
        words |= {place.network.engine_name: place.network.name for place in resolved.places}
        told = reworded(error, words)
        # A 404 to a create makes a client pull the image: what is referred to was there a moment ago.
        return InvalidParameter(told.message) if "No such container" in error.message else told


def undo_create(store: Store, fleet: Fleet, node: Node, container_id: str, detail: dict[str, Any]) -> None:
    """Remove what a create may have left on the engine and in the database. Raises Unavailable; may be repeated."""
    engine = fleet.on(node)
    try:
        engine.remove_container(f"c-{UUID(container_id[:32])}", force=True, volumes=True)
    except NotFound:
        pass
    except Error as error:
        raise Unavailable(f"the container cannot be removed: {error.message}", retry_after=5) from error
    with store.begin() as tx:
        container = containers.find_by_id(tx, container_id)
        if container is not None:
            forget(tx, container, volumes=True)
    container_volumes.give_back(store, engine, container_id, detail)
