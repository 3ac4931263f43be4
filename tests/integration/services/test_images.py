"""Images of two accounts on one node, with a real database and a fake engine."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.domain.account import Account
from app.errors import Error, Forbidden, Internal, InvalidParameter, NotFound, NotImplemented, TooLarge, Unavailable
from app.services.images import Images
from app.store import accounts, images, nodes
from app.store.images import Image
from app.store.session import Store
from tests import busybox
from tests.fakes.engine import FakeEngine, FakeFleet

HUB = "docker.io/library/tool"
NODE = {"engine_id": "E", "engine_version": "20.10.24", "api_version": "1.41", "cpus": 8, "memory": 1 << 34}


def config(**more: Any) -> dict[str, Any]:
    return {"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "created": "2024-01-01T00:00:00Z", **more}


@dataclass
class World:
    store: Store
    engine: FakeEngine
    images: Images
    alice: Account
    bob: Account

    def pull(self, account: Account, name: str, tag: str = "latest", **options: str) -> list[dict]:
        return list(self.images.pull(account, name, tag, **options))

    def names(self, account: Account) -> dict[str, list[str]]:
        listed = self.images.list(account, everything=True, filters={})
        return {image["Id"]: image["RepoTags"] for image in listed}

    def rows(self, account: Account) -> list[Image]:
        with self.store.begin() as tx:
            return images.list_mine(tx, account.id)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    store = Store(database_url, pool=4)
    engine = FakeEngine()
    with store.begin() as tx:
        nodes.add(tx, name="n1", url="unix:///n1", **NODE)
        for login in ("alice", "bob"):
            accounts.add(tx, login)
        alice, bob = accounts.list_all(tx)
    yield World(store, engine, Images(store, FakeFleet(engine), ["10.1.2.3:5000", "reg.lan"]), alice, bob)  # type: ignore[arg-type]
    engine.close()
    store.close()


# -- pull ------------------------------------------------------------------------------------------------------------


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
    call = world.engine.called("pull_image")[0]
    assert (call.args, call.kwargs) == ((HUB, "latest"), {"platform": "", "auth": ""})


def test_up_to_date_is_the_accounts_own_view(world: World) -> None:
    """The node has everything after the first pull; what each account is told is about itself."""
    world.engine.publish(HUB, "latest", config())
    newer = {"status": "Status: Downloaded newer image for tool:latest"}
    assert world.pull(world.alice, "tool")[-1] == newer
    assert world.pull(world.bob, "tool")[-1] == newer
    assert world.pull(world.bob, "tool")[-1] == {"status": "Status: Image is up to date for tool:latest"}
    world.engine.publish(HUB, "latest", config(author="x"))
    assert world.pull(world.bob, "tool")[-1] == newer
    assert len(world.engine.called("pull_image")) == 4  # The registry is asked every time.


def test_the_last_line_is_true_when_it_is_read(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    pull = world.images.pull(world.alice, "tool", "latest")
    for message in pull:
        if message["status"].startswith("Status: "):
            assert world.images.inspect(world.alice, "tool")["RepoTags"] == ["tool:latest"]
            return
        with pytest.raises(NotFound):
            world.images.inspect(world.alice, "tool")
    raise AssertionError("no Status line")


def test_pull_by_digest(world: World) -> None:
    image_id, digest = world.engine.publish(HUB, "latest", config())
    assert world.pull(world.alice, "tool", digest)[-1]["status"].endswith(f"for tool@{digest}")
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


def test_platform_and_credentials_go_to_the_engine(world: World) -> None:
    world.engine.publish("reg.lan/a/b", "1", config())
    world.pull(world.alice, "reg.lan/a/b", "1", platform="linux/arm64", auth="c2VjcmV0")
    call = world.engine.called("pull_image")[0]
    assert call.args == ("reg.lan/a/b", "1")
    assert call.kwargs == {"platform": "linux/arm64", "auth": "c2VjcmV0"}


def test_refusals_before_the_first_byte_are_kinds(world: World) -> None:
    with pytest.raises(NotFound, match=r"pull access denied for docker\.io/library/none"):
        world.images.pull(world.alice, "none", "latest")
    world.engine.publish(HUB, "latest", config())
    with pytest.raises(NotFound, match="manifest unknown"):
        world.images.pull(world.alice, "tool", "none")
    with pytest.raises(NotImplemented, match="pulling all tags"):
        world.images.pull(world.alice, "tool", "")
    for name in ("A", "", "tool@sha256:12"):
        with pytest.raises(InvalidParameter, match="invalid reference format"):
            world.images.pull(world.alice, name, "x")
    for tag in ("-", "sha256:12"):
        with pytest.raises(InvalidParameter, match="invalid tag format"):
            world.images.pull(world.alice, "tool", tag)
    assert world.names(world.alice) == {}


def test_addresses_of_the_node_are_not_told(world: World) -> None:
    words = (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.255.255.53:53: '
        "dial udp 10.255.255.53:53: connect: network is unreachable"
    )
    world.engine.fail("pull_image", Internal(words))
    with pytest.raises(Internal) as raised:
        world.images.pull(world.alice, "tool", "latest")
    assert raised.value.message == (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: connect: network is unreachable'
    )
    world.engine.fail("pull_image", Internal("read tcp 172.16.0.2:33242->1.2.3.4:443: i/o timeout"))
    with pytest.raises(Internal, match=r"^read tcp 1\.2\.3\.4:443: i/o timeout$"):
        world.images.pull(world.alice, "tool", "latest")


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


def test_a_lost_database_is_told_in_band(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    pull = world.images.pull(world.alice, "tool", "latest")
    next(pull)
    world.engine.fail("inspect_image", Unavailable("the node that runs this cannot be reached"))
    last = list(pull)[-1]
    assert last["error"] == "the node that runs this cannot be reached"
    assert world.names(world.alice) == {}


def test_closing_early_ends_the_engines_pull(world: World) -> None:
    world.engine.publish(HUB, "latest", config())
    for read in (0, 1):
        pull = world.images.pull(world.alice, "tool", "latest")
        for _ in range(read):
            next(pull)
        body = world.engine.bodies[-1]
        assert not body.closed.is_set()
        pull.close()
        assert body.closed.is_set()
    assert world.names(world.alice) == {}


def test_whether_others_have_a_layer_is_not_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.engine.publish(HUB, "latest", config())
    found = FakeEngine._pulling

    def pulling(*args: Any) -> Iterator[dict]:
        yield {"status": "Already exists", "progressDetail": {}, "id": "2a62b92bb4e1", "secret": "node-7"}
        yield from found(*args)

    monkeypatch.setattr(FakeEngine, "_pulling", pulling)
    assert world.pull(world.alice, "tool")[0] == {"status": "Pull complete", "progressDetail": {}, "id": "2a62b92bb4e1"}


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
    ],
)
def test_registries_at_inner_addresses(world: World, host: str) -> None:
    with pytest.raises((Forbidden, InvalidParameter)) as raised:
        world.images.pull(world.alice, f"{host}/tool", "latest")
    assert isinstance(raised.value, Forbidden) or "." in host.partition("[")[2]
    assert world.engine.called("pull_image") == []


@pytest.mark.parametrize("host", ["10.1.2.3:5000", "reg.lan", "reg.lan:5000", "8.8.8.8:5000"])
def test_registries_that_may_be_asked(world: World, host: str) -> None:
    with pytest.raises(NotFound, match=f"pull access denied for {host}/tool"):
        world.images.pull(world.alice, f"{host}/tool", "latest")
    assert len(world.engine.called("pull_image")) == 1


def test_no_node(world: World) -> None:
    with world.store.begin() as tx:
        for node in nodes.list_all(tx):
            nodes.set_state(tx, node.id, "down")
    with pytest.raises(Unavailable, match="No compute resources available"):
        world.images.pull(world.alice, "tool", "latest")
    with pytest.raises(Unavailable, match="No compute resources available"):
        world.images.load(world.alice, [busybox.archive()])


# -- load ------------------------------------------------------------------------------------------------------------


def test_load(world: World) -> None:
    data = gzip.compress(busybox.archive(tags=["busybox:latest", "reg.example.com/b:1"]))
    assert world.images.load(world.alice, [data]) == [
        {"stream": "Loaded image: busybox:latest\n"},
        {"stream": "Loaded image: reg.example.com/b:1\n"},
    ]
    seen = world.images.inspect(world.alice, "busybox")
    assert seen["Id"] == busybox.image_id()
    assert seen["RepoTags"] == ["busybox:latest", "reg.example.com/b:1"]
    assert seen["Created"] == "2024-05-06T07:08:09.123456789Z"
    assert world.engine.names == {}  # The engine has the content, and no name for it.


def test_load_without_names(world: World) -> None:
    told = world.images.load(world.alice, [busybox.archive(tags=[])])
    assert told == [{"stream": f"Loaded image ID: {busybox.image_id()}\n"}]
    assert world.names(world.alice) == {busybox.image_id(): []}


def test_a_load_takes_a_name_over(world: World) -> None:
    world.images.load(world.alice, [busybox.archive()])
    told = world.images.load(world.alice, [busybox.archive(Labels={"a": "b"})])
    assert told == [
        {
            "stream": f"The image busybox:latest already exists, renaming the old one with ID {busybox.image_id()} "
            "to empty string\n"
        },
        {"stream": "Loaded image: busybox:latest\n"},
    ]
    assert world.names(world.alice) == {busybox.image_id(): [], busybox.image_id(Labels={"a": "b"}): ["busybox:latest"]}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", InvalidParameter),
        (b"nonsense" * 1000, InvalidParameter),
        (busybox.archive()[:-20_000], InvalidParameter),
        (busybox.archive(tags=["Bad"]), InvalidParameter),
        (busybox.archive(tags=["a@sha256:" + "0" * 64]), InvalidParameter),
        (busybox.archive(Labels={"a": "\0"}), InvalidParameter),
        (gzip.compress(bytes(32 << 20)), TooLarge),
    ],
    ids=["empty", "nonsense", "cut", "tag", "digest", "nul", "bomb"],
)
def test_a_bad_archive_leaves_nothing(world: World, data: bytes, kind: type[Error]) -> None:
    with pytest.raises(kind):
        world.images.load(world.alice, [data])
    assert world.rows(world.alice) == []


def test_an_engine_that_refuses_an_archive(world: World) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def messages(self) -> list[dict]:
            return [{"error": "write /var/lib/docker/tmp/x: no space left on device", "errorDetail": {}}]

    world.engine.load_images = lambda chunks: b"".join(chunks) and Full()  # type: ignore
    with pytest.raises(Internal) as raised:
        world.images.load(world.alice, [busybox.archive()])
    assert raised.value.message == "write (path): no space left on device"
    assert world.rows(world.alice) == []


# -- two accounts ----------------------------------------------------------------------------------------------------


def test_the_same_name_means_two_images(world: World) -> None:
    world.images.load(world.alice, [busybox.archive(Labels={"of": "alice"})])
    world.images.load(world.bob, [busybox.archive(Labels={"of": "bob"})])
    for account in (world.alice, world.bob):
        assert world.images.inspect(account, "busybox")["Config"]["Labels"] == {"of": account.login}
        assert len(world.names(account)) == 1


def test_another_accounts_image_is_not_there(world: World) -> None:
    image_id, digest = world.engine.publish(HUB, "latest", config())
    world.pull(world.alice, "tool")
    words = {}
    for name in ("tool", "tool:latest", f"tool@{digest}", image_id, image_id[7:], image_id[7:19], image_id[:19]):
        assert world.images.inspect(world.alice, name)["Id"] == image_id
        with pytest.raises(NotFound) as raised:
            world.images.inspect(world.bob, name)
        words[name] = raised.value.message
    assert words["tool"] == "No such image: tool:latest"
    assert words[image_id] == f"No such image: {image_id}"
    assert world.images.list(world.bob, everything=True, filters={}) == []
    for key in ("before", "since"):
        with pytest.raises(NotFound):
            world.images.list(world.bob, everything=False, filters={key: ["tool"]})


def test_layers_of_another_account_cannot_be_claimed(world: World) -> None:
    """The engine would take the layers that it has by the digests alone."""
    world.images.load(world.alice, [busybox.archive()])
    diff_ids = world.images.inspect(world.alice, "busybox")["RootFS"]["Layers"]
    stolen = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, "config": {}}).encode()
    name = hashlib.sha256(stolen).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": ["mine:1"], "Layers": ["empty.tar"]}]
    archive = busybox.files({"empty.tar": bytes(1024), name: stolen, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(InvalidParameter, match="invalid diffID for layer 0"):
        world.images.load(world.bob, [archive])
    assert world.rows(world.bob) == []


# -- list ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(world: World) -> World:
    """alice has: old (no name), mid (a digest alone), new (two tags)."""
    old, _ = world.engine.publish(HUB, "latest", config(created="2020-01-01T00:00:00Z"))
    world.pull(world.alice, "tool")
    _, digest = world.engine.publish("reg.lan/x/mid", "v1", config(created="2021-01-01T00:00:00Z"))
    world.pull(world.alice, "reg.lan/x/mid", digest)
    with world.store.begin() as tx:  # Untag.
        tx.exec_driver_sql("DELETE FROM image_names WHERE image_id = %s", (old,))
    new = config(created="2022-01-01T00:00:00.5Z", config={"Labels": {"stage": "prod", "empty": ""}})
    for tag in ("1.0", "latest"):
        world.engine.publish("docker.io/library/newtool", tag, new)
        world.pull(world.alice, "newtool", tag)
    return world


def listed(world: World, everything: bool = False, **filters: list[str]) -> list[str]:
    found = world.images.list(world.alice, everything=everything, filters=filters)
    return [image["RepoTags"][0] if image["RepoTags"] else str(image["Created"])[:4] for image in found]


NEW, MID, OLD = "newtool:1.0", "1609", "1577"


def test_list_shape(shelf: World) -> None:
    found = shelf.images.list(shelf.alice, everything=False, filters={})
    first = found[0]
    assert first == {
        "Containers": -1,
        "Created": 1640995200,
        "Id": first["Id"],
        "Labels": {"stage": "prod", "empty": ""},
        "ParentId": "",
        "RepoDigests": [first["RepoDigests"][0]],
        "RepoTags": ["newtool:1.0", "newtool:latest"],
        "SharedSize": -1,
        "Size": 1000,
    }
    assert [image["Created"] for image in found] == sorted((image["Created"] for image in found), reverse=True)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [NEW, MID, OLD]),
        ({"dangling": ["true"]}, [MID, OLD]),
        ({"dangling": ["false"]}, [NEW, MID]),
        ({"label": ["stage"]}, [NEW]),
        ({"label": ["stage=prod", "empty="]}, [NEW]),
        ({"label": ["stage=test"]}, []),
        ({"label": ["stage=prod", "other"]}, []),
        ({"before": ["newtool"]}, [MID, OLD]),
        ({"since": ["newtool"]}, []),
        ({"reference": ["newtool"]}, [NEW]),
        ({"reference": ["*tool:1.*"]}, [NEW]),
        ({"reference": ["new[a-t]ool:[^2-9].?"]}, [NEW]),
        ({"reference": ["*"]}, [NEW]),
        ({"reference": ["*/*/mid"]}, [MID]),
        ({"reference": ["nothing", "newtool:latest"]}, ["newtool:latest"]),
        ({"reference": ["new\\tool"]}, [NEW]),
        ({"reference": ["new.ool"]}, []),
    ],
)
def test_filters(shelf: World, filters: dict[str, list[str]], expected: list[str]) -> None:
    assert listed(shelf, False, **filters) == expected


def test_before_and_since_take_ids(shelf: World) -> None:
    old = shelf.rows(shelf.alice)[-1].id
    assert listed(shelf, since=[old]) == [NEW, MID]
    assert listed(shelf, since=[old[7:19]], before=["newtool:1.0"]) == [MID]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"nonsense": ["x"]}, "^Invalid filter 'nonsense'$"),
        ({"dangling": ["maybe"]}, r"^Invalid filter 'dangling=\[maybe\]'$"),
        ({"dangling": ["true", "false"]}, "Invalid filter 'dangling="),
        ({"reference": ["["]}, "^syntax error in pattern$"),
        ({"reference": ["[]a]"]}, "^syntax error in pattern$"),
        ({"reference": ["a\\"]}, "^syntax error in pattern$"),
        ({"reference": ["[b-a]"]}, "^syntax error in pattern$"),
    ],
)
def test_bad_filters(world: World, filters: dict[str, list[str]], words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        world.images.list(world.alice, everything=False, filters=filters)


def test_intermediate_images_are_shown_on_demand(world: World) -> None:
    parent = world.engine.add_image(config(author="base"))
    world.engine.publish(HUB, "latest", config())
    world.engine.registry[f"{HUB}:latest"][1]["Parent"] = parent
    world.pull(world.alice, "tool")
    with world.store.begin() as tx:
        node = nodes.list_all(tx)[0]
        images.put(
            tx, parent, world.engine.images[parent] | {"Created": "2019-01-01T00:00:00Z"}, node.id, world.alice.id
        )
    assert listed(world) == ["tool:latest"]
    assert listed(world, everything=True) == ["tool:latest", "1546"]
