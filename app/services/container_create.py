"""POST /containers/create: resolve, reserve, place, create on the engine, record, or undo."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID, uuid4

from app.domain import names, package
from app.domain.account import Account
from app.domain.container import Container
from app.domain.network import Network
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.domain.package import Package
from app.domain.policy import check_working_dir
from app.domain.spec import ContainerSpec
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, Forbidden, Internal, InvalidParameter, NotFound, NotImplemented, Unavailable
from app.placement import scheduler
from app.services import container_body
from app.services.container_body import Resolved
from app.services.container_sync import ContainerSync, forget
from app.services.intent import Intents
from app.services.networks import DEFAULT_NAME, Networks
from app.store import accounts, containers, images, networks, nodes, packages, volumes
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
        self._store = store
        self._fleet = fleet
        self._sync = sync
        self._intents = intents
        self._networks = account_networks
        self._fleet_name = fleet_name

    def create(self, account: Account, spec: ContainerSpec) -> tuple[str, list[str]]:
        """Make the container. Returns its id and the warnings; raises NotFound, Conflict, Forbidden, Unavailable ..."""
        endpoints = spec.endpoints.values()
        if spec.links or any(endpoint.links for endpoint in endpoints):
            raise NotImplemented("links are not available here yet; containers reach each other by name")
        if any(endpoint.ipv4 or endpoint.ipv6 for endpoint in endpoints):
            raise InvalidParameter("user specified IP address is supported on user defined networks only")
        with self._store.autocommit() as tx:
            image = images.resolve(tx, account.id, spec.image)
            self._check_image(spec, image)
            chosen = self._package(tx, spec)
            referred = self._referred(tx, account, spec)
            node = self._place(tx, account, spec, image, referred)
            network = networks.find(tx, account.id, DEFAULT_NAME) if self._on_default_network(spec) else None
        if self._on_default_network(spec) and (network is None or not network.ready):
            network = self._networks.default(account, node)
        for attempt in range(NAME_ATTEMPTS):
            name = spec.name or names.random_container_name(attempt)
            try:
                resolved, operation_id, new_volumes = self._reserve(
                    account, spec, name, image, chosen, referred, node, network
                )
            except UniqueViolation as violation:
                if violation.constraint != "uq_containers_account_id_name":
                    raise Unavailable("the volume is being created by another request", retry_after=1) from violation
                if spec.name is None and attempt + 1 < NAME_ATTEMPTS:
                    continue
                raise self._name_taken(account, name) from violation
            return self._carry_out(spec, resolved, operation_id, new_volumes)
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
        own = spec.config.get("Entrypoint") or spec.config.get("Cmd")
        if not own and not config.get("Entrypoint") and not config.get("Cmd"):
            raise InvalidParameter("No command specified")

    @staticmethod
    def _package(tx: Transaction, spec: ContainerSpec) -> Package:
        wanted = spec.resources
        return package.choose(
            packages.list_active(tx),
            label=wanted.package,
            memory=wanted.memory,
            nano_cpus=wanted.asked_nano_cpus,
            disk=wanted.storage_size,
        )

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
        tx: Transaction, account: Account, spec: ContainerSpec, image: Image, referred: dict[str, Container]
    ) -> Node:
        homes = {c.node_id for c in referred.values()}
        for mount in spec.volumes:
            if mount.name is not None and (volume := volumes.find(tx, account.id, mount.name)):
                homes.add(volume.node_id)
        candidates, holders = nodes.list_for(tx, image.id)
        return scheduler.place(scheduler.Request(image_nodes=holders, only=homes), candidates)

    @staticmethod
    def _on_default_network(spec: ContainerSpec) -> bool:
        """Whether the container is on a network. Raises InvalidParameter where it is to be on one that is not there."""
        for name in spec.endpoints:
            if name != DEFAULT_NAME:
                raise InvalidParameter(f"network {name} not found")
        if spec.network.kind == "network":
            raise InvalidParameter(f"network {spec.network.ref} not found")
        return spec.network.kind not in ("none", "container")

    def _reserve(
        self,
        account: Account,
        spec: ContainerSpec,
        name: str,
        image: Image,
        chosen: Package,
        referred: dict[str, Container],
        node: Node,
        network: Network | None,
    ) -> tuple[Resolved, UUID, list[UUID]]:
        """Quota, name and the intent in one transaction; from its commit on the operation must end done or undone."""
        uuid = uuid4()
        limits = container_body.size(spec, chosen, node)
        with self._store.begin() as tx:
            if not accounts.reserve(tx, account.id, limits.memory, limits.nano_cpus):
                raise self._over_quota(tx, account, limits.memory, limits.nano_cpus)
            engine_names, new_volumes = self._volumes(tx, account, spec, node)
            resolved = Resolved(
                account_id=account.id,
                container_id=uuid.hex + secrets.token_hex(16),
                container_uuid=uuid,
                name=name,
                image_id=image.id,
                image_config=image.inspect.get("Config") or {},
                node=node,
                package=chosen,
                network=network,
                containers=referred,
                volumes=engine_names,
            )
            containers.insert_new(
                tx,
                id=resolved.container_id,
                uuid=uuid,
                account_id=account.id,
                name=name,
                node_id=node.id,
                network_id=network.uuid if network else None,
                image_id=image.id,
                image=spec.image,
                spec=container_body.shown(spec, resolved),
                auto_remove=bool(spec.host.get("AutoRemove")),
                tty=bool(spec.config.get("Tty")),
                package=chosen.name,
                memory=limits.memory,
                nano_cpus=limits.nano_cpus,
            )
            for mount in spec.volumes:
                if mount.name is not None:
                    # From here on nobody takes the volume for unused.
                    containers.mount_volume(tx, resolved.container_id, mount.target, node.id, engine_names[mount.name])
            detail = {"volumes": [str(volume) for volume in new_volumes]}
            operation_id = self._intents.open_new(
                tx, OperationKind.CREATE, account.id, resolved.container_id, node.id, detail
            )
        return resolved, operation_id, new_volumes

    @staticmethod
    def _volumes(
        tx: Transaction, account: Account, spec: ContainerSpec, node: Node
    ) -> tuple[dict[str, str], list[UUID]]:
        """The tenant's volume names -> engine names; a volume that is not there yet is made, as Docker does."""
        engine_names: dict[str, str] = {}
        new: list[UUID] = []
        for mount in spec.volumes:
            if mount.name is None or mount.name in engine_names:
                continue
            volume = volumes.find(tx, account.id, mount.name)
            if volume is None:
                volume = volumes.add_named(tx, account.id, mount.name, node.id, dict(mount.labels))
                new.append(volume.id)
            elif volume.node_id != node.id:
                raise Unavailable("the volume was created on another node meanwhile", retry_after=1)
            engine_names[mount.name] = volume.engine_name
        return engine_names, new

    @staticmethod
    def _over_quota(tx: Transaction, account: Account, memory: int, nano_cpus: int) -> Forbidden:
        now = accounts.find_by_login(tx, account.login) or account
        if now.used_containers + 1 > now.max_containers:
            return Forbidden(f"quota exceeded: containers {now.used_containers} of {now.max_containers}")
        if now.used_memory + memory > now.max_memory:
            mib = 1 << 20
            return Forbidden(
                f"quota exceeded: memory {now.used_memory // mib} MiB of {now.max_memory // mib} MiB, "
                f"{memory // mib} MiB more wanted"
            )
        return Forbidden(
            f"quota exceeded: cpus {now.used_nano_cpus / 1e9:g} of {now.max_nano_cpus / 1e9:g}, "
            f"{nano_cpus / 1e9:g} more wanted"
        )

    def _name_taken(self, account: Account, name: str) -> Conflict:
        with self._store.autocommit() as tx:
            owner = containers.find_name_owner(tx, account.id, name)
        return Conflict(
            f'Conflict. The container name "/{name}" is already in use by container "{owner or "unknown"}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )

    # -- the engine ----------------------------------------------------------------------------------------------

    def _carry_out(
        self, spec: ContainerSpec, resolved: Resolved, operation_id: UUID, new_volumes: list[UUID]
    ) -> tuple[str, list[str]]:
        engine_name = f"c-{resolved.container_uuid}"
        body = container_body.engine_body(spec, resolved, self._labels(spec, resolved, operation_id))
        try:
            self._fleet.on(resolved.node).create_container(engine_name, body, platform=spec.platform)
            created = self._sync.refresh(resolved.container_id, also=lambda tx: self._end(tx, operation_id))
            if created is None:
                raise Internal("the container was gone before it could be recorded")
        except Error as error:
            self._undo(resolved, operation_id, new_volumes, error)
            raise self._for_tenant(error, spec, resolved) from error
        except BaseException:
            self._intents.abandon(operation_id)
            raise
        return resolved.container_id, container_body.warnings(spec, resolved.node)

    def _end(self, tx: Transaction, operation_id: UUID) -> None:
        """An operation that was taken over is being undone: what one sees of the container is as good as gone."""
        if not self._intents.done(tx, operation_id):
            raise Unavailable("the request took too long and was undone", retry_after=1)

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

    def _undo(self, resolved: Resolved, operation_id: UUID, new_volumes: list[UUID], why: Error) -> None:
        """Take everything back. Where the engine's part cannot be known, an observer does it once it can."""
        try:
            undo_create(self._store, self._fleet, resolved.node, resolved.container_id, new_volumes)
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
        if resolved.network:
            words[resolved.network.engine_name] = resolved.network.name
        return reworded(error, words)


def undo_create(store: Store, fleet: Fleet, node: Node, container_id: str, new_volumes: list[UUID]) -> None:
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
        unused = [volume for volume in new_volumes if volumes.remove_unused(tx, volume)]
    for volume in unused:
        try:
            engine.remove_volume(f"v-{volume}")
        except (NotFound, Conflict):
            continue
        except Error as error:
            raise Unavailable(f"the volume cannot be removed: {error.message}", retry_after=5) from error
