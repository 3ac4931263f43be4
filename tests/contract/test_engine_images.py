"""Images."""

from __future__ import annotations

import pytest

from app.errors import NotFound
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
