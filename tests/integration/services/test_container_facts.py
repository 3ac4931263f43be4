"""What people ask the database about a container stands in columns, and they say what inspect says."""

from __future__ import annotations

import json

from tests.integration.world import World

FACTS = """
    SELECT command, hostname, restart_policy, restart_count, oom_killed, error,
           inspect ->> 'Path', inspect -> 'Args', inspect #>> '{Config,Hostname}',
           inspect #>> '{HostConfig,RestartPolicy,Name}', (inspect ->> 'RestartCount')::int
    FROM containers WHERE id = %s
"""
ADDRESS = "SELECT host(address), mac_address FROM container_endpoints WHERE container_id = %s"


def test_the_columns_say_what_inspect_says(world: World) -> None:
    policy = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 9}}
    container_id = world.run(world.alice, "web", Cmd=["sh", "-c", "echo a b"], Hostname="h", HostConfig=policy)
    on_engine = world.on_engine(container_id)
    assert on_engine
    on_engine.restarts = 3
    world.observer.sync.refresh(container_id)
    (row,) = world.sql(FACTS, container_id)
    assert row[:6] == ("sh -c 'echo a b'", "h", "on-failure", 3, False, "")
    args = row[7] if isinstance(row[7], list) else json.loads(row[7])
    assert ([row[6], *args], *row[8:]) == (["sh", "-c", "echo a b"], "h", "on-failure", 3)
    assert world.sql("SELECT account, name, restart_count FROM v_restarts") == [("alice", "web", 3)]


def test_a_container_has_an_address_while_it_runs(world: World) -> None:
    container_id = world.create(world.alice, "web")
    assert world.sql(ADDRESS, container_id) == [(None, "")]
    world.api.lifecycle.start(world.alice, container_id)
    ((address, mac),) = world.sql(ADDRESS, container_id)
    shown = "SELECT inspect #>> '{NetworkSettings,Networks,bridge,IPAddress}' FROM containers WHERE id = %s"
    assert (address,) == world.sql(shown, container_id)[0] and address and mac
    found = world.sql("SELECT account, network, container FROM v_addresses WHERE address = %s", address)
    assert found == [("alice", "bridge", "web")]
    world.api.lifecycle.kill(world.alice, container_id, signal="SIGKILL")
    world.observer.sync.refresh(container_id)
    assert world.sql(ADDRESS, container_id) == [(None, "")]


def test_a_container_that_its_engine_lost_has_no_address(world: World) -> None:
    container_id = world.run(world.alice, "web")
    on_engine = world.on_engine(container_id)
    assert on_engine
    del world.engine.containers[on_engine.id]
    world.observer.sync.refresh(container_id)
    assert world.state(container_id) == "dead"
    assert world.sql(ADDRESS, container_id) == [(None, "")]


def test_a_volume_knows_whether_it_is_used(world: World) -> None:
    first = world.create(world.alice, "first", HostConfig={"Binds": ["data:/a", "data:/b"]})
    world.create(world.alice, "second", HostConfig={"Binds": ["data:/a"]})
    used = "SELECT mounts, unused_since IS NULL FROM v_volumes WHERE name = 'data'"
    assert world.sql(used) == [(3, True)]
    for container_id, left in ((first, (1, True)), ("second", (0, False))):
        world.api.lifecycle.remove(world.alice, container_id, force=False, volumes=False, link=False)
        assert world.sql(used) == [left]
