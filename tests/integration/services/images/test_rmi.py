"""docker tag, rmi, image prune and history."""

from __future__ import annotations

import concurrent.futures
import time

import pytest

from app.domain.account import Account
from app.errors import InvalidParameter, NotFound, Unavailable
from app.store import images
from tests import busybox
from tests.integration.services.images.conftest import World
from tests.integration.world import wait_for


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
    assert removed(world, "busybox") == [{"Untagged": "busybox:latest"}, {"Deleted": image_id}, {"Deleted": layer}]
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


def test_who_brings_it_again_meanwhile_is_not_stood_in_the_way(world: World) -> None:
    world.load(world.alice, busybox.archive())
    image_id = busybox.image_id()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with world.store.begin() as tx:
            images.lock(tx, image_id)
            removal = pool.submit(removed, world, "busybox")
            wait_for(lambda: waiting(world))
            images.set_name(tx, world.alice.id, "docker.io/library/busybox", "latest", image_id)
        assert {"Deleted": image_id} in removal.result(30)
    assert world.names(world.alice) == {}


def waiting(world: World) -> int:
    with world.store.begin() as tx:
        return tx.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one()


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
        assert again.result(30)[-1] == {"stream": "Loaded image: busybox:latest\n"}
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
