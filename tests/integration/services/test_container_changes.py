"""update, commit, pause and the files of containers over a fake engine: what ends where, whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.policy import Rules, decide_update
from app.errors import Conflict, Error, Forbidden, Internal, InvalidParameter, NotFound, Unavailable
from app.services.container_commit import CommitSpec, ContainerCommit
from app.services.container_files import ContainerFiles
from app.services.container_stats import ContainerStats
from app.services.container_update import ContainerUpdate
from tests import busybox
from tests.integration.world import Member, World, at_once, wait_for

MIB = 1 << 20


def update(world: World, account: Any, name: str, by: Member | None = None, **body: Any) -> list[str]:
    core = (by or world.api).core
    service = ContainerUpdate(core.store, core.fleet, core.sync, core.intents, Rules())
    return service.update(account, name, decide_update(body, Rules()))


def commit(world: World, account: Any, name: str, **spec: Any) -> str:
    core = world.api.core
    return ContainerCommit(core.store, core.fleet, core.intents, core.content).commit(account, name, CommitSpec(**spec))


def files(world: World, *, old: bool = False) -> ContainerFiles:
    return ContainerFiles(world.store, world.fleet, copy_on_old_engines=old)  # type: ignore[arg-type]


def tar(name: str, content: bytes) -> list[bytes]:
    return [busybox.files({name: content})]


def size(world: World, container_id: str) -> tuple[int, int]:
    row = world.row(container_id)
    assert row
    return row.memory, row.nano_cpus


# -- pause ---------------------------------------------------------------------------------------------------------


def test_pause_and_unpause(world: World) -> None:
    container = world.run(world.alice, "web")
    world.api.lifecycle.pause(world.alice, "web")
    assert (world.state(container), world.last_operation()[:2]) == ("paused", ("pause", "done"))
    with pytest.raises(Conflict, match="is already paused"):
        world.api.lifecycle.pause(world.alice, "web")
    world.api.lifecycle.unpause(world.alice, "web")
    assert (world.state(container), world.last_operation()[:2]) == ("running", ("unpause", "done"))
    for name in ("web", container):
        with pytest.raises(NotFound):
            world.api.lifecycle.pause(world.bob, name)


# -- update --------------------------------------------------------------------------------------------------------


def test_update_counts_what_is_set(world: World) -> None:
    container = world.run(world.alice, "web", HostConfig={"Memory": 64 * MIB})
    others = world.used(world.alice)[1] - 64 * MIB
    assert update(world, world.alice, "web", Memory=256 * MIB) == []
    assert size(world, container)[0] == 256 * MIB and world.used(world.alice)[1] == others + 256 * MIB
    assert world.on_engine(container).host["MemorySwap"] == 256 * MIB  # type: ignore[union-attr]
    update(world, world.alice, "web", Memory=32 * MIB, RestartPolicy={"Name": "always"})
    assert size(world, container)[0] == 32 * MIB and world.used(world.alice)[1] == others + 32 * MIB
    assert world.on_engine(container).host["RestartPolicy"]["Name"] == "always"  # type: ignore[union-attr]
    assert world.last_operation() == ("update", "done", "")
    world.api.lifecycle.remove(world.alice, "web", force=True, volumes=False, link=False)
    assert world.used(world.alice) == (0, 0, 0)


def test_what_the_engine_refuses_counts_nothing(world: World) -> None:
    container = world.run(world.alice, "web", HostConfig={"Memory": 64 * MIB, "AutoRemove": True})
    before = (size(world, container), world.used(world.alice))
    with pytest.raises(Conflict, match="AutoRemove"):
        update(world, world.alice, "web", Memory=256 * MIB, RestartPolicy={"Name": "always"})
    assert (size(world, container), world.used(world.alice)) == before
    assert world.last_operation()[:2] == ("update", "undone")


@pytest.mark.parametrize("after", [False, True])
def test_an_answer_that_is_lost(world: World, after: bool) -> None:
    """Until it is known how it ended the larger size is reserved; an observer settles it."""
    container = world.run(world.alice, "web", HostConfig={"Memory": 64 * MIB})
    world.engine.fail("update_container", Unavailable("lost"), after=after)
    with pytest.raises(Unavailable):
        update(world, world.alice, "web", Memory=256 * MIB)
    assert size(world, container)[0] == 256 * MIB
    world.observer.recovery.run()
    assert size(world, container)[0] == (256 if after else 64) * MIB
    assert world.used(world.alice)[1] == size(world, container)[0]
    assert world.last_operation() == ("update", "done", "")


def test_the_quota_is_never_passed(world: World) -> None:
    for number in range(4):
        world.create(world.alice, f"box{number}", HostConfig={"Memory": 64 * MIB})
    world.sql("UPDATE accounts SET max_memory = %s WHERE login = 'alice'", 320 * MIB)
    calls: list[Callable[[], Any]] = [
        lambda number=number: update(world, world.alice, f"box{number}", Memory=128 * MIB)  # type: ignore[misc]
        for number in range(4)
    ]
    results = at_once(calls)
    assert sorted(type(r) is Forbidden for r in results) == [False, True, True, True], results
    assert world.used(world.alice)[1] == 320 * MIB


def test_one_update_at_a_time(world: World) -> None:
    world.create(world.alice, "web", HostConfig={"Memory": 64 * MIB})
    hang = world.engine.hang("update_container")
    first = threading.Thread(target=lambda: update(world, world.alice, "web", Memory=128 * MIB))
    first.start()
    assert hang.reached.wait(30)
    with pytest.raises(Conflict, match="just being updated"):
        update(world, world.alice, "web", Memory=256 * MIB)
    hang.release()
    first.join(30)
    assert world.used(world.alice)[1] == 128 * MIB


def test_more_swap_than_the_package_has(world: World) -> None:
    world.create(world.alice, "web", HostConfig={"Memory": 64 * MIB})
    with pytest.raises(Forbidden, match="more swap than memory"):
        update(world, world.alice, "web", MemorySwap=1 << 40)
    assert world.last_operation()[0] == "create"


def test_update_is_of_ones_own(world: World) -> None:
    container = world.create(world.alice, "web")
    for name in ("web", container, container[:12]):
        with pytest.raises(NotFound, match=f"No such container: {name}"):
            update(world, world.bob, name, Memory=64 * MIB)
    with pytest.raises(InvalidParameter, match="no package supports"):
        update(world, world.alice, "web", Memory=1 << 60)


# -- commit --------------------------------------------------------------------------------------------------------


def engine_names(world: World) -> list[str]:
    return [name for name in world.engine.names if "commit" in name]


def test_commit_makes_an_image_of_the_accounts(world: World) -> None:
    container = world.run(world.alice, "web", Labels={"tier": "web"})
    image = commit(world, world.alice, "web", repository="made", tag="one", comment="hi", changes=["ENV A=1"])
    assert world.sql("SELECT account_id::text FROM account_images WHERE image_id = %s", image) == [
        (str(world.alice.id),)
    ]
    names = world.sql("SELECT repository, reference FROM image_names WHERE image_id = %s", image)
    assert names == [("docker.io/library/made", "one")]
    kept = world.engine.images[image]
    assert kept["Config"]["Labels"] == {"tier": "web"} and "A=1" in kept["Config"]["Env"]
    assert engine_names(world) == []
    told = world.sql("SELECT type, action, actor_id, attributes FROM events WHERE node_id IS NULL ORDER BY id")
    assert [(kind, action, actor) for kind, action, actor, _ in told][-2:] == [
        ("container", "commit", container),
        ("image", "tag", image),
    ]
    attributes = told[-2][3]
    assert attributes["imageID"] == image and attributes["tier"] == "web" and attributes["name"] == "web"
    assert world.sql("SELECT kind FROM operations WHERE state = 'pending'") == []
    with pytest.raises(NotFound):
        commit(world, world.bob, container)


@pytest.mark.parametrize("call", ["commit_container", "inspect_image", "load_images"])
@pytest.mark.parametrize("after", [False, True])
def test_a_commit_that_fails_leaves_nothing(world: World, call: str, after: bool) -> None:
    world.run(world.alice, "web")
    images = world.sql("SELECT image_id FROM account_images ORDER BY 1")
    world.engine.fail(call, Internal("disk full"), after=after)
    with pytest.raises(Error):
        commit(world, world.alice, "web", repository="made")
    world.observer.recovery.run()
    assert world.sql("SELECT image_id FROM account_images ORDER BY 1") == images
    assert engine_names(world) == []
    assert world.sql("SELECT kind FROM operations WHERE state = 'pending'") == []
    commit(world, world.alice, "web", repository="made")


def test_a_commit_whose_process_died(world: World) -> None:
    world.run(world.alice, "web")
    world.engine.fail("load_images", Unavailable("lost"), after=True)
    world.engine.fail("remove_image", Unavailable("lost"), times=3)
    with pytest.raises(Unavailable):
        commit(world, world.alice, "web", repository="made")
    assert engine_names(world)
    wait_for(lambda: world.observer.recovery.run() or not engine_names(world))
    assert world.sql("SELECT kind FROM operations WHERE state = 'pending'") == []
    assert world.sql("SELECT reference FROM image_names WHERE repository = 'docker.io/library/made'") == []


# -- files and samples ---------------------------------------------------------------------------------------------


def test_files_both_ways(world: World) -> None:
    container = world.run(world.alice, "web")
    service = files(world)
    service.write(world.alice, "web", "/tmp", tar("a", b"hello"), keep_kinds=False, copy_owner=False)
    stat = service.stat(world.alice, container, "tmp/a")
    assert (stat.name, stat.size, stat.link_target) == ("a", 5, "")
    opened = service.read(world.alice, "web", "/tmp/a")
    assert opened.stat == stat and opened.upstream.headers["Content-Length"]
    opened.upstream.close()
    changes = service.changes(world.alice, "web")
    changes.sock.settimeout(30)
    assert b'\r\n[{"Path": "/tmp/a", "Kind": 1}]\n\r\n' in changes.sock.recv(65536)
    changes.close()
    service.export(world.alice, "web").close()
    with pytest.raises(NotFound, match="No such container: web"):
        service.changes(world.bob, "web")
    for call in (service.stat, service.read):
        with pytest.raises(NotFound, match="Could not find the file /nope in container web"):
            call(world.alice, "web", "/nope")
        with pytest.raises(NotFound, match="No such container: web"):
            call(world.bob, "web", "/tmp/a")
    for path in ("", "/a\n", "/" + "x" * 5000):
        with pytest.raises(InvalidParameter):
            service.stat(world.alice, "web", path)


def test_an_old_engine_copies_nothing_past_the_volumes_of_what_runs(world: World) -> None:
    container = world.run(world.alice, "web", HostConfig={"Binds": ["data:/data"]})
    for call in (files(world).stat, files(world).read):
        with pytest.raises(Conflict, match="stop the container first"):
            call(world.alice, "web", "/etc/passwd")
    assert files(world, old=True).stat(world.alice, "web", "/etc/passwd").name == "passwd"
    world.engine.die(world.on_engine(container).id, 0)  # type: ignore[union-attr]
    world.api.sync.refresh(container)
    assert files(world).stat(world.alice, "web", "/etc/passwd").name == "passwd"
    world.api.lifecycle.start(world.alice, "web")
    world.sql("UPDATE nodes SET engine_version = '29.5.1'")
    assert files(world).stat(world.alice, "web", "/etc/passwd").name == "passwd"


def test_samples(world: World) -> None:
    container = world.run(world.alice, "web")
    service = ContainerStats(world.store, world.fleet)  # type: ignore[arg-type]
    opened = service.open(world.alice, "web", stream=False, one_shot=True)
    opened.upstream.close()
    assert world.engine.called("stats")[-1].args[1] == {"stream": "0", "one-shot": "1"}
    sample = opened.sample({"read": "r", "preread": "p", "secret": "x"})
    assert (sample["id"], sample["name"]) == (container, "/web") and "secret" not in sample
    with pytest.raises(NotFound):
        service.open(world.bob, container, stream=True, one_shot=False)
