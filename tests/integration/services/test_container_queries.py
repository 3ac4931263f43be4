from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.policy import decide_exec
from app.errors import Conflict, Forbidden, InvalidParameter, NotFound, Unavailable
from app.store import images, nodes
from tests.integration.world import NODE, World, wait_for


def listed(world: World, account: Any = None, **how: Any) -> list[dict]:
    wish = {"everything": True, "limit": 0, "filters": {}, "size": False, **how}
    return json.loads(world.api.queries.list(account or world.alice, **wish))


def names(entries: list[dict]) -> list[str]:
    return [entry["Names"][0].removeprefix("/") for entry in entries]


@pytest.fixture
def five(world: World) -> World:
    """Five of alice's in different states, oldest first, and one of bob's between them."""
    world.run(world.alice, "running", Labels={"tier": "front", "n": "1"})
    world.create(world.alice, "created", Labels={"tier": "back"}, ExposedPorts={"9000/tcp": {}})
    world.run(world.bob, "other", Labels={"tier": "front"})
    world.run(world.alice, "failed", Cmd=["sh", "-c", "exit 3"])
    world.run(world.alice, "killed", HostConfig={"Binds": ["data:/data"]})
    world.api.lifecycle.kill(world.alice, "killed", signal="KILL")
    world.run(world.alice, "published", HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}})
    failed = world.sql("SELECT id FROM containers WHERE name = 'failed'")[0][0]
    wait_for(lambda: world.on_engine(failed).state["Status"] == "exited")  # type: ignore[union-attr]
    world.api.sync.refresh(failed)
    return world


def test_list(five: World) -> None:
    world = five
    everything = ["published", "killed", "failed", "created", "running"]
    assert names(listed(world)) == everything
    assert names(listed(world, world.bob)) == ["other"]
    assert names(listed(world, everything=False)) == ["published", "running"]
    # With a limit those that do not run count, too.
    assert names(listed(world, everything=False, limit=3)) == everything[:3]
    assert names(listed(world, limit=99)) == everything
    assert names(listed(world, limit=-1)) == everything
    # There are as many limits as numbers.
    kept = len(world.api.queries._lists._kept)
    for limit in range(1, 9):
        assert names(listed(world, limit=limit)) == everything[:limit]
    assert len(world.api.queries._lists._kept) == kept
    assert [e["Status"].split(" (")[0] for e in listed(world)][3] == "Created"
    by_name = {name: entry["Status"] for name, entry in zip(everything, listed(world), strict=True)}
    assert by_name["running"].startswith("Up ")
    assert by_name["killed"].startswith("Exited (137) ")
    assert by_name["failed"].startswith("Exited (3) ")

    for filters, wanted in [
        ({"status": ["exited"]}, ["killed", "failed"]),
        ({"status": ["created", "running"]}, ["published", "created", "running"]),
        ({"exited": ["3"]}, ["failed"]),
        ({"exited": ["0"]}, []),
        ({"name": ["ed$"]}, ["published", "killed", "failed", "created"]),
        ({"name": ["^/created$"]}, ["created"]),
        ({"name": ["other"]}, []),
        ({"label": ["tier"]}, ["created", "running"]),
        ({"label": ["tier=front"]}, ["running"]),
        ({"label": ["tier=front", "n=2"]}, []),
        ({"publish": ["8080"]}, ["published"]),
        ({"publish": ["8000-9000/tcp"]}, ["published"]),
        ({"expose": ["9000"]}, ["created"]),
        ({"expose": ["80"]}, ["published"]),
        ({"volume": ["data"]}, ["killed"]),
        ({"volume": ["/data"]}, ["killed"]),
        ({"network": ["bridge"]}, everything),
        ({"network": ["n-"]}, []),
        ({"ancestor": ["busybox"]}, everything),
        ({"ancestor": [world.image_id]}, everything),
        ({"ancestor": ["unknown"]}, []),
        ({"ancestor": ["busybox"], "name": ["killed"]}, ["killed"]),
        ({"before": ["failed"]}, ["created", "running"]),
        ({"since": ["failed"]}, ["published", "killed"]),
        ({"health": ["none"]}, everything),
        ({"health": ["healthy"]}, []),
        ({"is-task": ["false"]}, everything),
        ({"is-task": ["true"]}, []),
    ]:
        assert names(listed(world, filters=filters)) == wanted, filters

    # By the filters' way the entries are the same as by the short way. No `Status` of hours changes in between.
    ago = "interval '5 hours'"
    world.sql(f"UPDATE containers SET started_at = started_at - {ago}, finished_at = finished_at - {ago}")
    plain = world.api.queries.list(world.alice, everything=True, limit=0, filters={}, size=False)
    filtered = world.api.queries.list(world.alice, everything=True, limit=0, filters={"label": []}, size=False)
    assert plain == filtered
    sized = listed(world, size=True)
    assert [(e.pop("SizeRw"), e.pop("SizeRootFs")) for e in sized] == [(0, 1000)] * 5
    assert sized == json.loads(plain)

    for unknown in ("nonsense", "other"):
        with pytest.raises(NotFound) as refused:
            listed(world, filters={"before": [unknown]})
        assert refused.value.message == f"No such container: {unknown}"


def test_names_that_others_give(world: World) -> None:
    """The entry says the same whether it was rewritten, as a link or an image's name changed, or made anew."""

    def shown() -> tuple[list[str], str]:
        before = listed(world)[-1]
        world.api.sync.refresh(db)
        assert listed(world)[-1] == before
        return before["Names"], before["Image"]

    db = world.create(world.alice, "db")
    assert shown() == (["/db"], "busybox")
    web = world.create(world.alice, "web", HostConfig={"Links": ["db:store", "db:a"]})
    world.create(world.bob, "db")
    assert shown() == (["/db", "/web/a", "/web/store"], "busybox")
    assert world.api.queries.inspect(world.alice, "web/a")["Id"] == db
    assert names(listed(world, filters={"since": ["web/a"]})) == ["web"]
    with pytest.raises(NotFound):
        world.api.queries.inspect(world.bob, "web/a")
    with world.store.begin() as tx:
        images.set_name(tx, world.bob.id, "docker.io/library/busybox", "latest", world.image_id)
        images.remove_name(tx, world.bob.id, "docker.io/library/busybox", "latest")
        images.remove_name(tx, world.alice.id, "docker.io/library/busybox", "1.35")
    assert shown() == (["/db", "/web/a", "/web/store"], "busybox")
    with world.store.begin() as tx:
        images.remove_name(tx, world.alice.id, "docker.io/library/busybox", "latest")
    world.api.lifecycle.remove(world.alice, "web", force=False, volumes=False, link=False)
    assert shown() == (["/db"], world.image_id)
    with world.store.begin() as tx:
        images.set_name(tx, world.alice.id, "docker.io/library/busybox", "latest", world.image_id)
    assert shown() == (["/db"], "busybox")
    assert listed(world, world.bob)[0]["Image"] == world.image_id
    assert web not in json.dumps(world.sql("SELECT spec FROM containers"))


@pytest.mark.parametrize("verb", ["remove", "rename", "remove the link"])
def test_a_link_that_changes_and_an_images_name_that_moves(world: World, verb: str) -> None:
    """Both write the rows of several containers: they wait for each other in one order."""
    db = world.create(world.alice, "db")
    # The row that both want first is not the one that is changed itself.
    while (web := world.create(world.alice, "web", HostConfig={"Links": ["db:store"]})) < db:
        world.api.lifecycle.remove(world.alice, web, force=False, volumes=False, link=False)

    def change() -> None:
        if verb == "rename":
            world.api.lifecycle.rename(world.alice, "web", "site")
        else:
            link = verb == "remove the link"
            word = "web/store" if link else "web"
            world.api.lifecycle.remove(world.alice, word, force=False, volumes=False, link=link)

    with ThreadPoolExecutor(1) as pool:
        with world.store.begin() as tx:
            tx.execute(text("SELECT FROM containers WHERE id = :id FOR NO KEY UPDATE"), {"id": db})
            changed = pool.submit(change)
            wait_for(lambda: world.sql("SELECT pid FROM pg_locks WHERE NOT granted"))
            images.remove_name(tx, world.alice.id, "docker.io/library/busybox", "latest")
        changed.result(30)
    entry = listed(world)[-1]
    assert entry["Names"] == (["/db", "/site/store"] if verb == "rename" else ["/db"])
    assert entry["Image"] == world.image_id


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"colour": ["red"]}, "Invalid filter 'colour'"),
        ({"status": ["nonsense"]}, "Invalid filter 'status=nonsense'"),
        ({"health": ["sick"]}, "Unrecognised filter value for health: sick"),
        ({"exited": ["x"]}, "Invalid filter 'exited=x'"),
        ({"publish": ["0"]}, 'invalid port specification: "0"'),
        ({"expose": ["1/icmp"]}, 'invalid port specification: "1/icmp"'),
    ],
)
def test_bad_filters(world: World, filters: dict, words: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        listed(world, filters=filters)
    assert refused.value.message == words


def test_any_text_makes_good_json(world: World) -> None:
    text = 'quote " backslash \\ newline \n tab \t é 日本 🐳 \u2028 \x7f </script> "Status":"x"'
    world.run(world.alice, "odd", Labels={text: text}, Cmd=["sh", "-c", "sleep 600", text])
    (entry,) = listed(world)
    assert entry["Labels"] == {text: text}
    assert text in entry["Command"]
    assert entry["Status"].startswith("Up ")
    assert names(listed(world, filters={"label": [f"{text}={text}"]})) == ["odd"]


def test_the_list_is_the_databases_alone(five: World) -> None:
    calls = len(five.engine.calls)
    five.engine.away = True
    assert len(listed(five)) == 5
    assert len(five.engine.calls) == calls
    assert [e["SizeRw"] for e in listed(five, size=True)] == [0] * 5


def test_nothing_of_the_engine_is_told(five: World) -> None:
    told = json.dumps([listed(five), [five.api.queries.inspect(five.alice, name) for name in names(listed(five))]])
    engine_ids = [word for c in five.engine.containers.values() for word in (c.id, c.id[:12], c.name)]
    networks = [word for n in five.engine.networks.values() for word in (n["Id"], n["Name"]) if n["Name"] != "bridge"]
    volumes = [name for name in five.engine.volumes if name.startswith("v-")]
    assert volumes and networks
    for word in [*engine_ids, *networks, *volumes, "sdc.", "overlay2", "unix:", str(five.node.id), str(five.alice.id)]:
        assert word not in told, word


# -- inspect ---------------------------------------------------------------------------------------------------------


def test_inspect_while_the_node_is_away(world: World) -> None:
    world.run(world.alice, "web")
    before = world.api.queries.inspect(world.alice, "web")
    world.engine.away = True
    seen = world.api.queries.inspect(world.alice, "web")
    assert seen["State"].pop("Error") == "the node cannot be reached; this is the last known state"
    before["State"].pop("Error")
    assert seen == before
    assert world.engine.called("inspect_container")[-1].kwargs["timeout"] <= 5


def test_inspect_with_sizes(world: World) -> None:
    world.create(world.alice, "web")
    assert "SizeRw" not in world.api.queries.inspect(world.alice, "web")
    seen = world.api.queries.inspect(world.alice, "web", size=True)
    assert (seen["SizeRw"], seen["SizeRootFs"]) == (0, 1000)
    # An engine looks at every file for it, and goes on with that where nobody waits any more.
    assert world.engine.called("inspect_container")[-1].kwargs["timeout"] > 60


def test_the_nodes_public_address_is_shown(world: World) -> None:
    world.sql("UPDATE nodes SET public_address = '192.0.2.7'")
    world.run(world.alice, "web", HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}})
    assert listed(world)[0]["Ports"] == [{"IP": "192.0.2.7", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]


def test_two_nodes(world: World) -> None:
    """Sizes come from all nodes; one that is away has none."""
    with world.store.begin() as tx:
        nodes.add(tx, name="n2", url="unix:///n2", **{**NODE, "engine_id": "TWO"})
    world.create(world.alice, "web")
    world.fleet.on(type("N", (), {"url": "unix:///n2"})).away = True  # type: ignore[arg-type]
    assert listed(world, size=True)[0]["SizeRootFs"] == 1000


# -- top -------------------------------------------------------------------------------------------------------------


def test_top(world: World) -> None:
    container_id = world.create(world.alice, "web")
    with pytest.raises(Conflict) as refused:
        world.api.queries.top(world.alice, "web", "")
    assert refused.value.message == f"Container {container_id} is not running"
    world.api.lifecycle.start(world.alice, "web")
    assert world.api.queries.top(world.alice, "web", "-o pid,cmd")["Processes"][0][-1] == "sleep 600"
    for arguments in ("aux; reboot", "$(x)", "x\n", "é", "a" * 201, "--help '"):
        with pytest.raises(Forbidden):
            world.api.queries.top(world.alice, "web", arguments)
    world.engine.away = True
    with pytest.raises(Unavailable) as away:
        world.api.queries.top(world.alice, "web", "")
    assert away.value.retry_after


# -- account scoping -------------------------------------------------------------------------------------------------


def test_another_accounts_container_is_like_none_at_all(world: World) -> None:
    """For every call that takes an id or a name, and every way to say it."""
    theirs = world.run(world.alice, "secret")
    exec_id = world.api.io.create_exec(world.alice, "secret", _exec("true"))
    world.run(world.bob, "mine")
    lifecycle, io, queries = world.api.lifecycle, world.api.io, world.api.queries
    by_name: dict[str, Any] = {
        "start": lambda word: lifecycle.start(world.bob, word),
        "stop": lambda word: lifecycle.stop(world.bob, word, seconds=0, signal=None),
        "restart": lambda word: lifecycle.restart(world.bob, word, seconds=0, signal=None),
        "kill": lambda word: lifecycle.kill(world.bob, word, signal="KILL"),
        "rename": lambda word: lifecycle.rename(world.bob, word, "renamed"),
        "remove": lambda word: lifecycle.remove(world.bob, word, force=True, volumes=True, link=False),
        "inspect": lambda word: queries.inspect(world.bob, word),
        "top": lambda word: queries.top(world.bob, word, ""),
        "attach": lambda word: io.attach(world.bob, word, {"stream": "1"}),
        "logs": lambda word: io.logs(world.bob, word, {"stdout": "1"}),
        "wait": lambda word: io.wait(world.bob, word, "not-running"),
        "resize": lambda word: io.resize(world.bob, word, height=1, width=1),
        "create_exec": lambda word: io.create_exec(world.bob, word, _exec("true")),
        "before": lambda word: listed(world, world.bob, filters={"before": [word]}),
        "since": lambda word: listed(world, world.bob, filters={"since": [word]}),
    }
    by_exec: dict[str, Any] = {
        "start_exec": lambda word: io.start_exec(world.bob, word, tty=False, console_size=None),
        "start_exec_detached": lambda word: io.start_exec_detached(world.bob, word, tty=False),
        "resize_exec": lambda word: io.resize_exec(world.bob, word, height=1, width=1),
        "inspect_exec": lambda word: io.inspect_exec(world.bob, word),
    }
    engine_word = world.on_engine(theirs)
    assert engine_word
    calls = len(world.engine.calls)
    for calls_of, words in (
        (by_name, [theirs, "secret", "/secret", theirs[:12], theirs[:4], engine_word.id, engine_word.name]),
        (by_exec, [exec_id, exec_id[:12], next(iter(world.engine.execs))]),
    ):
        for name, call in calls_of.items():
            for word in words:
                nonsense = ("0" * len(word)) if word.isalnum() and word != "secret" else "z" * len(word)
                assert _refusal(call, word) == _refusal(call, nonsense), (name, word)
    assert len(world.engine.calls) == calls
    assert world.state(theirs) == "running"
    kinds = world.sql("SELECT kind FROM operations WHERE account_id = %s ORDER BY created_at", str(world.bob.id))
    assert kinds == [("network",), ("create",), ("start",)]
    assert world.sql("SELECT name FROM containers ORDER BY name") == [("mine",), ("secret",)]


def _exec(*cmd: str) -> Any:
    return decide_exec({"Cmd": list(cmd), "AttachStdout": True})


def _refusal(call: Any, word: str) -> tuple[type, str]:
    with pytest.raises(NotFound) as refused:
        call(word)
    return type(refused.value), refused.value.message.replace(word, "WORD")


def test_prefixes_count_in_the_account_alone(world: World) -> None:
    """A prefix is unique, or not, among the account's own; names come first."""
    mine = world.create(world.alice, "web")
    theirs = world.create(world.bob, "web")
    prefix = mine[:6]
    world.sql("DELETE FROM container_endpoints")
    world.sql("UPDATE containers SET id = %s WHERE id = %s", prefix + theirs[6:], theirs)
    assert world.api.queries.inspect(world.alice, prefix)["Id"] == mine
    world.create(world.alice, prefix)
    assert world.api.queries.inspect(world.alice, prefix)["Name"] == f"/{prefix}"
    again = world.create(world.alice, "again")
    world.sql("DELETE FROM container_endpoints")
    world.sql("UPDATE containers SET id = %s WHERE id = %s", mine[:20] + again[20:], again)
    with pytest.raises(NotFound):
        world.api.queries.inspect(world.alice, mine[:20])
    assert world.api.queries.inspect(world.alice, mine[:64])["Name"] == "/web"


def test_an_image_of_the_other_account_is_no_ancestor(world: World) -> None:
    world.create(world.alice, "web")
    with world.store.begin() as tx:
        images.set_name(tx, world.bob.id, "docker.io/library/mine", "latest", world.image_id)
    assert names(listed(world, filters={"ancestor": ["mine"]})) == []
