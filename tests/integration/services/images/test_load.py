"""docker load: good archives and bad ones."""

from __future__ import annotations

import gzip

import pytest

from app.domain import progress
from app.errors import Error, InvalidParameter, TooLarge, Unavailable
from app.store import images
from tests import busybox
from tests.integration.services.images.conftest import World


def test_load(world: World) -> None:
    data = gzip.compress(busybox.archive(tags=["busybox:latest", "reg.example.com/b:1"]))
    assert world.load(world.alice, data) == [
        {"stream": "Loaded image: busybox:latest\n"},
        {"stream": "Loaded image: reg.example.com/b:1\n"},
    ]
    seen = world.images.inspect(world.alice, "busybox")
    assert seen["Id"] == busybox.image_id()
    assert seen["RepoTags"] == ["busybox:latest", "reg.example.com/b:1"]
    assert seen["Created"] == "2024-05-06T07:08:09.123456789Z"
    assert world.kept() == {busybox.image_id()}  # The engine has the content, and no name of alice's for it.
    assert world.told(world.alice) == [("load", busybox.image_id())] and world.pending() == 0


def test_progress_of_a_load_does_not_tell_what_others_have(world: World) -> None:
    world.load(world.alice, busybox.archive())
    layer = busybox.config()["rootfs"]["diff_ids"][0].removeprefix("sha256:")[:12]
    size = len(busybox.layer())
    line = progress.of(layer, "Loading layer", size, size)
    for account, expected in ((world.bob, True), (world.bob, False), (world.alice, False)):
        assert (line in list(world.loader.load(account, [busybox.archive()], quiet=False))) == expected


def test_load_without_names(world: World) -> None:
    told = world.load(world.alice, busybox.archive(tags=[]))
    assert told == [{"stream": f"Loaded image ID: {busybox.image_id()}\n"}]
    assert world.names(world.alice) == {busybox.image_id(): []}


def test_a_load_takes_a_name_over(world: World) -> None:
    world.load(world.alice, busybox.archive())
    told = world.load(world.alice, busybox.archive(Labels={"a": "b"}))
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
        world.load(world.alice, data)
    assert world.rows(world.alice) == []


def test_an_engine_that_refuses_an_archive(world: World) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def messages(self) -> list[dict]:
            return [{"error": "write /var/lib/docker/tmp/x: no space left on device", "errorDetail": {}}]

    world.engine.load_images = lambda chunks, quiet: b"".join(chunks) and Full()  # type: ignore
    assert world.load(world.alice, busybox.archive())[-1]["error"] == "write (path): no space left on device"
    assert world.pending() == 0
    assert world.rows(world.alice) == []


def test_what_cannot_be_recorded_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(*_: object) -> None:
        raise Unavailable("the database is away")

    monkeypatch.setattr(images, "put", put)
    assert world.load(world.alice, busybox.archive())[-1]["error"] == "the database is away"
    assert world.pending() == 0 and world.rows(world.alice) == []
