"""docker save, import and push."""

from __future__ import annotations

import concurrent.futures
import gzip
import io
import json
import tarfile
import time
from typing import Any

import pytest

from app.domain.account import Account
from app.errors import InvalidParameter, NotFound, NotImplemented, TooLarge
from tests import busybox
from tests.fakes.registry import digest_of
from tests.integration.services.images.conftest import HUB, World, config


def saved(world: World, account: Account, *names: str) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(world.saver.save(account, names)))) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]


def test_save_and_load_again(world: World) -> None:
    world.load(world.alice, busybox.archive(tags=["one:1", "one:2", "reg.lan/two:1"]))
    image_id = busybox.image_id()
    expected = {"one:1": ["one:1"], "one": ["one:1", "one:2"], image_id: None, image_id[7:19]: None}
    for name, tags in expected.items():
        files = saved(world, world.alice, name)
        [entry] = json.loads(files["manifest.json"])
        assert entry["RepoTags"] == tags
        assert files[entry["Config"]] and files[entry["Layers"][0]] == busybox.layer()
        assert ("repositories" in files) == bool(tags)
    whole = b"".join(world.saver.save(world.alice, ["one:1", "reg.lan/two:1"]))
    assert [m["stream"] for m in world.load(world.bob, whole)] == [
        "Loaded image: one:1\n",
        "Loaded image: reg.lan/two:1\n",
    ]
    assert json.loads(saved(world, world.alice)["manifest.json"]) is None
    for names in (["nosuch"], ["one:1", "nosuch"]):
        with pytest.raises(NotFound, match=r"^No such image: nosuch$"):
            world.saver.save(world.alice, names)
    world.remover.remove(world.bob, "one:1", force=False, prune=True)
    with pytest.raises(NotFound, match=r"^No such image: one:1$"):
        world.saver.save(world.bob, ["one:1"])


def imported(world: World, data: bytes = b"", **how: Any) -> dict:
    wanted = {"repository": "", "tag": "", "message": "", "changes": [], "platform": ""} | how
    return world.loader.import_(world.alice, wanted.pop("source", "-"), [data], **wanted)


def test_import(world: World) -> None:
    data = busybox.files({"a": b"b"})
    image_id = imported(world, gzip.compress(data), repository="imp", message="hello", changes=["CMD sh"])["status"]
    assert world.names(world.alice) == {image_id: ["imp:latest"]}
    assert world.kept() == {image_id} and world.pending() == 0
    assert world.told(world.alice) == [("tag", image_id), ("import", image_id)]
    assert world.engine.called("import_image")[0].kwargs["changes"] == ["CMD sh"]
    for how, kind, words in (
        ({"source": "http://169.254.169.254/"}, NotImplemented, "not available here"),
        ({"repository": "A"}, InvalidParameter, "lowercase"),
        ({"repository": f"a@{image_id}"}, InvalidParameter, "cannot import digest reference"),
        ({"repository": "a", "tag": "b c"}, InvalidParameter, "invalid tag format"),
        ({"changes": ["RUN rm"]}, InvalidParameter, "run is not a valid change command"),
        ({"changes": ["CMD sh\nCOPY / /"]}, InvalidParameter, "copy is not a valid change command"),
    ):
        with pytest.raises(kind, match=words):
            imported(world, data, **how)
    with pytest.raises(TooLarge):
        imported(world, gzip.compress(bytes(32 << 20)))
    assert len(world.rows(world.alice)) == 1 and world.pending() == 0


def test_push(world: World) -> None:
    world.load(world.alice, busybox.archive(tags=["reg.lan/a/b:1", "reg.lan/a/b:2"]))
    messages = world.push(world.alice, "reg.lan/a/b", "1")
    assert messages[0] == {"status": "The push refers to repository [reg.lan/a/b]"}
    assert "somebody" not in str(messages)
    assert messages[-1]["aux"]["Tag"] == "1"
    digest = messages[-1]["aux"]["Digest"]
    assert world.images.inspect(world.alice, f"reg.lan/a/b@{digest}")["Id"] == busybox.image_id()
    assert world.kept() == {busybox.image_id()} and world.pending() == 0
    every = [m["aux"]["Tag"] for m in world.push(world.alice, "reg.lan/a/b", "") if "aux" in m]
    assert every == ["1", "2"]
    assert ("push", "reg.lan/a/b:1") in world.told(world.alice)
    for account, tag in ((world.alice, "none"), (world.bob, "1"), (world.bob, "")):
        last = world.push(account, "reg.lan/a/b", tag)[-1]
        assert last["error"] == "An image does not exist locally with the tag: reg.lan/a/b"


def test_two_accounts_push_to_one_name(world: World) -> None:
    """Each pushes its own image, one after the other; what an operator calls so is called so afterwards."""
    ids = {}
    for account in (world.alice, world.bob):
        world.load(account, busybox.archive(tags=["reg.lan/a/b:1"], Labels={"of": account.login}))
        ids[account.login] = busybox.image_id(Labels={"of": account.login})
    operators = world.engine.add_image({"rootfs": {"diff_ids": []}, "author": "operator"})
    world.engine.tag_image(operators, "reg.lan/a/b", "1")
    hang = world.engine.hang("pushing")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(world.push, world.alice, "reg.lan/a/b", "1")
        assert hang.reached.wait(30)
        second = pool.submit(world.push, world.bob, "reg.lan/a/b", "1")
        time.sleep(0.3)
        assert len(world.engine.called("push_image")) == 1
        hang.release()
        digests = [job.result(30)[-1]["aux"]["Digest"] for job in (first, second)]
    assert digests == [digest_of(image_id.encode()) for image_id in ids.values()]
    assert world.engine.names["reg.lan/a/b:1"] == operators


def test_a_push_that_was_killed_gives_its_name_back(world: World) -> None:
    world.load(world.alice, busybox.archive(tags=["reg.lan/a/b:1"]))
    push = world.pusher.push(world.alice, "reg.lan/a/b", "1", auth={})
    for _ in range(2):
        next(push)
    assert "reg.lan/a/b:1" in world.engine.names
    world.recovery.run()
    assert world.kept() == {busybox.image_id()} and world.pending() == 0
    push.close()


def test_a_client_that_leaves_while_the_node_is_away(world: World) -> None:
    world.load(world.alice, busybox.archive(tags=["reg.lan/a/b:1"]))
    push = world.pusher.push(world.alice, "reg.lan/a/b", "1", auth={})
    for _ in range(2):
        next(push)
    world.engine.away = True
    push.close()
    world.engine.away = False
    world.recovery.run()
    assert world.kept() == {busybox.image_id()} and world.pending() == 0


def test_a_pull_that_was_killed_leaves_nothing(world: World) -> None:
    image_id, _ = world.engine.publish(HUB, "latest", config())
    world.engine.fail("tag_image", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        world.pull(world.alice, "tool")
    assert world.names(world.alice) == {}
    world.recovery.run()
    world.content.drop_unreferenced(world.node)
    assert image_id not in world.engine.images and world.engine.names == {} and world.pending() == 0
