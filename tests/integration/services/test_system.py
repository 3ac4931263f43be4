from __future__ import annotations

from app.services.system import System
from app.settings import Settings
from app.store import accounts, images
from tests.integration.world import World


def info(world: World, login: str) -> dict:
    settings = Settings(database_url=world.url, datacenter="us-east-1")
    with world.store.begin() as tx:
        account = accounts.find_by_login(tx, login)
    assert account
    return System(world.store, settings).info(account)


def test_the_accounts_own_counts(world: World) -> None:
    for name in ("one", "two"):
        world.run(world.alice, name)
    world.create(world.alice, "three", HostConfig={"Memory": 64 << 20})
    world.api.lifecycle.stop(world.alice, "two", seconds=0, signal=None)
    world.run(world.bob, "other")
    world.sql("UPDATE accounts SET max_containers = 7, max_memory = 4294967296, max_nano_cpus = 2500000000")
    seen = info(world, "alice")
    wanted = {"Containers": 3, "ContainersRunning": 1, "ContainersPaused": 0, "ContainersStopped": 2, "Images": 1}
    assert wanted.items() <= seen.items()
    assert seen["DriverStatus"] == [
        ["SDCAccount", "alice"],
        ["Containers Used", "3 of 7"],
        ["Memory Used", "2.06 of 4 GiB"],
        ["CPUs Used", "2.5 of 2.5"],
    ]
    assert (seen["Name"], seen["Driver"], seen["NCPU"], seen["MemTotal"]) == ("us-east-1", "sdc", 2, 4 << 30)
    assert info(world, "bob")["Containers"] == 1
    assert str(world.node.url) not in str(seen) and "20.10" not in str(seen)


def test_states_are_counted_where_docker_counts_them(world: World) -> None:
    for state in ("running", "paused", "restarting", "dead"):
        container_id = world.create(world.alice, f"is-{state}")
        world.sql("UPDATE containers SET state = %s, started_at = now() WHERE id = %s", state, container_id)
    seen = info(world, "alice")
    counts = {key: seen[key] for key in seen if key.startswith("Containers")}
    assert counts == {"Containers": 4, "ContainersRunning": 2, "ContainersPaused": 1, "ContainersStopped": 1}


def test_an_engine_is_never_asked(world: World) -> None:
    world.engine.away = True
    assert info(world, "alice")["Images"] == 1
    with world.store.begin() as tx:
        assert images.count_mine(tx, world.bob.id) == 1
