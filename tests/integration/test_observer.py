"""The observer over a fake engine: rows follow the engine, events are stored, one bad message stops nothing."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from app import observer as module
from app.domain.policy import decide_exec
from app.errors import Internal, NotFound, Unavailable
from app.observer import Observer
from app.services import container_io, put_off
from tests.fakes.body import FakeBody
from tests.integration.world import Member, World, wait_for


@pytest.fixture
def observer(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Observer]:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.2)
    made = Observer(world.observer.core)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(30)
    assert not thread.is_alive()
    for name in ("node-", "watch-", "beat"):
        wait_for(lambda name=name: not [t for t in threading.enumerate() if t.name.startswith(name)])


@pytest.fixture
def follows(world: World, observer: Observer) -> Observer:
    wait_for(lambda: world.engine.bodies)
    return observer


def actions(world: World) -> list[str]:
    """What containers were told to have done."""
    return [action for (action,) in world.sql("SELECT action FROM events WHERE type = 'container' ORDER BY id")]


def test_rows_follow_the_engine(world: World, follows: Observer) -> None:
    container_id = world.run(world.alice, "web", Labels={"tier": "front"})
    world.engine.die(world.on_engine(container_id).id, 3)  # type: ignore[union-attr]
    wait_for(lambda: "die" in actions(world))
    row = world.row(container_id)
    assert row and (row.state, row.exit_code) == ("exited", 3)
    assert actions(world) == ["create", "start", "die"]
    event = world.sql("SELECT account_id::text, actor_id, attributes, type FROM events WHERE action = 'die'")[0]
    wanted = {"tier": "front", "name": "web", "image": "busybox", "exitCode": "3"}
    assert event == (str(world.alice.id), container_id, wanted, "container")


def test_the_state_is_there_before_its_event_is(world: World, follows: Observer) -> None:
    # The sweep stands still: it is the event's own look that hangs.
    sweep = world.engine.hang("version")
    assert sweep.reached.wait(30)
    container_id = world.run(world.alice, "web")
    wait_for(lambda: "start" in actions(world))
    hang = world.engine.hang("inspect_container")
    world.engine.die(world.on_engine(container_id).id, 3)  # type: ignore[union-attr]
    assert hang.reached.wait(30)
    assert "die" not in actions(world)
    hang.release()
    wait_for(lambda: "die" in actions(world))
    assert world.state(container_id) == "exited"
    sweep.release()


def test_auto_removed_containers_go(world: World, follows: Observer) -> None:
    container_id = world.run(world.alice, "web", HostConfig={"AutoRemove": True})
    world.engine.die(world.on_engine(container_id).id, 0)  # type: ignore[union-attr]
    wait_for(lambda: "destroy" in actions(world))
    world.assert_nothing_left(world.alice)
    # The name is told although the row is gone.
    assert world.sql("SELECT attributes ->> 'name' FROM events WHERE action = 'destroy'") == [("web",)]


def test_who_waits_for_what_has_removed_itself_learns_its_code(
    world: World, follows: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that starts it and waits for it next is not as fast as a container may be."""
    monkeypatch.setattr(container_io, "STARTED_JUST_NOW_SECONDS", 50)
    monkeypatch.setattr(container_io, "EVENTS_SECONDS", 30)
    container_id = world.run(world.alice, "web", HostConfig={"AutoRemove": True})
    world.engine.die(world.on_engine(container_id).id, 3)  # type: ignore[union-attr]
    assert world.api.io.wait(world.alice, container_id, "not-running") == {"StatusCode": 3}
    assert world.api.io.wait(world.alice, container_id, "removed") == {"StatusCode": 3}
    world.assert_nothing_left(world.alice)
    # It is not another one's, nobody waits for the next end of what is no more, and it is soon forgotten.
    for account, condition in ((world.bob, "not-running"), (world.alice, "next-exit")):
        with pytest.raises(NotFound, match=f"No such container: {container_id}"):
            world.api.io.wait(account, container_id, condition)
    world.sql("UPDATE operations SET finished_at = finished_at - interval '1 minute'")
    with pytest.raises(NotFound):
        world.api.io.wait(world.alice, container_id, "not-running")


@pytest.mark.parametrize("code", ["abc", "99999999999", ""])
def test_a_label_is_not_taken_for_an_exit_code(
    world: World, follows: Observer, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """An engine's attributes give way to labels of the same name."""
    monkeypatch.setattr(container_io, "EVENTS_SECONDS", 0.1)
    container_id = world.run(world.alice, "web", HostConfig={"AutoRemove": True})
    world.engine.die(world.on_engine(container_id).id, 3)  # type: ignore[union-attr]
    wait_for(lambda: "destroy" in actions(world))
    world.sql("UPDATE events SET attributes = attributes || %s WHERE action = 'die'", json.dumps({"exitCode": code}))
    with pytest.raises(NotFound):
        world.api.io.wait(world.alice, container_id, "not-running")


def test_who_waits_for_what_somebody_has_removed_is_told_that_it_is_no_more(world: World, follows: Observer) -> None:
    container_id = world.run(world.alice, "web")
    world.api.lifecycle.remove(world.alice, "web", force=True, volumes=False, link=False)
    wait_for(lambda: "destroy" in actions(world))
    with pytest.raises(NotFound, match=f"No such container: {container_id}"):
        world.api.io.wait(world.alice, container_id, "not-running")


def test_a_network_that_the_engine_has_lost_is_made_again(world: World, follows: Observer) -> None:
    world.create(world.alice, "web")
    (name,) = (name for name in world.engine.networks if name.startswith("n-"))
    world.engine.remove_network(name)
    wait_for(lambda: name in world.engine.networks)
    world.api.lifecycle.start(world.alice, world.create(world.alice, "brief", HostConfig={"AutoRemove": True}))
    # One that cannot be made does not stop what comes behind it.
    world.api.lifecycle.remove(world.alice, "brief", force=True, volumes=False, link=False)
    world.engine.fail("create_network", Internal("no room"))
    world.engine.remove_network(name)
    world.api.lifecycle.remove(world.alice, "web", force=False, volumes=False, link=False)
    wait_for(lambda: actions(world).count("destroy") == 2)


def test_one_bad_message_does_not_stop_the_others(world: World, follows: Observer) -> None:
    for labels in ({"sdc.container": "x"}, {"sdc.container": "y", "sdc.account": "no uuid"}, {}):
        body = {"Image": world.image_id, "Cmd": ["true"], "Labels": {"sdc.fleet": "test-fleet", **labels}}
        world.engine.create_container(f"foreign-{len(labels)}", body)
    connects = len(world.engine.bodies)
    world.run(world.alice, "web")
    wait_for(lambda: "start" in actions(world))
    assert len(world.engine.bodies) == connects
    assert actions(world) == ["create", "start"]


def test_an_exec_has_one_id_in_all_its_events(world: World, follows: Observer) -> None:
    """An engine tells that it was made before its row can be there."""
    container_id = world.run(world.alice, "web")
    body = {"Cmd": ["true"]}
    # A health check's, which nobody made here.
    world.engine.create_exec(world.on_engine(container_id).id, body)  # type: ignore[union-attr]
    exec_id = world.api.io.create_exec(world.alice, "web", decide_exec(body))
    world.api.io.start_exec_detached(world.alice, exec_id, tty=False)
    wait_for(lambda: "exec_start: true" in actions(world))
    told = world.sql("SELECT attributes ->> 'execID' FROM events WHERE action LIKE 'exec%' ORDER BY id")
    of_the_check, made, started = (told_id for (told_id,) in told[:3])
    assert made == started == exec_id
    assert of_the_check and of_the_check != exec_id and of_the_check not in world.engine.execs


def test_a_long_command_stops_nobody(world: World, follows: Observer) -> None:
    world.run(world.alice, "web")
    world.api.io.create_exec(world.alice, "web", decide_exec({"Cmd": ["true", os.urandom(60_000).hex()]}))
    world.run(world.bob, "bobs")
    wait_for(lambda: actions(world).count("start") == 2)
    assert [action[:17] for action in actions(world) if action.startswith("exec")] == ["exec_create: true"]


def test_labels_that_an_image_brings_are_not_believed(world: World, follows: Observer) -> None:
    """What a build runs carries the labels of its image, and those may be the ones of somebody's container."""
    container_id = world.run(world.alice, "web")
    wait_for(lambda: "start" in actions(world))
    stolen = dict(world.on_engine(container_id).config["Labels"])  # type: ignore[union-attr]
    made = world.engine.create_container("busy_builder", {"Image": world.image_id, "Cmd": ["true"], "Labels": stolen})
    world.engine.start_container("busy_builder")
    assert made is not None
    world.engine.die(made["Id"], 7)
    world.engine.remove_container("busy_builder", force=True)
    world.engine.pause_container(world.on_engine(container_id).name)  # type: ignore[union-attr]
    wait_for(lambda: "pause" in actions(world))
    assert actions(world) == ["create", "start", "pause"]
    assert world.state(container_id) == "paused"


def dies_unseen(world: World, error: Exception) -> tuple[str, int]:
    """A container that ends while its engine fails once to tell of it: its id, and how many streams there were."""
    container_id = world.run(world.alice, "web")
    wait_for(lambda: "start" in actions(world))
    connects = len(world.engine.bodies)
    world.engine.fail("inspect_container", error, times=1)
    world.engine.die(world.on_engine(container_id).id, 3)  # type: ignore[union-attr]
    wait_for(lambda: "die" in actions(world))
    return container_id, connects


def test_a_container_that_cannot_be_read_does_not_take_the_node_down(world: World, follows: Observer) -> None:
    container_id, connects = dies_unseen(world, Internal("broken layer"))
    wait_for(lambda: world.state(container_id) == "exited")  # The sweep saw it.
    assert len(world.engine.bodies) == connects
    assert world.sql("SELECT state FROM nodes") == [("up",)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """How long a container is left alone goes by its `now`, which stands still."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(put_off, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_a_container_that_is_not_told_of_does_not_take_the_node_down(
    world: World, clock: SimpleNamespace, follows: Observer
) -> None:
    """An engine does not tell of a container while files are copied from it, which a client may draw out at will."""
    container_id, connects = dies_unseen(world, Unavailable("timed out"))
    assert world.state(container_id) == "running"
    clock.now += put_off.PUT_OFF_SECONDS
    wait_for(lambda: world.state(container_id) == "exited")  # The sweep saw it.
    assert len(world.engine.bodies) == connects
    assert world.sql("SELECT state FROM nodes") == [("up",)]


def test_many_that_are_not_told_of_do_not_hold_up_the_others(world: World, clock: SimpleNamespace) -> None:
    """One account with a hundred such containers would take minutes of everybody's events."""
    ids = [world.create(world.alice) for _ in range(24)]
    others = world.create(world.bob)
    sync = world.observer.recovery._sync
    for container_id in ids:
        world.engine.fail("inspect_container", Unavailable("timed out"))
        sync.try_refresh(container_id)
    sync.try_refresh(others)
    *looked, at_others = [call.kwargs["timeout"] for call in world.engine.called("inspect_container")[-len(ids) - 1 :]]
    assert looked == sorted(looked, reverse=True)
    assert looked[0] == 2 and looked[-1] == 0.1 and sum(looked) < 8
    assert at_others == 2, "another account has less for it"
    before = len(world.engine.called("inspect_container"))
    sync.try_refresh(ids[0])
    assert len(world.engine.called("inspect_container")) == before, "it was not left alone"


def test_a_node_that_goes_and_comes_back(world: World, follows: Observer) -> None:
    container_id = world.run(world.alice, "web")
    wait_for(lambda: "start" in actions(world))
    world.engine.away = True
    world.engine.bodies[-1].close()
    wait_for(lambda: world.sql("SELECT state FROM nodes") == [("down",)])
    with pytest.raises(Unavailable):
        world.create(world.alice)
    world.engine.away = False
    world.engine.die(world.on_engine(container_id).id, 3)  # type: ignore[union-attr]
    wait_for(lambda: world.state(container_id) == "exited")
    wait_for(lambda: world.sql("SELECT state FROM nodes") == [("up",)])
    # What happened meanwhile is replayed, what was stored before is not stored twice.
    wait_for(lambda: "die" in actions(world))
    assert actions(world) == ["create", "start", "die"]


def test_a_node_that_hangs_is_found_out(world: World, follows: Observer) -> None:
    """Its event stream stays open and silent."""
    world.engine.away = True
    wait_for(lambda: world.sql("SELECT state FROM nodes") == [("down",)])


def test_another_engine_at_the_address_is_not_followed(
    world: World, monkeypatch: pytest.MonkeyPatch, follows: Observer
) -> None:
    world.run(world.alice, "web")
    world.engine.containers.clear()
    info = world.engine.info
    monkeypatch.setattr(world.engine, "info", lambda: {**info(), "ID": "ANOTHER"})
    world.engine.bodies[-1].close()
    wait_for(lambda: world.sql("SELECT state FROM nodes") == [("down",)])


def test_two_observers_share_the_nodes(world: World, follows: Observer) -> None:
    other = Observer(Member(world.store, world.fleet, world.settings, "observer").core)
    other._lease_nodes()
    assert other._followers == {}
    world.sql("UPDATE nodes SET lease_until = now() - interval '1 second', lease_process_id = gen_random_uuid()")
    follows._lease_nodes()
    other._lease_nodes()
    assert other._followers == {}


def test_one_that_stops_leaves_its_nodes_to_others_at_once(world: World, follows: Observer) -> None:
    follows.stop()
    wait_for(lambda: world.sql("SELECT lease_until FROM nodes") == [(None,)])
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("node-")])
    assert world.sql("SELECT state FROM nodes") == [("up",)]
    second = Observer(Member(world.store, world.fleet, world.settings, "observer").core)
    thread = threading.Thread(target=second.run)
    thread.start()
    try:
        world.run(world.alice, "web")
        wait_for(lambda: actions(world) == ["create", "start"])
    finally:
        second.stop()
        thread.join(30)


def test_one_that_stops_while_it_takes_nodes_leaves_them_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is slow: its last sign of life is still under way."""
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.1)
    lease, taking, go_on = module.nodes.lease, threading.Event(), threading.Event()

    def slow(*given: Any) -> bool:
        taking.set()
        assert go_on.wait(30)
        return lease(*given)

    monkeypatch.setattr(module.nodes, "lease", slow)
    observer = Observer(world.observer.core)
    thread = threading.Thread(target=observer.run)
    thread.start()
    assert taking.wait(30)
    observer.stop()
    thread.join(0.5)
    go_on.set()
    thread.join(30)
    wait_for(lambda: not [t for t in threading.enumerate() if t.name == "beat"])
    assert world.sql("SELECT lease_until FROM nodes") == [(None,)]
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("node-")], timeout=10)


def test_abandoned_operations_are_ended(world: World, follows: Observer) -> None:
    container_id = world.create(world.alice, "web")
    world.engine.fail("start_container", Unavailable("lost"), after=True)
    with pytest.raises(Unavailable):
        world.api.lifecycle.start(world.alice, "web")
    wait_for(lambda: world.operations(container_id)[-1] == ("start", "done", ""))
    assert world.state(container_id) == "running"


def test_signs_of_life(world: World, follows: Observer) -> None:
    statement = "SELECT heartbeat_at FROM processes WHERE kind = 'observer'"
    before = world.sql(statement)
    wait_for(lambda: world.sql(statement) > before)


def test_old_history_is_forgotten(world: World, observer: Observer) -> None:
    insert = """
        INSERT INTO events (account_id, node_id, time_nano, type, action, actor_id, attributes)
        VALUES (%s, %s, %s, 'container', 'die', 'x', '{}')
        """
    now = time.time_ns()
    for days in (1, 6, 8, 30):
        world.sql(insert, str(world.alice.id), str(world.node.id), now - days * 86400 * 10**9)
    observer._forget()
    assert world.sql("SELECT count(*) FROM events") == [(2,)]


def test_a_stream_that_was_stopped_before_it_began(world: World) -> None:
    follower = module.NodeFollower(world.observer.core, world.node.id)
    follower.stop()
    wait_for(lambda: not follower.alive)


def test_a_stream_is_closed_when_nobody_reads_it_any_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its events cannot be recorded: a response breaks when it is closed in the middle of a read."""
    messages, close = FakeBody.messages, FakeBody.close
    readers: list[list[str]] = []

    def slow(body: FakeBody) -> Iterator[dict]:
        yield from messages(body)
        time.sleep(0.3)

    def counted(body: FakeBody) -> None:
        if body in world.engine.bodies:
            readers.append([t.name for t in threading.enumerate() if t.name.startswith("read-")])
        close(body)

    def unrecorded(*_: object) -> list:
        raise Unavailable("the service's database cannot be reached now")

    monkeypatch.setattr(module, "READER_SECONDS", 30)
    monkeypatch.setattr(FakeBody, "messages", slow)
    monkeypatch.setattr(FakeBody, "close", counted)
    monkeypatch.setattr(module.NodeEvents, "observe", unrecorded)
    follower = module.NodeFollower(world.observer.core, world.node.id)
    wait_for(lambda: world.engine.bodies)
    world.create(world.alice)
    wait_for(lambda: readers)
    follower.stop()
    wait_for(lambda: not follower.alive)
    assert not any(readers)
