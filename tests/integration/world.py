"""What the integration tests of services share: the product's object graph over a fake fleet."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2

from app.core import Core
from app.domain.account import Account
from app.domain.container import Container
from app.domain.network import Network
from app.domain.node import Node
from app.errors import Error
from app.services.container_create import ContainerCreate
from app.services.container_endpoints import Endpoints
from app.services.container_io import ContainerIo
from app.services.container_lifecycle import ContainerLifecycle
from app.services.container_prune import ContainerPrune
from app.services.container_queries import ContainerQueries
from app.services.container_sync import ContainerSync
from app.services.disk_usage import DiskUsage, VolumeSizes
from app.services.image_content import ImageContent
from app.services.image_history import ImageHistory
from app.services.images import Images
from app.services.intent import Intents
from app.services.networks import Networks
from app.services.process import Process
from app.services.recovery import Recovery
from app.services.volumes import Volumes
from app.settings import Settings
from app.store import accounts, containers, images, nodes
from app.store.session import Store
from tests import factories
from tests.fakes.engine import FakeContainer, FakeEngine, FakeFleet

FLEET = "test-fleet"
NODE = {"engine_id": "FAKE:FAKE", "engine_version": "20.10.24", "api_version": "1.41", "cpus": 8, "memory": 16 << 30}


def wait_for(answers: Callable[[], Any], *, timeout: float = 30.0) -> Any:
    """The first true answer. Raises AssertionError after `timeout` seconds."""
    until = time.monotonic() + timeout
    while not (answer := answers()):
        assert time.monotonic() < until, f"not after {timeout} s"
        time.sleep(0.01)
    return answer


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run all in parallel; the results in order, an Error of ours as a value."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Error as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls, timeout=60))


class Member:
    """One process of the service: its identity in the database and the services on top of it."""

    def __init__(self, store: Store, fleet: FakeFleet, settings: Settings, kind: str) -> None:
        self.process = Process(store, kind)
        intents = Intents(self.process)
        self.sync = ContainerSync(store, fleet)  # type: ignore[arg-type]
        pool = settings.network_pool
        self.networks = Networks(store, fleet, self.process, pool, settings.fleet)  # type: ignore[arg-type]
        self.endpoints = Endpoints(store, fleet, self.networks)  # type: ignore[arg-type]
        self.lifecycle = ContainerLifecycle(store, fleet, self.sync, intents, self.endpoints)  # type: ignore[arg-type]
        self.create = ContainerCreate(store, fleet, self.sync, intents, self.networks, settings.fleet)  # type: ignore[arg-type]
        self.queries = ContainerQueries(store, fleet, self.sync, settings.fleet)  # type: ignore[arg-type]
        self.io = ContainerIo(store, fleet, self.sync)  # type: ignore[arg-type]
        self.content = ImageContent(store, fleet, intents, settings.fleet)  # type: ignore[arg-type]
        sizes = VolumeSizes(store, fleet)  # type: ignore[arg-type]
        self.volumes = Volumes(store, fleet, intents, sizes, settings.fleet)  # type: ignore[arg-type]
        self.container_prune = ContainerPrune(store, self.lifecycle, self.queries)
        history = ImageHistory(store, fleet, self.content)  # type: ignore[arg-type]
        self.disk_usage = DiskUsage(store, self.queries, Images(store, history), history, sizes)
        self.recovery = Recovery(
            store,
            fleet,
            self.process,
            self.sync,
            self.lifecycle,
            self.networks,
            settings.fleet,  # type: ignore[arg-type]
            self.content,
        )
        self.core = Core(
            settings,
            store,
            fleet,
            self.process,
            self.sync,
            self.lifecycle,
            self.networks,
            intents,
            self.recovery,  # type: ignore[arg-type]
            self.content,
        )


class World:
    def __init__(self, url: str) -> None:
        self.url = url
        self.settings = Settings(database_url=url, fleet=FLEET)
        self.store = Store(url, pool=24)
        self.engine = FakeEngine()
        self.fleet = FakeFleet(self.engine)
        self.api = Member(self.store, self.fleet, self.settings, "api")
        self.observer = Member(self.store, self.fleet, self.settings, "observer")
        self.image_id = self.engine.add_image(
            {"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": {"Cmd": ["sh"], "Env": ["P=/bin"]}}
        )
        with self.store.begin() as tx:
            node_id = nodes.add(tx, name="n1", url="unix:///n1", **NODE)
            for login in ("alice", "bob"):
                accounts.add(tx, login)
            self.alice, self.bob = accounts.list_all(tx)
            self.node: Node = nodes.get(tx, node_id)
            for account in (self.alice, self.bob):
                self.give(tx, account)
        self._connection = psycopg2.connect(url.replace("+psycopg2", ""))
        self._connection.autocommit = True
        # Nobody here gives the API's signs of life: a test that is held up is not to be taken for a process that died.
        self.sql("UPDATE processes SET heartbeat_at = now() + interval '1 hour' WHERE kind = 'api'")

    def close(self) -> None:
        self.engine.close()
        self._connection.close()
        self.store.close()

    def give(self, tx: Any, account: Account) -> None:
        """The account has the image, as `busybox`."""
        images.put(tx, self.image_id, self.engine.inspect_image(self.image_id), self.node.id, account.id)
        images.set_name(tx, account.id, "docker.io/library/busybox", "latest", self.image_id)

    # -- what a client does ------------------------------------------------------------------------------------------

    def create(self, account: Account, name: str = "", *, by: Member | None = None, **body: Any) -> str:
        return (by or self.api).create.create(account, factories.spec(name=name, **body))[0]

    def run(self, account: Account, name: str = "", **body: Any) -> str:
        container_id = self.create(account, name, **body)
        self.api.lifecycle.start(account, container_id)
        return container_id

    def default_network(self, account: Account) -> Network:
        """Ready on the node, as a first use of it leaves it."""
        return self.api.networks.ready(self.api.networks.default_row(account), self.node)

    # -- what a test looks at ----------------------------------------------------------------------------------------

    def sql(self, statement: str, *values: Any) -> list[tuple]:
        """From a connection of its own: it sees what is committed."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def row(self, container_id: str) -> Container | None:
        with self.store.begin() as tx:
            return containers.find_by_id(tx, container_id)

    def state(self, container_id: str) -> str | None:
        row = self.row(container_id)
        return row.state.value if row else None

    def on_engine(self, container_id: str) -> FakeContainer | None:
        found = [c for c in self.engine.containers.values() if c.config["Labels"].get("sdc.container") == container_id]
        assert len(found) < 2
        return found[0] if found else None

    def used(self, account: Account) -> tuple[int, int, int]:
        statement = "SELECT used_containers, used_memory, used_nano_cpus FROM accounts WHERE id = %s"
        return self.sql(statement, str(account.id))[0]  # type: ignore[return-value]

    def operations(self, target: str) -> list[tuple[str, str, str]]:
        """(kind, state, error) of all operations on a container, oldest first."""
        statement = "SELECT kind, state, error FROM operations WHERE target = %s ORDER BY created_at, id"
        return self.sql(statement, target)  # type: ignore[return-value]

    def last_operation(self) -> tuple[str, str, str]:
        statement = "SELECT kind, state, error FROM operations WHERE kind <> 'network' ORDER BY created_at DESC LIMIT 1"
        return self.sql(statement)[0]  # type: ignore[return-value]

    def ports(self) -> list[tuple[str, int, str]]:
        """(protocol, host port, container id)"""
        return self.sql("SELECT protocol, host_port, container_id FROM container_ports ORDER BY 1, 2")  # type: ignore[return-value]

    def assert_nothing_left(self, account: Account) -> None:
        """No container, no quota, no port, no volume, nothing pending, and nothing of it on the engine."""
        assert self.sql("SELECT id FROM containers WHERE account_id = %s", str(account.id)) == []
        assert self.used(account) == (0, 0, 0)
        assert self.ports() == []
        assert self.sql("SELECT name FROM volumes WHERE account_id = %s", str(account.id)) == []
        assert self.sql("SELECT kind FROM operations WHERE state = 'pending'") == []
        assert self.engine.containers == {}
        assert self.engine.volumes == {}

    def silence(self, process: Process) -> None:
        """The process gave its last sign of life a minute ago."""
        self.sql("UPDATE processes SET heartbeat_at = now() - interval '1 minute' WHERE id = %s", str(process.id))

    def pending_process(self, target: str) -> UUID:
        """Which process holds the pending operation of a container."""
        found = self.sql("SELECT process_id FROM operations WHERE target = %s AND state = 'pending'", target)
        assert len(found) == 1
        return UUID(found[0][0])
