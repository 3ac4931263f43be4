from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from app.errors import (
    Conflict,
    Error,
    Forbidden,
    Internal,
    InvalidParameter,
    NotFound,
    NotModified,
    Unavailable,
)
from app.services.container_lifecycle import ContainerLifecycle
from app.store import containers
from tests.integration.world import World, at_once, wait_for

PUBLISHED = {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}}


def remove(world: World, name: str, *, force: bool = False, volumes: bool = False) -> None:
    world.api.lifecycle.remove(world.alice, name, force=force, volumes=volumes, link=False)


def stop(world: World, name: str, **how: int) -> None:
    world.api.lifecycle.stop(world.alice, name, seconds=how.get("seconds"), signal=None)


def restart(world: World, name: str) -> None:
    world.api.lifecycle.restart(world.alice, name, seconds=None, signal=None)


# -- each command ----------------------------------------------------------------------------------------------------


def test_a_life(world: World) -> None:
    container_id = world.create(world.alice, "web")
    world.api.lifecycle.start(world.alice, "web")
    assert world.state(container_id) == "running"
    with pytest.raises(NotModified):
        world.api.lifecycle.start(world.alice, "web")
    stop(world, container_id[:12], seconds=0)
    row = world.row(container_id)
    assert row and (row.state, row.exit_code) == ("exited", 137) and row.finished_at
    with pytest.raises(NotModified):
        stop(world, "web")
    restart(world, "/web")
    assert world.state(container_id) == "running"
    world.api.lifecycle.kill(world.alice, "web", signal="KILL")
    assert world.state(container_id) == "exited"
    with pytest.raises(Conflict) as refused:
        world.api.lifecycle.kill(world.alice, "web", signal="KILL")
    assert refused.value.message == f"Cannot kill container: web: Container {container_id} is not running"
    remove(world, "web")
    assert world.state(container_id) is None
    kinds = ["create", "start", "stop", "restart", "kill", "remove"]
    assert world.operations(container_id) == [(kind, "done", "") for kind in kinds]
    world.assert_nothing_left(world.alice)


@pytest.mark.parametrize(
    ("call", "engine_call", "kind"),
    [
        (lambda w: w.api.lifecycle.start(w.alice, "web"), "start_container", "start"),
        (lambda w: restart(w, "web"), "restart_container", "restart"),
        (lambda w: remove(w, "web"), "remove_container", "remove"),
    ],
)
def test_the_intent_comes_first(
    world: World, call: Callable[[World], None], engine_call: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container_id = world.create(world.alice, "web")
    real = getattr(world.engine, engine_call)
    seen: list[tuple] = []

    def look(name: str, **how: object) -> None:
        seen.append(world.operations(container_id)[-1])
        real(name, **how)

    monkeypatch.setattr(world.engine, engine_call, look)
    call(world)
    assert seen == [(kind, "pending", "")]
    assert world.operations(container_id)[-1] == (kind, "done", "")


@pytest.mark.parametrize("seconds", [-2, 601, 2**40])
def test_stop_timeouts(world: World, seconds: int) -> None:
    world.create(world.alice, "web")
    with pytest.raises(InvalidParameter):
        stop(world, "web", seconds=seconds)


def test_a_row_that_says_no_is_compared_with_the_engine_first(world: World) -> None:
    container_id = world.run(world.alice, "web")
    world.engine.die(world.on_engine(container_id).id, 3)  # type: ignore[union-attr]
    assert world.state(container_id) == "running"
    remove(world, "web")
    assert world.state(container_id) is None


# -- refusals of the engine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [InvalidParameter, NotFound, Conflict, Internal, Forbidden])
def test_a_refused_start_is_undone_in_the_tenants_words(world: World, kind: type[Error]) -> None:
    container_id = world.create(world.alice, "web", **PUBLISHED)
    engine = world.on_engine(container_id)
    assert engine
    world.engine.fail("start_container", kind(f"cannot start {engine.name} ({engine.id}) from /var/lib/docker/x"))
    with pytest.raises(kind) as refused:
        world.api.lifecycle.start(world.alice, "web")
    assert refused.value.message == f"cannot start web ({container_id}) from (path)"
    assert world.operations(container_id)[-1][:2] == ("start", "undone")
    assert world.ports() == []
    assert world.state(container_id) == "created"


def test_what_cannot_run_says_so(world: World) -> None:
    container_id = world.create(world.alice, "web", Cmd=["nothere"])
    with pytest.raises(InvalidParameter, match='exec: "nothere": executable file not found'):
        world.api.lifecycle.start(world.alice, "web")
    row = world.row(container_id)
    assert row and (row.state, row.exit_code) == ("created", 127)
    seen = world.api.queries.inspect(world.alice, "web")["State"]["Error"]
    assert "nothere" in seen


@pytest.mark.parametrize("after", [False, True])
def test_where_the_node_goes_away_an_observer_looks(world: World, after: bool) -> None:
    container_id = world.create(world.alice, "web", **PUBLISHED)
    world.engine.fail("start_container", Unavailable("away"), after=after)
    with pytest.raises(Unavailable):
        world.api.lifecycle.start(world.alice, "web")
    assert world.operations(container_id)[-1][:2] == ("start", "pending")
    # The port is kept until it is known that nobody has it.
    assert world.ports() == [("tcp", 8080, container_id)]
    world.observer.recovery.run()
    assert world.operations(container_id)[-1][:2] == ("start", "done")
    assert world.state(container_id) == ("running" if after else "created")
    assert world.ports() == ([("tcp", 8080, container_id)] if after else [])


def test_a_refusal_that_cannot_be_recorded_is_left_to_an_observer(world: World) -> None:
    """Or the operation would stay pending for as long as this process lives."""
    container_id = world.create(world.alice, "web")
    for call, operation in (("start_container", "start"), ("remove_container", "remove")):
        world.engine.fail(call, Internal("no"))
        world.engine.fail("inspect_container", Unavailable("away"))
        with pytest.raises(Internal, match="no"):
            if operation == "start":
                world.api.lifecycle.start(world.alice, "web")
            else:
                remove(world, "web")
        assert world.pending_process(container_id).int == 0
        world.observer.recovery.run()
        assert world.operations(container_id)[-1][:2] == (operation, "done")
    assert world.state(container_id) is None


def test_an_operation_is_not_lost_with_the_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine has done it; the database goes away before anything can be recorded, and comes back."""
    container_id = world.create(world.alice, "web")
    begin = world.store.begin

    def away() -> None:
        raise Unavailable("the database is away")

    real = world.engine.start_container

    def start(name: str) -> None:
        real(name)
        monkeypatch.setattr(world.store, "begin", away)

    monkeypatch.setattr(world.engine, "start_container", start)
    with pytest.raises(Unavailable):
        world.api.lifecycle.start(world.alice, "web")
    monkeypatch.setattr(world.store, "begin", begin)
    world.observer.recovery.run()
    assert world.operations(container_id)[-1][:2] == ("start", "pending")
    world.api.process.beat()
    world.observer.recovery.run()
    assert world.operations(container_id)[-1][:2] == ("start", "done")
    assert world.state(container_id) == "running"


# -- ports -----------------------------------------------------------------------------------------------------------


def test_one_of_two_starts_gets_the_port(world: World) -> None:
    first = world.create(world.alice, "first", **PUBLISHED)
    second = world.create(world.bob, "second", **PUBLISHED)
    results = at_once(
        [
            lambda: world.api.lifecycle.start(world.alice, "first"),
            lambda: world.api.lifecycle.start(world.bob, "second"),
        ]
    )
    refused = [result for result in results if result is not None]
    assert len(refused) == 1 and type(refused[0]) is Internal
    loser, name = (first, "first") if results[0] else (second, "second")
    winner = second if results[0] else first
    assert refused[0].message == (
        f"driver failed programming external connectivity on endpoint {name} ({loser}): "
        "Bind for 0.0.0.0:8080 failed: port is already allocated"
    )
    assert winner not in refused[0].message
    assert world.ports() == [("tcp", 8080, winner)]
    assert (world.state(winner), world.state(loser)) == ("running", "created")
    assert len(world.engine.called("start_container")) == 1


def test_a_port_is_free_again_after_a_stop(world: World) -> None:
    world.run(world.alice, "first", **PUBLISHED)
    second = world.create(world.bob, "second", **PUBLISHED)
    with pytest.raises(Internal, match="port is already allocated"):
        world.api.lifecycle.start(world.bob, "second")
    stop(world, "first")
    world.api.lifecycle.start(world.bob, "second")
    assert world.ports() == [("tcp", 8080, second)]


def test_protocols_have_ports_of_their_own(world: World) -> None:
    world.run(world.alice, "first", **PUBLISHED)
    world.run(world.alice, "second", HostConfig={"PortBindings": {"80/udp": [{"HostPort": "8080"}]}})
    assert [(protocol, port) for protocol, port, _ in world.ports()] == [("tcp", 8080), ("udp", 8080)]


def test_a_restart_keeps_the_port(world: World) -> None:
    container_id = world.run(world.alice, "web", **PUBLISHED)
    restart(world, "web")
    assert world.ports() == [("tcp", 8080, container_id)]


def test_many_ports_in_any_order(world: World) -> None:
    def ports(order: list[int]) -> dict:
        return {"HostConfig": {"PortBindings": {f"{p}/tcp": [{"HostPort": str(p)}] for p in order}}}

    numbers = list(range(7000, 7012))
    world.create(world.alice, "up", **ports(numbers))
    world.create(world.alice, "down", **ports(numbers[::-1]))

    def churn(name: str) -> list[str]:
        told = []
        for _ in range(6):
            try:
                world.api.lifecycle.start(world.alice, name)
                stop(world, name)
            except Internal as error:
                told.append(error.message)
        return told

    results = at_once([lambda: churn("up"), lambda: churn("down")])
    assert all(isinstance(result, list) for result in results), results
    assert all("port is already allocated" in words for told in results for words in told)
    assert world.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]


# -- rename ----------------------------------------------------------------------------------------------------------


def test_rename(world: World) -> None:
    container_id = world.run(world.alice, "old")
    before = world.api.queries.inspect(world.alice, "old")
    world.api.lifecycle.rename(world.alice, "old", "/new")
    seen = world.api.queries.inspect(world.alice, "new")
    assert seen["Name"] == "/new"
    assert b'"/new"' in world.api.queries.list(world.alice, everything=True, limit=0, filters={}, size=False)
    assert world.operations(container_id)[-1] == ("rename", "done", "")
    told = world.sql("SELECT action, actor_id, attributes FROM events WHERE type = 'container' AND node_id IS NULL")
    image = seen["Config"]["Image"]
    assert told == [("rename", container_id, {"image": image, "name": "new", "oldName": "/old"})]
    endpoint = next(iter(world.on_engine(container_id).networks.values()))  # type: ignore[union-attr]
    assert endpoint["Aliases"][:2] == ["new", container_id[:12]]
    assert seen["NetworkSettings"]["IPAddress"] == before["NetworkSettings"]["IPAddress"] != ""
    assert seen["NetworkSettings"]["Networks"]["bridge"]["IPAMConfig"] is None
    with pytest.raises(NotFound):
        world.api.queries.inspect(world.alice, "old")
    world.create(world.alice, "old")


def test_rename_refusals(world: World) -> None:
    world.create(world.alice, "web")
    taken = world.create(world.alice, "taken")
    world.create(world.bob, "free")
    for name, kind, words in (
        ("taken", Conflict, f'The container name "/taken" is already in use by container "{taken}"'),
        ("", InvalidParameter, "Neither old nor new names may be empty"),
        ("web", InvalidParameter, "Renaming a container with the same name as its current name"),
        ("a b", InvalidParameter, "Error when allocating new name: Invalid container name"),
        ("../x", InvalidParameter, "Invalid container name"),
    ):
        with pytest.raises(kind, match=words):
            world.api.lifecycle.rename(world.alice, "web", name)
    world.api.lifecycle.rename(world.alice, "web", "free")
    with pytest.raises(NotFound, match="No such container: web"):
        world.api.lifecycle.rename(world.alice, "web", "other")


@pytest.mark.parametrize("step", ["inspect_container", "disconnect_network", "connect_network"])
@pytest.mark.parametrize("after", [False, True])
def test_an_interrupted_rename_is_brought_to_its_end(world: World, step: str, after: bool) -> None:
    container_id = world.run(world.alice, "old")
    world.engine.fail(step, Unavailable("away"), after=after)
    with pytest.raises(Unavailable):
        world.api.lifecycle.rename(world.alice, "old", "new")
    assert world.operations(container_id)[-1][:2] == ("rename", "pending")
    world.observer.recovery.run()
    assert world.operations(container_id)[-1] == ("rename", "done", "")
    networks = world.on_engine(container_id).networks  # type: ignore[union-attr]
    assert len(networks) == 1
    assert next(iter(networks.values()))["Aliases"][:2] == ["new", container_id[:12]]
    assert world.api.queries.inspect(world.alice, "new")["NetworkSettings"]["IPAddress"]


MARKED = "Container {} is marked for removal and cannot be connected or disconnected to the network"


@pytest.mark.parametrize("state", ["removing", "created"])
@pytest.mark.parametrize("words", [MARKED, "No such container: {}"])
@pytest.mark.parametrize("step", ["disconnect_network", "connect_network"])
def test_a_rename_of_what_is_being_removed(world: World, step: str, words: str, state: str) -> None:
    """The name is changed; nobody asks the network's DNS for it any more. An engine marks also what it then keeps."""
    container_id = world.create(world.alice, "old")
    kind = NotFound if words.startswith("No such") else Internal
    world.engine.fail(step, kind(words.format(world.on_engine(container_id).id)))  # type: ignore[union-attr]
    announce = world.api.lifecycle.announce_name

    def late(container_id: str) -> None:
        world.sql("UPDATE containers SET state = %s WHERE id = %s", state, container_id)
        announce(container_id)

    world.api.lifecycle.announce_name = late  # type: ignore[method-assign]
    if (words, state) == (MARKED, "created"):
        with pytest.raises(Internal):
            world.api.lifecycle.rename(world.alice, "old", "new")
        assert world.operations(container_id)[-1][:2] == ("rename", "pending")
        world.observer.recovery.run()
        assert world.on_engine(container_id).networks, "it was not brought back"  # type: ignore[union-attr]
    else:
        world.api.lifecycle.rename(world.alice, "old", "new")
    assert world.operations(container_id)[-1] == ("rename", "done", "")
    assert world.row(container_id).name == "new"  # type: ignore[union-attr]


def test_a_rename_of_what_has_just_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    container_id = world.create(world.alice, "old")
    found = containers.get
    monkeypatch.setattr(containers, "get", lambda *given: (found(*given), world.sql("DELETE FROM containers"))[0])
    with pytest.raises(NotFound, match=f"^No such container: {container_id}$"):
        world.api.lifecycle.rename(world.alice, "old", "new")
    assert not world.sql("SELECT id FROM events WHERE action = 'rename'")


def test_a_refused_rename_tells_nothing_of_the_engine(world: World) -> None:
    container_id = world.run(world.alice, "old")
    engine = world.on_engine(container_id)
    assert engine
    world.engine.fail("connect_network", Internal(f"no {engine.name} {engine.id}"))
    with pytest.raises(Internal) as refused:
        world.api.lifecycle.rename(world.alice, "old", "new")
    assert engine.name not in refused.value.message and engine.id not in refused.value.message


# -- remove ----------------------------------------------------------------------------------------------------------


def test_a_running_container_is_not_removed_without_force(world: World) -> None:
    container_id = world.run(world.alice, "web")
    with pytest.raises(Conflict) as refused:
        remove(world, "web")
    assert refused.value.message == (
        f"You cannot remove a running container {container_id}. "
        "Stop the container before attempting removal or force remove"
    )
    assert world.state(container_id) == "running"
    remove(world, "web", force=True)
    world.assert_nothing_left(world.alice)


def test_a_container_that_starts_just_then_is_not_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    container_id = world.create(world.alice, "web")
    real = world.engine.remove_container

    def start_first(name: str, **how: bool) -> None:
        world.engine.start_container(name)
        real(name, **how)

    monkeypatch.setattr(world.engine, "remove_container", start_first)
    with pytest.raises(Conflict) as refused:
        remove(world, "web")
    assert container_id in refused.value.message
    assert world.state(container_id) == "running"
    assert world.operations(container_id)[-1][:2] == ("remove", "undone")
    assert world.used(world.alice)[0] == 1


@pytest.mark.parametrize("volumes", [False, True])
def test_anonymous_volumes_go_only_where_wanted(world: World, volumes: bool) -> None:
    world.create(world.alice, "web", Volumes={"/a": {}}, HostConfig={"Binds": ["data:/data"]})
    assert [row[0] for row in world.sql("SELECT anonymous FROM volumes ORDER BY 1")] == [False, True]
    remove(world, "web", volumes=volumes)
    assert [row[0] for row in world.sql("SELECT anonymous FROM volumes ORDER BY 1")] == [False, True][: 2 - volumes]
    assert len(world.engine.volumes) == 2 - volumes


def test_an_anonymous_volume_that_another_container_mounts_stays(world: World) -> None:
    world.create(world.alice, "first", Volumes={"/a": {}})
    world.create(world.alice, "second", HostConfig={"VolumesFrom": ["first"]})
    volume = world.sql("SELECT engine_name FROM volumes")[0][0]
    remove(world, "first", volumes=True)
    assert world.sql("SELECT engine_name FROM volumes") == [(volume,)]


def test_only_one_of_two_removals(world: World) -> None:
    container_id = world.create(world.alice, "web")
    hang = world.engine.hang("remove_container")
    thread = threading.Thread(target=remove, args=(world, "web"))
    thread.start()
    assert hang.reached.wait(30)
    for force in (False, True):
        with pytest.raises(Conflict) as refused:
            remove(world, "web", force=force)
        assert refused.value.message == f"removal of container {container_id} is already in progress"
    listed = world.api.queries.list(world.alice, everything=True, limit=0, filters={}, size=False)
    assert b'"Status":"Removal In Progress"' in listed
    # What an observer sees meanwhile does not make it look as if nothing was happening.
    world.observer.sync.refresh(container_id)
    assert world.state(container_id) == "removing"
    listed = world.api.queries.list(world.alice, everything=True, limit=0, filters={}, size=False)
    assert b'"State":"removing","Status":"Removal In Progress"' in listed
    hang.release()
    thread.join(30)
    world.assert_nothing_left(world.alice)


def test_a_removal_does_not_mind_what_an_observer_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the row and the claim of it."""
    container_id = world.create(world.alice, "web")
    real = ContainerLifecycle._allowed

    def allowed(self: ContainerLifecycle, *args: object) -> object:
        found = real(self, *args)  # type: ignore[arg-type]
        world.observer.sync.refresh(container_id)
        return found

    monkeypatch.setattr(ContainerLifecycle, "_allowed", allowed)
    remove(world, "web")
    world.assert_nothing_left(world.alice)


def test_a_removal_whose_answer_is_lost_is_finished(world: World) -> None:
    container_id = world.create(world.alice, "web", Volumes={"/a": {}})
    world.engine.fail("remove_container", Unavailable("lost"), after=True)
    with pytest.raises(Unavailable):
        remove(world, "web", volumes=True)
    assert world.state(container_id) == "removing"
    assert world.used(world.alice)[0] == 1
    world.observer.recovery.run()
    world.assert_nothing_left(world.alice)


def test_a_removal_that_fails_but_happened_is_not_stuck(world: World) -> None:
    container_id = world.create(world.alice, "web")
    world.engine.fail("remove_container", Internal("driver failed to remove root filesystem"), after=True)
    with pytest.raises(Internal):
        remove(world, "web")
    assert world.operations(container_id)[-1][:2] == ("remove", "undone")
    world.observer.recovery.sweep(world.node)
    world.assert_nothing_left(world.alice)


def test_a_container_that_the_engine_has_lost_can_be_removed(world: World) -> None:
    container_id = world.run(world.alice, "web")
    engine = world.on_engine(container_id)
    assert engine
    world.engine.remove_container(engine.id, force=True)
    remove(world, "web")
    world.assert_nothing_left(world.alice)


def test_auto_remove(world: World) -> None:
    container_id = world.run(world.alice, "web", Volumes={"/a": {}}, HostConfig={"AutoRemove": True})
    stop(world, "web")
    wait_for(lambda: world.state(container_id) is None)
    world.assert_nothing_left(world.alice)
    assert world.operations(container_id)[-1] == ("stop", "done", "")
