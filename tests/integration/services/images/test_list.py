"""docker images and its filters."""

from __future__ import annotations

import json

import pytest

from app.errors import InvalidParameter
from app.store import images, nodes
from tests.integration.services.images.conftest import HUB, World, config


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
