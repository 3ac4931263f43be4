"""Images of two accounts on one node, with a real database, a fake engine and a fake registry."""

from __future__ import annotations

import base64
import concurrent.futures
import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.domain.account import Account
from app.domain.node import Node
from app.errors import (
    Error,
    Forbidden,
    Internal,
    InvalidParameter,
    NotFound,
    NotImplemented,
    TooLarge,
    Unauthorized,
    Unavailable,
)
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
from tests import busybox
from tests.fakes.engine import FakeEngine, FakeFleet
from tests.fakes.registry import FakeRegistries, digest_of

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


# -- pull ------------------------------------------------------------------------------------------------------------


def test_pull_and_what_it_leaves(world: World) -> None:
    image_id, digest = world.engine.publish(HUB, "latest", config(config={"Labels": {"a": "b"}}))
    messages = world.pull(world.alice, "tool")
    assert messages[0] == {"status": "Pulling from library/tool", "id": "latest"}
    assert {"status": "Downloading", "progressDetail": {"current": 500, "total": 1000}}.items() <= messages[2].items()
    assert messages[-2:] == [
        {"status": f"Digest: {digest}"},
        {"status": "Status: Downloaded newer image for tool:latest"},
    ]
    seen = world.images.inspect(world.alice, "tool")
    assert (seen["Id"], seen["RepoTags"], seen["RepoDigests"]) == (image_id, ["tool:latest"], [f"tool@{digest}"])
    assert seen["GraphDriver"] == {"Name": "sdc", "Data": None}
    assert seen["Config"]["Labels"] == {"a": "b"}
    assert seen["Metadata"]["LastTagTime"] > "2024"
    assert "VirtualSize" not in seen
    assert "/var/lib/docker" not in json.dumps(seen)
    assert all(
        image.inspect.keys().isdisjoint({"RepoTags", "RepoDigests", "Metadata"}) for image in world.rows(world.alice)
    )
    # The engine is asked for what we have looked at, and keeps it under our name alone.
    assert world.engine.called("pull_image")[0].args == (HUB, digest)
    assert world.kept() == {image_id} and world.pending() == 0
    assert world.told(world.alice) == [("pull", "tool:latest")]


def test_up_to_date_is_the_accounts_own_view(world: World) -> None:
    """The node has everything after the first pull; what each account is told is about itself."""
    world.engine.publish(HUB, "latest", config())
    newer = {"status": "Status: Downloaded newer image for tool:latest"}
    assert world.pull(world.alice, "tool")[-1] == newer
    assert world.pull(world.bob, "tool")[-1] == newer
    assert world.pull(world.bob, "tool")[-1] == {"status": "Status: Image is up to date for tool:latest"}
    world.engine.publish(HUB, "latest", config(author="x"))
    assert world.pull(world.bob, "tool")[-1] == newer


def test_the_last_line_is_true_when_it_is_read(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    for message in world.puller.pull(world.alice, "tool", "latest", auth={}):
        if message["status"].startswith("Status: "):
            assert world.images.inspect(world.alice, "tool")["RepoTags"] == ["tool:latest"]
            return
        if not message["status"].startswith("Digest: "):
            with pytest.raises(NotFound):
                world.images.inspect(world.alice, "tool")
    raise AssertionError("no Status line")


def test_pull_by_digest(world: World) -> None:
    image_id, digest = world.engine.publish(HUB, "latest", config())
    messages = world.pull(world.alice, "tool", digest)
    assert messages[0] == {"status": "Pulling from library/tool", "id": f"{HUB}@{digest}"}
    assert messages[-1]["status"].endswith(f"for tool@{digest}")
    assert world.names(world.alice) == {image_id: []}
    assert world.images.inspect(world.alice, f"tool@{digest}")["Id"] == image_id
    assert world.pull(world.bob, f"tool@{digest}", "")[-1]["status"].endswith(f"for tool@{digest}")
    assert world.images.inspect(world.bob, digest.replace("sha256:", "tool@sha256:"))["Id"] == image_id


def test_a_tag_moves(world: World) -> None:
    old, _ = world.engine.publish(HUB, "latest", config())
    world.pull(world.alice, "tool")
    new, _ = world.engine.publish(HUB, "latest", config(author="x"))
    world.pull(world.alice, "tool")
    assert world.names(world.alice) == {new: ["tool:latest"], old: []}


def test_all_tags(world: World) -> None:
    first, _ = world.engine.publish("reg.lan/a/b", "1", config())
    second, _ = world.engine.publish("reg.lan/a/b", "2", config(author="x"))
    messages = world.pull(world.alice, "reg.lan/a/b", "")
    assert [m["id"] for m in messages if m["status"].startswith("Pulling from")] == ["1", "2"]
    assert messages[-1] == {"status": "Status: Downloaded newer image for reg.lan/a/b"}
    assert world.names(world.alice) == {first: ["reg.lan/a/b:1"], second: ["reg.lan/a/b:2"]}


def test_an_index_and_its_platforms(world: World) -> None:
    arm, arm_digest = world.engine.publish("reg.lan/a/b", "arm", config(architecture="arm64"))
    amd, amd_digest = world.engine.publish("reg.lan/a/b", "amd", config())
    digest = world.engine.remote.index("reg.lan/a/b", "1", {"linux/arm64": arm_digest, "linux/amd64": amd_digest})
    assert {"status": f"Digest: {digest}"} in world.pull(world.alice, "reg.lan/a/b", "1")
    assert world.images.inspect(world.alice, "reg.lan/a/b:1")["Id"] == amd
    world.pull(world.alice, "reg.lan/a/b", "1", platform="linux/arm64")
    assert world.images.inspect(world.alice, f"reg.lan/a/b@{digest}")["Id"] == arm
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        world.pull(world.alice, "reg.lan/a/b", "1", platform="linux/s390x")


def test_credentials_are_the_callers_own(world: World) -> None:
    world.engine.publish("reg.lan/a/b", "1", config())
    world.engine.remote.private["reg.lan/a/b"] = ("alice", "pw")
    world.pull(world.alice, "reg.lan/a/b", "1", auth={"username": "alice", "password": "pw"})
    sent = world.engine.called("pull_image")[0].kwargs["auth"]
    assert json.loads(base64.urlsafe_b64decode(sent)) == {"username": "alice", "password": "pw"}
    for auth in ({}, {"username": "alice", "password": "guess"}):
        with pytest.raises(Internal, match="unauthorized: authentication required"):
            world.pull(world.bob, "reg.lan/a/b", "1", auth=auth)
    assert world.names(world.bob) == {}


def test_refusals_before_the_first_byte_are_kinds(world: World) -> None:
    with pytest.raises(NotFound, match="manifest for none:latest not found: manifest unknown: manifest unknown"):
        world.pull(world.alice, "none", "latest")
    world.engine.publish(HUB, "latest", config())
    with pytest.raises(NotFound, match="manifest for tool:none not found"):
        world.pull(world.alice, "tool", "none")
    with pytest.raises(NotFound, match="repository none not found: name unknown"):
        world.pull(world.alice, "none", "")
    for name in ("A", "", "tool@sha256:12"):
        with pytest.raises(InvalidParameter, match="invalid reference format"):
            world.pull(world.alice, name, "x")
    for tag in ("-", "sha256:12"):
        with pytest.raises(InvalidParameter, match="invalid tag format"):
            world.pull(world.alice, "tool", tag)
    assert world.names(world.alice) == {}
    assert world.engine.called("pull_image") == []


def test_addresses_of_the_node_are_not_told(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    words = (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.255.255.53:53: '
        "dial udp 10.255.255.53:53: connect: network is unreachable"
    )
    world.engine.fail("pull_image", Internal(words))
    assert world.pull(world.alice, "tool")[-1]["error"] == (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: connect: network is unreachable'
    )
    world.engine.fail("pull_image", Internal("read tcp 172.16.0.2:33242->1.2.3.4:443: i/o timeout"))
    assert world.pull(world.alice, "tool")[-1]["error"] == "read tcp 1.2.3.4:443: i/o timeout"


@pytest.mark.parametrize(
    "error", [Unavailable("the connection to the node was lost"), Internal("lookup x on 10.0.0.1:53: no such host")]
)
def test_an_error_after_the_first_byte_is_a_message(world: World, error: Error) -> None:
    world.engine.publish(HUB, "latest", config())
    world.engine.fail("pulling", error)
    messages = world.pull(world.alice, "tool")
    words = error.message.replace(" on 10.0.0.1:53", "")
    assert messages[-1] == {"errorDetail": {"message": words}, "error": words}
    assert world.names(world.alice) == {}


def test_closing_early_ends_the_engines_pull(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    pull = world.puller.pull(world.alice, "tool", "latest", auth={})
    pull.close()
    assert world.pending() == 0
    pull = world.puller.pull(world.alice, "tool", "latest", auth={})
    for _ in range(3):
        next(pull)
    body = world.engine.bodies[-1]
    assert not body.closed.is_set()
    pull.close()
    assert body.closed.is_set()
    assert world.names(world.alice) == {}
    # The engine may have come to an end all the same: an observer looks.
    assert world.pending() == 1
    world.recovery.run()
    assert world.pending() == 0


@pytest.mark.parametrize(
    "host",
    [
        "localhost:5000",
        "127.0.0.1",
        "127.1:5000",
        "10.1.2.3",
        "10.1.2.3:5001",
        "192.168.0.1:80",
        "169.254.169.254",
        "100.64.0.1:5000",
        "0.0.0.0:5000",
        "224.0.0.1",
        "[::1]:5000",
        "[fe80::1]:5000",
        "[fd00::1]",
        "[::ffff:127.0.0.1]:5000",
        "[64:ff9b::a00:1]:5000",
        "[2002:7f00:1::]:5000",
        "name.invalid",
        "own.lan:5000",
    ],
)
def test_registries_at_inner_addresses(world: World, host: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: world.pull(world.alice, f"{host}/tool", "latest"),
        lambda: world.push(world.alice, f"{host}/tool", "latest"),
        lambda: world.queries.distribution(world.alice, f"{host}/tool:latest", {}),
        lambda: world.queries.search(f"{host}/tool", limit=None, filters={}, auth={}),
        lambda: world.queries.login({"serveraddress": f"http://{host}/v1/"}),
    ]
    for call in calls:
        with pytest.raises((Forbidden, InvalidParameter)) as raised:
            call()
        assert isinstance(raised.value, Forbidden) or "." in host.partition("[")[2]
    assert world.engine.calls == []


@pytest.mark.parametrize("host", ["10.1.2.3:5000", "reg.lan", "reg.lan:5000", "8.8.8.8:5000"])
def test_registries_that_may_be_asked(world: World, host: str) -> None:
    with pytest.raises(NotFound, match=f"manifest for {host}/tool:latest not found"):
        world.pull(world.alice, f"{host}/tool", "latest")


def test_no_node(world: World) -> None:
    with world.store.begin() as tx:
        for node in nodes.list_all(tx):
            nodes.set_state(tx, node.id, "down")
    with pytest.raises(Unavailable, match="No compute resources available"):
        world.pull(world.alice, "tool", "latest")
    with pytest.raises(Unavailable, match="No compute resources available"):
        world.load(world.alice, busybox.archive())


# -- possession ------------------------------------------------------------------------------------------------------

SECRET = b"what alice has" * 10_000


def assert_nothing_gained(world: World, messages: list[dict]) -> None:
    assert "error" in messages[-1], messages
    assert world.names(world.bob) == {}
    with world.store.begin() as tx:
        assert images.layers_had(tx, world.bob.id, [digest_of(SECRET)]) == set()
    assert world.pending() == 0


@pytest.fixture
def secret(world: World) -> tuple[bytes, bytes]:
    """alice's private image on the node: (its configuration, its layer as registries have it)."""
    image_id, _ = world.engine.publish("reg.lan/alice/secret", "1", config(), [SECRET])
    world.engine.remote.private["reg.lan/alice/secret"] = ("alice", "pw")
    world.pull(world.alice, "reg.lan/alice/secret", "1", auth={"username": "alice", "password": "pw"})
    return world.engine.remote.blobs["reg.lan/alice/secret", image_id], gzip.compress(SECRET, mtime=0)


def test_a_manifest_that_names_anothers_image(world: World, secret: tuple[bytes, bytes]) -> None:
    """bob's registry names the id, and has neither the configuration nor the layer."""
    raw, layer = secret
    evil = "8.8.8.8:5000/bob/evil"
    world.engine.remote.put(evil, "1", raw, [layer])
    del world.engine.remote.blobs[evil, digest_of(raw)]
    assert_nothing_gained(world, world.pull(world.bob, evil, "1"))


def test_the_configuration_alone_is_not_the_image(world: World, secret: tuple[bytes, bytes]) -> None:
    raw, layer = secret
    evil = "8.8.8.8:5000/bob/evil"
    world.engine.remote.put(evil, "1", raw, [layer], missing=True)
    assert_nothing_gained(world, world.pull(world.bob, evil, "1"))


def test_the_configuration_with_other_layers(world: World, secret: tuple[bytes, bytes]) -> None:
    """The layers are all there, but are not those that the configuration names."""
    raw, _ = secret
    evil = "8.8.8.8:5000/bob/evil"
    for layers in ([gzip.compress(b"junk")], [b"junk"], []):
        world.engine.remote.put(evil, "1", raw, layers)
        assert_nothing_gained(world, world.pull(world.bob, evil, "1"))


def test_an_image_of_bobs_over_alices_layer(world: World, secret: tuple[bytes, bytes]) -> None:
    """An image that the engine does not have, of a layer that it has: it says that it exists already."""
    _, layer = secret
    mine = json.dumps({"os": "linux", "rootfs": {"diff_ids": [digest_of(SECRET)]}, "config": {"Cmd": ["cat"]}}).encode()
    evil = "8.8.8.8:5000/bob/evil"
    world.engine.remote.put(evil, "1", mine, [layer], missing=True)
    assert_nothing_gained(world, world.pull(world.bob, evil, "1"))
    assert len(world.engine.called("pull_image")) == 2
    # What has come to the engine is nobody's, and goes.
    world.content.drop_unreferenced(world.node)
    assert digest_of(mine) not in world.engine.images


def test_a_blob_that_is_not_what_it_is_called(world: World, secret: tuple[bytes, bytes]) -> None:
    raw, layer = secret
    evil = "8.8.8.8:5000/bob/evil"
    world.engine.remote.put(evil, "1", raw, [layer])
    for wrong in (bytes(len(layer)), layer[:-1], layer + b"x", b""):
        world.engine.remote.blobs[evil, digest_of(layer)] = wrong
        assert_nothing_gained(world, world.pull(world.bob, evil, "1"))


def test_what_one_has_oneself_is_given(world: World, secret: tuple[bytes, bytes]) -> None:
    """bob has every byte: then it is his, and he is not asked for it a second time."""
    raw, layer = secret
    repository = "8.8.8.8:5000/bob/copy"
    world.engine.remote.put(repository, "1", raw, [layer])
    messages = world.pull(world.bob, repository, "1")
    assert messages[-1]["status"].startswith("Status: Downloaded newer image")
    assert [m for m in messages if m["status"] == "Downloading"] and "Already exists" not in str(messages)
    assert world.names(world.bob) == {digest_of(raw): [f"{repository}:1"]}
    assert world.engine.remote.fetched == [(repository, digest_of(layer))]
    for other in ("8.8.8.8:5000/bob/again", repository):
        world.engine.remote.put(other, "2", raw + b" ", [layer])
        world.pull(world.bob, other, "2")
    assert len(world.engine.remote.fetched) == 1


def test_a_layer_that_another_account_is_just_pulling(world: World) -> None:
    """Both pulls share one transfer: that it came does not say that bob's registry has it."""
    world.engine.publish("reg.lan/alice/secret", "1", config(), [SECRET])
    layer = gzip.compress(SECRET, mtime=0)
    mine = json.dumps({"os": "linux", "rootfs": {"diff_ids": [digest_of(SECRET)]}, "config": {"Cmd": ["cat"]}}).encode()
    evil = "8.8.8.8:5000/bob/evil"
    world.engine.remote.put(evil, "1", mine, [layer])
    alices = world.puller.pull(world.alice, "reg.lan/alice/secret", "1", auth={})
    for _ in range(3):
        next(alices)
    bobs = world.puller.pull(world.bob, evil, "1", auth={})
    told = [next(bobs) for _ in range(2)]
    del world.engine.remote.blobs[evil, digest_of(layer)]
    world.engine.remote.blobs[evil, digest_of(layer)] = bytes(len(layer))  # What it claims to have it has not.
    assert "verification failed" in [*told, *bobs][-1]["error"]
    assert world.names(world.bob) == {}
    assert list(alices)[-1]["status"].startswith("Status: Downloaded newer image")


# -- load ------------------------------------------------------------------------------------------------------------


def test_load(world: World) -> None:
    data = gzip.compress(busybox.archive(tags=["busybox:latest", "reg.example.com/b:1"]))
    assert world.load(world.alice, data) == [
        {"stream": "Loaded image: busybox:latest\n"},
        {"stream": "Loaded image: reg.example.com/b:1\n"},
    ]
    seen = world.images.inspect(world.alice, "busybox")
    assert seen["Id"] == busybox.image_id()
    assert seen["RepoTags"] == ["busybox:latest", "reg.example.com/b:1"]
    assert seen["Created"] == "2024-05-06T07:08:09.123456789Z"
    assert world.kept() == {busybox.image_id()}  # The engine has the content, and no name of alice's for it.
    assert world.told(world.alice) == [("load", busybox.image_id())] and world.pending() == 0


def test_progress_of_a_load_does_not_tell_what_others_have(world: World) -> None:
    world.load(world.alice, busybox.archive())
    layer = busybox.config()["rootfs"]["diff_ids"][0].removeprefix("sha256:")[:12]
    line = {"status": "Loading layer", "progressDetail": {}, "id": layer}
    for account, expected in ((world.bob, True), (world.bob, False), (world.alice, False)):
        assert (line in list(world.loader.load(account, [busybox.archive()], quiet=False))) == expected


def test_load_without_names(world: World) -> None:
    told = world.load(world.alice, busybox.archive(tags=[]))
    assert told == [{"stream": f"Loaded image ID: {busybox.image_id()}\n"}]
    assert world.names(world.alice) == {busybox.image_id(): []}


def test_a_load_takes_a_name_over(world: World) -> None:
    world.load(world.alice, busybox.archive())
    told = world.load(world.alice, busybox.archive(Labels={"a": "b"}))
    assert told == [
        {
            "stream": f"The image busybox:latest already exists, renaming the old one with ID {busybox.image_id()} "
            "to empty string\n"
        },
        {"stream": "Loaded image: busybox:latest\n"},
    ]
    assert world.names(world.alice) == {busybox.image_id(): [], busybox.image_id(Labels={"a": "b"}): ["busybox:latest"]}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", InvalidParameter),
        (b"nonsense" * 1000, InvalidParameter),
        (busybox.archive()[:-20_000], InvalidParameter),
        (busybox.archive(tags=["Bad"]), InvalidParameter),
        (busybox.archive(tags=["a@sha256:" + "0" * 64]), InvalidParameter),
        (busybox.archive(Labels={"a": "\0"}), InvalidParameter),
        (gzip.compress(bytes(32 << 20)), TooLarge),
    ],
    ids=["empty", "nonsense", "cut", "tag", "digest", "nul", "bomb"],
)
def test_a_bad_archive_leaves_nothing(world: World, data: bytes, kind: type[Error]) -> None:
    with pytest.raises(kind):
        world.load(world.alice, data)
    assert world.rows(world.alice) == []


def test_an_engine_that_refuses_an_archive(world: World) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def messages(self) -> list[dict]:
            return [{"error": "write /var/lib/docker/tmp/x: no space left on device", "errorDetail": {}}]

    world.engine.load_images = lambda chunks, quiet: b"".join(chunks) and Full()  # type: ignore
    assert world.load(world.alice, busybox.archive())[-1]["error"] == "write (path): no space left on device"
    assert world.pending() == 0
    assert world.rows(world.alice) == []


# -- two accounts ----------------------------------------------------------------------------------------------------


def test_the_same_name_means_two_images(world: World) -> None:
    world.load(world.alice, busybox.archive(Labels={"of": "alice"}))
    world.load(world.bob, busybox.archive(Labels={"of": "bob"}))
    for account in (world.alice, world.bob):
        assert world.images.inspect(account, "busybox")["Config"]["Labels"] == {"of": account.login}
        assert len(world.names(account)) == 1


def test_another_accounts_image_is_not_there(world: World) -> None:
    image_id, digest = world.engine.publish(HUB, "latest", config())
    world.pull(world.alice, "tool")
    words = {}
    for name in ("tool", "tool:latest", f"tool@{digest}", image_id, image_id[7:], image_id[7:19], image_id[:19]):
        assert world.images.inspect(world.alice, name)["Id"] == image_id
        with pytest.raises(NotFound) as raised:
            world.images.inspect(world.bob, name)
        words[name] = raised.value.message
    assert words["tool"] == "No such image: tool:latest"
    assert words[image_id] == f"No such image: {image_id}"
    assert world.images.list(world.bob, everything=True, filters={}) == []
    for key in ("before", "since"):
        with pytest.raises(NotFound):
            world.images.list(world.bob, everything=False, filters={key: ["tool"]})


def test_layers_of_another_account_cannot_be_claimed(world: World) -> None:
    """The engine would take the layers that it has by the digests alone."""
    world.load(world.alice, busybox.archive())
    diff_ids = world.images.inspect(world.alice, "busybox")["RootFS"]["Layers"]
    stolen = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, "config": {}}).encode()
    name = hashlib.sha256(stolen).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": ["mine:1"], "Layers": ["empty.tar"]}]
    archive = busybox.files({"empty.tar": bytes(1024), name: stolen, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(InvalidParameter, match="invalid diffID for layer 0"):
        world.load(world.bob, archive)
    assert world.rows(world.bob) == []


# -- list ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(world: World) -> World:
    """alice has: old (no name), mid (a digest alone), new (two tags)."""
    old, _ = world.engine.publish(HUB, "latest", config(created="2020-01-01T00:00:00Z"))
    world.pull(world.alice, "tool")
    _, digest = world.engine.publish("reg.lan/x/mid", "v1", config(created="2021-01-01T00:00:00Z"))
    world.pull(world.alice, "reg.lan/x/mid", digest)
    with world.store.begin() as tx:  # Untag.
        tx.exec_driver_sql("DELETE FROM image_names WHERE image_id = %s", (old,))
    new = config(created="2022-01-01T00:00:00.5Z", config={"Labels": {"stage": "prod", "empty": ""}})
    for tag in ("1.0", "latest"):
        world.engine.publish("docker.io/library/newtool", tag, new)
        world.pull(world.alice, "newtool", tag)
    return world


def listed(world: World, everything: bool = False, **filters: list[str]) -> list[str]:
    found = world.images.list(world.alice, everything=everything, filters=filters)
    return [image["RepoTags"][0] if image["RepoTags"] else str(image["Created"])[:4] for image in found]


NEW, MID, OLD = "newtool:1.0", "1609", "1577"


def test_list_shape(shelf: World) -> None:
    found = shelf.images.list(shelf.alice, everything=False, filters={})
    first = found[0]
    assert first == {
        "Containers": -1,
        "Created": 1640995200,
        "Id": first["Id"],
        "Labels": {"stage": "prod", "empty": ""},
        "ParentId": "",
        "RepoDigests": [first["RepoDigests"][0]],
        "RepoTags": ["newtool:1.0", "newtool:latest"],
        "SharedSize": -1,
        "Size": 1000,
    }
    assert [image["Created"] for image in found] == sorted((image["Created"] for image in found), reverse=True)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [NEW, MID, OLD]),
        ({"dangling": ["true"]}, [MID, OLD]),
        ({"dangling": ["false"]}, [NEW, MID]),
        ({"label": ["stage"]}, [NEW]),
        ({"label": ["stage=prod", "empty="]}, [NEW]),
        ({"label": ["stage=test"]}, []),
        ({"label": ["stage=prod", "other"]}, []),
        ({"before": ["newtool"]}, [MID, OLD]),
        ({"since": ["newtool"]}, []),
        ({"reference": ["newtool"]}, [NEW]),
        ({"reference": ["*tool:1.*"]}, [NEW]),
        ({"reference": ["new[a-t]ool:[^2-9].?"]}, [NEW]),
        ({"reference": ["*"]}, [NEW]),
        ({"reference": ["*/*/mid"]}, [MID]),
        ({"reference": ["nothing", "newtool:latest"]}, ["newtool:latest"]),
        ({"reference": ["new\\tool"]}, [NEW]),
        ({"reference": ["new.ool"]}, []),
    ],
)
def test_filters(shelf: World, filters: dict[str, list[str]], expected: list[str]) -> None:
    assert listed(shelf, False, **filters) == expected


def test_before_and_since_take_ids(shelf: World) -> None:
    old = shelf.rows(shelf.alice)[-1].id
    assert listed(shelf, since=[old]) == [NEW, MID]
    assert listed(shelf, since=[old[7:19]], before=["newtool:1.0"]) == [MID]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"nonsense": ["x"]}, "^Invalid filter 'nonsense'$"),
        ({"dangling": ["maybe"]}, r"^Invalid filter 'dangling=\[maybe\]'$"),
        ({"dangling": ["true", "false"]}, "Invalid filter 'dangling="),
        ({"reference": ["["]}, "^syntax error in pattern$"),
        ({"reference": ["[]a]"]}, "^syntax error in pattern$"),
        ({"reference": ["a\\"]}, "^syntax error in pattern$"),
        ({"reference": ["[b-a]"]}, "^syntax error in pattern$"),
    ],
)
def test_bad_filters(world: World, filters: dict[str, list[str]], words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        world.images.list(world.alice, everything=False, filters=filters)


def test_intermediate_images_are_shown_on_demand(world: World) -> None:
    parent = world.engine.add_image(config(author="base", rootfs={"diff_ids": []}))
    child = world.engine.publish(HUB, "latest", config())[0]
    world.pull(world.alice, "tool")
    with world.store.begin() as tx:
        tx.exec_driver_sql(
            "UPDATE images SET inspect = inspect || %s WHERE id = %s", (json.dumps({"Parent": parent}), child)
        )
    with world.store.begin() as tx:
        node = nodes.list_all(tx)[0]
        images.put(
            tx, parent, world.engine.images[parent] | {"Created": "2019-01-01T00:00:00Z"}, node.id, world.alice.id
        )
    assert listed(world) == ["tool:latest"]
    assert listed(world, everything=True) == ["tool:latest", "1546"]


# -- tag, rmi, prune -------------------------------------------------------------------------------------------------


def removed(world: World, name: str, account: Account | None = None, **how: bool) -> list[dict]:
    return world.remover.remove(account or world.alice, name, **({"force": False, "prune": True} | how))


def test_tag(world: World) -> None:
    world.load(world.alice, busybox.archive())
    image_id = busybox.image_id()
    world.images.tag(world.alice, "busybox", "reg.lan/a/b", "1")
    world.images.tag(world.alice, image_id[7:19], "other:x", "")
    world.images.tag(world.alice, image_id, "other:x", "y")
    assert world.names(world.alice)[image_id] == ["busybox:latest", "other:x", "other:y", "reg.lan/a/b:1"]
    assert world.told(world.alice)[-1] == ("tag", image_id)
    for repository, tag, words in (
        ("A", "", "must be lowercase"),
        ("", "x", "invalid reference format"),
        ("a", "b c", "invalid tag format"),
        (f"a@{image_id}", "", "refusing to create a tag with a digest reference"),
        (image_id[7:], "", "cannot specify 64-byte hexadecimal strings"),
    ):
        with pytest.raises(InvalidParameter, match=words):
            world.images.tag(world.alice, "busybox", repository, tag)
    with pytest.raises(NotFound, match="No such image: busybox:latest"):
        world.images.tag(world.bob, "busybox", "mine", "")


def test_remove_and_what_the_node_then_drops(world: World) -> None:
    for account in (world.alice, world.bob):
        world.load(account, busybox.archive())
    image_id, layer = busybox.image_id(), busybox.config()["rootfs"]["diff_ids"][0]
    assert removed(world, "busybox") == [
        {"Untagged": "busybox:latest"},
        {"Deleted": image_id},
        {"Deleted": layer},
    ]
    assert world.names(world.alice) == {}
    assert world.told(world.alice)[-2:] == [("untag", image_id), ("delete", image_id)]
    world.content.drop_unreferenced(world.node)
    assert world.kept() == {image_id}  # bob has it.
    removed(world, image_id, world.bob)
    world.content.drop_unreferenced(world.node)
    assert world.kept() == set() and world.engine.images == {}
    with world.store.begin() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM images").scalar_one() == 0
    for name in ("busybox", image_id, "nosuch:x"):
        with pytest.raises(NotFound, match="No such image"):
            removed(world, name)


def test_a_drop_that_was_interrupted(world: World) -> None:
    world.load(world.alice, busybox.archive())
    removed(world, "busybox")
    world.engine.fail("remove_image", Unavailable("away"))
    with pytest.raises(Unavailable):
        world.content.drop_unreferenced(world.node)
    # Until it is gone nobody may bring it back.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        again = pool.submit(world.load, world.alice, busybox.archive())
        time.sleep(0.3)
        assert not again.done()
        world.content.drop_unreferenced(world.node)
        assert again.result(20)[-1] == {"stream": "Loaded image: busybox:latest\n"}
    assert world.kept() == {busybox.image_id()} == set(world.engine.images)


def test_an_engine_that_does_not_let_go(world: World) -> None:
    """An operator has named it too: it stays there, and is nothing of ours any more."""
    world.load(world.alice, busybox.archive())
    world.engine.tag_image(busybox.image_id(), "operators", "own")
    removed(world, "busybox")
    world.content.drop_unreferenced(world.node)
    assert world.engine.names == {"operators:own": busybox.image_id()}
    with world.store.begin() as tx:
        assert images.unreferenced(tx, world.node.id, 10) == []


def test_prune(world: World) -> None:
    world.load(world.alice, busybox.archive())
    world.load(world.alice, busybox.archive(tags=[], Labels={"stage": "test"}))
    world.load(world.bob, busybox.archive(tags=[]))
    dangling = busybox.image_id(Labels={"stage": "test"})
    assert world.remover.prune(world.alice, {"label": ["stage=prod"]}) == {"ImagesDeleted": None, "SpaceReclaimed": 0}
    assert world.remover.prune(world.alice, {"label!": ["stage"]})["ImagesDeleted"] is None
    assert world.remover.prune(world.alice, {"until": ["2020-01-01"]})["ImagesDeleted"] is None
    done = world.remover.prune(world.alice, {})
    assert done == {"ImagesDeleted": [{"Deleted": dangling}], "SpaceReclaimed": 0}  # Its layer is busybox's too.
    done = world.remover.prune(world.alice, {"dangling": ["false"]})
    assert [record for record in done["ImagesDeleted"] if "Untagged" in record] == [{"Untagged": "busybox:latest"}]
    assert done["SpaceReclaimed"] == len(busybox.layer())
    assert len(world.rows(world.bob)) == 1 and world.rows(world.alice) == []
    assert world.told(world.alice)[-1] == ("prune", "")
    for filters in ({"nonsense": ["x"]}, {"dangling": ["maybe"]}, {"until": ["a"]}, {"until": ["1h", "2h"]}):
        with pytest.raises(InvalidParameter):
            world.remover.prune(world.alice, filters)


def test_history_and_shared_sizes(world: World) -> None:
    world.load(world.alice, busybox.archive())
    world.load(world.alice, busybox.archive(tags=["two:1"], Labels={"a": "b"}))
    steps = world.images.history(world.alice, "busybox")
    assert steps[0]["Id"] == busybox.image_id() and steps[0]["Tags"] == ["busybox:latest"]
    assert steps[1]["Id"] == "<missing>" and steps[1]["Tags"] is None
    with pytest.raises(NotFound):
        world.images.history(world.bob, "busybox")
    listed = world.images.list(world.alice, everything=False, filters={}, shared_size=True)
    assert [image["SharedSize"] for image in listed] == [len(busybox.layer())] * 2


# -- save, import, push ----------------------------------------------------------------------------------------------


def saved(world: World, account: Account, *names: str) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(world.saver.save(account, names)))) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]


def test_save_and_load_again(world: World) -> None:
    world.load(world.alice, busybox.archive(tags=["one:1", "one:2", "reg.lan/two:1"]))
    image_id = busybox.image_id()
    expected = {"one:1": ["one:1"], "one": ["one:1", "one:2"], image_id: None, image_id[7:19]: None}
    for name, tags in expected.items():
        files = saved(world, world.alice, name)
        [entry] = json.loads(files["manifest.json"])
        assert entry["RepoTags"] == tags
        assert files[entry["Config"]] and files[entry["Layers"][0]] == busybox.layer()
        assert ("repositories" in files) == bool(tags)
    whole = b"".join(world.saver.save(world.alice, ["one:1", "reg.lan/two:1"]))
    assert [m["stream"] for m in world.load(world.bob, whole)] == [
        "Loaded image: one:1\n",
        "Loaded image: reg.lan/two:1\n",
    ]
    assert json.loads(saved(world, world.alice)["manifest.json"]) is None
    for names in (["nosuch"], ["one:1", "nosuch"]):
        with pytest.raises(NotFound, match=r"^No such image: nosuch$"):
            world.saver.save(world.alice, names)
    removed(world, "one:1", world.bob)
    with pytest.raises(NotFound, match=r"^No such image: one:1$"):
        world.saver.save(world.bob, ["one:1"])


def imported(world: World, data: bytes = b"", **how: Any) -> dict:
    wanted = {"repository": "", "tag": "", "message": "", "changes": [], "platform": ""} | how
    return world.loader.import_(world.alice, wanted.pop("source", "-"), [data], **wanted)


def test_import(world: World) -> None:
    data = busybox.files({"a": b"b"})
    image_id = imported(world, gzip.compress(data), repository="imp", message="hello", changes=["CMD sh"])["status"]
    assert world.names(world.alice) == {image_id: ["imp:latest"]}
    assert world.kept() == {image_id} and world.pending() == 0
    assert world.told(world.alice) == [("import", image_id)]
    assert world.engine.called("import_image")[0].kwargs["changes"] == ["CMD sh"]
    for how, kind, words in (
        ({"source": "http://169.254.169.254/"}, NotImplemented, "not available here"),
        ({"repository": "A"}, InvalidParameter, "lowercase"),
        ({"repository": f"a@{image_id}"}, InvalidParameter, "cannot import digest reference"),
        ({"repository": "a", "tag": "b c"}, InvalidParameter, "invalid tag format"),
        ({"changes": ["RUN rm"]}, InvalidParameter, "run is not a valid change command"),
        ({"changes": ["CMD sh\nCOPY / /"]}, InvalidParameter, "copy is not a valid change command"),
    ):
        with pytest.raises(kind, match=words):
            imported(world, data, **how)
    with pytest.raises(TooLarge):
        imported(world, gzip.compress(bytes(32 << 20)))
    assert len(world.rows(world.alice)) == 1 and world.pending() == 0


def test_push(world: World) -> None:
    world.load(world.alice, busybox.archive(tags=["reg.lan/a/b:1", "reg.lan/a/b:2"]))
    messages = world.push(world.alice, "reg.lan/a/b", "1")
    assert messages[0] == {"status": "The push refers to repository [reg.lan/a/b]"}
    assert "somebody" not in str(messages)
    assert messages[-1]["aux"]["Tag"] == "1"
    digest = messages[-1]["aux"]["Digest"]
    assert world.images.inspect(world.alice, f"reg.lan/a/b@{digest}")["Id"] == busybox.image_id()
    assert world.kept() == {busybox.image_id()} and world.pending() == 0
    every = [m["aux"]["Tag"] for m in world.push(world.alice, "reg.lan/a/b", "") if "aux" in m]
    assert every == ["1", "2"]
    assert ("push", "reg.lan/a/b:1") in world.told(world.alice)
    for account, tag in ((world.alice, "none"), (world.bob, "1"), (world.bob, "")):
        last = world.push(account, "reg.lan/a/b", tag)[-1]
        assert last["error"] == "An image does not exist locally with the tag: reg.lan/a/b"


def test_two_accounts_push_to_one_name(world: World) -> None:
    """Each pushes its own image, one after the other; what an operator calls so is called so afterwards."""
    ids = {}
    for account in (world.alice, world.bob):
        world.load(account, busybox.archive(tags=["reg.lan/a/b:1"], Labels={"of": account.login}))
        ids[account.login] = busybox.image_id(Labels={"of": account.login})
    operators = world.engine.add_image({"rootfs": {"diff_ids": []}, "author": "operator"})
    world.engine.tag_image(operators, "reg.lan/a/b", "1")
    hang = world.engine.hang("pushing")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(world.push, world.alice, "reg.lan/a/b", "1")
        assert hang.reached.wait(10)
        second = pool.submit(world.push, world.bob, "reg.lan/a/b", "1")
        time.sleep(0.3)
        assert len(world.engine.called("push_image")) == 1
        hang.release()
        digests = [job.result(20)[-1]["aux"]["Digest"] for job in (first, second)]
    assert digests == [digest_of(image_id.encode()) for image_id in ids.values()]
    assert world.engine.names["reg.lan/a/b:1"] == operators


def test_a_push_that_was_killed_gives_its_name_back(world: World) -> None:
    world.load(world.alice, busybox.archive(tags=["reg.lan/a/b:1"]))
    push = world.pusher.push(world.alice, "reg.lan/a/b", "1", auth={})
    for _ in range(2):
        next(push)
    assert "reg.lan/a/b:1" in world.engine.names
    world.recovery.run()
    assert world.kept() == {busybox.image_id()} and world.pending() == 0
    push.close()


def test_a_pull_that_was_killed_leaves_nothing(world: World) -> None:
    image_id, _ = world.engine.publish(HUB, "latest", config())
    world.engine.fail("tag_image", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        world.pull(world.alice, "tool")
    assert world.names(world.alice) == {}
    world.recovery.run()
    world.content.drop_unreferenced(world.node)
    assert image_id not in world.engine.images and world.engine.names == {} and world.pending() == 0


# -- registries ------------------------------------------------------------------------------------------------------


def test_login_distribution_and_search(world: World) -> None:
    world.engine.remote.login_token = "token"
    auth = {"username": "u", "password": "p", "serveraddress": "https://reg.lan/v1/"}
    assert world.queries.login(auth) == {"IdentityToken": "token", "Status": "Login Succeeded"}
    with pytest.raises(Unauthorized, match="401 Unauthorized"):
        world.queries.login(auth | {"password": "wrong"})
    for address in ("https://BAD host/", "ftp://reg.lan", "https://u@reg.lan/", "reg.lan:port", "a\r\nb"):
        with pytest.raises(InvalidParameter, match="unable to parse server address"):
            world.queries.login(auth | {"serveraddress": address})
    _, digest = world.engine.publish("reg.lan/a/b", "1", config(architecture="arm64"))
    index = world.engine.remote.index("reg.lan/a/b", "all", {"linux/arm64": digest, "linux/amd64": digest})
    found = world.queries.distribution(world.alice, "reg.lan/a/b:1", {})
    assert found["Descriptor"]["digest"] == digest
    assert found["Platforms"] == [{"architecture": "arm64", "os": "linux"}]
    assert len(world.queries.distribution(world.alice, f"reg.lan/a/b@{index}", {})["Platforms"]) == 2
    with pytest.raises(NotFound):
        world.queries.distribution(world.alice, "reg.lan/a/b:none", {})
    [one] = world.queries.search("busybox", limit=5, filters={"stars": ["1"]}, auth={})
    assert one == {
        "star_count": 3,
        "is_official": True,
        "name": "busybox",
        "is_automated": False,
        "description": "found",
    }


def test_the_data_centers_own_registry(world: World) -> None:
    """One name for all accounts, and a repository of its own for each, with the service's password."""
    for account in (world.alice, world.bob):
        world.load(account, busybox.archive(tags=["registry.dc/app:1"], Labels={"of": account.login}))
        messages = world.push(account, "registry.dc/app", "1")
        assert messages[0] == {"status": "The push refers to repository [registry.dc/app]"}
        call = world.engine.called("push_image")[-1]
        assert call.args == (f"own.lan:5000/{account.id.hex}/app", "1")
        assert json.loads(base64.urlsafe_b64decode(call.kwargs["auth"]))["password"] == "secret"
    world.engine.remote.private[f"own.lan:5000/{world.alice.id.hex}/app"] = ("service", "secret")
    image_id, _ = world.engine.publish(f"own.lan:5000/{world.alice.id.hex}/app", "2", config())
    messages = world.pull(world.alice, "registry.dc/app", "2")
    assert messages[-1] == {"status": "Status: Downloaded newer image for registry.dc/app:2"}
    assert world.images.inspect(world.alice, "registry.dc/app:2")["Id"] == image_id
    assert world.alice.id.hex not in str(messages)
    for name in ("registry.dc/app", f"registry.dc/{world.alice.id.hex}/app"):
        with pytest.raises(NotFound) as raised:
            world.pull(world.bob, name, "2")
        assert raised.value.message == f"manifest for {name}:2 not found: manifest unknown: manifest unknown"
    assert world.queries.login({"serveraddress": "registry.dc"})["Status"] == "Login Succeeded"
