from __future__ import annotations

from uuid import UUID

import pytest

from app.domain.operation import OperationState
from app.errors import Internal, Unavailable
from app.store import operations
from tests.integration.world import Member, World


class Killed(BaseException):
    """The process is gone at this point: nothing of it runs any more."""


def die_at(world: World, monkeypatch: pytest.MonkeyPatch, call: str, *, after: bool) -> None:
    """The process is killed before or after the engine call; its signs of life end."""
    real = getattr(world.engine, call)

    def killed(*args: object, **how: object) -> None:
        monkeypatch.setattr(world.engine, call, real)
        if after:
            real(*args, **how)
        # A killed process hands nothing over.
        monkeypatch.setattr(world.api.process, "abandon", lambda operation_id: None)
        world.silence(world.api.process)
        raise Killed

    monkeypatch.setattr(world.engine, call, killed)


@pytest.mark.parametrize("after", [False, True])
def test_create(world: World, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    die_at(world, monkeypatch, "create_container", after=after)
    with pytest.raises(Killed):
        world.create(world.alice, "web", HostConfig={"Binds": ["data:/data"]}, Volumes={"/a": {}})
    assert world.used(world.alice)[0] == 1
    for _ in range(2):
        world.observer.recovery.run()
        world.assert_nothing_left(world.alice)
        assert world.last_operation() == ("create", "undone", "its process died")
    world.create(world.alice, "web")


def test_a_create_that_was_undone_up_to_its_last_word(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is gone, the operation still pending: it ends undone, or its engine object could never be judged."""
    die_at(world, monkeypatch, "create_container", after=True)
    with pytest.raises(Killed):
        world.create(world.alice, "web")
    world.sql("DELETE FROM containers")
    world.sql("UPDATE accounts SET used_containers = 0, used_memory = 0, used_nano_cpus = 0")
    world.observer.recovery.run()
    world.assert_nothing_left(world.alice)
    assert world.last_operation()[:2] == ("create", "undone")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("force", [False, True])
def test_remove(world: World, monkeypatch: pytest.MonkeyPatch, after: bool, force: bool) -> None:
    container_id = world.create(world.alice, "web", Volumes={"/a": {}})
    if force:
        world.api.lifecycle.start(world.alice, "web")
    die_at(world, monkeypatch, "remove_container", after=after)
    with pytest.raises(Killed):
        world.api.lifecycle.remove(world.alice, "web", force=force, volumes=True, link=False)
    # Between the two, the node's followers and sweeps leave it to the operation.
    world.observer.sync.refresh(container_id)
    world.observer.recovery.sweep(world.node)
    assert world.state(container_id) == "removing"
    for _ in range(2):
        world.observer.recovery.run()
        world.assert_nothing_left(world.alice)
    assert world.operations(container_id)[-1] == ("remove", "done", "")


def test_a_removal_without_force_of_what_runs_by_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    container_id = world.create(world.alice, "web")
    die_at(world, monkeypatch, "remove_container", after=False)
    with pytest.raises(Killed):
        world.api.lifecycle.remove(world.alice, "web", force=False, volumes=False, link=False)
    world.engine.start_container(world.on_engine(container_id).id)  # type: ignore[union-attr]
    world.observer.recovery.run()
    assert world.state(container_id) == "running"
    assert world.operations(container_id)[-1][:2] == ("remove", "undone")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["start", "stop", "restart", "kill"])
def test_the_row_is_made_what_the_engine_says(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, after: bool
) -> None:
    container_id = world.create(world.alice, "web") if kind == "start" else world.run(world.alice, "web")
    die_at(world, monkeypatch, f"{kind}_container", after=after)
    lifecycle = world.api.lifecycle
    with pytest.raises(Killed):
        match kind:
            case "start":
                lifecycle.start(world.alice, "web")
            case "kill":
                lifecycle.kill(world.alice, "web", signal="KILL")
            case _:
                getattr(lifecycle, kind)(world.alice, "web", seconds=0, signal=None)
    for _ in range(2):
        world.observer.recovery.run()
        assert world.state(container_id) == world.on_engine(container_id).state["Status"]  # type: ignore[union-attr]
        assert world.operations(container_id)[-1] == (kind, "done", "")


@pytest.mark.parametrize("call", ["find_network", "create_network"])
@pytest.mark.parametrize("after", [False, True])
def test_network(world: World, monkeypatch: pytest.MonkeyPatch, call: str, after: bool) -> None:
    die_at(world, monkeypatch, call, after=after)
    with pytest.raises(Killed):
        world.create(world.alice, "web")
    for _ in range(2):
        world.observer.recovery.run()
        assert world.sql("SELECT ready FROM networks") == [(True,)]
        assert len([name for name in world.engine.networks if name.startswith("n-")]) == 1
    world.run(world.alice, "web")


def test_a_container_that_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    container_id = world.create(world.alice, "web")
    die_at(world, monkeypatch, "start_container", after=False)
    with pytest.raises(Killed):
        world.api.lifecycle.start(world.alice, "web")
    world.engine.remove_container(world.on_engine(container_id).id)  # type: ignore[union-attr]
    world.observer.recovery.run()
    assert world.operations(container_id)[-1][:2] == ("start", "done")
    assert world.state(container_id) == "dead"


def test_a_rename_of_what_the_engine_has_lost(world: World) -> None:
    container_id = world.create(world.alice, "old")
    world.engine.fail("inspect_container", Unavailable("away"))
    with pytest.raises(Unavailable):
        world.api.lifecycle.rename(world.alice, "old", "new")
    world.engine.remove_container(world.on_engine(container_id).id)  # type: ignore[union-attr]
    world.observer.recovery.run()
    assert world.operations(container_id)[-1] == ("rename", "done", "")


# -- who may end what ------------------------------------------------------------------------------------------------


def begin(world: World, member: Member) -> tuple[str, UUID]:
    """A start whose outcome is open, held by `member`."""
    container_id = world.create(world.alice, "web", by=member)
    world.engine.fail("start_container", Killed())  # type: ignore[arg-type]
    abandon, member.process.abandon = member.process.abandon, lambda operation_id: None  # type: ignore[method-assign]
    with pytest.raises(Killed):
        member.lifecycle.start(world.alice, "web")
    member.process.abandon = abandon  # type: ignore[method-assign]
    (operation_id,) = world.sql("SELECT id FROM operations WHERE state = 'pending'")[0]
    return container_id, UUID(operation_id)


def test_an_operation_of_a_process_that_lives_is_its_own(world: World) -> None:
    container_id, _ = begin(world, world.api)
    world.observer.recovery.run()
    assert world.pending_process(container_id) == world.api.process.id
    world.silence(world.api.process)
    world.api.process.beat()
    world.observer.recovery.run()
    assert world.pending_process(container_id) == world.api.process.id


def test_one_that_was_taken_over_is_not_ended_by_its_old_process(world: World) -> None:
    container_id, operation_id = begin(world, world.api)
    world.silence(world.api.process)
    world.engine.away = True
    world.observer.recovery.run()
    assert world.pending_process(container_id) == world.observer.process.id
    world.api.process.beat()
    with pytest.raises(operations.TakenOver), world.store.begin() as tx:
        operations.finish(tx, operation_id, world.api.process.id)
    with world.store.begin() as tx:
        operations.end(tx, operation_id, world.api.process.id, OperationState.DONE)
        operations.hand_over(tx, operation_id, world.api.process.id, UUID(int=0))
    assert world.pending_process(container_id) == world.observer.process.id
    world.engine.away = False
    world.observer.recovery.run()
    assert world.operations(container_id)[-1] == ("start", "done", "")


def test_what_a_live_process_has_lost_is_taken_over_in_the_end(world: World) -> None:
    container_id, _ = begin(world, world.api)
    world.sql("UPDATE operations SET created_at = now() - interval '19 minutes' WHERE state = 'pending'")
    world.api.process.beat()
    world.observer.recovery.run()
    assert world.pending_process(container_id) == world.api.process.id
    world.sql("UPDATE operations SET created_at = now() - interval '21 minutes' WHERE state = 'pending'")
    world.api.process.beat()
    world.observer.recovery.run()
    assert ("start", "done", "") in world.operations(container_id)


def test_an_observer_that_died_leaves_its_share_to_the_next(world: World) -> None:
    container_id, _ = begin(world, world.api)
    world.silence(world.api.process)
    world.engine.away = True
    world.observer.recovery.run()
    world.silence(world.observer.process)
    world.engine.away = False
    Member(world.store, world.fleet, world.settings, "observer").recovery.run()
    assert world.operations(container_id)[-1] == ("start", "done", "")


def test_one_that_cannot_be_ended_does_not_keep_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = world.create(world.alice, "first"), world.create(world.bob, "second")
    for account, name in ((world.alice, "first"), (world.bob, "second")):
        world.engine.fail("start_container", Unavailable("away"))
        with pytest.raises(Unavailable):
            world.api.lifecycle.start(account, name)
    real = world.engine.inspect_container
    bad = world.on_engine(first)
    assert bad

    def inspect(name: str, **how: object) -> dict:
        if name in (bad.name, bad.id):
            raise RuntimeError("defect")
        return real(name, **how)

    monkeypatch.setattr(world.engine, "inspect_container", inspect)
    world.observer.recovery.run()
    assert world.operations(first)[-1][:2] == ("start", "pending")
    assert world.operations(second)[-1][:2] == ("start", "done")


def test_processes_that_are_long_gone_are_forgotten(world: World) -> None:
    begin(world, world.api)
    world.sql("UPDATE processes SET heartbeat_at = now() - interval '1 hour' WHERE kind = 'api'")
    world.engine.away = True
    world.observer.recovery.run()
    world.observer.recovery.run()
    assert world.sql("SELECT kind FROM processes") == [("observer",)]


# -- the sweep -------------------------------------------------------------------------------------------------------


def test_sweep_makes_rows_true(world: World) -> None:
    died, lost, auto, fine = (
        world.run(world.alice, "died"),
        world.run(world.alice, "lost"),
        world.run(world.alice, "auto", HostConfig={"AutoRemove": True}),
        world.run(world.bob, "fine"),
    )
    world.engine.die(world.on_engine(died).id, 3)  # type: ignore[union-attr]
    world.engine.remove_container(world.on_engine(lost).id, force=True)  # type: ignore[union-attr]
    world.engine.die(world.on_engine(auto).id, 3)  # type: ignore[union-attr]
    asked = len(world.engine.called("inspect_container"))
    world.observer.recovery.sweep(world.node)
    assert [world.state(c) for c in (died, lost, auto, fine)] == ["exited", "dead", None, "running"]
    assert len(world.engine.called("inspect_container")) == asked + 3
    world.observer.recovery.sweep(world.node)
    assert len(world.engine.called("inspect_container")) == asked + 3


def test_sweep_finishes_an_auto_removal_that_was_seen_halfway(world: World) -> None:
    container_id = world.run(world.alice, "auto", HostConfig={"AutoRemove": True})
    engine = world.on_engine(container_id)
    assert engine
    engine.state |= {"Status": "removing", "Running": False}
    world.api.sync.refresh(container_id)
    assert world.state(container_id) == "removing"
    engine.state |= {"Status": "exited"}
    world.engine.remove_container(engine.id)
    world.observer.recovery.sweep(world.node)
    world.assert_nothing_left(world.alice)


def test_sweep_removes_what_an_undone_create_left(world: World) -> None:
    """Its engine call outlived its process: the object came after the undoing."""
    container_id = world.create(world.alice, "web")
    stray = world.on_engine(container_id)
    world.sql("DELETE FROM containers")
    world.observer.recovery.sweep(world.node)
    assert world.on_engine(container_id) is stray  # Its create is done: this is for an operator.
    world.sql("UPDATE operations SET state = 'undone' WHERE kind = 'create'")
    world.observer.recovery.sweep(world.node)
    assert world.on_engine(container_id) is None


@pytest.mark.parametrize(
    "labels", [{}, {"sdc.container": "f" * 64}, {"sdc.fleet": "other", "sdc.container": "f" * 64}, {"sdc.op": "x"}]
)
def test_sweep_never_touches_what_is_not_ours(world: World, labels: dict) -> None:
    body = {"Image": world.image_id, "Cmd": ["true"], "Labels": {"sdc.fleet": "test-fleet", **labels}}
    if not labels:
        body["Labels"] = {}
    world.engine.create_container("foreign", body)
    world.observer.recovery.sweep(world.node)
    assert len(world.engine.containers) == 1


def test_sweep_does_not_take_another_container_for_one_of_ours(world: World) -> None:
    """The labels of an image are on what a build runs, too."""
    container_id = world.run(world.alice, "web")
    ours = world.on_engine(container_id)
    assert ours is not None
    body = {"Image": world.image_id, "Cmd": ["true"], "Labels": dict(ours.config["Labels"])}
    world.engine.remove_container(ours.name, force=True)
    world.engine.create_container("busy_builder", body)
    world.sql("UPDATE operations SET state = 'undone' WHERE kind = 'create'")
    world.observer.recovery.sweep(world.node)
    assert world.state(container_id) == "dead"
    assert len(world.engine.containers) == 1


def test_sweep_goes_on_behind_a_container_that_cannot_be_read(world: World) -> None:
    ids = [world.run(world.alice, name) for name in ("first", "second")]
    for container_id in ids:
        world.engine.die(world.on_engine(container_id).id, 0)  # type: ignore[union-attr]
    world.engine.fail("inspect_container", Internal("broken layer"))
    world.observer.recovery.sweep(world.node)
    assert sorted(str(world.state(c)) for c in ids) == ["exited", "running"]


def test_sweep_leaves_a_create_under_way_alone(world: World) -> None:
    world.engine.fail("create_container", Killed())  # type: ignore[arg-type]
    abandon, world.api.process.abandon = world.api.process.abandon, lambda operation_id: None  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.create(world.alice, "web")
    world.api.process.abandon = abandon  # type: ignore[method-assign]
    world.observer.recovery.sweep(world.node)
    assert world.sql("SELECT state FROM containers") == [("creating",)]
