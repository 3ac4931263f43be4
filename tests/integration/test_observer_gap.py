"""An observer that was away: what the engine remembers is told as it was, and what it does not is made and marked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from app import observer as module
from app.domain.container_state import ContainerState
from app.domain.policy import Rules
from app.domain.policy.network_create import decide_network
from app.observer import Observer
from app.services.network_create import NetworkCreate
from app.services.network_remove import NetworkRemove
from app.services.node_events import NodeEvents, engine_clock
from app.store import told
from tests.fakes.events import REMEMBERED
from tests.integration.world import Member, World, wait_for

Follow = Callable[[], Callable[[], None]]


@pytest.fixture
def follow(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follow]:
    """Start an observer; what is returned kills it."""
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.2)
    observers: list[tuple[Observer, threading.Thread]] = []

    def start() -> Callable[[], None]:
        opened = len(world.engine.bodies)
        observer = Observer(Member(world.store, world.fleet, world.settings, "observer").core)
        thread = threading.Thread(target=observer.run, daemon=True)
        thread.start()
        wait_for(lambda: len(world.engine.bodies) > opened)

        def end() -> None:
            observer.stop()
            thread.join(30)
            wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith(("node-", "watch-"))])
            world.sql("UPDATE nodes SET state = 'up', lease_until = NULL, lease_process_id = NULL")

        observers.append((observer, thread))
        return end

    yield start
    for observer, thread in observers:
        observer.stop()
        thread.join(30)
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith(("node-", "watch-", "beat"))])


def story(world: World, container_id: str) -> list[str]:
    """What was told of a container's life, what was made up with a star."""
    rows = world.sql(
        """
        SELECT action || CASE WHEN attributes ? 'resynced' THEN '*' ELSE '' END FROM events
        WHERE actor_id = %s AND action IN ('create', 'start', 'die', 'destroy', 'pause', 'unpause') ORDER BY id
        """,
        container_id,
    )
    return [action for (action,) in rows]


def noise(world: World, container_id: str, count: int) -> None:
    """So many events of one container that say nothing of its state."""
    container = world.on_engine(container_id)
    for _ in range(count):
        world.engine._emit(container, "kill", signal="0")


def settled(world: World, container_id: str, wanted: list[str]) -> None:
    wait_for(lambda: len(story(world, container_id)) >= len(wanted))
    assert story(world, container_id) == wanted


def test_a_gap_that_the_engine_remembers(world: World, follow: Follow) -> None:
    end = follow()
    web = world.run(world.alice, "web")
    settled(world, web, ["create", "start"])
    end()
    world.engine.die(world.on_engine(web).id, 3)  # type: ignore[union-attr]
    world.api.lifecycle.start(world.alice, "web")
    other = world.run(world.alice, "other")
    world.api.lifecycle.remove(world.alice, "other", force=True, volumes=False, link=False)
    noise(world, web, REMEMBERED - 40)
    follow()
    settled(world, web, ["create", "start", "die", "start"])
    settled(world, other, ["create", "start", "die", "destroy"])
    # They come behind all that.
    kills = "SELECT count(*) FROM events WHERE action = 'kill'"
    wait_for(lambda: world.sql(kills)[0][0] >= REMEMBERED - 40)
    assert world.sql(kills) == [(REMEMBERED - 40,)]


def test_a_gap_that_it_does_not(world: World, follow: Follow) -> None:
    end = follow()
    ended = world.run(world.alice, "ended", Labels={"tier": "front"})
    again = world.run(world.alice, "again")
    removed = world.run(world.bob, "removed")
    same = world.run(world.alice, "same")
    for container in (ended, again, removed, same):
        settled(world, container, ["create", "start"])
    end()
    world.engine.die(world.on_engine(ended).id, 3)  # type: ignore[union-attr]
    world.api.lifecycle.restart(world.alice, "again", seconds=1, signal=None)
    world.api.lifecycle.remove(world.bob, "removed", force=True, volumes=False, link=False)
    new = world.run(world.alice, "new")
    brief = world.run(world.bob, "brief")
    world.api.lifecycle.remove(world.bob, "brief", force=True, volumes=False, link=False)
    noise(world, same, REMEMBERED + 50)
    kill = follow()
    settled(world, ended, ["create", "start", "die*"])
    settled(world, again, ["create", "start", "die*", "start*"])
    settled(world, removed, ["create", "start", "die*", "destroy*"])
    settled(world, new, ["create*", "start*"])
    settled(world, brief, ["create*", "start*", "die*", "destroy*"])
    assert story(world, same) == ["create", "start"]
    (attributes,) = world.sql("SELECT attributes FROM events WHERE actor_id = %s AND action = 'die'", ended)[0]
    assert attributes == {"tier": "front", "name": "ended", "image": "busybox", "exitCode": "3", "resynced": "true"}
    for container, account in ((removed, world.bob), (brief, world.bob), (new, world.alice)):
        assert world.sql("SELECT DISTINCT account_id::text FROM events WHERE actor_id = %s", container) == [
            (str(account.id),)
        ]
    names = world.sql("SELECT DISTINCT attributes ->> 'name' FROM events WHERE actor_id = %s", brief)
    assert names == [("brief",)]
    # It is done once: the next connect finds no gap, and neither does another observer.
    lives = "SELECT count(*) FROM events WHERE type = 'container' AND attributes ->> 'name' <> 'after'"
    before = world.sql(lives)
    kill()
    follow()
    wait_for(lambda: world.sql("SELECT state FROM nodes") == [("up",)])
    world.run(world.alice, "after")
    wait_for(lambda: world.sql("SELECT id FROM events WHERE attributes ->> 'name' = 'after' AND action = 'start'"))
    assert world.sql(lives) == before


def test_what_was_heard_is_not_made_up_where_the_engine_forgets_it_meanwhile(world: World, follow: Follow) -> None:
    end = follow()
    web = world.run(world.alice, "web")
    settled(world, web, ["create", "start"])
    end()
    noise(world, web, REMEMBERED + 10)
    world.engine.die(world.on_engine(web).id, 3)  # type: ignore[union-attr]
    world.api.lifecycle.start(world.alice, "web")
    brief = world.run(world.alice, "brief")
    hang = world.engine.hang("list_containers")
    follow()
    assert hang.reached.wait(30)
    # The stream has told of it by now.
    wait_for(lambda: world.engine.bodies[-1].waits_at == len(world.engine._events))
    noise(world, web, REMEMBERED + 10)
    world.api.lifecycle.remove(world.alice, "brief", force=True, volumes=False, link=False)
    hang.release()
    settled(world, brief, ["create", "start", "die", "destroy"])
    assert story(world, web) == ["create", "start", "die", "start"]
    assert world.sql("SELECT time_nano FROM events WHERE actor_id = %s ORDER BY id", web) == world.sql(
        "SELECT time_nano FROM events WHERE actor_id = %s ORDER BY time_nano", web
    )


def test_an_engine_that_was_restarted(world: World, follow: Follow) -> None:
    """It remembers nothing, and what ran has ended."""
    end = follow()
    web = world.run(world.alice, "web")
    settled(world, web, ["create", "start"])
    end()
    world.engine.die(world.on_engine(web).id, 137)  # type: ignore[union-attr]
    world.engine.forget_events()
    follow()
    settled(world, web, ["create", "start", "die*"])
    assert world.state(web) == "exited"


def test_two_that_find_the_same_gap(world: World, follow: Follow) -> None:
    web = world.run(world.alice, "web")
    world.engine.forget_events()
    world.run(world.alice, "other")
    world.engine.forget_events()
    for member in (world.api, world.observer):
        looked_at = engine_clock(world.engine)  # type: ignore[arg-type]
        following = NodeEvents(world.store, member.sync, world.api.networks, world.settings.fleet)
        following.resync(world.node, world.engine, looked_at)  # type: ignore[arg-type]
    assert story(world, web) == ["create*", "start*"]
    with world.store.begin() as tx:
        known = told.list_on_node(tx, world.node.id)
    assert {t.state for t in known.values()} == {ContainerState.RUNNING}


def test_what_ends_right_after_the_look_is_gone_before_its_end_is_told(world: World) -> None:
    brief = world.run(world.alice, "brief", HostConfig={"AutoRemove": True})
    following = NodeEvents(world.store, world.observer.sync, world.api.networks, world.settings.fleet)
    looked_at = engine_clock(world.engine)  # type: ignore[arg-type]
    world.engine.die(world.on_engine(brief).id, 0)  # type: ignore[union-attr]
    following.resync(world.node, world.engine, looked_at)  # type: ignore[arg-type]
    assert story(world, brief)[-1] == "destroy"
    world.assert_nothing_left(world.alice)


def test_networks_and_volumes_are_told_in_the_tenants_words(world: World, follow: Follow) -> None:
    follow()
    web = world.run(world.alice, "web", HostConfig={"Binds": ["data:/data"]})
    world.engine.create_container("foreign", {"Image": world.image_id, "Cmd": ["sh"]})
    world.engine.start_container("foreign")
    world.engine.die(world.on_engine(web).id, 0)  # type: ignore[union-attr]
    wait_for(lambda: world.sql("SELECT id FROM events WHERE action = 'unmount'"))
    found = world.sql("SELECT type, action, actor_id, attributes FROM events WHERE type <> 'container' ORDER BY id")
    network_id = world.sql("SELECT id FROM networks WHERE account_id = %s", str(world.alice.id))[0][0]
    told_of = [(kind, action, actor) for kind, action, actor, _ in found if action not in ("create", "destroy")]
    assert told_of == [
        ("network", "connect", network_id),
        ("volume", "mount", "data"),
        ("network", "disconnect", network_id),
        ("volume", "unmount", "data"),
    ]
    assert all(a["container"] == web for _, action, _, a in found if action not in ("create", "destroy"))
    by_action = {action: a for _, action, _, a in found}
    assert by_action["connect"] == {"container": web, "name": "bridge", "type": "bridge"}
    assert by_action["mount"]["destination"] == "/data"


def test_what_was_used_is_told_by_its_name_when_it_is_gone(world: World, follow: Follow) -> None:
    end = follow()
    store, fleet, intents = world.api.core.store, world.api.core.fleet, world.api.core.intents
    spec = decide_network({"Name": "lan"}, Rules())
    network_id = NetworkCreate(store, fleet, intents, world.api.networks, ()).create(world.alice, spec)
    end()
    host = {"NetworkMode": "lan", "Binds": ["data:/data"]}
    container_id = world.run(world.alice, "web", HostConfig=host)
    world.api.lifecycle.remove(world.alice, "web", force=True, volumes=False, link=False)
    world.api.volumes.remove(world.alice, "data", force=False)
    NetworkRemove(store, fleet, intents).remove(world.alice, "lan")
    follow()
    settled(world, container_id, ["create", "start", "die", "destroy"])
    used = "SELECT action, actor_id, attributes ->> 'container' FROM events WHERE node_id IS NOT NULL AND type = %s"
    for kind, actor, actions in (("volume", "data", "mount unmount"), ("network", network_id, "connect disconnect")):
        assert world.sql(f"{used} ORDER BY id", kind) == [(a, actor, container_id) for a in actions.split()]
