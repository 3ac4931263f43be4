from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.errors import (
    Conflict,
    Error,
    Forbidden,
    Internal,
    InvalidParameter,
    NotFound,
    Unavailable,
)
from app.store import containers, images, nodes
from tests import factories
from tests.factories import GIB, MIB
from tests.integration.world import World, at_once

VOLUMES = {"HostConfig": {"Binds": ["data:/data"]}, "Volumes": {"/anonymous": {}}}


# -- the intent comes first ------------------------------------------------------------------------------------------


def test_the_intent_is_committed_before_the_engine_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple] = []
    real = world.engine.create_container

    def look(name: str, body: dict, **more: Any) -> dict | None:
        labels = body["Labels"]
        operation = world.sql("SELECT kind, state, target FROM operations WHERE id = %s", labels["sdc.op"])
        row = world.sql("SELECT state, name FROM containers WHERE id = %s", labels["sdc.container"])
        seen.append((operation, row, world.used(world.alice), labels["sdc.account"], name))
        return real(name, body, **more)

    monkeypatch.setattr(world.engine, "create_container", look)
    container_id = world.create(world.alice, "web")
    uuid = world.row(container_id).uuid  # type: ignore[union-attr]
    assert seen == [
        (
            [("create", "pending", container_id)],
            [("creating", "web")],
            (1, GIB, 10**9),
            str(world.alice.id),
            f"c-{uuid}",
        )
    ]
    assert world.operations(container_id) == [("create", "done", "")]
    assert container_id.startswith(uuid.hex) and len(container_id) == 64


def test_a_container_that_is_being_created_is_not_to_be_seen(world: World) -> None:
    hang = world.engine.hang("create_container")
    thread = threading.Thread(target=world.create, args=(world.alice, "web"))
    thread.start()
    assert hang.reached.wait(30)
    assert world.api.queries.list(world.alice, everything=True, limit=0, filters={}, size=False) == b"[]"
    assert world.api.queries.list(world.alice, everything=True, limit=0, filters={"name": ["w"]}, size=False) == b"[]"
    with pytest.raises(NotFound):
        world.api.queries.inspect(world.alice, "web")
    with pytest.raises(NotFound):
        world.api.lifecycle.remove(world.alice, "web", force=True, volumes=False, link=False)
    with pytest.raises(Conflict, match=r'The container name "/web" is already in use by container "[0-9a-f]{64}"'):
        world.create(world.alice, "web")
    hang.release()
    thread.join(30)
    assert world.api.queries.inspect(world.alice, "web")["Name"] == "/web"


# -- a failure leaves nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [InvalidParameter, Conflict, Internal, NotFound, Forbidden])
def test_a_refused_create_leaves_nothing(world: World, kind: type[Error]) -> None:
    world.engine.fail("create_container", kind("the engine says no"))
    with pytest.raises(kind, match="the engine says no"):
        world.create(world.alice, "web", **VOLUMES)
    world.assert_nothing_left(world.alice)
    assert world.last_operation() == ("create", "undone", "the engine says no")
    world.create(world.alice, "web", **VOLUMES)


@pytest.mark.parametrize("kind", [InvalidParameter, Internal])
def test_a_create_that_cannot_be_read_back_leaves_nothing(world: World, kind: type[Error]) -> None:
    world.engine.fail("inspect_container", kind("broken"))
    with pytest.raises(kind):
        world.create(world.alice, "web", **VOLUMES)
    world.assert_nothing_left(world.alice)
    assert world.last_operation() == ("create", "undone", "broken")


def test_a_create_whose_answer_is_lost_is_undone(world: World) -> None:
    world.engine.fail("create_container", Unavailable("lost"), after=True)
    with pytest.raises(Unavailable):
        world.create(world.alice, "web", **VOLUMES)
    world.assert_nothing_left(world.alice)
    assert world.last_operation()[:2] == ("create", "undone")


@pytest.mark.parametrize("step", ["create_container", "inspect_container", "remove_container", "remove_volume"])
def test_where_the_node_goes_away_an_observer_undoes_it(world: World, step: str) -> None:
    """Each engine call of a create and of its undoing fails once for want of the node."""
    if step.startswith("remove"):
        world.engine.fail("create_container", Internal("no"))
    world.engine.fail(step, Unavailable("away"), times=2 if step == "create_container" else 1)
    if not step.startswith("remove"):
        world.engine.fail("remove_container", Unavailable("away"))
    with pytest.raises(Error):
        world.create(world.alice, "web", **VOLUMES)
    kind, state, _ = world.last_operation()
    assert (kind, state) == ("create", "pending")
    world.engine.fail("remove_container", Internal("driver busy"))
    world.observer.recovery.run()
    assert world.last_operation()[1] == "pending"
    world.observer.recovery.run()
    world.assert_nothing_left(world.alice)
    assert world.last_operation()[:2] == ("create", "undone")


def test_an_unexpected_error_is_left_to_an_observer(world: World) -> None:
    world.engine.fail("create_container", RuntimeError("defect"), after=True)
    with pytest.raises(RuntimeError):
        world.create(world.alice, "web", **VOLUMES)
    world.observer.recovery.run()
    world.assert_nothing_left(world.alice)


@contextmanager
def held_behind_the_engine(world: World) -> Iterator[list[object]]:
    """Within the block a create has done the engine's part and no more; behind it there is its result."""
    hang = world.engine.hang("create_container", after=True)
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.extend(at_once([lambda: world.create(world.alice, "web")])))
    thread.start()
    assert hang.reached.wait(30)
    yield results
    hang.release()
    thread.join(30)


def test_a_create_that_was_taken_over_is_not_told_as_done(world: World) -> None:
    """Its process slept; what it finds of the container when it wakes is about to be removed."""
    with held_behind_the_engine(world) as results:
        world.silence(world.api.process)
        # The observer takes it over and is stopped before its first engine call.
        removal = world.engine.hang("remove_container")
        observer = threading.Thread(target=world.observer.recovery.run)
        observer.start()
        assert removal.reached.wait(30)
    removal.release()
    observer.join(30)
    assert isinstance(results[0], Unavailable)
    world.observer.recovery.run()
    world.assert_nothing_left(world.alice)


def test_what_the_database_has_forgotten_is_taken_from_the_engine(world: World) -> None:
    """It died before the intent was on its disk, and is there again when the engine's part is done."""
    with held_behind_the_engine(world) as results:
        world.sql("DELETE FROM operations")
        world.sql("DELETE FROM containers")
        world.sql("UPDATE accounts SET used_containers = 0, used_memory = 0, used_nano_cpus = 0")
    assert isinstance(results[0], Unavailable)
    world.assert_nothing_left(world.alice)
    assert world.create(world.alice, "web")


def test_undoing_leaves_a_volume_that_another_create_has_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = world.engine.create_container
    second = threading.Thread(target=world.create, args=(world.alice, "second"), kwargs=VOLUMES)
    waits = world.engine.hang("create_container")

    def refuse(name: str, body: dict, **_: Any) -> dict:
        monkeypatch.setattr(world.engine, "create_container", real)
        second.start()
        assert waits.reached.wait(30)
        raise Internal("no")

    monkeypatch.setattr(world.engine, "create_container", refuse)
    with pytest.raises(Internal):
        world.create(world.alice, "first", **VOLUMES)
    assert world.sql("SELECT name FROM volumes WHERE NOT anonymous") == [("data",)]
    waits.release()
    second.join(30)
    assert "data" in [mount["Name"] for mount in world.api.queries.inspect(world.alice, "second")["Mounts"]]


# -- names -----------------------------------------------------------------------------------------------------------


def test_names_are_unique_in_an_account_and_free_in_another(world: World) -> None:
    mine = world.create(world.alice, "web")
    theirs = world.create(world.bob, "web")
    assert mine != theirs
    with pytest.raises(Conflict) as refused:
        world.create(world.alice, "web")
    assert refused.value.message == (
        f'Conflict. The container name "/web" is already in use by container "{mine}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    assert world.used(world.alice)[0] == 1
    assert len(world.engine.called("create_container")) == 2


def test_twenty_creates_of_one_name_make_one(world: World) -> None:
    results = at_once([lambda: world.create(world.alice, "web")] * 20)
    made = [r for r in results if isinstance(r, str)]
    assert len(made) == 1
    assert all(isinstance(r, Conflict) and made[0] in r.message for r in results if r not in made)
    assert world.used(world.alice) == (1, GIB, 10**9)
    assert len(world.engine.containers) == 1


def test_creates_and_removals_of_one_name_do_not_block_each_other(world: World) -> None:
    """The two take the account's row and the name in one order."""

    def churn() -> list[object]:
        told: list[object] = []
        for _ in range(8):
            try:
                world.create(world.alice, "web")
                world.api.lifecycle.remove(world.alice, "web", force=True, volumes=True, link=False)
            except (Conflict, NotFound) as error:
                told.append(error)
        return told

    results = at_once([churn] * 4)
    assert not [r for r in results if isinstance(r, Error)]
    assert world.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
    left = world.sql("SELECT id FROM containers")
    assert world.used(world.alice)[0] == len(left) == len(world.engine.containers)


def test_a_name_is_made_where_none_is_given(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["quiet_noether", "quiet_noether", "quiet_noether7"])
    monkeypatch.setattr("app.services.container_create.names.random_container_name", lambda attempt: next(names))
    first, second = world.create(world.alice), world.create(world.alice)
    assert (world.row(first).name, world.row(second).name) == ("quiet_noether", "quiet_noether7")  # type: ignore[union-attr]
    assert world.used(world.alice)[0] == 2


# -- quota -----------------------------------------------------------------------------------------------------------


def test_twenty_creates_against_a_quota_of_five_make_five(world: World) -> None:
    world.sql("UPDATE accounts SET max_containers = 5 WHERE login = 'alice'")
    results = at_once([lambda: world.create(world.alice)] * 20)
    assert len([r for r in results if isinstance(r, str)]) == 5
    refused = [r for r in results if isinstance(r, Forbidden)]
    assert {r.message for r in refused} == {"quota exceeded: containers 5 of 5"}
    assert len(refused) == 15
    assert world.used(world.alice) == (5, 5 * GIB, 5 * 10**9)
    assert len(world.engine.containers) == 5


@pytest.mark.parametrize(
    ("limit", "body", "words"),
    [
        ("max_memory = 1073741824", {"HostConfig": {"Memory": 2 * GIB}}, "memory 0 MiB of 1024 MiB, 2048 MiB more"),
        ("max_nano_cpus = 1500000000", {"HostConfig": {"NanoCpus": 2 * 10**9}}, "cpus 0 of 1.5, 2 more wanted"),
        ("max_nano_cpus = 1", {"HostConfig": {"CpuQuota": 50000}}, "cpus 0 of 1e-09, 0.5 more wanted"),
    ],
)
def test_quota_of_memory_and_cpus(world: World, limit: str, body: dict, words: str) -> None:
    world.sql(f"UPDATE accounts SET {limit} WHERE login = 'alice'")
    with pytest.raises(Forbidden, match=words):
        world.create(world.alice, **body)
    world.assert_nothing_left(world.alice)
    world.create(world.bob, **body)


# -- references ------------------------------------------------------------------------------------------------------


def test_an_image_of_another_account_is_not_there(world: World) -> None:
    private = world.engine.add_image(
        {"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}, "config": {"Cmd": ["sh"]}}
    )
    with world.store.begin() as tx:
        images.put(tx, private, world.engine.inspect_image(private), world.node.id, world.bob.id)
        images.set_name(tx, world.bob.id, "docker.io/library/private", "latest", private)
    for word in (private, private[7:19], "private", "private:latest", private[7:]):
        with pytest.raises(NotFound) as refused:
            world.create(world.alice, Image=word)
        nonsense = "f" * len(word) if word[0] != "p" else "q" + word[1:]
        nonsense = f"sha256:{'f' * 64}" if word == private else nonsense
        with pytest.raises(NotFound) as unknown:
            world.create(world.alice, Image=nonsense)
        assert refused.value.message.replace(word, "X") == unknown.value.message.replace(nonsense, "X")
        world.create(world.bob, Image=word)
    assert world.used(world.alice) == (0, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"HostConfig": {"VolumesFrom": ["WORD"]}},
        {"HostConfig": {"NetworkMode": "container:WORD"}},
        {"HostConfig": {"IpcMode": "container:WORD"}},
        {"HostConfig": {"PidMode": "container:WORD"}},
    ],
)
def test_a_container_of_another_account_cannot_be_joined(world: World, body: dict) -> None:
    theirs = world.run(world.bob, "theirs", HostConfig={"IpcMode": "shareable"})

    def joined(word: str) -> str:
        (key, value), *_ = body["HostConfig"].items()
        told = [value[0].replace("WORD", word)] if isinstance(value, list) else value.replace("WORD", word)
        with pytest.raises(InvalidParameter) as refused:
            world.create(world.alice, HostConfig={key: told})
        return refused.value.message.replace(word, "X")

    nonsense = joined("nonsense")
    assert {joined(word) for word in ("theirs", theirs, theirs[:12])} == {nonsense}
    assert world.used(world.alice) == (0, 0, 0)


def test_own_containers_are_joined_by_the_engines_names(world: World) -> None:
    first = world.run(world.alice, "first", HostConfig={"IpcMode": "shareable", "Binds": ["data:/data"]})
    engine_name = world.on_engine(first).name  # type: ignore[union-attr]
    second = world.create(
        world.alice,
        HostConfig={
            "VolumesFrom": ["first:ro"],
            "IpcMode": f"container:{first[:12]}",
            "NetworkMode": "container:first",
        },
    )
    host = world.engine.called("create_container")[-1].args[1]["HostConfig"]
    assert host["VolumesFrom"] == [f"{engine_name}:ro"]
    assert host["IpcMode"] == host["NetworkMode"] == f"container:{engine_name}"
    seen = world.api.queries.inspect(world.alice, second)
    assert seen["HostConfig"]["VolumesFrom"] == ["first:ro"]
    assert seen["HostConfig"]["IpcMode"] == seen["HostConfig"]["NetworkMode"] == f"container:{first}"


def test_a_volume_means_the_accounts_own(world: World) -> None:
    world.create(world.alice, "one", HostConfig={"Binds": ["data:/data:ro"]})
    world.create(world.alice, "two", HostConfig={"Mounts": [{"Type": "volume", "Source": "data", "Target": "/x"}]})
    world.create(world.bob, "one", HostConfig={"Binds": ["data:/data"]})
    sources = [
        [m["Source"] for m in call.args[1]["HostConfig"]["Mounts"]] for call in world.engine.called("create_container")
    ]
    assert sources[0] == sources[1] != sources[2]
    assert all(source[0].startswith("v-") for source in sources)
    seen = world.api.queries.inspect(world.alice, "one")
    assert [(m["Name"], m["RW"]) for m in seen["Mounts"]] == [("data", False)]
    assert seen["HostConfig"]["Binds"] == ["data:/data:ro"]
    listed = world.api.queries.list(world.alice, everything=True, limit=0, filters={"volume": ["data"]}, size=False)
    assert b'"/one"' in listed and b'"/two"' in listed
    assert sources[0][0].encode() not in listed


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"HostConfig": {"NetworkMode": "other"}}, InvalidParameter, "network other not found"),
        ({"HostConfig": {"Links": ["web:db"]}}, InvalidParameter, "could not get container for web: No such container"),
        ({"Image": "unknown"}, NotFound, "No such image: unknown:latest"),
        ({"Labels": {"com.joyent.package": "huge"}}, InvalidParameter, "no packages match parameters"),
        ({"HostConfig": {"Memory": 999 * GIB}}, InvalidParameter, "no package supports"),
    ],
)
def test_refusals_before_anything_is_reserved(world: World, body: dict, kind: type[Error], words: str) -> None:
    with pytest.raises(kind, match=words):
        world.create(world.alice, **body)
    world.assert_nothing_left(world.alice)
    assert not world.engine.called("create_container")


def test_an_image_may_not_say_where_the_process_begins_outside(world: World) -> None:
    for directory, kind in (("/proc/self/fd/8", Forbidden), ("here", InvalidParameter)):
        config = {"Cmd": ["sh"], "WorkingDir": directory}
        image = world.engine.add_image({"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": config})
        with world.store.begin() as tx:
            images.put(tx, image, world.engine.inspect_image(image), world.node.id, world.alice.id)
        with pytest.raises(kind, match="working directory"):
            world.create(world.alice, Image=image)
        world.create(world.alice, Image=image, WorkingDir="/tmp")


@pytest.mark.parametrize("target", ["/dev", "dev", "//x/../dev/", "/dev/pts", "/proc", "/proc/sys"])
def test_an_image_may_not_mount_over_what_the_kernel_shows(world: World, target: str) -> None:
    fine = {"/data": {}, "/dev/shm": {}, "/sys/fs/cgroup": {}, "/device": {}}
    for volumes, refused in ({target: {}}, True), (fine, False):
        config = {"Cmd": ["sh"], "Volumes": volumes}
        image = world.engine.add_image({"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": config})
        with world.store.begin() as tx:
            images.put(tx, image, world.engine.inspect_image(image), world.node.id, world.alice.id)
        if refused:
            with pytest.raises(Forbidden, match="a mount at /"):
                world.create(world.alice, Image=image)
        else:
            world.create(world.alice, Image=image)


def test_an_image_without_command(world: World) -> None:
    image = world.engine.add_image(
        {"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "2" * 64]}, "config": {}}
    )
    with world.store.begin() as tx:
        images.put(tx, image, world.engine.inspect_image(image), world.node.id, world.alice.id)
    with pytest.raises(InvalidParameter, match="No command specified"):
        world.create(world.alice, Image=image, Cmd=None)
    world.create(world.alice, Image=image, Cmd=["sh"])


# -- placement -------------------------------------------------------------------------------------------------------


def test_nothing_is_placed_on_a_node_that_is_down_or_without_the_image(world: World) -> None:
    with world.store.begin() as tx:
        nodes.set_state(tx, world.node.id, "down")
    with pytest.raises(Unavailable, match="No compute resources available: no healthy node"):
        world.create(world.alice)
    with world.store.begin() as tx:
        nodes.set_state(tx, world.node.id, "up")
    world.sql("UPDATE nodes SET cordoned = true")
    with pytest.raises(Unavailable, match="no node that takes new containers"):
        world.create(world.alice)
    world.sql("UPDATE nodes SET cordoned = false")
    world.sql("DELETE FROM node_images")
    with pytest.raises(Unavailable, match="no node that has the image"):
        world.create(world.alice)
    world.assert_nothing_left(world.alice)


# -- what the engine is told -----------------------------------------------------------------------------------------


def test_labels_are_ours_last_and_not_shown(world: World) -> None:
    container_id = world.create(world.alice, "web", Labels={"a": "b"})
    labels = world.engine.called("create_container")[0].args[1]["Labels"]
    assert labels.pop("sdc.op") and labels == {
        "a": "b",
        "sdc.fleet": "test-fleet",
        "sdc.account": str(world.alice.id),
        "sdc.container": container_id,
        "sdc.name": "web",
        "sdc.image": "busybox",
    }
    assert world.api.queries.inspect(world.alice, "web")["Config"]["Labels"] == {"a": "b"}


def test_an_image_cannot_pass_for_another_accounts_container(world: World) -> None:
    theirs = world.create(world.bob, "theirs")
    config = {"Cmd": ["sh"], "Labels": {"sdc.container": theirs, "sdc.account": str(world.bob.id), "sdc.name": "x"}}
    image = world.engine.add_image(
        {"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "3" * 64]}, "config": config}
    )
    with world.store.begin() as tx:
        images.put(tx, image, world.engine.inspect_image(image), world.node.id, world.alice.id)
    mine = world.create(world.alice, "mine", Image=image)
    assert world.on_engine(mine).config["Labels"]["sdc.account"] == str(world.alice.id)  # type: ignore[union-attr]
    assert world.on_engine(theirs)
    assert world.api.queries.inspect(world.alice, mine)["Config"]["Labels"] == {}


@pytest.mark.parametrize(
    ("host", "memory", "swap", "cpus"),
    [
        ({}, GIB, 5 * GIB, 10**9),
        ({"Memory": 64 * MIB}, 64 * MIB, 64 * MIB, 5 * 10**8),
        ({"Memory": 64 * MIB, "MemorySwap": 128 * MIB}, 64 * MIB, 128 * MIB, 5 * 10**8),
        ({"NanoCpus": 2 * 10**9}, 4 * GIB, 20 * GIB, 2 * 10**9),
    ],
)
def test_limits_are_always_set_and_counted(world: World, host: dict, memory: int, swap: int, cpus: int) -> None:
    world.create(world.alice, HostConfig=host)
    sent = world.engine.called("create_container")[0].args[1]["HostConfig"]
    assert (sent["Memory"], sent["MemorySwap"], sent["NanoCpus"]) == (memory, swap, cpus)
    assert 0 < sent["PidsLimit"] <= 32768
    assert world.used(world.alice) == (1, memory, cpus)


def test_a_warning_where_the_engine_is_too_old_for_a_field(world: World) -> None:
    check = {"Test": ["CMD", "true"], "StartInterval": 2 * 10**9, "Interval": 3 * 10**9}
    _, warnings = world.api.create.create(world.alice, factories.spec(Healthcheck=check))
    assert warnings == ["Healthcheck.StartInterval needs an engine with API 1.44 and was ignored"]
    sent = world.engine.called("create_container")[0].args[1]["Healthcheck"]
    assert sent == {"Test": ["CMD", "true"], "Interval": 3 * 10**9}
    world.sql("UPDATE nodes SET api_version = '1.44'")
    _, warnings = world.api.create.create(world.alice, factories.spec(Healthcheck=check))
    assert warnings == []
    assert world.engine.called("create_container")[1].args[1]["Healthcheck"] == check


def test_an_engines_words_are_the_tenants(world: World) -> None:
    world.run(world.alice, "first", HostConfig={"Binds": ["data:/data"]})
    first = world.on_engine(world.sql("SELECT id FROM containers")[0][0])
    assert first
    volume = next(iter(world.engine.volumes))
    network = next(name for name in world.engine.networks if name.startswith("n-"))
    world.engine.fail(
        "create_container", Internal(f"cannot mount {volume} of {first.name} on {network} in /var/lib/docker/x")
    )
    with pytest.raises(Internal) as refused:
        world.create(world.alice, HostConfig={"Binds": ["data:/data"], "VolumesFrom": ["first"]})
    assert refused.value.message == "cannot mount data of first on bridge in (path)"


def test_the_row_is_what_was_decided(world: World) -> None:
    container_id = world.create(world.alice, "web", Tty=True, HostConfig={"AutoRemove": True})
    with world.store.begin() as tx:
        row = containers.get(tx, world.alice.id, "web")
    assert (row.id, row.tty, row.auto_remove, row.package, row.image) == (
        container_id,
        True,
        True,
        "t4-standard-1G",
        "busybox",
    )
    assert row.state == "created" and row.exit_code == 0 and row.started_at is None
