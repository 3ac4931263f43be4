"""What two transactions at once may and may not do to containers, ports and leases."""

from __future__ import annotations

import psycopg2
import pytest

from app.errors import NotFound
from app.store import container_ports, containers, nodes, volumes
from app.store.container_ports import PortTaken
from tests.integration.world import NODE, World


def test_a_write_of_what_was_seen_needs_the_version_that_was_read(world: World) -> None:
    container_id = world.create(world.alice, "web")
    first, second = world.row(container_id), world.row(container_id)
    assert first and second
    with world.store.begin() as tx:
        containers.write_seen(tx, first, exit_code=1)
    with world.store.begin() as tx:
        with pytest.raises(containers.WrittenMeanwhile):
            containers.write_seen(tx, second, exit_code=2)
        # To the server it is no error, of which it would log the statement, with all that the tenant sent.
        assert containers.find_by_id(tx, container_id)
    row = world.row(container_id)
    assert row and (row.exit_code, row.version) == (1, first.version + 1)


def test_only_one_begins_a_removal(world: World) -> None:
    container_id = world.create(world.alice, "web")
    container = world.row(container_id)
    assert container
    with world.store.begin() as tx:
        assert containers.begin_removal(tx, container)
        assert not containers.begin_removal(tx, container)
    # What docker ps -a shows.
    assert world.sql("SELECT list_head LIKE %s FROM containers", '%"State":"removing","Status":') == [(True,)]


def test_removing_twice_gives_back_once(world: World) -> None:
    container_id = world.create(world.alice, "web")
    with world.store.begin() as tx:
        assert containers.remove(tx, container_id)
        assert containers.remove(tx, container_id) is None


@pytest.mark.parametrize("word", ["", "/", "%", "_", "w%", "we_", "*", "WEB", "web ", "0x", "g" * 64])
def test_a_word_is_no_pattern(world: World, word: str) -> None:
    world.create(world.alice, "web")
    with pytest.raises(NotFound) as refused, world.store.begin() as tx:
        containers.get(tx, world.alice.id, word)
    assert refused.value.message == f"No such container: {word}"


def test_ports(world: World) -> None:
    first, second = world.create(world.alice, "first"), world.create(world.bob, "second")
    node = world.node.id
    with world.store.begin() as tx:
        container_ports.reserve(tx, node, "tcp", 80, first, 8080)
        container_ports.reserve(tx, node, "tcp", 80, first, 8080)
        container_ports.reserve(tx, node, "tcp", 81, first, 8081)
        container_ports.reserve(tx, node, "udp", 80, second, 53)
    with pytest.raises(PortTaken) as taken, world.store.begin() as tx:
        container_ports.reserve(tx, node, "tcp", 82, second, 1)
        container_ports.reserve(tx, node, "tcp", 80, second, 1)
    assert taken.value.host_port == 80
    assert world.ports() == [("tcp", 80, first), ("tcp", 81, first), ("udp", 80, second)]
    with world.store.begin() as tx:
        container_ports.release(tx, first, keep={("tcp", 81)})
        container_ports.release(tx, first, keep={("udp", 80), ("tcp", 81)})
    assert world.ports() == [("tcp", 81, first), ("udp", 80, second)]
    with world.store.begin() as tx:
        container_ports.hold(tx, node, "tcp", 81, second, 1)
        container_ports.release(tx, first)
    assert world.ports() == [("tcp", 81, second), ("udp", 80, second)]


def test_a_port_is_of_a_node(world: World) -> None:
    container_id = world.create(world.alice, "web")
    with world.store.begin() as tx:
        other = nodes.add(tx, name="n2", url="unix:///n2", **{**NODE, "engine_id": "TWO"})
        container_ports.reserve(tx, world.node.id, "tcp", 80, container_id, 80)
        container_ports.reserve(tx, other, "tcp", 80, container_id, 80)
    assert len(world.ports()) == 2


def test_volumes_in_use_stay(world: World) -> None:
    container_id = world.create(world.alice, "web", HostConfig={"Binds": ["data:/data"]})
    with world.store.begin() as tx:
        volume = volumes.find(tx, world.alice.id, "data")
        assert volume and volumes.find(tx, world.bob.id, "data") is None
        assert not volumes.remove_unused(tx, volume.id, container_id)
    world.api.lifecycle.remove(world.alice, "web", force=False, volumes=True, link=False)
    with world.store.begin() as tx:
        assert volumes.remove_unused(tx, volume.id, container_id)
        assert volumes.find(tx, world.alice.id, "data") is None
        assert volumes.remove_unused(tx, volume.id, container_id)


def test_leases(world: World) -> None:
    mine, theirs = world.observer.process.id, world.api.process.id
    with world.store.begin() as tx:
        assert nodes.lease(tx, world.node.id, mine, 15)
        assert nodes.lease(tx, world.node.id, mine, 15)
        assert not nodes.lease(tx, world.node.id, theirs, 15)
    world.sql("UPDATE nodes SET lease_until = now() - interval '1 second'")
    with world.store.begin() as tx:
        assert nodes.lease(tx, world.node.id, theirs, 15)
        assert not nodes.lease(tx, world.node.id, mine, 15)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE containers SET state = 'nonsense'",
        "UPDATE containers SET id = 'short'",
        "UPDATE accounts SET used_containers = -1",
        "UPDATE accounts SET login = ''",
        "UPDATE nodes SET state = 'sideways'",
        "UPDATE operations SET state = 'done', finished_at = NULL",
        "UPDATE operations SET state = 'pending'",
        "UPDATE packages SET memory = 1",
        "DELETE FROM accounts",
        "DELETE FROM images",
        "DELETE FROM nodes",
    ],
)
def test_wrong_states_cannot_be_stored(world: World, statement: str) -> None:
    world.create(world.alice, "web")
    with pytest.raises(psycopg2.IntegrityError, match=r"violates (check|foreign key) constraint"):
        world.sql(statement)
