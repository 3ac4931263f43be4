"""The service for images with a real engine, registry and database: what the fake cannot show."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.domain.account import Account
from app.domain.node import Node
from app.engine.client import EngineClient
from app.engine.engine import Engine
from app.errors import InvalidParameter
from app.services.image_content import ImageContent
from app.services.image_history import ImageHistory
from app.services.image_load import ImageLoad
from app.services.image_pull import ImagePull
from app.services.images import Images
from app.services.intent import Intents
from app.services.process import Process
from app.store import accounts, nodes
from app.store.session import Store
from tests import busybox, machine
from tests.contract.registry import ADDRESS, MANIFEST, Handler
from tests.fakes.registry import FakeRegistries, FakeRegistry

NODE = {"engine_id": "E", "engine_version": "20.10.24", "api_version": "1.41", "cpus": 8, "memory": 1 << 34}
IDS = Handler.content.ids


@dataclass
class OneNode:
    engine: Engine

    def on(self, node: Node) -> Engine:
        return self.engine


@dataclass
class World:
    images: Images
    puller: ImagePull
    loader: ImageLoad
    alice: Account
    bob: Account


@pytest.fixture
def world(database_url: str, engine: machine.Engine, real_registry: Path) -> Iterator[World]:
    store = Store(database_url, pool=2)
    with store.begin() as tx:
        nodes.add(tx, name="n1", url=engine.url, **NODE)
        for login in ("alice", "bob"):
            accounts.add(tx, login)
        alice, bob = accounts.list_all(tx)
    client = EngineClient(engine.url, version="1.41")
    fleet: Any = OneNode(Engine(client))
    intents = Intents(Process(store, "api"))
    content = ImageContent(store, fleet, intents, "contract")
    registries = FakeRegistries(_same(), [ADDRESS])
    images = Images(store, ImageHistory(store, fleet, content))
    puller = ImagePull(store, fleet, intents, registries, content)
    yield World(images, puller, ImageLoad(store, fleet, content), alice, bob)
    client.close()
    store.close()


def _same() -> FakeRegistry:
    """What the registry beside the engine has, for us, who do not reach it there."""
    registry = FakeRegistry()
    for (repository, reference), manifest in Handler.content.manifests.items():
        registry.manifests[f"{ADDRESS}/{repository}", reference] = (MANIFEST, manifest)
        for digest, blob in Handler.content.blobs.items():
            registry.blobs[f"{ADDRESS}/{repository}", digest] = blob
    return registry


def requests(log: Path) -> list[str]:
    return log.read_text().splitlines()


def test_two_accounts_pull(world: World, real_registry: Path) -> None:
    before = len(requests(real_registry))
    for account in (world.alice, world.bob):
        messages = list(world.puller.pull(account, f"{ADDRESS}/lib/tool", "1", auth={}))
        assert messages[0]["status"] == "Pulling from lib/tool"
        assert messages[-1] == {"status": f"Status: Downloaded newer image for {ADDRESS}/lib/tool:1"}
        seen = world.images.inspect(account, f"{ADDRESS}/lib/tool:1")
        assert seen["Id"] == IDS["lib/tool", "1"]
        assert len(seen["RepoDigests"]) == 1
    assert len(requests(real_registry)) > before
    last = list(world.puller.pull(world.bob, f"{ADDRESS}/lib/tool", "1", auth={}))[-1]
    assert last == {"status": f"Status: Image is up to date for {ADDRESS}/lib/tool:1"}


def test_a_pull_that_nobody_wants_ends_on_the_engine(world: World, engine: machine.Engine) -> None:
    pull = world.puller.pull(world.alice, f"{ADDRESS}/slow/tool", "1", auth={})
    assert any(message.get("status") == "Pulling fs layer" for message in pull)
    machine.wait_until(lambda: _downloads(engine) == 1, "the download's begin")
    pull.close()
    machine.wait_until(lambda: _downloads(engine) == 0, "the download's end")
    assert world.images.list(world.alice, everything=True, filters={}) == []


def _downloads(engine: machine.Engine) -> int:
    """Layers that the engine is downloading, as files."""
    return len(list((engine.socket.parent / "data" / "tmp").glob("GetImageBlob*")))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_load_in_every_compression(world: World, compress: Callable[[bytes], bytes]) -> None:
    name = getattr(compress, "__module__", "plain")
    data = compress(busybox.archive(tags=["box:1"], Labels={"packed": name}))
    pieces = [data[start : start + 65536] for start in range(0, len(data), 65536)]
    assert list(world.loader.load(world.bob, pieces)) == [{"stream": "Loaded image: box:1\n"}]
    seen = world.images.inspect(world.bob, "box:1")
    assert seen["Id"] == busybox.image_id(Labels={"packed": name})


def test_what_docker_saves_can_be_loaded(world: World, engine: machine.Engine, tmp_path: Path) -> None:
    """Two images that share a layer, which this engine writes as a link."""
    status, _ = engine.call("POST", "/images/load?quiet=1", busybox.archive(tags=["saved:1"], Labels={"saved": "1"}))
    assert status == 200
    status, _ = engine.call("POST", "/images/load?quiet=1", busybox.archive(tags=["saved:2"], Labels={"saved": "2"}))
    assert status == 200
    status, data = engine.call("GET", "/images/get?names=saved:1&names=saved:2")
    assert status == 200
    (tmp_path / "saved.tar").write_bytes(data)
    with tarfile.open(tmp_path / "saved.tar") as archive:
        assert any(member.issym() for member in archive)
    # An engine writes the images of an archive in any order.
    loaded = sorted(message["stream"] for message in world.loader.load(world.alice, [data]))
    assert loaded == ["Loaded image: saved:1\n", "Loaded image: saved:2\n"]
    assert world.images.inspect(world.alice, "saved:2")["Config"]["Labels"] == {"saved": "2"}
    listed = json.loads(json.dumps(world.images.list(world.alice, everything=False, filters={})))
    assert sorted(image["RepoTags"][0] for image in listed) == ["saved:1", "saved:2"]


def test_a_load_gives_the_engine_no_name(world: World, engine: machine.Engine) -> None:
    list(world.loader.load(world.alice, [busybox.archive(tags=["nameless:1"], Labels={"n": "1"})]))
    assert engine.call("GET", "/images/nameless:1/json")[0] == 404
    assert engine.call("GET", f"/images/{busybox.image_id(Labels={'n': '1'})}/json")[0] == 200


def test_a_refused_archive_leaves_nothing_on_the_engine(world: World, engine: machine.Engine) -> None:
    broken = busybox.archive(tags=["Bad:1"], Labels={"broken": "1"})
    with pytest.raises(InvalidParameter):
        world.loader.load(world.alice, [broken[start : start + 65536] for start in range(0, len(broken), 65536)])
    assert engine.call("GET", f"/images/{busybox.image_id(Labels={'broken': '1'})}/json")[0] == 404


def test_the_real_cli_reads_our_archives(engine: machine.Engine, tmp_path: Path) -> None:
    """The helper module's archive is one that docker takes as it is."""
    path = tmp_path / "box.tar"
    path.write_bytes(busybox.archive(tags=["plainbox:1"]))
    done = subprocess.run(
        ["docker", "-H", engine.url, "load", "-i", str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    assert "Loaded image: plainbox:1" in done.stdout
    # Other tests mean the same image, which has no name.
    assert engine.call("DELETE", "/images/plainbox:1")[0] == 200
