from __future__ import annotations

import json
import threading

import pytest
from sqlalchemy import text

from app.errors import Internal, NotFound, Unavailable
from app.store.session import Transaction
from tests.integration.world import World

PUBLISHED = {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}], "81/udp": [{"HostPort": ""}]}}}


def listed(world: World) -> list[dict]:
    return json.loads(world.api.queries.list(world.alice, everything=True, limit=0, filters={}, size=False))


def test_an_older_answer_never_overwrites_a_newer_one(world: World) -> None:
    container_id = world.run(world.alice, "web")
    # The first has its answer ("running") and is held up on its way to the database.
    hang = world.engine.hang("inspect_container", after=True)
    slow = threading.Thread(target=world.observer.sync.refresh, args=(container_id,))
    slow.start()
    assert hang.reached.wait(30)
    world.engine.die(world.on_engine(container_id).id, 7)  # type: ignore[union-attr]
    world.api.sync.refresh(container_id)
    assert world.state(container_id) == "exited"
    hang.release()
    slow.join(30)
    row = world.row(container_id)
    assert row and (row.state, row.exit_code) == ("exited", 7)
    assert [entry["State"] for entry in listed(world)] == ["exited"]


def test_a_rename_is_not_overwritten_by_a_slow_answer(world: World) -> None:
    container_id = world.run(world.alice, "old")
    hang = world.engine.hang("inspect_container", after=True)
    slow = threading.Thread(target=world.observer.sync.refresh, args=(container_id,))
    slow.start()
    assert hang.reached.wait(30)
    world.api.lifecycle.rename(world.alice, "old", "new")
    hang.release()
    slow.join(30)
    assert [entry["Names"] for entry in listed(world)] == [["/new"]]
    assert (world.row(container_id).inspect or {})["Name"] == "/new"  # type: ignore[union-attr]


def test_what_also_is_to_be_written_is_written_once_and_with_the_state(world: World) -> None:
    container_id = world.run(world.alice, "web")
    world.sql("UPDATE accounts SET max_containers = 100")

    def count(tx: Transaction) -> None:
        tx.execute(text("UPDATE accounts SET max_containers = max_containers + 1 WHERE login = 'alice'"))

    hang = world.engine.hang("inspect_container", after=True)
    slow = threading.Thread(target=world.observer.sync.refresh, args=(container_id, count))
    slow.start()
    assert hang.reached.wait(30)
    world.api.sync.refresh(container_id)
    hang.release()
    slow.join(30)
    assert world.sql("SELECT max_containers FROM accounts WHERE login = 'alice'") == [(101,)]

    def refuse(_: object) -> None:
        raise Internal("no")

    world.engine.die(world.on_engine(container_id).id, 7)  # type: ignore[union-attr]
    with pytest.raises(Internal):
        world.api.sync.refresh(container_id, refuse)
    assert world.state(container_id) == "running"


def test_a_row_that_changes_all_the_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    container_id = world.create(world.alice, "web")
    real = world.engine.inspect_container

    def inspect(name: str, **how: object) -> dict:
        world.sql("UPDATE containers SET version = version + 1")
        return real(name, **how)

    monkeypatch.setattr(world.engine, "inspect_container", inspect)
    with pytest.raises(Unavailable, match="changes too fast"):
        world.api.sync.refresh(container_id)


def test_an_unknown_container(world: World) -> None:
    ran: list[object] = []
    assert world.api.sync.refresh("f" * 64, ran.append) is None
    assert len(ran) == 1


def test_a_node_that_is_away_changes_nothing(world: World) -> None:
    container_id = world.run(world.alice, "web", **PUBLISHED)
    before = world.row(container_id), world.ports()
    world.engine.away = True
    with pytest.raises(Unavailable):
        world.api.sync.refresh(container_id)
    assert (world.row(container_id), world.ports()) == before


# -- gone containers -------------------------------------------------------------------------------------------------


def test_a_container_removed_behind_our_back_is_dead_and_can_be_removed(world: World) -> None:
    container_id = world.run(world.alice, "web", **PUBLISHED)
    world.engine.remove_container(world.on_engine(container_id).id, force=True)  # type: ignore[union-attr]
    assert world.api.sync.refresh(container_id) is None
    assert world.state(container_id) == "dead"
    assert world.ports() == []
    assert world.used(world.alice)[0] == 1
    assert [(e["State"], e["Status"]) for e in listed(world)] == [("dead", "Dead")]
    seen = world.api.queries.inspect(world.alice, "web")
    assert (seen["State"]["Status"], seen["State"]["Running"], seen["State"]["Dead"]) == ("dead", False, True)
    # Once more changes nothing.
    assert world.api.sync.refresh(container_id) is None
    world.api.lifecycle.remove(world.alice, "web", force=False, volumes=False, link=False)
    world.assert_nothing_left(world.alice)


def test_an_auto_removed_container_gives_everything_back(world: World) -> None:
    host = {**PUBLISHED["HostConfig"], "AutoRemove": True}
    container_id = world.run(world.alice, "web", HostConfig=host, Volumes={"/a": {}})
    world.engine.die(world.on_engine(container_id).id, 0)  # type: ignore[union-attr]
    assert world.api.sync.refresh(container_id) is None
    world.assert_nothing_left(world.alice)
    with pytest.raises(NotFound, match="No such container: web"):
        world.api.queries.inspect(world.alice, "web")


def test_giving_back_is_done_once(world: World) -> None:
    world.create(world.alice, "stays")
    container_id = world.run(world.alice, "web", HostConfig={"AutoRemove": True})
    hang = world.engine.hang("inspect_container")
    other = threading.Thread(target=world.observer.sync.refresh, args=(container_id,))
    other.start()
    assert hang.reached.wait(30)
    world.engine.die(world.on_engine(container_id).id, 0)  # type: ignore[union-attr]
    world.api.sync.refresh(container_id)
    hang.release()
    other.join(30)
    assert world.used(world.alice) == (1, 1 << 30, 10**9)


# -- ports and volumes -----------------------------------------------------------------------------------------------


def test_ports_are_held_while_it_runs(world: World) -> None:
    container_id = world.run(world.alice, "web", **PUBLISHED)
    assert world.ports() == [("tcp", 8080, container_id), ("udp", 32768, container_id)]
    assert [p["PublicPort"] for p in listed(world)[0]["Ports"]] == [8080, 32768]
    world.engine.die(world.on_engine(container_id).id, 0)  # type: ignore[union-attr]
    world.api.sync.refresh(container_id)
    assert world.ports() == []


def test_the_engine_is_right_about_a_port(world: World) -> None:
    first = world.run(world.alice, "first", **PUBLISHED)
    world.engine.die(world.on_engine(first).id, 0)  # type: ignore[union-attr]
    second = world.create(world.bob, "second", **PUBLISHED)
    world.engine.start_container(world.on_engine(second).id)  # type: ignore[union-attr]
    world.api.sync.refresh(second)
    assert ("tcp", 8080, second) in world.ports()
    world.api.sync.refresh(first)
    assert ("tcp", 8080, second) in world.ports()


def test_anonymous_volumes_are_recorded(world: World) -> None:
    container_id = world.create(world.alice, "web", Volumes={"/a": {}, "/b": {}})
    statement = """
        SELECT v.account_id::text, v.node_id::text, v.anonymous, v.name = v.engine_name, c.target
        FROM volumes v JOIN container_volumes c ON c.volume_id = v.id WHERE c.container_id = %s ORDER BY c.target
        """
    rows = [(str(world.alice.id), str(world.node.id), True, True, target) for target in ("/a", "/b")]
    assert world.sql(statement, container_id) == rows
    world.api.sync.refresh(container_id)
    assert world.sql(statement, container_id) == rows
    names = {name for (name,) in world.sql("SELECT name FROM volumes")}
    assert {mount["Name"] for mount in world.api.queries.inspect(world.alice, "web")["Mounts"]} == names


# -- what engines may say --------------------------------------------------------------------------------------------


def test_words_that_the_database_does_not_take(world: World) -> None:
    """A health check's output is the tenant's; without this its container could not be followed any more."""
    container_id = world.run(world.alice, "web")
    output = 'nul \0 \\u0000 "\u2028 ü'
    health = {"Status": "unhealthy", "FailingStreak": 1, "Log": [{"ExitCode": 1, "Output": output}]}
    world.on_engine(container_id).state["Health"] = health  # type: ignore[union-attr]
    world.api.sync.refresh(container_id)
    row = world.row(container_id)
    assert row and row.health == "unhealthy" and row.inspect
    assert row.inspect["State"]["Health"]["Log"][0]["Output"] == output.replace("\0", "\ufffd")
    assert "(unhealthy)" in listed(world)[0]["Status"]


def test_an_error_of_the_runtime_is_scrubbed(world: World) -> None:
    container_id = world.create(world.alice, "web")
    engine = world.on_engine(container_id)
    assert engine
    engine.state["Error"] = f"{engine.name} {engine.id} /var/lib/docker/overlay2/abc/merged"
    world.api.sync.refresh(container_id)
    stored = (world.row(container_id).inspect or {})["State"]["Error"]  # type: ignore[union-attr]
    assert stored == world.api.queries.inspect(world.alice, "web")["State"]["Error"] == f"web {container_id} (path)"
