"""Images of two accounts on one node, with a real database, a fake engine and a fake registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.domain.account import Account
from app.domain.node import Node
from app.services.container_sync import ContainerSync
from app.services.image_content import ImageContent
from app.services.image_history import ImageHistory
from app.services.image_load import ImageLoad
from app.services.image_pull import ImagePull
from app.services.image_push import ImagePush
from app.services.image_remove import ImageRemove
from app.services.image_save import ImageSave
from app.services.images import Images
from app.services.intent import Intents
from app.services.process import Process
from app.services.recovery import Recovery
from app.services.registries import OwnRegistry
from app.services.registry_queries import RegistryQueries
from app.store import accounts, images, nodes
from app.store.images import Image
from app.store.session import Store
from tests.fakes.engine import FakeEngine, FakeFleet
from tests.fakes.registry import FakeRegistries

HUB = "docker.io/library/tool"
FLEET = "test-fleet"
NODE = {"engine_id": "E", "engine_version": "20.10.24", "api_version": "1.41", "cpus": 8, "memory": 1 << 34}


def config(**more: Any) -> dict[str, Any]:
    return {"os": "linux", "created": "2024-01-01T00:00:00Z", **more}


@dataclass
class World:
    store: Store
    engine: FakeEngine
    content: ImageContent
    images: Images
    puller: ImagePull
    loader: ImageLoad
    saver: ImageSave
    remover: ImageRemove
    pusher: ImagePush
    queries: RegistryQueries
    recovery: Recovery
    process: Process
    alice: Account
    bob: Account
    node: Node

    def pull(self, account: Account, name: str, tag: str = "latest", **options: Any) -> list[dict]:
        return list(self.puller.pull(account, name, tag, **({"auth": {}} | options)))

    def load(self, account: Account, data: bytes) -> list[dict]:
        return list(self.loader.load(account, [data]))

    def push(self, account: Account, name: str, tag: str = "latest") -> list[dict]:
        return list(self.pusher.push(account, name, tag, auth={}))

    def names(self, account: Account) -> dict[str, list[str]]:
        listed = self.images.list(account, everything=True, filters={})
        return {image["Id"]: image["RepoTags"] for image in listed}

    def rows(self, account: Account) -> list[Image]:
        with self.store.begin() as tx:
            return images.list_mine(tx, account.id)

    def kept(self) -> set[str]:
        """The images that the engine keeps for us; it has no other names."""
        assert all(name.startswith("sdc.invalid/test-fleet:") for name in self.engine.names), self.engine.names
        return {f"sha256:{name.rpartition(':')[2]}" for name in self.engine.names}

    def told(self, account: Account) -> list[tuple[str, str]]:
        """(action, actor) of the account's image events."""
        with self.store.begin() as tx:
            found = tx.exec_driver_sql(
                "SELECT action, actor_id FROM events WHERE account_id = %s AND type = 'image' ORDER BY id",
                (str(account.id),),
            )
            return [tuple(row) for row in found]

    def pending(self) -> int:
        with self.store.begin() as tx:
            return tx.exec_driver_sql("SELECT count(*) FROM operations WHERE state = 'pending'").scalar_one()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    store = Store(database_url, pool=8)
    engine = FakeEngine()
    with store.begin() as tx:
        node_id = nodes.add(tx, name="n1", url="unix:///n1", **NODE)
        for login in ("alice", "bob"):
            accounts.add(tx, login)
        alice, bob = accounts.list_all(tx)
        node = nodes.get(tx, node_id)
    fleet: Any = FakeFleet(engine)
    process = Process(store, "api")
    intents = Intents(process)
    content = ImageContent(store, fleet, intents, FLEET)
    own = OwnRegistry("registry.dc", "own.lan:5000", "service", "secret")
    registries = FakeRegistries(engine.remote, ["10.1.2.3:5000", "reg.lan"], own)
    history = ImageHistory(store, fleet, content)
    sync: Any = ContainerSync(store, fleet)
    recovery = Recovery(store, fleet, process, sync, None, None, FLEET, content)  # type: ignore[arg-type]
    yield World(
        store,
        engine,
        content,
        Images(store, history),
        ImagePull(store, fleet, intents, registries, content),
        ImageLoad(store, fleet, content),
        ImageSave(store, fleet, content),
        ImageRemove(store, history),
        ImagePush(store, fleet, intents, registries, content),
        RegistryQueries(fleet, registries, content),
        recovery,
        process,
        alice,
        bob,
        node,
    )
    engine.close()
    store.close()
