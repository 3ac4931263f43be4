"""What an operator sees of nodes, packages, images and pools, and may do to them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from app.errors import Conflict, InvalidParameter, NotFound
from app.services.inventory import Inventory
from app.services.operator import Operator
from tests.integration.world import World


@pytest.fixture
def operator(world: World) -> Operator:
    return Operator(world.store)


@pytest.fixture
def inventory(world: World) -> Inventory:
    return Inventory(world.store)


def test_a_node(world: World, operator: Operator, inventory: Inventory) -> None:
    world.run(world.alice, "web")
    world.create(world.bob, "db", HostConfig={"Memory": 512 << 20})
    (listed,) = inventory.nodes()
    node, packages = inventory.node("n1")
    assert listed["name"] == node["name"] == "n1"
    assert (node["containers"], node["running"], node["images"], node["pending"]) == (2, 1, 1, 0)
    assert node["used_memory"] == sum(world.used(account)[1] for account in (world.alice, world.bob))
    assert [(p["package"], p["containers"]) for p in packages] == [("t4-standard-1G", 1), ("t4-standard-512M", 1)]
    assert (node["leased"], node["observer_pid"]) == (False, None)
    world.sql(
        "UPDATE nodes SET lease_process_id = %s, lease_until = now() + interval '1 hour'",
        str(world.observer.process.id),
    )
    assert inventory.node("n1")[0]["leased"] and inventory.node("n1")[0]["observer_pid"]
    for name in ("n2", ""):
        with pytest.raises(NotFound, match="there is no node"):
            inventory.node(name)


def test_cordon(world: World, operator: Operator, inventory: Inventory) -> None:
    operator.cordon("n1", True, "new disk")
    node, _ = inventory.node("n1")
    assert (node["cordoned"], node["cordon_reason"]) == (True, "new disk")
    with pytest.raises(Exception, match="No compute resources available"):
        world.create(world.alice, "web")
    operator.cordon("n1", False)
    assert inventory.node("n1")[0]["cordon_reason"] == ""
    world.create(world.alice, "web")
    with pytest.raises(NotFound, match="there is no node n9"):
        operator.cordon("n9", True)


def test_a_node_is_removed_only_when_it_is_empty(world: World, operator: Operator, inventory: Inventory) -> None:
    container = world.create(world.alice, "web", HostConfig={"Binds": ["data:/data"]})
    with pytest.raises(Conflict, match=r"node n1 is not empty: it has containers \(1\), volumes \(1\)"):
        operator.remove_node("n1")
    world.api.lifecycle.remove(world.alice, container, force=False, volumes=False, link=False)
    with pytest.raises(Conflict, match=r"has volumes \(1\)"):
        operator.remove_node("n1")
    world.sql("DELETE FROM volumes")
    operator.remove_node("n1")
    assert inventory.nodes() == []
    with pytest.raises(NotFound, match="there is no node n1"):
        operator.remove_node("n1")


def test_packages(world: World, operator: Operator, inventory: Inventory) -> None:
    size = {"memory": 3 << 30, "swap": 0, "nano_cpus": 3 * 10**9, "disk": 9 << 30, "pids": 100}
    operator.add_package("large.3", **size)
    found = {p["name"]: p for p in inventory.packages()}
    assert {k: found["large.3"][k] for k in size} == size and found["large.3"]["disabled_at"] is None
    with pytest.raises(Conflict, match=r"there is a package large\.3 already"):
        operator.add_package("large.3", **size)
    for name in ("", "a b", "-x", "x..y"):
        with pytest.raises(InvalidParameter, match="a package's name"):
            operator.add_package(name, **size)
    label = {"com.joyent.package": "large.3"}
    container = world.create(world.alice, "web", Labels=label)
    operator.set_package_disabled("large.3", True)
    row = world.row(container)
    assert row is not None and row.package == "large.3"
    with pytest.raises(InvalidParameter, match="no packages match"):
        world.create(world.alice, "web2", Labels=label)
    operator.set_package_disabled("large.3", False)
    world.create(world.alice, "web2", Labels=label)
    assert {p["name"]: p["containers"] for p in inventory.packages()}["large.3"] == 2
    with pytest.raises(NotFound, match="there is no package none"):
        operator.set_package_disabled("none", True)


def test_images(world: World, inventory: Inventory) -> None:
    world.create(world.alice, "web")
    found = {i["account"]: i for i in inventory.images()}
    assert set(found) == {"alice", "bob"}
    assert found["alice"]["names"] == ["docker.io/library/busybox:latest"]
    assert (found["alice"]["nodes"], found["alice"]["containers"]) == (["n1"], 1)
    assert found["bob"]["containers"] == 0
    assert [i["account"] for i in inventory.images("bob")] == ["bob"]
    assert len(inventory.images(node="n1")) == 2
    with pytest.raises(NotFound, match="there is no account nobody"):
        inventory.images("nobody")
    with pytest.raises(NotFound, match="there is no node n2"):
        inventory.images(node="n2")


def test_pools(world: World, inventory: Inventory) -> None:
    world.create(world.alice, "web")
    (pool,), networks = inventory.pools(world.settings)
    assert (pool.taken, pool.outside) == (4, 0)
    assert [(n["account"], n["name"], n["containers"]) for n in networks] == [("alice", "bridge", 1)]
    elsewhere = replace(world.settings, network_pool=IPv4Network("10.99.0.0/16"))
    (pool,), _ = inventory.pools(elsewhere)
    assert (pool.taken, pool.free, pool.outside) == (0, 256, 1)


def test_belongings(world: World, inventory: Inventory) -> None:
    world.run(world.alice, "web")
    found = inventory.belongings(world.alice)
    assert (found["running"], found["images"], found["networks"], found["volumes"]) == (1, 1, 1, 0)
