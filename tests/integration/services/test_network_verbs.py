"""Networks of one's own: made, joined, left and removed, by several at once, and by processes that die."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from app.domain.account import Account
from app.domain.network_filter import Prune
from app.domain.policy import Rules
from app.domain.policy.network_create import decide_network
from app.domain.spec import Endpoint
from app.errors import Conflict, Error, Forbidden, Internal, InvalidParameter, NotFound, Unavailable
from app.services.network_connect import NetworkConnect
from app.services.network_create import MOST_NETWORKS, NetworkCreate
from app.services.network_queries import NetworkQueries
from app.services.network_remove import NetworkRemove
from app.store import inventory
from tests.integration.services.test_recovery import Killed, die_at
from tests.integration.world import World, at_once


@dataclass
class Verbs:
    world: World
    create_: NetworkCreate
    remove_: NetworkRemove
    connect_: NetworkConnect
    queries: NetworkQueries

    def create(self, name: str, account: Account | None = None, **body: Any) -> str:
        return self.create_.create(account or self.world.alice, decide_network({"Name": name, **body}, Rules()))

    def subnet(self, name: str, subnet: str, account: Account | None = None) -> str:
        return self.create(name, account, IPAM={"Config": [{"Subnet": subnet}]})

    def remove(self, name: str) -> None:
        self.remove_.remove(self.world.alice, name)

    def connect(self, name: str, container: str, **endpoint: Any) -> None:
        self.connect_.connect(self.world.alice, name, container, Endpoint(**endpoint))

    def disconnect(self, name: str, container: str) -> None:
        self.connect_.disconnect(self.world.alice, name, container, force=False)

    def names(self, account: Account | None = None) -> list[str]:
        shown = self.queries.list_all(account or self.world.alice, {})
        return [network["Name"] for network in shown if network["Name"] not in ("bridge", "host", "none")]

    def rows(self) -> list[tuple]:
        return self.world.sql("SELECT name, ready, removing FROM networks WHERE name <> 'bridge' ORDER BY name")

    def ends(self, container_id: str) -> list[str]:
        statement = """SELECT n.name FROM container_endpoints e JOIN networks n ON n.uuid = e.network_uuid
                       WHERE container_id = %s ORDER BY 1"""
        return [row[0] for row in self.world.sql(statement, container_id)]

    def on_engine(self) -> int:
        return sum(name.startswith("n-") for name in self.world.engine.networks)


@pytest.fixture
def verbs(world: World) -> Verbs:
    core, api = world.api.core, world.api
    store, fleet, intents = core.store, core.fleet, core.intents
    return Verbs(
        world,
        NetworkCreate(store, fleet, intents, api.networks, ()),
        NetworkRemove(store, fleet, intents),
        NetworkConnect(store, fleet, api.sync, intents, api.networks, api.endpoints),
        NetworkQueries(store, api.networks),
    )


LAN = {"HostConfig": {"NetworkMode": "lan"}}


def test_life(verbs: Verbs) -> None:
    made = verbs.create("lan", Labels={"a": "b"})
    assert verbs.names() == ["lan"] and verbs.names(verbs.world.bob) == []
    assert verbs.queries.inspect(verbs.world.alice, made[:12])["Labels"] == {"a": "b"}
    container_id = verbs.world.run(verbs.world.alice, "web", **LAN)
    assert list(verbs.queries.inspect(verbs.world.alice, "lan")["Containers"]) == [container_id]
    with pytest.raises(Forbidden, match=f"network lan id {made} has active endpoints"):
        verbs.remove("lan")
    verbs.world.api.lifecycle.stop(verbs.world.alice, "web", seconds=0, signal=None)
    verbs.remove("lan")
    assert verbs.rows() == [] and verbs.on_engine() == 0 and verbs.ends(container_id) == []
    told = verbs.world.sql("SELECT action, actor_id FROM events WHERE type = 'network' AND node_id IS NULL ORDER BY id")
    assert told == [("create", made), ("destroy", made)]
    with pytest.raises(NotFound):
        verbs.remove("lan")


def test_one_name_once(verbs: Verbs) -> None:
    results = at_once([lambda: verbs.create("lan")] * 6)
    assert [type(r) for r in results if isinstance(r, Error)] == [Conflict] * 5
    assert verbs.rows() == [("lan", True, False)] and verbs.on_engine() == 1
    verbs.create("lan", verbs.world.bob)


def test_one_subnet_once(verbs: Verbs) -> None:
    """Whoever is first; any part of it."""
    subnets = ["10.1.0.0/24", "10.1.0.0/16", "10.1.0.128/25", "10.1.0.0/24"]
    accounts = [verbs.world.alice, verbs.world.bob] * 2
    calls = [
        lambda n=n, s=s, a=a: verbs.subnet(f"lan{n}", s, a)
        for n, (s, a) in enumerate(zip(subnets, accounts, strict=True))
    ]
    results = at_once(calls)
    refused = [r for r in results if isinstance(r, Error)]
    assert {(type(r), r.message) for r in refused} == {
        (Forbidden, "Pool overlaps with other one on this address space")
    }
    assert len(refused) == 3 and verbs.on_engine() == 1


def test_a_chosen_subnet_that_the_engine_has_already(verbs: Verbs) -> None:
    verbs.world.engine.create_network({"Name": "foreign", "IPAM": {"Config": [{"Subnet": "10.1.0.0/24"}]}})
    with pytest.raises(Forbidden, match=r"^Pool overlaps with other one on this address space$"):
        verbs.subnet("lan", "10.1.0.0/16")
    assert verbs.rows() == []


def test_subnets_that_are_not_to_be_had(verbs: Verbs) -> None:
    verbs.world.sql("UPDATE nodes SET public_address = '10.9.9.9'")
    with pytest.raises(InvalidParameter, match="not available in this data center"):
        verbs.subnet("lan", "10.9.9.128/25")
    with pytest.raises(InvalidParameter, match="at least 24 bits"):
        verbs.subnet("lan", "10.224.0.0/20")
    verbs.subnet("lan", "10.224.0.0/25")
    verbs.world.create(verbs.world.alice, "web")
    found = verbs.world.sql("SELECT subnet::text FROM networks WHERE name = 'bridge'")
    assert found == [("10.224.4.0/22",)]


def test_quota(verbs: Verbs) -> None:
    for number in range(MOST_NETWORKS):
        verbs.create(f"lan{number}")
    with pytest.raises(Forbidden, match="quota exceeded: networks 32 of 32"):
        verbs.create("more")
    removed = verbs.remove_.prune(verbs.world.alice, Prune.parse({}))
    assert len(removed) == MOST_NETWORKS and verbs.rows() == []
    heard = verbs.world.sql("SELECT account_id::text, type, attributes FROM events WHERE action = 'prune'")
    assert heard == [(str(verbs.world.alice.id), "network", {"reclaimed": "0"})]


@pytest.mark.parametrize("kind", [Internal, InvalidParameter])
def test_a_create_that_the_engine_refuses_leaves_nothing(verbs: Verbs, kind: type[Error]) -> None:
    verbs.world.engine.fail("create_network", kind("no"))
    with pytest.raises(Error, match="no"):
        verbs.subnet("lan", "10.1.0.0/24")
    assert verbs.rows() == [] and verbs.on_engine() == 0
    assert verbs.world.sql("SELECT state FROM operations") == [("undone",)]


@pytest.mark.parametrize("after", [False, True])
def test_a_create_whose_process_dies_is_undone(verbs: Verbs, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    die_at(verbs.world, monkeypatch, "create_network", after=after)
    with pytest.raises(Killed):
        verbs.create("lan")
    assert verbs.names() == []
    for _ in range(2):
        verbs.world.observer.recovery.run()
        assert verbs.rows() == [] and verbs.on_engine() == 0
    verbs.create("lan")


@pytest.mark.parametrize("after", [False, True])
def test_a_removal_whose_process_dies_is_finished(verbs: Verbs, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    verbs.create("lan")
    die_at(verbs.world, monkeypatch, "remove_network", after=after)
    with pytest.raises(Killed):
        verbs.remove("lan")
    with pytest.raises(InvalidParameter, match="network lan not found"):
        verbs.world.create(verbs.world.alice, "web", **LAN)
    for _ in range(2):
        verbs.world.observer.recovery.run()
        assert verbs.rows() == [] and verbs.on_engine() == 0


def test_a_removal_while_the_node_is_away(verbs: Verbs) -> None:
    verbs.create("lan")
    verbs.world.engine.fail("remove_network", Unavailable("away"))
    with pytest.raises(Unavailable):
        verbs.remove("lan")
    verbs.world.observer.recovery.run()
    assert verbs.rows() == []


def test_a_network_that_a_create_is_joining_stays(verbs: Verbs) -> None:
    verbs.create("lan")
    hang = verbs.world.engine.hang("create_container")

    def remove_meanwhile() -> None:
        assert hang.reached.wait(30)
        try:
            verbs.remove("lan")
        finally:
            hang.release()

    results = at_once([lambda: verbs.world.create(verbs.world.alice, "web", **LAN), remove_meanwhile])
    assert isinstance(results[0], str) and isinstance(results[1], Forbidden)
    assert "has active endpoints" in results[1].message
    verbs.world.api.lifecycle.start(verbs.world.alice, "web")


def test_creates_and_removals_at_once(verbs: Verbs) -> None:
    """Either the container is on the network, or it was refused."""
    verbs.create("lan")
    calls = [lambda n=n: verbs.world.run(verbs.world.alice, f"web{n}", **LAN) for n in range(4)]
    results = at_once([*calls, lambda: verbs.remove("lan")])
    if verbs.rows():
        assert isinstance(results[-1], Forbidden)
    else:
        assert all(isinstance(r, Error) for r in results[:-1])


def test_connect_and_disconnect(verbs: Verbs) -> None:
    verbs.create("lan")
    container_id = verbs.world.run(verbs.world.alice, "web")
    verbs.connect("lan", "web", aliases=("shop",))
    assert verbs.ends(container_id) == ["bridge", "lan"]
    endpoint = next(e for n, e in verbs.world.on_engine(container_id).networks.items() if "shop" in e["Aliases"])  # type: ignore[union-attr]
    assert endpoint["Aliases"] == ["web", container_id[:12], "shop"]
    with pytest.raises(Forbidden, match="endpoint with name web already exists in network lan"):
        verbs.connect("lan", "web")
    verbs.disconnect("lan", "web")
    assert verbs.ends(container_id) == ["bridge"]
    with pytest.raises(Internal, match=f"container {container_id} is not connected to network lan"):
        verbs.disconnect("lan", "web")
    with pytest.raises(NotFound):
        verbs.connect_.connect(verbs.world.bob, "lan", "web", Endpoint())


def test_a_refused_connect_leaves_nothing(verbs: Verbs) -> None:
    verbs.subnet("lan", "10.1.0.0/24")
    verbs.world.run(verbs.world.alice, "one", **LAN)
    container_id = verbs.world.run(verbs.world.alice, "web")
    with pytest.raises(Forbidden, match="Address already in use"):
        verbs.connect("lan", "web", ipv4="10.1.0.2")
    assert verbs.ends(container_id) == ["bridge"]
    assert verbs.world.operations(container_id)[-1][:2] == ("connect", "undone")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", ["connect", "disconnect"])
def test_a_process_that_dies(verbs: Verbs, monkeypatch: pytest.MonkeyPatch, verb: str, after: bool) -> None:
    verbs.create("lan")
    container_id = verbs.world.run(verbs.world.alice, "web")
    if verb == "disconnect":
        verbs.connect("lan", "web")
    die_at(verbs.world, monkeypatch, f"{verb}_network", after=after)
    with pytest.raises(Killed):
        getattr(verbs, verb)("lan", "web")
    for _ in range(2):
        verbs.world.observer.recovery.run()
        assert len(verbs.world.on_engine(container_id).networks) == len(verbs.ends(container_id))  # type: ignore[union-attr]
        joined = (verb == "connect") is after
        assert verbs.ends(container_id) == (["bridge", "lan"] if joined else ["bridge"])
    assert verbs.world.operations(container_id)[-1] == (verb, "done", "")


def test_many_addresses_at_once(verbs: Verbs) -> None:
    """On the default network each has one of its own, for life."""
    ids = at_once([lambda n=n: verbs.world.run(verbs.world.alice, f"web{n}") for n in range(8)])
    found = verbs.world.sql("SELECT host(ipv4) FROM container_endpoints WHERE reserved")
    assert len({row[0] for row in found}) == 8
    seen = [next(iter(verbs.world.on_engine(i).networks.values()))["IPAddress"] for i in ids]  # type: ignore[union-attr]
    assert set(seen) == {row[0] for row in found}


def test_a_network_that_is_gone_from_the_engine(verbs: Verbs) -> None:
    verbs.create("lan")
    container_id = verbs.world.create(verbs.world.alice, "web", **LAN)
    for name in [name for name in verbs.world.engine.networks if name.startswith("n-")]:
        verbs.world.engine.remove_network(name)
    verbs.world.api.lifecycle.start(verbs.world.alice, "web")
    assert verbs.world.state(container_id) == "running" and verbs.on_engine() == 1


def test_a_renamed_container_starts_where_its_address_was_given_away(verbs: Verbs) -> None:
    """A rename keeps the address that the engine gave; once it has stopped another one may get it."""
    world = verbs.world
    verbs.create("lan")
    container_id = world.run(world.alice, "old", **LAN)
    world.api.lifecycle.rename(world.alice, "old", "new")
    world.api.lifecycle.stop(world.alice, "new", seconds=0, signal=None)
    world.run(world.alice, "other", **LAN)
    world.api.lifecycle.start(world.alice, "new")
    endpoint = next(iter(world.on_engine(container_id).networks.values()))  # type: ignore[union-attr]
    assert endpoint["Aliases"][:2] == ["new", container_id[:12]] and world.state(container_id) == "running"


def test_links_on_a_network_of_ones_own_are_the_endpoints(verbs: Verbs) -> None:
    """Compose names them twice: an engine shows those of the default network alone as the container's."""
    world = verbs.world
    verbs.create("lan")
    world.run(world.alice, "db", **LAN)
    ends = {"EndpointsConfig": {"lan": {"Links": ["db:data"]}}}
    host = {"NetworkMode": "lan", "Links": ["db:data"]}
    world.create(world.alice, "web", HostConfig=host, NetworkingConfig=ends)
    shown = world.api.queries.inspect(world.alice, "web")
    assert shown["HostConfig"]["Links"] is None
    assert shown["NetworkSettings"]["Networks"]["lan"]["Links"] == ["db:data"]


def test_links(verbs: Verbs) -> None:
    world = verbs.world
    target = world.run(world.alice, "db", ExposedPorts={"80/tcp": {}})
    container_id = world.create(world.alice, "web", HostConfig={"Links": ["db:data"]}, Env=["DATA_NAME=mine"])
    engine = world.on_engine(container_id)
    assert engine is not None
    assert "DATA_PORT_80_TCP_ADDR=10.224.0.2" in engine.config["Env"]
    assert [line for line in engine.config["Env"] if line.startswith("DATA_NAME")] == ["DATA_NAME=mine"]
    assert engine.host["ExtraHosts"] == [f"{word}:10.224.0.2" for word in ("data", target[:12], "db")]
    assert next(iter(engine.networks.values()))["Links"] == [f"c-{world.row(target).uuid}:data"]  # type: ignore[union-attr]
    shown = world.api.queries.inspect(world.alice, "web")
    assert shown["HostConfig"]["Links"] == ["/db:/web/data"] and shown["Config"]["Env"][0] == "DATA_NAME=mine"
    assert not [line for line in shown["Config"]["Env"] if line.startswith("DATA_PORT")]
    world.api.lifecycle.stop(world.alice, "db", seconds=0, signal=None)
    with pytest.raises(Internal, match=r"^Cannot link to a non running container: /db AS /web/data$"):
        world.api.lifecycle.start(world.alice, "web")

    def remove(word: str) -> None:
        world.api.lifecycle.remove(world.alice, word, force=False, volumes=False, link=True)

    with pytest.raises(Conflict, match="cannot remove the default name"):
        remove("web")
    for word in ("web/x", "nosuch/data", "nosuch"):
        with pytest.raises(NotFound, match=f"^No such container: {word}$"):
            remove(word)
    remove("/web/data")
    assert world.api.queries.inspect(world.alice, "web")["HostConfig"]["Links"] is None
    world.api.lifecycle.start(world.alice, "web")


def test_removed_while_a_start_makes_it_again(verbs: Verbs, world: World) -> None:
    """The removal has been at the engine already: nothing is left there that no row knows."""
    verbs.create("front")
    brief = world.create(world.alice, "brief", HostConfig={"NetworkMode": "front"})
    hang = world.engine.hang("remove_network", after=True)
    with ThreadPoolExecutor(1) as pool:
        removal = pool.submit(verbs.remove, "front")
        assert hang.reached.wait(30)
        with pytest.raises(NotFound, match=r"^network front not found$"):
            world.api.lifecycle.start(world.alice, brief)
        hang.release()
        removal.result(30)
    assert (verbs.rows(), verbs.on_engine()) == ([], 0)


def test_the_sweep_removes_what_was_made_after_its_removal(verbs: Verbs, world: World) -> None:
    """By a process that died in between; what no operation tells of is for an operator."""
    verbs.create("front")
    (name,) = (name for name in world.engine.networks if name.startswith("n-"))
    left = dict(world.engine.networks)
    world.observer.recovery.sweep(world.node)
    assert verbs.on_engine() == 1
    verbs.remove("front")
    unknown = {"Name": f"n-{uuid4()}", "Labels": left[name]["Labels"]}
    world.engine.networks = left
    world.engine.create_network(unknown)
    world.observer.recovery.sweep(world.node)
    assert [name for name in world.engine.networks if name.startswith("n-")] == [unknown["Name"]]


def test_one_that_has_the_endpoint_of_a_container_that_is_no_more(verbs: Verbs, world: World) -> None:
    """An engine may lose count of one that restarts, is connected and removed at a time."""
    verbs.create("lan")
    (name,) = (name for name in world.engine.networks if name.startswith("n-"))
    world.engine.networks[name]["Containers"] = {"f" * 64: {"Name": f"c-{uuid4()}"}}
    verbs.remove("lan")
    assert (verbs.rows(), verbs.on_engine()) == ([], 0)
    # Who runs on it stays, also where the rows do not know it yet.
    verbs.create("lan")
    web = world.run(world.alice, "web", HostConfig={"NetworkMode": "lan"})
    world.sql("UPDATE containers SET state = 'exited', exit_code = 0")
    with pytest.raises(Forbidden, match="has active endpoints"):
        verbs.remove("lan")
    assert world.on_engine(web).networks  # type: ignore[union-attr]


def test_one_that_no_node_is_left_for(verbs: Verbs, world: World) -> None:
    verbs.create("lan")
    with world.store.begin() as tx:
        inventory.remove_node(tx, world.node.id)
    verbs.remove("lan")
    assert verbs.rows() == []
    told = world.sql("SELECT action, attributes ->> 'name' FROM events WHERE type = 'network' ORDER BY id")
    assert told == [("create", "lan"), ("destroy", "lan")]
