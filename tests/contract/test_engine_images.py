"""Images."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator

import pytest

from app.errors import Conflict, NotFound
from tests import busybox
from tests.contract.conftest import Subject


def test_load_by_id_gives_no_name(subject: Subject) -> None:
    seen = subject.engine.inspect_image(subject.image)
    assert seen["Id"] == subject.image
    assert seen["RepoTags"] == [] == seen["RepoDigests"]
    assert seen["RootFS"]["Layers"] == busybox.config()["rootfs"]["diff_ids"]
    assert seen["Config"]["Cmd"] == ["sh"]
    assert seen["Created"] == "2024-05-06T07:08:09.123456789Z"
    assert "VirtualSize" not in seen
    assert seen["Size"] > 0


def test_unknown_image(subject: Subject) -> None:
    for name in ("sha256:" + "0" * 64, "registry.invalid/a/b@sha256:" + "1" * 64):
        with pytest.raises(NotFound, match="No such image"):
            subject.engine.inspect_image(name)


def test_a_bad_archive_is_a_message(subject: Subject) -> None:
    with subject.engine.load_images([b"x" * 1000]) as body:
        messages = list(body.messages())
    assert messages[0]["errorDetail"]["message"] == messages[0]["error"]
    assert messages[0]["error"].startswith("Error processing tar file")


KEPT = "sdc.invalid/contract"


@pytest.fixture
def tag(subject: Subject) -> Iterator[str]:
    """A name of the test's own for the image."""
    subject.engine.tag_image(subject.image, KEPT, subject.run)
    yield f"{KEPT}:{subject.run}"
    for name in (f"{KEPT}:{subject.run}", f"{KEPT}:{subject.run}-2"):
        try:
            subject.engine.remove_image(name)
        except NotFound:
            continue


def test_a_name_comes_and_goes_and_takes_the_image_along(subject: Subject, tag: str) -> None:
    assert subject.engine.inspect_image(tag)["Id"] == subject.image
    subject.engine.tag_image(subject.image, KEPT, f"{subject.run}-2")
    with pytest.raises(Conflict, match="must be forced"):
        subject.engine.remove_image(subject.image)
    subject.engine.remove_image(tag)
    assert subject.engine.inspect_image(subject.image)["Id"] == subject.image
    with pytest.raises(NotFound):
        subject.engine.remove_image(tag)
    subject.engine.remove_image(f"{KEPT}:{subject.run}-2")
    with pytest.raises(NotFound):
        subject.engine.inspect_image(subject.image)
    with pytest.raises(NotFound):
        subject.engine.tag_image(subject.image, KEPT, subject.run)


def test_the_last_name_of_an_image_in_use_stays(subject: Subject, tag: str) -> None:
    subject.create("true")
    with pytest.raises(Conflict, match="unable to remove repository reference"):
        subject.engine.remove_image(tag)
    assert subject.engine.inspect_image(tag)["Id"] == subject.image
    subject.clean()


def test_saved_by_id_it_has_no_name(subject: Subject, tag: str) -> None:
    with subject.engine.save_images([subject.image]) as body:
        data = b"".join(body.chunks())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        [entry] = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        layer = archive.extractfile(entry["Layers"][0])
        assert layer is not None and layer.read() == busybox.layer()
    assert entry["Config"] == f"{subject.image.removeprefix('sha256:')}.json" and not entry["RepoTags"]


def test_history(subject: Subject) -> None:
    steps = subject.engine.image_history(subject.image)
    assert steps[0]["Id"] == subject.image
    assert {"Id", "Created", "CreatedBy", "Tags", "Size", "Comment"} <= set(steps[0])


def test_import(subject: Subject) -> None:
    layer = busybox.files({"a": b"b"})
    with subject.engine.import_image(
        KEPT, f"{subject.run}-i", [layer], message="hello", changes=["CMD sh"], platform=""
    ) as body:
        image_id = list(body.messages())[-1]["status"]
    seen = subject.engine.inspect_image(f"{KEPT}:{subject.run}-i")
    assert (seen["Id"], seen["Comment"]) == (image_id, "hello") and len(seen["RootFS"]["Layers"]) == 1
    subject.engine.remove_image(f"{KEPT}:{subject.run}-i")


def test_a_push_of_an_unknown_name(subject: Subject) -> None:
    with subject.engine.push_image("127.0.0.1:1/a/b", "none", auth="e30=") as body:
        messages = list(body.messages())
    assert messages[0] == {"status": "The push refers to repository [127.0.0.1:1/a/b]"}
    assert messages[-1]["error"] == "An image does not exist locally with the tag: 127.0.0.1:1/a/b"
