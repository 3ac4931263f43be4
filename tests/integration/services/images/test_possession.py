"""No account gets the content of another one, by whatever name."""

from __future__ import annotations

import gzip
import hashlib
import json

import pytest

from app.errors import InvalidParameter, NotFound
from app.store import images
from tests import busybox
from tests.fakes.registry import digest_of
from tests.integration.services.images.conftest import HUB, World, config

# -- possession ----------------------------------------------------------------------------------------------------


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


def test_a_layer_that_another_account_begins_to_pull_meanwhile(world: World) -> None:
    """bob's registry lets the engine wait until somebody else pulls the layer."""
    world.engine.publish("reg.lan/alice/secret", "1", config(), [SECRET])
    layer = gzip.compress(SECRET, mtime=0)
    mine = json.dumps({"os": "linux", "rootfs": {"diff_ids": [digest_of(SECRET)]}, "config": {"Cmd": ["cat"]}}).encode()
    evil = "8.8.8.8:5000/bob/evil"
    world.engine.remote.put(evil, "1", mine, [layer])
    bobs = world.puller.pull(world.bob, evil, "1", auth={})
    told = [next(bobs) for _ in range(2)]
    assert told[-1]["status"] == "Pulling fs layer"
    assert world.pull(world.alice, "reg.lan/alice/secret", "1")[-1]["status"].startswith("Status: Downloaded")
    world.engine.remote.blobs[evil, digest_of(layer)] = bytes(len(layer))  # What it claims to have it has not.
    assert "verification failed" in [*told, *bobs][-1]["error"]
    assert world.names(world.bob) == {}


# -- two accounts --------------------------------------------------------------------------------------------------


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
