"""start, stop, restart, kill, pause, unpause, rename, remove: one intent, one engine call, one record."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID

from app.domain import container_state, event, names
from app.domain.account import Account
from app.domain.container import Container
from app.domain.container_state import Command, ContainerState
from app.domain.operation import OperationKind
from app.engine.engine import Engine
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, Internal, InvalidParameter, NotFound, Unavailable
from app.services.container_call import labels
from app.services.container_endpoints import Endpoints
from app.services.container_sync import ContainerSync, engine_words, forget
from app.services.intent import Intents
from app.store import container_names, container_ports, containers, events
from app.store.container_ports import PortTaken
from app.store.session import Store, UniqueViolation

LONGEST_STOP = 600


class ContainerLifecycle:
    def __init__(self, store: Store, fleet: Fleet, sync: ContainerSync, intents: Intents, endpoints: Endpoints) -> None:
        self._store = store
        self._fleet = fleet
        self._sync = sync
        self._intents = intents
        self._endpoints = endpoints

    def start(self, account: Account, id_or_name: str) -> None:
        """Raises NotModified where it runs already, Conflict, and Internal with the runtime's words where it cannot."""
        container, engine = self._allowed(account, id_or_name, Command.START)
        self._endpoints.check_links(account, container)
        self._act(container, OperationKind.START, lambda: self._start(engine, container), ports=True)

    def _start(self, engine: Engine, container: Container) -> None:
        self._endpoints.run(container, engine, lambda: engine.start_container(container.engine_name))

    def stop(self, account: Account, id_or_name: str, *, seconds: int | None, signal: str | None) -> None:
        """Raises NotModified where it does not run."""
        self._check_seconds(seconds)
        container, engine = self._allowed(account, id_or_name, Command.STOP)
        self._act(
            container,
            OperationKind.STOP,
            lambda: engine.stop_container(container.engine_name, seconds=seconds, signal=signal),
        )

    def restart(self, account: Account, id_or_name: str, *, seconds: int | None, signal: str | None) -> None:
        """Stop it where it runs, within `seconds` before it is killed (None: as it was made with), and start it.

        Raises Conflict where it is being removed, Internal with the runtime's words where it cannot start.
        """
        self._check_seconds(seconds)
        container, engine = self._allowed(account, id_or_name, Command.RESTART)
        self._act(
            container,
            OperationKind.RESTART,
            lambda: self._endpoints.run(
                container,
                engine,
                lambda: engine.restart_container(container.engine_name, seconds=seconds, signal=signal),
            ),
            ports=True,
        )

    def kill(self, account: Account, id_or_name: str, *, signal: str) -> None:
        """Send a signal, by name or number. Raises Conflict where it does not run, InvalidParameter for no signal."""
        try:
            container, engine = self._allowed(account, id_or_name, Command.KILL)
        except (NotFound, Conflict) as error:
            raise type(error)(f"Cannot kill container: {id_or_name}: {error.message}") from error
        self._act(container, OperationKind.KILL, lambda: engine.kill_container(container.engine_name, signal))

    def pause(self, account: Account, id_or_name: str) -> None:
        """Raises Conflict where it does not run, or is paused already."""
        container, engine = self._allowed(account, id_or_name, Command.PAUSE)
        self._act(container, OperationKind.PAUSE, lambda: engine.pause_container(container.engine_name))

    def unpause(self, account: Account, id_or_name: str) -> None:
        """Raises Conflict where it is not paused."""
        container, engine = self._allowed(account, id_or_name, Command.UNPAUSE)
        self._act(container, OperationKind.UNPAUSE, lambda: engine.unpause_container(container.engine_name))

    def rename(self, account: Account, id_or_name: str, new_name: str) -> None:
        """The name is ours alone; the engine learns it as a DNS name of the container's network."""
        if not new_name:
            raise InvalidParameter("Neither old nor new names may be empty")
        with self._store.autocommit() as tx:
            container = containers.get(tx, account.id, id_or_name)
        try:
            new_name = names.check_container_name(f"/{new_name.removeprefix('/')}")
        except InvalidParameter as error:
            raise InvalidParameter(f"Error when allocating new name: {error.message}") from error
        if container.name == new_name:
            raise InvalidParameter("Renaming a container with the same name as its current name")
        try:
            targets = {target for target, _ in container.spec.get("Links") or []}
            with self._store.begin() as tx:
                if targets:
                    container_names.lock(tx, account.id, container.id, targets)
                containers.rename(tx, container, new_name)
                if targets:
                    container_names.renew_links(tx, account.id, container.id, targets)
                operation_id = self._intents.open(tx, OperationKind.RENAME, container, {"old": container.name})
                about = {"image": container.image, "name": new_name, "oldName": f"/{container.name}"}
                about = labels(container) | about
                events.append(tx, event.ours(account.id, "container", "rename", container.id, about))
        except UniqueViolation as violation:
            with self._store.autocommit() as tx:
                owner = containers.find_name_owner(tx, account.id, new_name)
            raise Conflict(
                f'Error when allocating new name: Conflict. The container name "/{new_name}" is already in use by '
                f'container "{owner or "unknown"}". You have to remove (or rename) that container to be able to reuse '
                "that name."
            ) from violation
        try:
            self.announce_name(container.id)
            self._sync.refresh(container.id, also=lambda tx: self._intents.done(tx, operation_id))
        except BaseException as error:
            # The name is changed; an observer brings the network's DNS after it.
            self._intents.abandon(operation_id)
            if isinstance(error, Error):
                raise reworded(error, engine_words(container)) from error
            raise

    def announce_name(self, container_id: str) -> None:
        """Make its networks' DNS know the container's present name. May be repeated."""
        self._endpoints.announce(container_id)

    def remove(self, account: Account, id_or_name: str, *, force: bool, volumes: bool, link: bool) -> None:
        """Its anonymous volumes go with it where `volumes` says so; `link` means the link `/container/alias` alone.

        Raises Conflict where it runs and `force` does not say that it is to be killed, or is being removed already.
        """
        if link:
            self._sync.refresh(self._endpoints.remove_link(account, id_or_name))
            return
        container, engine = self._allowed(account, id_or_name, Command.REMOVE, force)
        with self._store.begin() as tx:
            if not containers.begin_removal(tx, container):
                containers.get(tx, account.id, container.id)
                raise Conflict(f"removal of container {container.id} is already in progress")
            detail = {"force": force, "volumes": volumes, "name": container.name, "image": container.image}
            operation_id = self._intents.open(tx, OperationKind.REMOVE, container, detail)
        with self._ending(container, operation_id):
            self.carry_out_removal(container, engine, force=force, volumes=volumes)
            with self._store.begin() as tx:
                forget(tx, container, volumes=volumes)
                self._intents.done(tx, operation_id)

    @staticmethod
    def carry_out_removal(container: Container, engine: Engine, *, force: bool, volumes: bool) -> None:
        """The engine's part of a removal; that the container is not there any more is success."""
        try:
            engine.remove_container(container.engine_name, force=force, volumes=volumes)
        except NotFound:
            return
        except Conflict as error:
            if "already in progress" in error.message:
                raise Unavailable("the container is being removed already", retry_after=2) from error
            raise

    # -- the common path -----------------------------------------------------------------------------------------

    def _allowed(
        self, account: Account, id_or_name: str, command: Command, anyhow: bool = False
    ) -> tuple[Container, Engine]:
        """The container and its engine, if the command may be tried; `anyhow` says that any state but removal will do.

        A row that says no is compared with the engine first.
        """
        with self._store.autocommit() as tx:
            container, node = containers.get_placed(tx, account.id, id_or_name)
        engine = self._fleet.on(node)
        if anyhow and container.state is not ContainerState.REMOVING:
            return container, engine
        if command in container_state.COMMANDS[container.state]:
            return container, engine
        if container.state is not ContainerState.REMOVING:
            fresh = self._sync.refresh(container.id)
            if fresh is None:
                # The engine has lost it; the row may tell so.
                with self._store.autocommit() as tx:
                    fresh = containers.find_by_id(tx, container.id)
            if fresh is None:
                raise NotFound(f"No such container: {id_or_name}")
            container = fresh
        container_state.check(container.state, command, container.id)
        return container, engine

    def _act(self, container: Container, kind: OperationKind, call: Callable[[], None], *, ports: bool = False) -> None:
        """One engine call inside its intent; `ports` reserves the published ports in the intent's transaction."""
        wanted = sorted(container.spec.get("Ports", [])) if ports else []
        try:
            with self._store.begin() if wanted else self._store.autocommit() as tx:
                operation_id = self._intents.open(tx, kind, container)
                for protocol, host_port, port in wanted:
                    container_ports.reserve(tx, container.node_id, protocol, host_port, container.id, port)
        except PortTaken as taken:
            raise Internal(
                f"driver failed programming external connectivity on endpoint {container.name} ({container.id}): "
                f"Bind for 0.0.0.0:{taken.host_port} failed: port is already allocated"
            ) from taken
        with self._ending(container, operation_id):
            call()
            self._sync.refresh(container.id, also=lambda tx: self._intents.done(tx, operation_id))

    def _ending(self, container: Container, operation_id: UUID) -> AbstractContextManager[None]:
        """Around an engine call: where the engine says no, the row is made what the engine says."""

        def refused(error: Error) -> None:
            self._sync.refresh(container.id, also=lambda tx: self._intents.undone(tx, operation_id, error.message))

        return self._intents.ending(operation_id, engine_words(container), refused)

    @staticmethod
    def _check_seconds(seconds: int | None) -> None:
        if seconds is not None and not -1 <= seconds <= LONGEST_STOP:
            raise InvalidParameter(f"the stop timeout must be between 0 and {LONGEST_STOP} seconds")
