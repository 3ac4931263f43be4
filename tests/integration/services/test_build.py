"""docker build: what the account gets, and what its builds may see of others'."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from app.domain.account import Account
from app.domain.policy import BuildSpec, Rules, decide_build
from app.errors import Conflict, Error, Forbidden, InvalidParameter, NotFound, Unavailable
from app.services import build as module
from app.services.build import Builds, OpenBuild
from app.services.build_prune import BuildPrune
from app.services.image_pull import ImagePull
from app.store import images
from app.stream import json_stream
from app.stream.build_context import BuildContext
from tests import busybox
from tests.fakes.registry import FakeRegistries
from tests.integration.world import World, wait_for
from tests.unit.domain.test_policy_build import NONE


@pytest.fixture
def builds(world: World) -> Builds:
    core = world.api.core
    pull = ImagePull(
        core.store, core.fleet, core.intents, FakeRegistries(world.engine.remote, ["reg.lan"]), core.content
    )
    return Builds(core.store, core.fleet, core.networks, core.content, pull)


def context(dockerfile: str) -> BuildContext:
    return BuildContext([busybox.files({"Dockerfile": dockerfile.encode()})], "Dockerfile")


def spec(**asked: Any) -> BuildSpec:
    return decide_build({**NONE, **asked}, Rules())


def open_(builds: Builds, account: Account, dockerfile: str, **asked: Any) -> OpenBuild:
    return builds.open(account, context(dockerfile), spec(**asked), credentials=lambda host: {}, walk=dict)


def told(opened: OpenBuild) -> list[Any]:
    """All messages, as the relay would pass them on."""
    opened.sock.setblocking(True)
    opened.sock.settimeout(30)
    chunked = opened.output.feed(opened.leftover)
    while block := opened.sock.recv(65536):
        chunked += opened.output.feed(block)
    opened.sock.close()
    chunked += opened.output.finish()
    opened.ended()
    body = b""
    while not chunked.startswith(b"0\r\n"):
        size, _, rest = chunked.partition(b"\r\n")
        body, chunked = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return list(json_stream.split([body]))


def run(builds: Builds, account: Account, dockerfile: str, **asked: Any) -> str:
    return "".join(
        message.get("stream", message.get("error", "")) for message in told(open_(builds, account, dockerfile, **asked))
    )


def named(world: World, account: Account, name: str) -> str:
    with world.store.begin() as tx:
        return images.resolve(tx, account.id, name).id


def test_what_is_built_is_the_accounts(world: World, builds: Builds) -> None:
    text = run(builds, world.alice, "FROM busybox\nRUN a\n", t=["web", "web:2"])
    assert "Step 1/2 : FROM busybox\n" in text and text.endswith(
        "Successfully tagged web:latest\nSuccessfully tagged web:2\n"
    )
    image_id = named(world, world.alice, "web")
    assert named(world, world.alice, "web:2") == image_id
    assert world.sql("SELECT kind, state FROM operations WHERE kind = 'build'") == [("build", "done")]
    assert [name for name in world.engine.names if name.startswith("sdc.invalid/builds")] == []
    assert world.sql("SELECT type, action FROM events ORDER BY id") == [("image", "tag"), ("image", "tag")]
    with pytest.raises(NotFound):
        named(world, world.bob, "web")


def test_the_engine_is_asked_for_no_more_than_was_decided(world: World, builds: Builds) -> None:
    run(builds, world.alice, "FROM busybox\n", buildargs={"A": "1"}, networkmode="none", labels={"x": "y"})
    query, _ = world.engine.called("build_image")[0].args
    assert query["networkmode"] == "none" and query["cachefrom"] == f'["sha256:{"0" * 64}"]'
    assert query["buildargs"] == '{"A": "1"}' and query["labels"] == '{"x": "y"}' and query["memory"] > 0
    assert set(query) <= {
        *("dockerfile", "t", "nocache", "rm", "forcerm", "buildargs", "labels", "cachefrom", "target", "platform"),
        *("networkmode", "extrahosts", "memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "shmsize", "ulimits"),
    }


def test_the_engine_is_given_every_host_by_itself(world: World, builds: Builds) -> None:
    run(builds, world.alice, "FROM busybox\n", extrahosts=["a:10.0.0.1", "b=10.0.0.2"])
    query, _ = world.engine.called("build_image")[0].args
    assert query["extrahosts"] == ["a:10.0.0.1", "b:10.0.0.2"]


def test_the_default_network_is_the_accounts(world: World, builds: Builds) -> None:
    run(builds, world.alice, "FROM busybox\n")
    query, _ = world.engine.called("build_image")[0].args
    assert query["networkmode"].startswith("n-")


def test_an_unchanged_build_runs_nothing_again(world: World, builds: Builds) -> None:
    text = "FROM busybox AS a\nRUN one\nFROM busybox\nRUN two\n"
    assert "Running in" in run(builds, world.alice, text)
    assert "Running in" not in run(builds, world.alice, text)
    assert "Using cache" not in run(builds, world.bob, text), "nothing of another account's"


def test_a_failed_build_leaves_its_steps(world: World, builds: Builds) -> None:
    assert "non-zero code: 1" in run(builds, world.alice, "FROM busybox\nRUN one\nRUN false\n", t=["x"])
    with pytest.raises(NotFound):
        named(world, world.alice, "x")
    assert world.sql("SELECT state FROM operations WHERE kind = 'build'") == [("undone",)]
    assert "Using cache" in run(builds, world.alice, "FROM busybox\nRUN one\nRUN two\n")


def test_a_forged_step_brings_nothing(world: World, builds: Builds) -> None:
    run(builds, world.bob, "FROM busybox\nRUN secret\n", t=["private"])
    secret = named(world, world.bob, "private")
    short = secret.removeprefix("sha256:")[:12]
    run(builds, world.alice, f"FROM busybox\nRUN say  ---> {short}\nFROM busybox\nRUN x\n")
    owner = "SELECT login FROM build_cache JOIN accounts ON accounts.id = account_id WHERE image_id = %s"
    assert world.sql(owner, secret) == [("bob",)]


def test_what_a_step_prints_makes_the_engine_no_great_work(
    world: World, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LOOKS", 100)
    run(builds, world.bob, "FROM busybox\n" + "".join(f"RUN {n}\n" for n in range(50)), t=["long"])
    ids = [named(world, world.bob, "long")]
    while parent := world.engine.images[ids[-1]].get("Parent"):
        ids.append(parent)
    leaves = [image_id.removeprefix("sha256:")[:12] for image_id in ids[:32]]
    opened = open_(builds, world.alice, "FROM busybox\nRUN x\n")
    opened.output.told.leaves = leaves
    world.engine.calls.clear()
    assert "Successfully built" in "".join(message.get("stream", "") for message in told(opened))
    assert len(world.engine.called("inspect_image")) <= 100 + 10


@pytest.mark.parametrize("dockerfile", ["FROM {}\n", "FROM busybox\nCOPY --from={} / /\n"])
def test_another_accounts_image_is_not_there(world: World, builds: Builds, dockerfile: str) -> None:
    run(builds, world.bob, "FROM busybox\nRUN secret\n", t=["private"])
    secret = named(world, world.bob, "private")
    for reference in (secret, secret[7:], secret[7:19], "private"):
        try:
            text = run(builds, world.alice, dockerfile.format(reference))
        except Error:
            continue
        assert "Successfully built" not in text
    assert len(world.engine.called("build_image")) == 1


def test_what_is_missing_is_pulled(world: World, builds: Builds) -> None:
    config = {"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": {"Cmd": ["sh"]}}
    image_id, _ = world.engine.publish("reg.lan/a", "1", config, layers=())
    text = run(builds, world.alice, "FROM reg.lan/a:1\nRUN x\n", t=["built"])
    assert "Step 1/2 : FROM reg.lan/a:1" in text and "Successfully tagged built:latest" in text
    assert named(world, world.alice, "reg.lan/a:1") == image_id
    failed = run(builds, world.alice, "FROM reg.lan/none:1\n")
    assert "reg.lan/none" in failed and "Successfully" not in failed


def test_a_trigger_that_reaches_out_is_refused(world: World, builds: Builds) -> None:
    world.sql(
        """UPDATE images SET inspect = jsonb_set(inspect, '{Config,OnBuild}', '["COPY --from=private / /"]')
           WHERE id = %s""",
        world.image_id,
    )
    with pytest.raises(Forbidden):
        open_(builds, world.alice, "FROM busybox\n")
    assert world.engine.called("build_image") == []


def test_a_client_that_goes(world: World, builds: Builds) -> None:
    opened = open_(builds, world.alice, "FROM busybox\nRUN x\n", t=["gone"])
    opened.sock.close()
    opened.ended()
    assert world.sql("SELECT state FROM operations WHERE kind = 'build'") == [("undone",)]
    assert [name for name in world.engine.names if name.startswith("sdc.invalid/builds")] == []


def test_a_defect_leaves_it_to_an_observer(world: World, builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_(builds, world.alice, "FROM busybox\nRUN x\n", t=["gone"])
    opened.sock.close()
    monkeypatch.setattr(world.api.core.content, "adopt", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened.ended()
    world.observer.recovery.run()
    assert world.sql("SELECT state FROM operations WHERE kind = 'build'") == [("undone",)]


def test_one_that_takes_long_is_not_taken_for_lost(world: World, builds: Builds) -> None:
    opened = open_(builds, world.alice, "FROM busybox\nRUN x\n", t=["slow"])
    world.sql("UPDATE operations SET created_at = now() - interval '3 hours' WHERE kind = 'build'")
    world.api.process.beat()
    world.observer.recovery.run()
    assert "Successfully tagged slow:latest" in "".join(message.get("stream", "") for message in told(opened))
    assert named(world, world.alice, "slow") and world.sql("SELECT state FROM operations WHERE kind = 'build'") == [
        ("done",)
    ]


def test_what_cannot_be_recorded_is_given_up(world: World, builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(*_: object) -> None:
        raise Unavailable("the database is away")

    monkeypatch.setattr(images, "put", put)
    assert "the database is away" in run(builds, world.alice, "FROM busybox\nRUN x\n", t=["lost"])
    assert world.sql("SELECT state FROM operations WHERE kind = 'build'") == [("undone",)]
    assert [name for name in world.engine.names if name.startswith("sdc.invalid/builds")] == []


def test_a_client_that_goes_between_the_pull_and_the_build(
    world: World, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": {"Cmd": ["sh"]}}
    world.engine.publish("reg.lan/a", "1", config, layers=())
    opened: list[OpenBuild] = []
    real = builds._begin

    def begin(*args: Any) -> Any:
        wait_for(lambda: opened)
        opened[0].sock.close()
        opened[0].ended()
        return real(*args)

    monkeypatch.setattr(builds, "_begin", begin)
    opened.append(open_(builds, world.alice, "FROM reg.lan/a:1\nRUN x\n", t=["gone"]))
    wait_for(lambda: world.sql("SELECT state FROM operations WHERE kind = 'build'") == [("undone",)])


def test_a_process_that_dies(world: World, builds: Builds) -> None:
    opened = open_(builds, world.alice, "FROM busybox\nRUN x\n", t=["gone"])
    opened.sock.close()
    world.silence(world.api.process)
    world.observer.process.beat()
    world.observer.recovery.run()
    assert world.sql("SELECT state FROM operations WHERE kind = 'build'") == [("undone",)]
    assert [name for name in world.engine.names if name.startswith("sdc.invalid/builds")] == []


def test_engines_refusals_are_in_the_tenants_words(world: World, builds: Builds) -> None:
    with pytest.raises(InvalidParameter) as refused:
        open_(builds, world.alice, "FROM busybox\nRUN nosuch\n")
    assert refused.value.message == "dockerfile parse error"
    world.engine.fail("build_image", Conflict(f"image {world.image_id} is odd"))
    with pytest.raises(Conflict) as odd:
        open_(builds, world.alice, "FROM busybox\n")
    assert odd.value.message == "image busybox is odd"
    assert world.sql("SELECT DISTINCT state FROM operations WHERE kind = 'build'") == [("undone",)]


def test_prune(world: World, builds: Builds) -> None:
    run(builds, world.alice, "FROM busybox AS a\nRUN one\nFROM busybox\nRUN two\n", t=["kept"])
    run(builds, world.bob, "FROM busybox AS a\nRUN one\nFROM busybox\nRUN two\n")
    kept = named(world, world.alice, "kept")
    answer = BuildPrune(world.store, world.api.core.fleet).prune(world.alice)
    assert len(answer["CachesDeleted"]) == 1 and kept not in answer["CachesDeleted"]
    assert kept in world.engine.images and answer["CachesDeleted"][0] not in world.engine.images
    assert world.sql(
        "SELECT count(*) FROM build_cache JOIN accounts ON accounts.id = account_id WHERE login = 'bob'"
    ) == [(2,)]
    heard = world.sql("SELECT account_id::text, attributes FROM events WHERE (type, action) = ('builder', 'prune')")
    assert heard == [(str(world.alice.id), {"reclaimed": str(answer["SpaceReclaimed"])})]


def test_sockets_are_not_left(world: World, builds: Builds) -> None:
    opened = open_(builds, world.alice, "FROM busybox\n")
    assert isinstance(opened.sock, socket.socket)
    told(opened)
    assert opened.sock.fileno() == -1
