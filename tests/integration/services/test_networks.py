from __future__ import annotations

import threading
from ipaddress import IPv4Network

import pytest

from app.errors import Error, Forbidden, Internal, Unavailable
from app.services.networks import Networks
from tests.integration.world import World, at_once


def rows(world: World) -> list[tuple]:
    return world.sql(
        "SELECT a.login, n.name, n.subnet::text, n.ready FROM networks n JOIN accounts a ON a.id = n.account_id "
        "ORDER BY a.login"
    )


def test_each_account_has_its_own(world: World) -> None:
    world.create(world.alice)
    world.create(world.bob)
    world.create(world.alice)
    assert rows(world) == [("alice", "bridge", "10.224.0.0/22", True), ("bob", "bridge", "10.224.4.0/22", True)]
    made = [call.args[0] for call in world.engine.called("create_network")]
    assert [body["IPAM"]["Config"] for body in made] == [
        [{"Subnet": "10.224.0.0/22", "Gateway": "10.224.0.1", "IPRange": "10.224.3.0/24"}],
        [{"Subnet": "10.224.4.0/22", "Gateway": "10.224.4.1", "IPRange": "10.224.7.0/24"}],
    ]
    assert made[0]["Labels"] == {"sdc.fleet": "test-fleet", "sdc.account": str(world.alice.id)}
    used = [set(c.networks) for c in world.engine.containers.values()]
    assert used[0] == used[2] != used[1]


def test_many_at_once_make_one(world: World) -> None:
    networks = at_once([lambda: world.default_network(world.alice)] * 10)
    assert len({network.id for network in networks}) == 1
    assert len(world.engine.called("create_network")) == 1


def test_many_accounts_at_once(world: World) -> None:
    results = at_once(
        [lambda account=account: world.default_network(account) for account in [world.alice, world.bob] * 5]
    )
    assert not [r for r in results if isinstance(r, Error)]
    assert len({subnet for _, _, subnet, _ in rows(world)}) == 2


def test_a_subnet_that_the_node_has_already_gives_way(world: World) -> None:
    world.engine.create_network({"Name": "foreign", "IPAM": {"Config": [{"Subnet": "10.224.0.0/21"}]}})
    assert world.default_network(world.alice).subnet == "10.224.8.0/22"
    assert world.default_network(world.bob).subnet in ("10.224.12.0/22", "10.224.8.0/22")
    assert len({subnet for _, _, subnet, _ in rows(world)}) == 2


def test_two_accounts_that_move_to_the_same_subnet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.engine.create_network({"Name": "foreign", "IPAM": {"Config": [{"Subnet": "10.224.0.0/21"}]}})
    meet = threading.Barrier(2, timeout=30)
    real = Networks._free_subnet
    moved: list[str] = []

    def together(self: Networks, taken: set[str], prefix: int, after: str = "") -> IPv4Network:
        if after and len(moved) < 2:
            moved.append(after)
            meet.wait()
            return IPv4Network("10.224.32.0/22")
        return real(self, taken, prefix, after)

    monkeypatch.setattr(Networks, "_free_subnet", together)
    results = at_once([lambda a=a: world.default_network(a) for a in (world.alice, world.bob)])
    assert not [r for r in results if isinstance(r, Error)], results
    assert "10.224.32.0/22" in {subnet for _, _, subnet, _ in rows(world)}
    assert all(ready for *_, ready in rows(world))


@pytest.mark.parametrize("kind", [Internal, Forbidden, Unavailable])
def test_one_that_cannot_be_made_now_is_made_later(world: World, kind: type[Error]) -> None:
    """And not waited for until its process ends."""
    world.engine.fail("create_network", kind("no room"))
    with pytest.raises(Unavailable):
        world.create(world.alice)
    assert rows(world)[0][3] is False
    world.observer.recovery.run()
    assert rows(world)[0][3] is True
    world.run(world.alice)


def test_who_comes_meanwhile_waits(world: World) -> None:
    hang = world.engine.hang("create_network")
    first = threading.Thread(target=world.default_network, args=(world.alice,))
    first.start()
    assert hang.reached.wait(30)
    second = threading.Thread(target=world.default_network, args=(world.alice,))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    hang.release()
    first.join(30)
    second.join(30)
    assert not second.is_alive()
    assert len(world.engine.called("create_network")) == 1


def test_one_that_is_lost_is_made_again_before_a_start_that_would_be_the_end(world: World) -> None:
    network = world.default_network(world.alice)
    brief = world.create(world.alice, "brief", HostConfig={"AutoRemove": True})
    world.engine.remove_network(network.engine_name)
    world.api.lifecycle.start(world.alice, brief)
    assert world.state(brief) == "running"
    assert list(world.on_engine(brief).networks) == [network.engine_name]  # type: ignore[union-attr]


def test_one_that_is_lost_is_made_again_unless_it_is_removed(world: World) -> None:
    network = world.default_network(world.alice)
    restore = lambda: world.observer.networks.restore(network.uuid, world.node)  # noqa: E731
    restore()
    assert len(world.engine.called("create_network")) == 1
    world.engine.remove_network(network.engine_name)
    assert at_once([restore] * 4) == [None] * 4
    assert network.engine_name in world.engine.networks
    world.engine.remove_network(network.engine_name)
    hang = world.engine.hang("create_network")
    late = threading.Thread(target=restore)
    late.start()
    assert hang.reached.wait(30)
    world.sql("UPDATE networks SET removing = true")
    hang.release()
    late.join(30)
    assert network.engine_name not in world.engine.networks
    restore()
    world.sql("DELETE FROM networks")
    restore()
    assert network.engine_name not in world.engine.networks


def test_a_pool_that_is_used_up(world: World) -> None:
    pool = IPv4Network("10.224.0.0/24")
    small = Networks(world.store, world.fleet, world.api.process, pool, "test-fleet")  # type: ignore[arg-type]
    small.ready(small.default_row(world.alice), world.node)
    with pytest.raises(Unavailable, match="no free subnet"):
        small.default_row(world.bob)


def test_no_network(world: World) -> None:
    world.create(world.alice, "web", HostConfig={"NetworkMode": "none"})
    assert rows(world) == []
    assert world.api.queries.inspect(world.alice, "web")["HostConfig"]["NetworkMode"] == "none"
