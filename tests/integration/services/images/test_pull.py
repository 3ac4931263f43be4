"""docker pull: what an account gets, and when it is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import Error, Forbidden, Internal, InvalidParameter, NotFound, Unavailable
from app.store import nodes
from tests import busybox
from tests.integration.services.images.conftest import HUB, World, config


def test_pull_and_what_it_leaves(world: World) -> None:
    image_id, digest = world.engine.publish(HUB, "latest", config(config={"Labels": {"a": "b"}}))
    messages = world.pull(world.alice, "tool")
    assert messages[0] == {"status": "Pulling from library/tool", "id": "latest"}
    assert {"status": "Downloading", "progressDetail": {"current": 500, "total": 1000}}.items() <= messages[2].items()
    assert messages[-2:] == [
        {"status": f"Digest: {digest}"},
        {"status": "Status: Downloaded newer image for tool:latest"},
    ]
    seen = world.images.inspect(world.alice, "tool")
    assert (seen["Id"], seen["RepoTags"], seen["RepoDigests"]) == (image_id, ["tool:latest"], [f"tool@{digest}"])
    assert seen["GraphDriver"] == {"Name": "sdc", "Data": None}
    assert seen["Config"]["Labels"] == {"a": "b"}
    assert seen["Metadata"]["LastTagTime"] > "2024"
    assert "VirtualSize" not in seen
    assert "/var/lib/docker" not in json.dumps(seen)
    assert all(
        image.inspect.keys().isdisjoint({"RepoTags", "RepoDigests", "Metadata"}) for image in world.rows(world.alice)
    )
    # The engine is asked for what we have looked at, and keeps it under our name alone.
    assert world.engine.called("pull_image")[0].args == (HUB, digest)
    assert world.kept() == {image_id} and world.pending() == 0
    assert world.told(world.alice) == [("pull", "tool:latest")]


def test_up_to_date_is_the_accounts_own_view(world: World) -> None:
    """The node has everything after the first pull; what each account is told is about itself."""
    world.engine.publish(HUB, "latest", config())
    newer = {"status": "Status: Downloaded newer image for tool:latest"}
    assert world.pull(world.alice, "tool")[-1] == newer
    assert world.pull(world.bob, "tool")[-1] == newer
    assert world.pull(world.bob, "tool")[-1] == {"status": "Status: Image is up to date for tool:latest"}
    world.engine.publish(HUB, "latest", config(author="x"))
    assert world.pull(world.bob, "tool")[-1] == newer


def test_the_last_line_is_true_when_it_is_read(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    for message in world.puller.pull(world.alice, "tool", "latest", auth={}):
        if message["status"].startswith("Status: "):
            assert world.images.inspect(world.alice, "tool")["RepoTags"] == ["tool:latest"]
            return
        if not message["status"].startswith("Digest: "):
            with pytest.raises(NotFound):
                world.images.inspect(world.alice, "tool")
    raise AssertionError("no Status line")


def test_pull_by_digest(world: World) -> None:
    image_id, digest = world.engine.publish(HUB, "latest", config())
    messages = world.pull(world.alice, "tool", digest)
    assert messages[0] == {"status": "Pulling from library/tool", "id": f"{HUB}@{digest}"}
    assert messages[-1]["status"].endswith(f"for tool@{digest}")
    assert world.names(world.alice) == {image_id: []}
    assert world.images.inspect(world.alice, f"tool@{digest}")["Id"] == image_id
    assert world.pull(world.bob, f"tool@{digest}", "")[-1]["status"].endswith(f"for tool@{digest}")
    assert world.images.inspect(world.bob, digest.replace("sha256:", "tool@sha256:"))["Id"] == image_id


def test_a_tag_moves(world: World) -> None:
    old, _ = world.engine.publish(HUB, "latest", config())
    world.pull(world.alice, "tool")
    new, _ = world.engine.publish(HUB, "latest", config(author="x"))
    world.pull(world.alice, "tool")
    assert world.names(world.alice) == {new: ["tool:latest"], old: []}


def test_all_tags(world: World) -> None:
    first, _ = world.engine.publish("reg.lan/a/b", "1", config())
    second, _ = world.engine.publish("reg.lan/a/b", "2", config(author="x"))
    messages = world.pull(world.alice, "reg.lan/a/b", "")
    assert [m["id"] for m in messages if m["status"].startswith("Pulling from")] == ["1", "2"]
    assert messages[-1] == {"status": "Status: Downloaded newer image for reg.lan/a/b"}
    assert world.names(world.alice) == {first: ["reg.lan/a/b:1"], second: ["reg.lan/a/b:2"]}


def test_an_index_and_its_platforms(world: World) -> None:
    arm, arm_digest = world.engine.publish("reg.lan/a/b", "arm", config(architecture="arm64"))
    amd, amd_digest = world.engine.publish("reg.lan/a/b", "amd", config())
    digest = world.engine.remote.index("reg.lan/a/b", "1", {"linux/arm64": arm_digest, "linux/amd64": amd_digest})
    assert {"status": f"Digest: {digest}"} in world.pull(world.alice, "reg.lan/a/b", "1")
    assert world.images.inspect(world.alice, "reg.lan/a/b:1")["Id"] == amd
    world.pull(world.alice, "reg.lan/a/b", "1", platform="linux/arm64")
    assert world.images.inspect(world.alice, f"reg.lan/a/b@{digest}")["Id"] == arm
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        world.pull(world.alice, "reg.lan/a/b", "1", platform="linux/s390x")


def test_credentials_are_the_callers_own(world: World) -> None:
    world.engine.publish("reg.lan/a/b", "1", config())
    world.engine.remote.private["reg.lan/a/b"] = ("alice", "pw")
    world.pull(world.alice, "reg.lan/a/b", "1", auth={"username": "alice", "password": "pw"})
    sent = world.engine.called("pull_image")[0].kwargs["auth"]
    assert json.loads(base64.urlsafe_b64decode(sent)) == {"username": "alice", "password": "pw"}
    for auth in ({}, {"username": "alice", "password": "guess"}):
        with pytest.raises(Internal, match="unauthorized: authentication required"):
            world.pull(world.bob, "reg.lan/a/b", "1", auth=auth)
    assert world.names(world.bob) == {}


def test_refusals_before_the_first_byte_are_kinds(world: World) -> None:
    with pytest.raises(NotFound, match="manifest for none:latest not found: manifest unknown: manifest unknown"):
        world.pull(world.alice, "none", "latest")
    world.engine.publish(HUB, "latest", config())
    with pytest.raises(NotFound, match="manifest for tool:none not found"):
        world.pull(world.alice, "tool", "none")
    with pytest.raises(NotFound, match="repository none not found: name unknown"):
        world.pull(world.alice, "none", "")
    for name in ("A", "", "tool@sha256:12"):
        with pytest.raises(InvalidParameter, match="invalid reference format"):
            world.pull(world.alice, name, "x")
    for tag in ("-", "sha256:12"):
        with pytest.raises(InvalidParameter, match="invalid tag format"):
            world.pull(world.alice, "tool", tag)
    assert world.names(world.alice) == {}
    assert world.engine.called("pull_image") == []


def test_addresses_of_the_node_are_not_told(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    words = (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.255.255.53:53: '
        "dial udp 10.255.255.53:53: connect: network is unreachable"
    )
    world.engine.fail("pull_image", Internal(words))
    assert world.pull(world.alice, "tool")[-1]["error"] == (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: connect: network is unreachable'
    )
    world.engine.fail("pull_image", Internal("read tcp 172.16.0.2:33242->1.2.3.4:443: i/o timeout"))
    assert world.pull(world.alice, "tool")[-1]["error"] == "read tcp 1.2.3.4:443: i/o timeout"


@pytest.mark.parametrize(
    "error", [Unavailable("the connection to the node was lost"), Internal("lookup x on 10.0.0.1:53: no such host")]
)
def test_an_error_after_the_first_byte_is_a_message(world: World, error: Error) -> None:
    world.engine.publish(HUB, "latest", config())
    world.engine.fail("pulling", error)
    messages = world.pull(world.alice, "tool")
    words = error.message.replace(" on 10.0.0.1:53", "")
    assert messages[-1] == {"errorDetail": {"message": words}, "error": words}
    assert world.names(world.alice) == {}


def test_closing_early_ends_the_engines_pull(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    pull = world.puller.pull(world.alice, "tool", "latest", auth={})
    pull.close()
    assert world.pending() == 0
    pull = world.puller.pull(world.alice, "tool", "latest", auth={})
    for _ in range(3):
        next(pull)
    body = world.engine.bodies[-1]
    assert not body.closed.is_set()
    pull.close()
    assert body.closed.is_set()
    assert world.names(world.alice) == {}
    # The engine may have come to an end all the same: an observer looks.
    assert world.pending() == 1
    world.recovery.run()
    assert world.pending() == 0


@pytest.mark.parametrize(
    "host",
    [
        "localhost:5000",
        "127.0.0.1",
        "127.1:5000",
        "10.1.2.3",
        "10.1.2.3:5001",
        "192.168.0.1:80",
        "169.254.169.254",
        "100.64.0.1:5000",
        "0.0.0.0:5000",
        "224.0.0.1",
        "[::1]:5000",
        "[fe80::1]:5000",
        "[fd00::1]",
        "[::ffff:127.0.0.1]:5000",
        "[64:ff9b::a00:1]:5000",
        "[2002:7f00:1::]:5000",
        "name.invalid",
        "own.lan:5000",
    ],
)
def test_registries_at_inner_addresses(world: World, host: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: world.pull(world.alice, f"{host}/tool", "latest"),
        lambda: world.push(world.alice, f"{host}/tool", "latest"),
        lambda: world.queries.distribution(world.alice, f"{host}/tool:latest", {}),
        lambda: world.queries.search(f"{host}/tool", limit=None, filters={}, auth={}),
        lambda: world.queries.login({"serveraddress": f"http://{host}/v1/"}),
    ]
    for call in calls:
        with pytest.raises((Forbidden, InvalidParameter)) as raised:
            call()
        assert isinstance(raised.value, Forbidden) or "." in host.partition("[")[2]
    assert world.engine.calls == []


@pytest.mark.parametrize("host", ["10.1.2.3:5000", "reg.lan", "reg.lan:5000", "8.8.8.8:5000"])
def test_registries_that_may_be_asked(world: World, host: str) -> None:
    with pytest.raises(NotFound, match=f"manifest for {host}/tool:latest not found"):
        world.pull(world.alice, f"{host}/tool", "latest")


def test_no_node(world: World) -> None:
    with world.store.begin() as tx:
        for node in nodes.list_all(tx):
            nodes.set_state(tx, node.id, "down")
    with pytest.raises(Unavailable, match="No compute resources available"):
        world.pull(world.alice, "tool", "latest")
    with pytest.raises(Unavailable, match="No compute resources available"):
        world.load(world.alice, busybox.archive())
