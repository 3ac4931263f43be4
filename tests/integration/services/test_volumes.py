from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.policy.volume import VolumeSpec
from app.domain.volume import ANONYMOUS_LABEL
from app.errors import Conflict, Error, Forbidden, Internal, InvalidParameter, NotFound, Unavailable
from app.services import container_volumes, disk_usage
from app.services.volume_sweep import VolumeSweep
from app.store import volumes as store
from tests.integration.services.test_recovery import Killed, die_at
from tests.integration.world import World, at_once, wait_for

DATA: dict[str, Any] = {"HostConfig": {"Binds": ["data:/data"]}}
SIZED = VolumeSpec("data", {}, {"size": "1g"})


def rows(world: World) -> list[tuple]:
    return world.sql(
        "SELECT name, state, node_id IS NOT NULL, mounts FROM volumes v WHERE NOT anonymous ORDER BY name, created_at"
    )


def told(world: World) -> list[tuple]:
    statement = "SELECT action, actor_id FROM events WHERE type = 'volume' AND node_id IS NULL ORDER BY id"
    return world.sql(statement)


def listed(world: World, account: Any = None, **filters: list[str]) -> list[str]:
    return [v["Name"] for v in world.api.volumes.list(account or world.alice, filters)["Volumes"]]


def remove(world: World, name: str, **how: bool) -> None:
    world.api.volumes.remove(world.alice, name, force=how.get("force", False))


def rm(world: World, name: str, *, volumes: bool = True) -> None:
    world.api.lifecycle.remove(world.alice, name, force=True, volumes=volumes, link=False)


# -- create and use --------------------------------------------------------------------------------------------------


def test_a_volume_is_a_row_until_its_first_use(world: World) -> None:
    made = world.api.volumes.create(world.alice, VolumeSpec("data", {"a": "b"}))
    assert (made["Name"], made["Labels"], made["Mountpoint"]) == (
        "data",
        {"a": "b"},
        "/var/lib/docker/volumes/data/_data",
    )
    assert world.api.volumes.create(world.alice, VolumeSpec("data", {"c": "d"})) == made
    assert world.api.volumes.inspect(world.alice, "data") == made
    assert rows(world) == [("data", "ready", False, 0)] and world.engine.volumes == {}
    world.create(world.alice, "web", **DATA)
    assert rows(world) == [("data", "ready", True, 1)]
    (engine_name,) = world.engine.volumes
    assert engine_name.startswith("v-")
    assert world.engine.volumes[engine_name]["Labels"] == {
        "sdc.fleet": "test-fleet",
        "sdc.account": str(world.alice.id),
    }
    (mount,) = world.api.queries.inspect(world.alice, "web")["Mounts"]
    assert (mount["Name"], mount["Source"]) == ("data", made["Mountpoint"])
    assert told(world) == [("create", "data")]


def test_accounts_do_not_see_each_other(world: World) -> None:
    for account in (world.alice, world.bob):
        world.api.volumes.create(account, VolumeSpec("data", {"of": account.login}))
        world.create(account, "web", **DATA)
    assert world.api.volumes.inspect(world.bob, "data")["Labels"] == {"of": "bob"}
    assert len(world.engine.volumes) == 2
    world.api.volumes.create(world.alice, VolumeSpec("other"))
    anonymous = world.create(world.alice, "free", Volumes={"/a": {}})
    name = next(m["Name"] for m in world.api.queries.inspect(world.alice, anonymous)["Mounts"])
    assert listed(world, world.bob) == ["data"]
    for hidden in ("other", name):
        with pytest.raises(NotFound) as seen:
            world.api.volumes.inspect(world.bob, hidden)
        with pytest.raises(NotFound) as gone:
            world.api.volumes.remove(world.bob, hidden, force=False)
        assert seen.value.message == gone.value.message == f"get {hidden}: no such volume"
        world.api.volumes.remove(world.bob, hidden, force=True)
    assert listed(world) == sorted(["data", "other", name])
    # Another account's anonymous volume by its name is a new one of one's own.
    world.create(world.bob, "thief", HostConfig={"Binds": [f"{name}:/a"]})
    mounted = {c.name: {m["Name"] for m in c.mounts} for c in world.engine.containers.values()}
    assert [names for names in mounted.values() if name in names] == [{name}]
    world.api.volumes.prune(world.bob, {"all": ["1"]})
    assert listed(world) == sorted(["data", "other", name])


def test_one_with_a_size_is_made_at_once(world: World) -> None:
    world.engine.has_quota = True
    assert world.api.volumes.create(world.alice, SIZED)["Options"] == {"size": "1g"}
    assert rows(world) == [("data", "ready", True, 0)]
    assert [v["Options"] for v in world.engine.volumes.values()] == [{"size": "1g"}]
    remove(world, "data")
    assert world.engine.volumes == {} and rows(world) == []
    assert told(world) == [("create", "data"), ("destroy", "data")]


def test_a_size_that_the_node_cannot_keep_to(world: World) -> None:
    with pytest.raises(InvalidParameter, match=r"^create data: quota size requested but no quota support"):
        world.api.volumes.create(world.alice, SIZED)
    world.assert_nothing_left(world.alice)
    assert told(world) == []


@pytest.mark.parametrize("after", [False, True])
def test_a_creation_whose_process_dies_is_undone(world: World, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    world.engine.has_quota = True
    die_at(world, monkeypatch, "create_volume", after=after)
    with pytest.raises(Killed):
        world.api.volumes.create(world.alice, SIZED)
    assert listed(world) == []
    with pytest.raises(Unavailable, match="is being created"):
        world.observer.volumes.create(world.alice, SIZED)
    for _ in range(2):
        world.observer.recovery.run()
        world.assert_nothing_left(world.alice)
    world.observer.volumes.create(world.alice, SIZED)


def test_there_is_an_end_to_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_volumes, "MOST_VOLUMES", 1)
    world.api.volumes.create(world.alice, VolumeSpec("one"))
    with pytest.raises(Forbidden, match="quota exceeded: 1 volumes"):
        world.api.volumes.create(world.alice, VolumeSpec("two"))
    with pytest.raises(Forbidden):
        world.create(world.alice, "web", **DATA)
    assert world.used(world.alice)[0] == 0
    world.api.volumes.create(world.bob, VolumeSpec("one"))


@pytest.mark.parametrize("made_before", [False, True])
def test_an_undone_container_takes_back_what_was_made_for_it(world: World, made_before: bool) -> None:
    if made_before:
        world.api.volumes.create(world.alice, VolumeSpec("data"))
    world.engine.fail("create_container", Internal("no room"), after=True)
    with pytest.raises(Internal):
        world.create(world.alice, "web", **DATA)
    assert rows(world) == ([("data", "ready", False, 0)] if made_before else [])
    assert world.engine.volumes == {}
    world.create(world.alice, "web", **DATA)
    assert len(world.engine.volumes) == 1


@pytest.mark.parametrize("made_before", [False, True])
def test_an_undone_container_leaves_what_another_has_come_to(world: World, made_before: bool) -> None:
    """Though that one is gone again: its data is there."""
    if made_before:
        world.api.volumes.create(world.alice, VolumeSpec("data"))
    hang = world.engine.hang("create_container")
    world.engine.fail("create_container", Internal("no room"), after=True)
    failed: list[Error] = []

    def first() -> None:
        try:
            world.create(world.alice, "first", **DATA)
        except Error as error:
            failed.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert hang.reached.wait(30)
    world.engine._traps[("create_container", True)].clear()
    world.create(world.alice, "second", **DATA)
    rm(world, "second")
    world.engine.fail("create_container", Internal("no room"), after=True)
    hang.release()
    thread.join(30)
    assert failed and rows(world) == [("data", "ready", True, 0)] and len(world.engine.volumes) == 1


# -- volumes-from ----------------------------------------------------------------------------------------------------


def test_volumes_from_counts(world: World) -> None:
    world.create(world.alice, "first", Volumes={"/free": {}}, **DATA)
    world.create(world.alice, "second", HostConfig={"VolumesFrom": ["first:ro"]})
    assert rows(world) == [("data", "ready", True, 2)]
    rm(world, "first")
    assert rows(world) == [("data", "ready", True, 1)]
    assert len(world.engine.volumes) == 2, "the anonymous one is the second's too"
    with pytest.raises(Conflict, match="volume is in use"):
        remove(world, "data")
    world.create(world.alice, "third", HostConfig={"VolumesFrom": ["second"], "Binds": ["own:/data"]})
    assert rows(world) == [("data", "ready", True, 1), ("own", "ready", True, 1)]
    rm(world, "second")
    rm(world, "third")
    assert len(world.engine.volumes) == 2 == len(rows(world)), "named ones stay, the anonymous one is gone"
    assert world.sql("SELECT count(*) FROM volumes WHERE anonymous") == [(0,)]


def test_the_later_source_wins(world: World) -> None:
    for name in ("one", "two"):
        world.create(world.alice, name, HostConfig={"Binds": [f"{name}:/data"]})
    both = world.create(world.alice, "both", HostConfig={"VolumesFrom": ["one", "two"]})
    assert [m["Name"] for m in world.api.queries.inspect(world.alice, both)["Mounts"]] == ["two"]
    assert rows(world) == [("one", "ready", True, 1), ("two", "ready", True, 2)]


def test_a_source_that_goes_meanwhile(world: World) -> None:
    """400: a 404 makes a client pull the image."""
    world.create(world.alice, "first", **DATA)
    hang = world.engine.hang("create_container")
    results: list[Any] = []

    def second() -> None:
        results.append(at_once([lambda: world.create(world.alice, "second", HostConfig={"VolumesFrom": ["first"]})])[0])

    thread = threading.Thread(target=second)
    thread.start()
    assert hang.reached.wait(30)
    rm(world, "first")
    hang.release()
    thread.join(30)
    assert isinstance(results[0], InvalidParameter) and results[0].message == "No such container: first"
    assert rows(world) == [("data", "ready", True, 0)]


def test_an_anonymous_volume_by_its_name_outlives_its_container(world: World) -> None:
    first = world.create(world.alice, "first", Volumes={"/free": {}})
    (name,) = [m["Name"] for m in world.api.queries.inspect(world.alice, first)["Mounts"]]
    rm(world, "first", volumes=False)
    world.create(world.alice, "second", HostConfig={"Binds": [f"{name}:/again"]})
    rm(world, "second")
    assert listed(world, dangling=["true"]) == [name] == list(world.engine.volumes)
    assert world.api.volumes.inspect(world.alice, name)["Labels"] == {ANONYMOUS_LABEL: ""}
    assert world.api.volumes.prune(world.alice, {})["VolumesDeleted"] == [name]
    world.assert_nothing_left(world.alice)


# -- remove ----------------------------------------------------------------------------------------------------------


def test_in_use(world: World) -> None:
    one = world.create(world.alice, "one", **DATA)
    two = world.create(world.alice, "two", **DATA)
    for force in (False, True):
        with pytest.raises(Conflict) as refused:
            remove(world, "data", force=force)
        assert refused.value.message == f"remove data: volume is in use - [{one}, {two}]"
    rm(world, "one")
    rm(world, "two")
    remove(world, "data")
    world.assert_nothing_left(world.alice)
    remove(world, "data", force=True)
    with pytest.raises(NotFound, match="get data: no such volume"):
        remove(world, "data")


@pytest.mark.parametrize("after", [False, True])
def test_a_removal_whose_process_dies_is_finished(world: World, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    world.create(world.alice, "web", **DATA)
    rm(world, "web")
    die_at(world, monkeypatch, "remove_volume", after=after)
    with pytest.raises(Killed):
        remove(world, "data")
    assert listed(world) == []
    world.observer.volumes.create(world.alice, VolumeSpec("data"))
    for _ in range(2):
        world.observer.recovery.run()
        assert rows(world) == [("data", "ready", False, 0)] and world.engine.volumes == {}
    assert told(world) == [("create", "data"), ("create", "data"), ("destroy", "data")]


def test_a_node_that_is_away(world: World) -> None:
    world.create(world.alice, "web", **DATA)
    rm(world, "web")
    world.engine.away = True
    with pytest.raises(Unavailable):
        remove(world, "data")
    world.observer.recovery.run()
    assert rows(world) == [("data", "removing", True, 0)]
    world.engine.away = False
    world.observer.recovery.run()
    world.assert_nothing_left(world.alice)


def test_use_and_removal_at_once(world: World) -> None:
    """Whoever is first: a container has its volume, or makes a new one; nothing is mounted that is being removed."""
    for round_ in range(6):
        world.api.volumes.create(world.alice, VolumeSpec("data"))
        calls: list[Any] = [lambda: remove(world, "data", force=True) for _ in range(3)]
        calls += [lambda name=f"c{round_}{n}": world.create(world.alice, name, **DATA) for n in range(3)]
        calls += [lambda: world.api.volumes.prune(world.alice, {"all": ["1"]})]
        calls += [lambda: world.api.volumes.create(world.alice, VolumeSpec("data"))] * 2
        results = at_once(calls)
        assert not [r for r in results if isinstance(r, Error) and not isinstance(r, Conflict)], results
        assert rows(world) == [("data", "ready", True, 3)]
        mounted = {m["Name"] for c in world.engine.containers.values() for m in c.mounts}
        assert mounted == set(world.engine.volumes) and len(mounted) == 1
        for n in range(3):
            rm(world, f"c{round_}{n}")
        remove(world, "data")
        world.assert_nothing_left(world.alice)


# -- prune and df ----------------------------------------------------------------------------------------------------


def test_prune(world: World) -> None:
    world.api.volumes.create(world.alice, VolumeSpec("named", {"keep": "yes"}))
    world.api.volumes.create(world.alice, VolumeSpec("f" * 64, {ANONYMOUS_LABEL: ""}))
    world.create(world.alice, "web", Volumes={"/free": {}}, **DATA)
    for name, volume in world.engine.volumes.items():
        volume["Size"] = 1000 if name.startswith("v-") else 10
    rm(world, "web", volumes=False)
    gone = world.api.volumes.prune(world.alice, {})
    assert len(gone["VolumesDeleted"]) == 2 and gone["SpaceReclaimed"] == 10
    assert listed(world) == ["data", "named"]
    assert world.api.volumes.prune(world.alice, {"all": ["1"], "label!": ["keep"]}) == {
        "VolumesDeleted": ["data"],
        "SpaceReclaimed": 1000,
    }
    assert listed(world) == ["named"]
    assert world.api.volumes.prune(world.bob, {"all": ["1"]}) == {"VolumesDeleted": [], "SpaceReclaimed": 0}
    pruned = world.sql("SELECT attributes ->> 'reclaimed' FROM events WHERE action = 'prune' ORDER BY id")
    assert pruned == [("10",), ("1000",), ("0",)]


def test_container_prune(world: World) -> None:
    old = world.create(world.alice, "old", Labels={"a": "b"})
    new = world.create(world.alice, "new")
    running = world.run(world.alice, "running", Labels={"a": "b"})
    hers = world.create(world.bob, "his")
    world.sql("UPDATE containers SET created_at = now() - interval '2 hours' WHERE id = %s", old)
    prune = world.api.container_prune.prune
    assert prune(world.alice, {"until": ["3h"]}) == {"ContainersDeleted": None, "SpaceReclaimed": 0}
    assert prune(world.alice, {"label!": ["a"], "until": ["1h"]})["ContainersDeleted"] is None
    assert prune(world.alice, {"until": ["1h"]})["ContainersDeleted"] == [old]
    with pytest.raises(InvalidParameter):
        prune(world.alice, {"colour": ["red"]})
    assert prune(world.alice, {})["ContainersDeleted"] == [new]
    assert world.state(running) == "running" and world.state(hers) == "created"
    assert world.sql("SELECT count(*) FROM events WHERE type = 'container' AND action = 'prune'") == [(4,)]


def test_prunes_at_once(world: World) -> None:
    ids = [world.create(world.alice, f"c{n}") for n in range(4)]
    results = at_once([lambda: world.api.container_prune.prune(world.alice, {})] * 3)
    assert sorted(id_ for r in results for id_ in r["ContainersDeleted"] or []) == sorted(ids)
    world.assert_nothing_left(world.alice)


def test_df(world: World) -> None:
    kinds = ("container", "image", "volume", "build-cache")
    world.run(world.alice, "web", **DATA)
    world.api.volumes.create(world.alice, VolumeSpec("unused"))
    world.create(world.bob, "his", HostConfig={"Binds": ["secret:/data"]})
    for volume in world.engine.volumes.values():
        volume["Size"] = 12345
    shown = world.api.disk_usage.show(world.alice, kinds)
    used = {v["Name"]: v["UsageData"] for v in shown["Volumes"]}
    assert used == {"data": {"RefCount": 1, "Size": 12345}, "unused": {"RefCount": 0, "Size": 0}}
    assert [c["Names"] for c in shown["Containers"]] == [["/web"]] and shown["Containers"][0]["SizeRootFs"] == 1000
    assert [(i["Containers"], i["SharedSize"]) for i in shown["Images"]] == [(1, 0)]
    assert shown["BuildCache"] == []
    only = world.api.disk_usage.show(world.alice, ["volume"])
    assert only["Images"] is only["Containers"] is only["BuildCache"] is None and len(only["Volumes"]) == 2
    world.engine.away = True
    world.sql("UPDATE nodes SET state = 'down'")
    away = {v["Name"]: v["UsageData"]["Size"] for v in world.api.disk_usage.show(world.alice, ["volume"])["Volumes"]}
    assert away == {"data": -1, "unused": 0}


def who_has_asked(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The threads that ask for a count, from when they have noted when they do."""
    asked: set[int] = set()

    def monotonic() -> float:
        now = time.monotonic()
        asked.add(threading.get_ident())
        return now

    monkeypatch.setattr(disk_usage, "time", SimpleNamespace(monotonic=monotonic, sleep=time.sleep))
    return asked


def test_one_count_for_all_who_ask(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks while one is under way shares the next."""
    monkeypatch.setattr(disk_usage, "STANDS", 0)
    asked = who_has_asked(monkeypatch)
    world.create(world.alice, "web", **DATA)
    hang = world.engine.hang("volume_sizes")
    threads = [threading.Thread(target=world.api.disk_usage.show, args=(world.alice, ["volume"])) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert hang.reached.wait(30)
    wait_for(lambda: len(asked) == len(threads))
    hang.release()
    for thread in threads:
        thread.join(30)
    assert len(world.engine.called("volume_sizes")) == 2


def test_a_count_that_fails_is_the_answer_to_all_who_waited_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would wait as long again, one after the other."""
    asked = who_has_asked(monkeypatch)
    world.create(world.alice, "web", **DATA)
    hang = world.engine.hang("volume_sizes")
    world.engine.fail("volume_sizes", Unavailable("no answer"), after=True, times=6)
    show = lambda: world.api.disk_usage.show(world.alice, ["volume"])["Volumes"][0]["UsageData"]["Size"]  # noqa: E731
    with ThreadPoolExecutor(6) as pool:
        shown = [pool.submit(show) for _ in range(6)]
        assert hang.reached.wait(30)
        wait_for(lambda: len(asked) == len(shown))
        hang.release()
        assert [s.result(30) for s in shown] == [-1] * 6
    assert len(world.engine.called("volume_sizes")) == 1
    world.engine._traps.clear()
    assert show() == 0


def test_an_engine_that_counts_already_is_asked_again(world: World) -> None:
    world.create(world.alice, "web", **DATA)
    world.engine.fail("volume_sizes", Internal("a disk usage operation is already running"), times=2)
    (volume,) = world.api.disk_usage.show(world.alice, ["volume"])["Volumes"]
    assert volume["UsageData"]["Size"] == 0


# -- the sweep -------------------------------------------------------------------------------------------------------


def test_what_an_engine_is_left_with(world: World) -> None:
    sweep = VolumeSweep(world.store, world.fleet, "test-fleet", stray_seconds=0)  # type: ignore[arg-type]
    mine = {"sdc.fleet": "test-fleet", "sdc.account": str(world.alice.id)}
    world.create(world.alice, "web", **DATA)
    known = set(world.engine.volumes)
    for name, labels in (
        ("a" * 64, mine),
        ("v-unknown", mine),
        ("b" * 64, {}),
        ("c" * 64, {**mine, "sdc.account": "?"}),
    ):
        world.engine.create_volume(name, labels=labels, options={})
    sweep.sweep(world.node, now=True)
    sweep.sweep(world.node, now=True)
    assert listed(world) == ["a" * 64, "data"]
    assert world.api.volumes.prune(world.alice, {})["VolumesDeleted"] == ["a" * 64]
    assert set(world.engine.volumes) == known | {"v-unknown", "b" * 64, "c" * 64}


def test_what_is_just_being_made_is_left_alone(world: World) -> None:
    sweep = VolumeSweep(world.store, world.fleet, "test-fleet")  # type: ignore[arg-type]
    labels = {"sdc.fleet": "test-fleet", "sdc.account": str(world.alice.id)}
    world.engine.create_volume("a" * 64, labels=labels, options={})
    sweep.sweep(world.node, now=True)
    sweep.sweep(world.node, now=True)
    assert listed(world) == []


def test_users_of_a_volume(world: World) -> None:
    one = world.create(world.alice, "one", **DATA)
    with world.store.autocommit() as tx:
        volume = store.get(tx, world.alice.id, "data")
        assert store.users(tx, volume.id) == [one]
